"""What tests share that train by steps of their own: each keeps something where Keras doesn't look.

All of them take four columns, and learn one number a row.
"""

import keras
import numpy as np
import tensorflow as tf

L = keras.layers


class Counts(L.Layer):
    """Counts its steps in a variable of TensorFlow's, on which its outputs hang."""

    def build(self, shape):
        self.count = tf.Variable(0.0, trainable=False)
        self.built = True

    def call(self, x, training=False):
        if training:
            self.count.assign_add(1.0)
        return x * (1.0 + 0.05 * self.count)


class Noises(L.Layer):
    """Adds noise by a generator of TensorFlow's own."""

    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(1)

    def call(self, x, training=False):
        return x + self.generator.normal(tf.shape(x)) if training else x


class NoisesFromNowhere(L.Layer):
    """Adds noise by an operation that keeps its state to itself."""

    def call(self, x, training=False):
        return x + tf.random.normal(tf.shape(x)) if training else x


class Notes(L.Layer):
    """Keeps a text."""

    def build(self, shape):
        self.note = tf.Variable("", trainable=False, name="note")
        self.built = True

    def call(self, x, training=False):
        if training:
            self.note.assign("trained")
        return x


def with_layer(layer, seed=1):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), L.Dense(6, "tanh"), layer, L.Dense(1)])
    model.compile("adam", "mse")
    return model


def recurrent(seed=1):
    """A stateful GRU in both directions, which goes on from batch to batch."""
    keras.utils.set_random_seed(seed)
    gru = L.Bidirectional(L.GRU(3, stateful=True))
    model = keras.Sequential([keras.Input((4, 1), batch_size=8), gru, L.Dense(1)])
    model.compile("adam", "mse")
    return model


class Trains(keras.Model):
    """Trains its body and its head by optimizers that it keeps somewhere."""

    def __init__(self, where="dict"):
        super().__init__()
        self.body, self.head = L.Dense(6, "tanh"), L.Dense(1)
        made = keras.optimizers.Adam(0.01), keras.optimizers.RMSprop(0.01)
        self.kept = {"list": list(made), "dict": {"body": made[0], "head": made[1]}}[where]
        self.average = keras.metrics.Mean(name="loss")

    def call(self, x):
        return self.head(self.body(x))

    def train_step(self, data):
        x, y = data[:2]
        parts = [layer.trainable_variables for layer in (self.body, self.head)]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x)[:, 0] - tf.cast(y, tf.float32)) ** 2)
        optimizers = self.kept.values() if isinstance(self.kept, dict) else self.kept
        for one, gradients, part in zip(optimizers, tape.gradient(loss, parts), parts, strict=True):
            one.apply(gradients, part)
        self.average.update_state(loss)
        return {"loss": self.average.result()}


class Contends(keras.Model):
    """A generator and a critic, each compiled on its own, as in many a GAN."""

    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((4,)), L.Dense(4)])
        self.critic = keras.Sequential([keras.Input((4,)), L.Dense(1)])
        for part in (self.maker, self.critic):
            part.compile(keras.optimizers.Adam(0.01), "mse")
        self.average = keras.metrics.Mean(name="loss")

    def call(self, x):
        return self.critic(self.maker(x))

    def train_step(self, data):
        for part in (self.critic, self.maker):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(data[0]) - 1.0) ** 2)
            part.optimizer.apply(
                tape.gradient(loss, part.trainable_variables), part.trainable_variables
            )
        self.average.update_state(loss)
        return {"loss": self.average.result()}


def of_its_own(kind, seed=1, **settings):
    keras.utils.set_random_seed(seed)
    model = kind(**settings)
    model.compile(loss="mse")
    model(np.zeros((1, 4), "float32"))
    return model


KINDS = {
    "optimizers in a dict": lambda seed: of_its_own(Trains, seed, where="dict"),
    "optimizers in a list": lambda seed: of_its_own(Trains, seed, where="list"),
    "compiled models within": lambda seed: of_its_own(Contends, seed),
    "a stateful RNN": recurrent,
    "a variable of TensorFlow's": lambda seed: with_layer(Counts(), seed),
    "a generator of TensorFlow's": lambda seed: with_layer(Noises(), seed),
}
"""Functions of a seed that make such models."""
