"""Where a run is, and how it goes on from a state in the midst of an epoch.

Keras begins at an epoch's start. So the calls that were made before are gone through once more
without training, the data are led past the batches that were trained on, and then all is put back.
"""

import csv
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._exact_state import facts_of, put_back
from kerastrain._files import replacing
from kerastrain._state_files import State
from kerastrain.engine import Execution
from kerastrain.sources import Source


class Course(keras.callbacks.Callback):  # type: ignore[misc]
    """Knows where a run is, and puts it where it goes on; comes behind the others.

    Args:
        source: The run's data.
        callbacks: All callbacks that have a state.
        others: What else than the model's variables a training step may change.

    Attributes:
        epoch: The epoch that is to be trained, or is being trained.
        batch: How many of its batches have been trained on.
        logs: What Keras had logged by then.
        execution: How the steps are executed; set before training.
        others: As given.
        is_over: Whether there is nothing left to train, as the state says.
    """

    sees_groups = True
    execution: Execution

    def __init__(
        self,
        source: Source,
        callbacks: Sequence[keras.callbacks.Callback],
        others: Sequence[Any] = (),
    ) -> None:
        super().__init__()
        self._source, self._callbacks = source, callbacks
        self.others = others
        self.epoch = self.batch = 0
        self.logs: dict[str, Any] = {}
        self.is_over = False
        self._state: State | None = None
        self._then: Callable[[], None] = lambda: None
        self._idle = 0

    def go_on_from(self, state: State, then: Callable[[], None] = lambda: None) -> None:
        """Has the next training begin at a state.

        Args:
            state: What `state_of` returned.
            then: Called when all has been put back.
        """
        facts = facts_of(state)
        self._state, self._then = state, then
        self.epoch, self.batch = int(facts["epoch"]), int(facts["batch"])
        self.is_over = bool(facts["is_over"])
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger):
                _go_on_logging(callback, self.epoch)

    @property
    def is_under_way(self) -> bool:
        """Whether all has been put back, or there was nothing to."""
        return self._state is None

    @property
    def facts(self) -> dict[str, Any]:
        """What `go_on_from` has to find in a state."""
        logs = {name: float(log) for name, log in self.logs.items() if np.ndim(log) == 0}
        where = {"epoch": self.epoch, "batch": self.batch}
        return {**where, "logs": logs, "is_over": self.is_over}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Puts a state of an epoch's start back, now that the callbacks have begun afresh."""
        if self._state is not None and not self.batch:
            self._put_back()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes the epoch; in the one that was broken off, leads the way to where that was."""
        self.epoch, self._idle = epoch, 0
        self.execution.skip(0, None)  # It may have been given up in its midst.
        if self._state is None:
            self.batch = 0
            return
        steps, a_call = self._source.steps or 0, self.execution.steps_per_call
        left = math.ceil((steps - self.batch) / a_call)
        self._idle = idle = math.ceil(steps / a_call) - left
        function, logs = self.model.train_function, facts_of(self._state)["logs"]

        def from_the_midst(iterator: Any) -> Any:
            nonlocal idle
            if idle:
                idle -= 1
                if not (idle or left):  # It was broken off behind the epoch's last batch.
                    self._put_back()
                    self.model.train_function = function
                return logs
            self.execution.skip(self.batch, iterator)
            self._put_back()
            self.model.train_function = function
            return function(iterator)

        self.model.train_function = from_the_midst

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the batches."""
        if self._idle:
            self._idle -= 1
            return
        self.logs = logs or {}
        self.batch += self.execution.steps_per_call
        if self._source.steps is not None:
            self.batch = min(self.batch, self._source.steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes that the next epoch's turn has come."""
        self.epoch, self.batch = epoch + 1, 0
        self.is_over = bool(self.model.stop_training)

    def _put_back(self) -> None:
        assert self._state is not None
        put_back(self._state, self.model, self._callbacks, self.others)
        self._state = None
        self.model.stop_training = self.is_over
        self._then()


def _go_on_logging(logger: keras.callbacks.CSVLogger, epoch: int) -> None:
    """Keeps the lines of the epochs before, which Keras would write over."""
    logger.append = True
    path = pathlib.Path(logger.filename)
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file, delimiter=logger.sep))
    kept = [line for n, line in enumerate(lines) if line and (not n or _is_before(line[0], epoch))]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=logger.sep, lineterminator="\n").writerows(kept)


def _is_before(number: str, epoch: int) -> bool:
    return number.isdecimal() and int(number) < epoch
