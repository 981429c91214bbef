r"""How far generated maps are from real ones, cheap enough for every validation.

The losses of two players do not tell which weights are best, for each is measured by the other. What does is
a distance between the two samples. It is the energy distance (Székely & Rizzo 2013)

.. math:: 2\,\langle |x - y| \rangle - \langle |x - x'| \rangle - \langle |y - y'| \rangle

of features joined with the conditions, so that maps that do not follow their conditions are far too. The
features of a map are the logarithms of its azimuthal power spectrum and quantiles of its pixels; those of a
map of one pixel are its values.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
FAINT = 1e-3  # spread of a feature of standardised maps below which it counts as constant
FLOOR = 1e-12  # of a power, so that an empty map has a logarithm
STEADY = 0.05  # least unit of a feature: one that real maps share, as an empty border, would rule all others


def map_features(maps: Tensor) -> Tensor:
    """Return features of maps, shape ``(B, F)``.

    Args:
        maps: Shape ``(B, C, H, H)``, standardised.

    Returns:
        For each channel ``H/2`` values of ln P at wavenumbers 1 … H/2 (cycles a side; a map of one pixel has
        none) and the quantiles `LEVELS`; for one pixel its value.

    Example:
        >>> map_features(torch.zeros(2, 3, 1, 1)).shape, map_features(torch.zeros(2, 1, 16, 16)).shape
        (torch.Size([2, 3]), torch.Size([2, 15]))
    """
    B, C, H, _ = maps.shape
    if H == 1:
        return maps.reshape(B, C)
    spectra = _log_spectra(maps)
    levels = torch.tensor(LEVELS, device=maps.device)
    quantiles = torch.quantile(maps.float().flatten(2), levels, dim=2).permute(1, 2, 0)
    return torch.cat((spectra.flatten(1), quantiles.flatten(1)), 1)


def power_error(real: Tensor, fake: Tensor) -> Tensor:
    """Return how far the mean ln P of generated maps is from that of real ones, shape ``()``.

    Args:
        real: Shape ``(B, C, H, H)``, standardised; more than one pixel.
        fake: The same.

    Returns:
        The mean over channels and wavenumbers of the absolute difference: 0.1 for spectra that are 10 % off.

    Example:
        >>> maps = torch.randn(4, 2, 16, 16)
        >>> round(power_error(maps, 1.5 * maps).item(), 4)  # 2 ln 1.5
        0.8109
    """
    return (_log_spectra(fake).mean(0) - _log_spectra(real).mean(0)).abs().mean()


def _log_spectra(maps: Tensor) -> Tensor:
    """Return ln P at wavenumbers 1 … H/2, shape ``(B, C, H/2)``."""
    B, C, H, _ = maps.shape
    power = torch.fft.fft2(maps.float(), norm="ortho").abs().square().flatten(2)
    k = torch.fft.fftfreq(H, 1 / H, device=maps.device)
    ring = (k[:, None] ** 2 + k[None] ** 2).sqrt().round().long().flatten()
    sums = torch.zeros((B, C, int(ring.max()) + 1), device=maps.device).index_add_(2, ring, power)
    counts = torch.bincount(ring)
    return (sums / counts)[..., 1 : H // 2 + 1].clamp(min=FLOOR).log()


def likeness(real: Tensor, fake: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
    """Compare generated maps with real ones of the same conditions.

    Args:
        real: Shape ``(B, C, H, H)``, standardised.
        fake: The same, one for each real map.
        conditions: Shape ``(B, P)``, standardised.

    Returns:
        The energy distance, without bias and so slightly negative at times, in units of the standard
        deviation of a feature, `STEADY` at least; and the spread of the generated features in units of that
        of the real ones, which falls towards 0 where the generator makes but few maps. Each of shape ``()``.

    Example:
        >>> maps = torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0))
        >>> near, _ = likeness(maps[:100], maps[100:], torch.zeros(100, 0))
        >>> far, spread = likeness(maps[:100], 0 * maps[100:] + 1, torch.zeros(100, 0))
        >>> abs(near.item()) < 0.05 < far.item(), spread.item()
        (True, 0.0)
    """
    x, y = map_features(real), map_features(fake)
    mean, sd = x.mean(0), x.std(0, correction=0)
    # A quantile that is the same in all maps has no scale of its own, and one that is nearly so no small one.
    sd = torch.where(sd > FAINT, sd.clamp(min=STEADY), 1.0)
    x, y = (x - mean) / sd, (y - mean) / sd
    spread = y.std(0, correction=0).mean()
    scale = x.shape[1] ** 0.5  # a root mean square over features: a distance does not grow with their number
    x, y = (torch.cat((part / scale, conditions.to(part)), 1) for part in (x, y))
    pairs = max(len(x) * (len(x) - 1), 1)
    within = (torch.cdist(x, x).sum() + torch.cdist(y, y).sum()) / pairs
    # The pair of one row shares its conditions: like the pairs within a sample, it is left out.
    across = torch.cdist(x, y)
    between = (across.sum() - across.diagonal().sum()) / pairs if len(x) > 1 else across.mean()
    return 2 * between - within, spread
