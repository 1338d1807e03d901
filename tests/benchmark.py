"""Times `fit` against `model.fit`, and against what others offer, in one process.

    python tests/benchmark.py            the promised cases: those of `python -m kerastrain bench`
    python tests/benchmark.py further    others, short and heavy ones among them
    python tests/benchmark.py rivals     the first case, by hand in PyTorch and JAX, by skorch and
                                         by Lightning, as far as they are installed
    python tests/benchmark.py choice     what choosing costs, of all cases but the rivals'

The contenders take turns, and medians are compared.
"""

import argparse
import functools
import itertools
import time

import benchmark_rivals
import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import bench, loops
from kerastrain.models import build
from kerastrain.tasks import compile_for_task

GENERATOR = np.random.default_rng(0)
LAYERS = keras.layers


def normal(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def classes(n, count=10):
    return GENERATOR.integers(0, count, n)


def sequential(shape, *make_layers, loss="sparse_categorical_crossentropy", optimizer="adam"):
    def make():
        made = [make_layer() for make_layer in make_layers]
        model = keras.Sequential([keras.Input(shape), *made])
        metrics = ["accuracy"] if loss == "sparse_categorical_crossentropy" else []
        model.compile(optimizer, loss, metrics=metrics)
        return model

    return make


def softmax(count=10):
    return lambda: LAYERS.Dense(count, activation="softmax")


def dense(units):
    return lambda: LAYERS.Dense(units, activation="relu")


def built(builder, y, **params):
    return lambda: compile_for_task(build(builder, **params), y=y)


class WithItsOwnStep(keras.Model):
    """The loop of Keras's guide, by hand."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def with_its_own_step():
    inputs = keras.Input((20,))
    model = WithItsOwnStep(inputs, LAYERS.Dense(1)(dense(32)()(inputs)))
    model.compile("adam", "mse")
    return model


def wide_and_deep():
    wide, deep = keras.Input((8,)), keras.Input((30,))
    hidden = dense(30)()(dense(30)()(deep))
    model = keras.Model((wide, deep), LAYERS.Dense(1)(LAYERS.Concatenate()([wide, hidden])))
    model.compile("sgd", "mse")
    return model


def transformer():
    words = keras.Input((40,), dtype="int32")
    x = LAYERS.Embedding(2000, 32)(words)
    x = LAYERS.LayerNormalization()(x + LAYERS.MultiHeadAttention(2, 16)(x, x))
    x = LAYERS.GlobalAveragePooling1D()(x)
    model = keras.Model(words, softmax(2)()(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def residual():
    pixels = keras.Input((16, 16, 3))
    x = LAYERS.Conv2D(32, 3, padding="same", activation="relu")(pixels)
    for _ in range(2):
        y = LAYERS.BatchNormalization()(LAYERS.Conv2D(32, 3, padding="same")(x))
        x = LAYERS.ReLU()(x + y)
    model = keras.Model(pixels, softmax()()(LAYERS.GlobalAveragePooling2D()(x)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def further_cases():
    """Yields short, heavy and unusual fits."""
    x, y = normal(1600, 28, 28), classes(1600)
    yield bench.Case("short: dense", built("dense", y), (x, y), 1)
    yield bench.Case("short: cnn", built("cnn", y), (x, y), 1)
    rows = normal(1600, 8)
    yield bench.Case("short: regression", built("regression", rows[:, 0]), (rows, rows[:, 0]), 1)
    recurrent = sequential((30, 4), lambda: LAYERS.LSTM(16), softmax(2))
    yield bench.Case("short: lstm", recurrent, (normal(1600, 30, 4), classes(1600, 2)), 1)

    heavy = sequential((784,), dense(2048), dense(2048), softmax())
    yield bench.Case("heavy: wide dense", heavy, (normal(3200, 784), classes(3200)), 4, 128)
    deep = sequential(
        (32, 32, 3),
        *[lambda units=units: LAYERS.Conv2D(units, 3, activation="relu") for units in (64, 64)],
        LAYERS.GlobalAveragePooling2D,
        softmax(),
    )
    yield bench.Case("heavy: deep cnn", deep, (normal(640, 32, 32, 3), classes(640)), 3)
    yield bench.Case("residual cnn", residual, (normal(1600, 16, 16, 3), classes(1600)), 4)

    small = sequential(
        (8, 8, 1),
        lambda: LAYERS.Conv2D(16, 3, activation="relu"),
        lambda: LAYERS.MaxPooling2D(2),
        LAYERS.Flatten,
        dense(32),
        softmax(),
    )
    yield bench.Case("small cnn", small, (normal(3200, 8, 8, 1), classes(3200)), 100)
    series = sequential(
        (24, 3),
        *[lambda: LAYERS.Conv1D(32, 3, activation="relu")] * 2,
        LAYERS.GlobalAveragePooling1D,
        softmax(2),
    )
    yield bench.Case(
        "series, 1-D convolutions", series, (normal(3200, 24, 3), classes(3200, 2)), 60
    )

    normalised = sequential(
        (50,),
        dense(64),
        LAYERS.BatchNormalization,
        lambda: LAYERS.Dropout(0.5),
        softmax(),
        optimizer="sgd",
    )
    yield bench.Case("batch normalisation", normalised, (normal(6400, 50), classes(6400)), 10)
    gru = sequential((50, 8), lambda: LAYERS.GRU(32), softmax(2))
    yield bench.Case("gru", gru, (normal(3200, 50, 8), classes(3200, 2)), 5)
    words = GENERATOR.integers(0, 2000, (3200, 40))
    yield bench.Case("transformer", transformer, (words, classes(3200, 2)), 5)
    bag = sequential(
        (40,), lambda: LAYERS.Embedding(2000, 16), LAYERS.GlobalAveragePooling1D, softmax(2)
    )
    yield bench.Case("bag of words", bag, (words, classes(3200, 2)), 20, 128)
    both = (normal(6400, 8), normal(6400, 30))
    yield bench.Case("wide and deep", wide_and_deep, (both, normal(6400)), 20)
    coder = sequential((784,), dense(64), lambda: LAYERS.Dense(784), loss="mse")
    pixels = normal(6400, 784)
    yield bench.Case("autoencoder", coder, (pixels, pixels), 5)
    yield bench.Case("own train_step", with_its_own_step, (normal(6400, 20), normal(6400)), 10)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1600).batch(32)
    yield bench.Case("a Dataset", built("dense", y), (stream, None), 5, None)


def report(cases, contenders, repeats):
    for case in cases:
        print(bench.table(case, bench.timed(case, contenders, repeats=repeats)), "\n", flush=True)


class Choosing:
    """Adds up the seconds that a fit spends on choosing its way.

    That is what measuring takes, and tracing and compiling the way that isn't taken; the trace and
    the first call of the one that is taken would have to be made in any case.
    """

    def __init__(self, monkeypatch):
        self._seconds = {"steps": [], "compiled": []}
        for name in ("trace", "_timed"):
            monkeypatch.setattr(loops.RowLoop, name, self._clocked(getattr(loops.RowLoop, name)))

    def _clocked(self, method):
        @functools.wraps(method)
        def call(loop, *arguments):
            start = time.perf_counter()
            result = method(loop, *arguments)
            way = "compiled" if loop._compiled else "steps"
            self._seconds[way].append(time.perf_counter() - start)
            return result

        return call

    def cost_beside(self, ways):
        needed = [seconds for way in ways for seconds in self._seconds[way][:2]]
        return sum(map(sum, self._seconds.values())) - sum(needed)


def report_choice(cases):
    for case in cases:
        with pytest.MonkeyPatch.context() as monkeypatch:
            choosing = Choosing(monkeypatch)
            engine = bench.contenders(("auto",))["auto"](case).engine
            ways = [
                way for way in ("steps", "compiled") if f"{way}:" in engine or f"on {way}" in engine
            ]
            cost = choosing.cost_beside(ways)
        whole = bench.contenders(("model.fit",))["model.fit"](case).whole
        print(f"{case.name:26} {cost:6.3f} s of {whole:6.2f} s, {cost / whole:6.1%}  {engine}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("promised", "further", "rivals", "choice"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", default="", help="only the cases whose name holds this")
    options = parser.parse_args()
    contenders = bench.contenders(("model.fit", "auto"))
    cases = bench.built_in_cases()
    if options.what == "further":
        cases = further_cases()
    elif options.what == "rivals":
        cases = [next(cases)]
        contenders |= benchmark_rivals.installed()
    elif options.what == "choice":
        cases = itertools.chain(cases, further_cases())
    cases = (case for case in cases if options.case in case.name)
    if options.what == "choice":
        report_choice(cases)
    else:
        report(cases, contenders, options.repeats)


if __name__ == "__main__":
    main()
