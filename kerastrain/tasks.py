"""What a task means: the head, the loss and the metrics that belong together.

Keras trains a mismatched trio without a word, to nonsense. Here the three and the labels are held
against each other before the first step, whether `compile_for_task` or the user compiled.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, real_number, show
from kerastrain.metrics import Head, Loss, keras_metric
from kerastrain.models import model_checked

TASKS = ("multiclass", "binary", "regression")

_LOSS_ALIASES = {
    "bce": "binary_crossentropy",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
_REGRESSION_LOSSES = frozenset(
    {
        "huber",
        "log_cosh",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "mean_squared_logarithmic_error",
    }
)
_LOSSES_OF_TASK = {
    "multiclass": frozenset({"sparse_categorical_crossentropy", "categorical_crossentropy"}),
    "binary": frozenset({"binary_crossentropy"}),
    "regression": _REGRESSION_LOSSES,
}
_CROSSENTROPIES = _LOSSES_OF_TASK["multiclass"] | _LOSSES_OF_TASK["binary"]
_LOSS_OF_LOGITS = {
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
}
_NO_PROBABILITIES = frozenset({"linear", "relu", "tanh"})


def compile_for_task(
    model: keras.Model,
    task: str | None = None,
    *,
    y: Any = None,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float | None = None,
    loss: str | None = None,
    metrics: Sequence[Any] | None = None,
) -> keras.Model:
    """Compiles a model with the loss and the metrics that its task wants.

    | task | head | loss | metrics |
    |---|---|---|---|
    | multiclass | softmax, or linear for logits | cross-entropy, by `y`'s shape | accuracy |
    | binary | one sigmoid unit, or one linear for a logit | binary cross-entropy | accuracy |
    | regression | linear | mse | mae, mse, r2 |

    Args:
        model: The model; its head and `y` are checked against the task.
        task: "multiclass", "binary" or "regression". Left out, it is read off the head and `y`
            where they leave no doubt.
        y: The labels: integers of shape `(n,)`, one-hot of shape `(n, classes)`, or numbers. With
            one-hot labels the loss is `categorical_crossentropy`, otherwise the sparse one.
        optimizer: A name or an object. An object is copied from its config, so that one object
            can compile two models which then share nothing.
        learning_rate: Replaces the optimizer's own rate.
        loss: Another loss of the same task, such as "mae".
        metrics: Replaces the metrics of the table; "auc" and "r2" are known here too.

    Returns:
        The same model, compiled.

    Raises:
        ValueError: If the task can't be told, or head, loss and labels don't belong together.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> compile_for_task(model, y=np.array([0, 2, 1]), learning_rate=0.01).loss
        'sparse_categorical_crossentropy'
    """
    function = "compile_for_task"
    model_checked(function, model)
    if isinstance(metrics, str):
        # A string is a sequence too, of letters.
        must = f"be a list: write metrics=[{metrics!r}]"
        raise invalid(function, "metrics", must, f"metrics={metrics!r}", kind=TypeError)
    labels = None if y is None else np.asarray(y)
    head = head_of(model)
    if task is not None:
        one_of(function, "task", task, TASKS)
    else:
        task = _infer_task(head, labels)
    from_logits = task != "regression" and head is not None and head.activation == "linear"
    name = _loss_name(task, labels, loss)
    check_agreement(function, head, Loss(name, from_logits), labels)
    model.compile(
        optimizer=_optimizer(optimizer, learning_rate),
        loss=_keras_loss(name, from_logits),
        metrics=[
            keras_metric(metric, head, Loss(name, from_logits))
            for metric in (_default_metrics(task) if metrics is None else metrics)
        ],
    )
    return model


def head_of(model: keras.Model) -> Head | None:
    """Returns the last layer's units and activation, or `None` where there is no one such layer.

    Models with several outputs, outputs of more than two dimensions (a class per pixel), or no
    known output shape have no head in this sense, and nothing is checked for them.

    Example:
        >>> print(head_of(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])))
        Dense(3, activation="softmax")
    """
    try:
        shape = model.output_shape
    except (AttributeError, ValueError, RuntimeError):
        return _head_before_build(model)
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[-1], int):
        return None
    activation = _activation(_last_layer(model))
    return None if activation is None else Head(shape[-1], activation)


def answers_once_a_row(model: keras.Model) -> bool:
    """Tells whether a model gives a row one answer, and not one a step of a series or a pixel.

    Example:
        >>> tagger = [keras.Input((20, 4)), keras.layers.Dense(3, "softmax")]
        >>> answers_once_a_row(keras.Sequential(tagger))
        False
    """
    try:
        shape = model.output_shape
    except (AttributeError, ValueError, RuntimeError):
        return True
    is_one = isinstance(shape, tuple) and all(isinstance(n, int | None) for n in shape)
    return not is_one or len(shape) <= 2


def compiled_loss(model: keras.Model) -> Loss | None:
    """Returns the one loss that a model was compiled with, or `None` for several or none."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, list | tuple | dict) and len(loss) == 1:
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    if isinstance(loss, str):
        return Loss(_LOSS_ALIASES.get(_snake(loss), _snake(loss)))
    if isinstance(loss, keras.losses.Loss):
        return Loss(_snake(type(loss).__name__), bool(getattr(loss, "from_logits", False)))
    if callable(loss):
        return Loss(_snake(getattr(loss, "__name__", "")))
    return None


