"""Draws kerastrain/embedded/fashion_mnist_small.npz from the full Fashion-MNIST.

Run `python tests/make_embedded_data.py` to make the file anew: the same arrays each time, and with
the same zlib the same bytes. The full set is found as `load_dataset("fashion_mnist")` finds it.
"""

import pathlib
import sys

import numpy as np

import kerastrain
from kerastrain._files import replacing
from kerastrain.datasets import _fashion_mnist

SEED = 42
PER_CLASS = {"train": 640, "test": 100}


def draw(x, y, *, per_class):
    """Returns as many images of each class, drawn at random and in random order."""
    random = np.random.RandomState(SEED)  # The legacy generator's stream never changes.
    rows = np.concatenate(
        [random.permutation(np.flatnonzero(y == label))[:per_class] for label in range(10)]
    )
    rows = random.permutation(rows)
    return x[rows], y[rows]


def arrays():
    """Returns what the file holds."""
    full = _fashion_mnist()
    x_train, y_train = draw(*full.rows, per_class=PER_CLASS["train"])
    x_test, y_test = draw(*full.test, per_class=PER_CLASS["test"])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def main():
    folder = pathlib.Path(kerastrain.__file__).parent / "embedded"
    with replacing(folder / "fashion_mnist_small.npz") as temporary:
        np.savez_compressed(temporary, **arrays())
    sys.stdout.write(f"{folder / 'fashion_mnist_small.npz'}\n")


if __name__ == "__main__":
    main()
