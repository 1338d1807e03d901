"""Where the parameters of a search go, and what becomes of NumPy's numbers on the way."""

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.search.parameters import Routed, arguments_of_training, as_python, routed

ARGUMENTS = (
    "'a_layer', 'batch_size', 'callbacks', 'class_weight', 'epochs', 'frozen', 'layers', "
    "'learning_rate', 'max_time', 'metrics', 'min_delta', 'mode', 'monitor', 'on_nan', "
    "'optimizer', 'patience', 'restore_best', 'reuse', 'sample_weight', 'schedule', 'seed', "
    "'shuffle', 'speed', 'task', 'unfreeze', 'unfreeze_rate', 'validation_data', "
    "'validation_split', 'verbose'"
)


def build_model(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=(8,)):
    model = ktr.build("regression", n_hidden=n_hidden, n_neurons=n_neurons, input_shape=input_shape)
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    return model


def message(kind, *arguments):
    with pytest.raises(kind) as error:
        routed(*arguments, function="search")
    return str(error.value)


def test_the_builder_comes_first_and_the_call_gets_the_rest():
    params = {"n_hidden": 2, "learning_rate": 0.1, "batch_size": 16, "patience": 3}
    assert routed(build_model, params, function="search") == Routed(
        params={"n_hidden": 2, "learning_rate": 0.1},
        arguments={"batch_size": 16, "patience": 3},
    )


def test_a_rate_that_the_builder_does_not_know_is_the_calls():
    found = routed("regression", {"learning_rate": 0.1, "n_neurons": 5}, function="search")
    assert found == Routed({"n_neurons": 5}, {"learning_rate": 0.1})


def test_a_builder_that_takes_anything_gets_what_nobody_else_knows():
    def anything(a_layer=None, **params):
        return ktr.build("dense", a_layer, **params)

    found = routed(anything, {"units": 5, "epochs": 2}, function="search")
    assert found == Routed({"units": 5}, {"epochs": 2})


def test_a_layer_is_handed_over_by_the_call():
    layer = keras.layers.Dropout(0.5)
    assert routed("dense", {"a_layer": layer}, function="search").arguments == {"a_layer": layer}


def test_what_was_routed_trains():
    x = np.random.default_rng(0).normal(size=(20, 8)).astype("float32")
    drawn = {"n_neurons": np.int64(7), "epochs": np.int32(2), "learning_rate": np.float32(0.01)}
    found = routed(build_model, drawn, function="search")
    model, history = ktr.build_and_fit(
        build_model, (x, x[:, 0]), params=found.params, verbose=0, seed=0, **found.arguments
    )
    assert (model.layers[0].units, len(history)) == (7, 2)
    assert history.history["learning_rate"] == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize(
    "value, kind, python",
    [
        (np.int64(3), int, 3),
        (np.float32(0.5), float, 0.5),
        (np.bool_(True), bool, True),
        (np.str_("relu"), str, "relu"),
        (np.array(3), int, 3),
        ((np.int64(3), 4), tuple, (3, 4)),
        ([np.int64(3), [np.float64(4)]], list, [3, [4.0]]),
        ({"a": np.int64(3)}, dict, {"a": 3}),
        (None, type(None), None),
    ],
)
def test_numbers_of_numpy_become_pythons(value, kind, python):
    found = as_python(value)
    assert (found, type(found)) == (python, kind)
    if kind in (list, tuple):
        assert [type(part) for part in found] == [type(part) for part in python]


def test_an_array_and_a_named_tuple_stay_what_they_are():
    array, pair = np.zeros(3), ktr.Trained("model", "history")
    assert as_python(array) is array
    assert as_python(pair) is pair


def test_arguments_of_training_are_those_of_both_calls_but_for_builder_and_data():
    assert ", ".join(map(repr, arguments_of_training())) == ARGUMENTS


def test_a_name_that_nobody_knows_is_met_with_both_lists():
    assert message(ValueError, build_model, {"n_hiden": 2}) == (
        "`search`: `params` must be parameters of the builder ('n_hidden', 'n_neurons', "
        f"'learning_rate', 'input_shape') or arguments of build_and_fit ({ARGUMENTS}) (did you "
        "mean 'n_hidden'?). Received: 'n_hiden'."
    )


def test_an_argument_that_is_misspelt_is_found_among_the_calls():
    assert message(ValueError, ktr.model_fn, {"batch_sizes": 2}) == (
        "`search`: `params` must be parameters of the builder (none) or arguments of build_and_fit "
        f"({ARGUMENTS}) (did you mean 'batch_size'?). Received: 'batch_sizes'."
    )


@pytest.mark.parametrize("name", ["data", "params", "x", "y", "model", "builder"])
def test_data_and_builder_are_no_parameters(name):
    assert message(ValueError, "cnn", {name: 1}).endswith(f". Received: {name!r}.")


@pytest.mark.parametrize("params, shown", [([0.1, 2], "[0.1, 2]"), ({1: 2}, "{1: 2}")])
def test_what_has_no_names_is_refused(params, shown):
    assert message(TypeError, "dense", params) == (
        f"`search`: `params` must be a dict from names to values. Received: params={shown}."
    )


def test_a_builder_that_is_not_there_is_named():
    assert message(ValueError, "regresion", {}).endswith(
        "(did you mean 'regression'?). Received: builder='regresion'."
    )
