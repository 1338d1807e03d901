"""Data sets to begin with: found on this machine first, fetched only when asked for by name.

`load_dataset` looks up a loader in one table, splits in one place (`_split`) and scales in one
place each (`_pixels`, `_standard_scores`). A loader only finds and reads; it decides nothing.
"""

import dataclasses
import importlib.resources
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from kerastrain._checks import invalid, needs, one_of, real_number, seed_number, show
from kerastrain._data_files import (
    Array,
    Pair,
    read_housing,
    read_npz,
    read_reviews,
    read_text_npz,
    unusable,
)
from kerastrain._data_places import download, idx_set, look

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DIGIT_CLASSES = tuple("0123456789")
REVIEW_CLASSES = "negative", "positive"

_NSMC = "https://raw.githubusercontent.com/e9t/nsmc/master/"
_NSMC_FILES = {
    "ratings_train.txt": "e03b7d14e9e41be8d464a28057cd25d7396c53e67aa7fd5f7e552c59b0ee2940",
    "ratings_test.txt": "8ac9f64052f11dbf6ae0acb5e038f03d90a76f0eda7820cfb3a92d02edfcebda",
}
"""The makers' files of the Naver sentiment movie corpus, and the SHA-256 of each."""

_IMDB_OFFSET = 3
"""Keras keeps the numbers up to 3 for special tokens, so that word 1 is written as 4."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A data set, split and scaled, ready for `fit`.

    Attributes:
        name: The name that it was loaded by.
        train: `(x, y)` to train on.
        val: `(x, y)` to validate on.
        test: `(x, y)` to keep for the end.
        task: "multiclass", "binary" or "regression".
        classes: The classes' names in the order of their labels; `None` for a regression.
        source: Where the data came from, in one line.
    """

    name: str
    train: Pair
    val: Pair
    test: Pair
    task: str
    classes: tuple[str, ...] | None
    source: str

    def __repr__(self) -> str:
        parts = {"train": self.train, "val": self.val, "test": self.test}
        shapes = ", ".join(f"{part} {np.shape(x)}" for part, (x, _) in parts.items())
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"<Data {self.name}: {shapes}; {self.task}{classes}; {self.source}>"


def load_dataset(name: str, *, validation: float = 0.2, seed: int = 42) -> Data:
    """Loads a data set by name, split into training, validation and test rows and scaled.

    `fashion_mnist_small` and `korean_reviews_small` are part of this package, `digits` and
    `diabetes` of scikit-learn. The others are looked for in the folder that the environment
    variable KERASTRAIN_DATA names, in a subfolder with the set's name before the folder itself;
    then, for `fashion_mnist`, where Debian's package puts it; and only then downloaded by Keras,
    which keeps what it has fetched.

    | name | rows, test rows | x | files in KERASTRAIN_DATA |
    |---|---|---|---|
    | `fashion_mnist_small` | 6,400 + 1,000 | images (28, 28), 0 to 1 | none needed |
    | `fashion_mnist` | 60,000 + 10,000 | images (28, 28), 0 to 1 | the four IDX files |
    | `mnist` | 60,000 + 10,000 | images (28, 28), 0 to 1 | `mnist.npz` or the four IDX files |
    | `digits` | 1,437 + 360 | images (8, 8), 0 to 1 | none needed |
    | `imdb` | 25,000 + 25,000 | reviews as strings | none: Keras's own cache only |
    | `korean_reviews_small` | 320 + 80 | Korean film reviews as strings | none needed |
    | `nsmc` | 149,995 + 49,997 | Korean film reviews as strings | `ratings_train.txt` and \
      `ratings_test.txt`, or a part in `nsmc.tsv` or `.tsv.gz` |
    | `california_housing` | 15,480 + 5,160 | 8 features | `california_housing.csv` or `.csv.gz` |
    | `diabetes` | 353 + 89 | 10 features | none needed |

    The validation rows are those of scikit-learn's `train_test_split(x, y, test_size=validation,
    random_state=seed)`: shuffled and not stratified, the first ceil(rows * validation) of
    `RandomState(seed).permutation(rows)`. So `fashion_mnist` with the defaults gives the 48,000
    and 12,000 rows that this widespread line gives. Where a set's makers kept no test rows they are
    held out first in the same way: a quarter of `california_housing` and of `nsmc.tsv`, a fifth of
    `digits` and `diabetes`.

    Features of a table are standardised, gaps filled with the median, and the numbers for both come
    from the training rows alone. Prices of `california_housing` are in 100,000 dollars. If Keras
    downloads that set, its columns and rows stand in Keras's order, which isn't the CSV's.

    Args:
        name: One of `list_datasets()`.
        validation: The share of the training rows to validate on, above 0 and below 1.
        seed: Chooses the rows that are held out.

    Returns:
        The set; labels are int64, targets and features float32.

    Raises:
        ValueError: If there is no such set, or a file that was found can't be used.
        OSError: If the set isn't on this machine and can't be downloaded.
        ImportError: If the set needs scikit-learn, which is missing.

    Example:
        >>> data = load_dataset("fashion_mnist_small")
        >>> data
        <Data fashion_mnist_small: train (5120, 28, 28), val (1280, 28, 28),
        test (1000, 28, 28); multiclass, 10 classes; embedded in kerastrain>
        >>> x, y = data.train
        >>> data.classes[y[0]], float(x.max())
        ('Coat', 1.0)
    """
    name = one_of("load_dataset", "name", name, list_datasets())
    share = real_number("load_dataset", "validation", validation, above=0, below=1)
    seed = seed_number("load_dataset", seed)
    found = _LOADERS[name]()
    rest, test = found.rows, found.test
    if isinstance(test, float):
        rest, test = _split(rest, test, seed)
    train, val = _split(rest, share, seed)
    if not len(train[1]):
        must = f"leave at least one of {len(rest[1]):,} rows to train on"
        raise invalid("load_dataset", "validation", must, f"validation={show(validation)}")
    scale = found.scaler(train[0])
    kind = np.float32 if found.task == "regression" else np.int64
    train, val, test = ((scale(x), y.astype(kind)) for x, y in (train, val, test))
    return Data(name, train, val, test, found.task, found.classes, found.source)


