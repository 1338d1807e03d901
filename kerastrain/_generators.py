"""A Python generator as `fit` takes it: a Dataset that can be gone through once."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, show
from kerastrain.data import as_keras_has_it, is_stream

_COMPARED = 2
"""Batches of a generator whose sides are compared, as Keras does."""


def is_generator(x: Any) -> bool:
    """Tells whether `x` brings batches and can't be begun anew.

    Example:
        >>> is_generator(iter([])), is_generator([])
        (True, False)
    """
    return isinstance(x, Iterator) and not is_stream(x)


def streamed_once(x: Any, epochs: int) -> Any:
    """Returns a Dataset of what a generator brings, one pass long, and anything else as it is.

    Args:
        x: What was passed to `fit`; a generator's elements are batches, as Keras takes them.
        epochs: How many passes are asked for.

    Raises:
        ValueError: If a generator has no batch, or is to be gone through more than once.
        TypeError: If it brings something else than arrays.
    """
    if not is_generator(x):
        return x
    if epochs > 1:
        must = (
            "be 1 where `x` is a generator, which can be gone through once; "
            "`tf.data.Dataset.from_generator` makes a Dataset of the function that makes it"
        )
        raise invalid("fit", "epochs", must, f"epochs={epochs}")
    first = list(map(_as_batch, itertools.islice(x, _COMPARED)))
    if not first:
        raise invalid("fit", "x", "hold at least one batch", "an empty generator")
    for batch in first:
        parts = keras.tree.flatten(batch)
        if any(part.dtype.kind == "O" or not part.ndim for part in parts):
            received = f"a generator of {' and '.join(map(show, parts))}"
            raise invalid("fit", "x", "bring batches of arrays", received, kind=TypeError)
    once = _Once(itertools.chain(first, map(_as_batch, x)))
    spec = keras.tree.map_structure(_spec_of, *first)
    return tf.data.Dataset.from_generator(once, output_signature=spec)


class _Once:
    """Brings the batches of a generator, and to whoever begins anew its first ones again.

    Keras and we look at a batch before the training, and Datasets fetch some ahead.
    """

    _MOST_KEPT = 16

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._first: list[Any] = []
        self._is_beyond = False  # What is kept, so that nobody can begin anew any more.
        self._drawing = threading.Lock()  # Datasets fetch in threads, which a generator refuses.

    def __call__(self) -> Iterator[Any]:
        for number in itertools.count():
            with self._drawing:
                if number < len(self._first):
                    batch = self._first[number]
                elif number == self._MOST_KEPT and self._is_beyond:
                    raise RuntimeError("a generator can be gone through once")
                else:
                    self._is_beyond = number >= self._MOST_KEPT
                    batch = next(self._batches, None)
                    if batch is None:
                        return
                    if number < self._MOST_KEPT:
                        self._first.append(batch)
            yield batch


def _as_batch(element: Any) -> Any:
    """Returns what a generator brings as arrays, in tuples and dicts."""
    if isinstance(element, Mapping):
        return {key: _as_batch(part) for key, part in element.items()}
    if isinstance(element, list | tuple):
        parts = element[:2] if len(element) == 3 and element[2] is None else element
        return tuple(map(_as_batch, parts))
    array = as_keras_has_it(np.asarray(element))
    is_text = array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array.flat)
    # A tensor's texts are UTF-8 already.
    return array.astype(bytes if isinstance(element, tf.Tensor) else str) if is_text else array


def _spec_of(*parts: np.ndarray) -> tf.TensorSpec:
    """Returns what holds for a part of several batches, and leaves open where they differ."""
    sides = zip(*(part.shape[1:] for part in parts), strict=True)
    same = [side[0] if len(set(side)) == 1 else None for side in sides]
    is_text = parts[0].dtype.kind in "SU"
    return tf.TensorSpec((None, *same), tf.string if is_text else parts[0].dtype)
