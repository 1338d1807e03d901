"""Labels of any kind as what a model's loss wants, and what a model says as labels again."""

import dataclasses
from typing import Any

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from kerastrain._checks import invalid, real_number, show
from kerastrain.tasks import compiled_loss, head_of


@dataclasses.dataclass(frozen=True)
class Labels:
    """The classes that a classifier tells apart.

    Attributes:
        classes: Every class once, sorted, of the user's own kind; for labels in columns, one of 0
            and 1 a class, the columns' numbers.
        in_columns: Whether the labels are such columns, of which several may be 1 in a row.
    """

    classes: Any
    in_columns: bool = False

    @classmethod
    def of(cls, y: np.ndarray, *, function: str) -> "Labels":
        """Finds the classes in labels.

        Raises:
            ValueError: If the labels are no classes, or all of one.
        """
        check_classification_targets(y)
        if y.ndim == 2:
            if type_of_target(y) != "multilabel-indicator":
                must = "be one label a row, or a column of 0 and 1 for each class"
                raise invalid(function, "y", must, f"y={show(y)}")
            return cls(np.arange(y.shape[1]), in_columns=True)
        return cls.listed(y, function=function, argument="y")

    @classmethod
    def listed(cls, classes: Any, *, function: str, argument: str) -> "Labels":
        """Makes labels of a list of classes, or of rows in which all of them occur.

        Raises:
            ValueError: If there is but one.
        """
        found = np.unique(np.asarray(classes))
        if len(found) < 2:
            received = f"{len(found)} class" if len(found) else "no class"
            raise invalid(function, argument, "hold at least two classes", received)
        return cls(found)

    def numbered(self, y: np.ndarray, *, function: str, argument: str) -> np.ndarray:
        """Returns the number of each row's class, from 0 on; columns stay as they are."""
        if self.in_columns != (y.ndim == 2) or y.shape[1:] not in ((), (len(self.classes),)):
            must = f"have labels of shape (n, {len(self.classes)})" if self.in_columns else ""
            must = must or "hold one label a row, as those that it was fitted on"
            raise invalid(function, argument, must, f"{argument}={show(y)}")
        if self.in_columns:
            return np.asarray(y, dtype=keras.config.floatx())
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            known = show(self.classes.tolist())
            must = f"hold classes that it was fitted on, {known}"
            raise invalid(function, argument, must, f"a label {show(unknown.tolist()[0])}")
        return np.asarray(np.searchsorted(self.classes, y))

    def for_loss(self, numbered: np.ndarray, model: keras.Model, units: int) -> np.ndarray:
        """Returns what a model's loss takes for classes by their numbers.

        One unit and a loss whose name begins with `sparse_` take numbers, any other loss of several
        units takes columns.

        Args:
            numbered: What `numbered` returns.
            model: The model, compiled or not.
            units: How many numbers it gives for a row.
        """
        loss = compiled_loss(model)
        # Where nobody has compiled, `compile_for_task` will take the loss that the labels want.
        takes_numbers = loss is None or loss.name.startswith("sparse_") or units == 1
        if self.in_columns:
            is_one_of_two = units == 1 and len(self.classes) == 2
            is_sparse = loss is not None and loss.name.startswith("sparse_")
            is_number = is_one_of_two or is_sparse
            return np.asarray(numbered.argmax(axis=1) if is_number else numbered)
        if takes_numbers or units < len(self.classes):
            return numbered
        return np.asarray(np.eye(units)[numbered], dtype=keras.config.floatx())

    def weights(
        self, class_weight: Any, y: np.ndarray, sample_weight: Any, *, function: str
    ) -> Any:
        """Returns the weight of each row, its own times that of its class.

        Args:
            class_weight: From class to weight, "balanced", or `None`.
            y: The labels, whose counts "balanced" balances.
            sample_weight: The rows' own weights, or `None`.
            function: The public function that was called.
        """
        if class_weight is None:
            return sample_weight
        of_class = self._of_classes(class_weight, y, function=function)
        numbered = self.numbered(y, function=function, argument="y")
        if self.in_columns:
            if not np.array_equal(numbered.sum(axis=1), np.ones(len(y))):
                must = "be left out where a row may be of several classes, or of none"
                raise invalid(function, "class_weight", must, f"class_weight={show(class_weight)}")
            numbered = numbered.argmax(axis=1)
        weights = np.array([of_class.get(number, 1.0) for number in range(len(self.classes))])
        rows = weights[numbered].astype(keras.config.floatx())
        return rows if sample_weight is None else rows * np.asarray(sample_weight)

    def _of_classes(self, class_weight: Any, y: np.ndarray, *, function: str) -> dict[int, float]:
        """Returns weights by the classes' numbers, of weights by the classes themselves."""
        if isinstance(class_weight, str) and class_weight == "balanced" and not self.in_columns:
            present = np.unique(y)
            values = compute_class_weight("balanced", classes=present, y=y)
            class_weight = dict(zip(present.tolist(), values.tolist(), strict=True))
        received = f"class_weight={show(class_weight)}"
        if not isinstance(class_weight, dict):
            must = "be a dict from class to weight, or 'balanced' for one label a row"
            raise invalid(function, "class_weight", must, received, kind=TypeError)
        numbers = {label: number for number, label in enumerate(self.classes.tolist())}
        for label, weight in class_weight.items():
            if label not in numbers:
                must = f"be by classes that there are, {show(self.classes.tolist())}"
                raise invalid(function, "class_weight", must, received)
            real_number(function, f"class_weight[{label!r}]", weight, least=0)
        return {numbers[label]: float(weight) for label, weight in class_weight.items()}

    def probabilities(self, outputs: np.ndarray, model: keras.Model) -> np.ndarray:
        """Returns a column a class of what a model gives, logits or not, `(n, classes)`."""
        loss = compiled_loss(model)
        if loss is not None and loss.from_logits:
            exclude = outputs.shape[1] > 1 and not loss.name.startswith("binary_")
            activation = keras.ops.softmax if exclude else keras.ops.sigmoid
            outputs = keras.ops.convert_to_numpy(activation(outputs))
        if outputs.shape[1] == 1 and len(self.classes) == 2:
            return np.hstack([1 - outputs, outputs])
        outputs = outputs[:, : len(self.classes)]  # Others are for classes that no row is of.
        if self.in_columns and is_of_several(model):
            return outputs
        return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))

    def named(self, probabilities: np.ndarray, model: keras.Model) -> np.ndarray:
        """Returns the labels that probabilities speak for, in the form of those fitted on."""
        likeliest = probabilities.argmax(axis=1)
        if not self.in_columns:
            return np.asarray(self.classes[likeliest])
        if is_of_several(model):
            return np.asarray(probabilities > 0.5, dtype=int)
        return np.asarray(np.eye(len(self.classes), dtype=int)[likeliest])


def is_of_several(model: keras.Model) -> bool:
    """Tells whether a model says yes or no to each of several classes on its own."""
    head, loss = head_of(model), compiled_loss(model)
    has_sigmoids = head is not None and head.units > 1 and head.activation == "sigmoid"
    return has_sigmoids or (
        loss is not None and loss.name.startswith("binary_") and _units(head) > 1
    )


def _units(head: Any) -> int:
    return 1 if head is None else int(head.units)
