"""How steps are executed: Keras's own loop, many steps in one call, or such a call compiled.

Between two steps Keras returns to Python, which on small models takes longer than the step. Here
`model.fit` still runs the epochs, the callbacks and the validation, but what it calls as one step
is a TensorFlow function that runs many.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerastrain import choice
from kerastrain._checks import invalid, one_of, show, whole_number
from kerastrain._kernels import build_metrics
from kerastrain.calls import Calls
from kerastrain.loops import RowLoop, StreamLoop, each_batch
from kerastrain.runner import Runner
from kerastrain.sources import Source
from kerastrain.state import is_distributed, preserved
from kerastrain.traces import Traces

SPEEDS = ("auto", "plain", "steps", "compiled")
_CHANGING = ("steps", "compiled")  # between which a run can change at an epoch's end

SECONDS_A_CALL = 0.2
"""How long one call should take: long enough to hide Python, short enough for Ctrl-C and a bar."""

_PROBE_STEPS = 4
_CALLS_UNMEASURED = 20  # an epoch at most, where a run is too short to measure a step
_STEPS_UNMEASURED = 16  # a call at least, there
_METHODS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
_BATCH_HOOKS = tuple(
    f"on_{kind}batch_{moment}" for kind in ("", "train_", "test_") for moment in ("begin", "end")
)


@dataclasses.dataclass
class Execution:
    """The way that was chosen for a run, and why.

    Attributes:
        way: "plain", "steps" or "compiled".
        steps_per_call: How many batches one call runs.
        reason: What of `why` is known at the start.
        train: What `model.fit` is to get as `x`.
        validation: What it is to get as `validation_data`.
        renew: Traces the step anew, as between two epochs after layers were frozen or let go.
        runner: Says more of the reason, also of what changed during the run.
    """

    way: str
    steps_per_call: int
    reason: str
    train: Any = None
    validation: Any = None
    renew: Callable[[], Any] = lambda: None
    runner: Runner | None = None

    @property
    def ways(self) -> dict[int, str]:
        """From the epochs, from 0, that began with another way to that way."""
        return self.runner.ways if self.runner else {0: self.way}

    def skip(self, batches: int, iterator: Any) -> None:
        """Leads the data of an epoch past its first batches.

        Args:
            batches: How many.
            iterator: Keras's, of `train`.
        """
        if self.runner:  # Which has the batches; the iterator only counts.
            self.runner.start_at(batches)
            return
        for _ in range(batches):
            next(iterator, None)  # One that doesn't tell its length counts whole groups.

    @property
    def why(self) -> str:
        """Why the run goes this way, and what changed in the course of it."""
        return ", ".join(filter(None, (self.reason, str(self.runner or ""))))

    def __str__(self) -> str:
        return f"{self.way}: {self.why}"


def speed_checked(function: str, speed: Any) -> str | dict[int, str]:
    """Returns what was passed as `speed` if it is a way, "auto" or a run's ways, or raises.

    Example:
        >>> speed_checked("fit", {0: "steps", 4: "compiled"})
        {0: 'steps', 4: 'compiled'}
        >>> speed_checked("fit", {0: "plain"})
        'plain'
    """
    if not isinstance(speed, Mapping):
        return one_of(function, "speed", speed, SPEEDS)
    ways = {whole_number(function, "speed", epoch, least=0): way for epoch, way in speed.items()}
    first = ways.get(0)
    if len(ways) == 1 and first in SPEEDS[1:]:
        return str(first)
    if first is None or not set(ways.values()) <= set(_CHANGING):
        must = "name a way for epoch 0, and change between 'steps' and 'compiled' only"
        raise invalid(function, "speed", must, f"speed={show(dict(speed))}")
    return dict(sorted(ways.items()))


@contextlib.contextmanager
def executing(
    model: keras.Model,
    speed: str | Mapping[int, str],
    source: Source,
    callbacks: Iterable[Any],
    epochs: int = 1,
    renewed: int | None = None,
) -> Iterator[Execution]:
    """Lets `model.fit` execute its steps the fast way inside the block, and Keras's way after it.

    Args:
        model: The compiled model.
        speed: One of `SPEEDS`, of which "auto" measures and chooses; or the ways of a run that
            changed, by the epochs that they began with.
        source: The run's data, of which some batches are measured.
        callbacks: All callbacks of the run.
        epochs: How many there will be at most, which decides what compiling is worth.
        renewed: The epoch before which somebody calls `Execution.renew`.

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
            renew = functools.partial(model.make_train_function, force=True)
            yield Execution("plain", steps, reason, source.train, source.validation, renew)
        else:
            with _others_as_before(model) as theirs, contextlib.ExitStack() as stack:
                if source.calls is None:
                    execution = _install_stream(model, source, speed, epochs)
                else:
                    traces = stack.enter_context(Traces(model, source.calls.first_batch()))
                    runner = Runner(model, traces, source.calls, epochs, renewed)
                    runner.choose(speed)
                    execution = _install_rows(model, source, source.calls, runner, stack)
                yield _renewing_for_others(execution, theirs)
    finally:
        for name, value in before.items():
            setattr(model, name, value)


