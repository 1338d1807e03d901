"""What can be wrong with data for a model, said before anything is trained on them."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, show
from kerastrain.data import Rows, rows_of
from kerastrain.tasks import answers_once_a_row, check_agreement, compiled_loss, head_of


class DataChecks:
    """Holds data against a model.

    Args:
        function: The public function that was given both, named in the errors.
        model: A compiled model.
    """

    def __init__(self, function: str, model: keras.Model) -> None:
        self._function, self._model = function, model
        self._invalid = functools.partial(invalid, function)

    def alone(self, y: Any, sample_weight: Any, fraction: float, batch_size: int) -> None:
        """A stream brings its own targets, weights and batches."""
        given = {
            "y": y is not None,
            "sample_weight": sample_weight is not None,
            "validation_split": bool(fraction),
            "batch_size": batch_size != 32,
        }
        for argument, is_given in given.items():
            if is_given:
                must = (
                    "be left out where `x` is a Dataset or PyDataset, which brings its own batches"
                )
                raise self._invalid(argument, must, f"`x` and `{argument}`")

    def rows(self, rows: Rows, names: tuple[str, str] = ("x", "y")) -> None:
        """Raises where a model can't be trained on some rows."""
        self.held_out(rows, names)
        if rows.weight is not None and rows.weight.shape[1:] not in ((), (1,)):
            must = "hold one weight a row"
            raise self._invalid("sample_weight", must, f"sample_weight={show(rows.weight)}")
        learns_from_x_alone = type(self._model).train_step is not keras.Model.train_step
        if rows.y is None and self._model.loss is not None and not learns_from_x_alone:
            raise self._invalid("y", "be given: the model was compiled with a loss", "y=None")
        if rows.y is None and rows.weight is not None:
            raise self._invalid(
                "sample_weight",
                "be left out without `y`",
                "sample_weight and y=None",
            )

    def held_out(self, rows: Rows, names: tuple[str, str]) -> None:
        """Raises where a model can't be evaluated on some rows."""
        self._shape(names[0], rows)
        self._targets(names[1], rows.y)

    def first(self, names: tuple[str, str], batch: Any) -> None:
        """Raises for what a stream's first batch tells; a ragged or sparse one tells nothing."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        parts = keras.tree.flatten((x, y))
        if all(part is None or isinstance(part, np.ndarray | tf.Tensor) for part in parts):
            rows = rows_of(
                as_numpy(x), as_numpy(y), function=self._function, names=(*names, "sample_weight")
            )
            self.rows(rows, names)

    def same_shape(self, name: str, came: Any, other: str, wanted: Any) -> None:
        """Raises where the validation's arrays differ from the training's in number or shape."""
        ours, theirs = keras.tree.flatten(came), keras.tree.flatten(wanted)
        if len(ours) != len(theirs):
            must = f"have as many arrays as `{other}`, {len(theirs)}"
            raise self._invalid(name, must, f"{len(ours)}")
        for array, model_of_it in zip(ours, theirs, strict=True):
            if array is not None and not _fits(array.shape[1:], model_of_it.shape[1:]):
                must = f"have rows of the shape of `{other}`'s, {model_of_it.shape[1:]}"
                raise self._invalid(name, must, f"rows of shape {array.shape[1:]}")

    def _shape(self, argument: str, rows: Rows) -> None:
        """Raises where a model with one input gets another number, shape or kind of arrays."""
        shape = getattr(self._model, "input_shape", None) if self._model.built else None
        if not isinstance(shape, tuple) or not all(
            side is None or isinstance(side, int) for side in shape
        ):
            return
        came = keras.tree.flatten(rows.x)
        if len(came) > 1 or not _fits(came[0].shape[1:], shape[1:]):
            must = f"be an array of shape {('n', *shape[1:])}, as the model takes".replace("'", "")
            shown = " and ".join(map(show, came)) if len(came) < 4 else f"{len(came)} arrays"
            raise self._invalid(argument, must, f"{argument}={shown}")
        is_text, wants_text = came[0].dtype == object, self._model.inputs[0].dtype == "string"
        if is_text != wants_text:
            must = f"hold {'strings' if wants_text else 'numbers'}, as the model takes"
            raise self._invalid(argument, must, f"{argument}={show(rows.x)}")

    def _targets(self, argument: str, y: Any) -> None:
        if isinstance(y, np.ndarray) and answers_once_a_row(self._model):
            check_agreement(
                self._function,
                head_of(self._model),
                compiled_loss(self._model),
                y,
                argument=argument,
            )


def check_stream(function: str, argument: str, stream: Any) -> None:
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


def as_numpy(part: Any) -> Any:
    """Returns a part of a batch as arrays."""
    return None if part is None else keras.tree.map_structure(np.asarray, part)


def _fits(came: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Keras adds or drops a last axis of length 1 by itself."""
    shapes = {came, (*came, 1), came[:-1] if came[-1:] == (1,) else came}
    return any(
        len(shape) == len(wanted)
        and all(side in (None, length) for side, length in zip(wanted, shape, strict=True))
        for shape in shapes
    )
