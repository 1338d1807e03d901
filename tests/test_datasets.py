import csv
import dataclasses
import gzip
import pathlib
import sys
import unicodedata

import keras
import make_embedded_data
import numpy as np
import pytest

from kerastrain import _data_files, _data_places, datasets
from kerastrain.datasets import list_datasets, load_dataset

DEBIAN = pathlib.Path("/usr/share/datasets/fashion-mnist")
SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"
HOUSING = SHARED / "california_housing.csv.gz"
REVIEWS = SHARED / "nsmc.tsv.gz"
EMBEDDED = pathlib.Path(datasets.__file__).parent / "embedded"

needs_full_fashion_mnist = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="the full Fashion-MNIST (Debian's dataset-fashion-mnist) is absent"
)
needs_housing = pytest.mark.skipif(not HOUSING.is_file(), reason=f"{HOUSING.name} is absent")
needs_reviews = pytest.mark.skipif(not REVIEWS.is_file(), reason=f"{REVIEWS.name} is absent")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure on https://example.org: None -- no network")

    monkeypatch.delenv("KERASTRAIN_DATA", raising=False)
    monkeypatch.setattr(keras.datasets.imdb, "get_word_index", fail)
    monkeypatch.setattr(keras.utils, "get_file", fail)
    for name in ("california_housing", "fashion_mnist", "imdb", "mnist"):
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", fail)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The folder that KERASTRAIN_DATA names; no package of the system provides anything."""
    monkeypatch.setenv("KERASTRAIN_DATA", str(tmp_path))
    monkeypatch.setattr(_data_places, "_SYSTEM_FOLDERS", {})
    return tmp_path


def images(first_labels=(), *, count=20):
    labels = np.arange(count) % 10
    labels[: len(first_labels)] = first_labels
    x = np.random.RandomState(0).randint(0, 256, (count, 28, 28))
    return x.astype(np.uint8), labels.astype(np.uint8)


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder, train, test, *, suffix=""):
    folder.mkdir(exist_ok=True)
    for name, array in zip(_data_places._IDX_FILES, (*train, *test), strict=True):
        raw = idx(array)
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw, mtime=0) if suffix else raw)


def message(error_type, name, **arguments):
    with pytest.raises(error_type) as error:
        load_dataset(name, **arguments)
    return str(error.value)


# The embedded sets.


def test_the_small_set_is_interleaved_scaled_and_balanced():
    data = load_dataset("fashion_mnist_small")
    assert [x.shape for x, _ in (data.train, data.val, data.test)] == [
        (5120, 28, 28),
        (1280, 28, 28),
        (1000, 28, 28),
    ]
    labels = np.concatenate([data.train[1], data.val[1]])
    assert np.bincount(labels).tolist() == [640] * 10
    assert np.bincount(data.test[1]).tolist() == [100] * 10
    assert np.bincount(data.test[1][:100]).min() >= 3
    assert (data.train[0].dtype, data.train[1].dtype) == (np.float32, np.int64)
    assert (data.train[0].min(), data.train[0].max()) == (0.0, 1.0)
    assert data.task == "multiclass"
    assert data.classes[9] == "Ankle boot"


def test_the_embedded_files_leave_room_in_a_wheel_of_five_megabytes():
    assert (EMBEDDED / "fashion_mnist_small.npz").stat().st_size < 4_500_000
    assert (EMBEDDED / "korean_reviews_small.npz").stat().st_size < 60_000


@needs_full_fashion_mnist
def test_the_embedded_file_holds_what_its_script_draws():
    assert_holds("fashion_mnist_small.npz", make_embedded_data.clothes())


def test_the_embedded_reviews_are_those_that_were_written_for_it():
    assert_holds("korean_reviews_small.npz", make_embedded_data.reviews())


def assert_holds(filename, arrays):
    with np.load(EMBEDDED / filename, allow_pickle=False) as embedded:
        assert set(embedded) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(embedded[name], array)


