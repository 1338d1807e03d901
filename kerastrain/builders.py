"""The builders that come with the package, and the layers that a caller puts into a model.

They share one shape: layers, then `a_layer`, then the head. None of them compiles.
"""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, show

ALayer: TypeAlias = keras.Layer | Sequence[keras.Layer] | Callable[[], Any] | None


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
    standardize: str | None = "lower_and_strip_punctuation",
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
            Korean, whose words carry endings. There a token is a syllable, if the texts are in
            Unicode's composed form, as typed ones are; `unicodedata.normalize("NFC", text)` makes
            others so.
        standardize: What is done to a text first: `"lower_and_strip_punctuation"`, `"lower"`,
            `"strip_punctuation"` or `None`. Stripping puts nothing in its place, so that
            "good..but" becomes one word; and it takes the "^^" and ";;" by which Korean reviews
            tell their mood. `"lower"` keeps them, for letters.
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
        standardize=_standardize(standardize),
        ngrams=_ints(ngrams),
        output_sequence_length=_int(length),
        vocabulary=vocabulary,
    )
    if texts is not None:
        vectoriser.adapt(np.asarray(texts, dtype=object))
    embedded = keras.layers.Embedding(vectoriser.vocabulary_size(), _int(embedding), mask_zero=True)
    layers = [vectoriser, embedded, keras.layers.LSTM(_int(units))]
    return _stack((), layers, a_layer, _class_head(classes), dtype="string")


def _standardize(name: str | None) -> str | None:
    names = ["lower_and_strip_punctuation", "lower", "strip_punctuation"]
    return None if name is None else one_of("text", "standardize", name, names)


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
    return keras.Sequential([inputs, *layers, *fresh_layers(a_layer), head])


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


def fresh_layers(a_layer: ALayer) -> list[keras.Layer]:
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
