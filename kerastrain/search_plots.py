"""The picture of a search: what its trials reached, what mattered, and which choices were good.

`_search_picture` decides what there is to see and gives plain numbers; the functions here put them
on Axes. Nothing here shows a figure, changes Matplotlib's settings, or knows Keras or Optuna.
"""

import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kerastrain._axes import colour_of_the_best_on, colours_on, given_axes, grades_on
from kerastrain._fonts import Font, font_for
from kerastrain._record_files import record_of
from kerastrain._search_picture import ParameterAxis, SearchPicture, number_text, search_picture
from kerastrain.search_records import SearchResult, Trial, cut

_PANELS = ("value", "importance", "parameters")
_NO_VALUE = "0.5"
_POINT: dict[str, Any] = {"linestyle": "none", "markeredgewidth": 0}
_LOOKS: dict[str, dict[str, Any]] = {
    "complete": _POINT | {"marker": "o", "alpha": 0.8, "markersize": 5.5},
    "pruned": _POINT | {"marker": "D", "alpha": 0.6, "markersize": 4.5},
}


def plot_search(
    result: SearchResult | str | os.PathLike[str],
    *,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draws what a search tried and found, in three panels.

    The first shows each trial's value, and the best so far; a trial that has none, since it failed,
    lies at the bottom. The second shows how much each parameter mattered. In the third each
    parameter has an axis and each trial is a line: where the good ones, in dark, run together, a
    choice matters. An axis is logarmithic where its values span more than about two decades, and a
    parameter that a trial didn't have is "not set".

    Args:
        result: What `search` returned, or the path of a file that `SearchResult.save` wrote.
        ax: Where to draw: one Axes for the values alone, or three. By default a new figure.

    Returns:
        The Axes, one a panel. Their figure is `axes[0].figure`.

    Raises:
        ValueError: If the file can't be read, or on a wrong count of Axes.
        TypeError: If an argument is of a kind that can't be drawn.

    Example:
        >>> trials = [
        ...     Trial(0, {"units": 16}, "complete", 0.5),
        ...     Trial(1, {"units": 64}, "complete", 0.3),
        ... ]
        >>> axes = plot_search(SearchResult(trials, "val_loss", "min"))
        >>> print(axes[0].get_lines()[0].get_label(), axes[0].get_lines()[0].get_ydata())
        best so far [0.5 0.3]
    """
    picture = search_picture(
        record_of(result, SearchResult, function="plot_search", argument="result", maker="search")
    )
    panels = _PANELS[:1] if isinstance(ax, Axes) else _PANELS
    if ax is None:
        axes = _new_axes(len(picture.axes))
    else:
        axes = given_axes("plot_search", ax, panels, panel="panel")
    font = font_for(_words(picture), function="plot_search")
    for draw, panel_ax in zip((_draw_values, _draw_importance, _draw_lines), axes, strict=False):
        draw(panel_ax, picture, font)
    return axes


def _words(picture: SearchPicture) -> list[str]:
    """Returns what the user, or his data, have named."""
    ticks = [word for axis in picture.axes for word in axis.ticks.values()]
    return [picture.result.metric, *(axis.name for axis in picture.axes), *ticks]


def _new_axes(coordinates: int) -> list[Axes]:
    # Here and not above, since pyplot chooses a backend, which drawing on given Axes doesn't need.
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(max(9.2, 0.9 * coordinates), 7.6), layout="constrained")
    axes = figure.subplot_mosaic(
        [["value", "importance"], ["parameters", "parameters"]],
        width_ratios=[1.5, 1],
        height_ratios=[1, 1.1],
    )
    for ax in axes.values():
        ax.spines[["top", "right"]].set_visible(False)
    return [axes[name] for name in _PANELS]


def _draw_values(ax: Axes, picture: SearchPicture, font: Font) -> None:
    if not picture.trials:
        _say(ax, "no trials")
        return
    line, scale, colours = picture.best_so_far, picture.scale, colours_on(ax)
    if line.numbers:
        style: dict[str, Any] = {"color": colours[2], "linewidth": 1.7, "drawstyle": "steps-post"}
        ax.plot(line.numbers, line.values, label="best so far", **style)
    for colour, (state, points) in zip(colours, picture.points.items(), strict=False):
        if points.numbers:
            ax.plot(points.numbers, points.values, label=state, color=colour, **_LOOKS[state])
    _draw_beyond(ax, picture)
    _draw_valueless(ax, picture)
    _draw_best(ax, picture.best)
    if scale:
        if scale.is_log:  # The words of the axis below, which are more than Matplotlib's.
            ticks = scale.ticks(whole=False)
            ax.set_yscale("log")
            ax.set_yticks(ticks, list(map(number_text, ticks)))
            ax.minorticks_off()
        ax.set_ylim(scale.at(-0.16 if picture.valueless else -0.07), scale.at(1.07))
    else:
        ax.set_yticks([])
    ax.set_xlabel("trial")
    ax.set_ylabel(_folded(font.legible(picture.result.metric), 34, 2), **font.look)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
    ax.legend(frameon=False, fontsize="small", columnspacing=1.2, handletextpad=0.5, **place)


def _draw_beyond(ax: Axes, picture: SearchPicture) -> None:
    """Marks at the edge the trials whose values run away from it."""
    if not picture.scale:
        return
    low, high = picture.scale.low, picture.scale.high
    beyond = [
        number
        for points in picture.points.values()
        for number, value in zip(points.numbers, points.values, strict=True)
        if not low <= value <= high
    ]
    if beyond:
        edge, marker = (high, "^") if picture.result.mode == "min" else (low, "v")
        look: dict[str, Any] = {"marker": marker, "linestyle": "none", "color": colours_on(ax)[4]}
        ax.plot(beyond, [edge] * len(beyond), label="far off", **look)


def _draw_valueless(ax: Axes, picture: SearchPicture) -> None:
    """Marks at the bottom the trials that have no value to be drawn at."""
    if picture.valueless:
        failed = {trial.number for trial in picture.trials if trial.state == "failed"}
        label = "failed" if failed.issuperset(picture.valueless) else "failed or not finite"
        look: dict[str, Any] = {"color": matplotlib.rcParams["text.color"], "linestyle": "none"}
        look |= {"marker": "x", "transform": ax.get_xaxis_transform()}
        ax.plot(picture.valueless, [0.04] * len(picture.valueless), label=label, **look)


def _draw_best(ax: Axes, best: Trial | None) -> None:
    if best:
        label = f"best: {best.value:.4g} in trial {best.number}"
        ring = ax.get_facecolor()
        (dot,) = ax.plot(
            best.number,
            best.value,
            "o",
            color=colour_of_the_best_on(ax),
            markeredgecolor=ring,
            label=label,
        )
        dot.set(markersize=9, zorder=4)


def _draw_importance(ax: Axes, picture: SearchPicture, font: Font) -> None:
    if not picture.importance:
        _say(ax, "The importance of the parameters\nis not known: too few complete trials")
        return
    names, shares = zip(*picture.importance, strict=True)
    rows = range(len(names))
    ax.barh(rows, shares, color=colours_on(ax)[0], height=0.65)
    for row, share in zip(rows, shares, strict=True):
        text = "< 1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")
        place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(text, (share, row), fontsize="small", **place)
    # The more bars, the less height for a name beside each.
    letters, lines, size = (30, 1, "small") if len(names) > 6 else (20, 2, "medium")
    folded = [_folded(font.legible(name), letters, lines) for name in names]
    ax.set_yticks(rows, folded, fontsize=size, **font.look)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(max(len(names), 5) - 0.4, -0.6)  # From above, and of few no thick bars.
    ax.set_xlim(0, 1.18 * max(*shares, 1e-9))
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    metric = _folded(font.legible(picture.result.metric), 26, 1)
    ax.set_xlabel(f"importance for {metric}", **font.look)


def _draw_lines(ax: Axes, picture: SearchPicture, font: Font) -> None:
    if not picture.axes:
        _say(ax, "no parameters" if picture.trials else "no trials")
        return
    heights = np.array([axis.places for axis in picture.axes]).T
    values = heights[:, -1] if picture.scale else np.full(len(heights), math.nan)
    colours = _value_colours(ax, picture.result.mode)
    for state, style in _line_styles(len(heights)).items():
        rows = [row for row, trial in enumerate(picture.trials) if trial.state == state]
        # A line without a value ends at the last parameter.
        paths = [[(x, y) for x, y in enumerate(heights[row]) if y == y] for row in rows]
        shades = [_NO_VALUE if math.isnan(values[row]) else colours(values[row]) for row in rows]
        ax.add_collection(LineCollection(paths, colors=shades, label=f"_{state}", **style))
    if picture.best:
        best = heights[picture.trials.index(picture.best)]
        ax.plot(
            range(len(best)),
            best,
            color=colour_of_the_best_on(ax),
            linewidth=3,
            zorder=3,
            label="_best",
        )
    if picture.scale and picture.scale.low < picture.scale.high:
        _draw_strip(ax, len(picture.axes) - 1, colours)
    _draw_coordinates(ax, picture.axes, font)
    if picture.omitted:
        shown = len(picture.axes) - (picture.scale is not None)
        words = f"{shown} of {shown + picture.omitted} parameters, the most important"
        ax.set_title(words, loc="left", fontsize="small")
    _draw_legend_below(ax, picture)


def _line_styles(count: int) -> dict[str, dict[str, Any]]:
    """Returns how the lines of each state look: the more of them, the fainter."""
    alpha = min(0.85, max(0.25, 6 / math.sqrt(count)))
    return {
        "failed": {"alpha": alpha, "linewidth": 1.2, "linestyle": ":", "zorder": 1},
        "pruned": {"alpha": 0.3 * alpha, "linewidth": 1, "zorder": 1.2},
        "complete": {"alpha": alpha, "linewidth": 1.3, "zorder": 2},
    }


def _value_colours(ax: Axes, mode: str) -> Callable[[Any], Any]:
    """Returns the colour of a place on the axis of values: the better, the more it stands out."""
    grades = grades_on(ax)
    return grades if mode == "min" else lambda place: grades(1 - place)


def _draw_strip(ax: Axes, at: int, colours: Callable[[Any], Any]) -> None:
    """Colours the axis of the values, which explains the colours of the lines."""
    edges = np.linspace(0, 1, 65)
    cells = np.arange(64.0)[:, None]
    colour_map = ListedColormap(colours(edges[:-1]))
    ax.pcolormesh([at, at + 0.007 * (at + 1)], edges, cells, cmap=colour_map, zorder=4)


def _draw_coordinates(ax: Axes, axes: Sequence[ParameterAxis], font: Font) -> None:
    """Draws the axes with their words, and their names above them."""
    ink = matplotlib.rcParams["text.color"]
    ax.set(xlim=(-0.3, len(axes) - 0.45), ylim=(-0.03, 1.03), yticks=[])
    ax.spines[:].set_visible(False)
    ax.vlines(range(len(axes)), 0, 1, color=ink, linewidth=1, zorder=4)
    inches = ax.get_window_extent().width / ax.figure.dpi / (len(axes) - 0.15)
    letters = max(6, int(inches / 0.075))
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", length=0)
    names = [_folded(font.legible(axis.name), letters, 4) for axis in axes]
    ax.set_xticks(range(len(axes)), names, fontsize="small", **font.look)
    box = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 0.5}
    for x, axis in enumerate(axes):
        for height, word in axis.ticks.items():
            place: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points"}
            look: dict[str, Any] = {"va": "center", "fontsize": "small", "bbox": box, "zorder": 5}
            shown = cut(font.legible(word), letters)
            ax.annotate(shown, (x, height), **place, **look, **font.look)


def _draw_legend_below(ax: Axes, picture: SearchPicture) -> None:
    states = {trial.state for trial in picture.trials}
    ink = matplotlib.rcParams["text.color"]
    looks: dict[str, dict[str, Any]] = {}
    if picture.best:
        looks[f"best: trial {picture.best.number}"] = {
            "color": colour_of_the_best_on(ax),
            "linewidth": 3,
        }
    if "pruned" in states:
        looks["pruned"] = {"color": ink, "alpha": 0.3, "linewidth": 1}
    if "failed" in states:
        looks["failed"] = {"color": _NO_VALUE, "linewidth": 1, "linestyle": ":"}
    handles = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    if handles:
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": 3}
        ax.legend(handles=handles, frameon=False, fontsize="small", **place)


def _say(ax: Axes, words: str) -> None:
    """Writes into an empty panel why it is empty."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _folded(name: str, letters: int, lines: int) -> str:
    """Returns a name in about so many lines of so many letters, without its middle if need be."""
    most = letters * lines
    if len(name) > most:
        name = f"{name[: most // 2 - 1]}…{name[-(most // 2 - 1) :]}"
    rows = [""]
    for piece in re.findall(rf"[^_.\s-]{{1,{letters}}}[_.\s-]*|[_.\s-]+", name):
        if rows[-1] and len(rows[-1] + piece.rstrip()) > letters:
            rows.append("")
        rows[-1] += piece
    return "\n".join(row.strip() for row in rows)
