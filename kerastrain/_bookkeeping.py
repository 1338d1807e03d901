"""What `fit` adds to the user's callbacks: each epoch's facts, the record, the best epoch."""

import math
import time
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, real_number, show, whole_number
from kerastrain._optimizers import rate_of_last_step
from kerastrain.callbacks import MODES, KnownEarlyStopping
from kerastrain.sources import Source
from kerastrain.state import has_finite_weights


class EpochFacts(keras.callbacks.Callback):  # type: ignore[misc]
    """Opens and closes each epoch's account; comes first, so that the others see its logs.

    Args:
        source: The run's data, whose order follows the epoch.
        best: Restored first of all when the run ends, so that the user's callbacks meet the model
            that they will have.
    """

    def __init__(self, source: Source, best: "Best") -> None:
        super().__init__()
        self._source = source
        self._best = best
        self.lost_to_nan = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Gives the data this epoch's order, and starts the clock."""
        self._source.begin_epoch(epoch)
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the learning rate and the seconds, and ends a run that is lost."""
        logs = {} if logs is None else logs
        rate = rate_of_last_step(self.model.optimizer)
        if rate is not None:
            logs["learning_rate"] = rate
        logs["seconds"] = time.perf_counter() - self._start
        if not math.isfinite(logs.get("loss", 0.0)) and self._weights_are_lost():
            # A loss alone may recover.
            self.lost_to_nan = self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Looks at the weights once more, since relu hides NaN from the loss; then restores."""
        self.lost_to_nan = self.lost_to_nan or self._weights_are_lost()
        self._best.restore()

    def stopped(self) -> str:
        """Says why the run ended before its last epoch."""
        return "lost to NaN" if self.lost_to_nan else "stopped early"

    def _weights_are_lost(self) -> bool:
        return not has_finite_weights(self.model)


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps each epoch's logs, and with them what later callbacks add to them.

    It comes before those that may choose the epoch as the best, so that whatever interrupts them,
    the best epoch is among the recorded ones. Keras's own `History` would let the columns of a
    metric that some epochs lack slip.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.logs: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps the logs themselves, so that what is added to them later is kept too."""
        self.epoch.append(epoch)
        self.logs.append({} if logs is None else logs)

    @property
    def columns(self) -> dict[str, list[float]]:
        """One number an epoch in each column, NaN where an epoch lacks it."""
        rows = [{k: float(v) for k, v in logs.items() if np.ndim(v) == 0} for logs in self.logs]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name, math.nan) for row in rows] for name in names}


class Best:
    """Knows the best epoch of a run: by an early stopping of ours, or by the user's own.

    Attributes:
        watcher: The callback to put behind the user's, whose metrics it may have to watch.
    """

    def __init__(
        self, stopper: keras.callbacks.EarlyStopping, watcher: keras.callbacks.Callback
    ) -> None:
        self._stopper = stopper
        self.watcher = watcher

    @property
    def monitor(self) -> str:
        """The column of the history that decides."""
        return str(self._stopper.monitor)

    @property
    def epoch(self) -> int | None:
        """The best epoch so far, or `None` as long as there is none."""
        return None if self._value is None else int(self._stopper.best_epoch)

    def so_far(self) -> tuple[str, int, float] | None:
        """Returns the monitor, its best epoch and its value there, or `None`."""
        return None if self._value is None else (self.monitor, self.epoch or 0, self._value)

    def catch_up(self, record: Recorder) -> None:
        """Looks at an epoch that has ended, but whose end something else interrupted."""
        if isinstance(self._stopper, _Stopper) and record.epoch[-1:] != self._stopper.seen[-1:]:
            self._stopper.on_epoch_end(record.epoch[-1], record.logs[-1])

    def restore(self) -> None:
        """Gives the model its best weights, where the stopper is to restore them."""
        keras.callbacks.EarlyStopping.on_train_end(self._stopper)

    @property
    def _value(self) -> float | None:
        best = getattr(self._stopper, "best", None)
        return None if best is None or not math.isfinite(best) else float(best)


class _Stopper(KnownEarlyStopping):
    """Ours: `EpochFacts` restores it, before the user's callbacks hear that the run has ended."""

    factory = "fit"

    def __init__(self, *, patient_until: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seen: list[int] = []
        self._patience: float = arguments["patience"]
        self._patient_until = patient_until

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seen.append(epoch)
        self.patience = math.inf if epoch < self._patient_until else self._patience
        if epoch == self._patient_until:
            self.wait = 0
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        pass


class _MonitorCheck(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises where the user's own stopper watches what isn't there, and Keras would only warn."""

    def __init__(self, stopper: keras.callbacks.EarlyStopping) -> None:
        super().__init__()
        self._stopper = stopper

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        one_of("fit", "monitor", self._stopper.monitor, sorted(logs or {}))


def watch_best(
    callbacks: list[keras.callbacks.Callback],
    *,
    monitor: str,
    validated: bool,
    mode: str,
    patience: int | None,
    min_delta: float,
    restore_best: bool,
    epochs: int,
    patient_until: int = 0,
) -> Best:
    """Makes what decides, during `fit`, which epoch is best and when to stop.

    Args:
        callbacks: The user's; an `EarlyStopping` among them decides.
        monitor: What to watch; "auto" is the loss, of validation where there is one.
        validated: Whether there is.
        mode: "auto", "min" or "max".
        patience: Epochs to wait; `None` waits to the end.
        min_delta: The least change that counts as an improvement.
        restore_best: Whether the model ends with the best weights.
        epochs: The epochs of the run.
        patient_until: The epoch from which patience counts.
    """
    monitor = _monitor(monitor, callbacks, validated=validated)
    one_of("fit", "mode", mode, MODES)
    least = real_number("fit", "min_delta", min_delta, least=0)
    waits = epochs if patience is None else whole_number("fit", "patience", patience, least=0)
    users = [c for c in callbacks if isinstance(c, keras.callbacks.EarlyStopping)]
    if not users:
        stopper = _Stopper(
            monitor=monitor,
            patience=waits,
            min_delta=least,
            mode=mode,
            restore_best_weights=restore_best,
            patient_until=patient_until,
        )
        return Best(stopper, stopper)
    given = {
        "mode": mode != "auto",
        "patience": patience is not None,
        "min_delta": min_delta != 0,
        "restore_best": restore_best is not True,
    }
    for argument in (argument for argument, is_given in given.items() if is_given):
        _refuse_beside_stopper(argument)
    return Best(users[0], _MonitorCheck(users[0]))


def _monitor(monitor: str, callbacks: list[keras.callbacks.Callback], *, validated: bool) -> str:
    if monitor == "auto":
        return "val_loss" if validated else "loss"
    if not isinstance(monitor, str):
        must = "be the name of a metric"
        raise invalid("fit", "monitor", must, f"monitor={show(monitor)}", kind=TypeError)
    if any(isinstance(c, keras.callbacks.EarlyStopping) for c in callbacks):
        _refuse_beside_stopper("monitor")
    # Another metric of validation may be one that a callback adds.
    is_keras_own = monitor in ("val_loss", "val_acc", "val_accuracy") or not callbacks
    if monitor.startswith("val_") and not validated and is_keras_own:
        must = "be a training metric where there is neither validation_data nor validation_split"
        raise invalid("fit", "monitor", must, f"monitor={monitor!r}")
    return monitor


def _refuse_beside_stopper(argument: str) -> None:
    must = "be left out beside an EarlyStopping in `callbacks`, which decides"
    raise invalid("fit", argument, must, f"`{argument}` and an EarlyStopping")
