"""Builders of small models, and rows for them, for tests of the search."""

import keras
import numpy as np

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(96, 4)).astype("float32")
Y = X @ np.array([1.0, -2.0, 0.5, 0.0], "float32") + 1
NAMES = np.where(X[:, 0] > 0.4, "large", np.where(X[:, 0] > -0.4, "middle", "small"))
SIGNS = np.where(X[:, 0] + 0.3 * X[:, 1] > 0, "yes", "no")


def build_model(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=[8]):  # noqa: B006
    """The documents' builder, D2.1, in today's words."""
    model = keras.models.Sequential()
    model.add(keras.layers.InputLayer(shape=input_shape))
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=learning_rate))
    return model


def net(units=8, activation="softmax", loss=None, input_shape=(2,), classes=2):
    """A classifier with a unit a class, compiled if a loss is given."""
    head = keras.layers.Dense(classes, activation=activation)
    hidden = [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu")]
    model = keras.Sequential([keras.Input(input_shape), *hidden, head])
    if loss is not None:
        model.compile(keras.optimizers.Adam(0.05), loss)
    return model


def number_net(units=8, input_shape=(2,), outputs=1):
    """A regressor, compiled."""
    hidden = [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu")]
    model = keras.Sequential([keras.Input(input_shape), *hidden, keras.layers.Dense(outputs)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model
