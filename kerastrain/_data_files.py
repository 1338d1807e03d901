"""Reading the files in which data sets are handed around: IDX, npz and tables of text.

Each reader checks what it reads, and names the file and the fault in one sentence.
"""

import csv
import gzip
import io
import math
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kerastrain._checks import show

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]

HOUSING_FEATURES = (
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
)
HOUSING_TARGET = "median_house_value"
REVIEW_COLUMNS = "document", "label"


def unusable(path: object, why: str) -> Exception:
    """Words the error for a file or folder that is there and can't be used."""
    return ValueError(f"`load_dataset`: can't use {str(path)!r}: {why}.")


def _contents(path: pathlib.Path) -> bytes:
    """Returns a file's bytes, decompressed if they are gzip's, whatever the suffix says."""
    raw = path.read_bytes()
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise unusable(path, "it is cut short or damaged, gzip says") from error


def read_idx(path: pathlib.Path, *, dimensions: int) -> Array:
    """Reads unsigned bytes in the IDX format of MNIST.

    The header is two zeros, the type (8: unsigned bytes) and the number of dimensions, a byte each;
    then every dimension's length in four bytes, the most significant first. The data follow.
    """
    raw, header = _contents(path), 4 + 4 * dimensions
    if raw[:4] != bytes([0, 0, 8, dimensions]):
        why = f"it doesn't begin as an IDX file of {dimensions}-dimensional bytes does"
        raise unusable(path, why)
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, header, 4)]
    announced = header + math.prod(shape)
    if len(raw) != announced:
        raise unusable(path, f"it holds {len(raw):,} bytes where it announces {announced:,}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read_idx_pair(images: pathlib.Path, labels: pathlib.Path) -> Pair:
    """Reads images and their labels from two IDX files."""
    x, y = read_idx(images, dimensions=3), read_idx(labels, dimensions=1)
    return _checked_images(x, y, str(images))


def read_npz(raw: bytes, path: str) -> tuple[Pair, Pair]:
    """Reads training and test images as Keras's mnist.npz holds them."""
    rows, test = _npz_pairs(raw, path)
    return _checked_images(*rows, path), _checked_images(*test, path)


def read_text_npz(raw: bytes, path: str) -> tuple[Pair, Pair]:
    """Reads training and test texts from an .npz of the same layout; texts become objects."""
    (x, y), (x_test, y_test) = _npz_pairs(raw, path)
    return (x.astype(object), y), (x_test.astype(object), y_test)


def _npz_pairs(raw: bytes, path: str) -> tuple[Pair, Pair]:
    try:
        arrays = np.load(io.BytesIO(raw), allow_pickle=False)
        rows, test = ((arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
    except (EOFError, IndexError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise unusable(path, "it isn't an .npz of x_train, y_train, x_test and y_test") from error
    return rows, test


def _checked_images(x: Array, y: Array, path: str) -> Pair:
    """Returns the pair if it is images of 28 by 28 grey levels and their labels, or raises."""
    if x.dtype != np.uint8 or x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
        why = f"its {show(x)} with {show(y)} aren't images of 28 by 28 bytes with a label each"
        raise unusable(path, why)
    if not len(y) or int(y.max()) > 9:
        raise unusable(path, "its labels aren't the numbers 0 to 9")
    return x, y


def read_housing(path: pathlib.Path) -> Pair:
    """Reads features, with NaN for gaps, and prices in dollars from the table of districts."""
    columns = (*HOUSING_FEATURES, HOUSING_TARGET)
    table = _table(path, columns)
    rows = [_housing_row(row, columns, path, table.line_num) for row in table]
    if not rows:
        raise unusable(path, "it has no rows")
    numbers = np.array(rows)
    return numbers[:, :-1], numbers[:, -1]


def _housing_row(
    row: Mapping[str, str], columns: tuple[str, ...], path: pathlib.Path, line: int
) -> list[float]:
    """Returns a district's numbers, NaN for an empty cell; only the price must be there."""
    try:
        numbers = [float(row[name] or math.nan) for name in columns]
    except ValueError as error:
        raise unusable(path, f"line {line} holds text in a column of numbers") from error
    if math.isnan(numbers[-1]):
        raise unusable(path, f"line {line} has no {HOUSING_TARGET}")
    return numbers


def read_reviews(path: pathlib.Path) -> Pair:
    """Reads texts, as objects, and their labels, 0 or 1, from a table whose columns tabs part.

    A quotation mark is one like any other letter, as whoever wrote it may have left out its fellow.
    Rows without a text, of which the Naver corpus has a few, are left out.
    """
    table = _table(path, REVIEW_COLUMNS, delimiter="\t", quoting=csv.QUOTE_NONE)
    texts, labels = [], []
    for row in table:
        text, label = (row[name] for name in REVIEW_COLUMNS)
        if label not in ("0", "1"):
            raise unusable(path, f"line {table.line_num} has no label of 0 or 1")
        if text.strip():
            texts.append(text)
            labels.append(int(label))
    if not texts:
        raise unusable(path, "it has no rows")
    return np.array(texts, dtype=object), np.array(labels)


def _table(path: pathlib.Path, columns: tuple[str, ...], **dialect: Any) -> "csv.DictReader[str]":
    """Opens a table, plain or gzipped, that has certain columns."""
    try:
        text = _contents(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise unusable(path, "it isn't text in UTF-8") from error
    table = csv.DictReader(io.StringIO(text, newline=""), **dialect)
    missing = [name for name in columns if name not in (table.fieldnames or ())]
    if missing:
        raise unusable(path, f"it has no column {', '.join(missing)}")
    return table
