"""How it is learned: one LightningModule each, usable in anyone's own ``Trainer``.

A method owns the network and the loss. It takes batches ``{"maps": (B, C, H, W), "targets": (B, P)}`` of
standardised values, and knows nothing of physics, files or splits.
"""

from skyloom.methods.base import Method, Net, prediction_mode, rebuild

__all__ = ["Method", "Net", "prediction_mode", "rebuild"]
