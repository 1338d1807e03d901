"""What can be read off a model without running it, as plain facts."""

import contextlib
import dataclasses
import warnings
from typing import Any

import keras
import numpy as np

from kerastrain._optimizers import as_given, inner_of, variable_rate_of
from kerastrain.architecture import layers_of
from kerastrain.metrics import Head, Loss
from kerastrain.tasks import compiled_loss, head_of

_SCALERS = (
    *("Rescaling", "Normalization", "BatchNormalization", "LayerNormalization"),
    *("GroupNormalization", "UnitNormalization", "Discretization", "CategoryEncoding", "Hashing"),
    *("TextVectorization", "StringLookup", "IntegerLookup", "Embedding", "Lambda"),
)
"""Layers after which the scale of the inputs is theirs, or may be."""


@dataclasses.dataclass(frozen=True)
class LayerFacts:
    """What a layer is.

    Attributes:
        name: Its name.
        kind: Its class's name.
        activation: Its activation's name; empty where it has none.
        rate: The rate of a Dropout and its kin.
        constant_kernel: Whether all its units begin with the same weights.
        is_stock: Whether it is one of Keras's.
    """

    name: str
    kind: str
    activation: str = ""
    rate: float | None = None
    constant_kernel: bool = False
    is_stock: bool = True


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a model is.

    Attributes:
        layers: Its layers, those of models within it one by one, without inputs.
        is_chain: Whether each layer feeds the next one and no other.
        head: Its last layer, where it is one.
        loss: The loss it was compiled with, where it is one.
        metrics: The names of its metrics, as Keras's functions or classes are called.
        optimizer: The class of its optimizer.
        rate: Its learning rate; `None` where a schedule tells it.
        built: Whether its variables are there.
        compiled: Whether it was compiled.
        trainable: The number of weights that training changes, embeddings apart.
        is_frozen: Whether there is nothing to train.
        odd_weights: The paths of weights that hold NaN or infinity.
        vocabulary: The rows of its first layer, where that is an Embedding.
        batch_size: The rows that it takes at a time, where it takes no others.
    """

    layers: tuple[LayerFacts, ...] = ()
    is_chain: bool = True
    head: Head | None = None
    loss: Loss | None = None
    metrics: tuple[str, ...] = ()
    optimizer: str = ""
    rate: float | None = None
    built: bool = True
    compiled: bool = True
    trainable: int = 0
    is_frozen: bool = False
    odd_weights: tuple[str, ...] = ()
    vocabulary: int | None = None
    batch_size: int | None = None

    @property
    def scales(self) -> bool:
        """Whether the model scales its inputs itself, or may."""
        return any(layer.kind in _SCALERS or not layer.is_stock for layer in self.layers)

    @property
    def task(self) -> str:
        """What the loss says: "classes", "numbers" or nothing."""
        return self.loss.task if self.loss else ""


def facts_of(model: keras.Model) -> ModelFacts:
    """Returns what can be read off a model; nothing of it changes.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
        >>> facts = facts_of(model)
        >>> facts.trainable, facts.compiled, facts.scales
        (15, False, False)
    """
    inner = [layer for layer in layers_of(model) if not getattr(layer, "layers", None)]
    layers = [layer for layer in inner if not isinstance(layer, keras.layers.InputLayer)]
    optimizer = getattr(model, "optimizer", None)
    rate = None if optimizer is None else variable_rate_of(optimizer)
    embedded = {
        id(weight)
        for layer in layers
        if isinstance(layer, keras.layers.Embedding)
        for weight in layer.weights
    }
    trainable = model.trainable_variables
    return ModelFacts(
        layers=tuple(map(_layer, layers)),
        is_chain=_is_chain(model),
        head=head_of(model),
        loss=compiled_loss(model),
        metrics=_metric_names(model),
        optimizer="" if optimizer is None else type(inner_of(optimizer)).__name__,
        rate=None if rate is None else as_given(rate),
        built=model.built,
        compiled=model.compiled,
        trainable=sum(int(np.prod(v.shape)) for v in trainable if id(v) not in embedded),
        is_frozen=model.built and not trainable,
        odd_weights=tuple(v.path for v in model.weights if not _is_finite(v)),
        vocabulary=_vocabulary(layers),
        batch_size=_batch_size(model),
    )


def _layer(layer: keras.Layer) -> LayerFacts:
    activation = getattr(layer, "activation", None)
    rate = getattr(layer, "rate", None)
    return LayerFacts(
        name=layer.name,
        kind=type(layer).__name__,
        activation=str(getattr(activation, "__name__", "")),
        rate=float(rate) if isinstance(rate, int | float) else None,
        constant_kernel=_is_constant(getattr(layer, "kernel", None) if layer.built else None),
        is_stock=type(layer).__module__.startswith("keras."),
    )


def _is_chain(model: keras.Model) -> bool:
    parts = [layer for layer in getattr(model, "layers", ()) if getattr(layer, "layers", None)]
    return isinstance(model, keras.Sequential) and all(map(_is_chain, parts))


def _is_constant(kernel: Any) -> bool:
    """Tells whether all units have the same weights, of several; and are trained from there."""
    if kernel is None or not getattr(kernel, "trainable", False):
        return False
    values = np.asarray(kernel)
    return values.ndim > 1 and values.shape[-1] > 1 and bool((values == values.flat[0]).all())


def _is_finite(variable: Any) -> bool:
    """Tells whether a variable is sound; infinity may be a mask's, where it isn't trained."""
    values = np.asarray(variable)
    if values.dtype.kind != "f":
        return True
    return bool(np.isfinite(values).all() if variable.trainable else not np.isnan(values).any())


def _batch_size(model: keras.Model) -> int | None:
    inputs = getattr(model, "inputs", None) or [None]
    shape = getattr(inputs[0], "shape", ())
    return int(shape[0]) if shape and shape[0] is not None else None


def _vocabulary(layers: list[keras.Layer]) -> int | None:
    first = layers[0] if layers else None
    return int(first.input_dim) if isinstance(first, keras.layers.Embedding) else None


def _metric_names(model: keras.Model) -> tuple[str, ...]:
    """Returns what each metric is called, "accuracy" or "BinaryAccuracy", as it was given."""
    config: Any = None
    # What the user made himself may have no settings; then nothing is said of it.
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of lambdas, which are saved nowhere here.
        config = model.get_compile_config() if model.compiled else None
    named = [_metric_name(part) for part in _leaves((config or {}).get("metrics"))]
    return tuple(name for name in named if name)


def _leaves(part: Any) -> list[Any]:
    """Returns serialised metrics out of lists and dicts of them."""
    if isinstance(part, list | tuple):
        return [leaf for item in part for leaf in _leaves(item)]
    if isinstance(part, dict) and "class_name" not in part:
        return [leaf for item in part.values() for leaf in _leaves(item)]
    return [part]


def _metric_name(part: Any) -> str:
    if isinstance(part, dict):
        config = part.get("config")
        name = config if part["class_name"] == "function" else part["class_name"]
        if name == "BinaryAccuracy" and isinstance(config, dict) and config["threshold"] <= 0:
            return ""  # A threshold for logits, as `compile_for_task` sets it.
        return str(name)
    return part if isinstance(part, str) else ""
