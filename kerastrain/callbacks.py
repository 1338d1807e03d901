"""Callback factories: Keras's own callbacks, configured as the study notes use them.

What they return works in `model.fit` as in `kerastrain.fit`. They add to Keras what a typing error
needs: a monitor that isn't there raises where Keras would warn and never act.
"""

import copy
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerastrain._checks import flag, invalid, needs, one_of, real_number, show, whole_number
from kerastrain._live_plot import LivePlot
from kerastrain.monitors import MODES, direction, known_monitor, rises

__all__ = [
    "checkpoint",
    "csv_log",
    "early_stopping",
    "live_plot",
    "reduce_on_plateau",
    "standard",
    "tensorboard",
]


class _KnownMonitor:
    """Lets a Keras callback look up its monitor in the first epoch's logs, or raise.

    Old names are understood: `acc` is `accuracy`, `val_acc` is `val_accuracy`. A NaN epoch is left
    out: Keras would keep NaN as the best, which nothing then beats.
    """

    monitor: str
    factory: str

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        self.monitor = known_monitor(self.monitor, logs, function=self.factory)
        if math.isfinite(float(logs[self.monitor])):
            super().on_epoch_end(epoch, logs)  # type: ignore[misc]


class KnownEarlyStopping(_KnownMonitor, keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras's `EarlyStopping`, with a monitor that is there and epochs that are numbers."""

    factory = "early_stopping"


class _ModelCheckpoint(_KnownMonitor, keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    factory = "checkpoint"

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_best_only:
            super().on_epoch_end(epoch, logs)
        else:
            keras.callbacks.ModelCheckpoint.on_epoch_end(self, epoch, logs)


class _ReduceLROnPlateau(_KnownMonitor, keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    factory = "reduce_on_plateau"

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        super().on_epoch_end(epoch, logs)
        if "learning_rate" not in logs:
            # Keras writes it down, but not in the epochs that were left out.
            rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            logs["learning_rate"] = float(rate)


def early_stopping(
    monitor: str = "val_loss",
    *,
    patience: int = 2,
    min_delta: float = 0.0,
    mode: str = "auto",
    verbose: int = 0,
    baseline: float | None = None,
    restore_best_weights: bool = True,
    start_from_epoch: int = 0,
) -> keras.callbacks.EarlyStopping:
    """Makes Keras's `EarlyStopping`, which ends training when the monitor stops improving.

    An epoch whose monitor is NaN or infinite neither counts as the best nor uses up patience.

    Args:
        monitor: What to watch, as the history names it; "acc" and "val_acc" mean accuracy.
        patience: How many epochs without improvement to wait.
        min_delta: The least change that counts as an improvement.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        verbose: 1 prints a line when it stops.
        baseline: A value that must be beaten for the patience to start afresh.
        restore_best_weights: Whether the model ends with the best epoch's weights.
        start_from_epoch: Epochs to let pass before watching.

    Raises:
        ValueError: At the first epoch's end, if the history has no such monitor.

    Example:
        >>> early_stopping("val_acc", patience=3).patience
        3
    """
    function = "early_stopping"
    return KnownEarlyStopping(
        monitor=monitor,
        patience=whole_number(function, "patience", patience, least=0),
        min_delta=real_number(function, "min_delta", min_delta, least=0),
        mode=_mode(function, mode, monitor),
        verbose=verbose,
        baseline=baseline,
        restore_best_weights=restore_best_weights,
        start_from_epoch=whole_number(function, "start_from_epoch", start_from_epoch, least=0),
    )


def checkpoint(
    filepath: str | os.PathLike[str] = "best.keras",
    monitor: str = "val_loss",
    *,
    mode: str = "auto",
    save_best_only: bool = True,
    save_weights_only: bool = False,
    save_freq: str | int = "epoch",
    verbose: int = 0,
    period: int | None = None,
) -> keras.callbacks.ModelCheckpoint:
    """Makes Keras's `ModelCheckpoint`, which saves the model whenever the monitor is at its best.

    Missing folders are made.

    Args:
        filepath: Ends in ".keras" for the whole model, in ".weights.h5" for the weights; may hold
            names to fill in, such as "{epoch:02d}-{val_loss:.2f}.keras".
        monitor: What to watch, as the history names it; "acc" and "val_acc" mean accuracy.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        save_best_only: False saves every epoch.
        save_weights_only: Whether to save weights only, into ".weights.h5".
        save_freq: "epoch", or a number of batches, with `save_best_only=False`.
        verbose: 1 prints a line at each save.
        period: Gone from Keras; it raises with what to write instead.

    Raises:
        ValueError: If the suffix doesn't fit; at the first epoch's end, if the history has no such
            monitor.

    Example:
        >>> checkpoint("best.weights.h5", save_weights_only=True).save_best_only
        True
    """
    function = "checkpoint"
    if period is not None:
        must = (
            'be left out: Keras has no such argument any more; write save_freq="epoch" for every '
            "epoch, or save_freq=period * steps_per_epoch, save_best_only=False"
        )
        raise invalid(function, "period", must, f"period={show(period)}")
    path = os.path.expanduser(filepath)
    suffix = ".weights.h5" if save_weights_only else ".keras"
    if not path.endswith(suffix):
        # The suffix is letters and digits; "{val_loss:.2f}" has a dot that is none.
        stem = re.sub(r"\.\w+$", "", path.removesuffix(".weights.h5"))
        what = "the weights" if save_weights_only else "the whole model"
        keyword = ", save_weights_only=True" if save_weights_only else ""
        line = f'checkpoint("{stem}{suffix}"{keyword})'
        must = f'end in "{suffix}" for {what}: write {line}'
        raise invalid(function, "filepath", must, f"filepath={path!r}")
    if save_freq != "epoch":
        save_freq = whole_number(function, "save_freq", save_freq, least=1)
        if save_best_only:
            must = "be False beside a number of batches: the best shows at an epoch's end only"
            raise invalid(function, "save_best_only", must, f"save_freq={save_freq}")
    folder = str(pathlib.PurePath(path).parent)
    if "{" not in folder:
        # Where the folder's own name waits for an epoch, Keras makes it when it saves.
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    return _ModelCheckpoint(
        filepath=path,
        monitor=monitor,
        mode=_mode(function, mode, monitor),
        save_best_only=save_best_only,
        save_weights_only=save_weights_only,
        save_freq=save_freq,
        verbose=verbose,
    )


def standard(
    filepath: str | os.PathLike[str] = "best.keras",
    *,
    monitor: str = "val_loss",
    patience: int = 2,
    mode: str = "auto",
) -> list[keras.callbacks.Callback]:
    """Makes the study notes' pair, ready to pass: a best checkpoint and early stopping.

    Args:
        filepath: Where the best model goes, ending in ".keras".
        monitor: What both watch.
        patience: How many epochs without improvement to wait.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.

    Example:
        >>> import tempfile
        >>> pair = standard(tempfile.mkdtemp() + "/best.keras", patience=5)
        >>> [callback.monitor for callback in pair]
        ['val_loss', 'val_loss']
    """
    return [
        checkpoint(filepath, monitor, mode=mode),
        early_stopping(monitor, patience=patience, mode=mode),
    ]


def reduce_on_plateau(
    monitor: str = "val_loss",
    *,
    factor: float = 0.5,
    patience: int = 2,
    min_delta: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
    mode: str = "auto",
    verbose: int = 0,
) -> keras.callbacks.ReduceLROnPlateau:
    """Makes Keras's `ReduceLROnPlateau`, which lowers the rate when the monitor stops improving.

    Args:
        monitor: What to watch, as the history names it; "acc" and "val_acc" mean accuracy.
        factor: What the rate is multiplied by, above 0 and below 1.
        patience: How many epochs without improvement to wait.
        min_delta: The least change that counts as an improvement.
        cooldown: Epochs to wait after a reduction.
        min_lr: The lowest rate.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        verbose: 1 prints a line at each reduction.

    Example:
        >>> reduce_on_plateau(factor=0.1).factor
        0.1
    """
    function = "reduce_on_plateau"
    return _ReduceLROnPlateau(
        monitor=monitor,
        factor=real_number(function, "factor", factor, above=0, below=1),
        patience=whole_number(function, "patience", patience, least=0),
        min_delta=real_number(function, "min_delta", min_delta, least=0),
        cooldown=whole_number(function, "cooldown", cooldown, least=0),
        min_lr=real_number(function, "min_lr", min_lr, least=0),
        mode=_mode(function, mode, monitor),
        verbose=verbose,
    )


def live_plot(
    path: str | os.PathLike[str] | None = None,
    *,
    every: float = 1.0,
    metrics: str | Sequence[str] | None = None,
    monitor: str = "auto",
    mode: str = "auto",
    smooth: float = 0,
    log: bool = False,
) -> LivePlot:
    """Makes a callback that draws the curves while the model trains.

    In a notebook it is one picture, which each newer one replaces where it stands; elsewhere it is
    a PNG, replaced as a whole. It takes no more than 2 % of the run's time: what the pictures have
    cost so far is measured, and the next one waits until there is time for it and for the last one,
    which is always drawn. So a run of some seconds has one picture, at its end; for a longer one
    the first comes early, by its second epoch where the run's epochs are going to pay for it. A run
    that stops long before that has paid for two pictures, some 0.2 s each.

    Args:
        path: The PNG to write; left out, "live.png" where there is no notebook.
        every: Seconds from one picture to the next at least.
        metrics: The panels to draw, such as `"loss"` or `["loss", "accuracy"]`; by default all
            that is measured.
        monitor: What marks the best epoch: "auto" is `val_loss`, or `loss` without validation. To
            mark what `fit(monitor=...)` chooses, pass the same.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        smooth: As in `plot_history`.
        log: As in `plot_history`.

    Raises:
        ValueError: At the first epoch's end, if there is no such metric.

    Example:
        >>> live_plot("runs/a/live.png", metrics="loss").metrics
        ('loss',)
    """
    function = "live_plot"
    if path is not None and not isinstance(path, str | os.PathLike):
        raise invalid(function, "path", "be the path of a file", show(path), kind=TypeError)
    if path is not None and not os.fspath(path).endswith(".png"):
        better = pathlib.Path(os.fspath(path) or "live").with_suffix(".png").as_posix()
        must = f'end in ".png": write "{better}"'
        raise invalid(function, "path", must, f"path={os.fspath(path)!r}")
    names = [metrics] if isinstance(metrics, str) else metrics
    is_list = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if names is not None and not (is_list and names):
        must = "be the name of a metric or a list of names"
        raise invalid(function, "metrics", must, f"metrics={show(metrics)}", kind=TypeError)
    if not isinstance(monitor, str):
        must = "be the name of a metric"
        raise invalid(function, "monitor", must, f"monitor={show(monitor)}", kind=TypeError)
    is_loss = monitor == "auto"
    better_is = "min" if is_loss and mode == "auto" else direction(monitor, mode, function=function)
    if is_loss and better_is == "max":
        must = "be 'min' for the loss, which monitor='auto' means"
        raise invalid(function, "mode", must, f"mode={mode!r}")
    return LivePlot(
        None if path is None else pathlib.Path(path).expanduser(),
        every=real_number(function, "every", every, least=0),
        metrics=None if names is None else tuple(names),
        monitor=None if is_loss else monitor,
        rises=better_is == "max",
        look={
            "smooth": real_number(function, "smooth", smooth, least=0, below=1),
            "log": flag(function, "log", log),
        },
    )


def csv_log(
    filename: str | os.PathLike[str] = "history.csv", *, separator: str = ",", append: bool = False
) -> keras.callbacks.CSVLogger:
    """Makes Keras's `CSVLogger`: a line an epoch, which `plot_history` can read.

    Args:
        filename: Where to write; missing folders are made.
        separator: What stands between the columns; `plot_history` reads commas.
        append: Whether to go on in a file that is there.

    Example:
        >>> import tempfile
        >>> csv_log(tempfile.mkdtemp() + "/logs/run.csv").append
        False
    """
    path = pathlib.Path(filename).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    return keras.callbacks.CSVLogger(str(path), separator=separator, append=append)


def tensorboard(
    log_dir: str | os.PathLike[str] = "logs", **arguments: Any
) -> keras.callbacks.TensorBoard:
    """Makes Keras's `TensorBoard`, which writes curves for `tensorboard --logdir logs`.

    Args:
        log_dir: The folder to write to.
        **arguments: Those of `keras.callbacks.TensorBoard`.

    Raises:
        ImportError: If tensorboard isn't installed, with the line that installs it.

    Example:
        ```python
        kerastrain.fit(model, x, y, callbacks=[kerastrain.callbacks.tensorboard("logs/run1")])
        ```
    """
    needs("tensorboard", extra="tensorboard", function="callbacks.tensorboard")
    return keras.callbacks.TensorBoard(log_dir=os.path.expanduser(log_dir), **arguments)


def copies(callbacks: Any) -> Any:
    """Returns copies of callbacks, for a run of their own; the models that they hold stay behind.

    Args:
        callbacks: A callback, or a list or tuple of them; anything else comes back as it is.

    Example:
        >>> mine = early_stopping()
        >>> copies([mine])[0] is mine
        False
    """
    return keras.tree.map_structure(_copied, callbacks)


def _copied(callback: Any) -> Any:
    if not isinstance(callback, keras.callbacks.Callback):
        return callback
    model = callback.model
    left_behind = {} if model is None else {id(model): None}  # The copy has `None` for it.
    try:
        return copy.deepcopy(callback, left_behind)
    except (TypeError, copy.Error):  # It holds what can't be copied, such as an open file.
        return _copied_part_by_part(callback, left_behind)


def _copied_part_by_part(callback: Any, left_behind: Mapping[int, None]) -> Any:
    copied = copy.copy(callback)
    for name, value in vars(callback).items():
        try:
            copied.__dict__[name] = copy.deepcopy(value, dict(left_behind))
        except (TypeError, copy.Error):
            continue  # Shared; Keras's own open their files anew.
    return copied


def _mode(function: str, mode: str, monitor: str) -> str:
    """Says what "auto" means where the name does, since Keras 3.10 knows accuracy alone to rise."""
    one_of(function, "mode", mode, MODES)
    return "max" if mode == "auto" and rises(monitor) else mode
