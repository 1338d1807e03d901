"""`fit`: everything else in this package, put together around `model.fit`."""

import contextlib
import functools
import inspect
import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np

from kerastrain import engine
from kerastrain._bookkeeping import Account, watch_best
from kerastrain._checks import flag, invalid, seed_number, show, whole_number
from kerastrain._course import OtherOrderError
from kerastrain._endings import LostToNanError, TimeUpError, end_as_keras_does
from kerastrain._following import (
    check_goes_on,
    check_rate_setters,
    momentum_following,
    rate_setters,
    schedule_for,
)
from kerastrain._generators import is_generator, streamed_once
from kerastrain._keeping import Keeping, keeping
from kerastrain._live_plot import finishing
from kerastrain._nan_causes import findings_of, told, told_of_nan
from kerastrain._optimizers import follow, variable_rate_of
from kerastrain._settings import chance_in, settings_of
from kerastrain._unfreezing import unfreezing_for
from kerastrain.models import compiled_model_checked
from kerastrain.progress import Progress, progress_callback
from kerastrain.records import History
from kerastrain.sources import Source, source_for

ASchedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule | Callable[[float], Any]


_DECIDING = (
    *("batch_size", "validation_split", "shuffle", "class_weight", "monitor", "mode", "patience"),
    *("min_delta", "restore_best", "schedule", "unfreeze", "unfreeze_rate", "on_nan", "speed"),
)
"""Arguments of `fit` that decide a run's course, beside its model, data, seed and callbacks."""


OF_ONE_RUN = ("run", "save_every")
"""Arguments of `fit` that are for one call, and can't be told of several at once."""


