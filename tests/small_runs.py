"""What tests of runs share: a small model and its rows, what breaks it off, what is left."""

import atexit
import contextlib
import functools
import pathlib
import shutil
import tempfile

import keras
import numpy as np
import pytest

from kerastrain._exact_state import facts_of
from kerastrain._generations import Generations
from kerastrain.data import split_positions
from kerastrain.training import fit

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(96, 4)).astype("float32")
Y = (X[:, 0] + GENERATOR.normal(size=96) > 0).astype("int32")
_PLACES = contextlib.ExitStack()
atexit.register(_PLACES.close)
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
    """Breaks a training off after some calls of an epoch, none at all too, or at its end."""

    sees_groups = True

    def __init__(self, epoch, calls=None, error=RuntimeError):
        super().__init__()
        self.at, self.error = (epoch, calls), error

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.calls = epoch, 0
        if (epoch, 0) == self.at:
            raise self.error("broken off")

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


@functools.cache
def whole(speed="steps"):
    """What a run comes to that nobody breaks off: all that it tells, and its bits."""
    model = net()
    return told_by(fit(model, X, Y, **CALL | {"speed": speed})), bits_of(model)


def finished(folder):
    """Puts a run that has ended in a folder."""
    shutil.copytree(_finished(), folder)


@functools.cache
def _finished():
    place = _PLACES.enter_context(tempfile.TemporaryDirectory())
    folder = pathlib.Path(place, "run")
    fit(net(), X, Y, run=folder, **CALL)
    return folder


def held_out():
    positions = split_positions(96, 0.25, seed=5, labels=Y)[1]
    return X[positions], Y[positions]


def newest_facts(folder):
    return facts_of(Generations(folder).newest()[0])


def message_of(folder, **arguments):
    with pytest.raises((ValueError, TypeError)) as error:
        fit(net(), X, Y, **CALL | {"run": folder} | arguments)
    return str(error.value)
