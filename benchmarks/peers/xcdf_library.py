"""The reference library's binding: reads every event of a file, once for each line read.

``python xcdf_library.py FILE``. Once warm it prints the number of events and the sum of ``nHit``; then, for
every line on its input, the wall-clock and CPU seconds of one reading.
"""

from __future__ import annotations

import sys
import time


def read(path):
    """Return the number of events and the sum of nHit."""
    import xcdf

    events = hits = 0
    with xcdf.File(path, "r") as file:
        for event in file:
            events += 1
            hits += event["nHit"]
    return events, hits


def main(path: str) -> None:
    """Answer every line of the input with one timed reading."""
    print(*read(path), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        read(path)
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
