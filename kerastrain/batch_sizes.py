"""Batch sizes held against each other, with the learning rate scaled or not, warmed up or not."""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain import schedules
from kerastrain._checks import invalid, one_of, real_number, show, whole_number
from kerastrain._following import rate_setters
from kerastrain._optimizers import as_given, variable_rate_of
from kerastrain.architecture import layers_of
from kerastrain.building import unpacked
from kerastrain.data import is_stream, rows_of
from kerastrain.models import Builder, builder_of
from kerastrain.rate_records import BatchSizeRun, BatchSizes
from kerastrain.surfaces import say
from kerastrain.training import OF_ONE_RUN, fit
from kerastrain.workflow import Trained, build_and_fit

SIZES = (32, 128, 512, 2048, 8192)
"""The batch sizes that are compared by default, as far as there are rows."""

SCALINGS = {
    "none": lambda times: 1.0,
    "sqrt": math.sqrt,
    "linear": float,
}
"""What the learning rate is multiplied by where the batch has so many times the rows."""

_VIEWS = (keras.layers.Flatten, keras.layers.InputLayer, keras.layers.Reshape)
"""Layers whose output is their input, and takes no room of its own."""

_NOT_THERE = (
    *("arguments", "batch_size", "fit_arguments", "model", "repeats", "x", "y"),
    *OF_ONE_RUN,
)
"""What the functions that the arguments go to take, and the user can't pass here."""


def compare_batch_sizes(
    builder: str | Builder,
    data: Any,
    *,
    sizes: Sequence[int] | None = None,
    scaling: Sequence[str] = ("none", "sqrt", "linear"),
    schedule: Callable[[float], Any] | None = schedules.warmup,
    learning_rate: float | str | None = None,
    optimizer: Any = "adam",
    epochs: int = 10,
    seed: int = 0,
    verbose: str | int = "auto",
    **arguments: Any,
) -> BatchSizes:
    """Trains the same model with batches of several sizes, and tells what each costs and gains.

    Larger batches make an epoch faster and its steps fewer. To make up for these, the rate grows
    with the batch: in proportion to it (Goyal et al., "Accurate, Large Minibatch SGD", 2017), or to
    its square root, which keeps the steps' noise (Krizhevsky, "One weird trick for parallelizing
    convolutional neural networks", 2014, section 5) and suits Adam and RMSprop (Malladi et al., "On
    the SDEs and Scaling Rules for Adaptive Gradient Algorithms", 2022). A rate that is large from
    the first step on can ruin the weights, which warming up is to prevent. All start from the same
    weights.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        data: What `load_dataset` returns, or a pair `(x, y)`.
        sizes: The batch sizes; by default those of 32, 128, 512, 2,048 and 8,192 for which there
            are rows.
        scaling: How the rate follows the batch size, from the smallest one on: some of "none",
            "sqrt" and "linear".
        schedule: A function from the peak rate to a schedule, such as `schedules.warmup`: each run
            is made without it and with it. `None` makes those without only.
        learning_rate: The rate at the smallest size; "auto" sweeps for it, and left out it is the
            optimizer's own.
        optimizer: A name or an object; see `compile_for_task`.
        epochs: Of each run.
        seed: Of each run.
        verbose: 0 is silent; anything else prints a line a run.
        **arguments: More of `build_and_fit`, such as `a_layer`, `params` or `patience`.

    Returns:
        A table that prints, shows in a notebook, and saves to JSON; after Ctrl-C, of the runs that
        were done.

    Raises:
        ValueError: If an argument's value is out of range.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import kerastrain as ktr
        >>> data = ktr.load_dataset("fashion_mnist_small")
        >>> table = compare_batch_sizes(
        ...     "dense", data, sizes=[64, 512], scaling=["sqrt"], epochs=1, verbose=0
        ... )
        >>> [(run.batch_size, run.schedule, run.learning_rate) for run in table.runs]
        [(64, '', 0.001), (64, 'warmup', 0.001), (512, '', 0.0028...), (512, 'warmup', 0.0028...)]
    """
    builder_of(builder, function="compare_batch_sizes", argument="builder")
    _check_arguments(schedule, epochs, learning_rate, optimizer, arguments)
    sizes = _sizes(sizes, _training_rows(data, arguments.get("validation_split", 0.0)))
    scalings = _scalings(scaling)
    first = _FirstRate()
    arguments |= {"optimizer": optimizer, "epochs": epochs, "seed": seed, "verbose": 0}
    arguments["callbacks"] = [*keras.tree.flatten(arguments.get("callbacks") or ()), first]
    rate: float | str | None = learning_rate
    runs: list[BatchSizeRun] = []
    for size, name, is_scheduled in _combinations(sizes, scalings, schedule is not None):
        if runs:
            rate = runs[0].learning_rate * SCALINGS[name](size / sizes[0])
        follows = schedule if is_scheduled else None
        try:
            trained = build_and_fit(
                builder, data, learning_rate=rate, schedule=follows, batch_size=size, **arguments
            )
        except KeyboardInterrupt:  # Between two runs; within one, `fit` returns what it has.
            break
        if trained.history.stop_reason == "interrupted":
            break
        peak = rate if isinstance(rate, float) else first.rate
        runs.append(_run(trained, size, name, follows, peak))
        say(verbose, _line(runs[-1]))
    return BatchSizes(runs)


