"""Many steps in one call that XLA has compiled, on data that lie ready.

`model.fit` runs the epochs as ever; the function that it calls as one step takes its batches from
`Stacks`, gathered in the background, and not from Keras's iterator.
"""

from typing import Any

import keras
import tensorflow as tf

from kerastrain._xla import fast_random
from kerastrain.stacks import Stacks


class CompiledSteps:
    """What Keras calls as one training step: a stack of them, compiled.

    Args:
        model: A compiled model.
        stacks: Its batches.
    """

    def __init__(self, model: keras.Model, stacks: Stacks) -> None:
        self._model = model
        self._stacks = stacks
        self._many = tf.function(self._run, jit_compile=True, autograph=False)
        self._one = tf.function(model.train_step, autograph=False)

    def __call__(self, iterator: Any = None) -> Any:
        """Runs the next stack; Keras's iterator only counts."""
        stack = self._stacks.next()
        with fast_random():  # The first call traces.
            logs = self._many(stack.batches, tf.constant(stack.count))
            return logs if stack.rest is None else self._one(stack.rest)

    def prepare(self) -> list[tf.Variable]:
        """Traces, and returns every variable that a step uses."""
        stack = self._stacks.first()
        with fast_random():
            traced = self._many.get_concrete_function(stack.batches, tf.constant(1))
        return list(traced.variables)

    def run(self, count: int) -> None:
        """Runs the first batches of the epoch, to compile or to measure."""
        stack = self._stacks.first()
        with fast_random():
            logs = self._many(stack.batches, tf.constant(count))
        keras.tree.map_structure(keras.ops.convert_to_numpy, logs)

    def _run(self, batches: Any, count: Any) -> Any:
        def step(number: Any, logs: Any) -> Any:
            batch = keras.tree.map_structure(lambda part: part[number], batches)
            new = self._model.train_step(batch)
            return number + 1, (new if logs else logs)

        # Keras's own step logs what the metrics hold, which can be asked once, after the loop.
        logs = {} if self._logs_metrics() else self._empty_logs(batches)
        logs = tf.while_loop(lambda number, _: number < count, step, (0, logs))[1]
        return logs or self._model.get_metrics_result()

    def _logs_metrics(self) -> bool:
        return type(self._model).train_step is keras.Model.train_step

    def _empty_logs(self, batches: Any) -> Any:
        """The loop must know beforehand what a step of the user's own logs."""
        first = keras.tree.map_structure(lambda part: part[0], batches)
        logs = tf.function(self._model.train_step).get_concrete_function(first).structured_outputs
        return keras.tree.map_structure(lambda log: tf.zeros(log.shape, log.dtype), logs)
