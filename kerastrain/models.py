"""The registry of model builders, and the builders that come with the package.

A builder is any function `f(a_layer=None, **params) -> keras.Model`. It returns a fresh model that
nobody has compiled. The built-in ones share one shape: layers, then `a_layer`, then the head.
"""

import inspect
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, show

Builder: TypeAlias = Callable[..., keras.Model]
ALayer: TypeAlias = keras.Layer | Sequence[keras.Layer] | Callable[[], Any] | None

_builders: dict[str, Builder] = {}


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


def build(name_or_function: str | Builder, a_layer: ALayer = None, **params: Any) -> keras.Model:
    """Builds a fresh model from a registered name or a function.

    Args:
        name_or_function: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        a_layer: A layer, a list of layers or a function that makes one, for the builder to put
            before the head. A layer object is copied from its config, so that one object can go
            into two models which then share nothing.
        **params: The builder's own parameters.

    Returns:
        The model, as the builder made it; the built-in builders don't compile.

    Raises:
        ValueError: If the name or a parameter is unknown.
        TypeError: If `a_layer` is of another kind, or the builder returns no model.

    Example:
        >>> model = build("dense", keras.layers.Dropout(0.3))
        >>> model.count_params()
        79510
        >>> [layer.name.split("_")[0] for layer in model.layers]
        ['flatten', 'dense', 'dropout', 'dense']
    """
    builder = builder_of(name_or_function)
    _check_parameters(builder, a_layer, params)
    if a_layer is not None:
        # The built-in builders take every form themselves, since they can be called directly.
        params["a_layer"] = a_layer if builder in _BUILT_IN else _one_or_many(a_layer)
    model = builder(**params)
    if not isinstance(model, keras.Model):
        must, received = "return a keras.Model", f"a builder that returns {show(model)}"
        raise invalid("build", "name_or_function", must, received, kind=TypeError)
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


def model_fn(a_layer: ALayer = None) -> keras.Model:
    """Builds the study notes' first model: `build("dense")` with nothing changed.

    Flatten(28 x 28), Dense(100, relu), `a_layer`, Dense(10, softmax); 79,510 parameters.

    Example:
        >>> model_fn().count_params()
        79510
    """
    return dense(a_layer)


def dense(
    a_layer: ALayer = None,
    *,
    input_shape: Sequence[int] = (28, 28),
    units: int = 100,
    classes: int = 10,
    activation: str = "relu",
) -> keras.Model:
    """Builds a classifier with one hidden layer: images or rows in, softmax out.

    Args:
        a_layer: Layers between the hidden layer and the head.
        input_shape: The shape of one row; flattened.
        units: The width of the hidden layer.
        classes: The number of classes, and so of softmax units.
        activation: The hidden layer's activation.

    Example:
        >>> dense(keras.layers.Dropout(0.2), units=128).output_shape
        (None, 10)
    """
    hidden = keras.layers.Dense(_int(units), activation=activation)
    return _stack(input_shape, [keras.layers.Flatten(), hidden], a_layer, _class_head(classes))


def regression(
    a_layer: ALayer = None,
    *,
    n_hidden: int = 1,
    n_neurons: int = 30,
    input_shape: Sequence[int] = (8,),
    outputs: int = 1,
) -> keras.Model:
    """Builds a multilayer perceptron with a linear head.

    Args:
        a_layer: Layers between the last hidden layer and the head.
        n_hidden: How many hidden layers; 0 gives a linear model.
        n_neurons: The width of each.
        input_shape: The shape of one row, such as `(8,)` for eight features.
        outputs: The number of target columns.

    Example:
        >>> regression(n_hidden=2, n_neurons=64, input_shape=[8]).count_params()
        4801
    """
    hidden = _hidden_layers(n_hidden, n_neurons, input_shape)
    return _stack(input_shape, hidden, a_layer, keras.layers.Dense(_int(outputs)))


