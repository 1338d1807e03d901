"""Rows, a space and arguments with which a search trains in a moment; builders that go wrong."""

import os
import time

import keras
import numpy as np

import kerastrain as ktr

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = (X @ np.array([1.0, -2.0, 0.5, 0.0])).astype("float32")
DATA = (X, Y)
SPACE = {"n_neurons": [2, 8], "learning_rate": [0.003, 0.01, 0.03, 0.1]}
SHORT = {"epochs": 3, "seed": 1, "verbose": 0, "speed": "steps"}


def fails_above_4(n_neurons=2, input_shape=(4,)):
    if n_neurons > 4:
        raise RuntimeError("too wide\nfor this house")
    return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)


def crashes_above_4(n_neurons=2, input_shape=(4,)):
    if n_neurons > 4:
        os._exit(7)
    return fails_above_4(n_neurons, input_shape)


def hangs_above_4(n_neurons=2, input_shape=(4,)):
    if n_neurons > 4:
        time.sleep(600)
    return fails_above_4(n_neurons, input_shape)


def hoards_above_4(n_neurons=2, input_shape=(4,)):
    if n_neurons > 4:
        hoard = np.ones(400_000_000, "uint8")  # 400 MB, all of them touched.
        time.sleep(600)
        del hoard
    return fails_above_4(n_neurons, input_shape)


class InterruptAt(keras.callbacks.Callback):
    """Presses Ctrl-C at an epoch's end, after so many in all trials together."""

    count = 0

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def __deepcopy__(self, memo):
        return self  # One count for all trials, where each gets a copy of its callbacks.

    def on_epoch_end(self, epoch, logs=None):
        self.count += 1
        if self.count == self.epochs:
            raise KeyboardInterrupt


def told(result):
    """What a search repeats: all but the times."""
    return [
        (t.number, t.params, t.state, t.value, t.reason, [h.history["loss"] for h in t.histories])
        for t in result.trials
    ]
