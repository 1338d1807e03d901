"""What the losses of a learning-rate sweep say of the rate: numbers in, a suggestion out.

Every library that sweeps has a rule of its own. They stand here side by side, so that a script can
hold each against the rates that train best; `tests/benchmark_learning_rate.py` does.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

RUNAWAY = 4.0
"""How many times its lowest the loss's moving average is when a sweep ends; fastai's figure."""

FEWEST_STEPS = 50
"""Steps below which a sweep tells too little to be relied on."""

_USUAL_WEIGHT = 0.98  # of the past, in fastai's and others' moving average
_SETTLING = 10  # steps, before which one lucky batch would pass for the lowest loss
_SPAN = math.log(1.6)  # of the logarithm of the rate: what our smoothing averages over on each side
_BOTTOM = 0.1  # of its fall: how far above its lowest the smoothed loss is at the bottom
_NOTICEABLE = 4.0  # standard errors of the smoothed loss: what a fall has to reach
_TURNED = 0.5  # of its fall: what the loss has to climb again
_ROUNDING = 1e-6  # of the loss, as float32 has it
_AGREEMENT = 10.0  # times, by which the rules may differ

_Numbers = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a sweep comes to.

    Attributes:
        smoothed: The loss at each rate, smoothed.
        bottom: The lowest and the highest rate of the stretch in which the loss is near its lowest.
        rules: From a rule to the rate that it suggests; "middle of the bottom" is ours.
        suggestion: What ours suggests.
        doubts: Why not to rely on it; empty where nothing speaks against it.
    """

    smoothed: list[float]
    bottom: tuple[float, float]
    rules: dict[str, float]
    suggestion: float
    doubts: list[str]


def ran_away_after(losses: _Numbers) -> int | None:
    """Returns the steps after which a sweep may end, or `None` as long as it may go on.

    It may where the loss is no number any more, or its moving average `RUNAWAY` times its lowest.
    One batch alone moves that little: a loss counts as no more than `RUNAWAY` times the beginning.

    Example:
        >>> losses = [2.3] * 20 + [0.5] * 200
        >>> ran_away_after(losses), ran_away_after([*losses, *[60.0] * 50])
        (None, 230)
    """
    losses = np.asarray(losses, float)
    lost = ~np.isfinite(losses)
    lagging = moving_average(_capped(np.where(lost, 0.0, losses)))[_SETTLING:]
    lowest = np.minimum.accumulate(lagging)
    lost[_SETTLING:] |= lagging > _times(RUNAWAY, lowest)
    return int(lost.argmax()) + 1 if lost.any() else None


def advise(rates: _Numbers, losses: _Numbers, *, ran_away: bool) -> Advice:
    """Returns what a sweep comes to.

    Args:
        rates: The rates, rising by the same factor from step to step, `(n,)`.
        losses: The finite loss at each, `(n,)`.
        ran_away: Whether the sweep ended since the loss ran away.

    Example:
        >>> rates = np.geomspace(1e-5, 10, 500)
        >>> decades = np.log10(rates / 1e-2)
        >>> losses = np.where(decades < 0, 0.5 - 0.3 * decades.clip(-2), 0.5 + 2 * decades)
        >>> advice = advise(rates, losses, ran_away=False)
        >>> 0.003 < advice.suggestion < 0.01, advice.doubts
        (True, [])
    """
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    centred, lagging = two_sided_average(rates, losses), moving_average(losses)
    bottom = _bottom(rates, centred)
    rules = {
        "middle of the bottom": math.sqrt(bottom[0] * bottom[1]),
        "minimum / 10": rates[lagging.argmin()] / 10,
        "turning point / 10": rates[_turning_point(lagging)] / 10,
        "valley": rates[_valley(lagging)],
        "steepest": rates[_steepest(rates, lagging)],
    }
    return Advice(
        smoothed=centred.tolist(),
        bottom=bottom,
        rules={name: float(rate) for name, rate in rules.items()},
        suggestion=float(rules["middle of the bottom"]),
        doubts=_doubts(rates, losses, centred, rules, ran_away),
    )


