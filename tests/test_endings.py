"""What ends a run: its last epoch, Ctrl-C, its time; and how the same call goes on then."""

import os
import signal

import keras
import numpy as np
import pytest
from small_runs import (
    CALL,
    Fails,
    X,
    Y,
    bits_of,
    broken_off,
    held_out,
    net,
    newest_facts,
    told_by,
    whole,
)

from kerastrain.training import fit
from kerastrain.workflow import build_and_fit


class Clock(keras.callbacks.Callback):
    """A clock on which every call takes a second."""

    sees_groups = True
    now = 0.0

    def monotonic(self):
        return self.now

    def on_train_batch_end(self, batch, logs=None):
        self.now += 1


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in ("_endings", "_keeping"):
        monkeypatch.setattr(f"kerastrain.{module}.time", clock)
    return clock


def test_a_finished_run_returns_its_history_at_once(folder):
    model, other = net(), net(seed=2)
    first = fit(model, X, Y, run=folder, **CALL)
    again = fit(other, X, Y, run=folder, **CALL)
    assert (again.history, again.stop_reason) == (first.history, "finished")
    assert bits_of(other) == bits_of(model)


def test_build_and_fit_goes_on_with_a_seed_that_it_drew(short_calls, folder):
    call = {"epochs": 4, "batch_size": 8, "speed": "steps", "run": folder, "save_every": 0}
    data = (X, Y.astype("float32") * 2.5)
    with pytest.raises(RuntimeError):
        build_and_fit("regression", data, callbacks=[Fails(2, 2)], verbose=0, **call)
    model, history = build_and_fit("regression", data, verbose=0, **call)
    whole = build_and_fit("regression", data, seed=history.seed, verbose=0, **call | {"run": None})
    assert told_by(whole.history) == told_by(history)
    assert bits_of(whole.model) == bits_of(model)


def test_a_run_that_had_stopped_early_says_so_again(folder):
    call = CALL | {"epochs": 50, "patience": 1, "run": folder}
    first = fit(net(optimizer=keras.optimizers.Adam(0.3)), X, Y, **call)
    again = fit(net(2, optimizer=keras.optimizers.Adam(0.3)), X, Y, **call)
    assert first.stop_reason == "early_stopping"
    assert told_by(again) == told_by(first)


def test_a_call_that_fails_before_it_trains_leaves_a_folder_to_begin_in(folder):
    def broken(y, predicted):
        raise NotImplementedError("a loss that isn't written yet")

    model = net()
    model.compile("adam", broken)
    with pytest.raises(NotImplementedError, match="isn't written yet"):
        fit(model, X, Y, run=folder, **CALL)
    assert len(fit(net(), X, Y, run=folder, **CALL)) == 4


def test_it_says_in_a_line_where_a_run_goes_on_or_that_it_has_ended(short_calls, folder, capsys):
    broken_off(folder, (2, 2))
    call = CALL | {"run": folder, "verbose": 1}
    fit(net(), X, Y, **call)
    told = f"run {os.fspath(folder)!r} goes on at the 3rd epoch, batch 4\n"
    assert told in capsys.readouterr().out
    fit(net(), X, Y, **call)
    assert (
        f"run {os.fspath(folder)!r} has ended already; another folder begins anew, and more "
        "epochs go on\n"
    ) in capsys.readouterr().out


def test_time_that_is_used_up_is_told(short_calls, clock, capsys):
    fit(net(), X, Y, callbacks=[clock], max_time=2, **CALL | {"verbose": 1})
    assert "time used up in the 1st epoch" in capsys.readouterr().out


def test_a_finished_run_with_more_epochs_goes_on_as_if_they_had_been_asked_for(folder):
    longer, model = net(), net()
    expected = fit(longer, X, Y, **CALL | {"epochs": 7})
    fit(model, X, Y, run=folder, **CALL)
    history = fit(model, X, Y, run=folder, **CALL | {"epochs": 7})
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(longer)


class PressesCtrlC(Fails):
    """Presses it, where another would raise."""

    def on_train_batch_end(self, batch, logs=None):
        self.calls += 1
        if (self.epoch, self.calls) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_and_returns_what_there_is(short_calls, folder):
    model = net()
    call = CALL | {"run": folder, "save_every": 1e9}
    history = fit(model, X, Y, callbacks=[PressesCtrlC(2, 2)], **call)
    assert (history.stop_reason, history.epoch) == ("interrupted", [0, 1])
    assert model.evaluate(*held_out(), verbose=0)[0] == pytest.approx(
        history.best["val_loss"], 1e-5
    )
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 6)  # The calls are of three batches.
    fit(net(2), X, Y, run=folder, **CALL)
    last = net(3)
    fit(last, X, Y, run=folder, **CALL)
    assert bits_of(last) == whole()[1]