def list_datasets() -> list[str]:
    """Returns the names that `load_dataset` knows, sorted.

    Example:
        >>> "fashion_mnist_small" in list_datasets()
        True
    """
    return sorted(_LOADERS)


# Splitting and scaling: one place for each decision.

_Scale = Callable[[Array], Array]
"""Makes features from what a file held."""


def _split(rows: Pair, share: float, seed: int) -> tuple[Pair, Pair]:
    """Returns the rows that stay and the share that is held out, as scikit-learn chooses them."""
    x, y = rows
    # NumPy has frozen the legacy generator's stream, which scikit-learn uses: the rows stay the
    # same from version to version.
    order = np.random.RandomState(seed).permutation(len(y))
    held = math.ceil(len(y) * share)
    return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])


def _pixels(brightest: int) -> Callable[[Array], _Scale]:
    """Scales grey levels to 0..1; nothing is learnt from the training rows."""

    def scale(x: Array) -> Array:
        scaled: Array = np.divide(x, brightest, dtype=np.float32, casting="same_kind")
        return scaled

    return lambda train: scale


def _standard_scores(train: Array) -> _Scale:
    """Scales each column to mean 0 and deviation 1 over the training rows, gaps filled first."""
    median = np.nanmedian(train, axis=0)

    def fill(x: Array) -> Array:
        return np.where(np.isnan(x), median, x)

    mean, deviation = fill(train).mean(axis=0), fill(train).std(axis=0)
    deviation[deviation == 0] = 1  # A constant column says nothing; leave it at 0, not at NaN.
    return lambda x: ((fill(x) - mean) / deviation).astype(np.float32)


def _unscaled(train: Array) -> _Scale:
    """Leaves texts as they are."""
    return lambda x: x


# Loaders: each finds and reads one set.


@dataclasses.dataclass(frozen=True, eq=False)
class _Found:
    """A set as it was found: not split, but for what its makers split, and not scaled."""

    rows: Pair
    test: Pair | float  # The makers' test rows, or the share to hold out for want of them.
    task: str
    classes: tuple[str, ...] | None
    source: str
    scaler: Callable[[Array], _Scale]


def _fashion_mnist_small() -> _Found:
    rows, test = read_npz(*_embedded("fashion_mnist_small.npz"))
    return _images(rows, test, FASHION_CLASSES, "embedded in kerastrain")


def _embedded(filename: str) -> tuple[bytes, str]:
    """Returns what a file of the package holds, and where it lies."""
    file = importlib.resources.files("kerastrain.embedded") / filename
    return file.read_bytes(), str(file)


def _fashion_mnist() -> _Found:
    rows, test, source = idx_set("fashion_mnist") or download(
        "fashion_mnist",
        lambda: (*keras.datasets.fashion_mnist.load_data(), "keras.datasets.fashion_mnist"),
        "the four IDX files",
    )
    return _images(rows, test, FASHION_CLASSES, source)


