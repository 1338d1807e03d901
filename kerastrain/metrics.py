"""Metrics that Keras has no one word for, and how they follow from head and loss."""

import dataclasses
from typing import Any

import keras

from kerastrain._checks import invalid, show


@dataclasses.dataclass(frozen=True)
class Head:
    """A model's last layer: its number of units and its activation's name."""

    units: int
    activation: str

    def __str__(self) -> str:
        return f'Dense({self.units}, activation="{self.activation}")'


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss by its Keras name, such as `mean_squared_error`, and whether it takes logits."""

    name: str
    from_logits: bool = False

    @property
    def task(self) -> str:
        """What it is for: "classes", "numbers", or nothing where its name doesn't tell.

        Example:
            >>> [Loss(name).task for name in ("binary_crossentropy", "huber", "my_loss")]
            ['classes', 'numbers', '']
        """
        if self.name.endswith("crossentropy"):
            return "classes"
        return "numbers" if self.name.startswith(("mean_", "huber", "log_cosh")) else ""


@keras.saving.register_keras_serializable("kerastrain")
class MulticlassAUC(keras.metrics.AUC):  # type: ignore[misc]
    """Area under the ROC curve, averaged over the classes, for integer labels and for logits.

    Keras's own AUC wants one-hot labels and probabilities. Loading a saved model that has this
    metric needs kerastrain imported.
    """

    def __init__(self, num_classes: int, from_logits: bool = False, name: str = "auc") -> None:
        super().__init__(multi_label=True, num_labels=num_classes, name=name)
        self.num_classes = num_classes
        # AUC of several labels would pass logits through a sigmoid; the classes exclude each other.
        self.takes_logits = from_logits

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch: labels `(batch,)`, `(batch, 1)` or one-hot, scores `(batch, classes)`."""
        if tuple(y_true.shape)[1:] != (self.num_classes,):
            y_true = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), self.num_classes)
        scores = keras.ops.softmax(y_pred) if self.takes_logits else y_pred
        super().update_state(y_true, scores, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        return {
            "num_classes": self.num_classes,
            "from_logits": self.takes_logits,
            "name": self.name,
        }


def keras_metric(metric: Any, head: Head | None, loss: Loss) -> Any:
    """Makes what Keras has no one word for; everything else is Keras's to understand."""
    if metric == "r2":
        return keras.metrics.R2Score(name="r2")
    if metric in ("accuracy", "acc") and loss.name == "binary_crossentropy" and loss.from_logits:
        return keras.metrics.BinaryAccuracy(name=metric, threshold=0.0)
    if not isinstance(metric, str) or metric.lower() != "auc":
        return _known(metric)
    if loss.name == "categorical_crossentropy" and not loss.from_logits:
        return keras.metrics.AUC(name="auc", multi_label=True, num_labels=head and head.units)
    if loss.name in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        if head is None:
            must = "not hold 'auc' where the number of classes can't be read off the model"
            raise invalid("compile_for_task", "metrics", must, "metrics=['auc']")
        return MulticlassAUC(head.units, loss.from_logits)
    if loss.name == "binary_crossentropy":
        return keras.metrics.AUC(name="auc", from_logits=loss.from_logits)
    must = "not hold 'auc' for a regression, which has no classes"
    raise invalid("compile_for_task", "metrics", must, "metrics=['auc']")


def _known(metric: Any) -> Any:
    """Returns a metric that Keras understands, or raises; Keras itself would do so late."""
    if metric in ("acc", "accuracy", "ce", "crossentropy"):
        return metric  # Words whose meaning depends on the loss.
    try:
        understood = keras.metrics.get(metric)
    except (TypeError, ValueError):
        understood = None
    if understood is None:
        must = "hold names or objects of keras.metrics, 'auc' or 'r2'"
        raise invalid("compile_for_task", "metrics", must, f"{show(metric)} in metrics")
    return metric
