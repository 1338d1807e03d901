"""From what the user holds to rows that can be trained on: checks, splits, the order of an epoch.

The order of the rows in epoch `e` is a pure function of the seed and `e`, so that a run can be
repeated, and resumed, from those two numbers alone.
"""

import dataclasses
import functools
import math
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, show
from kerastrain._memory import free_memory

Arrays = Any
"""One array, or a tuple, list or dict of arrays with one row each per sample."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """Samples in memory: inputs, targets and weights, row by row.

    Attributes:
        x: One array `(n, ...)`, or a tuple or dict of them.
        y: Likewise, or `None`.
        weight: One weight a row, shape `(n,)`, or `None`.
    """

    x: Arrays
    y: Arrays
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        arrays = keras.tree.flatten(self.x)
        return len(arrays[0]) if arrays else 0

    @property
    def parts(self) -> Any:
        """What a step gets of a batch, as `model.fit` packs it: without `y` an array goes bare."""
        return keras.utils.pack_x_y_sample_weight(self.x, self.y, self.weight)

    @property
    def fit_in_memory(self) -> bool:
        """Whether there is room for a copy of them, and for the training beside it."""
        return _fit_in_memory(keras.tree.flatten(self.parts))

    def take(self, positions: np.ndarray) -> "Rows":
        """Returns the rows at some positions, copied."""
        parts = (self.x, self.y, self.weight)
        return Rows(*(p if p is None else _at(p, positions) for p in parts))


class EpochOrder:
    """The rows that each epoch visits, and in which order.

    Args:
        rows: The positions of the training rows.
        seed: With the epoch, it decides the order.
        shuffle: Whether there is an order to decide.

    Attributes:
        epoch: The current epoch.
        current: Its rows, in its order.
    """

    def __init__(self, rows: np.ndarray, *, seed: int = 0, shuffle: bool) -> None:
        self._rows = rows
        self._seed = seed
        self._shuffles = shuffle
        self.epoch = 0
        # A variable, so that one dataset serves all epochs and nothing is traced again.
        self.current = tf.Variable(self.of_epoch(0), trainable=False)

    def __len__(self) -> int:
        return len(self._rows)

    @functools.cached_property
    def is_as_it_lies(self) -> bool:
        """Whether every epoch visits the rows as they lie in memory, from the first on."""
        return not self._shuffles and np.array_equal(self._rows, np.arange(len(self)))

    def of_epoch(self, epoch: int) -> np.ndarray:
        """Returns the positions in the order of an epoch, a pure function of seed and epoch."""
        if not self._shuffles:
            return self._rows
        return np.random.default_rng([self._seed, epoch]).permutation(self._rows)

    def begin_epoch(self, epoch: int) -> None:
        """Makes an epoch the current one."""
        if self._shuffles and epoch != self.epoch:
            self.current.assign(self.of_epoch(epoch))
        self.epoch = epoch


def is_stream(x: Any) -> bool:
    """Tells whether `x` brings its own batches and targets: a tf.data.Dataset or a PyDataset."""
    return isinstance(x, tf.data.Dataset | keras.utils.PyDataset)


def rows_of(
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    function: str = "fit",
    names: tuple[str, str, str] = ("x", "y", "sample_weight"),
) -> Rows:
    """Makes `Rows` of arrays, frames, lists or tensors, and checks them.

    Floating-point numbers become Keras's `floatx`, as `model.fit` makes them.

    Raises:
        ValueError: If there are no rows, lengths differ, or there is NaN or infinity.
        TypeError: If something isn't an array.
    """
    inputs = _as_arrays(function, names[0], x)
    targets = None if y is None else _as_arrays(function, names[1], y)
    weight = None if sample_weight is None else _as_arrays(function, names[2], sample_weight)
    rows = Rows(inputs, targets, weight)
    _check_lengths(function, dict(zip(names, (inputs, targets, weight), strict=True)))
    if not len(rows):
        raise invalid(function, names[0], "hold at least one row", f"{names[0]}={show(x)}")
    for name, arrays in zip(names, (inputs, targets, weight), strict=True):
        _check_finite(function, name, arrays)
    return rows


def with_class_weight(
    rows: Rows,
    class_weight: Mapping[int, float] | None,
    labels: np.ndarray | None,
    *,
    function: str = "fit",
) -> Rows:
    """Multiplies each row's weight by that of its class, as Keras's `class_weight` does.

    Args:
        rows: The rows.
        class_weight: From class to weight; a class that isn't in it weighs 1.
        labels: The class of each row, or `None` where the model doesn't classify.
        function: The public function that was called.
    """
    if class_weight is None:
        return rows
    if not isinstance(class_weight, Mapping):
        must, received = "be a dict from class to weight", f"class_weight={show(class_weight)}"
        raise invalid(function, "class_weight", must, received, kind=TypeError)
    for label, weight in class_weight.items():
        if not isinstance(label, numbers.Real) or not isinstance(weight, numbers.Real):
            must = "be a dict from class to weight, whole numbers to numbers"
            raise invalid(function, "class_weight", must, f"class_weight={show(class_weight)}")
        if not 0 <= weight < math.inf:
            must = "hold finite weights of at least 0"
            raise invalid(function, "class_weight", must, f"class_weight={show(class_weight)}")
    if labels is None:
        must = "be left out where the loss is none of Keras's cross-entropies, or there are several"
        raise invalid(function, "class_weight", must, f"class_weight={show(class_weight)}")
    weights = np.ones(len(rows), dtype=keras.config.floatx())
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    if rows.weight is not None:
        if not isinstance(rows.weight, np.ndarray) or rows.weight.size != len(rows):
            must = "hold one weight a row beside `class_weight`"
            raise invalid(function, "sample_weight", must, f"sample_weight={show(rows.weight)}")
        weights = weights * rows.weight.reshape(-1)
    return dataclasses.replace(rows, weight=weights)


def split_positions(
    n: int, fraction: float, *, seed: int, shuffle: bool = True, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Splits the positions `0..n-1` into a training and a validation part.

    The validation part has as many rows as Keras would give it, `n - floor(n * (1 - fraction))`.

    Args:
        n: The number of rows.
        fraction: The part for validation, above 0 and below 1.
        seed: Decides which rows go where.
        shuffle: False takes the last rows, as `model.fit` does, for data that are a time series.
        labels: One class a row: each class is split in the same proportion, to the nearest row.

    Example:
        >>> train, validation = split_positions(8, 0.25, seed=0, labels=np.array([0, 1] * 4))
        >>> validation % 2
        array([0, 1])
        >>> split_positions(8, 0.25, seed=0, shuffle=False)[1]
        array([6, 7])
    """
    wanted = n - math.floor(n * (1 - fraction))
    if not 0 < wanted < n:
        must = "leave at least one row on either side"
        raise invalid("fit", "validation_split", must, f"validation_split={fraction} of {n} rows")
    if not shuffle:
        return np.arange(n - wanted), np.arange(n - wanted, n)
    generator = np.random.default_rng([seed])
    if labels is None:
        labels = np.zeros(n, dtype=int)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    counts = _shares([len(group) for group in groups], wanted, generator)
    validation = np.sort(
        np.concatenate(
            [
                generator.permutation(group)[:count]
                for group, count in zip(groups, counts, strict=True)
            ]
        )
    )
    return np.setdiff1d(np.arange(n), validation, assume_unique=True), validation


