"""One trial: a model built with some parameters, trained, and watched while it trains."""

import dataclasses
import math
import pickle
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kerastrain.models import Builder
from kerastrain.records import History
from kerastrain.search.folds import folds_of
from kerastrain.search.parameters import Routed, watched_for
from kerastrain.search.values import check_is_new, is_lost, measure_in, value_of, why_none
from kerastrain.search_records import is_better
from kerastrain.training import generators_left_alone
from kerastrain.workflow import Trained, build_and_fit

Report = Callable[[int, float | None], str]
"""Takes the epochs that were trained and the best value so far; returns why to stop, or nothing.

The value is `None` where there is none, or none that other trials can be held against: a trial that
has come through its first fold is trained in all of them.
"""


_WORDED = re.compile(r"`(?:fit|build_and_fit)`: `([^`]+)` must (.*)", re.DOTALL)
_ROWS = ("x", "y", "validation_data")


class WrongCallError(Exception):
    """Wraps an error that every trial would meet, so that the search ends with it.

    Attributes:
        error: That error. As Keras raises what a callback raised anew, it has no cause any more.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What all trials of a search have in common.

    Attributes:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        data: What `build_and_fit` takes.
        metric: What decides, as the history names it.
        mode: "min" or "max".
        folds: How many folds, a splitter, or `None`.
        arguments: Those of `build_and_fit` that no trial varies.
        params: The builder's parameters that no trial varies.
    """

    builder: str | Builder
    data: Any
    metric: str
    mode: str
    folds: Any
    arguments: Mapping[str, Any]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a trial; see `kerastrain.search_records.Trial`.

    Attributes:
        threads: How many it had in a process of its own; `None` in this one.
        error: What it failed with, where that is wrong in the call and so for every trial.
        model: The trained model; `None` where there are folds, or no value.
    """

    state: str
    value: float
    seconds: float
    reason: str = ""
    histories: list[History] = dataclasses.field(default_factory=list)
    threads: int | None = None
    error: BaseException | None = None
    model: Any = dataclasses.field(default=None, compare=False)


def run(recipe: Recipe, routed: Routed, *, seed: int, report: Report) -> Outcome:
    """Trains a model, or one for each fold, and returns what came of it.

    Raises:
        WrongCallError: If no trial can succeed, such as for a metric that isn't there.
        KeyboardInterrupt: After Ctrl-C, which `fit` itself takes for the end of a run.
    """
    watch, start = _Watch(recipe, report), time.perf_counter()
    trained: list[Trained] = []
    try:
        parts = (
            [recipe.data]
            if recipe.folds is None
            else folds_of(recipe.data, recipe.folds, seed=seed)
        )
        for data in parts:
            watchers = [_Watcher(watch)]
            trained.append(trained_once(recipe, routed, data, seed=seed, watchers=watchers))
            if trained[-1].history.stop_reason == "interrupted":
                raise KeyboardInterrupt
            _check_is_new(trained[-1].model)
            arguments = {**recipe.arguments, **routed.arguments}
            watch.end_fold(trained[-1], arguments)
            if watch.stopped:
                break
    except WrongCallError:
        raise
    except (Exception, SystemExit) as error:  # Of a builder or a callback: the trial's end.
        histories = [each.history for each in trained]
        wrong = error if is_of_the_call(error, routed) else None
        reason = in_a_line(error)
        return Outcome("failed", math.nan, _since(start), reason, histories, error=wrong)
    histories = [each.history for each in trained]
    value = watch.value
    if not math.isfinite(value):
        return Outcome("failed", math.nan, _since(start), watch.lost, histories)
    # Who is told to stop after the last epoch of all has done what there was to do.
    is_whole = len(trained) == len(parts) and len(histories[-1]) == arguments.get("epochs")
    if watch.stopped and not is_whole:
        return Outcome("pruned", value, _since(start), watch.stopped, histories)
    model = trained[0].model if recipe.folds is None else None
    return Outcome("complete", value, _since(start), "", histories, model=model)


def _check_is_new(model: keras.Model) -> None:
    try:
        check_is_new(model, function="search", argument="builder")
    except ValueError as error:
        raise WrongCallError(error) from error


def is_of_the_call(error: BaseException, routed: Routed) -> bool:
    """Tells whether an error is about an argument that is the same for all trials.

    Such an error is told by its form. What it says about rows or targets may be true for the model
    of this trial only.

    Example:
        >>> error = ValueError("`fit`: `batch_size` must be at least 1. Received: batch_size=0.")
        >>> [is_of_the_call(error, Routed({}, given)) for given in ({}, {"batch_size": 0})]
        [True, False]
    """
    found = _WORDED.match(str(error)) if type(error) in (TypeError, ValueError) else None
    if found is None:
        return False
    argument, must = found.groups()
    if argument.partition("[")[0] in _ROWS and routed.params:
        return False
    varied = {*routed.params, *routed.arguments}
    return argument not in varied and not any(f"`{name}`" in must for name in varied)


def trained_once(
    recipe: Recipe, routed: Routed, data: Any, *, seed: int, watchers: Sequence[Any] = ()
) -> Trained:
    """Trains one model of a recipe, on all of its data or on a fold; callbacks of ours watch it."""
    arguments = {**recipe.arguments, **routed.arguments}
    arguments = watched_for(recipe.metric, recipe.mode, arguments, *watchers)
    arguments |= {"params": {**recipe.params, **routed.params}, "seed": seed, "verbose": 0}
    # A seed that is given goes to Python's and NumPy's generators too, from which others may draw.
    with generators_left_alone():
        trained: Trained = build_and_fit(recipe.builder, data, **arguments)
    return trained


def with_packed_model(outcome: Outcome, mode: str, best: float | None) -> Outcome:
    """Makes an outcome ready to travel: its model as bytes, if it beats the best one so far."""
    is_wanted = outcome.model is not None and is_better(outcome.value, best, mode)
    packed = _packed(outcome.model) if is_wanted else None
    return dataclasses.replace(outcome, model=packed)


def _packed(model: keras.Model) -> bytes | None:
    """Returns a model as bytes; `None` for one that Keras can't save, to be trained again."""
    try:
        return pickle.dumps(model)
    except Exception:  # Whatever a layer of the user's own may raise.
        return None


