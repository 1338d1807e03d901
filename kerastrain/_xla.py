"""The one place that reaches into TensorFlow for what XLA needs.

Nothing here is promised by TensorFlow. Where a future version lacks it, random layers still work,
at the slower default.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_RANDOM = {
    (tf.nn.experimental, "stateless_dropout"): "rng_alg",
    (tf.random, "stateless_normal"): "alg",
    (tf.random, "stateless_truncated_normal"): "alg",
    (tf.random, "stateless_uniform"): "alg",
}
"""The functions that Keras's random layers call, and their argument for the algorithm."""


@contextlib.contextmanager
def fast_random() -> Iterator[None]:
    """Lets what is traced inside draw its random numbers by Philox.

    XLA's own choice makes dropout most of a small model's step: 0.9 s of 1.08 s for the notes'
    first network on a CPU, against 0.17 s for the whole epoch with Philox. Keras passes no
    algorithm on, so the functions that it calls are exchanged, and put back at the end.
    """
    originals = {
        (module, name): getattr(module, name) for module, name in _RANDOM if hasattr(module, name)
    }
    try:
        for (module, name), original in originals.items():
            _exchange(
                module, name, functools.partial(original, **{_RANDOM[module, name]: "philox"})
            )
        yield
    finally:
        for (module, name), original in originals.items():
            _exchange(module, name, original)


def _exchange(module: Any, name: str, function: Any) -> None:
    with contextlib.suppress(AttributeError, TypeError):
        setattr(module, name, function)
