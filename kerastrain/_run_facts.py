"""The numbers by which a run is judged, put together from its curves. Nothing here knows Keras."""

import dataclasses
import math

import numpy as np

from kerastrain._curves import MOST_LEVEL, Column, Curve, Curves, Trend
from kerastrain.records import History

_CERTAIN = 3  # Standard errors from which a rise, or a fall, is one.
_RISEN = 0.05, 0.01  # The least rise to count, of the best cost and of the scale.
_KNOWS_NOTHING = 0.05  # Of the way from a constant answer to a perfect one.
_FEW_EPOCHS = 5
_MAY_GAIN = 0.03, 0.05  # What a level curve may still gain, of the scale and of the fall so far.
_OUT_OF_RATE = 0.02  # Of the highest rate: a schedule that is at its end.
_MEDIAN = math.pi / 2  # The variance of a median over that of a mean, of normal noise.


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the rules ask about a run. Costs are lower where the model is better.

    Attributes:
        curves: The curves, the scale of their costs and whether they were lost to NaN.
        epochs: The epochs run.
        stopped: Whether early stopping ended the run, and so chose its length.
        best: The row of the judged curve's lowest cost.
        row: The row of the model that is judged: the best by the run's monitor.
        cost: The level of the judged curve there.
        training: That of the training curve; NaN if there is none.
        low: The lowest of the training curve, or of the judged one if there is none.
        end: The level at which that curve ended.
        share: The part that the model explains of what a constant answer leaves open, on the judged
            rows; NaN where nothing tells.
        training_share: The same on the training rows.
        most_share: The most that the training rows or the judged ones ever had explained.
        rise: How far above its best the judged curve ends.
        rise_error: The standard error of `rise`.
        since_best: Epochs since the best one.
        trend: Where the judged curve is going.
        fallen: How far the judged curve has fallen from its beginning, at its lowest.
        rate: The highest learning rate; NaN if it isn't known.
        rate_left: The last epoch's, over that; 1 where it isn't known.
    """

    curves: Curves
    epochs: int
    stopped: bool
    best: int
    row: int
    cost: float
    training: float
    low: float
    end: float
    share: float
    training_share: float
    most_share: float
    rise: float
    rise_error: float
    since_best: int
    trend: Trend
    fallen: float
    rate: float
    rate_left: float

    @property
    def judged(self) -> Curve:
        """The validation curve, or the training curve where there is none."""
        curve = self.curves.judged
        assert curve is not None, "Facts are made of curves that are there."
        return curve

    @property
    def validated(self) -> bool:
        """Whether the judged curve is one of validation."""
        return self.curves.validation is not None

    @property
    def gap(self) -> float:
        """How far validation is above training at the judged epoch, over `curves.scale`.

        Where the losses can't be held against each other, what the metrics say is explained can.
        """
        if not self.curves.comparable and self.validated:
            return self.training_share - self.share
        return self._over_scale(self.cost - self.training)

    @property
    def times(self) -> float:
        """The same as a quotient; of training that is perfect infinity."""
        above, below = self.cost, self.training
        if not self.curves.comparable:
            above, below = 1 - self.share, 1 - self.training_share
        return above / below if below > 0 else math.inf

    @property
    def end_gap(self) -> float:
        """The gap at the end of the run, of losses that can be held against each other."""
        return self._over_scale(self.judged.end - self.end)

    @property
    def end_times(self) -> float:
        """The same as a quotient."""
        return self.judged.end / self.end if self.end > 0 else math.inf

    @property
    def has_risen(self) -> bool:
        """Whether the judged curve has certainly, and by more than a trifle, got worse since."""
        of_best, of_scale = _RISEN
        least = max(of_best * self.cost, of_scale * self.curves.scale)
        return not self.stopped and self.rise > max(_CERTAIN * self.rise_error, least)

    @property
    def training_since(self) -> str:
        """What training did since validation was at its best: "fell", "stayed" or "rose"; or "".

        It stayed where it is within three times its noise.
        """
        training = self.curves.training
        if training is None:
            return ""
        fell = training.at(self.best) - training.end
        if abs(fell) <= _CERTAIN * training.noise:
            return "stayed"
        return "fell" if fell > 0 else "rose"

    @property
    def is_short(self) -> bool:
        """Whether there were too few epochs for any course to show."""
        return self.epochs < _FEW_EPOCHS

    @property
    def has_ended(self) -> bool:
        """Whether early stopping has seen the end of improvement, or a schedule has brought it."""
        return self.stopped or self.rate_left < _OUT_OF_RATE

    @property
    def is_open(self) -> bool:
        """Whether the judged curve may well fall on: not to fall for certain isn't to be level."""
        of_scale, of_fall = _MAY_GAIN
        least = max(of_scale * self.curves.scale, of_fall * self.fallen)
        return not self.has_ended and (self.is_short or self.judged.most_fall > least)

    @property
    def knows_nothing(self) -> bool:
        """Whether the model knows no more than a constant answer, as far as that is known."""
        return self.share < _KNOWS_NOTHING and not self.curves.guessed

    @property
    def ever_learnt(self) -> bool:
        """Whether it ever knew more than a constant answer; true where nothing tells."""
        return self.most_share >= _KNOWS_NOTHING or self.curves.guessed

    def _over_scale(self, difference: float) -> float:
        scale = self.curves.scale
        there = self.validated and self.curves.comparable and scale > 0
        return difference / scale if there else math.nan


