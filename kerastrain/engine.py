"""How steps are executed: Keras's own loop, many steps in one call, or such a call compiled.

Between two steps Keras returns to Python, which on small models takes longer than the step. Here
`model.fit` still runs the epochs, the callbacks and the validation, but what it calls as one step
is a TensorFlow function that runs many.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerastrain import choice
from kerastrain.loops import RowLoop, each_batch, stream_loop
from kerastrain.sources import Source
from kerastrain.state import preserved
from kerastrain.traces import Traces, averages_over_rows, layers_of

SPEEDS = ("auto", "plain", "steps", "compiled")

SECONDS_A_CALL = 0.2
"""How long one call should take: long enough to hide Python, short enough for Ctrl-C and a bar."""

_PROBE_STEPS = 4
_CALLS_UNMEASURED = 20  # an epoch at most, where a run is too short to measure a step
_STEPS_UNMEASURED = 16  # a call at least, there
_VALIDATION_ROWS = 1024  # a batch, where its size changes nothing but the rounding
_BATCH_HOOKS = tuple(
    f"on_{kind}batch_{moment}" for kind in ("", "train_", "test_") for moment in ("begin", "end")
)


@dataclasses.dataclass
class Execution:
    """The way that was chosen for a run, and why.

    Attributes:
        way: "plain", "steps" or "compiled".
        steps_per_call: How many batches one call runs.
        reason: Why, completing "way: ...".
        train: What `model.fit` is to get as `x`.
        validation: What it is to get as `validation_data`.
    """

    way: str
    steps_per_call: int
    reason: str
    train: Any = None
    validation: Any = None

    def __str__(self) -> str:
        return f"{self.way}: {self.reason}"


@contextlib.contextmanager
def executing(
    model: keras.Model, speed: str, source: Source, callbacks: Iterable[Any], epochs: int = 1
) -> Iterator[Execution]:
    """Lets `model.fit` execute its steps the fast way inside the block, and Keras's way after it.

    Args:
        model: The compiled model.
        speed: One of `SPEEDS`; "auto" measures and chooses.
        source: The run's data, of which some batches are measured.
        callbacks: All callbacks of the run.
        epochs: How many there will be at most, which decides what compiling is worth.

    Yields:
        What was chosen, and why.
    """
    names = ("steps_per_execution", "train_function", "test_function", "predict_function")
    before = {name: getattr(model, name) for name in names}
    hindrance = "as asked" if speed == "plain" else _hindrance(model, callbacks)
    try:
        if hindrance:
            if speed != "plain":
                # A group size that was compiled in would keep batches from the hooks all the same.
                model.steps_per_execution = 1
                model.train_function = model.test_function = None
            steps, reason = model.steps_per_execution, f"Keras's own loop, {hindrance}"
            yield Execution("plain", steps, reason, source.train, source.validation)
        elif source.calls is None:
            yield _install_stream(model, source, speed)
        else:
            batch = source.calls.first_batch()
            with Traces(model, batch) as traces:
                yield _Rows(model, source, traces, batch).choose(speed, epochs)
    finally:
        for name, value in before.items():
            setattr(model, name, value)


def sees_every_batch(callback: Any) -> bool:
    """Tells whether a callback overrides a batch hook, and so must get every batch.

    Keras's own callbacks that override one and don't use it per batch are let off; a callback of
    ours says so itself, by `sees_groups = True`.

    Example:
        >>> sees_every_batch(keras.callbacks.ModelCheckpoint("best.keras"))
        False
        >>> sees_every_batch(keras.callbacks.TerminateOnNaN())
        True
    """
    if getattr(callback, "sees_groups", False):
        return False
    if isinstance(callback, keras.callbacks.ModelCheckpoint) and callback.save_freq == "epoch":
        return False
    if isinstance(callback, keras.callbacks.TensorBoard) and callback.update_freq == "epoch":
        return bool(callback.write_steps_per_second)
    return any(_overrides(callback, hook) for hook in _BATCH_HOOKS)


def _overrides(callback: Any, hook: str) -> bool:
    own = getattr(type(callback), hook, None) is not getattr(keras.callbacks.Callback, hook)
    return own or hook in vars(callback)


def _hindrance(model: keras.Model, callbacks: Iterable[Any]) -> str:
    """Returns why many steps a call are not to be had in this run, or nothing."""
    watching = [type(callback).__name__ for callback in callbacks if sees_every_batch(callback)]
    if watching:
        return f"since {watching[0]} gets every batch"
    if model.run_eagerly:
        return "since the model runs eagerly"
    if type(model).make_train_function is not keras.Model.make_train_function:
        return "since the model makes its own train function"
    with model.distribute_strategy.scope():
        if tf.distribute.has_strategy():
            return "since the model has a distribution strategy"
    return ""


def _install_stream(model: keras.Model, source: Source, speed: str) -> Execution:
    """Puts functions that take many batches off Keras's iterator where Keras looks for its own."""
    limit = tf.Variable(1, dtype=tf.int64, trainable=False)
    train = stream_loop(model, model.train_step, limit)
    steps = _steps_a_call(_seconds_of_stream(model, source, train, limit), source.steps)
    limit.assign(steps)
    _install(model, train, stream_loop(model, model.test_step, limit), steps)
    note = ", since a stream isn't compiled" if speed == "compiled" else ""
    reason = f"{steps} batches a call{note}"
    return Execution("steps", steps, reason, source.train, source.validation)


