"""What a search is to do: every argument checked, and every default decided, before it begins."""

import dataclasses
import math
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, real_number, seed_number, show, whole_number
from kerastrain.building import unpacked
from kerastrain.data import is_stream, rows_of
from kerastrain.models import builder_of
from kerastrain.monitors import direction
from kerastrain.search.crews import Limits, can_run_apart, threads_of
from kerastrain.search.folds import count_of, folds_checked
from kerastrain.search.parameters import arguments_of_training, routed
from kerastrain.search.samplers import Judge, judge_of, sampler_checked
from kerastrain.search.spaces import ASpace, Space, space_of
from kerastrain.search.trials import Recipe
from kerastrain.search.values import check_is_measured
from kerastrain.search_records import is_plain, plain

_TRIALS = 20
_HELD_OUT = 0.2  # of the rows, where nothing says what to validate on
_VALIDATIONS = ("validation_data", "validation_split")
_CALLED = {
    **dict.fromkeys(("n_trials", "n_iter", "max_evals"), "trials"),
    "n_jobs": "jobs",
    "cv": "folds",
    "random_state": "seed",
    "test": "test_data",
    "direction": "mode",
    "monitor": "metric",
    "scoring": "metric",
}
"""What other libraries call our arguments."""

_DECIDED = ("builder", "mode", "monitor", "params", "seed", "verbose")
"""Arguments of `build_and_fit` that the search has of its own, or decides itself."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a search is to do.

    Attributes:
        recipe: What all trials have in common.
        space: What they may try.
        trials: How many there will be, those in the storage counted.
        epochs: Of a trial at most, in all its folds.
        sampler: Who suggests.
        judge: Who gives up trials.
        jobs: How many run at once.
        limits: What a trial may use.
        timeout: Seconds for the search; `None` for as long as it takes.
        seed: As it was given.
        test_data: What to test the best model on, or `None`.
        settings: What the result is to say of all this, in numbers and strings.
    """

    recipe: Recipe
    space: Space
    trials: int
    epochs: int
    sampler: Any
    judge: Judge
    jobs: int
    limits: Limits
    timeout: float | None
    seed: int | None
    test_data: Any
    settings: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for trials to stand in one table, by the name of the argument."""
        space = self.space.dimensions
        return {
            "metric": self.recipe.metric,
            "mode": self.recipe.mode,
            "seed": self.seed,
            "folds": _splitter_in_words(self.recipe.folds),
            "space": "a function" if space is None else sorted(space),
            "builder": getattr(
                self.recipe.builder, "__qualname__", type(self.recipe.builder).__name__
            ),
            "data": _described(self.recipe.data),
            "params": _kinds_if_not_plain(self.recipe.params),
            **_kinds_if_not_plain(self.recipe.arguments),
        }


def plan_of(
    recipe: Recipe,
    space: ASpace,
    *,
    trials: int | None,
    sampler: Any,
    pruner: Any,
    jobs: int,
    limits: Limits,
    timeout: float | None,
    seed: int | None,
    test_data: Any,
) -> Plan:
    """Checks the arguments of `search`, as far as that goes without training, and completes them.

    Raises:
        ValueError: If a value is out of range.
        TypeError: If something is of the wrong kind.
    """
    read = space_of(space)
    # A name may be registered in this process only.
    builder = builder_of(recipe.builder, function="search", argument="builder")
    recipe = dataclasses.replace(recipe, builder=builder)
    _check_names(recipe, read)
    recipe = _completed(recipe)
    epochs = _most_epochs(recipe, read)
    limits = Limits(
        _above_0("trial_timeout", limits.seconds), _above_0("trial_megabytes", limits.megabytes)
    )
    return Plan(
        recipe,
        read,
        _trials(trials, sampler, read),
        epochs,
        sampler_checked(sampler),
        judge_of(pruner, epochs=epochs // _number_of(recipe)),
        _jobs(jobs, limits, recipe),
        limits,
        _above_0("timeout", timeout),
        None if seed is None else seed_number("search", seed),
        _test_rows(
            getattr(recipe.data, "test", None) if test_data is None else test_data, recipe.data
        ),
        _settings(recipe, sampler, pruner),
    )


def _check_names(recipe: Recipe, space: Space) -> None:
    """Raises for what nobody takes, or what is decided twice; `epochs` has a default to replace."""
    allowed = sorted(set(arguments_of_training()) - set(_DECIDED))
    if not isinstance(recipe.params, Mapping):
        must, received = "be a dict from names to values", f"params={show(recipe.params)}"
        raise invalid("search", "params", must, received, kind=TypeError)
    for name in recipe.params:
        if name not in routed(recipe.builder, {name: None}, function="search").params:
            must = "hold the builder's own parameters; what trains goes beside them"
            raise invalid("search", "params", must, repr(name))
    for name, value in recipe.arguments.items():
        if name in _CALLED:
            must, received = f"be called `{_CALLED[name]}`", f"{name}={show(value)}"
            raise invalid("search", name, must, received)
        one_of("search", "arguments", name, allowed)
    names = dict.fromkeys(space.dimensions or {})
    found = routed(recipe.builder, names, function="search", argument="space")
    for name in names:
        if name in _DECIDED and name in found.arguments:
            must = f"not hold what the search itself decides ({', '.join(map(repr, _DECIDED))})"
            raise invalid("search", "space", must, repr(name))
        if name in recipe.params or (name in recipe.arguments and name != "epochs"):
            must = "not hold what is given as the same for all trials"
            raise invalid("search", "space", must, f"{name!r} in both")


def _completed(recipe: Recipe) -> Recipe:
    """Decides the direction, what to validate on, and checks what belongs to that."""
    if not isinstance(recipe.metric, str):
        must, received = "be the name of a metric", f"metric={show(recipe.metric)}"
        raise invalid("search", "metric", must, received, kind=TypeError)
    mode = direction(recipe.metric, recipe.mode, function="search")
    arguments = dict(recipe.arguments)
    arguments["epochs"] = whole_number("search", "epochs", arguments["epochs"], least=1)
    for name in _VALIDATIONS:
        if arguments.get(name, 0) is None:
            del arguments[name]
    given = [name for name in _VALIDATIONS if name in arguments]
    (x, y), validation, _, _ = unpacked(recipe.data, function="search")
    if not is_stream(x):
        rows_of(x, y, function="search")
    folds = folds_checked(recipe.folds)
    if folds is not None and given:
        must = "be left out where there are `folds`, which say what to validate on"
        raise invalid("search", given[0], must, f"{given[0]} and folds={show(folds)}")
    if folds is not None and arguments.get("sample_weight") is not None:
        must = "be left out where there are `folds`"
        raise invalid("search", "sample_weight", must, f"sample_weight and folds={show(folds)}")
    if folds is None and validation is None and not given:
        if is_stream(x):
            must = "be given, or else `folds`, where the data are a stream"
            raise invalid("search", "validation_data", must, f"data={show(recipe.data)}")
        arguments["validation_split"] = _HELD_OUT
    is_validated = folds is not None or validation is not None
    if given or not is_validated:
        is_validated = bool(arguments.get("validation_split")) or "validation_data" in arguments
    check_is_measured(recipe.metric, arguments, is_validated=is_validated, function="search")
    return dataclasses.replace(recipe, mode=mode, folds=folds, arguments=arguments)


def _most_epochs(recipe: Recipe, space: Space) -> int:
    """Returns how many epochs a trial can have, in all its folds."""
    dimension = (space.dimensions or {}).get("epochs")
    choices = [n for n in getattr(dimension, "labels", ()) if isinstance(n, int)]
    epochs = max(choices or [int(getattr(dimension, "high", recipe.arguments["epochs"]))])
    return epochs * _number_of(recipe)


def _number_of(recipe: Recipe) -> int:
    return 1 if recipe.folds is None else count_of(recipe.data, recipe.folds)


def _trials(trials: int | None, sampler: Any, space: Space) -> int:
    count = None if trials is None else whole_number("search", "trials", trials, least=1)
    if sampler != "grid":
        return _TRIALS if count is None else count
    if not math.isfinite(space.size):
        must = "be a dict of lists or ranges for sampler='grid', which tries every combination"
        raise invalid("search", "space", must, "a function, or a distribution in it")
    if count is not None and count < space.size:
        must = f"be at least {space.size} for sampler='grid', the combinations in `space`"
        raise invalid("search", "trials", must, f"trials={count}")
    return int(space.size)


def _above_0(argument: str, value: Any) -> float | None:
    return None if value is None else real_number("search", argument, value, above=0)


def _jobs(jobs: Any, limits: Limits, recipe: Recipe) -> int:
    count = whole_number("search", "jobs", jobs, least=1)
    if threads_of(count, limits) is None:
        return count
    what = f"jobs={count}" if count > 1 else "a limit for trials"
    if not can_run_apart():
        must = (
            "be 1, without limits for trials, on Windows, where none runs in a process of its own"
        )
        raise invalid("search", "jobs", must, what)
    if any(is_stream(part) for part in (recipe.data, recipe.arguments.get("validation_data"))):
        must = "be arrays where trials run in processes of their own, to which a stream can't go"
        raise invalid("search", "data", must, f"data={show(recipe.data)} and {what}")
    return count


def _test_rows(test_data: Any, data: Any) -> Any:
    """Returns what the best model is to be tested on, or raises where it can't be."""
    if test_data is None or is_stream(test_data):
        return test_data
    if not isinstance(test_data, tuple | list) or len(test_data) != 2:
        must = "be a pair (x, y), a tf.data.Dataset or a PyDataset"
        raise invalid("search", "test_data", must, f"test_data={show(test_data)}", kind=TypeError)
    rows = rows_of(*test_data, function="search", names=("test_data[0]", "test_data[1]", ""))
    x, y = unpacked(data, function="search")[0]
    if not is_stream(x):
        _check_alike(rows.x, x, "rows", "training rows'")
        _check_alike(rows.y, y, "targets", "training targets'")
    return rows.x, rows.y


