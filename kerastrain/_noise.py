"""Whether a difference is more than the scatter over seeds, in numbers and in words."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

LEVEL = 0.05
"""The probability below which a difference is called more than noise."""

_POINTS = 20_001


def found_in(values: Sequence[float]) -> list[float]:
    """Returns those of the values that are numbers: a run may lack what is asked of it."""
    return [value for value in values if math.isfinite(value)]


def mean_of(values: Sequence[float]) -> float:
    """Returns the mean of those that are numbers; NaN where there is none.

    Example:
        >>> mean_of([0.5, math.nan, 0.7])
        0.6
    """
    found = found_in(values)
    return statistics.fmean(found) if found else math.nan


def spread_of(values: Sequence[float]) -> float:
    """Returns their sample standard deviation; NaN of fewer than two.

    Example:
        >>> spread_of([0.5, math.nan])
        nan
    """
    found = found_in(values)
    return statistics.stdev(found) if len(found) > 1 else math.nan


def welch(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Returns how probable so large a difference of means is by chance alone, each two or more.

    Welch's t-test (B. L. Welch, "The generalization of 'Student's' problem when several different
    population variances are involved", Biometrika 34, 1947): neither the numbers of runs nor their
    scatter need to be alike.

    Example:
        >>> round(welch([0.30, 0.31, 0.32], [0.33, 0.34, 0.35]), 4)
        0.0213
    """
    parts = [statistics.variance(values) / len(values) for values in (ours, theirs)]
    if not sum(parts):
        return float(statistics.fmean(ours) == statistics.fmean(theirs))
    t = (statistics.fmean(ours) - statistics.fmean(theirs)) / math.sqrt(sum(parts))
    shares = [part / sum(parts) for part in parts]  # Squares of small scatters would vanish.
    counts = (len(ours), len(theirs))
    freedom = 1 / sum(s**2 / (n - 1) for s, n in zip(shares, counts, strict=True))
    return two_sided(t, freedom)


def pooled(
    ours: Sequence[float], theirs: Sequence[float], repeated: Sequence[Sequence[float]]
) -> float:
    """Returns the same where one of the two is a single run, which has no scatter of its own.

    It is taken to scatter as the repeated ones do: Student's t-test with their common variance.

    Args:
        ours: One run or more.
        theirs: Likewise.
        repeated: All choices with two runs or more.
    """
    freedom = sum(len(values) - 1 for values in repeated)
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in repeated)
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    scatter = math.sqrt(squares / freedom * (1 / len(ours) + 1 / len(theirs)))
    return two_sided(difference / scatter, freedom) if scatter else float(not difference)


def two_sided(t: float, freedom: float) -> float:
    """Returns the probability that Student's t is further from 0 than this, on either side.

    With `t = sqrt(freedom) * tan(a)` the density becomes `cos(a) ** (freedom - 1)`, which is
    smooth on a bounded interval, so that the trapezoidal rule integrates it.

    Example:
        >>> round(two_sided(2.776, 4), 4)  # Tables have 0.05.
        0.05
    """
    start = math.atan(abs(t) / math.sqrt(freedom))
    tail, whole = (_integral(first, freedom) for first in (start, 0.0))
    return min(1.0, tail / whole)


def _integral(first: float, freedom: float) -> float:
    # Beyond some widths of the density there is nothing, and of a narrow one few points would see.
    last = min(math.pi / 2, first + 40 / math.sqrt(freedom))
    angles = np.linspace(first, last, _POINTS)
    return float(np.trapezoid(np.maximum(np.cos(angles), 0.0) ** (freedom - 1), angles))


def with_spread(mean: float, spread: float) -> str:
    """Returns a mean and its spread, to the digits that the spread leaves a meaning.

    The spread has one digit, or two where it begins below 3.55 (the rule of the Particle Data
    Group, "Review of Particle Physics", introduction, section 5.3).

    Example:
        >>> with_spread(0.31234, 0.0081), with_spread(2.5, 0.0)
        ('0.312 ± 0.008', '2.500 ± 0')
    """
    around = rounded(spread, spread) if spread and math.isfinite(spread) else f"{spread:g}"
    return f"{rounded(mean, spread)} ± {around}"


def rounded(value: float, spread: float) -> str:
    """Returns a value to the digits that a spread leaves a meaning; four where there is none.

    Example:
        >>> rounded(0.31234, 0.0081), rounded(123456.0, 0.0)
        ('0.312', '1.235e+05')
    """
    if not spread or not math.isfinite(spread):
        return f"{value:#.4g}"
    leading = math.floor(math.log10(spread))
    digits = max(0, -leading + (spread < 3.55 * 10**leading))
    return f"{value:.{digits}f}"
