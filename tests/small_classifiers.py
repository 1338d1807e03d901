"""A classifier of six columns, rows for it, and what a report says, for tests of `check`."""

import keras
import numpy as np

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(300, 6)).astype("float32")
Y = GENERATOR.integers(0, 3, 300)
HELD_OUT = GENERATOR.normal(size=(60, 6)).astype("float32"), GENERATOR.integers(0, 3, 60)


def a_model(*layers, units=3, activation="softmax", **compiling):
    """A classifier of six columns, compiled."""
    middle = layers or (keras.layers.Dense(16, "relu"),)
    head = keras.layers.Dense(units, activation)
    model = keras.Sequential([keras.Input((6,)), *middle, head])
    settings = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy"}
    model.compile(**settings | {"metrics": ["accuracy"]} | compiling)
    return model


def codes(report):
    return [finding.code for finding in report.findings]


def sentences(report):
    return [finding.sentence for finding in report.findings]
