"""Every row once an epoch, in order, whatever the sizes; calls end where Keras counts them."""

import math

import numpy as np
import pytest

from kerastrain import stacks as stacks_module
from kerastrain.data import EpochOrder, as_tensors, rows_of
from kerastrain.stacks import Stacks


@pytest.fixture
def stacks_of(monkeypatch):
    """Makes stacks of `n` numbered rows, closed at the test's end."""
    opened = []

    def make(n, batch_size, most=100, shuffle=True, even=True, batches_a_call=None):
        monkeypatch.setattr(stacks_module, "_MOST_BATCHES", most)
        x = np.arange(n * 2, dtype="float32").reshape(n, 2)
        order = EpochOrder(np.arange(n), seed=3, shuffle=shuffle)
        tensors = as_tensors(rows_of(x, np.arange(n)))
        stacks = Stacks(tensors, order, batch_size=batch_size, even=even)
        stacks.batches_a_call = batches_a_call or stacks.batches
        opened.append(stacks)
        return stacks, order

    yield make
    for stacks in opened:
        stacks.close()


def call(stacks):
    """The labels that the stacks of one call hold."""
    seen = []
    while True:
        stack = stacks.next()
        x, y = (np.asarray(part) for part in stack.batches)
        np.testing.assert_array_equal(x[..., 0], 2 * y)
        seen += list(y[: stack.count].reshape(-1))
        if stack.ends_call:
            return seen


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n, batch_size", [(24, 4), (26, 4), (27, 4), (4, 4), (5, 4), (3, 4)])
@pytest.mark.parametrize("most, batches_a_call", [(2, 3), (4, 2), (100, 1), (100, 100)])
def test_an_epoch_hands_out_every_row_once_and_in_order(
    stacks_of, n, batch_size, most, batches_a_call, shuffle, even
):
    stacks, order = stacks_of(n, batch_size, most, shuffle, even, batches_a_call)
    in_keras = math.ceil(math.ceil(n / batch_size) / batches_a_call)
    for epoch in range(3):
        order.begin_epoch(epoch)
        seen = [label for _ in range(in_keras) for label in call(stacks)]
        assert seen == list(order.of_epoch(epoch))


def test_even_stacks_are_of_one_size_and_say_how_much_of_it_counts(stacks_of):
    stacks, _ = stacks_of(30, 4, 4, shuffle=False)
    handed = [stacks.next() for _ in range(3)]
    assert [tuple(stack.batches[0].shape) for stack in handed] == [(4, 4, 2), (4, 4, 2), (1, 2, 2)]
    assert [stack.count for stack in handed] == [4, 3, 1]
    assert [stack.is_full for stack in handed] == [True, True, False]


def test_other_stacks_hold_no_more_than_counts(stacks_of):
    stacks, _ = stacks_of(28, 4, 4, even=False)
    assert [tuple(stacks.next().batches[0].shape) for _ in range(2)] == [(4, 4, 2), (3, 4, 2)]


def test_the_first_stack_can_be_looked_at_without_using_it_up(stacks_of):
    stacks, order = stacks_of(24, 4, 3)
    stacks.first()
    assert call(stacks) == list(order.of_epoch(0))


def test_an_epoch_that_was_left_begins_anew(stacks_of):
    stacks, order = stacks_of(24, 4, 3)
    stacks.next()
    order.begin_epoch(1)
    assert call(stacks) == list(order.of_epoch(1))


def test_stacks_of_runs_that_are_much_alike_have_one_size(stacks_of):
    assert {stacks_of(n, 4, 4096)[0].size for n in range(1412, 1440)} == {368}


def test_a_stack_takes_no_more_memory_than_it_may(stacks_of, monkeypatch):
    monkeypatch.setattr(stacks_module, "_MOST_BYTES", 4 * (2 * 4 + 8) * 3)
    assert stacks_of(24, 4)[0].size == 3
