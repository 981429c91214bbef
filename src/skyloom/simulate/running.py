"""Running many simulations in worker processes of one thread each, into shards that outlast a stop."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from skyloom.fields.store import ShardWriter

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[int, int], None]


def run_missing(
    writer: ShardWriter,
    work: Mapping[int, tuple[Any, ...]],
    simulate: Callable[..., xr.Dataset],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    fresh_after: int | None = None,
) -> None:
    """Run what the writer's folder has not yet, and finish the set.

    Args:
        writer: Writer of the set; one shard a simulation.
        work: Index of every simulation to the arguments of ``simulate``.
        simulate: Runs one simulation; it and its arguments can be pickled.
        workers: Processes, one thread each. The result does not depend on their number.
        progress: Called with (simulations done, all).
        fresh_after: Simulations after which a process is replaced; None keeps it.
    """
    done = writer.done()
    todo = [index for index in work if index not in done]
    report = progress or (lambda count, total: None)
    count = len(work) - len(todo)
    report(count, len(work))
    if not todo and writer.finished:
        return
    with _pool(workers, fresh_after) as pool:
        running: dict[Future[xr.Dataset], int] = {}
        waiting = iter(todo)
        try:
            while True:
                # A few ahead of the workers, never all: results are whole boxes.
                while len(running) < 2 * workers and (index := next(waiting, None)) is not None:
                    running[pool.submit(simulate, *work[index])] = index
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    writer.write(running.pop(future), future.result())
                    count += 1
                    report(count, len(work))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    writer.finish(shards=len(work))


def _pool(workers: int, fresh_after: int | None) -> ProcessPoolExecutor:
    """Return worker processes that use one thread each."""
    return ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_one_thread,
        max_tasks_per_child=fresh_after,
    )


def _one_thread() -> None:
    """Keep OpenMP and BLAS of a worker to one thread, before any of them is loaded."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
