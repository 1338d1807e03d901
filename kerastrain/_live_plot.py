"""A picture of the curves while a model trains: in a notebook's output, or in a file.

`LivePlot`, a Keras callback, keeps the epochs; `Budget` says when there is time for a picture;
`Place` holds the one output of a notebook that all pictures go to.
"""

import base64
import contextlib
import dataclasses
import io
import math
import pathlib
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from matplotlib.figure import Figure

from kerastrain._files import replacing
from kerastrain._progress_text import clock as as_clock
from kerastrain.monitors import known_monitor
from kerastrain.plots import fill_figure
from kerastrain.records import History
from kerastrain.surfaces import in_notebook

SHARE = 0.015
"""The part of a run's time that its pictures are to take: the promise is 2 %, and one picture may
turn out to be dearer than the one before."""

_LEAST_COST = 0.2  # s, that a picture is taken to cost before anything was drawn
_TRIALS = 5  # times what a trial costs, empty Axes, a picture does


@dataclasses.dataclass
class Budget:
    """Says when there is time for a picture, by what the pictures so far have cost.

    What the last one will cost, at the end of the run, is always kept in hand. The first one may be
    drawn on credit, where the run is going to be long enough to pay for it; the next ones then wait
    until it has.

    Args:
        every: Seconds from one picture to the next at least.

    Attributes:
        spent: Seconds that the pictures have taken.
        cost: Seconds that the next one is taken to cost: as many as the one before.

    Example:
        >>> budget = Budget(every=1.0)
        >>> budget.allows(10.0, whole=26.0), budget.allows(10.0, whole=27.0)
        (False, True)
        >>> budget.drew(0.2, at=10.2)
        >>> budget.allows(39.9, whole=60.0), budget.allows(40.1, whole=60.0)
        (False, True)
    """

    every: float
    spent: float = 0.0
    cost: float = _LEAST_COST
    last: float | None = None

    def allows(self, elapsed: float, *, whole: float) -> bool:
        """Tells whether there is time for a picture now.

        Args:
            elapsed: Seconds since the run began.
            whole: Seconds that it will have taken in the end, as far as can be foreseen.
        """
        if self.last is not None and elapsed - self.last < self.every:
            return False
        income = max(elapsed, whole) if self.last is None else elapsed
        return self.spent + 2 * self.cost <= SHARE * income

    def tried(self, seconds: float) -> None:
        """Counts a trial that took so many seconds, and tells from it what a picture costs here."""
        self.spent += seconds
        self.cost = max(self.cost, _TRIALS * seconds)

    def drew(self, seconds: float, *, at: float) -> None:
        """Counts a picture that took so many seconds, and was there at a time of the run."""
        self.spent += seconds
        self.cost, self.last = seconds, at


