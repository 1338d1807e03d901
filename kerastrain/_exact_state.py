"""Everything that a run is made of between two batches, taken down and put back to the bit.

Keras's own files leave out the generators of dropout and its kin, the metrics in the midst of an
epoch and what the callbacks have noted. A state holds them all, as plain numbers and arrays.
"""

import contextlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, show
from kerastrain._state_files import State

_ARRAY = "kerastrain.array"  # What stands in the facts in an array's place.

_NOTED = {
    "EarlyStopping": ("monitor", "wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "ReduceLROnPlateau": ("monitor", "wait", "best", "cooldown_counter"),
    "ModelCheckpoint": (
        *("monitor", "best"),
        *("_batches_seen_since_last_saving", "_last_batch_seen", "_current_epoch"),
    ),
    "CSVLogger": ("keys",),
    "TensorBoard": (
        *("_global_train_batch", "_global_test_batch", "_previous_epoch_iterations"),
        "_train_accumulated_time",
    ),
}
"""What Keras's callbacks note, and would forget, by class."""

_KINDS_NOTED: dict[str, tuple[type, ...]] = {
    "monitor": (str,),
    "best_weights": (list, type(None)),
    "keys": (list, type(None)),
}
"""What isn't a number among them."""

_SET = {
    "EarlyStopping": (
        *("monitor", "mode", "patience", "min_delta", "baseline", "start_from_epoch"),
    ),
    "ReduceLROnPlateau": (
        *("monitor", "mode", "factor", "patience", "min_delta", "cooldown", "min_lr"),
    ),
    "ModelCheckpoint": ("monitor", "save_best_only", "save_freq"),
}
"""How they were made, where what they have noted would mean something else otherwise."""


def state_of(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], facts: Mapping[str, Any]
) -> State:
    """Takes down a run.

    Args:
        model: The compiled model.
        callbacks: All callbacks, whose state is taken down where they have one.
        facts: What else to note: numbers, strings, arrays, and lists and dicts of them.
    """
    arrays: dict[str, np.ndarray] = {}
    # First the variables, under names of their own.
    for name, variable in _variables(model):
        arrays[name] = as_array(variable)
    version, internal, gauss = random.getstate()
    whole = {
        "facts": dict(facts),
        "callbacks": {name: _noted(callback) for name, callback in _with_state(callbacks)},
        # An array, since hundreds of numbers one by one take longer than all the rest.
        "python": [version, np.array(internal), gauss],
        "numpy": np.random.get_state(legacy=False),
    }
    return State(_packed(whole, "", arrays), arrays)


def facts_of(state: State) -> dict[str, Any]:
    """Returns what else was noted.

    Example:
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> facts_of(state_of(model, [], {"epoch": 3, "best": [np.float32(0.5)]}))
        {'epoch': 3, 'best': [0.5]}
    """
    return dict(_unpacked(state.facts["facts"], state.arrays))


