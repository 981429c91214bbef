"""Verbs that make, import and inspect data, and import weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skyloom.cli import console
from skyloom.cli.options import (
    ArgumentsOption,
    ForceOption,
    QuietOption,
    SetOption,
    progress_style,
    read_arguments,
    read_recipe,
)
from skyloom.errors import UsageError

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help="The file's format.", show_default="recognised from the file"
    ),
]
FolderOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="The field set's folder.", show_default=False)
]


def make(
    simulator: Annotated[
        str,
        typer.Argument(help="Its name: see 'skyloom list simulator'.", show_default=False),
    ],
    out: FolderOption,
    settings: ArgumentsOption = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes that simulate at once.", show_default="one a core"),
    ] = None,
    compression: Annotated[str, typer.Option("--compression", help="none, blosc or deflate.")] = "none",
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="float16 or float32.", show_default="the simulator's own"),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="FIELD[:BITS]",
            help="A field to keep, rounded to so many mantissa bits; repeatable.",
            show_default="every field, all bits",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Simulate a field set; the same command goes on where an interrupted one stopped."""
    from skyloom import registry

    source = registry.resolve({"name": simulator, **read_arguments(settings)}, "simulator")
    from skyloom import api

    style = progress_style(quiet)
    made = api.make(
        source, out, workers=workers, compression=compression, dtype=dtype, keep=_kept(keep), progress=style
    )
    console.path("field set", made)


def fetch(
    name: Annotated[str, typer.Argument(help="The data set: camels.", show_default=False)],
    suite: Annotated[
        str, typer.Option("--suite", help="IllustrisTNG, SIMBA, Astrid, Nbody_SIMBA, ...", show_default=False)
    ],
    field: Annotated[
        list[str],
        typer.Option("--field", help="Mgas, HI, B, Mtot, ...; repeatable.", show_default=False),
    ],
    set_name: Annotated[str, typer.Option("--set", help="LH, CV, 1P, EX, BE, SB28, ...")] = "LH",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.")] = Path(
        "camels"
    ),
    redshift: Annotated[str, typer.Option("--redshift", help="As in the names of the files.")] = "0.00",
    grid: Annotated[
        int | None,
        typer.Option("--grid", help="Cells of 3-D grids: 128, 256 or 512.", show_default="maps, no grids"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            envvar="SKYLOOM_CAMELS_URL",
            help="Where the data set lies.",
            show_default="its public host",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Download a public data set; the same command goes on where a broken one stopped."""
    from skyloom import api

    style = progress_style(quiet)
    files = api.fetch(
        name,
        out,
        suite=suite,
        set=set_name,
        fields=field,
        redshift=redshift,
        grid=grid,
        url=url,
        progress=style,
    )
    console.path("files", files)


def import_(
    path: Annotated[Path, typer.Argument(help="A native file or folder.", show_default=False)],
    out: FolderOption,
    format_name: FormatOption = None,
    settings: ArgumentsOption = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float16 or float32.", show_default="the file's own")
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option("--shard-size", min=1, help="Samples a shard.", show_default="128 MB a shard"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Shards made at once.", show_default="1, or the cluster's"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers do the work."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Turn a native file into a field-set folder."""
    options = read_arguments(settings)
    from skyloom import api

    style = progress_style(quiet)
    made = api.import_(
        path,
        out,
        format=format_name,
        options=options,
        dtype=dtype,
        shard_size=shard_size,
        workers=workers,
        scheduler=scheduler,
        progress=style,
    )
    console.path("field set", made)


def import_weights(
    path: Annotated[Path, typer.Argument(help="A published state dict (.pt).", show_default=False)],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", help="The safetensors file, or the run's folder.", show_default=False
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE",
            help="Data, maps and classes that the network is used for: makes a run.",
            show_default="weights alone",
        ),
    ] = None,
    settings: SetOption = None,
    size: Annotated[
        int | None,
        typer.Option("--size", min=1, help="Side of the maps, pixels.", show_default="128, or the recipe's"),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="A class, in the order of the network's outputs; repeatable.",
            show_default="unnamed",
        ),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn published weights of the cosmic-ray classifiers into Skyloom's; only tensors are read."""
    if settings and recipe is None:
        raise UsageError("--set changes a recipe, and there is none", hint="give one with --recipe")
    used = None if recipe is None else read_recipe(recipe, settings, out)[0]
    from skyloom import api

    made = api.import_weights(
        path, out, size=size, classes=classes, recipe=used, force=force, progress=progress_style(quiet)
    )
    console.path("weights" if used is None else "run", made)


def inspect(
    path: Annotated[Path, typer.Argument(help="A native file, or a field-set folder.", show_default=False)],
    format_name: FormatOption = None,
    settings: ArgumentsOption = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write it all as JSON, too.", show_default=False),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Say what a file holds, and what is wrong with it: damage, copies, units, drifts, layout.

    Each finding says what to do. The exit code is 0 whatever is found, and 4 if a file cannot be read.
    """
    options = read_arguments(settings)
    from skyloom import api

    summary = api.inspect(path, format=format_name, options=options, progress=progress_style(quiet))
    console.page(summary.text(console.out().width))
    if json is not None:
        from skyloom.runs import write_json

        console.path("findings", write_json(json, summary.content()))


def _kept(entries: list[str] | None) -> dict[str, int | None] | None:
    """Return fields and their bits from ``FIELD`` or ``FIELD:BITS``; None where none are named."""
    if not entries:
        return None
    kept: dict[str, int | None] = {}
    for entry in entries:
        field, _, bits = entry.partition(":")
        if bits and not bits.isdecimal():
            raise UsageError(f"--keep {entry}: {bits!r} is no number of bits", hint="write --keep T_b:7")
        kept[field] = int(bits) if bits else None
    return kept
