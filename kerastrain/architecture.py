"""What decides a model's training graph, in words; models of one architecture share their graphs.

Whatever isn't told for sure makes a model share with none.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain.state import variables_of

_MEANS = {
    *("mse", "mean_squared_error", "MeanSquaredError"),
    *("mae", "mean_absolute_error", "MeanAbsoluteError"),
    *("msle", "mean_squared_logarithmic_error", "MeanSquaredLogarithmicError"),
    *("huber", "Huber", "log_cosh", "LogCosh", "poisson", "Poisson", "hinge", "Hinge"),
    *("binary_crossentropy", "BinaryCrossentropy"),
    *("categorical_crossentropy", "CategoricalCrossentropy"),
    *("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
}
"""Losses that are a mean over the rows."""

_BY_BATCH = (
    '"reduction": "sum"',
    '"reduction": "mean_with',
    '"reduction": null',
    "ctivityRegul",
    '"activity_regularizer": {',
    '"mask_zero": true',
    '"class_name": "Masking"',
    '"stateful": true',
)
"""What makes a figure depend on the batch, in an architecture's words."""

_MOST_ROWS = 8192

# What an object holds that says nothing of what it does, and the kinds of objects of which all
# else that they hold is told.
_UNTOLD = ("name", "built", "_tracker", "_lock", "_trainable_variables_indices")
_TOLD = (
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.optimizers.schedules.LearningRateSchedule,
)


def architecture_of(model: keras.Model) -> str | None:
    """Describes everything that decides a model's training graph, but for the variables.

    Returns:
        The same text for models that were built and compiled alike, whatever Keras numbered their
        layers; `None` where something isn't Keras's own, or holds numbers that no setting tells.

    Example:
        >>> def make():
        ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> architecture_of(make()) == architecture_of(make())
        True
    """
    if type(model) is not keras.Sequential and not _is_functional(model):
        return None
    layers = layers_of(model)
    if _is_overridden(model) or not all(_is_told_by_settings(layer) for layer in layers):
        return None
    try:
        settings = [model.get_config(), model.get_compile_config()]
        settings[0].pop("name", None)
        parts = list(_dicts(settings))
        names = _numbered(parts)
        facts = _traits([model.loss, model.metrics, model.optimizer])
        by_output = _renamed([settings[1], facts], names, keys=True)
        described = [_renamed(settings[0], names), *by_output]
        described += [_wiring(model, layers), [_plain(layer) for layer in layers]]
        described.append(str(model.jit_compile))
        text = json.dumps([*described, _variables(model)], sort_keys=True)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        return None
    if not all(_is_stock(part) for part in parts):
        return None
    # A rate that is a number, and no schedule, is a variable.
    text = re.sub(r'"learning_rate": [-+.e\d]+', '"learning_rate": 0', text)
    return f"{text} {keras.config.floatx()} {keras.config.epsilon()}"


