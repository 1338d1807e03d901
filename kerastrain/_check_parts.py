"""From what the user holds to the rows that `check` looks at, and what stands in the way.

Where rows can't be trained on since some cells are no numbers, the others are looked at.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerastrain import _feature_findings as features
from kerastrain._checks import invalid, show
from kerastrain._data_checks import as_numpy, check_stream
from kerastrain.check_records import Finding, error
from kerastrain.data import Rows, is_stream, rows_of

_STREAMED_ROWS = 2_000
_STREAMED_BATCHES = 20
_MOST_BYTES = 2**29


@dataclasses.dataclass(frozen=True)
class Part:
    """Training or validation rows, as far as they are looked at.

    Attributes:
        rows: The rows, without NaN and infinity.
        count: The rows there are; `None` where only a stream's end will tell.
        sizes: The rows of each batch that a stream brought; empty for arrays.
        names: What inputs and targets are called.
    """

    rows: Rows
    count: int | None
    sizes: tuple[int, ...] = ()
    names: tuple[str, str] = ("x", "y")

    @property
    def batches_of_targets(self) -> list[np.ndarray]:
        """The targets of each batch of a stream."""
        ends = list(itertools.accumulate(self.sizes))
        return np.split(self.rows.y, ends[:-1]) if self.sizes else []


def training_part(x: Any, y: Any, found: list[Finding]) -> Part | None:
    """Returns the training rows, or `None` where there are none to look at; adds to `found`."""
    return _streamed(x, ("x", "y"), found) if is_stream(x) else _held((x, y), ("x", "y"), found)


def validation_part(data: Any, found: list[Finding]) -> Part | None:
    """Returns the validation rows likewise.

    Raises:
        TypeError: If they are neither a tuple of arrays nor a stream.
    """
    if data is None:
        return None
    if is_stream(data):
        return _streamed(data, ("validation_data", "validation_data"), found)
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        must = "be (x, y), (x, y, sample_weight), a Dataset or a PyDataset"
        received = f"validation_data={show(data)}"
        raise invalid("check", "validation_data", must, received, kind=TypeError)
    return _held((data[0], data[1]), ("validation_data[0]", "validation_data[1]"), found)


def part_of(rows: Rows, names: tuple[str, str] = ("x", "y")) -> Part:
    """Returns rows as a part; of very many, evenly spaced ones."""
    size = sum(array.nbytes for array in keras.tree.flatten(rows.x))
    if size <= _MOST_BYTES:
        return Part(rows, len(rows), names=names)
    kept = max(1, len(rows) * _MOST_BYTES // size)
    positions = np.linspace(0, len(rows) - 1, kept).astype(int)
    return Part(rows.take(positions), len(rows), names=names)


def named_arrays(x: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the arrays of one input or several, each with what the user calls it."""
    several = x.items() if isinstance(x, Mapping) else enumerate(x) if _is_several(x) else None
    if several is None:
        yield name, np.asarray(x)
        return
    for key, array in several:
        yield f"{name}[{key!r}]", np.asarray(array)


def finding_of(exception: Exception, argument: str, code: str = "unfit") -> Finding:
    """Returns what an argument error says, without the function that it names."""
    sentence = str(exception).removeprefix("`check`: ")
    where = sentence.split("`")[1] if sentence.startswith("`") else argument
    return error(code, where, sentence)


def _held(pair: tuple[Any, Any], names: tuple[str, str], found: list[Finding]) -> Part | None:
    """Returns what arrays hold."""
    before = len(found)
    for value, name in zip(pair, names, strict=True):
        found.extend(_of_raw(value, name))
    try:
        with np.errstate(over="ignore"):  # Said by `too_large_for_floats`.
            return part_of(rows_of(*pair, function="check", names=(*names, "")), names)
    except (TypeError, ValueError) as exception:
        if any(finding.grade == "error" for finding in found[before:]):
            return _of_finite_rows(pair, names)
        found.append(finding_of(exception, names[0]))
        return None


def _of_raw(value: Any, name: str) -> Iterator[Finding]:
    """Yields what shows in arrays before they are made Keras's floats."""
    try:
        arrays = list(named_arrays(value, name)) if value is not None else []
    except (TypeError, ValueError):  # `rows_of` says it.
        return
    for called, array in arrays:
        looks = [features.numbers_as_strings(array, called), features.lost_digits(array, called)]
        with np.errstate(over="ignore", invalid="ignore"):
            is_finite = array.dtype.kind != "f" or np.isfinite(array.sum())
        if not is_finite:  # Or the sum is too large, in which case nothing is found.
            looks += [
                features.missing_values(array, called),
                features.infinite_values(array, called),
            ]
        looks.append(features.too_large_for_floats(array, called))
        yield from filter(None, looks)


def _of_finite_rows(pair: tuple[Any, Any], names: tuple[str, str]) -> Part | None:
    """Returns the rows without NaN and infinity, of one input and one target."""
    x, y = (None if value is None else np.asarray(value) for value in pair)
    good = np.ones(len(x) if x is not None and x.ndim else 0, dtype=bool)
    for array in (x, y):
        if array is None or array.dtype.kind not in "biuf" or array.shape[:1] != good.shape:
            return None
        if array.dtype.kind == "f":
            small = np.abs(array) <= np.finfo(np.float32).max
            good &= small.reshape(len(array), -1).all(axis=1)
    if not good.any() or x is None:
        return None
    rows = rows_of(x[good], None if y is None else y[good], function="check")
    return part_of(rows, names)


def _streamed(stream: Any, names: tuple[str, str], found: list[Finding]) -> Part | None:
    """Returns what the first batches of a Dataset or PyDataset hold."""
    try:
        check_stream("check", names[0], stream)
        batches = list(_first_batches(stream))
        x = _joined([batch[0] for batch in batches])
        y = _joined([batch[1] for batch in batches])
    except (TypeError, ValueError) as exception:  # Ragged and sparse ones can't be looked at.
        found.append(finding_of(exception, names[0], "unreadable"))
        return None
    part = _held((x, y), names, found)
    sizes = tuple(len(keras.tree.flatten(batch[0])[0]) for batch in batches)
    if part is None or len(part.rows) != sum(sizes):
        return part
    return dataclasses.replace(part, count=None, sizes=sizes)


def _first_batches(stream: Any) -> Iterator[tuple[Any, Any]]:
    is_counted = isinstance(stream, keras.utils.PyDataset)
    batches = (stream[i] for i in range(stream.num_batches)) if is_counted else iter(stream)
    rows = 0
    for batch in itertools.islice(batches, _STREAMED_BATCHES):
        parts = tuple(batch) if isinstance(batch, list) else batch
        x, y, _ = keras.utils.unpack_x_y_sample_weight(parts)
        yield as_numpy(x), as_numpy(y)
        rows += len(keras.tree.flatten(x)[0])
        if rows >= _STREAMED_ROWS:
            return


def _joined(parts: list[Any]) -> Any:
    if parts[0] is None:
        return None
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


def _is_several(x: Any) -> bool:
    is_list = isinstance(x, list | tuple) and len(x) > 0
    return is_list and all(getattr(item, "ndim", 0) > 0 for item in x)
