"""The rows of a search with folds: split anew for each, with the classes in proportion."""

import collections

import numpy as np
import pytest

import kerastrain as ktr

model_selection = pytest.importorskip(
    "sklearn.model_selection", reason="folds need the extra `search`"
)

from kerastrain._checks import show  # noqa: E402
from kerastrain.search.folds import Fold, all_rows, folds_checked, folds_of  # noqa: E402

X = np.arange(60, dtype="float32").reshape(30, 2)
RARE = np.array([0] * 20 + [1] * 10)
NUMBERS = np.linspace(0.5, 2.5, 30).astype("float32")


def rows_in(part):
    """Which rows of `X` a part holds."""
    x = part[0]["a"] if isinstance(part[0], dict) else part[0]
    return (np.asarray(x)[:, 0] // 2).astype(int).tolist()


def assert_each_row_is_held_out_once(folds, count):
    for fold in folds:
        assert sorted(rows_in(fold.train) + rows_in(fold.val)) == list(range(count))
    assert sorted(row for fold in folds for row in rows_in(fold.val)) == list(range(count))


def message(kind, function, *arguments, **keywords):
    with pytest.raises(kind) as error:
        function(*arguments, **keywords)
    return str(error.value)


def test_classes_are_in_proportion_in_every_fold():
    folds = folds_of((X, RARE), 5, seed=1)
    assert_each_row_is_held_out_once(folds, 30)
    assert [collections.Counter(fold.val[1].tolist()) for fold in folds] == [{0: 4, 1: 2}] * 5
    assert [(fold.task, fold.classes) for fold in folds] == [(None, range(2))] * 5


@pytest.mark.parametrize(
    "y", [np.eye(2)[RARE], RARE.reshape(-1, 1), RARE.astype("float32"), RARE.tolist()]
)
def test_classes_are_told_from_labels_of_any_form(y):
    folds = folds_of((X, y), 5, seed=1)
    ones = [np.asarray(fold.val[1]).reshape(6, -1)[:, -1].sum() for fold in folds]
    assert ones == [2] * 5


def test_rows_are_shuffled_by_the_seed_alone():
    first, again, other = (folds_of((X, RARE), 3, seed=seed) for seed in (1, 1, 2))
    assert [rows_in(fold.val) for fold in first] == [rows_in(fold.val) for fold in again]
    assert [rows_in(fold.val) for fold in first] != [rows_in(fold.val) for fold in other]
    assert rows_in(first[0].val) != list(range(10))


def test_numbers_to_predict_are_split_without_classes():
    folds = folds_of((X, NUMBERS), 4, seed=1)
    assert_each_row_is_held_out_once(folds, 30)
    assert [len(fold.val[1]) for fold in folds] == [8, 8, 7, 7]
    assert {fold.classes for fold in folds} == {None}
    for fold in folds:
        np.testing.assert_array_equal(fold.val[1], NUMBERS[rows_in(fold.val)])


def test_classes_that_are_all_rarer_than_the_folds_are_split_all_the_same():
    folds = folds_of((X, np.arange(30)), 3, seed=1)
    assert_each_row_is_held_out_once(folds, 30)
    assert {fold.classes for fold in folds} == {range(30)}


def test_a_class_that_a_fold_lacks_is_counted():
    folds = folds_of((X, np.array([0] * 29 + [2])), 2, seed=1)
    assert {fold.classes for fold in folds} == {range(3)}


def test_training_and_validation_rows_are_joined_and_the_test_is_left_out():
    data = ktr.load_dataset("digits")
    folds = folds_of(data, 3, seed=1)
    known = len(data.train[0]) + len(data.val[0])
    assert [len(fold.train[0]) + len(fold.val[0]) for fold in folds] == [known] * 3
    assert sum(len(fold.val[0]) for fold in folds) == known
    assert {(fold.task, fold.classes) for fold in folds} == {("multiclass", range(10))}
    x, task, classes = all_rows(data)
    np.testing.assert_array_equal(x.x, np.concatenate([data.train[0], data.val[0]]))
    np.testing.assert_array_equal(x.y, np.concatenate([data.train[1], data.val[1]]))
    assert (task, classes) == ("multiclass", 10)


def test_data_for_regression_have_no_classes():
    folds = folds_of(ktr.load_dataset("diabetes"), 3, seed=1)
    assert {(fold.task, fold.classes) for fold in folds} == {("regression", None)}


def test_inputs_and_outputs_in_dicts_are_split_row_by_row():
    x = {"a": X, "b": np.arange(30) * 10.0}
    folds = folds_of((x, {"label": RARE}), 3, seed=1)
    assert_each_row_is_held_out_once(folds, 30)
    for fold in folds:
        np.testing.assert_array_equal(fold.train[0]["b"], np.array(rows_in(fold.train)) * 10.0)
        np.testing.assert_array_equal(fold.val[1]["label"], RARE[rows_in(fold.val)])


def test_rows_without_targets_are_split():
    assert_each_row_is_held_out_once(folds_of((X, None), 3, seed=1), 30)


def test_a_splitter_says_which_rows():
    folds = folds_of((X, NUMBERS), model_selection.TimeSeriesSplit(4), seed=1)
    assert [(len(rows_in(f.train)), rows_in(f.val)) for f in folds] == [
        (6, [6, 7, 8, 9, 10, 11]),
        (12, [12, 13, 14, 15, 16, 17]),
        (18, [18, 19, 20, 21, 22, 23]),
        (24, [24, 25, 26, 27, 28, 29]),
    ]


def test_a_splitter_that_needs_labels_has_them():
    splitter = model_selection.StratifiedShuffleSplit(2, test_size=6, random_state=3)
    folds = folds_of((X, np.eye(2)[RARE]), splitter, seed=1)
    assert [fold.val[1].sum(axis=0).tolist() for fold in folds] == [[4, 2]] * 2


def test_a_fold_trains():
    data = ktr.load_dataset("digits")
    fold = folds_of(data, 3, seed=1)[0]
    model, history = ktr.build_and_fit("dense", fold, epochs=1, seed=1, verbose=0)
    assert model.output_shape == (None, 10)
    assert len(history.history["val_loss"]) == 1


def test_a_fold_without_validation_trains_on_all_rows():
    whole = Fold((X, NUMBERS), None, "regression", None)
    _, history = ktr.build_and_fit("regression", whole, epochs=1, seed=1, verbose=0)
    assert sorted(history.history) == ["learning_rate", "loss", "mae", "mse", "r2", "seconds"]


# What is refused


@pytest.mark.parametrize("folds", [None, 2, 10])
def test_a_number_of_folds_is_taken(folds):
    assert folds_checked(folds) == folds


def test_a_number_of_numpys_becomes_pythons():
    assert type(folds_checked(np.int64(3))) is int


@pytest.mark.parametrize(
    "splitter",
    [
        model_selection.KFold(3),
        model_selection.KFold(3, shuffle=True, random_state=1),
        model_selection.TimeSeriesSplit(3),
        model_selection.LeaveOneOut(),
        model_selection.ShuffleSplit(3, random_state=np.int64(1)),
        model_selection.PredefinedSplit([0, 1, 0, 1]),
    ],
)
def test_a_splitter_that_splits_alike_each_time_is_taken(splitter):
    assert folds_checked(splitter) is splitter


@pytest.mark.parametrize(
    "splitter",
    [
        model_selection.KFold(3, shuffle=True),
        model_selection.ShuffleSplit(3, random_state=np.random.RandomState(1)),
        model_selection.RepeatedKFold(n_splits=3),
    ],
)
def test_a_splitter_that_splits_otherwise_each_time_is_refused(splitter):
    assert message(ValueError, folds_checked, splitter) == (
        "`search`: `folds` must have a number as its `random_state`, so that all trials have the "
        f"same folds. Received: folds={show(splitter)}."
    )


def test_one_fold_is_refused():
    assert message(ValueError, folds_checked, 1) == (
        "`search`: `folds` must be at least 2. Received: folds=1."
    )


def test_true_is_no_number_of_folds():
    assert message(TypeError, folds_checked, True) == (
        "`search`: `folds` must be a whole number. Received: folds=True."
    )


@pytest.mark.parametrize(
    "folds, shown",
    [
        ("5", "'5'"),
        (2.5, "2.5"),
        ([([0], [1])], "[([0], [1])]"),
        (model_selection.KFold, "<class 'sklearn.model_selection._split.KFold'>"),
    ],
)
def test_what_cannot_split_is_refused(folds, shown):
    assert message(TypeError, folds_checked, folds) == (
        "`search`: `folds` must be a whole number, or a splitter such as TimeSeriesSplit(5). "
        f"Received: folds={shown}."
    )


def test_more_folds_than_rows_are_refused():
    assert message(ValueError, folds_of, (X, NUMBERS), 31, seed=1) == (
        "`search`: `folds` must be at most the number of rows (30). Received: folds=31."
    )


def test_a_stream_is_refused():
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices((X, RARE)).batch(4)
    assert message(ValueError, folds_of, stream, 3, seed=1).startswith(
        "`search`: `data` must be arrays where there are folds: a stream can't be split. "
        "Received: data=<_BatchDataset "
    )
