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

__all__ = [
    "atomic_path",
    "atomic_write",
    "jsonable",
    "read_json",
    "remove_leftovers",
    "write_bytes",
    "write_json",
    "write_text",
]
