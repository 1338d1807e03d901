"""How steps are executed: Keras's own loop, many steps in one call, or such a call compiled.

Between two steps Keras returns to Python, which on small models takes longer than the step. Here
`model.fit` still runs the epochs, the callbacks and the validation, but what it calls as one step
is a TensorFlow function that runs many.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerastrain.compiled import CompiledSteps
from kerastrain.sources import Source
from kerastrain.stacks import Stacks

SPEEDS = ("auto", "plain", "steps", "compiled")

SECONDS_A_CALL = 0.2
"""How long one call should take: long enough to hide Python, short enough for Ctrl-C and a bar."""

_PROBE_STEPS = 4
_MOST_STACKED = 128  # batches a compiled call
_MOST_BYTES = 16 * 2**20  # of batches a compiled call, so that a stack stays near the processor
_BATCH_HOOKS = tuple(
    f"on_{kind}batch_{moment}" for kind in ("", "train_", "test_") for moment in ("begin", "end")
)


@dataclasses.dataclass(frozen=True)
class Execution:
    """The way that was chosen for a run, and why.

    Attributes:
        way: "plain", "steps" or "compiled".
        steps_per_call: How many batches one call runs.
        reason: Why, completing "way: ...".
    """

    way: str
    steps_per_call: int
    reason: str

    def __str__(self) -> str:
        return f"{self.way}: {self.reason}"


@contextlib.contextmanager
def executing(
    model: keras.Model, speed: str, source: Source, callbacks: Iterable[Any]
) -> Iterator[Execution]:
    """Lets `model.fit` execute its steps the fast way inside the block, and Keras's way after it.

    Args:
        model: The compiled model.
        speed: One of `SPEEDS`; "auto" is "steps".
        source: The run's data, of which one batch is measured.
        callbacks: All callbacks of the run.

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
            steps = model.steps_per_execution
            yield Execution("plain", steps, f"Keras's own loop, {hindrance}")
        elif speed == "compiled":
            with _install_compiled(model, source) as execution:
                yield execution
        else:
            yield _install_steps(model, source)
    finally:
        for name, value in before.items():
            setattr(model, name, value)


@contextlib.contextmanager
def preserved(model: keras.Model, variables: Iterable[tf.Variable] = ()) -> Iterator[None]:
    """Leaves model, optimizer and metrics bit-identical, whatever the block does to them.

    Args:
        model: A built model.
        variables: Others to leave as they are.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> before = model.get_weights()[0]
        >>> with preserved(model):
        ...     _ = model.layers[0].kernel.assign([[42.0]])
        >>> bool(model.get_weights()[0] == before)
        True
    """
    kept = [*model.variables, *model.metrics_variables]
    optimizer = getattr(model, "optimizer", None)  # A model that isn't compiled has no such name.
    if optimizer is not None:
        if not optimizer.built and model.trainable_variables:
            # Else the first step in the block would make its variables, and they would stay.
            optimizer.build(model.trainable_variables)
        kept += optimizer.variables
    all_of_them = [*(variable.value for variable in kept), *variables]
    values = {variable.ref(): tf.identity(variable) for variable in all_of_them}
    try:
        yield
    finally:
        for reference, value in values.items():
            reference.deref().assign(value)


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


def _install_steps(model: keras.Model, source: Source, note: str = "") -> Execution:
    """Puts functions that run many steps where Keras looks for those that run one."""
    limit = tf.Variable(1, dtype=tf.int64, trainable=False)
    train = _many_steps(model, model.train_step, limit)
    steps = _steps_a_call(model, source, train, limit)
    _install(model, train, steps, limit)
    lasting = "a whole epoch" if steps == source.steps else f"about {SECONDS_A_CALL} s"
    return Execution("steps", steps, f"{steps} batches a call, {lasting}{note}")


