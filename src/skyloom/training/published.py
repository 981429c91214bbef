"""The published weights of the cosmic-ray classifiers, read into ``strided_cnn`` without unpickling code.

Bustard & Wu (2024, arXiv:2402.03518) saved state dicts of a plain ``Sequential``: for every width a
convolution, a batch norm and a SiLU, in their first networks a dropout after each, then an average over
4 × 4 parts and a dense layer. The keys are places in that sequence: 0, 1, 4, 5, 8, 9, 12, 13, 18 with the
dropouts, 0, 1, 3, 4, 6, 7, 9, 10 and 14 or 15 without. The places tell the layout, the shapes the widths,
channels and classes. Only tensors are read (``weights_only``); a file that holds anything else is refused
before any of it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skyloom import methods
from skyloom.errors import FormatError, UsageError
from skyloom.methods import Method

PARTS = 4  #: the average is taken over PARTS × PARTS parts
_NORM = ("weight", "bias", "running_mean", "running_var")
_KEY = re.compile(r"(?P<place>\d+)\.(?P<part>weight|bias|running_mean|running_var|num_batches_tracked)")
_KNOWN = (
    "known are four-layer networks and their like: Conv2d, BatchNorm2d, SiLU (and Dropout), a dense layer"
)


class Published(NamedTuple):
    """What a state dict says of its network."""

    channels: int
    classes: int
    widths: list[int]
    block_dropout: float
    """0.25, the published share, where the sequence has a dropout after each convolution; else 0."""
    dropout: float
    """The same for a dropout before the dense layer."""
    state: dict[str, Tensor]
    """The tensors under the names of ``strided_cnn``."""


def read_published(path: Path) -> Published:
    """Read a published state dict.

    Args:
        path: A file written by ``torch.save`` of a state dict.

    Returns:
        The network that it belongs to, and its tensors.

    Raises:
        FormatError: The file holds other things than tensors, is damaged, or its keys or shapes are not those
            of such a network; the message names the first that is not.

    Example:
        >>> import tempfile
        >>> state = {"0.weight": torch.ones(8, 1, 3, 3), "0.bias": torch.ones(8)}
        >>> norm = ("weight", "bias", "running_mean", "running_var")
        >>> state |= {f"1.{part}": torch.ones(8) for part in norm}
        >>> state |= {"5.weight": torch.ones(2, 128), "5.bias": torch.ones(2)}
        >>> path = Path(tempfile.mkdtemp()) / "small.pt"
        >>> torch.save(state, path)
        >>> found = read_published(path)
        >>> found.widths, found.classes, found.block_dropout
        ([8], 2, 0.0)
    """
    layers = _layers(_tensors(path), path)
    places = sorted(layers)
    *blocks, last = places
    if len(blocks) < 2 or len(blocks) % 2:
        raise _foreign(path, f"its layers stand at {', '.join(map(str, places))}")
    n, step = len(blocks) // 2, blocks[2] if len(blocks) > 2 else last - 2 - (last > 5)
    if step not in (3, 4) or blocks != [place for i in range(n) for place in (step * i, step * i + 1)]:
        raise _foreign(path, f"its layers stand at {', '.join(map(str, places))}")
    if last - n * step not in (2, 3):  # pool, flatten and, in the later networks, one dropout
        raise _foreign(path, f"its dense layer stands at {last}, after {n} blocks of {step} layers")
    widths, channels, state = _blocks(layers, blocks, path)
    classes = len(layers[last].get("bias", ()))
    _shaped(layers[last], last, {"weight": (classes, widths[-1] * PARTS**2), "bias": (classes,)}, path)
    if classes < 2:
        raise _foreign(path, f"its dense layer gives {classes} numbers")
    state |= {f"head.3.{part}": value for part, value in layers[last].items()}
    block_dropout, dropout = (0.25 if there else 0.0 for there in (step == 4, last - n * step == 3))
    return Published(channels, classes, widths, block_dropout, dropout, state)


def method_of(published: Published, size: int) -> Method:
    """Return the method ``cross_entropy`` with the published network, ready to predict.

    Args:
        published: What `read_published` returned.
        size: Side of the maps, pixels; 128 as published, any from two to the power of the number of layers.

    Raises:
        UsageError: The maps are too small for so many strides.
    """
    least = 2 ** len(published.widths)
    if size < least:
        raise UsageError(
            f"maps of {size} pixels for {len(published.widths)} strides", hint=f"{least} or more"
        )
    net = {
        "name": "strided_cnn",
        "widths": published.widths,
        "parts": PARTS,
        "dropout": published.dropout,
        "block_dropout": published.block_dropout,
    }
    arguments = {"net": net, "label_smoothing": 0.0, "class_weights": None}
    spec = {
        "name": "cross_entropy",
        "data": [published.channels, published.classes, size],
        "arguments": arguments,
    }
    method: Method = methods.rebuild(spec)
    own = method.state_dict()
    counted = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    method.load_state_dict({**counted, **{f"net.{name}": value for name, value in published.state.items()}})
    return method.eval()


def reordered(published: Published, order: Sequence[int]) -> Published:
    """Return the network with its outputs in another order.

    Args:
        published: What `read_published` returned.
        order: Number of the output that comes first, second, ...; each once.
    """
    last = {f"head.3.{part}": published.state[f"head.3.{part}"][list(order)] for part in ("weight", "bias")}
    return published._replace(state={**published.state, **last})


def _tensors(path: Path) -> dict[str, Tensor]:
    """Read a mapping of names to tensors, and nothing else."""
    import pickle
    import warnings
    import zipfile

    if not path.is_file():
        raise FormatError(f"there is no file {path}", hint="give the .pt file of a published network")
    try:
        with warnings.catch_warnings():
            # It warns of pickles that it does not know, and then refuses them.
            warnings.simplefilter("ignore", UserWarning)
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"{path} is no file of tensors alone and was not opened: {str(error).splitlines()[0]}",
            hint="code could run when it is unpickled; ask its author for a state dict, or for safetensors",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(
            f"{path} is damaged, or no file of weights: {error}", hint="copy it again"
        ) from None
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise _foreign(path, f"it holds a {type(found).__name__} and not tensors by name")
    return {str(name): value for name, value in found.items()}


def _layers(tensors: Mapping[str, Tensor], path: Path) -> dict[int, dict[str, Tensor]]:
    """Return place in the sequence to its tensors."""
    layers: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if (match := _KEY.fullmatch(name)) is None:
            raise _foreign(path, f"it has the key {name!r}")
        layers.setdefault(int(match["place"]), {})[match["part"]] = value
    return layers


def _blocks(
    layers: Mapping[int, dict[str, Tensor]], blocks: list[int], path: Path
) -> tuple[list[int], int, dict[str, Tensor]]:
    """Check convolutions and norms; return widths, channels of the maps, and tensors by our names."""
    widths: list[int] = []
    state: dict[str, Tensor] = {}
    kernel = layers[0].get("weight")
    if kernel is None or kernel.ndim != 4:
        raise _foreign(path, "its first layer is no convolution")
    channels = before = int(kernel.shape[1])
    for place, norm in zip(blocks[::2], blocks[1::2], strict=True):
        width = len(layers[place].get("bias", ()))
        _shaped(layers[place], place, {"weight": (width, before, 3, 3), "bias": (width,)}, path)
        tracked = {"num_batches_tracked": ()} if "num_batches_tracked" in layers[norm] else {}
        _shaped(layers[norm], norm, {**dict.fromkeys(_NORM, (width,)), **tracked}, path)
        for at in (place, norm):
            state |= {f"features.{at}.{part}": value for part, value in layers[at].items()}
        widths.append(width)
        before = width
    return widths, channels, state


def _shaped(
    layer: Mapping[str, Tensor], place: int, wanted: Mapping[str, tuple[int, ...]], path: Path
) -> None:
    found = {part: tuple(value.shape) for part, value in layer.items()}
    if found != dict(wanted):
        raise _foreign(path, f"layer {place} has {found}, expected {dict(wanted)}")


def _foreign(path: Path, what: str) -> FormatError:
    return FormatError(f"{path} is no published network of this kind: {what}", hint=_KNOWN)
