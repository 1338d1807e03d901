"""Runs made ready to be held against each other: which belong together, by what, in which order."""

import collections
import dataclasses
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

from kerastrain._checks import invalid, nearest, show
from kerastrain._noise import found_in, mean_of, spread_of
from kerastrain._run_folders import labels_for, one_by_one
from kerastrain.monitors import told_by_name
from kerastrain.records import PER_EPOCH_FACTS, History, as_history
from kerastrain.repeats import Repeats

_FUNCTION = "compare_runs"
_WHOLE = ("finished", "early_stopping", "nan")
"""Why a run ended that wasn't broken off."""

_OLD_NAMES = {"acc": "accuracy", "val_acc": "val_accuracy"}


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
    runs: Sequence[Any], labels: str | Sequence[str] | None, metric: str | None
) -> tuple[list[Standing], str, bool]:
    """Returns what is compared, the best first, by which metric, and whether higher is better.

    The arguments are those of `compare_runs`.
    """
    if not runs:
        raise invalid(_FUNCTION, "runs", "hold at least one run", "runs=()")
    standings = _standings(runs, labels)
    histories = [history for standing in standings for history in standing.histories]
    metric = _metric(metric, histories)
    is_rising = rises(metric, histories)
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


def _standings(runs: Sequence[Any], labels: str | Sequence[str] | None) -> list[Standing]:
    read: list[tuple[Any, tuple[History, ...]]] = []
    for run in runs:
        if isinstance(run, Repeats):
            read.append((run, tuple(run.histories)))
            continue
        for source in one_by_one([run], function=_FUNCTION, argument="runs"):
            read.append((source, (as_history(source, function=_FUNCTION, argument="runs"),)))
    sources = [source for source, _ in read]
    names = labels_for(sources) if labels is None else _checked(labels, len(read))
    each = [Standing(name, runs) for name, (_, runs) in zip(names, read, strict=True)]
    groups: dict[Any, list[int]] = {}
    for place, standing in enumerate(each):
        own = None if labels is None else standing.label
        groups.setdefault((_sameness(standing, place), own), []).append(place)
    together = []
    for places in groups.values():
        apart = _of_other_seeds([each[place] for place in places])
        if len(places) > 1 and apart:
            label = _common([names[p] for p in places], [sources[p] for p in places])
            runs_of = tuple(run for place in places for run in each[place].histories)
            together.append((places[0], Standing(label, runs_of)))
        else:
            together += [(place, each[place]) for place in places]
    return [standing for _, standing in sorted(together, key=lambda pair: pair[0])]


def _sameness(standing: Standing, place: int) -> str:
    """Returns a text that is the same for runs that differ in nothing but the seed."""
    (history, *others) = standing.histories
    if others or not history.settings or history.stop_reason not in _WHOLE:
        return str(place)
    return json.dumps([history.settings, history.monitor], sort_keys=True)


def _of_other_seeds(standings: list[Standing]) -> bool:
    seeds = [history.seed for standing in standings for history in standing.histories]
    return None not in seeds and len(set(seeds)) == len(seeds)


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
    return f"{names[0]} and {len(names) - 1} more"


def _checked(labels: str | Sequence[str], count: int) -> list[str]:
    names = [labels] if isinstance(labels, str) else labels
    if not isinstance(names, Sequence) or len(names) != count:
        must = f"be a list of one label per run ({count})"
        raise invalid(_FUNCTION, "labels", must, f"labels={show(labels)}")
    return [str(name) for name in names]


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
    new = _OLD_NAMES.get(metric, metric) if isinstance(metric, str) else ""
    for name in (metric, new):
        if name in there:
            return name
    must = f"be one of {', '.join(map(repr, there))}{nearest(metric, there)}"
    kind = ValueError if isinstance(metric, str) else TypeError
    raise invalid(_FUNCTION, "metric", must, f"metric={show(metric)}", kind=kind)


def measures_of(histories: Iterable[History]) -> list[str]:
    """Returns the names of all that was measured of the models."""
    names = dict.fromkeys(new_name(name, run) for run in histories for name in run.history)
    return [name for name in names if name not in PER_EPOCH_FACTS]


def new_name(column: str, history: History) -> str:
    """Returns today's name of a column: "acc" is "accuracy", unless that is another column."""
    return column if "accuracy" in history.history else _OLD_NAMES.get(column, column)


def rises(metric: str, histories: Iterable[History]) -> bool:
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
    """Returns the metric at the run's best epoch, whose weights it has left, or NaN.

    A run that knows no best epoch, as Keras's own without a loss, is taken at the metric's best.
    """
    column = {new_name(name, history): column for name, column in history.history.items()}
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
    return found


def _settings(standing: Standing) -> dict[str, Any] | None:
    """Returns the settings of one or several runs; "various" where those differ."""
    noted = [run.settings | {"monitor": run.monitor} for run in standing.histories if run.settings]
    if not noted:
        return None
    if len(standing.histories) == 1:
        noted[0]["seed"] = standing.histories[0].seed
    names = dict.fromkeys(name for settings in noted for name in settings if name != "parameters")
    values = {name: [settings.get(name) for settings in noted] for name in names}
    return {k: v[0] if all(one == v[0] for one in v) else "various" for k, v in values.items()}
