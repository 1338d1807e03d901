import math

import numpy as np
from matplotlib.figure import Figure

from kerastrain._axes import axes_in, points_to_draw


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
