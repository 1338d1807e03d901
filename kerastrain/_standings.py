"""Runs made ready to be held against each other: which belong together, by what, in which order."""

import collections
import dataclasses
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from kerastrain._checks import invalid, nearest, show
from kerastrain._noise import found_in, mean_of, spread_of
from kerastrain._run_reading import Choice
from kerastrain.monitors import new_name, told_by_name
from kerastrain.records import DIGESTS, PER_EPOCH_FACTS, History

_FUNCTION = "compare_runs"
_WHOLE = ("finished", "early_stopping", "nan")
"""Why a run ended that wasn't broken off."""

_OF_MODEL = ("model", "builder", "params.", "reuse", "optimizer", "loss", "schedule")
_OF_DATA = ("data", "rows", "steps", "validation_rows", "sample_weight")
_PARTS = {
    "model": ("layers' settings", _OF_MODEL),
    "callbacks": ("callbacks' settings", ("callbacks",)),
    "data": ("values of the data", _OF_DATA),
    "arguments": ("long arguments", ("",)),
}
"""Of what there are digests: what a difference is called that the settings don't show; theirs."""

_Marked: TypeAlias = tuple[str, dict[str, Any] | None]


@dataclasses.dataclass(frozen=True)
class Standing:
    """What is compared: one run, or several that differ in nothing but the seed.

    Attributes:
        label: What it is called.
        histories: Its runs.
        values: The metric of each of them; NaN where it has none.
    """

    label: str
    histories: tuple[History, ...]
    values: tuple[float, ...] = ()

    @property
    def found(self) -> list[float]:
        """The values that are numbers."""
        return found_in(self.values)

    @property
    def mean(self) -> float:
        """Their mean; NaN where there is none."""
        return mean_of(self.values)

    @property
    def spread(self) -> float:
        """Their sample standard deviation; NaN of fewer than two."""
        return spread_of(self.values)


def standings_of(
    choices: Sequence[Choice], names: Sequence[str], metric: str | None, *, is_given: bool
) -> tuple[list[Standing], str, bool]:
    """Returns what is compared, the best first, by which metric, and whether higher is better.

    Args:
        choices: What was tried.
        names: What each is called.
        metric: What to compare by; `None` for most runs' own monitor.
        is_given: Whether somebody gave the names: what has two of them isn't taken together.
    """
    standings = _standings(choices, names, is_given)
    histories = [history for standing in standings for history in standing.histories]
    metric = _metric(metric, histories)
    is_rising = is_better_higher(metric, histories)
    valued = [
        dataclasses.replace(
            one, values=tuple(value_of(h, metric, is_rising) for h in one.histories)
        )
        for one in standings
    ]
    valued.sort(key=lambda one: _place(one, is_rising))
    return valued, metric, is_rising


def _place(standing: Standing, is_rising: bool) -> tuple[bool, float]:
    """Returns what to sort by: those without a value stay behind, in their order."""
    if not standing.found:
        return True, 0.0
    return False, -standing.mean if is_rising else standing.mean


def _standings(choices: Sequence[Choice], names: Sequence[str], is_given: bool) -> list[Standing]:
    groups: dict[Any, list[int]] = {}
    for place, (choice, name) in enumerate(zip(choices, names, strict=True)):
        own = sameness(choice.histories[0]) if len(choice.histories) == 1 else None
        key = place if own is None else (own, name if is_given else None)
        groups.setdefault(key, []).append(place)
    parts = [part for places in groups.values() for part in _of_other_seeds(places, choices)]
    parts.sort()
    labels = [_label([names[p] for p in part], [choices[p].source for p in part]) for part in parts]
    return [
        Standing(
            label if labels.count(label) == 1 else _label_of_many([names[p] for p in part]),
            tuple(run for place in part for run in choices[place].histories),
        )
        for label, part in zip(labels, parts, strict=True)
    ]


def sameness(history: History) -> str | None:
    """Returns a text that is the same for runs that differ in nothing but the seed.

    `None` where that can't be told, as of a run that was broken off.
    """
    digests = history.settings.get(DIGESTS)
    if not digests or None in digests.values() or history.stop_reason not in _WHOLE:
        return None
    return json.dumps([history.settings, history.monitor], sort_keys=True)


def _of_other_seeds(places: list[int], choices: Sequence[Choice]) -> list[list[int]]:
    """Returns the places as one if their runs have a seed each that no other has, else apart."""
    seeds = [history.seed for place in places for history in choices[place].histories]
    is_one = None not in seeds and len(set(seeds)) == len(seeds)
    return [places] if is_one else [[place] for place in places]


def _label(names: list[str], sources: list[Any]) -> str:
    return names[0] if len(names) == 1 else _common(names, sources)


def _label_of_many(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _common(names: list[str], sources: list[Any]) -> str:
    """Returns what the names of runs begin with, or the name of the folder that they are in."""
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in alike).rstrip("0123456789 -_./=")
    for word in ("seed", "run", "repeat"):
        common = common.removesuffix(word).rstrip(" -_./=")
    if common:
        return common
    paths = [os.path.abspath(one) for one in sources if isinstance(one, str | os.PathLike)]
    folders = {os.path.basename(os.path.dirname(path)) for path in paths}
    if len(paths) == len(sources) and len(folders) == 1:
        return folders.pop()
    return _label_of_many(names)


