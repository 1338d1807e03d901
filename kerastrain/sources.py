"""The batches of a run: what the user passed to `fit`, held against the model and made a `Source`.

Everything that can be wrong with the data is said here, before training starts.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, real_number, show
from kerastrain._data_checks import DataChecks, as_numpy, check_stream
from kerastrain.batches import as_tensors, batches, batches_read
from kerastrain.calls import Calls
from kerastrain.data import (
    EpochOrder,
    Rows,
    is_stream,
    rows_of,
    split_positions,
    with_class_weight,
)
from kerastrain.tasks import class_of_each_row


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the batches of a run come from.

    Attributes:
        train: What `model.fit` gets as `x`.
        validation: What it gets as `validation_data`, or `None`.
        steps: Batches an epoch; `None` where only the end will tell.
        probe: The first training batch, again and again, for measuring a step on it.
        calls: The same batches, of rows in memory, counted out to calls; `None` for a stream.
        validation_calls: Likewise the validation's; `None` without one too.
        why_stream: Why rows come as a stream all the same; empty for others.
        begin_epoch: Called at the beginning of every epoch with its number.
        class_weight: Left for Keras to apply; arrays have it in their weights already.
        shuffle: Likewise: whether Keras is to shuffle the batches of a PyDataset.
        parts: What was passed, by name: arrays as they are trained on, or streams.
        first: The batch that a stream began with, when it was looked at.
        positions: Which of the rows are trained on; `None` for a stream.
        held_out_count: How many rows are validated on; `None` for a stream, and without any.
        first_held_out: Likewise that of a validation stream.
    """

    train: Any
    validation: Any
    steps: int | None
    probe: tf.data.Dataset
    begin_epoch: Callable[[int], None]
    calls: Calls | None = None
    validation_calls: Calls | None = None
    why_stream: str = ""
    class_weight: Mapping[int, float] | None = None
    shuffle: bool = False
    parts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    first: Any = None
    positions: np.ndarray | None = None
    held_out_count: int | None = None
    first_held_out: Any = None

    @property
    def rows(self) -> Rows | None:
        """The rows as they were passed, before any split; `None` for a stream."""
        if self.first is not None or "y" not in self.parts:
            return None
        return Rows(self.parts["x"], self.parts["y"], self.parts["sample_weight"])

    @property
    def held_out(self) -> Rows | None:
        """The rows that were passed as `validation_data`; `None` for others, and a stream's."""
        x, y = (self.parts.get(f"validation_data[{number}]") for number in (0, 1))
        return None if x is None else Rows(x, y)


def source_for(
    model: keras.Model,
    training: tuple[Any, Any, Any],
    validation_data: Any,
    *,
    validation_split: float,
    batch_size: int,
    shuffle: bool,
    class_weight: Mapping[int, float] | None,
    seed: int,
    function: str = "fit",
) -> Source:
    """Checks the data against the model and each other, and makes the batches of the run.

    The arguments are those of `fit`, but for `function`, the public one that was called.
    """
    checks = DataChecks(function, model)
    x, y, sample_weight = training
    fraction = real_number(function, "validation_split", validation_split, least=0, below=1)
    if fraction and validation_data is not None:
        must = "be left out beside `validation_data`"
        raise invalid(function, "validation_split", must, f"validation_split={fraction}")
    if is_stream(x):
        checks.alone(y, sample_weight, fraction, batch_size)
        check_stream(function, "x", x)
        validation, first_held_out = _validation(checks, validation_data, None)
        first = _first_batch(function, "x", x)
        checks.first(("x", "y"), first)
        source = _of_stream(x, first, class_weight=class_weight, shuffle=shuffle)
        source = _with_validation(source, validation, batch_size)
        parts = {"x": x, **_held_out(validation)}
        return dataclasses.replace(source, parts=parts, first=first, first_held_out=first_held_out)
    rows = rows_of(x, y, sample_weight, function=function)
    checks.rows(rows)
    labels = class_of_each_row(model, rows.y)
    validation, first_held_out = _validation(checks, validation_data, rows)
    held = _held_out(validation)
    positions, held_out = np.arange(len(rows)), None
    if fraction:
        positions, held_out = split_positions(
            len(rows), fraction, seed=seed, shuffle=shuffle, labels=labels
        )
        # Rows that are too many to be copied stay where they are.
        validation = rows.take(held_out) if rows.fit_in_memory else rows
    weighted = with_class_weight(rows, class_weight, labels, function=function)
    order = EpochOrder(positions, seed=seed, shuffle=shuffle)
    source = _of_rows(weighted, order, batch_size)
    source = _with_validation(
        source, validation, batch_size, held_out if validation is rows else None
    )
    parts = {"x": rows.x, "y": rows.y, "sample_weight": rows.weight, **held}
    count = len(validation) if held_out is None and isinstance(validation, Rows) else None
    count = count if held_out is None else len(held_out)
    return dataclasses.replace(
        source,
        parts=parts,
        positions=positions,
        held_out_count=count,
        first_held_out=first_held_out,
    )


