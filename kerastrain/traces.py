"""Traced functions that serve every model of one architecture, so that each is compiled once.

Tracing a training step takes a few tenths of a second and compiling it about one, which is most of
a short fit. Two models that were built and compiled alike have the same graph and differ in their
variables only; so what was traced for one runs on the variables of the other.
"""

import collections
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerastrain._kernels import build_metrics
from kerastrain.state import variables_of

_MOST_KEPT = 32

_kept: collections.OrderedDict[tuple[Any, ...], tuple[Any, list[int]]] = collections.OrderedDict()
"""From what was traced to the function and the places of its variables; the latest last."""


class Traces:
    """Traces functions of one model, or borrows what another of its kind has left.

    Nothing is lent to two at once, so fits in several threads don't meet.

    Args:
        model: A built and compiled model.
        batch: One batch, from which Keras builds the metrics; `None` never borrows.

    Attributes:
        architecture: What `architecture_of` says of the model.
        foreign: The variables of functions that no other model can use, Keras's and the user's.
    """

    def __init__(self, model: keras.Model, batch: Any = None) -> None:
        self.architecture = None if batch is None else architecture_of(model)
        if self.architecture and not build_metrics(model, batch):
            self.architecture = None  # A borrower, which traces nothing, would lack variables.
        self._variables = variables_of(model) if self.architecture else []
        self._traced: dict[tuple[Any, ...], Any] = {}
        self._lent: list[tuple[tuple[Any, ...], Any, list[int]]] = []
        self.foreign: list[tf.Variable] = []

    def __enter__(self) -> "Traces":
        return self

    def __exit__(self, *exception: object) -> None:
        """Leaves what was traced to the next, without this model's variables."""
        for key, concrete, places in self._lent:
            concrete.set_external_captures([tf.constant(0)] * len(places))
            _kept[key] = concrete, places
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)

    def traced(self, name: str, function: Callable[..., Any], specs: Any, *, compiled: bool) -> Any:
        """Returns a function that was traced for such arguments, bound to the model's variables.

        Args:
            name: What tells it from others of the same model.
            function: What to trace.
            specs: Its arguments, as tensor specs.
            compiled: Whether XLA is to compile it.
        """
        key = (self.architecture, name, compiled, str(specs))
        if key not in self._traced:
            self._traced[key] = self._borrowed_or_new(key, function, specs, compiled)
        return self._traced[key]

    def _borrowed_or_new(
        self, key: tuple[Any, ...], function: Callable[..., Any], specs: Any, compiled: bool
    ) -> Any:
        concrete, places = _kept.pop(key, (None, None)) if self.architecture else (None, None)
        if concrete is None:
            whole = tf.function(function, jit_compile=compiled or None, autograph=False)
            concrete = whole.get_concrete_function(*specs)
            places = self._places(concrete) if self.architecture else None
        if places is not None:
            concrete.set_external_captures([self._variables[place].handle for place in places])
            self._lent.append((key, concrete, places))
        else:
            self.foreign += concrete.variables
        return concrete

    def _places(self, concrete: Any) -> list[int] | None:
        """Returns which of the model's variables a function uses; `None` if others too."""
        handles = {id(variable.handle): n for n, variable in enumerate(self._variables)}
        places = [handles.get(id(capture)) for capture in concrete.captured_inputs]
        return None if None in places else [place for place in places if place is not None]


def forget() -> None:
    """Lets go of everything that was traced, so that the next fit traces and compiles itself."""
    _kept.clear()


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
    if not all(_is_told_by_settings(layer) for layer in layers):
        return None
    try:
        settings = [model.get_config(), model.get_compile_config()]
        settings[0].pop("name", None)
        parts = list(_dicts(settings))
        text = json.dumps(_renamed(settings, _numbered(parts)), sort_keys=True)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        return None
    if not all(_is_stock(part) for part in parts):
        return None
    # A rate that is a number, and no schedule, is a variable.
    text = re.sub(r'"learning_rate": [-+.e\d]+', '"learning_rate": 0', text)
    return f"{text} {keras.config.floatx()} {[layer.trainable for layer in layers]}"


def averages_over_rows(architecture: str | None) -> bool:
    """Tells whether a model's validation gives the same figures in batches of any size."""
    if architecture is None:
        return False
    by_batch = (
        '"reduction": "sum"',
        '"reduction": "mean_with',
        '"reduction": null',
        "ctivityRegul",
    )
    return not any(word in architecture for word in (*by_batch, '"activity_regularizer": {'))


def layers_of(model: Any) -> list[keras.Layer]:
    """Returns a model's layers, with those of models within it."""
    nested = ([layer, *layers_of(layer)] for layer in getattr(model, "layers", ()))
    return [layer for layers in nested for layer in layers]


def _is_functional(model: keras.Model) -> bool:
    kind = type(model)  # Keras doesn't export it.
    return kind.__name__ == "Functional" and kind.__module__.startswith("keras.")


def _is_told_by_settings(layer: Any) -> bool:
    """Tells whether a layer does what its settings say and no more.

    An adapted one holds numbers that become constants of the graph, and a function of the user's
    stands in the settings by its name only.
    """
    values = [value for value in vars(layer).values() if not isinstance(value, keras.Variable)]
    within = [value for value in values if isinstance(value, keras.Layer) and value is not layer]
    return (
        _is_ours(type(layer))
        and not any(isinstance(value, tf.Tensor | tf.lookup.StaticHashTable) for value in values)
        and all(_is_ours(value) for value in values if callable(value))
        and all(_is_told_by_settings(value) for value in within)
    )


def _is_ours(thing: Any) -> bool:
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


def _renamed(settings: Any, names: dict[str, str]) -> Any:
    if isinstance(settings, dict):
        return {key: _renamed(value, names) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [_renamed(value, names) for value in settings]
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
    if "class_name" not in part:
        return True
    registered = part.get("registered_name")
    module = part.get("module") or ("kerastrain" if registered else "")
    return (registered is None or str(registered).startswith("kerastrain>")) and str(
        module
    ).startswith(("keras", "builtins", "kerastrain"))
