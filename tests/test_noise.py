"""Tests for differences, against SciPy's and against tables."""

import math

import numpy as np
import pytest

from kerastrain._noise import pooled, two_sided, welch, with_spread

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize(
    "freedom, t", [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (1e6, 1.96)]
)
def test_the_table_of_students_t_is_met(freedom, t):
    assert two_sided(t, freedom) == pytest.approx(0.05, abs=5e-5)
    assert two_sided(-t, freedom) == two_sided(t, freedom)
    assert two_sided(0.0, freedom) == 1.0


def test_welchs_test_is_scipys():
    stats = pytest.importorskip("scipy.stats", reason="SciPy comes with scikit-learn")
    for _ in range(50):
        ours = GENERATOR.normal(0.3, 0.01, GENERATOR.integers(2, 8))
        theirs = GENERATOR.normal(0.31, 0.05, GENERATOR.integers(2, 8))
        expected = stats.ttest_ind(ours, theirs, equal_var=False).pvalue
        assert welch(ours.tolist(), theirs.tolist()) == pytest.approx(expected, abs=1e-6)


def test_the_pooled_test_of_two_that_are_repeated_is_scipys():
    stats = pytest.importorskip("scipy.stats", reason="SciPy comes with scikit-learn")
    ours, theirs = [0.30, 0.31, 0.33], [0.34, 0.36]
    expected = stats.ttest_ind(ours, theirs).pvalue
    assert pooled(ours, theirs, [ours, theirs]) == pytest.approx(expected, abs=1e-6)


def test_a_single_run_is_held_against_the_scatter_of_the_others():
    ours = [0.30, 0.31, 0.32]  # The standard deviation is 0.01.
    t = 0.1 / (0.01 * math.sqrt(1 / 3 + 1))
    assert pooled(ours, [0.41], [ours]) == pytest.approx(two_sided(t, 2))


def test_what_does_not_scatter_is_the_same_or_is_not():
    assert welch([0.5, 0.5], [0.5, 0.5]) == 1
    assert welch([0.5, 0.5], [0.4, 0.4]) == 0
    assert pooled([0.5, 0.5], [0.5], [[0.5, 0.5]]) == 1
    assert pooled([0.5, 0.5], [0.4], [[0.5, 0.5]]) == 0


def test_noise_is_called_more_than_noise_as_often_as_is_said():
    found = [welch(*GENERATOR.normal(size=(2, 5)).tolist()) < 0.05 for _ in range(1000)]
    assert 0.02 < np.mean(found) < 0.07


@pytest.mark.parametrize(
    "mean, spread, text",
    [
        (0.31234, 0.0081, "0.312 ± 0.008"),
        (0.31234, 0.0131, "0.312 ± 0.013"),
        (1234.5, 61.0, "1234 ± 61"),
        (12.345, 1.2, "12.3 ± 1.2"),
        (0.5, 0.0, "0.5000 ± 0"),
    ],
)
def test_a_mean_has_the_digits_that_its_spread_leaves_a_meaning(mean, spread, text):
    assert with_spread(mean, spread) == text