def moving_average(losses: _Numbers, weight: float = _USUAL_WEIGHT) -> np.ndarray:
    """Returns the exponential moving average, corrected for its start at 0.

    `a[t] = weight * a[t-1] + (1 - weight) * l[t]`, returned as `a[t] / (1 - weight**t)` (Kingma and
    Ba, "Adam", 2015, section 3).

    Example:
        >>> moving_average([4.0, 4.0, 4.0], 0.9).round(6)
        array([4., 4., 4.])
    """
    average, corrected = 0.0, np.empty(len(losses))
    for step, loss in enumerate(losses):
        average = weight * average + (1 - weight) * float(loss)
        corrected[step] = average / (1 - weight ** (step + 1))
    return corrected


def two_sided_average(rates: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Returns the average over the neighbours on both sides, whose weights fall by a factor a step.

    `s[t] = sum_u w**|t-u| * l[u] / sum_u w**|t-u|`, in which the divisor corrects for the ends. The
    usual moving average looks back only, and so lags: at its weight of 0.98 the minimum, in a sweep
    of 500 steps over six decades, comes at some 3 to 10 times the rate of the loss's own. Here `w`
    follows from how far apart the rates are, so that the number of steps shifts nothing. What has
    run away counts as no more than `RUNAWAY` times the beginning, or the last steps alone would
    decide.
    """
    capped, weight = _capped(losses), _weight(rates)

    def total(values: np.ndarray) -> np.ndarray:
        from_below, from_above = _decayed(values, weight), _decayed(values[::-1], weight)[::-1]
        both: np.ndarray = from_below + from_above - values
        return both

    averages: np.ndarray = total(capped) / total(np.ones_like(capped))
    return averages


def _capped(losses: np.ndarray) -> np.ndarray:
    """Returns losses of which none is more than `RUNAWAY` times the beginning."""
    start = losses[:_SETTLING].mean() if losses.size else 0.0
    capped: np.ndarray = np.minimum(losses, _times(RUNAWAY, start))
    return capped


def _times(factor: float, losses: Any) -> Any:
    """Returns losses so many times as high; of negative ones, as far above as of positive ones."""
    return losses + (factor - 1) * np.abs(losses)


def _decayed(values: np.ndarray, weight: float) -> np.ndarray:
    """Returns at each place the sum of all values up to it, each weighed by its distance."""
    sums = itertools.accumulate(values.tolist(), lambda total, value: weight * total + value)
    return np.fromiter(sums, float)


def _weight(rates: np.ndarray) -> float:
    apart = math.log(rates[-1] / rates[0]) / max(1, len(rates) - 1)
    return math.exp(-apart / _SPAN)


def _bottom(rates: np.ndarray, centred: np.ndarray) -> tuple[float, float]:
    """Returns the ends of the stretch around the minimum in which the loss is near its lowest.

    Where a bottom is flat, chance decides where on it the minimum comes, but hardly where it ends.
    """
    lowest = int(centred.argmin())
    is_high = centred > centred[lowest] + _BOTTOM * (centred[0] - centred[lowest])
    below, above = np.flatnonzero(is_high[:lowest]), np.flatnonzero(is_high[lowest:])
    first = int(below[-1]) + 1 if below.size else 0
    last = lowest + int(above[0]) - 1 if above.size else len(centred) - 1
    return float(rates[first]), float(rates[last])


def _turning_point(lagging: np.ndarray) -> int:
    """Returns where the loss has climbed a tenth above its lowest, or the end.

    A. Géron, "Hands-On Machine Learning", 3rd edition, 2022, chapter 11, takes some tenth of the
    rate where the loss starts to climb.
    """
    lowest = int(lagging.argmin())
    climbed = np.flatnonzero(lagging[lowest:] > lagging[lowest] + 0.1 * abs(lagging[lowest]))
    return lowest + int(climbed[0]) if climbed.size else len(lagging) - 1


def _valley(lagging: np.ndarray) -> int:
    """Returns the middle of the longest falling stretch, as fastai's `valley` finds it.

    The stretch is the longest subsequence in which every loss is lower than the one before it; half
    of it, between its first and its last step, is the place (`fastai/callback/schedule.py`).
    """
    lengths = np.ones(len(lagging), dtype=int)
    for step in range(1, len(lagging)):
        above = lengths[:step][lagging[:step] > lagging[step]]
        lengths[step] = 1 + above.max(initial=0)
    end = int(lengths.argmax())
    start = end - int(lengths[end])
    third = (end - start) / 3
    return max(0, start + int(third) + int(third / 2))


def _steepest(rates: np.ndarray, lagging: np.ndarray) -> int:
    """Returns where the loss falls fastest over the logarithm of the rate, as fastai's `steep`."""
    slope = np.diff(lagging) / np.diff(np.log(rates))
    return int(slope.argmin()) if slope.size else 0


def _doubts(
    rates: np.ndarray,
    losses: np.ndarray,
    centred: np.ndarray,
    rules: dict[str, float],
    ran_away: bool,
) -> list[str]:
    lowest = int(centred.argmin())
    fall = centred[0] - centred[lowest]
    if len(losses) < FEWEST_STEPS and ran_away:
        return [f"it ran away after {len(losses)} steps, near {rates[-1]:.2g}: lower min_rate"]
    if len(losses) < FEWEST_STEPS:
        return [f"it took fewer than {FEWEST_STEPS} steps, so that chance decides"]
    if fall <= _NOTICEABLE * _standard_error(rates, losses, centred) + _ROUNDING * abs(centred[0]):
        return ["the loss never fell by more than chance: it is flat, or rose from the beginning"]
    if RUNAWAY * abs(losses[0]) < losses[1:_SETTLING].min():
        return [f"the loss ran away from the first step, at {rates[0]:.3g}: lower min_rate"]
    doubts = []
    if not ran_away and centred[lowest:].max() - centred[lowest] < _TURNED * fall:
        doubts.append(f"the loss hadn't turned up by the rate of {rates[-1]:.3g}: raise max_rate")
    # The other two mostly find the beginning of the fall, which says little of its end.
    telling = [
        rules[name] for name in ("middle of the bottom", "minimum / 10", "turning point / 10")
    ]
    if max(telling) >= _AGREEMENT * min(telling):
        doubts.append(f"the rules disagree, from {min(telling):.2g} to {max(telling):.2g}")
    return doubts


def _standard_error(rates: np.ndarray, losses: np.ndarray, centred: np.ndarray) -> float:
    """Returns by how much chance moves the smoothed loss's beginning against its minimum."""
    until = max(int(centred.argmin()), _SETTLING)
    scatter = losses[:until] - centred[:until]
    weight = _weight(rates)
    # Of independent numbers, the variance of such an average is the sum of the squared weights over
    # the square of their sum: on one side at the beginning, on both at the minimum.
    at_the_beginning = (1 - weight) / (1 + weight)
    in_the_middle = at_the_beginning**2 * (1 + weight**2) / (1 - weight**2)
    # Batches that come sorted depend on each other; numbers of an autoregression then count for
    # fewer independent ones.
    alike = min(0.9, max(0.0, _lag_one(scatter)))
    variance = (at_the_beginning + in_the_middle) * (1 + alike) / (1 - alike)
    return float(np.std(scatter)) * math.sqrt(variance)


def _lag_one(scatter: np.ndarray) -> float:
    """Returns the correlation of each number with the next one."""
    total = float(scatter @ scatter)
    return float(scatter[1:] @ scatter[:-1]) / total if total else 0.0