def fit(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    validation_split: float = 0.0,
    epochs: int = 1,
    batch_size: int = 32,
    callbacks: Any = (),
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    monitor: str = "auto",
    mode: str = "auto",
    patience: int | None = None,
    min_delta: float = 0.0,
    restore_best: bool = True,
    schedule: ASchedule | None = None,
    unfreeze: int | None = None,
    unfreeze_rate: float | None = None,
    run: str | os.PathLike[str] | None = None,
    save_every: float = 30.0,
    max_time: float | None = None,
    on_nan: str = "stop",
    seed: int | None = None,
    speed: str | Mapping[int, str] = "auto",
    verbose: str | int = "auto",
) -> History:
    """Trains a compiled model as `model.fit` does, faster, and leaves it at its best epoch.

    An epoch is one pass over the training rows, in steps of `batch_size` rows: the weights change
    `ceil(rows / batch_size)` times an epoch. The validation rows are never trained on; they show
    when the model begins to learn the training rows by heart. Keep a third part, the test rows,
    for the end: whatever chose the best epoch is no judge of it.

    Args:
        model: A compiled model.
        x: Inputs, `(n, ...)`: an array, a tuple or dict of arrays, a tf.data.Dataset or a
            keras.utils.PyDataset. The last two bring their own batches and targets; so does a
            generator, which ends and is gone through once, with `epochs=1`.
        y: Targets with `n` rows.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, a Dataset or a PyDataset.
        validation_split: The part of the rows to validate on instead. Unlike Keras, which takes
            the last rows, the rows are shuffled first, each class in the same proportion;
            `shuffle=False` keeps the order and takes the last rows, as a time series needs.
        epochs: Passes over the data at most.
        batch_size: Rows a step.
        callbacks: Keras callbacks. One that overrides a batch hook gets every batch, which keeps
            the run from the fast way. An `EarlyStopping` among them decides in place of `monitor`,
            `mode`, `patience`, `min_delta` and `restore_best`, which are then left out.
        shuffle: Whether to visit the rows in a new order each epoch.
        class_weight: From class to the weight of its rows in the loss.
        sample_weight: One weight a row, `(n,)`.
        monitor: What decides which epoch is best: "auto" is `val_loss`, or `loss` without
            validation. "acc" and "val_acc" mean accuracy.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric.
        patience: Epochs without improvement after which to stop; `None` never stops early.
        min_delta: The least change that counts as an improvement.
        restore_best: Whether the model ends with the weights of its best epoch.
        schedule: A Keras `LearningRateSchedule` for the optimizer, a function of its step; one of
            `kerastrain.schedules` learns the steps of this run. Or a function that makes one, such
            as `kerastrain.schedules.one_cycle`, called with the optimizer's rate as the peak.
        unfreeze: The epoch, from 0, at whose start all layers with `trainable=False` become
            trainable: after so many epochs. `patience` counts from then on. The optimizer keeps
            what it has gathered; Adam and its kin count the steps of all layers together, so those
            that join late move by more than the rate at first. A file that is saved before that
            epoch of the run brings its weights back, but not what the optimizer had gathered.
        unfreeze_rate: The learning rate from then on; a tenth of the one until then, if left out. A
            schedule, or a LearningRateScheduler, goes on as it is.
        run: A folder that keeps the run, so that the same call goes on with it, to the bit,
            whatever broke it off: a kill, Ctrl-C, `max_time`, a crash. In it are `best.keras`, the
            best model, `history.json`, which `History.load` reads at any time, `run.json` and
            `environment.json`, and the state. A run that has ended returns its history at once; one
            with more `epochs` goes on. Whatever else has changed since it began is refused by name.
            Where a Dataset can't be shown to bring the batches that it would have, the run goes on
            at the epoch's start, and `History.note` says so.
        save_every: Seconds within an epoch after which `run` is saved, as it is after every epoch;
            less often where saving would take more than 3 % of the time. 0 saves at every turn.
        max_time: Seconds after which to end, between two calls; the `stop_reason` is then "time".
        on_nan: What to do when NaN has reached the weights: "stop" ends the run at its best epoch,
            or with its first weights if there is none; "rollback" goes on from there with half the
            rate, three times at most.
        seed: Decides the order of the rows, the split, and dropout: two runs from the same
            weights with the same seed and speed are the same to the bit (but a Dataset that
            shuffles keeps its own order, which goes on from run to run). It also seeds Python's,
            NumPy's and TensorFlow's generators, as `keras.utils.set_random_seed` does; with `run`,
            TensorFlow's seed is put back at the end, so that a cell that is run again makes the
            same Datasets. Left out, a seed is drawn for this run's order, split and dropout, and
            noted in the history.
        speed: "plain" is Keras's own loop; "steps" runs as many batches in one call as take about
            0.2 s, to the same bits; "compiled" has XLA compile the loop, for arrays: it rounds
            otherwise, and dropout and its kin draw other random numbers. "auto" measures a step
            where the run is long enough to pay for it, takes what will be done first, and changes
            at an epoch's end where it was wrong. In one process it chooses alike for runs that are
            alike; for the same bits in another, pass the `History.speed` of the run to repeat. What
            can't be had falls back to the next, and `History.engine` says why.
        verbose: 0 is silent, 1 one bar for the whole run, after a line on the way that `speed`
            takes, 2 a line an epoch; "auto" is a bar in a terminal or notebook and a line an epoch
            elsewhere.

    Returns:
        What the run did; Keras's logs, the learning rate and the seconds of every epoch.

    Raises:
        ValueError: If an argument's value is out of range, or model, loss and labels don't belong
            together; before training starts.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import kerastrain as ktr
        >>> data = ktr.load_dataset("fashion_mnist_small")
        >>> model = ktr.compile_for_task(ktr.build("dense"), data.task)
        >>> history = ktr.fit(model, *data.train, validation_data=data.val, epochs=2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'learning_rate', 'loss', 'seconds', 'val_accuracy', 'val_loss']
    """
    asked = {name: value for name, value in locals().items() if name in _DECIDING}
    compiled_model_checked("fit", model)
    whole_number("fit", "epochs", epochs, least=1)
    speed = engine.speed_checked("fit", speed)
    flag("fit", "shuffle", shuffle)
    flag("fit", "restore_best", restore_best)
    callbacks = _as_list(callbacks)
    whole_number("fit", "batch_size", batch_size, least=1)
    with keeping(run, save_every=save_every, max_time=max_time, on_nan=on_nan) as kept:
        drawn = drawn_seed(kept.seed if seed is None else seed)
        source = source_for(
            model,
            (streamed_once(x, epochs), y, sample_weight),
            validation_data,
            validation_split=validation_split,
            batch_size=batch_size,
            shuffle=shuffle,
            class_weight=class_weight,
            seed=drawn,
        )
        unfreezing = unfreezing_for(
            model, unfreeze, unfreeze_rate, epochs=epochs, schedule=schedule, callbacks=callbacks
        )
        best = watch_best(
            callbacks,
            monitor=monitor,
            validated=source.validation is not None,
            mode=mode,
            patience=patience,
            min_delta=min_delta,
            restore_best=restore_best,
            epochs=epochs,
            patient_until=unfreeze or 0,
        )
        _check_average(model, restore_best)
        if on_nan == "rollback":
            _check_rollback(model, x, schedule, callbacks)
        kept.begin(model, source, callbacks, seed=drawn, epochs=epochs, arguments=asked)
        account = Account(source, best, seed=drawn, lost=kept.lost)
        bar = progress_callback(
            verbose, epochs=epochs, steps=source.steps, best=best.so_far, stopped=account.stopped
        )
        if unfreezing:
            unfreezing.prepare()
        _follow(model, schedule, callbacks, steps=source.steps, epochs=epochs)
        account.settings = settings_of(
            model,
            source,
            callbacks,
            epochs=epochs,
            batch_size=batch_size,
            first_rate=kept.first_rate,
            arguments=_chosen(asked),
        )
        account.chance = chance_in(model, source, class_weight=class_weight)
        _start_from(model, drawn, is_given=seed is not None)
        everyone = [*account.callbacks, *([unfreezing] if unfreezing else []), *callbacks]
        everyone += [best.watcher, account.sound, *([bar] if bar else [])]
        everyone += kept.watchers(model, source, everyone, best, account)
        look = functools.partial(findings_of, model, source, batch_size=batch_size, shuffle=shuffle)
        with (
            _closing(bar, account, kept),
            finishing(callbacks),
            momentum_following(model),
            engine.executing(
                model, kept.speed(speed), source, everyone, epochs, unfreeze
            ) as execution,
            kept.training(model, execution),
        ):
            account.execution = execution
            if unfreezing:
                unfreezing.renew = execution.renew
            if bar:
                kept.warn = bar.warn
                bar.announce(*kept.notes, f'speed="{execution.way}": {execution.why}')
                # A Dataset that is looked at brings other batches afterwards, if it shuffles.
                if bar.announces and kept.begins and source.rows is not None:
                    bar.announce(*told(look()))
            account.notes += kept.told
            reason = _train(model, source, execution, epochs, everyone, kept, account)
            if bar and reason == "time":
                bar.close("time used up")
        if reason in ("interrupted", "time"):
            account.catch_up()
            # Behind the block: what a callback evaluates isn't the run any more.
            end_as_keras_does(
                model, everyone if reason == "time" else account.callbacks, account.last_logs
            )
        if account.lost_in is not None:
            account.notes.append(told_of_nan(account.lost_in, model, look()))
            kept.warn(account.notes[-1])
        kept.close(account.history(reason))
        return account.history(reason)