def test_the_small_reviews_are_400_half_of_each_class_and_none_twice():
    data = load_dataset("korean_reviews_small")
    x, y = (np.concatenate(parts) for parts in zip(data.train, data.val, data.test, strict=True))
    assert [len(pair[1]) for pair in (data.train, data.val, data.test)] == [256, 64, 80]
    assert np.bincount(y).tolist() == [200, 200]
    assert np.bincount(data.test[1]).tolist() == [40, 40]
    assert len(set(x)) == 400
    assert all(unicodedata.is_normalized("NFC", text) and text == text.strip() for text in x)
    assert max(map(len, x)) <= 140
    assert [part.dtype for part in data.train] == [object, np.int64]
    assert (data.task, data.classes) == ("binary", ("negative", "positive"))
    assert data.source == "embedded in kerastrain"


@needs_reviews
def test_no_small_review_is_copied_from_the_naver_corpus():
    theirs, _ = _data_files.read_reviews(REVIEWS)
    ours, _ = _data_files.read_reviews(make_embedded_data.REVIEWS)
    assert letters(theirs).isdisjoint(letters(ours))


def letters(texts):
    """Returns the texts without what is no letter, so that a full stop more makes no other one."""
    return {"".join(filter(str.isalnum, text)) for text in texts}


def test_the_licence_of_the_images_travels_with_them():
    licence = pathlib.Path(datasets.__file__).parent / "embedded" / "LICENSE-fashion-mnist"
    assert "Copyright (c) 2017 Zalando SE" in licence.read_text()


# Splitting.


@pytest.mark.parametrize("validation", [0.2, 0.25, 0.001, 1 / 3])
def test_the_validation_rows_are_those_of_scikit_learn(validation):
    model_selection = pytest.importorskip("sklearn.model_selection")
    x, y = datasets._fashion_mnist_small().rows
    x_train, x_val, y_train, y_val = model_selection.train_test_split(
        x, y, test_size=validation, random_state=7
    )
    data = load_dataset("fashion_mnist_small", validation=validation, seed=7)
    np.testing.assert_array_equal(data.train[1], y_train)
    np.testing.assert_array_equal(data.val[1], y_val)
    np.testing.assert_array_equal(data.train[0], x_train.astype("float32") / 255)
    np.testing.assert_array_equal(data.val[0], x_val.astype("float32") / 255)


@needs_full_fashion_mnist
def test_the_full_set_splits_into_the_48000_and_12000_rows_of_scikit_learn():
    model_selection = pytest.importorskip("sklearn.model_selection")
    _, y = datasets._fashion_mnist().rows
    y_train, y_val = model_selection.train_test_split(y, test_size=0.2, random_state=42)
    data = load_dataset("fashion_mnist")
    assert (data.train[0].shape, data.val[0].shape) == ((48_000, 28, 28), (12_000, 28, 28))
    assert data.test[0].shape == (10_000, 28, 28)
    assert data.source == str(DEBIAN)
    np.testing.assert_array_equal(data.train[1], y_train)
    np.testing.assert_array_equal(data.val[1], y_val)
    assert data.test[1][:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]


