"""What all pictures share: their colours, their figures, and the Axes that a user hands over."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerastrain._checks import invalid, show

# Okabe and Ito's colours for every kind of colour vision (https://jfly.uni-koeln.de/color/), less
# black and yellow, which vanish on a dark and on a white background.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")


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
