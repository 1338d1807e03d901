"""The book of a search: an Optuna study, new or gone on with, read and written as records."""

import contextlib
import dataclasses
import math
import random
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
from kerastrain.search.storages import reached, storage_of
from kerastrain.search.trials import Outcome
from kerastrain.search_records import Trial, plain

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_OURS = "kerastrain"  # the attribute of a study or a trial that holds what Optuna doesn't
_OWNER = "kerastrain.owner"
_LEAST_TO_COMPARE = 4


class Book:
    """The trials of a search: asked for, told about, and read as records.

    Args:
        study: Optuna's.
        space: What may be tried.
        seed: The search's, which decides all that is random.
    """

    def __init__(self, study: Any, space: Space, *, seed: int) -> None:
        self._study, self._space, self.seed = study, space, seed
        self._owner = owners.here()

    def queue_all(self) -> None:
        """Lets every combination of a space wait for its turn, unless they do already."""
        if not self._study.get_trials(deepcopy=False):
            for combination in self._space.combinations():
                self._study.enqueue_trial(combination)

    def ask(self) -> Any:
        """Returns a trial of Optuna's: one that a process that died has left, or a new one."""
        left = next((t for t in self._kept(TrialState.RUNNING) if self._is_left(t)), None)
        # What it has suggested already stands, so that all goes on as if nothing had happened.
        trial = optuna.trial.Trial(self._study, left._trial_id) if left else self._study.ask()
        trial.set_user_attr(_OWNER, self._owner)
        return trial

    def tell(self, trial: Any, outcome: Outcome, *, params: Mapping[str, Any]) -> None:
        """Keeps what came of a trial."""
        kept = {
            "params": plain(params),
            "value": outcome.value,
            "seed": self.seed,
            "seconds": outcome.seconds,
            "reason": outcome.reason,
            "histories": [dataclasses.asdict(history) for history in outcome.histories],
        }
        trial.set_user_attr(_OURS, to_json(kept))
        value = outcome.value if outcome.state == "complete" else None
        self._study.tell(trial, value, state=_STATES[outcome.state])

    @property
    def begun(self) -> int:
        """How many trials there are, with those that run in this process or another."""
        running = self._kept(TrialState.RUNNING)
        return len(self._kept(*_STATES.values())) + sum(not self._is_left(t) for t in running)

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
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _is_left(self, trial: Any) -> bool:
        owner = trial.user_attrs.get(_OWNER)
        return owner != self._owner and owners.is_gone(owner)

    def _record(self, trial: Any) -> Trial:
        kept = trial.user_attrs.get(_OURS)
        state = next(name for name, state in _STATES.items() if state is trial.state)
        if kept is None:  # Not one of ours, but a trial that somebody added to the study.
            return Trial(trial.number, dict(trial.params), state, trial.value or math.nan)
        fields = {**kept, "number": trial.number, "state": state}
        return dataclasses.replace(Trial.of_fields(fields), params=self._params(trial, kept))

    def _params(self, trial: Any, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the parameters themselves, of which a storage keeps some as their text only."""
        try:
            return self._space.params(optuna.trial.FixedTrial(trial.params))
        except Exception:  # Of another space, in a storage that was used before.
            return dict(kept["params"])


@contextlib.contextmanager
def opened(storage: Any, name: str, plan: Plan) -> Iterator[Book]:
    """Opens a study, a new one or one to go on with, and keeps Optuna from printing meanwhile.

    Args:
        storage: Where trials are kept; see `storage_of`.
        name: The study's name there.
        plan: What the search is to do. Where it has no seed, that is the study's, or a new one.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            kept = storage_of(storage)
            with reached(storage):
                direction = f"{plan.job.mode}imize"
                study = optuna.create_study(
                    storage=kept, study_name=name, direction=direction, load_if_exists=True
                )
                seed = _identified(study, plan.identity)
            study.sampler = sampler_of(plan.sampler, seed=seed)
            study.pruner = plan.judge.pruner or optuna.pruners.NopPruner()
            book = Book(study, plan.space, seed=seed)
            if plan.sampler == "grid":
                book.queue_all()
            try:
                yield book
            finally:
                book.close()
    finally:
        optuna.logging.set_verbosity(verbosity)


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