def class_of_each_row(model: keras.Model, y: Any) -> np.ndarray | None:
    """Returns the class label of every row, or `None` where the model doesn't classify.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> class_of_each_row(compile_for_task(model, y=np.eye(3)), np.eye(3))
        array([0, 1, 2])
    """
    loss = compiled_loss(model)
    if loss is None or loss.name not in _CROSSENTROPIES or not isinstance(y, np.ndarray):
        return None
    if not answers_once_a_row(model):
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1) if loss.name in _LOSSES_OF_TASK["multiclass"] else None
    return y.reshape(-1) if y.ndim <= 2 else None


def classes_in(y: Any) -> int | None:
    """Returns how many classes labels speak of: one-hot columns, or whole numbers from 0.

    Example:
        >>> [classes_in(np.array(y)) for y in ([0.0, 2.0, 1.0], [[0, 1], [1, 0]], [0.5])]
        [3, 2, None]
    """
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf" or not y.size or y.ndim > 2:
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        return int(y.shape[1]) if set(np.unique(y)) <= {0, 1} else None
    is_whole = bool((y == np.round(y)).all()) and y.min() >= 0
    # Numbers that run far beyond the rows name things, they don't count classes.
    return max(int(y.max()) + 1, 2) if is_whole and y.max() < max(1000, y.size) else None


def check_agreement(
    function: str,
    head: Head | None,
    loss: Loss | None,
    y: np.ndarray | None,
    *,
    argument: str = "y",
) -> None:
    """Raises where head, loss and labels can't belong together; says what to change.

    Args:
        function: The public function that was called.
        head: The model's head; `None` leaves only the labels to check.
        loss: The loss; `None`, or one that isn't Keras's, is left alone.
        y: The labels, or `None` where they aren't known.
        argument: What the labels are called there.
    """
    if loss is None:
        return
    if head is not None:
        _check_head(function, head, loss)
    if y is None or y.ndim > 2:
        return
    if y.dtype.kind not in "biuf":
        must = "be numbers; encode classes as integers: np.unique(y, return_inverse=True)[1]"
        raise invalid(function, argument, must, f"{argument}={show(y)}")
    columns = y.shape[1] if y.ndim == 2 else 1
    if loss.name == "sparse_categorical_crossentropy":
        _check_sparse_labels(function, argument, head, y, columns)
    elif loss.name == "categorical_crossentropy":
        _check_one_hot_labels(function, argument, head, y, columns)
    elif loss.name == "binary_crossentropy":
        _check_binary_labels(function, argument, head, y, columns)
    elif loss.name in _REGRESSION_LOSSES and head is not None and columns != head.units:
        must = f"have one column per unit of the head ({head.units})"
        raise invalid(function, argument, must, f"{argument}={show(y)}")


