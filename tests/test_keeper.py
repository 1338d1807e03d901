"""What a run directory holds, and when; and a disk that fails."""

import contextlib
import json
import os
import shutil
import subprocess

import keras
import numpy as np
import pytest
from small_models import assert_same_bits
from small_runs import (
    CALL,
    X,
    Y,
    bits_of,
    broken_off,
    finished,
    held_out,
    message_of,
    net,
    newest_facts,
    told_by,
    whole,
)

from kerastrain import _keeper
from kerastrain.callbacks import early_stopping
from kerastrain.records import History
from kerastrain.saving import load_model, load_weights
from kerastrain.training import fit

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
    finished(folder)
    fit(net(), X, Y, run=folder, **CALL)
    configuration = json.loads((folder / "run.json").read_text())["configuration"]
    assert (configuration["batch_size"], configuration["optimizer"]) == (8, "Adam")
    starts = json.loads((folder / "environment.json").read_text())["starts"]
    assert [start["seed"] for start in starts] == [5, 5]
    assert starts[0]["packages"]["keras"] == keras.__version__


class Masks(keras.layers.Layer):
    """Has a weight that is infinite by design."""

    def build(self, shape):
        self.mask = self.add_weight(shape=(1,), initializer=LEAST, trainable=False)
        self.built = True

    def call(self, x):
        return keras.ops.maximum(x, self.mask)


LEAST = keras.initializers.Constant(-np.inf)


def test_a_mask_of_infinity_keeps_no_run_from_being_saved(short_calls, folder):
    def masked(seed=1):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((4,)), Masks(), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    unbroken, other = masked(), masked(2)
    fit(unbroken, X, Y, **CALL)
    broken_off(folder, (2, 2), masked())
    history = fit(other, X, Y, run=folder, **CALL)
    assert (history.epoch, sorted(folder.glob("*.ktr")) != []) == ([0, 1, 2, 3], True)
    assert bits_of(other) == bits_of(unbroken)


def test_nothing_in_it_is_pickled(folder):
    fit(net(), X, Y, run=folder, save_every=0, callbacks=[early_stopping()], **CALL)
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".json", ".keras", ".ktr"}


# After an error.


class Counts(keras.callbacks.Callback):
    """Counts batches in an array that it changes in place."""

    sees_groups = True

    def __init__(self):
        super().__init__()
        self.count = np.zeros(1)

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1

    def get_state(self):
        return {"count": self.count}

    def set_state(self, state):
        self.count = np.array(state["count"])


def test_an_error_within_an_epoch_costs_one_call(short_calls, folder, monkeypatch):
    monkeypatch.setattr(_keeper, "PART_OF_TIME", 1e9)
    monkeypatch.setattr(_keeper, "PART_FOR_HOLDING", 1e9)
    other, counts = net(2), Counts()
    broken_off(folder, (2, 3), save_every=1e9, callbacks=[Counts()])
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 6)
    history = fit(other, X, Y, run=folder, callbacks=[counts], **CALL)
    assert (told_by(history), bits_of(other)) == whole()
    assert counts.count == 12


class Spoils(keras.callbacks.Callback):
    """Leaves NaN in the weights behind the last call of an epoch."""

    sees_groups = True

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # Keras 3.10 tells of a call by its first batch, and since then of its last.
        if self.epoch == 2 and batch in (6, 8):
            self.model.layers[-1].kernel.assign(self.model.layers[-1].kernel * np.nan)


def test_nan_is_not_held(short_calls, folder, monkeypatch):
    monkeypatch.setattr(_keeper, "PART_OF_TIME", 1e9)
    monkeypatch.setattr(_keeper, "PART_FOR_HOLDING", 1e9)
    broken_off(folder, (2, None), save_every=1e9, callbacks=[Spoils()])
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == (2, 6)


def test_no_more_is_held_than_saving_may_take(short_calls, folder, monkeypatch):
    monkeypatch.setattr(_keeper, "PART_OF_TIME", 0.0)
    broken_off(folder, (0, 3), save_every=1e9)
    assert newest_facts(folder)["batch"] == 0


# A disk that fails.


class Removes(keras.callbacks.Callback):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            shutil.rmtree(self.folder)


def test_a_folder_that_somebody_removes_is_written_anew(folder):
    before = fit(net(), X, Y, run=folder, min_delta=9.0, **CALL)
    files = {path.name for path in folder.iterdir() if path.suffix != ".ktr"}
    shutil.rmtree(folder)
    call = CALL | {"run": folder, "save_every": 0, "min_delta": 9.0}
    history = fit(net(), X, Y, callbacks=[Removes(folder)], **call)
    assert history.best_epoch == 0  # And so written before it was removed.
    assert told_by(history) == told_by(before)
    assert {path.name for path in folder.iterdir() if path.suffix != ".ktr"} == files
    assert told_by(fit(net(2), X, Y, **call)) == told_by(before)


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
    model, other = net(), net(2)
    fills = FillsTheDisk(small_disk, 2)
    call = CALL | {"run": small_disk / "run", "save_every": 0}
    with pytest.raises(OSError, match="No space left on device"):
        fit(model, X, Y, callbacks=[fills], **call)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    fills.path.unlink()
    history = fit(other, X, Y, **call)
    assert (told_by(history), bits_of(other)) == whole()


def test_a_disk_that_can_only_be_read_is_refused(small_disk):
    fit(net(), X, Y, run=small_disk / "run", **CALL)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert message_of(small_disk / "run") == (
        "`fit`: `run` must be a folder that can be written. Received: "
        f"run={os.fspath(small_disk / 'run')!r} (Read-only file system)."
    )


class Scaled(keras.layers.Layer):
    """A layer that doesn't say how it was made."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def test_of_a_model_that_keras_cannot_write_down_the_weights_are_kept(folder, capsys):
    def unwritable():
        layers = [Scaled(keras.ops.tanh), keras.layers.Dense(1, activation="sigmoid")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile("adam", "binary_crossentropy")
        return model

    model, other = unwritable(), unwritable()
    fit(model, X, Y, run=folder, **CALL | {"verbose": 1})
    assert (
        f"run {os.fspath(folder)!r}: Scaled has no get_config(), so that its best weights are kept "
        "in best.weights.h5, and no best.keras\n"
    ) in capsys.readouterr().out
    load_weights(other, folder / "best.weights.h5")
    assert_same_bits(other.get_weights(), model.get_weights())
    again = unwritable()
    fit(again, X, Y, run=folder, **CALL)
    assert_same_bits(again.get_weights(), model.get_weights())
