"""The book of a search: an Optuna study, new or gone on with, read and written as records."""

import contextlib
import dataclasses
import math
import random
import secrets
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from kerastrain._checks import invalid, show
from kerastrain._record_files import to_json
from kerastrain.search import owners
from kerastrain.search.plans import Plan
from kerastrain.search.samplers import sampler_of
from kerastrain.search.spaces import Space
from kerastrain.search.storages import connected, reached
from kerastrain.search.trials import Outcome
from kerastrain.search_records import Trial, plain

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_OURS = "kerastrain"  # the attribute of a study or a trial that holds what Optuna doesn't
_OWNER = "kerastrain.owner "  # and who it is: the attribute of a trial that somebody is at.
_SURPLUS = "kerastrain.surplus"  # marks a trial that two processes made, where one was wanted
_LEAST_TO_COMPARE = 4
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # s


class Book:
    """The trials of a search: asked for, told about, and read as records.

    Args:
        study: Optuna's.
        space: What may be tried.
        seed: The search's, which decides all that is random.
        trials: How many there will be, of all processes together.
    """

    def __init__(self, study: Any, space: Space, *, seed: int, trials: int) -> None:
        self._study, self._space, self.seed = study, space, seed
        self._most = trials
        self._owner = owners.here()
        self._mark = _OWNER + self._owner

    def ask(self) -> Any:
        """Returns a trial of Optuna's; `None` if there is none left to begin.

        One that a process that died has left comes before a new one.
        """
        while left := next(filter(_is_left, self._kept(TrialState.RUNNING)), None):
            # What it has suggested already stands, so that all goes on as if nothing had happened.
            trial = optuna.trial.Trial(self._study, left._trial_id)
            if self._takes_over(trial):
                return trial
            time.sleep(secrets.randbelow(1000) / 2000)  # So that one of two comes first.
        if self.begun >= self._most:
            return None
        trial = self._new()
        # Another process may have asked at the same moment: who comes too late, steps back.
        if sum(one.number <= trial.number for one in self._not_left()) > self._most:
            trial.set_user_attr(_SURPLUS, True)
            self._study.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def tell(self, trial: Any, outcome: Outcome, *, params: Mapping[str, Any]) -> None:
        """Keeps what came of a trial."""
        kept = {
            "params": plain(params),
            "value": outcome.value,
            "seed": self.seed,
            "seconds": outcome.seconds,
            "threads": outcome.threads,
            "reason": outcome.reason,
            "histories": [dataclasses.asdict(history) for history in outcome.histories],
        }
        trial.set_user_attr(_OURS, to_json(kept))
        value = outcome.value if outcome.state == "complete" else None
        self._study.tell(trial, value, state=_STATES[outcome.state])

    @property
    def begun(self) -> int:
        """How many trials there are, with those that run in this process or another."""
        return len(self._not_left())

    @property
    def is_full(self) -> bool:
        """Whether all trials have ended."""
        return len(self._kept(*_STATES.values())) >= self._most

    @property
    def trials(self) -> list[Trial]:
        """All trials that have ended, as records."""
        return [self._record(trial) for trial in self._kept(*_STATES.values())]

    def importance(self) -> dict[str, float]:
        """Returns what share each parameter has in the differences between the values.

        By fANOVA (Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance",
        2014), of the trials that are complete; empty where these are too few, or all alike.
        """
        values = [trial.value for trial in self._kept(TrialState.COMPLETE)]
        if len(values) < _LEAST_TO_COMPARE or len(set(values)) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def close(self) -> None:
        """Leaves what still runs to whoever goes on with the search."""
        owners.leave(self._owner)

    def _kept(self, *states: TrialState) -> list[Any]:
        trials = self._study.get_trials(deepcopy=False, states=states)
        return [trial for trial in trials if _SURPLUS not in trial.user_attrs]

    def _not_left(self) -> list[Any]:
        """Returns all trials, those that run in this process or another among them."""
        trials = self._kept(TrialState.RUNNING, *_STATES.values())
        return [one for one in trials if one.state.is_finished() or not _is_left(one)]

    def _new(self) -> Any:
        """Makes a trial that has its owner from the first: this process may be killed any time."""
        token = uuid.uuid4().hex
        running = optuna.create_trial(state=TrialState.RUNNING, user_attrs={self._mark: token})
        self._study.add_trial(running)
        mine = (t for t in self._kept(TrialState.RUNNING) if t.user_attrs.get(self._mark) == token)
        return optuna.trial.Trial(self._study, next(mine)._trial_id)

    def _takes_over(self, trial: Any) -> bool:
        """Takes a trial, and gives it back where another process does so at the same moment."""
        trial.set_user_attr(self._mark, True)
        now = self._study.get_trials(deepcopy=False)[trial.number]
        if all(owners.is_gone(owner) for owner in _owners_of(now) - {self._owner}):
            return True
        trial.set_user_attr(self._mark, False)
        return False

    def _record(self, trial: Any) -> Trial:
        kept = trial.user_attrs.get(_OURS)
        state = next(name for name, state in _STATES.items() if state is trial.state)
        if kept is None:  # Not one of ours, but a trial that somebody added to the study.
            value = math.nan if trial.value is None else trial.value
            return Trial(trial.number, dict(trial.params), state, value)
        record = Trial.of_fields({**kept, "number": trial.number, "state": state})
        return dataclasses.replace(record, params=self._params(trial) or record.params)

    def _params(self, trial: Any) -> dict[str, Any]:
        """Returns the parameters themselves, of which a storage keeps some as their text only."""
        try:
            return self._space.params(optuna.trial.FixedTrial(trial.params, trial.number))
        except Exception:  # Of another space, in a storage that was used before.
            return {}


