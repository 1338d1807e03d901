"""Random numbers that XLA turns into vector instructions: Threefry, word for word.

What TensorFlow draws is a third of a small network's compiled step, 62 µs for the 3,200 numbers of
its dropout: XLA has Philox's long products one by one. Threefry needs sums, rotations and
"exclusive or" of words of 32 bits only, and takes 14 µs (Salmon, Moraes, Dror and Shaw, "Parallel
random numbers: as easy as 1, 2, 3", 2011; JAX draws by it too). It is the one of 20 rounds.

The functions take the arguments of TensorFlow's, and leave to those what they can't do.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# TensorFlow's own, which are exchanged for ours while a step is traced.
_dropout: Any = getattr(tf.nn.experimental, "stateless_dropout", None)
_uniform, _normal = tf.random.stateless_uniform, tf.random.stateless_normal

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def stateless_dropout(
    x: Any, rate: Any, seed: Any, rng_alg: Any = None, noise_shape: Any = None, name: Any = None
) -> Any:
    """Does what `tf.nn.experimental.stateless_dropout` does.

    Args:
        x: Floating-point numbers.
        rate: The part of them that becomes 0, from 0 to below 1; the others grow by as much.
        seed: Two integers.
        rng_alg: Ignored.
        noise_shape: The shape of the mask, which is repeated along sides of length 1.
        name: Ignored.
    """
    x = tf.convert_to_tensor(x)
    sides = _sides(x.shape if noise_shape is None else noise_shape, x.shape)
    if sides is None or not isinstance(rate, float) or not x.dtype.is_floating:
        return _dropout(x, rate, seed, rng_alg="philox", noise_shape=noise_shape)
    dropped = tf.constant(round(rate * 2**32), tf.uint32)
    return tf.where(_words(sides, seed) >= dropped, x * tf.cast(1 / (1 - rate), x.dtype), 0)


def stateless_uniform(
    shape: Any,
    seed: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = tf.float32,
    name: Any = None,
    alg: Any = None,
) -> Any:
    """Does what `tf.random.stateless_uniform` does.

    Args:
        shape: Of the numbers.
        seed: Two integers.
        minval: The least number.
        maxval: What all stay below; 1 if left out.
        dtype: Of the numbers.
        name: Ignored.
        alg: Ignored.
    """
    sides = _sides(shape)
    if sides is None or tf.as_dtype(dtype) != tf.float32:
        return _uniform(shape, seed, minval, maxval, dtype, alg="philox")
    least = tf.cast(minval, tf.float32)
    width = tf.cast(1 if maxval is None else maxval, tf.float32) - least
    return _halves(sides, seed) * 2.0**-23 * width + least


def stateless_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = tf.float32,
    name: Any = None,
    alg: Any = None,
) -> Any:
    """Does what `tf.random.stateless_normal` does.

    Args:
        shape: Of the numbers.
        seed: Two integers.
        mean: Of the distribution.
        stddev: Likewise.
        dtype: Of the numbers.
        name: Ignored.
        alg: Ignored.
    """
    sides = _sides(shape)
    if sides is None or tf.as_dtype(dtype) != tf.float32:
        return _normal(shape, seed, mean, stddev, dtype, alg="philox")
    # Between -1 and 1, and neither of them.
    between = (_halves(sides, seed) + 0.5) * 2.0**-22 - 1.0
    standard = math.sqrt(2) * tf.math.erfinv(between)
    return standard * tf.cast(stddev, tf.float32) + tf.cast(mean, tf.float32)


def _sides(shape: Any, otherwise: Any = None) -> list[Any] | None:
    """Returns a shape as a list; `None` where only the running graph will know it.

    Args:
        shape: A shape, or a tensor of it.
        otherwise: The shape that holds for the sides that it leaves open.
    """
    known = tf.TensorShape(tf.get_static_value(shape) if tf.is_tensor(shape) else shape)
    if known.rank is None:
        return None
    sides = list(known.as_list())
    if otherwise is not None and otherwise.rank == known.rank:
        both = zip(sides, otherwise.as_list(), strict=True)
        sides = [own if side is None else side for side, own in both]
    return None if None in sides else sides


def _halves(sides: Sequence[int], seed: Any) -> Any:
    """Returns whole numbers from 0 to 2**23 - 1 as floats, which hold them, and a half more."""
    return tf.cast(
        tf.bitwise.right_shift(_words(sides, seed), tf.constant(9, tf.uint32)), tf.float32
    )


def _words(sides: Sequence[int], seed: Any) -> Any:
    """Returns words of 32 random bits in a shape."""
    keys = tf.bitcast(tf.cast(seed, tf.int32), tf.uint32)
    count = math.prod(sides)
    counter = tf.bitcast(tf.range(count, dtype=tf.int32), tf.uint32)
    return tf.reshape(threefry((keys[0], keys[1]), (counter, tf.zeros_like(counter)))[0], sides)


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the two words that Threefry-2x32 makes of two, in 20 rounds.

    Args:
        key: Two words, of any shape that goes with the counter's.
        counter: Likewise.

    Example:
        >>> zero = tf.constant(0, tf.uint32)
        >>> [hex(int(word)) for word in threefry((zero, zero), (zero, zero))]
        ['0x6b200159', '0x99ba4efe']
    """
    xor = tf.bitwise.bitwise_xor
    keys = (*key, xor(xor(key[0], key[1]), tf.constant(_PARITY, tf.uint32)))
    one, other = counter[0] + keys[0], counter[1] + keys[1]
    for number in range(5):
        for by in _ROTATIONS[number % 2]:
            one = one + other
            other = xor(_rotated(other, by), one)
        one = one + keys[(number + 1) % 3]
        other = other + keys[(number + 2) % 3] + tf.constant(number + 1, tf.uint32)
    return one, other


def _rotated(word: Any, by: int) -> Any:
    left = tf.bitwise.left_shift(word, tf.constant(by, tf.uint32))
    return tf.bitwise.bitwise_or(
        left, tf.bitwise.right_shift(word, tf.constant(32 - by, tf.uint32))
    )
