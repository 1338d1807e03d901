"""Bad input is one sentence before training starts; good input becomes the batches of a run."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.sources import source_for

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.arange(24) % 3


def with_value(array, value):
    changed = array.astype("float64")
    changed.flat[5] = value
    return changed


def functional(head, loss):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), head])
    model.compile("sgd", loss, metrics=[])
    return model


@pytest.fixture(scope="module")
def classifier():
    head = keras.layers.Dense(3, activation="softmax")
    return functional(head, "sparse_categorical_crossentropy")


@pytest.fixture(scope="module")
def regressor():
    return functional(keras.layers.Dense(1), "mse")


class Starts(keras.callbacks.Callback):
    count = 0

    def on_train_begin(self, logs=None):
        self.count += 1


def refusal(error_type, model, *data, **arguments):
    """What `fit` says, having neither started nor touched the model."""
    weights, starts = [w.copy() for w in model.get_weights()], Starts()
    seen = {"optimizer": model.optimizer.get_config(), "functions": model.train_function}
    if "callbacks" not in arguments:
        arguments["callbacks"] = [starts]
    with pytest.raises(error_type) as error:
        ktr.fit(model, *data, **{"verbose": 0} | arguments)
    assert starts.count == 0
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert seen == {"optimizer": model.optimizer.get_config(), "functions": model.train_function}
    return str(error.value)


class Batches(keras.utils.PyDataset):
    def __init__(self, count=3, **arguments):
        super().__init__(**arguments)
        self.count = count

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, number):
        rows = slice(number * 8, number * 8 + 8)
        return X[rows], Y[rows]


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


# Data.

KINDS = "be arrays with one row per sample, a tf.data.Dataset or a keras.utils.PyDataset"


@pytest.mark.parametrize(
    "x, y, kind, sentence",
    [
        ([], [], ValueError, "`x` must hold at least one row. Received: x=[]."),
        (None, Y, TypeError, f"`x` must {KINDS}. Received: x=None."),
        (
            X,
            Y[:20],
            ValueError,
            "`x` must have as many rows as `y`. Received: len(x)=24, len(y)=20.",
        ),
        (
            with_value(X, np.nan),
            Y,
            ValueError,
            "`x` must hold finite numbers only. Received: NaN or infinity in 1 of 96.",
        ),
        (
            with_value(X, -np.inf),
            Y,
            ValueError,
            "`x` must hold finite numbers only. Received: NaN or infinity in 1 of 96.",
        ),
        (
            X,
            with_value(Y, np.nan),
            ValueError,
            "`y` must hold finite numbers only. Received: NaN or infinity in 1 of 24.",
        ),
        (
            X,
            Y.astype(str),
            ValueError,
            "`y` must be numbers; encode classes as integers: "
            "np.unique(y, return_inverse=True)[1]. Received: y=<ndarray of shape (24,), object>.",
        ),
        (
            X,
            with_value(Y, 0.5),
            ValueError,
            "`y` must hold whole numbers as class labels. Received: a label 0.5.",
        ),
        (
            X,
            Y + 1,
            ValueError,
            "`y` must lie in 0..2 for a head of 3 units. Received: labels from 1 to 3.",
        ),
        (
            X,
            np.eye(3)[Y],
            ValueError,
            "`y` must hold integer classes for sparse_categorical_crossentropy; for one-hot labels "
            "compile with categorical_crossentropy, or pass y.argmax(axis=1). "
            "Received: y=<ndarray of shape (24, 3), float32>.",
        ),
        (
            X,
            None,
            ValueError,
            "`y` must be given: the model was compiled with a loss. Received: y=None.",
        ),
        (
            X[:, :3],
            Y,
            ValueError,
            "`x` must be an array of shape (n, 4), as the model takes. "
            "Received: x=<ndarray of shape (24, 3), float32>.",
        ),
        (
            X.reshape(24, 2, 2),
            Y,
            ValueError,
            "`x` must be an array of shape (n, 4), as the model takes. "
            "Received: x=<ndarray of shape (24, 2, 2), float32>.",
        ),
        (
            ([[1, 2], [3]]),
            Y,
            TypeError,
            f"`x` must {KINDS}. Received: x=[[1, 2], [3]].",
        ),
        (
            X.astype(str),
            Y,
            ValueError,
            "`x` must hold numbers, as the model takes. "
            "Received: x=<ndarray of shape (24, 4), object>.",
        ),
        (
            X,
            5,
            TypeError,
            "`y` must be arrays with one row per sample. Received: y=5.",
        ),
    ],
    ids=[
        "no data",
        "x=None",
        "lengths",
        "NaN in x",
        "infinity in x",
        "NaN in y",
        "string labels",
        "a float label",
        "labels too high",
        "one-hot labels",
        "y=None",
        "x too narrow",
        "x too deep",
        "ragged x",
        "text in x",
        "y is a number",
    ],
)
def test_data_that_do_not_fit_are_refused(classifier, x, y, kind, sentence):
    assert refusal(kind, classifier, x, y) == f"`fit`: {sentence}"


def test_several_arrays_for_one_input_are_refused(classifier):
    assert refusal(ValueError, classifier, {"a": X, "b": X[:, :2]}, Y) == (
        "`fit`: `x` must be an array of shape (n, 4), as the model takes. "
        "Received: x=<ndarray of shape (24, 4), float32> and <ndarray of shape (24, 2), float32>."
    )


def test_numbers_for_a_model_of_texts_are_refused():
    model = ktr.compile_for_task(ktr.build("text", texts=["so good", "so bad"], length=4))
    assert refusal(ValueError, model, np.zeros(4), [0, 1, 0, 1]) == (
        "`fit`: `x` must hold strings, as the model takes. "
        "Received: x=<ndarray of shape (4,), float32>."
    )


def test_a_target_column_more_than_the_head_has_units_is_refused(regressor):
    assert refusal(ValueError, regressor, X, X) == (
        "`fit`: `y` must have one column per unit of the head (1). "
        "Received: y=<ndarray of shape (24, 4), float32>."
    )


@pytest.mark.parametrize(
    "weight, kind, sentence",
    [
        (
            np.ones(23),
            ValueError,
            "`x` must have as many rows as `sample_weight`. "
            "Received: len(x)=24, len(sample_weight)=23.",
        ),
        (
            with_value(np.ones(24), np.inf),
            ValueError,
            "`sample_weight` must hold finite numbers only. Received: NaN or infinity in 1 of 24.",
        ),
        (
            "heavy",
            TypeError,
            "`sample_weight` must be arrays with one row per sample. "
            "Received: sample_weight='heavy'.",
        ),
    ],
    ids=["length", "infinity", "text"],
)
def test_weights_that_do_not_fit_are_refused(classifier, weight, kind, sentence):
    assert refusal(kind, classifier, X, Y, sample_weight=weight) == f"`fit`: {sentence}"


def test_weights_without_targets_are_refused():
    class Own(keras.Model):
        def train_step(self, data):
            raise AssertionError("training started")

    model = Own()
    model.compile("sgd")
    assert refusal(ValueError, model, X, sample_weight=np.ones(24)) == (
        "`fit`: `sample_weight` must be left out without `y`. Received: sample_weight and y=None."
    )


# Class weights.


def test_class_weights_are_a_dict(classifier):
    assert refusal(TypeError, classifier, X, Y, class_weight=[1, 2, 3]) == (
        "`fit`: `class_weight` must be a dict from class to weight. "
        "Received: class_weight=[1, 2, 3]."
    )


def test_a_regression_has_no_class_weights(regressor):
    assert refusal(ValueError, regressor, X, Y, class_weight={0: 1.0, 1: 2.0}) == (
        "`fit`: `class_weight` must be left out where the loss is none of Keras's cross-entropies, "
        "or there are several. Received: class_weight={0: 1.0, 1: 2.0}."
    )


# Validation.


@pytest.mark.parametrize(
    "validation_data, kind, sentence",
    [
        (
            (X[:, :3], Y),
            ValueError,
            "`validation_data[0]` must be an array of shape (n, 4), as the model takes. "
            "Received: validation_data[0]=<ndarray of shape (24, 3), float32>.",
        ),
        (
            (X, np.eye(3)[Y]),
            ValueError,
            "`validation_data[1]` must hold integer classes for sparse_categorical_crossentropy; "
            "for one-hot labels compile with categorical_crossentropy, or pass y.argmax(axis=1). "
            "Received: validation_data[1]=<ndarray of shape (24, 3), float32>.",
        ),
        (
            (X, Y + 7),
            ValueError,
            "`validation_data[1]` must lie in 0..2 for a head of 3 units. "
            "Received: labels from 7 to 9.",
        ),
        (
            (X, Y[:5]),
            ValueError,
            "`validation_data[0]` must have as many rows as `validation_data[1]`. "
            "Received: len(validation_data[0])=24, len(validation_data[1])=5.",
        ),
        (
            (with_value(X, np.nan), Y),
            ValueError,
            "`validation_data[0]` must hold finite numbers only. "
            "Received: NaN or infinity in 1 of 96.",
        ),
        (
            ([], []),
            ValueError,
            "`validation_data[0]` must hold at least one row. Received: validation_data[0]=[].",
        ),
        (
            5,
            TypeError,
            "`validation_data` must be (x, y), (x, y, sample_weight), a Dataset or a PyDataset. "
            "Received: validation_data=5.",
        ),
        (
            tf.data.Dataset.from_tensors((X, Y)).repeat(),
            ValueError,
            "`validation_data` must be finite: take `.repeat()` out, or put `.take(steps)` after "
            "it. Received: an infinite Dataset.",
        ),
    ],
    ids=[
        "other width",
        "one-hot",
        "other labels",
        "lengths",
        "NaN",
        "empty",
        "a number",
        "infinite",
    ],
)
def test_validation_data_that_do_not_fit_are_refused(classifier, validation_data, kind, sentence):
    said = refusal(kind, classifier, X, Y, validation_data=validation_data)
    assert said == f"`fit`: {sentence}"


@pytest.mark.parametrize(
    "split, kind, sentence",
    [
        (1.0, ValueError, "be at least 0 and below 1. Received: validation_split=1.0."),
        (1.5, ValueError, "be at least 0 and below 1. Received: validation_split=1.5."),
        (-0.1, ValueError, "be at least 0 and below 1. Received: validation_split=-0.1."),
        ("0.2", TypeError, "be a number. Received: validation_split='0.2'."),
        (
            0.99,
            ValueError,
            "leave at least one row on either side. Received: validation_split=0.99 of 24 rows.",
        ),
    ],
)
def test_a_validation_split_that_is_none_is_refused(classifier, split, kind, sentence):
    said = refusal(kind, classifier, X, Y, validation_split=split)
    assert said == f"`fit`: `validation_split` must {sentence}"


def test_a_validation_split_beside_validation_data_is_refused(classifier):
    said = refusal(ValueError, classifier, X, Y, validation_split=0.2, validation_data=(X, Y))
    assert said == (
        "`fit`: `validation_split` must be left out beside `validation_data`. "
        "Received: validation_split=0.2."
    )


# Streams.


@pytest.mark.parametrize(
    "argument, value",
    [
        ("y", Y),
        ("sample_weight", np.ones(24)),
        ("validation_split", 0.2),
        ("batch_size", 8),
    ],
)
@pytest.mark.parametrize("stream", [dataset, Batches], ids=["Dataset", "PyDataset"])
def test_what_a_stream_brings_itself_is_refused_beside_it(classifier, stream, argument, value):
    assert refusal(ValueError, classifier, stream(), **{argument: value}) == (
        f"`fit`: `{argument}` must be left out where `x` is a Dataset or PyDataset, which brings "
        f"its own batches. Received: `x` and `{argument}`."
    )


@pytest.mark.parametrize(
    "stream, sentence",
    [
        (
            dataset().repeat(),
            "be finite: take `.repeat()` out, or put `.take(steps)` after it. "
            "Received: an infinite Dataset.",
        ),
        (dataset().take(0), "hold at least one batch. Received: an empty Dataset."),
        (
            dataset().filter(lambda x, y: False),
            "hold at least one batch. Received: an empty Dataset.",
        ),
        (
            dataset().unbatch(),
            "be batched: put `.batch(batch_size)` at its end. Received: elements "
            "(TensorSpec(shape=(4,), dtype=tf.float32, name=None), "
            "TensorSpec(shape=(), dtype=tf.int64, name=None)).",
        ),
        (Batches(0), "hold at least one batch. Received: x of length 0."),
    ],
    ids=["infinite", "empty", "filtered to nothing", "unbatched", "PyDataset of length 0"],
)
def test_streams_that_do_not_fit_are_refused(classifier, stream, sentence):
    assert refusal(ValueError, classifier, stream) == f"`fit`: `x` must {sentence}"


def test_an_endless_pydataset_is_refused(classifier):
    endless = Batches(None)
    said = refusal(ValueError, classifier, endless)
    start, end = "`fit`: `x` must be finite: give the PyDataset a length. Received: x=", "."
    assert said == f"{start}{endless!r}{end}"


@pytest.mark.parametrize(
    "stream",
    [dataset().map(lambda x, y: (x, y + 3)), [(X[:8], Y[:8] + 3)]],
    ids=["Dataset", "PyDataset"],
)
def test_the_labels_of_a_streams_first_batch_are_checked(classifier, stream):
    if isinstance(stream, list):
        batches, stream = stream, Batches(1)
        stream.__class__ = type("Given", (Batches,), {"__getitem__": lambda _, n: batches[n]})
    assert refusal(ValueError, classifier, stream) == (
        "`fit`: `y` must lie in 0..2 for a head of 3 units. Received: labels from 3 to 5."
    )


# Arguments.


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        ({"epochs": 0}, ValueError, "`epochs` must be at least 1. Received: epochs=0."),
        ({"epochs": 2.0}, TypeError, "`epochs` must be a whole number. Received: epochs=2.0."),
        ({"epochs": True}, TypeError, "`epochs` must be a whole number. Received: epochs=True."),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1. Received: batch_size=0."),
        (
            {"batch_size": None},
            TypeError,
            "`batch_size` must be a whole number. Received: batch_size=None.",
        ),
        ({"patience": -1}, ValueError, "`patience` must be at least 0. Received: patience=-1."),
        (
            {"patience": 1.5},
            TypeError,
            "`patience` must be a whole number. Received: patience=1.5.",
        ),
        (
            {"min_delta": -0.1},
            ValueError,
            "`min_delta` must be at least 0. Received: min_delta=-0.1.",
        ),
        (
            {"monitor": "val_loss"},
            ValueError,
            "`monitor` must be a training metric where there is neither validation_data nor "
            "validation_split. Received: monitor='val_loss'.",
        ),
        (
            {"monitor": 5},
            TypeError,
            "`monitor` must be the name of a metric. Received: monitor=5.",
        ),
        (
            {"mode": "higher"},
            ValueError,
            "`mode` must be one of 'auto', 'min', 'max'. Received: mode='higher'.",
        ),
        (
            {"speed": "fast"},
            ValueError,
            "`speed` must be one of 'auto', 'plain', 'steps', 'compiled'. Received: speed='fast'.",
        ),
        (
            {"verbose": 3},
            ValueError,
            "`verbose` must be one of 'auto', 0, 1, 2. Received: verbose=3.",
        ),
        ({"seed": -1}, ValueError, "`seed` must be at least 0. Received: seed=-1."),
        ({"seed": 1.5}, TypeError, "`seed` must be a whole number. Received: seed=1.5."),
        (
            {"seed": 2**32},
            ValueError,
            "`seed` must be at most 4294967295. Received: seed=4294967296.",
        ),
        (
            {"schedule": 0.01},
            TypeError,
            "`schedule` must be a keras.optimizers.schedules.LearningRateSchedule or a function "
            "from the peak to one, such as kerastrain.schedules.one_cycle. "
            "Received: schedule=0.01.",
        ),
        (
            {"callbacks": [len]},
            TypeError,
            "`callbacks` must be Keras callbacks. Received: <built-in function len>.",
        ),
        (
            {"callbacks": "early_stopping"},
            TypeError,
            "`callbacks` must be Keras callbacks. Received: 'early_stopping'.",
        ),
    ],
    ids=lambda value: None if isinstance(value, str | type) else str(value),
)
def test_arguments_out_of_range_are_refused(classifier, arguments, kind, sentence):
    assert refusal(kind, classifier, X, Y, **arguments) == f"`fit`: {sentence}"


def test_patience_beside_the_users_own_early_stopping_is_refused(classifier):
    own = keras.callbacks.EarlyStopping(monitor="loss")
    assert refusal(ValueError, classifier, X, Y, callbacks=[own], patience=3) == (
        "`fit`: `patience` must be left out beside an EarlyStopping in `callbacks`, which decides. "
        "Received: `patience` and an EarlyStopping."
    )


def test_a_model_that_is_none_is_refused():
    with pytest.raises(TypeError) as error:
        ktr.fit("dense", X, Y)
    assert str(error.value) == "`fit`: `model` must be a keras.Model. Received: 'dense'."


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(ValueError, match="compiled") as error:
        ktr.fit(ktr.build("regression", input_shape=(4,)), X, Y)
    assert str(error.value) == (
        "`fit`: `model` must be compiled: call compile_for_task(model, y=y) or model.compile(...) "
        "first. Received: a model that isn't."
    )


def test_a_loss_that_does_not_go_with_the_head_is_refused():
    model = functional(keras.layers.Dense(3, activation="softmax"), "mse")
    assert refusal(ValueError, model, X, Y) == (
        "`fit`: `model` must not pair a softmax head with mean_squared_error: compile with "
        "sparse_categorical_crossentropy for classes, or write Dense(1) for a regression. "
        'Received: Dense(3, activation="softmax") with mean_squared_error.'
    )


# What becomes of good input.


def source(model, x=X, y=Y, validation_data=None, **changes):
    arguments = {
        "validation_split": 0.0,
        "batch_size": 8,
        "shuffle": True,
        "class_weight": None,
        "seed": 1,
    }
    return source_for(model, (x, y, None), validation_data, **arguments | changes)


def rows_in(dataset):
    return np.concatenate([x.numpy() for x, *_ in dataset])


@pytest.mark.parametrize("batch_size, steps", [(8, 3), (7, 4), (100, 1)])
def test_the_steps_of_an_epoch_are_rows_over_batch_size_rounded_up(classifier, batch_size, steps):
    made = source(classifier, batch_size=batch_size)
    assert made.steps == steps == len(list(made.train))


def test_an_epoch_is_the_same_whenever_it_is_begun(classifier):
    one, other = source(classifier), source(classifier)
    for epoch in (0, 1, 2):
        one.begin_epoch(epoch)
    other.begin_epoch(2)
    np.testing.assert_array_equal(rows_in(one.train), rows_in(other.train))
    other.begin_epoch(1)
    assert not np.array_equal(rows_in(one.train), rows_in(other.train))


def test_the_probe_repeats_the_first_batch(classifier):
    made = source(classifier)
    first = next(iter(made.train))[0].numpy()
    for x, _ in made.probe.take(4):
        np.testing.assert_array_equal(x.numpy(), first)


def test_a_split_of_sorted_labels_holds_out_every_class(classifier):
    made = source(classifier, y=np.sort(Y), validation_split=0.25)
    assert np.bincount(np.concatenate([y for _, y in made.validation])).tolist() == [2, 2, 2]
    assert np.bincount(np.concatenate([y for _, y in made.train])).tolist() == [6, 6, 6]


def test_training_never_sees_a_row_that_is_held_out(classifier):
    made = source(classifier, validation_split=0.25)
    held_out = {tuple(row) for row in rows_in(made.validation)}
    for epoch in range(3):
        made.begin_epoch(epoch)
        trained = {tuple(row) for row in rows_in(made.train)}
        assert (len(trained), len(held_out)) == (18, 6)
        assert trained.isdisjoint(held_out)


def test_a_time_series_is_split_at_its_tail_and_keeps_its_order(classifier):
    made = source(classifier, validation_split=0.25, shuffle=False)
    np.testing.assert_array_equal(rows_in(made.train), X[:18])
    np.testing.assert_array_equal(rows_in(made.validation), X[18:])


def test_weights_go_with_their_rows_into_the_split_but_class_weights_train_only(classifier):
    made = source_for(
        classifier,
        (X, Y, np.arange(24.0)),
        None,
        validation_split=0.25,
        batch_size=24,
        shuffle=False,
        class_weight={0: 10.0},
        seed=1,
    )
    ((_, _, trained),), ((_, _, held_out),) = made.train, made.validation
    np.testing.assert_array_equal(trained, np.arange(18) * np.where(Y[:18] == 0, 10, 1))
    np.testing.assert_array_equal(held_out, np.arange(18, 24))


@pytest.mark.parametrize("shape", [(24, 4), (24, 4, 1)])
def test_a_last_axis_of_one_is_for_keras_to_add_or_drop(classifier, shape):
    assert source(classifier, x=X.reshape(shape)).steps == 3


@pytest.mark.parametrize("x", [(X,), [X], {"input": X}], ids=["tuple", "list", "dict"])
def test_one_array_in_a_tuple_or_dict_is_one_input_as_for_keras(classifier, x):
    assert source(classifier, x=x).steps == 3


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_dataset_keeps_its_own_batches_and_order(classifier, shuffle):
    given = dataset()
    made = source(classifier, x=given, y=None, batch_size=32, shuffle=shuffle)
    assert (made.train, made.steps, made.shuffle) == (given, 3, False)
    made.begin_epoch(5)
    np.testing.assert_array_equal(next(iter(made.probe))[0], X[:8])


def test_the_length_of_a_dataset_may_be_unknown(classifier):
    given = dataset().filter(lambda x, y: True)
    assert source(classifier, x=given, y=None, batch_size=32).steps is None


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_pydataset_is_left_to_keras_to_shuffle_and_weigh(classifier, shuffle):
    given = Batches()
    weights = {0: 2.0}
    made = source(classifier, x=given, y=None, batch_size=32, shuffle=shuffle, class_weight=weights)
    assert (made.train, made.steps, made.shuffle) == (given, 3, shuffle)
    assert made.class_weight == weights
    np.testing.assert_array_equal(next(iter(made.probe))[0], X[:8])


def test_validation_data_may_be_a_stream_beside_arrays(classifier):
    given = dataset()
    assert source(classifier, validation_data=given).validation is given


# Building and fitting in one call.


@pytest.mark.parametrize(
    "data, received",
    [
        ("mnist", "'mnist'"),
        (X, "<ndarray of shape (24, 4), float32>"),
        ((X, Y, X), None),
    ],
    ids=["name", "array", "three"],
)
def test_data_of_the_wrong_kind_are_refused(data, received):
    with pytest.raises(TypeError) as error:
        ktr.build_and_fit("dense", data)
    said, came = str(error.value).split(" Received: data=")
    assert said == (
        "`build_and_fit`: `data` must be what load_dataset returns, a pair (x, y), a "
        "tf.data.Dataset or a PyDataset."
    )
    assert received is None or came == f"{received}."


def test_a_pair_of_different_lengths_is_refused():
    with pytest.raises(ValueError, match="rows") as error:
        ktr.build_and_fit("dense", (X, Y[:9]))
    assert str(error.value) == (
        "`build_and_fit`: `x` must have as many rows as `y`. Received: len(x)=24, len(y)=9."
    )


def test_an_unknown_builder_is_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match="densee") as error:
        ktr.build_and_fit("densee", (X, Y))
    names = ", ".join(repr(name) for name in ktr.list_models())
    assert str(error.value) == (
        f"`build_and_fit`: `builder` must be one of {names} (did you mean 'dense'?). "
        "Received: builder='densee'."
    )


def test_a_builder_that_returns_no_model_is_refused():
    with pytest.raises(TypeError) as error:
        ktr.build_and_fit(lambda: "a model", (X, Y))
    assert str(error.value) == (
        "`build`: `name_or_function` must return a keras.Model. "
        "Received: a builder that returns 'a model'."
    )


def test_an_unknown_data_set_is_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match="fashion") as error:
        ktr.load_dataset("fashion")
    assert str(error.value) == (
        "`load_dataset`: `name` must be one of 'california_housing', 'diabetes', 'digits', "
        "'fashion_mnist', 'fashion_mnist_small', 'imdb', 'korean_reviews_small', 'mnist', 'nsmc' "
        "(did you mean 'fashion_mnist'?). Received: name='fashion'."
    )


# What only the first batch of a stream, or a second look, can tell.


def test_a_validation_stream_is_held_against_the_model(classifier):
    given = tf.data.Dataset.from_tensor_slices((X, Y + 5)).batch(8)
    assert refusal(ValueError, classifier, X, Y, validation_data=given) == (
        "`fit`: `validation_data` must lie in 0..2 for a head of 3 units. "
        "Received: labels from 5 to 7."
    )


def test_validation_targets_may_stand_in_a_column_of_their_own(classifier):
    assert source(classifier, validation_data=(X, Y.reshape(24, 1))).validation is not None


@pytest.mark.parametrize(
    "class_weight, rule",
    [
        ({"1": 50.0}, "be a dict from class to weight, whole numbers to numbers"),
        ({1: np.nan}, "hold finite weights of at least 0"),
        ({1: -5.0}, "hold finite weights of at least 0"),
    ],
)
def test_class_weights_that_would_be_ignored_or_worse_are_refused(classifier, class_weight, rule):
    assert refusal(ValueError, classifier, X, Y, class_weight=class_weight) == (
        f"`fit`: `class_weight` must {rule}. Received: class_weight={class_weight}."
    )


def test_many_arrays_for_one_input_are_counted_and_not_listed(classifier):
    assert refusal(ValueError, classifier, list(X), Y) == (
        "`fit`: `x[0]` must have as many rows as `y`. Received: len(x[0])=4, len(y)=24."
    )


@pytest.mark.parametrize("made", ["Dataset", "PyDataset"])
def test_a_model_is_built_and_fitted_from_a_stream(made):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, number):
            rows = slice(8 * number, 8 * number + 8)
            return X[rows], X[rows].sum(axis=1)

    given = Batches()
    if made == "Dataset":
        given = tf.data.Dataset.from_tensor_slices((X, X.sum(axis=1))).batch(8)
    model, history = ktr.build_and_fit("regression", given, epochs=2, seed=1, verbose=0)
    assert model.input_shape == (None, 4)
    assert len(history) == 2


def test_whole_number_targets_of_several_columns_make_a_regression():
    y = np.random.default_rng(0).integers(0, 50, (24, 2))
    model, _ = ktr.build_and_fit("regression", (X, y), task="regression", verbose=0)
    assert model.output_shape == (None, 2)


def test_whole_number_labels_that_are_floats_are_counted():
    params = {"input_shape": (4,)}
    model, _ = ktr.build_and_fit("dense", (X, Y.astype("float32")), params=params, verbose=0)
    assert model.output_shape == (None, 3)


def test_a_builders_own_parameter_belongs_in_params():
    with pytest.raises(ValueError, match="must be passed") as error:
        ktr.build_and_fit("dense", (X, Y), units=300)
    assert str(error.value) == (
        "`build_and_fit`: `units` must be passed in `params`, as the builder's own: "
        "params={'units': 300}. Received: units=300."
    )


def test_without_a_seed_the_generators_stay_as_they_are():
    random.seed(3)
    np.random.seed(3)
    seeds = {
        ktr.build_and_fit("regression", (X, X.sum(axis=1)), verbose=0).history.seed
        for _ in range(2)
    }
    assert len(seeds) == 2
    np.testing.assert_array_equal(np.random.random(2), np.random.RandomState(3).random_sample(2))


def test_an_averaging_optimizer_and_the_best_weights_exclude_each_other():
    model = ktr.build("dense", input_shape=(4,), classes=3)
    model.compile(keras.optimizers.SGD(use_ema=True), "sparse_categorical_crossentropy")
    assert refusal(ValueError, model, X, Y) == (
        "`fit`: `restore_best` must be False beside an optimizer with use_ema=True, whose average "
        "is what Keras leaves in the model. Received: restore_best=True."
    )


def test_a_schedule_beside_a_callback_that_sets_the_rate_is_refused(classifier):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    setter = ktr.callbacks.reduce_on_plateau("loss")
    assert refusal(ValueError, classifier, X, Y, schedule=schedule, callbacks=setter) == (
        "`fit`: `schedule` must be left out beside a callback that sets the learning rate itself. "
        "Received: `schedule` and ReduceLROnPlateau."
    )


def test_a_stream_of_the_wrong_width_is_refused(classifier):
    given = tf.data.Dataset.from_tensor_slices((X[:, :3], Y)).batch(8)
    assert refusal(ValueError, classifier, given) == (
        "`fit`: `x` must be an array of shape (n, 4), as the model takes. "
        "Received: x=<ndarray of shape (8, 3), float32>."
    )


def test_a_stream_without_targets_is_refused(classifier):
    given = tf.data.Dataset.from_tensor_slices(X).batch(8)
    assert refusal(ValueError, classifier, given) == (
        "`fit`: `y` must be given: the model was compiled with a loss. Received: y=None."
    )


def test_nan_in_a_streams_first_batch_is_refused(classifier):
    given = tf.data.Dataset.from_tensor_slices((with_value(X, np.nan), Y)).batch(24)
    assert refusal(ValueError, classifier, given) == (
        "`fit`: `x` must hold finite numbers only. Received: NaN or infinity in 1 of 96."
    )


@pytest.mark.parametrize("argument", ["shuffle", "restore_best"])
def test_what_is_neither_true_nor_false_is_refused(classifier, argument):
    assert refusal(TypeError, classifier, X, Y, **{argument: "no"}) == (
        f"`fit`: `{argument}` must be True or False. Received: {argument}='no'."
    )


def test_a_table_of_sample_weights_is_refused(classifier):
    assert refusal(ValueError, classifier, X, Y, sample_weight=np.ones((24, 2))) == (
        "`fit`: `sample_weight` must hold one weight a row. "
        "Received: sample_weight=<ndarray of shape (24, 2), float32>."
    )


def test_labels_far_apart_make_no_head_of_a_billion_units():
    labels = Y.copy()
    labels[0] = 10**9
    with pytest.raises(ValueError, match="must lie in") as error:
        ktr.build_and_fit("dense", (X, labels), verbose=0)
    assert str(error.value) == (
        "`compile_for_task`: `y` must lie in 0..9 for a head of 10 units. "
        "Received: labels from 0 to 1000000000."
    )
