"""Random numbers of a training: a function of the seed, the epoch and the process, never of what ran before.

Skyloom's own components draw from generators of their own. Layers such as dropout draw from PyTorch's global
one, and foreign code may draw from those of NumPy and Python: within a training these three are seeded at the
first step of every epoch, saved in the middle of one, and given back to the caller as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_epoch(seed: int, epoch: int, rank: int) -> None:
    """Seed the global generators for one epoch.

    Args:
        seed: Seed of the training, 0 or more.
        epoch: Epochs done.
        rank: Number of the process, from 0.

    Example:
        >>> with kept_generators():
        ...     seed_epoch(0, 3, 0)
        ...     first = torch.rand(2)
        ...     seed_epoch(0, 3, 0)
        ...     bool((torch.rand(2) == first).all())
        True
    """
    words = np.random.SeedSequence([seed, epoch, rank]).generate_state(2, np.uint32)
    torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 - foreign code draws from this one


def generator_state() -> dict[str, Any]:
    """Return the state of the global generators: tensors, numbers and tuples only.

    Example:
        >>> sorted(generator_state())
        ['accelerator', 'numpy', 'python', 'torch']
    """
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "accelerator": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss),
        "python": random.getstate(),
    }


def set_generator_state(state: dict[str, Any]) -> None:
    """Set the global generators as ``generator_state`` found them.

    Args:
        state: What ``generator_state`` returned.

    Example:
        >>> state = generator_state()
        >>> first = random.random()
        >>> set_generator_state(state)
        >>> random.random() == first
        True
    """
    torch.set_rng_state(state["torch"])
    if state["accelerator"]:
        torch.cuda.set_rng_state_all(state["accelerator"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])


@contextmanager
def kept_generators() -> Iterator[None]:
    """Give the global generators back at the end of a block as they were at its beginning."""
    state = generator_state()
    try:
        yield
    finally:
        set_generator_state(state)
