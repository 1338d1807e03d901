import contextlib
import inspect
import math
import pathlib
import sys

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.callbacks import (
    checkpoint,
    csv_log,
    direction,
    early_stopping,
    known_monitor,
    reduce_on_plateau,
    rises,
    standard,
    tensorboard,
)
from kerastrain.records import History

NAN, INF = math.nan, math.inf

X, ONES, HALVES = np.zeros((4, 1)), np.ones(4), np.full(4, 0.5)

VALIDATION_LOSSES = [0.04, 0.0001, 0.024649, 0.067548]
"""Of `a_model` when it is trained on ONES and validated on HALVES; the second epoch is the best."""

BIASES = [0.3, 0.51, 0.657, 0.7599]


def a_model(metrics=("accuracy",), rate=0.15):
    """A bias that goes from 0 towards 1, three tenths of the way an epoch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.layers[0].bias.assign([0.0])
    # One step an epoch isn't worth tracing.
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=list(metrics), run_eagerly=True)
    return model


def bias(model):
    return pytest.approx(float(model.get_weights()[1][0]), abs=1e-6)


def keras_fit(model, given, epochs=4):
    validation = (X, HALVES)
    return model.fit(X, ONES, validation_data=validation, epochs=epochs, callbacks=given, verbose=0)


def our_fit(model, given, epochs=4):
    return ktr.fit(
        model,
        X,
        ONES,
        validation_data=(X, HALVES),
        epochs=epochs,
        callbacks=given,
        verbose=0,
        speed="plain",
    )


BOTH_FITS = pytest.mark.parametrize("fit", [keras_fit, our_fit])


def drive(callback, values, monitor="val_loss"):
    """Runs a callback through epochs by hand; the bias is the number of the epoch."""
    model = a_model()
    model.layers[0].bias.assign([-1.0])
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    logs = []
    for epoch, value in enumerate(values):
        model.layers[0].bias.assign([float(epoch)])
        logs.append({monitor: value})
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, logs[-1])
        if model.stop_training:
            break
    callback.on_train_end()
    return model, logs


def message(error_type, call, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        call(*arguments, **keywords)
    return str(error.value)


# Early stopping.


def test_d5_2_early_stopping_takes_every_argument_of_the_notes():
    callback = early_stopping(
        monitor="val_loss",
        mode="min",
        verbose=1,
        patience=np.int64(10),
        min_delta=0.01,
        baseline=0.7,
        restore_best_weights=False,
        start_from_epoch=3,
    )
    assert isinstance(callback, keras.callbacks.EarlyStopping)
    assert (callback.monitor, callback.mode, callback.verbose) == ("val_loss", "min", 1)
    assert (callback.patience, callback.min_delta, callback.baseline) == (10, 0.01, 0.7)
    assert (callback.restore_best_weights, callback.start_from_epoch) == (False, 3)


@pytest.mark.parametrize(
    ("patience", "losses", "stopped", "best"),
    [
        (0, [0.5, 0.4, 0.4, 0.3], 2, 1),
        (0, [0.5, 0.6], 1, 0),
        (1, [0.5, 0.6, 0.4], 1, 0),
        (2, [0.5, 0.6, 0.7, 0.1], 2, 0),
        (2, [0.5, 0.6, 0.4, 0.5, 0.4, 0.1], 4, 2),
        (2, [0.5, 0.6, 0.4, 0.5, 0.3], 0, 4),
        (9, [0.5, 0.6, 0.7], 0, 0),
    ],
)
def test_patience_counts_the_epochs_without_improvement(patience, losses, stopped, best):
    callback = early_stopping(patience=patience)
    model, logs = drive(callback, losses)
    assert callback.stopped_epoch == stopped
    assert len(logs) == (stopped + 1 if stopped else len(losses))
    assert callback.best_epoch == best
    assert bias(model) == best


@pytest.mark.parametrize(
    ("patience", "losses", "stopped", "best"),
    [
        (1, [NAN, 0.5, 0.4, NAN, 0.3], 0, 4),
        (0, [NAN, 0.5, 0.4, NAN, 0.3], 0, 4),
        (2, [0.5, NAN, NAN, NAN, 0.6, 0.7, 0.1], 5, 0),
        (2, [0.5, 0.6, NAN, 0.7, 0.1], 3, 0),
        (1, [INF, 0.5, -INF, 0.4], 0, 3),
    ],
)
def test_a_nan_epoch_is_neither_the_best_nor_uses_up_patience(patience, losses, stopped, best):
    callback = early_stopping(patience=patience)
    model, _ = drive(callback, losses)
    assert (callback.stopped_epoch, callback.best_epoch) == (stopped, best)
    assert callback.best == losses[best]
    assert bias(model) == best


def test_where_every_epoch_is_nan_nothing_stops_and_nothing_is_restored():
    callback = early_stopping(patience=1)
    model, logs = drive(callback, [NAN, NAN, NAN])
    assert (len(logs), callback.stopped_epoch, callback.best) == (3, 0, None)
    assert bias(model) == 2


def test_a_change_below_min_delta_is_no_improvement():
    callback = early_stopping(patience=2, min_delta=0.01)
    drive(callback, [0.5, 0.495, 0.491, 0.1])
    assert (callback.stopped_epoch, callback.best_epoch) == (2, 0)


def test_a_baseline_that_is_not_beaten_uses_up_patience():
    callback = early_stopping(patience=2, baseline=0.5)
    drive(callback, [0.9, 0.95, 0.1])
    assert callback.stopped_epoch == 1


def test_the_epochs_before_the_start_are_not_watched():
    callback = early_stopping(patience=2, start_from_epoch=1)
    drive(callback, [0.1, 0.5, 0.6, 0.7, 0.1])
    assert (callback.stopped_epoch, callback.best_epoch) == (3, 1)


def test_the_last_weights_stay_where_the_best_are_not_wanted():
    model, _ = drive(early_stopping(patience=1, restore_best_weights=False), [0.5, 0.6, 0.7])
    assert bias(model) == 1


def test_a_callback_starts_afresh_in_its_second_run():
    callback = early_stopping(patience=1)
    drive(callback, [0.1, 0.2])
    model, _ = drive(callback, [0.9, 0.8, 0.85])
    assert (callback.best_epoch, callback.stopped_epoch) == (1, 2)
    assert bias(model) == 1


@BOTH_FITS
def test_d1_10_early_stopping_ends_a_fit_and_restores_the_best(fit):
    callback = early_stopping(patience=2)
    model = a_model()
    history = fit(model, [callback], epochs=20)
    assert history.history["val_loss"] == pytest.approx(VALIDATION_LOSSES, abs=1e-6)
    assert (callback.stopped_epoch, callback.best_epoch) == (3, 1)
    assert bias(model) == BIASES[1]


def test_d3_2_early_stopping_says_that_it_stops(capsys):
    drive(early_stopping(patience=1, verbose=1), [0.5, 0.6])
    assert "Epoch 2: early stopping" in capsys.readouterr().out


# Which way is up.


@pytest.mark.parametrize(
    "monitor",
    ["val_accuracy", "acc", "val_acc", "binary_accuracy", "auc", "val_auc", "val_r2", "recall"],
)
@pytest.mark.parametrize("make", [early_stopping, reduce_on_plateau])
def test_a_score_is_better_when_it_is_higher(make, monitor):
    assert make(monitor).mode == "max"
    assert make(monitor, mode="min").mode == "min"


@pytest.mark.parametrize("monitor", ["loss", "val_loss", "val_mae", "my_space"])
def test_the_metric_says_which_way_is_up_where_its_name_does_not(monitor):
    assert early_stopping(monitor).mode == "auto"


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_auc", "val_r2"])
def test_every_factory_watches_a_score_upwards(monitor, tmp_path):
    scores = [0.5, 0.9, 0.7]
    stopping = early_stopping(monitor, patience=1)
    drive(stopping, scores, monitor)
    assert (stopping.best_epoch, stopping.stopped_epoch) == (1, 2)
    drive(checkpoint(tmp_path / "best.keras", monitor), scores, monitor)
    assert bias(ktr.load_model(tmp_path / "best.keras")) == 1
    model, _ = drive(reduce_on_plateau(monitor, patience=1), [0.5, 0.7, 0.9], monitor)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.15)


def test_a_direction_that_nobody_knows_is_asked_for():
    with pytest.raises(ValueError, match=r"isn't able to automatically determine"):
        drive(early_stopping("val_mystery"), [0.5], "val_mystery")


def test_a_direction_is_told_by_the_name_as_keras_tells_it_by_the_metric():
    arguments = {
        "num_classes": 2,
        **dict.fromkeys(("precision", "recall", "sensitivity", "specificity"), 0.5),
        "target_class_ids": [0],
    }
    told = {}
    for kind in vars(keras.metrics).values():
        if inspect.isclass(kind):
            wanted = inspect.signature(kind).parameters
            needed = {n: v for n, v in arguments.items() if n in wanted and n != "num_labels"}
            with contextlib.suppress(TypeError, ValueError):
                metric = kind(**needed)
                told[metric.name] = {"up": "max", "down": "min"}.get(
                    getattr(metric, "_direction", None)
                )
    known = {name: way for name, way in told.items() if way}
    assert len(known) > 30
    assert {name: direction(name, function="fit") for name in known} == known


@pytest.mark.parametrize(
    "metric, mode, way",
    [
        ("val_loss", "auto", "min"),
        ("val_auc_1", "auto", "max"),
        ("val_price_mae", "auto", "min"),
        ("accuracy_loss", "auto", "min"),
        ("val_mystery", "max", "max"),
        ("val_accuracy", "min", "min"),
    ],
)
def test_a_direction_goes_by_mode_and_by_the_last_word_that_tells(metric, mode, way):
    assert direction(metric, mode, function="fit") == way


def test_a_direction_that_no_name_tells_is_asked_for():
    assert message(ValueError, direction, "val_mystery", function="objective") == (
        "`objective`: `mode` must be 'min' or 'max' for a metric whose name doesn't tell, such as "
        "'val_mystery'. Received: mode='auto'."
    )


# Monitors by their old names, and by none.


@pytest.mark.parametrize(
    ("monitor", "logs", "name"),
    [
        ("loss", ["loss", "val_loss"], "loss"),
        ("acc", ["accuracy", "val_accuracy"], "accuracy"),
        ("val_acc", ["accuracy", "val_accuracy"], "val_accuracy"),
        ("accuracy", ["acc", "val_acc"], "acc"),
        ("val_accuracy", ["acc", "val_acc"], "val_acc"),
        ("acc", ["acc", "accuracy"], "acc"),
    ],
)
def test_a_monitor_is_known_by_its_old_name_too(monitor, logs, name):
    assert known_monitor(monitor, dict.fromkeys(logs, 0.5), function="fit") == name


@pytest.mark.parametrize(
    ("monitor", "hint"),
    [
        ("val_los", " (did you mean 'val_loss'?)"),
        ("val_acc", ""),
        ("validation", ""),
        ("", ""),
    ],
)
def test_an_unknown_monitor_is_refused_with_what_there_is(monitor, hint):
    logs = {"val_loss": 0.5, "loss": 0.4}
    assert message(ValueError, known_monitor, monitor, logs, function="fit") == (
        f"`fit`: `monitor` must be one of 'loss', 'val_loss'{hint}. Received: monitor='{monitor}'."
    )


def test_a_monitor_is_a_name():
    assert message(TypeError, known_monitor, 3, {"loss": 0.4}, function="fit") == (
        "`fit`: `monitor` must be one of 'loss'. Received: monitor=3."
    )


@BOTH_FITS
@pytest.mark.parametrize(
    ("metric", "monitor", "name"),
    [
        ("accuracy", "val_acc", "val_accuracy"),
        ("accuracy", "acc", "accuracy"),
        ("acc", "val_accuracy", "val_acc"),
    ],
)
def test_d4_4_old_names_of_accuracy_work_in_a_fit(fit, metric, monitor, name, tmp_path):
    watching = [
        checkpoint(tmp_path / "best.keras", monitor),
        reduce_on_plateau(monitor),
        early_stopping(monitor, patience=1),
    ]
    history = fit(a_model([metric]), watching)
    # The accuracy stays what it is, so that the second epoch is the last.
    assert len(history.epoch) == 2
    assert [callback.monitor for callback in watching] == [name] * 3
    assert (tmp_path / "best.keras").is_file()


@BOTH_FITS
@pytest.mark.parametrize(
    "make", [early_stopping, lambda monitor: checkpoint("b.keras", monitor), reduce_on_plateau]
)
def test_an_unknown_monitor_raises_at_the_first_epochs_end(fit, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, callback = a_model(), make("val_los")
    there = ["accuracy", "loss", "val_accuracy", "val_loss"]
    if fit is our_fit:
        there = ["accuracy", "learning_rate", "loss", "seconds", "val_accuracy", "val_loss"]
    assert message(ValueError, fit, model, [callback]) == (
        f"`{callback.factory}`: `monitor` must be one of {', '.join(map(repr, there))} "
        "(did you mean 'val_loss'?). Received: monitor='val_los'."
    )
    assert int(model.optimizer.iterations) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "monitor, does",
    [
        *((name, True) for name in ("accuracy", "val_acc", "sparse_categorical_accuracy", "r2")),
        *((name, True) for name in ("val_auc", "auc_1", "f1_score", "head_precision", "recall")),
        *((name, False) for name in ("loss", "val_loss", "mae", "val_mean_squared_error", "lr")),
        *((name, False) for name in ("inaccuracy", "r2d2", "aucuba", "")),
    ],
)
def test_a_metric_rises_where_a_word_of_its_name_says_so(monitor, does):
    assert rises(monitor) is does


# Checkpoints.


def test_d5_3_a_checkpoint_takes_every_argument_of_the_notes(tmp_path):
    callback = checkpoint(
        filepath=tmp_path / "tf18_cali.keras",
        monitor="val_loss",
        verbose=1,
        save_best_only=True,
        save_weights_only=False,
        mode="min",
        save_freq="epoch",
    )
    assert isinstance(callback, keras.callbacks.ModelCheckpoint)
    assert callback.filepath == str(tmp_path / "tf18_cali.keras")
    assert (callback.monitor, callback.verbose, callback.save_freq) == ("val_loss", 1, "epoch")
    assert (callback.save_best_only, callback.save_weights_only) == (True, False)


@BOTH_FITS
def test_d1_9_the_checkpoint_holds_the_best_epoch(fit, tmp_path):
    whole, weights = tmp_path / "best.keras", tmp_path / "best.weights.h5"
    watching = [checkpoint(whole), checkpoint(weights, save_weights_only=True)]
    history = fit(a_model(), watching)
    best = ktr.load_model(whole)
    assert bias(best) == BIASES[1]
    assert bias(ktr.load_weights(a_model(), weights)) == BIASES[1]
    loss = best.evaluate(X, HALVES, verbose=0, return_dict=True)["loss"]
    assert loss == min(history.history["val_loss"])


def test_a_checkpoint_of_every_epoch_fills_in_the_names(tmp_path):
    path = tmp_path / "{epoch:02d}-{val_loss:.2f}.keras"
    keras_fit(a_model(), [checkpoint(path, save_best_only=False)], epochs=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["01-0.04.keras", "02-0.00.keras"]
    assert bias(ktr.load_model(tmp_path / "01-0.04.keras")) == BIASES[0]


def test_a_checkpoint_of_every_epoch_needs_no_validation(tmp_path):
    path = tmp_path / "last.keras"
    a_model().fit(X, ONES, callbacks=[checkpoint(path, save_best_only=False)], verbose=0)
    assert bias(ktr.load_model(path)) == BIASES[0]


def test_a_checkpoint_of_every_few_batches_is_saved(tmp_path):
    path = tmp_path / "last.keras"
    keras_fit(a_model(), [checkpoint(path, save_freq=1, save_best_only=False)], epochs=1)
    assert bias(ktr.load_model(path)) == BIASES[0]


def test_a_nan_epoch_is_no_checkpoint(tmp_path):
    path = tmp_path / "best.keras"
    drive(checkpoint(path), [NAN])
    assert not path.exists()
    drive(checkpoint(path), [NAN, 0.5, NAN, 0.6])
    assert bias(ktr.load_model(path)) == 1


def test_d3_3_missing_folders_are_made(tmp_path):
    checkpoint(tmp_path / "_mcp" / "deep" / "tf18_cali.keras")
    assert (tmp_path / "_mcp" / "deep").is_dir()


def test_a_folder_that_waits_for_its_name_is_made_when_it_is_known(tmp_path):
    callback = checkpoint(tmp_path / "{epoch}" / "best.keras")
    assert list(tmp_path.iterdir()) == []
    drive(callback, [0.5])
    assert (tmp_path / "1" / "best.keras").is_file()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("./_mcp/tf18_cali.hdf5", 'checkpoint("./_mcp/tf18_cali.keras")'),
        ("best.h5", 'checkpoint("best.keras")'),
        ("best.weights.h5", 'checkpoint("best.keras")'),
        ("best", 'checkpoint("best.keras")'),
        ("{epoch:02d}-{val_loss:.4f}.hdf5", 'checkpoint("{epoch:02d}-{val_loss:.4f}.keras")'),
        ("{epoch:02d}-{val_loss:.4f}", 'checkpoint("{epoch:02d}-{val_loss:.4f}.keras")'),
    ],
)
def test_d3_3_a_path_of_old_raises_with_the_line_to_write(path, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message(ValueError, checkpoint, path) == (
        f'`checkpoint`: `filepath` must end in ".keras" for the whole model: write {line}. '
        f"Received: filepath='{path}'."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".keras", ".ckpt", ""])
def test_a_path_of_old_for_weights_raises_with_the_line_to_write(suffix):
    assert message(ValueError, checkpoint, f"best{suffix}", save_weights_only=True) == (
        '`checkpoint`: `filepath` must end in ".weights.h5" for the weights: write '
        'checkpoint("best.weights.h5", save_weights_only=True). '
        f"Received: filepath='best{suffix}'."
    )


def test_d5_3_a_period_raises_with_what_to_write():
    assert message(ValueError, checkpoint, "best.hdf5", period=5) == (
        "`checkpoint`: `period` must be left out: Keras has no such argument any more; write "
        'save_freq="epoch" for every epoch, or save_freq=period * steps_per_epoch, '
        "save_best_only=False. Received: period=5."
    )


def test_the_best_shows_at_an_epochs_end_only():
    assert message(ValueError, checkpoint, "best.keras", save_freq=100) == (
        "`checkpoint`: `save_best_only` must be False beside a number of batches: the best shows "
        "at an epoch's end only. Received: save_freq=100."
    )


@pytest.mark.parametrize(
    ("frequency", "error_type", "sentence"),
    [
        (0, ValueError, "must be at least 1. Received: save_freq=0."),
        ("batch", TypeError, "must be a whole number. Received: save_freq='batch'."),
    ],
)
def test_a_frequency_is_the_epoch_or_a_number_of_batches(frequency, error_type, sentence):
    call = (checkpoint, "best.keras")
    assert message(error_type, *call, save_freq=frequency, save_best_only=False) == (
        f"`checkpoint`: `save_freq` {sentence}"
    )


@pytest.mark.parametrize(
    ("call", "error_type", "sentence"),
    [
        (
            lambda: early_stopping(patience=-1),
            ValueError,
            "`early_stopping`: `patience` must be at least 0. Received: patience=-1.",
        ),
        (
            lambda: early_stopping(patience=2.5),
            TypeError,
            "`early_stopping`: `patience` must be a whole number. Received: patience=2.5.",
        ),
        (
            lambda: early_stopping(min_delta=-0.1),
            ValueError,
            "`early_stopping`: `min_delta` must be at least 0. Received: min_delta=-0.1.",
        ),
        (
            lambda: early_stopping(start_from_epoch=-1),
            ValueError,
            "`early_stopping`: `start_from_epoch` must be at least 0. Received: "
            "start_from_epoch=-1.",
        ),
        (
            lambda: early_stopping(mode="mni"),
            ValueError,
            "`early_stopping`: `mode` must be one of 'auto', 'min', 'max' (did you mean 'min'?). "
            "Received: mode='mni'.",
        ),
        (
            lambda: checkpoint("best.keras", mode="up"),
            ValueError,
            "`checkpoint`: `mode` must be one of 'auto', 'min', 'max'. Received: mode='up'.",
        ),
        (
            lambda: standard(patience=-1),
            ValueError,
            "`early_stopping`: `patience` must be at least 0. Received: patience=-1.",
        ),
        (
            lambda: reduce_on_plateau(factor=1),
            ValueError,
            "`reduce_on_plateau`: `factor` must be above 0 and below 1. Received: factor=1.",
        ),
        (
            lambda: reduce_on_plateau(factor=0),
            ValueError,
            "`reduce_on_plateau`: `factor` must be above 0 and below 1. Received: factor=0.",
        ),
        (
            lambda: reduce_on_plateau(patience=-1),
            ValueError,
            "`reduce_on_plateau`: `patience` must be at least 0. Received: patience=-1.",
        ),
        (
            lambda: reduce_on_plateau(cooldown=-1),
            ValueError,
            "`reduce_on_plateau`: `cooldown` must be at least 0. Received: cooldown=-1.",
        ),
        (
            lambda: reduce_on_plateau(min_lr=-1),
            ValueError,
            "`reduce_on_plateau`: `min_lr` must be at least 0. Received: min_lr=-1.",
        ),
        (
            lambda: reduce_on_plateau(min_delta=-1),
            ValueError,
            "`reduce_on_plateau`: `min_delta` must be at least 0. Received: min_delta=-1.",
        ),
    ],
)
def test_an_argument_out_of_range_is_refused(call, error_type, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message(error_type, call) == sentence


# The pair.


@BOTH_FITS
def test_d1_9_and_d1_10_the_standard_pair_stops_and_keeps_the_best(fit, tmp_path):
    path = tmp_path / "models" / "best.keras"
    model = a_model()
    history = fit(model, standard(path, patience=2), epochs=20)
    assert len(history.epoch) == 4
    assert bias(model) == bias(ktr.load_model(path)) == BIASES[1]


def test_the_standard_pair_watches_the_same_monitor(tmp_path):
    pair = standard(tmp_path / "best.keras", monitor="val_acc", patience=7, mode="max")
    assert [type(c).__bases__[-1].__name__ for c in pair] == ["ModelCheckpoint", "EarlyStopping"]
    assert [(c.monitor, c.factory) for c in pair] == [
        ("val_acc", "checkpoint"),
        ("val_acc", "early_stopping"),
    ]
    assert pair[1].patience == 7


# The rate.


@BOTH_FITS
def test_the_rate_is_lowered_on_a_plateau(fit):
    # The best epoch is the second; two later ones without improvement halve the rate.
    model = a_model()
    history = fit(model, [reduce_on_plateau(patience=2, factor=0.5)], epochs=5)
    rates = [0.15, 0.15, 0.15, 0.15, 0.075]
    assert history.history["learning_rate"] == pytest.approx(rates)


def test_the_rate_goes_no_lower_than_its_floor():
    model, _ = drive(reduce_on_plateau(patience=1, factor=0.1, min_lr=0.05), [0.5, 0.6, 0.7])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


def test_after_a_reduction_the_rate_is_left_alone_for_a_while():
    callback = reduce_on_plateau(patience=1, factor=0.5, cooldown=2)
    _, logs = drive(callback, [0.5, 0.6, 0.6, 0.6, 0.6])
    rates = [0.15, 0.15, 0.075, 0.075, 0.0375]
    assert [row["learning_rate"] for row in logs] == pytest.approx(rates, rel=1e-6)


def test_a_nan_epoch_lowers_no_rate_and_leaves_no_gap():
    losses = [NAN, 0.5, NAN, 0.4, NAN, NAN]
    model, logs = drive(reduce_on_plateau(patience=1), losses)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.15)
    assert [row["learning_rate"] for row in logs] == pytest.approx([0.15] * 6)


# Logs.


@BOTH_FITS
def test_a_csv_log_is_read_as_a_history(fit, tmp_path):
    path = tmp_path / "logs" / "run.csv"
    history = fit(a_model(), [csv_log(path)], epochs=3)
    loaded = History.load(path)
    assert loaded.epoch == [0, 1, 2]
    assert loaded.history == {name: history.history[name] for name in loaded.history}
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(loaded.history)
    assert (loaded.monitor, loaded.best_epoch) == ("val_loss", 1)


def test_a_csv_log_goes_on_in_a_file_where_asked(tmp_path):
    path = tmp_path / "run.csv"
    for _ in range(2):
        drive(csv_log(path, append=True), [0.5, 0.4])
    assert [line[0] for line in path.read_text().splitlines()] == ["e", "0", "1", "0", "1"]


def test_a_csv_log_separates_its_columns_as_asked(tmp_path):
    drive(csv_log(tmp_path / "run.csv", separator=";"), [0.5])
    assert (tmp_path / "run.csv").read_text().splitlines()[0] == "epoch;val_loss"


def test_without_tensorboard_the_line_that_installs_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert message(ImportError, tensorboard, tmp_path) == (
        "`callbacks.tensorboard` needs tensorboard, which is not installed. "
        "Install it with: pip install 'kerastrain[tensorboard]'"
    )


def test_with_tensorboard_its_callback_takes_the_arguments_of_keras(tmp_path):
    pytest.importorskip("tensorboard")
    callback = tensorboard(tmp_path, histogram_freq=1)
    assert isinstance(callback, keras.callbacks.TensorBoard)
    assert (pathlib.Path(callback.log_dir), callback.histogram_freq) == (tmp_path, 1)
