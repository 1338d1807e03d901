import math
import re

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.metrics import MulticlassAUC
from kerastrain.saving import load_model, save_model
from kerastrain.tasks import (
    class_of_each_row,
    compile_for_task,
    compiled_loss,
    head_of,
)

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 4)).astype("float32")
CLASSES = np.arange(40) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BITS = np.arange(40) % 2
NUMBERS = GENERATOR.normal(size=40).astype("float32")
DIGITS = np.arange(40) % 10


def steady(parameter):
    """The same name in every process; the address of an object wouldn't be."""
    return re.sub(r" at 0x\w+", "", str(parameter))


def a_model(units=3, activation="softmax"):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])


def message(error_type, call, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        call(*arguments, **keywords)
    return str(error.value)


def evaluated(model, y):
    return model.evaluate(X, y, verbose=0, return_dict=True)


# Wrong pairs: each is refused by `compile_for_task`, and by `fit` where the user compiled.


WRONG_PAIRS = {
    "softmax with mse": (
        (3, "softmax"),
        ("regression", "mse"),
        NUMBERS,
        "`model` must not pair a softmax head with mean_squared_error: compile with "
        "sparse_categorical_crossentropy for classes, or write Dense(1) for a regression. "
        'Received: Dense(3, activation="softmax") with mean_squared_error.',
    ),
    "softmax with mae": (
        (3, "softmax"),
        ("regression", "mae"),
        NUMBERS,
        "`model` must not pair a softmax head with mean_absolute_error: compile with "
        "sparse_categorical_crossentropy for classes, or write Dense(1) for a regression. "
        'Received: Dense(3, activation="softmax") with mean_absolute_error.',
    ),
    "ten sigmoids with integer classes": (
        (10, "sigmoid"),
        ("multiclass", "sparse_categorical_crossentropy"),
        DIGITS,
        "`model` must not pair a sigmoid head with sparse_categorical_crossentropy: write "
        'Dense(classes, activation="softmax"), or compile with binary_crossentropy for two '
        'classes. Received: Dense(10, activation="sigmoid") with sparse_categorical_crossentropy.',
    ),
    "ten sigmoids with integer classes and the binary loss": (
        (10, "sigmoid"),
        ("binary", "binary_crossentropy"),
        DIGITS,
        "`y` must have one column per unit of the head (10); for integer classes write a softmax "
        "head. Received: y=<ndarray of shape (40,), int64>.",
    ),
    "one sigmoid with integer classes": (
        (1, "sigmoid"),
        ("binary", "binary_crossentropy"),
        DIGITS,
        "`y` must be 0 or 1 for binary_crossentropy; for more classes write Dense(classes, "
        'activation="softmax") with sparse_categorical_crossentropy. '
        "Received: labels from 0 to 9.",
    ),
    "one softmax unit": (
        (1, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        BITS,
        "`model` must not end in one softmax unit, which always gives 1: write "
        'Dense(1, activation="sigmoid"), or one unit per class. '
        'Received: Dense(1, activation="softmax") with sparse_categorical_crossentropy.',
    ),
    "one softmax unit with the binary loss": (
        (1, "softmax"),
        ("binary", "binary_crossentropy"),
        BITS,
        "`model` must not end in one softmax unit, which always gives 1: write "
        'Dense(1, activation="sigmoid"), or one unit per class. '
        'Received: Dense(1, activation="softmax") with binary_crossentropy.',
    ),
    "softmax with the binary loss": (
        (3, "softmax"),
        ("binary", "binary_crossentropy"),
        ONE_HOT,
        "`model` must not pair a softmax head with binary_crossentropy: compile with "
        'sparse_categorical_crossentropy, or write Dense(1, activation="sigmoid") for two '
        'classes, Dense(3, activation="sigmoid") for labels of which several may hold. '
        'Received: Dense(3, activation="softmax") with binary_crossentropy.',
    ),
    "one softmax unit for numbers": (
        (1, "softmax"),
        ("regression", "mse"),
        NUMBERS,
        "`model` must not end in one softmax unit, which always gives 1: write Dense(1) for a "
        'regression. Received: Dense(1, activation="softmax") with mean_squared_error.',
    ),
    "one linear unit for classes": (
        (1, "linear"),
        ("multiclass", "sparse_categorical_crossentropy"),
        CLASSES,
        "`model` must have a unit per class for sparse_categorical_crossentropy: compile with mse "
        'for numbers, or write Dense(1, activation="sigmoid") and binary_crossentropy for two '
        'classes. Received: Dense(1, activation="linear") with sparse_categorical_crossentropy.',
    ),
    "relu with cross-entropy": (
        (3, "relu"),
        ("multiclass", "sparse_categorical_crossentropy"),
        CLASSES,
        "`model` must not pair a relu head with sparse_categorical_crossentropy: give the last "
        "layer activation='softmax'. "
        'Received: Dense(3, activation="relu") with sparse_categorical_crossentropy.',
    ),
    "one-hot labels with the sparse loss": (
        (3, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        ONE_HOT,
        "`y` must hold integer classes for sparse_categorical_crossentropy; for one-hot labels "
        "compile with categorical_crossentropy, or pass y.argmax(axis=1). "
        "Received: y=<ndarray of shape (40, 3), float32>.",
    ),
    "integer classes with the one-hot loss": (
        (3, "softmax"),
        ("multiclass", "categorical_crossentropy"),
        CLASSES,
        "`y` must be one-hot for categorical_crossentropy; for integer classes compile with "
        "sparse_categorical_crossentropy. Received: y=<ndarray of shape (40,), int64>.",
    ),
    "a label above the classes": (
        (3, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        CLASSES + 1,
        "`y` must lie in 0..2 for a head of 3 units. Received: labels from 1 to 3.",
    ),
    "a label below 0": (
        (3, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        CLASSES - 1,
        "`y` must lie in 0..2 for a head of 3 units. Received: labels from -1 to 1.",
    ),
    "a label below 0 for two classes": (
        (1, "sigmoid"),
        ("binary", "binary_crossentropy"),
        BITS * 2 - 1,
        "`y` must be 0 or 1 for binary_crossentropy; for more classes write Dense(classes, "
        'activation="softmax") with sparse_categorical_crossentropy. '
        "Received: labels from -1 to 1.",
    ),
    "a class that is half another": (
        (3, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        CLASSES / 2,
        "`y` must hold whole numbers as class labels. Received: a label 0.5.",
    ),
    "one-hot labels of other classes": (
        (3, "softmax"),
        ("multiclass", "categorical_crossentropy"),
        np.eye(4, dtype="float32")[CLASSES],
        "`y` must have one column per unit of the head (3). "
        "Received: y=<ndarray of shape (40, 4), float32>.",
    ),
    "several classes in a row": (
        (3, "softmax"),
        ("multiclass", "categorical_crossentropy"),
        np.minimum(ONE_HOT + ONE_HOT[0], 1),
        "`y` must be one-hot: each row must add up to 1. Received: rows that add up to 1 to 2.",
    ),
    "targets of another width": (
        (1, "linear"),
        ("regression", "mse"),
        np.zeros((40, 2), "float32"),
        "`y` must have one column per unit of the head (1). "
        "Received: y=<ndarray of shape (40, 2), float32>.",
    ),
    "one target for two units": (
        (2, "linear"),
        ("regression", "mse"),
        NUMBERS,
        "`y` must have one column per unit of the head (2). "
        "Received: y=<ndarray of shape (40,), float32>.",
    ),
    "string labels": (
        (3, "softmax"),
        ("multiclass", "sparse_categorical_crossentropy"),
        np.array(["bag", "shirt"] * 20, dtype=object),
        "`y` must be numbers; encode classes as integers: np.unique(y, return_inverse=True)[1]. "
        "Received: y=<ndarray of shape (40,), object>.",
    ),
}


@pytest.mark.parametrize("name", WRONG_PAIRS)
def test_a_wrong_pair_is_not_compiled(name):
    head, (task, loss), y, sentence = WRONG_PAIRS[name]
    model = a_model(*head)
    came = message(ValueError, compile_for_task, model, task, y=y, loss=loss)
    assert came == f"`compile_for_task`: {sentence}"
    assert not model.compiled


@pytest.mark.parametrize("name", WRONG_PAIRS)
def test_a_wrong_pair_compiled_by_hand_is_not_trained(name):
    head, (_, loss), y, sentence = WRONG_PAIRS[name]
    model = a_model(*head)
    model.compile("adam", loss)
    assert message(ValueError, ktr.fit, model, X, y, verbose=0) == f"`fit`: {sentence}"
    assert int(model.optimizer.iterations) == 0


def test_a_linear_head_with_a_loss_for_probabilities_is_not_trained():
    model = a_model(3, "linear")
    model.compile("adam", "sparse_categorical_crossentropy")
    assert message(ValueError, ktr.fit, model, X, CLASSES, verbose=0) == (
        "`fit`: `model` must not pair a linear head with sparse_categorical_crossentropy: give the "
        "last layer activation='softmax', or the loss from_logits=True. "
        'Received: Dense(3, activation="linear") with sparse_categorical_crossentropy.'
    )


def test_probabilities_with_a_loss_for_logits_are_not_trained():
    model = a_model(1, "sigmoid")
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    assert message(ValueError, ktr.fit, model, X, BITS, verbose=0) == (
        "`fit`: `model` must not apply from_logits=True to probabilities: take from_logits out of "
        'the loss. Received: Dense(1, activation="sigmoid") with binary_crossentropy.'
    )


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "MSE",
        "mean_squared_error",
        "MeanSquaredError",
        keras.losses.MeanSquaredError(),
        keras.losses.mean_squared_error,
    ],
    ids=steady,
)
def test_a_wrong_pair_is_seen_however_the_loss_is_written(loss):
    model = a_model(3, "softmax")
    model.compile("adam", loss)
    assert compiled_loss(model).name == "mean_squared_error"
    with pytest.raises(ValueError, match="must not pair a softmax head with mean_squared_error"):
        ktr.fit(model, X, NUMBERS, verbose=0)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("bce", "binary_crossentropy"),
        ("BCE", "binary_crossentropy"),
        ("mape", "mean_absolute_percentage_error"),
        ("msle", "mean_squared_logarithmic_error"),
        ("huber", "huber"),
        (keras.losses.LogCosh(), "log_cosh"),
        (keras.losses.CategoricalCrossentropy(), "categorical_crossentropy"),
        (["mse", "mae"], None),
    ],
    ids=steady,
)
def test_a_loss_is_known_by_its_full_name(loss, name):
    model = a_model(1, "linear")
    model.compile("adam", loss)
    assert getattr(compiled_loss(model), "name", None) == name


def test_a_loss_of_ones_own_is_left_alone():
    def own(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    model = a_model(3, "softmax")
    model.compile("sgd", own)
    assert len(ktr.fit(model, X, ONE_HOT, speed="plain", verbose=0)) == 1


# The task, where it can be told.


@pytest.mark.parametrize(
    ("head", "y", "loss"),
    [
        ((3, "softmax"), None, "sparse_categorical_crossentropy"),
        ((3, "softmax"), CLASSES, "sparse_categorical_crossentropy"),
        ((3, "softmax"), CLASSES.reshape(-1, 1), "sparse_categorical_crossentropy"),
        ((3, "softmax"), CLASSES.astype("float32"), "sparse_categorical_crossentropy"),
        ((3, "softmax"), CLASSES.tolist(), "sparse_categorical_crossentropy"),
        ((3, "softmax"), ONE_HOT, "categorical_crossentropy"),
        ((3, "softmax"), ONE_HOT.astype(int), "categorical_crossentropy"),
        ((1, "sigmoid"), None, "binary_crossentropy"),
        ((1, "sigmoid"), BITS, "binary_crossentropy"),
        ((1, "sigmoid"), BITS.astype(bool), "binary_crossentropy"),
        ((3, "sigmoid"), ONE_HOT, "binary_crossentropy"),
        ((1, "linear"), None, "mean_squared_error"),
        ((1, "linear"), NUMBERS, "mean_squared_error"),
        ((2, "linear"), np.zeros((5, 2)), "mean_squared_error"),
        ((1, "linear"), DIGITS, "mean_squared_error"),
    ],
)
def test_the_task_is_read_off_the_head_and_the_labels(head, y, loss):
    assert compile_for_task(a_model(*head), y=y).loss == loss


@pytest.mark.parametrize(
    ("head", "y", "doubt"),
    [
        (
            (1, "linear"),
            BITS,
            'Dense(1, activation="linear") and y=<ndarray of shape (40,), int64>',
        ),
        (
            (3, "linear"),
            CLASSES,
            'Dense(3, activation="linear") and y=<ndarray of shape (40,), int64>',
        ),
        (
            (1, "linear"),
            np.array([], int),
            'Dense(1, activation="linear") and y=<ndarray of shape (0,), int64>',
        ),
        ((3, "relu"), None, 'Dense(3, activation="relu")'),
    ],
)
def test_a_task_in_doubt_must_be_given(head, y, doubt):
    assert message(ValueError, compile_for_task, a_model(*head), y=y) == (
        "`compile_for_task`: `task` must be given where the head and `y` leave it open: "
        "'multiclass', 'binary' or 'regression' (a linear head gives numbers or logits). "
        f"Received: task=None with {doubt}."
    )


def test_a_model_of_several_outputs_leaves_the_task_open():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(2)(inputs)])
    assert head_of(model) is None
    assert message(ValueError, compile_for_task, model) == (
        "`compile_for_task`: `task` must be given where the head and `y` leave it open: "
        "'multiclass', 'binary' or 'regression' (a linear head gives numbers or logits). "
        "Received: task=None with the model has no single last layer that could be read."
    )


def test_an_unknown_task_is_refused_and_the_nearest_named():
    assert message(ValueError, compile_for_task, a_model(), "multi-class") == (
        "`compile_for_task`: `task` must be one of 'multiclass', 'binary', 'regression' "
        "(did you mean 'multiclass'?). Received: task='multi-class'."
    )


def test_only_a_model_can_be_compiled():
    assert message(TypeError, compile_for_task, "dense") == (
        "`compile_for_task`: `model` must be a keras.Model. Received: 'dense'."
    )


def test_the_model_comes_back_compiled():
    model = a_model()
    assert compile_for_task(model) is model
    assert model.compiled


# The head.


@pytest.mark.parametrize(
    ("layers", "head"),
    [
        ([keras.layers.Dense(3, "softmax")], 'Dense(3, activation="softmax")'),
        ([keras.layers.Dense(3), keras.layers.Softmax()], 'Dense(3, activation="softmax")'),
        (
            [keras.layers.Dense(1), keras.layers.Activation("sigmoid")],
            'Dense(1, activation="sigmoid")',
        ),
        ([keras.layers.Dense(2), keras.layers.Dropout(0.1)], "None"),
        ([keras.layers.Reshape((2, 2)), keras.layers.Dense(3, "softmax")], "None"),
    ],
)
def test_the_head_is_the_last_layer_that_can_be_read(layers, head):
    assert str(head_of(keras.Sequential([keras.Input((4,)), *layers]))) == head


def test_the_head_is_read_before_a_model_has_seen_data():
    assert str(head_of(keras.Sequential([keras.layers.Dense(3, "softmax")]))) == (
        'Dense(3, activation="softmax")'
    )
    assert head_of(keras.Sequential()) is None


def test_the_head_of_a_functional_model_is_read():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(inputs))
    assert str(head_of(model)) == 'Dense(1, activation="sigmoid")'


