"""Arrays that know their physics: the convention, store, transforms, projection, interventions."""

from skyloom.fields.convention import (
    add_step,
    check,
    check_values,
    class_names,
    fields,
    parameters,
    parent_box,
    provenance,
    subset,
)
from skyloom.fields.making import Label, build, example

__all__ = [
    "Label",
    "add_step",
    "build",
    "check",
    "check_values",
    "class_names",
    "example",
    "fields",
    "parameters",
    "parent_box",
    "provenance",
    "subset",
]
