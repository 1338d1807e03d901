"""A training taken down whole, and put back to the bit."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain._exact_state import check_known, facts_of, kinds_with_state, put_back, state_of
from kerastrain.callbacks import reduce_on_plateau


def net(units=4):
    layers = [keras.layers.Dense(units), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")


def trained(seed=0):
    keras.utils.set_random_seed(seed)
    model = net()
    model.fit(X, X.sum(axis=1), epochs=2, verbose=0)
    return model


def numbers_of(model):
    kept = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable).tobytes() for variable in kept]


def test_model_metrics_optimizer_and_the_generators_of_dropout_are_put_back():
    model, other = trained(), trained(1)
    state, before = state_of(model, [], {}), numbers_of(model)
    assert numbers_of(other) != before
    put_back(state, other, [])
    assert numbers_of(other) == before
    assert "seed_generator_state" in {v.name for v in model.variables}


def test_pythons_and_numpys_generators_are_put_back():
    model = trained()
    state = state_of(model, [], {})
    drawn = random.random(), np.random.random()
    put_back(state, model, [])
    assert (random.random(), np.random.random()) == drawn


def test_what_a_callback_of_keras_has_noted_is_put_back_and_its_settings_are_not():
    stopper = keras.callbacks.EarlyStopping(patience=3)
    stopper.wait, stopper.best, stopper.best_weights = 2, 0.25, [np.ones(3), np.zeros((2, 2))]
    plateau = reduce_on_plateau(patience=1)
    plateau.cooldown_counter = 5
    state = state_of(trained(), [stopper, plateau], {})
    others = [keras.callbacks.EarlyStopping(patience=9), reduce_on_plateau(patience=8)]
    put_back(state, trained(), others)
    assert (others[0].wait, others[0].best, others[0].patience) == (2, 0.25, 9)
    assert [array.tolist() for array in others[0].best_weights] == [[1] * 3, [[0, 0], [0, 0]]]
    assert (others[1].cooldown_counter, others[1].patience) == (5, 8)


def test_callbacks_of_one_kind_are_told_by_their_order():
    stoppers = [keras.callbacks.EarlyStopping(), keras.callbacks.EarlyStopping()]
    assert kinds_with_state(stoppers) == ["EarlyStopping 1", "EarlyStopping 2"]
    stoppers[0].wait, stoppers[1].wait = 1, 2
    others = [keras.callbacks.EarlyStopping(), keras.callbacks.EarlyStopping()]
    put_back(state_of(trained(), stoppers, {}), trained(), others)
    assert [other.wait for other in others] == [1, 2]


def test_an_array_that_two_callbacks_hold_is_kept_once():
    weights = [np.ones(1000)]
    stoppers = [keras.callbacks.EarlyStopping(), keras.callbacks.EarlyStopping()]
    for stopper in stoppers:
        stopper.best_weights = weights
    state = state_of(trained(), stoppers, {})
    assert sum(array.size == 1000 for array in state.arrays.values()) == 1


class Keeps(keras.callbacks.Callback):
    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def get_state(self):
        return {"kept": self.kept}

    def set_state(self, state):
        self.kept = state["kept"]


def test_an_array_that_is_changed_in_place_changes_no_state_and_no_state_changes_it():
    array, model = np.zeros(2), trained()
    state = state_of(model, [Keeps(array)], {})
    array += 1
    first, second = Keeps(None), Keeps(None)
    put_back(state, model, [first])
    first.kept += 5
    put_back(state, model, [second])
    assert (first.kept.tolist(), second.kept.tolist()) == ([5, 5], [0, 0])


def test_a_key_that_would_come_back_as_a_string_is_refused():
    with pytest.raises(TypeError, match="strings as keys") as error:
        state_of(trained(), [Keeps({0: 0.5})], {})
    assert str(error.value) == (
        "`fit`: `callbacks` must return dicts with strings as keys from get_state(). Received: 0 "
        "in '/callbacks/Keeps 1/kept'."
    )


def test_a_callback_of_kerass_that_notes_what_nobody_knows_is_refused(tmp_path):
    known = [
        *(keras.callbacks.TerminateOnNaN(), keras.callbacks.EarlyStopping(), Keeps(1)),
        *(keras.callbacks.SwapEMAWeights(), keras.callbacks.LambdaCallback()),
    ]
    check_known(known)
    with pytest.raises(ValueError, match="a run can go on with") as error:
        check_known([*known, keras.callbacks.BackupAndRestore(tmp_path)])
    assert str(error.value) == (
        "`fit`: `callbacks` must be ones that a run can go on with, by what they note, beside "
        "`run`. Received: a BackupAndRestore."
    )


def test_every_callback_that_keras_has_is_known_or_refused():
    kinds = {name for name in dir(keras.callbacks) if name[0].isupper()} - {"CallbackList"}
    refused = set()
    for name in kinds:
        kind = getattr(keras.callbacks, name)
        try:
            check_known([kind.__new__(kind)])
        except ValueError:
            refused.add(name)
    assert refused - {"OrbaxCheckpoint"} == {"BackupAndRestore"}


def test_other_variables_of_a_step_are_put_back_too_and_have_to_be_there():
    model, counter = trained(), tf.Variable([1, 2])
    state = state_of(model, [], {}, [counter])
    counter.assign([5, 5])
    put_back(state, model, [], [counter])
    assert counter.numpy().tolist() == [1, 2]
    with pytest.raises(ValueError, match="go on with the model") as error:
        put_back(state, model, [])
    assert str(error.value) == (
        "`fit`: `run` must go on with the model that it began with, where step variable 0 was "
        "int32 (2,). Received: step variable 0: absent."
    )


def test_facts_come_back_as_they_were():
    facts = {"epoch": 3, "logs": {"loss": float("nan")}, "list": [1, [2.5, None, "a"], True]}
    came = facts_of(state_of(trained(), [], {**facts, "array": np.arange(3)}))
    assert came["array"].tolist() == [0, 1, 2]
    assert (came["epoch"], came["list"]) == (3, facts["list"])
    assert np.isnan(came["logs"]["loss"])


def test_another_model_is_refused_by_the_first_variable_that_differs():
    with pytest.raises(ValueError, match="must go on with the model") as error:
        put_back(state_of(trained(), [], {}), net(units=5), [])
    assert str(error.value) == (
        "`fit`: `run` must go on with the model that it began with, where model variable 0 was "
        "float32 (3, 4). Received: model variable 0: float32 (3, 5)."
    )
