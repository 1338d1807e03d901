"""Holds what `diagnose` says against runs whose answer is known from how they were made.

    KERASTRAIN_DATA=... python tests/benchmark_verdicts.py make runs/ --part develop
    KERASTRAIN_DATA=... python tests/benchmark_verdicts.py make runs/ --part final
    python tests/benchmark_verdicts.py judge runs/ --part final [--wrong]

The first two train some 450 small networks, a few seconds each, and keep their histories in
`runs/develop.jsonl.gz` and `runs/final.jsonl.gz`; what is there already isn't made again. The last
judges the histories, which needs no training, and prints the confusion matrix. The thresholds of
`diagnose` were chosen, and the recipes settled, on the part "develop"; the part "final", made and
judged once afterwards, has other seeds, and one data set, the Korean film reviews, that the other
lacks.

Each way of making a run (`RECIPES`) says beforehand which verdicts are right, and why.
"""

import argparse
import dataclasses
import functools
import gzip
import json
import math
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
from verdict_data import chance_of, network, rows_of

import kerastrain as ktr
from kerastrain._tables import text_table
from kerastrain.diagnosis import VERDICTS

DATA = ("clothes", "fashion", "housing", "dear_housing", "products", "waves", "topics")
ONLY_FINAL = ("reviews",)
SEEDS = {"develop": (0, 1), "final": (20, 21)}
OPTIMIZERS = {
    "sgd": (keras.optimizers.SGD, 0.05),
    "momentum": (functools.partial(keras.optimizers.SGD, momentum=0.9), 0.02),
    "rmsprop": (keras.optimizers.RMSprop, 0.001),
    "adam": (keras.optimizers.Adam, 0.002),
    "nadam": (keras.optimizers.Nadam, 0.001),
    "adamw": (keras.optimizers.AdamW, 0.002),
}
"""The optimizers, and a cautious rate at which each trains these networks well."""

ADAPTIVE = ("rmsprop", "adam", "nadam", "adamw")
"""Those whose steps don't shrink with the gradient, so that few rows suffice to move far."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A way of making runs whose answer is known.

    Attributes:
        accepted: The verdicts that are right.
        why: Why they are.
        make: A function of rows and a generator that returns the rows to use, the arguments of
            `network`, the optimizer's name, the factor on its rate and the arguments of `fit`.
    """

    accepted: tuple[str, ...]
    why: str
    make: Callable


def _batch(rows, random):
    return int(random.choice([128, 256] if len(rows.train[0]) > 20_000 else [32, 64, 128]))


def _good(rows, random):
    """Room enough, a sound rate, and an end when validation has stopped falling."""
    wide = {"width": int(random.choice([48, 64, 100])), "dropout": float(random.choice([0.2, 0.4]))}
    name = str(random.choice(list(OPTIMIZERS)))
    return rows, wide, name, 1, {"epochs": 100, "patience": 5, "batch_size": _batch(rows, random)}


def _good_to_the_end(rows, random):
    """The same, at a rate that sinks to 0, so that the run ends where nothing moves any more."""
    rows, wide, _, factor, _ = _good(rows, random)
    epochs = int(random.choice([12, 15] if len(rows.train[0]) > 20_000 else [30, 40]))
    cosine = functools.partial(ktr.schedules.warmup_cosine, epochs=1)
    arguments = {"epochs": epochs, "batch_size": _batch(rows, random), "schedule": cosine}
    narrow = wide | {"width": 32, "dropout": 0.2}
    return rows, narrow, str(random.choice(ADAPTIVE)), 2 * factor, arguments


def _short(rows, random):
    rows, wide, name, factor, arguments = _good(rows, random)
    epochs = int(random.choice([2, 3]))
    return rows, wide, name, factor, {"epochs": epochs, "batch_size": arguments["batch_size"]}


def _slow(rows, random):
    """A hundredth of the rate: a few epochs go a small part of the way, evenly."""
    rows, wide, name, _, arguments = _good(rows, random)
    epochs = int(random.choice([8, 12, 20]))
    fit = {"epochs": epochs, "batch_size": arguments["batch_size"]}
    return rows, wide | {"dropout": 0.0}, name, 0.01, fit


