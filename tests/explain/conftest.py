"""Methods whose explanation is known: a linear network, and one that reads a chosen summary of the map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.explain import Context
from skyloom.methods.supervised import MeanSquared


class Linear(nn.Module):
    """One weight a pixel, one set of weights a target."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, maps):
        return torch.einsum("bchw,pchw->bp", maps, self.weights) + 0.25


@pytest.fixture
def weights():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def linear(weights):
    method = MeanSquared(3, 2, 8, net={"name": "vgg", "widths": [1], "dense": []})
    method.net = Linear(weights)
    return method


@pytest.fixture
def maps():
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def context(maps):
    return Context(np.zeros((5, 2)), maps.numpy(), torch.from_numpy, ["Omega_m", "sigma_8"])


@pytest.fixture
def reader():
    """Make a method that answers with any function of the maps."""

    class Reading(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, maps):
            return self.function(maps)[:, None] + self.anchor

    def make(function, size=32):
        method = MeanSquared(1, 1, size, net={"name": "vgg", "widths": [1], "dense": []})
        method.net = Reading(function)
        return method

    return make