def test_another_seed_chooses_other_rows_and_the_same_seed_the_same():
    labels = [load_dataset("fashion_mnist_small", seed=seed).val[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(labels[0], labels[1])
    assert (labels[0] != labels[2]).any()


def test_the_arrays_can_be_written_to():
    data = load_dataset("fashion_mnist_small")
    assert all(array.flags.writeable for pair in (data.train, data.test) for array in pair)


# Data, and the names.


def test_a_data_set_prints_shapes_and_source_and_no_arrays():
    assert repr(load_dataset("fashion_mnist_small")) == (
        "<Data fashion_mnist_small: train (5120, 28, 28), val (1280, 28, 28), "
        "test (1000, 28, 28); multiclass, 10 classes; embedded in kerastrain>"
    )


def test_a_data_set_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_dataset("fashion_mnist_small").task = "binary"


def test_the_names_are_sorted():
    assert list_datasets() == [
        "california_housing",
        "diabetes",
        "digits",
        "fashion_mnist",
        "fashion_mnist_small",
        "imdb",
        "korean_reviews_small",
        "mnist",
        "nsmc",
    ]


def test_an_unknown_name_is_refused_and_the_nearest_named():
    assert message(ValueError, "fashion_mnist_smal") == (
        "`load_dataset`: `name` must be one of 'california_housing', 'diabetes', 'digits', "
        "'fashion_mnist', 'fashion_mnist_small', 'imdb', 'korean_reviews_small', 'mnist', 'nsmc' "
        "(did you mean 'fashion_mnist_small'?). Received: name='fashion_mnist_smal'."
    )


@pytest.mark.parametrize("validation", [0, 1, 1.5, -0.1, float("nan")])
def test_the_validation_share_lies_between_nothing_and_everything(validation):
    assert message(ValueError, "fashion_mnist_small", validation=validation) == (
        "`load_dataset`: `validation` must be above 0 and below 1. "
        f"Received: validation={validation}."
    )


def test_a_share_that_leaves_nothing_to_train_on_is_refused():
    assert message(ValueError, "fashion_mnist_small", validation=0.99999) == (
        "`load_dataset`: `validation` must leave at least one of 6,400 rows to train on. "
        "Received: validation=0.99999."
    )


def test_a_seed_is_a_whole_number_that_numpy_can_take():
    assert message(ValueError, "fashion_mnist_small", seed=-1) == (
        "`load_dataset`: `seed` must be at least 0. Received: seed=-1."
    )
    assert message(ValueError, "fashion_mnist_small", seed=2**32) == (
        "`load_dataset`: `seed` must be at most 4294967295. Received: seed=4294967296."
    )
    assert message(TypeError, "fashion_mnist_small", seed=None) == (
        "`load_dataset`: `seed` must be a whole number. Received: seed=None."
    )


# IDX files and mnist.npz in the user's folder.


@pytest.mark.parametrize("subfolder", ["fashion_mnist", "fashion-mnist", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_from_the_users_folder(folder, subfolder, suffix):
    train, test = images(count=50), images((9, 2, 1, 1, 6, 1, 4, 6, 5, 7))
    write_idx(folder / subfolder, train, test, suffix=suffix)
    data = load_dataset("fashion_mnist", validation=0.1)
    assert (len(data.train[1]), len(data.val[1])) == (45, 5)
    np.testing.assert_array_equal(data.test[0], test[0].astype("float32") / 255)
    np.testing.assert_array_equal(data.test[1], test[1])
    assert data.source == str(folder / subfolder)


def test_the_named_subfolder_comes_before_the_folder_itself(folder):
    write_idx(folder, images(), images((7, 2, 1, 0, 4, 1, 4, 9, 5, 9)))
    write_idx(folder / "mnist", images(), images((7, 2, 1, 0, 4, 1, 4, 9, 5, 9)))
    assert load_dataset("mnist").source == str(folder / "mnist")


def test_mnist_is_read_from_its_npz(folder):
    (x_train, y_train), (x_test, y_test) = images(count=40), images()
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    np.savez(folder / "mnist.npz", **arrays)
    data = load_dataset("mnist")
    assert data.train[0].shape == (32, 28, 28)
    assert data.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert data.source == str(folder / "mnist.npz")
    np.testing.assert_array_equal(data.test[1], y_test)


def test_an_unnamed_folder_with_the_other_set_is_passed_over(folder, monkeypatch):
    write_idx(folder, images(), images((9, 2, 1, 1, 6, 1, 4, 6, 5, 7)))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (images(), images()))
    assert load_dataset("mnist").source == "keras.datasets.mnist"
    assert load_dataset("fashion_mnist").source == str(folder)


def test_an_unnamed_folder_with_neither_set_is_refused(folder):
    write_idx(folder, images(), images())
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{folder / 't10k-labels-idx1-ubyte'}': its first labels are "
        "not those of 'fashion_mnist' nor of 'mnist'; put all four files into a folder 'mnist'."
    )


def test_a_named_folder_with_the_other_set_is_refused(folder):
    write_idx(folder / "mnist", images(), images((9, 2, 1, 1, 6, 1, 4, 6, 5, 7)))
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{folder / 'mnist' / 't10k-labels-idx1-ubyte'}': its labels "
        "are those of 'fashion_mnist', not of 'mnist'."
    )


def test_missing_idx_files_are_named(folder):
    write_idx(folder / "mnist", images(), images())
    (folder / "mnist" / "train-labels-idx1-ubyte").unlink()
    (folder / "mnist" / "t10k-images-idx3-ubyte").unlink()
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{folder / 'mnist'}': of the four IDX files it lacks "
        "train-labels-idx1-ubyte, t10k-images-idx3-ubyte."
    )


