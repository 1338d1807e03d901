"""Going back to the best epoch: what NaN leaves behind."""

import math

import keras
import numpy as np
import pytest
from small_runs import CALL, Fails, X, Y, bits_of, broken_off, net

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
    assert history.note.startswith("NaN in epoch 3: back to epoch 2, with a rate of 0.2")


def test_a_run_goes_back_three_times_and_no_more():
    model = net(optimizer=keras.optimizers.SGD(0.4))
    history = fit(model, X, Y, callbacks=[Poison(2, 0.0)], on_nan="rollback", **CALL)
    assert (history.stop_reason, history.note.count("back to epoch")) == ("nan", 3)
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
    assert history.note.startswith("NaN in epoch 1, at a rate of 1e+30. The learning rate is 1e+30")
    sound = fit(net(), X, Y, callbacks=[Poison(2, 0.0)], **CALL)
    assert sound.note == (
        "NaN in epoch 3, at a rate of 0.001. Data and labels look sound: take a tenth of the rate, "
        "see where the loss turns up with lr_find(), or give the optimizer clipnorm=1.0."
    )
