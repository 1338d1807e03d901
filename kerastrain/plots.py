"""Pictures of what training left behind: numbers first, then the drawing.

`_history_curves` decides what there is to see and gives plain numbers; the functions below it put
them on Axes. Nothing here shows a figure, prints, changes Matplotlib's settings or knows Keras.
"""

import dataclasses
import itertools
import math
import os
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kerastrain._axes import COLOURS, axes_in, given_axes, new_axes, points_to_draw
from kerastrain._checks import invalid, one_of, real_number, show
from kerastrain._run_folders import labels_for
from kerastrain._run_reading import found_in
from kerastrain.monitors import new_name
from kerastrain.records import PER_EPOCH_FACTS, History

_KINDS = ("training", "validation", "")
_SOLID: dict[str, Any] = {"linewidth": 1.7}
_DASHED: dict[str, Any] = {"linewidth": 1.1, "linestyle": "--"}
_MOST_NAMED_RUNS = 12  # a longer legend fills the page with colours that can't be told apart
_MOST_POINTS = 160_000  # of all lines together; more take seconds to draw, and show no more
_POINTS_A_LINE = 1_000
_Names = str | Sequence[str] | None


def plot_history(
    *histories: Any,
    metrics: str | Sequence[str] | None = None,
    labels: str | Sequence[str] | None = None,
    smooth: float = 0,
    log: bool = False,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draws the curves of one run, or lays several runs over each other.

    Each metric has a panel, with training and validation in it. In a picture of one run, a line
    marks the best epoch and another the early stop; of several runs, each has a colour and a dot
    at its best epoch, and a training curve is dashed where there are validation curves too. The
    lines of many long runs go through the lowest and the highest point of each stretch only.

    Args:
        *histories: Each one our `History`, Keras's `History`, a dict of lists, or a path: to a run
            directory, which may still be training, a folder of some, a JSON file of `History.save`
            or a CSV file of Keras's `CSVLogger`; or what has several, such as `Repeats`.
        metrics: The panels to draw, such as `"loss"` or `["accuracy", "learning_rate"]`;
            `"val_loss"` means the panel of `"loss"`, and `"acc"` that of `"accuracy"`. By default
            all that was measured, the loss first, without `learning_rate` and `seconds`.
        labels: One name a history; those that share one share its colour. By default a file's or a
            folder's name, or that of the folder around it where they are named alike, else "run 1",
            "run 2", ...
        smooth: The weight of the past, from 0 (none) to below 1, in an exponential moving average:
            `s[t] = smooth * s[t-1] + (1 - smooth) * x[t]`, drawn as `s[t] / (1 - smooth**t)`, which
            corrects for the start at `s[0] = 0` (Kingma and Ba, "Adam", 2015, section 3), as
            TensorBoard's slider does. Values that aren't finite stay gaps and aren't counted. The
            raw curve stays behind, faint; the best epoch is marked on it.
        log: Makes the y axis logarithmic in the panels whose values are all above 0.
        ax: Where to draw: one Axes for one panel (the first, unless `metrics` names another), or
            as many Axes as there are panels. By default a new figure.

    Returns:
        The Axes, one a metric. Their figure is `axes[0].figure`.

    Raises:
        ValueError: If there is nothing to draw, no such metric, or a wrong count of labels or Axes.
        TypeError: If an argument is of a kind that can't be drawn.

    Example:
        >>> axes = plot_history({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7]})
        >>> for line in axes[0].get_lines()[:2]:
        ...     print(line.get_label(), line.get_ydata())
        training [0.9 0.5 0.4]
        validation [0.8 0.6 0.7]
    """
    panels = _history_curves(histories, metrics, labels, smooth, log)
    if metrics is None and isinstance(ax, Axes):
        panels = panels[:1]
    names = [panel.metric for panel in panels]
    axes = (
        new_axes(len(panels))
        if ax is None
        else given_axes("plot_history", ax, names, panel="metric")
    )
    _draw(axes, panels, own_figure=ax is None)
    return axes


def measures_in(histories: Sequence[History]) -> list[str]:
    """Returns the metrics that `plot_history` has a panel for, in their order.

    Example:
        >>> measures_in([History.of({"accuracy": [0.5], "val_loss": [0.9], "seconds": [1.0]})])
        ['loss', 'accuracy']
    """
    return _choose_metrics(None, list(histories))


def fill_figure(
    figure: Figure,
    histories: Sequence[Any],
    *,
    metrics: _Names = None,
    labels: _Names = None,
    smooth: float = 0,
    log: bool = False,
    size: tuple[float, float] | None = None,
) -> list[Axes]:
    """Draws into a figure of the caller's what `plot_history` draws into one of its own.

    Nobody but the caller holds such a figure: pyplot, which keeps a list of its own, isn't asked.

    Args:
        figure: The figure.
        histories: Those of `plot_history`, as the arguments after them.
        metrics: As there.
        labels: As there.
        smooth: As there.
        log: As there.
        size: Width and height in inches, where it isn't to be told by the panels; a legend of
            several runs widens it.

    Example:
        >>> figure = Figure(layout="constrained")
        >>> axes = fill_figure(figure, [{"loss": [0.9], "r2": [0.1]}])
        >>> [ax.get_ylabel() for ax in axes]
        ['loss', 'r2']
    """
    panels = _history_curves(histories, metrics, labels, smooth, log)
    axes = axes_in(figure, len(panels))
    if size is not None:
        figure.set_size_inches(size)
    _draw(axes, panels, own_figure=True)
    return axes


def overlay(histories: Sequence[Any], **arguments: Any) -> Figure:
    """Returns a figure of what `plot_history` draws, which nothing shows, to be saved.

    Args:
        histories: Those of `plot_history`.
        **arguments: Those of `fill_figure`.

    Example:
        >>> figure = overlay([{"loss": [0.9, 0.5]}, {"loss": [0.8, 0.6]}], labels=["a", "b"])
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['loss']
    """
    figure = Figure(layout="constrained")
    fill_figure(figure, histories, **arguments)
    return figure


def _draw(axes: list[Axes], panels: list["_Panel"], *, own_figure: bool) -> None:
    lines = sum(1 + (curve.smoothed is not None) for panel in panels for curve in panel.curves)
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, max(_POINTS_A_LINE, _MOST_POINTS // max(1, lines)))
    _draw_legend(axes, panels, own_figure=own_figure)


@dataclasses.dataclass(frozen=True)
class _Run:
    """A history, what the legend calls it, its colour for each of `_KINDS`, and its dashes."""

    history: History
    label: str
    colours: dict[str, str]
    dashed: bool  # its training curves, to tell them from validation curves of the same colour


@dataclasses.dataclass(frozen=True)
class _Curve:
    """One column of a run; `best` is the best epoch and its value, if this column chose it."""

    run: _Run
    column: str
    kind: str  # one of `_KINDS`
    values: list[float]
    smoothed: list[float] | None
    best: tuple[int, float] | None


@dataclasses.dataclass(frozen=True)
class _Panel:
    """The curves of one metric, among all the runs of the picture, and the scale of its y axis."""

    metric: str
    runs: list[_Run]
    curves: list[_Curve]
    scale: str


def _history_curves(
    sources: Sequence[Any], metrics: _Names, labels: _Names, smooth: float, log: bool
) -> list[_Panel]:
    """Computes what `plot_history` draws; the arguments are its own."""
    runs = _runs(sources, labels)
    smooth = real_number("plot_history", "smooth", smooth, least=0, below=1)
    panels = []
    for metric in _choose_metrics(metrics, [run.history for run in runs]):
        curves = [
            _curve(run, column, smooth)
            for run in runs
            for column in (metric, f"val_{metric}")
            if column in run.history.history
        ]
        values = (value for curve in curves for value in curve.values)
        logarithmic = log and all(value > 0 for value in values if math.isfinite(value))
        panels.append(_Panel(metric, runs, curves, "log" if logarithmic else "linear"))
    return panels


def _runs(sources: Sequence[Any], labels: _Names) -> list[_Run]:
    """Reads the histories and decides their looks: one shows its kinds, several show their runs."""
    function, argument = "plot_history", "histories"
    if not sources:
        raise invalid(function, argument, "hold at least one history", "histories=()")
    found = found_in(sources, function=function, argument=argument)
    for sentence in found.unreadable:
        warnings.warn(sentence, stacklevel=4)
    sources, read = found.sources, found.histories
    default = labels_for(sources) if len(sources) > 1 else [""]
    names = default if labels is None else _check_labels(labels, len(sources))
    begun = [bool(run.epoch) or not _is_path(at) for run, at in zip(read, sources, strict=True)]
    if any(run.epoch for run in read):  # A run that has just begun waits its turn.
        read, names = list(itertools.compress(read, begun)), list(itertools.compress(names, begun))
    histories = [_renamed(history, position) for position, history in enumerate(read)]
    if len(histories) == 1:
        return [_Run(histories[0], names[0], dict(zip(_KINDS, COLOURS, strict=False)), False)]
    colours = _colour_of_each(names)
    validated = any(column.startswith("val_") for run in histories for column in run.history)
    return [
        _Run(history, name, dict.fromkeys(_KINDS, colours[name]), validated)
        for history, name in zip(histories, names, strict=True)
    ]


def _colour_of_each(names: Sequence[str]) -> dict[str, str]:
    """Returns a colour a name; of many names a scale, which at least shows their order."""
    different = list(dict.fromkeys(names))
    colours: Sequence[str] = COLOURS
    if len(different) > len(COLOURS):
        scale = matplotlib.colormaps["viridis"](np.linspace(0.15, 0.9, len(different)))
        colours = [to_hex(colour) for colour in scale]
    return dict(zip(different, colours, strict=False))


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)


def _renamed(history: History, position: int) -> History:
    """Returns the history, with "acc" called by today's name unless that is another column."""
    if not history.epoch or not history.history:
        must = "each hold at least one epoch of one column"
        raise invalid("plot_history", "histories", must, f"histories[{position}]={history!r}")
    columns = {new_name(name, history.history): row for name, row in history.history.items()}
    monitor = history.monitor and new_name(history.monitor, history.history)
    return dataclasses.replace(history, history=columns, monitor=monitor)


