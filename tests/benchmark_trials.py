"""Holds `search` against what it is to be better than; on California housing but for one task.

    KERASTRAIN_DATA=... python tests/benchmark_trials.py pruning [--task clothes] [--pruner halving]
    KERASTRAIN_DATA=... python tests/benchmark_trials.py jobs [--trials 20] [--speed auto]
    KERASTRAIN_DATA=... python tests/benchmark_trials.py memory [--epochs 5] [--steps 50] [--apart]

`pruning` counts the epochs until a search that gives trials up has a complete one at least as good
as the best of a random search that gives up none: in the same space, with the same epochs a trial.
It begins with as many trials, and is given more until it has one, or has used as many epochs.
`--task` is one of housing and clothes.

`jobs` times a search whose trials take seconds each in this process and in two others, in turns.
`memory` runs 200 trials, and prints what the process that trains them holds after the tenth, and
after the last.
"""

import argparse
import functools
import os
import pathlib
import statistics
import tempfile
import time

import keras
import optuna
from benchmark_search import build_model, housing
from scipy.stats import loguniform

import kerastrain as ktr
from kerastrain.search import search

SPACE = {
    "n_hidden": [0, 1, 2, 3],
    "n_neurons": range(1, 100),
    "learning_rate": loguniform(3e-4, 3e-2),
}
CLOTHES_SPACE = {
    "units": range(8, 129),
    "learning_rate": loguniform(1e-4, 1e-1),
    "batch_size": [16, 32, 64, 128, 256],
    "rate": [0.0, 0.2, 0.4, 0.6],
}
GOOD = {"n_hidden": [3], "n_neurons": [60], "learning_rate": [0.01]}
RANDOM = {"sampler": "random", "pruner": "none"}


def searched(space=SPACE, rows=None, **arguments):
    """Searches on 11,610 districts, or the first of them, judged by 3,870."""
    data = housing()
    train = tuple(part[:rows] for part in data.train)
    return search(build_model, space, train, validation_data=data.val, **arguments)


def with_dropout(a_layer=None, *, units, rate):
    layers = [keras.layers.Dropout(rate), *([] if a_layer is None else [a_layer])]
    return ktr.build("dense", layers, units=units)


def searched_clothes(**arguments):
    """Searches on 5,120 pictures of clothes, judged by 1,280."""
    data = ktr.load_dataset("fashion_mnist_small")
    return search(with_dropout, CLOTHES_SPACE, data.train, validation_data=data.val, **arguments)


TASKS = {"housing": searched, "clothes": searched_clothes}


def pruning(options):
    """Prints after how many epochs a search that prunes is as good as one that doesn't."""
    how = {name: getattr(options, name) for name in ("sampler", "pruner")}
    searched_on, shares = TASKS[options.task], []
    print("| seed | random: best | epochs | pruned: best | trials | epochs | share |")
    for seed in range(options.first, options.first + options.seeds):
        same = {"epochs": options.epochs, "seed": seed, "verbose": 0}
        plain = searched_on(trials=options.trials, **RANDOM, **same)
        pruned = as_good(functools.partial(searched_on, **how, **same), plain, options.trials)
        trials, epochs = until(pruned, plain.best_value)
        shares.append(epochs / plain.epochs)
        cells = (seed, f"{plain.best_value:.4f}", plain.epochs)
        cells += (f"{pruned.best_value:.4f}", trials, epochs, f"{shares[-1]:.3f}")
        print("|", " | ".join(map(str, cells)), "|", flush=True)
    print(f"median {statistics.median(shares):.2f}, worst {max(shares):.2f}")


def as_good(searched_on, plain, trials):
    """Goes on with a search until it is as good as another, or has used as many epochs."""
    kept, given = optuna.storages.InMemoryStorage(), trials
    while True:
        found = searched_on(trials=given, storage=kept)
        if until(found, plain.best_value)[1] < float("inf") or found.epochs > plain.epochs:
            return found
        given += trials


def until(found, goal):
    """Returns the trials and epochs that a search took to be as good; infinity if it wasn't."""
    epochs = 0
    for count, trial in enumerate(found.trials, 1):
        epochs += trial.epochs
        if trial.state == "complete" and trial.value <= goal:
            return count, epochs
    return len(found), float("inf")


def jobs(options):
    """Prints what two workers gain, and what their start takes."""
    same = {**RANDOM, "epochs": options.epochs, "seed": 0, "verbose": 0, "space": GOOD}
    same["speed"] = options.speed  # "auto" compiles where that pays, so that values differ in bits.
    seconds, values = {1: [], 2: []}, {}
    start = timed(lambda: searched(trials=2, jobs=2, **{**same, "epochs": 1}))[0]
    for _ in range(2):
        for count, taken in seconds.items():
            took, found = timed(lambda n=count: searched(trials=options.trials, jobs=n, **same))
            taken.append(took)
            values[count] = [trial.value for trial in found.trials]
            each = statistics.median(trial.seconds for trial in found.trials)
            print(f"jobs={count}: {took:.1f} s, {each:.1f} s a trial", flush=True)
    same_bits = "the same" if values[1] == values[2] else "other"
    ratio = statistics.median(seconds[2]) / statistics.median(seconds[1])
    print(f"jobs=2 takes {ratio:.2f} of the time of jobs=1, {same_bits} values")
    print(f"of which two workers with a trial of one epoch each: {start:.1f} s")


class Ruler(keras.callbacks.Callback):
    """Notes after every training what its process holds, in a file, as that may be another."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs=None):
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        with pathlib.Path(self.path).open("a") as file:
            file.write(f"{os.getpid()} {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f}\n")


def memory(options):
    """Prints how the memory of a process grows with the trials that it runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "megabytes")
        took, found = timed(
            lambda: searched(
                **RANDOM,
                trials=options.trials,
                epochs=options.epochs,
                rows=32 * options.steps,
                seed=0,
                verbose=0,
                callbacks=[Ruler(path)],
                **({"trial_megabytes": 100_000} if options.apart else {}),
            )
        )
        lines = [line.split() for line in path.read_text().splitlines()]
    processes = {pid for pid, _ in lines}
    held = [int(megabytes) for _, megabytes in lines]
    print(f"{len(found)} trials in {took:.0f} s, {len(processes)} process(es)")
    print("MB after every twentieth:", *held[9::20], held[-1])
    print(f"{held[-1] - held[9]} MB more than after the tenth, {max(held[10:]) - held[9]} at most")


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    which = {"task": "housing", "sampler": "tpe", "pruner": "hyperband"}
    _add(commands, pruning, trials=40, epochs=30, seeds=5, first=0, **which)
    _add(commands, jobs, trials=20, epochs=70, speed="steps")
    _add(commands, memory, trials=200, epochs=5, steps=50).add_argument(
        "--apart", action="store_true", help="train in a worker process"
    )
    options = parser.parse_args()
    options.function(options)


def _add(commands, function, **defaults):
    parser = commands.add_parser(function.__name__, help=function.__doc__)
    parser.set_defaults(function=function)
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser


if __name__ == "__main__":
    main()