def _held_out(data: Any) -> dict[str, Any]:
    """Names the parts of `validation_data`: of rows, as they are evaluated on, or a stream."""
    if not isinstance(data, Rows):
        return {"validation_data": data}
    parts = {"[0]": data.x, "[1]": data.y, "[2]": data.weight}
    return {f"validation_data{number}": part for number, part in parts.items()}


def _validation(checks: DataChecks, validation_data: Any, training: Rows | None) -> tuple[Any, Any]:
    """Returns the validation's rows, or its stream and that one's first batch, or `None` twice."""
    if validation_data is None:
        return None, None
    if is_stream(validation_data):
        check_stream("fit", "validation_data", validation_data)
        first = _first_batch("fit", "validation_data", validation_data)
        checks.first(("validation_data", "validation_data"), first)
        return validation_data, first
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        must = "be (x, y), (x, y, sample_weight), a Dataset or a PyDataset"
        received = f"validation_data={show(validation_data)}"
        raise invalid("fit", "validation_data", must, received, kind=TypeError)
    names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
    x, y, weight = (*validation_data, None)[:3]
    rows = rows_of(x, y, weight, names=names)
    checks.held_out(rows, names[:2])
    if training is not None:
        checks.same_shape(names[0], rows.x, "x", training.x)
        checks.same_shape(names[1], rows.y, "y", training.y)
    return rows, None


def _of_rows(rows: Rows, order: EpochOrder, batch_size: int) -> Source:
    """Makes the batches of rows; the last one may have fewer rows."""
    if not rows.fit_in_memory:
        train = batches_read(rows, order, batch_size=batch_size)
        return Source(
            train=train,
            validation=None,
            steps=math.ceil(len(order) / batch_size),
            probe=train.take(1).cache().repeat(),
            begin_epoch=order.begin_epoch,
            why_stream="since the rows would take more than half of the free memory",
        )
    tensors = as_tensors(rows)
    train = batches(tensors, order, batch_size=batch_size)
    return Source(
        train=train,
        validation=None,
        steps=math.ceil(len(order) / batch_size),
        probe=train.take(1).repeat(),
        begin_epoch=order.begin_epoch,
        calls=Calls(tensors, order, batch_size=batch_size),
    )


def _of_stream(
    stream: Any, first: Any, *, class_weight: Mapping[int, float] | None, shuffle: bool
) -> Source:
    """Makes a source of a tf.data.Dataset or a PyDataset, which keep their own order."""
    if isinstance(stream, keras.utils.PyDataset):
        steps, probe = stream.num_batches, tf.data.Dataset.from_tensors(first).repeat()
    else:
        count = int(stream.cardinality())
        steps = count if count >= 0 else None
        # The stream's own element spec, so that measuring traces what training will run.
        once = tf.data.Dataset.from_generator(lambda: [first], output_signature=stream.element_spec)
        probe = once.cache().repeat()
    return Source(
        train=stream,
        validation=None,
        steps=steps,
        probe=probe,
        begin_epoch=lambda epoch: None,
        class_weight=class_weight,
        shuffle=shuffle and isinstance(stream, keras.utils.PyDataset),
    )


def _with_validation(
    source: Source, validation: Any, batch_size: int, positions: np.ndarray | None = None
) -> Source:
    """Adds the batches of the validation pass: of rows in the order in which they stand."""
    if not isinstance(validation, Rows):
        return dataclasses.replace(source, validation=validation)
    if positions is None:
        positions = np.arange(len(validation))
    order = EpochOrder(positions, shuffle=False)
    if not validation.fit_in_memory:
        stream = batches_read(validation, order, batch_size=batch_size)
        return dataclasses.replace(source, validation=stream)
    tensors = as_tensors(validation)
    return dataclasses.replace(
        source,
        validation=batches(tensors, order, batch_size=batch_size),
        validation_calls=Calls(tensors, order, batch_size=batch_size),
    )


def first_rows(stream: Any) -> Rows:
    """Returns the first batch of a Dataset or PyDataset as rows, to read shapes off."""
    check_stream("build_and_fit", "data", stream)
    x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch("build_and_fit", "data", stream))
    return Rows(as_numpy(x), as_numpy(y))


def _first_batch(function: str, argument: str, stream: Any) -> Any:
    """Returns the first batch, in the form in which Keras hands it to a step."""
    if isinstance(stream, keras.utils.PyDataset):
        first = stream[0]
        return (first,) if isinstance(first, np.ndarray) else _as_tuple(first)
    for first in stream:
        return first
    raise invalid(function, argument, "hold at least one batch", "an empty Dataset")


def _as_tuple(batch: Any) -> Any:
    return tuple(batch) if isinstance(batch, list) else batch
