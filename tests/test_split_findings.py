"""Training beside validation, rows beside labels: what is said, and of what nothing."""

import numpy as np
import pytest
from small_findings import assert_found

from kerastrain import _split_findings as splits
from kerastrain._row_marks import repeats_in

ROWS, OTHERS = np.random.default_rng(0).normal(size=(2, 100, 3)).astype("float32")


AGAIN = np.tile(np.random.default_rng(1).normal(size=(60, 3)), (2, 1))


FOUND = {
    "validation rows that are trained on": (
        lambda: splits.rows_in_both(ROWS, np.concatenate([OTHERS, ROWS[[7, 9]]])),
        "warning",
        "rows-in-both",
        "validation_data",
        (
            "2 of 102 validation rows stand among the training rows too (validation row 100 is "
            "training row 7), so that validation shows what was learnt by heart: take them out "
            "of one of the two."
        ),
    ),
    "validating on the training rows": (
        lambda: splits.rows_in_both(ROWS, ROWS[:50]),
        "error",
        "rows-in-both",
        "validation_data",
        (
            "50 of 50 validation rows stand among the training rows too (validation row 0 is "
            "training row 0), so that validation shows what was learnt by heart: take them out "
            "of one of the two."
        ),
    ),
    "a review that stands in both": (
        lambda: splits.rows_in_both(
            np.array(["good", "bad"], object),
            np.array(["so so", "bad"], object),
            " (of the first 2 rows)",
        ),
        "warning",
        "rows-in-both",
        "validation_data",
        (
            "1 of 2 validation rows stands among the training rows too (of the first 2 rows), "
            "so that validation shows what was learnt by heart: take them out of one of the "
            "two."
        ),
    ),
    "a row with two labels": (
        lambda: splits.rows_with_two_labels(
            np.concatenate([ROWS, ROWS[:1]]), np.append(np.zeros(100, int), 1)
        ),
        "warning",
        "rows-with-two-labels",
        "y",
        (
            "1 row repeats an earlier one with another label (rows 0 and 100 are 0 and 1), and "
            "no model can be right about both: look at these rows, and drop them or correct "
            "their labels."
        ),
    ),
    "rows with two labels": (
        lambda: splits.rows_with_two_labels(
            np.concatenate([ROWS, ROWS]), np.repeat([0, 1], 100), " (of the first 200 rows)"
        ),
        "warning",
        "rows-with-two-labels",
        "y",
        (
            "100 rows repeat an earlier one with another label (of the first 200 rows), and no "
            "model can be right about both: look at these rows, and drop them or correct their "
            "labels."
        ),
    ),
    "validation labels that training lacks": (
        lambda: splits.other_classes(np.arange(50) % 3, np.array([0, 3, 4, 3])),
        "warning",
        "other-classes",
        "validation_data",
        (
            "3 of 4 validation labels (3, 4) occur in no training row, so that they can't be "
            "learnt: shuffle before splitting, or split each class in the same proportion, as "
            "fit(validation_split=...) does."
        ),
    ),
    "classes that validation lacks": (
        lambda: splits.classes_not_validated(np.arange(300) % 3, np.zeros(50, int)),
        "warning",
        "classes-not-validated",
        "validation_data",
        (
            "The 50 validation rows have none of class 1, 2, of which training has 200, so that"
            " validation says nothing of them: shuffle before splitting, or split each class in"
            " the same proportion, as fit(validation_split=...) does."
        ),
    ),
    "validation that was scaled otherwise": (
        lambda: splits.other_range(ROWS, OTHERS * 255),
        "warning",
        "other-range",
        "validation_data",
        (
            "Column 0 of `x` lies mostly between -1.51 and 1.59, and in `validation_data[0]` "
            "between -377 and 373: scale both by the same numbers, those of the training rows."
        ),
    ),
    "a column of validation that lies elsewhere": (
        lambda: splits.other_range(ROWS, OTHERS + np.array([0, 50, 0]), ("x", "validation_data")),
        "warning",
        "other-range",
        "validation_data",
        (
            "Column 1 of `x` lies mostly between -1.29 and 1.58, and in `validation_data` "
            "between 48.7 and 51.8: scale both by the same numbers, those of the training rows."
        ),
    ),
    "pictures of validation that were not scaled": (
        lambda: splits.other_range(
            np.ones((30, 8, 8)) * np.linspace(0, 1, 8), np.ones((30, 8, 8)) * np.linspace(0, 255, 8)
        ),
        "warning",
        "other-range",
        "validation_data",
        (
            "`x` lies mostly between 0 and 1, and in `validation_data[0]` between 0 and 255: "
            "scale both by the same numbers, those of the training rows."
        ),
    ),
    "rows that repeat": (
        lambda: splits.repeated_rows(AGAIN, repeats_in(AGAIN)),
        "warning",
        "repeated-rows",
        "x",
        (
            "60 of 120 rows of `x` repeat an earlier one (row 60 is row 0), so that validation "
            "rows split off would be trained on too: drop the repeats, or pass validation_data "
            "without them."
        ),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_said_what_was_found_and_what_to_do(case):
    assert_found(*FOUND[case])


NOTHING = {
    "rows of which a few repeat": lambda: splits.repeated_rows(AGAIN[:61], repeats_in(AGAIN[:61])),
    "rows of two categories": lambda: splits.repeated_rows(
        np.tile([[0, 1], [1, 0]], (50, 1)), repeats_in(np.tile([[0, 1], [1, 0]], (50, 1)))
    ),
    "rows that differ": lambda: splits.rows_in_both(ROWS, OTHERS),
    "rows that differ in their last bit": lambda: splits.rows_in_both(
        ROWS, np.nextafter(ROWS, np.float32(9))
    ),
    "rows of few categories, which meet by chance": lambda: splits.rows_in_both(
        np.tile(np.eye(3), (30, 1)), np.eye(3)
    ),
    "rows of other kinds": lambda: splits.rows_in_both(ROWS, ROWS.astype("float64")),
    "repeated rows of one label": lambda: splits.rows_with_two_labels(
        np.concatenate([ROWS, ROWS]), np.tile(np.arange(100) % 3, 2)
    ),
    "categories with several labels": lambda: splits.rows_with_two_labels(
        np.tile(np.eye(3), (30, 1)), np.arange(90) % 2
    ),
    "validation of known classes": lambda: splits.other_classes(np.arange(9) % 3, np.array([0, 2])),
    "few validation rows that miss a class": lambda: splits.classes_not_validated(
        np.arange(300) % 3, np.zeros(9, int)
    ),
    "validation alike": lambda: splits.other_range(ROWS, OTHERS),
    "validation with an outlier": lambda: splits.other_range(
        ROWS, np.concatenate([OTHERS, [[0, 0, 9999]]])
    ),
    "too few rows to tell": lambda: splits.other_range(ROWS, OTHERS[:10] * 255),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of(case):
    assert NOTHING[case]() is None
