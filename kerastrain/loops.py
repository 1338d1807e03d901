"""Many steps in one call: what Keras calls as one training or validation step.

`model.fit` runs the epochs as ever; a `RowLoop` takes its batches from rows in memory and not from
Keras's iterator, a `StreamLoop` from the iterator. Both give the bits of single steps, but for
the loop that XLA compiles, which rounds in another order and draws other random numbers.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerastrain._kernels import fast_kernels, one_replica
from kerastrain.batches import taken
from kerastrain.calls import Call, Calls
from kerastrain.traces import Traces

_LONG_ENOUGH = 0.03  # s, to measure


class RowLoop:
    """Runs the batches of rows in memory, many a call.

    Args:
        traces: Traces or borrows the model's functions.
        model: A compiled model.
        calls: Its batches.
        training: Whether to train on them; else they are evaluated.
        compiled: Whether XLA compiles the loop.

    Attributes:
        calls: The batches.
    """

    def __init__(
        self,
        traces: Traces,
        model: keras.Model,
        calls: Calls,
        *,
        training: bool = True,
        compiled: bool = False,
    ) -> None:
        self._traces, self._model, self.calls = traces, model, calls
        self._training, self._compiled = training, compiled
        self._functions: dict[bool, Any] = {}

    def __call__(self, iterator: Any = None) -> Any:
        """Runs the batches of the next call; Keras's iterator only counts."""
        return self.run(self.calls.next())

    def trace(self) -> None:
        """Traces, so that every variable is there."""
        self._function(self._compiled)

    def measured(self) -> float:
        """Returns the seconds of a step, on the first batches; the caller restores the state.

        A first step warms up. The shorter a step, the more of them it takes to hide what the call
        itself costs, and what else the machine does.
        """
        self._timed(1)
        most = max(1, self.calls.full_batches)
        count, spent, least = 1, 0.0, math.inf
        while True:
            seconds = self._timed(count)
            spent, least = spent + seconds, min(least, seconds / count)
            if spent > _LONG_ENOUGH or count == most:
                return least
            count = min(4 * count, most)

    def _timed(self, count: int) -> float:
        start = time.perf_counter()
        call = dataclasses.replace(self.calls.first(), count=count)
        keras.tree.map_structure(keras.ops.convert_to_numpy, self.run(call))
        return time.perf_counter() - start

    def run(self, call: Call) -> Any:
        """Runs the batches of a call, and returns the last one's logs."""
        end, full = call.first + call.count, self.calls.full_batches
        if not self._compiled:
            return self._between(call, call.first, end)
        if call.first < full:
            logs = self._between(call, call.first, min(end, full))
        if end > full:
            # The last batch has fewer rows, for which XLA would have to compile once more.
            logs = self._between(call, full, end, compiled=False)
        return logs

    def _between(self, call: Call, first: int, end: int, *, compiled: bool | None = None) -> Any:
        function = self._function(self._compiled if compiled is None else compiled)
        return function(self.calls.tensors, call.positions, tf.constant(first), tf.constant(end))

    def _function(self, compiled: bool) -> Any:
        if compiled not in self._functions:
            self._functions[compiled] = self._traced(compiled)
        return self._functions[compiled]

    def _traced(self, compiled: bool) -> Any:
        parts, size = self.calls.specs
        positions, number = self.calls.first().positions, tf.TensorSpec((), tf.int32)
        order = None if positions is None else tf.TensorSpec((None,), positions.dtype)
        name = f"{'train' if self._training else 'test'} on {size}"
        with fast_kernels() if compiled else contextlib.nullcontext():
            return self._traces.traced(
                name,
                functools.partial(self._loop, _exactly if compiled else _up_to),
                (parts, order, number, number),
                compiled=compiled,
            )

    @one_replica()
    def _loop(self, batch_of: Any, parts: Any, positions: Any, first: Any, end: Any) -> Any:
        def batch(number: Any) -> Any:
            return batch_of(parts, positions, number * size, size)

        def body(number: Any, logs: Any) -> Any:
            new = step(batch(number))
            return number + 1, (new if logs else logs)

        size = self.calls.batch_size
        step, is_kerass = self._step()
        # Keras's own step logs what the metrics hold, which can be asked once, after the loop.
        logs, shapes = ({}, {}) if is_kerass else _empty_logs(step, batch(first))
        logs = tf.while_loop(
            lambda number, _: number < end,
            body,
            (first, logs),
            shape_invariants=(tf.TensorShape(()), shapes),
        )[1]
        return logs or self._model.get_metrics_result()

    def _step(self) -> tuple[Callable[[Any], Any], bool]:
        name = "train_step" if self._training else "test_step"
        step = getattr(self._model, name)
        if self._model.jit_compile:
            step = tf.function(step, autograph=False, jit_compile=True)
        return step, all(is_kerass(self._model, method) for method in (name, "compute_metrics"))


