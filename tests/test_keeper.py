"""What a run directory holds, and when; and a disk that fails."""

import contextlib
import json
import os
import subprocess

import keras
import numpy as np
import pytest
from small_models import assert_same_bits
from small_runs import CALL, X, Y, bits_of, broken_off, held_out, message_of, net, told_by

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
