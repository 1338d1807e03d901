import math

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kerastrain._axes import axes_in, colours_on, grades_on, is_dark, points_to_draw


def test_few_points_are_all_drawn():
    assert points_to_draw([1.0, 2.0, 3.0], 3).tolist() == [0, 1, 2]
    assert points_to_draw([], 3).tolist() == []


def test_of_many_points_each_stretch_keeps_its_lowest_and_its_highest():
    values = np.random.default_rng(0).normal(size=1003)
    kept = points_to_draw(values, 100)
    assert 90 <= len(kept) <= 120  # The last few, less than a stretch, are all kept.
    for start in range(0, 980, 21):
        stretch = values[start : start + 21]
        own = values[[place for place in kept if start <= place < start + 21]]
        assert (own.min(), own.max()) == (stretch.min(), stretch.max())
    assert {0, 1002} <= set(kept)


def test_a_stretch_with_a_gap_in_it_stays_as_it_is():
    values = np.arange(100.0)
    values[[42, 44]] = math.nan
    kept = points_to_draw(values, 20)
    assert set(range(40, 50)) <= set(kept)
    assert len(kept) < 40


def test_a_figure_of_the_callers_is_unknown_to_pyplot():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    assert len(axes_in(Figure(), 2)) == 2
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("figure", "axes", "ink", "dark"),
    [
        ("white", "white", "black", False),
        ("black", "black", "white", True),
        ("black", "none", "black", True),
        ("white", "none", "white", False),
        ("none", "none", "white", True),
        ("none", "none", "black", False),
        ("white", "#1c2126", "black", True),
    ],
)
def test_colours_are_those_that_show_on_the_ground(figure, axes, ink, dark):
    with matplotlib.rc_context({"text.color": ink}):
        ax = Figure(facecolor=figure).add_subplot(facecolor=axes)
        assert is_dark(ax) is dark
        ground = "black" if dark else "white"
        assert len(set(colours_on(ax))) == 6
        assert all(contrast(colour, ground) > 1.9 for colour in colours_on(ax))


def contrast(one, other):
    """The ratio of luminances by WCAG 2.1."""
    found = []
    for colour in (one, other):
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        found.append(float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05)
    return max(found) / min(found)


@pytest.mark.parametrize("ground", ["black", "white"])
def test_grades_show_on_the_ground_and_the_better_the_more(ground):
    colour = grades_on(Figure(facecolor=ground).add_subplot(facecolor=ground))
    contrasts = [contrast(colour(place)[:3], ground) for place in np.linspace(0, 1, 9)]
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[-1] > 1.3
