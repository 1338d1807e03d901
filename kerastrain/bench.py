"""`python -m kerastrain bench`: what each way of executing a fit is worth on this machine.

The contenders take turns in one process, and medians are compared, so that what else the machine
does meets all of them alike.
"""

import dataclasses
import importlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerastrain import choice, traces
from kerastrain._checks import invalid
from kerastrain.models import build
from kerastrain.tasks import compile_for_task
from kerastrain.training import fit

WAYS = ("model.fit", "plain", "steps", "compiled", "auto")

KERAS_EPOCHS = 4
"""Epochs of Keras's own that are run, the first apart; the others are taken to last as long."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A fit to time.

    Attributes:
        name: What it is called in the table.
        make: Returns a fresh compiled model.
        data: Inputs and targets.
        epochs: How many a whole fit has.
        batch_size: Rows a step.
        validation: Inputs and targets to validate on, or `None`.
    """

    name: str
    make: Callable[[], keras.Model]
    data: tuple[Any, Any]
    epochs: int
    batch_size: int = 32
    validation: tuple[Any, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one way took: medians over the repetitions, in seconds.

    Attributes:
        way: One of `WAYS`.
        epoch: An epoch after the first.
        whole: The whole fit, with tracing, measuring and compiling.
        engine: What `fit` says of how it went; empty for `model.fit`.
    """

    way: str
    epoch: float
    whole: float
    engine: str = ""


def built_in_cases() -> Iterator[Case]:
    """Yields the study notes' networks on random data of their sizes."""
    generator = np.random.default_rng(0)

    def images(n: int) -> tuple[Any, Any]:
        pixels = generator.normal(size=(n, 28, 28)).astype("float32")
        return pixels, generator.integers(0, 10, n)

    def made(builder: Any, y: Any, *layers: Any, **params: Any) -> Callable[[], keras.Model]:
        return lambda: compile_for_task(build(builder, list(layers), **params), y=y)

    x, y = images(48_000)
    dropout = keras.layers.Dropout(0.3)
    yield Case("dense + dropout", made("dense", y, dropout), (x, y), 20, validation=images(12_000))
    yield Case("dense, batch 512", made("dense", y), (x, y), 20, batch_size=512)
    rows = generator.normal(size=(11_610, 8)).astype("float32")
    sums = rows.sum(axis=1)
    yield Case("regression", made("regression", sums), (rows, sums), 100)
    words, labels = generator.integers(0, 5000, (6400, 100)), generator.integers(0, 2, 6400)
    yield Case("embedding + LSTM", made(_recurrent, labels), (words, labels), 10, batch_size=64)
    x, y = images(6400)
    yield Case("cnn", made("cnn", y), (x, y), 5)


def case_of(path: str, *, epochs: int) -> Case:
    """Returns a case of the user's own.

    Args:
        path: "module:function", of a function that returns a compiled model and its `x` and `y`.
        epochs: How many a whole fit has.

    Raises:
        ValueError: If that isn't such a function.
    """
    module, _, name = path.partition(":")
    must = "be module:function, of a function that returns (compiled model, x, y)"
    try:
        function = getattr(importlib.import_module(module), name)
        _, x, y = function()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise invalid("bench", "--model", must, f"{path} ({error})") from error
    return Case(path, lambda: function()[0], (x, y), epochs)


def timed(case: Case, ways: Iterable[str] = WAYS, *, repeats: int = 3) -> list[Timing]:
    """Times a case under each way, the ways taking turns, each as a process's first fit."""
    turns: Mapping[str, list[tuple[float, float, str]]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, results in turns.items():
            results.append(_by_keras(case) if way == "model.fit" else _by_fit(case, way))
    return [
        Timing(
            way,
            statistics.median(turn[0] for turn in results),
            statistics.median(turn[1] for turn in results),
            results[-1][2],
        )
        for way, results in turns.items()
    ]


def table(case: Case, timings: list[Timing]) -> str:
    """Returns the timings as lines of text, held against the first."""
    first = timings[0]
    lines = [f"{case.name}: {case.epochs} epochs, batch {case.batch_size}"]
    lines.append(f"  {'':10} {'s an epoch':>10} {'ratio':>7} {'whole fit':>10} {'ratio':>7}")
    for timing in timings:
        lines.append(
            f"  {timing.way:10} {timing.epoch:10.4f} {first.epoch / timing.epoch:6.1f}x"
            f" {timing.whole:8.2f} s {first.whole / timing.whole:6.1f}x  {timing.engine}".rstrip()
        )
    return "\n".join(lines)


def _recurrent(a_layer: Any = None) -> keras.Model:
    layers = [keras.layers.Embedding(5000, 16), keras.layers.LSTM(8)]
    head = keras.layers.Dense(1, activation="sigmoid")
    return keras.Sequential([keras.Input((100,)), *layers, *(a_layer or []), head])


def _by_keras(case: Case) -> tuple[float, float, str]:
    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.start)

    seconds: list[float] = []
    model, epochs = case.make(), min(case.epochs, KERAS_EPOCHS)
    start = time.perf_counter()
    model.fit(
        *case.data,
        batch_size=case.batch_size,
        epochs=epochs,
        validation_data=case.validation,
        callbacks=[Clock()],
        verbose=0,
    )
    epoch = statistics.median(seconds[1:] or seconds)
    return epoch, time.perf_counter() - start + (case.epochs - epochs) * epoch, ""


def _by_fit(case: Case, way: str) -> tuple[float, float, str]:
    choice.forget()
    traces.forget()
    model = case.make()
    start = time.perf_counter()
    history = fit(
        model,
        *case.data,
        batch_size=case.batch_size,
        epochs=case.epochs,
        validation_data=case.validation,
        speed=way,
        seed=1,
        verbose=0,
    )
    whole = time.perf_counter() - start
    seconds = history.history["seconds"]
    return statistics.median(seconds[1:] or seconds), whole, history.engine
