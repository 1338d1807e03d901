"""Pictures of learning rates: what a sweep found, and what a schedule will do.

Numbers first, then the drawing. A schedule is a function of the step, and is only called here, so
that it may be Keras's, ours or anybody's. Nothing here shows a figure, changes Matplotlib's
settings or knows Keras.
"""

import dataclasses
import inspect
import math
import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kerastrain._axes import COLOURS, colour_of_the_best_on, colours_on, given_axes, new_axes
from kerastrain._checks import invalid, labels_checked, show, whole_number
from kerastrain._fonts import font_for
from kerastrain._record_files import record_of
from kerastrain.rate_records import LRSweep

_RATE, _MOMENTUM = "learning rate", "momentum"
_STYLES = ("-", "--", ":", "-.")  # in turn, once there are more schedules than colours
_POINTS = 300  # more take seconds to compute, and show no more
_HEADROOM = 0.25  # of the fall of the loss: what is shown above its beginning, before it runs away


def plot_lr_sweep(sweep: LRSweep | str | os.PathLike[str], ax: Axes | None = None) -> Axes:
    """Draws the loss over the learning rate, and marks the suggestion.

    The raw losses are faint points, one a step; the line is what `LRSweep.smoothed` holds. Where
    the loss runs away it leaves the picture, so that its fall stays readable. The shaded stretch is
    the bottom, whose middle is suggested.

    Args:
        sweep: What `lr_find` returned, or the path of a file that `LRSweep.save` wrote.
        ax: Where to draw; by default a new figure.

    Returns:
        The Axes.

    Example:
        >>> sweep = LRSweep([1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0], [1.9, 1.1, 2.5], 5e-3, True)
        >>> ax = plot_lr_sweep(sweep)
        >>> ax.get_xscale(), ax.get_lines()[1].get_ydata()
        ('log', array([1.9, 1.1, 2.5]))
    """
    picture = _sweep_picture(
        record_of(sweep, LRSweep, function="plot_lr_sweep", argument="sweep", maker="lr_find")
    )
    found = picture.sweep
    legend = "lower left" if ax is None else "best"
    (ax,) = new_axes(1) if ax is None else given_axes("plot_lr_sweep", ax, ["loss"], panel="panel")
    font = font_for([picture.text], function="plot_lr_sweep")
    ink, colour = matplotlib.rcParams["text.color"], colours_on(ax)[0]
    advised = colour_of_the_best_on(ax)
    points: dict[str, Any] = {"marker": ".", "linestyle": "none", "alpha": 0.3, "markersize": 4}
    ax.plot(found.rates, found.losses, color=colour, label="each step", **points)
    ax.plot(found.rates, found.smoothed, color=colour, linewidth=2, label="smoothed")
    if found.bottom:
        ax.axvspan(*found.bottom, color=advised, alpha=0.1, linewidth=0, label="bottom")
    ax.axvline(found.suggestion, color=advised, linewidth=1.2, zorder=1)
    (dot,) = ax.plot(found.suggestion, picture.height, "o", color=advised, label="suggestion")
    dot.set(markersize=8, markeredgecolor=ax.get_facecolor(), zorder=4)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=picture.limits)
    left = picture.is_left
    ax.annotate(
        "\n".join(map(font.legible, picture.text.split("\n"))),
        xy=(found.suggestion, 0.97),
        xycoords=ax.get_xaxis_transform(),
        xytext=(8 if left else -8, 0),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        color=ink,
        **font.look,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )
    ax.legend(loc=legend, frameon=False)
    return ax


@dataclasses.dataclass(frozen=True)
class _SweepPicture:
    """What `plot_lr_sweep` draws.

    `height` is the smoothed loss at the suggestion, `limits` are those of the y axis, and `is_left`
    tells whether the suggestion is in the left half, so that its text has room on the right.
    """

    sweep: LRSweep
    height: float
    limits: tuple[float, float]
    is_left: bool
    text: str


def _sweep_picture(sweep: LRSweep) -> _SweepPicture:
    place = np.log([*sweep.rates, sweep.suggestion])
    height = float(np.interp(place[-1], place[:-1], sweep.smoothed))
    doubt = "" if sweep.reliable else "\n" + textwrap.fill(f"not reliable: {sweep.note}", 34)
    return _SweepPicture(
        sweep=sweep,
        height=height,
        limits=_limits(sweep),
        is_left=bool(place[-1] < (place[0] + place[-2]) / 2),
        text=f"learning rate {sweep.suggestion:.2g}{doubt}",
    )


