"""Going back to the best epoch: what NaN leaves behind."""

import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import CALL, SAME, Fails, X, Y, bits_of, broken_off, net, told_by

from kerastrain.training import fit


class Poison(keras.callbacks.Callback):
    """Makes weights NaN, as long as the rate is too high."""

    sees_groups = True

    def __init__(self, epoch, rate=math.inf):
        super().__init__()
        self.at, self.most = epoch, rate

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at and float(self.model.optimizer.learning_rate) > self.most:
            self.model.layers[-1].kernel.assign(self.model.layers[-1].kernel * math.nan)


@pytest.mark.parametrize("between_looks", [0.0, 1e9])
def test_a_run_goes_back_alike_when_nan_is_seen_at_once_and_when_at_the_epochs_end(
    short_calls, monkeypatch, between_looks
):
    model, other = (net(optimizer=keras.optimizers.SGD(0.4)) for _ in range(2))
    call = CALL | {"on_nan": "rollback"}
    fit(model, X, Y, callbacks=[Poison(2, 0.15)], **call)
    monkeypatch.setattr("kerastrain._bookkeeping._BETWEEN_LOOKS", between_looks)
    fit(other, X, Y, callbacks=[Poison(2, 0.15)], **call)
    assert bits_of(other) == bits_of(model)


def test_a_run_that_goes_back_goes_on_with_half_the_rate_and_says_so():
    model = net(optimizer=keras.optimizers.SGD(0.4))
    history = fit(model, X, Y, callbacks=[Poison(2, 0.15)], on_nan="rollback", **CALL)
    assert (history.stop_reason, history.epoch) == ("finished", [0, 1, 2, 3])
    assert history.history["learning_rate"] == pytest.approx([0.4, 0.4, 0.1, 0.1])
    assert history.note.startswith("NaN in the 3rd epoch: back to the 2nd epoch, with a")


def test_a_run_goes_back_three_times_and_no_more():
    model = net(optimizer=keras.optimizers.SGD(0.4))
    history = fit(model, X, Y, callbacks=[Poison(2, 0.0)], on_nan="rollback", **CALL)
    assert (history.stop_reason, history.note.count("back to the 2nd epoch")) == ("nan", 3)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_run_that_has_gone_back_goes_on_to_the_bit(short_calls, folder):
    def poisoned(seed=1):
        return net(seed, optimizer=keras.optimizers.SGD(0.4))

    whole, other = poisoned(), poisoned(2)
    call = CALL | {"on_nan": "rollback"}
    fit(whole, X, Y, callbacks=[Poison(2, 0.15)], **call)
    broken_off(folder, (3, 2), poisoned(), callbacks=[Poison(2, 0.15)], on_nan="rollback")
    fit(other, X, Y, callbacks=[Poison(2, 0.15)], run=folder, **call)
    assert bits_of(other) == bits_of(whole)


def test_a_run_stops_within_the_epoch_in_which_nan_reaches_the_weights(short_calls, monkeypatch):
    monkeypatch.setattr("kerastrain._bookkeeping._BETWEEN_LOOKS", 0.0)
    calls = Fails(9)
    model = net()
    history = fit(model, X, Y, callbacks=[Poison(2, 0.0), calls], **CALL)
    assert (history.stop_reason, history.epoch, calls.calls) == ("nan", [0, 1, 2], 1)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_nan_is_told_by_its_epoch_its_rate_and_what_may_have_caused_it():
    model = net(optimizer=keras.optimizers.SGD(1e30))
    history = fit(model, X * 1e4, Y, epochs=3, verbose=0, seed=1)
    assert history.stop_reason == "nan"
    assert history.note.startswith(
        "NaN in the 1st epoch, at a rate of 1e+30. The learning rate is 1e+30"
    )
    sound = fit(net(), X, Y, callbacks=[Poison(2, 0.0)], **CALL)
    assert sound.note == (
        "NaN in the 3rd epoch, at a rate of 0.001. Data and labels look sound: take a tenth of "
        "the rate, see where the loss turns up with lr_find(), or give the optimizer clipnorm=1.0."
    )


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_nan_and_a_way_back_are_said_to_whoever_did_not_ask_for_silence(verbose, capsys):
    call = CALL | {"on_nan": "rollback", "verbose": verbose}
    history = fit(net(), X, Y, callbacks=[Poison(2, 0.0)], **call)
    assert (history.stop_reason, history.note.count("NaN in the 3rd epoch")) == ("nan", 4)
    said = capsys.readouterr().out.splitlines()
    told = [line for line in said if line.startswith("NaN in the 3rd epoch")]
    assert " ".join(told) == (history.note if verbose else "")


