"""What ends a run between two batches: Ctrl-C, the time that it was given, NaN."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import keras
import numpy as np

from kerastrain._course import Course
from kerastrain._exact_state import as_array


class TimeUpError(Exception):
    """Ends a run whose time is used up."""


class LostToNanError(Exception):
    """Ends a training whose weights are lost, but that is to go on from its best epoch.

    Attributes:
        epoch: The epoch.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch


class Interrupts:
    """Whether somebody has pressed Ctrl-C.

    Attributes:
        is_asked: Whether it was.
        is_urgent: Whether it was pressed again, by somebody who doesn't want to wait.
    """

    is_asked = is_urgent = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the first Ctrl-C back until a batch has ended; the second goes through.

        Only a process's main thread gets it; elsewhere nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)
        if before is not signal.default_int_handler:  # Somebody else's, who wants to know at once.
            yield
            return
        signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked:
            self.is_urgent = True
            raise KeyboardInterrupt
        self.is_asked = True


class Endings(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a run between two batches; comes last.

    Args:
        deadline: When the time is up, by `time.monotonic`; `None` for never.
        interrupts: Whether Ctrl-C was pressed.
        course: Tells whether the run trains, and isn't on its way to where it was.
        save: Called before the run ends.
    """

    sees_groups = True

    def __init__(
        self,
        deadline: float | None,
        interrupts: Interrupts,
        course: Course,
        save: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._deadline, self._interrupts = deadline, interrupts
        self._course, self._save = course, save
        self._measured: list[np.ndarray] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends it within an epoch."""
        self._look()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps what the metrics have measured of the epoch, as validation begins them anew."""
        self._measured = [as_array(variable) for variable in self.model.metrics_variables]

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a validation that nobody waits for; the run goes on behind the last batch."""
        if self._interrupts.is_asked:
            for variable, value in zip(self.model.metrics_variables, self._measured, strict=True):
                variable.assign(value)
            self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends it after an epoch, unless that was the last one anyway."""
        if not self.model.stop_training and epoch + 1 < self.params["epochs"]:
            self._look()

    def _look(self) -> None:
        if not self._course.is_under_way:
            return
        if self._interrupts.is_asked:
            self._save()
            raise KeyboardInterrupt
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._save()
            raise TimeUpError
