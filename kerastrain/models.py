"""The registry of model builders, and `build`, which calls one.

A builder is any function `f(a_layer=None, **params) -> keras.Model`. It returns a fresh model that
nobody has compiled.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, show
from kerastrain.builders import (
    ALayer,
    binary,
    cnn,
    dense,
    fresh_layers,
    model_fn,
    regression,
    text,
)
from kerastrain.transfer import parameters_from_reused, reuse_layers

Builder: TypeAlias = Callable[..., keras.Model]

_BUILT_IN = (dense, regression, binary, cnn, text, model_fn)

_builders: dict[str, Builder] = {
    "dense": dense,
    "regression": regression,
    "binary": binary,
    "cnn": cnn,
    "text": text,
}


def register_model(name: str) -> Callable[[Builder], Builder]:
    """Registers a builder under a name; use it as a decorator.

    Registering a name again replaces the builder, as happens when a notebook cell runs twice. The
    names of the built-in builders are taken.

    Args:
        name: What `build` will know the builder by.

    Raises:
        ValueError: If the name belongs to a built-in builder.
        TypeError: If the name isn't a string or the builder isn't a function.

    Example:
        >>> @register_model("wide")
        ... def wide(a_layer=None, *, units=512):
        ...     return build("dense", a_layer, units=units)
        >>> build("wide").count_params()
        407050
    """
    if not isinstance(name, str) or not name:
        must, received = "be a name", f"name={show(name)}"
        raise invalid("register_model", "name", must, received, kind=TypeError)
    if _builders.get(name) in _BUILT_IN:
        taken = ", ".join(repr(taken) for taken in list_models() if _builders[taken] in _BUILT_IN)
        must = f"not be that of a built-in model ({taken})"
        raise invalid("register_model", "name", must, f"name={name!r}")

    def register(builder: Builder) -> Builder:
        if not callable(builder):
            must, received = "be a function that returns a keras.Model", show(builder)
            raise invalid("register_model", "builder", must, received, kind=TypeError)
        _builders[name] = builder
        return builder

    return register


def list_models() -> list[str]:
    """Returns the names that `build` knows, sorted.

    Example:
        >>> [name for name in list_models() if name in ("cnn", "dense", "text")]
        ['cnn', 'dense', 'text']
    """
    return sorted(_builders)


def build(
    name_or_function: str | Builder,
    a_layer: ALayer = None,
    *,
    reuse: keras.Model | None = None,
    layers: int | None = None,
    frozen: bool | None = None,
    **params: Any,
) -> keras.Model:
    """Builds a fresh model from a registered name or a function.

    With `reuse`, it begins with what another model has learnt. The weights of the other's lower
    layers are copied into those of the new one, in order from the input up and whatever they are
    called, with the statistics of a BatchNormalization. Layers count where they have weights, as
    `summary()` shows them, so that Flatten, Dropout and the like may differ; those of models within
    a model count one by one. Their kinds, shapes and own activations have to agree. A text model's
    vocabulary, to which the rows of its Embedding belong, is taken over in place of `texts`.

    Args:
        name_or_function: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        a_layer: A layer, a list of layers or a function that makes one, for the builder to put
            before the head. A layer object is copied from its config, so that one object can go
            into two models which then share nothing.
        reuse: A trained model, of any builder or none. It stays as it is, and shares nothing.
        layers: How many of its layers to reuse, counted from the input; all but the last, the head,
            if left out.
        frozen: Whether the reused layers have `trainable=False`, which is so if left out: training
            leaves them as they are, until `fit(unfreeze=...)`. A frozen BatchNormalization runs as
            in inference, by its statistics, as is Keras's way.
        **params: The builder's own parameters. One that it calls `layers`, say, is passed to it
            where nothing is reused.

    Returns:
        The model, as the builder made it; the built-in builders don't compile.

    Raises:
        ValueError: If the name or a parameter is unknown, or the layers to reuse don't fit.
        TypeError: If `a_layer` or `reuse` is of another kind, or the builder returns no model.

    Example:
        >>> model = build("dense", keras.layers.Dropout(0.3))
        >>> model.count_params()
        79510
        >>> [layer.name.split("_")[0] for layer in model.layers]
        ['flatten', 'dense', 'dropout', 'dense']
        >>> of_five = build("dense", reuse=model, layers=1, classes=5)
        >>> [layer.trainable for layer in of_five.layers if layer.weights]
        [False, True]
    """
    builder = builder_of(name_or_function)
    transfer = {"reuse": reuse, "layers": layers, "frozen": frozen}
    own = _parameters_of_its_own(builder, transfer)
    return built(builder, a_layer, params | own, **{**transfer, **dict.fromkeys(own)})


def built(
    builder: Builder,
    a_layer: ALayer,
    params: Mapping[str, Any],
    *,
    reuse: Any = None,
    layers: Any = None,
    frozen: Any = None,
) -> keras.Model:
    """Does what `build` does, with the builder's parameters in a dict of their own."""
    params = dict(params)
    if reuse is None:
        for name, value in (("layers", layers), ("frozen", frozen)):
            if value is not None:
                must = "be left out without `reuse`, the trained model"
                raise invalid("build", name, must, f"{name}={show(value)}")
    params |= parameters_from_reused(builder, params, reuse)
    _check_parameters(builder, a_layer, params)
    if a_layer is not None:
        # The built-in builders take every form themselves, since they can be called directly.
        params["a_layer"] = a_layer if builder in _BUILT_IN else _one_or_many(a_layer)
    model = builder(**params)
    if not isinstance(model, keras.Model):
        must, received = "return a keras.Model", f"a builder that returns {show(model)}"
        raise invalid("build", "name_or_function", must, received, kind=TypeError)
    if reuse is not None:
        reuse_layers(model, reuse, layers=layers, frozen=frozen is None or frozen)
    return model