def _check_alike(theirs: Any, ours: Any, what: str, whose: str) -> None:
    """Raises where rows of the test differ from those of the training in shape or kind."""
    theirs, ours = (np.asarray(one) if isinstance(one, list) else one for one in (theirs, ours))
    if not isinstance(theirs, np.ndarray) or not isinstance(ours, np.ndarray):
        return
    shapes = [one.shape[1:] if one.shape[1:] != (1,) else () for one in (theirs, ours)]
    if shapes[0] != shapes[1]:
        must = f"have {what} of the {whose} shape {ours.shape[1:]}"
        raise invalid("search", "test_data", must, f"{what} of shape {theirs.shape[1:]}")
    are_texts = [one.dtype.kind in "OSU" for one in (theirs, ours)]
    if are_texts[0] != are_texts[1]:
        must = f"have {what} of the {whose} kind, {ours.dtype}"
        raise invalid("search", "test_data", must, f"{what} of {theirs.dtype}")


def _settings(recipe: Recipe, sampler: Any, pruner: Any) -> dict[str, Any]:
    return {
        "sampler": plain(sampler),
        "pruner": plain("none" if pruner is None else pruner),
        "folds": plain(recipe.folds),
        "arguments": plain(dict(recipe.arguments)),
        "params": plain(dict(recipe.params)),
        "objects": [n for n, v in {**recipe.arguments, **recipe.params}.items() if not is_plain(v)],
    }


