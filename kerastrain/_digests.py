"""Short marks of what a run was made of, equal for two runs that differ in nothing but the seed.

What a reader sees of a run's settings tells only the main part. The rest, initializers, a layer's
further arguments, the values of the data, goes into a digest each. What can't be told for sure has
`None`, and is then like nothing else.
"""

import functools
import hashlib
import json
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._configurations import (
    RATE,
    compile_config,
    described_sample,
    optimizer_entries,
    with_numbers_for_names,
)
from kerastrain._exact_state import noted_by_keras, settings_with_state
from kerastrain._optimizers import iterations_of
from kerastrain.architecture import layers_of
from kerastrain.sources import Source

_ONLY_LOOKING = {
    *("BackupAndRestore", "CSVLogger", "History", "ModelCheckpoint", "ProgbarLogger"),
    *("RemoteMonitor", "TensorBoard", "TerminateOnNaN"),
}
_OF_A_RUN = {"_model", "params", "validation_data", "monitor_op"}
"""What Keras gives a callback when training begins."""


class _UntoldError(Exception):
    """Says that a thing can't be told apart from others for sure."""


def digests_of(
    model: keras.Model, source: Source, callbacks: Sequence[Any], arguments: Mapping[str, Any]
) -> dict[str, str | None]:
    """Returns a digest each of what decides a run's course, but for the seed.

    Args:
        model: The compiled model.
        source: The run's data, of which some rows are looked at.
        callbacks: The user's.
        arguments: What else the run was told.
    """
    return {
        "model": _digest(lambda: _of_model(model)),
        "callbacks": _digest(lambda: [_told(one) for one in callbacks if decides(one)]),
        "data": _digest(lambda: _of_data(source)),
        "arguments": _digest(lambda: _told(arguments)),
    }


def decides(callback: Any) -> bool:
    """Tells whether a callback may change a run's course, and doesn't only look or write.

    Example:
        >>> decides(keras.callbacks.ReduceLROnPlateau()), decides(keras.callbacks.TerminateOnNaN())
        (True, False)
    """
    kinds = [kind for kind in type(callback).__mro__ if not _is_in(kind, "kerastrain")]
    return not (kinds[0].__name__ in _ONLY_LOOKING or getattr(callback, "only_looks", False))


def _digest(tell: Callable[[], Any]) -> str | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # Of a lambda's settings, unsafe to load.
            text = json.dumps(tell(), sort_keys=True)
    except Exception:  # Of what is the user's own, which may be anything.
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _of_model(model: keras.Model) -> Any:
    layers = layers_of(model)
    whole = [model.get_config()]
    if not _is_in(type(model), "keras"):  # Whose settings don't tell of its layers.
        whole += [layer.get_config() for layer in layers]
    kinds = {type(one) for one in (model, *layers)}
    told = _told([with_numbers_for_names(whole), *sorted(kinds, key=lambda kind: kind.__name__)])
    loss = _told([model.loss, compile_config(model).get("loss_weights")])
    optimizer = optimizer_entries(model.optimizer)
    optimizer.pop(RATE, None)  # Which a callback may have changed, and the settings have.
    # One that has been trained before begins elsewhere.
    return [told, loss, _told(optimizer), int(iterations_of(model.optimizer) + 0)]


def _of_data(source: Source) -> Any:
    """Describes arrays by a sample of their rows, and a stream by what it began with."""
    if source.first is None:
        return {name: described_sample(part) for name, part in source.parts.items()}
    parts = {name: part for name, part in source.parts.items() if isinstance(part, np.ndarray)}
    firsts = {"first": source.first, "first held out": source.first_held_out}
    return {name: described_sample(part) for name, part in (parts | firsts).items()}


def _told(value: Any) -> Any:
    """Returns what tells a value from others, as JSON has words for it, or raises."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        if value.get("class_name") == "function" and not hasattr(keras.ops, str(value["config"])):
            raise _UntoldError  # A function of the user's, by its name only.
        return {str(key): _told(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    if isinstance(value, np.ndarray):
        return described_sample(value)
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    if isinstance(value, functools.partial):
        return _told([value.func, value.args, value.keywords])
    if isinstance(value, type):
        return _of_class(value)
    return _of_object(value)


def _of_object(value: Any) -> Any:
    kind = _of_class(type(value))
    if isinstance(value, keras.callbacks.Callback):
        made = settings_with_state([value])
        others = {*_OF_A_RUN, *noted_by_keras(value), *(k.rpartition(".")[2] for k in made)}
        own = {k: v for k, v in vars(value).items() if k not in others}
        return [kind, _told(made), _told(own)]
    if hasattr(value, "get_config"):
        return [kind, _told({k: v for k, v in value.get_config().items() if k != "name"})]
    raise _UntoldError


def _of_class(kind: type) -> Any:
    """Describes a class of Keras's or ours by its name, and one of the user's by its code too."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _is_in(kind, "keras", "kerastrain", "builtins"):
        return name
    code = {k: _of_function(v) for k, v in vars(kind).items() if isinstance(v, types.FunctionType)}
    return [name, code, *(_of_class(base) for base in kind.__bases__)]


def _of_function(function: types.FunctionType) -> Any:
    """Describes a function by what it does, and not by where it stands."""
    if _is_in(function, "keras", "kerastrain"):
        return f"{function.__module__}.{function.__qualname__}"
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    free = [None if isinstance(cell, type) else cell for cell in cells]  # That of `super()`.
    given = _told([function.__defaults__, function.__kwdefaults__, free])
    return [_of_code(function.__code__, function.__globals__), given]


def _of_code(code: types.CodeType, around: Mapping[str, Any]) -> Any:
    constants = [
        _of_code(each, around) if isinstance(each, types.CodeType) else repr(each)
        for each in code.co_consts
    ]
    used = {name: _told_of_use(around[name]) for name in code.co_names if name in around}
    return [code.co_code.hex(), code.co_names, constants, used]


def _told_of_use(value: Any) -> Any:
    if isinstance(value, types.ModuleType | types.BuiltinFunctionType | type):
        return value.__name__
    return _told(value)


def _is_in(thing: Any, *packages: str) -> bool:
    return str(thing.__module__).split(".")[0] in packages
