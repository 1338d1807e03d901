"""Data sets and networks for the runs that `benchmark_verdicts.py` makes."""

import csv
import dataclasses
import functools
import gzip
import math
import os
import pathlib
from typing import Any

import keras
import numpy as np

import kerastrain as ktr


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows to train on and to validate on, and what they are."""

    task: str
    kind: str  # "image", "table" or "text"
    train: tuple[Any, Any]
    val: tuple[Any, Any]

    def cut(self, rows):
        """The same with fewer training rows."""
        x, y = self.train
        return dataclasses.replace(self, train=(x[:rows], y[:rows]))

    def shuffled(self, seed):
        """The same with labels that have nothing to do with their rows."""
        random = np.random.default_rng(seed)
        parts = [(x, random.permutation(y)) for x, y in (self.train, self.val)]
        return dataclasses.replace(self, train=parts[0], val=parts[1])

    def partly_wrong(self, share, seed):
        """The same, but a share of the training rows have labels of others."""
        random = np.random.default_rng(seed)
        return dataclasses.replace(self, train=_partly_wrong(self.train, share, random))

    def mostly_wrong(self, share, seed):
        """The same, but a share of the training rows and of the others have labels of others."""
        random = np.random.default_rng(seed)
        parts = [_partly_wrong(part, share, random) for part in (self.train, self.val)]
        return dataclasses.replace(self, train=parts[0], val=parts[1])

    def rare(self, share):
        """The same of two classes, but only a share of the rows of the second is there."""
        parts = [_without(part, round(1 / share)) for part in (self.train, self.val)]
        return dataclasses.replace(self, train=parts[0], val=parts[1])

    @property
    def classes(self):
        return int(self.train[1].max()) + 1 if self.task != "regression" else 0


def _partly_wrong(part, share, random):
    x, y = part
    wrong = random.permutation(len(y))[: round(share * len(y))]
    y = y.copy()
    y[wrong] = random.permutation(y[wrong])
    return x, y


def _without(part, every):
    """Rows of which only every so many-th of class 1 is left."""
    x, y = part
    left = (y == 0) | (np.cumsum(y == 1) % every == 1)
    return x[left], y[left]


def clothes():
    """5,120 small pictures, part of the package."""
    data = ktr.load_dataset("fashion_mnist_small")
    return Rows(data.task, "image", data.train, data.val)


def fashion():
    """The whole of Fashion-MNIST, of which 5,000 rows are for validation."""
    data = ktr.load_dataset("fashion_mnist")
    x, y = data.val
    return Rows(data.task, "image", data.train, (x[:5_000], y[:5_000]))


def housing():
    """Prices of 11,610 Californian districts."""
    data = ktr.load_dataset("california_housing", validation=0.25)
    return Rows("regression", "table", data.train, data.val)


def dear_housing():
    """Whether a district is dearer than the median one."""
    rows = housing()
    middle = np.median(rows.train[1])
    parts = [(x, (y > middle).astype("int64")) for x, y in (rows.train, rows.val)]
    return Rows("binary", "table", *parts)


def products():
    """Two classes, by the sign of a sum of products, which no line tells apart; 3 % are wrong."""
    random = np.random.default_rng(7)
    x = random.normal(size=(8_000, 10)).astype("float32")
    y = (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] > 0).astype("int64")
    y = np.where(random.random(len(y)) < 0.03, 1 - y, y)
    return Rows("binary", "table", (x[:6_000], y[:6_000]), (x[6_000:], y[6_000:]))


def waves():
    """Numbers: a wave, a product and a square of ten columns, with noise of 0.3."""
    random = np.random.default_rng(8)
    x = random.normal(size=(8_000, 10)).astype("float32")
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + x[:, 3] ** 2
    y = (y + 0.3 * random.normal(size=len(y))).astype("float32")
    return Rows("regression", "table", (x[:6_000], y[:6_000]), (x[6_000:], y[6_000:]))


def topics():
    """Made texts of 20 words on four topics, each of which prefers some of 400 words."""
    random = np.random.default_rng(9)
    y = random.integers(4, size=8_000)
    liked = random.random((4, 400)) ** 3 + 0.05
    odds = liked / liked.sum(axis=1, keepdims=True)
    x = np.stack([random.choice(400, size=20, p=odds[label]) for label in y]).astype("int32")
    return Rows("multiclass", "text", (x[:6_000], y[:6_000]), (x[6_000:], y[6_000:]))


def reviews():
    """Korean film reviews as letter pairs: 16,000 to train on and 4,000 to validate on."""
    path = pathlib.Path(os.environ["KERASTRAIN_DATA"]) / "nsmc.tsv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    order = np.random.default_rng(42).permutation(len(rows))[:20_000]
    texts = np.array([rows[i]["document"] for i in order], dtype=object)
    y = np.array([int(rows[i]["label"]) for i in order])
    vectoriser = keras.layers.TextVectorization(
        max_tokens=8_000, split="character", ngrams=(2,), output_sequence_length=40
    )
    vectoriser.adapt(texts[:16_000])
    x = np.asarray(vectoriser(texts)).astype("int32")
    return Rows("binary", "text", (x[:16_000], y[:16_000]), (x[16_000:], y[16_000:]))


@functools.cache
def rows_of(name):
    """A data set by the name of its function."""
    return globals()[name]()


def network(rows, *, width, layers=1, dropout=0.0, l2=0.0):
    """A network that fits the rows, compiled by nobody yet."""
    shape = rows.train[0].shape[1:]
    made = [keras.Input(shape, dtype="int32" if rows.kind == "text" else "float32")]
    penalty = keras.regularizers.L2(l2) if l2 else None
    if rows.kind == "text":
        words = int(rows.train[0].max()) + 1
        embedding = keras.layers.Embedding(max(words, 8_000), min(width, 32))
        made += [embedding, keras.layers.GlobalAveragePooling1D()]
    else:
        made += [keras.layers.Flatten()]
    for _ in range(layers):
        made.append(keras.layers.Dense(width, activation="relu", kernel_regularizer=penalty))
        made += [keras.layers.Dropout(dropout)] if dropout else []
    if rows.task == "multiclass":
        made.append(keras.layers.Dense(rows.classes, "softmax", kernel_regularizer=penalty))
    else:
        activation = "sigmoid" if rows.task == "binary" else None
        made.append(keras.layers.Dense(1, activation, kernel_regularizer=penalty))
    return keras.Sequential(made)


def chance_of(rows):
    """What the best constant answer's loss and accuracy would be."""
    y = rows.train[1]
    if rows.task == "regression":
        return {"loss": float(np.var(y))}
    shares = np.bincount(y) / len(y)
    entropy = -math.fsum(share * math.log(share) for share in shares if share)
    return {"loss": entropy, "accuracy": float(shares.max())}
