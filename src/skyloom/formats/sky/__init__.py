"""Maps of the 21-cm line as they would lie on the sky: FITS with world coordinates, and tables of sources.

Every pixel has a flux density in each channel of frequency; a map that holds the whole line is one channel.
North is along y and west along x; velocities are positive away from us.
"""

from skyloom.formats.sky.building import on_the_sky
from skyloom.formats.sky.record import Sky
from skyloom.formats.sky.writing import COLUMNS, sources, write_image, write_sources

__all__ = ["COLUMNS", "Sky", "on_the_sky", "sources", "write_image", "write_sources"]