def _as_list(callbacks: Any) -> list[keras.callbacks.Callback]:
    flat = [] if callbacks is None else keras.tree.flatten(callbacks)
    for callback in flat:
        if not isinstance(callback, keras.callbacks.Callback):
            must = "be Keras callbacks"
            raise invalid("fit", "callbacks", must, show(callback), kind=TypeError)
    return list(flat)


def drawn_seed(seed: int | None) -> int:
    """Returns the seed, or one from Python's generator, where Keras draws its own from."""
    return random.getrandbits(31) if seed is None else seed_number("fit", seed)


@contextlib.contextmanager
def generators_left_alone() -> Iterator[None]:
    """Puts Python's and NumPy's generators back, or runs without a seed would repeat each other."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _start_from(model: keras.Model, seed: int, *, is_given: bool) -> None:
    """Starts every generator that the run uses from the seed.

    The global ones only where the user gave the seed; a drawn one leaves them alone.
    """
    if is_given:
        keras.utils.set_random_seed(seed)
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for number, state in enumerate(states):
        start = np.random.SeedSequence([seed, number]).generate_state(1)[0]
        state.assign(np.array([start, 0], dtype=state.dtype))


def _follow(
    model: keras.Model, schedule: Any, callbacks: list[Any], *, steps: int | None, epochs: int
) -> None:
    check_rate_setters(callbacks, model.optimizer, schedule)
    if schedule is None:
        check_goes_on(model.optimizer)
        return
    schedule = schedule_for(model.optimizer, schedule, steps=steps, epochs=epochs)
    check_goes_on(model.optimizer, schedule)
    follow(model.optimizer, schedule)
    model.train_function = None  # One from an earlier fit would keep to the old rate.


def _check_average(model: keras.Model, restore_best: bool) -> None:
    if restore_best and getattr(model.optimizer, "use_ema", False):
        must = (
            "be False beside an optimizer with use_ema=True, whose average is what Keras leaves "
            "in the model"
        )
        raise invalid("fit", "restore_best", must, "restore_best=True")


def _check_rollback(model: keras.Model, x: Any, schedule: Any, callbacks: list[Any]) -> None:
    if is_generator(x):
        must = "be 'stop' where `x` is a generator, which can be gone through once"
        raise invalid("fit", "on_nan", must, "on_nan='rollback'")
    setters = [name for name in rate_setters(callbacks) if name == "LearningRateScheduler"]
    if schedule is not None or variable_rate_of(model.optimizer) is None or setters:
        must = "be 'stop' where a schedule sets the rate, which can't be halved"
        raise invalid("fit", "on_nan", must, "on_nan='rollback'")


@contextlib.contextmanager
def _closing(bar: Progress | None, account: Account, kept: Keeping) -> Iterator[None]:
    """Gives the terminal back however training ends, and after an error leaves the best behind."""
    try:
        yield
    except Exception:
        if bar:
            bar.close("failed")
        account.restore()
        kept.leave(account)
        raise
    finally:
        if bar:
            bar.close()


def _chosen(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was told otherwise than by default, but for what has other words for it."""
    usual = inspect.signature(fit).parameters
    others = ("batch_size", "schedule", "speed", "monitor")
    return {
        name: value
        for name, value in asked.items()
        if name not in others and value != usual[name].default
    }


