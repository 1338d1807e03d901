"""A step is measured warm, and on as many steps as it takes to hide the call."""

import types

import pytest

from kerastrain.loops import RowLoop


def measured(seconds, full_batches=1000):
    """The measure where the n-th call takes `seconds(n, steps)`, and the steps of each call."""
    counts = []

    def timed(count):
        counts.append(count)
        return seconds(len(counts), count)

    loop = object.__new__(RowLoop)
    loop.calls = types.SimpleNamespace(full_batches=full_batches)
    loop._timed = timed
    return loop.measured(), counts


def test_what_the_first_step_costs_is_no_measure():
    step, counts = measured(lambda number, count: 5.0 if number == 1 else 0.002 * count)
    assert step == pytest.approx(0.002)
    assert counts == [1, 1, 4, 16]


def test_a_slow_step_is_measured_once():
    assert measured(lambda number, count: 0.5 * count) == (0.5, [1, 1])


def test_the_shorter_a_step_the_more_of_them_are_measured_up_to_an_epoch():
    step, counts = measured(lambda number, count: 0.0005 + 1e-6 * count, full_batches=300)
    assert counts == [1, 1, 4, 16, 64, 256, 300]
    assert step == pytest.approx(1e-6 + 0.0005 / 300)


def test_fewer_rows_than_a_batch_has_are_a_step_too():
    assert measured(lambda number, count: 0.001 * count, full_batches=0) == (0.001, [1, 1])
