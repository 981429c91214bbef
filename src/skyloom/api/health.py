"""Whether this installation can do what it promises."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skyloom import registry

OPTIONAL = {
    "21cmfast": "the engine '21cmfast' of the reionisation simulator",
    "distributed": "importing on a cluster",
    "zarr": "export to Zarr",
    "tensorboard": "the tracker 'tensorboard'",
    "optuna": "sweeps",
    "onnxruntime": "export to ONNX",
}


def doctor() -> list[tuple[str, bool, str]]:
    """Return the checks of this installation: what was checked, whether it is well, what was found."""
    import torch

    from skyloom.formats.shipped import shipped_sets

    rows = [("python", sys.version_info >= (3, 11), sys.version.split()[0])]
    rows += [(name, True, version(name)) for name in ("skyloom", "torch", "lightning", "xarray", "h5py")]
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none (CPU only)"
    rows.append(("accelerator", True, device))
    rows.append(("cores and threads", True, f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}"))
    broken = registry.broken()
    rows.append(("plugins", not broken, "; ".join(f"{e.name}: {why}" for e, why in broken) or "all load"))
    sets = shipped_sets()
    rows.append(("shipped sets", bool(sets), ", ".join(sets) or "none: the package is incomplete"))
    rows.append(("folder can be written", *_writable()))
    for name, purpose in OPTIONAL.items():
        try:
            rows.append((f"optional: {name}", True, version(name)))
        except PackageNotFoundError:
            rows.append((f"optional: {name}", True, f"not installed; needed for {purpose}"))
    return rows


def _writable() -> tuple[bool, str]:
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()):
            return True, str(Path.cwd().name)
    except OSError as error:
        return False, str(error)
