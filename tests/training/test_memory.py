"""Page faults, counted: what is freed stays while it is wanted, and goes back afterwards."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from skyloom.training import memory
from skyloom.training.memory import kept_memory

BYTES = 64 * 2**20
PAGES = BYTES // resource.getpagesize()


def faults():
    """Page faults of filling a block of ours and freeing it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BYTES // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(memory._glibc() is None, reason="only glibc can be asked to keep memory")
def test_a_freed_block_is_found_again_inside_and_returned_after():
    with kept_memory() as kept:
        assert kept
        # The first uses may be cut by small allocations between them; then each finds the same pages.
        assert faults() > 0.9 * PAGES
        for _ in range(3):
            faults()
        assert sum(faults() for _ in range(4)) < 0.05 * PAGES
        within = resident()
    assert resident() < within - 0.9 * PAGES


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with kept_memory() as kept:
        assert kept is False


@pytest.mark.parametrize("fault", [OSError, TypeError])
def test_no_c_library_to_be_found(monkeypatch, fault):
    def broken(name):
        raise fault

    monkeypatch.setattr(memory.ctypes, "CDLL", broken)
    assert memory._glibc() is None