# Classes of rows.


def test_the_class_of_each_row_is_known_where_the_model_classifies():
    sparse, one_hot = (compile_for_task(a_model(), y=y) for y in (CLASSES, ONE_HOT))
    np.testing.assert_array_equal(class_of_each_row(sparse, CLASSES), CLASSES)
    np.testing.assert_array_equal(class_of_each_row(sparse, CLASSES.reshape(-1, 1)), CLASSES)
    np.testing.assert_array_equal(class_of_each_row(one_hot, ONE_HOT), CLASSES)
    binary = compile_for_task(a_model(1, "sigmoid"))
    np.testing.assert_array_equal(class_of_each_row(binary, BITS), BITS)


def test_a_regression_and_several_labels_a_row_have_no_class_of_each_row():
    assert class_of_each_row(compile_for_task(a_model(1, "linear")), NUMBERS) is None
    assert class_of_each_row(compile_for_task(a_model(3, "sigmoid")), ONE_HOT) is None


# Losses and metrics.


@pytest.mark.parametrize(
    ("head", "y", "names"),
    [
        ((3, "softmax"), CLASSES, ["accuracy", "loss"]),
        ((3, "softmax"), ONE_HOT, ["accuracy", "loss"]),
        ((1, "sigmoid"), BITS, ["accuracy", "loss"]),
        ((1, "linear"), NUMBERS, ["loss", "mae", "mse", "r2"]),
    ],
)
def test_d3_1_every_task_has_its_metrics(head, y, names):
    assert sorted(evaluated(compile_for_task(a_model(*head), y=y), y)) == names


