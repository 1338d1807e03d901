"""Every batch once an epoch, in order, whatever the sizes; calls end where Keras counts them."""

import math

import numpy as np
import pytest

from kerastrain.batches import as_tensors
from kerastrain.calls import Calls
from kerastrain.data import EpochOrder, rows_of


def calls_of(n, batch_size, shuffle=True, batches_a_call=None, rows=None):
    """The calls of `n` numbered rows."""
    x = np.arange(n * 2, dtype="float32").reshape(n, 2)
    order = EpochOrder(np.arange(n) if rows is None else rows, seed=3, shuffle=shuffle)
    calls = Calls(as_tensors(rows_of(x, np.arange(n))), order, batch_size=batch_size)
    calls.batches_a_call = batches_a_call or calls.batches
    return calls, order


@pytest.mark.parametrize("n, batch_size", [(24, 4), (26, 4), (27, 4), (4, 4), (5, 4), (3, 4)])
@pytest.mark.parametrize("batches_a_call", [1, 2, 3, 100])
def test_an_epoch_hands_out_every_batch_once_and_in_order(n, batch_size, batches_a_call):
    calls, order = calls_of(n, batch_size, batches_a_call=batches_a_call)
    in_keras = math.ceil(math.ceil(n / batch_size) / batches_a_call)
    for epoch in range(3):
        order.begin_epoch(epoch)
        handed = [calls.next() for _ in range(in_keras)]
        numbers = [call.first + k for call in handed for k in range(call.count)]
        assert numbers == list(range(math.ceil(n / batch_size)))
        for call in handed:
            np.testing.assert_array_equal(call.positions, order.of_epoch(epoch))


def test_batches_are_counted_with_and_without_the_last():
    calls, _ = calls_of(26, 4)
    assert (calls.batches, calls.full_batches) == (7, 6)
    assert (calls.of_size(13).batches, calls.of_size(13).full_batches) == (2, 2)


def test_rows_that_are_visited_as_they_lie_need_no_positions():
    calls, _ = calls_of(10, 4, shuffle=False, rows=np.arange(7))
    assert calls.next().positions is None
    assert [len(part) for part in calls.tensors] == [7, 7]


def test_rows_that_are_visited_in_an_order_of_their_own_keep_it():
    calls, _ = calls_of(10, 4, shuffle=False, rows=np.array([3, 1, 2]))
    np.testing.assert_array_equal(calls.next().positions, [3, 1, 2])


def test_the_first_call_can_be_looked_at_without_using_it_up():
    calls, _ = calls_of(24, 4, batches_a_call=3)
    assert [calls.first().first, calls.next().first, calls.first().first] == [0, 0, 0]
    assert calls.next().first == 3


def test_an_epoch_that_was_left_begins_anew():
    calls, order = calls_of(24, 4, batches_a_call=3)
    calls.next()
    order.begin_epoch(1)
    assert calls.next().first == 0


def test_without_shuffling_an_epoch_follows_the_other():
    calls, order = calls_of(24, 4, shuffle=False, batches_a_call=4)
    firsts = []
    for epoch in range(2):
        order.begin_epoch(epoch)
        firsts += [calls.next().first for _ in range(2)]
    assert firsts == [0, 4, 0, 4]


def test_strings_are_noticed():
    assert not calls_of(4, 2)[0].holds_text
    rows = rows_of(np.array(["a", "b"], dtype=object), np.arange(2))
    calls = Calls(as_tensors(rows), EpochOrder(np.arange(2), shuffle=False), batch_size=1)
    assert calls.holds_text
