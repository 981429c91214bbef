"""Runs every benchmark of this folder and prints one table: ``python -m benchmarks [name ...]``."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # each script also runs alone, with this folder first on its path

from common import Row, table  # noqa: E402

_NO_BENCHMARK = {"__main__", "__init__", "common"}


def main(names: list[str]) -> int:
    """Run the benchmarks named, or all; one that fails is reported and the others go on."""
    found = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in _NO_BENCHMARK)
    unknown = [name for name in names if name not in found]
    if unknown:
        print(f"no benchmark {unknown[0]!r}, allowed: {', '.join(found)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    failed: list[str] = []
    for name in names or found:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(name).run()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    print(table(rows))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
