"""Transfer: the lower layers of a trained model, put into a new one by `build(reuse=...)`.

The new model keeps its own layers, into which the weights are copied. A layer is one with weights,
as `summary()` shows it; models within a model are opened. The two are matched from the input up,
whatever their layers are called.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from kerastrain._checks import flag, invalid, show, whole_number

_MEANING = {
    *("activation", "recurrent_activation", "axis", "data_format", "go_backwards", "merge_mode"),
    *("dilation_rate", "epsilon"),
}
"""Settings without which the same weights mean something else, of layers within a layer too."""

_NO_LAYERS = ("_initializer", "_regularizer", "_constraint", "dtype", "build_config")
"""What ends so holds settings that aren't a layer's, or of no meaning for what is computed."""

_OF_NO_MEANING = {
    *("name", "dtype", "trainable", "vocabulary", "vocabulary_size", "idf_weights", "max_tokens"),
    *("output_sequence_length", "pad_to_max_tokens", "batch_input_shape", "build_config"),
}
"""Settings of a vectoriser that change no token's number."""


def reuse_layers(
    model: keras.Model, trained: keras.Model, *, layers: int | None = None, frozen: bool = True
) -> None:
    """Copies the lowest layers of a trained model into a new one.

    Args:
        model: The new model.
        trained: The trained one, which stays as it is and shares nothing with the new one.
        layers: How many layers with weights, from the input up; `None` is all of them but the
            last, the head.
        frozen: Whether they are left out of training, by `trainable=False`.

    Raises:
        ValueError: If they don't fit; the new model then is as it was.

    Example:
        >>> def made():
        ...     sizes = [keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)]
        ...     return keras.Sequential(sizes)
        >>> trained, model = made(), made()
        >>> reuse_layers(model, trained, layers=1)
        >>> bool((model.get_weights()[0] == trained.get_weights()[0]).all())
        True
        >>> [layer.trainable for layer in model.layers]
        [False, True]
    """
    if not isinstance(trained, keras.Model):
        must = "be a keras.Model, the trained one"
        raise invalid("build", "reuse", must, f"reuse={show(trained)}", kind=TypeError)
    flag("build", "frozen", frozen)
    theirs, ours = _leaves(trained), _leaves(model)
    if _count(theirs) != len(trained.weights):
        must = "hold its weights in its layers, to take the lower ones"
        raise invalid("build", "reuse", must, f"{show(trained)}, which holds some itself")
    pairs = _lowest(theirs, ours, layers)
    _check_vocabularies(_below(theirs, pairs[-1][0]), _below(ours, pairs[-1][1]))
    for number, (their, our) in enumerate(pairs, start=1):
        _check_alike(number, their, our)
    for their, our in pairs:
        our.set_weights(their.get_weights())
        if hasattr(our, "finalize_state"):
            our.finalize_state()  # Normalization computes with what it has made of its weights.
        if frozen:
            our.trainable = False


def parameters_from_reused(
    builder: Callable[..., Any], given: dict[str, Any], trained: Any
) -> dict[str, Any]:
    """Returns the parameters that a text model to be reused can answer and the caller did not.

    An embedding's rows belong to the words of its vocabulary. A builder that has a parameter
    `vocabulary` gets that of the trained model's vectoriser, and with it those settings of `split`,
    `ngrams`, `max_tokens` and `length` that it has parameters for, unless it is given `texts` or a
    `vocabulary`.

    Args:
        builder: The builder to be called.
        given: The parameters that the caller gave, which win.
        trained: The trained model.
    """
    wanted = inspect.signature(builder).parameters
    leaves = _leaves(trained) if isinstance(trained, keras.Model) else []
    vectorisers = [leaf for leaf in leaves if isinstance(leaf, keras.layers.TextVectorization)]
    if "vocabulary" not in wanted or {"texts", "vocabulary"} & set(given) or len(vectorisers) != 1:
        return {}
    (vectoriser,) = vectorisers
    settings, vocabulary = vectoriser.get_config(), vectoriser.get_vocabulary()
    answers = {
        "vocabulary": [str(token) for token in vocabulary],
        "split": settings["split"],
        "ngrams": settings["ngrams"],
        "max_tokens": settings["max_tokens"] or len(vocabulary),
        "length": settings["output_sequence_length"],
    }
    return {
        name: value
        for name, value in answers.items()
        if name in wanted and name not in given and value is not None
    }


def _leaves(model: keras.Model) -> list[keras.Layer]:
    """Returns a model's layers from the input up, with those of models within it in their place."""
    leaves: list[keras.Layer] = []
    for layer in model.layers:
        # A model with weights of its own beside its layers' is taken as one layer.
        within = _leaves(layer) if isinstance(layer, keras.Model) else []
        leaves += within if within and _count(within) == len(layer.weights) else [layer]
    return list({id(leaf): leaf for leaf in leaves}.values())


def _count(leaves: list[keras.Layer]) -> int:
    return sum(len(leaf.weights) for leaf in leaves)


