"""The state of a run at the end of its best epoch: what it leaves behind, and may go back to."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._bookkeeping import Best
from kerastrain._course import Course
from kerastrain._exact_state import state_of, whole_facts_of
from kerastrain._optimizers import as_given, variable_rate_of
from kerastrain._progress_text import ordinal
from kerastrain._state_files import State

_MOST = 3  # times that a run goes back


class BestState(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state of the best epoch so far, and goes back to it; comes behind `Course`.

    Args:
        course: Where the run is.
        best: Its best epoch.
        callbacks: All callbacks that have a state, but for this one.

    Attributes:
        state: The state; that of the beginning, as long as no epoch is the best.
        epoch: The epoch; `None` as long as there is none.
    """

    def __init__(
        self, course: Course, best: Best, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        super().__init__()
        self._course, self._best, self._callbacks = course, best, callbacks
        self._count = 0
        self.state: State | None = None
        self.epoch: int | None = None

    def get_state(self) -> dict[str, Any]:
        """Returns it, for the state of another epoch."""
        assert self.state is not None
        # With its arrays in their places, since the other state has some of the same names.
        facts = whole_facts_of(self.state)
        arrays = {k: array for k, array in self.state.arrays.items() if k[:1] != "/"}
        return {"count": self._count, "epoch": self.epoch, "facts": facts, "arrays": arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes it back."""
        self._count, self.epoch = state["count"], state["epoch"]
        self.state = State(state["facts"], state["arrays"])

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the beginning."""
        if self.state is None:
            self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps an epoch that is the best so far."""
        if self._best.epoch is not None and self._best.epoch != self.epoch:
            self.epoch = self._best.epoch
            self._keep()

    @property
    def can_go_back(self) -> bool:
        """Whether the run may go back once more."""
        return self._count < _MOST

    def go_back(self) -> str:
        """Has the next training begin there, with half the rate; returns that in words."""
        assert self.state is not None
        self._count += 1
        rate = variable_rate_of(self.model.optimizer)
        assert rate is not None
        half = as_given(rate) / 2
        self._course.go_on_from(self.state, lambda: rate.assign(half))
        where = "the beginning" if self.epoch is None else f"the {ordinal(self.epoch + 1)} epoch"
        return f"back to {where}, with a rate of {half:g}"

    def _keep(self) -> None:
        course = self._course
        self.state = state_of(self.model, self._callbacks, course.facts, course.others)
