"""A model for some data: built to their shapes and compiled for their task."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerastrain._checks import invalid, real_number, show
from kerastrain._optimizers import variable_rate_of
from kerastrain.builders import ALayer
from kerastrain.data import is_stream, rows_of
from kerastrain.models import Builder, builder_of, built, parameters_from_data
from kerastrain.sources import first_rows
from kerastrain.tasks import classes_in, compile_for_task
from kerastrain.transfer import parameters_from_reused

DEFAULT_OPTIMIZER = "adam"


@dataclasses.dataclass(frozen=True)
class Known:
    """What data tell about the model that is to learn from them.

    Attributes:
        x: The inputs' rows; of a Dataset or PyDataset its first batch.
        y: The targets' rows likewise.
        task: The task, where the data say it.
        classes: The number of classes, where there are some to count.
    """

    x: Any = None
    y: Any = None
    task: str | None = None
    classes: int | None = None


def known_of(data: Any, *, function: str) -> Known:
    """Returns what data tell about the model.

    Args:
        data: What `load_dataset` returns, a pair `(x, y)`, a tf.data.Dataset or a PyDataset.
        function: The public function that was given them, named in the errors.

    Example:
        >>> known = known_of(([[0.1], [0.2], [0.3]], [0, 2, 1]), function="build_and_fit")
        >>> known.x.shape, known.classes
        ((3, 1), 3)
    """
    (x, y), _, task, classes = unpacked(data, function=function)
    rows = first_rows(x) if is_stream(x) else rows_of(x, y, function=function)
    if task is None and not is_stream(x):
        classes = classes_in(rows.y)
    return Known(rows.x, rows.y, task, classes)


def build_for(
    known: Known,
    builder: str | Builder,
    *,
    function: str,
    a_layer: ALayer = None,
    params: Mapping[str, Any] | None = None,
    task: str | None = None,
    optimizer: str | keras.optimizers.Optimizer = DEFAULT_OPTIMIZER,
    learning_rate: float | None = None,
    metrics: Sequence[Any] | None = None,
    reuse: keras.Model | None = None,
    layers: int | None = None,
    frozen: bool | None = None,
) -> keras.Model:
    """Builds a model, and compiles it where its builder hasn't.

    What data can answer and `params` doesn't, they answer. Of a model that is compiled already the
    learning rate alone can be set.

    Args:
        known: What is known of the data.
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        function: The public function that builds, named in the errors.
        a_layer: See `build`.
        params: The builder's own parameters.
        task: See `compile_for_task`, as for the rest.
        optimizer: A name or an object.
        learning_rate: Replaces the optimizer's own.
        metrics: Replaces the task's.
        reuse: A trained model whose lower layers to take; see `build`, as for the next two.
        layers: How many.
        frozen: Whether they stay as they are.

    Example:
        >>> build_for(Known(task="multiclass", classes=3), "dense", function="fit").output_shape
        (None, 3)
    """
    chosen, given = builder_of(builder, function=function, argument="builder"), dict(params or {})
    given |= parameters_from_reused(chosen, given, reuse)
    given |= parameters_from_data(chosen, given, x=known.x, y=known.y, classes=known.classes)
    model = built(chosen, a_layer, given, reuse=reuse, layers=layers, frozen=frozen)
    if model.compiled:
        is_default = isinstance(optimizer, str) and optimizer == DEFAULT_OPTIMIZER
        given = {"task": task, "metrics": metrics, "optimizer": None if is_default else optimizer}
        refuse_beside_compiled(function, given)
        _set_rate(model, learning_rate, function)
        return model
    return compile_for_task(
        model,
        task or known.task,
        y=known.y,
        optimizer=optimizer,
        learning_rate=learning_rate,
        metrics=metrics,
    )


def check_learns(model: keras.Model, layers: int | None, unfreeze: int | None) -> None:
    """Raises where all of a model is reused and frozen, and never let go."""
    if unfreeze is None and model.weights and not model.trainable_variables:
        must = "leave a layer to be trained, or else pass `unfreeze`, or `frozen`=False"
        raise invalid("build_and_fit", "layers", must, f"layers={layers}")


def refuse_beside_compiled(function: str, given: Mapping[str, Any]) -> None:
    """Raises for what a model that its builder has compiled would ignore.

    Args:
        function: The public function that was given it, or the class.
        given: Arguments of `compile_for_task`; `None` counts as not given.
    """
    for name, value in given.items():
        if value is not None:
            must = "be left out where the builder compiles its model"
            raise invalid(function, name, must, f"{name}={show(value)}")


def unpacked(data: Any, *, function: str) -> tuple[Any, Any, str | None, int | None]:
    """Returns training pair, validation pair, task and number of classes, where they are known."""
    if hasattr(data, "train") and hasattr(data, "task"):
        classes = None if data.classes is None else len(data.classes)
        return data.train, data.val, data.task, classes
    if is_stream(data):
        return (data, None), None, None, None
    if isinstance(data, tuple | list) and len(data) == 2:
        return tuple(data), None, None, None
    must = "be what load_dataset returns, a pair (x, y), a tf.data.Dataset or a PyDataset"
    raise invalid(function, "data", must, f"data={show(data)}", kind=TypeError)


def _set_rate(model: keras.Model, rate: float | None, function: str) -> None:
    """Gives a rate to the optimizer of a model that its builder has compiled."""
    if rate is None:
        return
    if variable_rate_of(model.optimizer) is None:
        must = "be left out where the builder's optimizer runs a schedule"
        raise invalid(function, "learning_rate", must, f"learning_rate={rate}")
    model.optimizer.learning_rate = real_number(function, "learning_rate", rate, above=0)