def _too_small(rows, random):
    """One hidden unit; or, where that is enough, weights held near 0 by a penalty.

    One unit learns by leaps with long rests between them, so its rate sinks to 0.
    """
    name, batch_size = str(random.choice(ADAPTIVE)), _batch(rows, random)
    if rows.kind == "image" or rows in (rows_of("products"), rows_of("waves")):
        cosine = functools.partial(ktr.schedules.warmup_cosine, epochs=1)
        fit = {"epochs": 40, "schedule": cosine, "batch_size": batch_size}
        return rows, {"width": 1}, name, 2, fit
    narrow = {"width": 8, "l2": 1.0 if rows.task == "regression" else 0.3}
    return rows, narrow, name, 1, {"epochs": 80, "patience": 8, "batch_size": batch_size}


def _few_rows(rows, random):
    """Up to 200 rows, which a wide network knows by heart after 150 epochs."""
    cut = rows.cut(int(random.choice([60, 100, 200])))
    wide = {"width": int(random.choice([128, 256])), "layers": 2}
    return cut, wide, str(random.choice(ADAPTIVE)), 1, {"epochs": 150, "batch_size": 16}


def _too_long(rows, random):
    """600 rows, a fifth of them with other rows' labels, far more weights, and on and on."""
    wide = {"width": 256, "layers": 2}
    fit = {"epochs": 120, "batch_size": int(random.choice([16, 32]))}
    noisy = rows.cut(600).partly_wrong(0.2, int(random.integers(1_000)))
    return noisy, wide, str(random.choice(ADAPTIVE)), 1, fit


def _too_fast(rows, random):
    """A hundred times the best rate, which is some three times the cautious one of the table."""
    rows, wide, name, _, arguments = _good(rows, random)
    fit = {"epochs": int(random.choice([10, 15, 20])), "batch_size": arguments["batch_size"]}
    return rows, wide | {"dropout": 0.0}, name, 300, fit


def _shuffled_by_heart(rows, random):
    """300 rows with other rows' labels, and room and time to learn them by heart."""
    shuffled = rows.shuffled(int(random.integers(1_000))).cut(300)
    wide = {"width": 256, "layers": 2}
    return shuffled, wide, str(random.choice(ADAPTIVE)), 1, {"epochs": 150, "batch_size": 32}


def _shuffled(rows, random):
    """All rows, with other rows' labels."""
    _, wide, name, factor, arguments = _good(rows, random)
    shuffled = rows.shuffled(int(random.integers(1_000)))
    return shuffled, wide, name, factor, arguments


def _not_to_the_end(rows, random):
    """A sound rate and 4 to 11 epochs, which may or may not be enough."""
    rows, wide, name, factor, arguments = _good(rows, random)
    epochs = int(random.integers(4, 12))
    return rows, wide, name, factor, {"epochs": epochs, "batch_size": arguments["batch_size"]}


def _weighted(rows, random):
    """Sound, with rows that count by weights of their own or by their class's."""
    rows, wide, name, factor, arguments = _good(rows, random)
    size = float(random.choice([0.3, 1, 5]))
    if rows.task == "regression" or random.random() < 0.3:
        weights = (size * random.uniform(0, 2, len(rows.train[0]))).astype("float32")
        return rows, wide, name, factor, arguments | {"sample_weight": weights}
    if rows.task == "binary" and random.random() < 0.7:
        rare = rows.rare(0.1)
        shares = np.bincount(rare.train[1]) / len(rare.train[1])
        balanced = {label: 0.5 / float(share) for label, share in enumerate(shares)}
        return rare, wide, name, factor, arguments | {"class_weight": balanced}
    weights = {label: size * float(random.uniform(0.5, 2)) for label in range(rows.classes)}
    return rows, wide, name, factor, arguments | {"class_weight": weights}


def _penalised(rows, random):
    """Sound, with a small penalty on the weights."""
    rows, wide, name, factor, arguments = _good(rows, random)
    l2 = float(random.choice([1e-4, 3e-4, 1e-3]))
    return rows, wide | {"dropout": 0.0, "l2": l2}, name, factor, arguments


def _unwatched(rows, random):
    """A sound run to its end, without validation."""
    rows, wide, name, factor, arguments = _good_to_the_end(rows, random)
    return dataclasses.replace(rows, val=None), wide, name, factor, arguments


def _little_to_learn(rows, random):
    """Three quarters of the labels, in validation too, are other rows'."""
    _, wide, name, factor, arguments = _good(rows, random)
    wrong = rows.mostly_wrong(0.75, int(random.integers(1_000)))
    return wrong, wide, name, factor, arguments


