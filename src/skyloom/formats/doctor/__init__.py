"""What is wrong with a set, and what to do about it: the findings of ``skyloom inspect``.

One pass reads the maps in blocks and keeps a few numbers of each (``surveying``); the checks look at those
numbers, at the labels and at the files, and each answers with findings (``findings``).
"""

from skyloom.formats.doctor.files import damaged, layout, stored_types, types
from skyloom.formats.doctor.findings import Finding, render
from skyloom.formats.doctor.samples import copies, monopole, simulations
from skyloom.formats.doctor.surveying import FieldSurvey, survey
from skyloom.formats.doctor.values import clipped, constant, finite, precision, quantities

__all__ = [
    "FieldSurvey",
    "Finding",
    "clipped",
    "constant",
    "copies",
    "damaged",
    "finite",
    "layout",
    "monopole",
    "precision",
    "quantities",
    "render",
    "simulations",
    "stored_types",
    "survey",
    "types",
]
