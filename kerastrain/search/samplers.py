"""Who suggests parameters and who gives up trials: Optuna's samplers and pruners, by name."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna

from kerastrain._checks import needs, one_of
from kerastrain.search.spaces import Space

SAMPLERS = ("tpe", "random", "grid", "gp", "cmaes")
"""Who suggests parameters: Optuna's samplers, by name."""

PRUNERS = ("hyperband", "median", "halving", "none")
"""Who gives up trials: Optuna's pruners, by name."""

_NEEDED = {"gp": [("torch", "gp")], "cmaes": [("cmaes", "search")]}
_FACTOR = 3  # Of three trials one goes on, for three times the epochs.


class _SeededSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Seeds a sampler anew for each trial, so that what it suggests hangs on the trials before.

    A sampler's own generator would begin again in a search that goes on from its storage, and
    suggest what it had suggested before. And for each parameter that it draws by itself, as a trial
    may have some already from a process that was killed.
    """

    def __init__(self, make: Callable[[int], Any], seed: int) -> None:
        self._make, self._seed = make, seed
        self._sampler = make(seed)

    def before_trial(self, study: Any, trial: Any) -> None:
        self._sampler = self._seeded(trial, "")
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._seeded(trial, name).sample_independent(study, trial, name, distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        self._sampler.after_trial(study, trial, state, values)

    def _seeded(self, trial: Any, name: str) -> Any:
        sequence = np.random.SeedSequence([self._seed, trial.number, *name.encode()])
        return self._make(int(sequence.generate_state(1)[0]))


class _GridSampler(optuna.samplers.BaseSampler):  # type: ignore[misc]
    """Takes the combination of a trial's number: any number of processes share one grid.

    Optuna's own may hand out a combination twice where several processes ask at a time.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        return {}

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._space.combination(trial.number)[name]


def sampler_checked(sampler: Any) -> Any:
    """Returns what was passed as `sampler` if it is one, or its name, or raises."""
    if isinstance(sampler, optuna.samplers.BaseSampler):
        return sampler
    name = one_of("search", "sampler", sampler, SAMPLERS)
    for package, extra in _NEEDED.get(name, ()):
        needs(package, extra=extra, function=f"search(sampler={name!r})")
    return name


def sampler_of(sampler: Any, *, seed: int, space: Space) -> Any:
    """Returns one of Optuna's samplers from its name, or the sampler itself."""
    if not isinstance(sampler, str):
        return sampler
    if sampler == "grid":
        return _GridSampler(space)
    kinds: dict[str, Callable[..., Any]] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
        "gp": optuna.samplers.GPSampler,
        "cmaes": optuna.samplers.CmaEsSampler,
    }
    quiet = {"warn_independent_sampling": False} if sampler in ("gp", "cmaes") else {}
    return _SeededSampler(lambda number: kinds[sampler](seed=number, **quiet), seed)


@dataclasses.dataclass(frozen=True)
class Judge:
    """One of Optuna's pruners, and the epochs at which it can give up a trial.

    Attributes:
        pruner: The pruner; `None` never gives up.
        factor: It looks after 1 epoch, after `factor`, `factor ** 2` and so on; 1 is every epoch.
        most: The epochs of a trial, after the last of which there is nothing to give up.
    """

    pruner: Any
    factor: int = 1
    most: float = math.inf

    def looks_after(self, epochs: int) -> bool:
        """Tells whether it looks at a trial after so many epochs.

        A report to a database takes longer than an epoch of a small model, so there are none that
        nobody looks at.

        Example:
            >>> judge = judge_of("hyperband", epochs=30)
            >>> [epochs for epochs in range(1, 31) if judge.looks_after(epochs)]
            [1, 3, 9, 27]
        """
        if self.pruner is None or epochs >= self.most:
            return False
        if self.factor == 1:
            return True
        while epochs > 1 and epochs % self.factor == 0:
            epochs //= self.factor
        return epochs == 1


def judge_of(pruner: Any, *, epochs: int) -> Judge:
    """Returns a judge from the name of one of Optuna's pruners, or from the pruner itself.

    Args:
        pruner: One of `PRUNERS`, `None` for none, or an object of Optuna's.
        epochs: How many epochs a trial has at most, in its first fold where there are several.
    """
    if isinstance(pruner, optuna.pruners.BasePruner):
        return Judge(pruner, most=epochs)
    name = one_of("search", "pruner", "none" if pruner is None else pruner, PRUNERS)
    if name == "none":
        return Judge(None)
    if name == "median":
        return Judge(optuna.pruners.MedianPruner(), most=epochs)
    if name == "halving":
        return Judge(optuna.pruners.SuccessiveHalvingPruner(1, _FACTOR), _FACTOR, epochs)
    made = optuna.pruners.HyperbandPruner(max_resource=epochs, reduction_factor=_FACTOR)
    return Judge(made, _FACTOR, epochs)