def unpacked_model(model: Any) -> Any:
    """Returns a model that may have travelled as bytes; `None` if it can't be read."""
    if not isinstance(model, bytes):
        return model
    try:
        return pickle.loads(model)
    except Exception:  # As of a layer whose class is made in the builder.
        return None


def surroundings() -> dict[str, Any]:
    """Returns the settings of Keras's that decide what a builder builds."""
    return {
        "dtype_policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
        "custom_objects": dict(keras.saving.get_custom_objects()),
    }


def surround(settings: Mapping[str, Any]) -> None:
    """Makes the settings of another process this one's."""
    keras.config.set_floatx(settings["floatx"])
    keras.config.set_dtype_policy(settings["dtype_policy"])
    keras.config.set_image_data_format(settings["image_data_format"])
    keras.saving.get_custom_objects().update(settings["custom_objects"])


class _Watch:
    """Follows a trial over its folds, and asks after every epoch whether to go on.

    Attributes:
        stopped: Why the trial was given up; empty if it wasn't.
        lost: Why a fold has no value; empty if all have.
    """

    def __init__(self, recipe: Recipe, report: Report) -> None:
        self._metric, self._report = recipe.metric, report
        self._name = recipe.metric  # As the history has it, which may be a longer word.
        self._better = min if recipe.mode == "min" else max
        self._finished: list[float] = []  # The value of each fold that has ended.
        self._best: float | None = None  # So far, of the fold that is running.
        self._epochs = 0
        self.stopped = self.lost = ""

    @property
    def value(self) -> float:
        """The mean over the folds of the best epoch's value; NaN if one has none."""
        return statistics.fmean(self._finished) if self._finished else math.nan

    def end_epoch(self, model: keras.Model, logs: Mapping[str, Any]) -> bool:
        """Takes in an epoch; tells whether to stop."""
        self._name = self._name_in(logs)
        value = math.nan if is_lost(model, logs) else float(logs[self._name])
        if math.isfinite(value):
            self._best = value if self._best is None else self._better(self._best, value)
        self._epochs += 1
        try:
            self.stopped = self._report(self._epochs, None if self._finished else self._best)
        except Exception as error:  # Of the storage, or of the user's pruner; no trial's fault.
            raise WrongCallError(error) from error
        return bool(self.stopped)

    def end_fold(self, trained: Trained, arguments: Mapping[str, Any]) -> None:
        """Keeps the fold's value: at the epoch whose weights the model was left with."""
        self._finished.append(value_of(trained, self._name, arguments=arguments))
        if not math.isfinite(self._finished[-1]):
            self.lost = self.lost or why_none(trained, self._name)
        self._best = None

    def _name_in(self, logs: Mapping[str, Any]) -> str:
        try:
            return measure_in(self._metric, logs, function="search")
        except (TypeError, ValueError) as error:
            raise WrongCallError(error) from error


class _Watcher(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells a watch of the epochs of one fold."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._watch.end_epoch(self.model, logs or {}):
            self.model.stop_training = True


def _since(start: float) -> float:
    return time.perf_counter() - start


def in_a_line(error: BaseException) -> str:
    """Returns the kind and the text of an error."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
