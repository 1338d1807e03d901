"""Batches of rows in the order of the epoch: of tensors, or of arrays that stay on a disk."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain.data import EpochOrder, Rows, as_keras_has_it


def as_tensors(rows: Rows) -> Any:
    """Returns what a batch is, of all rows: tensors, from which batches are gathered."""
    return keras.tree.map_structure(tf.convert_to_tensor, rows.parts)


def taken(tensors: Any, positions: Any) -> Any:
    """Returns the rows at some positions, gathered."""
    return keras.tree.map_structure(lambda part: tf.gather(part, positions), tensors)


def batches(tensors: Any, order: EpochOrder, *, batch_size: int) -> tf.data.Dataset:
    """Makes batches of the rows in the order of whichever epoch is current when they are asked for.

    One gather a batch, from data that are tensors already: nothing is copied row by row.

    Args:
        tensors: All rows; see `as_tensors`.
        order: Which of them each epoch visits.
        batch_size: Rows a batch; the last one may have fewer.
    """
    return _in_order(order, batch_size, lambda chosen: taken(tensors, chosen))


def batches_read(rows: Rows, order: EpochOrder, *, batch_size: int) -> tf.data.Dataset:
    """Makes the same batches as `batches`, but of rows that stay where they are, as on a disk.

    Args:
        rows: All rows; of a `numpy.memmap`, a batch is read when it is its turn.
        order: Which of them each epoch visits.
        batch_size: Rows a batch; the last one may have fewer.
    """
    arrays = keras.tree.flatten(rows.parts)
    dtypes = [tf.as_dtype(as_keras_has_it(array[:0]).dtype) for array in arrays]

    def read(chosen: np.ndarray) -> list[np.ndarray]:
        return [as_keras_has_it(np.asarray(array[chosen])) for array in arrays]

    def rows_at(chosen: tf.Tensor) -> Any:
        parts = tf.numpy_function(read, [chosen], dtypes)
        for part, array in zip(parts, arrays, strict=True):
            part.set_shape((None, *array.shape[1:]))
        return keras.tree.pack_sequence_as(rows.parts, parts)

    return _in_order(order, batch_size, rows_at)


def _in_order(
    order: EpochOrder, batch_size: int, rows_at: Callable[[tf.Tensor], Any]
) -> tf.data.Dataset:
    """Makes batches, in the epoch's order, of what there is at some positions."""

    def batch(number: tf.Tensor) -> Any:
        return rows_at(order.current[number * batch_size : (number + 1) * batch_size])

    steps = math.ceil(len(order) / batch_size)
    return tf.data.Dataset.range(steps).map(batch).prefetch(tf.data.AUTOTUNE)
