"""The one place that reaches below the surface of TensorFlow and Keras.

The variables of metrics are made before the first step, which Keras has no public call for. A few
of TensorFlow's functions are exchanged for faster ones: Keras's layers call them by name, so what
is traced meanwhile has the faster ones in its graph. Nothing of this is promised: where a future
version calls something else, a graph has the usual kernels and all goes on, slower.
"""

import contextlib
import functools
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kerastrain import _convolutions, _threefry

_exchanging = threading.RLock()  # Two threads that trace would put back each other's functions.

_RANDOM = {
    (tf.nn.experimental, "stateless_dropout"): _threefry.stateless_dropout,
    (tf.random, "stateless_normal"): _threefry.stateless_normal,
    (tf.random, "stateless_uniform"): _threefry.stateless_uniform,
    (tf.random, "stateless_truncated_normal"): functools.partial(
        tf.random.stateless_truncated_normal, alg="philox"
    ),
}
"""The functions that Keras's random layers call, and what takes their place."""

_CONVOLUTIONS = {
    (tf.nn, "convolution"): _convolutions.convolution,
    (tf.nn, "max_pool"): _convolutions.max_pool,
    (tf.nn, "avg_pool"): _convolutions.avg_pool,
}
"""Likewise its convolutions and pooling, on a CPU."""


def on_cpu() -> bool:
    """Tells whether TensorFlow computes on the CPU, for want of a GPU."""
    return not tf.config.list_physical_devices("GPU")


@contextlib.contextmanager
def fast_kernels() -> Iterator[None]:
    """Lets what is traced inside have what XLA compiles to fast code.

    XLA's own choice of random numbers makes dropout most of a small model's step: 0.9 s of 1.08 s
    for the notes' first network on a CPU, and still a third of it with Philox; so they are those of
    `_threefry`. Convolutions and pooling on a CPU are those of `_convolutions`.
    """
    with contextlib.ExitStack() as stack:
        for (module, name), ours in (_RANDOM | (_CONVOLUTIONS if on_cpu() else {})).items():
            if hasattr(module, name):
                stack.enter_context(_exchanged(module, name, ours))
        yield


@contextlib.contextmanager
def one_replica() -> Iterator[None]:
    """Lets what is traced inside leave out the sum of the gradients over one replica, themselves.

    Keras's optimizers ask for it in every step. TensorFlow registers the gradient of each such sum
    for the rest of the process, and with it the whole graph: 2 MB for each small model that is fit.
    """
    whole = tf.distribute.ReplicaContext.all_reduce

    def all_reduce(self: Any, op: Any, value: Any, *rest: Any, **named: Any) -> Any:
        alone = getattr(self, "num_replicas_in_sync", 0) == 1
        return value if alone else whole(self, op, value, *rest, **named)

    with _exchanged(tf.distribute.ReplicaContext, "all_reduce", all_reduce):
        yield


@contextlib.contextmanager
def _exchanged(module: Any, name: str, replacement: Any) -> Iterator[None]:
    """Exchanges a function for this thread; another one that traces meanwhile has the original."""
    with _exchanging:
        original, ours = getattr(module, name), threading.get_ident()

        @functools.wraps(original)
        def exchanged(*arguments: Any, **named: Any) -> Any:
            function = replacement if threading.get_ident() == ours else original
            return function(*arguments, **named)

        with contextlib.suppress(AttributeError, TypeError):
            setattr(module, name, exchanged)
        try:
            yield
        finally:
            with contextlib.suppress(AttributeError, TypeError):
                setattr(module, name, original)


def forget_kernels() -> None:
    """Lets TensorFlow free what it keeps of functions that are gone: about 1 MB of each fit.

    Keras's `clear_session` does the same, and takes the user's dtype policy and scopes with it.
    """
    try:
        context = importlib.import_module("tensorflow.python.eager.context").context()
        context.clear_kernel_cache()
    except (AttributeError, ImportError):  # Where a future version has it elsewhere.
        return


def build_metrics(model: keras.Model, batch: Any) -> bool:
    """Makes the variables of a model's metrics, which Keras itself makes in the first step.

    Args:
        model: A compiled model.
        batch: One batch, as a step gets it.

    Returns:
        Whether that could be done.
    """
    try:
        model._symbolic_build(data_batch=batch)
    except Exception:  # Whatever is wrong, the first step will say it better.
        return False
    return True