def _check_labels(labels: str | Sequence[str], count: int) -> list[str]:
    names = [labels] if isinstance(labels, str) else labels
    if not isinstance(names, Sequence) or len(names) != count:
        must = f"be a list of one label per history ({count})"
        raise invalid("plot_history", "labels", must, f"labels={show(labels)}")
    return [str(name) for name in names]


def _choose_metrics(metrics: _Names, histories: list[History]) -> list[str]:
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
    asked = [name if name in columns else new_name(name) for name in metrics]
    bare = [name.removeprefix("val_") if name in columns else name for name in asked]
    return list(dict.fromkeys(one_of("plot_history", "metrics", name, names) for name in bare))


def _curve(run: _Run, column: str, smooth: float) -> _Curve:
    history, values = run.history, run.history.history[column]
    kind = "validation" if column.startswith("val_") else "training"
    kind = "" if column in PER_EPOCH_FACTS else kind
    smoothed = _smoothed(values, smooth) if smooth else None
    best = None
    if column == history.monitor and history.best_epoch is not None:
        best = (history.best_epoch, history.best[column])
    return _Curve(run, column, kind, values, smoothed, best)


def _smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Returns the moving average of `plot_history`'s docstring, with gaps left as they are."""
    average, seen, smoothed = 0.0, 0, []
    for value in values:
        if there := math.isfinite(value):
            seen += 1
            average = weight * average + (1 - weight) * value
        smoothed.append(average / (1 - weight**seen) if there else math.nan)
    return smoothed


