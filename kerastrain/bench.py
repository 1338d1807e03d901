"""`python -m kerastrain bench`: what each way of executing a fit is worth on this machine.

The contenders take turns in one process, and medians are compared, so that what else the machine
does meets all of them alike.
"""

import dataclasses
import functools
import importlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import keras
import numpy as np

from kerastrain import choice, traces
from kerastrain._checks import invalid, show
from kerastrain.data import is_stream, rows_of
from kerastrain.models import build
from kerastrain.tasks import compile_for_task
from kerastrain.training import fit

WAYS = ("model.fit", "plain", "steps", "compiled", "auto")

RIVAL_EPOCHS = 4
"""Epochs of `model.fit` that are run, the first apart; the others are taken to last as long."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A fit to time.

    Attributes:
        name: What it is called in the table.
        make: Returns a fresh compiled model.
        data: Inputs and targets; of a Dataset, with `None`.
        epochs: How many a whole fit has.
        batch_size: Rows a step; `None` for a Dataset.
        validation: Inputs and targets to validate on, or `None`.
    """

    name: str
    make: Callable[[], keras.Model]
    data: tuple[Any, Any]
    epochs: int
    batch_size: int | None = 32
    validation: tuple[Any, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one fit took, or the medians of several, in seconds.

    Attributes:
        epoch: An epoch after the first.
        whole: The whole fit, with tracing, measuring and compiling.
        engine: What `fit` says of how it went; empty for others.
    """

    epoch: float
    whole: float
    engine: str = ""


Contender = Callable[[Case], Timing]
"""Fits a case, as a process's first fit, and says what it took."""


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
        path: "module:function", of a function that returns a compiled model, made anew each time,
            and its `x` and `y`; `y` is `None` where `x` is a Dataset.
        epochs: How many a whole fit has.

    Raises:
        ValueError: If that isn't such a function, or `fit` wouldn't take what it returns.
    """
    function = _function(path)
    made = function()
    if not isinstance(made, tuple | list) or len(made) != 3:
        raise _no_such(f"a function that returns {show(made)}")
    model, x, y = made
    if not isinstance(model, keras.Model) or not model.compiled:
        raise _no_such(f"a function that returns {show(model)}, which is no compiled model")
    if function()[0] is model:
        raise _no_such("a function that returns the same model each time")
    stream = is_stream(x)
    if not stream:
        rows = rows_of(x, y, function="bench")
        x, y = rows.x, rows.y
    return Case(path, lambda: function()[0], (x, y), epochs, None if stream else 32)


def _function(path: str) -> Callable[[], Any]:
    module, _, name = path.partition(":")
    if not module.replace(".", "").isidentifier() or not name.isidentifier():
        raise _no_such(path)
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # A module that the user's own lacks.
        raise _no_such(f"{path}, and there is no module {module}") from error
    if not callable(function):
        raise _no_such(f"{path}, and {module} has no function {name}")
    return cast(Callable[[], Any], function)


def _no_such(received: str) -> Exception:
    must = "be module:function, of a function that returns a new compiled model, x and y"
    return invalid("bench", "--model", must, received)


def contenders(ways: Iterable[str] = WAYS) -> dict[str, Contender]:
    """Returns what takes part in a benchmark, by name.

    Args:
        ways: Some of `WAYS`.
    """
    return {
        way: _by_keras if way == "model.fit" else functools.partial(_by_fit, way=way)
        for way in ways
    }


def timed(
    case: Case, contenders: Mapping[str, Contender], *, repeats: int = 3
) -> dict[str, Timing]:
    """Times a case under each contender, taking turns."""
    turns: dict[str, list[Timing]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            turns[name].append(contender(case))
    return {
        name: Timing(
            statistics.median(turn.epoch for turn in results),
            statistics.median(turn.whole for turn in results),
            results[-1].engine,
        )
        for name, results in turns.items()
    }


def table(case: Case, timings: Mapping[str, Timing]) -> str:
    """Returns the timings as lines of text, held against the first."""
    first = next(iter(timings.values()))
    of_size = "" if case.batch_size is None else f", batch {case.batch_size}"
    lines = [f"{case.name}: {case.epochs} epoch{'s' * (case.epochs > 1)}{of_size}"]
    lines.append(f"  {'':10} {'s an epoch':>10} {'ratio':>7} {'whole fit':>10} {'ratio':>7}")
    for name, timing in timings.items():
        lines.append(
            f"  {name:10} {timing.epoch:10.4f} {first.epoch / timing.epoch:6.2f}x"
            f" {timing.whole:8.2f} s {first.whole / timing.whole:6.2f}x  {timing.engine}".rstrip()
        )
    if "model.fit" in timings and case.epochs > RIVAL_EPOCHS:
        lines.append(
            f"  Of model.fit {RIVAL_EPOCHS} epochs were run; more would take as long each."
        )
    return "\n".join(lines)


def extrapolated(seconds: list[float], whole: float, epochs: int) -> Timing:
    """Returns what a fit would have taken of which some epochs were run.

    Args:
        seconds: Of each epoch that was run.
        whole: Of all of them, with what came before.
        epochs: How many the fit has.
    """
    epoch = statistics.median(seconds[1:] or seconds)
    return Timing(epoch, whole + (epochs - len(seconds)) * epoch)


def _recurrent(a_layer: Any = None) -> keras.Model:
    layers = [keras.layers.Embedding(5000, 16), keras.layers.LSTM(8)]
    head = keras.layers.Dense(1, activation="sigmoid")
    return keras.Sequential([keras.Input((100,)), *layers, *(a_layer or []), head])


def _by_keras(case: Case) -> Timing:
    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.start)

    seconds: list[float] = []
    model, epochs = case.make(), min(case.epochs, RIVAL_EPOCHS)
    start = time.perf_counter()
    model.fit(
        *case.data,
        batch_size=case.batch_size,
        epochs=epochs,
        validation_data=case.validation,
        callbacks=[Clock()],
        verbose=0,
    )
    return extrapolated(seconds, time.perf_counter() - start, case.epochs)


def _by_fit(case: Case, way: str) -> Timing:
    choice.forget()
    traces.forget()
    model = case.make()
    start = time.perf_counter()
    history = fit(
        model,
        *case.data,
        batch_size=case.batch_size or 32,  # Which a Dataset leaves alone.
        epochs=case.epochs,
        validation_data=case.validation,
        speed=way,
        seed=1,
        verbose=0,
    )
    whole = time.perf_counter() - start
    seconds = history.history["seconds"]
    return Timing(statistics.median(seconds[1:] or seconds), whole, history.engine)
