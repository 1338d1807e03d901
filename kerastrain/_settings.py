"""What is noted of a run for those who compare or judge it: its settings, and what chance gives.

A setting at its default is left out, so that what stands there is what somebody chose.
"""

import contextlib
import contextvars
import inspect
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._chance import PLAIN_LOSSES, chance_of
from kerastrain._checks import show
from kerastrain._configurations import RATE, flat, plain
from kerastrain._digests import decides, digests_of
from kerastrain._following import schedule_of
from kerastrain._optimizers import as_given, inner_of, variable_rate_of
from kerastrain._record_files import to_json
from kerastrain.architecture import layers_of
from kerastrain.data import with_class_weight
from kerastrain.records import DIGESTS
from kerastrain.sources import Source
from kerastrain.tasks import class_of_each_row, compiled_loss

_SIZES = (
    *("units", "filters", "input_dim", "output_dim", "num_heads", "key_dim", "kernel_size"),
    *("pool_size", "strides", "rate", "scale"),
)
"""What a layer's description tells of its sizes, in the layer's own words, where it has them."""

_USUAL_ACTIVATION = {"GRU": "tanh", "LSTM": "tanh", "SimpleRNN": "tanh", "ConvLSTM2D": "tanh"}

_MOST_ITEMS = 20
_LONGEST = 4_000  # letters: the layers of a ResNet fit in

_further: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
    "further", default=None
)


@contextlib.contextmanager
def noting(settings: Mapping[str, Any]) -> Iterator[None]:
    """Has a run that begins inside the block note these settings too, before its own."""
    token = _further.set(settings)
    try:
        yield
    finally:
        _further.reset(token)


def settings_of(
    model: keras.Model,
    source: Source,
    callbacks: Sequence[Any],
    *,
    epochs: int,
    batch_size: int,
    first_rate: float | None,
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what decides a run's course in plain values by name, as a reader wants to have it.

    Args:
        model: The compiled model, whose optimizer has its schedule.
        source: The run's data.
        callbacks: The user's.
        epochs: The epochs of the run.
        batch_size: Rows a step; a stream has its own.
        first_rate: The learning rate that the run began with, where it goes on; `None` for the
            optimizer's.
        arguments: What else `fit` was told, other than by default.
    """
    rows = source.positions
    sizes = {"batch_size": batch_size, "rows": None if rows is None else len(rows)}
    if rows is None:
        sizes = {"batch_size": _rows_of_batch(source.first), "steps": source.steps}
    further = _further.get() or {}
    told = {
        **further,
        "model": model_in_a_line(model),
        **_loss_entries(model),
        **_optimizer_entries(model.optimizer, first_rate),
        "epochs": epochs,
        **sizes,
        "validation_rows": source.held_out_count,
        "sample_weight": source.parts.get("sample_weight") is not None or None,
        **arguments,
        "callbacks": ", ".join(_callback(one) for one in callbacks if decides(one)),
    }
    entries = {name: _short(value) for name, value in told.items()}
    there = {name: value for name, value in entries.items() if value not in (None, "")}
    there[DIGESTS] = digests_of(model, source, callbacks, {**further, **arguments})
    return json.loads(json.dumps(to_json(there)))  # type: ignore[no-any-return]


def chance_in(
    model: keras.Model, source: Source, *, class_weight: Mapping[int, float] | None
) -> dict[str, float]:
    """Returns what the best constant answer would measure on a run's training rows.

    The loss is left out where it isn't that of the rows alone; where it has penalties, the metric
    that is without them has its place.

    Args:
        model: The compiled model.
        source: The run's data.
        class_weight: How much the rows of each class count.
    """
    y, positions = source.parts.get("y"), source.positions
    if positions is None or not isinstance(y, np.ndarray):
        return {}
    loss, weights = compiled_loss(model), _weights_in(model, source, class_weight)
    if weights is not None and (_is_penalised(model) or _validates_weighted(source)):
        return {}
    chosen = slice(None) if len(positions) == len(y) else positions
    chance = chance_of(loss, y[chosen], None if weights is None else weights[chosen])
    if any(name.startswith("loss.") for name in _loss_entries(model)):
        chance.pop("loss", None)
        chance.pop("val_loss", None)
    elif loss is not None and "loss" in chance and _is_penalised(model):
        chance[PLAIN_LOSSES[loss.name]] = chance.pop("loss")
    return chance


def _weights_in(
    model: keras.Model, source: Source, class_weight: Mapping[int, float] | None
) -> np.ndarray | None:
    """Returns how much each row counts in training; `None` where all count alike."""
    rows = source.rows
    if rows is None or (class_weight is None and rows.weight is None):
        return None
    return with_class_weight(rows, class_weight, class_of_each_row(model, rows.y)).weight


def _validates_weighted(source: Source) -> bool:
    """Whether validation rows have weights, given, or as a part of the training's."""
    given = source.parts.get("validation_data[2]") is not None
    is_split = source.held_out_count is not None and "validation_data[0]" not in source.parts
    return given or (is_split and source.parts.get("sample_weight") is not None)


def _is_penalised(model: keras.Model) -> bool:
    """Whether the loss holds more than what the rows cost, such as penalties on the weights."""
    parts = ("kernel", "bias", "activity", "embeddings", "recurrent")
    held = [getattr(layer, f"{p}_regularizer", None) for layer in layers_of(model) for p in parts]
    return any(one is not None for one in held) or bool(model.losses)


def model_in_a_line(model: keras.Model) -> str:
    """Describes a model by its layers.

    Example:
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(100, "relu")]
        >>> layers += [keras.layers.Dropout(0.3), keras.layers.Dense(10, "softmax")]
        >>> model_in_a_line(keras.Sequential([keras.Input((28, 28)), *layers]))
        'Flatten, Dense(100, relu), Dropout(0.3), Dense(10, softmax)'
    """
    leaves = [layer for layer in layers_of(model) if not getattr(layer, "layers", None)]
    words = [_layer(layer) for layer in leaves if not isinstance(layer, keras.layers.InputLayer)]
    runs: list[list[Any]] = []  # A word, and how often it follows itself.
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1][1] += 1
        else:
            runs.append([word, 1])
    line = ", ".join(word if count == 1 else f"{count} × {word}" for word, count in runs)
    own = type(model).__name__
    return line if own in ("Sequential", "Functional") and line else f"{own}({line})"


