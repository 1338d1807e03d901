"""What is to be had without learning anything: the measures of the best constant answer."""

import numpy as np

from kerastrain.metrics import Loss

_MOST_ROWS = 1_000_000
"""Rows that are counted; of more, so many that are evenly spread tell the shares as well."""


def chance_of(loss: Loss | None, y: object) -> dict[str, float]:
    """Returns the loss of the answer that is best for all rows alike, and the accuracy of classes.

    That is the mean for the squared error, the median for the absolute error, and the classes'
    shares for a cross-entropy. The accuracy is that of the most frequent class.

    Args:
        loss: The loss that the model was compiled with; of several there is no one answer.
        y: The targets of the training rows.

    Returns:
        `loss`, and `accuracy` for classes; nothing for another loss, or targets of another shape.

    Example:
        >>> chance_of(Loss("mean_squared_error"), np.array([0.0, 1.0, 2.0, 5.0]))
        {'loss': 3.5}
        >>> chance_of(Loss("sparse_categorical_crossentropy"), np.array([0, 1, 1, 2]))
        {'loss': 1.0397207708399179, 'accuracy': 0.5}
    """
    if loss is None or not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf":
        return {}
    if not 1 <= y.ndim <= 2 or not y.size:
        return {}
    y = y[:: -(-len(y) // _MOST_ROWS)]
    y = y.reshape(len(y), -1)
    if loss.name in ("mean_squared_error", "mean_absolute_error"):
        return {"loss": _error(y, is_squared=loss.name == "mean_squared_error")}
    if loss.name == "binary_crossentropy":
        return _of_columns(y)
    if loss.name == "categorical_crossentropy" and y.shape[1] > 1:
        return _of_classes(y.mean(axis=0, dtype=float), y.argmax(axis=1))
    if loss.name == "sparse_categorical_crossentropy" and y.shape[1] == 1:
        labels = y[:, 0].astype(np.int64, copy=False)
        # Names or hashes, for which no head has the units, aren't counted.
        if labels.min() >= 0 and labels.max() < max(1000, 100 * len(labels)):
            return _of_classes(np.bincount(labels) / len(labels), labels)
    return {}


def _error(y: np.ndarray, *, is_squared: bool) -> float:
    numbers = y.astype(float)
    if is_squared:
        return float(numbers.var(axis=0).mean())
    return float(np.abs(numbers - np.median(numbers, axis=0)).mean())


def _of_classes(shares: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns the measures of classes that exclude each other."""
    there = shares[shares > 0]
    most = float(np.bincount(labels).max()) / len(labels)
    return {"loss": float(-(there * np.log(there)).sum()), "accuracy": most}


def _of_columns(y: np.ndarray) -> dict[str, float]:
    """Returns the measures of labels from 0 to 1, each column a question of its own."""
    shares = y.mean(axis=0, dtype=float)
    if y.min() < 0 or y.max() > 1:
        return {}
    both = np.stack([shares, 1 - shares])
    logs = np.log(both, where=both > 0, out=np.zeros_like(both))
    chance = {"loss": float(-(both * logs).sum(axis=0).mean())}
    if ((y == 0) | (y == 1)).all():  # Keras holds no prediction for right where a label is 0.9.
        chance["accuracy"] = float(both.max(axis=0).mean())
    return chance
