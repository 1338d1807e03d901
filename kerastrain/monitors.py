"""The names of metrics: what a monitor means, and whether more of it is better."""

from collections.abc import Container, Mapping
from typing import Any

from kerastrain._checks import invalid, one_of

MODES = ("auto", "min", "max")
"""What `mode` may be: whether lower or higher is better."""

_HIGHER_IS_BETTER = frozenset(
    {
        *("acc", "accuracy", "auc", "correlation", "f1", "fbeta", "io", "iou", "precision"),
        *("r2", "recall", "sensitivity", "similarity", "specificity"),
    }
)
_LOWER_IS_BETTER = frozenset(
    {
        *("bce", "ce", "crossentropy", "divergence", "error", "hinge", "huber", "logcosh"),
        *("loss", "mae", "mape", "mse", "msle", "poisson", "rmse"),
    }
)


_NEW_NAMES = {"acc": "accuracy", "val_acc": "val_accuracy"}


def new_name(column: str, columns: Container[str] = ()) -> str:
    """Returns today's name of a column: "acc" is "accuracy", unless that is another column.

    Example:
        >>> new_name("val_acc"), new_name("acc", ["acc", "accuracy"]), new_name("loss")
        ('val_accuracy', 'acc', 'loss')
    """
    return column if "accuracy" in columns else _NEW_NAMES.get(column, column)


def known_monitor(
    monitor: str, logs: Mapping[str, Any], *, function: str, argument: str = "monitor"
) -> str:
    """Returns the name under which `logs` has the monitor, or raises, listing what there is.

    Example:
        >>> known_monitor("val_acc", {"loss": 0.4, "val_accuracy": 0.9}, function="fit")
        'val_accuracy'
    """
    if monitor in logs:
        return monitor
    alike = [name for name in logs if new_name(name) == new_name(str(monitor))]
    return alike[0] if alike else one_of(function, argument, monitor, sorted(logs))


def direction(metric: str, mode: str = "auto", *, function: str) -> str:
    """Returns "min" or "max", for what is better of a metric, or raises where nothing tells.

    Args:
        metric: The metric, as the history names it.
        mode: "min" and "max" stay; "auto" is told from the name, which is all that there is before
            the model is.
        function: The public function that was given both, named in the error.

    Example:
        >>> direction("val_accuracy", function="fit"), direction("loss", function="fit")
        ('max', 'min')
    """
    one_of(function, "mode", mode, MODES)
    told = told_by_name(metric) if mode == "auto" else mode
    if told == "auto":
        must = f"be 'min' or 'max' for a metric whose name doesn't tell, such as {metric!r}"
        raise invalid(function, "mode", must, f"mode={mode!r}")
    return told


def rises(monitor: str) -> bool:
    """Tells whether higher is better of a metric, where its name says so.

    Example:
        >>> [rises(name) for name in ("val_loss", "val_accuracy", "r2")]
        [False, True, True]
    """
    return told_by_name(monitor) == "max"


def told_by_name(metric: str) -> str:
    """Returns "min", "max" or "auto", by the name's last word that tells.

    "accuracy_loss" ends in what it is: the loss of the output that is named "accuracy".

    Example:
        >>> [told_by_name(name) for name in ("val_mse", "val_accuracy", "score")]
        ['min', 'max', 'auto']
    """
    for word in reversed(str(metric).lower().split("_")):
        if word in _HIGHER_IS_BETTER:
            return "max"
        if word in _LOWER_IS_BETTER:
            return "min"
    return "auto"