def put_back(
    state: State, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Puts everything back as it was; of the facts the caller makes what it likes.

    Args:
        state: What `state_of` returned.
        model: A model that was built and compiled alike.
        callbacks: All callbacks, of the same kinds in the same order.

    Raises:
        ValueError: If a variable isn't the one that was taken down; names the first.
    """
    check_variables(state, model, whole=True)
    for name, variable in _variables(model):
        variable.assign(state.arrays[name])
    for name, callback in _with_state(callbacks):
        if name in state.facts["callbacks"]:
            with _of_a_whole_state(name):
                _note(callback, _unpacked(state.facts["callbacks"][name], state.arrays))
    with _of_a_whole_state("the generators"):
        version, internal, gauss = _unpacked(state.facts["python"], state.arrays)
        random.setstate((version, tuple(map(int, internal)), gauss))
        np.random.set_state(_unpacked(state.facts["numpy"], state.arrays))


@contextlib.contextmanager
def _of_a_whole_state(name: str) -> Iterator[None]:
    """Words what goes wrong with a state that somebody has made up."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        received = f"a state that doesn't fit {name} ({what})"
        raise invalid("fit", "run", "be a whole run directory", received) from error


def check_variables(state: State, model: keras.Model, *, whole: bool = False) -> None:
    """Raises where a model's variables aren't those of a state; names the first, and both shapes.

    Args:
        state: What `state_of` returned.
        model: The model.
        whole: Whether the metrics' have to be there too, as they are once training has begun.
    """
    here = {name: _kind(variable) for name, variable in _variables(model)}
    there = {
        name: f"{array.dtype} {array.shape}"
        for name, array in state.arrays.items()
        if name.startswith(("model ", "metrics ", "optimizer "))
    }
    if not whole:
        here, there = (
            {k: v for k, v in those.items() if not k.startswith("metrics ")}
            for those in (here, there)
        )
    for name in dict.fromkeys((*there, *here)):
        if here.get(name) != there.get(name):
            must = f"go on with the model that it began with, where {name} was {there.get(name)}"
            raise invalid("fit", "run", must, f"{name}: {here.get(name)}")


def variables_by_name(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yields what a model and its optimizer keep, but not the metrics, under the state's names."""
    return (pair for pair in _variables(model) if not pair[0].startswith("metrics "))


def as_array(variable: Any) -> np.ndarray:
    """Returns what a variable holds, as an array of its own."""
    return np.array(keras.ops.convert_to_numpy(variable))


def _variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    groups = {
        "model": model.variables,
        "metrics": model.metrics_variables,
        "optimizer": [v for optimizer in _optimizers(model) for v in optimizer.variables],
    }
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            yield f"{group} variable {number}", variable


def _optimizers(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the model's optimizer, and others that a train step of the user's may use."""
    own = getattr(model, "optimizer", None)
    if own is not None and not own.built:
        own.build(model.trainable_variables)
    others = [
        value
        for _, value in sorted(vars(model).items(), key=lambda item: item[0])
        if isinstance(value, keras.optimizers.Optimizer) and value is not own
    ]
    return ([] if own is None else [own]) + others


def _kind(variable: Any) -> str:
    return f"{keras.backend.standardize_dtype(variable.dtype)} {tuple(variable.shape)}"


def _with_state(callbacks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yields the callbacks that have a state, each under its class and its place in that."""
    counts: dict[str, int] = {}
    for callback in callbacks:
        if not (_has_own_state(callback) or _names_noted(callback)):
            continue
        kind = _called(callback)
        counts[kind] = counts.get(kind, 0) + 1
        yield f"{kind} {counts[kind]}", callback


def _called(callback: Any) -> str:
    """Returns a class's name, of ours that are Keras's at heart Keras's."""
    kinds = type(callback).__mro__
    if not _names_noted(callback) or kinds[0].__module__.split(".")[0] != "kerastrain":
        return kinds[0].__name__
    return next(kind.__name__ for kind in kinds if kind.__module__.split(".")[0] == "keras")


def kinds_with_state(callbacks: Iterable[Any]) -> list[str]:
    """Returns the names under which callbacks with a state are noted.

    Those that only look, as a live plot does, are none that a run can't go on without.

    Example:
        >>> kinds_with_state([keras.callbacks.EarlyStopping(), keras.callbacks.TerminateOnNaN()])
        ['EarlyStopping 1']
    """
    return [name for name, it in _with_state(callbacks) if not getattr(it, "only_looks", False)]


def settings_with_state(callbacks: Iterable[Any]) -> dict[str, Any]:
    """Returns how Keras's callbacks with a state were made.

    Example:
        >>> plateau = keras.callbacks.ReduceLROnPlateau("val_acc", patience=3)
        >>> settings = settings_with_state([plateau])
        >>> settings["ReduceLROnPlateau 1.monitor"], settings["ReduceLROnPlateau 1.patience"]
        ('val_accuracy', 3)
    """
    settings = {}
    for name, callback in _with_state(callbacks):
        for setting in _of_class(callback, _SET):
            value = getattr(callback, setting, None)
            if setting == "monitor" and isinstance(value, str):
                value = re.sub(r"\bacc$|_acc$", lambda old: f"{old[0]}uracy", value)
            # Keras turns its sign when it knows which way is better.
            if setting == "min_delta" and isinstance(value, int | float):
                value = abs(value)
            settings[f"{name}.{setting}"] = value
    return settings


def _has_own_state(callback: Any) -> bool:
    return all(callable(getattr(callback, name, None)) for name in ("get_state", "set_state"))


def _names_noted(callback: Any) -> tuple[str, ...]:
    return _of_class(callback, _NOTED)


def _of_class(callback: Any, names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the names that stand under a callback's class, or the one of Keras's beneath it."""
    kinds = (kind.__name__ for kind in type(callback).__mro__ if kind.__module__[:6] == "keras.")
    return next((names[kind] for kind in kinds if kind in names), ())


def _noted(callback: Any) -> Any:
    if _has_own_state(callback):
        return callback.get_state()
    return noted_by_keras(callback)


def noted_by_keras(callback: Any) -> dict[str, Any]:
    """Returns what one of Keras's callbacks has noted."""
    return {name: vars(callback)[name] for name in _names_noted(callback) if name in vars(callback)}


def _note(callback: Any, noted: Any) -> None:
    if _has_own_state(callback):
        callback.set_state(noted)
    else:
        names = _names_noted(callback)
        for name, value in noted.items():
            if name in names:
                _check_noted(name, value)
                setattr(callback, name, value)


def _check_noted(name: str, value: Any) -> None:
    """Raises for what none of Keras's callbacks can have noted."""
    kinds = _KINDS_NOTED.get(name, (int, float, type(None)))
    if not isinstance(value, kinds):
        raise TypeError(f"{name} can't be {show(value)}")


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Returns a value as JSON has it, with arrays put aside."""
    if isinstance(value, Mapping):
        return {str(key): _packed(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(item, f"{name}/{number}", arrays) for number, item in enumerate(value)]
    if isinstance(value, np.generic) or keras.ops.is_tensor(value):
        value = np.asarray(value)
        value = value.item() if value.ndim == 0 else value
    if isinstance(value, np.ndarray):
        # What two callbacks hold, such as the best weights, is kept once.
        same = (known for known, array in arrays.items() if array is value)
        name = next(same, name)
        arrays[name] = value
        return {_ARRAY: name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    must = "return numbers, strings, arrays, and lists and dicts of them from get_state()"
    raise invalid("fit", "callbacks", must, f"{show(value)} at {name!r}", kind=TypeError)


def _unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    return [_unpacked(item, arrays) for item in value] if isinstance(value, list) else value
