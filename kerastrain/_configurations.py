"""What a run begins with, in plain words and numbers, and what has changed when it goes on."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from kerastrain._checks import show
from kerastrain._optimizers import as_given, inner_of, variable_rate_of
from kerastrain._record_files import to_json

RATE = "optimizer.learning_rate"
"""The entry that a run itself may change, by a callback."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_BLOCK = 256  # rows
_MOST = 2**30  # bytes of an array that are looked at, or what lies on a disk would take minutes
_SAMPLE = 2**20  # bytes of an array that are looked at where it has to be quick
_LONGEST = 80  # letters of a value: of longer ones a digest is kept beside their beginning


def configuration_of(
    model: keras.Model, parts: Mapping[str, Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Describes what decides a run's course.

    Args:
        model: The compiled model.
        parts: The data's parts, by name: arrays, dicts and tuples of them, or streams.
        arguments: What `fit` was told beside them.

    Returns:
        One plain value an entry, in the order in which differences are to be named.
    """
    optimizer = optimizer_entries(model.optimizer)
    if arguments.get("schedule") is not None:  # Which sets the rate, also of a model that had one.
        optimizer = {k: v for k, v in optimizer.items() if not k.startswith(RATE)}
    described = {
        **{f"model.{name}": value for name, value in _model_entries(model)},
        **{f"loss.{name}": value for name, value in flat(compile_config(model))},
        **optimizer,
        **{f"data.{name}": described_data(part) for name, part in parts.items()},
        **{name: plain(value) for name, value in arguments.items()},
    }
    return json.loads(json.dumps(to_json(described)))  # type: ignore[no-any-return]


def first_difference(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[str, str, str] | None:
    """Returns the first entry that differs, what it was and what it is; `None` if none does.

    Example:
        >>> first_difference({"seed": 1, "batch_size": 32}, {"seed": 1, "batch_size": 64})
        ('batch_size', '32', '64')
    """
    for name in dict.fromkeys((*before, *now)):
        if before.get(name, "absent") != now.get(name, "absent"):
            return name, _shown(before, name), _shown(now, name)
    return None


def described_data(part: Any) -> str:
    """Describes data so that another value in any place is another description.

    Example:
        >>> described_data(np.zeros((2, 3), "float32"))
        '(2, 3) float32, sha256 9d908ecfb6b256de'
        >>> described_data(None)
        'none'
    """
    if part is None:
        return "none"
    spec = getattr(part, "element_spec", None)
    if spec is not None:  # A tf.data.Dataset, which would have to be read to its end.
        count = int(part.cardinality())
        return f"a Dataset of {count if count >= 0 else 'so many'} batches of {spec}"
    if isinstance(part, keras.utils.PyDataset):
        return f"a {type(part).__name__} of {part.num_batches} batches"
    if not isinstance(part, np.ndarray | Mapping | tuple | list):
        return f"a {type(part).__name__}"
    arrays = [np.asarray(array) for array in keras.tree.flatten(part)]
    return _described(arrays, arrays)


def described_sample(part: Any) -> str:
    """Describes arrays by some of their rows, from first to last, which takes milliseconds.

    Example:
        >>> described_sample((np.zeros((2, 3), "float32"), None))
        '(2, 3) float32, sha256 9d908ecfb6b256de'
    """
    arrays = [np.asarray(one) for one in keras.tree.flatten(part) if one is not None]
    return _described(arrays, [_sample(array) for array in arrays])


def _described(arrays: list[np.ndarray], seen: list[np.ndarray]) -> str:
    shapes = ", ".join(f"{array.shape} {array.dtype}" for array in arrays)
    return f"{shapes}, sha256 {_digest(seen)[:16]}"


def _sample(array: np.ndarray) -> np.ndarray:
    array = np.atleast_1d(array)
    if not array.size:
        return array
    row = array.itemsize * array[:1].size * (128 if array.dtype.kind == "O" else 1)  # A text's.
    count = min(len(array), max(1, _SAMPLE // row))
    return np.asarray(array[np.linspace(0, len(array) - 1, count).astype(int)])


def optimizer_entries(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Describes an optimizer by its settings; its rate is the last one that it was given."""
    inner = inner_of(optimizer)
    config = {k: v for k, v in inner.get_config().items() if k != "name"}
    rate = variable_rate_of(inner)
    if rate is not None:
        config["learning_rate"] = as_given(rate)
    entries = {f"optimizer.{name}": value for name, value in flat(config)}
    return {"optimizer": type(inner).__name__, **entries}


def _model_entries(model: keras.Model) -> Iterator[tuple[str, Any]]:
    yield "class", type(model).__name__
    try:
        config = model.get_config()
    except (NotImplementedError, TypeError, ValueError):
        config = {}  # Of a class of the user's; its variables are held against it all the same.
    yield from flat(with_numbers_for_names(config))


def with_numbers_for_names(config: Any) -> Any:
    """Returns the settings of layers without the names that Keras numbers on and on.

    A model that is built again has other ones.
    """
    numbers = {name: f"name {n}" for n, name in enumerate(dict.fromkeys(_names(config)))}
    return _renamed(config, numbers)


def compile_config(model: keras.Model) -> dict[str, Any]:
    """Returns what a model was compiled with, as far as Keras can tell."""
    try:
        config = model.get_compile_config() or {}
    except (NotImplementedError, TypeError, ValueError, AttributeError, OSError):
        return {"loss": show(model.loss)}
    return {name: config.get(name) for name in ("loss", "loss_weights", "metrics")}


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield value["name"]
        for item in value.values():
            yield from _names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(item)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested settings, each under its path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(i, Mapping | list) for i in value):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}[{number}]")
    else:
        yield path, plain(value)


def plain(value: Any) -> Any:
    """Returns a value as it is if it is plain and short, and else its beginning and its digest."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        value = f"{type(value).__name__} {json.dumps(to_json(dict(flat(value.get_config()))))}"
    text = value if isinstance(value, str) else _ADDRESS.sub("", repr(value))
    if len(text) <= _LONGEST:
        return text
    return f"{text[:40]}… sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _digest(arrays: list[np.ndarray]) -> str:
    """Returns a digest of arrays: of the larger ones by blocks here and there, up to `_MOST`."""
    digest = hashlib.sha256()
    for array in arrays:
        if array.dtype.kind == "O":
            for item in array.flat:
                digest.update(item if isinstance(item, bytes) else str(item).encode())
                digest.update(b"\0")
        else:
            blocks = range(0, len(array), _BLOCK)  # A memmap is read piece by piece.
            for start in blocks[:: max(1, array.nbytes // _MOST)]:
                digest.update(np.ascontiguousarray(array[start : start + _BLOCK]).tobytes())
    return digest.hexdigest()


def _shown(entries: Mapping[str, Any], name: str) -> str:
    return json.dumps(entries[name]) if name in entries else "absent"
