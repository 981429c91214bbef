"""Tables of maps in a gzipped pandas pickle, as the first neutral-fraction tutorial stores them.

A pickle is a program. This one is run only after every name in it was found on a short list of what a data
frame of arrays needs; anything else is refused before a single instruction is executed. Columns are
``maps`` (2-D arrays), ``xHI`` and ``redshift``; other numeric columns become labels.
"""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import FormatError
from skyloom.fields import Label, build
from skyloom.runs import input_file

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: The only callables that unpickling may name, by module. Everything here builds containers.
ALLOWED: dict[str, frozenset[str]] = {
    "__builtin__": frozenset({"slice"}),
    "builtins": frozenset({"slice", "bytearray", "complex"}),
    "_codecs": frozenset({"encode"}),
    "numpy": frozenset({"dtype", "ndarray"}),
    "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy.core.numeric": frozenset({"_frombuffer"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
    "pandas": frozenset({"DataFrame", "Index", "RangeIndex", "StringDtype"}),
    "pandas.arrays": frozenset({"StringArray"}),
    "pandas.core.frame": frozenset({"DataFrame"}),
    "pandas.core.indexes.base": frozenset({"Index", "_new_Index"}),
    "pandas.core.indexes.range": frozenset({"RangeIndex"}),
    "pandas.core.indexes.numeric": frozenset({"Int64Index", "Float64Index", "UInt64Index"}),
    "pandas.core.internals.managers": frozenset({"BlockManager"}),
    "pandas.core.internals.blocks": frozenset({"new_block"}),
    "pandas._libs.internals": frozenset({"_unpickle_block"}),
    "pandas._libs.arrays": frozenset({"__pyx_unpickle_NDArrayBacked"}),
    "pandas.core.arrays.string_": frozenset({"StringArray", "StringDtype"}),
}
GZIP = b"\x1f\x8b"


class _Reader(pickle.Unpickler):
    """An unpickler that knows only the names in ``ALLOWED``."""

    def find_class(self, module: str, name: str) -> Any:
        _refuse(module, name)
        return super().find_class(module, name)


def load(path: Path) -> pd.DataFrame:
    """Return the data frame of a (gzipped) pickle, through the allow-list.

    Args:
        path: The file.

    Raises:
        FormatError: The file is damaged, is no data frame, or names anything outside the allow-list.
    """
    import pandas as pd

    if not path.is_file():
        raise FormatError(f"{path}: no such file", hint="check the path")
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if raw.startswith(GZIP) else raw
        _refuse_unknown_names(raw)
        frame = _Reader(io.BytesIO(raw)).load()
    except FormatError as error:
        raise FormatError(f"{path}: {error.message}", hint=error.hint) from None
    except Exception as error:  # a damaged program may fail in any way
        raise FormatError(f"{path}: is not a whole pickled table: {error}", hint="fetch it again") from error
    if not isinstance(frame, pd.DataFrame):
        raise FormatError(f"{path}: holds a {type(frame).__name__}, not a pandas DataFrame")
    return frame


def _refuse_unknown_names(raw: bytes) -> None:
    """Look through the whole program for names outside the list, before any of it runs.

    The stack is followed only as far as names need it: ``STACK_GLOBAL`` must come right after two strings,
    written out or recalled from the memo, as every pickler writes it. Anything else is refused.
    """
    import pickletools

    memo: dict[Any, str | None] = {}
    recent: list[str | None] = [None, None]
    for opcode, argument, _ in pickletools.genops(raw):
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            _refuse(*str(argument).split(" ", 1))
            recent.append(None)
        elif name == "STACK_GLOBAL":
            _refuse(*recent[-2:])
            recent.append(None)
        elif name == "MEMOIZE":
            memo[len(memo)] = recent[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument or 0] = recent[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            recent.append(memo.get(argument or 0))
        elif name not in ("PROTO", "FRAME"):
            recent.append(argument if isinstance(argument, str) else None)
        del recent[:-2]


def _refuse(module: str | None, name: str | None) -> None:
    if module is None or name is None or name not in ALLOWED.get(module, frozenset()):
        raise FormatError(
            f"the pickle names {module}.{name}, which a table of maps does not need",
            hint="refused before anything ran; ask for the data as HDF5, npz or CSV",
        )


class PandasPickle:
    """A (gzipped) pickled data frame with one map a row.

    Args:
        path: The file.
        maps: Column of the 2-D maps.
        x_HI: Column of the neutral fraction of the box.
        redshift: Column of the redshift.
        group: Column that names the simulation. Without one, rows with equal further numeric columns (the
            parameters) count as one simulation. Without those either, the file does not say which rows share
            a simulation: all get the seed 0, so that only a split marked as leaky passes the audit.
        box_size: Comoving side of a map [Mpc].
        units: Unit of the maps.
    """

    def __init__(
        self,
        *,
        path: str,
        maps: str = "maps",
        x_HI: str = "xHI",
        redshift: str = "redshift",
        group: str = "",
        box_size: float = 150.0,
        units: str = "mK",
    ) -> None:
        self.path, self.maps, self.x_HI, self.redshift = Path(path), maps, x_HI, redshift
        self.group, self.box_size, self.units = group, box_size, units

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` has a pickle's ending and beginning."""
        if not path.is_file() or path.suffix not in {".gzip", ".gz", ".pkl", ".pickle"}:
            return False
        try:
            with path.open("rb") as file:
                start = file.read(2)
            if start == GZIP:
                with gzip.open(path) as file:
                    start = file.read(2)
        except (OSError, EOFError, zlib.error):
            return False
        return start[:1] == b"\x80"

    def read(self) -> xr.Dataset:
        """Return the maps as a field set with the field ``T_b``.

        Raises:
            FormatError: A column is missing or empty, or the maps differ in shape.
        """
        from pandas.api.types import is_numeric_dtype

        frame = load(self.path)
        wanted = [self.maps, self.x_HI, self.redshift, *([self.group] if self.group else [])]
        missing = [column for column in wanted if column not in frame]
        if missing:
            raise FormatError(
                f"{self.path}: no column {', '.join(map(repr, missing))}",
                hint=f"columns found: {', '.join(map(str, frame.columns))}; name yours, e.g. x_HI: neutral",
            )
        shapes = {np.shape(values) for values in frame[self.maps]}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise FormatError(
                f"{self.path}: maps of the shapes {sorted(shapes, key=str)[:4]}; need one 2-D shape"
            )
        extra = [
            str(column) for column in frame
            if column not in wanted and is_numeric_dtype(frame[column])
        ]  # fmt: skip
        labels = {
            "x_HI": Label(
                frame[self.x_HI].to_numpy(float), "label", "", "neutral fraction of the box", 0.0, 1.0
            )
        }
        labels |= {str(c): Label(frame[c].to_numpy(float), "label", "", str(c)) for c in extra}
        stack = np.stack(frame[self.maps].to_list())
        groups = self._groups(frame, extra)
        _, seeds = np.unique(groups, return_inverse=True)
        if not self.group and not extra:
            seeds = np.zeros(len(groups), dtype=np.int64)
        return build(
            {"T_b": (stack.astype(np.float32), self.units, "21-cm brightness temperature")},
            ids=[f"row{i:06d}" for i in range(len(frame))],
            groups=groups,
            seeds=seeds,
            box_size=self.box_size,
            suite="SimFast21",
            realism="semi-numerical",
            redshifts=frame[self.redshift].to_numpy(float),
            labels=labels,
            provenance={
                "inputs": [input_file(self.path)],
                "steps": [{"step": "read", "format": "pandas_pickle", "seeds": "unknown: one a group"}],
            },
        )  # fmt: skip

    def _groups(self, frame: pd.DataFrame, extra: list[str]) -> list[str]:
        if self.group:
            return [str(value) for value in frame[self.group]]
        # Parameters of the simulation if the file has any, else the box, told by its x_HI and redshift.
        keys = extra or [self.x_HI, self.redshift]
        codes = frame.groupby([frame[key].round(9) for key in keys], sort=True).ngroup()
        return [f"simulation{code:05d}" for code in codes]


def write(ds: xr.Dataset, path: Path) -> None:
    """Write maps as a gzipped pickled data frame with the tutorial's columns.

    Args:
        ds: Field set of maps with ``T_b`` and ``x_HI``.
        path: The file.
    """
    import pandas as pd

    from skyloom.runs import atomic_write

    columns: dict[str, Any] = {
        "maps": list(np.asarray(ds["T_b"].values)),
        "xHI": ds["x_HI"].values,
        "redshift": ds["redshift"].values,
    }
    columns |= {str(name): ds[name].values for name in ds.coords if ds[name].attrs.get("role") == "parameter"}
    with atomic_write(path) as file:
        file.write(gzip.compress(pickle.dumps(pd.DataFrame(columns), protocol=4), mtime=0))
