"""`fit(run=…)`: what a run keeps, and that the same call goes on with it, to the bit."""

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import _run_lock, engine
from kerastrain.callbacks import csv_log, early_stopping, reduce_on_plateau
from kerastrain.records import History
from kerastrain.saving import load_model
from kerastrain.schedules import one_cycle
from kerastrain.training import fit
from kerastrain.workflow import build_and_fit

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(96, 4)).astype("float32")
Y = (X[:, 0] + GENERATOR.normal(size=96) > 0).astype("int32")
SAME = {"seed": 5, "speed": "steps", "verbose": 0}
CALL = {"validation_split": 0.25, "epochs": 4, "batch_size": 8, **SAME}


def net(seed=1, optimizer="adam", rate=0.3, units=8):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.layers.Dense(units, "relu"),
        keras.layers.Dropout(rate),
        keras.layers.BatchNormalization(),
    ]
    head = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((4,)), *layers, head])
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def bits_of(model):
    kept = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable).tobytes() for variable in kept]


def told_by(history):
    columns = {name: column for name, column in history.history.items() if name != "seconds"}
    return columns, history.epoch, history.best_epoch, history.stop_reason


class Fails(keras.callbacks.Callback):
    """Breaks a training off after some batches of an epoch, or at its end."""

    sees_groups = True

    def __init__(self, epoch, calls=None, error=RuntimeError):
        super().__init__()
        self.at, self.error = (epoch, calls), error

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.calls = epoch, 0

    def on_train_batch_end(self, batch, logs=None):
        self.calls += 1
        if (self.epoch, self.calls) == self.at:
            raise self.error("broken off")

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.at:
            raise self.error("broken off")


def broken_off(folder, at, model=None, error=RuntimeError, **arguments):
    """Trains until a callback breaks it off."""
    callbacks = [*arguments.pop("callbacks", []), Fails(*at, error)]
    arguments = {**CALL, "run": folder, "save_every": 0} | arguments
    x, y = arguments.pop("data", (X, Y))
    with pytest.raises(error, match="broken off"):
        fit(model or net(), x, y, callbacks=callbacks, **arguments)


@pytest.fixture(autouse=True)
def settles_at_once(monkeypatch):
    """Two who begin at the same moment have a test of their own."""
    monkeypatch.setattr(_run_lock, "_SETTLING", 0.0)


@pytest.fixture
def short_calls(monkeypatch):
    """Lets a call run three batches of the nine that an epoch has."""
    monkeypatch.setattr(engine, "_steps_a_call", lambda seconds, steps: 3)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


# It goes on to the bit.