def is_kerass(model: keras.Model, method: str) -> bool:
    """Tells whether a method is Keras's own, overridden neither in a class nor on the model."""
    return getattr(getattr(model, method), "__func__", None) is getattr(keras.Model, method)


def _exactly(parts: Any, positions: Any, first: Any, size: int) -> Any:
    """Returns a batch of a size that is known when XLA compiles."""
    if positions is not None:
        return taken(parts, tf.slice(positions, [first], [size]))

    def rows(part: Any) -> Any:
        others = [0] * (part.shape.rank - 1)
        return tf.slice(part, [first, *others], [size, *part.shape[1:]])

    return keras.tree.map_structure(rows, parts)


def _up_to(parts: Any, positions: Any, first: Any, size: int) -> Any:
    """Returns a batch that has fewer rows at the end of the epoch."""
    end = first + size
    if positions is None:
        return keras.tree.map_structure(lambda part: part[first:end], parts)  # Copies nothing.
    return taken(parts, positions[first:end])


def _empty_logs(step: Callable[[Any], Any], batch: Any) -> tuple[Any, Any]:
    """Returns what a step of the user's own logs, but empty, and the shapes that it will have."""
    logs = tf.function(step, autograph=False).get_concrete_function(batch).structured_outputs

    def empty(log: Any) -> Any:
        return tf.zeros([side or 0 for side in log.shape], log.dtype)

    shapes = keras.tree.map_structure(lambda log: log.shape, logs)
    return keras.tree.map_structure(empty, logs), shapes


class StreamLoop:
    """What Keras expects in `model.train_function`: an iterator in, the last logs out.

    Args:
        model: A compiled model.
        step: Its `train_step` or `test_step`.

    Attributes:
        limit: How many batches a call runs; a variable, so that finding the right one costs no
            second tracing.
    """

    def __init__(self, model: keras.Model, step: Callable[[Any], Any]) -> None:
        self.limit = tf.Variable(1, dtype=tf.int64, trainable=False)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        @one_replica()
        def one_step(batch: Any) -> Any:
            # Keras hands a missing part of a generator's batch over as an empty Optional.
            parts = keras.tree.map_structure(
                lambda part: None if isinstance(part, tf.experimental.Optional) else part, batch
            )
            return step(parts)

        self._step = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile)
        do_not_convert = tf.autograph.experimental.do_not_convert
        self._loop = tf.function(do_not_convert(self._run), reduce_retracing=True)

    def __call__(self, iterator: Any) -> Any:
        """Runs the next batches."""
        return self._loop(iterator)

    def begin(self, first: Any, iterator: Any) -> Any:
        """Runs the next batches, of which the first was taken off already.

        Args:
            first: An iterator over that one.
            iterator: Brings those behind it.
        """
        logs, rest = self._loop(first), int(self.limit) - 1
        if rest:
            self.limit.assign(rest)
            try:
                logs = self._loop(iterator)
            except tf.errors.OutOfRangeError:
                pass  # It was the only one.
            finally:
                self.limit.assign(rest + 1)
        return logs

    def trace(self, batches: Any) -> list[tf.Variable]:
        """Traces, so that every variable is there, and returns those that a step uses."""
        return list(self._loop.get_concrete_function(batches).variables)

    def _run(self, iterator: Any) -> Any:
        def unfinished(done: Any, more: Any, _: Any) -> Any:
            return tf.logical_and(more, done < self.limit)

        def next_step(done: Any, _: Any, logs: Any) -> Any:
            batch = iterator.get_next_as_optional()
            more, logs = tf.cond(
                batch.has_value(),
                lambda: (True, self._step(batch.get_value())),
                lambda: (False, logs),
            )
            return done + 1, more, logs

        # The first step stands outside the loop to tell the loop what logs look like.
        logs = self._step(iterator.get_next())
        one = tf.constant(1, dtype=tf.int64)
        return tf.while_loop(unfinished, next_step, (one, True, logs))[2]


def each_batch(model: keras.Model) -> Callable[[list[Any]], Any]:
    """Makes what Keras expects in `model.predict_function`: some batches in, their outputs out.

    Keras's own would unroll all the steps of a call into one graph, which takes seconds to trace.
    """
    one_step = tf.function(model.predict_step, reduce_retracing=True, autograph=False)

    def run(batches: list[Any]) -> Any:
        outputs = [one_step(batch) for batch in batches]
        return keras.tree.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs)

    return run