def _check_head(function: str, head: Head, loss: Loss) -> None:
    must = ""
    if head.activation == "softmax" and head.units == 1 and loss.name in _REGRESSION_LOSSES:
        must = "not end in one softmax unit, which always gives 1: write Dense(1) for a regression"
    elif head.activation == "softmax" and head.units == 1:
        must = (
            "not end in one softmax unit, which always gives 1: write "
            'Dense(1, activation="sigmoid"), or one unit per class'
        )
    elif head.activation == "softmax" and loss.name in _REGRESSION_LOSSES:
        must = (
            f"not pair a softmax head with {loss.name}: compile with "
            "sparse_categorical_crossentropy for classes, or write Dense(1) for a regression"
        )
    elif head.activation == "sigmoid" and loss.name in _LOSSES_OF_TASK["multiclass"]:
        must = (
            f"not pair a sigmoid head with {loss.name}: write Dense(classes, "
            'activation="softmax"), or compile with binary_crossentropy for two classes'
        )
    elif head.activation == "softmax" and loss.name == "binary_crossentropy":
        must = (
            "not pair a softmax head with binary_crossentropy: compile with "
            'sparse_categorical_crossentropy, or write Dense(1, activation="sigmoid") for two '
            f'classes, Dense({head.units}, activation="sigmoid") for labels of which several may '
            "hold"
        )
    elif head.units == 1 and loss.name in _LOSSES_OF_TASK["multiclass"]:
        must = (
            f"have a unit per class for {loss.name}: compile with mse for numbers, or write "
            'Dense(1, activation="sigmoid") and binary_crossentropy for two classes'
        )
    elif (
        head.activation in _NO_PROBABILITIES
        and loss.name in _CROSSENTROPIES
        and not loss.from_logits
    ):
        logits = ", or the loss from_logits=True" if head.activation == "linear" else ""
        must = (
            f"not pair a {head.activation} head with {loss.name}: give the last layer "
            f"activation={_activation_for(loss)!r}{logits}"
        )
    elif head.activation in ("softmax", "sigmoid") and loss.from_logits:
        must = "not apply from_logits=True to probabilities: take from_logits out of the loss"
    if must:
        raise invalid(function, "model", must, f"{head} with {loss.name}")


def _check_sparse_labels(
    function: str, argument: str, head: Head | None, y: np.ndarray, columns: int
) -> None:
    if columns > 1:
        must = (
            "hold integer classes for sparse_categorical_crossentropy; for one-hot labels compile "
            "with categorical_crossentropy, or pass y.argmax(axis=1)"
        )
        raise invalid(function, argument, must, f"{argument}={show(y)}")
    _check_whole(function, argument, y)
    low, high = (int(y.min()), int(y.max())) if y.size else (0, 0)
    if head is not None and (low < 0 or high >= head.units):
        must = f"lie in 0..{head.units - 1} for a head of {head.units} units"
        raise invalid(function, argument, must, f"labels from {low} to {high}")


def _check_one_hot_labels(
    function: str, argument: str, head: Head | None, y: np.ndarray, columns: int
) -> None:
    if columns == 1:
        must = (
            "be one-hot for categorical_crossentropy; for integer classes compile with "
            "sparse_categorical_crossentropy"
        )
        raise invalid(function, argument, must, f"{argument}={show(y)}")
    if head is not None and columns != head.units:
        must = f"have one column per unit of the head ({head.units})"
        raise invalid(function, argument, must, f"{argument}={show(y)}")
    if y.size and not np.allclose(y.sum(axis=1), 1.0, atol=1e-3):
        must = "be one-hot: each row must add up to 1"
        raise invalid(function, argument, must, f"rows that add up to {_extremes(y.sum(axis=1))}")


def _check_binary_labels(
    function: str, argument: str, head: Head | None, y: np.ndarray, columns: int
) -> None:
    if head is not None and columns != head.units:
        advice = "; for integer classes write a softmax head" if head.units > 1 else ""
        must = f"have one column per unit of the head ({head.units}){advice}"
        raise invalid(function, argument, must, f"{argument}={show(y)}")
    if y.size and (y.min() < 0 or y.max() > 1):
        must = (
            "be 0 or 1 for binary_crossentropy; for more classes write Dense(classes, "
            'activation="softmax") with sparse_categorical_crossentropy'
        )
        raise invalid(function, argument, must, f"labels from {_extremes(y)}")


