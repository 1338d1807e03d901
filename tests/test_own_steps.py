"""What a training step keeps where Keras doesn't look is found, and kept with a run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_products import diagonal
from small_runs import SAME, Fails, X, Y, broken_off, net, told_by
from small_steps import KINDS, Counts, Noises, NoisesFromNowhere, Notes, recurrent, with_layer

from kerastrain._own_steps import own_state_of
from kerastrain.state import variables_of
from kerastrain.training import fit

CALL = SAME | {"epochs": 3, "batch_size": 8, "shuffle": False}
BATCH = (X[:8], Y[:8])
WAYS = [(at, speed) for speed in ("plain", "steps") for at in ((1, 2), (1, None))]


def shapes(own):
    return [tuple(variable.shape) for variable in own.variables]


def test_a_model_that_is_all_kerass_own_keeps_nothing_beside_and_is_not_traced(monkeypatch):
    monkeypatch.setattr("kerastrain._own_steps.tf.function", None)
    own = own_state_of(net(), BATCH)
    assert (own.variables, own.why_inexact) == ((), "")


def test_the_states_of_a_stateful_rnn_are_found():
    batch = (X[:8, :, None], Y[:8])
    assert shapes(own_state_of(recurrent(), batch)) == [(8, 3), (8, 3)]


def test_variables_and_generators_of_layers_are_found():
    layer, other = Counts(), Noises()
    assert own_state_of(with_layer(layer), BATCH).variables == (layer.count,)
    (state,) = own_state_of(with_layer(other), BATCH).variables
    assert state.handle is other.generator.state.handle


def test_optimizers_in_a_dict_are_found_as_they_are_when_the_step_has_built_them():
    model = KINDS["optimizers in a dict"](1)
    own = own_state_of(model, BATCH)
    theirs = [v.value for one in model.kept.values() for v in one.variables]
    assert {id(v.handle) for v in theirs} == {id(v.handle) for v in own.variables}
    assert not {id(v.handle) for v in own.variables} & {id(v.handle) for v in variables_of(model)}


@pytest.mark.parametrize("kind, way", diagonal(KINDS, WAYS))
def test_a_run_goes_on_to_the_bit_with(short_calls, folder, kind, way):
    at, speed = way
    x = X[:, :, None] if kind == "a stateful RNN" else X
    call = CALL | {"speed": speed}
    whole, other = KINDS[kind](1), KINDS[kind](2)
    expected = fit(whole, x, Y, **call)
    broken_off(folder, at, KINDS[kind](1), data=(x, Y), validation_split=0, **call)
    history = fit(other, x, Y, run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    for ours, theirs in zip(other.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_goes_back_to_what_a_layers_variable_was(short_calls):
    class Spoils(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            counts.append((epoch, float(layer.count)))
            if epoch == 2 and len(counts) == 3:
                self.model.layers[-1].bias.assign([np.nan])

    layer, counts = Counts(), []
    fit(with_layer(layer), X, Y, callbacks=[Spoils()], on_nan="rollback", **CALL)
    assert len(counts) > 3
    assert counts == [(epoch, 12.0 * epoch) for epoch, _ in counts]


def test_random_numbers_that_nobody_can_save_are_told_once_in_a_line_and_in_the_note(
    short_calls, folder, capsys
):
    def drawing():
        return with_layer(NoisesFromNowhere(name="noise"))

    call = CALL | {"verbose": 1, "run": folder, "save_every": 0}
    model = drawing()
    with pytest.raises(RuntimeError, match="broken off"):
        fit(model, X, Y, callbacks=[Fails(1, 2)], **call)
    line = (
        "run that goes on won't be the same to the bit: RandomStandardNormal at "
        f"'{model.name}_1/noise_1/random_normal/RandomStandardNormal' draws random numbers from "
        "where nobody can save, as keras.random with a SeedGenerator doesn't"
    )
    assert capsys.readouterr().out.count(f"a {line}\n") == 1
    history = fit(drawing(), X, Y, **call)
    assert capsys.readouterr().out.count("a run that goes on won't be the same to the bit") == 1
    assert history.note == f"A {line}."


def test_a_model_that_runs_eagerly_is_told_of_what_cannot_be_known(folder):
    model = with_layer(Counts())
    model.compile("adam", "mse", run_eagerly=True)
    history = fit(model, X, Y, run=folder, **CALL | {"epochs": 1})
    assert history.note == (
        "A run that goes on won't be the same to the bit: variables of TensorFlow's in its layers "
        "aren't saved, since the model runs eagerly."
    )


def test_a_variable_that_holds_no_numbers_is_refused(folder):
    model = with_layer(Notes(name="notes"))
    with pytest.raises(ValueError, match="are no numbers") as error:
        fit(model, X, Y, run=folder, **CALL)
    assert str(error.value) == (
        "`fit`: `run` must be left out where a train step keeps in variables what are no numbers. "
        f"Received: '{model.name}/notes/note' of string."
    )


def test_a_table_that_a_step_fills_is_told():
    class Fills(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)

        def call(self, x):
            self.seen.insert(tf.constant([1], tf.int64), tf.constant([2], tf.int64))
            return x

    why = own_state_of(with_layer(Fills()), BATCH).why_inexact
    assert why.startswith("LookupTableInsertV2 at ")
    assert why.endswith(" changes what can't be saved")