@contextlib.contextmanager
def _others_as_before(model: keras.Model) -> Iterator[dict[str, Any]]:
    """Lets callbacks evaluate, predict and fit as if nothing were installed on the model.

    What is installed takes the run's own batches, and many a call; with `steps=1`, a callback wants
    one of its own.

    Yields:
        What is on the model while a callback does so.
    """
    # The functions that Keras makes for the callbacks are kept from one epoch to the next.
    theirs: dict[str, Any] = {
        "steps_per_execution": model.steps_per_execution,
        "train_function": None,
        "test_function": None,
    }
    running = False

    def guarded(name: str) -> Callable[..., Any]:
        method = getattr(model, name)

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal running
            # The run itself, and its validation, which Keras calls with arguments of its own.
            if running and any(argument.startswith("_") for argument in named):
                return method(*arguments, **named)
            if not running:
                running = True
                try:
                    return method(*arguments, **named)
                finally:
                    running = False
            ours = {setting: getattr(model, setting) for setting in theirs}
            try:
                for setting, value in theirs.items():
                    setattr(model, setting, value)
                return method(*arguments, **named)
            finally:
                for setting, value in ours.items():
                    theirs[setting] = getattr(model, setting)
                    setattr(model, setting, value)

        return call

    names = [name for name in _METHODS if name not in vars(model)]
    for name in names:
        setattr(model, name, guarded(name))
    try:
        yield theirs
    finally:
        for name in names:
            delattr(model, name)


def _renewing_for_others(execution: Execution, theirs: dict[str, Any]) -> Execution:
    """Lets the functions that Keras has made for the callbacks be renewed too."""

    def renew() -> None:
        theirs["train_function"] = None
        own()

    own = execution.renew
    return dataclasses.replace(execution, renew=renew)


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
    savers = (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)
    if isinstance(callback, savers) and callback.save_freq == "epoch":
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
    if is_distributed(model):
        return "since the model has a distribution strategy"
    return ""


def _install_stream(model: keras.Model, source: Source, speed: Any, epochs: int) -> Execution:
    """Puts functions that take many batches off Keras's iterator where Keras looks for its own."""
    train, test = StreamLoop(model, model.train_step), StreamLoop(model, model.test_step)
    # Which Keras would do in a moment; a step that makes its variables itself is traced twice.
    build_metrics(model, source.first)
    is_short = source.steps is not None and source.steps * epochs < choice.SHORT
    seconds = None if is_short else _seconds_of_stream(model, source, train)
    steps = _steps_a_call(seconds, source.steps)
    _install(model, train, test, steps)
    why = source.why_stream or ("since a stream isn't compiled" if speed == "compiled" else "")
    reason = ", ".join(filter(None, (_batches(steps), why)))

    def renew() -> None:
        model.train_function = StreamLoop(model, model.train_step)
        model.train_function.limit.assign(steps)

    return Execution("steps", steps, reason, source.train, source.validation, renew)


def _seconds_of_stream(model: keras.Model, source: Source, train: StreamLoop) -> float:
    """Measures one step on one batch."""
    batches = iter(source.probe)
    # Tracing makes every variable that a step uses, also those that only a step of the user's
    # knows, such as a second optimizer's.
    with preserved(model, train.trace(batches)):
        train(batches)
        train.limit.assign(_PROBE_STEPS)
        start = time.perf_counter()
        keras.tree.map_structure(keras.ops.convert_to_numpy, train(batches))
        return (time.perf_counter() - start) / _PROBE_STEPS


def _install_rows(
    model: keras.Model,
    source: Source,
    calls: Calls,
    runner: Runner,
    stack: contextlib.ExitStack,
) -> Execution:
    """Puts functions that take many batches of rows in memory where Keras looks for its own."""
    verdict = runner.verdict
    steps = calls.batches_a_call = _steps_a_call(verdict.seconds, calls.batches)
    # What Keras iterates over only counts, where the loops have the batches.
    if source.validation_calls is None:
        test: StreamLoop | RowLoop = StreamLoop(model, model.test_step)
        validation = source.validation
    else:
        test = runner.validation(source.validation_calls, math.ceil(calls.batches / steps))
        counted = math.ceil(test.calls.batches / test.calls.batches_a_call) * steps
        validation = tf.data.Dataset.range(counted)
    _install(model, runner, test, steps)
    counter = tf.data.Dataset.range(calls.batches)
    whole = ", a whole epoch" if steps == calls.batches else ""
    reason = f"{_batches(steps)}{whole}"

    def renew() -> None:
        runner.renew(stack.enter_context(Traces(model, calls.first_batch())))

    return Execution(verdict.way, steps, reason, counter, validation, renew, runner)


def _install(model: keras.Model, train: Any, test: Any, steps: int) -> None:
    for loop in (train, test):
        if isinstance(loop, StreamLoop):
            loop.limit.assign(steps)
    model.steps_per_execution = steps
    model.train_function, model.test_function = train, test
    if type(model).make_predict_function is keras.Model.make_predict_function:
        model.predict_function = each_batch(model)


def _batches(steps: int) -> str:
    return f"{steps} batch{'es' * (steps > 1)} a call"


def _steps_a_call(seconds: float | None, steps: int | None) -> int:
    """Returns how many steps make `SECONDS_A_CALL`, an epoch's at most.

    Where a step wasn't measured, an epoch takes a few calls, so that it can be interrupted.
    """
    if seconds is None:
        fitting = max(_STEPS_UNMEASURED, math.ceil((steps or 1) / _CALLS_UNMEASURED))
    else:
        fitting = max(1, round(SECONDS_A_CALL / max(seconds, 1e-6)))
    return min(fitting, steps) if steps else fitting
