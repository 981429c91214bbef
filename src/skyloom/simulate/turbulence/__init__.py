"""Driven, magnetised, isothermal turbulence with a cosmic-ray fluid in five regimes of transport."""
