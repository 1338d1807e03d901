"""Makes the files of kerastrain/embedded: clothes and film reviews.

Run `python tests/make_embedded_data.py` to make them anew: the same arrays each time, and with the
same zlib the same bytes. The clothes are drawn from the full Fashion-MNIST, which is found as
`load_dataset("fashion_mnist")` finds it. The reviews, written for this package, are those of
`korean_reviews_small.tsv` beside this file.
"""

import pathlib
import sys

import numpy as np

import kerastrain
from kerastrain._data_files import read_reviews
from kerastrain._files import replacing
from kerastrain.datasets import _fashion_mnist

SEED = 42
PER_CLASS = {"train": 640, "test": 100}
REVIEWS = pathlib.Path(__file__).parent / "korean_reviews_small.tsv"
TEST_REVIEWS = 40  # of each class


def draw(x, y, *, per_class):
    """Returns as many images of each class, drawn at random and in random order."""
    random = np.random.RandomState(SEED)  # The legacy generator's stream never changes.
    rows = np.concatenate(
        [random.permutation(np.flatnonzero(y == label))[:per_class] for label in range(10)]
    )
    rows = random.permutation(rows)
    return x[rows], y[rows]


def clothes():
    """Returns what fashion_mnist_small.npz holds."""
    full = _fashion_mnist()
    x_train, y_train = draw(*full.rows, per_class=PER_CLASS["train"])
    x_test, y_test = draw(*full.test, per_class=PER_CLASS["test"])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def reviews():
    """Returns what korean_reviews_small.npz holds: the file is in random order already."""
    x, y = read_reviews(REVIEWS)
    first = np.concatenate([np.flatnonzero(y == label)[:TEST_REVIEWS] for label in (0, 1)])
    held = np.isin(np.arange(len(y)), first)
    x, y = x.astype(str), y.astype(np.uint8)  # No objects, or the file would need pickle.
    return {"x_train": x[~held], "y_train": y[~held], "x_test": x[held], "y_test": y[held]}


def main():
    folder = pathlib.Path(kerastrain.__file__).parent / "embedded"
    for name, arrays in {"fashion_mnist_small": clothes, "korean_reviews_small": reviews}.items():
        with replacing(folder / f"{name}.npz") as temporary:
            np.savez_compressed(temporary, **arrays())
        sys.stdout.write(f"{folder / name}.npz\n")


if __name__ == "__main__":
    main()
