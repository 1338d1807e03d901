"""The best model of a search, trained again from its record."""

import dataclasses
import os
import statistics
from collections.abc import Mapping
from typing import Any

import keras

from kerastrain._checks import invalid, show
from kerastrain._record_files import record_of
from kerastrain.callbacks import copies
from kerastrain.models import Builder, builder_of
from kerastrain.search.crews import Limits, Task, Workers
from kerastrain.search.folds import Fold, all_rows
from kerastrain.search.parameters import Routed, routed
from kerastrain.search.trials import Recipe, trained_once, unpacked_model
from kerastrain.search.values import restores
from kerastrain.search_records import SearchResult, Trial
from kerastrain.training import generators_left_alone
from kerastrain.workflow import Trained, build_and_fit

_OF_VALIDATION = ("validation_data", "validation_split", "patience", "min_delta")
"""Arguments that have no meaning without rows to validate on."""

_MONITORS = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
"""Callbacks that have none either."""


def refit(
    result: SearchResult | str | os.PathLike[str],
    builder: str | Builder,
    data: Any,
    *,
    trial: int | None = None,
    **arguments: Any,
) -> Trained:
    """Trains the model of a trial again, with its parameters, its seed and its speed.

    On the same machine, with the same versions, the metric comes out as recorded, to the bit; for
    that, a trial that ran in a process of its own is trained in one again. After a search with
    folds, the model is trained on all their rows, for the median of the folds' best epochs, without
    the callbacks that watch a validation, and there is nothing to compare.

    Args:
        result: What `search` returned, or the path of a file to which it was saved.
        builder: The builder of that search.
        data: Its data.
        trial: The trial's number; by default the best one.
        **arguments: Those of the search that a record can't keep, such as `callbacks`, which have
            to be given again, and others in place of those that it kept.

    Returns:
        The model and its history.

    Raises:
        ValueError: If there is no such trial, or an argument is missing.

    Example:
        >>> import kerastrain
        >>> from kerastrain.search import refit, search
        >>> space = {"units": [8, 16, 32, 64]}
        >>> data = kerastrain.load_dataset("digits")
        >>> found = search("dense", space, data, trials=2, epochs=2, seed=1, verbose=0)
        >>> again = refit(found, "dense", data).history
        >>> again.best["val_loss"] == found.best_value
        True
    """
    read: SearchResult = record_of(
        result, SearchResult, function="refit", argument="result", maker="search"
    )
    chosen = _chosen(read, trial)
    recipe = _recipe_of(read, builder, data, arguments)
    return refit_recipe(chosen, recipe, function="refit", speed=arguments.get("speed"))


def refit_recipe(trial: Trial, recipe: Recipe, *, function: str, speed: Any = None) -> Trained:
    """Trains the model of a trial again, from what all trials of its search have in common.

    Args:
        trial: The trial.
        recipe: What all trials have in common.
        function: The public function that was called, named in the errors.
        speed: What to train with in place of the way that the trial took.

    Raises:
        ValueError: If it fails in a process of its own.
        KeyboardInterrupt: After Ctrl-C, which `fit` itself takes for the end of a run.
    """
    parts = routed(recipe.builder, trial.params, function=function, argument="result")
    if recipe.folds is not None:
        trained = _on_all_rows(trial, recipe, parts)
    else:
        # A run that changed its way in the course of it is repeated as it went.
        ways = speed or trial.histories[0].speed
        again = {**parts.arguments, **({"speed": ways} if ways else {})}
        parts = dataclasses.replace(parts, arguments=again)
        if trial.threads is None:
            trained = trained_once(recipe, parts, recipe.data, seed=trial.seed)
        else:
            trained = _in_a_process(trial, recipe, parts, function)
    if trained.history.stop_reason == "interrupted":
        raise KeyboardInterrupt
    return trained


def _in_a_process(trial: Trial, recipe: Recipe, parts: Routed, function: str) -> Trained:
    """Trains with as many threads as then, on which the bits of large products hang."""
    workers = Workers(recipe, 1, Limits(), threads=trial.threads or 1)
    try:
        workers.start(Task(trial.number, parts, trial.seed, lambda *_: "", None))
        while (ended := workers.next_outcome()) is None:
            pass
    finally:
        workers.close()
    outcome = ended[1]
    if outcome.state != "complete":
        must = "train again in a process of its own, as it did in the search"
        raise invalid(function, "builder", must, outcome.reason)
    model = unpacked_model(outcome.model)
    if model is None:  # One that Keras can't save, which has to be trained where it is wanted.
        return trained_once(recipe, parts, recipe.data, seed=trial.seed)
    return Trained(model, outcome.histories[0])


def _on_all_rows(trial: Trial, recipe: Recipe, parts: Routed) -> Trained:
    rows, task, classes = all_rows(recipe.data)
    given = {**recipe.arguments, **parts.arguments}
    kept = {name: value for name, value in given.items() if name not in _OF_VALIDATION}
    users = keras.tree.flatten(copies(given.get("callbacks") or ()))
    kept["callbacks"] = [one for one in users if not isinstance(one, _MONITORS)]
    epochs = _epochs(trial, given)
    if (given.get("unfreeze") or 0) >= epochs:  # The best epochs came before that.
        kept |= {"unfreeze": None, "unfreeze_rate": None}
    kept |= {"epochs": epochs, "restore_best": False, "verbose": 0}
    whole = Fold((rows.x, rows.y), None, task, None if classes is None else range(classes))
    params = {**recipe.params, **parts.params}
    with generators_left_alone():
        trained: Trained = build_and_fit(
            recipe.builder, whole, params=params, seed=trial.seed, **kept
        )
    return trained


def _chosen(result: SearchResult, number: int | None) -> Trial:
    if number is None:
        if result.best is None:
            raise invalid("refit", "result", "have a complete trial", show(result.trials))
        return result.best
    found = next((trial for trial in result.trials if trial.number == number), None)
    if found is None or found.state != "complete":
        must = "be the number of a complete trial of `result`"
        raise invalid("refit", "trial", must, f"trial={show(number)}")
    return found


def _recipe_of(
    result: SearchResult, builder: str | Builder, data: Any, arguments: dict[str, Any]
) -> Recipe:
    """Puts the search's arguments together again: those of the record, and those given now."""
    settings = result.settings
    theirs = arguments.get("params") or {}
    if not isinstance(theirs, Mapping):
        must = "be a dict from names to values"
        raise invalid("refit", "params", must, f"params={show(theirs)}", kind=TypeError)
    known = {*arguments, *theirs}
    missing = [name for name in settings.get("objects", ()) if name not in known]
    if missing:
        must = f"be given again, as a record can't keep it: refit(..., {missing[0]}=...)"
        kept = {**settings["params"], **settings["arguments"]}
        received = f"a search with {missing[0]}={kept[missing[0]]}"
        raise invalid("refit", missing[0], must, received)
    given = {**settings.get("arguments", {}), **arguments}
    given.pop("params", None)
    params = {**settings.get("params", {}), **theirs}
    # A name may be registered in this process only.
    builder = builder_of(builder, function="refit", argument="builder")
    folds = settings.get("folds")
    return Recipe(builder, data, result.metric, result.mode, folds, given, params)


def _epochs(trial: Trial, arguments: Mapping[str, Any]) -> int:
    """Returns the median of the epochs that the folds' values are of."""
    if not restores(arguments):
        return round(statistics.median(map(len, trial.histories)))
    best = [history.best_epoch for history in trial.histories]
    return max(1, round(statistics.median(epoch + 1 for epoch in best if epoch is not None)))
