"""Labels and targets: what is said of each, and what nothing is said of."""

import numpy as np
import pytest
from small_findings import assert_found

from kerastrain import _label_findings as labels
from kerastrain.metrics import Head, Loss

FOUND = {
    "labels of a single class": (
        lambda: labels.one_class(np.ones(50, int)),
        "error",
        "one-class",
        "y",
        (
            "All 50 labels in `y` are 1, so that there is nothing to tell apart: look at how "
            "`y` was made, and take rows of every class."
        ),
    ),
    "a class without rows": (
        lambda: labels.missing_classes(np.arange(50) % 9, 10),
        "warning",
        "missing-classes",
        "y",
        (
            "The head has 10 units, and class 9 doesn't occur among the 50 labels in `y`: take "
            "rows of every class, or a head with a unit for each class that there is, numbered "
            "from 0 (np.unique(y, return_inverse=True)[1])."
        ),
    ),
    "several classes without rows": (
        lambda: labels.missing_classes(np.arange(50) % 8, 10),
        "warning",
        "missing-classes",
        "y",
        (
            "The head has 10 units, and classes 8 and 9 don't occur among the 50 labels in `y`:"
            " take rows of every class, or a head with a unit for each class that there is, "
            "numbered from 0 (np.unique(y, return_inverse=True)[1])."
        ),
    ),
    "a rare class": (
        lambda: labels.imbalanced_classes(np.arange(100) // 95),
        "warning",
        "imbalanced-classes",
        "y",
        (
            "Class 0 has 95 rows and class 1 5; guessing 0 every time has an accuracy of 0.95: "
            "watch AUC beside accuracy, or pass fit(class_weight={0: 0.53, 1: 10.0})."
        ),
    ),
    "a rare class of many": (
        lambda: labels.imbalanced_classes(np.repeat(np.arange(6), [50, 50, 50, 50, 50, 5])),
        "warning",
        "imbalanced-classes",
        "y",
        (
            "Class 0 has 50 rows and class 5 5; guessing 0 every time has an accuracy of 0.20: "
            "watch AUC beside accuracy, or pass fit(class_weight={class: weight, ...})."
        ),
    ),
    "classes that exclude each other under sigmoids": (
        lambda: labels.exclusive_classes(
            np.eye(4)[np.arange(20) % 4], Head(4, "sigmoid"), Loss("binary_crossentropy")
        ),
        "warning",
        "exclusive-classes",
        "y",
        (
            "Each of the 20 rows of `y` has exactly one 1 in 4 columns, so that the classes "
            "exclude each other, and sigmoid units don't know that: write Dense(4, "
            'activation="softmax") and compile with categorical_crossentropy.'
        ),
    ),
    "sorted labels": (
        lambda: labels.in_order(np.repeat(np.arange(3), 50)),
        "warning",
        "sorted-labels",
        "y",
        (
            "`y` is sorted, or nearly: its last fifth, 30 rows, holds class 2 only, and so "
            "would a validation part taken from the end: shuffle x and y together first, or "
            "leave fit(validation_split=..., shuffle=True) to shuffle them."
        ),
    ),
    "labels sorted but for the last two classes": (
        lambda: labels.in_order(np.concatenate([np.zeros(100), np.arange(100) % 2 + 1])),
        "warning",
        "sorted-labels",
        "y",
        (
            "`y` is sorted, or nearly: its last fifth, 40 rows, holds 2 of 3 classes only, and "
            "so would a validation part taken from the end: shuffle x and y together first, or "
            "leave fit(validation_split=..., shuffle=True) to shuffle them."
        ),
    ),
    "sorted targets": (
        lambda: labels.targets_in_order(np.linspace(0, 5, 20)),
        "warning",
        "sorted-targets",
        "y",
        (
            "`y` is sorted, from 0 to 5, so that a validation part taken from the end would "
            "have other targets than the rest: shuffle x and y together first, or leave "
            "fit(validation_split=..., shuffle=True) to shuffle them."
        ),
    ),
    "targets that are all one number": (
        lambda: labels.one_target(np.full((30, 1), 2.5)),
        "error",
        "one-target",
        "y",
        (
            "All 30 rows of `y` are 2.5, so that there is nothing to predict: look at how `y` "
            "was made."
        ),
    ),
    "targets of the size of house prices": (
        lambda: labels.large_targets(np.array([150_000.0, 250_000.0])),
        "warning",
        "large-targets",
        "y",
        (
            "`y` is of the size of 206,155 (at most 250,000), where a new model gives numbers "
            "near 0 and learns in steps of its rate: train on y / 100_000, and multiply the "
            "predictions by it."
        ),
    ),
    "targets below a relu": (
        lambda: labels.targets_out_of_reach(np.array([-1.0, 2.0, -3.0]), Head(1, "relu")),
        "error",
        "targets-out-of-reach",
        "y",
        (
            "2 of 3 targets in `y` lie where relu can't reach, which gives no numbers below 0: "
            "write Dense(1) without an activation."
        ),
    ),
    "targets beyond a sigmoid": (
        lambda: labels.targets_out_of_reach(np.array([0.5, 2.0]), Head(1, "sigmoid")),
        "error",
        "targets-out-of-reach",
        "y",
        (
            "1 of 2 targets in `y` lie where sigmoid can't reach, which gives numbers from 0 to"
            " 1: write Dense(1) without an activation."
        ),
    ),
    "batches that hold one class each": (
        lambda: labels.batches_of_one_class([np.zeros(32), np.ones(32)]),
        "warning",
        "batches-of-one-class",
        "x",
        (
            "Each of the first 2 batches holds a single class, so that every step unlearns the "
            "one before: shuffle the rows before they are batched "
            "(dataset.unbatch().shuffle(10_000).batch(...))."
        ),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_said_what_was_found_and_what_to_do(case):
    assert_found(*FOUND[case])


NOTHING = {
    "labels of two classes": lambda: labels.one_class(np.array([0, 1])),
    "one label": lambda: labels.one_class(np.array([1])),
    "a row of each class": lambda: labels.missing_classes(np.arange(10), 10),
    "nine rows to one": lambda: labels.imbalanced_classes(np.arange(100) // 90 + 0 * 1),
    "labels of several at once": lambda: labels.exclusive_classes(
        np.tile([[1, 1, 0], [0, 0, 1]], (10, 1)), Head(3, "sigmoid"), Loss("binary_crossentropy")
    ),
    "exclusive classes under softmax": lambda: labels.exclusive_classes(
        np.eye(3)[np.arange(30) % 3], Head(3, "softmax"), Loss("categorical_crossentropy")
    ),
    "shuffled labels": lambda: labels.in_order(
        np.random.default_rng(0).permutation(np.repeat(np.arange(3), 50))
    ),
    "a rare class that stands early by chance": lambda: labels.in_order(
        np.array([1, 1, *[0] * 50])
    ),
    "a few sorted labels": lambda: labels.in_order(np.array([0, 0, 0, 1, 1, 1])),
    "targets that go up and down": lambda: labels.targets_in_order(np.sin(np.arange(50))),
    "two different targets": lambda: labels.one_target(np.array([1.0, 2.0])),
    "the targets of diabetes": lambda: labels.large_targets(np.array([25.0, 346.0])),
    "targets above 0 for a relu": lambda: labels.targets_out_of_reach(
        np.array([0.0, 2e6]), Head(1, "relu")
    ),
    "any targets for a linear head": lambda: labels.targets_out_of_reach(
        np.array([-9.0, 9.0]), Head(1, "linear")
    ),
    "one batch": lambda: labels.batches_of_one_class([np.zeros(32)]),
    "batches of which one is mixed": lambda: labels.batches_of_one_class(
        [np.zeros(32), np.arange(32) % 2]
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of(case):
    assert NOTHING[case]() is None
