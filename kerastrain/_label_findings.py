"""What can be wrong with labels and targets, told from plain arrays; one function a finding."""

import numpy as np

from kerastrain.check_records import Finding, error, warning
from kerastrain.metrics import Head, Loss

_BY_CHANCE = 1e-3
"""What happens by chance more rarely than this didn't happen by chance."""

_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}


def one_class(labels: np.ndarray) -> Finding | None:
    """There is nothing to tell apart."""
    classes = np.unique(labels)
    if len(classes) != 1 or len(labels) < 2:
        return None
    return error(
        "one-class",
        "y",
        f"All {len(labels):,} labels in `y` are {classes[0]:g}, so that there is nothing to tell "
        "apart: look at how `y` was made, and take rows of every class.",
    )


def missing_classes(labels: np.ndarray, classes: int) -> Finding | None:
    """The head has units that never get a label."""
    missing = sorted(set(range(classes)) - set(np.unique(labels).astype(int).tolist()))
    if not missing or len(missing) >= classes - 1:
        return None
    which = f"class {_listed(missing)} doesn't" if len(missing) == 1 else ""
    which = which or f"classes {_listed(missing)} don't"
    return warning(
        "missing-classes",
        "y",
        f"The head has {classes} units, and {which} occur among the {len(labels):,} labels in `y`: "
        "take rows of every class, or a head with a unit for each class that there is, numbered "
        "from 0 (np.unique(y, return_inverse=True)[1]).",
    )


def imbalanced_classes(labels: np.ndarray) -> Finding | None:
    """Guessing the most frequent class looks like learning."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.max() < 10 * counts.min():
        return None
    most, least = int(counts.argmax()), int(counts.argmin())
    weights = {int(c): float(f"{len(labels) / len(classes) / n:.2g}") for c, n in _pairs(labels)}
    shown = f"{weights}" if len(weights) <= 5 else "{class: weight, ...}"
    return warning(
        "imbalanced-classes",
        "y",
        f"Class {classes[most]:g} has {counts[most]:,} rows and class {classes[least]:g} "
        f"{counts[least]:,}; guessing {classes[most]:g} every time has an accuracy of "
        f"{counts[most] / len(labels):.2f}: watch AUC beside accuracy, or pass "
        f"fit(class_weight={shown}).",
    )


def exclusive_classes(y: np.ndarray, head: Head | None, loss: Loss | None) -> Finding | None:
    """Sigmoid units answer several questions; one label a row answers one."""
    is_multilabel = loss is not None and loss.name == "binary_crossentropy"
    if not is_multilabel or head is None or head.units < 3 or y.shape != (len(y), head.units):
        return None
    if len(y) < 10 or not ((y == 0) | (y == 1)).all() or not (y.sum(axis=1) == 1).all():
        return None
    return warning(
        "exclusive-classes",
        "y",
        f"Each of the {len(y):,} rows of `y` has exactly one 1 in {head.units} columns, so that "
        "the classes exclude each other, and sigmoid units don't know that: write "
        f'Dense({head.units}, activation="softmax") and compile with categorical_crossentropy.',
    )


def in_order(labels: np.ndarray) -> Finding | None:
    """The last rows lack a class, as no shuffled rows would."""
    tail = labels[len(labels) - len(labels) // 5 :]
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or not len(tail):
        return None
    lacking = ~np.isin(classes, tail) & (0.8**counts * len(classes) < _BY_CHANCE)
    if not lacking.any():
        return None
    has = [f"{c:g}" for c in np.unique(tail)]
    only = f"class {has[0]} only" if len(has) == 1 else f"{len(has)} of {len(classes)} classes only"
    return warning(
        "sorted-labels",
        "y",
        f"`y` is sorted, or nearly: its last fifth, {len(tail):,} rows, holds {only}, and so would "
        "a validation part taken from the end: shuffle x and y together first, or leave "
        "fit(validation_split=..., shuffle=True) to shuffle them.",
    )


def targets_in_order(y: np.ndarray) -> Finding | None:
    """Targets that only rise or only fall."""
    steps = np.diff(y.reshape(-1).astype(float)) if y.size == len(y) else np.zeros(0)
    if len(steps) < 19 or not steps.any() or not ((steps >= 0).all() or (steps <= 0).all()):
        return None
    return warning(
        "sorted-targets",
        "y",
        f"`y` is sorted, from {y.flat[0]:g} to {y.flat[-1]:g}, so that a validation part taken "
        "from the end would have other targets than the rest: shuffle x and y together first, or "
        "leave fit(validation_split=..., shuffle=True) to shuffle them.",
    )


def one_target(y: np.ndarray) -> Finding | None:
    """There is nothing to predict."""
    if len(y) < 2 or not (y == y[:1]).all():
        return None
    return error(
        "one-target",
        "y",
        f"All {len(y):,} rows of `y` are {y.flat[0]:g}, so that there is nothing to predict: look "
        "at how `y` was made.",
    )


def large_targets(y: np.ndarray) -> Finding | None:
    """A model that gives numbers near 0 has far to go."""
    largest = float(np.abs(y).max(initial=0))
    typical = float(np.sqrt(np.mean(np.square(y, dtype=float)))) if y.size else 0.0
    if typical < 1000:
        return None
    unit = f"{10 ** int(np.log10(typical)):_}"
    return warning(
        "large-targets",
        "y",
        f"`y` is of the size of {typical:,.0f} (at most {largest:,.0f}), where a new model gives "
        f"numbers near 0 and learns in steps of its rate: train on y / {unit}, and multiply the "
        "predictions by it.",
    )


def targets_out_of_reach(y: np.ndarray, head: Head | None) -> Finding | None:
    """The head's activation can't give such numbers."""
    low, high = _RANGES.get("" if head is None else head.activation, (-np.inf, np.inf))
    outside = int(((y < low) | (y > high)).sum())
    if head is None or not outside:
        return None
    reach = f"numbers from {low:g} to {high:g}" if high < np.inf else "no numbers below 0"
    return error(
        "targets-out-of-reach",
        "y",
        f"{outside:,} of {y.size:,} targets in `y` lie where {head.activation} can't reach, which "
        f"gives {reach}: write Dense({head.units}) without an activation.",
    )


def batches_of_one_class(batches: list[np.ndarray]) -> Finding | None:
    """A stream that brings one class after the other."""
    alone = [labels for labels in batches if len(labels) > 7 and len(np.unique(labels)) == 1]
    if len(batches) < 2 or len(alone) < len(batches):
        return None
    return warning(
        "batches-of-one-class",
        "x",
        f"Each of the first {len(batches)} batches holds a single class, so that every step "
        "unlearns the one before: shuffle the rows before they are batched "
        "(dataset.unbatch().shuffle(10_000).batch(...)).",
    )


def _pairs(labels: np.ndarray) -> list[tuple[float, int]]:
    classes, counts = np.unique(labels, return_counts=True)
    return list(zip(classes.tolist(), counts.tolist(), strict=True))


def _listed(numbers: list[int]) -> str:
    shown = [str(number) for number in numbers[:10]]
    if len(numbers) > 10:
        return f"{', '.join(shown)} and {len(numbers) - 10} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
