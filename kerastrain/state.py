"""Everything that a training step may change, where it lies, and how to leave it unchanged."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def variables_of(model: keras.Model) -> list[tf.Variable]:
    """Returns what `step_variables` names, in its order.

    Two models that were built and compiled alike have theirs in the same order.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> len(variables_of(model))
        2
    """
    return [_tensorflows(variable) for _, variable in step_variables(model)]


def step_variables(
    model: keras.Model, others: Sequence[tf.Variable] = ()
) -> Iterator[tuple[str, Any]]:
    """Yields everything that a training step may change: the one place where that is told.

    It is what the model, its metrics and its optimizers keep, and what else a step has captured:
    the states of stateful RNNs, optimizers in lists or in models within, generators and variables
    of layers of the user's own.

    Args:
        model: A compiled model.
        others: What `captured_by` returned of a traced step.

    Yields:
        A name of the group and the place in it, and the variable, Keras's or TensorFlow's.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> [name for name, _ in step_variables(model, [tf.Variable(0)])]
        ['model variable 0', 'model variable 1', 'step variable 0']
    """
    groups = {
        "model": model.variables,
        "metrics": model.metrics_variables,
        "optimizer": [v for optimizer in _optimizers(model) for v in optimizer.variables],
    }
    known = set()
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            if others:
                known.add(id(_tensorflows(variable).handle))
            yield f"{group} variable {number}", variable
    for number, variable in enumerate(others):
        if id(variable.handle) not in known:
            yield f"step variable {number}", variable


def captured_by(function: Any, model: keras.Model) -> list[tf.Variable]:
    """Returns the variables of a traced function that neither model nor optimizer knows.

    They are in the order in which they were met when it was traced, which another process meets
    them in too.

    Args:
        function: A `tf.function`'s concrete function.
        model: The model.
    """
    known = {id(variable.handle) for variable in variables_of(model)}
    by_handle = {id(variable.handle): variable for variable in function.variables}
    handles = dict.fromkeys(map(id, function.captured_inputs))
    return [by_handle[h] for h in handles if h in by_handle and h not in known]


def _tensorflows(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable


def _optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the model's optimizer, and others that a train step of the user's may use."""
    own = getattr(model, "optimizer", None)  # A model that isn't compiled has no such name.
    if own is not None and not own.built and model.trainable_variables:
        # Else the first step would make its variables, too late for whoever asks.
        own.build(model.trainable_variables)
    others = [
        value
        for _, value in sorted(vars(model).items(), key=lambda item: item[0])
        if isinstance(value, keras.optimizers.Optimizer) and value is not own
    ]
    return ([] if own is None else [own]) + others


def has_finite_weights(model: keras.Model, taken: list[np.ndarray] | None = None) -> bool:
    """Tells whether no weight that is trained is NaN or infinite; no later step can mend one.

    Others may be infinite by design, as a mask is.

    Args:
        model: The model.
        taken: What its `get_weights()` has returned, if those are to be looked at.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[np.nan]]), np.zeros(1)])
        >>> has_finite_weights(model)
        False
    """
    if taken is None:
        weights = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    else:
        pairs = zip(taken, model.weights, strict=True)
        weights = [weight for weight, variable in pairs if variable.trainable]
    return all(np.isfinite(weight).all() for weight in weights)


def is_distributed(model: keras.Model) -> bool:
    """Tells whether a model was built in the scope of a distribution strategy."""
    with model.distribute_strategy.scope():
        return bool(tf.distribute.has_strategy())


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
    everything = [*variables_of(model), *variables]
    values = {variable.ref(): tf.identity(variable) for variable in everything}
    try:
        yield
    finally:
        for reference, value in values.items():
            reference.deref().assign(value)
