"""A model and rows for tests that compare models made alike, or nearly."""

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