def _draw_panel(ax: Axes, panel: _Panel, points: int) -> None:
    ax.set_yscale(panel.scale)
    for curve in panel.curves:
        _draw_curve(ax, curve, points)
    if len(panel.runs) == 1:  # the lines of several would be a forest
        _mark_epochs(ax, panel.runs[0].history)
        for best in filter(None, (curve.best for curve in panel.curves)):
            _say_best(ax, *best)
    ax.set_xlabel("epoch")
    ax.set_ylabel(panel.metric)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _draw_curve(ax: Axes, curve: _Curve, points: int) -> None:
    """Draws the curve, the raw one behind a smoothed one, and a dot at its best epoch."""
    colour = curve.run.colours[curve.kind]
    dashed = curve.run.dashed and curve.kind == "training"
    style = {"color": colour, **(_DASHED if dashed else _SOLID)}
    if curve.smoothed is not None:
        faint = style | {"alpha": 0.25, "linestyle": "-", "linewidth": 1}
        _draw_line(ax, curve, curve.values, points, label="_raw", **faint)
    name = ", ".join(filter(None, (curve.run.label, curve.kind)))
    _draw_line(ax, curve, curve.smoothed or curve.values, points, label=name, **style)
    if curve.best:
        ring = ax.get_facecolor()
        (dot,) = ax.plot(*curve.best, "o", color=colour, markeredgecolor=ring, label="_best")
        dot.set(markersize=7.5, zorder=4)


