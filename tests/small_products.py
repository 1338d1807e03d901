"""Which combinations of a product are tested each time, and which only with the slow ones."""

import itertools

import pytest


def diagonal(*axes):
    """Every combination of some values; all but those on a diagonal are marked as slow.

    On it are a whole row and column of any two axes, if there are three: with two speeds, every
    kind is tested at either, and at either place, but not at each place with each speed.
    """
    shortest = min(len(axis) for axis in axes)
    return [
        pytest.param(
            *(value for _, value in chosen),
            id=", ".join(str(value) for _, value in chosen),
            marks=[pytest.mark.slow] if sum(place for place, _ in chosen) % shortest else [],
        )
        for chosen in itertools.product(*(list(enumerate(axis)) for axis in axes))
    ]