@pytest.mark.parametrize(
    "name, raw, why",
    [
        (
            "train-images-idx3-ubyte",
            idx(images()[0])[:-1],
            "it holds 15,695 bytes where it announces 15,696",
        ),
        (
            "train-images-idx3-ubyte",
            idx(images()[1]),
            "it doesn't begin as an IDX file of 3-dimensional bytes does",
        ),
        (
            "train-labels-idx1-ubyte",
            b"",
            "it doesn't begin as an IDX file of 1-dimensional bytes does",
        ),
        (
            "t10k-labels-idx1-ubyte",
            gzip.compress(idx(images()[1]), mtime=0)[:-12],
            "it is cut short or damaged, gzip says",
        ),
    ],
)
def test_a_broken_idx_file_is_named(folder, name, raw, why):
    write_idx(folder / "mnist", images(), images())
    (folder / "mnist" / name).write_bytes(raw)
    path = folder / "mnist" / name
    assert message(ValueError, "mnist") == f"`load_dataset`: can't use '{path}': {why}."


def test_images_without_a_label_each_are_refused(folder):
    write_idx(folder / "mnist", (images()[0], images(count=19)[1]), images())
    path = folder / "mnist" / "train-images-idx3-ubyte"
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{path}': its <ndarray of shape (20, 28, 28), uint8> with "
        "<ndarray of shape (19,), uint8> aren't images of 28 by 28 bytes with a label each."
    )


def test_labels_beyond_nine_are_refused(folder):
    write_idx(folder / "mnist", images((10,)), images())
    path = folder / "mnist" / "train-images-idx3-ubyte"
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{path}': its labels aren't the numbers 0 to 9."
    )


@pytest.mark.parametrize("raw", [b"", b"no archive", gzip.compress(b"PK", mtime=0)])
def test_a_broken_npz_is_named(folder, raw):
    (folder / "mnist.npz").write_bytes(raw)
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{folder / 'mnist.npz'}': it isn't an .npz of x_train, "
        "y_train, x_test and y_test."
    )


def test_pickled_arrays_are_not_opened(folder):
    pickled = np.array([[1], [1, 2]], dtype=object)
    arrays = dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), pickled)
    np.savez(folder / "mnist.npz", **arrays)
    assert message(ValueError, "mnist") == (
        f"`load_dataset`: can't use '{folder / 'mnist.npz'}': it isn't an .npz of x_train, "
        "y_train, x_test and y_test."
    )


def test_a_folder_that_is_not_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASTRAIN_DATA", str(tmp_path / "gone"))
    assert message(ValueError, "mnist") == (
        "`load_dataset`: `KERASTRAIN_DATA` must name a folder that exists. "
        f"Received: KERASTRAIN_DATA='{tmp_path / 'gone'}'."
    )
    assert load_dataset("fashion_mnist_small").source == "embedded in kerastrain"


# California housing.


