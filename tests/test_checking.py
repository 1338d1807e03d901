"""`check` finds what is wrong, nothing where nothing is, and changes nothing."""

import pathlib
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_classifiers import HELD_OUT, X, Y, a_model, codes, sentences
from small_models import assert_same_bits

import kerastrain as ktr
from kerastrain.checking import check, preflight
from kerastrain.data import rows_of
from kerastrain.state import variables_of

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


# Nothing where nothing is.


def builds(data):
    """Each built-in model that the set is for, with its rows."""
    (x, y), (other_x, other_y) = data.train, data.val
    middle = np.median(y)
    if data.task == "regression":
        yield "regression", data.train, data.val
    else:
        yield "dense", data.train, data.val
        yield "cnn", data.train, data.val
    halves = [(part > middle).astype("int64") for part in (y, other_y)]
    yield "binary", (x, halves[0]), (other_x, halves[1])


def silent(name):
    data = ktr.load_dataset(name)
    for builder, train, validation in builds(data):
        keras.utils.set_random_seed(1)
        model = ktr.build(builder, input_shape=train[0].shape[1:])
        task = {"regression": "regression", "binary": "binary"}.get(builder, "multiclass")
        ktr.compile_for_task(model, task, y=train[1])
        yield builder, sentences(check(model, *train, validation_data=validation))


@pytest.mark.parametrize("name", ["fashion_mnist_small", "digits", "diabetes"])
def test_nothing_is_found_in_the_built_in_models_and_sets(name):
    if name != "fashion_mnist_small":
        pytest.importorskip("sklearn", reason=f"{name} comes with scikit-learn")
    found = dict(silent(name))
    assert len(found) > 1
    assert found == {builder: [] for builder in found}


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist isn't installed")
def test_nothing_is_found_in_all_of_fashion_mnist():
    assert dict(silent("fashion_mnist")) == {"dense": [], "cnn": [], "binary": []}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data isn't beside the project")
def test_nothing_is_found_in_california_housing(monkeypatch):
    monkeypatch.setenv("KERASTRAIN_DATA", str(SHARED))
    assert dict(silent("california_housing")) == {"regression": [], "binary": []}


def test_nothing_is_found_in_a_text_model():
    texts = np.array([f"{word} film {n}" for n in range(60) for word in ("good", "bad")], object)
    labels = np.tile([1, 0], 60)
    model = ktr.compile_for_task(ktr.build("text", texts=texts, length=4), y=labels)
    assert sentences(check(model, texts, labels)) == []


def test_nothing_is_found_in_a_small_table():
    assert sentences(check(a_model(), X, Y, validation_data=HELD_OUT)) == []
    assert sentences(preflight(a_model(), rows_of(X, Y), rows_of(*HELD_OUT), batch_size=32)) == []


# The right thing in data as the notes have them before they are scaled.


def test_raw_pictures_are_named():
    (x, y), _ = ktr.load_dataset("fashion_mnist_small").train, None
    grey = (x * 255).round().astype("uint8")
    keras.utils.set_random_seed(1)
    model = ktr.compile_for_task(ktr.build("dense"), y=y)
    report = check(model, grey, y)
    assert codes(report) == ["grey-levels", "first-loss"]
    assert report.findings[0].sentence == (
        "`x` holds whole numbers from 0 to 255, as pictures come, where a new model wants numbers "
        "near 1: divide by 255 (x / 255.0, of validation and test too), or begin the model with "
        "keras.layers.Rescaling(1 / 255)."
    )
    scaling = keras.Sequential([keras.Input((28, 28)), keras.layers.Rescaling(1 / 255), model])
    assert codes(check(ktr.compile_for_task(scaling, y=y), grey, y)) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data isn't beside the project")
