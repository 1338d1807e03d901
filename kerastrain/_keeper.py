"""When a run is saved, and what: as often as it may, for at most three parts in a hundred of it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._best_state import BestState
from kerastrain._course import Course
from kerastrain._exact_state import as_array, state_of, variables_by_name
from kerastrain._optimizers import as_given, variable_rate_of
from kerastrain._state_files import State
from kerastrain.records import History
from kerastrain.run import RunDirectory
from kerastrain.state import has_finite_weights

PART_OF_TIME = 0.03
"""What saving may take of the time of a run."""

PART_FOR_HOLDING = 0.01
"""What of that it may take to hold a state in memory, for an error."""

_NOWHERE = (-1, -1)  # An epoch and a batch that are none.


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves a run after every epoch, and within one after so many seconds; comes behind the others.

    It saves less often where it would take more than `PART_OF_TIME`. In between it holds a state in
    memory, which takes far less, and saves that when the data or a callback fail. What there is
    then can't be saved: a step may have been broken off in its midst, and of the callbacks some
    have heard of the batch and others haven't. The last state of which all had heard can, so that
    the run goes on to the bit from there.

    Args:
        directory: Where to.
        course: Where the run is.
        best: The state of its best epoch.
        callbacks: All callbacks that have a state.
        history: Returns its history so far.
        facts: What doesn't change in its course.
        seconds: After which to save within an epoch; 0 saves after every call, whatever it takes.

    Attributes:
        seconds_spent: What saving has taken so far.
    """

    sees_groups = True

    def __init__(
        self,
        directory: RunDirectory,
        *,
        course: Course,
        best: BestState,
        callbacks: Sequence[keras.callbacks.Callback],
        history: Callable[[], History],
        facts: Mapping[str, Any],
        seconds: float,
    ) -> None:
        super().__init__()
        self._directory, self._course, self._best = directory, course, best
        self._callbacks, self._history, self._facts = callbacks, history, facts
        self._seconds = seconds
        self._saved_at: tuple[int, int] | None = None
        self._saved_when = -math.inf
        self._began: float | None = None
        self.seconds_spent = self._cost = 0.0
        self._held: tuple[tuple[int, int], State] | None = None
        self._held_when, self._cost_of_holding = -math.inf, 0.0
        self._written: int | None = None  # The epoch of the model that is on the disk.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Saves how it begins, since another process may build the model from another seed."""
        if self._began is not None:  # It goes back, and what it came to there counts no more.
            self._saved_at, self._held = _NOWHERE, None
            return
        self._began = time.perf_counter()
        if self._directory.state is None:
            self.save()
        else:
            self._saved_at = (self._course.epoch, self._course.batch)
            self._saved_when = self._began
        # Behind the first state, since a folder with all but a state has lost it.
        self._directory.describe(self._facts["configuration"], self._facts["seed"])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves within an epoch, when it is time."""
        now = time.perf_counter()
        if now - self._saved_when >= self._seconds and self._is_affordable(now, self._cost):
            self.save()
        elif self._is_time_to_hold(now) and self._is_affordable(now, self._cost_of_holding):
            self._hold()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves, and writes the best model."""
        is_last = self._course.is_over or epoch + 1 >= self.params["epochs"]
        if is_last or self._is_affordable(time.perf_counter(), self._cost):
            self.save()
            self._write_best()

    def save(self) -> None:
        """Saves where the run is, unless it has been saved there."""
        at = (self._course.epoch, self._course.batch)
        if at == self._saved_at:
            return
        start = time.perf_counter()
        if has_finite_weights(self.model):  # Else no run could go on from it.
            is_landmark = not self._course.batch
            self._directory.save(self.state(), self._history(), is_landmark=is_landmark)
            self._saved_at, self._held = at, None
        self._saved_when = time.perf_counter()
        self._cost = self._saved_when - start
        self.seconds_spent += self._cost

    def save_held(self) -> None:
        """Saves the last state that is held, after an error."""
        if self._held is None:
            return
        self._saved_at, state = self._held
        self._directory.save(state, self._history(), is_landmark=False)

    def state(self) -> State:
        """Returns the state that the run is in."""
        rate = variable_rate_of(self.model.optimizer)
        facts = {
            **self._facts,
            **self._course.facts,
            "ways": {str(epoch): way for epoch, way in self._course.execution.ways.items()},
            "rate": None if rate is None else as_given(rate),
            "note": self._history().note,
        }
        return state_of(self.model, self._callbacks, facts, self._course.others)

    def close(self, history: History) -> None:
        """Leaves the best model, as it was with its optimizer, and the whole history."""
        if self._saved_at is None:
            return  # It failed before it began; a folder with all but a state would have lost it.
        self._write_best()
        self._directory.save_history(history)

    def _write_best(self) -> None:
        if self._best.epoch is None:
            return
        if self._best.epoch == self._written and self._directory.has_best:
            return
        assert self._best.state is not None
        start = time.perf_counter()
        kept = dict(variables_by_name(self.model, self._course.others))
        now = {name: as_array(variable) for name, variable in kept.items()}
        try:
            _assign(kept, self._best.state.arrays)
            self._directory.save_best(self.model)
        finally:
            _assign(kept, now)
        self._written = self._best.epoch
        self.seconds_spent += time.perf_counter() - start

    def _hold(self) -> None:
        start = time.perf_counter()
        if not has_finite_weights(self.model):  # Else no run could go on from it.
            return
        self._held = (self._course.epoch, self._course.batch), self.state()
        self._held_when = time.perf_counter()
        self._cost_of_holding = self._held_when - start
        self.seconds_spent += self._cost_of_holding

    def _is_time_to_hold(self, now: float) -> bool:
        return (now - self._held_when) * PART_FOR_HOLDING >= self._cost_of_holding

    def _is_affordable(self, now: float, cost: float) -> bool:
        if not self._seconds:
            return True
        assert self._began is not None
        return self.seconds_spent + cost <= PART_OF_TIME * (now - self._began)


def _assign(variables: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> None:
    for name, variable in variables.items():
        if name in values:
            variable.assign(values[name])
