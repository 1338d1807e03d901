"""Saving and loading models and weights: one line each over Keras.

The suffixes explain themselves when they are wrong, and a file is written under a temporary name
and moved into place, so that a crash never leaves half a model.
"""

import os
import pathlib
from typing import Any

import keras

from kerastrain._checks import invalid
from kerastrain._files import replacing
from kerastrain._model_archives import check_archive, check_weights
from kerastrain._record_files import UnreadableError
from kerastrain.models import model_checked

_MODEL = ".keras"
_WEIGHTS = ".weights.h5"


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> pathlib.Path:
    """Saves a whole model: layers, weights, optimizer, loss and metrics.

    Args:
        model: The model.
        path: Ends in ".keras"; missing folders are made.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is another; the message has the line to write.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> path = save_model(model, tempfile.mkdtemp() + "/model.keras")
        >>> load_model(path).count_params()
        3
    """
    path = _checked(path, _MODEL, function="save_model", what="a whole model")
    with replacing(path) as temporary:
        model_checked("save_model", model).save(temporary)
    return path


def load_model(path: str | os.PathLike[str], **arguments: Any) -> keras.Model:
    """Loads a model that `save_model` or Keras saved, with Keras's safe mode on.

    Args:
        path: A ".keras" file.
        **arguments: Those of `keras.saving.load_model`: `custom_objects`, `compile`, `safe_mode`.

    Raises:
        ValueError: If there is no such file, the suffix is another, the file is no saved model, or
            it would do more than load one: run code, write or read other files, or fill the memory.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> load_model(save_model(model, tempfile.mkdtemp() + "/model.keras")).output_shape
        (None, 1)
    """
    path = _existing(
        _checked(path, _MODEL, function="load_model", what="a whole model"), "load_model"
    )
    settings = {"safe_mode": True, **arguments}
    try:
        check_archive(path, may_run_code=not settings["safe_mode"])
    except UnreadableError as error:
        received = f"path={os.fspath(path)!r}, {error}"
        raise invalid("load_model", "path", "be a file of save_model", received) from error
    return keras.saving.load_model(path, **settings)


def save_weights(model: keras.Model, path: str | os.PathLike[str]) -> pathlib.Path:
    """Saves a model's weights alone.

    What a vectoriser has learnt isn't a weight: save such a model whole.

    Args:
        model: The model.
        path: Ends in ".weights.h5"; missing folders are made.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is another; the message has the line to write.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> path = save_weights(model, tempfile.mkdtemp() + "/model.weights.h5")
        >>> load_weights(model, path).count_params()
        3
    """
    path = _checked(path, _WEIGHTS, function="save_weights", what="weights")
    with replacing(path) as temporary:
        model_checked("save_weights", model).save_weights(temporary)
    return path


def load_weights(model: keras.Model, path: str | os.PathLike[str]) -> keras.Model:
    """Loads weights into a model of the same architecture, and returns the model.

    If they don't fit, the model keeps those it had.

    Args:
        model: The model.
        path: A ".weights.h5" file.

    Raises:
        ValueError: If there is no such file, the suffix is another, the weights don't fit, or they
            lie in other files.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> path = save_weights(model, tempfile.mkdtemp() + "/model.weights.h5")
        >>> load_weights(model, path) is model
        True
    """
    path = _existing(
        _checked(path, _WEIGHTS, function="load_weights", what="weights"), "load_weights"
    )
    before = model_checked("load_weights", model).get_weights()
    try:
        check_weights(path)
    except UnreadableError as error:
        received = f"path={os.fspath(path)!r}, {error}"
        raise invalid("load_weights", "path", "be a file of save_weights", received) from error
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        # Keras has loaded the layers that fit by the time it meets one that doesn't.
        model.set_weights(before)
        must = "be a file of save_weights for a model of this architecture"
        raise invalid("load_weights", "path", must, f"path={os.fspath(path)!r}") from error
    return model


def _checked(
    path: str | os.PathLike[str], suffix: str, *, function: str, what: str
) -> pathlib.Path:
    name = os.fspath(path)
    if not name.endswith(suffix):
        other = {_MODEL: "weights", _WEIGHTS: "model"}[suffix]
        stem = name.removesuffix(_WEIGHTS).removesuffix(pathlib.PurePath(name).suffix)
        must = (
            f'end in "{suffix}", the format of {what}: write "{stem}{suffix}" '
            f"(`{function.split('_')[0]}_{other}` is for {_kind(other)})"
        )
        raise invalid(function, "path", must, f"path={name!r}")
    return pathlib.Path(name)


def _kind(other: str) -> str:
    return "weights alone" if other == "weights" else "whole models"


def _existing(path: pathlib.Path, function: str) -> pathlib.Path:
    if not path.is_file():
        raise invalid(function, "path", "be a file", f"path={os.fspath(path)!r}, which is not")
    return path