def test_raw_housing_is_named():
    names = ["longitude", "latitude", "median_income", "population", "total_rooms"]
    pandas = pytest.importorskip("pandas", reason="reads the table")
    frame = pandas.read_csv(SHARED / "california_housing.csv.gz").sample(frac=1, random_state=0)
    prices = frame["median_house_value"].to_numpy()
    model = ktr.build("regression", input_shape=(5,))
    ktr.compile_for_task(model, "regression")
    report = check(model, frame[names], prices)
    assert (
        {"unscaled", "large-targets"}
        <= set(codes(report))
        <= {
            *("unscaled", "large-targets", "rows-with-two-labels", "first-loss"),
        }
    )
    gaps = check(model, frame[[*names[:4], "total_bedrooms"]], prices)
    assert [finding.sentence for finding in gaps.errors] == [
        "`x` holds NaN in 207 of 103,200 cells, in 207 rows from "
        f"{int(np.flatnonzero(frame['total_bedrooms'].isna())[0]):,} on (column 4): drop these "
        "rows or fill the gaps, since a single one makes the loss and then all weights NaN."
    ]


# What `fit` would refuse is an error, and the rest is looked at all the same.


def test_head_and_loss_that_do_not_agree_are_an_error_and_so_are_the_labels():
    report = check(a_model(activation="sigmoid"), X, Y + 0.5)
    assert [str(finding) for finding in report.findings] == [
        "error: `model` must not pair a sigmoid head with sparse_categorical_crossentropy: write "
        'Dense(classes, activation="softmax"), or compile with binary_crossentropy for two '
        'classes. Received: Dense(3, activation="sigmoid") with sparse_categorical_crossentropy.',
        f"error: `y` must hold whole numbers as class labels. Received: a label {Y[0] + 0.5:g}.",
    ]


def test_labels_that_the_head_has_no_unit_for_are_an_error():
    report = check(a_model(), X, Y + 1)
    assert not report
    assert [(finding.argument, finding.sentence) for finding in report.findings] == [
        ("y", "`y` must lie in 0..2 for a head of 3 units. Received: labels from 1 to 3.")
    ]


def test_rows_of_another_shape_are_an_error():
    assert sentences(check(a_model(), X[:, :4], Y)) == [
        "`x` must be an array of shape (n, 6), as the model takes. "
        "Received: x=<ndarray of shape (300, 4), float32>."
    ]


def test_lengths_that_differ_are_an_error():
    assert sentences(check(a_model(), X, Y[:-1])) == [
        "`x` must have as many rows as `y`. Received: len(x)=300, len(y)=299."
    ]


def test_validation_that_does_not_fit_is_an_error():
    report = check(a_model(), X, Y, validation_data=(HELD_OUT[0], HELD_OUT[1] + 9))
    assert sentences(report)[0] == (
        "`validation_data[1]` must lie in 0..2 for a head of 3 units. "
        "Received: labels from 9 to 11."
    )
    odd = check(a_model(), X, Y, validation_data=(np.full((60, 6), np.nan), HELD_OUT[1]))
    assert [(f.code, f.argument) for f in odd.findings] == [
        ("missing-values", "validation_data[0]")
    ]


def test_beside_gaps_the_rest_is_looked_at():
    x = np.where(np.arange(300)[:, None] == 7, np.nan, X * 1000)
    report = check(a_model(), x, Y)
    assert codes(report)[:1] == ["missing-values"]
    assert "unscaled" in codes(report)
    assert report.rows == 299


def test_strings_of_numbers_are_an_error():
    texts = X.astype(str)
    assert check(a_model(), texts, Y).errors[0].sentence == (
        f"`x` holds numbers as strings, such as '{texts[0, 0]}': write x.astype(\"float32\")."
    )


def test_what_a_layer_raises_is_an_error():
    @keras.saving.register_keras_serializable("tests")
    class Refusing(keras.layers.Layer):
        def call(self, x, training=None):
            if isinstance(x, tf.Tensor) and hasattr(x, "numpy"):
                raise RuntimeError("no such thing.\nMore of it.")
            return x

    report = check(a_model(Refusing()), X, Y)
    assert [str(finding) for finding in report.findings] == [
        "error: `model` can't be run on 256 rows of `x` (RuntimeError: no such thing): look at the "
        "layer that raises this, with model.predict(x)."
    ]


# Order, and who shuffles.


def test_sorted_labels_are_named_unless_they_will_be_shuffled():
    order = np.argsort(Y, kind="stable")
    assert codes(check(a_model(), X, Y[order])) == ["sorted-labels"]
    assert codes(check(a_model(), X, Y[order], validation_data=HELD_OUT)) == []
    rows = rows_of(X, Y[order])
    assert codes(preflight(a_model(), rows, batch_size=32)) == []
    assert codes(preflight(a_model(), rows, batch_size=32, shuffle=False)) == ["sorted-labels"]


