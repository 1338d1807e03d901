"""The numbers of a picture of histories: whose curves stand in which panel, and which are the best.

`plots` draws them. Nothing here knows Keras or Matplotlib's Axes.
"""

import collections
import dataclasses
import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from kerastrain._axes import COLOURS
from kerastrain._checks import flag, invalid, labels_checked, one_of, real_number, show
from kerastrain._noise import mean_of
from kerastrain._run_folders import labels_for
from kerastrain._run_reading import Found, found_in, is_path
from kerastrain._standings import is_better_higher, value_of
from kerastrain.monitors import new_name
from kerastrain.records import PER_EPOCH_FACTS, History

KINDS = ("training", "validation", "")
"""What a curve may be of; a fact of the epoch, such as the learning rate, is of neither."""

_MOST_WITH_TRAINING = 12  # runs: of more, the curves of validation alone fill a panel
Names = str | Sequence[str] | None


def measures_in(histories: Sequence[History]) -> list[str]:
    """Returns the metrics that `plot_history` has a panel for, in their order.

    Example:
        >>> measures_in([History.of({"accuracy": [0.5], "val_loss": [0.9], "seconds": [1.0]})])
        ['loss', 'accuracy']
    """
    return _choose_metrics(None, list(histories))


@dataclasses.dataclass(frozen=True)
class Run:
    """A history, what the legend calls it, and where it stands among the others.

    Attributes:
        history: Its columns, by today's names.
        label: What it is called.
        number: The number of that name among the different names, from 0: by their order, or by
            their rank.
        place: The same from 0, the best, to 1, where the names are ranked; else `None`.
    """

    history: History
    label: str
    number: int = 0
    place: float | None = None


@dataclasses.dataclass(frozen=True)
class Curve:
    """One column of a run; `best` is the best epoch and its value, if this column chose it."""

    run: Run
    column: str
    kind: str  # one of `KINDS`
    values: list[float]
    smoothed: list[float] | None
    best: tuple[int, float] | None


@dataclasses.dataclass(frozen=True)
class Panel:
    """The curves of one metric, and the scale of its y axis."""

    metric: str
    curves: list[Curve]
    scale: str


@dataclasses.dataclass(frozen=True)
class HistoryPicture:
    """What `plot_history` draws.

    Attributes:
        runs: The runs; ranked ones from the best to the worst.
        panels: One a metric.
        ranked_by: The metric that ranks them, where more are named than there are colours.
        is_validated: Whether any run has curves of validation.
    """

    runs: list[Run]
    panels: list[Panel]
    ranked_by: str
    is_validated: bool

    def is_best(self, run: Run) -> bool:
        """Tells whether a run is the best of those that are ranked, or of its name."""
        return bool(self.ranked_by) and run.place == 0

    @property
    def curves(self) -> list[Curve]:
        """Those of all panels."""
        return [curve for panel in self.panels for curve in panel.curves]


def history_picture(
    sources: Sequence[Any],
    metrics: Names = None,
    labels: Names = None,
    smooth: float = 0,
    log: bool = False,
) -> HistoryPicture:
    """Computes what `plot_history` draws; the arguments are its own."""
    histories, names = _read(sources, labels)
    runs, ranked_by = _ranked(histories, names)
    smooth = real_number("plot_history", "smooth", smooth, least=0, below=1)
    log = flag("plot_history", "log", log)
    panels = [
        _panel(runs, metric, smooth, log=log) for metric in _choose_metrics(metrics, histories)
    ]
    validated = any(column.startswith("val_") for run in histories for column in run.history)
    return HistoryPicture(runs, panels, ranked_by, validated)


def _read(sources: Sequence[Any], labels: Names) -> tuple[list[History], list[str]]:
    """Returns the histories and what they are called."""
    function, argument = "plot_history", "histories"
    if not sources:
        raise invalid(function, argument, "hold at least one history", "histories=()")
    found = found_in(sources, function=function, argument=argument)
    for sentence in found.unreadable:
        warnings.warn(sentence, stacklevel=4)
    sources, read = found.sources, found.histories
    default = _default_names(found)
    names = (
        default if labels is None else labels_checked(function, labels, len(sources), of="history")
    )
    begun = [bool(run.epoch) or not is_path(at) for run, at in zip(read, sources, strict=True)]
    if any(run.epoch for run in read):  # A run that has just begun waits its turn.
        read, names = list(itertools.compress(read, begun)), list(itertools.compress(names, begun))
    return [_renamed(history, position) for position, history in enumerate(read)], names


def _default_names(found: Found) -> list[str]:
    """Returns what the runs are called: those of one choice alike, where there are several."""
    if len(found.choices) < 2:
        return labels_for(found.sources) if len(found.sources) > 1 else [""]
    names = labels_for([choice.source for choice in found.choices])
    pairs = zip(found.choices, names, strict=True)
    return [name for choice, name in pairs for _ in choice.histories]


