"""What a run counts: the metric at the epoch whose weights the model was left with."""

import math
import weakref
from collections.abc import Mapping
from typing import Any

from kerastrain._checks import invalid
from kerastrain.monitors import known_monitor
from kerastrain.records import PER_EPOCH_FACTS, History
from kerastrain.state import has_finite_weights
from kerastrain.workflow import Trained

_trained: weakref.WeakSet[Any] = weakref.WeakSet()
"""The models that runs have trained."""


def value_of(trained: Trained, metric: str, *, arguments: Mapping[str, Any]) -> float:
    """Returns the metric of a run; NaN if the model's weights aren't finite.

    A model of NaN has an accuracy all the same: that of saying the first class. A run that was good
    before it was lost counts with what it was restored to.

    Args:
        trained: The model as it was left, and its history.
        metric: The column.
        arguments: Those of the run, which may say that nothing is restored.
    """
    if came_to_nothing(trained.model, trained.history):
        return math.nan
    return _at_the_end(trained.history, metric, arguments)


def why_none(trained: Trained, metric: str) -> str:
    """Says why a run has no value."""
    column = trained.history.history.get(metric, [])
    if not any(map(math.isfinite, column)):
        return f"no epoch had a finite {metric}"
    if came_to_nothing(trained.model, trained.history):
        return "its weights were lost to NaN"
    return f"the epoch that it ended with had no finite {metric}"


def came_to_nothing(model: Any, history: History) -> bool:
    """Tells whether a run has left a model of NaN, or the one that it began with in its place."""
    was_lost_at_once = history.stop_reason == "nan" and history.best_epoch is None
    return was_lost_at_once or not has_finite_weights(model)


def is_lost(model: Any, logs: Mapping[str, Any]) -> bool:
    """Tells whether an epoch that has just ended left a model of NaN, whatever its metrics say."""
    return not math.isfinite(logs.get("loss", 0.0)) and not has_finite_weights(model)


def measure_in(metric: str, logs: Mapping[str, Any], *, function: str) -> str:
    """Returns the name under which a run has the metric, or raises, listing what it has."""
    measures = {name: logs[name] for name in logs if name not in PER_EPOCH_FACTS}
    return known_monitor(metric, measures, function=function, argument="metric")


def check_is_measured(
    metric: str, arguments: Mapping[str, Any], *, is_validated: bool, function: str
) -> None:
    """Raises for a metric of rows that a run isn't validated on.

    Args:
        metric: The metric.
        arguments: Those of all runs; a callback of the user's may add a metric to the logs.
        is_validated: Whether there are such rows.
        function: The public function that was given the metric, named in the error.
    """
    if metric.startswith("val_") and not is_validated and not arguments.get("callbacks"):
        must = "be a training metric where there is neither validation_data nor validation_split"
        raise invalid(function, "metric", must, f"metric={metric!r}")


def check_is_new(model: Any, *, function: str, argument: str) -> None:
    """Raises for a model that a run has trained before, which goes on with what that has learnt.

    Args:
        model: The model of a run that has ended.
        function: The public function that was given the builder, named in the error.
        argument: Its argument.
    """
    if model in _trained:
        must, received = "return a new model each time", "one that it had returned before"
        raise invalid(function, argument, must, received)
    _trained.add(model)


def restores(arguments: Mapping[str, Any]) -> bool:
    """Tells whether a run with these arguments leaves the model with its best weights."""
    return arguments.get("restore_best", True) is not False


def _at_the_end(history: History, metric: str, arguments: Mapping[str, Any]) -> float:
    if restores(arguments):
        return history.best.get(metric, math.nan)
    column = history.history.get(metric, [])
    return column[-1] if column else math.nan
