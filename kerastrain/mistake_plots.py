"""Pictures of what a model gets wrong: which classes, which rows, and by how much.

`mistakes` works it out; here it is drawn. Each function takes the record as well as a model and
data. Nothing here shows a figure or changes Matplotlib's settings.
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kerastrain import mistakes
from kerastrain._axes import (
    brightness,
    colours_on,
    given_axes,
    grid_of,
    is_dark,
    new_axes,
    resize,
)
from kerastrain._checks import invalid, one_of, show
from kerastrain._fonts import Font, font_for, wrapped
from kerastrain._record_files import record_of
from kerastrain._tables import width_of
from kerastrain.mistake_records import NORMALIZE, Case, Confusion, Fit, Residuals, TopLosses

_MOST_NUMBERED = 20  # classes, beyond which numbers in the cells can't be read
_MOST_TICKS = 20
_LONGEST_NAME = 20  # Latin letters
_LINE = 92  # signs, of a text
_LINES = 3
_BINS = 60


def plot_confusion(
    model: keras.Model | Confusion | str | os.PathLike[str],
    x: Any = None,
    y: Any = None,
    *,
    classes: Sequence[str] | np.ndarray | None = None,
    normalize: str | None = "true",
    ax: Axes | None = None,
) -> Axes:
    """Draws which classes a model takes for which.

    Each row of the picture is a class, each column what it was taken for. The colours are not in
    proportion to the shares, or what is rare couldn't be seen. Up to 20 classes have numbers.

    Args:
        model: A compiled model for classes; or what `kerastrain.mistakes.confusion` returned, or
            the path of a file that `Confusion.save` wrote, and then nothing else.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The labels, as the model's loss takes them, or the strings that `classes` holds.
        classes: What the classes are called, in the order of their labels.
        normalize: What the shares are of: "true" of the true class, "pred" of the predicted one,
            "all" of all rows; `None` draws counts.
        ax: Where to draw; by default a new figure.

    Returns:
        The Axes.

    Raises:
        ValueError: If the model doesn't classify, or the labels aren't for it.

    Example:
        >>> ax = plot_confusion(Confusion([[8, 2], [0, 10]], ["cat", "dog"]))
        >>> ax.get_title(), ax.images[0].get_array().tolist()
        ('90.0 % of 20 rows right', [[0.8, 0.2], [0.0, 1.0]])
    """
    function = "plot_confusion"
    if normalize is not None:
        one_of(function, "normalize", normalize, NORMALIZE)
    found: Confusion = _found(
        function, model, x, y, {"classes": classes}, Confusion, mistakes.confusion
    )
    font = font_for(found.classes, function=function)
    count = len(found.classes)
    if ax is None:
        (ax,) = new_axes(1)
        side = min(3.4 + 0.42 * count, 8.6)
        resize([ax], side + 1.2, side)
        ax.spines[:].set_visible(True)
    else:
        (ax,) = given_axes(function, ax, ["confusion"], panel="panel")
    values = np.array(found.counts) if normalize is None else found.shares(normalize)
    _draw_cells(ax, values, normalize)
    if count <= _MOST_NUMBERED:
        _write_numbers(ax, values, normalize)
    _name_ticks(ax, found.classes, font)
    ax.set(xlabel="predicted", ylabel="true")
    ax.set_title(f"{100 * found.accuracy:.1f} % of {found.rows:,} rows right")
    return ax


def plot_top_losses(
    model: keras.Model | TopLosses,
    x: Any = None,
    y: Any = None,
    *,
    count: int | None = None,
    classes: Sequence[str] | np.ndarray | None = None,
    shown: Any = None,
    columns: Sequence[str] | np.ndarray | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draws the rows that cost a model most: pictures, series, texts, or their oddest columns.

    Labels that are wrong in the data, and rows that are hard for people too, are found here. Each
    row has its label, what the model took it for and how sure it was, and its loss. Of a row of
    numbers, the columns are shown that lie furthest from their means, in standard deviations; a
    series, of `x` of shape `(n, steps, features)`, has a line a feature. Of such an `x`, each row
    is a picture where its sides are 8 or more, and none more than four times the other.

    Args:
        model: A compiled model; or what `kerastrain.mistakes.top_losses` returned, and then
            nothing else.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The labels or numbers, as the model's loss takes them, or the strings that `classes`
            holds.
        count: How many rows; 9 if left out.
        classes: What the classes are called, in the order of their labels.
        shown: What to show of each row in place of `x`, such as the texts that were made numbers.
        columns: What the columns of `x` are called; by default as the data frame calls them.
        ax: Where to draw: as many Axes as there are pictures or series, or one for texts or rows.
            By default a new figure.

    Returns:
        The Axes: one a picture or series, or one.

    Raises:
        ValueError: If model, loss and labels don't belong together.

    Example:
        >>> from kerastrain.mistake_records import Case
        >>> case = Case(7, 4.2, "positive", "negative", 0.98, "not bad at all")
        >>> (ax,) = plot_top_losses(TopLosses([case], "texts", rows=100, mean_loss=0.5))
        >>> [text.get_text() for text in ax.texts]
        ['positive, predicted negative (98 %)', 'loss 4.2, row 7', 'not bad at all']
    """
    function = "plot_top_losses"
    options = {"count": count, "classes": classes, "shown": shown, "columns": columns}
    if isinstance(model, str | os.PathLike):
        must = "be a compiled model or what `kerastrain.mistakes.top_losses` returns"
        raise invalid(function, "model", must, f"model={os.fspath(model)!r}", kind=TypeError)
    found: TopLosses = _found(function, model, x, y, options, TopLosses, mistakes.top_losses)
    blocks = [wrapped(_words(case), _LINE, _LINES) for case in found.cases]
    written = [
        *(case.verdict for case in found.cases),
        *(line for block in blocks for line in block),
    ]
    font = font_for(written, function=function)
    if found.kind in ("pictures", "series"):
        return _draw_pictures(function, found, font, ax)
    height = sum(map(len, blocks)) + 1.6 * len(blocks)  # in lines
    if ax is None:
        (panel,) = new_axes(1)
        resize([panel], 8.6, 0.21 * height + 0.4)
    else:
        (panel,) = given_axes(function, ax, [found.kind], panel="panel")
    _draw_texts(panel, found.cases, blocks, font, height)
    return [panel]