def as_keras_has_it(array: np.ndarray) -> np.ndarray:
    """Returns floating-point numbers in Keras's precision, and others as they are."""
    return array.astype(keras.config.floatx(), copy=False) if array.dtype.kind == "f" else array


def _fit_in_memory(arrays: list[np.ndarray]) -> bool:
    return sum(array.nbytes for array in arrays) <= free_memory() / 2


def _at(arrays: Arrays, positions: np.ndarray) -> Arrays:
    return keras.tree.map_structure(lambda array: array[positions], arrays)


def _as_arrays(function: str, argument: str, value: Any) -> Arrays:
    """Follows Keras: a list or tuple of arrays is several inputs, anything else is one."""
    if isinstance(value, Mapping):
        return {key: _as_array(function, f"{argument}[{key!r}]", v) for key, v in value.items()}
    if isinstance(value, list | tuple) and value and all(_is_array(item) for item in value):
        return tuple(
            _as_array(function, f"{argument}[{number}]", item) for number, item in enumerate(value)
        )
    return _as_array(function, argument, value)


def _as_array(function: str, argument: str, value: Any) -> np.ndarray:
    must = "be arrays with one row per sample"
    if argument == "x" and function in ("fit", "lr_find"):
        must += ", a tf.data.Dataset or a keras.utils.PyDataset"
    if value is None or isinstance(value, str | bytes | Iterator) or callable(value):
        raise invalid(function, argument, must, f"{argument}={show(value)}", kind=TypeError)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        received = f"{argument}={show(value)}"
        raise invalid(function, argument, must, received, kind=TypeError) from error
    if array.ndim == 0:
        raise invalid(function, argument, must, f"{argument}={show(value)}", kind=TypeError)
    if array.dtype.kind == "f":
        return as_keras_has_it(array) if _fit_in_memory([array]) else array
    if array.dtype.kind in "biuV":  # V: bfloat16 and its kin.
        return array
    if array.dtype.kind in "OUST":
        array = array.astype(object)
        if all(isinstance(item, numbers.Real | np.bool_) for item in array.flat):
            # A frame whose columns differ in kind.
            return array.astype(keras.config.floatx())
        if all(isinstance(item, str | bytes) for item in array.flat):
            return array  # Keras takes strings as objects only.
    must, received = "hold numbers only, or strings only", f"{argument}={show(array)}"
    raise invalid(function, argument, must, received, kind=TypeError)