# Models in other states.


def test_a_model_that_is_not_compiled_is_looked_at():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax")])
    assert codes(check(model, X * 1000, Y)) == ["not-compiled", "unscaled"]


def test_a_model_that_is_not_built_is_looked_at_and_stays_so():
    model = keras.Sequential([keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert codes(check(model, X * 1000, Y, deep=True)) == ["not-built", "unscaled"]
    assert not model.built


def test_a_frozen_model_is_an_error():
    model = a_model()
    model.trainable = False
    assert codes(check(model, X, Y)) == ["nothing-to-train"]


def test_a_model_of_several_inputs_and_outputs_is_looked_at():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((4,), name="b")}
    both = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    heads = [keras.layers.Dense(1, name=name)(both) for name in ("first", "second")]
    model = keras.Model(inputs, heads)
    model.compile("adam", ["mse", "mae"])
    x = {"a": X[:, :2], "b": X[:, 2:] * 1000}
    report = check(model, x, (X[:, :1] * X[:, 1:2], X[:, 1:2] ** 2))
    assert [(finding.code, finding.argument) for finding in report.findings] == [
        ("unscaled", "x['b']")
    ]


def test_facts_are_read_off_a_model():
    layers = keras.layers.Dense(8, kernel_initializer="zeros"), keras.layers.Dropout(0.9)
    metrics = [keras.metrics.CategoricalAccuracy()]
    optimizer = keras.optimizers.Adam(3.0)
    report = check(a_model(*layers, optimizer=optimizer, metrics=metrics), X, Y)
    assert codes(report) == [
        *("units-alike", "no-activation", "high-dropout", "unusual-rate"),
        *("metrics-of-other-labels", "outputs-alike"),
    ]


# Streams: their first batches.


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // 30

    def __getitem__(self, number):
        part = slice(30 * number, 30 * number + 30)
        return self.x[part], self.y[part]


@pytest.mark.parametrize("kind", ["Dataset", "PyDataset"])
def test_the_first_batches_of_a_stream_are_looked_at(kind):
    def stream(x, y):
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(30)
        return dataset if kind == "Dataset" else Batches(x, y)

    order = np.argsort(Y, kind="stable")
    assert codes(check(a_model(), stream(X, Y), validation_data=stream(*HELD_OUT))) == []
    assert codes(check(a_model(), stream(X * 1000, Y))) == ["unscaled", "first-loss"]
    assert codes(check(a_model(), stream(X[order][:60], Y[order][:60]))) == ["batches-of-one-class"]
    both = check(a_model(), stream(X, Y), validation_data=stream(X[30:60], Y[30:60]))
    assert sentences(both) == [
        "30 of 30 validation rows stand among the training rows too (of the first 300 rows), so "
        "that validation shows what was learnt by heart: take them out of one of the two."
    ]


def test_a_stream_without_end_is_an_error():
    stream = tf.data.Dataset.from_tensor_slices((X, Y)).batch(30).repeat()
    assert sentences(check(a_model(), stream)) == [
        "`x` must be finite: take `.repeat()` out, or put `.take(steps)` after it. "
        "Received: an infinite Dataset."
    ]


# Nothing changes.


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("is_trained", [False, True])
def test_model_optimizer_metrics_and_generators_stay_as_they_are(deep, is_trained):
    layers = [keras.layers.Dense(16, "relu"), keras.layers.BatchNormalization()]
    model = a_model(*layers, keras.layers.Dropout(0.3))
    if is_trained:
        model.fit(X, Y, verbose=0)
    optimizer, was_built = model.optimizer, model.optimizer.built

    def state():
        model_variables = [*model.variables, *model.optimizer.variables]
        return [variable.numpy() for variable in model_variables]

    keras.utils.set_random_seed(3)
    before, names = state(), np.random.get_state()[1].copy()
    drawn = random.getstate()
    report = check(model, X, Y, validation_data=HELD_OUT, deep=deep)
    assert report.overfits is (True if deep else None)
    assert_same_bits(state(), before)
    assert model.optimizer is optimizer
    assert optimizer.built == was_built
    assert random.getstate() == drawn
    np.testing.assert_array_equal(np.random.get_state()[1], names)
    after = tf.random.uniform((3,)).numpy()
    keras.utils.set_random_seed(3)
    assert_same_bits([after], [tf.random.uniform((3,)).numpy()])


def test_a_run_after_a_look_is_the_run_without_it():
    def weights(looks):
        keras.utils.set_random_seed(1)
        model = a_model(keras.layers.Dense(16, "relu"), keras.layers.Dropout(0.3))
        if looks:
            check(model, X, Y, deep=True)
        ktr.fit(model, X, Y, epochs=2, seed=5, speed="steps", verbose=0)
        return [variable.numpy() for variable in variables_of(model)]

    assert_same_bits(weights(looks=True), weights(looks=False))


def test_data_stay_as_they_are():
    x, y = X.copy(), Y.copy()
    check(a_model(), x, y, validation_data=(x, y), deep=True)
    assert_same_bits([x, y], [X, Y])


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1. Received: batch_size=0."),
        ({"deep": "yes"}, TypeError, "`deep` must be True or False. Received: deep='yes'."),
        ({"seed": -1}, ValueError, "`seed` must be at least 0. Received: seed=-1."),
        (
            {"validation_data": 3},
            TypeError,
            "`validation_data` must be (x, y), (x, y, sample_weight), a Dataset or a PyDataset. "
            "Received: validation_data=3.",
        ),
    ],
)
def test_arguments_of_the_call_itself_are_refused(arguments, kind, said):
    with pytest.raises(kind) as raised:
        check(a_model(), X, Y, **arguments)
    assert str(raised.value) == f"`check`: {said}"


