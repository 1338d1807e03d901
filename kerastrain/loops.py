"""Many steps in one call: what Keras calls as one training or validation step.

`model.fit` runs the epochs as ever; a `StackLoop` takes its batches from `Stacks` and not from
Keras's iterator, a `stream_loop` from the iterator. Both give the bits of single steps, but for
the loop that XLA compiles, which rounds in another order.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerastrain._kernels import fast_random
from kerastrain.stacks import Stack, Stacks
from kerastrain.traces import Traces

_SLOW, _QUICK = 0.1, 0.005  # s, of one step
_FEW, _MANY = 4, 32  # steps to measure


class StackLoop:
    """Runs stacks of batches, one call after the other.

    Args:
        traces: Traces or borrows the model's functions.
        model: A compiled model.
        stacks: Its batches.
        training: Whether to train on them; else they are evaluated.
        compiled: Whether XLA compiles the loop.

    Attributes:
        stacks: The batches.
    """

    def __init__(
        self,
        traces: Traces,
        model: keras.Model,
        stacks: Stacks,
        *,
        training: bool = True,
        compiled: bool = False,
    ) -> None:
        self._traces, self._model, self.stacks = traces, model, stacks
        self._training, self._compiled = training, compiled
        self._functions: dict[bool, Any] = {}

    def __call__(self, iterator: Any = None) -> Any:
        """Runs the batches of a call; Keras's iterator only counts."""
        while True:
            stack = self.stacks.next()
            logs = self._run(stack, stack.count)
            if stack.ends_call:
                return logs

    def trace(self) -> None:
        """Traces, so that every variable is there."""
        self._function(self.stacks.first())

    def measured(self) -> float:
        """Returns the seconds of a step, on the first batches; the caller restores the state.

        A first call warms up. Where one step is slow, it is the measure; the shorter a step, the
        more of them it takes to hide what the call itself costs.
        """
        stack = self.stacks.first()
        self._timed(stack, 0)
        once = self._timed(stack, 1)
        if once > _SLOW or stack.count < 2:
            return once
        count = min(stack.count, _FEW if once > _QUICK else _MANY)
        return min(once, self._timed(stack, count) / count)

    def _timed(self, stack: Stack, count: int) -> float:
        start = time.perf_counter()
        keras.tree.map_structure(keras.ops.convert_to_numpy, self._run(stack, count))
        return time.perf_counter() - start

    def _run(self, stack: Stack, count: int) -> Any:
        return self._function(stack)(stack.batches, tf.constant(count))

    def _function(self, stack: Stack) -> Any:
        compiled = self._compiled and stack.is_full  # XLA would compile once more for the last one.
        if compiled not in self._functions:
            self._functions[compiled] = self._traced(stack.batches, compiled)
        return self._functions[compiled]

    def _traced(self, batches: Any, compiled: bool) -> Any:
        def spec(part: Any) -> tf.TensorSpec:
            # XLA compiles for one size; else all sizes share one graph, as Keras's own do.
            sides = part.shape[:2] if compiled else (None, None)
            return tf.TensorSpec((*sides, *part.shape[2:]), part.dtype)

        specs = (keras.tree.map_structure(spec, batches), tf.TensorSpec((), tf.int32))
        name = "train" if self._training else "test"
        with fast_random() if compiled else contextlib.nullcontext():
            return self._traces.traced(name, self._loop, specs, compiled=compiled)

    def _loop(self, batches: Any, count: Any) -> Any:
        def body(number: Any, logs: Any) -> Any:
            batch = keras.tree.map_structure(lambda part: part[number], batches)
            new = step(batch)
            return number + 1, (new if logs else logs)

        step, is_kerass = self._step()
        # Keras's own step logs what the metrics hold, which can be asked once, after the loop.
        logs = {} if is_kerass else self._empty_logs(step, batches)
        logs = tf.while_loop(lambda number, _: number < count, body, (0, logs))[1]
        return logs or self._model.get_metrics_result()

    def _step(self) -> tuple[Callable[[Any], Any], bool]:
        name = "train_step" if self._training else "test_step"
        step = getattr(self._model, name)
        if self._model.jit_compile:
            step = tf.function(step, autograph=False, jit_compile=True)
        return step, getattr(type(self._model), name) is getattr(keras.Model, name)

    def _empty_logs(self, step: Callable[[Any], Any], batches: Any) -> Any:
        """The loop must know beforehand what a step of the user's own logs."""
        first = keras.tree.map_structure(lambda part: part[0], batches)
        logs = tf.function(step, autograph=False).get_concrete_function(first).structured_outputs
        return keras.tree.map_structure(lambda log: tf.zeros(log.shape, log.dtype), logs)


def stream_loop(model: keras.Model, step: Callable[[Any], Any], limit: tf.Variable) -> Any:
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


def each_batch(model: keras.Model) -> Callable[[list[Any]], Any]:
    """Makes what Keras expects in `model.predict_function`: some batches in, their outputs out.

    Keras's own would unroll all the steps of a call into one graph, which takes seconds to trace,
    for a callback that predicts.
    """
    one_step = tf.function(model.predict_step, reduce_retracing=True, autograph=False)

    def run(batches: list[Any]) -> Any:
        outputs = [one_step(batch) for batch in batches]
        return keras.tree.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    return run
