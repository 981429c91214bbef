"""Drawing the pixels of maps in their order, by a network that remembers or by one that does not.

Both ways take the same uniform numbers and the same decisions. The slow way passes the whole network for
every pixel; it is the truth that the fast way is held to.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from skyloom.errors import UsageError
from skyloom.methods.generative.autoregressive_quantiser import Pixels
from skyloom.methods.generative.denoising import Generators, Step
from skyloom.nets.pixelcnn_cached import CachedPixelCNN

if TYPE_CHECKING:
    from skyloom.methods.generative.autoregressive import Autoregressive

SHARE = 0.5  #: of the memory that is free, for maps drawn together
UNKNOWN = 2**30  #: bytes taken as free where the system does not tell


def draw(method: Autoregressive, noise: Tensor, conditions: Tensor, *, done: Step | None = None) -> Pixels:
    """Draw maps, each layer remembering what it did before.

    Args:
        method: The method, in evaluation mode.
        noise: Uniform numbers as ``Autoregressive.noise`` gives them; their precision is that of the work.
        conditions: Shape ``(B, P)``.
        done: Called with (rows done, rows).
    """
    net = copy.deepcopy(method.net).to(noise.dtype)
    cached, pixels = CachedPixelCNN(net, conditions.to(noise.dtype)), _none(method, noise)
    rows, columns = noise.shape[1:3]
    detector = method.quantiser.detector.tolist()
    nothing = noise.new_zeros(len(noise), net.in_channels)
    there = torch.ones((), dtype=torch.bool, device=noise.device)
    for i in range(rows):
        cached.begin_row()
        for j in range(columns):
            if not detector[i][j]:
                cached.skip(j)
                cached.write(j, nothing)
                continue
            levels, hit = method.decide(cached.outputs(j), noise[:, i, j])
            pixels.levels[:, :, i, j], pixels.hit[:, i, j] = levels, hit
            cached.write(j, method.encoded(levels, hit, there))
        if done is not None:
            done(i + 1, rows)
    return pixels


def draw_slowly(
    method: Autoregressive, noise: Tensor, conditions: Tensor, *, done: Step | None = None
) -> Pixels:
    """Draw maps with a pass of the whole network for every pixel.

    Args:
        method: As above.
        noise: As above.
        conditions: As above.
        done: As above.
    """
    net, detector = copy.deepcopy(method.net).to(noise.dtype), method.quantiser.detector
    pixels = _none(method, noise)
    rows, columns = noise.shape[1:3]
    for i in range(rows):
        for j in range(columns):
            if detector[i, j]:
                seen = method.encoded(pixels.levels, pixels.hit, detector)
                numbers = net(seen, conditions.to(noise.dtype))[:, :, i, j]
                levels, hit = method.decide(numbers, noise[:, i, j])
                pixels.levels[:, :, i, j], pixels.hit[:, i, j] = levels, hit
        if done is not None:
            done(i + 1, rows)
    return pixels


def _none(method: Autoregressive, noise: Tensor) -> Pixels:
    B, H, W = noise.shape[:3]
    levels = noise.new_zeros(B, len(method.quantiser.counts), H, W)
    hit = torch.zeros(B, H, W, dtype=torch.bool, device=noise.device)
    return Pixels(levels, hit, torch.zeros(B, dtype=torch.long, device=noise.device))


def numbers_of_a_map(method: Autoregressive) -> int:
    """Return how many numbers a map takes while it is drawn: what the layers keep, and the map itself.

    Args:
        method: The method.
    """
    net, kept = method.net, 0
    for scale in range(net.scales):
        width, blocks = net.size >> scale, len(net.down[scale]) + len(net.up[net.scales - 1 - scale])
        # Of each block u keeps two rows of 2 F twice, v a row of 2 F twice and 3 F known beforehand; some
        # rows more are worked on at a time.
        kept += (width + 1) * net.filters * (15 * blocks + 30)
    return kept + net.size**2 * (4 * len(method.quantiser.roles) + 8)


def largest_batch(method: Autoregressive, dtype: torch.dtype, *, free: int | None = None) -> int:
    """Return how many maps can be drawn together in half of the memory that is free; at least 1.

    Args:
        method: The method, on the device where it draws.
        dtype: Precision of the work.
        free: Bytes that are free; None asks the system.

    Example:
        >>> from skyloom.methods.generative.autoregressive import Autoregressive
        >>> method = Autoregressive(1, 0, 8, nr_resnet=1, nr_filters=4)
        >>> a_map = 4 * numbers_of_a_map(method)
        >>> [largest_batch(method, torch.float32, free=2 * n * a_map) for n in (0, 1, 7)]
        [1, 1, 7]
    """
    free = free_bytes(method.quantiser.low.device) if free is None else free
    return max(1, int(SHARE * free) // (numbers_of_a_map(method) * dtype.itemsize))


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, within the limit of a control group where there is one.

    Args:
        device: The device.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    for line in _words(Path("/proc/meminfo")):
        if line[0] == "MemAvailable:":
            found.append(1024 * int(line[1]))
    group = Path("/sys/fs/cgroup")
    limit, used = _words(group / "memory.max"), _words(group / "memory.current")
    if limit and used and limit[0][0] != "max":
        found.append(max(0, int(limit[0][0]) - int(used[0][0])))
    return min(found, default=UNKNOWN)


def _words(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines() if line.strip()]
    except OSError:
        return []


def uniform(
    B: int, shape: tuple[int, ...], generators: Generators | None, *, device: Any, dtype: torch.dtype
) -> Tensor:
    """Draw uniform numbers within [0, 1); with a generator for each map, a map does not depend on others.

    Args:
        B: Number of maps.
        shape: Of the numbers of a map.
        generators: One source, or one for each map; None starts one from seed 0.
        device: Where they are wanted.
        dtype: Their precision.

    Raises:
        UsageError: There are not as many generators as maps.

    Example:
        >>> options = {"device": "cpu", "dtype": torch.float32}
        >>> both = uniform(2, (4,), [torch.Generator().manual_seed(seed) for seed in (3, 4)], **options)
        >>> torch.equal(both[1:], uniform(1, (4,), torch.Generator().manual_seed(4), **options))
        True
    """
    if generators is None:
        generators = torch.Generator(device).manual_seed(0)
    if isinstance(generators, torch.Generator):
        return torch.rand((B, *shape), generator=generators, device=generators.device, dtype=dtype).to(device)
    if len(generators) != B:
        raise UsageError(f"{len(generators)} generators for {B} maps", hint="give one, or one for each map")
    drawn = [torch.rand(shape, generator=g, device=g.device, dtype=dtype) for g in generators]
    return torch.stack(drawn).to(device)
