"""Marks of what a run was made of: equal for equal things, and for nothing else."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain._configurations import described_sample
from kerastrain._digests import digests_of
from kerastrain.sources import Source

RATE = 0.1


def digests(model=None, *, data=(X, Y), callbacks=(), **arguments):
    parts = dict(zip(("x", "y"), data, strict=True))
    source = Source(None, None, 1, None, lambda epoch: None, parts=parts)
    return digests_of(model or made(), source, callbacks, arguments)


def scheduled(function):
    return digests(callbacks=[keras.callbacks.LearningRateScheduler(function)])["callbacks"]


def of_layer(layer):
    return digests(made(layer=layer))["model"]


def test_what_is_made_anew_has_the_same_digests():
    again = digests(made(), data=(X.copy(), Y.copy()), patience=2)
    assert digests(made(), patience=2) == again
    assert None not in again.values()


@pytest.mark.parametrize(
    "name, other",
    [
        ("model", {"model": made(units=5)}),
        ("model", {"model": made(loss="mae")}),
        ("model", {"model": made(optimizer=keras.optimizers.SGD(nesterov=True))}),
        ("data", {"data": (X * 2, Y)}),
        ("data", {"data": (X, Y[::-1])}),
        ("callbacks", {"callbacks": [keras.callbacks.ReduceLROnPlateau()]}),
        ("arguments", {"class_weight": {0: 2.0}}),
    ],
)
def test_another_thing_has_another_digest(name, other):
    plain, changed = digests(), digests(**other)
    assert {part for part in plain if plain[part] != changed[part]} == {name}


def test_a_rate_is_told_by_the_settings():
    """Since a callback may have changed it in a model that goes on."""
    assert digests() == digests(made(optimizer=keras.optimizers.SGD(0.5)))


def test_a_function_is_told_by_what_it_does():
    def given(rate):
        return lambda epoch: rate

    assert scheduled(lambda epoch: 0.1) == scheduled(lambda epoch: 0.1)
    assert scheduled(lambda epoch: 0.1) != scheduled(lambda epoch: 0.2)
    assert scheduled(given(0.1)) == scheduled(given(0.1))
    assert scheduled(given(0.1)) != scheduled(given(0.2))
    assert scheduled(lambda epoch, rate=0.1: rate) != scheduled(lambda epoch, rate=0.2: rate)
    assert scheduled(given(object())) is None


def test_a_function_is_told_by_the_globals_that_it_uses():
    code = (lambda epoch: RATE).__code__
    one, same, other = (types.FunctionType(code, {"RATE": rate}) for rate in (0.1, 0.1, 0.2))
    assert scheduled(one) == scheduled(same) != scheduled(other)


def test_a_class_of_the_users_own_is_told_by_its_code():
    def kind(factor):
        class Own(keras.callbacks.Callback):
            def __init__(self):
                super().__init__()
                self.epochs = []

            def on_epoch_end(self, epoch, logs=None):
                self.epochs.append(epoch * factor)

        return digests(callbacks=[Own()])["callbacks"]

    assert kind(1) == kind(1) != kind(2)


def test_what_a_callback_has_noted_in_an_earlier_run_does_not_count():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=1)
    fresh = digests(callbacks=[plateau])
    ktr.fit(made(), X, Y, epochs=3, callbacks=[plateau], verbose=0, speed="plain")
    assert digests(callbacks=[plateau]) == fresh


def test_callbacks_that_only_look_or_write_do_not_count(tmp_path):
    lookers = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ktr.callbacks.checkpoint(tmp_path / "best.keras"),
        ktr.callbacks.live_plot(path=tmp_path / "live.png"),
    ]
    assert digests(callbacks=lookers) == digests()


@pytest.mark.parametrize("where", ["layer", "loss"])
def test_a_function_in_a_model_is_not_told_by_its_name(where):
    def one(x, *rest):
        return x

    if where == "layer":
        assert of_layer(keras.layers.Activation(one)) is None
        assert of_layer(keras.layers.Activation(keras.ops.sin)) is not None
    else:
        told = digests(made(loss=one))["model"]
        assert told == digests(made(loss=one))["model"] != digests()["model"]


def test_a_stream_is_told_by_what_it_begins_with():
    def noted(x, **shuffled):
        dataset = tf.data.Dataset.from_tensor_slices((x, Y))
        dataset = dataset.shuffle(64, **shuffled) if shuffled else dataset
        history = ktr.fit(made(), dataset.batch(16), verbose=0, speed="plain", seed=1)
        return history.settings["digests"]["data"]

    assert noted(X) == noted(X) != noted(X * 2)
    assert noted(X, seed=1) != noted(X, seed=2)


@pytest.mark.parametrize("rows", [1, 7, 5_000])
def test_a_sample_sees_rows_from_first_to_last(rows):
    array = np.zeros((rows, 300), "float32")
    plain = described_sample(array)
    for row in (0, -1):
        changed = array.copy()
        changed[row] = 1
        assert described_sample(changed) != plain
    assert described_sample(array.astype("float64")) != plain


def test_a_sample_of_texts_and_of_no_rows():
    texts = np.array(["a", "b"], dtype=object)
    assert described_sample(texts) != described_sample(texts[::-1])
    assert described_sample(np.zeros((0, 3))).startswith("(0, 3) float64")
    assert described_sample(3.0).startswith("() float64")
