"""Judging what was generated or translated, from field sets or the paths where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from skyloom import formats
from skyloom.api.progress import counting
from skyloom.errors import UsageError

if TYPE_CHECKING:
    from skyloom.evaluate.generated import Scorecard

Source = xr.Dataset | str | Path


def scorecard(
    real: Source,
    generated: Source,
    folder: str | Path | None = None,
    *,
    paired: bool = False,
    train: Source | None = None,
    train_inputs: Source | None = None,
    inputs: Source | None = None,
    twin: Source | None = None,
    one_parameter: tuple[Source, Source] | None = None,
    fields: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    statistics: Sequence[str | dict[str, Any]] | None = None,
    network: bool = True,
    seconds_per_sample: float | None = None,
    maximum: int = 1000,
    seed: int = 0,
    progress: str | None = None,
) -> Scorecard:
    """Judge a generated set beside a real one, or a translated set beside the truth.

    Args:
        real: Real samples that the generator was not trained on (paired: the truth); a field set or its path.
        generated: Generated samples (paired: translated ones with the ids of the truth).
        folder: Where ``scorecard.json``, ``curves.nc``, ``figures/`` and ``scorecard.html`` go; None writes
            nothing.
        paired: Whether samples with equal ids belong together, as in a translation.
        train: What the generator was trained on, for the memorisation court (paired: the truth of the
            training side, on which the baselines are fitted).
        train_inputs: Paired only: the inputs of the training side.
        inputs: Paired only: what was translated.
        twin: Samples of a second generator, trained on other simulations.
        one_parameter: Real and generated sets in which one parameter is varied at a time.
        fields: Fields to compare; None for all that both have.
        parameters: Parameters to compare at; None for all that both know.
        statistics: Components of kind ``statistic``; None for the usual ones.
        network: Whether a judge network is trained to read parameters off the maps.
        seconds_per_sample: Time that a sample takes to make [s], for the record.
        maximum: Samples of each set that are looked at.
        seed: Everything that is drawn follows from it.
        progress: ``quiet`` for no bar.

    Returns:
        The scorecard: ``numbers`` (JSON values), ``row(key)`` and ``curves`` (a dataset);
        docs/reference/scorecard.md defines every number.

    Raises:
        UsageError: An argument that this kind of comparison does not know.
        DataError: The sets cannot be compared.
        FormatError: A path holds no field set.

    Example:
        >>> from skyloom.fields import example
        >>> card = scorecard(example(), example(), paired=True, progress="quiet")
        >>> card.row("T_b.r2")["generated"]["value"]
        1.0
    """
    from skyloom.evaluate.generated import judge, judge_pairs

    _refuse_mixed(
        paired, twin=twin, one_parameter=one_parameter, parameters=parameters, statistics=statistics
    )
    _refuse_mixed(not paired, inputs=inputs, train_inputs=train_inputs)
    with counting("scorecard", progress) as count:
        shared: dict[str, Any] = {
            "fields": fields,
            "seconds_per_sample": seconds_per_sample,
            "maximum": maximum,
            "seed": seed,
            "progress": count,
        }
        if paired:
            sides = (
                None
                if train is None
                else (_read(train if train_inputs is None else train_inputs), _read(train))
            )
            given = None if inputs is None or train_inputs is None else _read(inputs)
            card = judge_pairs(_read(real), _read(generated), inputs=given, train=sides, **shared)
        else:
            card = judge(
                _read(real),
                _read(generated),
                train=None if train is None else _read(train),
                twin=None if twin is None else _read(twin),
                one_parameter=None
                if one_parameter is None
                else (_read(one_parameter[0]), _read(one_parameter[1])),
                parameters=parameters,
                statistics=statistics,
                network=network,
                **shared,
            )
    if folder is not None:
        from skyloom.report.scorecards import build_scorecard

        build_scorecard(card.write(Path(folder)))
    return card


def _read(source: Source) -> xr.Dataset:
    return source if isinstance(source, xr.Dataset) else formats.read(Path(source))


def _refuse_mixed(wrong: bool, **given: Any) -> None:
    named = [name for name, value in given.items() if value is not None]
    if wrong and named:
        kind = "pairs" if "twin" in given else "ensembles"
        raise UsageError(
            f"{named[0]} means nothing where {kind} are compared",
            hint="leave it out, or " + ("leave out paired" if kind == "pairs" else "set paired"),
        )