def _seconds_of_stream(model: keras.Model, source: Source, train: Any, limit: tf.Variable) -> float:
    """Measures one step on one batch."""
    batches = iter(source.probe)
    # Tracing makes every variable that a step uses, also those that only a step of the user's
    # knows, such as a second optimizer's.
    variables = train.get_concrete_function(batches).variables
    with preserved(model, variables):
        train(batches)
        limit.assign(_PROBE_STEPS)
        start = time.perf_counter()
        keras.tree.map_structure(keras.ops.convert_to_numpy, train(batches))
        return (time.perf_counter() - start) / _PROBE_STEPS


def _install(model: keras.Model, train: Any, test: Any, steps: int) -> None:
    model.steps_per_execution = steps
    model.train_function, model.test_function = train, test
    if type(model).make_predict_function is keras.Model.make_predict_function:
        model.predict_function = each_batch(model)


def _steps_a_call(seconds: float | None, steps: int | None) -> int:
    """Returns how many steps make `SECONDS_A_CALL`, an epoch's at most.

    Where a step wasn't measured, an epoch takes a few calls, so that it can be interrupted.
    """
    if seconds is None:
        fitting = max(_STEPS_UNMEASURED, math.ceil((steps or 1) / _CALLS_UNMEASURED))
    else:
        fitting = max(1, round(SECONDS_A_CALL / max(seconds, 1e-6)))
    return min(fitting, steps) if steps else fitting