def _kinds_if_not_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _kind_if_not_plain(value) for name, value in values.items()}


def _kind_if_not_plain(value: Any) -> Any:
    """Returns a value, or its kind, since the text of an object may differ from run to run."""
    return plain(value) if is_plain(value) else f"a {type(value).__name__}"


def _splitter_in_words(folds: Any) -> Any:
    """Returns a number of folds, or a splitter with its settings, where it tells them."""
    words = repr(folds)
    return _kind_if_not_plain(folds) if is_plain(folds) or " object at 0x" in words else words


def _described(data: Any) -> str:
    """Returns the shapes of training and validation rows, and a sum that tells other rows."""
    training, validation = unpacked(data, function="search")[:2]
    parts = [part for part in keras.tree.flatten((training, validation)) if part is not None]
    return ", ".join(f"{np.shape(one)} {_sum_of(one)}" if _has_rows(one) else "?" for one in parts)


def _has_rows(part: Any) -> bool:
    return hasattr(part, "__len__") and not is_stream(part)


def _sum_of(part: Any) -> str:
    """Returns a checksum of rows, of texts among them."""
    array = np.ascontiguousarray(part)
    if array.dtype.kind in "OU":
        return f"{zlib.crc32(chr(0).join(map(str, array.flat)).encode()):08x}"
    return f"{zlib.crc32(array.reshape(-1).view('u1').data):08x}"
