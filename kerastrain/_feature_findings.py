"""What can be wrong with inputs, told from plain arrays; one function a finding.

What only all rows can tell is looked for in a sample and confirmed in all rows.
"""

import numpy as np

from kerastrain._row_marks import marks_of
from kerastrain.check_records import Finding, error, warning

_PIXELS = 49
"""From so many columns on, a table of numbers may be pictures laid flat."""


def missing_values(array: np.ndarray, argument: str = "x") -> Finding | None:
    """NaN: one of them makes the loss NaN, and every weight with it."""
    if array.dtype.kind != "f" or not (gaps := np.isnan(array)).any():
        return None
    mend = "drop these rows" if argument.endswith("y") else "drop these rows or fill the gaps"
    return error(
        "missing-values",
        argument,
        f"`{argument}` holds NaN {_where(gaps)}: {mend}, since a single one makes the loss and "
        "then all weights NaN.",
    )


def infinite_values(array: np.ndarray, argument: str = "x") -> Finding | None:
    """Infinity, as a division by 0 or a logarithm of 0 leaves it."""
    if array.dtype.kind != "f" or not (infinite := np.isinf(array)).any():
        return None
    return error(
        "infinite-values",
        argument,
        f"`{argument}` holds infinity {_where(infinite)}: look for a division by 0 or log(0) in "
        "how it was made, or clip it.",
    )


def too_large_for_floats(array: np.ndarray, argument: str = "x") -> Finding | None:
    """Numbers that a float64 holds and Keras's float32 doesn't."""
    if array.dtype != np.float64:
        return None
    largest = np.abs(array).max(initial=0)
    if not np.isfinite(largest) or largest <= np.finfo(np.float32).max:
        return None
    return error(
        "too-large",
        argument,
        f"`{argument}` holds {largest:.2g}, which is infinity in Keras's float32: scale it, or "
        "take its logarithm.",
    )


def lost_digits(array: np.ndarray, argument: str = "x") -> Finding | None:
    """Numbers that differ, and no longer do as float32: timestamps, long numbers of things."""
    if array.dtype.kind not in "iuf" or array.dtype.itemsize < 8 or array.ndim != 2:
        return None
    for column in range(min(array.shape[1], 1000)):
        values = array[:, column]
        # Up to 2**24, differences of 1 survive; what float32 can't hold is said elsewhere.
        if not 2**24 <= np.abs(values).max(initial=0) <= np.finfo(np.float32).max:
            continue
        before, after = len(np.unique(values)), len(np.unique(values.astype(np.float32)))
        if after < 0.9 * before:
            return warning(
                "lost-digits",
                argument,
                f"Column {column} of `{argument}` has {before:,} different values, of which "
                f"Keras's float32 keeps {after:,} apart: subtract the smallest, "
                f"{values.min():,.0f}, or leave the column out if it numbers the rows.",
            )
    return None