class Place:
    """The one output of a notebook that pictures go to, each in the place of the one before.

    Copies of a callback share it: what a search trains, run after run, shows in one picture.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._execution: int | None = None

    def __deepcopy__(self, memo: Any) -> "Place":
        return self

    def __reduce__(self) -> tuple[type["Place"], tuple[()]]:
        return Place, ()  # Another process has another notebook, or none.

    def show(self, png: bytes, caption: str) -> None:
        """Shows a picture, in an output of its own for each turn of a cell."""
        from IPython.display import display  # Only a notebook is sure to have it.

        forms = {"image/png": base64.b64encode(png).decode(), "text/plain": caption}
        execution = getattr(sys.modules["IPython"].get_ipython(), "execution_count", None)
        if self._handle is None or execution != self._execution:
            self._handle = display(forms, raw=True, display_id=True)
            self._execution = execution
        else:
            self._handle.update(forms, raw=True)


class LivePlot(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types.
    """Draws the curves so far; make one with `kerastrain.callbacks.live_plot`.

    It overrides no hook of a batch, which would keep `fit` from the fast way, and keeps no figure:
    each picture has its own, which pyplot doesn't know, and is gone with it.

    Args:
        path: The PNG to write; `None` for "live.png" in a script and none in a notebook.
        every: Seconds from one picture to the next at least.
        metrics: The panels; `None` for all that is measured.
        monitor: What decides which epoch is marked as the best; `None` for the loss.
        rises: Whether more of that is better.
        look: Arguments of `fill_figure`.
        clock: Tells the time.
    """

    only_looks: ClassVar[bool] = True
    """A run that goes on may do so without it, or with it for the first time."""

    _epoch: list[int]
    _columns: dict[str, list[float]]
    _is_checked: bool  # Whether there are such metrics.
    _first_epoch: float | None  # Seconds until its end.
    _before: float  # Seconds that the run had taken when it was broken off.

    def __init__(
        self,
        path: pathlib.Path | None,
        *,
        every: float,
        metrics: tuple[str, ...] | None,
        monitor: str | None,
        rises: bool,
        look: Mapping[str, Any],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self.path, self.every, self.metrics, self.monitor = path, every, metrics, monitor
        self._rises, self._look, self._clock = rises, look, clock
        self._place = Place()
        self._is_running = self._is_lost = False
        self.epochs = 1
        self._start_afresh()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begins a picture with nothing in it; a run that goes on gives its epochs back later."""
        self.epochs = (self.params or {}).get("epochs") or 1
        self._start_afresh()
        self._is_running, self._is_lost = True, False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Takes the epoch in, and draws if there is time for it."""
        self._take(epoch, logs or {})
        if not self._is_checked:
            self._check_names()
        now = self._clock() - self._began
        self._first_epoch = self._first_epoch or now
        is_last = epoch + 1 >= self.epochs  # Which is drawn in a moment anyway.
        with self._sparing_the_run():
            if not is_last and self._may_draw(now, self._foreseen(now)):
                self._draw(f"{epoch + 1:,} of {self.epochs:,} epochs")

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Draws the whole run."""
        self.finish()

    def finish(self) -> None:
        """Draws the last picture, unless that was done."""
        is_due, self._is_running = self._is_running and bool(self._epoch), False
        if is_due:
            count, epochs = self._epoch[-1] + 1, self.epochs
            of = f" of {epochs:,}" if count < epochs else ""
            with self._sparing_the_run():
                self._draw(f"{count:,}{of} epoch{'' if epochs == 1 else 's'}", is_last=True)

    def get_state(self) -> dict[str, Any]:
        """Returns the epochs so far, for a run that is broken off."""
        seconds = self._before + self._clock() - self._began
        return {"epoch": self._epoch, "columns": self._columns, "seconds": seconds}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes on with them."""
        self._epoch = [int(epoch) for epoch in state["epoch"]]
        self._columns = {name: list(column) for name, column in state["columns"].items()}
        self._before = float(state["seconds"])

    @property
    def history(self) -> History:
        """The run so far, with its best epoch."""
        found = History.of(self._columns, self._epoch)
        if self.monitor is None:
            return found
        monitor = self._column_of(self.monitor, "monitor")
        better = max if self._rises else min
        pairs = zip(self._columns[monitor], self._epoch, strict=True)
        finite = [(value, epoch) for value, epoch in pairs if math.isfinite(value)]
        # Of equal values the first counts, as it does for whatever stops a run early.
        best = better((value for value, _ in finite), default=None)
        first = next((epoch for value, epoch in finite if value == best), None)
        return dataclasses.replace(found, monitor=monitor, best_epoch=first)

    @property
    def budget(self) -> Budget:
        """What the pictures of this run have cost so far."""
        return self._budget

    def _start_afresh(self) -> None:
        self._epoch, self._columns = [], {}
        self._first_epoch, self._is_checked = None, False
        self._budget = Budget(self.every)
        self._before, self._began = 0.0, self._clock()

    def _take(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Adds one number to each column, NaN where an epoch lacks it or had lacked it before."""
        count = len(self._epoch)
        numbers = {str(k): float(v) for k, v in logs.items() if np.ndim(v) == 0}
        for name in numbers:
            self._columns.setdefault(name, [math.nan] * count)
        for name, column in self._columns.items():
            column.append(numbers.get(name, math.nan))
        self._epoch.append(epoch)

    def _check_names(self) -> None:
        """Raises at the first epoch's end where there is no such metric, and nothing to draw."""
        is_running, self._is_running = self._is_running, False
        for name in self.metrics or ():
            if f"val_{name}" not in self._columns:
                self._column_of(name, "metrics")
        if self.monitor is not None:
            self._column_of(self.monitor, "monitor")
        self._is_running, self._is_checked = is_running, True

    def _column_of(self, name: str, argument: str) -> str:
        return known_monitor(name, self._columns, function="live_plot", argument=argument)

    def _may_draw(self, now: float, whole: float) -> bool:
        """Tells whether there is time for a picture; before the first, tries what one costs."""
        allows = self._budget.allows(now, whole=whole)
        if not allows or self._budget.spent:
            return allows
        began = self._clock()
        try:
            _draw_empty_axes()
        finally:
            self._budget.tried(self._clock() - began)
        return self._budget.allows(now, whole=whole)

    def _foreseen(self, now: float) -> float:
        """Returns how long the run will take, by its epochs after the first, which compiles too."""
        to_go = self.epochs - self._epoch[-1] - 1
        later = len(self._epoch) - 1
        mean = (now - (self._first_epoch or now)) / later if later else 0.0
        return now + to_go * mean

    def _draw(self, caption: str, *, is_last: bool = False) -> None:
        began = self._clock()
        caption = f"{caption}, {as_clock(self._before + began - self._began)}"
        try:
            png = self._picture(self._stopped() if is_last else self.history, caption)
            shows = in_notebook()
            if shows:
                self._place.show(png, caption)
            if self.path is not None or not shows:
                with replacing(self.path or pathlib.Path("live.png")) as temporary:
                    temporary.write_bytes(png)
        finally:  # What came to nothing took its time too.
            now = self._clock()
            self._budget.drew(now - began, at=now - self._began)

    @contextlib.contextmanager
    def _sparing_the_run(self) -> Iterator[None]:
        """Makes one warning of whatever goes wrong: it costs a picture, and never the run."""
        try:
            yield
        except Exception as error:  # A full disk, Matplotlib, the notebook: they are many.
            if not self._is_lost:
                self._is_lost = True
                words = f"`live_plot`: a picture failed ({type(error).__name__}: {error})."
                warnings.warn(words, stacklevel=2)

    def _stopped(self) -> History:
        """Returns the history of the run that has ended, with what ended it as far as it shows."""
        history, last = self.history, self._epoch[-1]
        if last + 1 >= self.epochs or not getattr(self.model, "stop_training", False):
            return history
        losses = [self._columns[name][-1] for name in ("loss", "val_loss") if name in self._columns]
        reason = "early_stopping" if all(map(math.isfinite, losses)) else "nan"
        return dataclasses.replace(history, stopped_epoch=last, stop_reason=reason)

    def _picture(self, history: History, caption: str) -> bytes:
        figure = Figure(layout="constrained")
        fill_figure(figure, [history], metrics=self.metrics, **self._look)
        figure.suptitle(caption)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()


def _draw_empty_axes() -> None:
    """Brings Matplotlib's fonts into memory too."""
    figure = Figure()
    figure.add_subplot()
    figure.savefig(io.BytesIO(), format="png")


@contextlib.contextmanager
def finishing(callbacks: Iterable[Any]) -> Iterator[None]:
    """Has the last picture drawn however the block ends: Keras ends no callback after Ctrl-C."""
    try:
        yield
    finally:
        for callback in callbacks:
            if isinstance(callback, LivePlot):
                callback.finish()