def _train(
    model: keras.Model,
    source: Source,
    execution: engine.Execution,
    epochs: int,
    callbacks: list[Any],
    kept: Keeping,
    account: Account,
) -> str:
    """Runs Keras's fit, again where the run goes back, and returns why it ended."""
    while True:
        try:
            model.fit(
                execution.train,
                validation_data=execution.validation,
                epochs=epochs,
                initial_epoch=epochs if kept.is_over else kept.initial_epoch,
                class_weight=source.class_weight,
                shuffle=source.shuffle,
                callbacks=kept.listeners(callbacks, model, epochs=epochs, steps=source.steps),
                verbose=0,
            )
        except KeyboardInterrupt:
            if kept.is_left_at_once:
                raise
            return "interrupted"
        except TimeUpError:
            return "time"
        except LostToNanError as lost:
            account.notes.append(kept.go_back(lost.epoch))
            continue
        except OtherOrderError:
            kept.take_epochs_start()
            account.notes.append(kept.told[-1])
            continue
        return "early_stopping" if model.stop_training else "finished"


def arguments_of_fit() -> list[str]:
    """Returns what `fit` can be told of any model and data, in its order; a folder is for one."""
    others = ("model", "x", "y", *OF_ONE_RUN)
    return [name for name in inspect.signature(fit).parameters if name not in others]