# No epoch is the best yet.


def hopeless(seed=1):
    """Loses its weights in the first epoch, at any rate."""
    return net(seed, optimizer=keras.optimizers.SGD(1e30))


def test_a_run_that_is_lost_before_any_epoch_is_best_ends_with_its_first_weights():
    model = hopeless()
    first = model.get_weights()
    history = fit(model, X * 1e9, Y, on_nan="rollback", **CALL)
    assert (history.stop_reason, history.best_epoch) == ("nan", None)
    assert history.note.count("back to the beginning") == 3
    assert "holds NaN" not in history.note
    for ours, theirs in zip(model.get_weights(), first, strict=True):
        np.testing.assert_array_equal(ours, theirs)


class NoBest(keras.callbacks.Callback):
    """Lets no epoch be the best."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = math.nan


def test_a_run_that_goes_on_and_is_lost_ends_with_the_weights_that_it_began_with(
    short_calls, folder
):
    model, other = net(), net(seed=2)
    first = model.get_weights()
    broken_off(folder, (0, 2), model)
    history = fit(other, X, Y, run=folder, callbacks=[Poison(1, 0.0), NoBest()], **CALL)
    assert (history.stop_reason, history.best_epoch) == ("nan", None)
    for ours, theirs in zip(other.get_weights(), first, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# NaN that relu hides from the loss.


def hidden(seed=1, optimizer="adam"):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(optimizer, "binary_crossentropy")
    return model


HOLEY = X.copy()
HOLEY[40, 0] = math.nan


def is_finite(model):
    return all(np.isfinite(weights).all() for weights in model.get_weights())


def test_relu_hides_nan_from_the_loss():
    model = hidden()
    losses = model.fit(HOLEY, Y, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert not is_finite(model)


@pytest.mark.parametrize("on_nan", ["stop", "rollback"])
def test_no_epoch_is_the_best_whose_weights_are_lost_though_its_loss_hides_it(on_nan):
    model = hidden()
    rows = tf.data.Dataset.from_tensor_slices((HOLEY, Y)).batch(8)
    history = fit(model, rows, on_nan=on_nan, epochs=4, **SAME)
    assert (history.stop_reason, history.best_epoch, history.epoch) == ("nan", None, [0])
    assert is_finite(model)


class PoisonsBehindRelu(keras.callbacks.Callback):
    """Makes a first layer NaN in an epoch, as long as the rate is too high."""

    sees_groups = True

    def __init__(self, epoch, rate=0.0):
        super().__init__()
        self.at, self.most = epoch, rate

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at and float(self.model.optimizer.learning_rate) > self.most:
            self.model.layers[0].kernel.assign(self.model.layers[0].kernel * math.nan)


@pytest.mark.parametrize("poisoned", [1, 2, 3])
def test_a_run_goes_back_from_nan_that_is_hidden_whatever_epoch_it_comes_in(poisoned):
    model = hidden(optimizer=keras.optimizers.SGD(0.1))
    history = fit(
        model, X, Y, callbacks=[PoisonsBehindRelu(poisoned, 0.07)], on_nan="rollback", **CALL
    )
    assert (history.stop_reason, history.epoch) == ("finished", [0, 1, 2, 3])
    assert history.history["learning_rate"][-1] == pytest.approx(0.05)
    assert is_finite(model)


def test_a_stopping_of_kerass_own_keeps_no_epoch_that_is_lost(monkeypatch):
    class Worsens(keras.callbacks.Callback):
        """Makes the lost epoch look like the best of all."""

        def on_epoch_end(self, epoch, logs=None):
            logs["loss"] = 1.0 - epoch / 10

    for between in (0.0, 1e9):  # It is found before the stopping has seen the epoch, and behind.
        monkeypatch.setattr("kerastrain._bookkeeping._BETWEEN_SEARCHES", between)
        model = hidden()
        stopping = keras.callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)
        callbacks = [PoisonsBehindRelu(2), Worsens(), stopping]
        history = fit(model, X, Y, callbacks=callbacks, **CALL | {"validation_split": 0.0})
        assert (history.stop_reason, history.best_epoch, stopping.best_epoch) == ("nan", 1, 1)
        assert is_finite(model)


# What else goes back.


class Draws(keras.callbacks.Callback):
    """Counts in an array that it changes in place, and draws by Python's generator."""

    def __init__(self):
        super().__init__()
        self.count, self.drawn = np.zeros(1), []

    def on_epoch_begin(self, epoch, logs=None):
        self.drawn.append((epoch, float(self.count[0]), random.random()))

    def on_epoch_end(self, epoch, logs=None):
        self.count += 1

    def get_state(self):
        return {"count": self.count}

    def set_state(self, state):
        self.count = state["count"]


