"""How good an answer is: scores, error bars over simulations, calibration, baselines, floors (no torch)."""
