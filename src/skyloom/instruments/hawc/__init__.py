"""The HAWC observatory: where its PMTs stand, and their places in the 40 × 40 map that networks are given."""

from skyloom.instruments.hawc.grid import SIZE, detector_mask, grid_ids, pixels
from skyloom.instruments.hawc.layout import Layout, default_layout, layout_of_hits, read_survey

__all__ = [
    "SIZE",
    "Layout",
    "default_layout",
    "detector_mask",
    "grid_ids",
    "layout_of_hits",
    "pixels",
    "read_survey",
]
