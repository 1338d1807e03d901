"""Where a run is, and how it goes on from a state in the midst of an epoch.

Keras begins at an epoch's start. So the calls that were made before are gone through once more
without training, the data are led past the batches that were trained on, and then all is put back.
The callbacks have heard of those batches, and don't again.
"""

import csv
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._exact_state import facts_of, put_back, variables_by_name
from kerastrain._files import replacing
from kerastrain._replays import TRAINING, VALIDATION, FirstBatches, noted
from kerastrain._state_files import State
from kerastrain.engine import Execution
from kerastrain.sources import Source


class OtherOrderError(Exception):
    """Ends a training on its way to where it was, whose data bring other batches than then."""


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
        self._firsts = FirstBatches(source)
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
        self._firsts.go_on(facts)
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger):
                _go_on_logging(callback, self.epoch)

    @property
    def is_under_way(self) -> bool:
        """Whether all has been put back, or there was nothing to."""
        return self._state is None

    @property
    def is_led(self) -> bool:
        """Whether Keras goes through calls that were made before."""
        return self._idle > 0

    @property
    def facts(self) -> dict[str, Any]:
        """What `go_on_from` has to find in a state."""
        logs = {name: float(log) for name, log in self.logs.items() if np.ndim(log) == 0}
        where = {"epoch": self.epoch, "batch": self.batch}
        firsts = {"first_batches": self._firsts.facts}
        return {**where, "logs": logs, "is_over": self.is_over, **firsts}

    def show_weights(self, model: keras.Model) -> None:
        """Has the callbacks meet the weights that there were, also before all has been put back.

        One that saves what it meets would write another model over its own.
        """
        if self._state is not None:
            for name, variable in variables_by_name(model):
                variable.assign(self._state.arrays[name])

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
            if self._firsts.is_noted(TRAINING):
                self._note_first(TRAINING, "train_function")
            return
        self._lead(epoch)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Notes what the validation begins with."""
        if self._firsts.is_noted(VALIDATION) and self.model.test_function is not None:
            self._note_first(VALIDATION, "test_function")

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

    def _note_first(self, kind: str, name: str) -> None:
        """Has the next call of a function of the model's note the batch that it begins with."""
        function = getattr(self.model, name)
        steps = self.execution.steps_per_call
        noting = self._firsts.noting(kind, self.epoch, function, steps)

        def call(iterator: Any) -> Any:
            setattr(self.model, name, function)
            return noting(iterator)

        setattr(self.model, name, call)

    def _lead(self, epoch: int) -> None:
        """Has the next calls lead to where the run was."""
        idle, left = self._calls()
        self._idle = idle
        assert self._state is not None
        function, logs = self.model.train_function, facts_of(self._state)["logs"]

        def call(iterator: Any) -> Any:
            nonlocal idle
            idle -= 1
            if idle > 0:
                return logs
            self.model.train_function = function
            if self._firsts.is_noted(TRAINING):
                self._skip(epoch, iterator)
            elif left:  # Else it was broken off behind the epoch's last batch.
                self.execution.skip(self.batch, iterator)
            self._put_back()
            # Where a call takes more batches than then, there may be no idle one.
            return logs if idle == 0 else function(iterator)

        self.model.train_function = call

    def _calls(self) -> tuple[int, bool]:
        """Returns how many calls of Keras's lead to where the run was, and if any are left then."""
        a_call = self.execution.steps_per_call
        if self._source.steps is None:
            return max(1, self.batch // a_call), True  # Keras ends where the data do.
        left = math.ceil((self._source.steps - self.batch) / a_call)
        return math.ceil(self._source.steps / a_call) - left, left > 0

    def _skip(self, epoch: int, iterator: Any) -> None:
        """Leads a Dataset past the batches that were trained on, if they are the same."""
        assert self._state is not None
        digest = self._firsts.note(TRAINING, epoch, next(iterator, None))
        if digest != noted(facts_of(self._state), TRAINING, epoch):
            raise OtherOrderError
        self.execution.skip(self.batch - 1, iterator)

    def _put_back(self) -> None:
        assert self._state is not None
        put_back(self._state, self.model, self._callbacks, self.others)
        self._state = None
        self.model.stop_training = self.is_over
        self._then()


class Listeners(keras.callbacks.CallbackList):  # type: ignore[misc]
    """The callbacks of a run, which don't hear again of the batches that they have heard of.

    Args:
        course: Tells when the run is led past those.
        callbacks: All of them.
        model: The model.
        epochs: What Keras tells them too.
        steps: Likewise.
    """

    def __init__(
        self,
        course: Course,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        *,
        epochs: int,
        steps: int | None,
    ) -> None:
        self._course = course
        super().__init__(
            list(callbacks), add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
        )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Tells them of a batch that is to be trained on."""
        if not self._course.is_led:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Tells them of a batch that was trained on."""
        if self._course.is_led:
            self._course.on_train_batch_end(batch, logs)
        else:
            super().on_train_batch_end(batch, logs)


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