PLACES = {"within an epoch": (2, 2), "behind its last batch": (1, 3), "at an end": (2, None)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("speed", ["plain", "steps", "compiled"])
def test_a_run_goes_on_to_the_bit_from_a_fresh_model_of_another_seed(
    short_calls, folder, speed, place
):
    whole, other = net(), net(seed=2)
    call = CALL | {"speed": speed}
    expected = fit(whole, X, Y, **call)
    broken_off(folder, PLACES[place], speed=speed)
    history = fit(other, X, Y, run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def test_what_was_not_saved_within_an_epoch_is_trained_again(short_calls, folder):
    whole, other = net(), net(seed=2)
    expected = fit(whole, X, Y, **CALL)
    broken_off(folder, (2, 2), save_every=1e9)
    assert told_by(fit(other, X, Y, run=folder, **CALL)) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def test_a_run_goes_on_in_the_same_notebook_with_the_model_that_it_had(short_calls, folder):
    whole, model = net(), net()
    schedule = {"callbacks": [reduce_on_plateau(patience=1, min_delta=1.0)]}
    fit(whole, X, Y, **CALL, **schedule)
    broken_off(folder, (3, 2), model, **schedule)
    assert float(model.optimizer.learning_rate) < 0.001
    fit(model, X, Y, run=folder, save_every=0, **CALL, **schedule)
    assert bits_of(model) == bits_of(whole)


@pytest.mark.parametrize("at", [(1, 2), (3, 1)])
def test_a_schedule_goes_on(short_calls, folder, at):
    whole, model = net(optimizer="sgd"), net(optimizer="sgd")
    expected = fit(whole, X, Y, schedule=one_cycle(0.5), **CALL)
    broken_off(folder, at, model, schedule=one_cycle(0.5))
    history = fit(model, X, Y, schedule=one_cycle(0.5), run=folder, save_every=0, **CALL)
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(whole)


@pytest.mark.parametrize("at", [(1, 2), (2, 2), (3, None)])
def test_layers_that_were_let_go_stay_so_at_their_rate(short_calls, folder, at):
    def frozen(seed=1):
        model = net(seed)
        model.layers[0].trainable = False
        model.compile("adam", "binary_crossentropy")
        return model

    whole, other = frozen(), frozen(seed=2)
    expected = fit(whole, X, Y, unfreeze=2, **CALL)
    broken_off(folder, at, frozen(), unfreeze=2)
    history = fit(other, X, Y, unfreeze=2, run=folder, save_every=0, **CALL)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def test_early_stopping_and_plateau_know_what_they_had_seen(short_calls, folder):
    def callbacks():
        return [reduce_on_plateau(patience=1, min_delta=0.2), early_stopping(patience=2)]

    call = CALL | {"epochs": 30}
    whole, other = (
        net(optimizer=keras.optimizers.Adam(0.1)),
        net(seed=2, optimizer=keras.optimizers.Adam(0.1)),
    )
    expected = fit(whole, X, Y, callbacks=callbacks(), **call)
    assert expected.stop_reason == "early_stopping"
    last = expected.epoch[-1]
    broken_off(
        folder,
        (last, 2),
        net(optimizer=keras.optimizers.Adam(0.1)),
        callbacks=callbacks(),
        epochs=30,
    )
    history = fit(other, X, Y, callbacks=callbacks(), run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


class Counts(keras.callbacks.Callback):
    """A callback of the user's, with a state and a batch hook."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.sums = np.zeros(2)

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.sums += [batch, 1]

    def get_state(self):
        return {"batches": self.batches, "sums": self.sums}

    def set_state(self, state):
        self.batches, self.sums = state["batches"], np.array(state["sums"])


def test_a_callback_of_the_users_goes_on_by_its_own_state(folder):
    whole, counts = Counts(), Counts()
    fit(net(), X, Y, callbacks=[whole], **CALL)
    broken_off(folder, (2, 4), callbacks=[Counts()])
    fit(net(2), X, Y, callbacks=[counts], run=folder, save_every=0, **CALL)
    assert (counts.batches, counts.sums.tolist()) == (36, whole.sums.tolist())


class Loads(keras.callbacks.Callback):
    def get_state(self):
        return {"thread": object}

    def set_state(self, state):
        pass


def test_a_state_that_is_no_plain_numbers_is_refused(folder):
    with pytest.raises(TypeError) as error:
        fit(net(), X, Y, callbacks=[Loads()], run=folder, **CALL)
    assert str(error.value) == (
        "`fit`: `callbacks` must return numbers, strings, arrays, and lists and dicts of them from "
        "get_state(). Received: <class 'object'> at '/callbacks/Loads 1/thread'."
    )


def test_a_csv_log_has_each_epoch_once(short_calls, folder, tmp_path):
    broken_off(folder, (2, None), callbacks=[csv_log(tmp_path / "log.csv")])
    history = fit(
        net(), X, Y, run=folder, save_every=0, callbacks=[csv_log(tmp_path / "log.csv")], **CALL
    )
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2", "3"]
    assert History.load(tmp_path / "log.csv").history["loss"] == history.history["loss"]


# Streams.


def stream(seed=3):
    tf.random.set_seed(0)  # Without a seed that is set, each process has the same one.
    rows = tf.data.Dataset.from_tensor_slices((X, Y))
    return rows.shuffle(96, seed=seed).batch(8)


@pytest.mark.parametrize("speed", ["plain", "steps"])
@pytest.mark.parametrize("at", [(0, 2), (2, 2), (2, None)])
def test_a_dataset_that_shuffles_by_a_seed_goes_on_to_the_bit(short_calls, folder, speed, at):
    call = {"epochs": 4, "seed": 5, "verbose": 0, "speed": speed}
    whole, other = net(), net(seed=2)
    expected = fit(whole, stream(), **call)
    with pytest.raises(RuntimeError):
        fit(net(), stream(), run=folder, save_every=0, callbacks=[Fails(*at)], **call)
    history = fit(other, stream(), run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def test_a_dataset_in_another_order_each_time_goes_on_at_an_epochs_start(
    short_calls, folder, capsys
):
    call = SAME | {"epochs": 4, "verbose": 1, "run": folder, "save_every": 0}
    with pytest.raises(RuntimeError):
        fit(net(), stream(None), callbacks=[Fails(2, 2)], **call)
    history = fit(net(), stream(4), **call)
    assert history.epoch == [0, 1, 2, 3]
    assert (
        f"run {os.fspath(folder)!r} goes on at the start of epoch 3, since the Dataset begins "
        "otherwise each time: give its shuffle() a seed\n"
    ) in capsys.readouterr().out


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 12

    def __getitem__(self, number):
        return X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]


def test_a_pydataset_goes_on_at_an_epochs_start(short_calls, folder, capsys):
    call = {"epochs": 4, "seed": 5, "shuffle": False, "verbose": 1, "run": folder, "save_every": 0}
    whole, other = net(), net(seed=2)
    fit(whole, Batches(), epochs=4, seed=5, shuffle=False, verbose=0)
    with pytest.raises(RuntimeError):
        fit(net(), Batches(), callbacks=[Fails(2, 2)], **call)
    fit(other, Batches(), **call)
    assert bits_of(other) == bits_of(whole)
    assert (
        f"run {os.fspath(folder)!r} goes on at the start of epoch 3, since a Batches may bring its "
        "batches in another order\n"
    ) in capsys.readouterr().out


# Models of other kinds.


class TwoOptimizers(keras.Model):
    """Trains its body by one optimizer and its head by another, in a step of its own."""

    def __init__(self):
        super().__init__()
        self.body, self.head = keras.layers.Dense(6, "relu"), keras.layers.Dense(1)
        self.build((None, 4))

    def build(self, shape):
        self.body.build(shape)
        self.head.build((None, 6))
        self.built = True

    def call(self, x):
        return self.head(self.body(x))

    def compile(self):
        super().compile("adam", "mse")
        self.other = keras.optimizers.SGD(0.1, momentum=0.9)

    def train_step(self, data):
        x, y = data
        parts = [layer.trainable_variables for layer in (self.body, self.head)]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - tf.cast(y, tf.float32)[:, None]) ** 2)
        gradients = tape.gradient(loss, parts)
        self.optimizer.apply(gradients[0], parts[0])
        self.other.apply(gradients[1], parts[1])
        return {"loss": loss}


@pytest.mark.parametrize("speed", ["plain", "steps"])
@pytest.mark.parametrize("at", [(2, 2), (2, None)])
def test_a_step_of_ones_own_with_two_optimizers_goes_on(short_calls, folder, speed, at):
    def made(seed=1):
        keras.utils.set_random_seed(seed)
        model = TwoOptimizers()
        model.compile()
        return model

    call = {**SAME, "epochs": 4, "batch_size": 8, "speed": speed}
    whole, other = made(), made(2)
    expected = fit(whole, X, Y, **call)
    with pytest.raises(RuntimeError):
        fit(made(), X, Y, run=folder, save_every=0, callbacks=[Fails(*at)], **call)
    history = fit(other, X, Y, run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    # A measured step has Keras build the first optimizer for all layers, of which it trains some.
    kept = [[*model.variables, *model.other.variables] for model in (other, whole)]
    for ours, theirs in zip(*kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_mixed_precision_goes_on_with_the_scale_of_its_loss(short_calls, folder):
    def made(seed=1):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return net(seed)
        finally:
            keras.config.set_dtype_policy(before)

    whole, other = made(), made(2)
    expected = fit(whole, X, Y, **CALL)
    broken_off(folder, (2, 2), made())
    history = fit(other, X, Y, run=folder, save_every=0, **CALL)
    assert type(other.optimizer).__name__ == "LossScaleOptimizer"
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


# How it ends.


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


def test_a_dataset_that_shuffles_goes_on_to_the_bit_at_any_verbosity(short_calls, folder):
    call = SAME | {"epochs": 4}
    whole, other = net(), net(seed=2)
    fit(whole, stream(), **call)
    with pytest.raises(RuntimeError):
        fit(net(), stream(), run=folder, callbacks=[Fails(2, 2)], **call | {"verbose": 1})
    fit(other, stream(), run=folder, **call)
    assert bits_of(other) == bits_of(whole)


def test_it_says_in_a_line_where_a_run_goes_on_or_that_it_has_ended(short_calls, folder, capsys):
    broken_off(folder, (2, 2))
    call = CALL | {"run": folder, "verbose": 1}
    fit(net(), X, Y, **call)
    assert f"run {os.fspath(folder)!r} goes on at epoch 3, batch 4\n" in capsys.readouterr().out
    fit(net(), X, Y, **call)
    assert f"run {os.fspath(folder)!r} has ended already\n" in capsys.readouterr().out


def test_time_that_is_used_up_is_told(short_calls, clock, capsys):
    fit(net(), X, Y, callbacks=[clock], max_time=2, **CALL | {"verbose": 1})
    assert "time used up in the 1st epoch" in capsys.readouterr().out


def test_a_finished_run_with_more_epochs_goes_on_as_if_they_had_been_asked_for(folder):
    whole, model = net(), net()
    expected = fit(whole, X, Y, **CALL | {"epochs": 7})
    fit(model, X, Y, run=folder, **CALL)
    history = fit(model, X, Y, run=folder, **CALL | {"epochs": 7})
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(whole)


class PressesCtrlC(Fails):
    """Presses it, where another would raise."""

    def on_train_batch_end(self, batch, logs=None):
        self.calls += 1
        if (self.epoch, self.calls) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_and_returns_what_there_is(short_calls, folder):
    whole, model = net(), net()
    fit(whole, X, Y, **CALL)
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
    assert bits_of(last) == bits_of(whole)


def test_a_second_ctrl_c_leaves_at_once_and_the_run_as_it_was_saved(short_calls, folder):
    class PressesTwice(PressesCtrlC):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            if (self.epoch, self.calls) == self.at:
                os.kill(os.getpid(), signal.SIGINT)

    whole, other = net(), net(2)
    expected = fit(whole, X, Y, **CALL)
    call = CALL | {"run": folder, "save_every": 0}
    with pytest.raises(KeyboardInterrupt):
        fit(net(), X, Y, callbacks=[PressesTwice(2, 2)], **call)
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 3)  # Of the call before.
    assert told_by(fit(other, X, Y, **call)) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


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
    whole, other = net(), net(2)
    expected = fit(whole, X, Y, **CALL)
    fit(net(), X, Y, callbacks=[clock], run=folder, max_time=8, **CALL)
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 6)
    history = fit(other, X, Y, callbacks=[clock], run=folder, max_time=8, **CALL)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def held_out():
    from kerastrain.data import split_positions

    positions = split_positions(96, 0.25, seed=5, labels=Y)[1]
    return X[positions], Y[positions]


def newest_facts(folder):
    from kerastrain._exact_state import facts_of
    from kerastrain._generations import Generations

    return facts_of(Generations(folder).newest()[0])


# What is in it.


def test_the_best_model_is_kept_with_its_optimizer_as_it_was_then(folder):
    whole = net(optimizer=keras.optimizers.Adam(0.1))
    history = fit(whole, X, Y, run=folder, save_every=0, **CALL | {"epochs": 9})
    assert history.best_epoch < 8
    model = load_model(folder / "best.keras")
    assert model.evaluate(*held_out(), verbose=0)[0] == pytest.approx(
        history.best["val_loss"], 1e-5
    )
    assert int(model.optimizer.iterations) == 9 * (history.best_epoch + 1)


def test_an_error_leaves_the_best_model_and_the_history_behind(short_calls, folder):
    model = net()
    broken_off(folder, (2, 2), model)
    history = History.load(folder / "history.json")
    assert (history.epoch, history.stop_reason) == ([0, 1], "error")
    for each in (model, load_model(folder / "best.keras")):
        loss = each.evaluate(*held_out(), verbose=0)[0]
        assert loss == pytest.approx(history.best["val_loss"], 1e-5)


def test_the_history_can_be_read_while_it_trains(folder):
    seen = []

    class Reads(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(len(History.load(folder / "history.json")))

    fit(net(), X, Y, run=folder, save_every=0, callbacks=[Reads()], **CALL)
    assert seen == [0, 1, 2, 3]


def test_it_says_what_it_is_and_where_it_ran(folder):
    fit(net(), X, Y, run=folder, **CALL)
    fit(net(), X, Y, run=folder, **CALL)
    configuration = json.loads((folder / "run.json").read_text())["configuration"]
    assert (configuration["batch_size"], configuration["optimizer"]) == (8, "Adam")
    starts = json.loads((folder / "environment.json").read_text())["starts"]
    assert [start["seed"] for start in starts] == [5, 5]
    assert starts[0]["packages"]["keras"] == keras.__version__


def test_nothing_in_it_is_pickled(folder):
    fit(net(), X, Y, run=folder, save_every=0, callbacks=[early_stopping()], **CALL)
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".json", ".keras", ".ktr"}


# A disk that fails.


class FillsTheDisk(keras.callbacks.Callback):
    """Leaves no room on the disk of a folder, at the end of an epoch."""

    def __init__(self, folder, epoch):
        super().__init__()
        self.path, self.at = folder / "filler", epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            with contextlib.suppress(OSError), self.path.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass


def test_a_full_disk_is_told_as_it_is_and_costs_nothing_of_the_run(short_calls, small_disk):
    whole, model, other = net(), net(), net(2)
    expected = fit(whole, X, Y, **CALL)
    fills = FillsTheDisk(small_disk, 2)
    call = CALL | {"run": small_disk / "run", "save_every": 0}
    with pytest.raises(OSError, match="No space left on device"):
        fit(model, X, Y, callbacks=[fills], **call)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    fills.path.unlink()
    history = fit(other, X, Y, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(whole)


def test_a_disk_that_can_only_be_read_is_refused(small_disk):
    fit(net(), X, Y, run=small_disk / "run", **CALL)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert message_of(small_disk / "run") == (
        "`fit`: `run` must be a folder that can be written. Received: "
        f"run={os.fspath(small_disk / 'run')!r} (Read-only file system)."
    )


# NaN.


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


# What is refused.


def changed(**arguments):
    return lambda: ((net(), X, Y), arguments)


CHANGES = {
    "batch_size": (changed(batch_size=16), "batch_size 8", "batch_size 16"),
    "seed": (changed(seed=6), "seed 5", "seed 6"),
    "speed": (changed(speed="plain"), 'speed "steps"', 'speed "plain"'),
    "patience": (changed(patience=3), "patience null", "patience 3"),
    "data": (
        lambda: ((net(), X[:, ::-1], Y), {}),
        'data.x "(96, 4) float32, sha256 ',
        'data.x "(96, 4) float32, sha256 ',
    ),
    "rows": (
        lambda: ((net(), X[:80], Y[:80]), {}),
        'data.x "(96, 4) float32, sha256 ',
        'data.x "(80, 4) float32, sha256 ',
    ),
    "dropout": (
        lambda: ((net(rate=0.4), X, Y), {}),
        "model.layers[2].config.rate 0.3",
        "model.layers[2].config.rate 0.4",
    ),
    "units": (
        lambda: ((net(units=9), X, Y), {}),
        "model.layers[1].config.units 8",
        "model.layers[1].config.units 9",
    ),
    "optimizer": (
        lambda: ((net(optimizer="sgd"), X, Y), {}),
        'optimizer "Adam"',
        'optimizer "SGD"',
    ),
    "rate": (
        lambda: ((net(optimizer=keras.optimizers.Adam(0.01)), X, Y), {}),
        "optimizer.learning_rate 0.001",
        "optimizer.learning_rate 0.01",
    ),
    "callbacks": (
        changed(callbacks=[reduce_on_plateau()]),
        "callbacks []",
        'callbacks ["_ReduceLROnPlateau 1"]',
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_would_go_on_otherwise_is_refused_by_the_first_difference(folder, change):
    made, was, came = CHANGES[change]
    fit(net(), X, Y, run=folder, **CALL)
    arguments, keywords = made()
    with pytest.raises(ValueError, match="`run` must go on as it began") as error:
        fit(*arguments, run=folder, **CALL | keywords)
    message = str(error.value)
    assert message.startswith(f"`fit`: `run` must go on as it began, with {was}")
    assert f". Received: {came}" in message
    assert message.endswith(f", run={os.fspath(folder)!r}.")


def message_of(folder, **arguments):
    with pytest.raises((ValueError, TypeError)) as error:
        fit(net(), X, Y, **CALL | {"run": folder} | arguments)
    return str(error.value)


def test_fewer_epochs_than_it_has_are_refused(folder):
    fit(net(), X, Y, run=folder, **CALL)
    assert message_of(folder, epochs=2) == (
        "`fit`: `epochs` must be at least 4, which the run has behind it. Received: epochs=2."
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            {"run": 3},
            "`run` must be the path of a folder. Received: run=3.",
        ),
        (
            {"save_every": -1},
            "`save_every` must be at least 0. Received: save_every=-1.",
        ),
        ({"max_time": 0}, "`max_time` must be above 0. Received: max_time=0."),
        (
            {"on_nan": "ignore"},
            "`on_nan` must be one of 'stop', 'rollback'. Received: on_nan='ignore'.",
        ),
        (
            {"on_nan": "rollback", "schedule": one_cycle(0.1)},
            "`on_nan` must be 'stop' where a schedule sets the rate, which can't be halved. "
            "Received: on_nan='rollback'.",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(folder, arguments, sentence):
    assert message_of(folder, **arguments) == f"`fit`: {sentence}"


def test_a_file_in_its_place_is_refused(tmp_path):
    path = tmp_path / "run"
    path.write_text("a file")
    assert message_of(path) == (
        "`fit`: `run` must be a folder that can be written. Received: "
        f"run={os.fspath(path)!r} (File exists)."
    )


def test_a_folder_that_cannot_be_written_is_refused():
    assert message_of(pathlib.Path("/proc/run")) == (
        "`fit`: `run` must be a folder that can be written. Received: run='/proc/run' "
        "(No such file or directory)."
    )


def test_a_run_of_a_later_version_is_refused(folder):
    fit(net(), X, Y, run=folder, **CALL)
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"version": 1', '"version": 2'))
    assert message_of(folder) == (
        "`fit`: `run` must be a run directory of version 1, which this package reads. Received: "
        f"run={os.fspath(folder)!r} of version 2."
    )


def test_a_run_without_its_state_does_not_silently_begin_anew(folder):
    fit(net(), X, Y, run=folder, **CALL)
    for path in folder.glob("state-*"):
        path.unlink()
    assert message_of(folder) == (
        "`fit`: `run` must be a whole run directory. Received: "
        f"run={os.fspath(folder)!r} (its state is gone)."
    )


def test_a_run_that_another_call_is_at_work_on_is_refused(folder):
    class Again(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.message = message_of(folder)

    again = Again()
    fit(net(), X, Y, run=folder, callbacks=[again], **CALL)
    assert again.message.startswith(
        f"`fit`: `run` must not be in use. Received: run={os.fspath(folder)!r}, on which process "
        f"{os.getpid()} on "
    )


class Sleeps(keras.callbacks.Callback):
    """Lets the machine sleep after the first epoch, until what another one does is done."""

    def __init__(self, monkeypatch, meanwhile):
        super().__init__()
        self.patch, self.meanwhile = monkeypatch, meanwhile

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.meanwhile()
            later = time.time() + 1000
            self.patch.setattr(time, "time", lambda: later)


def taken_by_another_machine(folder):
    note = json.loads((folder / "lock.json").read_text())
    owner, host = "elsewhere abc pid:[1] 1234 567 0123abcd", "elsewhere"
    (folder / "lock.json").write_text(json.dumps(note | {"owner": owner, "host": host}))


def removed(folder):
    (folder / "lock.json").unlink()


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (
            taken_by_another_machine,
            (
                "which process 1234 on elsewhere, since {since}, took while nothing was heard of "
                "this one"
            ),
        ),
        (removed, "whose lock.json somebody has removed"),
    ],
    ids=["taken", "removed"],
)
def test_a_run_that_was_lost_while_the_machine_slept_is_left_alone(
    folder, monkeypatch, happens, why
):
    since, before = [], []

    def meanwhile():
        since.append(json.loads((folder / "lock.json").read_text())["since"])
        happens(folder)
        before.append({path.name: path.read_bytes() for path in folder.iterdir()})

    with pytest.raises(RuntimeError) as error:
        fit(net(), X, Y, run=folder, callbacks=[Sleeps(monkeypatch, meanwhile)], **CALL)
    assert str(error.value) == (
        "`fit`: `run` must stay with one process. Received: "
        f"run={os.fspath(folder)!r}, {why.format(since=since[0])}."
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before[0]


# Broken files.


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was broken off, and what it is to come to."""
    folder = tmp_path_factory.mktemp("runs") / "half"
    whole = net()
    expected = fit(whole, X, Y, **CALL)
    broken_off(folder, (2, None))
    return folder, told_by(expected), bits_of(whole)


FILES = ("run.json", "history.json", "environment.json", "best.keras", "newest", "before")


@pytest.mark.parametrize("part", range(9))
@pytest.mark.parametrize("damage", ["flip", "cut"])
@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_never_makes_a_wrong_run(half, tmp_path, name, damage, part):
    origin, expected, bits = half
    folder = tmp_path / "run"
    shutil.copytree(origin, folder)
    states = sorted(folder.glob("state-*"))
    path = {"newest": states[-1], "before": states[-2]}.get(name, folder / name)
    content = bytearray(path.read_bytes())
    place = min(len(content) - 1, len(content) * part // 8)
    if damage == "flip":
        content[place] ^= 0xFF
        path.write_bytes(content)
    else:
        path.write_bytes(content[:place])
    model = net(seed=2)
    call = CALL | {"run": folder}
    if name == "newest":
        with pytest.warns(UserWarning, match="is broken"):
            history = fit(model, X, Y, **call)
    else:
        history = fit(model, X, Y, **call)
    assert told_by(history) == expected
    assert bits_of(model) == bits
    assert told_by(History.load(folder / "history.json")) == expected
    assert load_model(folder / "best.keras").count_params() == model.count_params()
    assert json.loads((folder / "run.json").read_text())["configuration"]["seed"] == 5


FORGED = {
    "no epoch": {"epoch": None},
    "an epoch that is none": {"epoch": -1},
    "a batch that is none": {"batch": "2"},
    "ways that lead nowhere": {"ways": {"0": "backwards"}},
    "a seed that is none": {"seed": [1]},
    "a configuration that is none": {"configuration": 3},
    "logs that are none": {"logs": {"loss": "low"}},
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_state_that_somebody_made_up_is_refused(half, tmp_path, forged):
    from kerastrain._generations import Generations
    from kerastrain._state_files import State

    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    facts = {**state.facts, "facts": {**state.facts["facts"], **FORGED[forged]}}
    for _ in range(3):
        generations.save(State(facts, state.arrays), is_landmark=True)
    name = next(iter(FORGED[forged]))
    assert message_of(folder) == (
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} (its "
        f"state has no {name} that can be)."
    )


def test_a_state_of_other_arrays_is_refused(half, tmp_path):
    from kerastrain._generations import Generations
    from kerastrain._state_files import State

    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    arrays = {**state.arrays, "model variable 0": np.zeros((4, 9), "float32")}
    generations.save(State(state.facts, arrays), is_landmark=True)
    assert message_of(folder) == (
        "`fit`: `run` must go on with the model that it began with, where model variable 0 was "
        "float32 (4, 9). Received: model variable 0: float32 (4, 8)."
    )


def test_where_every_state_is_broken_it_says_so(half, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    for path in folder.glob("state-*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert message_of(folder).startswith(
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} ("
    )
