"""What `fit` adds to the user's callbacks: each epoch's facts, the record, the best epoch."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, one_of, real_number, show, whole_number
from kerastrain._exact_state import noted_by_keras
from kerastrain._optimizers import rate_of_last_step
from kerastrain.callbacks import KnownEarlyStopping
from kerastrain.engine import Execution
from kerastrain.monitors import MODES
from kerastrain.records import History
from kerastrain.sources import Source
from kerastrain.state import has_finite_weights

_BETWEEN_LOOKS = 0.1  # s, at the loss
_BETWEEN_SEARCHES = 1.0  # s, of the weights: relu hides NaN from the loss


class EpochFacts(keras.callbacks.Callback):  # type: ignore[misc]
    """Opens and closes each epoch's account; comes first, so that the others see its logs.

    Args:
        source: The run's data, whose order follows the epoch.
        best: Restored first of all when the run ends, so that the user's callbacks meet the model
            that they will have.
        lost: Called with the epoch when the weights are lost to NaN, before the run is ended.

    Attributes:
        lost_to_nan: Whether they are.
        epoch: The epoch.
        noted_before: What was noted of the best epoch, when this one had ended.
    """

    sees_groups = True

    def __init__(
        self, source: Source, best: "Best", lost: Callable[[int], None] = lambda epoch: None
    ) -> None:
        super().__init__()
        self._source = source
        self._best, self._lost = best, lost
        self._first: list[Any] | None = None
        self._has_begun = False
        self.epoch, self._looked = 0, 0.0
        self._searched = time.perf_counter()
        self._start = time.perf_counter()
        self.lost_to_nan = False
        self.noted_before: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the weights that a run is left with which is lost before it has a best epoch.

        Once: a run that goes back begins to train again, with the weights that were lost.
        """
        if not self._has_begun:
            self._first, self._has_begun = self.model.get_weights(), True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Gives the data this epoch's order, and starts the clock."""
        if self._best.epoch is not None:
            self._first = None
        self._source.begin_epoch(epoch)
        self.epoch, self._start = epoch, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends a run that is lost, before the epoch is over."""
        now = time.perf_counter()
        if now - self._looked < _BETWEEN_LOOKS:
            return  # To ask for the loss waits for the batch, which takes time where each is asked.
        self._looked = now
        self._look(logs or {})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the learning rate and the seconds, and ends a run that is lost."""
        logs = {} if logs is None else logs
        rate = rate_of_last_step(self.model.optimizer)
        if rate is not None:
            logs["learning_rate"] = rate
        logs["seconds"] = time.perf_counter() - self._start
        self.noted_before = self._best.noted
        self._look(logs, also_hidden=time.perf_counter() - self._searched > _BETWEEN_SEARCHES)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Looks at the weights once more, since relu hides NaN from the loss; then restores."""
        if not (self.lost_to_nan or has_finite_weights(self.model)):
            self.lose()
        self._best.restore()
        if self.lost_to_nan and self._best.epoch is None and self._first is not None:
            self.model.set_weights(self._first)

    def get_state(self) -> dict[str, Any]:
        """Returns how long the epoch has taken so far, and what the run began with."""
        return {"seconds": time.perf_counter() - self._start, "first": self._first}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on with it."""
        self._start = time.perf_counter() - state["seconds"]
        self._first = state.get("first", self._first)

    def stopped(self) -> str:
        """Says why the run ended before its last epoch."""
        return "lost to NaN" if self.lost_to_nan else "stopped early"

    def _look(self, logs: dict[str, Any], *, also_hidden: bool = False) -> None:
        losses = (float(logs[name]) for name in ("loss", "val_loss") if name in logs)
        if self.lost_to_nan or (all(math.isfinite(loss) for loss in losses) and not also_hidden):
            return
        self._searched = time.perf_counter()
        if not has_finite_weights(self.model):
            self.lose()

    def lose(self) -> None:
        """Ends a run whose weights are lost: no later step can mend one, while a loss may recover.

        Raises:
            LostToNanError: If the run goes back instead.
        """
        self._lost(self.epoch)
        self._best.close()
        self.lost_to_nan = self.model.stop_training = True


class SoundBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets no epoch be the best whose weights are lost, though relu may hide that from its loss.

    It comes behind what chooses the best, whose copy of the weights it looks at: to read them once
    more takes a small model a twentieth of an epoch.

    Args:
        facts: Told of it.
        best: The best epoch.
    """

    def __init__(self, facts: EpochFacts, best: "Best") -> None:
        super().__init__()
        self._facts, self._best = facts, best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes the choice back, and ends the run or has it go back."""
        is_known = self._facts.lost_to_nan
        if self._best.epoch != epoch:
            return
        if is_known or not has_finite_weights(self.model, self._best.weights):
            self._best.take_back(self._facts.noted_before)
            if not is_known:
                self._facts.lose()


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

    def get_state(self) -> dict[str, Any]:
        """Returns what was kept, as it will be in the history."""
        return {"epoch": self.epoch, "columns": self.columns}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on with it."""
        self.epoch, columns = list(state["epoch"]), state["columns"]
        self.logs = [{k: v[row] for k, v in columns.items()} for row in range(len(self.epoch))]

    @property
    def columns(self) -> dict[str, list[float]]:
        """One number an epoch in each column, NaN where an epoch lacks it."""
        rows = [{k: float(v) for k, v in logs.items() if np.ndim(v) == 0} for logs in self.logs]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name, math.nan) for row in rows] for name in names}


class Account:
    """What a run has done so far, as it will stand in its history.

    Args:
        source: The run's data.
        best: Its best epoch.
        seed: Its seed.
        lost: See `EpochFacts`.

    Attributes:
        callbacks: Those that note it, to come before all others.
        sound: One more, to come behind what chooses the best epoch.
        execution: How the steps are executed; set before training.
        settings: What is trained, and how; likewise.
        chance: What the best constant answer would measure; likewise.
        notes: What has happened besides.
    """

    def __init__(
        self, source: Source, best: "Best", *, seed: int, lost: Callable[[int], None]
    ) -> None:
        self._facts, self._record = EpochFacts(source, best, lost), Recorder()
        self._best, self._seed = best, seed
        self.callbacks = [self._facts, self._record]
        self.sound = SoundBest(self._facts, best)
        self.execution: Execution | None = None
        self.settings: dict[str, Any] = {}
        self.chance: dict[str, float] = {}
        self.notes: list[str] = []

    @property
    def lost_in(self) -> int | None:
        """The epoch in which the weights were lost to NaN; `None` as long as they aren't."""
        return self._facts.epoch if self._facts.lost_to_nan else None

    @property
    def last_logs(self) -> dict[str, Any]:
        """Those of the last epoch that has ended."""
        return self._record.logs[-1] if self._record.logs else {}

    def stopped(self) -> str:
        """Says why the run ended before its last epoch."""
        return self._facts.stopped()

    def tell(self, note: str) -> None:
        """Notes what is so, unless a note stands there that is alike up to its colon."""
        if note.partition(":")[0] not in " ".join(self.notes):
            self.notes.append(note)

    def catch_up(self) -> None:
        """Takes in what an interruption left undone."""
        self._best.catch_up(self._record)

    def restore(self) -> None:
        """Gives the model its best weights, where it is to have them."""
        self._best.restore()

    def history(self, reason: str) -> History:
        """Returns the history of a run that ends for a reason."""
        record, best, execution = self._record, self._best, self.execution
        return History(
            history=record.columns,
            epoch=list(record.epoch),
            monitor=best.monitor,
            best_epoch=best.epoch if best.epoch in record.epoch else None,
            stopped_epoch=None if reason == "finished" else max(record.epoch, default=None),
            stop_reason="nan" if self._facts.lost_to_nan else reason,
            engine=str(execution or ""),
            speed=execution.ways if execution else {},
            seed=self._seed,
            note=" ".join(self.notes),
            settings={**self.settings, **self._parameters()},
            chance=dict(self.chance),
        )

    def _parameters(self) -> dict[str, int]:
        """Returns how many weights the model has, some of which are made as late as training."""
        model = self._facts.model
        is_built = model is not None and model.built
        return {"parameters": int(model.count_params())} if is_built else {}


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

    @property
    def weights(self) -> list[np.ndarray] | None:
        """Those of the best epoch, if they are kept."""
        return getattr(self._stopper, "best_weights", None)

    @property
    def noted(self) -> dict[str, Any]:
        """What the stopper has noted of the epochs."""
        return noted_by_keras(self._stopper)

    def take_back(self, noted: dict[str, Any]) -> None:
        """Forgets what was noted since; but a monitor that has been found is found."""
        vars(self._stopper).update(noted | {"monitor": self.monitor})

    def so_far(self) -> tuple[str, int, float] | None:
        """Returns the monitor, its best epoch and its value there, or `None`."""
        return None if self._value is None else (self.monitor, self.epoch or 0, self._value)

    def close(self) -> None:
        """Lets no later epoch be the best: a model of NaN has an accuracy all the same."""
        if isinstance(self._stopper, _Stopper):
            self._stopper.is_closed = True

    def catch_up(self, record: Recorder) -> None:
        """Looks at an epoch that has ended, but whose end something else interrupted."""
        if isinstance(self._stopper, _Stopper) and record.epoch[-1:] != self._stopper.seen[-1:]:
            self._stopper.on_epoch_end(record.epoch[-1], record.logs[-1])

    def restore(self) -> None:
        """Gives the model its best weights, where the stopper is to restore them."""
        verbose, self._stopper.verbose = self._stopper.verbose, 0  # The user's speaks for itself.
        try:
            keras.callbacks.EarlyStopping.on_train_end(self._stopper)
        finally:
            self._stopper.verbose = verbose

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
        self.is_closed = False
        self._patience: float = arguments["patience"]
        self._patient_until = patient_until

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seen.append(epoch)
        if self.is_closed:
            return
        self.patience = math.inf if epoch < self._patient_until else self._patience
        if epoch == self._patient_until:
            self.wait = 0
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        pass

    def get_state(self) -> dict[str, Any]:
        return {**noted_by_keras(self), "seen": self.seen}

    def set_state(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


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
