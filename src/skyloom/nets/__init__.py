"""Networks only: they know tensors, and nothing of physics, recipes or losses.

Each class takes what the data tell (``in_channels, out_features, size``) before the ``*`` and what a recipe
chooses, as JSON values, after it. Maps enter as ``(B, C, H, W)`` and features leave as ``(B, out_features)``.
"""
