"""The verb that writes a run as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.options import RunArgument, find_run


def onnx(
    run: RunArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write.", show_default=True)
    ] = Path("model.onnx"),
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps", metavar="SET", help="A field set to check on.", show_default="the validation side"
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", metavar="SHARE", help="Largest difference, as a share of the spread."),
    ] = 1e-4,
) -> None:
    """Write a run as an ONNX graph, checked with onnxruntime against the run's own answers."""
    folder = find_run(run)
    from skyloom import api

    found = api.export_onnx(folder, out, maps=maps, tolerance=tolerance)
    rows = [[one.output, one.what, one.unit, f"{one.largest:.1e}", f"{one.share:.1e}"] for one in found]
    console.table(["output", "of", "unit", "largest difference", "of the spread"], rows)
    console.path("graph", out)
