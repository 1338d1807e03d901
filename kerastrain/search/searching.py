"""`search`: Optuna suggests, a crew trains, a book keeps, and the best model is handed over."""

import contextlib
import dataclasses
import functools
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kerastrain._checks import invalid
from kerastrain.data import is_stream
from kerastrain.models import Builder
from kerastrain.search._bar import Bar
from kerastrain.search.crews import Crew, Limits, Task, crew_of
from kerastrain.search.parameters import routed
from kerastrain.search.plans import Plan, plan_of
from kerastrain.search.refits import refit_recipe
from kerastrain.search.spaces import ASpace
from kerastrain.search.studies import Book, opened
from kerastrain.search.trials import Outcome, Recipe, in_a_line, unpacked_model
from kerastrain.search_records import SearchResult, Trial, is_better

_HOPELESS = 5
"""Trials that fail, one after the other from the first on, until the search is given up."""


def search(
    builder: str | Builder,
    space: ASpace,
    data: Any,
    *,
    trials: int | None = None,
    metric: str = "val_loss",
    mode: str = "auto",
    epochs: int = 20,
    folds: Any = None,
    sampler: Any = "tpe",
    pruner: Any = "hyperband",
    jobs: int = 1,
    timeout: float | None = None,
    trial_timeout: float | None = None,
    trial_megabytes: float | None = None,
    storage: Any = None,
    name: str = "search",
    test_data: Any = None,
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    verbose: str | int = "auto",
    **arguments: Any,
) -> SearchResult:
    """Looks for the parameters with which a model trains best.

    Each trial builds, compiles and trains a model as `build_and_fit` does, with the same seed, and
    counts with its best epoch, whose weights its model has; with `restore_best=False` it is the
    last one, in both. Trials that do badly after 1, 3, 9, ... epochs are given up.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        space: From names to what may be tried: a list, a range or an array of values, or a
            distribution of SciPy's, such as `loguniform(1e-4, 1e-1)`. A name is a parameter of the
            builder, or an argument of `build_and_fit` such as `batch_size`. Or a function of
            Optuna's trial that returns such a dict with one value for each name, for parameters
            that hang on each other.
        data: What `load_dataset` returns, a pair `(x, y)`, a tf.data.Dataset or a PyDataset. Where
            nothing says what to validate on, a fifth of the rows is held out.
        trials: How many there will be, those in the storage counted; by default 20, or with
            `sampler="grid"` all combinations.
        metric: What decides, as the history names it; "val_acc" means accuracy.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        epochs: Of each trial at most.
        folds: How many folds to cross-validate each trial with, or a splitter of scikit-learn's,
            with a `random_state` if it shuffles; the metric is the mean over the folds, and the
            best model is trained on all rows. Trials are given up in their first fold, or not.
        sampler: Who suggests: "tpe" (tree-structured Parzen estimators, which learn from the trials
            before), "random", "grid", "gp" (a Gaussian process, for few and costly trials; needs
            the extra `gp`), "cmaes" (for numbers only, and many trials), or a sampler of Optuna's.
        pruner: Who gives up trials: "hyperband", "halving", "median", "none", or a pruner of
            Optuna's.
        jobs: How many trials to run at once. From 2 on, each runs in a process of its own, which
            has its share of the cores.
        timeout: Seconds after which no trial begins, and those that run stop at an epoch's end;
            with a `storage`, the same call begins them anew.
        trial_timeout: Seconds after which a trial counts as failed; it then runs in a process of
            its own.
        trial_megabytes: Memory of a trial's process, in millions of bytes, from which on it counts
            as failed; likewise.
        storage: Where trials are kept, so that the same call goes on with them after any end, and
            others work on them at the same time: `None` for memory; a path that ends in ".journal",
            or in ".db" for SQLite; the address of a database, "postgresql://..."; a storage of
            Optuna's.
        name: The search's name in its storage.
        test_data: `(x, y)` to test the best model on; by default `data.test`, where there is one.
        params: The builder's parameters that are the same for all.
        seed: Decides all that is random. One that is drawn is in the result.
        verbose: 0 is silent, 1 one bar for the whole search, 2 a line a trial; "auto" is a bar in
            a terminal or notebook and a line a trial elsewhere.
        **arguments: More of `build_and_fit` and `fit`, the same for all, such as `patience`,
            `batch_size` or `callbacks`, which are copied for every fit.

    Returns:
        All trials, the best parameters, and the best model. After Ctrl-C, what there is; and where
        the best can't be trained again or tested, all but that, and a warning that says why.

    Raises:
        ValueError: If an argument's value is out of range, nobody has a parameter of that name, the
            storage can't be reached or holds another search, or every trial fails.
        TypeError: If an argument is of the wrong kind.
        ImportError: If a package is missing, with the line that installs it.

    Example:
        >>> import kerastrain as ktr
        >>> from kerastrain.search import search
        >>> data = ktr.load_dataset("digits")
        >>> space = {"units": range(8, 65, 8), "activation": ["relu", "tanh"]}
        >>> result = search("dense", space, data, trials=3, epochs=2, seed=1, verbose=0)
        >>> len(result), sorted(result.best_params), sorted(result.test)
        (3, ['activation', 'units'], ['accuracy', 'loss'])
    """
    begun = time.perf_counter()
    plan = plan_of(
        Recipe(builder, data, metric, mode, folds, {**arguments, "epochs": epochs}, params or {}),
        space,
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        jobs=jobs,
        limits=Limits(trial_timeout, trial_megabytes),
        timeout=timeout,
        seed=seed,
        test_data=test_data,
    )
    with opened(storage, name, plan) as book, Bar(verbose, plan) as bar:
        with crew_of(plan.recipe, jobs=plan.jobs, limits=plan.limits) as crew:
            hunt = _Hunt(plan, book, crew, bar)
            reason = hunt.run()
        found = SearchResult(
            book.trials,
            plan.recipe.metric,
            plan.recipe.mode,
            settings=plan.settings | {"seed": book.seed},
            importance=book.importance(),
            stop_reason=reason,
        )
        found = _with_model(found, hunt.model_of, plan)
    if found.note:
        warnings.warn(f"`search` found the best parameters, but {found.note}", stacklevel=2)
    return dataclasses.replace(found, seconds=time.perf_counter() - begun)