def test_d3_1_the_numbers_of_a_regression_are_those_of_the_formulas():
    model = compile_for_task(a_model(1, "linear"), y=NUMBERS)
    errors = NUMBERS - model.predict_on_batch(X)[:, 0]
    r2 = 1 - (errors**2).sum() / ((NUMBERS - NUMBERS.mean()) ** 2).sum()
    assert evaluated(model, NUMBERS) == pytest.approx(
        {
            "loss": (errors**2).mean(),
            "mse": (errors**2).mean(),
            "mae": abs(errors).mean(),
            "r2": r2,
        },
        rel=1e-5,
    )


def test_d1_2_and_d3_6_the_accuracy_is_the_share_of_right_classes():
    model = compile_for_task(a_model(), y=CLASSES, optimizer="rmsprop")
    right = model.predict_on_batch(X).argmax(axis=1) == CLASSES
    assert evaluated(model, CLASSES)["accuracy"] == pytest.approx(right.mean())
    assert type(model.optimizer).__name__ == "RMSprop"


def test_integer_and_one_hot_labels_give_the_same_numbers():
    model = a_model()
    sparse = evaluated(compile_for_task(model, y=CLASSES), CLASSES)
    one_hot = evaluated(compile_for_task(model, y=ONE_HOT), ONE_HOT)
    assert sparse == pytest.approx(one_hot, rel=1e-5)


