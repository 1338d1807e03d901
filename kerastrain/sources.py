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
from kerastrain.tasks import check_agreement, class_of_each_row, compiled_loss, head_of


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
) -> Source:
    """Checks the data against the model and each other, and makes the batches of the run."""
    x, y, sample_weight = training
    fraction = real_number("fit", "validation_split", validation_split, least=0, below=1)
    if fraction and validation_data is not None:
        must = "be left out beside `validation_data`"
        raise invalid("fit", "validation_split", must, f"validation_split={fraction}")
    if is_stream(x):
        _check_alone(y, sample_weight, fraction, batch_size)
        _check_stream("fit", "x", x)
        validation = _validation(model, validation_data, None)
        first = _first_batch("x", x)
        _check_first(model, ("x", "y"), first)
        source = _of_stream(x, first, class_weight=class_weight, shuffle=shuffle)
        return _with_validation(source, validation, batch_size)
    rows = rows_of(x, y, sample_weight)
    _check_rows(model, rows)
    labels = class_of_each_row(model, rows.y)
    validation = _validation(model, validation_data, rows)
    positions, held_out = np.arange(len(rows)), None
    if fraction:
        positions, held_out = split_positions(
            len(rows), fraction, seed=seed, shuffle=shuffle, labels=labels
        )
        # Rows that are too many to be copied stay where they are.
        validation = rows.take(held_out) if rows.fit_in_memory else rows
    weighted = with_class_weight(rows, class_weight, labels)
    order = EpochOrder(positions, seed=seed, shuffle=shuffle)
    source = _of_rows(weighted, order, batch_size)
    return _with_validation(
        source, validation, batch_size, held_out if validation is rows else None
    )


def _check_alone(y: Any, sample_weight: Any, fraction: float, batch_size: int) -> None:
    """A stream brings its own targets, weights and batches."""
    given = {
        "y": y is not None,
        "sample_weight": sample_weight is not None,
        "validation_split": bool(fraction),
        "batch_size": batch_size != 32,
    }
    for argument, is_given in given.items():
        if is_given:
            must = "be left out where `x` is a Dataset or PyDataset, which brings its own batches"
            raise invalid("fit", argument, must, f"`x` and `{argument}`")


def _validation(model: keras.Model, validation_data: Any, training: Rows | None) -> Any:
    """Returns the validation's rows, or its stream, or `None`."""
    if validation_data is None:
        return None
    if is_stream(validation_data):
        _check_stream("fit", "validation_data", validation_data)
        first = _first_batch("validation_data", validation_data)
        _check_first(model, ("validation_data", "validation_data"), first)
        return validation_data
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        must = "be (x, y), (x, y, sample_weight), a Dataset or a PyDataset"
        received = f"validation_data={show(validation_data)}"
        raise invalid("fit", "validation_data", must, received, kind=TypeError)
    names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
    x, y, weight = (*validation_data, None)[:3]
    rows = rows_of(x, y, weight, names=names)
    _check_shape(model, names[0], rows)
    _check_targets(model, names[1], rows.y)
    if training is not None:
        _check_same_shape(names[0], rows.x, "x", training.x)
        _check_same_shape(names[1], rows.y, "y", training.y)
    return rows


def _check_first(model: keras.Model, names: tuple[str, str], batch: Any) -> None:
    """Raises for what a stream's first batch already tells; ragged and sparse ones tell nothing."""
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    parts = keras.tree.flatten((x, y))
    if all(part is None or isinstance(part, np.ndarray | tf.Tensor) for part in parts):
        rows = rows_of(_as_numpy(x), _as_numpy(y), names=(*names, "sample_weight"))
        _check_rows(model, rows, names)


def _check_rows(model: keras.Model, rows: Rows, names: tuple[str, str] = ("x", "y")) -> None:
    _check_shape(model, names[0], rows)
    if rows.weight is not None and rows.weight.shape[1:] not in ((), (1,)):
        must = "hold one weight a row"
        raise invalid("fit", "sample_weight", must, f"sample_weight={show(rows.weight)}")
    learns_from_x_alone = type(model).train_step is not keras.Model.train_step
    if rows.y is None and model.loss is not None and not learns_from_x_alone:
        raise invalid("fit", "y", "be given: the model was compiled with a loss", "y=None")
    if rows.y is None and rows.weight is not None:
        raise invalid("fit", "sample_weight", "be left out without `y`", "sample_weight and y=None")
    _check_targets(model, names[1], rows.y)


