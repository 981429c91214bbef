"""Simulators: each turns parameters and seeds into a field set, resumably and on all cores."""
