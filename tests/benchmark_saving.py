"""Times what `fit(run=…)` adds to a fit, in turns in one process.

    KERASTRAIN_DATA=... python tests/benchmark_saving.py [--turns 3] [--epochs 20] [--speed steps]

The notes' network with dropout on 48,000 pictures of clothes, validated on 12,000, as `fit` trains
it and as it does with a run directory; and the part of the time that saving says that it took.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras

import kerastrain as ktr
from kerastrain import _keeper


def trained(data, folder, options):
    """Returns the seconds of a fit, and those of its saves."""
    keras.utils.set_random_seed(1)
    model = ktr.compile_for_task(ktr.build("dense", keras.layers.Dropout(0.3)), data.task)
    kept = []
    close = _keeper.Keeper.close

    def closed(self, history):
        close(self, history)
        kept.append(self.seconds_spent)

    _keeper.Keeper.close = closed
    call = {"epochs": options.epochs, "seed": 1, "speed": options.speed, "verbose": 0}
    start = time.perf_counter()
    try:
        ktr.fit(model, *data.train, validation_data=data.val, run=folder, **call)
    finally:
        _keeper.Keeper.close = close
    return time.perf_counter() - start, sum(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--speed", default="steps")
    options = parser.parse_args()
    data = ktr.load_dataset("fashion_mnist")
    plain, kept, saving = [], [], []
    trained(data, None, options)  # Traces and compiles, for both.
    for _ in range(options.turns):
        plain.append(trained(data, None, options)[0])
        with tempfile.TemporaryDirectory() as place:
            took, spent = trained(data, pathlib.Path(place, "run"), options)
        kept.append(took)
        saving.append(spent / took)
        print(f"without {plain[-1]:.2f} s, with {took:.2f} s, {spent:.2f} s of saves", flush=True)
    ratio = statistics.median(kept) / statistics.median(plain)
    share = statistics.median(saving)
    print(f"with a run directory {ratio:.3f} of the time; saving took {share:.1%} of it")


if __name__ == "__main__":
    main()
