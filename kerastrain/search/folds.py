"""Cross-validation: the same rows, split anew for each fold by scikit-learn."""

import dataclasses
import numbers
from typing import Any

import keras
import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from kerastrain._checks import invalid, show, whole_number
from kerastrain.building import unpacked
from kerastrain.data import Rows, is_stream, rows_of
from kerastrain.tasks import classes_in


@dataclasses.dataclass(frozen=True)
class Fold:
    """What `build_and_fit` trains on and validates on in one fold.

    Attributes:
        train: `(x, y)`.
        val: `(x, y)`, of which `train` has no row; `None` to train on all rows.
        task: As in the data that was split.
        classes: One entry for each class of all the rows, as a fold may lack one; or `None`.
    """

    train: tuple[Any, Any]
    val: tuple[Any, Any] | None
    task: str | None
    classes: range | None


def folds_checked(folds: Any) -> Any:
    """Returns what was passed as `folds` if it can split rows: a number, or a splitter."""
    if folds is None or isinstance(folds, numbers.Integral):
        return None if folds is None else whole_number("search", "folds", folds, least=2)
    received = f"folds={show(folds)}"
    if isinstance(folds, type) or not hasattr(folds, "split") or not hasattr(folds, "get_n_splits"):
        must = "be a whole number, or a splitter such as TimeSeriesSplit(5)"
        raise invalid("search", "folds", must, received, kind=TypeError)
    is_random = getattr(folds, "shuffle", True) and hasattr(folds, "random_state")
    if is_random and not isinstance(folds.random_state, numbers.Integral):
        must = "have a number as its `random_state`, so that all trials have the same folds"
        raise invalid("search", "folds", must, received)
    return folds


def all_rows(data: Any) -> tuple[Rows, str | None, int | None]:
    """Returns all rows but those of the test, the task, and the number of classes."""
    (x, y), validation, task, classes = unpacked(data, function="search")
    if is_stream(x):
        must = "be arrays where there are folds: a stream can't be split"
        raise invalid("search", "data", must, f"data={show(data)}")
    rows = rows_of(x, y, function="search")
    if validation is not None:
        more = rows_of(*validation, function="search")
        rows = Rows(*(_joined(getattr(rows, part), getattr(more, part)) for part in ("x", "y")))
    return rows, task, classes if task else classes_in(rows.y)


def folds_of(data: Any, folds: Any, *, seed: int) -> list[Fold]:
    """Splits training and validation rows together into folds.

    Args:
        data: What `load_dataset` returns, or a pair `(x, y)`.
        folds: How many, of shuffled rows, with the classes in the same proportion in each; or a
            splitter of scikit-learn's, such as `TimeSeriesSplit(5)`.
        seed: Decides the shuffling.
    """
    rows, task, classes = all_rows(data)
    every = None if classes is None else range(classes)
    return [
        Fold(_pair(rows, trained), _pair(rows, held_out), task, every)
        for trained, held_out in _positions(rows, classes, folds, seed)
    ]


def count_of(data: Any, folds: Any) -> int:
    """Returns how many folds there will be, or raises where the rows can't be split so."""
    rows, _, classes = all_rows(data)
    try:
        return len(_positions(rows, classes, folds, seed=0))
    except Exception as error:  # Whatever a splitter may want, such as groups.
        if isinstance(folds, int):
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        must = "split the rows of `data` by themselves, and their labels at most"
        raise invalid("search", "folds", must, f"folds={show(folds)} ({reason})") from error


def _positions(
    rows: Rows, classes: int | None, folds: Any, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns for each fold the positions of the rows to train on, and of those held out."""
    y = rows.y if isinstance(rows.y, np.ndarray) else None
    labels = _labels(y) if classes and y is not None else None
    if isinstance(folds, int):
        if folds > len(rows):
            must = f"be at most the number of rows ({len(rows)})"
            raise invalid("search", "folds", must, f"folds={folds}")
        largest = 0 if labels is None else np.unique(labels, return_counts=True)[1].max()
        kind = StratifiedKFold if largest >= folds else KFold
        folds = kind(folds, shuffle=True, random_state=seed)
    return list(folds.split(np.zeros(len(rows)), y if labels is None else labels))


def _labels(y: np.ndarray) -> np.ndarray:
    """Returns one label a row, of numbers in a row or a column, or of one-hot columns."""
    return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)


def _pair(rows: Rows, positions: np.ndarray) -> tuple[Any, Any]:
    taken = rows.take(positions)
    return taken.x, taken.y


def _joined(some: Any, more: Any) -> Any:
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), some, more)
