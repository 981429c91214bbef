"""Skyloom learns from simulated skies."""