class FallsOff(keras.callbacks.Callback):
    """Lets the second epoch be the best."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = abs(epoch - 1.0)


def test_what_a_callback_changes_in_place_goes_back_too():
    draws = Draws()
    callbacks = [draws, FallsOff(), Poison(4, 0.3)]
    model = net(optimizer=keras.optimizers.SGD(0.4))
    fit(model, X, Y, callbacks=callbacks, on_nan="rollback", **CALL | {"epochs": 5})
    counts = [(epoch, count) for epoch, count, _ in draws.drawn]
    assert counts == [(epoch, float(epoch)) for epoch in (0, 1, 2, 3, 4, 2, 3, 4)]


def test_a_run_that_was_broken_off_goes_back_to_the_generators_of_its_best_epoch(
    short_calls, folder
):
    call = CALL | {"on_nan": "rollback", "epochs": 5}

    def sgd(seed=1):
        return net(seed, optimizer=keras.optimizers.SGD(0.4))

    whole, part = Draws(), Draws()
    model, other = sgd(), sgd(2)
    expected = fit(model, X, Y, callbacks=[whole, FallsOff(), Poison(4, 0.3)], **call)
    assert expected.note.startswith("NaN in the 5th epoch: back to the 2nd epoch")
    broken = {"callbacks": [Draws(), FallsOff(), Poison(4, 0.3)], "on_nan": "rollback"}
    broken_off(folder, (3, 2), sgd(), epochs=5, **broken)
    fit(other, X, Y, callbacks=[part, FallsOff(), Poison(4, 0.3)], run=folder, save_every=0, **call)
    assert part.drawn[-3:] == whole.drawn[-3:]
    assert bits_of(other) == bits_of(model)


def test_a_note_of_having_gone_back_goes_on_with_the_run(short_calls, folder):
    def sgd(seed=1):
        return net(seed, optimizer=keras.optimizers.SGD(0.4))

    call = CALL | {"on_nan": "rollback"}
    expected = fit(sgd(), X, Y, callbacks=[Poison(2, 0.15)], **call)
    broken_off(folder, (3, 2), sgd(), callbacks=[Poison(2, 0.15)], on_nan="rollback")
    history = fit(sgd(2), X, Y, callbacks=[Poison(2, 0.15)], run=folder, **call)
    assert history.note == expected.note
    assert told_by(history) == told_by(expected)
    assert fit(sgd(3), X, Y, run=folder, **call).note == expected.note
