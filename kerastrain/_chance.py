"""What is to be had without learning anything: the measures of the best constant answer."""

import math
from collections.abc import Mapping

import numpy as np

from kerastrain.metrics import Loss

_MOST_ROWS = 1_000_000
"""Rows that are counted; of more, so many that are evenly spread tell the shares as well."""


PLAIN_LOSSES: Mapping[str, str] = {
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "binary_crossentropy": "crossentropy",
    "categorical_crossentropy": "crossentropy",
    "sparse_categorical_crossentropy": "crossentropy",
}
"""The losses that a constant answer is known for, and the metrics that measure them alone."""


def chance_of(loss: Loss | None, y: object, weights: np.ndarray | None = None) -> dict[str, float]:
    """Returns the loss of the answer that is best for all rows alike, and the accuracy of classes.

    That is the mean for the squared error, the median for the absolute error, and the classes'
    shares for a cross-entropy. The accuracy is that of the most frequent class.

    Weighted rows have another best answer, and a loss that isn't that of validation, which counts
    its rows alike: `val_loss` is what the same answer gives there. How often it is right depends on
    ties, so no accuracy is told.

    Args:
        loss: The loss that the model was compiled with; of several there is no one answer.
        y: The targets of the training rows.
        weights: How much each row counts.

    Returns:
        `loss`, `val_loss` where there are weights, and else `accuracy` for classes; nothing for
        another loss, or targets of another shape.

    Example:
        >>> chance_of(Loss("mean_squared_error"), np.array([0.0, 1.0, 2.0, 5.0]))
        {'loss': 3.5}
        >>> chance_of(Loss("sparse_categorical_crossentropy"), np.array([0, 1, 1, 2]))
        {'loss': 1.0397207708399179, 'accuracy': 0.5}
        >>> chance_of(Loss("mean_absolute_error"), np.array([0.0, 1.0, 8.0]), np.array([3, 0, 0]))
        {'loss': 0.0, 'val_loss': 3.0}
    """
    if loss is None or not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf":
        return {}
    if not 1 <= y.ndim <= 2 or not y.size:
        return {}
    every = -(-len(y) // _MOST_ROWS)
    y = y[::every].reshape(len(y[::every]), -1)
    counts = np.ones(len(y)) if weights is None else weights[::every].astype(float)
    told = _measures(loss.name, y, counts) if counts.sum() > 0 else {}
    left_out = "val_loss" if weights is None else "accuracy"
    told.pop(left_out, None)
    return told if all(map(math.isfinite, told.values())) else {}


def _measures(loss: str, y: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Returns the loss of weighted rows, that of the same rows counted alike, and the accuracy."""
    if loss == "mean_squared_error":
        numbers = y.astype(float)
        return _of_errors((numbers - np.average(numbers, axis=0, weights=weights)) ** 2, weights)
    if loss == "mean_absolute_error":
        numbers = y.astype(float)
        return _of_errors(np.abs(numbers - _medians(numbers, weights)), weights)
    if loss == "binary_crossentropy":
        return _of_columns(y, weights)
    if loss == "categorical_crossentropy" and y.shape[1] > 1:
        labels = y.argmax(axis=1)
        return _of_classes(weights @ y / len(y), y.mean(axis=0, dtype=float), labels)
    if loss == "sparse_categorical_crossentropy" and y.shape[1] == 1:
        labels = y[:, 0].astype(np.int64, copy=False)
        # Names or hashes, for which no head has the units, aren't counted.
        if labels.min() >= 0 and labels.max() < max(1000, 100 * len(labels)):
            masses = np.bincount(labels, weights) / len(labels)
            return _of_classes(masses, np.bincount(labels) / len(labels), labels)
    return {}


def _of_errors(errors: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    each = errors.mean(axis=1)
    return {"loss": float((weights * each).mean()), "val_loss": float(each.mean())}


def _medians(numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the weighted median of each column."""
    if (weights == weights[0]).all():
        return np.asarray(np.median(numbers, axis=0))
    order = np.argsort(numbers, axis=0)
    below = np.cumsum(weights[order], axis=0)
    places = (below < weights.sum() / 2).sum(axis=0)
    return np.asarray(
        [column[rows[at]] for column, rows, at in zip(numbers.T, order.T, places, strict=True)]
    )


def _of_classes(masses: np.ndarray, shares: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns the measures of classes that exclude each other, by their weight and their share."""
    most = float(np.bincount(labels).max()) / len(labels)
    return {**_crossentropies(masses, shares), "accuracy": most}


def _of_columns(y: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Returns the measures of labels from 0 to 1, each column a question of its own."""
    if y.min() < 0 or y.max() > 1:
        return {}
    mass, share = weights @ y / len(y), y.mean(axis=0, dtype=float)
    masses, shares = np.stack([mass, weights.mean() - mass]), np.stack([share, 1 - share])
    chance = _crossentropies(masses, shares)
    if ((y == 0) | (y == 1)).all():  # Keras holds no prediction for right where a label is 0.9.
        chance["accuracy"] = float(shares.max(axis=0).mean())
    return chance


def _crossentropies(masses: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """Returns the cross-entropy of the answer in proportion to the masses, for both of them.

    Classes are rows; each column is a question of its own.
    """
    answer = masses / masses.sum(axis=0)
    logs = np.log(answer, where=answer > 0, out=np.full_like(answer, -math.inf))
    costs = [-np.where(part > 0, part * logs, 0).sum(axis=0).mean() for part in (masses, shares)]
    return {"loss": float(costs[0]), "val_loss": float(costs[1])}