def facts_of(history: History, curves: Curves) -> Facts:
    """Returns the numbers of a run that has a curve of finite values."""
    judged, training = curves.judged, curves.training
    assert judged is not None, "The caller looks whether there is a curve."
    best = int(judged.rows[np.argmin(judged.costs)])
    row = best if history.best_epoch is None else history.epoch.index(history.best_epoch)
    since_best = int(judged.rows[-1]) - best
    prefix = "val_" if curves.validation else ""
    rates = np.array(history.history.get("learning_rate", []), dtype=float)
    rates = rates[np.isfinite(rates) & (rates > 0)]
    return Facts(
        curves=curves,
        epochs=len(history),
        stopped=history.stop_reason == "early_stopping",
        best=best,
        row=row,
        cost=judged.at(row),
        training=training.at(row) if training else math.nan,
        low=float((training or judged).costs.min()),
        end=(training or judged).end,
        share=_level(curves.shares[prefix], row),
        training_share=_level(curves.shares[""], row),
        most_share=_most(*curves.shares.values()),
        **_rise_of(judged, best),
        since_best=since_best,
        trend=judged.trend,
        fallen=float(judged.costs[0] - judged.costs.min()),
        rate=float(rates.max()) if rates.size else math.nan,
        rate_left=float(rates[-1] / rates.max()) if rates.size else 1.0,
    )


def _rise_of(curve: Curve, best: int) -> dict[str, float]:
    """Returns how far the last epochs' median is above that around the best, and its error."""
    after = curve.costs[curve.rows > best][-MOST_LEVEL:]
    if not after.size:
        return {"rise": 0.0, "rise_error": 0.0}
    error = curve.noise * math.sqrt(_MEDIAN * (1 / len(after) + 1 / 3))
    return {"rise": float(np.median(after)) - curve.at(best), "rise_error": error}


def _level(column: Column, row: int) -> float:
    """Returns the median about a row, of the values that are there."""
    near = column[max(0, row - 1) : row + 2]
    near = near[np.isfinite(near)]
    if not near.size:  # Validation of every k-th epoch only.
        there = np.flatnonzero(np.isfinite(column))
        return float(column[there[np.argmin(np.abs(there - row))]]) if there.size else math.nan
    return float(np.median(near))


def _most(*columns: Column) -> float:
    values = np.concatenate(columns)
    return float(np.max(values[np.isfinite(values)], initial=-math.inf))
