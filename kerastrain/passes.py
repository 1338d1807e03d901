"""The batches of a source, pass after pass, for whoever trains on them without `model.fit`."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid
from kerastrain.sources import Source


class Passes:
    """Goes through the batches of a source again and again, each time in another order.

    Args:
        source: The source.

    Attributes:
        first: A batch.
        iterator: The batches of the current epoch that are left.
    """

    def __init__(self, source: Source) -> None:
        self._source, self._epoch = source, 0
        self._taken, self._taken_before = 0, 0
        self.first = next(iter(source.probe))
        self._dataset = source.train
        if isinstance(self._dataset, keras.utils.PyDataset):
            self._dataset = _as_dataset(self._dataset)
        elif source.calls and source.calls.full_batches:
            # A smaller last batch would scatter more.
            self._dataset = self._dataset.take(source.calls.full_batches)
        if source.class_weight:
            self._dataset = _weighted(self._dataset, source.class_weight)
        self.iterator = iter(self._dataset)

    def took(self, count: int) -> None:
        """Counts what was taken off the iterator."""
        self._taken += count

    def begin_again(self) -> None:
        """Begins the next epoch, if the last one had any batch."""
        if self._taken == self._taken_before:
            must = "give its batches in every pass, or as many as `steps` in one"
            received = f"a Dataset that ended after {self._taken} batches"
            raise invalid("lr_find", "x", must, received)
        self._taken_before = self._taken
        self._epoch += 1
        self._source.begin_epoch(self._epoch)
        self.iterator = iter(self._dataset)


def _as_dataset(batches: keras.utils.PyDataset) -> tf.data.Dataset:
    def packed(number: int) -> Any:
        parts = keras.utils.unpack_x_y_sample_weight(batches[number])
        return keras.utils.pack_x_y_sample_weight(*parts)

    def spec(*parts: Any) -> tf.TensorSpec:
        # A side on which batches differ has no fixed length, the first never, as Keras has it.
        shapes = [np.shape(part) for part in parts]
        sides = [sides[0] if len(set(sides)) == 1 else None for sides in zip(*shapes, strict=True)]
        return tf.TensorSpec((None, *sides[1:]), tf.as_dtype(np.asarray(parts[0]).dtype))

    count = batches.num_batches
    some = [packed(number) for number in sorted({0, min(1, count - 1), count - 1})]
    return tf.data.Dataset.from_generator(
        lambda: map(packed, range(count)),
        output_signature=keras.tree.map_structure(spec, *some),
    )


def _weighted(dataset: tf.data.Dataset, class_weight: Mapping[int, float]) -> tf.data.Dataset:
    """Multiplies each row's weight by that of its class, as Keras does with a Dataset."""
    weight_of = np.ones(1 + max(class_weight, default=0), dtype=keras.config.floatx())
    for label, weight in class_weight.items():
        weight_of[label] = weight

    def weighted(*batch: Any) -> Any:
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        is_one_hot = y.shape.rank == 2 and y.shape[1] != 1
        labels = tf.argmax(y, axis=1) if is_one_hot else tf.reshape(y, (-1,))
        classes = tf.cast(labels, tf.int64)
        there = tf.minimum(classes, len(weight_of) - 1)
        of_class = tf.where(classes < len(weight_of), tf.gather(weight_of, there), 1.0)
        if weight is not None:
            of_class *= tf.cast(tf.reshape(weight, (-1,)), of_class.dtype)
        return x, y, of_class

    return dataset.map(weighted)