def test_d4_3_another_loss_of_the_same_task_can_be_chosen():
    model = compile_for_task(a_model(1, "linear"), y=NUMBERS, loss="mae")
    numbers = evaluated(model, NUMBERS)
    assert model.loss == "mean_absolute_error"
    assert numbers["loss"] == pytest.approx(numbers["mae"], rel=1e-5)


def test_a_loss_of_another_task_is_refused():
    assert message(ValueError, compile_for_task, a_model(1, "sigmoid"), loss="mse") == (
        "`compile_for_task`: `loss` must be one of 'binary_crossentropy'. "
        "Received: loss='mean_squared_error'."
    )


def test_a_loss_is_chosen_by_name():
    assert message(TypeError, compile_for_task, a_model(), loss=7) == (
        "`compile_for_task`: `loss` must be one of 'categorical_crossentropy', "
        "'sparse_categorical_crossentropy'. Received: loss=7."
    )


def test_d4_3_metrics_replace_those_of_the_task():
    metrics = ["mae", keras.metrics.RootMeanSquaredError(name="rmse"), "r2"]
    model = compile_for_task(a_model(1, "linear"), y=NUMBERS, metrics=metrics)
    assert sorted(evaluated(model, NUMBERS)) == ["loss", "mae", "r2", "rmse"]
    assert list(evaluated(compile_for_task(a_model(), y=CLASSES, metrics=[]), CLASSES)) == ["loss"]


