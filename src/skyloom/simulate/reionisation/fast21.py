"""The engine ``21cmfast``: the real 21cmFAST 4 (Mesinger, Furlanetto & Cen 2011; Murray et al. 2020).

Template ``const-zeta``: a constant ionising efficiency above a minimum virial temperature, Sheth-Tormen
collapse, second-order Lagrangian densities, spin temperature far above the background. It is run with
``M_MIN_in_Mass = False``: at its default the template takes the smallest mass from ``M_TURN`` and ignores
``ION_Tvir_MIN`` without a word. Each simulation runs with one thread, since another thread count is another
universe for the same seed. Nothing is downloaded and nothing is cached between simulations.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from skyloom.errors import MissingDependencyError, UsageError
from skyloom.simulate.reionisation.design import Point
from skyloom.simulate.reionisation.engine import Box

REFINEMENT = 3  #: cells of the initial conditions per output cell, along one axis


def load() -> Any:
    """Import py21cmfast, or say what is missing.

    Raises:
        MissingDependencyError: The package or one of its two system libraries is absent.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import warns about its own dependencies
            import py21cmfast
    except ImportError as error:
        raise MissingDependencyError(
            f"the engine '21cmfast' cannot be loaded: {error}",
            hint="pip install 'skyloom[21cmfast]'; it compiles and needs the system packages "
            "libfftw3-dev and libgsl-dev (Debian: apt-get install libfftw3-dev libgsl-dev gcc)",
        ) from error
    return py21cmfast


def run(point: Point, *, size: int, box_size: float, save: Path | None = None) -> list[Box]:
    """Run one simulation at its redshifts.

    Args:
        point: Seed, parameters and redshifts.
        size: Cells along one side of the output boxes.
        box_size: Comoving side length [Mpc].
        save: A folder for 21cmFAST's own files of the boxes; not written if not given.

    Returns:
        One box per redshift, arrays ``(z, y, x)`` with ``z`` the line of sight.

    Raises:
        MissingDependencyError: 21cmFAST is not installed.
        UsageError: The largest bubble does not fit three times into the box.
    """
    if point.parameters["R_BUBBLE_MAX"] > box_size / 3:
        raise UsageError(
            f"R_BUBBLE_MAX = {point.parameters['R_BUBBLE_MAX']:.1f} Mpc in a box of {box_size} Mpc: 21cmFAST "
            "allows a third of the box",
            hint=f"give ranges: {{R_BUBBLE_MAX: [5, {box_size / 3:.1f}]}}, or a larger box_size",
        )
    p21 = load()
    logging.getLogger("py21cmfast").setLevel(logging.ERROR)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # reminders of the template's own choices, said above
        inputs = p21.InputParameters.from_template(
            "const-zeta",
            random_seed=point.seed,
            HII_DIM=size,
            DIM=REFINEMENT * size,
            BOX_LEN=box_size,
            N_THREADS=1,
            M_MIN_in_Mass=False,
            **point.parameters,
        )
        cache = p21.OutputCache(folder)
        initial = p21.compute_initial_conditions(inputs=inputs, cache=cache, write=False, regenerate=True)
        coeval = p21.run_coeval(
            inputs=inputs,
            out_redshifts=list(point.redshifts),
            initial_conditions=initial,
            cache=cache,
            write=False,
            regenerate=True,
        )
        if save is not None:
            for box in coeval:
                box.save(save / f"{point.group}-z{box.redshift:.2f}.h5")
        boxes = [
            Box(
                redshift=float(box.redshift),
                T_b=_line_of_sight_first(box.brightness_temp),
                neutral_fraction=_line_of_sight_first(box.neutral_fraction),
                delta=_line_of_sight_first(box.density),
            )
            for box in coeval
        ]
    return sorted(boxes, key=lambda box: -box.redshift)


def _line_of_sight_first(cube: np.ndarray) -> np.ndarray:
    """Turn 21cmFAST's (x, y, line of sight) into Skyloom's (z, y, x)."""
    return np.ascontiguousarray(np.asarray(cube, dtype=np.float32).transpose(2, 1, 0))


def versions() -> dict[str, str]:
    """Return the versions that decide what the engine computes.

    Raises:
        MissingDependencyError: 21cmFAST is not installed.
    """
    load()
    return {"21cmfast": version("21cmfast"), "n_threads": "1"}