@needs_housing
def test_the_districts_are_split_and_scaled_by_the_training_part_alone(monkeypatch):
    model_selection = pytest.importorskip("sklearn.model_selection")
    monkeypatch.setenv("KERASTRAIN_DATA", str(SHARED))
    with gzip.open(HOUSING, "rt") as file:
        rows = list(csv.DictReader(file))
    x = np.array([[float(r[name] or "nan") for name in _data_files.HOUSING_FEATURES] for r in rows])
    y = np.array([float(row["median_house_value"]) for row in rows])
    x, x_test, y, y_test = model_selection.train_test_split(x, y, random_state=42)
    x, x_val, y, y_val = model_selection.train_test_split(x, y, test_size=0.2, random_state=42)
    median = np.nanmedian(x, axis=0)
    filled = [np.where(np.isnan(part), median, part) for part in (x, x_val, x_test)]
    mean, deviation = filled[0].mean(axis=0), filled[0].std(axis=0)

    data = load_dataset("california_housing")
    got = (data.train, data.val, data.test)
    assert [len(pair[1]) for pair in got] == [12_384, 3_096, 5_160]
    for pair, features, dollars in zip(got, filled, (y, y_val, y_test), strict=True):
        assert (pair[0].dtype, pair[1].dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(pair[0], (features - mean) / deviation, atol=1e-5)
        np.testing.assert_allclose(pair[1], dollars / 100_000, rtol=1e-6)
    np.testing.assert_allclose(data.train[0].mean(axis=0), np.zeros(8), atol=1e-5)
    np.testing.assert_allclose(data.train[0].std(axis=0), np.ones(8), atol=1e-5)
    assert (data.task, data.classes, data.source) == ("regression", None, str(HOUSING))


def housing_table(price="200000.0", **changes):
    cells = {name: str(n) for n, name in enumerate(_data_files.HOUSING_FEATURES)} | changes
    return f"{','.join(cells)},median_house_value\n" + 20 * f"{','.join(cells.values())},{price}\n"


def test_the_table_may_be_plain_and_a_constant_column_becomes_zeros(folder):
    (folder / "california_housing.csv").write_text(housing_table())
    data = load_dataset("california_housing")
    assert [len(pair[1]) for pair in (data.train, data.val, data.test)] == [12, 3, 5]
    assert not data.train[0].any()
    assert data.train[1].tolist() == [2.0] * 12


@pytest.mark.parametrize(
    "text, why",
    [
        ("longitude,latitude\n1,2\n", None),
        (housing_table(longitude="west"), "line 2 holds text in a column of numbers"),
        (housing_table(price=""), "line 2 has no median_house_value"),
        (housing_table().splitlines()[0], "it has no rows"),
        (b"\xff\xfe", "it isn't text in UTF-8"),
    ],
)
def test_a_table_that_is_not_the_districts_is_refused(folder, text, why):
    path = folder / "california_housing.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    why = why or (
        "it has no column housing_median_age, total_rooms, total_bedrooms, population, "
        "households, median_income, median_house_value"
    )
    assert message(ValueError, "california_housing") == (
        f"`load_dataset`: can't use '{path}': {why}."
    )


def test_keras_table_of_districts_is_split_like_the_csv(monkeypatch):
    x, dollars = np.random.RandomState(0).randn(100, 8), np.full(100, 150_000.0)
    nothing = (x[:0], dollars[:0])
    asked = {}

    def load_data(**arguments):
        asked.update(arguments)
        return (x, dollars), nothing

    monkeypatch.setattr(keras.datasets.california_housing, "load_data", load_data)
    data = load_dataset("california_housing")
    assert asked == {"version": "large", "test_split": 0.0}
    assert [len(pair[1]) for pair in (data.train, data.val, data.test)] == [60, 15, 25]
    assert set(data.val[1].tolist()) == {1.5}
    assert data.source == "keras.datasets.california_housing"


# Texts.


