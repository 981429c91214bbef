"""Making and importing field sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom import formats, registry
from skyloom.api.progress import counting
from skyloom.errors import DataError, FormatError, MissingDependencyError, UsageError
from skyloom.fields import store
from skyloom.fields.packing import pack
from skyloom.formats import doctor
from skyloom.formats.inspect import Summary, summarise

if TYPE_CHECKING:
    from skyloom.recipe import Recipe

ANSWERS_WITHIN = 20  #: seconds, a Dask scheduler
PUBLISHED_SIZE = 128  #: of the maps of the published networks, pixels


def make(
    source: dict[str, Any],
    folder: Path,
    *,
    workers: int | None = None,
    compression: str = "none",
    dtype: str | None = None,
    keep: dict[str, int | None] | None = None,
    progress: str | None = None,
) -> Path:
    """Run a simulator and write its field set.

    Args:
        source: Name and arguments of the simulator, as in a recipe.
        folder: Where the set goes; simulations that lie there already are kept.
        workers: Processes; one per core if not given.
        compression: ``none``, ``blosc`` or ``deflate``. With this, ``dtype`` or ``keep``, the simulations go
            to ``<folder>.simulations`` and are packed into one shard in ``folder``.
        dtype: ``float16`` or ``float32``; the simulator's own if not given.
        keep: Fields to keep, each with its number of mantissa bits (``None``: all); every field if not given.
        progress: ``quiet`` for no bar.

    Returns:
        ``folder``.
    """
    simulator = registry.build(source, "simulator")
    packed = compression != "none" or dtype is not None or keep is not None
    made = folder.with_name(folder.name + ".simulations") if packed else folder
    with counting("simulations", progress) as count:
        simulator.simulate(made, workers=workers or os.cpu_count() or 1, progress=count)
    if packed:
        ds = store.open(made)
        if keep is not None:
            ds = pack(ds, keep, dtype=dtype or "float32")
        store.write(ds, folder, shard_size=ds.sizes["sample"], compression=compression, dtype=dtype)
    return folder


def import_(
    path: Path,
    folder: Path,
    *,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    dtype: str | None = None,
    shard_size: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: str | None = None,
) -> Path:
    """Read a native file and write it as a field set.

    A worker that dies does no harm: its shard is written again by another, each whole or not at all.

    Args:
        path: File or folder.
        folder: Where the set goes; an interrupted import goes on.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        dtype: ``float16`` or ``float32``; the file's own if not given.
        shard_size: Samples a shard; shards of about 128 MB if not given.
        workers: Shards made at once; as many as the cluster has threads if not given, one without a cluster.
        scheduler: Address of a Dask scheduler, ``tcp://host:8786``; its workers must see both folders.
        progress: ``quiet`` for no bar.

    Returns:
        ``folder``.

    Raises:
        MissingDependencyError: There is a scheduler, and the extra ``distributed`` is not installed.
        DataError: The scheduler does not answer.
    """
    ds = formats.read(path, format=format, **(options or {}))
    with _cluster(scheduler) as threads, counting("shards", progress) as count:
        store.write(
            ds, folder, dtype=dtype, shard_size=shard_size, workers=workers or threads, progress=count
        )
    return folder


@contextmanager
def _cluster(scheduler: str | None) -> Iterator[int]:
    """Let a Dask cluster compute what is lazy; yields how many threads it has, 1 without a cluster."""
    if scheduler is None:
        yield 1
        return
    if find_spec("distributed") is None:
        raise MissingDependencyError(
            "a Dask scheduler needs the package distributed", hint="pip install 'skyloom[distributed]'"
        )
    from distributed import Client

    try:
        client = Client(scheduler, timeout=ANSWERS_WITHIN)
    except (OSError, ValueError) as error:
        raise DataError(
            f"the Dask scheduler {scheduler} does not answer ({error})",
            hint="start one with: dask scheduler, and workers with: dask worker ADDRESS",
        ) from error
    with client:
        yield max(1, sum(client.nthreads().values()))


def import_weights(
    path: Path,
    out: Path,
    *,
    size: int | None = None,
    classes: list[str] | None = None,
    recipe: Recipe | None = None,
    force: bool = False,
    progress: str | None = None,
) -> Path:
    """Read a published state dict of the cosmic-ray classifiers; write it as Skyloom's weights or as a run.

    Args:
        path: The ``.pt`` file; nothing but tensors is read.
        out: The safetensors file to write, from which ``skyloom.training.rebuild`` makes the classifier; with
            a recipe the folder of a run, which can be evaluated, explained and asked as a trained one.
        size: Side of the maps, pixels; 128 if not given. With a recipe its data tell it.
        classes: Names of the classes, in the order of the outputs; kept in the header.
        recipe: Says on which data, as which maps, and for which classes the network is used.
        force: Replace a run that stands there.
        progress: ``quiet`` for no bar while data are made.

    Returns:
        ``out``.

    Raises:
        FormatError: The file holds other things than tensors, or is no such network.
        UsageError: There are more or fewer names than classes, the maps are too small, or the network does
            not fit the recipe.
    """
    from skyloom.api.adopting import adopt
    from skyloom.runs import input_file
    from skyloom.training.published import method_of, read_published
    from skyloom.training.weights import save_weights

    published = read_published(path)
    if classes is not None and len(classes) != published.classes:
        raise UsageError(
            f"{len(classes)} names for the {published.classes} classes of {path}",
            hint="name them in the order of the outputs of the network, or leave them out",
        )
    if recipe is not None:
        if size is not None:
            raise UsageError(
                f"size is {size}, and there is a recipe", hint="its data tell the size: leave one of them out"
            )
        return adopt(recipe, out, published, path, classes=classes, force=force, progress=progress)
    method = method_of(published, size or PUBLISHED_SIZE)
    return save_weights(out, method.state_dict(), method.spec, classes=classes, origin=input_file(path))


def inspect(
    path: Path,
    *,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    progress: str | None = None,
) -> Summary:
    """Look at a file or field set as the data doctor does; ``text()`` of the answer is the page.

    Args:
        path: File or folder.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        progress: ``quiet`` for no bar.

    Returns:
        What it holds, and the findings of the checks.

    Raises:
        DataError: A file is damaged, and all such files are named; or no reader knows it.
    """
    if faults := doctor.damaged(path):
        raise FormatError(
            f"{path} cannot be read as it is:\n" + "\n".join(f"  - {fault}" for fault in faults),
            hint="copy these files again from where they come from, or write them again",
        )
    ds = formats.read(path, format=format, **(options or {}))
    stored = doctor.stored_types(path, ds)
    with counting("samples", progress) as count:
        summary = summarise(ds, stored=stored, progress=count)
    files = [
        doctor.Finding("ok", "files", "none is damaged"),
        *doctor.layout(path),
        *doctor.types(stored, path),
    ]
    return replace(summary, findings=(*files, *summary.findings))
