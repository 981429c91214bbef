"""Running many simulations in worker processes of one thread each, into shards that outlast a stop."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
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
    todo_work = {index: work[index] for index in todo}
    for index, made in run_all(todo_work, simulate, workers=workers, fresh_after=fresh_after):
        writer.write(index, made)
        count += 1
        report(count, len(work))
    writer.finish(shards=len(work))


def run_all(
    work: Mapping[int, tuple[Any, ...]],
    make: Callable[..., Any],
    *,
    workers: int = 1,
    fresh_after: int | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield (index, result) of every piece of work as it is done, in any order.

    Args:
        work: Index to the arguments of ``make``.
        make: Does one; it and its arguments can be pickled.
        workers: Processes, one thread each.
        fresh_after: Pieces after which a process is replaced; None keeps it.
    """
    with _pool(workers, fresh_after) as pool:
        running: dict[Future[Any], int] = {}
        waiting = iter(work)
        try:
            while True:
                # A few ahead of the workers, never all: results can be whole boxes.
                while len(running) < 2 * workers and (index := next(waiting, None)) is not None:
                    running[pool.submit(make, *work[index])] = index
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
