"""The same training with several seeds: which seeds, in which folders, and what is kept of it."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, show
from kerastrain._record_files import UnreadableError, fields_in, read_text, save_record
from kerastrain._run_folders import REPEATS, is_run
from kerastrain._standings import is_better_higher, value_of
from kerastrain.records import History
from kerastrain.repeats import Repeats
from kerastrain.surfaces import say

_KIND = "FirstSeed"


def seeds_from(first: int, count: int) -> list[int]:
    """Returns so many different seeds, the first of which is given; more begin with the same.

    Example:
        >>> seeds_from(7, 3)[0], seeds_from(7, 3) == seeds_from(7, 5)[:3]
        (7, True)
    """
    generator, seeds = np.random.default_rng(first), [first]
    while len(seeds) < count:
        drawn = int(generator.integers(2**31))
        if drawn not in seeds:
            seeds.append(drawn)
    return seeds


def repeated(
    train: Callable[[int, pathlib.Path | None], tuple[keras.Model, History]],
    *,
    count: int,
    first: int,
    folder: pathlib.Path | None,
    verbose: Any,
) -> Repeats:
    """Trains with several seeds, and returns what came of it; after Ctrl-C, of those until then.

    Args:
        train: Trains once, with a seed and in a folder.
        count: How often.
        first: The first seed.
        folder: Where the runs have their folders; `None` for runs without.
        verbose: As in `fit`: 0 says nothing of where it is.
    """
    histories: list[History] = []
    best: tuple[int, keras.Model] | None = None
    for number, seed in enumerate(seeds_from(first, count), 1):
        say(verbose, f"repeat {number} of {count}, seed {seed}")
        model, history = train(seed, None if folder is None else folder / f"seed-{seed}")
        if history.stop_reason == "interrupted" and histories:
            break
        histories.append(history)
        if _is_better(histories, best and best[0]):
            best = len(histories) - 1, model  # The others' models are let go, one after the other.
        if history.stop_reason == "interrupted":
            break
    metric = histories[0].monitor or "loss"
    where, kept = best or (None, None)
    return Repeats(histories, metric, best=where, model=kept)


def _is_better(histories: list[History], best: int | None) -> bool:
    """Tells whether the last run is better than the best one before it."""
    metric = histories[0].monitor or "loss"
    is_rising = is_better_higher(metric, histories)
    value = value_of(histories[-1], metric, is_rising)
    if not np.isfinite(value) or best is None:
        return bool(np.isfinite(value))
    before = value_of(histories[best], metric, is_rising)
    return value > before if is_rising else value < before


def folder_of(run: Any) -> pathlib.Path | None:
    """Returns the folder for several runs, or raises where it can't be one."""
    if run is None:
        return None
    if not isinstance(run, str | os.PathLike) or not os.fspath(run):
        must = "be the path of a folder"
        raise invalid("build_and_fit", "run", must, f"run={show(run)}", kind=TypeError)
    folder = pathlib.Path(run).expanduser()
    if is_run(folder):
        must = "be another folder beside `repeats`, since it is that of one run"
        raise invalid("build_and_fit", "run", must, f"run={os.fspath(run)!r}")
    return folder


def first_seed_kept(folder: pathlib.Path | None, seed: int | None) -> int | None:
    """Returns the seed that the runs in a folder began with, or the one that is given.

    Raises:
        ValueError: If they are two.
    """
    if folder is None:
        return seed
    try:
        kept = int(fields_in(read_text(folder / REPEATS), _KIND)["seed"])
    except (UnreadableError, KeyError, TypeError, ValueError):
        return seed
    if seed is not None and seed != kept:
        must = f"be {kept}, with which the runs in {os.fspath(folder)!r} began"
        raise invalid("build_and_fit", "seed", must, f"seed={seed}")
    return kept


def keep_first_seed(folder: pathlib.Path | None, seed: int) -> None:
    """Writes down the seed that the runs in a folder begin with."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_record(folder / REPEATS, _KIND, {"seed": seed})
    except OSError as error:
        must = "be a folder that can be written"
        received = f"run={os.fspath(folder)!r} ({error.strerror or type(error).__name__})"
        raise invalid("build_and_fit", "run", must, received) from error