class _FirstRate(keras.callbacks.Callback):  # type: ignore[misc]
    """Sees the rate that a run begins with: the optimizer's own, or what a sweep has found."""

    rate = math.nan

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        rate = variable_rate_of(self.model.optimizer)
        if rate is not None:
            self.rate = as_given(rate)
        elif math.isnan(self.rate):  # In the first run, which has no schedule of the comparison's.
            must = "return a model whose optimizer has a rate, and no schedule of its own"
            received = f"a {type(self.model.optimizer).__name__} with a schedule"
            raise invalid("compare_batch_sizes", "builder", must, received)


def step_megabytes(model: keras.Model, batch_size: int) -> float:
    """Estimates what a training step holds, in millions of bytes.

    That is the weights, the gradients of those that are trained, the optimizer's variables, the
    batch, what each layer makes of it, which the way back needs, and the gradient of the largest.
    Temporary values within a layer, of which recurrent ones have many, aren't counted.

    Args:
        model: A built and compiled model.
        batch_size: Rows a step.

    Returns:
        The megabytes, or NaN where a layer's shape isn't known.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10)])
        >>> model.compile("sgd", "mse")
        >>> 1e6 * step_megabytes(model, 1000)  # 4 * (2 * 90 + (8 + 2 * 10) * 1000) + 12
        112732.0
    """
    leaves = [layer for layer in layers_of(model) if not getattr(layer, "layers", None)]
    made = [layer for layer in leaves if not isinstance(layer, _VIEWS)]
    outputs = keras.tree.flatten([getattr(layer, "output", None) for layer in made])
    batch = keras.tree.flatten(getattr(model, "inputs", None))
    if any(one is None or None in one.shape[1:] for one in [*outputs, *batch]):
        return math.nan
    sizes = [_bytes((batch_size, *output.shape[1:]), output.dtype) for output in outputs]
    read = sum(_bytes((batch_size, *one.shape[1:]), one.dtype) for one in batch)
    kept = [*model.variables, *model.trainable_variables, *model.optimizer.variables]
    weights = sum(_bytes(variable.shape, variable.dtype) for variable in kept)
    return (weights + read + sum(sizes) + max(sizes, default=0)) / 1e6


def _bytes(shape: Sequence[int], dtype: str) -> int:
    return math.prod(shape) * (1 if dtype == "string" else np.dtype(dtype).itemsize)


def _combinations(
    sizes: Sequence[int], scalings: Sequence[str], has_schedule: bool
) -> Iterator[tuple[int, str, bool]]:
    """Yields size, scaling and whether there is a schedule; the smallest size scales nothing."""
    for size in sizes:
        for name in scalings if size > sizes[0] else ("none",):
            for is_scheduled in (False, True) if has_schedule else (False,):
                yield size, name, is_scheduled


def _run(trained: Trained, size: int, scaling: str, schedule: Any, rate: float) -> BatchSizeRun:
    return BatchSizeRun(
        batch_size=size,
        scaling=scaling,
        schedule=getattr(schedule, "__name__", "schedule") if schedule else "",
        learning_rate=rate,
        megabytes=step_megabytes(trained.model, size),
        history=trained.history,
    )