def binary(
    a_layer: ALayer = None,
    *,
    n_hidden: int = 1,
    n_neurons: int = 30,
    input_shape: Sequence[int] = (8,),
) -> keras.Model:
    """Builds a multilayer perceptron with one sigmoid unit, for two classes.

    The arguments are those of the `regression` builder.

    Example:
        >>> binary(input_shape=(30,)).output_shape
        (None, 1)
    """
    hidden = _hidden_layers(n_hidden, n_neurons, input_shape)
    return _stack(input_shape, hidden, a_layer, _class_head(2))


def cnn(
    a_layer: ALayer = None,
    *,
    input_shape: Sequence[int] = (28, 28),
    filters: Sequence[int] = (32, 64),
    kernel_size: int = 3,
    units: int = 128,
    classes: int = 10,
) -> keras.Model:
    """Builds a convolutional classifier: convolution and pooling per entry of `filters`.

    Args:
        a_layer: Layers between the dense layer and the head.
        input_shape: The shape of one image, `(height, width)` or `(height, width, channels)`.
        filters: The number of filters of each block; a block halves height and width.
        kernel_size: The side of the convolution window, in pixels.
        units: The width of the dense layer after the blocks.
        classes: The number of classes, and so of softmax units.

    Example:
        >>> cnn().count_params()
        421642
    """
    shape = tuple(input_shape)
    layers: list[keras.Layer] = [keras.layers.Reshape((*shape, 1))] if len(shape) == 2 else []
    for count in filters:
        convolution = keras.layers.Conv2D(
            _int(count), _int(kernel_size), padding="same", activation="relu"
        )
        layers += [convolution, keras.layers.MaxPooling2D()]
    layers += [keras.layers.Flatten(), keras.layers.Dense(_int(units), activation="relu")]
    return _stack(shape, layers, a_layer, _class_head(classes))


def text(
    a_layer: ALayer = None,
    *,
    texts: Sequence[str] | np.ndarray | None = None,
    vocabulary: Sequence[str] | None = None,
    split: str = "whitespace",
    ngrams: int | Sequence[int] | None = None,
    max_tokens: int = 20_000,
    length: int = 100,
    embedding: int = 32,
    units: int = 32,
    classes: int = 2,
) -> keras.Model:
    """Builds a classifier of raw texts: vectoriser, Embedding, LSTM, head.

    The vectoriser is part of the model, so that a saved model takes strings as the trained one
    does. Keras takes strings as NumPy object arrays or tensors.

    Args:
        a_layer: Layers between the LSTM and the head.
        texts: The training texts, from which the vocabulary is learnt; `build_and_fit` passes them.
        vocabulary: The tokens themselves, in place of `texts`.
        split: What a token is: `"whitespace"` for words, `"character"` for letters, which suits
            Korean, whose words carry endings.
        ngrams: Runs of tokens to take as tokens; `(2,)` with characters gives letter pairs.
        max_tokens: The size of the vocabulary at most; the rest is one unknown token.
        length: The number of tokens that a text is cut or padded to; padding is masked.
        embedding: The width of the embedding.
        units: The width of the LSTM.
        classes: 2 gives one sigmoid unit, more give softmax.

    Raises:
        ValueError: If there are neither texts nor a vocabulary.

    Example:
        >>> model = text(texts=["so good", "so bad", "very good"], length=4)
        >>> [layer.name.split("_")[0] for layer in model.layers]
        ['text', 'embedding', 'lstm', 'dense']
    """
    if (texts is None) == (vocabulary is None):
        must = "be given, or else `vocabulary`, and not both"
        raise invalid("text", "texts", must, f"texts={show(texts)}, vocabulary={show(vocabulary)}")
    vectoriser = keras.layers.TextVectorization(
        max_tokens=_int(max_tokens),
        split=one_of("text", "split", split, ["whitespace", "character"]),
        ngrams=_ints(ngrams),
        output_sequence_length=_int(length),
        vocabulary=vocabulary,
    )
    if texts is not None:
        vectoriser.adapt(np.asarray(texts, dtype=object))
    embedded = keras.layers.Embedding(vectoriser.vocabulary_size(), _int(embedding), mask_zero=True)
    layers = [vectoriser, embedded, keras.layers.LSTM(_int(units))]
    return _stack((), layers, a_layer, _class_head(classes), dtype="string")


