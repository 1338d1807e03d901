"""Rows that are the same: found by a number computed of each row's bytes, confirmed exactly."""

import numpy as np

_SEED = 20_240_817
"""Any; the numbers only sort rows, so that a chance match costs time and says nothing."""


def marks_of(array: np.ndarray) -> np.ndarray:
    """Returns a 64-bit number a row, the same for rows of the same bytes, in one pass.

    Args:
        array: Rows `(n, ...)` of numbers, or of strings as objects.

    Example:
        >>> one, two, three = marks_of(np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]]))
        >>> bool(one == three), bool(one == two)
        (True, False)
    """
    flat = array.reshape(len(array), -1)
    if flat.dtype == object:
        return np.array([hash(tuple(row)) for row in flat.tolist()], dtype=np.int64).view(np.uint64)
    data = np.ascontiguousarray(flat).view(np.uint8)
    width = next(width for width in (8, 4, 2, 1) if data.shape[1] % width == 0)
    words = data.view(f"u{width}")
    odd = np.random.default_rng(_SEED).integers(0, 2**63, words.shape[1], dtype=np.uint64) * 2 + 1
    marks: np.ndarray = np.einsum("ij,j->i", words, odd, dtype=np.uint64, casting="unsafe")
    return marks


def rows_in(array: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which rows of `array` stand in `other` too, and where, the first time.

    Example:
        >>> rows_in(np.array([[1], [2], [3]]), np.array([[3], [1], [1]]))
        (array([0, 2]), array([1, 0]))
    """
    ours, theirs = marks_of(array), marks_of(other)
    known, first = np.unique(theirs, return_index=True)
    place = np.minimum(np.searchsorted(known, ours), len(known) - 1)
    candidates = np.flatnonzero(known[place] == ours)
    there = first[place[candidates]]
    same = _are_equal(array, candidates, other, there)
    return candidates[same], there[same]


def repeats_in(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows that stood before, and where the first time.

    Example:
        >>> repeats_in(np.array([[1], [2], [1]]))
        (array([2]), array([0]))
    """
    marks = marks_of(array)
    _, first, inverse = np.unique(marks, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(marks)))
    before = first[inverse[again]]
    same = _are_equal(array, again, array, before)
    return again[same], before[same]


def _are_equal(
    array: np.ndarray, positions: np.ndarray, other: np.ndarray, there: np.ndarray
) -> np.ndarray:
    """Compares pairs of rows, some at a time, so that they needn't all be copied."""
    equal = [
        (array[positions[i : i + 1024]] == other[there[i : i + 1024]])
        .reshape(len(positions[i : i + 1024]), -1)
        .all(axis=1)
        for i in range(0, len(positions), 1024)
    ]
    return np.concatenate(equal) if equal else np.zeros(0, dtype=bool)