def _is_left(trial: Any) -> bool:
    """Tells whether all who were at a trial have ended."""
    found = _owners_of(trial)
    return bool(found) and all(map(owners.is_gone, found))


def _owners_of(trial: Any) -> set[str]:
    marks = [name for name, is_at_it in trial.user_attrs.items() if is_at_it]
    return {name.removeprefix(_OWNER) for name in marks if name.startswith(_OWNER)}


@contextlib.contextmanager
def opened(storage: Any, name: str, plan: Plan) -> Iterator[Book]:
    """Opens a study, a new one or one to go on with, and keeps Optuna from printing meanwhile.

    Args:
        storage: Where trials are kept; see `storage_of`.
        name: The study's name there.
        plan: What the search is to do. Where it has no seed, that is the study's, or a new one.
    """
    if not isinstance(name, str) or not name:
        must = "be a string that isn't empty"
        raise invalid("search", "name", must, f"name={show(name)}", kind=TypeError)
    with _quiet(), connected(storage) as kept:
        with reached(storage):
            study = _study_of(kept, name, f"{plan.job.mode}imize")
            seed = _identified(study, plan.identity)
        study.sampler = sampler_of(plan.sampler, seed=seed, space=plan.space)
        study.pruner = plan.judge.pruner or optuna.pruners.NopPruner()
        book = Book(study, plan.space, seed=seed, trials=plan.trials)
        try:
            yield book
        finally:
            book.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            # From Python 3.12 on, a warning of Optuna's counts as one of who called it.
            warnings.filterwarnings("ignore", module=r"optuna|kerastrain\.search")
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _study_of(storage: Any, name: str, direction: str) -> Any:
    try:
        return optuna.create_study(storage=storage, study_name=name, direction=direction)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
    for pause in _PAUSES:
        # A process that has just made it marks it in a moment; anybody else's study has no marks.
        time.sleep(pause)
        if _OURS in study.user_attrs:
            return study
    found = [str(one.name).lower() for one in study.directions]
    if found != [direction]:
        must = f"hold a study to {direction} under the name {name!r}, or else pass another `name`"
        raise invalid("search", "storage", must, f"a study to {' and '.join(found)}")
    return study


def _identified(study: Any, identity: dict[str, Any]) -> int:
    """Marks a new study, or holds the marks of an old one against this search; returns its seed."""
    kept = study.user_attrs.get(_OURS)
    if kept is None:
        seed = random.getrandbits(31) if identity["seed"] is None else identity["seed"]
        study.set_user_attr(_OURS, identity | {"seed": seed})
        return int(seed)
    for what, value in identity.items():
        if value != kept.get(what) and not (what == "seed" and value is None):
            must = (
                f"hold trials with the same {what} ({show(kept.get(what))}) under the name "
                f"{study.study_name!r}, or else pass another `name`"
            )
            raise invalid("search", "storage", must, f"{what}={show(value)}")
    return int(kept["seed"])
