"""The numbers of a search's picture: where its trials, its parameters and their words stand.

`search_plots` draws them. Nothing here knows Keras, Optuna or Matplotlib's Axes.
"""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from kerastrain.search_records import SearchResult, Trial, is_valued, text_of

_MOST_PARAMETERS = 12  # more don't fit on a page; the most important are drawn
_LEAST_GAP = 0.058  # between words beside an axis, of its height
_LOG_FROM = 30  # highest to lowest: samples of two decades seldom reach both ends
_FAR = 5  # times as far behind the best as half of the trials: what runs away leaves the picture
_NOT_SET = "not set"


@dataclasses.dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, on which a number has a place from 0 to 1."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def over(cls, values: Sequence[float]) -> "Scale":
        """Makes an axis of such values, logarithmic where they fill that more evenly."""
        low, high = min(values), max(values)
        middle = sorted(values)[(len(values) - 1) // 2]
        linear = cls(low, high, False)
        if low <= 0 or high < _LOG_FROM * low:
            return linear
        log = cls(low, high, True)
        return min(log, linear, key=lambda scale: abs(scale.place(middle) - 0.5))

    def place(self, number: float) -> float:
        """Returns where a number stands; what is beyond an end stands there, and NaN nowhere."""
        if self.low == self.high or math.isnan(number):
            return math.nan if math.isnan(number) else 0.5
        bend = math.log if self.is_log else float
        inside = min(max(number, self.low), self.high)
        return (bend(inside) - bend(self.low)) / (bend(self.high) - bend(self.low))

    def at(self, place: float) -> float:
        """Returns which number stands at a place, which may be a little beyond the ends."""
        if self.is_log:
            return math.exp((1 - place) * math.log(self.low) + place * math.log(self.high))
        width = self.high - self.low or 0.2 * abs(self.low) or 1.0
        return (self.low + self.high) / 2 + (place - 0.5) * width

    def ticks(self, *, whole: bool) -> list[float]:
        """Returns round numbers between the ends."""
        if self.low == self.high:
            return [self.low]
        if self.is_log:
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1,) if len(tens) > 4 else (1, 3)
            found = [step * 10.0**ten for ten in tens for step in steps]
        else:
            found = list(map(float, MaxNLocator(5, integer=whole).tick_values(self.low, self.high)))
        return [number for number in found if self.low <= number <= self.high]


@dataclasses.dataclass(frozen=True)
class ParameterAxis:
    """One axis of the parallel coordinates: a place for each trial, and words beside some."""

    name: str
    places: list[float]
    ticks: dict[float, str]


@dataclasses.dataclass(frozen=True)
class Points:
    """The trials of one state: their numbers and their values."""

    numbers: list[int]
    values: list[float]


@dataclasses.dataclass(frozen=True)
class SearchPicture:
    """What `plot_search` draws.

    Attributes:
        result: The record.
        best: The best trial.
        points: From "complete" and "pruned" to the trials that have a finite value.
        valueless: The numbers of those that have none.
        best_so_far: The best value of the complete trials, from each improvement to the last trial.
        scale: The axis of the values; `None` if there are none.
        importance: The parameters and their shares, the most important first.
        axes: One a parameter, and the last one of the values.
        trials: Those with a line through the axes, the worst first, so that the best lie on top.
        omitted: How many parameters don't fit into the picture.
    """

    result: SearchResult
    best: Trial | None
    points: dict[str, Points]
    valueless: list[int]
    best_so_far: Points
    scale: Scale | None
    importance: list[tuple[str, float]]
    axes: list[ParameterAxis]
    trials: list[Trial]
    omitted: int


def search_picture(result: SearchResult) -> SearchPicture:
    """Computes what `plot_search` draws."""
    trials = sorted(result.trials, key=lambda trial: trial.number)
    valued = [trial for trial in trials if _has_value(trial)]
    importance = {n: share for n, share in result.importance.items() if math.isfinite(share)}
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    shown = _parameters_shown(result.parameters, importance)
    scale = _value_scale([t.value for t in valued], result.mode)
    lines = result.ranked[::-1]
    axes = [_parameter_axis(name, lines) for name in shown]
    if scale and axes:
        axes.append(_value_axis(result.metric, scale, lines))
    return SearchPicture(
        result=result,
        best=result.best,
        points={
            state: _points_of([t for t in valued if t.state == state])
            for state in ("complete", "pruned")
        },
        valueless=[trial.number for trial in trials if not _has_value(trial)],
        best_so_far=_best_so_far(list(filter(is_valued, trials)), trials, result.mode),
        scale=scale,
        importance=ranked[:_MOST_PARAMETERS],
        axes=axes,
        trials=lines,
        omitted=len(result.parameters) - len(shown),
    )