def builder_of(
    name_or_function: str | Builder,
    *,
    function: str = "build",
    argument: str = "name_or_function",
) -> Builder:
    """Returns the builder that a name stands for, or the function itself."""
    # A model is callable too, but it is what a builder makes.
    if callable(name_or_function) and not isinstance(name_or_function, keras.Layer):
        return name_or_function
    return _builders[one_of(function, argument, name_or_function, list_models())]


def model_checked(function: str, model: Any) -> keras.Model:
    """Returns what was passed as `model` if it is one, or raises."""
    if not isinstance(model, keras.Model):
        raise invalid(function, "model", "be a keras.Model", show(model), kind=TypeError)
    return model


def compiled_model_checked(function: str, model: Any) -> keras.Model:
    """Returns what was passed as `model` if it can be trained, or raises."""
    if not model_checked(function, model).compiled:
        must = "be compiled: call compile_for_task(model, y=y) or model.compile(...) first"
        raise invalid(function, "model", must, "a model that isn't")
    if model.optimizer is None:
        raise invalid(function, "model", "be compiled with an optimizer", "a model without one")
    return model


def parameters_from_data(
    builder: Builder, given: dict[str, Any], *, x: Any, y: Any, classes: int | None
) -> dict[str, Any]:
    """Returns the parameters that the data can answer and the caller did not.

    A builder that has a parameter `input_shape`, `classes`, `outputs` or `texts` gets the shape of
    one row, the number of classes, the number of target columns, or the training texts, unless it
    is given a `vocabulary`.

    Args:
        builder: The builder to be called.
        given: The parameters that the caller gave, which win.
        x: The training inputs; one array, or anything else, which answers nothing.
        y: The training targets.
        classes: The number of classes, or `None` where there are none to count.

    Example:
        >>> x, y = np.zeros((10, 8)), np.zeros(10)
        >>> parameters_from_data(regression, {}, x=x, y=y, classes=None)
        {'input_shape': (8,), 'outputs': 1}
    """
    answers: dict[str, Any] = {}
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "OUST":
            answers["input_shape"] = x.shape[1:]
        elif "vocabulary" not in given:
            answers["texts"] = x
    if classes is not None:
        answers["classes"] = classes
    if isinstance(y, np.ndarray):
        answers["outputs"] = y.shape[1] if y.ndim == 2 else 1
    wanted = inspect.signature(builder).parameters
    return {name: value for name, value in answers.items() if name in wanted and name not in given}


def _parameters_of_its_own(builder: Builder, transfer: dict[str, Any]) -> dict[str, Any]:
    """Returns those of `reuse`, `layers` and `frozen` that a builder has as its own parameters."""
    known = inspect.signature(builder).parameters
    is_reused = transfer["reuse"] is not None and "reuse" not in known
    is_free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    own = {
        name: value
        for name, value in transfer.items()
        if value is not None and (name in known or (is_free and not is_reused))
    }
    if own and is_reused:
        name = next(iter(own))
        must = (
            "be left out beside `reuse` where the builder has a parameter of that name too: call "
            "the builder with its own in a function, and pass that"
        )
        raise invalid("build", name, must, f"{name}={show(own[name])}")
    return own


def _one_or_many(a_layer: ALayer) -> keras.Layer | list[keras.Layer]:
    layers = fresh_layers(a_layer)
    return layers[0] if len(layers) == 1 else layers


def _check_parameters(builder: Builder, a_layer: ALayer, params: dict[str, Any]) -> None:
    known = inspect.signature(builder).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    name = getattr(builder, "__name__", show(builder))
    if a_layer is not None and "a_layer" not in known:
        must = "be left out: the builder has no such parameter"
        raise invalid(f"build({name})", "a_layer", must, f"a_layer={show(a_layer)}")
    names = [known_name for known_name in known if known_name != "a_layer"]
    for parameter, value in params.items():
        if not names:
            must = "be left out: the builder has no such parameter"
            raise invalid(f"build({name})", parameter, must, f"{parameter}={show(value)}")
        one_of(f"build({name})", "params", parameter, names)
