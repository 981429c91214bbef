"""Weights on disk: safetensors files that say what they are, so that one alone rebuilds its method.

The header holds one entry, ``skyloom``: JSON with ``method`` (the ``spec`` of the method: name, the arguments
told by the data, the arguments of the recipe) and the facts of the training (epoch, step, validation loss,
whether they are averaged). One entry, because safetensors writes several in no fixed order, and equal weights
shall be equal bytes. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from skyloom import methods, runs
from skyloom.errors import DataError, ShapeError
from skyloom.methods import Method

_HEADER = "skyloom"
_AGAIN = "train the run again, or use another weights file"


def save_weights(path: Path, state: Mapping[str, Tensor], spec: Mapping[str, Any], **facts: Any) -> Path:
    """Write weights atomically.

    Args:
        path: The file.
        state: Names and tensors, as from ``state_dict()``.
        spec: The method's ``spec``: ``{"name", "data", "arguments"}``, JSON values.
        facts: Further JSON values for the header.

    Returns:
        The path.

    Raises:
        DataError: The file cannot be written, or the header has values with no place in JSON.

    Example:
        >>> import tempfile
        >>> spec = {"name": "moments", "data": [1, 1, 8], "arguments": {}}
        >>> path = Path(tempfile.mkdtemp()) / "a.safetensors"
        >>> path = save_weights(path, {"w": torch.ones(2)}, spec, epoch=3)
        >>> read_header(path) == {"method": spec, "epoch": 3}
        True
    """
    header = runs.jsonable({"method": dict(spec), **facts})
    # safetensors writes in row-major order only, and channels-last is another one.
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with runs.atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={_HEADER: json.dumps(header, sort_keys=True)})
    return path


def read_header(path: Path) -> dict[str, Any]:
    """Read what a weights file says about itself.

    Args:
        path: A file written by ``save_weights``.

    Returns:
        ``method`` and the facts.

    Raises:
        DataError: The file is absent, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise DataError(
            f"there is no weights file {path}", hint="check the path; skyloom train writes it"
        ) from None
    except (SafetensorError, OSError) as error:
        raise DataError(f"the weights file {path} is damaged ({error})", hint=_AGAIN) from error
    if _HEADER not in metadata:
        raise DataError(
            f"the weights file {path} does not say which method it belongs to",
            hint="use a file that Skyloom wrote",
        )
    header: dict[str, Any] = json.loads(metadata[_HEADER])
    return header


def load_weights(method: torch.nn.Module, path: Path) -> dict[str, Any]:
    """Load weights into a method that is there already; values are cast to its precision.

    Args:
        method: The module.
        path: A file written by ``save_weights``.

    Returns:
        The file's header.

    Raises:
        DataError: The file is absent or damaged.
        ShapeError: The weights do not fit; the message names the first that differ.
    """
    header = read_header(path)
    found, wanted = load_file(path), method.state_dict()
    wrong = sorted(found.keys() ^ wanted.keys())
    wrong += [name for name in found.keys() & wanted.keys() if found[name].shape != wanted[name].shape]
    if wrong:
        raise ShapeError(
            f"the weights of {path} do not fit {type(method).__name__}: {', '.join(wrong[:5])}"
            + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""),
            hint=f"the file belongs to {json.dumps(header['method'])}, which "
            "skyloom.training.rebuild(path) makes",
        )
    method.load_state_dict(found)
    return header


def rebuild(path: Path) -> Method:
    """Make the method that a weights file belongs to, with its weights, ready to predict.

    Args:
        path: A file written by ``save_weights``.

    Returns:
        The method in evaluation mode, on the CPU.

    Raises:
        DataError: The file is absent or damaged.
        RegistryError: Its method is not installed.
        ShapeError: The installed method has other weights.
    """
    method: Method = methods.rebuild(read_header(path)["method"])
    load_weights(method, path)
    return method.eval()
