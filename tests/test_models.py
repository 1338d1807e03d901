"""The registry: names and functions that `build` calls, and what the data answer for them."""

import keras
import numpy as np
import pytest

from kerastrain.builders import model_fn
from kerastrain.datasets import load_dataset
from kerastrain.models import (
    build,
    builder_of,
    list_models,
    parameters_from_data,
    register_model,
)

BUILT_IN = ["binary", "cnn", "dense", "regression", "text"]

REVIEWS = ["정말 재미있는 영화", "지루하고 재미없다", "배우 연기가 좋다", "시간이 아깝다"]


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def message(error_type, call, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        call(*arguments, **keywords)
    return str(error.value)


# Registering.


def test_the_built_in_models_are_listed_in_order():
    assert list_models() == BUILT_IN


def test_a_registered_function_is_built_by_its_name():
    @register_model("tiny")
    def tiny(a_layer=None, *, units=2):
        return build("dense", a_layer, units=units)

    assert list_models() == ["binary", "cnn", "dense", "regression", "text", "tiny"]
    assert build("tiny", units=3).layers[1].units == 3
    assert kinds(build("tiny", keras.layers.Dropout(0.5)))[2] == "Dropout"


def test_registering_a_name_again_replaces_the_builder():
    for units in (2, 3):
        register_model("tiny")(lambda units=units: build("dense", units=units))
    assert build("tiny").layers[1].units == 3


def test_the_decorated_function_stays_itself():
    def tiny():
        return model_fn()

    assert register_model("tiny")(tiny) is tiny


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_name_of_a_built_in_model_is_taken(name):
    assert message(ValueError, register_model, name) == (
        "`register_model`: `name` must not be that of a built-in model "
        f"('binary', 'cnn', 'dense', 'regression', 'text'). Received: name='{name}'."
    )


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_a_string(name):
    assert message(TypeError, register_model, name) == (
        f"`register_model`: `name` must be a name. Received: name={name!r}."
    )


def test_a_builder_is_a_function():
    assert message(TypeError, register_model("tiny"), 3) == (
        "`register_model`: `builder` must be a function that returns a keras.Model. Received: 3."
    )
    assert "tiny" not in list_models()


# Building.


def test_an_unknown_builder_is_refused_and_the_nearest_named():
    assert message(ValueError, build, "dens") == (
        "`build`: `name_or_function` must be one of 'binary', 'cnn', 'dense', 'regression', "
        "'text' (did you mean 'dense'?). Received: name_or_function='dens'."
    )


def test_a_model_is_no_builder():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="ready")
    assert message(TypeError, build, model) == (
        "`build`: `name_or_function` must be one of 'binary', 'cnn', 'dense', 'regression', "
        "'text'. Received: name_or_function=<Sequential name=ready, built=True>."
    )


@pytest.mark.parametrize(("product", "shown"), [(None, "None"), (3, "3"), ("model", "'model'")])
def test_a_builder_that_returns_no_model_is_refused(product, shown):
    assert message(TypeError, build, lambda: product) == (
        "`build`: `name_or_function` must return a keras.Model. "
        f"Received: a builder that returns {shown}."
    )


def test_a_builder_that_returns_a_layer_is_refused():
    assert message(TypeError, build, lambda: keras.layers.Dense(1, name="only")) == (
        "`build`: `name_or_function` must return a keras.Model. "
        "Received: a builder that returns <Dense name=only, built=False>."
    )


def test_an_unknown_parameter_is_refused_and_the_nearest_named():
    assert message(ValueError, build, "dense", unit=3) == (
        "`build(dense)`: `params` must be one of 'input_shape', 'units', 'classes', "
        "'activation' (did you mean 'units'?). Received: params='unit'."
    )


def test_a_parameter_for_a_builder_without_any_is_refused():
    assert message(ValueError, build, model_fn, units=3) == (
        "`build(model_fn)`: `units` must be left out: the builder has no such parameter. "
        "Received: units=3."
    )


def test_a_layer_for_a_builder_that_takes_none_is_refused():
    def fixed():
        return model_fn()

    layer = keras.layers.Dense(3, name="mine")
    assert message(ValueError, build, fixed, layer) == (
        "`build(fixed)`: `a_layer` must be left out: the builder has no such parameter. "
        "Received: a_layer=<Dense name=mine, built=False>."
    )