def _lowest(
    theirs: list[keras.Layer], ours: list[keras.Layer], layers: int | None
) -> list[tuple[keras.Layer, keras.Layer]]:
    """Returns the pairs of layers to copy between, from the input up."""
    theirs, ours = ([leaf for leaf in leaves if leaf.weights] for leaves in (theirs, ours))
    if not theirs:
        must = "have layers with weights: call it on data first where it isn't built"
        raise invalid("build", "reuse", must, "a model without weights")
    if layers is None and len(theirs) == 1:
        must = "have layers with weights below its head, or pass `layers`=1 to take the head itself"
        raise invalid("build", "reuse", must, "a model with one")
    count = len(theirs) - 1
    if layers is not None:
        count = whole_number("build", "layers", layers, least=1)
    for has, whose in ((len(theirs), "`reuse`"), (len(ours), "the new model")):
        if count > has:
            must = f"be at most {has}, the layers with weights of {whose}"
            received = f"layers={count}" if layers is not None else f"all but the head, {count}"
            raise invalid("build", "layers", must, received)
    return list(zip(theirs[:count], ours[:count], strict=True))


def _below(leaves: list[keras.Layer], top: keras.Layer) -> list[keras.Layer]:
    """Returns the layers below one that know a vocabulary."""
    below = leaves[: next(place for place, leaf in enumerate(leaves) if leaf is top)]
    return [leaf for leaf in below if hasattr(leaf, "get_vocabulary")]


def _check_vocabularies(theirs: list[keras.Layer], ours: list[keras.Layer]) -> None:
    """Raises where a word would meet another word's weights."""
    must = "turn the same text into the same numbers as the new model"
    if len(theirs) != len(ours):
        received = f"{_counted(theirs)} below the reused layers, where the new model has"
        raise invalid("build", "reuse", must, f"{received} {_counted(ours)}")
    for their, our in zip(theirs, ours, strict=True):
        known, new = their.get_vocabulary(), our.get_vocabulary()
        if known != new:
            must = "have the vocabulary of the new model: leave `texts` out to take it over"
            received = f"{len(known)} tokens in {their.name!r}, where the new model's {our.name!r}"
            received += " has others" if len(known) == len(new) else f" has {len(new)}"
            raise invalid("build", "reuse", must, received)
        names = {name for name in _settings(their) if "." not in name} - _OF_NO_MEANING
        setting = _differing(their, our, names)
        if setting:
            raise invalid("build", "reuse", must, setting)


def _check_alike(number: int, their: keras.Layer, our: keras.Layer) -> None:
    """Raises where weights would not fit, or would compute something else."""
    names = f"layer {number} with weights, {their.name!r}"
    if type(their) is not type(our):
        received = f"{names}, a {type(their).__name__}, where the new model has {our.name!r}, a"
        must = "have the kinds of layers that the new model has"
        raise invalid("build", "reuse", must, f"{received} {type(our).__name__}")
    shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in (their, our)]
    if shapes[0] != shapes[1]:
        must = "have the shapes of the new model in the layers that are reused"
        received = f"{names}, of {_shown(shapes[0])}, where the new model has {our.name!r}, of"
        raise invalid("build", "reuse", must, f"{received} {_shown(shapes[1])}")
    setting = _differing(their, our, _MEANING)
    if setting:
        must = "compute as the new model does in the layers that are reused"
        raise invalid("build", "reuse", must, setting)


def _differing(their: keras.Layer, our: keras.Layer, settings: set[str]) -> str:
    """Names the first setting that two layers differ in, or nothing."""
    known, new = _settings(their), _settings(our)
    # One for each layer within, by its place: "layer.activation".
    for name in sorted({*known, *new}):
        if name.rpartition(".")[2] in settings and known.get(name) != new.get(name):
            has = f"{their.name!r} with {name}={show(known.get(name))}"
            return f"{has}, where the new model's {our.name!r} has {show(new.get(name))}"
    return ""


def _settings(layer: keras.Layer) -> dict[str, Any]:
    try:
        settings = layer.get_config()
    except NotImplementedError:  # Of a layer of the user's, which can't be saved either.
        return {}
    return _with_those_within(settings)


def _with_those_within(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns a layer's settings, and with a dot those of the layers that it holds."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        # A saved model brings lists back where there were tuples.
        found[name] = list(value) if isinstance(value, tuple) else value
        parts = found[name] if isinstance(found[name], list) else [value]
        for place, part in enumerate(parts):
            config = part.get("config") if isinstance(part, dict) else None
            if isinstance(config, dict) and not name.endswith(_NO_LAYERS):
                prefix = f"{name}.{place}." if part is not value else f"{name}."
                inner = _with_those_within(config).items()
                found |= {f"{prefix}{key}": inside for key, inside in inner}
    return found


def _counted(vectorisers: list[keras.Layer]) -> str:
    return f"{len(vectorisers)} with a vocabulary" if vectorisers else "none with a vocabulary"


def _shown(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(str(shape) for shape in shapes)