def _metric(metric: str | None, histories: list[History]) -> str:
    """Returns the metric to compare by: the one asked for, or most runs' own monitor."""
    there = measures_of(histories)
    if metric is None:
        monitors = [history.monitor for history in histories if history.monitor in there]
        counts = collections.Counter(monitors)
        first = max(
            counts, key=lambda name: (counts[name], str(name).startswith("val_")), default=""
        )
        return first or next(iter(there), "loss")
    for name in (metric, new_name(metric) if isinstance(metric, str) else ""):
        if name in there:
            return name
    must = f"be one of {', '.join(map(repr, there))}{nearest(metric, there)}"
    kind = ValueError if isinstance(metric, str) else TypeError
    raise invalid(_FUNCTION, "metric", must, f"metric={show(metric)}", kind=kind)


def measures_of(histories: Iterable[History]) -> list[str]:
    """Returns the names of all that was measured of the models."""
    names = dict.fromkeys(name for run in histories for name in columns_of(run))
    return [name for name in names if name not in PER_EPOCH_FACTS]


def columns_of(history: History) -> dict[str, list[float]]:
    """Returns a run's columns under today's names."""
    columns = history.history
    return {new_name(name, columns): column for name, column in columns.items()}


def is_better_higher(metric: str, histories: Iterable[History]) -> bool:
    """Tells whether higher is better: by the name, else by what the runs took for their best."""
    told = told_by_name(metric)
    if told != "auto":
        return told == "max"
    deciding = [run for run in histories if run.monitor == metric and run.best_epoch is not None]
    modes = {run.settings.get("mode") for run in deciding} - {None}
    if modes:
        return modes == {"max"}
    highest = [
        run.best[metric] >= max(filter(math.isfinite, run.history[metric])) for run in deciding
    ]
    lowest = [
        run.best[metric] <= min(filter(math.isfinite, run.history[metric])) for run in deciding
    ]
    return all(highest) and not all(lowest) if deciding else False


def value_of(history: History, metric: str, is_rising: bool) -> float:
    """Returns the metric at the run's best epoch, or NaN.

    A run that knows no best epoch, as Keras's own without a loss, is taken at the metric's best.
    """
    column = columns_of(history)
    if metric not in column:
        return math.nan
    if history.best_epoch is not None:
        return column[metric][history.epoch.index(history.best_epoch)]
    finite = found_in(column[metric])
    return (max if is_rising else min)(finite) if finite else math.nan


def differences_of(standings: Sequence[Standing]) -> dict[str, list[Any]]:
    """Returns the settings that aren't the same in all, a value for each of what is compared.

    `None` is a setting at its default, and "?" one of a run that has noted none.
    """
    told = [_settings(standing) for standing in standings]
    names = dict.fromkeys(name for settings in told for name in settings or {})
    found = {}
    for name in names:
        values = ["?" if settings is None else settings.get(name) for settings in told]
        known = [value for value in values if value != "?"]
        if any(value != known[0] for value in known):
            found[name] = values
    return found | _unseen_differences(standings, told)


def _unseen_differences(
    standings: Sequence[Standing], told: Sequence[dict[str, Any] | None]
) -> dict[str, list[Any]]:
    """Returns what only the digests tell apart, as "set 1", "set 2" and so on in words."""
    found = {}
    for part, (column, prefixes) in _PARTS.items():
        marks = [_mark(standing, part) for standing in standings]
        pairs = itertools.combinations(zip(marks, told, strict=True), 2)
        if any(_is_hidden(one, other, prefixes) for one, other in pairs):
            sets = [mark for mark in dict.fromkeys(marks) if mark not in ("?", "unknown")]
            found[column] = [f"set {sets.index(m) + 1}" if m in sets else m for m in marks]
    return found


def _is_hidden(one: _Marked, other: _Marked, prefixes: tuple[str, ...]) -> bool:
    """Tells whether settings look alike that aren't, or keep two apart that look alike in all."""
    (mark, settings), (its_mark, its_settings) = one, other
    if "?" in (mark, its_mark):
        return False
    if mark == its_mark:
        return mark == "unknown" and _seen(settings, ("",)) == _seen(its_settings, ("",))
    return _seen(settings, prefixes) == _seen(its_settings, prefixes)


def _seen(settings: dict[str, Any] | None, prefixes: tuple[str, ...]) -> dict[str, Any]:
    named = {name: value for name, value in (settings or {}).items() if name != "seed"}
    return {name: value for name, value in named.items() if name.startswith(prefixes)}


def _mark(standing: Standing, part: str) -> str:
    """Returns the digest of a part; "unknown" where that couldn't be told, "?" of older files."""
    marks = {run.settings.get(DIGESTS, {}).get(part, "?") for run in standing.histories}
    mark = marks.pop()
    return "unknown" if mark is None or marks else str(mark)


def _settings(standing: Standing) -> dict[str, Any] | None:
    """Returns the settings of one or several runs; "various" where those differ."""
    noted = [run.settings | {"monitor": run.monitor} for run in standing.histories if run.settings]
    if not noted:
        return None
    if len(standing.histories) == 1:
        noted[0]["seed"] = standing.histories[0].seed
    untold = ("parameters", DIGESTS)
    names = dict.fromkeys(name for settings in noted for name in settings if name not in untold)
    values = {name: [settings.get(name) for settings in noted] for name in names}
    return {k: v[0] if all(one == v[0] for one in v) else "various" for k, v in values.items()}
