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
from typing import TypeVar

import keras
import numpy as np

from kerastrain._checks import invalid, needs, one_of, real_number, seed_number, show
from kerastrain._data_files import (
    Array,
    Pair,
    read_housing,
    read_idx,
    read_idx_pair,
    read_npz,
    unusable,
)

_Loaded = TypeVar("_Loaded")

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

_SYSTEM_FOLDERS = {"fashion_mnist": pathlib.Path("/usr/share/datasets/fashion-mnist")}
"""Where a system's package puts a set: Debian's `dataset-fashion-mnist`."""

_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_FIRST_TEST_LABELS = {
    "fashion_mnist": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7),
    "mnist": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9),
}
"""Tells the two sets apart, whose files carry the same names."""

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

    `fashion_mnist_small` is part of this package, `digits` and `diabetes` of scikit-learn. The
    others are looked for in the folder that the environment variable KERASTRAIN_DATA names, in a
    subfolder with the set's name before the folder itself; then, for `fashion_mnist`, where
    Debian's package puts it; and only then downloaded by Keras, which keeps what it has fetched.

    | name | rows, test rows | x | files in KERASTRAIN_DATA |
    |---|---|---|---|
    | `fashion_mnist_small` | 6,400 + 1,000 | images (28, 28), 0 to 1 | none needed |
    | `fashion_mnist` | 60,000 + 10,000 | images (28, 28), 0 to 1 | the four IDX files |
    | `mnist` | 60,000 + 10,000 | images (28, 28), 0 to 1 | `mnist.npz` or the four IDX files |
    | `digits` | 1,437 + 360 | images (8, 8), 0 to 1 | none needed |
    | `imdb` | 25,000 + 25,000 | reviews as strings | none: Keras's own cache only |
    | `california_housing` | 15,480 + 5,160 | 8 features | `california_housing.csv` or `.csv.gz` |
    | `diabetes` | 353 + 89 | 10 features | none needed |

    The validation rows are those of scikit-learn's `train_test_split(x, y, test_size=validation,
    random_state=seed)`: shuffled and not stratified, the first ceil(rows * validation) of
    `RandomState(seed).permutation(rows)`. So `fashion_mnist` with the defaults gives the 48,000
    and 12,000 rows that this widespread line gives. Where a set's makers kept no test rows they are
    held out first in the same way: a quarter of `california_housing`, a fifth of `digits` and
    `diabetes`.

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
    file = importlib.resources.files("kerastrain.embedded") / "fashion_mnist_small.npz"
    rows, test = read_npz(file.read_bytes(), str(file))
    return _images(rows, test, FASHION_CLASSES, "embedded in kerastrain")


def _fashion_mnist() -> _Found:
    rows, test, source = _idx_set("fashion_mnist") or _download(
        "fashion_mnist",
        lambda: (*keras.datasets.fashion_mnist.load_data(), "keras.datasets.fashion_mnist"),
        "the four IDX files",
    )
    return _images(rows, test, FASHION_CLASSES, source)


def _mnist() -> _Found:
    if path := _look("mnist", "mnist.npz"):
        rows, test = read_npz(path.read_bytes(), str(path))
        return _images(rows, test, DIGIT_CLASSES, str(path))
    rows, test, source = _idx_set("mnist") or _download(
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
    path = _look("california_housing", "california_housing.csv", "california_housing.csv.gz")
    if path:
        (x, dollars), source = read_housing(path), str(path)
    else:
        # Without test rows of Keras's own, so that ours are held out of the whole table.
        (x, dollars), _ = _download(
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
    (rows, test), numbers = _download(
        "imdb",
        lambda: (keras.datasets.imdb.load_data(), keras.datasets.imdb.get_word_index()),
        "imdb.npz and imdb_word_index.json",
        folder=f"Keras's own folder, {home}",
    )
    words = {number + _IMDB_OFFSET: word for word, number in numbers.items()}
    rows, test = ((_texts(x, words), y) for x, y in (rows, test))
    classes = ("negative", "positive")
    return _Found(rows, test, "binary", classes, "keras.datasets.imdb", _unscaled)


def _texts(reviews: Iterable[Iterable[int]], words: Mapping[int, str]) -> Array:
    """Writes reviews out; numbers that stand for no word are the special tokens, left out."""
    texts = [" ".join(words[number] for number in review if number in words) for review in reviews]
    return np.array(texts, dtype=object)


_LOADERS: dict[str, Callable[[], _Found]] = {
    "california_housing": _california_housing,
    "diabetes": _diabetes,
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
    "fashion_mnist_small": _fashion_mnist_small,
    "imdb": _imdb,
    "mnist": _mnist,
}


# Finding files, and fetching what isn't there.


def _own_folder() -> pathlib.Path | None:
    """Returns the folder that KERASTRAIN_DATA names, or `None` if the variable isn't set."""
    value = os.environ.get("KERASTRAIN_DATA")
    if not value:
        return None
    folder = pathlib.Path(value).expanduser()
    if not folder.is_dir():
        received = f"KERASTRAIN_DATA={value!r}"
        raise invalid("load_dataset", "KERASTRAIN_DATA", "name a folder that exists", received)
    return folder


def _own_folders(name: str) -> list[pathlib.Path]:
    """Returns where a user may have put a set: its own subfolder before the folder itself."""
    folder = _own_folder()
    return [folder / name, folder / name.replace("_", "-"), folder] if folder else []


def _look(name: str, *filenames: str) -> pathlib.Path | None:
    """Returns the first of the files that a user has put in place, or `None`."""
    paths = (folder / filename for folder in _own_folders(name) for filename in filenames)
    return next((path for path in paths if path.is_file()), None)


def _idx_set(name: str) -> tuple[Pair, Pair, str] | None:
    """Returns training rows, test rows and the folder of the four IDX files, or `None`."""
    folders = _own_folders(name)
    if name in _SYSTEM_FOLDERS:
        folders.append(_SYSTEM_FOLDERS[name])
    for folder in folders:
        paths = _idx_paths(folder)
        if paths and _are_of(name, paths[3], folder):
            return read_idx_pair(*paths[:2]), read_idx_pair(*paths[2:]), str(folder)
    return None


def _idx_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns a folder's four IDX files, plain or gzipped; empty if it has none of them."""
    choices = [(folder / name, folder / f"{name}.gz") for name in _IDX_FILES]
    found = [next((path for path in pair if path.is_file()), None) for pair in choices]
    paths = [path for path in found if path]
    if paths and len(paths) < len(_IDX_FILES):
        missing = [name for name, path in zip(_IDX_FILES, found, strict=True) if not path]
        raise unusable(folder, f"of the four IDX files it lacks {', '.join(missing)}")
    return paths


def _are_of(name: str, test_labels: pathlib.Path, folder: pathlib.Path) -> bool:
    """Tells whether IDX files are the wanted set's; raises where a user has to say.

    MNIST and Fashion-MNIST name their files alike, so a folder that isn't named after either says
    nothing. There the other set is passed over, and a set that is neither is refused.
    """
    first = tuple(read_idx(test_labels, dimensions=1)[:10].tolist())
    owner = next((known for known, labels in _FIRST_TEST_LABELS.items() if labels == first), None)
    if owner == name:
        return True
    named_after_neither = folder == _own_folder()
    if owner is None and named_after_neither:
        sets = " nor of ".join(repr(known) for known in _FIRST_TEST_LABELS)
        why = f"its first labels are not those of {sets}; put all four files into a folder {name!r}"
        raise unusable(test_labels, why)
    if owner is not None and not named_after_neither:
        raise unusable(test_labels, f"its labels are those of {owner!r}, not of {name!r}")
    return owner is None


def _download(
    name: str, load: Callable[[], _Loaded], files: str, folder: str | None = None
) -> _Loaded:
    """Returns what `load` has Keras fetch, or raises, saying which files to put where."""
    try:
        return load()
    except Exception as error:  # Keras raises a bare Exception where a download fails.
        reason = str(error).strip().rstrip(".") or type(error).__name__
        place = folder or f"the folder {name!r} in the one that KERASTRAIN_DATA names"
        raise OSError(
            f"`load_dataset`: {name!r} is not on this machine and could not be downloaded "
            f"({reason}). Put {files} into {place}."
        ) from error
