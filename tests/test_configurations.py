"""What a run began with, in words that differ where the run would, and only there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import schedules
from kerastrain._configurations import configuration_of, described_data, first_difference


def net(units=4, optimizer="adam", loss="mse"):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(optimizer, loss)
    return model


def described(model=None, **arguments):
    return configuration_of(model or net(), {"x": np.ones((2, 3))}, arguments)


def test_models_that_were_made_alike_are_described_alike_whatever_keras_named_their_layers():
    assert net().layers[0].name != net().layers[0].name
    assert described(net()) == described(net())


@pytest.mark.parametrize(
    "other, difference",
    [
        (net(units=5), ("model.layers[1].config.units", "4", "5")),
        (net(loss="mae"), ("loss.loss", '"mse"', '"mae"')),
        (net(optimizer="sgd"), ("optimizer", '"Adam"', '"SGD"')),
        (
            net(optimizer=keras.optimizers.Adam(beta_1=0.8)),
            ("optimizer.beta_1", "0.9", "0.8"),
        ),
        (
            net(optimizer=keras.optimizers.Adam(0.1)),
            ("optimizer.learning_rate", "0.001", "0.1"),
        ),
    ],
)
def test_the_first_difference_is_named_with_both_values(other, difference):
    assert first_difference(described(), described(other)) == difference


def test_an_entry_that_came_or_went_is_a_difference():
    assert first_difference({"a": 1}, {}) == ("a", "1", "absent")
    assert first_difference({}, {"a": None}) == ("a", "absent", "null")


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "bfloat16"])
def test_any_other_value_in_data_is_another_description(kind):
    array = np.zeros((5000, 3), keras.tree.flatten(tf.as_dtype(kind).as_numpy_dtype)[0])
    before = described_data(array)
    array[4999, 2] = 1
    assert described_data(array) != before
    assert before.startswith("(5000, 3) ")


def test_of_a_large_array_blocks_here_and_there_are_looked_at(monkeypatch):
    array = np.zeros((2048, 4), "float32")
    other = array.copy()
    other[2047, 3] = 1
    assert described_data(other) != described_data(array)
    monkeypatch.setattr("kerastrain._configurations._MOST", array.nbytes // 4)
    assert described_data(other) == described_data(array)
    other[1025, 0] = 1
    assert described_data(other) != described_data(array)


def test_texts_are_described_by_all_of_them():
    one, other = (np.array(texts, dtype=object) for texts in (["ab", "c"], ["a", "bc"]))
    assert described_data(one) != described_data(other)
    assert described_data({"left": one}) == described_data({"left": one.copy()})


def test_streams_are_described_by_what_they_bring():
    rows = tf.data.Dataset.from_tensor_slices(np.zeros((4, 3), "float32"))
    assert described_data(rows) == (
        "a Dataset of 4 batches of TensorSpec(shape=(3,), dtype=tf.float32, name=None)"
    )
    some = rows.filter(lambda row: True)
    assert described_data(some).startswith("a Dataset of so many batches of TensorSpec(")


def test_a_schedule_is_described_by_its_settings_in_the_place_of_the_rate():
    one, other = (described(schedule=schedules.one_cycle(peak)) for peak in (0.1, 0.2))
    assert not any(name.startswith("optimizer.learning_rate") for name in one)
    assert first_difference(one, other)[0] == "schedule"
    assert described(schedule=schedules.one_cycle(0.1)) == one


def test_a_function_is_described_by_its_name_and_not_by_where_it_lies():
    assert described(schedule=schedules.one_cycle)["schedule"] == "<function one_cycle>"
