"""Pictures of learning rates: what a sweep found, and what a schedule will do.

Numbers first, then the drawing, as in `plots`. Nothing here knows Keras.
"""

import dataclasses
import os
import textwrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from kerastrain._axes import COLOURS, given_axes, new_axes
from kerastrain._checks import invalid, show
from kerastrain.rate_records import LRSweep

_HEADROOM = 0.25  # of the fall of the loss: what is shown above its beginning, before it runs away


def plot_lr_sweep(sweep: LRSweep | str | os.PathLike[str], ax: Axes | None = None) -> Axes:
    """Draws the loss over the learning rate, and marks the suggestion.

    The raw losses are faint points, one a step; the line is what `LRSweep.smoothed` holds. Where
    the loss runs away it leaves the picture, so that its fall stays readable.

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
    picture = _sweep_picture(_read(sweep))
    (ax,) = new_axes(1) if ax is None else given_axes("plot_lr_sweep", ax, ["loss"], panel="panel")
    ink = matplotlib.rcParams["text.color"]
    points: dict[str, Any] = {"marker": ".", "linestyle": "none", "alpha": 0.3, "markersize": 4}
    ax.plot(picture.rates, picture.losses, color=COLOURS[0], label="each step", **points)
    ax.plot(picture.rates, picture.smoothed, color=COLOURS[0], linewidth=2, label="smoothed")
    ax.axvline(picture.suggestion, color=COLOURS[3], linewidth=1.2, zorder=1)
    (dot,) = ax.plot(picture.suggestion, picture.height, "o", color=COLOURS[3], label="suggestion")
    dot.set(markersize=8, markeredgecolor=ax.get_facecolor(), zorder=4)
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=picture.limits)
    left = picture.is_left
    ax.annotate(
        picture.text,
        xy=(picture.suggestion, 0.97),
        xycoords=ax.get_xaxis_transform(),
        xytext=(8 if left else -8, 0),
        textcoords="offset points",
        ha="left" if left else "right",
        va="top",
        color=ink,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 1},
    )
    ax.legend(loc="lower left", frameon=False)
    return ax


@dataclasses.dataclass(frozen=True)
class _SweepPicture:
    """What `plot_lr_sweep` draws.

    `height` is the smoothed loss at the suggestion, `limits` are those of the y axis, and `is_left`
    tells whether the suggestion is in the left half, so that its text has room on the right.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float
    height: float
    limits: tuple[float, float]
    is_left: bool
    text: str


def _sweep_picture(sweep: LRSweep) -> _SweepPicture:
    place = np.log([*sweep.rates, sweep.suggestion])
    height = float(np.interp(place[-1], place[:-1], sweep.smoothed))
    doubt = "" if sweep.reliable else "\n" + textwrap.fill(f"not reliable: {sweep.note}", 34)
    return _SweepPicture(
        rates=sweep.rates,
        losses=sweep.losses,
        smoothed=sweep.smoothed,
        suggestion=sweep.suggestion,
        height=height,
        limits=_limits(sweep),
        is_left=bool(place[-1] < (place[0] + place[-2]) / 2),
        text=f"learning rate {sweep.suggestion:.2g}{doubt}",
    )


def _limits(sweep: LRSweep) -> tuple[float, float]:
    """Returns the limits of the y axis: the fall of the loss, and a little of what comes after."""
    lowest = int(np.argmin(sweep.smoothed))
    before = [*sweep.losses[: lowest + 1], *sweep.smoothed[: lowest + 1]]
    low, high = min(before), float(np.quantile(before, 0.99))
    room = _HEADROOM * max(high - low, 1e-6)
    return low - room / 2, high + room


def _read(sweep: Any) -> LRSweep:
    if isinstance(sweep, str | os.PathLike):
        return LRSweep.load(sweep)
    if not isinstance(sweep, LRSweep):
        must = "be what lr_find returns, or a path to a saved one"
        raise invalid("plot_lr_sweep", "sweep", must, show(sweep), kind=TypeError)
    return sweep