def _stack(
    input_shape: Sequence[int],
    layers: Sequence[keras.Layer],
    a_layer: ALayer,
    head: keras.Layer,
    *,
    dtype: str | None = None,
) -> keras.Model:
    shape = tuple(_int(side) for side in input_shape)
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Sequential([inputs, *layers, *_fresh_layers(a_layer), head])


def _hidden_layers(count: int, width: int, input_shape: Sequence[int]) -> list[keras.Layer]:
    flatten = [keras.layers.Flatten()] if len(input_shape) != 1 else []
    hidden = [keras.layers.Dense(_int(width), activation="relu") for _ in range(_int(count))]
    return flatten + hidden


def _class_head(classes: int) -> keras.Layer:
    if classes == 2:
        return keras.layers.Dense(1, activation="sigmoid")
    return keras.layers.Dense(_int(classes), activation="softmax")


def _int(value: Any) -> int:
    """Keras refuses NumPy's integers, which every search hands out."""
    return operator.index(value)


def _ints(value: Any) -> Any:
    if value is None:
        return None
    return tuple(map(_int, value)) if isinstance(value, Sequence | np.ndarray) else _int(value)


def _one_or_many(a_layer: ALayer) -> keras.Layer | list[keras.Layer]:
    layers = _fresh_layers(a_layer)
    return layers[0] if len(layers) == 1 else layers


def _fresh_layers(a_layer: ALayer) -> list[keras.Layer]:
    """Returns layers that belong to nobody: copies of those given, or newly made ones."""
    if a_layer is None:
        return []
    if isinstance(a_layer, keras.Layer):
        return [_copy(a_layer)]
    if isinstance(a_layer, Sequence) and all(isinstance(item, keras.Layer) for item in a_layer):
        names = [layer.name for layer in a_layer]
        repeats = [names[:position].count(name) for position, name in enumerate(names)]
        return [_copy(*pair) for pair in zip(a_layer, repeats, strict=True)]
    made = a_layer() if callable(a_layer) else None
    made_layers = [made] if isinstance(made, keras.Layer) else made
    if isinstance(made_layers, list | tuple) and all(
        isinstance(item, keras.Layer) for item in made_layers
    ):
        return list(made_layers)
    must = "be a layer, a list of layers or a function that makes one"
    product = "" if made is None else f" that makes {show(made)}"
    received = f"a_layer={show(a_layer)}{product}"
    raise invalid("build", "a_layer", must, received, kind=TypeError)


def _copy(layer: keras.Layer, repeat: int = 0) -> keras.Layer:
    """Copies a layer; the name that a user gave it stays, save where it repeats in one list."""
    config = layer.get_config()
    if "name" in config and _named_by_keras(layer):
        # Keras's counter starts afresh after `clear_session`, and the old name would clash.
        config["name"] = None
    elif "name" in config and repeat:
        config["name"] += f"_{repeat}"
    copy = type(layer).from_config(config)
    if _has_forgotten(copy, layer):
        must = "not be a layer that was adapted to data; pass a function that makes and adapts it"
        raise invalid("build", "a_layer", must, f"a_layer={show(layer)}")
    return copy


def _has_forgotten(copy: keras.Layer, layer: keras.Layer) -> bool:
    """Tells whether a layer has learnt from data, by `adapt`, what isn't in its config."""
    if hasattr(layer, "get_vocabulary"):
        return bool(copy.get_vocabulary() != layer.get_vocabulary())
    return hasattr(layer, "adapt") and layer.built and not copy.built


def _named_by_keras(layer: keras.Layer) -> bool:
    stem = re.sub(r"_\d+$", "", layer.name).replace("_", "")
    return bool(stem == type(layer).__name__.lower())


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


_BUILT_IN = (dense, regression, binary, cnn, text, model_fn)
_builders.update(dense=dense, regression=regression, binary=binary, cnn=cnn, text=text)
