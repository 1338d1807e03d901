"""The book of a search: an Optuna study, new or gone on with, read and written as records."""

import contextlib
import dataclasses
import random
import secrets
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from kerastrain import _owners
from kerastrain._checks import invalid, show
from kerastrain._record_files import to_json
from kerastrain.search.plans import Plan
from kerastrain.search.samplers import sampler_of
from kerastrain.search.spaces import Space
from kerastrain.search.storages import connected, reached
from kerastrain.search.trials import Outcome
from kerastrain.search_records import Trial, plain, with_words_marked

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
        storage: What was passed as `storage`, which an error names.

    Trials that somebody else has added to the study teach the sampler, and count for nothing else:
    nobody knows what they were trained on.
    """

    def __init__(
        self, study: Any, space: Space, *, seed: int, trials: int, storage: Any = None
    ) -> None:
        self._study, self._space, self.seed = study, space, seed
        self._most, self._storage = trials, storage
        # A sampler of Optuna's stops a study when it has nothing left to suggest.
        self._is_exhausted = _is_exhausted(study)
        study.stop = self._exhaust
        self._owner = _owners.here()
        self._mark = _OWNER + self._owner

    def ask(self) -> Any:
        """Returns a trial of Optuna's; `None` if there is none left to begin.

        One that a process that died has left comes before a new one.
        """
        with reached(self._storage):
            return self._asked()

    def _asked(self) -> Any:
        while left := next(filter(_is_left, self._kept(TrialState.RUNNING)), None):
            # What it has suggested already stands, so that all goes on as if nothing had happened.
            trial = optuna.trial.Trial(self._study, left._trial_id)
            if self._takes_over(trial):
                return trial
            time.sleep(secrets.randbelow(1000) / 2000)  # So that one of two comes first.
        if self._is_exhausted or self.begun >= self._most:
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
            "params": with_words_marked(plain(params)),
            "value": outcome.value,
            "seed": self.seed,
            "seconds": outcome.seconds,
            "threads": outcome.threads,
            "reason": outcome.reason,
            "histories": [dataclasses.asdict(history) for history in outcome.histories],
        }
        value = outcome.value if outcome.state == "complete" else None
        with reached(self._storage):
            trial.set_user_attr(_OURS, to_json(kept))
            self._study.tell(trial, value, state=_STATES[outcome.state])

    def report(self, trial: Any, value: float, epochs: int) -> None:
        """Keeps the best value of a trial so far, for whoever gives up trials."""
        with reached(self._storage):
            trial.report(value, epochs)

    @property
    def begun(self) -> int:
        """How many trials there are, with those that run in this process or another."""
        return len(self._not_left())

    @property
    def is_full(self) -> bool:
        """Whether all trials have ended."""
        return self._is_exhausted or len(self._kept(*_STATES.values())) >= self._most

    @property
    def trials(self) -> list[Trial]:
        """All trials that have ended, as records."""
        return [self._record(trial) for trial in self._kept(*_STATES.values())]

    def importance(self) -> dict[str, float]:
        """Returns what share each parameter has in the differences between the values.

        By fANOVA (Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance",
        2014), of the trials that are complete; empty where these are too few, or all alike, in
        their values or in the parameters that all of them have.
        """
        values = [trial.value for trial in self._kept(TrialState.COMPLETE)]
        if len(values) < _LEAST_TO_COMPARE or len(set(values)) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        try:
            found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        except Exception:  # Whatever Optuna has against it, no search is lost for what decorates.
            return {}
        return {name: float(share) for name, share in found.items()}

    def close(self) -> None:
        """Leaves what still runs to whoever goes on with the search."""
        _owners.leave(self._owner)

    def _kept(self, *states: TrialState) -> list[Any]:
        trials = self._study.get_trials(deepcopy=False, states=states)
        return [trial for trial in trials if _is_ours(trial) and _SURPLUS not in trial.user_attrs]

    def _exhaust(self) -> None:
        self._is_exhausted = True

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
        if all(_owners.is_gone(owner) for owner in _owners_of(now) - {self._owner}):
            return True
        trial.set_user_attr(self._mark, False)
        return False

    def _record(self, trial: Any) -> Trial:
        kept = trial.user_attrs[_OURS]
        state = next(name for name, state in _STATES.items() if state is trial.state)
        record = Trial.of_fields({**kept, "number": trial.number, "state": state})
        return dataclasses.replace(record, params=self._params(trial) or record.params)

    def _params(self, trial: Any) -> dict[str, Any]:
        """Returns the parameters themselves, of which a storage keeps some as their text only."""
        try:
            return self._space.params(optuna.trial.FixedTrial(trial.params, trial.number))
        except Exception:  # Of another space, in a storage that was used before.
            return {}


def _is_exhausted(study: Any) -> bool:
    """Tells whether the user's sampler has nothing left to suggest, where it can say so."""
    says = getattr(study.sampler, "is_exhausted", None)
    return bool(says(study)) if callable(says) else False


