"""Rows that are the same are found, all of them and no others."""

import numpy as np
import pytest

from kerastrain import _row_marks
from kerastrain._row_marks import marks_of, repeats_in, rows_in

GENERATOR = np.random.default_rng(0)
KINDS = {
    "float32": GENERATOR.normal(size=(50, 5)).astype("float32"),
    "float64": GENERATOR.normal(size=(50, 5)),
    "pictures": GENERATOR.integers(0, 256, (50, 3, 3)).astype("uint8"),
    "booleans": (np.arange(50)[:, None] >> np.arange(6)) % 2 == 1,
    "strings": np.array([f"review {number}" for number in range(50)], dtype=object),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_found_where_they_stand(kind):
    rows = KINDS[kind]
    found, there = rows_in(rows[[3, 40, 3]], rows[3:30])
    assert (found.tolist(), there.tolist()) == ([0, 2], [0, 0])
    again, before = repeats_in(rows[[3, 40, 3, 5, 40, 3]])
    assert (again.tolist(), before.tolist()) == ([2, 4, 5], [0, 1, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_differ_are_marked_otherwise(kind):
    assert len(np.unique(marks_of(KINDS[kind]))) == 50


def test_rows_of_the_same_mark_are_the_same_only_if_they_are(monkeypatch):
    monkeypatch.setattr(_row_marks, "marks_of", lambda array: np.zeros(len(array), np.uint64))
    rows = KINDS["float32"]
    found, there = rows_in(rows[:3], rows)
    assert (found.tolist(), there.tolist()) == ([0], [0])
    assert repeats_in(rows)[0].tolist() == []


def test_more_pairs_than_are_compared_at_once():
    rows = GENERATOR.normal(size=(3_000, 4)).astype("float32")
    assert rows_in(rows, rows[::-1])[1].tolist() == list(range(3_000))[::-1]
