"""Convolutions and pooling in what XLA does well on a CPU: products of matrices, and maxima.

XLA's own convolutions run some 25 times slower there than TensorFlow's, and so do the gradients of
its pooling. Written as a product of the patches and the filters ("im2col": Chellapilla, Puri and
Simard, "High performance convolutional neural networks for document processing", 2006), a small
model's step takes a half to a fifth of TensorFlow's time instead. A large one's, whose time goes
into the products themselves, gains nothing.

The functions take the arguments of TensorFlow's, and leave to those what they can't do.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# TensorFlow's own, which are exchanged for ours while a step is traced.
_convolution, _max_pool, _avg_pool = tf.nn.convolution, tf.nn.max_pool, tf.nn.avg_pool

_MOST_CELLS = 27
"""Of a window; each is a slice of its own, and those of 5 × 5 take two seconds to compile."""

_MOST_PATCHES = 2**24
"""Numbers, 64 MB, that the patches of a batch may take."""

_CONVOLVING = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_POOLING = (
    *(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D),
    *(keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D),
)


def unsuited(layer: Any) -> bool:
    """Tells whether a layer is left to XLA's own convolutions or pooling, which are slow on a CPU.

    Example:
        >>> unsuited(keras.layers.Conv2D(8, 3)), unsuited(keras.layers.DepthwiseConv2D(3))
        (False, True)
    """
    if isinstance(layer, _CONVOLVING):
        is_usual = layer.groups == 1 and layer.data_format == "channels_last"
        return not is_usual or math.prod(layer.kernel_size) > _MOST_CELLS
    if isinstance(layer, _POOLING):
        is_usual = layer.padding == "valid" and layer.data_format == "channels_last"
        return not is_usual or tuple(layer.pool_size) != tuple(layer.strides)
    kerass = [kind.__name__ for kind in type(layer).__mro__ if kind.__module__.startswith("keras.")]
    return any("Conv" in kind for kind in kerass)


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: str = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Does what `tf.nn.convolution` does, as a product.

    Args:
        input: `(batch, *sides, channels)`.
        filters: `(*sides, channels, features)`.
        strides: Per side, or one for all.
        padding: "VALID" or "SAME".
        data_format: Only the last letter matters: "C" where the channels stand last.
        dilations: Per side, or one for all.
        name: Ignored.

    Returns:
        `(batch, *sides, features)`.
    """
    inputs, filters = tf.convert_to_tensor(input), tf.convert_to_tensor(filters)
    dimensions = (filters.shape.rank or 2) - 2
    steps, gaps = _each(strides, dimensions), _each(dilations, dimensions)

    def theirs() -> Any:
        return _convolution(inputs, filters, strides, padding, data_format, dilations, name)

    is_usual = padding in ("VALID", "SAME") and _channels_stand_last(data_format)
    if not is_usual or steps is None or gaps is None or inputs.shape.rank != dimensions + 2:
        return theirs()
    *window, channels, features = filters.shape
    if inputs.shape[-1] != channels or None in (*inputs.shape[1:], *filters.shape):
        return theirs()
    reach = [(width - 1) * gap + 1 for width, gap in zip(window, gaps, strict=True)]
    whole = _padded(inputs, reach, steps) if padding == "SAME" else inputs
    sides = whole.shape[1:-1]
    out = [(s - r) // step + 1 for s, r, step in zip(sides, reach, steps, strict=True)]
    cells = math.prod(window)
    size = (inputs.shape[0] or 1) * math.prod(out) * cells * channels
    if min(out) < 1 or cells > _MOST_CELLS or size > _MOST_PATCHES:
        return theirs()
    patches = tf.concat(
        [
            whole[(slice(None), *map(_every, corner, gaps, out, steps))]
            for corner in itertools.product(*map(range, window))
        ],
        axis=-1,
    )
    product = tf.matmul(
        tf.reshape(patches, (-1, cells * channels)),
        tf.reshape(filters, (-1, features)),
    )
    return tf.reshape(product, (-1, *out, features))


def max_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Does what `tf.nn.max_pool` does, where windows neither overlap nor stick out.

    Args:
        input: `(batch, *sides, channels)`.
        ksize: The window, per side or one number for all.
        strides: Likewise.
        padding: "VALID" or "SAME".
        data_format: Only the last letter matters, "C" where the channels stand last.
        name: Ignored.

    Returns:
        `(batch, *sides, channels)`; of equal inputs the first has the gradient.
    """
    cells = _cells(input, ksize, strides, padding, data_format)
    if cells is None:
        return _max_pool(input, ksize, strides, padding, data_format, name)
    return _first_largest(cells)


def avg_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Does what `tf.nn.avg_pool` does, where windows neither overlap nor stick out.

    See `max_pool` for the arguments.
    """
    cells = _cells(input, ksize, strides, padding, data_format)
    if cells is None or not cells.dtype.is_floating:
        return _avg_pool(input, ksize, strides, padding, data_format, name)
    return tf.reduce_mean(cells, axis=_within(cells))


def _channels_stand_last(data_format: str | None) -> bool:
    return data_format is None or data_format.endswith("C")


def _padded(input: Any, reach: Sequence[int], steps: Sequence[int]) -> Any:
    """Returns the inputs with the zeros around them that "SAME" means."""
    sides = input.shape[1:-1]
    lacking = [
        max(0, (math.ceil(side / step) - 1) * step + width - side)
        for side, step, width in zip(sides, steps, reach, strict=True)
    ]
    around = [(lack // 2, lack - lack // 2) for lack in lacking]
    return tf.pad(input, [(0, 0), *around, (0, 0)])


def _every(first: int, gap: int, count: int, step: int) -> slice:
    return slice(first * gap, first * gap + (count - 1) * step + 1, step)


def _each(numbers: Any, dimensions: int) -> tuple[int, ...] | None:
    """Returns one number a side, however they were passed; `None` for what isn't that."""
    each = (1,) if numbers is None else tuple(np.ravel(numbers).tolist())
    if len(each) == dimensions + 2 and each[0] == each[-1] == 1:
        return each[1:-1]
    if len(each) == 1:
        return each * dimensions
    return each if len(each) == dimensions else None


def _cells(input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None) -> Any:
    """Returns the inputs by window, `(batch, side, width, side, width, ..., channels)`, or `None`.

    Of sides that no whole number of windows fills, the rest is left out, as "VALID" means.
    """
    inputs = tf.convert_to_tensor(input)
    shape, dimensions = inputs.shape, (inputs.shape.rank or 2) - 2
    window = _each(ksize, dimensions)
    if window is None or _each(strides, dimensions) != window:
        return None
    if not dimensions or None in shape[1:] or not _channels_stand_last(data_format):
        return None
    out = [side // width for side, width in zip(shape[1:-1], window, strict=True)]
    whole = [count * width for count, width in zip(out, window, strict=True)]
    if min(out) < 1:
        return None
    if whole != list(shape[1:-1]):
        if padding != "VALID":
            return None
        inputs = inputs[(slice(None), *map(slice, whole))]
    by_window = itertools.chain.from_iterable(zip(out, window, strict=True))
    return tf.reshape(inputs, (-1, *by_window, shape[-1]))


def _within(cells: Any) -> list[int]:
    """Returns the axes within a window."""
    return list(range(2, cells.shape.rank - 1, 2))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _first_largest(cells: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Returns the largest cell of each window; its gradient goes to the first that is as large.

    That of `tf.reduce_max` would divide it among them, by a division for each cell.
    """
    axes = _within(cells)
    largest = tf.reduce_max(cells, axis=axes)
    shape = [cells.shape[axis] if axis in axes else 1 for axis in range(cells.shape.rank)]
    number = tf.reshape(tf.range(math.prod(shape)), shape)

    def gradient(of_largest: Any) -> Any:
        is_largest = cells == _wide(largest, axes)
        first = tf.reduce_min(tf.where(is_largest, number, math.prod(shape)), axis=axes)
        zero = tf.zeros((), of_largest.dtype)
        return tf.where(number == _wide(first, axes), _wide(of_largest, axes), zero)

    return largest, gradient


def _wide(numbers: Any, axes: Sequence[int]) -> Any:
    for axis in axes:
        numbers = tf.expand_dims(numbers, axis)
    return numbers