def rows_a_validation_batch(model: keras.Model, architecture: str | None) -> int | None:
    """Returns how many rows may be evaluated at once, for the same figures as in smaller batches.

    Keras averages over batches, weighted by their rows, which is the average over the rows only
    where the loss is a mean over them.

    Args:
        model: A compiled model.
        architecture: What `architecture_of` says of it.

    Returns:
        At most 8192, and as few as keep within 64 MB what the layers give; `None` where the figures
        may depend on the batch.
    """
    shapes = [getattr(model, "input_shape", None), getattr(model, "output_shape", None)]
    if architecture is None or not all(_is_of_any_length(shape) for shape in shapes):
        return None
    loss = model.loss
    name = loss if isinstance(loss, str) else type(loss).__name__
    if name not in _MEANS or any(word in architecture for word in _BY_BATCH):
        return None
    try:
        cells: int = sum(math.prod(layer.output.shape[1:]) for layer in layers_of(model))
    except (AttributeError, TypeError):
        return None
    return max(1, min(_MOST_ROWS, 2**24 // cells))


def _is_of_any_length(shape: Any) -> bool:
    return isinstance(shape, tuple) and shape[:1] == (None,)


def layers_of(model: Any) -> list[keras.Layer]:
    """Returns a model's layers, with those of models within it."""
    nested = ([layer, *layers_of(layer)] for layer in getattr(model, "layers", ()))
    return [layer for layers in nested for layer in layers]


def layers_within(layer: Any) -> Iterator[keras.Layer]:
    """Yields the layers that a model or a layer holds anywhere, with those of wrappers.

    `layers_of` has those only that Keras lists as a model's.
    """
    seen = {id(layer)}
    left = [layer]
    while left:
        for held in _held(vars(left.pop()).values()):
            if isinstance(held, keras.Layer) and id(held) not in seen:
                seen.add(id(held))
                left.append(held)
                yield held


def _is_functional(model: keras.Model) -> bool:
    kind = type(model)  # Keras doesn't export it.
    return kind.__name__ == "Functional" and kind.__module__.startswith("keras.")


def _is_overridden(thing: Any) -> bool:
    """Tells whether an object has a method of its own, set on it and not on its class."""
    return any(
        callable(value) and callable(getattr(type(thing), name, None)) and not _is_ours(value)
        for name, value in vars(thing).items()
    )


def _is_told_by_settings(layer: Any) -> bool:
    """Tells whether a layer does what its settings say and no more.

    An adapted one holds numbers that become constants of the graph, and a function of the user's
    stands in the settings by its name only.
    """
    values = [value for value in _held(vars(layer).values()) if value is not layer]
    return (
        _is_ours(type(layer))
        and not any(isinstance(value, tf.Tensor | tf.lookup.StaticHashTable) for value in values)
        and all(_is_ours(value) for value in values if callable(value))
        and all(_is_told_by_settings(v) for v in values if isinstance(v, keras.Layer))
    )


def _held(values: Iterable[Any]) -> Iterator[Any]:
    """Yields the values, and what the lists and dicts among them hold; no variables."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _held(value)
        elif isinstance(value, dict):
            yield from _held(value.values())
        elif not isinstance(value, keras.Variable | tf.Variable):
            yield value


def _traits(thing: Any) -> Any:
    """Describes what losses, metrics and optimizers hold, of which their settings leave some out.

    Keras's `Huber` doesn't tell its `delta`, for one.

    Raises:
        TypeError: If something of the user's is among it.
    """
    if thing is None or type(thing) in (bool, int, float, str):
        return thing
    if isinstance(thing, dict):
        return {str(key): _traits(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple | set | frozenset):
        return [_traits(value) for value in thing]
    if isinstance(thing, np.ndarray | np.generic):
        return thing.tolist()
    if isinstance(thing, int | float | str):  # A momentum that follows a schedule, for one.
        return {type(thing).__qualname__: thing}
    if isinstance(thing, keras.Variable | tf.Variable):
        return None  # Which `_variables` tells, but for those of metrics, which follow from them.
    if not _is_ours(thing) and not _is_ours(type(thing)):
        if type(thing).__module__.startswith("tensorflow."):
            return None
        raise TypeError(f"{thing} is none of Keras's")
    if hasattr(thing, "__dict__") and _is_overridden(thing):
        raise TypeError(f"{thing} has a method of its own")
    if isinstance(thing, keras.DTypePolicy):
        return thing.name
    if not isinstance(thing, _TOLD):
        if not hasattr(thing, "__qualname__"):
            raise TypeError(f"{thing} may hold what isn't told")
        return f"{thing.__module__}.{thing.__qualname__}"
    told = {
        name: _traits(value)
        for name, value in vars(thing).items()
        if name not in _UNTOLD and not name.startswith("_self_") and not name.endswith("_cache")
    }
    return {type(thing).__qualname__: told}


def _wiring(model: keras.Model, layers: list[keras.Layer]) -> list[Any]:
    """Tells which layers, and which variables of theirs, are the same ones; names may be alike."""
    numbers = {id(layer): number for number, layer in reversed(list(enumerate(layers)))}
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    return [(numbers[id(ly)], [places.get(id(v)) for v in ly.variables]) for ly in layers]


def _plain(layer: keras.Layer) -> dict[str, Any]:
    """Returns a layer's numbers, words and switches, of which its settings leave some out."""
    told = {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, bool | int | float | str)
        and not name.startswith("_self_")
        and name not in (*_UNTOLD, "_path", "_parent_path", "_called")
    }
    return told | {"dtype_policy": layer.dtype_policy.name}


def _variables(model: keras.Model) -> list[Any]:
    """Describes a model's variables, but for their values."""
    own = [
        (
            variable.trainable,
            _traits(getattr(variable, "regularizer", None)),
            _traits(getattr(variable, "constraint", None)),
        )
        for variable in model.variables
    ]
    return [own, [(str(v.shape), v.dtype.name) for v in variables_of(model)]]


def _is_ours(thing: Any) -> bool:
    """Tells whether a class, a function or an object is Keras's or this package's."""
    # A function that wraps one of Keras's bears its name, but not its globals.
    scope = getattr(thing, "__globals__", {}).get("__name__", "keras")
    if str(scope).split(".")[0] not in ("keras", "kerastrain"):
        return False
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return module.split(".")[0] in ("keras", "kerastrain")


def _numbered(parts: list[dict[str, Any]]) -> dict[str, str]:
    """Returns new names for the layers that Keras has named, "dense" or "dense_7"."""
    names: dict[str, str] = {}
    for part in parts:
        name = part["config"].get("name") if isinstance(part.get("config"), dict) else None
        if isinstance(name, str) and isinstance(part.get("class_name"), str):
            words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", part["class_name"])
            base = re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()
            if re.fullmatch(rf"{re.escape(base)}(_\d+)?", name):
                names.setdefault(name, f"#{len(names)}")
    return names


def _renamed(settings: Any, names: dict[str, str], *, keys: bool = False) -> Any:
    """Returns settings with other names; also as keys, as those of losses by output are."""
    if isinstance(settings, dict):
        return {
            (names.get(key, key) if keys else key): _renamed(value, names, keys=keys)
            for key, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [_renamed(value, names, keys=keys) for value in settings]
    return names.get(settings, settings) if isinstance(settings, str) else settings


def _dicts(settings: Any) -> Iterator[dict[str, Any]]:
    """Yields every dict within nested settings."""
    if isinstance(settings, dict):
        yield settings
    if isinstance(settings, dict | list | tuple):
        for value in settings.values() if isinstance(settings, dict) else settings:
            yield from _dicts(value)


def _is_stock(part: dict[str, Any]) -> bool:
    """Tells whether a serialised object is Keras's own or ours."""
    if part.get("class_name", "__keras_tensor__") == "__keras_tensor__":
        return True
    registered = part.get("registered_name")
    module = part.get("module") or ("kerastrain" if registered else "")
    return (registered is None or str(registered).startswith("kerastrain>")) and str(
        module
    ).startswith(("keras", "builtins", "kerastrain"))
