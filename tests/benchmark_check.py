"""What a look at all of Fashion-MNIST takes: `python tests/benchmark_check.py`.

The issue's bound is 0.5 s on two cores, with 48,000 training and 12,000 validation rows of 784
numbers. Where the set isn't on the machine, random numbers of that shape stand in. The data sets
and the ways to look are taken in turns, so that a busy machine slows all of them alike.
"""

import statistics
import time

import numpy as np

import kerastrain as ktr
from kerastrain.checking import check, preflight
from kerastrain.data import rows_of


def fashion():
    """Returns training and validation pairs, rows laid flat."""
    try:
        data = ktr.load_dataset("fashion_mnist")
    except OSError:
        generator = np.random.default_rng(0)
        x = generator.random((60_000, 784), dtype="float32")
        y = generator.integers(0, 10, len(x))
        return (x[:48_000], y[:48_000]), (x[48_000:], y[48_000:])
    return [(x.reshape(len(x), -1), y) for x, y in (data.train, data.val)]


def seconds(call):
    start = time.perf_counter()
    report = call()
    return time.perf_counter() - start, report


def main(turns=9):
    train, validation = fashion()
    model = ktr.compile_for_task(ktr.build("dense", input_shape=(784,)), y=train[1])
    grey = [((x * 255).round().astype("uint8"), y) for x, y in (train, validation)]
    rows = rows_of(*train), rows_of(*validation)
    ways = {
        "check, float32": lambda: check(model, *train, validation_data=validation),
        "check, validated on training rows": lambda: check(
            model, *train, validation_data=(train[0][:12_000], train[1][:12_000])
        ),
        "check, uint8 of 0 to 255": lambda: check(model, *grey[0], validation_data=grey[1]),
        "preflight, as `fit` runs it": lambda: preflight(model, *rows, batch_size=32),
    }
    taken = {name: [] for name in ways}
    found = {}
    for _ in range(turns):
        for name, call in ways.items():
            lasted, found[name] = seconds(call)
            taken[name].append(lasted)
    for name, times in taken.items():
        codes = [finding.code for finding in found[name].findings]
        print(
            f"{name}: median {statistics.median(times):.3f} s, first {times[0]:.3f} s, "
            f"most {max(times):.3f} s; found {codes}"
        )


if __name__ == "__main__":
    main()