def _is_array(value: Any) -> bool:
    return not isinstance(value, str | bytes) and getattr(value, "ndim", 0) > 0


def _check_lengths(function: str, parts: dict[str, Arrays]) -> None:
    """Raises where the arrays of one or several parts differ in rows."""
    lengths: dict[str, int] = {}
    for name, arrays in parts.items():
        if isinstance(arrays, np.ndarray):
            lengths[name] = len(arrays)
        elif arrays is not None:
            keyed = arrays.items() if isinstance(arrays, dict) else enumerate(arrays)
            lengths |= {f"{name}[{key!r}]": len(array) for key, array in keyed}
    first = next(iter(lengths), "")
    for name in lengths:
        if lengths[name] != lengths[first]:
            must = f"have as many rows as `{name}`"
            received = f"len({first})={lengths[first]}, len({name})={lengths[name]}"
            raise invalid(function, first, must, received)


def _check_finite(function: str, argument: str, arrays: Arrays) -> None:
    for array in keras.tree.flatten(arrays) if arrays is not None else ():
        if array.dtype.kind != "f" or not _fit_in_memory([array]):
            continue  # What has to be read from a disk takes as long to check as to train on.
        if not np.isfinite(array).all():
            bad = int(array.size - np.isfinite(array).sum())
            must = "hold finite numbers only"
            raise invalid(function, argument, must, f"NaN or infinity in {bad} of {array.size}")


def _shares(sizes: list[int], total: int, generator: np.random.Generator) -> list[int]:
    """Divides `total` in proportion to `sizes`, the largest remainders rounded up.

    Among equal remainders chance decides, or rare classes would be held out in order of label.
    """
    exact = [size * total / sum(sizes) for size in sizes]
    shares = [math.floor(share) for share in exact]
    by_remainder = sorted(generator.permutation(len(sizes)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