def _has_value(trial: Trial) -> bool:
    return trial.state != "failed" and math.isfinite(trial.value)


def _points_of(trials: Sequence[Trial]) -> Points:
    return Points([trial.number for trial in trials], [trial.value for trial in trials])


def _best_so_far(complete: Sequence[Trial], trials: Sequence[Trial], mode: str) -> Points:
    if not complete:
        return Points([], [])
    better = np.minimum if mode == "min" else np.maximum
    values = better.accumulate([trial.value for trial in complete]).tolist()
    numbers = [trial.number for trial in complete]
    if trials[-1].number > numbers[-1]:  # The line goes on while nothing better comes.
        numbers, values = [*numbers, trials[-1].number], [*values, values[-1]]
    return Points(numbers, values)


def _value_scale(values: Sequence[float], mode: str) -> Scale | None:
    """Returns the axis of the values, from the best to the last that isn't far behind."""
    if not values:
        return None
    whole = Scale.over(values)
    behind = [whole.place(value) if mode == "min" else 1 - whole.place(value) for value in values]
    far = _FAR * float(np.median(behind)) or math.inf
    near = [value for value, place in zip(values, behind, strict=True) if place <= far]
    return Scale.over(near)


def _parameters_shown(names: list[str], importance: dict[str, float]) -> list[str]:
    """Returns as many as fit, in their order; the most important where there are more."""
    first = sorted(names, key=lambda name: -importance.get(name, 0.0))[:_MOST_PARAMETERS]
    return [name for name in names if name in first]


def _parameter_axis(name: str, trials: Sequence[Trial]) -> ParameterAxis:
    values = [trial.params.get(name, _NOT_SET) for trial in trials]
    are_numbers = [_is_number(value) for value in values]
    words = {text_of(v) for v, is_number in zip(values, are_numbers, strict=True) if not is_number}
    # Beside numbers there may be those that have no place among them, and no value at all.
    if any(are_numbers) and words <= {_NOT_SET, "None", "nan", "inf", "-inf"}:
        return _number_axis(name, values, sorted(words))
    return _word_axis(name, values)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _number_axis(name: str, values: Sequence[Any], words: Sequence[str]) -> ParameterAxis:
    """Returns an axis of numbers, with places below it for what is none."""
    finite = [float(value) for value in values if _is_number(value)]
    scale = Scale.over(finite)
    floor = 0.1 * len(words) + 0.06 * bool(words)

    def place(value: Any) -> float:
        if _is_number(value):
            return floor + (1 - floor) * scale.place(float(value))
        return 0.1 * words.index(text_of(value))

    whole = all(number.is_integer() for number in finite)
    marked = sorted(set(finite))
    is_choice = len(marked) <= 6 and (whole or 2 * len(marked) <= len(finite))
    marked = marked if is_choice else scale.ticks(whole=whole)
    ticks = {place(number): number_text(number) for number in marked}
    ticks |= {0.1 * row: word for row, word in enumerate(words)}
    return ParameterAxis(name, [place(value) for value in values], _thinned(ticks))


def _word_axis(name: str, values: Sequence[Any]) -> ParameterAxis:
    """Returns an axis of choices, evenly spread in their order, what isn't set at the bottom."""
    known = {text_of(value): value for value in values}
    unset = known.pop(_NOT_SET, None)
    try:
        words = sorted(known, key=known.__getitem__)
    except TypeError:  # Of several kinds, or of one that has no order.
        words = sorted(known)
    words = [_NOT_SET, *words] if unset else words
    places = [0.5] if len(words) == 1 else np.linspace(0, 1, len(words)).tolist()
    place = dict(zip(words, places, strict=True))
    ticks = dict(zip(places, words, strict=True))
    return ParameterAxis(name, [place[text_of(value)] for value in values], _thinned(ticks))


def _value_axis(metric: str, scale: Scale, trials: Sequence[Trial]) -> ParameterAxis:
    ticks = {scale.place(number): number_text(number) for number in scale.ticks(whole=False)}
    places = [math.nan if trial.state == "failed" else scale.place(trial.value) for trial in trials]
    return ParameterAxis(metric, places, _thinned(ticks))


def _thinned(ticks: dict[float, str]) -> dict[float, str]:
    """Returns the ticks that have room for their words, from the lowest up."""
    kept: dict[float, str] = {}
    for place in sorted(ticks):
        if not kept or place - max(kept) >= _LEAST_GAP:
            kept[place] = ticks[place]
    return kept


def number_text(number: float) -> str:
    """Returns a number in as few letters as it takes, for a tick.

    Example:
        >>> number_text(0.00003), number_text(0.25), number_text(128.0)
        ('3e-5', '0.25', '128')
    """
    return f"{number:.4g}".replace("e-0", "e-").replace("e+0", "e")
