"""The HAWC observatory: where its PMTs stand, their places in the 40 × 40 map, and hits as such maps."""

from skyloom.instruments.hawc.grid import SIZE, detector_mask, grid_ids, pixels
from skyloom.instruments.hawc.hits import Hits, Maps, clean, from_maps, front_times, to_channels, to_maps
from skyloom.instruments.hawc.layout import Layout, default_layout, layout_of_hits, read_survey

__all__ = [
    "SIZE",
    "Hits",
    "Layout",
    "Maps",
    "clean",
    "default_layout",
    "detector_mask",
    "from_maps",
    "front_times",
    "grid_ids",
    "layout_of_hits",
    "pixels",
    "read_survey",
    "to_channels",
    "to_maps",
]
