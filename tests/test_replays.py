"""Datasets with an order of their own: led back to the bit, or told where that can't be shown."""

import os

import keras
import numpy as np
import pytest
import small_runs
import tensorflow as tf
from small_products import diagonal
from small_runs import SAME, Fails, X, Y, bits_of, told_by

from kerastrain import _replays
from kerastrain.training import fit

ROWS = tf.data.Dataset.from_tensor_slices((X, Y))
CALL = SAME | {"epochs": 3}
OTHERWISE = "whose batches may come in another order than they would have"
ANEW = "make the Dataset anew before each call, and give each shuffle() a seed"


def net(seed=1):
    """A model whose step is traced in a moment, since each fit on a Dataset traces it anew."""
    return small_runs.net(seed, optimizer="sgd")


def one_shuffle():
    return {"x": ROWS.shuffle(96, seed=3).batch(8)}


def two_shuffles():
    return {"x": ROWS.shuffle(50, seed=2).batch(8).shuffle(7, seed=1)}


def of_unknown_length():
    return {"x": ROWS.filter(lambda x, y: x[0] > -9).shuffle(50, seed=2).batch(8)}


def without_a_seed():
    return {"x": ROWS.shuffle(96).batch(8)}


def in_order():
    return {"x": ROWS.batch(8)}


def with_validation():
    return {"x": ROWS.batch(8), "validation_data": ROWS.take(40).shuffle(40, seed=9).batch(8)}


def one_shuffle_of_them():
    return {"x": ROWS.shuffle(50, seed=2).batch(8)}


class Arranged(keras.utils.PyDataset):
    """Arranges its batches anew between two epochs, as many do."""

    def __init__(self):
        super().__init__()
        self.generator, self.order = np.random.default_rng(0), np.arange(12)

    def __len__(self):
        return 12

    def __getitem__(self, number):
        start = 8 * self.order[number]
        return X[start : start + 8], Y[start : start + 8]

    def on_epoch_end(self):
        self.generator.shuffle(self.order)


def unset():
    """TensorFlow's global seed, as a new process has it."""
    tf.random.set_seed(None)


def gone_on(folder, at, make, *, before=unset, again=None, **arguments):
    """Breaks a run off and goes on with it, with data made again; returns history and model."""
    call = CALL | {"run": folder, "save_every": 0} | arguments
    first, model = net(), net(2)
    unset()
    with pytest.raises(RuntimeError):
        fit(first, **make(), callbacks=[Fails(*at)], **call)
    before()
    return fit(model, **(again or make)(), **call), model


def as_a_whole(make):
    model = net()
    unset()
    return fit(model, **make(), **CALL), model


def kept(make):
    """Makes data once, as a notebook's earlier cell does."""
    data = make()
    return lambda: data


def note(folder, where, why):
    return f"run {os.fspath(folder)!r} goes on at {where}, {why}."


# Led back to the bit.


SHUFFLED = {make.__name__: make for make in (two_shuffles, of_unknown_length, with_validation)}


@pytest.mark.parametrize("made, at", diagonal(SHUFFLED, [(1, 2), (1, None)]))
def test_a_dataset_that_shuffles_by_seeds_goes_on_to_the_bit(short_calls, folder, made, at):
    make = SHUFFLED[made]
    expected, whole = as_a_whole(make)
    history, model = gone_on(folder, at, make)
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(whole)
    assert history.note == ""


def test_a_cell_that_is_run_again_goes_on_to_the_bit(folder):
    call = {"before": lambda: None, "speed": "plain"}  # Which takes single batches.
    expected, whole = as_a_whole(one_shuffle)
    history, model = gone_on(folder, (1, 3), one_shuffle, **call)
    assert _replays.global_seed() is None
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(whole)


def test_the_same_dataset_goes_on_to_the_bit_where_it_does_not_shuffle(short_calls, folder):
    expected, whole = as_a_whole(in_order)
    history, model = gone_on(folder, (1, 2), kept(in_order))
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(whole)


def test_a_dataset_of_one_batch_that_does_not_tell_its_length_is_trained_on(short_calls, folder):
    data = ROWS.take(8).filter(lambda x, y: True).batch(8)
    history = fit(net(), data, run=folder, **CALL)
    assert history.epoch == [0, 1, 2]


# Told where that can't be shown.


def test_the_same_dataset_in_another_order_is_told(short_calls, folder):
    history, _ = gone_on(folder, (1, 2), kept(one_shuffle))
    assert history.epoch == [0, 1, 2]
    assert history.note == note(folder, "the start of the 2nd epoch", f"{OTHERWISE}: {ANEW}")


def test_also_where_it_goes_on_at_an_epochs_start(folder):
    class FailsBetween(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("broken off")

    call = CALL | {"run": folder, "save_every": 0}
    data = without_a_seed()
    with pytest.raises(RuntimeError):
        fit(net(), **data, callbacks=[FailsBetween()], **call)
    history = fit(net(), **data, **call)
    assert history.note == note(folder, "the 3rd epoch", f"{OTHERWISE}: {ANEW}")


@pytest.mark.parametrize(
    "first, second, mend",
    [
        (None, 4, "make the Dataset where TensorFlow's global seed isn't set, as it wasn't then"),
        (4, None, "make the Dataset after tf.random.set_seed(4), as it was then"),
    ],
)
def test_another_global_seed_is_named(short_calls, folder, first, second, mend):
    def make():
        tf.random.set_seed(first)
        return one_shuffle()

    def again():
        tf.random.set_seed(second)
        return one_shuffle()

    history, _ = gone_on(folder, (1, 2), make, again=again)
    assert history.note == note(folder, "the start of the 2nd epoch", f"{OTHERWISE}: {mend}")


def test_what_could_not_be_gone_through_again_in_time_is_told(short_calls, folder, monkeypatch):
    monkeypatch.setattr(_replays, "_LONGEST", 0.0)
    history, _ = gone_on(folder, (1, None), two_shuffles)
    assert history.note == note(folder, "the start of the 2nd epoch", f"{OTHERWISE}: {ANEW}")


def test_what_differs_only_in_the_epoch_itself_is_found_on_the_way(
    short_calls, folder, monkeypatch, capsys
):
    monkeypatch.setattr(_replays, "_is_led_back", lambda *arguments: True)
    history, _ = gone_on(folder, (1, 2), two_shuffles, again=one_shuffle_of_them, verbose=1)
    told = note(folder, "the start of the 2nd epoch", f"{OTHERWISE}: {ANEW}")
    assert history.note == told
    assert history.epoch == [0, 1, 2]
    assert f"{told[:-1]}\n" in capsys.readouterr().out


def test_a_validation_in_another_order_is_told(short_calls, folder):
    history, _ = gone_on(folder, (1, 2), kept(with_validation))
    assert history.note == note(
        folder,
        "the 2nd epoch",
        "whose validation's batches may come in another order than they would have",
    )


def test_a_pydataset_that_arranges_itself_is_told(short_calls, folder):
    history, _ = gone_on(folder, (1, None), lambda: {"x": Arranged()})
    assert history.note == note(
        folder, "the start of the 2nd epoch", f"{OTHERWISE}: a Arranged arranges them itself"
    )
