"""Outputs before training: what is said of each, and what nothing is said of."""

import numpy as np
import pytest
from small_findings import assert_found

from kerastrain import _output_findings as outputs
from kerastrain.metrics import Head, Loss

FOUND = {
    "targets of which no loss can be had": (
        lambda: outputs.no_loss((32, 4, 4), (32, 3), ValueError("Shapes differ.")),
        "error",
        "no-loss",
        "y",
        (
            "The loss of 32 rows can't be had of `y` with rows of shape (4, 4) and outputs of "
            "shape (3,) (ValueError: Shapes differ): bring `y` to the shape of the outputs, or "
            "without the last side for sparse_categorical_crossentropy."
        ),
    ),
    "outputs that are nan": (
        lambda: outputs.odd_outputs(np.array([[1.0, 2.0], [np.nan, 1.0]])),
        "error",
        "odd-outputs",
        "model",
        (
            "`model` gives NaN or infinity for 1 of 2 rows: look for a division by 0, a "
            "logarithm of 0 or an exponential in its layers, and at the scale of `x`."
        ),
    ),
    "dead outputs": (
        lambda: outputs.outputs_alike(np.zeros((30, 1)), True),
        "warning",
        "outputs-alike",
        "model",
        (
            "`model` gives the same output, 0, for all of 30 different rows: a layer within "
            "gives 0 for all of them, as relu does where its weights or its inputs are large "
            "and negative; build it afresh and scale `x`."
        ),
    ),
    "a first loss far above that of a guess of ten classes": (
        lambda: outputs.first_loss(
            95.2, np.zeros(9), Head(10, "softmax"), Loss("sparse_categorical_crossentropy")
        ),
        "warning",
        "first-loss",
        "model",
        (
            "The loss is 95.2 before training, where a new model should have about 2.3 (ln 10):"
            " scale `x` to numbers near 1, and leave kernel_initializer at Keras's own."
        ),
    ),
    "a first loss far above that of a guess of two": (
        lambda: outputs.first_loss(
            8.0, np.zeros(9), Head(1, "sigmoid"), Loss("binary_crossentropy")
        ),
        "warning",
        "first-loss",
        "model",
        (
            "The loss is 8 before training, where a new model should have about 0.693 (ln 2): "
            "scale `x` to numbers near 1, and leave kernel_initializer at Keras's own."
        ),
    ),
    "a first loss far above that of predicting 0": (
        lambda: outputs.first_loss(
            900.0, np.array([2.0, -2.0]), Head(1, "linear"), Loss("mean_squared_error")
        ),
        "warning",
        "first-loss",
        "model",
        (
            "The loss is 900 before training, where a new model should have about 4 (predicting"
            " 0): scale `x` to numbers near 1, and leave kernel_initializer at Keras's own."
        ),
    ),
    "a batch that could not be learnt": (
        lambda: outputs.not_overfitted(32, (300, 900), (2.31, 2.05), "SGD"),
        "warning",
        "not-overfitted",
        "model",
        (
            "`model` couldn't learn one batch of 32 rows by heart: 300 steps of SGD, and from "
            "the start again 900 of Adam at 0.01, brought its loss from 2.31 to 2.05: look "
            "whether x and y belong together row by row, take a larger model, and less dropout "
            "and regularisation until it can."
        ),
    ),
    "a rate at which a batch is not learnt": (
        lambda: outputs.slow_rate(32, (300, 900), (28_700.0, 24_100.0, 1_160.0), "Adam"),
        "warning",
        "slow-rate",
        "model",
        (
            "300 steps of Adam on one batch of 32 rows brought the loss from 2.87e+04 to "
            "2.41e+04, and 900 of Adam at 0.01 to 1.16e+03: take the rate that lr_find(model, "
            "x, y) suggests, and scale large targets."
        ),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_said_what_was_found_and_what_to_do(case):
    assert_found(*FOUND[case])


NOTHING = {
    "finite outputs": lambda: outputs.odd_outputs(np.ones((3, 2))),
    "one row": lambda: outputs.outputs_alike(np.zeros((1, 3)), True),
    "rows that are the same": lambda: outputs.outputs_alike(np.zeros((9, 3)), False),
    "a first loss like that of a new model": lambda: outputs.first_loss(
        3.5, np.zeros(9), Head(10, "softmax"), Loss("sparse_categorical_crossentropy")
    ),
    "the first loss of diabetes": lambda: outputs.first_loss(
        28_700.0, np.array([150.0, 190.0]), Head(1, "linear"), Loss("mean_squared_error")
    ),
    "small targets": lambda: outputs.first_loss(
        1.0, np.array([0.01, -0.01]), Head(1, "linear"), Loss("mean_squared_error")
    ),
    "a loss of the user's": lambda: outputs.first_loss(
        1e9, np.zeros(9), Head(10, "softmax"), Loss("mine")
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of(case):
    assert NOTHING[case]() is None