def _line(run: BatchSizeRun) -> str:
    history, monitor = run.history, run.history.monitor or "loss"
    best = f"{monitor} {history.best[monitor]:.4g}" if history.best else "lost"
    of = f"{run.scaling}{f', {run.schedule}' if run.schedule else ''}"
    return f"batch {run.batch_size:,} at {run.learning_rate:.2g} ({of}): {best}"


def _training_rows(data: Any, held_out: Any) -> int:
    function = "compare_batch_sizes"
    if is_stream(data):
        must = "be what load_dataset returns or a pair (x, y), whose batches have no size yet"
        raise invalid(function, "data", must, f"data={show(data)}", kind=TypeError)
    (x, y), *_ = unpacked(data, function=function)
    fraction = real_number(function, "validation_split", held_out, least=0, below=1)
    return math.floor(len(rows_of(x, y, function=function)) * (1 - fraction))


def _sizes(sizes: Sequence[int] | None, rows: int) -> list[int]:
    if sizes is None:
        return [size for size in SIZES if size <= rows] or [rows]
    function = "compare_batch_sizes"
    if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str) or not len(sizes):
        raise invalid(function, "sizes", "be a list of batch sizes", f"sizes={show(sizes)}")
    numbers = sorted({whole_number(function, "sizes", size, least=1) for size in sizes})
    if numbers[-1] > rows:
        must = f"be at most the rows to train on, {rows}"
        raise invalid(function, "sizes", must, f"sizes={show(sizes)}")
    return numbers


def _scalings(scaling: Sequence[str]) -> list[str]:
    function = "compare_batch_sizes"
    names = [scaling] if isinstance(scaling, str) else scaling
    if not isinstance(names, Sequence) or not names:
        must = f"name at least one of {', '.join(map(repr, SCALINGS))}"
        raise invalid(function, "scaling", must, f"scaling={show(scaling)}")
    return list(dict.fromkeys(one_of(function, "scaling", name, SCALINGS) for name in names))


def _check_arguments(
    schedule: Any, epochs: Any, learning_rate: Any, optimizer: Any, arguments: dict[str, Any]
) -> None:
    """Raises for what would else be noticed after some runs."""
    function = "compare_batch_sizes"
    if "batch_size" in arguments:
        must = "be left out: the sizes to compare are `sizes`"
        raise invalid(function, "batch_size", must, f"batch_size={arguments['batch_size']!r}")
    for name in OF_ONE_RUN:
        if name in arguments:
            must = "be left out: each of the runs would need a folder of its own"
            raise invalid(function, name, must, f"{name}={show(arguments[name])}")
    own = inspect.signature(compare_batch_sizes).parameters
    theirs = (*inspect.signature(build_and_fit).parameters, *inspect.signature(fit).parameters)
    known = dict.fromkeys((*own, *theirs))
    for name in arguments:
        one_of(function, "arguments", name, [name for name in known if name not in _NOT_THERE])
    whole_number(function, "epochs", epochs, least=1)
    if isinstance(learning_rate, str) and learning_rate != "auto":
        must = "be a number or 'auto'"
        raise invalid(function, "learning_rate", must, f"learning_rate={learning_rate!r}")
    if learning_rate is not None and not isinstance(learning_rate, str):
        real_number(function, "learning_rate", learning_rate, above=0)
    is_object = isinstance(optimizer, keras.optimizers.Optimizer)
    if learning_rate is None and is_object and variable_rate_of(optimizer) is None:
        must = "be given where the optimizer runs a schedule"
        raise invalid(function, "learning_rate", must, "learning_rate=None")
    for callback in rate_setters(keras.tree.flatten(arguments.get("callbacks") or ())):
        must = "hold none that sets the learning rate, which the comparison does"
        raise invalid(function, "callbacks", must, callback)
    if schedule is not None:
        _check_schedule(schedule, epochs)


def _check_schedule(schedule: Any, epochs: int) -> None:
    kind = keras.optimizers.schedules.LearningRateSchedule
    made = None
    if callable(schedule) and not isinstance(schedule, kind):
        with contextlib.suppress(TypeError):  # Of a function that takes no peak.
            made = schedule(1.0)
    if not isinstance(made, kind):
        must = "be a function from the peak rate to a schedule, such as schedules.warmup"
        received = f"schedule={show(schedule)}"
        raise invalid("compare_batch_sizes", "schedule", must, received, kind=TypeError)
    if hasattr(made, "for_run"):
        made.for_run(1, epochs)  # Raises where it is longer than the run.
