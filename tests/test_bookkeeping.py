"""What `fit` adds to the user's callbacks."""

import math

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain._bookkeeping import EpochFacts, Recorder, watch_best


def a_model():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def a_watch(given=(), **changes):
    arguments = {
        "monitor": "auto",
        "validated": True,
        "mode": "auto",
        "patience": 2,
        "min_delta": 0.0,
        "restore_best": True,
        "epochs": 10,
        **changes,
    }
    return watch_best(list(given), **arguments)


def drive(callback, values, monitor="val_loss"):
    """Runs a callback through epochs by hand; the bias is the number of the epoch."""
    model = a_model()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.layers[0].bias.assign([float(epoch)])
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {monitor: value})
        if model.stop_training:
            break
    return model


def bias(model):
    return float(model.get_weights()[1][0])


def test_without_patience_the_best_is_known_and_nothing_stops():
    best = a_watch(patience=None)
    model = drive(best.watcher, [0.5, 0.4] + [0.6] * 7)
    assert not model.stop_training
    assert best.so_far() == ("val_loss", 1, 0.4)
    best.restore()
    assert bias(model) == 1


def test_before_the_first_epoch_there_is_no_best():
    best = a_watch()
    assert (best.epoch, best.so_far()) == (None, None)
    drive(best.watcher, [math.nan])
    assert (best.epoch, best.so_far()) == (None, None)


def test_without_validation_the_loss_decides():
    assert a_watch(validated=False).monitor == "loss"


def test_an_early_stopping_of_the_users_decides():
    own = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=5)
    best = a_watch([keras.callbacks.TerminateOnNaN(), own], patience=None)
    assert best.monitor == "val_accuracy"
    drive(own, [0.5, 0.9, 0.7], "val_accuracy")
    assert best.so_far() == ("val_accuracy", 1, 0.9)


def test_the_users_early_stopping_may_not_watch_what_is_not_there():
    best = a_watch([keras.callbacks.EarlyStopping("val_f1")], patience=None)
    with pytest.raises(ValueError, match="must be one of") as error:
        best.watcher.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.6})
    assert str(error.value) == (
        "`fit`: `monitor` must be one of 'loss', 'val_loss'. Received: monitor='val_f1'."
    )


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("monitor", "loss"),
        ("mode", "min"),
        ("patience", 3),
        ("min_delta", 0.1),
        ("restore_best", False),
    ],
)
def test_beside_an_early_stopping_of_the_users_nothing_else_decides(argument, value):
    changes = {"patience": None, argument: value}
    with pytest.raises(ValueError, match="must be left out") as error:
        a_watch([keras.callbacks.EarlyStopping()], **changes)
    assert str(error.value) == (
        f"`fit`: `{argument}` must be left out beside an EarlyStopping in `callbacks`, which "
        f"decides. Received: `{argument}` and an EarlyStopping."
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patience": -1}, "`fit`: `patience` must be at least 0. Received: patience=-1."),
        ({"min_delta": -1}, "`fit`: `min_delta` must be at least 0. Received: min_delta=-1."),
        (
            {"mode": "best"},
            "`fit`: `mode` must be one of 'auto', 'min', 'max'. Received: mode='best'.",
        ),
        (
            {"monitor": "val_loss", "validated": False},
            "`fit`: `monitor` must be a training metric where there is neither validation_data nor "
            "validation_split. Received: monitor='val_loss'.",
        ),
    ],
)
def test_what_decides_is_checked(changes, sentence):
    with pytest.raises(ValueError, match="must") as error:
        a_watch(**changes)
    assert str(error.value) == sentence


def test_the_users_callbacks_meet_the_restored_model_when_the_run_ends():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_score"] = float(-abs(epoch - 1))
            weights.append(self.model.get_weights()[0].copy())

        def on_train_end(self, logs=None):
            weights.append(self.model.get_weights()[0].copy())

    weights = []
    x, y = np.ones((8, 1), "float32"), np.ones((8, 1), "float32")
    history = ktr.fit(
        a_model(), x, y, epochs=4, callbacks=Look(), monitor="val_score", mode="max", verbose=0
    )
    assert (history.monitor, history.best_epoch) == ("val_score", 1)
    np.testing.assert_array_equal(weights[-1], weights[1])


def test_weights_lost_to_nan_are_noticed_at_the_end_though_the_loss_is_finite():
    facts = EpochFacts(None, a_watch())
    model = a_model()
    facts.set_model(model)
    facts.on_train_end()
    assert not facts.lost_to_nan
    model.layers[0].kernel.assign([[math.nan]])
    facts.on_train_end()
    assert (facts.lost_to_nan, facts.stopped()) == (True, "lost to NaN")


def test_the_record_has_nan_where_an_epoch_lacks_a_metric():
    record = Recorder()
    record.on_epoch_end(0, {"loss": 0.5})
    record.on_epoch_end(1, {"loss": 0.4, "val_loss": 0.6})
    assert record.epoch == [0, 1]
    assert record.columns["loss"] == [0.5, 0.4]
    np.testing.assert_array_equal(record.columns["val_loss"], [math.nan, 0.6])
