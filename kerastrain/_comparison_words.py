"""What a comparison of runs says: which is best, whether that is noise, what to be careful with."""

import math
from collections.abc import Iterator, Sequence

from kerastrain._noise import LEVEL, pooled, welch, with_spread
from kerastrain._standings import Standing, columns_of, measures_of, sameness
from kerastrain.records import History

_REPEAT = "train each with several, as build_and_fit(..., repeats=5) does"
_MOST_NAMED = 4


def verdict(standings: Sequence[Standing], metric: str, is_rising: bool) -> Iterator[str]:
    """Yields which is best, and whether the difference to the next is more than noise.

    Args:
        standings: What is compared, the best first.
        metric: What it is compared by.
        is_rising: Whether higher is better.
    """
    ranked = [standing for standing in standings if standing.found]
    if not ranked:
        yield f"Nothing can be compared: no run has a finite {metric}."
        return
    best = ranked[0]
    if len(ranked) == 1:
        only = "the only one to compare" if len(standings) > 1 else "alone"
        yield f"{best.label!r} is {only}: {metric} {_value(best)}."
        return
    following = ranked[1]
    gap = abs(best.mean - following.mean)
    if not gap:
        alike = [repr(standing.label) for standing in ranked if standing.mean == best.mean]
        named = f"{', '.join(alike[:-1])} and {alike[-1]}"
        if len(alike) > _MOST_NAMED:
            named = f"{alike[0]} and {len(alike) - 1} more"
        yield f"{named} are equally good: {metric} {_value(best)}."
        return
    by = f"{gap:.2g} {'higher' if is_rising else 'lower'} than"
    yield (
        f"{best.label!r} is best: {metric} {_value(best)}, {by} {following.label!r} with "
        f"{_value(following, is_short=True)}."
    )
    yield _against_noise(best, following, ranked)


def _value(standing: Standing, *, is_short: bool = False) -> str:
    if not math.isfinite(standing.spread):
        return f"{standing.mean:.4g}"
    value = with_spread(standing.mean, standing.spread)
    return value if is_short else f"{value} over {len(standing.found)} seeds"


def _against_noise(best: Standing, following: Standing, ranked: Sequence[Standing]) -> str:
    """Says whether the difference is more than the scatter over seeds, where that is known."""
    repeated = [standing.found for standing in ranked if len(standing.found) > 1]
    if _is_alike(best, following):
        return "They differ in nothing but the seed: the difference is noise."
    if not repeated:
        few = "One run each" if len(ranked) == 2 else "One run of each"
        return f"{few} can't tell whether that is more than the noise over seeds: {_REPEAT}."
    if len(best.found) > 1 and len(following.found) > 1:
        chance, how = welch(best.found, following.found), "Welch's t-test"
    else:
        chance = pooled(best.found, following.found, repeated)
        how = "if single runs scatter as the repeated ones do"
    told = f"p = {chance:.2g}" if chance >= 0.001 else "p < 0.001"
    if chance < LEVEL:
        return f"That is more than the noise over seeds ({told}, {how})."
    return f"That is within the noise over seeds ({told}, {how}), and shows neither to be better."


def _is_alike(one: Standing, other: Standing) -> bool:
    runs = [run for standing in (one, other) for run in standing.histories]
    kinds = {sameness(run) for run in runs}
    return None not in kinds and len(kinds) == 1 and len({run.seed for run in runs}) == len(runs)


def cautions(standings: Sequence[Standing], metric: str) -> Iterator[str]:
    """Yields what a reader of the table has to know besides."""
    yield from _of_missing(standings, metric)
    going_on = [
        one.label
        for one in standings
        if any(run.stop_reason == "running" and run.epoch for run in one.histories)
    ]
    if going_on:
        yield f"{_named(going_on)} {'is' if len(going_on) == 1 else 'are'} still training."
    ranked = [standing for standing in standings if standing.found]
    runs = [run for standing in ranked for run in standing.histories]
    is_ranked = len(ranked) > 1
    monitors = sorted({run.monitor for run in runs if run.monitor})
    if is_ranked and len(monitors) > 1:
        yield (
            f"Their best epochs were chosen by different monitors ({', '.join(monitors)}); each "
            f"counts with its {metric} at its own best epoch."
        )
    if is_ranked and not metric.startswith("val_"):
        yield (
            f"The {metric} is that of the rows trained on, and doesn't tell which does better on "
            "new ones."
        )
    last = [one.label for one in ranked if any(map(_is_left_at_its_end, one.histories))]
    if last:
        yield (
            f"{_named(last)} counts with its best epoch's {metric}, but its model is the last "
            "epoch's (restore_best=False)."
        )
    counts = sorted({run.settings.get("validation_rows", 0) for run in runs} - {0})
    if is_ranked and metric.startswith("val_") and len(counts) > 1:
        numbers = ", ".join(f"{count:,}" for count in counts)
        yield f"They were validated on different numbers of rows ({numbers})."


def _is_left_at_its_end(run: History) -> bool:
    """Tells whether a run has left a model that isn't its best epoch's, as far as it says so."""
    is_best_last = not run.epoch or run.best_epoch == run.epoch[-1]
    return run.settings.get("restore_best") is False and not is_best_last


def _of_missing(standings: Sequence[Standing], metric: str) -> Iterator[str]:
    """Yields who can't be ranked, or not with all runs, and why."""
    waiting = [one.label for one in standings if not any(run.epoch for run in one.histories)]
    if waiting:
        yield f"{_named(waiting)} {_has(waiting)} no epochs yet."
    without: list[Standing] = []
    lost: list[Standing] = []
    for one in standings:
        begun = [run for run in one.histories if run.epoch]
        if begun and not one.found:
            columns = {name for run in begun for name in columns_of(run)}
            (lost if metric in columns else without).append(one)
        elif one.found and len(one.found) < len(one.histories):
            missing = len(one.histories) - len(one.found)
            yield f"{missing} of {len(one.histories)} runs of {one.label!r} came to no {metric}."
    if lost:
        labels = [one.label for one in lost]
        yield f"{_named(labels)} {_has(labels)} no finite {metric}, and can't be ranked."
    if without:
        labels = [one.label for one in without]
        common = _common_measures(standings)
        hint = f": `metric={common[0]!r}` compares by what all have" if common else ""
        yield f"{_named(labels)} {_has(labels)} no {metric}, and can't be ranked{hint}."


def _common_measures(standings: Sequence[Standing]) -> list[str]:
    begun = [run for standing in standings for run in standing.histories if run.epoch]
    return [name for name in measures_of(begun) if all(name in columns_of(run) for run in begun)]


def _named(labels: Sequence[str]) -> str:
    """Returns the labels in a row; of too many the first ones, and how many more."""
    names = [repr(label) for label in labels]
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _has(labels: Sequence[str]) -> str:
    return "has" if len(labels) == 1 else "have"
