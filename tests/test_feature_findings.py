"""Inputs: what is said of each, and what nothing is said of."""

import numpy as np
import pytest
from small_findings import assert_found

from kerastrain import _feature_findings as features

TABLE = np.random.default_rng(0).normal(size=(200, 4))
IRIS = np.array([5.8, 3.0, 3.8, 1.2])
PICTURES = np.random.default_rng(1).integers(0, 256, (40, 8, 8)).astype("uint8")


def table(columns, values):
    """The table with other columns."""
    changed = TABLE.copy()
    changed[:, columns] = values
    return changed


def with_cells(value):
    changed = TABLE.copy()
    changed[3:5, 1] = value
    return changed


def twice(array):
    """All rows, and as a sample all rows."""
    return array, array


FOUND = {
    "gaps in a table": (
        lambda: features.missing_values(with_cells(np.nan)),
        "error",
        "missing-values",
        "x",
        (
            "`x` holds NaN in 2 of 800 cells, in 2 rows from 3 on (column 1): drop these rows "
            "or fill the gaps, since a single one makes the loss and then all weights NaN."
        ),
    ),
    "a gap among targets": (
        lambda: features.missing_values(np.array([1.0, np.nan]), "y"),
        "error",
        "missing-values",
        "y",
        (
            "`y` holds NaN in 1 of 2 cells, in row 1: drop these rows, since a single one makes"
            " the loss and then all weights NaN."
        ),
    ),
    "infinity": (
        lambda: features.infinite_values(with_cells(np.inf)),
        "error",
        "infinite-values",
        "x",
        (
            "`x` holds infinity in 2 of 800 cells, in 2 rows from 3 on (column 1): look for a "
            "division by 0 or log(0) in how it was made, or clip it."
        ),
    ),
    "numbers beyond float32": (
        lambda: features.too_large_for_floats(np.array([1.0, 1e40])),
        "error",
        "too-large",
        "x",
        ("`x` holds 1e+40, which is infinity in Keras's float32: scale it, or take its logarithm."),
    ),
    "timestamps that float32 merges": (
        lambda: features.lost_digits(1_700_000_000 + np.arange(200.0)[:, None]),
        "warning",
        "lost-digits",
        "x",
        (
            "Column 0 of `x` has 200 different values, of which Keras's float32 keeps 3 apart: "
            "subtract the smallest, 1,700,000,000, or leave the column out if it numbers the "
            "rows."
        ),
    ),
    "numbers read as text": (
        lambda: features.numbers_as_strings(np.array([["1.5", "2"], ["3", "-4e2"]], dtype=object)),
        "error",
        "numbers-as-strings",
        "x",
        ("`x` holds numbers as strings, such as '1.5': write x.astype(\"float32\")."),
    ),
    "rows that are all the same": (
        lambda: features.rows_alike(np.ones((30, 4))),
        "error",
        "rows-alike",
        "x",
        (
            "All 30 rows of `x` are the same, so that nothing can be told from them: look at "
            "how it was read."
        ),
    ),
    "a constant column": (
        lambda: features.constant_columns(*twice(table(1, 0))),
        "warning",
        "constant-columns",
        "x",
        (
            "Column 1 of `x` holds the same number in all 200 rows and says nothing: leave it "
            "out, or look at how it was read."
        ),
    ),
    "constant columns": (
        lambda: features.constant_columns(*twice(table(slice(1, 3), 0))),
        "warning",
        "constant-columns",
        "x",
        (
            "Columns 1 and 2 of `x` hold the same number in all 200 rows and say nothing: leave"
            " them out, or look at how it was read."
        ),
    ),
    "a column that stands twice": (
        lambda: features.duplicate_columns(*twice(TABLE[:, [0, 1, 2, 1]])),
        "warning",
        "duplicate-columns",
        "x",
        ("Columns 1 and 3 of `x` are the same in all 200 rows: leave one of them out."),
    ),
    "a column that counts the rows": (
        lambda: features.row_numbers(table(2, np.arange(200) + 5)),
        "warning",
        "row-numbers",
        "x",
        (
            "Column 2 of `x` counts the rows, from 5 to 204: leave it out, or the model learns "
            "the order of the file."
        ),
    ),
    "a column that is the target": (
        lambda: features.target_among_columns(TABLE, 3 * TABLE[:, 1] - 2, np.arange(200)),
        "warning",
        "target-among-columns",
        "x",
        (
            "Column 1 of `x` gives `y` away: they rise and fall together exactly: leave it out,"
            " unless it will be known where the model is used."
        ),
    ),
    "a column that is the target in a sample": (
        lambda: features.target_among_columns(TABLE, -TABLE[:, 1], np.arange(100)),
        "warning",
        "target-among-columns",
        "x",
        (
            "Column 1 of `x` gives `y` away: they rise and fall together exactly (in a sample "
            "of 100 rows): leave it out, unless it will be known where the model is used."
        ),
    ),
    "pictures of 0 to 255": (
        lambda: features.grey_levels(*twice(PICTURES)),
        "warning",
        "grey-levels",
        "x",
        (
            "`x` holds whole numbers from 0 to 255, as pictures come, where a new model wants "
            "numbers near 1: divide by 255 (x / 255.0, of validation and test too), or begin "
            "the model with keras.layers.Rescaling(1 / 255)."
        ),
    ),
    "pictures divided by 255 twice": (
        lambda: features.scaled_twice(*twice((PICTURES / 255 / 255).astype("float32"))),
        "warning",
        "scaled-twice",
        "x",
        (
            "`x` lies between 0 and 0.0039, as pictures do that were divided by 255 twice: "
            "divide once."
        ),
    ),
    "columns of very different size": (
        lambda: features.large_numbers(*twice(TABLE * [1, 10, 2000, 1])),
        "warning",
        "unscaled",
        "x",
        (
            "The columns of `x` differ in size, from 0.973 (column 0) to 2.07e+03 (column 2), "
            "where a new model wants numbers near 1: standardise each column with the training "
            "rows' mean and deviation, or begin the model with an adapted "
            "keras.layers.Normalization()."
        ),
    ),
    "a single column of large numbers": (
        lambda: features.large_numbers(*twice(np.full((20, 1), 1990.0))),
        "warning",
        "unscaled",
        "x",
        (
            "`x` is of the size of 1,990, where a new model wants numbers near 1: standardise "
            "each column with the training rows' mean and deviation, or begin the model with an"
            " adapted keras.layers.Normalization()."
        ),
    ),
    "tokens beyond the embedding": (
        lambda: features.tokens_out_of_range(np.array([[0, 100], [3, 4]]), 100),
        "error",
        "tokens-out-of-range",
        "x",
        (
            "`x` holds tokens from 0 to 100, and the Embedding has rows for 0 to 99: write "
            "Embedding(input_dim=101, ...), or number the words anew from 0."
        ),
    ),
    "fractions for an embedding": (
        lambda: features.tokens_out_of_range(np.array([[0.0, 2.5]]), 100),
        "error",
        "no-tokens",
        "x",
        (
            "`x` holds fractions, such as 2.5, where an Embedding wants the numbers of words: "
            "turn the texts into whole numbers first."
        ),
    ),
    "columns that are all large": (
        lambda: features.large_numbers(np.full((30, 2), 2e6), np.full((30, 2), 2e6)),
        "warning",
        "unscaled",
        "x",
        (
            "The columns of `x` are of the size of 2e+06, where a new model wants numbers near 1: "
            "standardise each column with the training rows' mean and deviation, or begin the "
            "model with an adapted keras.layers.Normalization()."
        ),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_said_what_was_found_and_what_to_do(case):
    assert_found(*FOUND[case])


NOTHING = {
    "no gaps": lambda: features.missing_values(TABLE),
    "whole numbers have no gaps": lambda: features.missing_values(PICTURES),
    "finite numbers": lambda: features.infinite_values(TABLE),
    "large numbers that float32 holds": lambda: features.too_large_for_floats(np.array([1e38])),
    "float64": lambda: features.lost_digits(TABLE),
    "whole numbers that float32 holds": lambda: features.lost_digits(
        np.arange(2**24 - 9, 2**24)[:, None]
    ),
    "texts": lambda: features.numbers_as_strings(np.array(["so good", "7", "nan"], dtype=object)),
    "two rows that differ": lambda: features.rows_alike(np.array([[1, 1], [1, 2]])),
    "a column that is constant in the sample only": lambda: features.constant_columns(
        table(1, np.arange(200) == 150), np.zeros((9, 4))
    ),
    "empty edges of pictures laid flat": lambda: features.constant_columns(
        *twice(np.pad(np.random.default_rng(0).random((40, 60)), ((0, 0), (0, 4))))
    ),
    "columns that differ in one row": lambda: features.duplicate_columns(
        np.concatenate([TABLE[:, [0, 1, 1]], [[1, 2, 3]]]), TABLE[:, [0, 1, 1]]
    ),
    "a column that counts with a gap": lambda: features.row_numbers(
        table(2, np.delete(np.arange(201), 150))
    ),
    "the only column may count": lambda: features.row_numbers(np.arange(50.0)[:, None]),
    "a column that nearly is the target": lambda: features.target_among_columns(
        TABLE, TABLE[:, 1] + 0.1 * TABLE[:, 0], np.arange(200)
    ),
    "a single column may be the target": lambda: features.target_among_columns(
        TABLE[:, :1], TABLE[:, 0], np.arange(200)
    ),
    "pictures of 0 to 1": lambda: features.grey_levels(*twice((PICTURES / 255).astype("float32"))),
    "a table of whole numbers": lambda: features.grey_levels(*twice(np.arange(200).reshape(50, 4))),
    "pictures around 0": lambda: features.grey_levels(*twice(PICTURES.astype(int) - 120)),
    "dark pictures": lambda: features.scaled_twice(*twice((PICTURES / 255 / 50).astype("float32"))),
    "standardised columns with an outlier": lambda: features.large_numbers(
        *twice(table((0,), np.arange(200)[:, None] // 199 * 30.0))
    ),
    "the columns of iris": lambda: features.large_numbers(*twice(TABLE + IRIS)),
    "tokens that the Embedding has": lambda: features.tokens_out_of_range(np.array([[0, 99]]), 100),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of(case):
    assert NOTHING[case]() is None
