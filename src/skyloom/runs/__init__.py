"""The run folder: its layout, atomic files, provenance and the model card. No torch."""

from skyloom.runs.atomic import (
    atomic_path,
    atomic_write,
    jsonable,
    read_json,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)
from skyloom.runs.card import card
from skyloom.runs.folder import EVENTS, LAYOUT, SIDES, RunFolder
from skyloom.runs.provenance import input_file, provenance, sampled_file, without_home

__all__ = [
    "EVENTS",
    "LAYOUT",
    "SIDES",
    "RunFolder",
    "atomic_path",
    "atomic_write",
    "card",
    "input_file",
    "jsonable",
    "provenance",
    "read_json",
    "remove_leftovers",
    "sampled_file",
    "without_home",
    "write_bytes",
    "write_json",
    "write_text",
]
