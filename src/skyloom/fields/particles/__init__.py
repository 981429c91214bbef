"""Particles to maps: kernels integrated over pixels, views, sizes."""

from skyloom.fields.particles.deposit import deposit
from skyloom.fields.particles.project import project
from skyloom.fields.particles.radii import neighbour_radius, volume_radius
from skyloom.fields.particles.view import View, random_rotation, taper

__all__ = [
    "View",
    "deposit",
    "neighbour_radius",
    "project",
    "random_rotation",
    "taper",
    "volume_radius",
]
