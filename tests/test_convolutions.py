"""Convolutions and pooling as products and maxima give what TensorFlow's own give."""

import functools
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import _convolutions, _kernels
from kerastrain._convolutions import unsuited

LAYERS = keras.layers
GENERATOR = np.random.default_rng(4)


def normal(*shape):
    return tf.constant(GENERATOR.normal(size=shape).astype("float32"))


def in_both_ways(name, *inputs, **settings):
    """Returns outputs and gradients of ours, compiled as they will be, and of TensorFlow's."""
    ours, theirs = getattr(_convolutions, name), getattr(tf.nn, name)
    compiled = tf.function(with_gradients, jit_compile=True, autograph=False)
    return [
        run(functools.partial(function, **settings), *inputs)
        for run, function in ((compiled, ours), (with_gradients, theirs))
    ]


def with_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        for part in inputs:
            tape.watch(part)
        outputs = function(*inputs)
        # Each output weighs another way, or a gradient that is shifted would look the same.
        weights = np.arange(np.prod(outputs.shape), dtype="float32").reshape(outputs.shape)
        total = tf.reduce_sum(outputs * weights)
    return [outputs, *tape.gradient(total, inputs)]


def assert_alike(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize(
    "sides, window, settings",
    [
        ((9,), (3,), {"padding": "VALID"}),
        ((9,), (4,), {"padding": "SAME", "strides": [2]}),
        ((7, 8), (3, 3), {"padding": "SAME"}),
        ((7, 8), (3, 2), {"padding": "VALID", "strides": (1, 2)}),
        ((7, 8), (2, 5), {"padding": "SAME", "strides": 3}),
        ((9, 8), (3, 2), {"padding": "VALID", "dilations": [2, 3]}),
        ((9, 8), (3, 3), {"padding": "SAME", "dilations": 2}),
        ((7, 8), (1, 1), {"padding": "VALID", "strides": 2}),
        ((5, 4, 6), (2, 3, 2), {"padding": "SAME", "data_format": "NDHWC"}),
        ((7, 8), (3, 3), {"padding": "VALID", "strides": [1, 2, 2, 1]}),
        ((7, 8), (3, 3), {"padding": "VALID", "strides": np.int64(2)}),
    ],
)
def test_a_convolution_is_that_of_tensorflow_and_so_are_its_gradients(sides, window, settings):
    inputs, filters = normal(3, *sides, 4), normal(*window, 4, 5)
    assert_alike(*in_both_ways("convolution", inputs, filters, **settings))


@pytest.mark.parametrize("pool", ["max_pool", "avg_pool"])
@pytest.mark.parametrize(
    "sides, window, padding",
    [
        ((8,), 2, "VALID"),
        ((7, 9), (2, 3), "VALID"),
        ((6, 9), (2, 3), "SAME"),
        ((4, 5, 6), [2], "VALID"),
        ((6, 9), [1, 2, 3, 1], "VALID"),
    ],
)
def test_pooling_is_that_of_tensorflow_and_so_are_its_gradients(pool, sides, window, padding):
    inputs = normal(3, *sides, 4)
    settings = {"ksize": window, "strides": window, "padding": padding}
    data_format = ["NWC", "NHWC", "NDHWC"][len(sides) - 1]
    assert_alike(*in_both_ways(pool, inputs, **settings, data_format=data_format))


def test_of_equal_inputs_the_first_has_the_gradient_as_tensorflow_has_it():
    inputs = tf.constant(GENERATOR.integers(0, 2, (5, 6, 6, 3)).astype("float32"))
    assert_alike(*in_both_ways("max_pool", inputs, ksize=2, strides=2, padding="VALID"))


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("convolution", (normal(2, 6, 6, 4), normal(3, 3, 2, 8), 1, "SAME")),  # Groups.
        ("convolution", (normal(2, 4, 6, 6), normal(3, 3, 4, 8), 1, "SAME", "NCHW")),
        ("max_pool", (normal(2, 6, 6, 4), 3, 2, "VALID")),
        ("max_pool", (normal(2, 5, 5, 4), 2, 2, "SAME")),
        ("max_pool", (normal(2, 4, 6, 6), 2, 2, "VALID", "NCHW")),
        ("avg_pool", (normal(2, 6, 6, 4), 2, 1, "SAME")),
        ("avg_pool", (normal(2, 5, 5, 4), 2, 2, "SAME")),
        ("avg_pool", (tf.ones((2, 4, 4, 1), tf.int32), 2, 2, "VALID")),
        ("max_pool", (normal(2, 3, 3, 1), 4, 4, "VALID")),  # Nothing comes out, as below.
        ("convolution", (normal(2, 3, 3, 1), normal(4, 4, 1, 2), 2, "VALID")),
        ("convolution", (normal(1, 40, 40, 1), normal(6, 5, 1, 2), 1, "VALID")),  # Many slices.
        ("convolution", (normal(32, 60, 60, 32), normal(3, 3, 32, 2), 1, "SAME")),  # Much memory.
    ],
)
def test_what_they_cannot_do_is_left_to_tensorflow(name, arguments, monkeypatch):
    def theirs(*given):
        return given

    monkeypatch.setattr(_convolutions, f"_{name}", theirs)
    given = getattr(_convolutions, name)(*arguments)
    assert all(one is other for one, other in zip(given, arguments, strict=False))