def plot_residuals(
    model: keras.Model | Residuals | str | os.PathLike[str],
    x: Any = None,
    y: Any = None,
    *,
    outputs: str | Sequence[str] | np.ndarray | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draws how far a regression is off: predicted over true numbers, and what is left of these.

    On the diagonal the model is right. A residual is the true number less the predicted one; their
    mean says whether the model is biased, their spread how far it usually is off.

    Args:
        model: A compiled model that predicts numbers; or what `kerastrain.mistakes.residuals`
            returned, or the path of a file that `Residuals.save` wrote, and then nothing else.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The true numbers, `(n,)` or `(n, outputs)`.
        outputs: What the outputs are called, one name each.
        ax: Where to draw: two Axes for each output, those of the predicted numbers first; or one
            Axes for the predicted numbers of one output. By default a new figure.

    Returns:
        The Axes: of each output that of its predicted numbers, then of each that of its residuals.

    Raises:
        ValueError: If the model predicts classes.

    Example:
        >>> found = Residuals({"price": [1.0, 2.0, 3.0]}, {"price": [1.5, 2.0, 2.5]})
        >>> axes = plot_residuals(found)
        >>> axes[0].get_lines()[1].get_ydata().tolist(), axes[0].texts[0].get_text()
        ([1.5, 2.0, 2.5], 'R² 0.75')
    """
    function = "plot_residuals"
    found: Residuals = _found(
        function, model, x, y, {"outputs": outputs}, Residuals, mistakes.residuals
    )
    font = font_for(found.outputs, function=function)
    panels = [f"{what} {name}" for what in ("predicted", "residuals of") for name in found.outputs]
    if isinstance(ax, Axes) and len(found.outputs) == 1:
        panels = panels[:1]
    axes = new_axes(len(panels)) if ax is None else given_axes(function, ax, panels, panel="panel")
    count = len(found.outputs)
    for number, panel in enumerate(axes):
        name = found.outputs[number % count]
        shown = "" if name == "output" else f" {font.legible(name)}"
        colours = colours_on(panel)
        colour = colours[number % count % len(colours)]
        if number < count:
            _draw_predicted(panel, found, name, colour)
            words = (f"true{shown}", f"predicted{shown}")
        else:
            _draw_residuals(panel, found.residuals[name], found.fits[name], colour)
            words = (f"true less predicted{shown}", "rows")
        panel.set_xlabel(words[0], **font.look)
        panel.set_ylabel(words[1], **font.look)
    return axes


def _found(
    function: str,
    model: Any,
    x: Any,
    y: Any,
    options: dict[str, Any],
    kind: type[Any],
    find: Callable[..., Any],
) -> Any:
    """Returns the record that was passed, or the one of the model and data that were."""
    given = {name: value for name, value in options.items() if value is not None}
    if not isinstance(model, kind | str | os.PathLike):
        return find(model, x, y, **given, function=function)
    if x is not None and not isinstance(model, kind):
        must = "be a model beside `x`, such as load_model reads from its file"
        raise invalid(function, "model", must, f"model={show(model)}", kind=TypeError)
    for name, value in {"x": x, "y": y, **given}.items():
        if value is not None:
            must = f"be left out beside a {kind.__name__}, which has it all"
            raise invalid(function, name, must, f"a {kind.__name__} and `{name}`")
    maker = f"kerastrain.mistakes.{find.__name__}"
    return record_of(model, kind, function=function, argument="model", maker=maker)


def _draw_cells(ax: Axes, values: np.ndarray, normalize: str | None) -> None:
    """Draws the cells from the background's colour to blue, rare confusions to be seen as well."""
    colours = LinearSegmentedColormap.from_list("", [ax.get_facecolor(), colours_on(ax)[0]])
    highest = 1.0 if normalize in ("true", "pred") else float(np.nanmax(values)) or 1.0
    image = ax.imshow(
        values, cmap=colours, norm=PowerNorm(0.35 if is_dark(ax) else 0.5, vmin=0, vmax=highest)
    )
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
    of = {"true": "% of the true class", "pred": "% of the predicted class", "all": "% of all rows"}
    bar.set_label(of[normalize] if normalize else "rows")
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(6, integer=normalize is None)
    if normalize is not None:
        bar.formatter = PercentFormatter(1.0, decimals=0, symbol="")
    bar.update_ticks()


def _write_numbers(ax: Axes, values: np.ndarray, normalize: str | None) -> None:
    """Writes into each cell that isn't empty, in what can be read on its colour."""
    image = ax.images[0]
    size = float(np.interp(len(values), [6, 12, _MOST_NUMBERED], [10, 8.5, 6]))
    for (row, column), value in np.ndenumerate(values):
        if not value > 0:
            continue
        colour = image.cmap(image.norm(value))
        text = f"{value:,}" if normalize is None else _percent(value)
        ink = "black" if brightness(colour) > 0.45 else "white"
        ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _name_ticks(ax: Axes, classes: list[str], font: Font) -> None:
    step = math.ceil(len(classes) / _MOST_TICKS)
    ticks = list(range(0, len(classes), step))
    names = [font.legible(_short(classes[tick])) for tick in ticks]
    turned = max(map(len, names)) > 3
    look = font.look | {"fontsize": "medium" if len(ticks) <= 12 else "small"}
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(ticks, names, **look, **(slanted if turned else {}))
    ax.set_yticks(ticks, names, **look)


def _short(name: str) -> str:
    """Returns a name, without its end where it is long."""
    if width_of(name) <= _LONGEST_NAME:
        return name
    kept = next(n for n in range(len(name), -1, -1) if width_of(name[:n]) < _LONGEST_NAME)
    return f"{name[:kept]}…"


def _draw_pictures(function: str, found: TopLosses, font: Font, ax: Any) -> list[Axes]:
    names = [f"row {case.row}" for case in found.cases]
    if ax is None:
        axes = new_axes(len(found))
        rows, columns = grid_of(len(found))
        resize(axes, max(2.7 * columns, 5), 2.6 * rows + 0.2)
    else:
        axes = given_axes(function, ax, names, panel="picture")
    for panel, case in zip(axes, found.cases, strict=True):
        if found.kind == "series":
            _draw_series(panel, case.shown)
        else:
            panel.imshow(_in_range(case.shown), cmap="gray")
            panel.set_axis_off()
        sure = "" if case.probability is None else f" ({100 * case.probability:.0f} %)"
        lines = (case.true, f"predicted {case.predicted}{sure}", f"loss {case.loss:.3g}")
        title = "\n".join(map(font.legible, lines))
        panel.set_title(title, fontsize="small", **font.look)
    return axes


def _draw_series(ax: Axes, series: np.ndarray) -> None:
    """Draws each feature over the steps; of more than there are colours, all in one."""
    lines, colours = np.transpose(series), colours_on(ax)
    few = len(lines) <= len(colours)
    for number, values in enumerate(lines):
        colour, alpha = (colours[number], 1) if few else (colours[0], 0.4)
        ax.plot(values, color=colour, alpha=alpha, linewidth=1.1)
    ax.tick_params(labelsize="small")
    ax.set_xlabel("step", fontsize="small")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _in_range(picture: np.ndarray) -> np.ndarray:
    """Returns a picture as Matplotlib shows one: colours have to lie between 0 and 1."""
    picture = np.asarray(picture, dtype="float64")
    low, high = float(picture.min()), float(picture.max())
    if picture.ndim == 2 or (low >= 0 and high <= 1):
        return picture
    if low >= 0 and high <= 255:
        return picture / 255
    return (picture - low) / ((high - low) or 1)


def _words(case: Case) -> list[str]:
    """Returns what is written of a row, if anything, in parts that stay together."""
    if isinstance(case.shown, np.ndarray):
        return []
    if isinstance(case.shown, str):
        return case.shown.split()
    return [f"{column}{',' * (column is not case.shown[-1])}" for column in case.shown]


def _draw_texts(
    ax: Axes, cases: list[Case], blocks: list[list[str]], font: Font, height: float
) -> None:
    """Writes each row below the one before: its labels, its loss, and its words."""
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(height, 0))
    top = 0.6
    for case, lines in zip(cases, blocks, strict=True):
        look: dict[str, Any] = {"va": "center", "fontsize": 10, **font.look}
        ax.text(0, top, font.legible(case.verdict), color=colours_on(ax)[3], **look)
        ax.text(1, top, f"loss {case.loss:.3g}, row {case.row:,}", ha="right", **look)
        for number, line in enumerate(lines):
            ax.text(0, top + 1 + number, font.legible(line), **look)
        top += len(lines) + 1.6