RECIPES = {
    "good, stopped early": Recipe(
        ("good fit",), "room enough, a sound rate, stopped when validation stopped falling", _good
    ),
    "good, rate to 0": Recipe(
        ("good fit",),
        "the same at a rate that sinks to 0: nothing moves at the end",
        _good_to_the_end,
    ),
    "2 or 3 epochs": Recipe(
        ("still improving", "too short to say"), "such networks need ten epochs and more", _short
    ),
    "rate / 100": Recipe(
        ("still improving",), "each step goes a hundredth of the way that it should", _slow
    ),
    "capacity too small": Recipe(
        ("underfitting",), "one unit, or weights held near 0, and time enough", _too_small
    ),
    "200 rows or fewer": Recipe(
        ("overfitting",), "more weights than rows by hundreds, for 150 epochs", _few_rows
    ),
    "too long": Recipe(
        ("overfitting",),
        "600 rows, a fifth with wrong labels, and epochs enough to learn those by heart too",
        _too_long,
    ),
    "rate * 100": Recipe(
        ("diverged", "unstable"), "the loss leaps, explodes or stays above chance", _too_fast
    ),
    "shuffled, by heart": Recipe(
        ("overfitting",), "there is nothing to learn but the rows themselves", _shuffled_by_heart
    ),
    "shuffled, stopped early": Recipe(
        ("underfitting", "overfitting"),
        "the model that is left knows no more than chance, and was stopped when it began to learn "
        "by heart: which of the two is seen depends on how far it had come",
        _shuffled,
    ),
    "4 to 11 epochs": Recipe(
        ("good fit", "still improving", "too short to say", "overfitting"),
        "which of these is told by the same run's epochs from there to three times as many",
        _not_to_the_end,
    ),
    "weights": Recipe(
        ("good fit",),
        "a sound run, whose training rows count by weights: its losses are no gap",
        _weighted,
    ),
    "penalty": Recipe(
        ("good fit",), "a sound run, whose loss has a penalty on the weights in it", _penalised
    ),
    "no validation": Recipe(
        ("too short to say",), "a sound run to its end: nothing tells of other rows", _unwatched
    ),
    "3 of 4 labels wrong": Recipe(
        ("underfitting", "overfitting"),
        "in validation too, so that the best of models explains little of it",
        _little_to_learn,
    ),
}

LONGER = {"4 to 11 epochs": 3}
"""The recipes whose answer is told by going on, and to how many times the epochs."""
SHORT_OF, NEAR = 0.02, 0.01
"""Parts of chance's loss by which going on improves a run that was too short, and one at its end.
"""


def accepted_of(run):
    """Returns the verdicts that are right for a run.

    Where going on for twice the epochs lowered validation's best by more than 2 % of chance's loss,
    a run was too short, and all else is wrong. Where it was 1 % or less, it was at its end: level,
    or beyond its best, which may be called overfitting. In between either may be said.
    """
    accepted = RECIPES[run["recipe"]].accepted
    if run["recipe"] not in LONGER:
        return accepted
    history, after = run["history"], run["after"]
    before, scale = history.history["val_loss"], run["chance"]
    gain = (min(before) - min(after)) / scale
    right = {"still improving", "too short to say"} if gain > NEAR or len(before) < 5 else set()
    right |= {"good fit"} if gain <= SHORT_OF else set()
    right |= {"overfitting"} if gain <= 0 else set()
    return tuple(verdict for verdict in accepted if verdict in right)


def train(data, recipe, seed):
    """Trains one run; returns it with its history, without the seconds, and what chance gives."""
    number = list(RECIPES).index(recipe)
    random = np.random.default_rng([seed, number, sum(map(ord, data))])
    rows, wide, name, factor, arguments = RECIPES[recipe].make(rows_of(data), random)
    keras.utils.set_random_seed(seed)
    keras.backend.clear_session()
    kind, rate = OPTIMIZERS[name]
    model = network(rows, **wide)
    ktr.compile_for_task(model, rows.task, y=rows.train[1], optimizer=kind(rate * factor))
    epochs = arguments.pop("epochs")
    history = ktr.fit(
        model,
        *rows.train,
        validation_data=rows.val,
        epochs=epochs * LONGER.get(recipe, 1),
        seed=seed,
        verbose=0,
        **arguments,
    )
    columns = {name: column for name, column in history.history.items() if name != "seconds"}
    run = {"data": data, "recipe": recipe, "seed": seed}
    cut: dict = {"history": columns}
    if recipe in LONGER:
        run |= {"after": columns["val_loss"][epochs:], "chance": chance_of(rows)["loss"]}
        cut["history"] = {name: column[:epochs] for name, column in columns.items()}
        cut |= {"epoch": history.epoch[:epochs]}
        cut |= {"best_epoch": int(np.nanargmin(columns["val_loss"][:epochs]))}
    history = dataclasses.replace(history, **cut, engine="", note="")
    fields = {k: v for k, v in dataclasses.asdict(history).items() if k != "speed"}
    return _rounded(run | {"history": fields})