def test_d4_4_acc_is_a_metric_under_its_old_name():
    model = compile_for_task(a_model(), y=CLASSES, metrics=["acc"])
    assert sorted(evaluated(model, CLASSES)) == ["acc", "loss"]


def test_metrics_come_as_a_list():
    assert message(TypeError, compile_for_task, a_model(), metrics="auc") == (
        "`compile_for_task`: `metrics` must be a list: write metrics=['auc']. "
        "Received: metrics='auc'."
    )


# Logits.


@pytest.mark.parametrize("y", [CLASSES, ONE_HOT], ids=["sparse", "one-hot"])
def test_logits_of_several_classes_score_as_their_softmax_does(y):
    model = a_model(3, "linear")
    compile_for_task(model, "multiclass", y=y, metrics=["accuracy", "auc"])
    with_softmax = keras.Sequential([model, keras.layers.Softmax()])
    compile_for_task(with_softmax, y=y, metrics=["accuracy", "auc"])
    assert model.loss.from_logits
    assert evaluated(model, y) == pytest.approx(evaluated(with_softmax, y), rel=1e-4)


def test_one_logit_scores_as_its_sigmoid_does():
    model = a_model(1, "linear")
    compile_for_task(model, "binary", y=BITS, metrics=["accuracy", "auc"])
    with_sigmoid = keras.Sequential([model, keras.layers.Activation("sigmoid")])
    compile_for_task(with_sigmoid, y=BITS, metrics=["accuracy", "auc"])
    assert model.loss.from_logits
    assert evaluated(model, BITS) == pytest.approx(evaluated(with_sigmoid, BITS), rel=1e-4)