def _draw_predicted(ax: Axes, found: Residuals, name: str, colour: str) -> None:
    true, predicted = np.array(found.true[name]), np.array(found.predicted[name])
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    ink = matplotlib.rcParams["text.color"]
    ax.plot(ends, ends, color=ink, linewidth=1, linestyle="--", alpha=0.6, label="right")
    alpha = float(np.interp(len(true), [50, 500, 5_000], [0.9, 0.5, 0.3]))
    points: dict[str, Any] = {"linestyle": "none", "marker": ".", "markeredgewidth": 0}
    ax.plot(true, predicted, color=colour, alpha=alpha, label=name, rasterized=True, **points)
    _say(ax, f"R² {found.fits[name].r2:.3g}")


def _draw_residuals(ax: Axes, left: np.ndarray, fit: Fit, colour: str) -> None:
    counts, edges = np.histogram(left, bins=min(_BINS, max(5, round(math.sqrt(len(left))))))
    ax.stairs(counts, edges, fill=True, color=colour, alpha=0.75)
    ink = matplotlib.rcParams["text.color"]
    ax.axvline(0, color=ink, linewidth=1, linestyle="--", alpha=0.6)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    _say(ax, f"mean {fit.mean:.3g}\nspread {fit.spread:.3g}\nmae {fit.mae:.3g}")


def _say(ax: Axes, text: str) -> None:
    box = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 1}
    ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", bbox=box)
