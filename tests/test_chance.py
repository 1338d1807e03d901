"""What the best constant answer measures, against what one finds by trying answers."""

import math

import keras
import numpy as np
import pytest

from kerastrain._chance import _MOST_ROWS, chance_of
from kerastrain.metrics import Loss

GENERATOR = np.random.default_rng(0)
NUMBERS = GENERATOR.exponential(size=(400, 1)).astype("float32")
CLASSES = GENERATOR.choice(3, size=400, p=[0.2, 0.5, 0.3])


def lowest(loss, y, answers):
    """The lowest loss that Keras computes among constant answers."""
    losses = [float(np.mean(loss(y, np.broadcast_to(answer, y.shape)))) for answer in answers]
    return min(losses)


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error"])
def test_no_number_does_better_than_what_is_told_of_an_error(name):
    tried = lowest(keras.losses.get(name), NUMBERS, np.linspace(0, 5, 2001, dtype="float32"))
    assert chance_of(Loss(name), NUMBERS)["loss"] == pytest.approx(tried, rel=1e-4)


def test_columns_of_numbers_have_an_answer_each():
    two = np.hstack([NUMBERS, 10 * NUMBERS])
    assert chance_of(Loss("mean_squared_error"), two) == {
        "loss": pytest.approx((1 + 100) / 2 * float(NUMBERS.var()), rel=1e-5)
    }


def test_no_probability_does_better_than_what_is_told_of_two_classes():
    y = (CLASSES == 1).astype("float32")[:, None]
    tried = lowest(keras.losses.binary_crossentropy, y, np.linspace(0.01, 0.99, 981))
    assert chance_of(Loss("binary_crossentropy"), y) == {
        "loss": pytest.approx(tried, rel=1e-4),
        "accuracy": pytest.approx(max(y.mean(), 1 - y.mean())),
    }


def test_labels_that_do_not_exclude_each_other_are_a_question_each():
    y = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    assert chance_of(Loss("binary_crossentropy"), y) == {
        "loss": pytest.approx(math.log(2) / 2),
        "accuracy": 0.75,
    }


def test_smoothed_labels_have_a_loss_and_no_accuracy():
    chance = chance_of(Loss("binary_crossentropy"), np.array([0.1, 0.9]))
    assert chance == {"loss": pytest.approx(math.log(2))}


@pytest.mark.parametrize(
    "name, y",
    [
        ("sparse_categorical_crossentropy", CLASSES),
        ("sparse_categorical_crossentropy", CLASSES[:, None].astype("float32")),
        ("categorical_crossentropy", np.eye(4)[CLASSES]),
    ],
    ids=["classes", "a column", "one-hot"],
)
def test_classes_have_the_entropy_of_their_shares_and_the_most_frequent_ones_accuracy(name, y):
    shares = np.bincount(CLASSES) / 400
    assert chance_of(Loss(name), y) == {
        "loss": pytest.approx(-(shares * np.log(shares)).sum()),
        "accuracy": shares.max(),
    }


WEIGHTS = GENERATOR.uniform(0, 3, size=400)


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error"])
def test_no_number_does_better_on_weighted_rows(name):
    loss, tried = keras.losses.get(name), np.linspace(0, 5, 1001, dtype="float32")
    each = [np.asarray(loss(NUMBERS, np.full_like(NUMBERS, answer))) for answer in tried]
    best = int(np.argmin([(WEIGHTS * costs).mean() for costs in each]))
    assert chance_of(Loss(name), NUMBERS, WEIGHTS) == {
        "loss": pytest.approx((WEIGHTS * each[best]).mean(), rel=1e-3),
        "val_loss": pytest.approx(each[best].mean(), rel=1e-2),
    }


@pytest.mark.parametrize(
    "name, y",
    [
        ("sparse_categorical_crossentropy", CLASSES),
        ("categorical_crossentropy", np.eye(4)[CLASSES]),
    ],
)
def test_weighted_classes_are_answered_by_their_weights_and_measured_by_their_shares(name, y):
    masses = np.bincount(CLASSES, WEIGHTS) / 400
    shares, logs = np.bincount(CLASSES) / 400, np.log(masses / masses.sum())
    assert chance_of(Loss(name), y, WEIGHTS) == {
        "loss": pytest.approx(-(masses * logs).sum()),
        "val_loss": pytest.approx(-(shares * logs).sum()),
    }


def test_balanced_weights_make_two_classes_a_toss():
    y = np.array([1] + [0] * 19)
    balanced = np.where(y == 1, 10, 10 / 19)
    assert chance_of(Loss("binary_crossentropy"), y, balanced) == {
        "loss": pytest.approx(math.log(2)),
        "val_loss": pytest.approx(math.log(2)),
    }


def test_a_class_of_no_weight_has_no_loss_to_be_told():
    y = np.array([0, 0, 1, 2])
    assert chance_of(Loss("sparse_categorical_crossentropy"), y, np.array([1, 1, 1, 0])) == {}
    assert chance_of(Loss("sparse_categorical_crossentropy"), y, np.zeros(4)) == {}


@pytest.mark.parametrize(
    "name, y",
    [
        ("huber", NUMBERS),
        ("mean_squared_error", np.zeros((4, 2, 2))),
        ("mean_squared_error", [0.0, 1.0]),
        ("mean_squared_error", np.array(["a", "b"])),
        ("mean_squared_error", np.zeros((0,))),
        ("sparse_categorical_crossentropy", np.eye(3)),
        ("sparse_categorical_crossentropy", np.array([3, 10**9])),
        ("sparse_categorical_crossentropy", np.array([-1, 1])),
        ("categorical_crossentropy", CLASSES),
        ("binary_crossentropy", np.array([1, 2])),
    ],
)
def test_nothing_is_said_of_what_has_no_such_answer(name, y):
    assert chance_of(Loss(name), y) == {}
    assert chance_of(None, y) == {}


def test_of_many_rows_some_that_are_evenly_spread_are_counted():
    y = np.tile(np.array([0, 1, 1, 1], "uint8"), _MOST_ROWS)  # Every fourth would be of one class.
    y = np.concatenate([y, y[:1]])
    assert len(y) > 4 * _MOST_ROWS
    chance = chance_of(Loss("sparse_categorical_crossentropy"), y)
    assert chance["accuracy"] == pytest.approx(0.75, abs=1e-3)
