"""What a model gets wrong, worked out: `confusion`, `top_losses` and `residuals`.

Each goes through the rows once, in batches, and leaves the model as it was. What they find,
`mistake_plots` draws.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, names_in, nearest, show, whole_number
from kerastrain._data_checks import DataChecks, as_numpy, check_stream
from kerastrain._shown_rows import shown_of
from kerastrain.data import Rows, is_stream, rows_of
from kerastrain.metrics import Loss
from kerastrain.mistake_records import Case, Confusion, Residuals, TopLosses
from kerastrain.models import compiled_model_checked
from kerastrain.state import preserved
from kerastrain.tasks import compiled_loss, head_of

_BATCH = 256  # rows; without gradients there is room for more than a training batch
_Names = Sequence[str] | np.ndarray | None


def confusion(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    classes: _Names = None,
    function: str = "confusion",
) -> Confusion:
    """Counts which classes a model takes for which.

    Args:
        model: A compiled model for classes: a softmax head, or one sigmoid unit, or logits of
            either. The predicted class is the likeliest.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The labels, as the model's loss takes them, or the strings that `classes` holds.
        classes: What the classes are called, in the order of their labels.
        function: The public function that was called.

    Raises:
        ValueError: If the model doesn't classify, or the labels aren't for it.

    Example:
        >>> import kerastrain as ktr
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, "sigmoid")])
        >>> model.set_weights([np.array([[1.0]]), np.zeros(1)])
        >>> ktr.compile_for_task(model, "binary").name == model.name
        True
        >>> confusion(model, [[1.0], [2.0], [-1.0]], [1, 0, 0]).counts
        [[1, 1], [0, 1]]
    """
    pairs: list[np.ndarray] = []
    count = 0
    asks = _Asked(function, model, classes, of_classes=True)
    with preserved(model):
        for rows, outputs in asks.answers(x, y):
            scores = asks.scores(rows.y, outputs)
            if scores is None:
                raise asks.no_classes(outputs)
            count = scores.shape[1]
            pairs.append(np.stack([asks.labels(rows.y, scores), scores.argmax(axis=1)]))
    true, predicted = np.concatenate(pairs, axis=1)
    counts = np.zeros((count, count), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    return Confusion(counts.tolist(), asks.names(count))


def residuals(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    outputs: str | _Names = None,
    function: str = "residuals",
) -> Residuals:
    """Returns the true and the predicted numbers of a regression.

    Args:
        model: A compiled model that predicts numbers, one or several.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The true numbers, `(n,)` or `(n, outputs)`.
        outputs: What the outputs are called, one name each.
        function: The public function that was called.

    Raises:
        ValueError: If the model predicts classes.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[2.0]]), np.zeros(1)])
        >>> model.compile("sgd", "mse")
        >>> residuals(model, [[1.0], [2.0]], [2.5, 4.0])
        <Residuals of output: 2 rows>
    """
    asks = _Asked(function, model, None, of_classes=False)
    true, predicted = [], []
    with preserved(model):
        for rows, given in asks.answers(x, y):
            if asks.tells_classes(rows.y, given):
                raise asks.no_numbers(given)
            true.append(_like(function, rows.y, given))
            predicted.append(given)
    columns = [np.concatenate(part).T.tolist() for part in (true, predicted)]
    names = _output_names(function, outputs, len(columns[0]))
    parts = [dict(zip(names, part, strict=True)) for part in columns]
    return Residuals(*parts)


def top_losses(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    count: int = 9,
    classes: _Names = None,
    shown: Any = None,
    columns: _Names = None,
    function: str = "top_losses",
) -> TopLosses:
    """Finds the rows with the highest losses, by the model's own loss.

    Weights and penalties on the weights have no part in it: it is what each row costs by itself.

    Args:
        model: A compiled model.
        x: The inputs, as `fit` takes them; a tf.data.Dataset or a PyDataset brings its own `y`.
        y: The labels or numbers, as the model's loss takes them, or the strings that `classes`
            holds.
        count: How many rows.
        classes: What the classes are called, in the order of their labels.
        shown: What to show of each row in place of `x`, such as the texts that were made numbers,
            or the pictures as they were: an array or list with as many rows.
        columns: What the columns of `x` are called, where it is rows of numbers; by default as the
            data frame calls them.
        function: The public function that was called.

    Raises:
        ValueError: If model, loss and labels don't belong together.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.set_weights([np.array([[2.0]]), np.zeros(1)])
        >>> model.compile("sgd", "mse")
        >>> print(top_losses(model, [[1.0], [2.0]], [2.5, 7.0], count=1))
        1 of 2 rows, whose mean loss is 4.625:
        row 1: loss 9, 7, predicted 4: column 0 2 (+1.0 sd)
    """
    count = whole_number(function, "count", count, least=1)
    asks = _Asked(function, model, classes, of_classes=classes is not None)
    shower = shown_of(function, x, shown, columns)
    kept: list[_Kept] = []
    total, seen = 0.0, 0
    with preserved(model):
        for rows, outputs in asks.answers(x, y):
            losses = asks.losses(rows.y, outputs)
            scores = asks.scores(rows.y, outputs)
            shower.see(rows.x)
            best = np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[:count]
            kept += [
                _Kept(
                    seen + int(row),
                    float(losses[row]),
                    _case(asks, rows.y, outputs, scores, int(row)),
                    shower.at(rows.x, int(row), seen + int(row)),
                )
                for row in best
            ]
            kept = sorted(kept, key=lambda one: -np.nan_to_num(one.loss, nan=np.inf))[:count]
            total, seen = total + float(losses.sum()), seen + len(rows)
    cases = [Case(one.row, one.loss, *one.words, shown=shower.finished(one.shown)) for one in kept]
    return TopLosses(cases, shower.kind, rows=seen, mean_loss=total / seen)


@dataclasses.dataclass(frozen=True)
class _Kept:
    """A row of which the loss is among the highest so far."""

    row: int
    loss: float
    words: tuple[str, str, float | None]
    shown: Any


class _Asked:
    """A model that is asked about rows, and what its answers mean.

    Args:
        function: The public function that was called.
        model: The model.
        classes: What its classes are called.
        of_classes: Whether it is asked for classes, where it may as well give numbers.
    """

    def __init__(self, function: str, model: Any, classes: _Names, *, of_classes: bool) -> None:
        self._function = function
        self._model = compiled_model_checked(function, model)
        self._loss = compiled_loss(self._model) or Loss("")
        self._head = head_of(self._model)
        self._of_each_row = _loss_of_each_row(self._model)
        self._of_classes = of_classes
        self._classes = names_in(classes)
        if classes is not None and self._classes is None:
            must = "be a list of the classes' names"
            received = f"classes={show(classes)}"
            raise invalid(function, "classes", must, received, kind=TypeError)

    def answers(self, x: Any, y: Any) -> Iterator[tuple[Rows, np.ndarray]]:
        """Yields the rows, batch by batch, and what the model gives for each: `(n, units)`.

        The caller keeps the model as it was: a recurrent layer may note what it has seen.
        """
        for rows in self._batches(x, y):
            given = keras.tree.flatten(self._model.predict_on_batch(rows.x))
            shapes = [np.shape(part)[1:] for part in given]
            if len(given) != 1 or len(shapes[0]) != 1 or not isinstance(rows.y, np.ndarray):
                must = "have one output, a row of numbers for each row of `x`"
                if len(given) > 1:
                    must += "; make one of the output that you ask about, and compile it"
                shown = " and ".join(f"rows of shape {shape}" for shape in shapes)
                raise invalid(self._function, "model", must, f"outputs with {shown}")
            outputs = np.asarray(given[0], dtype="float64")
            odd = ~np.isfinite(outputs).all(axis=1)
            if odd.any():
                must = "give finite numbers"
                received = f"NaN or infinity for {odd.sum():,} of {len(odd):,} rows"
                raise invalid(self._function, "model", must, received)
            yield rows, outputs

    def scores(self, y: np.ndarray, outputs: np.ndarray) -> np.ndarray | None:
        """Returns the probability of each class, `(n, classes)`; `None` for other answers."""
        if not self.tells_classes(y, outputs):
            return None
        if outputs.shape[1] > 1:
            return outputs if self._gives_probabilities(outputs) else _softmax(outputs)
        second = 1 / (1 + np.exp(-outputs)) if self._loss.from_logits else outputs
        return np.concatenate([1 - second, second], axis=1)

    def _gives_probabilities(self, outputs: np.ndarray) -> bool:
        if self._head and self._head.activation in ("softmax", "linear"):
            return self._head.activation == "softmax"
        if self._loss.task == "classes":
            return not self._loss.from_logits
        # Neither head nor loss can be read. In half precision the sum is off by some thousandths.
        return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-2))

    def tells_classes(self, y: np.ndarray, outputs: np.ndarray) -> bool:
        """Tells whether the answers are classes that exclude each other.

        That is a matter of head, loss and shapes, never of the values of one batch.
        """
        name, units = self._loss.name, outputs.shape[1]
        activation = self._head.activation if self._head else ""
        if "categorical" in name or activation == "softmax":
            return bool(units > 1)
        if name.startswith("binary_") or activation == "sigmoid":
            return bool(units == 1 and (self._loss.task != "numbers" or self._of_classes))
        # A loss of the user's own, with one label a row for several units.
        return bool(name not in dir(keras.losses) and units > 1 and y.size == len(y))

    def labels(self, y: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Returns the class of each row."""
        is_one_hot = y.ndim == 2 and y.shape[1] > 1
        labels = y.argmax(axis=1) if is_one_hot else np.round(y.reshape(-1)).astype(int)
        count = scores.shape[1]
        if self._loss.task == "numbers" and not np.isin(y, (0, 1)).all():
            must = f"be 0 or 1 for {self._loss.name} to tell classes"
            raise invalid(self._function, "y", must, f"numbers from {y.min():g} to {y.max():g}")
        if labels.min() < 0 or labels.max() >= count:
            must = f"lie in 0..{count - 1}, for the model has {count} classes"
            received = f"labels from {labels.min()} to {labels.max()}"
            raise invalid(self._function, "y", must, received)
        return np.asarray(labels)

    def names(self, count: int) -> list[str]:
        """Returns what so many classes are called."""
        names = [str(number) for number in range(count)] if self._classes is None else self._classes
        if len(names) != count or len(set(names)) != count:
            must = f"hold one name for each of the model's {count} classes, each another"
            raise invalid(self._function, "classes", must, f"classes={show(names)}")
        return names

    def losses(self, y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Returns the loss of each row."""
        is_like = y.size == outputs.size
        targets = y.reshape(outputs.shape) if is_like else y.reshape(-1) if y.size == len(y) else y
        given = np.asarray(self._of_each_row(targets, outputs), dtype="float64")
        if given.shape[:1] != (len(y),):  # A loss of the user's own, which returns a mean.
            ones = range(len(y))
            parts = [self._of_each_row(targets[i : i + 1], outputs[i : i + 1]) for i in ones]
            given = np.array([float(part) for part in parts])
        return np.asarray(given.reshape(len(y), -1).mean(axis=1))

    def no_classes(self, outputs: np.ndarray) -> Exception:
        """Words the error of a model that doesn't classify."""
        if "binary" in self._loss.name or (self._head and self._head.activation == "sigmoid"):
            must = "tell classes that exclude each other, and not give several labels a row"
        else:
            must = "tell classes; for numbers call plot_residuals"
        return invalid(self._function, "model", must, self._described(outputs))

    def no_numbers(self, outputs: np.ndarray) -> Exception:
        """Words the error of a model that doesn't predict numbers."""
        must = "predict numbers; for classes call plot_confusion"
        return invalid(self._function, "model", must, self._described(outputs))

    def _described(self, outputs: np.ndarray) -> str:
        head = self._head or f"{outputs.shape[1]} outputs"
        return f"{head} with {self._loss.name or 'a loss of its own'}"

    def _batches(self, x: Any, y: Any) -> Iterator[Rows]:
        checks = DataChecks(self._function, self._model)
        if not is_stream(x):
            if y is None:
                must = "be given beside arrays, as in `model, *data.test`"
                raise invalid(self._function, "y", must, "y=None")
            rows = rows_of(x, self._numbered(y), function=self._function)
            checks.held_out(rows, ("x", "y"))
            for start in range(0, len(rows), _BATCH):
                yield rows.take(np.arange(start, min(start + _BATCH, len(rows))))
            return
        checks.alone(y, None, 0.0, 32)
        check_stream(self._function, "x", x)
        for inputs, targets in _streamed(x):
            if targets is None:
                must = "bring labels with its inputs"
                raise invalid(self._function, "x", must, f"{show(x)} of inputs alone")
            labels = self._numbered(as_numpy(targets))
            names = ("x", "x", "x")
            rows = rows_of(as_numpy(inputs), labels, function=self._function, names=names)
            checks.held_out(rows, ("x", "x"))
            yield rows

    def _numbered(self, y: Any) -> Any:
        """Returns labels that are strings as the model has them, by their place in `classes`."""
        array = np.zeros(0)
        with contextlib.suppress(TypeError, ValueError):  # `rows_of` says it.
            array = np.asarray(y)
        words = array.reshape(-1).tolist() if array.dtype.kind in "OUST" else []
        if not words or not all(isinstance(word, str | bytes) for word in words):
            return y
        if self._classes is None:
            must = "name the classes in the order of the model's units where the labels are strings"
            raise invalid(self._function, "classes", must, "classes=None")
        strings = [i.decode() if isinstance(i, bytes) else str(i) for i in words]
        places = {name: place for place, name in enumerate(self._classes)}
        strange = next((name for name in strings if name not in places), None)
        if strange is not None:
            must = f"hold every label{nearest(strange, self._classes)}"
            received = f"{strange!r} in `y`, classes={show(self._classes)}"
            raise invalid(self._function, "classes", must, received)
        numbers = np.array([places[name] for name in strings])
        is_one_hot = self._loss.name == "categorical_crossentropy"
        return np.eye(len(places))[numbers] if is_one_hot else numbers


class _OfEachRow(keras.losses.Loss):  # type: ignore[misc]
    """A function as a loss that isn't reduced."""

    def __init__(self, loss: Any) -> None:
        super().__init__(reduction="none")
        self._loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns what the function does."""
        return self._loss(y_true, y_pred)


def _loss_of_each_row(model: keras.Model) -> Any:
    """Returns the model's loss, not reduced; one of several outputs has none, and isn't asked."""
    loss = model.loss
    if isinstance(loss, list | tuple | dict) and len(loss) == 1:
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    if not isinstance(loss, keras.losses.Loss):
        return _OfEachRow(loss)
    of_each = copy.copy(loss)
    of_each.reduction = "none"
    return of_each


def _case(
    asks: _Asked, y: np.ndarray, outputs: np.ndarray, scores: np.ndarray | None, row: int
) -> tuple[str, str, float | None]:
    """Returns the truth of a row and what the model took it for, in words."""
    if scores is None:
        true, taken = _numbers(y[row]), _numbers(outputs[row])
        return true, taken, None
    names = asks.names(scores.shape[1])
    label, taken_for = int(asks.labels(y[row : row + 1], scores)[0]), int(scores[row].argmax())
    return names[label], names[taken_for], float(scores[row, taken_for])


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in np.ravel(values))


def _softmax(outputs: np.ndarray) -> np.ndarray:
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _like(function: str, y: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    if y.size != outputs.size:
        must = f"have one column per output of the model ({outputs.shape[1]})"
        raise invalid(function, "y", must, f"y={show(y)}")
    return y.reshape(outputs.shape).astype("float64")


def _output_names(function: str, outputs: str | _Names, count: int) -> list[str]:
    if outputs is None:
        return ["output"] if count == 1 else [f"output {number}" for number in range(count)]
    names = [outputs] if isinstance(outputs, str) else names_in(outputs)
    if names is None or len(names) != count or len(set(names)) != count:
        must = f"be a list of one name per output ({count}), each another"
        raise invalid(function, "outputs", must, f"outputs={show(outputs)}")
    return names


def _streamed(stream: Any) -> Iterator[tuple[Any, Any]]:
    is_counted = isinstance(stream, keras.utils.PyDataset)
    batches = (stream[i] for i in range(stream.num_batches)) if is_counted else iter(stream)
    for batch in batches:
        parts = tuple(batch) if isinstance(batch, list) else batch
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(parts)
        yield inputs, targets