class _Hunt:
    """Keeps a crew busy until all trials are done, the time is up, or somebody interrupts."""

    def __init__(self, plan: Plan, book: Book, crew: Crew, bar: Bar) -> None:
        self._plan, self._book, self._crew, self._bar = plan, book, crew, bar
        self._deadline = time.monotonic() + (plan.timeout or math.inf)
        self._running: dict[int, tuple[Any, dict[str, Any]]] = {}  # Optuna's trial, and its params.
        self._best: tuple[int, float] | None = None
        self._model: Any = None
        self._failed: list[Outcome] = []
        self._cut: set[int] = set()  # The numbers of trials that the time of the search has ended.
        self._has_seen_better = False
        for trial in book.trials:
            self._note(trial.number, trial.state, trial.value, None)
        bar.resume(book.trials)

    def run(self) -> str:
        """Runs the trials that are left, and returns why it ended."""
        try:
            while self._begin() or self._running:
                ended = self._crew.next_outcome()
                if ended is not None:
                    self._end(*ended)
                self._bar.refresh()
        except KeyboardInterrupt:
            return "interrupted"
        self._check_hope()
        return "timeout" if self._is_late() and not self._book.is_full else "finished"

    def model_of(self, number: int) -> Any:
        """Returns the model of a trial, if it is the best one and was trained here."""
        if self._best is None or self._best[0] != number:
            return None
        return unpacked_model(self._model)

    def _begin(self) -> bool:
        """Gives every free hand a trial; tells whether any began."""
        before = len(self._running)
        while len(self._running) < self._crew.size and not (self._is_late() or self._is_hopeless()):
            trial = self._book.ask()
            if trial is None:
                break
            params = self._plan.space.params(trial)
            parts = routed(self._plan.recipe.builder, params, function="search", argument="space")
            self._running[trial.number] = trial, params
            best = None if self._best is None else self._best[1]
            report = functools.partial(self._reported, trial)
            self._crew.start(Task(trial.number, parts, self._book.seed, report, best))
        return len(self._running) > before

    def _reported(self, trial: Any, epochs: int, value: float | None) -> str:
        """Hears of an epoch of a trial; returns why the trial has to stop, or nothing."""
        self._bar.see_epoch(trial.number, epochs)
        if self._is_late():
            self._cut.add(trial.number)
            return "the time of the search was up"
        if value is None or not self._plan.judge.looks_after(epochs):
            return ""
        self._book.report(trial, value, epochs)
        after = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        return f"it would hardly win, after {after}" if trial.should_prune() else ""

    def _end(self, number: int, outcome: Outcome) -> None:
        """Keeps what came of a trial; raises what would come of any."""
        trial, params = self._running.pop(number)
        if number in self._cut and outcome.state != "complete":
            return  # As after Ctrl-C, it stays open, for whoever goes on with the search.
        if outcome.error is not None and not self._has_seen_better:
            raise outcome.error
        self._book.tell(trial, outcome, params=params)
        self._note(number, outcome.state, outcome.value, outcome.model)
        self._bar.see_end(number, outcome, params)
        self._failed += [outcome] if outcome.state == "failed" else []

    def _check_hope(self) -> None:
        """Raises where no trial has come to anything, nor will."""
        if self._is_hopeless():
            must = "train a model with the parameters in `space`"
            raise invalid("search", "builder", must, _all_failed(self._failed))
        ended = self._book.trials
        if self._book.is_full and ended and all(trial.state == "failed" for trial in ended):
            must = "hold a trial that hasn't failed, or else pass another `name`, or more `trials`"
            raise invalid("search", "storage", must, _all_failed(ended))

    def _is_hopeless(self) -> bool:
        """Tells whether so many trials have failed, and none has not, that all will."""
        enough = len(self._failed) >= min(_HOPELESS, self._plan.trials)
        return enough and not self._has_seen_better

    def _note(self, number: int, state: str, value: float, model: Any) -> None:
        self._has_seen_better = self._has_seen_better or state != "failed"
        best = None if self._best is None else self._best[1]
        if state == "complete" and is_better(value, best, self._plan.recipe.mode):
            self._best, self._model = (number, value), model

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