def _is_ours(trial: Any) -> bool:
    """Tells whether a trial is one of a search of ours, and not one that somebody has added."""
    if trial.state.is_finished():
        return _OURS in trial.user_attrs or _SURPLUS in trial.user_attrs
    return any(name.startswith(_OWNER) for name in trial.user_attrs)


def _is_left(trial: Any) -> bool:
    """Tells whether all who were at a trial have ended."""
    found = _owners_of(trial)
    return bool(found) and all(map(_owners.is_gone, found))


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
            study, seed = _identified(kept, name, plan)
        study.sampler = sampler_of(plan.sampler, seed=seed, space=plan.space)
        study.pruner = plan.judge.pruner or optuna.pruners.NopPruner()
        book = Book(study, plan.space, seed=seed, trials=plan.trials, storage=storage)
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


def _identified(storage: Any, name: str, plan: Plan) -> tuple[Any, int]:
    """Returns the study of a search, and the seed.

    A new study is marked with what the search is to do; the marks of an old one are held against
    it. One in which nothing has ended, as after an error in the call, is begun anew.
    """
    direction = f"{plan.recipe.mode}imize"
    try:
        study = _study_of(storage, name, direction)
        return study, _marked(study, plan.identity)
    except ValueError:
        if not _is_unused(storage, name):
            raise
    optuna.delete_study(study_name=name, storage=storage)
    study = _study_of(storage, name, direction)
    return study, _marked(study, plan.identity)


def _is_unused(storage: Any, name: str) -> bool:
    """Tells whether a study of ours has no trial that has ended or may be going on."""
    study = optuna.load_study(storage=storage, study_name=name)
    trials = study.get_trials(deepcopy=False)
    return _OURS in study.user_attrs and not any(
        one.state.is_finished() or not _is_left(one) for one in trials
    )


def _study_of(storage: Any, name: str, direction: str) -> Any:
    try:
        return optuna.create_study(storage=storage, study_name=name, direction=direction)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name)
    found = [str(one.name).lower() for one in study.directions]
    for pause in _PAUSES:
        # A process that has just made it marks it in a moment; anybody else's study has no marks.
        time.sleep(pause)
        if _OURS in study.user_attrs:
            break
    is_marked = _OURS in study.user_attrs
    if found != [direction] and not is_marked:  # Else the marks tell more.
        must = f"hold a study to {direction} under the name {name!r}, or else pass another `name`"
        raise invalid("search", "storage", must, f"a study to {' and '.join(found)}")
    return study


def _marked(study: Any, identity: dict[str, Any]) -> int:
    """Marks a new study, or holds the marks of an old one against this search; returns its seed."""
    kept = study.user_attrs.get(_OURS)
    if kept is None:
        seed = random.getrandbits(31) if identity["seed"] is None else identity["seed"]
        study.set_user_attr(_OURS, identity | {"seed": seed})
        return int(seed)
    for what in {**identity, **kept}:
        value, before = identity.get(what), kept.get(what)
        if value != before and not (what == "seed" and value is None):
            must = (
                f"hold trials with the same {what} ({show(before)}) under the name "
                f"{study.study_name!r}, or else pass another `name`"
            )
            raise invalid("search", "storage", must, f"{what}={show(value)}")
    return int(kept["seed"])
