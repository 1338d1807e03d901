"""Everything that a training step may change, where it lies, and how to leave it unchanged."""

import contextlib
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf


def variables_of(model: keras.Model) -> list[tf.Variable]:
    """Returns a model's variables, its metrics' and its optimizer's, in an order that is its own.

    Two models that were built and compiled alike have theirs in the same order.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> len(variables_of(model))
        2
    """
    kept = [*model.variables, *model.metrics_variables]
    optimizer = getattr(model, "optimizer", None)  # A model that isn't compiled has no such name.
    if optimizer is not None:
        if not optimizer.built and model.trainable_variables:
            # Else the first step would make its variables, too late for whoever asks.
            optimizer.build(model.trainable_variables)
        kept += optimizer.variables
    return [variable.value for variable in kept]


def has_finite_weights(model: keras.Model) -> bool:
    """Tells whether no weight that is trained is NaN or infinite; no later step can mend one.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[np.nan]]), np.zeros(1)])
        >>> has_finite_weights(model)
        False
    """
    weights = (keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables)
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