def _ranked(histories: Sequence[History], names: Sequence[str]) -> tuple[list[Run], str]:
    """Returns the runs, and by which metric they are ranked: where few are named, by none."""
    different = list(dict.fromkeys(names))
    pairs = list(zip(histories, names, strict=True))
    if len(different) <= len(COLOURS):
        return [Run(history, name, different.index(name)) for history, name in pairs], ""
    monitors = collections.Counter(run.monitor for run in histories if run.monitor)
    metric = max(monitors, key=monitors.__getitem__, default="")
    is_rising = is_better_higher(metric, histories)
    values: dict[str, list[float]] = {name: [] for name in different}
    for history, name in pairs:
        values[name].append(value_of(history, metric, is_rising))
    means = {name: mean_of(values[name]) for name in different}
    different.sort(key=lambda name: _rank(means[name], is_rising))
    rank = {name: number for number, name in enumerate(different)}
    runs = [
        Run(history, name, rank[name], rank[name] / (len(different) - 1)) for history, name in pairs
    ]
    is_known = any(map(math.isfinite, means.values()))
    return sorted(runs, key=lambda run: run.number), metric if is_known else ""


def _rank(mean: float, is_rising: bool) -> tuple[bool, float]:
    """Returns what to sort by: those without a value stay behind, in their order."""
    return math.isnan(mean), 0.0 if math.isnan(mean) else -mean if is_rising else mean


def _panel(runs: Sequence[Run], metric: str, smooth: float, *, log: bool) -> Panel:
    curves = [
        _curve(run, column, smooth) for run in runs for column in _columns(run, metric, len(runs))
    ]
    values = (value for curve in curves for value in curve.values)
    logarithmic = log and all(value > 0 for value in values if math.isfinite(value))
    return Panel(metric, curves, "log" if logarithmic else "linear")


def _columns(run: Run, metric: str, count: int) -> list[str]:
    """Returns which columns of a run, one of so many, a panel has."""
    both = [name for name in (metric, f"val_{metric}") if name in run.history.history]
    return both[-1:] if count > _MOST_WITH_TRAINING else both


def _renamed(history: History, position: int) -> History:
    """Returns the history, with "acc" called by today's name unless that is another column."""
    if not history.epoch or not history.history:
        must = "each hold at least one epoch of one column"
        raise invalid("plot_history", "histories", must, f"histories[{position}]={history!r}")
    columns = {new_name(name, history.history): row for name, row in history.history.items()}
    monitor = history.monitor and new_name(history.monitor, history.history)
    return dataclasses.replace(history, history=columns, monitor=monitor)


def _choose_metrics(metrics: Names, histories: list[History]) -> list[str]:
    """Returns the names of the panels in their order."""
    columns = list(dict.fromkeys(column for history in histories for column in history.history))
    names = list(dict.fromkeys(column.removeprefix("val_") for column in columns))
    names.sort(key=lambda name: name != "loss")
    if metrics is None:
        return [name for name in names if name not in PER_EPOCH_FACTS] or names
    if isinstance(metrics, str):
        metrics = [metrics]
    if not isinstance(metrics, Sequence) or not metrics:
        must = "be the name of a metric or a list of names"
        raise invalid("plot_history", "metrics", must, f"metrics={show(metrics)}")
    return list(dict.fromkeys(_named(name, names, columns) for name in metrics))


def _named(asked: Any, names: Sequence[str], columns: Sequence[str]) -> str:
    """Returns the panel that is asked for: "acc" is that of accuracy, "val_loss" that of loss."""
    name = asked if asked in columns or not isinstance(asked, str) else new_name(asked)
    bare = name.removeprefix("val_") if name in columns else name
    return bare if bare in names else one_of("plot_history", "metrics", asked, names)


def _curve(run: Run, column: str, smooth: float) -> Curve:
    history, values = run.history, run.history.history[column]
    kind = "validation" if column.startswith("val_") else "training"
    kind = "" if column in PER_EPOCH_FACTS else kind
    smoothed = _smoothed(values, smooth) if smooth else None
    best = None
    if column == history.monitor and history.best_epoch is not None:
        best = (history.best_epoch, history.best[column])
    return Curve(run, column, kind, values, smoothed, best)


def _smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Returns the moving average of `plot_history`'s docstring, with gaps left as they are."""
    average, seen, smoothed = 0.0, 0, []
    for value in values:
        if there := math.isfinite(value):
            seen += 1
            average = weight * average + (1 - weight) * value
        smoothed.append(average / (1 - weight**seen) if there else math.nan)
    return smoothed