def test_filters_may_be_numpys():
    inputs, filters = normal(2, 6, 6, 1), np.ones((3, 3, 1, 2), "float32")
    ours = _convolutions.convolution(inputs.numpy(), filters, padding="SAME")
    assert_alike([ours], [tf.nn.convolution(inputs, filters, padding="SAME")])


def test_another_thread_that_traces_meanwhile_has_tensorflows():
    def trace():
        step = tf.function(lambda: tf.nn.convolution(normal(1, 5, 5, 2), normal(3, 3, 2, 2), 1))
        operations.append({one.type for one in step.get_concrete_function().graph.get_operations()})

    operations = []
    with _kernels.fast_kernels():
        trace()
        thread = threading.Thread(target=trace)
        thread.start()
        thread.join()
    ours, theirs = operations
    assert "Conv2D" in theirs
    assert "Conv2D" not in ours


def test_they_stand_in_for_tensorflows_while_a_step_is_traced_and_on_a_cpu_only(monkeypatch):
    before = tf.nn.convolution, tf.nn.max_pool, tf.nn.avg_pool
    with _kernels.fast_kernels():
        exchanged = tf.nn.convolution, tf.nn.max_pool, tf.nn.avg_pool
        assert all(one is not other for one, other in zip(exchanged, before, strict=True))
    assert (tf.nn.convolution, tf.nn.max_pool, tf.nn.avg_pool) == before
    monkeypatch.setattr(_kernels, "on_cpu", lambda: False)
    with _kernels.fast_kernels():
        assert (tf.nn.convolution, tf.nn.max_pool, tf.nn.avg_pool) == before


@pytest.mark.parametrize(
    "layer, is_slow",
    [
        (LAYERS.Conv1D(2, 3, strides=2), False),
        (LAYERS.Conv2D(2, 3, padding="same", dilation_rate=2), False),
        (LAYERS.Conv3D(2, 3), False),
        (LAYERS.MaxPooling2D(2), False),
        (LAYERS.AveragePooling1D(3), False),
        (LAYERS.GlobalMaxPooling2D(), False),
        (type("OfTheUsers", (LAYERS.Conv2D,), {})(2, 3), False),
        (type("Convert", (LAYERS.Layer,), {"pool_size": 2})(), False),
        (LAYERS.Conv1D(2, 40), True),
        (LAYERS.Dense(2), False),
        (LAYERS.Conv2D(4, 3, groups=2), True),
        (LAYERS.Conv2D(4, 3, data_format="channels_first"), True),
        (LAYERS.MaxPooling2D(2, data_format="channels_first"), True),
        (LAYERS.MaxPooling2D(3, strides=2), True),
        (LAYERS.MaxPooling2D(2, padding="same"), True),
        (LAYERS.DepthwiseConv2D(3), True),
        (LAYERS.SeparableConv1D(2, 3), True),
        (LAYERS.Conv2DTranspose(2, 3), True),
        (LAYERS.ConvLSTM2D(2, 3), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_layers_that_are_left_to_xla_are_known(layer, is_slow):
    assert unsuited(layer) is is_slow
