"""Training on Lightning's Trainer: weights, checkpoints, averaging, early stopping, progress, trackers."""

from skyloom.training.fit import Fitted, fit
from skyloom.training.weights import load_weights, read_header, rebuild, save_weights

__all__ = ["Fitted", "fit", "load_weights", "read_header", "rebuild", "save_weights"]
