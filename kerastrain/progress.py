"""How training shows itself: one bar for the whole run, or a printed line an epoch.

`Progress`, a Keras callback, works out what there is to say, as a `State` of plain numbers; a
surface (terminal, notebook, printed lines) says it, in the words of `_progress_text`.
"""

import dataclasses
import math
import numbers
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras

from kerastrain._progress_text import State, ordinal
from kerastrain.surfaces import Surface, checked_verbose, say, surface_for


def progress_callback(
    verbose: str | int,
    *,
    epochs: int,
    steps: int | None = None,
    best: Callable[[], tuple[str, int, float] | None] = lambda: None,
    stopped: Callable[[], str] = lambda: "stopped early",
) -> "Progress | None":
    """Returns the callback that shows what `verbose` asks for, or `None` for silence.

    A bar needs a terminal or a notebook; where the output goes elsewhere, such as to a file, it
    becomes a line an epoch.

    Args:
        verbose: 0 for silence, 1 for one bar for the whole run, 2 for a line an epoch; "auto" for
            a bar in a terminal or a notebook and a line an epoch elsewhere.
        epochs: The epoch that the run ends with, as in Keras's `fit`.
        steps: The batches an epoch; `None` if unknown, and then whole epochs count.
        best: Returns the monitored metric, its best epoch from 0 and its value there, or `None` as
            long as there is none. Asked when training begins and after each epoch.
        stopped: Returns the words for a run that ended before its last epoch.

    Raises:
        ValueError: If `verbose` is none of these.
        TypeError: If it is neither a number nor a string.

    Example:
        >>> progress_callback(0, epochs=20) is None
        True
    """
    checked_verbose("fit", verbose)
    if verbose == 0:
        return None
    return Progress(
        surface_for(verbose),
        epochs=epochs,
        steps=steps,
        best=best,
        stopped=stopped,
        announces=verbose == 1,
    )


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types.
    """Tells a surface how training stands; make one with `progress_callback`.

    It belongs last in the list of callbacks, so that what the others decide at an epoch's end is
    decided. Whoever calls `fit` calls `close` in a `finally`: Keras ends no callback after Ctrl-C.
    """

    sees_groups: ClassVar[bool] = True
    """A batch hook is overridden, but a call for many batches together is as good."""

    def __init__(
        self,
        surface: Surface,
        *,
        epochs: int,
        steps: int | None,
        best: Callable[[], tuple[str, int, float] | None],
        stopped: Callable[[], str],
        announces: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._surface, self.announces, self._clock = surface, announces, clock
        self._epochs, self._steps = epochs, steps
        self._ask_best, self._ask_stopped = best, stopped
        self._running = False

    def announce(self, *lines: str) -> None:
        """Says something in lines of its own, where `verbose=1` was asked for."""
        for line in lines if self.announces else ():
            say(1, line)

    def warn(self, line: str) -> None:
        """Says what went otherwise than was asked for, to whoever didn't ask for silence."""
        say(1, line)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._running = True
        self._began = self._epoch_began = self._clock()
        self._due = math.inf if self._surface.interval is None else self._began
        self._epoch, self._position, self._ended = 0, 0, False
        self._seconds: list[float] = []  # Of each epoch that ended.
        self._metrics: dict[str, float] = {}
        self._first: tuple[float, int] | None = None  # Time and position of the first batch.
        self._best = self._ask_best()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Shows the bar, before the first step that may take long to compile."""
        self._epoch, self._position, self._ended = epoch, 0, False
        self._epoch_began = self._clock()
        if self._epoch_began >= self._due:
            self._update(self._epoch_began)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Refreshes the bar if it is time; most calls return at once."""
        now = self._clock()
        if now < self._due:
            return
        # Keras names the last batch of a group, Keras 3.10 the first: the bar may lag behind by a
        # group, but it never runs backwards and ends each epoch where it should.
        self._position = max(self._position, batch + 1)
        self._first = self._first or (now, self._position)
        self._metrics.update(_numbers(logs))
        self._update(now)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Takes in the validation metrics and the best epoch so far."""
        now = self._clock()
        self._ended = True
        self._seconds.append(now - self._epoch_began)
        self._metrics = _numbers(logs)
        self._best = self._ask_best()
        if now >= self._due or self._surface.interval is None:
            self._update(now)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Replaces the bar by a summary."""
        early = self._ended and self._epoch + 1 < self._epochs
        if self._running:
            self._close(self._ask_stopped() if early else "")

    def close(self, how: str = "interrupted") -> None:
        """Gives terminal or notebook back, whatever ended the run; harmless if that was done."""
        if self._running:
            self._close(f"{how} in the {ordinal(self._epoch + 1)} epoch")

    def _close(self, note: str) -> None:
        self._running = False
        self._due = math.inf
        self._surface.close(dataclasses.replace(self._state(self._clock()), note=note))

    def _update(self, now: float) -> None:
        self._surface.update(self._state(now))
        if self._surface.interval is not None:
            # From the end of the drawing, so that a slow terminal can't take up all the time.
            self._due = self._clock() + self._surface.interval

    def _state(self, now: float) -> State:
        within = min(self._position / self._steps, 1.0) if self._steps else 0.0
        name, epoch, value = self._best or ("", 0, 0.0)
        return State(
            epoch=self._epoch + 1,
            epochs=self._epochs,
            fraction=min((self._epoch + (1.0 if self._ended else within)) / self._epochs, 1.0),
            seconds=now - self._began,
            left=self._left(now),
            metrics=dict(self._metrics),
            best=(name, epoch + 1, value) if self._best else None,
            epoch_seconds=self._seconds[-1] if self._ended else None,
            epochs_run=len(self._seconds),
        )

    def _left(self, now: float) -> float | None:
        """Epochs to go times the mean epoch, without the first one, which has compiled as well."""
        to_go = self._epochs - self._epoch - 1
        if self._seconds:
            mean = statistics.fmean(self._seconds[1:] or self._seconds)
            running = 0.0 if self._ended else max(mean - (now - self._epoch_began), 0.0)
            return to_go * mean + running
        # In the first epoch the batches tell, once there is a second's worth of them.
        time, position = self._first or (now, 0)
        if self._steps is None or now - time < 1.0 or position >= self._position:
            return None
        batches = to_go * self._steps + max(self._steps - self._position, 0)
        return batches * (now - time) / (self._position - position)


def _numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Returns the plain numbers of Keras's logs; a metric may also log an array."""
    return {k: float(v) for k, v in (logs or {}).items() if isinstance(v, numbers.Real)}
