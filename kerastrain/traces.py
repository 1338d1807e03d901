"""Traced functions that serve every model of one architecture, so that each is compiled once.

Tracing a training step takes a few tenths of a second and compiling it about one, which is most of
a short fit. Two models that were built and compiled alike have the same graph and differ in their
variables only; so what was traced for one runs on the variables of the other.
"""

import collections
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerastrain._kernels import build_metrics, forget_kernels
from kerastrain.architecture import architecture_of
from kerastrain.state import variables_of

_MOST_KEPT = 32
_MANY = 8  # functions that are gone, for which it is worth making the others' kernels anew

_kept: collections.OrderedDict[tuple[Any, ...], tuple[Any, list[int]]] = collections.OrderedDict()
"""From what was traced to the function and the places of its variables; the latest last."""

_gone = 0
"""Functions that were let go since TensorFlow last freed their kernels."""


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
        # Built first: a borrower, which traces nothing, would lack the metrics' variables.
        is_built = batch is not None and build_metrics(model, batch)
        self.architecture = architecture_of(model) if is_built else None
        if self.architecture:
            self.architecture += f" {_names(model, batch)}"
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
        gone = len(self._traced) - len(self._lent)
        self._traced.clear()
        self._lent.clear()
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
            gone += 1
        _let_go(gone)

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


def _let_go(count: int) -> None:
    global _gone
    _gone += count
    if _gone >= _MANY:
        forget_kernels()
        _gone = 0


def _names(model: keras.Model, batch: Any) -> list[list[str]]:
    """Returns the names that stand in a graph: of the logs, and of the parts of a batch."""
    parts = keras.utils.unpack_x_y_sample_weight(batch)
    by_name = any(isinstance(part, dict) for part in parts)
    return [
        list(model.get_metrics_result()),
        *(getattr(model, f"{side}_names", []) for side in ("input", "output") if by_name),
    ]


def forget() -> None:
    """Lets go of everything that was traced, so that the next fit traces and compiles itself."""
    _kept.clear()
