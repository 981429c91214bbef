r"""At which scales is the answer? Two questions, asked for each band of wavenumbers.

`Bands` takes a band out of the raw maps, or leaves nothing but it, and scores again: an experiment, but on
maps of a kind that the network has never seen. `BandAttribution` stays on the maps as they are: integrated
gradients do not care in which basis a map is written, so the change of the answer is shared exactly among
bands,

.. math:: A_b = \sum_i x^{(b)}_i \int_0^1 \partial_i F(t\,x) \, dt , \qquad \sum_b A_b = F(x) - F(0) ,

where ``x^(b)`` is the map filtered to the band and the mean of the map is a band of its own. Wavenumbers
count waves along the side of the map, ``n = k L / 2π``.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from skyloom.errors import UsageError
from skyloom.explain.context import Context, finish
from skyloom.explain.gradients import integrated_gradients
from skyloom.explain.handling import answers, array, completeness
from skyloom.explain.interventions import Change, rescore
from skyloom.fields.interventions import filter_band
from skyloom.methods import Method


def octaves(side: int) -> list[float]:
    """Return edges of bands that double in width and reach the corner of Fourier space.

    Args:
        side: Side of the map [pixels].

    Returns:
        Edges [waves along the side]: 0, 2, 4, 8 ... to half of Nyquist, then the corner.

    Example:
        >>> octaves(32)
        [0.0, 2.0, 4.0, 8.0, 23.0]
    """
    doubled = 2.0 ** np.arange(1, max(2, int(np.log2(side / 2))))
    return [0.0, *doubled.tolist(), float(np.ceil(side / np.sqrt(2)))]


class Bands:
    """Score the maps without a band of wavenumbers, and with nothing but it.

    Args:
        edges: Edges of the bands [waves along the side]; None gives `octaves`.
        bootstrap: Resamples of the groups for the intervals.

    Raises:
        UsageError: There are fewer than two edges, or they do not rise.

    Example:
        >>> Bands(edges=[0, 4, 32]).edges
        [0.0, 4.0, 32.0]
    """

    def __init__(self, *, edges: list[float] | None = None, bootstrap: int = 500) -> None:
        self.edges, self.bootstrap = _checked(edges, "bands"), bootstrap

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return along ``treatment`` (``removed``, ``kept``) and ``band`` the variables of `rescore`.

        The score of the maps as they are is ``own``; ``drop`` is counted from it.
        """
        context.name_of(target)
        bands = list(pairwise(self.edges or octaves(max(context.raw.shape[-2:]))))
        changes: list[Change] = [np.asarray]
        for keep in (False, True):
            for low, high in bands:
                band: dict[str, Any] = {"low": low, "high": high, "keep": keep, "periodic": context.periodic}
                changes.append(partial(filter_band, **band))
        settings: dict[str, Any] = {"bootstrap": self.bootstrap, "generator": generator, "context": context}
        flat = rescore(method, changes, ("version", range(len(changes))), target, **settings)
        ds = xr.Dataset({"own": flat["score"][0].drop_vars("version")}, attrs=flat.attrs)
        for name in ("score", "low", "high", "correlation_squared", "drop", "drop_low", "drop_high"):
            ds[name] = (("treatment", "band"), flat[name].values[1:].reshape(2, len(bands)))
        ds = ds.assign_coords(treatment=["removed", "kept"], **_coordinates(bands))
        removed, kept = ds["score"].values
        summary = {
            "score": context.score_name,
            "own": float(ds["own"]),
            "bands": [list(band) for band in bands],
            "removed": removed.tolist(),
            "kept": kept.tolist(),
            "most_needed": _band_name(bands, removed, np.nanargmin),
        }
        return finish(ds, "bands", context, target, summary)


class BandAttribution:
    """Share the change of the answer among bands of wavenumbers, by integrated gradients in Fourier space.

    The baseline is the map of zeros in standardised units.

    Args:
        edges: Edges of the bands [waves along the side]; None gives `octaves`.
        steps: Gauss–Legendre points along the line.

    Raises:
        UsageError: There are fewer than two edges, they do not rise, or there is no step.

    Example:
        >>> BandAttribution(edges=[0, 4, 32], steps=8).steps
        8
    """

    def __init__(self, *, edges: list[float] | None = None, steps: int = 32) -> None:
        self.edges, self.steps = _checked(edges, "band_attribution"), steps
        if steps < 1:
            raise UsageError(f"band_attribution needs at least one step, found {steps}", hint="try 32")

    def explain(
        self, method: Method, maps: Tensor, target: int, *, generator: torch.Generator, context: Context
    ) -> xr.Dataset:
        """Return ``by_band (sample, band)``, ``of_mean``, ``change`` and ``gap`` ``(sample)``.

        All in the unit of the standardised target. Edges that leave out some wavenumbers leave a gap.
        """
        context.name_of(target)
        bands = list(pairwise(self.edges or octaves(max(maps.shape[-2:]))))
        slopes = array(integrated_gradients(method, maps, target, steps=self.steps, times_maps=False))
        values = array(maps)
        mean = values.mean(axis=(-2, -1), keepdims=True, dtype=np.float64)
        parts = [filter_band(values, *band, periodic=context.periodic) - mean for band in bands]
        by_band = np.stack([_summed(part, slopes) for part in parts], axis=1)
        of_mean = _summed(np.broadcast_to(mean, values.shape), slopes)
        change = array(answers(method, maps, target) - answers(method, torch.zeros_like(maps[:1]), target))
        gap, said = completeness(np.column_stack([by_band, of_mean]), change)
        ds = xr.Dataset(
            {
                "by_band": (("sample", "band"), by_band),
                "of_mean": ("sample", of_mean),
                "change": ("sample", change),
                "gap": ("sample", gap),
            },
            coords=_coordinates(bands),
        )
        size = np.abs(by_band).mean(axis=0)
        share = size / (size.sum() + np.abs(of_mean).mean())
        summary = {
            "samples": len(maps),
            "steps": self.steps,
            "baseline": "zero map in standardised units",
            "bands": [list(band) for band in bands],
            "share": share.tolist(),
            "largest": _band_name(bands, size, np.nanargmax),
            **said,
        }
        return finish(ds, "band_attribution", context, target, summary)


def _summed(part: NDArray[Any], slopes: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("bchw,bchw->b", part, slopes, dtype=np.float64))


def _checked(edges: list[float] | None, name: str) -> list[float] | None:
    if edges is None:
        return None
    if len(edges) < 2 or edges[0] < 0 or any(low >= high for low, high in pairwise(edges)):
        raise UsageError(
            f"{name}: edges are {edges}", hint="allowed: rising numbers of 0 or more, e.g. [0, 4, 32]"
        )
    return [float(edge) for edge in edges]


def _coordinates(bands: list[tuple[float, float]]) -> dict[str, Any]:
    attrs = {"units": "", "long_name": "waves along the side of the map"}
    low, high = (("band", list(ends), attrs) for ends in zip(*bands, strict=True))
    return {"n_low": low, "n_high": high}


def _band_name(bands: list[tuple[float, float]], values: NDArray[Any], pick: Any) -> list[float] | None:
    return list(bands[int(pick(values))]) if np.isfinite(values).any() else None
