"""Holds learning rates and batch sizes against what trains best.

    python tests/benchmark_learning_rate.py [--only Adam] [--json results.json]
    python tests/benchmark_learning_rate.py time
    python tests/benchmark_learning_rate.py large

The first holds the rate that `lr_find` suggests, and those that other rules do, against what trains
best. On each task a sweep is made and a model trained at 13 rates from 1e-5 to 10, and at the rate
that each rule takes from the sweep. The figure is the best validation loss, over the lowest of the
grid; a rule is right where that is below 1.1. California housing is read from the folder that
KERASTRAIN_DATA names, and left out where it names none.

The second times a sweep of 500 steps against an epoch of Keras's `model.fit`, in turns. The third
trains the notes' first network on all of Fashion-MNIST with batches of 32 and of 8,192, with and
without warming up.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import kerastrain as ktr

GRID = np.geomspace(1e-5, 10, 13)
RIGHT = 1.1
OPTIMIZERS = {
    "SGD": keras.optimizers.SGD,
    "momentum": functools.partial(keras.optimizers.SGD, momentum=0.9),
    "RMSprop": keras.optimizers.RMSprop,
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "Nadam": keras.optimizers.Nadam,
    "Adagrad": keras.optimizers.Adagrad,
}


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to train; `build` makes a fresh model that isn't compiled."""

    data: str
    model: str
    optimizer: str
    batch_size: int
    build: Callable[[], keras.Model]
    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    epochs: int = 10

    def __str__(self):
        return f"{self.data}, {self.model}, {self.optimizer}, {self.batch_size}"

    def compiled(self):
        keras.utils.set_random_seed(0)
        made = OPTIMIZERS[self.optimizer]()
        return ktr.compile_for_task(self.build(), y=self.train[1], optimizer=made)

    def swept(self):
        return ktr.lr_find(self.compiled(), *self.train, batch_size=self.batch_size)

    def best_loss(self, rate):
        """Returns the lowest validation loss of a run at some rate; infinity if it was lost."""
        model = self.compiled()
        model.optimizer.learning_rate = float(rate)
        history = ktr.fit(
            model,
            *self.train,
            validation_data=self.validation,
            epochs=self.epochs,
            batch_size=self.batch_size,
            restore_best=False,
            seed=1,
            verbose=0,
        )
        losses = [loss for loss in history.history["val_loss"] if math.isfinite(loss)]
        return math.inf if history.stop_reason == "nan" or not losses else min(losses)


def tasks():
    """Yields the tasks: four optimizers with either batch size on one, some on each other."""
    data = ktr.load_dataset("fashion_mnist_small")
    clothes = functools.partial(Task, "clothes", train=data.train, validation=data.val)
    dense = functools.partial(ktr.build, "dense")
    for optimizer in ("SGD", "momentum", "RMSprop", "Adam"):
        for size in (32, 512):
            yield clothes("dense", optimizer, size, dense)
    normal = functools.partial(dense, keras.layers.BatchNormalization())
    for optimizer, size in (("SGD", 32), ("Adam", 512)):
        yield clothes("dense + batch norm", optimizer, size, normal)
    dropout = functools.partial(dense, keras.layers.Dropout(0.3))
    yield clothes("dense + dropout", "Adam", 32, dropout)
    few = tuple(part[:2560] for part in data.train)
    for optimizer, size in (("Adam", 32), ("momentum", 32), ("RMSprop", 512)):
        build = functools.partial(ktr.build, "cnn")
        task = clothes("cnn", optimizer, size, build, epochs=4)
        yield dataclasses.replace(task, train=few)
    yield from _tasks_of_digits()
    yield from _tasks_of_housing()
    yield from _fresh_tasks(clothes, few)


def _tasks_of_digits():
    data = ktr.load_dataset("digits")
    build = functools.partial(ktr.build, "dense", input_shape=(8, 8))
    for optimizer, size in (("SGD", 32), ("Adam", 32), ("momentum", 512), ("RMSprop", 32)):
        yield Task("digits", "dense", optimizer, size, build, data.train, data.val, epochs=30)


def _tasks_of_housing():
    data = _housing()
    if data is None:
        print("Without California housing: KERASTRAIN_DATA names no folder.")
        return
    build = functools.partial(ktr.build, "regression")
    for optimizer, size in (("Adam", 32), ("SGD", 32), ("momentum", 512), ("RMSprop", 32)):
        yield Task("housing", "regression", optimizer, size, build, data.train, data.val)
    deep = functools.partial(ktr.build, "regression", n_hidden=3, n_neurons=60)
    yield Task("housing", "regression, 3 layers", "Adam", 512, deep, data.train, data.val)

    build = functools.partial(ktr.build, "binary")
    for optimizer, size in (("Adam", 512), ("SGD", 32), ("RMSprop", 512)):
        yield Task("housing", "binary", optimizer, size, build, dear(data.train), dear(data.val))


def _housing():
    return ktr.load_dataset("california_housing") if "KERASTRAIN_DATA" in os.environ else None


def dear(pair):
    """Whether a house costs more than 1.8, about the median."""
    return pair[0], (pair[1].reshape(-1) > 1.8).astype("int64")


