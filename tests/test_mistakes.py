"""What a model gets wrong, worked out: against Keras's own figures, and for every kind of data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.mistake_records import Column
from kerastrain.mistakes import confusion, residuals, top_losses
from kerastrain.state import variables_of

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(600, 4)).astype("float32")
LABELS = X[:, :3].argmax(axis=1)
NAMES = ["ant", "bee", "cow"]


def classifier(activation="softmax", units=3, loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size=100):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, number):
        rows = slice(number * self.size, (number + 1) * self.size)
        return self.x[rows], self.y[rows]


def by_hand(model, x, labels, classes=3):
    counts = np.zeros((classes, classes), int)
    predicted = model.predict(x, verbose=0)
    predicted = predicted.argmax(axis=1) if classes > 2 else (predicted[:, 0] > 0.5).astype(int)
    for true, taken in zip(labels, predicted, strict=True):
        counts[true, taken] += 1
    return counts.tolist()


# Confusions.


def test_counts_are_those_by_hand_and_accuracy_is_keras_own():
    model = classifier()
    found = confusion(model, X, LABELS, classes=NAMES)
    assert found.counts == by_hand(model, X, LABELS)
    assert found.classes == NAMES
    assert found.accuracy == pytest.approx(model.evaluate(X, LABELS, verbose=0)[1])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, LABELS.reshape(-1, 1)),
        (X.tolist(), LABELS.tolist()),
        (X, np.array(NAMES)[LABELS]),
        (X, [NAMES[label] for label in LABELS]),
        (tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(70), None),
        (tf.data.Dataset.from_tensor_slices((X, np.array(NAMES)[LABELS])).batch(70), None),
        (tf.data.Dataset.from_tensor_slices((X, LABELS)).shuffle(600).batch(70), None),
        (Batches(X, LABELS), None),
    ],
    ids=[
        "column",
        "lists",
        "strings",
        "list of strings",
        "Dataset",
        "of strings",
        "shuffled",
        "Py",
    ],
)
def test_the_same_rows_give_the_same_counts_however_they_come(x, y):
    model = classifier()
    assert confusion(model, x, y, classes=NAMES).counts == by_hand(model, X, LABELS)


def test_one_hot_labels_and_their_names():
    model = classifier(loss="categorical_crossentropy")
    one_hot = np.eye(3)[LABELS]
    counts = by_hand(model, X, LABELS)
    assert confusion(model, X, one_hot).counts == counts
    assert confusion(model, X, np.array(NAMES)[LABELS], classes=NAMES).counts == counts


def own_loss(y, outputs):
    return keras.losses.sparse_categorical_crossentropy(y, outputs, from_logits=True)


@pytest.mark.parametrize(
    "loss", [keras.losses.SparseCategoricalCrossentropy(from_logits=True), own_loss]
)
def test_logits_have_the_class_of_the_highest(loss):
    model = classifier("linear", loss=loss)
    assert confusion(model, X, LABELS).counts == by_hand(model, X, LABELS)


@pytest.mark.parametrize("is_logit", [False, True])
def test_two_classes_of_one_unit(is_logit):
    loss = keras.losses.BinaryCrossentropy(from_logits=is_logit)
    model = classifier("linear" if is_logit else "sigmoid", 1, loss)
    y = (X[:, 0] > 0).astype(int)
    logits = model.predict(X, verbose=0)[:, 0]
    right = ((logits > (0 if is_logit else 0.5)) == y).mean()
    found = confusion(model, X, y)
    assert found.accuracy == pytest.approx(right)
    assert found.classes == ["0", "1"]
    assert confusion(model, X, np.array(["no", "yes"])[y], classes=["no", "yes"]).counts == (
        found.counts
    )


@pytest.mark.parametrize("kind", [np.array, tuple])
def test_names_may_be_any_list_of_them(kind):
    found = confusion(classifier(), X, np.array(NAMES)[LABELS], classes=kind(NAMES))
    assert found.classes == NAMES
    model = classifier("linear", 2, "mse")
    assert residuals(model, X, X[:, :2], outputs=kind(["a", "b"])).outputs == ["a", "b"]
    (case,) = top_losses(model, X, X[:, :2], count=1, columns=kind(list("wxyz"))).cases
    assert sorted(column.name for column in case.shown) == list("wxyz")


def test_a_sigmoid_with_a_loss_of_numbers_gives_what_it_is_asked_for():
    model = classifier("sigmoid", 1, "mse")
    first_whole = np.concatenate([np.ones(300), np.full(300, 0.25)])
    assert residuals(model, X, first_whole).rows == 600
    assert top_losses(model, X, first_whole).cases[0].probability is None
    y = (X[:, 0] > 0).astype(int)
    assert confusion(model, X, y).counts == by_hand(model, X, y, classes=2)
    assert top_losses(model, X, y, classes=["no", "yes"]).cases[0].true in ("no", "yes")
    assert residuals(model, X, y).rows == 600
    with pytest.raises(ValueError, match="tell classes") as caught:
        confusion(model, X, first_whole)
    assert str(caught.value) == (
        "`confusion`: `y` must be 0 or 1 for mean_squared_error to tell classes. Received: "
        "numbers from 0.25 to 1."
    )


def test_texts_are_taken_as_they_come():
    texts = np.array(["good film", "bad film"] * 20, dtype=object)
    model = ktr.build("text", texts=texts)
    ktr.compile_for_task(model, "binary")
    y = np.array([1, 0] * 20)
    found = confusion(model, texts, y)
    assert found.accuracy == pytest.approx(model.evaluate(texts, y, verbose=0)[1])


def test_a_batch_of_one_row_is_enough():
    assert confusion(classifier(), X[:1], LABELS[:1]).rows == 1


def test_rows_beyond_a_batch_are_all_there():
    rows = np.tile(X, (2, 1))[:1_025]
    assert confusion(classifier(), rows, np.tile(LABELS, 2)[:1_025]).rows == 1_025


@pytest.mark.parametrize("function", [confusion, top_losses])
def test_the_model_is_left_as_it_was(function):
    model = keras.Sequential(
        [
            keras.Input((4,), batch_size=100),
            keras.layers.Reshape((4, 1)),
            keras.layers.GRU(3, stateful=True),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, LABELS, batch_size=100, verbose=0)
    before = [np.array(variable) for variable in variables_of(model)]
    function(model, Batches(X, LABELS))
    for variable, kept in zip(variables_of(model), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), kept)


class Two(keras.Model):
    def call(self, x):
        return x, x


REFUSED = {
    "numbers": (
        lambda: confusion(classifier("linear", 1, "mse"), X, X[:, 0]),
        ValueError,
        "`confusion`: `model` must tell classes; for numbers call plot_residuals. Received: "
        'Dense(1, activation="linear") with mean_squared_error.',
    ),
    "classes": (
        lambda: residuals(classifier(), X, LABELS),
        ValueError,
        "`residuals`: `model` must predict numbers; for classes call plot_confusion. Received: "
        'Dense(3, activation="softmax") with sparse_categorical_crossentropy.',
    ),
    "several labels a row": (
        lambda: confusion(classifier("sigmoid", 3, "binary_crossentropy"), X, np.eye(3)[LABELS]),
        ValueError,
        "`confusion`: `model` must tell classes that exclude each other, and not give several "
        'labels a row. Received: Dense(3, activation="sigmoid") with binary_crossentropy.',
    ),
    "a label beyond the head": (
        lambda: confusion(classifier(), X, LABELS + 1),
        ValueError,
        "`confusion`: `y` must lie in 0..2 for a head of 3 units. Received: labels from 1 to 3.",
    ),
    "too few names": (
        lambda: confusion(classifier(), X, LABELS, classes=["a", "b"]),
        ValueError,
        "`confusion`: `classes` must hold one name for each of the model's 3 classes, each "
        "another. Received: classes=['a', 'b'].",
    ),
    "one string for names": (
        lambda: confusion(classifier(), X, LABELS, classes="abc"),
        TypeError,
        "`confusion`: `classes` must be a list of the classes' names. Received: classes='abc'.",
    ),
    "strings without names": (
        lambda: confusion(classifier(), X, np.array(NAMES)[LABELS]),
        ValueError,
        "`confusion`: `classes` must name the classes in the order of the model's units where the "
        "labels are strings. Received: classes=None.",
    ),
    "a string that is no name": (
        lambda: confusion(classifier(), X[:1], ["bea"], classes=NAMES),
        ValueError,
        "`confusion`: `classes` must hold every label (did you mean 'bee'?). Received: 'bea' in "
        "`y`, classes=['ant', 'bee', 'cow'].",
    ),
    "no labels": (
        lambda: confusion(classifier(), X),
        ValueError,
        "`confusion`: `y` must be given beside arrays, as in `model, *data.test`. "
        "Received: y=None.",
    ),
    "labels beside a stream": (
        lambda: confusion(classifier(), Batches(X, LABELS), LABELS),
        ValueError,
        "`confusion`: `y` must be left out where `x` is a Dataset or PyDataset, which brings its "
        "own batches. Received: `x` and `y`.",
    ),
    "rows of another width": (
        lambda: confusion(classifier(), X[:, :3], LABELS),
        ValueError,
        "`confusion`: `x` must be an array of shape (n, 4), as the model takes. Received: "
        "x=<ndarray of shape (600, 3), float32>.",
    ),
    "no count": (
        lambda: top_losses(classifier(), X, LABELS, count=0),
        ValueError,
        "`top_losses`: `count` must be at least 1. Received: count=0.",
    ),
    "other rows shown": (
        lambda: top_losses(classifier(), X, LABELS, shown=["a", "b"]),
        ValueError,
        "`top_losses`: `shown` must have as many rows as `x` (600). Received: shown=['a', 'b'].",
    ),
    "names of other columns": (
        lambda: top_losses(classifier(), X, LABELS, columns=["a", "b"]),
        ValueError,
        "`top_losses`: `columns` must hold one name per column of `x` (4). Received: "
        "columns=['a', 'b'].",
    ),
    "names of other outputs": (
        lambda: residuals(classifier("linear", 2, "mse"), X, X[:, :2], outputs="price"),
        ValueError,
        "`residuals`: `outputs` must be a list of one name per output (2), each another. "
        "Received: outputs='price'.",
    ),
}


@pytest.mark.parametrize(("call", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence


def test_a_model_of_nan_is_refused():
    model = classifier()
    model.set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    with pytest.raises(ValueError, match="finite") as caught:
        confusion(model, X, LABELS)
    assert str(caught.value) == (
        "`confusion`: `model` must give finite numbers. Received: NaN or infinity for 256 of 256 "
        "rows."
    )


def test_a_model_with_two_outputs_is_refused():
    model = Two()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="one output") as caught:
        residuals(model, X, X)
    assert str(caught.value) == (
        "`residuals`: `model` must have one output, a row of numbers for each row of `x`; make one "
        "of the output that you ask about, and compile it. "
        "Received: outputs with rows of shape (4,) and rows of shape (4,)."
    )


# Top losses.

LOSSES = {
    "sparse": ("softmax", 3, "sparse_categorical_crossentropy", LABELS),
    "one-hot": ("softmax", 3, keras.losses.CategoricalCrossentropy(), np.eye(3)[LABELS]),
    "smoothed": (
        *("softmax", 3, keras.losses.CategoricalCrossentropy(label_smoothing=0.1)),
        np.eye(3)[LABELS],
    ),
    "logits": ("linear", 3, keras.losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
    "binary": ("sigmoid", 1, "binary_crossentropy", (X[:, 0] > 0).astype(int)),
    "mse": ("linear", 1, "mse", X[:, 0]),
    "three outputs": ("linear", 3, keras.losses.Huber(), X[:, :3]),
    "in a list": ("linear", 1, ["mae"], X[:, 0]),
    "a mean of one's own": (
        *("linear", 1, lambda y, given: keras.ops.mean(keras.ops.abs(y - given) ** 3)),
        X[:, :1],
    ),
}


@pytest.mark.parametrize(("activation", "units", "loss", "y"), LOSSES.values(), ids=LOSSES)
def test_losses_are_those_of_the_model(activation, units, loss, y):
    model = classifier(activation, units, loss)
    found = top_losses(model, X, y, count=600)
    whole = model.evaluate(X, y, verbose=0)[0]
    assert found.mean_loss == pytest.approx(whole, rel=1e-4)
    losses = [case.loss for case in found.cases]
    assert losses == sorted(losses, reverse=True)
    assert np.mean(losses) == pytest.approx(whole, rel=1e-4)
    assert sorted(case.row for case in found.cases) == list(range(600))
    for case in found.cases[:3]:
        of_row = model.evaluate(X[case.row : case.row + 1], y[case.row : case.row + 1], verbose=0)
        assert case.loss == pytest.approx(of_row[0], rel=1e-4)


def test_a_case_has_its_label_and_how_sure_the_model_was():
    model = classifier()
    given = model.predict(X, verbose=0)
    for case in top_losses(model, X, LABELS, classes=NAMES, count=5).cases:
        assert case.true == NAMES[LABELS[case.row]]
        assert case.predicted == NAMES[given[case.row].argmax()]
        assert case.probability == pytest.approx(given[case.row].max(), abs=1e-6)


def test_probabilities_of_half_precision_stay_as_they_are():
    y = GENERATOR.integers(0, 300, 600)
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(300, "softmax", dtype="mixed_float16")
    model = keras.Sequential([keras.Input((4,)), layer])
    model.set_weights([20 * weights for weights in model.get_weights()])
    model.compile("sgd", "sparse_categorical_crossentropy")
    given = model.predict(X, verbose=0).astype("float64")
    assert abs(given.sum(axis=1) - 1).max() > 1e-3
    for case in top_losses(model, X, y, count=5).cases:
        assert case.probability == pytest.approx(given[case.row].max(), abs=1e-3)


class Hidden(keras.Model):
    """A model whose head nobody can read."""

    def __init__(self, activation):
        super().__init__()
        self.last = keras.layers.Dense(3, activation)

    def call(self, x):
        return self.last(x)


@pytest.mark.parametrize("is_sure", [False, True])
@pytest.mark.parametrize("is_own", [False, True])
def test_the_loss_or_the_answers_tell_what_a_hidden_head_gives(is_sure, is_own):
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=not is_sure)
    model = Hidden("softmax" if is_sure else None)
    model.compile("sgd", (lambda y, given: own(y, given)) if is_own else own)
    given = model.predict(X, verbose=0)
    (case,) = top_losses(model, X, LABELS, count=1).cases
    wanted = given if is_sure else keras.ops.convert_to_numpy(keras.ops.softmax(given))
    assert case.probability == pytest.approx(wanted[case.row].max(), abs=1e-4)


def test_logits_are_made_probabilities():
    model = classifier("linear", 1, keras.losses.BinaryCrossentropy(from_logits=True))
    (case,) = top_losses(model, X, (X[:, 0] > 0).astype(int), count=1).cases
    logit = float(model.predict(X[case.row : case.row + 1], verbose=0)[0, 0])
    second = 1 / (1 + np.exp(-logit))
    assert case.probability == pytest.approx(max(second, 1 - second))


def test_a_stream_has_the_same_top_losses():
    model = classifier()
    wanted = [(case.row, case.loss) for case in top_losses(model, X, LABELS).cases]
    found = top_losses(model, Batches(X, LABELS)).cases
    assert [case.row for case in found] == [row for row, _ in wanted]
    assert [case.loss for case in found] == pytest.approx([loss for _, loss in wanted], rel=1e-5)


def test_a_row_shows_the_columns_that_lie_furthest_off():
    x = np.array(X, dtype="float64")
    x[7, 2] = 100.0
    y = x[:, 0].copy()
    y[7] = 1e4
    model = classifier("linear", 1, "mse")
    (case,) = top_losses(model, x, y, count=1, columns=["a", "b", "c", "d"]).cases
    assert case.row == 7
    assert case.shown[0].name == "c"
    off = (100 - x[:, 2].mean()) / x[:, 2].std()
    assert case.shown[0].distance == pytest.approx(off, rel=1e-5)


def test_far_from_zero_no_digit_is_lost():
    x = (X[:, :1] + 1e6).astype("float32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    (case,) = top_losses(model, x, X[:, 0], count=1).cases
    (column,) = case.shown
    exact = x[:, 0].astype("float64")
    assert column.distance == pytest.approx((exact[case.row] - exact.mean()) / exact.std())


def test_a_data_frame_names_its_columns():
    pandas = pytest.importorskip("pandas", reason="data frames are pandas's")
    frame = pandas.DataFrame(X, columns=list("wxyz"))
    (case,) = top_losses(classifier(), frame, LABELS, count=1).cases
    assert sorted(column.name for column in case.shown) == list("wxyz")


def test_several_inputs_show_all_their_columns():
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((1,), name="b")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, keras.layers.Dense(1)(joined))
    model.compile("sgd", "mse")
    x = {"a": X[:, :2], "b": X[:, 2:3]}
    (case,) = top_losses(model, x, X[:, 0], count=1).cases
    assert sorted(column.name for column in case.shown) == ["a[0]", "a[1]", "b"]


def test_pictures_are_shown_as_they_are():
    images = GENERATOR.uniform(size=(40, 6, 5, 1)).astype("float32")
    model = keras.Sequential(
        [keras.Input((6, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    ktr.compile_for_task(model)
    found = top_losses(model, images, LABELS[:40], count=2)
    assert found.kind == "pictures"
    for case in found.cases:
        np.testing.assert_array_equal(case.shown, images[case.row, ..., 0])


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((8, 8), "pictures"),
        ((28, 28), "pictures"),
        ((32, 8), "pictures"),
        ((33, 8), "series"),
        ((50, 3), "series"),
        ((7, 7), "series"),
        ((20, 1), "series"),
        ((6, 5, 3), "pictures"),
    ],
)
def test_a_row_of_two_axes_is_a_picture_where_it_is_wide_and_high(shape, kind):
    x = GENERATOR.normal(size=(9, *shape)).astype("float32")
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    found = top_losses(model, x, x.reshape(9, -1)[:, 0], count=2)
    assert found.kind == kind
    for case in found.cases:
        np.testing.assert_array_equal(case.shown, x[case.row])


def test_what_is_shown_may_be_something_else():
    texts = [f"text {number}" for number in range(600)]
    found = top_losses(classifier(), X, LABELS, count=2, shown=texts)
    assert found.kind == "texts"
    assert [case.shown for case in found.cases] == [f"text {case.row}" for case in found.cases]


def test_other_columns_may_be_shown():
    others = np.arange(600.0).reshape(600, 1)
    (case,) = top_losses(classifier(), X, LABELS, count=1, shown=others).cases
    off = (case.row - 299.5) / others.std()
    assert case.shown == [Column("column 0", case.row, pytest.approx(off))]


# Residuals.


@pytest.mark.parametrize("units", [1, 3])
def test_residuals_are_those_by_hand(units):
    model = classifier("linear", units, "mse")
    y = X[:, :units]
    found = residuals(model, X, y[:, 0] if units == 1 else y)
    given = model.predict(X, verbose=0)
    names = ["output"] if units == 1 else ["output 0", "output 1", "output 2"]
    assert found.outputs == names
    for number, name in enumerate(names):
        np.testing.assert_allclose(
            found.residuals[name], y[:, number] - given[:, number], atol=1e-6
        )
        score = keras.metrics.R2Score()
        score.update_state(y[:, number : number + 1], given[:, number : number + 1])
        assert found.fits[name].r2 == pytest.approx(float(score.result()), abs=1e-4)


def test_residuals_of_a_stream_with_names():
    model = classifier("linear", 2, "mse")
    found = residuals(model, Batches(X, X[:, :2]), outputs=["a", "b"])
    assert found.true == {"a": X[:, 0].tolist(), "b": X[:, 1].tolist()}
