"""What a run of a search is told: the builder's parameters, and the training call's arguments."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, nearest, show
from kerastrain.callbacks import copies
from kerastrain.models import Builder, builder_of
from kerastrain.training import arguments_of_fit
from kerastrain.workflow import build_and_fit

_OF_THE_CALL_ITSELF = (
    *("builder", "data", "fit_arguments", "model", "params", "repeats", "x", "y"),
)
"""What the functions that train take, and what no parameter of a search can be."""


@dataclasses.dataclass(frozen=True)
class Routed:
    """Parameters, by where they go.

    Attributes:
        params: Those of the builder.
        arguments: Those of `build_and_fit` and `fit`.
    """

    params: dict[str, Any]
    arguments: dict[str, Any]


def routed(
    builder: str | Builder, params: Mapping[str, Any], *, function: str, argument: str = "params"
) -> Routed:
    """Sends each parameter to the builder where it has it, else to `build_and_fit` or `fit`.

    A builder that takes `**params` gets what nobody else knows. `a_layer` is an argument of
    `build_and_fit`, which hands it to the builder. NumPy's numbers, which every search draws and
    Keras refuses, become Python's.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        params: From names to values.
        function: The public function that was given them, named in the errors.
        argument: Its argument that holds them.

    Raises:
        ValueError: If nobody has a parameter of that name; both lists are in the message.
        TypeError: If `params` isn't a dict whose keys are names.

    Example:
        >>> found = {"n_neurons": np.int64(50), "learning_rate": np.float64(0.01)}
        >>> routed("regression", found, function="search")
        Routed(params={'n_neurons': 50}, arguments={'learning_rate': 0.01})
    """
    theirs, takes_any = _parameters_of(builder_of(builder, function=function, argument="builder"))
    ours = arguments_of_training()
    found = Routed({}, {})
    for name, value in _named(params, function).items():
        is_theirs = name in theirs or (takes_any and name not in ours)
        if not is_theirs and name not in ours:
            raise _nobody_knows(name, theirs, ours, function, argument)
        (found.params if is_theirs else found.arguments)[name] = as_python(value)
    return found


def watched_for(
    metric: str, mode: str, arguments: Mapping[str, Any], *watchers: keras.callbacks.Callback
) -> dict[str, Any]:
    """Returns the arguments of a run whose metric decides, and which callbacks of ours watch.

    The user's callbacks are copied. An `EarlyStopping` among them, or a `monitor`, decides on the
    best epoch in place of the metric. It restores that epoch's weights, which Keras's own doesn't
    unless it is told to: a run counts with its best epoch, and so that is the model to hand over.
    """
    users = keras.tree.flatten(copies(arguments.get("callbacks") or ()))
    stoppers = [one for one in users if isinstance(one, keras.callbacks.EarlyStopping)]
    for stopper in stoppers:
        stopper.restore_best_weights = True
    decides = {} if stoppers or "monitor" in arguments else {"monitor": metric, "mode": mode}
    return {**arguments, **decides, "callbacks": [*users, *watchers]}


def arguments_of_training() -> list[str]:
    """Returns what `build_and_fit` and `fit` can be told about a run, sorted.

    Example:
        >>> "batch_size" in arguments_of_training(), "data" in arguments_of_training()
        (True, False)
    """
    known = {*inspect.signature(build_and_fit).parameters, *arguments_of_fit()}
    return sorted(known - set(_OF_THE_CALL_ITSELF))


def as_python(value: Any) -> Any:
    """Returns NumPy's numbers as Python's, also those within lists, tuples and dicts.

    Arrays stay arrays.

    Example:
        >>> as_python((np.int64(32), [np.float32(0.5), np.str_("relu")], None))
        (32, [0.5, 'relu'], None)
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, Mapping):
        return {as_python(key): as_python(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(as_python, value))
    return value


def _named(params: Any, function: str) -> Mapping[str, Any]:
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        must = "be a dict from names to values"
        raise invalid(function, "params", must, f"params={show(params)}", kind=TypeError)
    return params


def _parameters_of(builder: Builder) -> tuple[list[str], bool]:
    """Returns the names that a builder has, and whether it takes any other as well."""
    parameters = inspect.signature(builder).parameters.values()
    kinds = inspect.Parameter
    named = (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    names = [one.name for one in parameters if one.kind in named and one.name != "a_layer"]
    return names, any(one.kind is kinds.VAR_KEYWORD for one in parameters)


def _nobody_knows(
    name: str, theirs: list[str], ours: list[str], function: str, argument: str
) -> Exception:
    of_builder = ", ".join(map(repr, theirs)) or "none"
    must = (
        f"be parameters of the builder ({of_builder}) or arguments of build_and_fit "
        f"({', '.join(map(repr, ours))}){nearest(name, [*theirs, *ours])}"
    )
    return invalid(function, argument, must, repr(name))
