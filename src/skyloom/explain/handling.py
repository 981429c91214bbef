"""Handling a network so that it is left as it was, and the result that all attributions share.

Attribution libraries set ``requires_grad`` on the tensor that they are given, hang hooks into the network and
draw from the global generators. Here they are given copies, in pieces of bounded size, and whatever they
touch is put back, also after an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from skyloom.explain.context import Context, finish
from skyloom.methods import prediction_mode

MAPS_AT_ONCE = 64
DIMS = ("sample", "channel", "y", "x")
OUTER = 0.1
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_LEFT_BEHIND = ("input", "output")  # by DeepLIFT, where its backward pass fails


@contextmanager
def differentiable(net: nn.Module) -> Iterator[None]:
    """Let gradients reach the maps only: prediction mode, weights frozen; hooks and all else put back.

    Args:
        net: A trained method, or any module.

    Example:
        >>> from skyloom.methods.supervised import MeanSquared
        >>> method = MeanSquared(1, 1, 16, net={"name": "resnet", "width": 4})
        >>> with differentiable(method):
        ...     any(weight.requires_grad for weight in method.parameters())
        False
        >>> all(weight.requires_grad for weight in method.parameters())
        True
    """
    weights = [(weight, weight.requires_grad) for weight in net.parameters()]
    hooks = [(vars(layer)[name], set(vars(layer)[name])) for layer in net.modules() for name in _HOOKS]
    names = [(vars(layer), name) for layer in net.modules() for name in _LEFT_BEHIND]
    absent = [(holder, name) for holder, name in names if name not in holder]
    try:
        for weight, _ in weights:
            weight.requires_grad_(False)
        with prediction_mode(net), torch.enable_grad():
            yield
    finally:
        for weight, required in weights:
            weight.requires_grad_(required)
        for found, before in hooks:
            for key in set(found) - before:
                del found[key]
        for holder, name in absent:
            holder.pop(name, None)


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Let code that draws from the global generators of NumPy and torch draw from this one.

    Args:
        generator: Gives one seed; the global states are put back.

    Example:
        >>> def draw():
        ...     with seeded(torch.Generator().manual_seed(0)):
        ...         return np.random.random(), float(torch.rand(()))
        >>> draw() == draw()
        True
    """
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    state = np.random.get_state()  # noqa: NPY002 - captum draws from it
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def in_pieces(attribute: Callable[[Tensor], Tensor], maps: Tensor, copies: int = 1) -> Tensor:
    """Attribute maps piece by piece, so that memory is bounded.

    Args:
        attribute: Takes some maps, returns their attributions.
        maps: Shape ``(B, C, H, W)``; each piece is a copy that may be asked for gradients.
        copies: How many copies of each map exist at once.

    Returns:
        The attributions, along the first axis.

    Example:
        >>> in_pieces(lambda part: 2 * part.detach(), torch.ones(70, 1, 2, 2)).sum().item()
        560.0
    """
    parts = torch.split(maps, max(1, MAPS_AT_ONCE // copies))
    return torch.cat([attribute(part.detach().clone().requires_grad_()).detach() for part in parts])


def answers(net: nn.Module, maps: Tensor, target: int) -> Tensor:
    """Return the output ``target`` of a network for each map, without gradients, shape ``(B,)``.

    Args:
        net: The network, ``(B, C, H, W)`` to ``(B, P)``.
        maps: Shape ``(B, C, H, W)``.
        target: Index of the output.

    Example:
        >>> answers(nn.Flatten(), torch.arange(8.0).reshape(2, 1, 2, 2), 3).tolist()
        [3.0, 7.0]
    """
    with prediction_mode(net), torch.no_grad():
        return torch.cat([net(part)[:, target] for part in torch.split(maps, MAPS_AT_ONCE)])


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Return the values as a single-precision array on the host.

    Args:
        tensor: Any tensor.

    Example:
        >>> array(torch.zeros(2, dtype=torch.float64)).dtype
        dtype('float32')
    """
    return np.asarray(tensor.detach().to("cpu", torch.float32).numpy())


def outer_share(attribution: NDArray[Any], width: float = OUTER) -> float:
    """Return how much of the attribution lies near the edge of the map.

    A network that recognises maps by how they were cut out looks at their edges and corners. Attribution
    that is spread evenly has the share ``1 - (1 - 2 width)²`` there: 36 % for a tenth.

    Args:
        attribution: Shape ``(..., H, W)``, any unit and sign.
        width: Width of the frame, as a share of each side.

    Returns:
        Sum of the absolute values in the frame over that of all; NaN where all are zero.

    Example:
        >>> even, corner = np.ones((20, 20)), np.zeros((20, 20)); corner[0, 0] = -1.0
        >>> round(outer_share(even), 12), outer_share(corner)
        (0.36, 1.0)
    """
    size = np.abs(attribution, dtype=np.float64)
    H, W = size.shape[-2:]
    rows, columns = round(width * H), round(width * W)
    total = size.sum()
    inner = size[..., rows : H - rows, columns : W - columns].sum()
    return float(1 - inner / total) if total > 0 else float("nan")


def completeness(
    attribution: NDArray[Any], change: NDArray[Any]
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Compare the sum of an attribution with the change that it claims to explain.

    Args:
        attribution: Shape ``(B, ...)``, in the unit of the answer.
        change: ``F(x) - F(baseline)``, shape ``(B,)``.

    Returns:
        ``gap``, the sum less the change, shape ``(B,)``; and ``gap_rms``, ``gap_largest`` and
        ``gap_relative``, the first over the rms change, NaN where nothing changes.

    Example:
        >>> completeness(np.array([[1.0, 2.0]]), np.array([4.0]))[1]["gap_relative"]
        0.25
    """
    gap = attribution.reshape(len(attribution), -1).sum(axis=1, dtype=np.float64) - change
    moved = float(np.sqrt(np.square(change, dtype=np.float64).mean()))
    rms = float(np.sqrt(np.square(gap).mean()))
    relative = rms / moved if moved > 0 else float("nan")
    return gap, {"gap_rms": rms, "gap_largest": float(np.abs(gap).max()), "gap_relative": relative}


def attributed(
    explanation: str,
    attribution: Tensor,
    maps: Tensor,
    context: Context,
    target: int,
    *,
    change: Tensor | None = None,
    **facts: Any,
) -> xr.Dataset:
    """Make the result of an explanation that gives every pixel a number.

    Args:
        explanation: Its name in the registry.
        attribution: Shape ``(B, C, H, W)``, or ``(B, 1, H, W)`` for all channels together.
        maps: Standardised maps, shape ``(B, C, H, W)``.
        context: Gives the name of the target, and the classes where there are any.
        target: Index of the target.
        change: ``F(x) - F(baseline)``, shape ``(B,)``, where the attribution should add up to it.
        facts: Further numbers for the summary.

    Returns:
        ``attribution (sample, channel, y, x)`` (``all_channels`` for the second axis where they share one),
        ``maps``; ``change`` and ``gap`` where the sum is known; ``class (sample)`` for classifiers. The
        summary has ``samples``, ``outer_tenth`` (see `outer_share`), its value ``outer_tenth_even`` for
        an even spread, the facts and the completeness.

    Example:
        >>> context = Context(np.zeros((2, 1)), np.zeros((2, 1, 8, 8)), torch.from_numpy, ["x_HI"])
        >>> maps = torch.ones(2, 1, 8, 8)
        >>> float(attributed("demo", maps, maps, context, 0, change=torch.full((2,), 64.0))["gap"].max())
        0.0
    """
    values = array(attribution)
    channel = "channel" if values.shape[1] == maps.shape[1] else "all_channels"
    ds = xr.Dataset({"attribution": (("sample", channel, "y", "x"), values), "maps": (DIMS, array(maps))})
    summary = {
        "samples": len(maps),
        **facts,
        "outer_tenth": outer_share(values),
        "outer_tenth_even": outer_share(np.ones(values.shape[-2:])),
    }
    if change is not None:
        explained = array(change)
        gap, said = completeness(values, explained)
        ds = ds.assign(change=("sample", explained), gap=("sample", gap))
        summary |= said
    if context.classes:
        ds = ds.assign({"class": ("sample", np.array(context.parameters)[context.truth.argmax(axis=1)])})
    return finish(ds, explanation, context, target, summary)
