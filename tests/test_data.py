"""Arrays to rows: checks, splits, the order of an epoch, the weights of classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.data import (
    EpochOrder,
    Rows,
    is_stream,
    rows_of,
    split_positions,
    with_class_weight,
)

TEN = np.arange(10, dtype="float32")


def message(error_type, function, /, *arguments, **named):
    with pytest.raises(error_type) as error:
        function(*arguments, **named)
    return str(error.value)


# The order of an epoch.


def test_the_order_of_an_epoch_is_a_pure_function_of_seed_and_epoch():
    rows = np.arange(20)
    forwards = EpochOrder(rows, seed=3, shuffle=True)
    backwards = EpochOrder(rows, seed=3, shuffle=True)
    np.random.seed(99)
    there = [forwards.of_epoch(epoch).tolist() for epoch in range(4)]
    np.random.seed(1)
    back = [backwards.of_epoch(epoch).tolist() for epoch in (3, 2, 1, 0)]
    assert there == back[::-1]
    assert len({tuple(order) for order in there}) == 4
    assert EpochOrder(rows, seed=4, shuffle=True).of_epoch(0).tolist() != there[0]


def test_the_order_of_an_epoch_stays_the_same_from_version_to_version():
    # A history's seed promises it; a NumPy that permutes otherwise would be noticed here.
    assert EpochOrder(np.arange(6), seed=1, shuffle=True).of_epoch(2).tolist() == [4, 5, 1, 0, 3, 2]


def test_an_epoch_visits_every_training_row_once():
    rows = np.array([2, 3, 5, 7, 11, 13])
    assert sorted(EpochOrder(rows, seed=0, shuffle=True).of_epoch(5)) == rows.tolist()


def test_without_shuffle_every_epoch_has_the_order_of_the_rows():
    order = EpochOrder(np.array([4, 2, 9]), seed=0, shuffle=False)
    assert [order.of_epoch(epoch).tolist() for epoch in (0, 7)] == [[4, 2, 9]] * 2


def test_drawing_an_order_leaves_numpys_generator_alone():
    np.random.seed(5)
    before = repr(np.random.get_state())
    EpochOrder(np.arange(50), seed=1, shuffle=True).of_epoch(3)
    split_positions(50, 0.2, seed=1)
    assert repr(np.random.get_state()) == before


# What counts as rows.


def test_numbers_become_keras_floats_and_integers_stay():
    rows = rows_of(np.zeros((3, 2), "float64"), [0, 1, 2], [1.0, 2.0, 3.0])
    assert (rows.x.dtype, rows.y.dtype.kind, rows.weight.dtype) == ("float32", "i", "float32")
    assert rows_of(np.zeros((3, 2), "uint8"), [True, False, True]).x.dtype == "uint8"


def test_floats_follow_the_floatx_of_keras():
    keras.config.set_floatx("float64")
    try:
        assert rows_of(TEN, None).x.dtype == "float64"
    finally:
        keras.config.set_floatx("float32")


def test_float32_rows_are_not_copied():
    assert rows_of(TEN, None).x is TEN


@pytest.mark.parametrize(
    "x",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        np.array([[1, 2], [3, 4]]),
        tf.constant([[1, 2], [3, 4]]),
        keras.ops.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]]),
    ],
    ids=["list", "tuple", "array", "tf", "keras"],
)
def test_lists_arrays_and_tensors_are_one_input(x):
    assert rows_of(x, None).x.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("several", [tuple, list])
def test_several_arrays_in_a_tuple_or_list_are_several_inputs(several):
    rows = rows_of(several([TEN, TEN.reshape(10, 1)]), TEN)
    assert isinstance(rows.x, tuple)
    assert [part.shape for part in rows.x] == [(10,), (10, 1)]
    assert len(rows) == 10


def test_a_dict_of_arrays_keeps_its_keys():
    rows = rows_of({"b": TEN, "a": TEN}, {"out": TEN})
    assert (list(rows.x), list(rows.y)) == (["b", "a"], ["out"])


def test_frames_and_series_are_arrays():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [20, 30], "height": [1.6, 1.7]}, index=[7, 3])
    rows = rows_of(frame, pandas.Series([0, 1], index=[7, 3]))
    np.testing.assert_allclose(rows.x, [[20, 1.6], [30, 1.7]], rtol=1e-6)
    assert rows.y.tolist() == [0, 1]


def test_a_frame_of_numbers_and_truth_values_is_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.get_dummies(pandas.DataFrame({"age": [20, 30], "city": ["a", "b"]}))
    assert rows_of(frame, None).x.tolist() == [[20, 1, 0], [30, 0, 1]]


def test_a_frame_with_text_beside_numbers_is_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [20, 30], "city": ["a", "b"]})
    assert message(TypeError, rows_of, frame, None) == (
        "`fit`: `x` must hold numbers only, or strings only. "
        "Received: x=<ndarray of shape (2, 2), object>."
    )


@pytest.mark.parametrize(
    "texts",
    [["so good", "so bad"], np.array(["so good", "so bad"]), np.array(["so good", "so bad"], "O")],
    ids=["list", "unicode", "object"],
)
def test_strings_become_objects_as_keras_wants_them(texts):
    rows = rows_of(texts, [1, 0])
    assert (rows.x.dtype, rows.x.tolist()) == (object, ["so good", "so bad"])


def test_bytes_are_strings_too():
    assert rows_of(np.array([b"so", b"good"]), None).x.tolist() == [b"so", b"good"]


@pytest.mark.parametrize(
    "stream, answer",
    [
        (tf.data.Dataset.range(3), True),
        (keras.utils.PyDataset(), True),
        (TEN, False),
        ([TEN], False),
        (None, False),
    ],
    ids=["Dataset", "PyDataset", "array", "list", "None"],
)
def test_streams_are_known(stream, answer):
    assert is_stream(stream) is answer


# What is refused.


@pytest.mark.parametrize(
    "x, received",
    [
        ([], "x=[]"),
        (np.zeros((0, 28, 28)), "x=<ndarray of shape (0, 28, 28), float64>"),
        ({}, "x={}"),
        ((), "x=()"),
    ],
    ids=["list", "array", "dict", "tuple"],
)
def test_no_rows_are_refused(x, received):
    assert message(ValueError, rows_of, x, None) == (
        f"`fit`: `x` must hold at least one row. Received: {received}."
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            (TEN, TEN[:9]),
            "`fit`: `x` must have as many rows as `y`. Received: len(x)=10, len(y)=9.",
        ),
        (
            (TEN, TEN, TEN[:8]),
            "`fit`: `x` must have as many rows as `sample_weight`. "
            "Received: len(x)=10, len(sample_weight)=8.",
        ),
        (
            ((TEN, TEN[:7]), None),
            "`fit`: `x[0]` must have as many rows as `x[1]`. Received: len(x[0])=10, len(x[1])=7.",
        ),
        (
            ({"a": TEN, "b": TEN[:7]}, TEN),
            "`fit`: `x['a']` must have as many rows as `x['b']`. "
            "Received: len(x['a'])=10, len(x['b'])=7.",
        ),
    ],
    ids=["y", "weight", "tuple", "dict"],
)
def test_differing_lengths_are_named(arguments, sentence):
    assert message(ValueError, rows_of, *arguments) == sentence


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_counted(bad):
    x = TEN.copy()
    x[[2, 5]] = bad
    assert message(ValueError, rows_of, x, TEN) == (
        "`fit`: `x` must hold finite numbers only. Received: NaN or infinity in 2 of 10."
    )
    assert message(ValueError, rows_of, TEN, x) == (
        "`fit`: `y` must hold finite numbers only. Received: NaN or infinity in 2 of 10."
    )
    assert message(ValueError, rows_of, TEN, TEN, x) == (
        "`fit`: `sample_weight` must hold finite numbers only. "
        "Received: NaN or infinity in 2 of 10."
    )


KINDS = "must be arrays with one row per sample, a tf.data.Dataset or a keras.utils.PyDataset"


@pytest.mark.parametrize(
    "x, received",
    [
        (None, "x=None"),
        (5, "x=5"),
        ("images", "x='images'"),
        ([[1, 2], [3]], "x=[[1, 2], [3]]"),
    ],
)
def test_what_is_no_array_is_refused(x, received):
    assert message(TypeError, rows_of, x, None) == f"`fit`: `x` {KINDS}. Received: {received}."


def test_a_function_and_a_generator_are_no_arrays():
    for x in (len, iter([TEN])):
        assert message(TypeError, rows_of, x, None) == f"`fit`: `x` {KINDS}. Received: x={x!r}."


def test_only_the_inputs_of_fit_may_be_a_stream_and_other_errors_do_not_offer_it():
    assert message(TypeError, rows_of, TEN, 5) == (
        "`fit`: `y` must be arrays with one row per sample. Received: y=5."
    )
    assert message(TypeError, rows_of, 5, None, function="build_and_fit") == (
        "`build_and_fit`: `x` must be arrays with one row per sample. Received: x=5."
    )


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]"])
def test_dates_and_complex_numbers_are_refused(dtype):
    assert message(TypeError, rows_of, np.zeros(3, dtype), None) == (
        "`fit`: `x` must hold numbers only, or strings only. "
        f"Received: x=<ndarray of shape (3,), {dtype}>."
    )


def test_a_missing_value_among_objects_is_refused():
    assert message(TypeError, rows_of, TEN[:2], np.array([1, None])) == (
        "`fit`: `y` must hold numbers only, or strings only. "
        "Received: y=<ndarray of shape (2,), object>."
    )


# Splitting.


@pytest.mark.parametrize("n", [2, 3, 10, 11, 97])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 1 / 3, 0.5])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_validation_part_has_the_size_that_keras_would_give_it(n, fraction, shuffle):
    train, validation = split_positions(n, fraction, seed=0, shuffle=shuffle)
    keras_splits_at = int(n * (1.0 - fraction))
    assert (len(train), len(validation)) == (keras_splits_at, n - keras_splits_at)
    assert sorted([*train, *validation]) == list(range(n))


def test_the_tail_is_taken_without_shuffle():
    train, validation = split_positions(10, 0.3, seed=5, shuffle=False, labels=TEN)
    assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9])


def test_the_seed_decides_which_rows_are_held_out():
    held_out = {seed: split_positions(100, 0.2, seed=seed)[1].tolist() for seed in (1, 2)}
    assert held_out[1] != held_out[2]
    assert held_out[1] == split_positions(100, 0.2, seed=1)[1].tolist()
    assert held_out[1] != list(range(80, 100))


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.5])
def test_each_class_is_split_in_the_same_proportion_to_the_nearest_row(fraction):
    labels = np.repeat([0, 1, 2], [60, 30, 7])  # Sorted, as the tail would betray.
    _, validation = split_positions(97, fraction, seed=1, labels=labels)
    counts = np.bincount(labels[validation], minlength=3)
    assert np.abs(counts - fraction * np.array([60, 30, 7])).max() <= 1
    assert counts.sum() == 97 - int(97 * (1 - fraction))


def test_any_labels_can_be_stratified():
    labels = np.array(["cat", "dog"] * 10)
    _, validation = split_positions(20, 0.2, seed=1, labels=labels)
    assert sorted(labels[validation]) == ["cat", "cat", "dog", "dog"]


def test_among_classes_too_rare_to_split_chance_decides():
    one_row_each = np.arange(100)
    _, validation = split_positions(100, 0.2, seed=1, labels=one_row_each)
    assert len(validation) == 20
    assert 20 < validation.mean() < 80


@pytest.mark.parametrize("n, fraction", [(1, 0.5), (3, 0.999), (1, 0.01)])
def test_a_split_leaves_a_row_on_either_side(n, fraction):
    assert message(ValueError, split_positions, n, fraction, seed=0) == (
        "`fit`: `validation_split` must leave at least one row on either side. "
        f"Received: validation_split={fraction} of {n} rows."
    )


# The weights of classes.


def test_a_class_that_is_not_named_weighs_one():
    labels = np.array([0, 1, 2, 1])
    weighted = with_class_weight(Rows(TEN[:4], labels), {1: 3.0}, labels)
    assert weighted.weight.tolist() == [1, 3, 1, 3]
    assert weighted.weight.dtype == "float32"


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_the_weight_of_a_class_multiplies_that_of_the_row(shape):
    labels = np.array([0, 1, 2, 1])
    rows = Rows(TEN[:4], labels, np.array([1, 2, 3, 4], "float32").reshape(shape))
    assert with_class_weight(rows, {0: 10.0, 1: 0.5}, labels).weight.tolist() == [10, 1, 3, 2]


def test_without_class_weights_the_rows_stay_as_they_are():
    rows = Rows(TEN, TEN)
    assert with_class_weight(rows, None, None) is rows


@pytest.mark.parametrize(
    "weight, received",
    [
        (np.ones((4, 2)), "<ndarray of shape (4, 2), float64>"),
        ({"out": [1, 2, 3, 4]}, "{'out': [1, 2, 3, 4]}"),
    ],
)
def test_class_weights_go_with_one_weight_a_row(weight, received):
    labels = np.array([0, 1, 2, 1])
    rows = Rows(TEN[:4], labels, weight)
    assert message(ValueError, with_class_weight, rows, {0: 2.0}, labels) == (
        "`fit`: `sample_weight` must hold one weight a row beside `class_weight`. "
        f"Received: sample_weight={received}."
    )


X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
LABELS = np.arange(50) % 3


def softmax():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def sigmoid():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])


@pytest.mark.parametrize(
    "build, y, class_weight",
    [
        (softmax, LABELS, {0: 1.0, 1: 5.0, 2: 0.25}),
        (softmax, np.eye(3)[LABELS], {0: 1.0, 1: 5.0, 2: 0.25}),
        (sigmoid, (LABELS > 0).astype(float), {0: 4.0, 1: 0.5}),
    ],
    ids=["integers", "one-hot", "binary"],
)
def test_class_weights_do_what_those_of_keras_do(build, y, class_weight):
    arguments = {"epochs": 3, "batch_size": 16, "class_weight": class_weight, "shuffle": False}
    models = [ktr.compile_for_task(build(), y=y) for _ in range(2)]
    for model in models:
        model.run_eagerly = True  # Tracing would take longer than these few steps.
    keras_history = models[0].fit(X, y, verbose=0, **arguments)
    history = ktr.fit(models[1], X, y, verbose=0, **arguments)
    assert history.history["loss"] == keras_history.history["loss"]
    assert history.history["accuracy"] == keras_history.history["accuracy"]