def _with_model(found: SearchResult, model_of: Callable[[int], Any], plan: Plan) -> SearchResult:
    """Adds the best trial's model, and its test: as it was trained, or else trained again."""
    if found.best is None:
        return found
    try:
        model = model_of(found.best.number)
        if model is None:
            model = refit_recipe(found.best, plan.recipe, function="search").model
    except KeyboardInterrupt:  # What was found stays found.
        return dataclasses.replace(found, stop_reason="interrupted")
    except Exception as error:  # Whatever a callback of the user's may raise; likewise.
        return dataclasses.replace(found, note=f"it could not be trained again: {in_a_line(error)}")
    try:
        tested = _tested(model, plan.test_data)
    except KeyboardInterrupt:
        return dataclasses.replace(found, model=model, stop_reason="interrupted")
    except Exception as error:  # Of labels that the model doesn't know.
        note = f"it could not be tested: {in_a_line(error)}"
        return dataclasses.replace(found, model=model, note=note)
    return dataclasses.replace(found, model=model, tested=tested)


def _all_failed(trials: Sequence[Outcome | Trial]) -> str:
    reason = trials[0].reason.rstrip(".")
    return f"{len(trials)} trials, which all failed, the first with {reason}"


def _tested(model: Any, test_data: Any) -> dict[str, float]:
    if test_data is None:
        return {}
    parts = (test_data,) if is_stream(test_data) else test_data
    with _silent_about_tracing():
        figures = model.evaluate(*parts, verbose=0, return_dict=True)
    return {name: float(value) for name, value in figures.items()}


@contextlib.contextmanager
def _silent_about_tracing() -> Iterator[None]:
    """Keeps TensorFlow from warning that models of several searches are traced one after another.

    Each is another model, so nobody can do anything about it.
    """
    logger = logging.getLogger("tensorflow")

    def is_other(line: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in line.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