def _check_shape(model: keras.Model, argument: str, rows: Rows) -> None:
    """Raises where a model with one input gets another number, shape or kind of arrays."""
    shape = getattr(model, "input_shape", None) if model.built else None
    if not isinstance(shape, tuple) or not all(
        side is None or isinstance(side, int) for side in shape
    ):
        return
    came = keras.tree.flatten(rows.x)
    if len(came) > 1 or not _fits(came[0].shape[1:], shape[1:]):
        must = f"be an array of shape {('n', *shape[1:])}, as the model takes".replace("'", "")
        shown = " and ".join(map(show, came)) if len(came) < 4 else f"{len(came)} arrays"
        raise invalid("fit", argument, must, f"{argument}={shown}")
    is_text, wants_text = came[0].dtype == object, model.inputs[0].dtype == "string"
    if is_text != wants_text:
        must = f"hold {'strings' if wants_text else 'numbers'}, as the model takes"
        raise invalid("fit", argument, must, f"{argument}={show(rows.x)}")


def _fits(came: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Keras adds or drops a last axis of length 1 by itself."""
    shapes = {came, (*came, 1), came[:-1] if came[-1:] == (1,) else came}
    return any(
        len(shape) == len(wanted)
        and all(side in (None, length) for side, length in zip(wanted, shape, strict=True))
        for shape in shapes
    )


def _check_targets(model: keras.Model, argument: str, y: Any) -> None:
    if isinstance(y, np.ndarray):
        check_agreement("fit", head_of(model), compiled_loss(model), y, argument=argument)


def _check_same_shape(name: str, came: Any, other: str, wanted: Any) -> None:
    ours, theirs = keras.tree.flatten(came), keras.tree.flatten(wanted)
    if len(ours) != len(theirs):
        must = f"have as many arrays as `{other}`, {len(theirs)}"
        raise invalid("fit", name, must, f"{len(ours)}")
    for array, model_of_it in zip(ours, theirs, strict=True):
        if array is not None and not _fits(array.shape[1:], model_of_it.shape[1:]):
            must = f"have rows of the shape of `{other}`'s, {model_of_it.shape[1:]}"
            raise invalid("fit", name, must, f"rows of shape {array.shape[1:]}")


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
    _check_stream("build_and_fit", "data", stream)
    x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch("data", stream))
    return Rows(_as_numpy(x), _as_numpy(y))


def _first_batch(argument: str, stream: Any) -> Any:
    """Returns the first batch, in the form in which Keras hands it to a step."""
    if isinstance(stream, keras.utils.PyDataset):
        first = stream[0]
        return (first,) if isinstance(first, np.ndarray) else _as_tuple(first)
    for first in stream:
        return first
    raise invalid("fit", argument, "hold at least one batch", "an empty Dataset")


def _as_numpy(part: Any) -> Any:
    return None if part is None else keras.tree.map_structure(np.asarray, part)


def _check_stream(function: str, argument: str, stream: Any) -> None:
    """Raises for a stream that would never end, is empty or isn't batched."""
    if isinstance(stream, keras.utils.PyDataset):
        if stream.num_batches == 0:
            raise invalid(function, argument, "hold at least one batch", f"{argument} of length 0")
        if stream.num_batches is None:
            must = "be finite: give the PyDataset a length"
            raise invalid(function, argument, must, f"{argument}={show(stream)}")
        return
    count = int(stream.cardinality())
    if count == tf.data.INFINITE_CARDINALITY:
        must = "be finite: take `.repeat()` out, or put `.take(steps)` after it"
        raise invalid(function, argument, must, "an infinite Dataset")
    if count == 0:
        raise invalid(function, argument, "hold at least one batch", "an empty Dataset")
    shapes = [getattr(spec, "shape", None) for spec in keras.tree.flatten(stream.element_spec)]
    if any(shape is not None and shape.rank == 0 for shape in shapes):
        must = "be batched: put `.batch(batch_size)` at its end"
        raise invalid(function, argument, must, f"elements {stream.element_spec}")


def _as_tuple(batch: Any) -> Any:
    return tuple(batch) if isinstance(batch, list) else batch
