"""Baselines of a generated ensemble: what is easy to make and yet passes some of the tests.

A Gaussian field with the real power and cross spectra passes every two-point test and no other; real maps
with their pixels shuffled keep the distribution of values and nothing else. A statistic that either passes
does not see what is hard.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import xarray as xr

from skyloom.evaluate.generated.sample import Ensemble

NEIGHBOURS = 8  #: least number of samples, nearest in parameters, whose mean spectrum a Gaussian field takes


def shuffled(real: Ensemble, *, seed: int = 0) -> Ensemble:
    """Return the real maps with the pixels of each in random order, the same for all fields of a sample.

    Args:
        real: Maps or cubes.
        seed: Seed of the orders.

    Returns:
        Of each sample its twin, with equal distributions of values, joint ones too.
    """
    values = real.stacked()
    flat = values.reshape(*values.shape[:2], -1)
    rng = np.random.default_rng(seed)
    mixed = np.stack([sample[:, rng.permutation(sample.shape[1])] for sample in flat])
    return _replaced(real, mixed.reshape(values.shape))


def gaussian(real: Ensemble, *, seed: int = 0) -> Ensemble:
    r"""Return Gaussian random fields with the real power and cross spectra.

    .. math:: \tilde g_{\mathbf k} = S(k)^{1/2} \, \tilde w_{\mathbf k}, \qquad
              S_{ij}(k) = \langle \mathrm{Re}\, \tilde x_{i,\mathbf k} \tilde x_{j,\mathbf k}^* \rangle

    with white noise ``w`` and ``S`` averaged over rings of wavenumbers one fundamental mode wide and over the
    samples nearest in parameters; the mean of each field is that of one of these samples.

    Args:
        real: Maps or cubes.
        seed: Seed of the noise.

    Returns:
        Of each sample a Gaussian one at the same parameters.
    """
    values = real.stacked()
    n, C = values.shape[:2]
    shape = values.shape[2:]
    axes = tuple(range(2, values.ndim))
    rng = np.random.default_rng(seed)
    near = _nearest(real.theta)
    modes = scipy.fft.rfftn(values, axes=axes).reshape(n, C, -1)
    ring, weight = _rings(shape)
    spectra = _cross_spectra(modes, ring, weight)
    means = values.mean(axis=axes)
    made = np.empty_like(values)
    for row in range(n):
        S = spectra[near[row]].mean(axis=0) / np.prod(shape)
        strength, vectors = np.linalg.eigh(S)
        root = (vectors * np.sqrt(np.maximum(strength, 0))[:, None, :]) @ vectors.swapaxes(1, 2)
        noise = scipy.fft.rfftn(rng.standard_normal((C, *shape)), axes=tuple(range(1, values.ndim - 1)))
        drawn = np.einsum("kij,jk->ik", root[ring], noise.reshape(C, -1))
        drawn[:, 0] = means[rng.choice(near[row])] * np.prod(shape)
        made[row] = scipy.fft.irfftn(
            drawn.reshape(noise.shape), s=shape, axes=tuple(range(1, values.ndim - 1))
        )
    return _replaced(real, made)


def _nearest(theta: np.ndarray) -> np.ndarray:
    """Rows nearest in standardised parameters, shape ``(n, k)``; all rows where there is no parameter."""
    n = len(theta)
    if not theta.shape[1]:
        return np.tile(np.arange(n), (n, 1))
    scaled = (theta - theta.mean(axis=0)) / np.maximum(theta.std(axis=0), 1e-300)
    from scipy.spatial.distance import cdist

    k = min(max(NEIGHBOURS, n // 16), n)
    return np.argsort(cdist(scaled, scaled), axis=1, kind="stable")[:, :k]


def _rings(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Ring of each mode of ``rfftn`` and its weight, 1 or 2, flat."""
    N = shape[-1]
    axes = [*(np.fft.fftfreq(side, 1 / side) for side in shape[:-1]), np.arange(N // 2 + 1)]
    squares = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    ring = np.rint(np.sqrt(squares)).astype(np.int64)
    weight = np.full(ring.shape, 2.0)
    weight[..., 0] = 1.0
    if N % 2 == 0:
        weight[..., -1] = 1.0
    return ring.ravel(), weight.ravel()


def _cross_spectra(modes: np.ndarray, ring: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean ``Re(x_i x_j*)`` in every ring, shape ``(n, rings, C, C)``."""
    n, C = modes.shape[:2]
    total = np.bincount(ring, weights=weight)
    spectra = np.empty((n, len(total), C, C))
    for i in range(C):
        for j in range(i + 1):
            product = (modes[:, i] * modes[:, j].conj()).real * weight
            rows = np.stack([np.bincount(ring, weights=row, minlength=len(total)) for row in product])
            spectra[:, :, i, j] = spectra[:, :, j, i] = rows / total
    return spectra


def _replaced(real: Ensemble, values: np.ndarray) -> Ensemble:
    """The same samples with other values."""
    data = {
        name: xr.Variable(real.data[name].dims, values[:, c], real.data[name].attrs)
        for c, name in enumerate(real.fields)
    }
    return Ensemble(real.data.assign(data), real.groups, real.theta)