def _layer(layer: keras.Layer) -> str:
    """Describes a layer by its sizes, activation and penalty; a frozen one as that."""
    kind = type(layer).__name__
    try:
        inside = ", ".join(filter(None, _told_of(layer, kind)))
    except Exception:  # Of a layer of the user's, whose attributes may be anything.
        inside = ""
    frozen = "frozen " if layer.weights and not layer.trainable else ""
    return f"{frozen}{kind}({inside})" if inside else f"{frozen}{kind}"


def _told_of(layer: keras.Layer, kind: str) -> list[str]:
    sizes = {name: getattr(layer, name, None) for name in _SIZES}
    if sizes["strides"] in (sizes["pool_size"], 1) or not np.any(np.array(sizes["strides"]) != 1):
        sizes["strides"] = None
    told = [_size(value) for value in sizes.values()]
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    if activation not in ("linear", _USUAL_ACTIVATION.get(kind)):
        told.append(activation)
    told += _penalties(layer)
    wrapped = getattr(layer, "forward_layer", getattr(layer, "layer", None))
    if isinstance(wrapped, keras.Layer):
        told.append(_layer(wrapped))
    return told


def _size(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple | list) and all(isinstance(one, int) for one in value):
        return "×".join(map(str, value))
    return ""


def _penalties(layer: keras.Layer) -> list[str]:
    found = [getattr(layer, f"{part}_regularizer", None) for part in ("kernel", "activity")]
    config = [one.get_config() for one in found if isinstance(one, keras.regularizers.Regularizer)]
    return [f"{k}={v:.6g}" for each in config for k, v in each.items() if isinstance(v, float) if v]


def _loss_entries(model: keras.Model) -> dict[str, Any]:
    loss = getattr(model, "loss", None)
    known = compiled_loss(model)
    if known is None:
        named = loss.items() if isinstance(loss, Mapping) else enumerate(loss or ())
        return {"loss": ", ".join(f"{name}: {_name(one)}" for name, one in named)}
    own = _chosen(loss, "loss") if isinstance(loss, keras.losses.Loss) else {}
    return {"loss": known.name, **{k: v for k, v in own.items() if k != "loss.from_logits"}}


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)


def _optimizer_entries(
    optimizer: keras.optimizers.Optimizer, first_rate: float | None
) -> dict[str, Any]:
    inner = inner_of(optimizer)
    rate = variable_rate_of(inner)
    entries: dict[str, Any] = {"optimizer": type(inner).__name__}
    if rate is not None:
        entries[RATE] = as_given(rate) if first_rate is None else first_rate
    else:
        entries["schedule"] = _schedule(inner)
    return entries | {k: v for k, v in _chosen(inner, "optimizer").items() if k != RATE}


def _chosen(thing: Any, name: str) -> dict[str, Any]:
    """Returns the settings of one of Keras's objects that aren't the defaults of its class."""
    config = _config_of(thing)
    usual = {
        parameter.name: parameter.default
        for kind in reversed(type(thing).__mro__)
        if "__init__" in vars(kind) and kind is not object
        for parameter in inspect.signature(vars(kind)["__init__"]).parameters.values()
    }
    chosen = {k: v for k, v in config.items() if k != "name" and k in usual and v != usual[k]}
    untold = ("dtype", "fn", "learning_rate")
    return {f"{name}.{k}": v for k, v in flat(chosen) if k and not k.startswith(untold)}


def _schedule(optimizer: keras.optimizers.Optimizer) -> str:
    own = schedule_of(optimizer)
    if own is not None:
        config = {name: value for name, value in own.get_config().items() if name != "span"}
        return _call(own.factory, config)
    told = _config_of(optimizer).get("learning_rate")
    if isinstance(told, Mapping) and isinstance(told.get("config"), Mapping):
        return _call(str(told.get("class_name")), told["config"])
    return "one of the user's own"


def _call(name: str, config: Mapping[str, Any]) -> str:
    told = {k: v for k, v in flat(config) if v is not None and k != "name"}
    return f"{name}({', '.join(f'{k}={v}' for k, v in told.items())})"


def _config_of(thing: Any) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # Of a lambda's settings, unsafe to load.
            return dict(thing.get_config())
    except Exception:  # Of what is the user's own, which needs no settings to be trained with.
        return {}


def _callback(callback: Any) -> str:
    kinds = [kind for kind in type(callback).__mro__ if kind.__module__.startswith("keras.")]
    stock = kinds and kinds[0] is not keras.callbacks.Callback
    name = (kinds[0] if stock else type(callback)).__name__
    patience = getattr(callback, "patience", None)
    return f"{name}(patience={patience})" if isinstance(patience, int) else name


def _short(value: Any) -> Any:
    """Returns a value in plain words; of a long list, such as a text's words, its length."""
    if isinstance(value, Mapping | list | tuple) and len(value) > _MOST_ITEMS:
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return show(value) if isinstance(value, np.ndarray) else plain(value)


def _rows_of_batch(batch: Any) -> int | None:
    shapes = [np.shape(part) for part in keras.tree.flatten(batch) if part is not None]
    return int(shapes[0][0]) if shapes and shapes[0] else None
