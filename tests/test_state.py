"""What a step may change is known, and can be left as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.state import (
    captured_by,
    has_finite_weights,
    preserved,
    step_variables,
    variables_of,
)

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def dense():
    model = ktr.build("dense", keras.layers.Dropout(0.5), input_shape=(4,), classes=3)
    return ktr.compile_for_task(model, y=Y)


def arrays(variables):
    return [variable.numpy() for variable in variables]


def state(model):
    return arrays(variables_of(model))


def assert_same_bits(those, others):
    for array, other in zip(those, others, strict=True):
        np.testing.assert_array_equal(array, other)


def test_the_variables_are_weights_generators_metrics_and_slots_in_one_order():
    one, other = dense(), dense()
    for model in (one, other):
        model.train_on_batch(X, Y)
    shapes = [[tuple(v.shape) for v in variables_of(model)] for model in (one, other)]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 4 + 1 + 4 + 2 + 8  # Weights, dropout, loss and accuracy, Adam.


def test_preserved_puts_every_bit_back_after_training_steps():
    model = dense()
    model.train_on_batch(X, Y)
    before = state(model)
    with preserved(model):
        for _ in range(3):
            model.train_on_batch(X, Y)
        changed = state(model)
    assert_same_bits(state(model), before)
    differing = [not np.array_equal(*pair) for pair in zip(before, changed, strict=True)]
    assert sum(differing) >= 4 + 1 + 8 + 1  # Weights, the dropout's generator, slots, iterations.


def test_preserved_keeps_an_optimizer_that_was_never_used():
    model = dense()
    with preserved(model):
        model.train_on_batch(X, Y)
    assert int(model.optimizer.iterations) == 0
    slots = [v.numpy() for v in model.optimizer.variables if len(v.shape)]
    assert len(slots) == 8
    assert not any(slot.any() for slot in slots)


def test_preserved_puts_the_bits_back_after_an_error():
    def spoil_and_fail():
        model.layers[1].kernel.assign(model.layers[1].kernel * 2)
        raise RuntimeError("in between")

    model = dense()
    before = arrays(model.variables)
    with pytest.raises(RuntimeError, match="in between"), preserved(model):
        spoil_and_fail()
    assert_same_bits(arrays(model.variables), before)


def test_preserved_keeps_other_variables_that_it_is_told_of():
    model, counter = dense(), tf.Variable([1, 2])
    with preserved(model, [counter]):
        counter.assign([5, 5])
    assert counter.numpy().tolist() == [1, 2]


def test_what_a_step_has_captured_beside_is_named_by_its_place_and_once():
    model, counter, other = dense(), tf.Variable(0), tf.Variable(1)

    @tf.function
    def step():
        other.assign_add(counter)
        model.layers[1].kernel.assign_add(0 * model.layers[1].kernel)

    captured = captured_by(step.get_concrete_function(), model)
    assert {id(variable) for variable in captured} == {id(counter), id(other)}
    named = dict(step_variables(model, [*captured, model.layers[1].kernel.value]))
    assert [named[f"step variable {n}"] for n in (0, 1)] == captured
    assert "step variable 2" not in named
    assert [name.split()[0] for name in named].count("model") == len(model.variables)


def test_weights_that_are_trained_have_to_be_finite_and_no_others():
    model = dense()
    assert has_finite_weights(model)
    taken = model.get_weights()
    taken[0] = taken[0] * np.nan
    assert not has_finite_weights(model, taken)
    assert has_finite_weights(model)
    model.set_weights(taken)
    assert not has_finite_weights(model)
    model.layers[1].trainable = False
    assert has_finite_weights(model)
    assert has_finite_weights(model, taken)