def test_reviews_become_strings_without_the_special_tokens(monkeypatch):
    # 1 starts a review and 2 stands for an unknown word; a word's number is 3 above its rank.
    reviews = np.array([[1, 4, 5], [1, 5, 2, 4], [1], [1, 6, 6], [1, 4]], dtype=object)
    labels = np.array([1, 0, 0, 1, 1])
    pair = (reviews, labels)
    monkeypatch.setattr(keras.datasets.imdb, "load_data", lambda: (pair, pair))
    words = {"the": 1, "film": 2, "good": 3}
    monkeypatch.setattr(keras.datasets.imdb, "get_word_index", lambda: words)
    data = load_dataset("imdb", validation=0.4)
    assert data.test[0].tolist() == ["the film", "film the", "", "good good", "the"]
    assert data.test[0].dtype == object
    assert data.test[1].tolist() == [1, 0, 0, 1, 1]
    assert (len(data.train[0]), len(data.val[0])) == (3, 2)
    assert (data.task, data.classes) == ("binary", ("negative", "positive"))
    assert data.source == "keras.datasets.imdb"


@needs_reviews
def test_the_naver_reviews_are_split_from_the_file_of_all_of_them(monkeypatch):
    monkeypatch.setenv("KERASTRAIN_DATA", str(SHARED))
    with gzip.open(REVIEWS, "rt", encoding="utf-8", newline="") as file:
        next(file)
        rows = [line.rstrip("\n").rsplit("\t", 1) for line in file]
    order = np.random.RandomState(42).permutation(40_000)
    data = load_dataset("nsmc")
    assert [len(pair[1]) for pair in (data.train, data.val, data.test)] == [24_000, 6_000, 10_000]
    assert data.test[0].tolist() == [rows[row][0] for row in order[:10_000]]
    assert data.test[1].tolist() == [int(rows[row][1]) for row in order[:10_000]]
    assert (data.task, data.classes) == ("binary", ("negative", "positive"))
    assert data.source == str(REVIEWS)


MAKERS = 'id\tdocument\tlabel\n1\t참 "좋다\t1\n2\t별로..\t0\n3\t\t1\n4\t좋다"\t1\n5\t음 ;;\t0\n'


@pytest.mark.parametrize("subfolder", ["nsmc", "."])
def test_the_makers_own_test_rows_are_kept_and_rows_without_a_text_left_out(folder, subfolder):
    (folder / subfolder).mkdir(exist_ok=True)
    (folder / subfolder / "ratings_train.txt").write_text(MAKERS, encoding="utf-8")
    (folder / subfolder / "ratings_test.txt").write_text(MAKERS, encoding="utf-8")
    data = load_dataset("nsmc", validation=0.25)
    assert data.test[0].tolist() == ['참 "좋다', "별로..", '좋다"', "음 ;;"]
    assert data.test[1].tolist() == [1, 0, 1, 0]
    assert (len(data.train[1]), len(data.val[1])) == (3, 1)
    assert data.source == str(folder / subfolder)


@pytest.mark.parametrize(
    "there, missing",
    [("ratings_train.txt", "ratings_test.txt"), ("ratings_test.txt", "ratings_train.txt")],
)
def test_one_of_the_makers_files_alone_is_refused(folder, there, missing):
    (folder / there).write_text(MAKERS, encoding="utf-8")
    assert message(ValueError, "nsmc") == (
        f"`load_dataset`: can't use '{folder / there}': {missing} isn't beside it."
    )


