"""A model and rows for tests that compare models made alike, or nearly, and the comparisons."""

import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
Y = X.sum(axis=1)


def made(units=4, activation="relu", loss="mse", optimizer="sgd", metrics=(), layer=None):
    layers = [keras.Input((8,)), keras.layers.Dense(units, activation=activation)]
    head = keras.layers.Dense(1)
    model = keras.Sequential([*layers, *([] if layer is None else [layer]), head])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def measures(history):
    """The columns of a history that a repeated run repeats."""
    return {name: column for name, column in history.history.items() if name != "seconds"}


def assert_same_bits(arrays, others):
    for array, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, other)
