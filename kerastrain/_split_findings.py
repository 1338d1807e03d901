"""What can be wrong between training and validation rows, and between rows and their labels.

One function a finding, on plain arrays.
"""

import math
from typing import TypeAlias

import numpy as np

from kerastrain._row_marks import repeats_in, rows_in
from kerastrain.check_records import Finding, error, warning

_BY_CHANCE = 1e-3
_MANY = 0.05  # Of the rows; a few repeats do no harm.

Repeats: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Which rows repeat an earlier one, and which one."""


def rows_in_both(x: np.ndarray, held_out: np.ndarray, looked_at: str = "") -> Finding | None:
    """Validation rows that are trained on: they show nothing but memory.

    Rows of a table with few different ones meet by chance, and are left alone.

    Args:
        x: The training rows.
        held_out: The validation rows.
        looked_at: Of which rows these are all, as words for the sentence, where not of all.
    """
    if x.shape[1:] != held_out.shape[1:] or x.dtype != held_out.dtype:
        return None
    found, there = rows_in(held_out, x)
    if not len(found) or _meet_by_chance(x):
        return None
    grade = error if len(found) > len(held_out) / 2 else warning
    stand = "stands" if len(found) == 1 else "stand"
    where = looked_at or f" (validation row {found[0]:,} is training row {there[0]:,})"
    return grade(
        "rows-in-both",
        "validation_data",
        f"{len(found):,} of {len(held_out):,} validation rows {stand} among the training rows too"
        f"{where}, so that validation shows what was learnt by heart: take them out of "
        "one of the two.",
    )


def repeated_rows(x: np.ndarray, repeats: Repeats, looked_at: str = "") -> Finding | None:
    """Rows that stand there several times, so that a split puts some of them on both sides."""
    again, before = repeats
    if len(again) < _MANY * len(x) or _meet_by_chance(x):
        return None
    where = looked_at or f" (row {again[0]:,} is row {before[0]:,})"
    return warning(
        "repeated-rows",
        "x",
        f"{len(again):,} of {len(x):,} rows of `x` repeat an earlier one{where}, so that "
        "validation rows split off would be trained on too: drop the repeats, or pass "
        "validation_data without them.",
    )


def rows_with_two_labels(
    x: np.ndarray, y: np.ndarray, looked_at: str = "", *, repeats: Repeats | None = None
) -> Finding | None:
    """The same row with another label: no model can be right about both."""
    again, before = repeats_in(x) if repeats is None else repeats
    differs = y[again] != y[before]
    if not differs.any() or _meet_by_chance(x):
        return None
    first, second = before[differs][0], again[differs][0]
    count = int(differs.sum())
    where = looked_at or f" (rows {first:,} and {second:,} are {y[first]} and {y[second]})"
    repeat = "1 row repeats" if count == 1 else f"{count:,} rows repeat"
    return warning(
        "rows-with-two-labels",
        "y",
        f"{repeat} an earlier one with another label{where}, and no model can be right about "
        "both: look at these rows, and drop them or correct their labels.",
    )


def other_classes(labels: np.ndarray, held_out: np.ndarray) -> Finding | None:
    """Validation asks for classes that training never shows."""
    unknown = np.setdiff1d(held_out, labels)
    if not len(unknown):
        return None
    count = int(np.isin(held_out, unknown).sum())
    names = ", ".join(f"{label:g}" for label in unknown[:10])
    return warning(
        "other-classes",
        "validation_data",
        f"{count:,} of {len(held_out):,} validation labels ({names}) occur in no training row, so "
        "that they can't be learnt: shuffle before splitting, or split each class in the same "
        "proportion, as fit(validation_split=...) does.",
    )


def classes_not_validated(labels: np.ndarray, held_out: np.ndarray) -> Finding | None:
    """Validation lacks classes, as no shuffled split would leave it."""
    classes, counts = np.unique(labels, return_counts=True)
    chance = (1 - counts / len(labels)) ** len(held_out) * len(classes)
    lacking = classes[~np.isin(classes, held_out) & (chance < _BY_CHANCE)]
    if not len(lacking):
        return None
    names = ", ".join(f"{label:g}" for label in lacking[:10])
    return warning(
        "classes-not-validated",
        "validation_data",
        f"The {len(held_out):,} validation rows have none of class {names}, of which training has "
        f"{int(np.isin(labels, lacking).sum()):,}, so that validation says nothing of them: "
        "shuffle before splitting, or split each class in the same proportion, as "
        "fit(validation_split=...) does.",
    )


def other_range(
    sample: np.ndarray, held_out: np.ndarray, names: tuple[str, str] = ("x", "validation_data[0]")
) -> Finding | None:
    """Validation was scaled otherwise, or comes from elsewhere.

    Held against each other is where the middle nine tenths lie, which outliers don't move.
    """
    if min(len(sample), len(held_out)) < 20 or sample.shape[1:] != held_out.shape[1:]:
        return None
    ours, theirs = sample.astype(float), held_out.astype(float)
    if sample.ndim != 2 or sample.shape[1] >= 49:
        ours, theirs = ours.reshape(-1, 1), theirs.reshape(-1, 1)
    for column in range(ours.shape[1]):
        low, middle, high = np.percentile(ours[:, column], (5, 50, 95)).tolist()
        least, centre, most = np.percentile(theirs[:, column], (5, 50, 95)).tolist()
        spread, other = high - low, most - least
        if spread == 0 or other == 0:
            continue
        if abs(centre - middle) > 3 * max(spread, other) or not 0.1 < other / spread < 10:
            which = f"Column {column} of `{names[0]}`" if ours.shape[1] > 1 else f"`{names[0]}`"
            return warning(
                "other-range",
                "validation_data",
                f"{which} lies mostly between {low:.3g} and {high:.3g}, and in `{names[1]}` "
                f"between {least:.3g} and {most:.3g}: scale both by the same numbers, those of the "
                "training rows.",
            )
    return None


def _meet_by_chance(x: np.ndarray) -> bool:
    """Tells whether rows are alike since there are few that differ: a table of a few categories."""
    if x.ndim != 2 or x.dtype == object or x.shape[1] > 20:
        return False
    different = [len(np.unique(x[:, column])) for column in range(x.shape[1])]
    return math.prod(different) < 10 * len(x) and max(different) < len(x) / 2
