"""Verbs that write what other programs read: ``skyloom export KIND``."""

from __future__ import annotations

import typer

from skyloom.cli.onnx import onnx
from skyloom.cli.sky import sky

export = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@export.callback()
def _export() -> None:
    """Write what other programs read."""


export.command("onnx")(onnx)
export.command("sky")(sky)
