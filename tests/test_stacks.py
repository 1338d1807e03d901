import math

import numpy as np
import pytest

from kerastrain.data import EpochOrder, rows_of
from kerastrain.stacks import Stacks


def stacks_of(n, batch_size, most, shuffle=True):
    x = np.arange(n * 2, dtype="float32").reshape(n, 2)
    order = EpochOrder(np.arange(n), seed=3, shuffle=shuffle)
    stacks = Stacks(rows_of(x, np.arange(n)), order, batch_size=batch_size)
    stacks.resize(most)
    return stacks, order


def epoch_of(stacks, calls):
    """The labels of all batches that so many stacks hand out."""
    seen = []
    for _ in range(calls):
        stack = stacks.next()
        x, y = (np.asarray(part) for part in stack.batches)
        np.testing.assert_array_equal(x[..., 0], 2 * y)
        seen += list(y[: stack.count].reshape(-1))
        if stack.rest is not None:
            seen += list(np.asarray(stack.rest[1]))
    return seen


@pytest.mark.parametrize(
    ("n", "batch_size", "most", "calls"),
    [(24, 4, 2, 3), (24, 4, 4, 2), (26, 4, 4, 2), (27, 4, 100, 1), (4, 4, 1, 1), (5, 4, 9, 1)],
)
def test_an_epoch_hands_out_every_row_once_and_in_order(n, batch_size, most, calls):
    stacks, order = stacks_of(n, batch_size, most)
    for epoch in range(3):
        order.begin_epoch(epoch)
        assert epoch_of(stacks, calls) == list(order.of_epoch(epoch))
    stacks.close()


@pytest.mark.parametrize("n", range(8, 60))
def test_keras_counts_as_many_calls_as_there_are_stacks(n):
    for most in (1, 2, 3, 5, 100):
        stacks, _ = stacks_of(n, 4, most)
        in_keras = math.ceil(math.ceil(n / 4) / stacks.size)
        assert in_keras == math.ceil(stacks.full_batches / stacks.size)
        stacks.close()


def test_a_stack_is_of_one_size_and_says_how_much_of_it_counts():
    stacks, _ = stacks_of(28, 4, 4, shuffle=False)
    first, second = stacks.next(), stacks.next()
    assert [first.batches[0].shape, second.batches[0].shape] == [(4, 4, 2), (4, 4, 2)]
    assert (first.count, second.count) == (4, 3)
    stacks.close()


def test_the_first_stack_can_be_looked_at_without_using_it_up():
    stacks, order = stacks_of(24, 4, 3)
    stacks.first()
    assert epoch_of(stacks, 2) == list(order.of_epoch(0))
    stacks.close()


def test_the_memory_of_a_batch_is_known():
    stacks, _ = stacks_of(24, 4, 3)
    assert stacks.bytes_a_batch == 4 * (2 * 4 + 8)
    stacks.close()