def test_one_logit_is_a_yes_from_0_on():
    model = compile_for_task(a_model(1, "linear"), "binary", y=BITS)
    model.set_weights([np.zeros((4, 1)), np.array([0.3])])  # A third of 1, yet a yes.
    assert evaluated(model, np.ones(40))["accuracy"] == 1.0
    model.set_weights([np.zeros((4, 1)), np.array([-0.3])])
    assert evaluated(model, np.ones(40))["accuracy"] == 0.0


# AUC.


@pytest.mark.parametrize("name", ["auc", "AUC"])
def test_the_auc_of_two_classes_is_that_of_keras(name):
    model = compile_for_task(a_model(1, "sigmoid"), y=BITS, metrics=[name])
    auc = keras.metrics.AUC()
    auc.update_state(BITS, model.predict_on_batch(X)[:, 0])
    assert evaluated(model, BITS)["auc"] == pytest.approx(float(auc.result()), rel=1e-6)


@pytest.mark.parametrize("y", [CLASSES, CLASSES.reshape(-1, 1), CLASSES.astype("float32"), ONE_HOT])
def test_the_auc_of_several_classes_is_that_of_keras_for_one_hot_labels(y):
    model = compile_for_task(a_model(), y=y, metrics=["auc"])
    auc = keras.metrics.AUC(multi_label=True, num_labels=3)
    auc.update_state(ONE_HOT, model.predict_on_batch(X))
    assert evaluated(model, y)["auc"] == pytest.approx(float(auc.result()), rel=1e-6)


def test_the_auc_of_right_scores_is_1_and_of_wrong_ones_0():
    auc = MulticlassAUC(3)
    auc.update_state(CLASSES, ONE_HOT)
    assert float(auc.result()) == pytest.approx(1.0, abs=1e-6)
    auc.reset_state()
    auc.update_state(CLASSES, 1 - ONE_HOT)
    assert float(auc.result()) == pytest.approx(0.0, abs=1e-6)


def test_a_model_with_an_auc_survives_the_file(tmp_path):
    model = compile_for_task(a_model(3, "linear"), "multiclass", y=CLASSES, metrics=["auc"])
    loaded = load_model(save_model(model, tmp_path / "model.keras"))
    assert evaluated(loaded, CLASSES) == evaluated(model, CLASSES)


def test_an_auc_comes_back_from_its_config():
    auc = MulticlassAUC(7, from_logits=True, name="area")
    assert auc.get_config() == {"num_classes": 7, "from_logits": True, "name": "area"}
    assert MulticlassAUC.from_config(auc.get_config()).get_config() == auc.get_config()


def test_a_regression_has_no_auc():
    call = (ValueError, compile_for_task, a_model(1, "linear"))
    assert message(*call, y=NUMBERS, metrics=["auc"]) == (
        "`compile_for_task`: `metrics` must not hold 'auc' for a regression, which has no classes. "
        "Received: metrics=['auc']."
    )


def test_an_auc_wants_a_head_to_count_the_classes_of():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.1)])
    assert message(ValueError, compile_for_task, model, "multiclass", metrics=["auc"]) == (
        "`compile_for_task`: `metrics` must not hold 'auc' where the number of classes can't be "
        "read off the model. Received: metrics=['auc']."
    )


# Optimizers.


@pytest.mark.parametrize(
    ("optimizer", "kind", "momentum"),
    [
        ("sgd", "SGD", 0.0),
        (keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "SGD", 0.9),
        ("adagrad", "Adagrad", None),
        (keras.optimizers.RMSprop(0.1), "RMSprop", 0.0),
        ("rmsprop", "RMSprop", 0.0),
        ("adam", "Adam", None),
        ("Adam", "Adam", None),
    ],
    ids=steady,
)
def test_d3_5_every_optimizer_of_the_notes_compiles_and_steps(optimizer, kind, momentum):
    model = compile_for_task(a_model(), y=CLASSES, optimizer=optimizer, learning_rate=0.25)
    assert type(model.optimizer).__name__ == kind
    assert getattr(model.optimizer, "momentum", None) == momentum
    assert float(model.optimizer.learning_rate) == 0.25
    before = model.get_weights()[0]
    gradient = [np.ones_like(weight) for weight in model.get_weights()]
    model.optimizer.apply(gradient, model.trainable_variables)
    assert (model.get_weights()[0] < before).all()


