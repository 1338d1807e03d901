"""From one seed to the same first weights, also where other threads draw random numbers."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import keras
import numpy as np

from kerastrain._checks import seed_number
from kerastrain.training import generators_left_alone

_TRIES = 10
_building = threading.Lock()
"""Held while a model is built: two fits in threads would seed the same generators."""

_Built = TypeVar("_Built")


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[int]:
    """Hands out the seed of a fit, which leaves Python's and NumPy's generators where they were.

    A search may draw its next candidates from these, and would draw the same after each fit.

    Example:
        >>> with seeded(3) as seed:
        ...     print(seed)
        3
    """
    drawn = random.getrandbits(31) if seed is None else seed_number("fit", seed)
    with generators_left_alone():
        yield drawn


def built_from(seed: int, build: Callable[[], _Built]) -> _Built:
    """Builds with every generator started from a seed, undisturbed by other threads.

    Keras draws the seeds of the first weights from Python's generator, which all threads share, and
    a worker's own threads may draw from it at any time, as Dask's do. A disturbed build leaves the
    generator elsewhere than an undisturbed one; so, outside the main thread, what is built is built
    again until two in turn leave it at the same place.

    Args:
        seed: The seed.
        build: What to call.
    """
    with _building:
        built, place = _built_once(seed, build)
        if threading.current_thread() is threading.main_thread():
            return built
        for _ in range(_TRIES):
            before = place
            built, place = _built_once(seed, build)
            if place == before:
                break
        return built


def seed_of_pass(seed: int | None, number: int) -> int | None:
    """Returns another seed for every pass, or all would visit their rows in the same order."""
    if seed is None:
        return None
    sequence = np.random.SeedSequence([seed_number("fit", seed), number])
    return int(sequence.generate_state(1)[0])


def _built_once(seed: int, build: Callable[[], _Built]) -> tuple[_Built, object]:
    keras.utils.set_random_seed(seed)
    return build(), random.getstate()