def _fresh_tasks(clothes, few):
    """Yields tasks that had no part in choosing the rule."""
    data = ktr.load_dataset("diabetes")
    mean, spread = data.train[1].mean(), data.train[1].std()
    pairs = [(x, ((y - mean) / spread).astype("float32")) for x, y in (data.train, data.val)]
    build = functools.partial(ktr.build, "regression", input_shape=(10,))
    for optimizer in ("Adam", "SGD"):
        yield Task("diabetes", "regression", optimizer, 32, build, *pairs, epochs=30)
    yield clothes("dense 300", "Nadam", 128, functools.partial(ktr.build, "dense", units=300))
    for optimizer, size in (("AdamW", 64), ("momentum", 128)):
        yield clothes("three layers", optimizer, size, three_layers)
    for optimizer, size in (("Adam", 64), ("RMSprop", 32)):
        task = clothes("LSTM", optimizer, size, recurrent, epochs=6)
        yield dataclasses.replace(task, train=few)
    data = _housing()
    if data is not None:
        build = functools.partial(ktr.build, "binary")
        yield Task("housing", "binary", "momentum", 32, build, dear(data.train), dear(data.val))
        build = functools.partial(ktr.build, "regression")
        yield Task("housing", "regression", "Adagrad", 128, build, data.train, data.val)
        build = functools.partial(ktr.build, "regression", n_hidden=2)
        yield Task("housing", "regression, 2 layers", "SGD", 512, build, data.train, data.val)


def three_layers():
    hidden = [keras.layers.Dense(100, activation="relu") for _ in range(3)]
    head = keras.layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), *hidden, head])


def recurrent():
    head = keras.layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((28, 28)), keras.layers.LSTM(32), head])


def measured(task):
    """Returns all that there is to say of a task, as plain numbers."""
    sweep = task.swept()
    grid = [task.best_loss(rate) for rate in GRID]
    untrained = task.best_loss(1e-12)
    return {
        "sweep": {"rates": sweep.rates, "losses": sweep.losses},
        "note": sweep.note,
        "reliable": sweep.reliable,
        "grid": grid,
        "untrained": untrained,
        "rules": {name: [rate, task.best_loss(rate)] for name, rate in sweep.rules.items()},
    }


def ratio(result, rule):
    return result["rules"][rule][1] / min(result["grid"])


def line(name, result):
    best = int(np.argmin(result["grid"]))
    cells = [name, f"{GRID[best]:.2g}", f"{result['grid'][best]:.3f}"]
    cells += [
        f"{result['rules'][rule][0]:.2g}: {ratio(result, rule):.2f}" for rule in result["rules"]
    ]
    return "| " + " | ".join(cells) + " |"


def summary(results):
    rules = list(next(iter(results.values()))["rules"])
    right = [sum(ratio(r, rule) < RIGHT for r in results.values()) for rule in rules]
    lost = [
        sum(not r["rules"][rule][1] < r["untrained"] for r in results.values()) for rule in rules
    ]
    count = len(results)
    return "\n".join(
        [
            "| within 10 % | | | " + " | ".join(f"{n} of {count}" for n in right) + " |",
            "| diverged | | | " + " | ".join(map(str, lost)) + " |",
        ]
    )


def hold_rules(only, path):
    """Prints the table of the rules, a line a task."""
    results = {}
    for task in tasks():
        if only not in str(task):
            continue
        result = results[str(task)] = measured(task)
        if len(results) == 1:
            head = ["task", "best rate", "its loss", *result["rules"]]
            print("| " + " | ".join(head) + " |")
            print("|" + "---|" * len(head))
        print(line(str(task), result), "" if result["reliable"] else result["note"], flush=True)
        if path:
            pathlib.Path(path).write_text(json.dumps(results), encoding="utf-8")
    print(summary(results))


def time_sweeps(turns=5):
    """Prints what a sweep and an epoch of Keras's take on the notes' first network."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(48_000, 28, 28)).astype("float32")
    y = generator.integers(0, 10, len(x))

    def model():
        return ktr.compile_for_task(ktr.build("dense", keras.layers.Dropout(0.3)), y=y)

    def seconds(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    keras_model = model()
    keras_model.fit(x, y, verbose=0)  # The first epoch traces.
    epochs, sweeps = [], []
    for _ in range(turns):
        epochs.append(seconds(lambda: keras_model.fit(x, y, verbose=0)))
        # Up to a rate that it doesn't run away at, so that all steps are taken.
        swept = model()
        sweeps.append(seconds(lambda: ktr.lr_find(swept, x, y, max_rate=1e-2)))  # noqa: B023
    epoch, sweep = statistics.median(epochs), statistics.median(sweeps)
    print(f"model.fit, an epoch: {epoch:.2f} s; 500 steps of a sweep, traced: {sweep:.2f} s")


def compare_large_batches():
    """Prints the table of batches of 32 and 8,192 on all of Fashion-MNIST."""
    data = ktr.load_dataset("fashion_mnist")
    dropout = keras.layers.Dropout(0.3)
    print(ktr.compare_batch_sizes("dense", data, sizes=[32, 8192], a_layer=dropout, epochs=40))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=("rules", "time", "large"), default="rules")
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    parser.add_argument("--json", help="where to write all numbers")
    arguments = parser.parse_args()
    if arguments.what == "time":
        time_sweeps()
    elif arguments.what == "large":
        compare_large_batches()
    else:
        hold_rules(arguments.only, arguments.json)


if __name__ == "__main__":
    main()