def test_a_builder_with_free_keywords_takes_any_parameter():
    def free(**params):
        return build("dense", units=params["width"])

    assert build(free, width=3).layers[1].units == 3


def test_a_registered_builder_gets_copies_too():
    layer = keras.layers.Dropout(0.3)
    got = []

    @register_model("curious")
    def curious(a_layer=None):
        got.append(a_layer)
        return model_fn()

    build("curious", layer)
    build("curious", [layer])
    build("curious", [layer, layer])
    build("curious", lambda: layer)
    build("curious")
    assert got[0] is not layer
    assert [getattr(item, "rate", item) for item in got[:2]] == [0.3, 0.3]
    assert [item.rate for item in got[2]] == [0.3, 0.3]
    assert got[3] is layer
    assert got[4] is None


# Parameters that the data answer.


def test_d4_2_the_regressor_takes_its_input_width_from_the_data():
    x, y = np.zeros((10, 13)), np.zeros(10)
    builder = builder_of("regression")
    width = parameters_from_data(builder, {}, x=x, y=y, classes=None)
    model = build("regression", n_hidden=2, n_neurons=64, **width)
    assert [layer.units for layer in model.layers] == [64, 64, 1]
    assert model.input_shape == (None, 13)
    assert [layer.activation.__name__ for layer in model.layers] == ["relu", "relu", "linear"]


@pytest.mark.parametrize(
    ("name", "x", "y", "classes", "params"),
    [
        ("dense", np.zeros((5, 28, 28)), np.zeros(5, int), 3, ["input_shape", "classes"]),
        ("binary", np.zeros((5, 4)), np.zeros(5, int), 2, ["input_shape"]),
        ("regression", np.zeros((5, 4)), np.zeros(5), None, ["input_shape", "outputs"]),
        ("cnn", np.zeros((5, 8, 8, 3)), np.zeros(5, int), 3, ["input_shape", "classes"]),
        ("text", np.array(["a", "b"], object), np.zeros(2, int), 2, ["texts", "classes"]),
        ("text", np.array(["a", "b"]), np.zeros(2, int), 2, ["texts", "classes"]),
    ],
)
def test_a_builder_gets_what_it_asks_of_the_data(name, x, y, classes, params):
    answers = parameters_from_data(builder_of(name), {}, x=x, y=y, classes=classes)
    assert list(answers) == params
    if "input_shape" in answers:
        assert answers["input_shape"] == x.shape[1:]
    if "texts" in answers:
        assert answers["texts"] is x
    if "classes" in answers:
        assert answers["classes"] == classes


@pytest.mark.parametrize(("y", "outputs"), [(np.zeros(5), 1), (np.zeros((5, 3)), 3)])
def test_the_outputs_are_the_columns_of_the_targets(y, outputs):
    builder = builder_of("regression")
    answers = parameters_from_data(builder, {}, x=np.zeros((5, 2)), y=y, classes=None)
    assert answers["outputs"] == outputs


def test_what_the_caller_gives_wins_over_the_data():
    given = {"input_shape": (2, 2), "classes": 5}
    builder = builder_of("dense")
    answers = parameters_from_data(builder, given, x=np.zeros((5, 4)), y=None, classes=3)
    assert answers == {}


def test_a_vocabulary_that_is_given_takes_the_place_of_the_texts():
    given = {"vocabulary": ["좋다"]}
    x = np.array(REVIEWS, dtype=object)
    answers = parameters_from_data(builder_of("text"), given, x=x, y=None, classes=2)
    assert answers == {"classes": 2}


def test_inputs_of_several_parts_answer_nothing():
    x = {"a": np.zeros((5, 2)), "b": np.zeros((5, 3))}
    assert parameters_from_data(builder_of("dense"), {}, x=x, y=None, classes=None) == {}


def test_a_function_of_ones_own_can_ask_the_data_too():
    def own(*, input_shape, classes):
        return build("dense", input_shape=input_shape, classes=classes)

    data = load_dataset("fashion_mnist_small")
    answers = parameters_from_data(
        own, {}, x=data.train[0], y=data.train[1], classes=len(data.classes)
    )
    assert build(own, **answers).output_shape == (None, 10)