def test_an_optimizer_keeps_its_own_rate():
    made = keras.optimizers.SGD(0.125, momentum=0.5)
    optimizer = compile_for_task(a_model(), optimizer=made).optimizer
    assert (float(optimizer.learning_rate), optimizer.momentum) == (0.125, 0.5)


def test_one_optimizer_object_compiles_two_models_that_share_nothing():
    made = keras.optimizers.SGD(0.125, momentum=0.5)
    first, second = (compile_for_task(a_model(), y=CLASSES, optimizer=made) for _ in range(2))
    assert len({id(made), id(first.optimizer), id(second.optimizer)}) == 3
    first.train_on_batch(X, CLASSES)
    second.train_on_batch(X, CLASSES)
    assert [int(o.iterations) for o in (made, first.optimizer, second.optimizer)] == [0, 1, 1]
    first.optimizer.learning_rate = 0.5
    assert float(second.optimizer.learning_rate) == float(made.learning_rate) == 0.125


def test_a_schedule_in_the_optimizer_is_kept():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    made = keras.optimizers.SGD(schedule)
    config = compile_for_task(a_model(), optimizer=made).optimizer.get_config()
    assert config["learning_rate"]["config"]["decay_steps"] == 10


@pytest.mark.parametrize("optimizer", ["adamm", 3, None])
def test_an_unknown_optimizer_is_refused(optimizer):
    assert message(ValueError, compile_for_task, a_model(), optimizer=optimizer) == (
        "`compile_for_task`: `optimizer` must be a name or an object of keras.optimizers, such as "
        f"'adam'. Received: optimizer={optimizer!r}."
    )


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf")])
def test_a_rate_is_above_0(rate):
    must = "be finite and above 0" if rate == math.inf else "be above 0"
    assert message(ValueError, compile_for_task, a_model(), learning_rate=rate) == (
        f"`compile_for_task`: `learning_rate` must {must}. Received: learning_rate={rate}."
    )


def test_a_rate_is_a_number():
    assert message(TypeError, compile_for_task, a_model(), learning_rate="fast") == (
        "`compile_for_task`: `learning_rate` must be a number. Received: learning_rate='fast'."
    )


# Other spellings of the same head and loss.


@pytest.mark.parametrize("spelling", [list, tuple, lambda losses: dict.fromkeys(["out"], *losses)])
def test_one_loss_in_a_list_or_dict_is_that_loss(spelling):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax", name="out")(inputs))
    model.compile("adam", spelling(["mse"]))
    with pytest.raises(ValueError, match="not pair a softmax head with mean_squared_error"):
        ktr.fit(model, np.zeros((6, 4)), np.zeros(6, int))


def test_tensorflows_own_softmax_is_softmax():
    import tensorflow as tf

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation=tf.nn.softmax)])
    assert str(head_of(model)) == 'Dense(3, activation="softmax")'


def test_a_model_that_ends_in_a_model_has_that_ones_head():
    base = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    assert str(head_of(keras.Sequential([keras.Input((4,)), base]))) == (
        'Dense(3, activation="softmax")'
    )


def test_an_unbuilt_model_with_an_activation_layer_has_a_head():
    model = keras.Sequential([keras.layers.Dense(3), keras.layers.Activation("softmax")])
    assert str(head_of(model)) == 'Dense(3, activation="softmax")'


@pytest.mark.parametrize("metric", ["acuracy", None])
def test_metrics_that_keras_does_not_know_are_refused(metric):
    with pytest.raises(ValueError, match="must hold names") as error:
        compile_for_task(ktr.build("dense"), metrics=["accuracy", metric])
    assert str(error.value) == (
        "`compile_for_task`: `metrics` must hold names or objects of keras.metrics, 'auc' or 'r2'. "
        f"Received: {metric!r} in metrics."
    )


def test_labels_of_each_step_of_a_series_are_left_to_keras():
    model = keras.Sequential([keras.Input((20, 4)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    tags = np.eye(20, dtype=int)[:8]  # Which look like one-hot labels of the rows.
    assert class_of_each_row(model, tags) is None
    history = ktr.fit(
        model, np.zeros((8, 20, 4), "float32"), tags, validation_split=0.25, verbose=0
    )
    assert len(history) == 1