def _check_whole(function: str, argument: str, y: np.ndarray) -> None:
    if y.dtype.kind == "f" and y.size:
        fractions = y[y != np.round(y)]
        if fractions.size:
            must = "hold whole numbers as class labels"
            raise invalid(function, argument, must, f"a label {fractions.reshape(-1)[0]:g}")


def _infer_task(head: Head | None, y: np.ndarray | None) -> str:
    doubt = "the model has no single last layer that could be read"
    if head is not None:
        counts = y is not None and y.dtype.kind in "biu"
        if head.activation == "softmax":
            return "multiclass"
        if head.activation == "sigmoid":
            return "binary"
        if head.activation == "linear" and not counts:
            return "regression"
        if head.activation == "linear" and head.units == 1 and y is not None and np.any(y > 1):
            return "regression"
        doubt = f"{head}" + (f" and y={show(y)}" if y is not None else "")
    must = (
        "be given where the head and `y` leave it open: 'multiclass', 'binary' or 'regression' "
        "(a linear head gives numbers or logits)"
    )
    raise invalid("compile_for_task", "task", must, f"task=None with {doubt}")


def _loss_name(task: str, y: np.ndarray | None, loss: str | None) -> str:
    if loss is not None:
        name = _LOSS_ALIASES.get(loss, loss) if isinstance(loss, str) else loss
        allowed = sorted(_LOSSES_OF_TASK[task])
        return one_of("compile_for_task", "loss", name, allowed)
    if task == "multiclass":
        one_hot = y is not None and y.ndim == 2 and y.shape[1] > 1
        return "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    return "binary_crossentropy" if task == "binary" else "mean_squared_error"


def _keras_loss(name: str, from_logits: bool) -> Any:
    if not from_logits:
        return name
    # By its name alone Keras gives a function, which has no such option.
    return _LOSS_OF_LOGITS[name](from_logits=True)


def _default_metrics(task: str) -> Sequence[str]:
    return ("mae", "mse", "r2") if task == "regression" else ("accuracy",)


def _optimizer(
    optimizer: str | keras.optimizers.Optimizer, learning_rate: float | None
) -> keras.optimizers.Optimizer:
    try:
        made = keras.optimizers.get(optimizer)
    except (TypeError, ValueError):
        made = None
    if not isinstance(made, keras.optimizers.Optimizer):
        must = "be a name or an object of keras.optimizers, such as 'adam'"
        raise invalid("compile_for_task", "optimizer", must, f"optimizer={show(optimizer)}")
    config = made.get_config()
    if learning_rate is not None:
        config["learning_rate"] = real_number(
            "compile_for_task", "learning_rate", learning_rate, above=0
        )
    return type(made).from_config(config)


def _head_before_build(model: keras.Model) -> Head | None:
    """A Sequential without an Input has no shapes before it sees data, but has its last layers."""
    layers = getattr(model, "layers", [])
    activation = _activation(layers[-1]) if layers else None
    units = [layer.units for layer in layers[-2:] if isinstance(getattr(layer, "units", 0.5), int)]
    return Head(units[-1], activation) if units and activation else None


def _last_layer(model: keras.Model) -> keras.Layer:
    """Returns the last layer, also of a model that ends in a model."""
    last = model.layers[-1]
    return _last_layer(last) if isinstance(last, keras.Model) and last.layers else last


def _activation(layer: keras.Layer) -> str | None:
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    name = str(getattr(activation, "__name__", type(activation).__name__))
    return name.removesuffix("_v2")  # TensorFlow's own softmax, as older code passes it.


def _activation_for(loss: Loss) -> str:
    return "sigmoid" if loss.name == "binary_crossentropy" else "softmax"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _extremes(values: np.ndarray) -> str:
    return f"{values.min():g} to {values.max():g}"