class _Rows:
    """Loops over rows in memory, in the places where Keras looks for its functions.

    Args:
        model: The compiled model.
        source: The run's data.
        traces: Traces or borrows the model's functions.
        batch: The first batch.
    """

    def __init__(self, model: keras.Model, source: Source, traces: Traces, batch: Any) -> None:
        self._model, self._source, self._traces, self._batch = model, source, traces, batch
        self._loops: dict[str, RowLoop] = {}
        self._measured: dict[str, float] = {}
        self._refused: str | None = None

    def choose(self, speed: str, epochs: int) -> Execution:
        """Installs the way that was asked for, or the one that will take the least time."""
        kinds = _kinds_of_layers(self._model)
        convolves = "Conv" in kinds and not tf.config.list_physical_devices("GPU")
        run = choice.Run(self._source.steps or 1, epochs, convolves, recurs="RNN" in kinds)
        shapes = keras.tree.map_structure(lambda part: (part.shape, part.dtype), self._batch)
        key = (self._traces.architecture, str(shapes), run)
        if speed == "auto":
            verdict = choice.remembered(key) if self._traces.architecture else None
            verdict = verdict or choice.choose(run, self._seconds, self._refusal)
            if self._traces.architecture:
                choice.remember(key, verdict)
        elif speed == "compiled" and not self._refusal():
            verdict = choice.Verdict("compiled", self._seconds("compiled"), "by XLA")
        else:
            why = f"since {self._refusal()}" if speed == "compiled" else ""
            seconds = None if run.total < choice.SHORT else self._seconds("steps")
            verdict = choice.Verdict("steps", seconds, why)
        return self._installed(verdict)

    def _installed(self, verdict: choice.Verdict) -> Execution:
        train, seconds = self._loop(verdict.way), verdict.seconds
        steps = _steps_a_call(seconds, train.calls.batches)
        train.calls.batches_a_call = steps
        test, validation = self._validation(verdict.way, seconds, steps)
        _install(self._model, train, test, steps)
        # What Keras iterates over only counts: the loops have the batches.
        counter = tf.data.Dataset.range(train.calls.batches)
        is_whole = steps == train.calls.batches
        words = [f"{steps} batches a call", *["a whole epoch"] * is_whole, verdict.why]
        reason = ", ".join(word for word in words if word)
        return Execution(verdict.way, steps, reason, counter, validation)

    def _validation(self, way: str, seconds: float | None, steps: int) -> tuple[Any, Any]:
        """Returns the function and the data of the validation pass."""
        calls = self._source.validation_calls
        if calls is None:
            limit = tf.Variable(steps, dtype=tf.int64, trainable=False)
            return stream_loop(self._model, self._model.test_step, limit), self._source.validation
        if way == "compiled" and averages_over_rows(self._traces.architecture):
            calls = calls.of_size(_VALIDATION_ROWS)
        # As quick a call as one of training, which has no more steps than an epoch has.
        several = min(calls.batches, math.ceil((self._source.steps or 1) / steps))
        calls.batches_a_call = math.ceil(calls.batches / several)
        test = RowLoop(self._traces, self._model, calls, training=False)
        return test, tf.data.Dataset.range(math.ceil(calls.batches / calls.batches_a_call) * steps)

    def _loop(self, way: str) -> RowLoop:
        if way not in self._loops:
            assert self._source.calls is not None
            self._loops[way] = RowLoop(
                self._traces, self._model, self._source.calls, compiled=way == "compiled"
            )
        return self._loops[way]

    def _seconds(self, way: str) -> float:
        """Measures a step, and leaves everything as it was."""
        if way not in self._measured:
            loop = self._loop(way)
            # Tracing makes every variable that a step uses, also those that only a step of the
            # user's knows, such as a second optimizer's.
            loop.trace()
            with preserved(self._model, self._traces.foreign):
                self._measured[way] = loop.measured()
        return self._measured[way]

    def _refusal(self) -> str:
        """Returns why the run can't be compiled, or nothing; compiles to find out."""
        if self._refused is None:
            self._refused = self._tried()
        return self._refused

    def _tried(self) -> str:
        calls = self._loop("compiled").calls
        if calls.holds_text:
            return "XLA knows no strings"
        if not calls.full_batches:
            return "there are fewer rows than a batch has"
        try:
            self._seconds("compiled")
        except (tf.errors.OpError, NotImplementedError, TypeError, ValueError) as error:
            return f"XLA refuses the model ({str(error).strip().splitlines()[0][:80]})"
        return ""


def _kinds_of_layers(model: keras.Model) -> set[str]:
    """Returns "Conv" and "RNN", where a model has such layers."""
    names = [kind.__name__ for layer in layers_of(model) for kind in type(layer).__mro__]
    return {kind for kind in ("Conv", "RNN") if any(kind in name for name in names)}
