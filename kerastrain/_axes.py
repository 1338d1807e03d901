"""What all pictures share: their colours, their figures, and the Axes that a user hands over."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure

from kerastrain._checks import invalid, show

# Okabe and Ito's colours for every kind of colour vision (https://jfly.uni-koeln.de/color/), less
# black, and less what vanishes on the ground: yellow on a bright one, dark blue on a dark one.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_ON_DARK = ("#56B4E9", *COLOURS[1:5], "#F0E442")


def colours_on(ax: Axes) -> tuple[str, ...]:
    """Returns the six colours that can be told apart on Axes, whose ground may be dark.

    Example:
        >>> ax = Figure(facecolor="black").add_subplot(facecolor="none")
        >>> colours_on(ax)[0], colours_on(Figure().add_subplot())[0]
        ('#56B4E9', '#0072B2')
    """
    return _ON_DARK if is_dark(ax) else COLOURS


def colour_of_the_best_on(ax: Axes) -> str:
    """Returns the colour that what is best, or advised, has in every picture, and nothing else.

    Example:
        >>> colour_of_the_best_on(Figure().add_subplot()) in COLOURS
        True
    """
    return colours_on(ax)[3]


def grades_on(ax: Axes) -> Callable[[Any], Any]:
    """Returns which colour a place from 0, the best, to 1 has: the better, the more it stands out.

    Example:
        >>> dark = Figure(facecolor="black").add_subplot(facecolor="black")
        >>> [brightness(grades_on(ax)(0.0)) > 0.5 for ax in (dark, Figure().add_subplot())]
        [True, False]
    """
    scale = matplotlib.colormaps["viridis"]
    # Neither end goes down in its ground, yellow in white and violet in black.
    best, worst = (0.92, 0.25) if is_dark(ax) else (0.0, 0.92)
    return lambda place: scale(best + (worst - best) * place)


def is_dark(ax: Axes) -> bool:
    """Tells whether the ground of Axes is dark; where they have none, it is the figure's."""
    grounds = [ax.get_facecolor(), ax.figure.get_facecolor()]
    seen = [colour for colour in grounds if to_rgba(colour)[3] > 0.5]
    ink = matplotlib.rcParams["text.color"]
    return brightness(seen[0]) <= 0.5 if seen else brightness(ink) > 0.5


def brightness(colour: Any) -> float:
    """Returns how bright a colour is to the eye, from 0 to 1.

    Example:
        >>> [round(brightness(colour), 2) for colour in ("black", "blue", "green", "white")]
        [0.0, 0.11, 0.29, 1.0]
    """
    return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))


def new_axes(count: int) -> list[Axes]:
    """Makes a figure of so many panels, and returns their Axes."""
    # Here and not above, since pyplot chooses a backend, which nothing else here needs.
    import matplotlib.pyplot as plt

    return axes_in(plt.figure(layout="constrained"), count)


def axes_in(figure: Figure, count: int) -> list[Axes]:
    """Divides a figure into so many panels, gives it the size for them, and returns their Axes."""
    rows, columns = grid_of(count)
    figure.set_size_inches(max(6.4, 4.6 * columns), 3.5 * rows + 0.6)
    axes = [figure.add_subplot(rows, columns, number) for number in range(1, count + 1)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return axes


def grid_of(count: int) -> tuple[int, int]:
    """Returns the rows and columns that so many panels stand in."""
    columns = {1: 1, 2: 2, 4: 2}.get(count, 3)
    return math.ceil(count / columns), columns


def resize(axes: Sequence[Axes], width: float, height: float) -> None:
    """Gives the figure of Axes from `new_axes` another size, in inches."""
    figure = axes[0].get_figure()
    if isinstance(figure, Figure):
        figure.set_size_inches(width, height)


def given_axes(
    function: str, ax: Axes | Sequence[Axes], panels: Sequence[str], *, panel: str
) -> list[Axes]:
    """Returns the user's Axes as a list, or raises where they aren't one a panel.

    Args:
        function: The public function that was called.
        ax: Its argument `ax`.
        panels: What each panel shows.
        panel: What a panel is for, such as "metric".
    """
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if not all(isinstance(one, Axes) for one in axes):
        must = "be a Matplotlib Axes or a list of them"
        raise invalid(function, "ax", must, f"ax={show(ax)}", kind=TypeError)
    if len(axes) != len(panels):
        must = f"hold one Axes per {panel} ({', '.join(map(repr, panels))})"
        raise invalid(function, "ax", must, f"{len(axes)} Axes")
    return axes


def points_to_draw(values: Sequence[float], most: int) -> np.ndarray:
    """Returns the positions of about `most` points that make the same line as all of them.

    Of each stretch these are its lowest and its highest point, which is all that a stretch as wide
    as a pixel shows; one with a gap in it stays as it is.

    Example:
        >>> points_to_draw([3.0, 1.0, 5.0, 4.0, 2.0, 7.0, 6.0, 0.0], 4)
        array([0, 1, 2, 5, 7])
    """
    array = np.asarray(values, dtype=float)
    if len(array) <= most:
        return np.arange(len(array))
    length = -(-2 * len(array) // most)
    whole = len(array) // length * length
    stretches = array[:whole].reshape(-1, length)
    starts = np.arange(0, whole, length)
    has_gap = ~np.isfinite(stretches).all(axis=1)
    kept = np.zeros(len(array), dtype=bool)
    kept[starts + stretches.argmin(axis=1)] = kept[starts + stretches.argmax(axis=1)] = True
    kept[:whole].reshape(-1, length)[has_gap] = True
    kept[[0, -1]] = kept[whole:] = True
    return np.flatnonzero(kept)