def _limits(sweep: LRSweep) -> tuple[float, float]:
    """Returns the limits of the y axis: the fall of the loss, and a little of what comes after."""
    smoothed = np.nan_to_num(sweep.smoothed, nan=np.inf)
    until = int(smoothed.argmin()) + 1
    before = np.array([*sweep.losses[:until], *sweep.smoothed[:until]])
    before = before[np.isfinite(before)] if np.isfinite(before).any() else np.zeros(1)
    low, high = float(before.min()), float(np.quantile(before, 0.99))
    room = _HEADROOM * max(high - low, 1e-3 * abs(high), 1e-30)
    return low - room / 2, high + room


def plot_schedule(
    *schedules: Callable[[int], Any],
    epochs: int,
    steps_per_epoch: int = 100,
    labels: str | Sequence[str] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draws the learning rates of a run before it starts, of one schedule or of several.

    A second panel shows the momentum, where a schedule has a say in it.

    Args:
        *schedules: Each one a Keras schedule or any other function from the step to the rate. One
            of `kerastrain.schedules` is drawn for a run of these lengths.
        epochs: Epochs of the run.
        steps_per_epoch: Steps an epoch. The lengths of Keras's own schedules are in steps, so it
            matters to them.
        labels: One name a schedule; by default what it is called.
        ax: Where to draw: one Axes for the rates, or as many Axes as there are panels. By default
            a new figure.

    Returns:
        The Axes, one a panel. Their figure is `axes[0].figure`.

    Raises:
        ValueError: If there is nothing to draw, or a wrong count of labels or Axes.
        TypeError: If an argument is of a kind that can't be drawn.

    Example:
        >>> from kerastrain.schedules import warmup
        >>> axes = plot_schedule(warmup(0.1, epochs=1), epochs=2, steps_per_epoch=2)
        >>> line = axes[0].get_lines()[0]
        >>> print(line.get_xdata(), line.get_ydata().round(3))
        [0.  0.5 1.  1.5 2. ] [0.05 0.1  0.1  0.1  0.1 ]
    """
    curves = _schedule_curves(schedules, epochs, steps_per_epoch, labels)
    has_momentum = any(curve.momenta is not None for curve in curves)
    names = [_RATE, _MOMENTUM] if has_momentum and not isinstance(ax, Axes) else [_RATE]
    if ax is None:
        axes = new_axes(len(names))
    else:
        axes = given_axes("plot_schedule", ax, names, panel="quantity")
    for name, panel_ax in zip(names, axes, strict=True):
        _draw_panel(panel_ax, name, curves)
    if len(curves) == 1:
        _say_peak(axes[0], curves[0])
    else:
        _draw_legend(axes[0], curves)
    return axes


@dataclasses.dataclass(frozen=True)
class _Curve:
    """What a schedule does in a run; `momenta` is `None` where it leaves the momentum alone."""

    label: str
    position: int
    epochs: np.ndarray
    rates: np.ndarray
    momenta: np.ndarray | None


def _schedule_curves(
    schedules: Sequence[Any],
    epochs: int,
    steps_per_epoch: int,
    labels: str | Sequence[str] | None,
) -> list[_Curve]:
    """Computes what `plot_schedule` draws; the arguments are its own."""
    epochs = whole_number("plot_schedule", "epochs", epochs, least=1)
    steps_per_epoch = whole_number("plot_schedule", "steps_per_epoch", steps_per_epoch, least=1)
    if not schedules:
        raise invalid("plot_schedule", "schedules", "hold at least one schedule", "schedules=()")
    names = (
        _names(schedules)
        if labels is None
        else labels_checked("plot_schedule", labels, len(schedules), of="schedule")
    )
    curves = []
    for position, (schedule, name) in enumerate(zip(schedules, names, strict=True)):
        if inspect.isfunction(schedule) and schedule.__module__ == "kerastrain.schedules":
            must = f"be called with a peak, as in {schedule.__name__}(0.01)"
            received = f"schedules[{position}]={schedule.__name__}"
            raise invalid("plot_schedule", "schedules", must, received)
        if hasattr(schedule, "for_run"):
            schedule = schedule.for_run(steps_per_epoch, epochs)
        _check_gives_a_rate(schedule, position)
        curves.append(_curve(schedule, name, position, epochs, steps_per_epoch))
    return curves


def _check_gives_a_rate(schedule: Any, position: int) -> None:
    try:
        rate = float(schedule(0))
    except Exception:  # Whatever a function of something else does with a step.
        rate = math.nan
    if not math.isfinite(rate):
        must = "each be a Keras schedule or another function from the step to the rate"
        received = f"schedules[{position}]={show(schedule)}"
        raise invalid("plot_schedule", "schedules", must, received, kind=TypeError)


def _curve(schedule: Any, label: str, position: int, epochs: int, steps_per_epoch: int) -> _Curve:
    steps = _steps_shown(schedule, epochs * steps_per_epoch)
    momentum_at = getattr(schedule, "momentum_at", None)
    there = momentum_at is not None and momentum_at(0) is not None
    momenta = _values(momentum_at, steps) if momentum_at and there else None
    return _Curve(label, position, steps / steps_per_epoch, _values(schedule, steps), momenta)


def _steps_shown(schedule: Any, total: int) -> np.ndarray:
    """Returns steps from 0 to `total`, evenly spread, and more of them about the highest rate.

    Else the peak of a long run would be cut off.
    """
    shown = finer = _spread(0, total, _POINTS)
    while np.diff(finer).max() > 1:
        peak = int(np.argmax(_values(schedule, finer)))
        finer = _spread(finer[max(0, peak - 1)], finer[min(peak + 1, len(finer) - 1)], 20)
        shown = np.union1d(shown, finer)
    return shown


def _spread(first: int, last: int, most: int) -> np.ndarray:
    return np.linspace(first, last, min(last - first, most) + 1).round().astype(int)


def _values(function: Callable[[int], Any], steps: np.ndarray) -> np.ndarray:
    return np.array([float(function(int(step))) for step in steps])


def _names(schedules: Sequence[Any]) -> list[str]:
    """Returns what the schedules are called, with a number where several are called alike."""
    names = [_name(schedule) for schedule in schedules]
    return [
        f"{name} {names[: position + 1].count(name)}" if names.count(name) > 1 else name
        for position, name in enumerate(names)
    ]


def _name(schedule: Any) -> str:
    own = getattr(schedule, "factory", None) or getattr(schedule, "__name__", None)
    return str(own or type(schedule).__name__)


def _draw_panel(ax: Axes, name: str, curves: Sequence[_Curve]) -> None:
    for curve in curves:
        values = curve.rates if name == _RATE else curve.momenta
        if values is not None:
            ax.plot(curve.epochs, values, label=curve.label, **_look(ax, curve))
    ax.set_xlabel("epoch")
    ax.set_ylabel(name)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if name == _RATE:
        ax.set_ylim(bottom=0)  # A rate is a length: its half should look like one.


def _draw_legend(ax: Axes, curves: Sequence[_Curve]) -> None:
    font = font_for([curve.label for curve in curves], function="plot_schedule")
    for text in ax.legend(frameon=False).get_texts():
        text.set(text=font.legible(text.get_text()), **font.look)


def _look(ax: Axes, curve: _Curve) -> dict[str, Any]:
    turn, number = divmod(curve.position, len(COLOURS))
    style = _STYLES[turn % len(_STYLES)]
    return {"color": colours_on(ax)[number], "linestyle": style, "linewidth": 1.7}


def _say_peak(ax: Axes, curve: _Curve) -> None:
    """Marks where the rate is highest first, and writes it beside the dot."""
    peak = int(np.argmax(curve.rates))
    epoch, rate = curve.epochs[peak], curve.rates[peak]
    ring = ax.get_facecolor()
    (dot,) = ax.plot(
        epoch, rate, "o", color=_look(ax, curve)["color"], markeredgecolor=ring, label="_peak"
    )
    dot.set(markersize=7.5, zorder=4)
    ax.set_ylim(0, 1.15 * rate or None)  # Room for the words above it.
    ax.annotate(
        f"peak {rate:.4g} at epoch {round(epoch, 1):g}",
        xy=(epoch, rate),
        xytext=(0, 7),
        textcoords="offset points",
        ha="left" if epoch < 0.3 * curve.epochs[-1] else "center",
        va="bottom",
        fontsize="small",
    )