@contextlib.contextmanager
def _install_compiled(model: keras.Model, source: Source) -> Iterator[Execution]:
    """Puts the compiled loop in its place, or many steps where it isn't to be had."""
    if source.stacks is None:
        yield _install_steps(model, source, ", since a stream isn't compiled")
        return
    stacks = source.stacks()
    try:
        refusal = _refusal(stacks)
        if not refusal:
            stacks.resize(min(_MOST_STACKED, max(1, _MOST_BYTES // stacks.bytes_a_batch)))
            train = CompiledSteps(model, stacks)
            try:
                _compile(model, train)
            except (tf.errors.OpError, NotImplementedError, TypeError, ValueError) as error:
                refusal = f"XLA refuses the model ({str(error).strip().splitlines()[0][:80]})"
        if refusal:
            yield _install_steps(model, source, f", since {refusal}")
        else:
            limit = tf.Variable(1, dtype=tf.int64, trainable=False)
            _install(model, train, stacks.size, limit)
            yield Execution("compiled", stacks.size, f"{stacks.size} batches a call, by XLA")
    finally:
        stacks.close()


def _refusal(stacks: Stacks) -> str:
    """Returns why batches can't be compiled, or nothing."""
    if stacks.holds_text:
        return "XLA knows no strings"
    return "" if stacks.full_batches else "there are fewer rows than a batch has"


def _compile(model: keras.Model, train: CompiledSteps) -> None:
    """Compiles, and leaves everything as it was."""
    variables = train.prepare()
    with preserved(model, variables):
        train.run(1)


def _install(model: keras.Model, train: Any, steps: int, limit: tf.Variable) -> None:
    limit.assign(steps)
    model.steps_per_execution = steps
    model.train_function = train
    model.test_function = _many_steps(model, model.test_step, limit)
    if type(model).make_predict_function is keras.Model.make_predict_function:
        model.predict_function = _each_step(model)


def _many_steps(model: keras.Model, step: Callable[[Any], Any], limit: tf.Variable) -> Any:
    """Makes what Keras expects in `model.train_function`: an iterator in, the last logs out.

    The limit is a variable, so that finding the right one costs no second tracing.
    """

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def one_step(batch: Any) -> Any:
        # Keras hands a missing part of a generator's batch over as an empty Optional.
        parts = keras.tree.map_structure(
            lambda part: None if isinstance(part, tf.experimental.Optional) else part, batch
        )
        return step(parts)

    traced_step = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def run(iterator: Any) -> Any:
        def unfinished(done: Any, more: Any, _: Any) -> Any:
            return tf.logical_and(more, done < limit)

        def next_step(done: Any, _: Any, logs: Any) -> Any:
            batch = iterator.get_next_as_optional()
            more, logs = tf.cond(
                batch.has_value(),
                lambda: (True, traced_step(batch.get_value())),
                lambda: (False, logs),
            )
            return done + 1, more, logs

        # The first step stands outside the loop to tell the loop what logs look like.
        logs = traced_step(iterator.get_next())
        one = tf.constant(1, dtype=tf.int64)
        return tf.while_loop(unfinished, next_step, (one, True, logs))[2]

    return tf.function(run, reduce_retracing=True)


def _each_step(model: keras.Model) -> Callable[[list[Any]], Any]:
    """Makes what Keras expects in `model.predict_function`: some batches in, their outputs out.

    Keras's own would unroll all the steps of a call into one graph, which takes seconds to trace,
    for a callback that predicts.
    """
    one_step = tf.function(model.predict_step, reduce_retracing=True, autograph=False)

    def run(batches: list[Any]) -> Any:
        outputs = [one_step(batch) for batch in batches]
        return keras.tree.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    return run


def _steps_a_call(model: keras.Model, source: Source, train: Any, limit: tf.Variable) -> int:
    """Measures one step on one batch, and returns how many make `SECONDS_A_CALL`."""
    batches = iter(source.probe)
    # Tracing makes every variable that a step uses, also those that only a step of the user's
    # knows, such as a second optimizer's.
    variables = train.get_concrete_function(batches).variables
    with preserved(model, variables):
        train(batches)
        limit.assign(_PROBE_STEPS)
        start = time.perf_counter()
        keras.tree.map_structure(keras.ops.convert_to_numpy, train(batches))
        seconds = (time.perf_counter() - start) / _PROBE_STEPS
    steps = max(1, round(SECONDS_A_CALL / max(seconds, 1e-6)))
    return min(steps, source.steps) if source.steps else steps
