"""Whether lower or higher is better of a metric, as its name tells."""

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