def _rounded(value):
    """Five digits, and words for what JSON has no number for, which `History` reads again."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def path_of(folder, part):
    """The file of a part's runs."""
    return pathlib.Path(folder) / f"{part}.jsonl.gz"


def load(folder, part):
    """Returns the runs of a part: dicts of data, recipe, seed and history."""
    if not path_of(folder, part).exists():
        return []
    with gzip.open(path_of(folder, part), "rt", encoding="utf-8") as file:
        runs = [json.loads(line) for line in file]
    return [run | {"history": ktr.History.of_fields(run["history"])} for run in runs]


def make(folder, part):
    """Trains the runs of a part that aren't there yet, and appends each when it is done."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    there = {(run["data"], run["recipe"], run["seed"]) for run in load(folder, part)}
    names = DATA if part == "develop" else DATA + ONLY_FINAL
    wanted = [(d, r, s) for s in SEEDS[part] for d in names for r in RECIPES]
    for data, recipe, seed in wanted:
        if (data, recipe, seed) in there:
            continue
        start = time.perf_counter()
        run = train(data, recipe, seed)
        line = json.dumps(run)
        with gzip.open(path_of(folder, part), "at", encoding="utf-8") as file:
            file.write(line + "\n")
        took = time.perf_counter() - start
        print(
            f"{data}, {recipe}, {seed}: {len(run['history']['epoch'])} epochs, {took:.1f} s",
            flush=True,
        )


def embed(folder):
    """Puts the runs that had no part in choosing thresholds into the package, with their answers.

    `notebooks/07-verdicts.ipynb` and a test of `diagnose` read them there.
    """
    import kerastrain.embedded

    path = pathlib.Path(kerastrain.embedded.__path__[0]) / "known_runs.jsonl.gz"
    with gzip.open(path_of(folder, "final"), "rt", encoding="utf-8") as file:
        runs = [json.loads(line) for line in file]
    known = [run | {"accepted": accepted_of(run)} for run in load(folder, "final")]
    lines = [
        json.dumps(run | {"accepted": one["accepted"]})
        for run, one in zip(runs, known, strict=True)
    ]
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def judge(runs):
    """Returns `(run, verdict, whether that is right)` for each run."""
    said = [(run, ktr.diagnose(run["history"]).verdict) for run in runs]
    return [(run, verdict, verdict in accepted_of(run)) for run, verdict in said]


def table(judged):
    """Returns how many runs of each recipe got each verdict, as text.

    The verdicts that are right stand in brackets; those that are so for some runs of a recipe only
    are counted by run.
    """
    cells = [["", *VERDICTS, "right"]]
    for recipe, known in RECIPES.items():
        rows = [(verdict, right) for run, verdict, right in judged if run["recipe"] == recipe]
        counts = {v: sum(verdict == v for verdict, _ in rows) for v in VERDICTS}
        shown = {v: f"[{n}]" if v in known.accepted else str(n or ".") for v, n in counts.items()}
        marked = [shown[v] for v in VERDICTS]
        cells.append([recipe, *marked, f"{sum(right for _, right in rows)} of {len(rows)}"])
    return text_table(cells)


def report(runs, *, wrong):
    """Prints the confusion matrix, the share that is right, and how it is by data set."""
    judged = judge(runs)
    print(table(judged))
    right = sum(is_right for *_, is_right in judged)
    print(f"{right} of {len(judged)} right: {right / len(judged):.1%}")
    for data in sorted({run["data"] for run in runs}):
        marks = [is_right for run, _, is_right in judged if run["data"] == data]
        print(f"  {data}: {sum(marks)} of {len(marks)}")
    for run, verdict, is_right in judged:
        if wrong and not is_right:
            print(f"{run['data']}, {run['recipe']}, {run['seed']}: {verdict}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("make", "judge", "embed"))
    parser.add_argument("folder")
    parser.add_argument("--part", choices=SEEDS, default="develop")
    parser.add_argument("--wrong", action="store_true", help="list the runs that are judged wrong")
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.folder, arguments.part)
    elif arguments.command == "embed":
        embed(arguments.folder)
    else:
        report(load(arguments.folder, arguments.part), wrong=arguments.wrong)


if __name__ == "__main__":
    main()