def test_a_model_is_wanted():
    with pytest.raises(TypeError) as raised:
        check("dense", X, Y)
    assert str(raised.value) == "`check`: `model` must be a keras.Model. Received: 'dense'."


def test_the_same_seed_finds_the_same():
    x, y = np.tile(X, (20, 1)), np.tile(Y, 20)
    model = a_model()
    assert sentences(check(model, x * 1000, y, seed=4)) == sentences(
        check(model, x * 1000, y, seed=4)
    )


# Whatever comes, there is a report.

KINDS = [*("float64", "float16", "uint8", "int64", "bool", "object", "str"), None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_rows_of_any_kind_are_looked_at(kind):
    x, y = (None, None) if kind is None else ((abs(X) * 3).astype(kind), Y.astype(kind))
    for pair in ((x, Y), (X, y), (x, y), (X[:1], Y[:1])):
        report = check(a_model(), *pair, validation_data=(X[:40], Y[:40]))
        assert all(sentence.endswith(".") for sentence in sentences(report))
        assert report.rows in (0, 1, 300)


def test_targets_of_a_shape_that_the_loss_does_not_take_are_an_error():
    report = check(a_model(), X, np.zeros((300, 4, 4), int))
    assert [(f.code, f.argument) for f in report.findings] == [("no-loss", "y")]


def test_a_tagger_of_series_is_sound():
    layers = [keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((20, 4)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(50, 20, 4)).astype("float32")
    assert check(model, x, (x[..., 0] > 0).astype(int)).findings == []


def test_a_model_of_a_fixed_batch_size_is_run_on_batches_of_that_size():
    layers = [keras.layers.LSTM(4, stateful=True), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((6, 1), batch_size=10), *layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).normal(size=(60, 6, 1)).astype("float32"), np.arange(60) % 3
    assert check(model, x, y, batch_size=10).errors == []
    assert check(model, x[:5], y[:5], batch_size=10).errors == []


def test_infinity_is_a_fault_where_it_is_trained_alone():
    class Masked(keras.layers.Layer):
        def build(self, shape):
            fill = keras.initializers.Constant(-np.inf)
            self.mask = self.add_weight((1,), fill, trainable=False)

        def call(self, x):
            return keras.ops.maximum(x, self.mask)

    model = keras.Sequential([keras.Input((4,)), Masked(), keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
    assert check(model, x, np.arange(60) % 3).errors == []