@pytest.mark.parametrize(
    "text, why",
    [
        ("id\treview\n1\t좋다\n", "it has no column document, label"),
        ("document\tlabel\n좋다\t1\n별로\t2\n", "line 3 has no label of 0 or 1"),
        ("document\tlabel\n좋다\n", "line 2 has no label of 0 or 1"),
        ("document\tlabel\n \t1\n", "it has no rows"),
        ("document\tlabel\n좋다\t1\n".encode("cp949"), "it isn't text in UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_reviews_is_refused(folder, text, why):
    path = folder / "nsmc.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message(ValueError, "nsmc") == f"`load_dataset`: can't use '{path}': {why}."


def test_the_makers_files_are_fetched_by_address_and_hash(folder, monkeypatch):
    asked = []

    def get_file(fname, origin, *, file_hash, hash_algorithm):
        asked.append((fname, origin, hash_algorithm, len(file_hash)))
        (folder / "cache").mkdir(exist_ok=True)
        (folder / "cache" / fname).write_text(MAKERS, encoding="utf-8")
        return str(folder / "cache" / fname)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    data = load_dataset("nsmc")
    source = "https://raw.githubusercontent.com/e9t/nsmc/master/"
    assert asked == [
        (f"nsmc_{name}", f"{source}{name}", "sha256", 64)
        for name in ("ratings_train.txt", "ratings_test.txt")
    ]
    assert len(data.test[1]) == 4
    assert data.source == source


# scikit-learn's sets.


def test_digits_are_scikit_learns_with_a_fifth_held_out():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    model_selection = pytest.importorskip("sklearn.model_selection")
    bunch = sklearn_datasets.load_digits()
    _, x_test, _, y_test = model_selection.train_test_split(
        bunch.images, bunch.target, test_size=0.2, random_state=42
    )
    data = load_dataset("digits")
    assert [len(pair[1]) for pair in (data.train, data.val, data.test)] == [1149, 288, 360]
    np.testing.assert_array_equal(data.test[0], (x_test / 16).astype("float32"))
    np.testing.assert_array_equal(data.test[1], y_test)
    assert (data.train[0].min(), data.train[0].max()) == (0.0, 1.0)
    assert data.source == "scikit-learn"


def test_diabetes_is_standardised_by_the_training_part():
    pytest.importorskip("sklearn.datasets")
    data = load_dataset("diabetes")
    assert [pair[0].shape for pair in (data.train, data.val, data.test)] == [
        (282, 10),
        (71, 10),
        (89, 10),
    ]
    np.testing.assert_allclose(data.train[0].mean(axis=0), np.zeros(10), atol=1e-5)
    np.testing.assert_allclose(data.train[0].std(axis=0), np.ones(10), atol=1e-5)
    assert abs(data.test[0].mean(axis=0)).max() > 0.01
    assert data.train[1].dtype == np.float32
    assert (data.train[1].min(), data.train[1].max()) == (25.0, 346.0)


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_without_scikit_learn_the_line_that_installs_it_is_given(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert message(ImportError, name) == (
        "`load_dataset` needs scikit-learn, which is not installed. "
        "Install it with: pip install 'kerastrain[sklearn]'"
    )


# Without a network.


@pytest.mark.parametrize(
    "name, files",
    [
        ("fashion_mnist", "the four IDX files"),
        ("mnist", "mnist.npz or the four IDX files"),
        ("california_housing", "california_housing.csv (or .csv.gz)"),
        ("nsmc", "ratings_train.txt and ratings_test.txt (or nsmc.tsv, or .tsv.gz)"),
    ],
)
def test_without_a_network_the_error_says_which_file_to_put_where(folder, name, files):
    assert message(OSError, name) == (
        f"`load_dataset`: {name!r} is not on this machine and could not be downloaded "
        "(URL fetch failure on https://example.org: None -- no network). "
        f"Put {files} into the folder {name!r} in the one that KERASTRAIN_DATA names."
    )


def test_without_a_network_imdb_is_to_be_put_where_keras_looks(monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "/keras")
    assert message(OSError, "imdb") == (
        "`load_dataset`: 'imdb' is not on this machine and could not be downloaded "
        "(URL fetch failure on https://example.org: None -- no network). "
        "Put imdb.npz and imdb_word_index.json into Keras's own folder, /keras/datasets."
    )


def test_a_failure_without_words_is_named_by_its_kind(folder, monkeypatch):
    def time_out():
        raise TimeoutError

    monkeypatch.setattr(keras.datasets.mnist, "load_data", time_out)
    assert message(OSError, "mnist") == (
        "`load_dataset`: 'mnist' is not on this machine and could not be downloaded "
        "(TimeoutError). Put mnist.npz or the four IDX files into the folder 'mnist' in the one "
        "that KERASTRAIN_DATA names."
    )