def _draw_line(ax: Axes, curve: _Curve, column: Sequence[float], points: int, **style: Any) -> None:
    shown = points_to_draw(column, points)
    values = np.asarray(column, dtype=float)[shown]
    there = np.pad(np.isfinite(values), 1)
    alone = np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:])
    if alone.size:  # a point without neighbours has no line to be seen by
        style |= {"marker": "o", "markersize": 5, "markevery": alone.tolist()}
    ax.plot(np.asarray(curve.run.history.epoch)[shown], values, **style)


def _mark_epochs(ax: Axes, history: History) -> None:
    ink = matplotlib.rcParams["text.color"]
    if history.best_epoch is not None:
        label = f"best epoch by {history.monitor}"
        ax.axvline(history.best_epoch, color=ink, alpha=0.35, linewidth=1, zorder=1, label=label)
    if history.stopped_epoch is not None:
        why = "" if history.stop_reason == "early_stopping" else f" ({history.stop_reason})"
        label = f"stopped after epoch {history.stopped_epoch}{why}"
        ax.axvline(history.stopped_epoch, color=ink, linestyle=":", zorder=1, label=label)


def _say_best(ax: Axes, epoch: int, value: float) -> None:
    """Writes value and epoch beside the line of the best epoch, where there is more room."""
    ax.get_xlim(), ax.get_ylim()  # brings the limits, and so transData, up to date
    right, high = ax.transAxes.inverted().transform(ax.transData.transform((epoch, value))) > 0.5
    ax.annotate(
        f"{value:.4g}\nat epoch {epoch}",
        xy=(epoch, 0 if high else 1),
        xycoords=ax.get_xaxis_transform(),
        xytext=(-6 if right else 6, 4 if high else -4),
        textcoords="offset points",
        ha="right" if right else "left",
        va="bottom" if high else "top",
        fontsize="small",
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )


def _draw_legend(axes: list[Axes], panels: list[_Panel], *, own_figure: bool) -> None:
    """Puts the legend beside the panels of our own figure, or into the first of those given."""
    single = len(panels[0].runs) == 1
    entries = _entries_of_one(axes) if single else _entries_of_many(panels)
    if not entries:
        return
    owner: Any = axes[0].figure if own_figure else axes[0]
    place: dict[str, Any] = {"loc": "outside right upper", "frameon": False}
    if not own_figure:
        # To search the best place takes long among the many curves that many entries mean.
        place = {"loc": "best" if len(entries) <= 8 else "upper right", "fontsize": "small"}
    elif single:
        place |= {"loc": "outside lower center", "ncols": 2 * min(len(axes), 2)}
    else:
        lines = "\n".join(entries.values()).split("\n")
        width, height = owner.get_size_inches()
        width += 0.8 + 0.08 * max(map(len, lines))
        owner.set_size_inches(width, max(height, 0.8 + 0.2 * len(lines)))
    # Matplotlib 3.9 leaves out of a legend what is called "_...", so the names are set afterwards.
    legend = owner.legend(list(entries), [" "] * len(entries), **place)
    for text, name in zip(legend.get_texts(), entries.values(), strict=True):
        text.set_text(name)


def _entries_of_one(axes: list[Axes]) -> dict[Any, str]:
    """Returns what is drawn, each thing once, and its name."""
    drawn = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
    handles = {name: handle for pairs in drawn for handle, name in pairs}
    return {handle: name for name, handle in handles.items()}


def _entries_of_many(panels: list[_Panel]) -> dict[Any, str]:
    """Returns the runs and a key to their lines; of too many runs some, evenly spread."""
    runs = list({run.label: run for run in panels[0].runs}.values())
    curves = [curve for panel in panels for curve in panel.curves]
    shown = np.linspace(0, len(runs) - 1, min(len(runs), _MOST_NAMED_RUNS)).round().astype(int)
    entries: dict[Any, str] = {}
    for run in (runs[row] for row in shown):
        name = textwrap.fill(run.label, 32, max_lines=3, placeholder=" …")
        entries[Line2D([], [], color=run.colours["training"], linewidth=2.5)] = name
    if len(runs) > len(shown):
        entries[Line2D([], [], linestyle="none")] = f"… and {len(runs) - len(shown)} more"
    ink = matplotlib.rcParams["text.color"]
    if runs[0].dashed:
        entries[Line2D([], [], color=ink, **_DASHED)] = "training"
        entries[Line2D([], [], color=ink, **_SOLID)] = "validation"
    if any(curve.best for curve in curves):
        entries[Line2D([], [], color=ink, marker="o", linestyle="none")] = "best epoch"
    return entries
