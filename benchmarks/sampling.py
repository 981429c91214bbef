"""Drawing maps of 40 × 40 pixels by PixelCNN++: layers that remember, against a pass for every pixel.

The network is small: 32 filters, two pairs of blocks at each of three scales, five mixtures, two values at
each pixel. The slow way costs 1600 passes of the whole network; a pass is measured, before and after, and
multiplied. Both are in single precision, in CPU seconds of one thread. All pixels have a detector, which is
the harder case.
"""

from __future__ import annotations

import statistics
import time

import torch
from common import Row, row

from skyloom.methods.generative.autoregressive import Autoregressive
from skyloom.methods.generative.autoregressive_sampling import draw
from skyloom.nets.pixelcnn_cached import CachedPixelCNN

SIZE = 40
BATCHES = (1, 16, 64, 256)
STATED = 64
GOAL = 320.0
PASSES = 5
SETTINGS = {"mixtures": 5, "nr_resnet": 2, "nr_filters": 32, "scales": 3, "precision": "single"}


def make_method() -> Autoregressive:
    """Return an untrained method that knows the bounds of its values."""
    torch.manual_seed(0)
    method = Autoregressive(3, 0, SIZE, roles=["value", "value", "hit"], **SETTINGS)
    maps = torch.randn(16, 3, SIZE, SIZE)
    maps[:, 2] = (maps[:, 2] > 0).float()
    maps[:, :2] *= maps[:, 2:]
    method.prepare([{"maps": maps, "targets": torch.zeros(16, 0)}])
    return method.eval()


def seconds_of(doing) -> float:
    began = time.process_time()
    doing()
    return time.process_time() - began


@torch.no_grad()
def compare(method: Autoregressive, B: int) -> Row:
    """Return the row of one batch."""
    nothing = torch.zeros(B, 0)
    noise = method.noise(nothing, torch.Generator().manual_seed(1))
    x = torch.randn(B, 3, SIZE, SIZE)
    method.net(x, nothing)

    def one_pass() -> None:
        method.net(x, nothing)

    before = [seconds_of(one_pass) for _ in range(PASSES)]
    ours = min(seconds_of(lambda: draw(method, noise, nothing)) for _ in range(2))
    whole = statistics.median(before + [seconds_of(one_pass) for _ in range(PASSES)])
    rows, pixels = parts(method, B)
    note = (
        f"1600 × {whole:.3g} s a pass; as much as {ours / whole:.2f} passes: rows {rows / whole:.2f}, pixels"
        f" {pixels / whole:.2f}, decisions {max(ours - rows - pixels, 0) / whole:.2f}; CPU seconds, 1 thread"
    )
    goal = GOAL if B == STATED else None
    return row(
        f"PixelCNN++ event of 40² × 2, batch {B}", 1e3 * ours / B, 1600e3 * whole / B, goal, "ms", note=note
    )


def parts(method: Autoregressive, B: int) -> tuple[float, float]:
    """Return the seconds of the network in whole rows and in single pixels."""
    cached, x = CachedPixelCNN(method.net, torch.zeros(B, 0)), torch.zeros(B, 3)
    rows = pixels = 0.0
    for _ in range(SIZE):
        rows += seconds_of(cached.begin_row)

        def pass_pixels() -> None:
            for j in range(SIZE):
                cached.outputs(j)
                cached.write(j, x)

        pixels += seconds_of(pass_pixels)
    return rows, pixels


def run() -> list[Row]:
    """Return the rows of this benchmark."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        method = make_method()
        return [compare(method, B) for B in BATCHES]
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    for line in run():
        print(line)
