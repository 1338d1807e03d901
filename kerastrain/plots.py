"""Pictures of what training left behind: numbers first, then the drawing.

`history_picture` decides what there is to see and gives plain numbers; the functions here put them
on Axes. Nothing here shows a figure, prints, changes Matplotlib's settings or knows Keras.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kerastrain._axes import (
    axes_in,
    colour_of_the_best_on,
    colours_on,
    given_axes,
    grades_on,
    new_axes,
    points_to_draw,
)
from kerastrain._fonts import Font, font_for, wrapped
from kerastrain._history_picture import (
    KINDS,
    Curve,
    HistoryPicture,
    Names,
    Panel,
    Run,
    history_picture,
)
from kerastrain._tables import width_of
from kerastrain.records import History

_SOLID: dict[str, Any] = {"linewidth": 1.7}
_DASHED: dict[str, Any] = {"linewidth": 1.1, "linestyle": "--"}
_MOST_NAMED_RUNS = 12  # a longer legend fills the page
_MOST_POINTS = 30_000  # of all lines together; noise that fills a panel takes seconds with more
_POINTS_A_LINE = 400


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
    at its best epoch, and a training curve is dashed where there are validation curves too. More
    than six names are ranked by their best values, from the best one, thick and in a colour of its
    own, to the palest; more than twelve runs are drawn without training where they have validation.
    The lines of many long runs go through the lowest and the highest point of each stretch only.

    Args:
        *histories: Each one our `History`, Keras's `History`, a dict of lists, or a path: to a run
            directory, which may still be training, a folder of some, a JSON file of `History.save`
            or a CSV file of Keras's `CSVLogger`; or what has several, such as `Repeats`.
        metrics: The panels to draw, such as `"loss"` or `["accuracy", "learning_rate"]`;
            `"val_loss"` means the panel of `"loss"`, and `"acc"` that of `"accuracy"`. By default
            all that was measured, the loss first, without `learning_rate` and `seconds`.
        labels: One name a history; those that share one share its colour. By default a file's or a
            folder's name, or that of the folder around it where they are named alike, else "run 1",
            "run 2", ...; the seeds of each of several `Repeats` share one.
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
    picture = history_picture(histories, metrics, labels, smooth, log)
    if metrics is None and isinstance(ax, Axes):
        picture = dataclasses.replace(picture, panels=picture.panels[:1])
    names = [panel.metric for panel in picture.panels]
    axes = (
        new_axes(len(names))
        if ax is None
        else given_axes("plot_history", ax, names, panel="metric")
    )
    _draw(axes, picture, own_figure=ax is None)
    return axes


def fill_figure(
    figure: Figure,
    histories: Sequence[Any],
    *,
    metrics: Names = None,
    labels: Names = None,
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
    picture = history_picture(histories, metrics, labels, smooth, log)
    axes = axes_in(figure, len(picture.panels))
    if size is not None:
        figure.set_size_inches(size)
    _draw(axes, picture, own_figure=True)
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


def _draw(axes: list[Axes], picture: HistoryPicture, *, own_figure: bool) -> None:
    panels = picture.panels
    names = [run.label for run in picture.runs] + [panel.metric for panel in panels]
    font = font_for([*names, picture.ranked_by], function="plot_history")
    lines = sum(1 + (curve.smoothed is not None) for curve in picture.curves)
    points = max(_POINTS_A_LINE, _MOST_POINTS // max(1, lines))
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, picture, panel, points)
        ax.set_xlabel("epoch")
        ax.set_ylabel(font.legible(panel.metric), **font.look)
    _draw_legend(axes, picture, font, own_figure=own_figure)


def _draw_panel(ax: Axes, picture: HistoryPicture, panel: Panel, points: int) -> None:
    ax.set_yscale(panel.scale)
    for curve in panel.curves:
        _draw_curve(ax, picture, curve, points)
    if len(picture.runs) == 1:  # the lines of several would be a forest
        _mark_epochs(ax, picture.runs[0].history)
        for best in filter(None, (curve.best for curve in panel.curves)):
            _say_best(ax, *best)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _draw_curve(ax: Axes, picture: HistoryPicture, curve: Curve, points: int) -> None:
    """Draws the curve, the raw one behind a smoothed one, and a dot at its best epoch."""
    style = _look(ax, picture, curve)
    if curve.smoothed is not None:
        faint = style | {"alpha": 0.25, "linestyle": "-", "linewidth": 1}
        _draw_line(ax, curve, curve.values, points, label="_raw", **faint)
    name = ", ".join(filter(None, (curve.run.label, curve.kind)))
    _draw_line(ax, curve, curve.smoothed or curve.values, points, label=name, **style)
    if curve.best and (picture.is_best(curve.run) or not picture.ranked_by):
        ring, colour = ax.get_facecolor(), style["color"]
        (dot,) = ax.plot(*curve.best, "o", color=colour, markeredgecolor=ring, label="_best")
        dot.set(markersize=7.5, zorder=4)


def _look(ax: Axes, picture: HistoryPicture, curve: Curve) -> dict[str, Any]:
    """Returns colour and kind of a line: of one run a colour each, of several the same."""
    if len(picture.runs) == 1:
        return {"color": colours_on(ax)[KINDS.index(curve.kind)], **_SOLID}
    is_dashed = picture.is_validated and curve.kind == "training"
    style = _DASHED if is_dashed else _SOLID
    if picture.is_best(curve.run):
        style = style | {"linewidth": 2 if is_dashed else 3, "zorder": 3}
    elif picture.ranked_by:  # What is better lies above what is worse.
        style = style | {"linewidth": 1.1, "zorder": 2.9 - (curve.run.place or 0)}
    return {"color": _colour(ax, picture, curve.run), **style}


def _colour(ax: Axes, picture: HistoryPicture, run: Run) -> Any:
    """Returns the colour of one of several runs; the best of many has one that nothing else has."""
    if run.place is None:
        return colours_on(ax)[run.number]
    return colour_of_the_best_on(ax) if picture.is_best(run) else grades_on(ax)(run.place)


def _draw_line(ax: Axes, curve: Curve, column: Sequence[float], points: int, **style: Any) -> None:
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


def _draw_legend(
    axes: list[Axes], picture: HistoryPicture, font: Font, *, own_figure: bool
) -> None:
    """Puts the legend beside the panels of our own figure, or into the first of those given."""
    single = len(picture.runs) == 1
    entries = _entries_of_one(axes) if single else _entries_of_many(axes[0], picture)
    if not entries:
        return
    owner: Any = axes[0].figure if own_figure else axes[0]
    title = f"{font.legible(picture.ranked_by)}, best first" if picture.ranked_by else None
    width = 60 if single else 32
    names = ["\n".join(wrapped(font.legible(e).split(), width, 3)) for e in entries.values()]
    place: dict[str, Any] = {"loc": "outside right upper", "frameon": False}
    if not own_figure:
        # To search the best place takes long among the many curves that many entries mean.
        place = {"loc": "best" if len(entries) <= 8 else "upper right", "fontsize": "small"}
    elif single:
        place |= {"loc": "outside lower center", "ncols": 2 * min(len(axes), 2)}
    else:
        lines = "\n".join(filter(None, [title, *names])).split("\n")
        width, height = owner.get_size_inches()
        width += 0.8 + 0.08 * max(map(width_of, lines))
        owner.set_size_inches(width, max(height, 0.8 + 0.2 * len(lines)))
    # Matplotlib 3.9 leaves out of a legend what is called "_...", so the names are set afterwards.
    legend = owner.legend(list(entries), [" "] * len(entries), title=title, **place)
    legend.get_title().set(**font.look)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, **font.look)


def _entries_of_one(axes: list[Axes]) -> dict[Any, str]:
    """Returns what is drawn, each thing once, and its name."""
    drawn = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
    handles = {name: handle for pairs in drawn for handle, name in pairs}
    return {handle: name for name, handle in handles.items()}


def _entries_of_many(ax: Axes, picture: HistoryPicture) -> dict[Any, str]:
    """Returns the runs and a key to their lines; of too many runs some, evenly spread."""
    runs = list({run.label: run for run in picture.runs}.values())
    shown = np.linspace(0, len(runs) - 1, min(len(runs), _MOST_NAMED_RUNS)).round().astype(int)
    entries: dict[Any, str] = {}
    for run in (runs[row] for row in shown):
        thick = 3.5 if picture.is_best(run) else 2.5
        entries[Line2D([], [], color=_colour(ax, picture, run), linewidth=thick)] = run.label
    if len(runs) > len(shown):
        entries[Line2D([], [], linestyle="none")] = f"… and {len(runs) - len(shown)} more"
    ink = matplotlib.rcParams["text.color"]
    kinds = {curve.kind for curve in picture.curves}
    if picture.is_validated:
        looks = {"training": _DASHED, "validation": _SOLID}
        entries |= {Line2D([], [], color=ink, **looks[k]): k for k in looks if k in kinds}
    if any(curve.best for curve in picture.curves):
        entries[Line2D([], [], color=ink, marker="o", linestyle="none")] = "best epoch"
    return entries
