"""What a trained model gives for rows, as one array."""

from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid
from kerastrain.architecture import layers_of
from kerastrain.data import as_keras_has_it
from kerastrain.state import is_distributed
from kerastrain.tasks import head_of

_ROWS = 16
"""Times the rows of a training batch: without gradients, a layer's outputs needn't be kept."""

_UNTRACED = 16
"""Batches up to which tracing a function takes longer than going without."""


def outputs_of(model: keras.Model, x: np.ndarray, *, batch_size: int, function: str) -> np.ndarray:
    """Returns what a model gives for each row, of shape `(n, units)`.

    A few batches are run without `model.predict`, which traces for longer than it takes to run
    them; a search asks every model that it makes just once.

    Args:
        model: A trained model.
        x: The inputs.
        batch_size: That of its training.
        function: The public function that was called.
    """
    rows = _ROWS * batch_size
    is_short = len(x) <= _UNTRACED * rows and not _is_slow_untraced(model)
    given = _untraced(model, x, rows) if is_short else model.predict(x, rows, verbose=0)
    return _one_array(given, function)


def units_of(model: keras.Model, x: np.ndarray, *, function: str) -> int:
    """Returns how many numbers a model gives for a row; runs one where its layers don't tell."""
    head = head_of(model)
    return int(head.units if head else _one_array(_untraced(model, x[:1], 1), function).shape[1])


def _untraced(model: keras.Model, x: np.ndarray, rows: int) -> Any:
    given = [
        model.predict_step(keras.ops.convert_to_tensor(as_keras_has_it(x[first : first + rows])))
        for first in range(0, len(x), rows)
    ]
    arrays = [keras.tree.map_structure(np.asarray, part) for part in given]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *arrays)


def _is_slow_untraced(model: keras.Model) -> bool:
    """A recurrent layer is a loop of small steps; a strategy's devices need a function."""
    kinds = [kind.__name__ for layer in layers_of(model) for kind in type(layer).__mro__]
    return any("RNN" in kind for kind in kinds) or is_distributed(model)


def _one_array(given: Any, function: str) -> np.ndarray:
    shapes = [getattr(part, "shape", ()) for part in keras.tree.flatten(given)]
    if len(shapes) != 1 or len(shapes[0]) > 2:
        must = "return a model that gives one row of numbers for each row of `X`"
        raise invalid(function, "build_model", must, f"outputs of shape {shapes}")
    (array,) = keras.tree.flatten(given)
    return np.asarray(array, dtype="float64").reshape(len(array), -1)