def _mnist() -> _Found:
    if path := look("mnist", "mnist.npz"):
        rows, test = read_npz(path.read_bytes(), str(path))
        return _images(rows, test, DIGIT_CLASSES, str(path))
    rows, test, source = idx_set("mnist") or download(
        "mnist",
        lambda: (*keras.datasets.mnist.load_data(), "keras.datasets.mnist"),
        "mnist.npz or the four IDX files",
    )
    return _images(rows, test, DIGIT_CLASSES, source)


def _images(rows: Pair, test: Pair, classes: tuple[str, ...], source: str) -> _Found:
    return _Found(rows, test, "multiclass", classes, source, _pixels(255))


def _digits() -> _Found:
    bunch = needs("sklearn.datasets", extra="sklearn", function="load_dataset").load_digits()
    rows = bunch.images, bunch.target
    return _Found(rows, 0.2, "multiclass", DIGIT_CLASSES, "scikit-learn", _pixels(16))


def _diabetes() -> _Found:
    library = needs("sklearn.datasets", extra="sklearn", function="load_dataset")
    # Unscaled, since scikit-learn's own scaling has seen the rows that are held out below.
    rows = library.load_diabetes(return_X_y=True, scaled=False)
    return _Found(rows, 0.2, "regression", None, "scikit-learn", _standard_scores)


def _california_housing() -> _Found:
    path = look("california_housing", "california_housing.csv", "california_housing.csv.gz")
    if path:
        (x, dollars), source = read_housing(path), str(path)
    else:
        # Without test rows of Keras's own, so that ours are held out of the whole table.
        (x, dollars), _ = download(
            "california_housing",
            lambda: keras.datasets.california_housing.load_data(version="large", test_split=0.0),
            "california_housing.csv (or .csv.gz)",
        )
        source = "keras.datasets.california_housing"
    return _Found((x, dollars / 100_000), 0.25, "regression", None, source, _standard_scores)


def _imdb() -> _Found:
    # imdb.npz holds pickled lists, and unpickling runs what the file says; so this package opens no
    # such file. Keras does, once the file's hash is the known one, and looks in its cache first.
    home = os.path.join(os.environ.get("KERAS_HOME", os.path.join("~", ".keras")), "datasets")
    (rows, test), numbers = download(
        "imdb",
        lambda: (keras.datasets.imdb.load_data(), keras.datasets.imdb.get_word_index()),
        "imdb.npz and imdb_word_index.json",
        folder=f"Keras's own folder, {home}",
    )
    words = {number + _IMDB_OFFSET: word for word, number in numbers.items()}
    rows, test = ((_texts(x, words), y) for x, y in (rows, test))
    return _reviews(rows, test, "keras.datasets.imdb")


def _texts(reviews: Iterable[Iterable[int]], words: Mapping[int, str]) -> Array:
    """Writes reviews out; numbers that stand for no word are the special tokens, left out."""
    texts = [" ".join(words[number] for number in review if number in words) for review in reviews]
    return np.array(texts, dtype=object)


def _korean_reviews_small() -> _Found:
    rows, test = read_text_npz(*_embedded("korean_reviews_small.npz"))
    return _reviews(rows, test, "embedded in kerastrain")


def _nsmc() -> _Found:
    if path := look("nsmc", "nsmc.tsv", "nsmc.tsv.gz"):
        return _reviews(read_reviews(path), 0.25, str(path))
    if path := look("nsmc", *_NSMC_FILES):
        paths, source = [path.with_name(name) for name in _NSMC_FILES], str(path.parent)
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise unusable(path, f"{missing[0]} isn't beside it")
    else:
        files = "ratings_train.txt and ratings_test.txt (or nsmc.tsv, or .tsv.gz)"
        paths, source = download("nsmc", _fetch_nsmc, files), _NSMC
    rows, test = map(read_reviews, paths)
    return _reviews(rows, test, source)


def _fetch_nsmc() -> list[pathlib.Path]:
    """Has Keras fetch the makers' files, which are taken only if they are the known ones."""
    fetch = keras.utils.get_file
    return [
        pathlib.Path(fetch(f"nsmc_{name}", _NSMC + name, file_hash=digest, hash_algorithm="sha256"))
        for name, digest in _NSMC_FILES.items()
    ]


def _reviews(rows: Pair, test: Pair | float, source: str) -> _Found:
    return _Found(rows, test, "binary", REVIEW_CLASSES, source, _unscaled)


_LOADERS: dict[str, Callable[[], _Found]] = {
    "california_housing": _california_housing,
    "diabetes": _diabetes,
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
    "fashion_mnist_small": _fashion_mnist_small,
    "imdb": _imdb,
    "korean_reviews_small": _korean_reviews_small,
    "mnist": _mnist,
    "nsmc": _nsmc,
}
