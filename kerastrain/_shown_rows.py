"""What there is to see of a row: a picture, a series, a text, or the columns furthest off."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, names_in, show
from kerastrain.data import is_stream
from kerastrain.mistake_records import Column

_MOST_COLUMNS = 4
_CHANNELS = (1, 3, 4)
_LEAST_SIDE = 8  # pixels of a picture; what is narrower, or far longer than wide, is a series
_MOST_LENGTHS = 4


class Shown:
    """Takes what is to be seen out of rows, batch by batch.

    Args:
        others: What to show in place of the inputs; `None` shows those.
        columns: What their columns are called, if anything.
        function: The public function that was called.

    Attributes:
        kind: One of `mistake_records.KINDS`; known once there was a batch.
    """

    def __init__(self, others: Any, columns: Sequence[str] | None, *, function: str) -> None:
        self._others, self._function = others, function
        self._columns: Sequence[str] | None = columns
        self._count = 0
        self._sum = self._squares = self._origin = np.zeros(0)
        self.kind = ""

    def see(self, x: Any) -> None:
        """Counts a batch in: how far a column is off shows only beside all rows."""
        self.kind = self.kind or _kind(x if self._others is None else self._others)
        if self.kind != "rows" or self._others is not None:
            return
        names, numbers = _columns(x)
        if self._columns is None:
            self._columns = names
        elif len(self._columns) != len(names):
            must = f"hold one name per column of `x` ({len(names)})"
            raise invalid(self._function, "columns", must, f"columns={show(self._columns)}")
        self._add(numbers)

    def at(self, x: Any, row: int, number: int) -> Any:
        """Returns what is to be seen of a row of a batch, which is row `number` of all."""
        x, row = (x, row) if self._others is None else (self._others, number)
        if self.kind == "rows":
            return _columns(keras.tree.map_structure(lambda a: a[row : row + 1], x))[1][0]
        array = next(a for a in keras.tree.flatten(x) if _kind(a) == self.kind)
        if self.kind == "texts":
            text = np.ravel(array[row])[0]
            return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        picture = np.array(array[row])
        return picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture

    def finished(self, taken: Any) -> Any:
        """Returns what `at` took, as it is to be shown now that all rows are known."""
        if self.kind != "rows":
            return taken
        if self._others is not None and not self._count:
            self._columns, numbers = _columns(self._others)
            self._add(numbers)
        mean = self._sum / self._count
        spread = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0))
        off = np.where(spread > 0, (taken - self._origin - mean) / np.where(spread, spread, 1), 0)
        furthest = np.argsort(-np.abs(off), kind="stable")[:_MOST_COLUMNS]
        names = self._columns or ()
        return [Column(str(names[i]), float(taken[i]), float(off[i])) for i in furthest]

    def _add(self, numbers: np.ndarray) -> None:
        if not self._count:  # Sums of squares lose digits far away from 0.
            self._origin = numbers[0].copy()
            self._sum, self._squares = np.zeros((2, numbers.shape[1]))
        numbers = numbers - self._origin
        self._count += len(numbers)
        self._sum, self._squares = (
            self._sum + numbers.sum(axis=0),
            self._squares + np.square(numbers).sum(axis=0),
        )


def shown_of(function: str, x: Any, shown: Any, columns: Any) -> Shown:
    """Returns what takes out of rows what is to be seen; the arguments are `top_losses`'s."""
    if columns is None and hasattr(x, "columns"):
        columns = list(x.columns)
    names = names_in(columns)
    if columns is not None and names is None:
        must = "be a list of the columns' names"
        raise invalid(function, "columns", must, f"columns={show(columns)}", kind=TypeError)
    if shown is None:
        return Shown(None, names, function=function)
    if is_stream(x):
        must = "be left out where `x` is a Dataset or PyDataset, whose rows may come in any order"
        raise invalid(function, "shown", must, f"shown={show(shown)}")
    others = np.asarray(shown)
    others = others.astype(object) if others.dtype.kind in "UST" else others
    rows = len(keras.tree.flatten(x)[0]) if isinstance(x, dict | tuple) else len(x)
    if others.ndim == 0 or len(others) != rows:
        must = f"have as many rows as `x` ({rows:,})"
        raise invalid(function, "shown", must, f"shown={show(shown)}")
    return Shown(others, None, function=function)


def _kind(x: Any) -> str:
    """Tells what there is to see: of several inputs the first that isn't a row of numbers."""
    for array in keras.tree.flatten(x):
        if array.dtype.kind == "O":
            return "texts"
        if array.ndim == 4 and array.shape[-1] in _CHANNELS:
            return "pictures"
        if array.ndim == 3:
            low, high = sorted(array.shape[1:])
            is_wide = low >= _LEAST_SIDE and high <= _MOST_LENGTHS * low
            return "pictures" if is_wide else "series"
    return "rows"


def _columns(x: Any) -> tuple[list[str], np.ndarray]:
    """Returns the names and numbers of all columns, of one input or of several."""
    parts = x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, tuple) else None
    if parts is None:
        flat = np.asarray(x, dtype="float64").reshape(len(x), -1)
        return [f"column {number}" for number in range(flat.shape[1])], flat
    names, arrays = [], []
    for key, part in parts:
        flat = np.asarray(part, dtype="float64").reshape(len(part), -1)
        several = flat.shape[1] > 1
        names += [f"{key}[{i}]" if several else f"{key}" for i in range(flat.shape[1])]
        arrays.append(flat)
    return names, np.concatenate(arrays, axis=1)