def numbers_as_strings(array: np.ndarray, argument: str = "x") -> Finding | None:
    """Numbers that were read as text."""
    if array.dtype.kind not in "OUST" or not array.size:
        return None
    cells = array.reshape(-1)[:: max(1, array.size // 1000)]
    texts = [cell for cell in cells if isinstance(cell, str | bytes)]
    if not texts or len(texts) < len(cells) / 2 or not all(map(_is_number, texts)):
        return None
    shown = texts[0].decode() if isinstance(texts[0], bytes) else str(texts[0])
    return error(
        "numbers-as-strings",
        argument,
        f"`{argument}` holds numbers as strings, such as {shown!r}: write "
        f'{argument}.astype("float32").',
    )


def rows_alike(array: np.ndarray, argument: str = "x") -> Finding | None:
    """All rows are the same, so that nothing can be told from them."""
    if len(array) < 2 or not (array[:100] == array[:1]).all() or not (array == array[:1]).all():
        return None
    return error(
        "rows-alike",
        argument,
        f"All {len(array):,} rows of `{argument}` are the same, so that nothing can be told from "
        "them: look at how it was read.",
    )


def constant_columns(array: np.ndarray, sample: np.ndarray, argument: str = "x") -> Finding | None:
    """Columns that say nothing; but the edges of pictures and rare words are empty in many."""
    found = _constant(array, sample)
    if array.ndim != 2 or array.shape[1] >= _PIXELS:
        found = found[:0]
    if not len(found) or len(found) == array.shape[1]:
        return None
    holds, says, it = ("holds", "says", "it") if len(found) == 1 else ("hold", "say", "them")
    return warning(
        "constant-columns",
        argument,
        f"{_columns(found)} of `{argument}` {holds} the same number in all "
        f"{len(array):,} rows and {says} nothing: leave {it} out"
        ", or look at how it was read.",
    )


def duplicate_columns(array: np.ndarray, sample: np.ndarray, argument: str = "x") -> Finding | None:
    """Columns that say the same as another."""
    if array.ndim != 2 or not 1 < array.shape[1] < _PIXELS or len(array) < 10:
        return None
    marks = marks_of(np.ascontiguousarray(sample.T))
    constant = set(_constant(array, sample).tolist())
    for column in range(array.shape[1]):
        for before in np.flatnonzero(marks[:column] == marks[column]):
            same = column not in constant and (array[:, before] == array[:, column]).all()
            if same:
                return warning(
                    "duplicate-columns",
                    argument,
                    f"Columns {before} and {column} of `{argument}` are the same in all "
                    f"{len(array):,} rows: leave one of them out.",
                )
    return None


def row_numbers(array: np.ndarray, argument: str = "x") -> Finding | None:
    """A column that counts the rows."""
    if array.ndim != 2 or array.shape[1] < 2 or array.shape[1] >= _PIXELS or len(array) < 10:
        return None
    for column in range(array.shape[1]):
        head = array[:10, column].astype(float)
        if (np.diff(head) == 1).all() and (np.diff(array[:, column].astype(float)) == 1).all():
            return warning(
                "row-numbers",
                argument,
                f"Column {column} of `{argument}` counts the rows, from {head[0]:g} to "
                f"{array[-1, column]:g}: leave it out, or the model learns the order of the file.",
            )
    return None


def target_among_columns(
    array: np.ndarray, y: np.ndarray, sampled: np.ndarray, argument: str = "x"
) -> Finding | None:
    """A column that is the answer."""
    if array.ndim != 2 or not 1 < array.shape[1] < 1000 or y.size != len(array) or len(array) < 20:
        return None
    columns, target = array[sampled].astype(float), y.reshape(-1)[sampled].astype(float)
    spread, spread_of_target = columns.std(axis=0), target.std()
    if spread_of_target == 0:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = (columns - columns.mean(axis=0)).T @ (target - target.mean()) / len(target)
        correlation = np.abs(covariance / spread / spread_of_target)
    found = np.flatnonzero(np.nan_to_num(correlation) > 1 - 1e-6)
    if not len(found):
        return None
    among = "" if len(sampled) == len(array) else f" (in a sample of {len(sampled):,} rows)"
    return warning(
        "target-among-columns",
        argument,
        f"Column {found[0]} of `{argument}` gives `y` away: they rise and fall together "
        f"exactly{among}: leave it out, unless it will be known where the model is used.",
    )


def grey_levels(array: np.ndarray, sample: np.ndarray, argument: str = "x") -> Finding | None:
    """Pictures as they come from a file, 0 to 255."""
    if not _is_picture(array) or not 32 < sample.max() <= 255 or sample.min() < 0:
        return None
    if sample.dtype.kind == "f" and not (sample == np.round(sample)).all():
        return None
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        return None
    return warning(
        "grey-levels",
        argument,
        f"`{argument}` holds whole numbers from {low:g} to {high:g}, as pictures come, where a new "
        f"model wants numbers near 1: divide by 255 ({argument} / 255.0, of validation and test "
        "too), or begin the model with keras.layers.Rescaling(1 / 255).",
    )


def scaled_twice(array: np.ndarray, sample: np.ndarray, argument: str = "x") -> Finding | None:
    """Pictures that were divided by 255 two times."""
    if not _is_picture(array) or array.dtype.kind != "f":
        return None
    if sample.min() < 0 or not 0 < sample.max() <= 0.01:
        return None
    low, high = array.min(), array.max()
    if low < 0 or high > 0.01:
        return None
    return warning(
        "scaled-twice",
        argument,
        f"`{argument}` lies between {low:g} and {high:.2g}, as pictures do that were divided by "
        "255 twice: divide once.",
    )


def large_numbers(array: np.ndarray, sample: np.ndarray, argument: str = "x") -> Finding | None:
    """Inputs far from 1: the largest column drowns the others and the rate fits none."""
    if not sample.size:
        return None
    columns = sample.reshape(len(sample), -1).astype(float)
    if array.ndim != 2:
        columns = columns.reshape(-1, 1)
    sizes = np.sqrt(np.mean(np.square(columns), axis=0))
    largest, there = float(sizes.max()), sizes[sizes > 0]
    ratio = largest / there.min() if len(there) else 1.0
    if largest < 100 and (largest < 10 or ratio < 100):
        return None
    mend = (
        "standardise each column with the training rows' mean and deviation, or begin the model "
        "with an adapted keras.layers.Normalization()"
    )
    if len(sizes) > 1 and ratio < 10:
        found = f"The columns of `{argument}` are of the size of {largest:,.3g}"
    elif len(sizes) == 1:
        found = f"`{argument}` is of the size of {largest:,.0f}"
    else:
        widest, narrowest = int(sizes.argmax()), int(np.where(sizes > 0, sizes, np.inf).argmin())
        found = (
            f"The columns of `{argument}` differ in size, from {sizes[narrowest]:,.3g} (column "
            f"{narrowest}) to {largest:,.3g} (column {widest})"
        )
    return warning(
        "unscaled", argument, f"{found}, where a new model wants numbers near 1: {mend}."
    )


def tokens_out_of_range(array: np.ndarray, vocabulary: int, argument: str = "x") -> Finding | None:
    """Numbers of words that the Embedding has no row for."""
    if array.dtype.kind not in "iuf" or not array.size:
        return None
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        return error(
            "no-tokens",
            argument,
            f"`{argument}` holds fractions, such as {array[array != np.round(array)][0]:g}, where "
            "an Embedding wants the numbers of words: turn the texts into whole numbers first.",
        )
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < vocabulary:
        return None
    return error(
        "tokens-out-of-range",
        argument,
        f"`{argument}` holds tokens from {low} to {high}, and the Embedding has rows for 0 to "
        f"{vocabulary - 1}: write Embedding(input_dim={high + 1}, ...), or number the words anew "
        "from 0.",
    )


def _constant(array: np.ndarray, sample: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or len(array) < 10:
        return np.zeros(0, dtype=int)
    candidates = np.flatnonzero(sample.min(axis=0) == sample.max(axis=0))
    is_constant = [bool((array[:, column] == array[0, column]).all()) for column in candidates]
    constant: np.ndarray = candidates[np.array(is_constant, dtype=bool)]
    return constant


def _is_picture(array: np.ndarray) -> bool:
    return bool(array.size) and (array.ndim >= 3 or (array.ndim == 2 and array.shape[1] >= _PIXELS))


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _where(bad: np.ndarray) -> str:
    """Says which cells are bad."""
    rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
    cells = f"in {int(bad.sum()):,} of {bad.size:,} cells"
    return f"{cells}, {_in_rows(rows)}{_in_columns(bad)}"


def _in_rows(rows: np.ndarray) -> str:
    return f"in row {rows[0]:,}" if len(rows) == 1 else f"in {len(rows):,} rows from {rows[0]:,} on"


def _in_columns(bad: np.ndarray) -> str:
    """Names the columns of a table that has few bad ones."""
    if bad.ndim != 2 or bad.shape[1] < 2:
        return ""
    columns = np.flatnonzero(bad.any(axis=0))
    return f" ({_columns(columns).lower()})" if len(columns) <= 5 else ""


def _columns(positions: np.ndarray) -> str:
    shown = [str(position) for position in positions[:5]]
    if len(positions) > 5:
        return f"Columns {', '.join(shown)} and {len(positions) - 5} more"
    if len(shown) == 1:
        return f"Column {shown[0]}"
    return f"Columns {', '.join(shown[:-1])} and {shown[-1]}"