def test_ctrl_c_while_it_validates_costs_nothing_of_the_epoch(short_calls, folder):
    class PressesWhileItValidates(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_test_begin(self, logs=None):
            if self.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    other = net(2)
    call = CALL | {"run": folder, "save_every": 1e9}
    history = fit(net(), X, Y, callbacks=[PressesWhileItValidates()], **call)
    assert (history.stop_reason, history.epoch) == ("interrupted", [0, 1])
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 9)  # Behind its last batch.
    assert (told_by(fit(other, X, Y, **call)), bits_of(other)) == whole()


def test_a_second_ctrl_c_leaves_at_once_and_the_run_as_it_was_saved(short_calls, folder):
    class PressesTwice(PressesCtrlC):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            if (self.epoch, self.calls) == self.at:
                os.kill(os.getpid(), signal.SIGINT)

    other = net(2)
    call = CALL | {"run": folder, "save_every": 0}
    with pytest.raises(KeyboardInterrupt):
        fit(net(), X, Y, callbacks=[PressesTwice(2, 2)], **call)
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 3)  # Of the call before.
    assert (told_by(fit(other, X, Y, **call)), bits_of(other)) == whole()


def test_ctrl_c_is_somebody_elses_again_after_a_run(folder):
    handler = signal.getsignal(signal.SIGINT)
    fit(net(), X, Y, run=folder, callbacks=[PressesCtrlC(1, 1)], **CALL)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_run_ends_when_its_time_is_used_up(short_calls, clock):
    model = net()
    history = fit(model, X, Y, callbacks=[clock], max_time=8, **CALL)
    assert (history.stop_reason, history.epoch, history.stopped_epoch) == ("time", [0, 1], 1)
    assert model.evaluate(*held_out(), verbose=0)[0] == pytest.approx(
        history.best["val_loss"], 1e-5
    )


def test_a_kept_run_goes_on_where_its_time_was_used_up(short_calls, clock, folder):
    other = net(2)
    fit(net(), X, Y, callbacks=[clock], run=folder, max_time=8, **CALL)
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 6)
    history = fit(other, X, Y, callbacks=[clock], run=folder, max_time=8, **CALL)
    assert (told_by(history), bits_of(other)) == whole()


class Hears(keras.callbacks.Callback):
    """Hears that training has ended, and how good the model is then."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_end(self, logs=None):
        self.losses.append(self.model.evaluate(*held_out(), verbose=0)[0])


def test_callbacks_hear_that_a_run_whose_time_is_used_up_has_ended(short_calls, clock):
    hears = Hears()
    history = fit(net(), X, Y, callbacks=[clock, hears], max_time=8, **CALL)
    assert history.stop_reason == "time"
    assert hears.losses == [pytest.approx(history.best["val_loss"], 1e-5)]


@pytest.mark.parametrize("ends", ["time", "interrupted"])
def test_a_run_that_is_ended_has_the_averages_of_an_optimizer_that_keeps_them(
    short_calls, clock, folder, ends
):
    def averaging(seed=1):
        optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
        return net(seed, optimizer=optimizer)

    call = CALL | {"restore_best": False}
    unbroken, model, other = averaging(), averaging(), averaging(2)
    fit(unbroken, X, Y, **call)
    how = {"callbacks": [clock], "max_time": 8}
    if ends == "interrupted":
        how = {"callbacks": [PressesCtrlC(2, 2)]}
    history = fit(model, X, Y, run=folder, **how, **call)
    assert history.stop_reason == ends
    averages = model.optimizer._model_variables_moving_average
    for ours, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(ours, average)
    fit(other, X, Y, run=folder, **call)  # From the weights themselves.
    assert bits_of(other) == bits_of(unbroken)


def test_nan_that_comes_before_ctrl_c_leaves_finite_weights(short_calls):
    class Spoils(PressesCtrlC):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch)
            self.model.layers[-1].bias.assign([np.nan])

    model = net()
    history = fit(model, X, Y, callbacks=[Spoils(0, 1)], **CALL)
    assert (history.stop_reason, history.epoch) == ("nan", [])
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
