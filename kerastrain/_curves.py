"""What can be measured on the curves of a run: levels, gaps, trends, and the noise of each.

Curves are looked at as costs, of which less is better: a loss as it is, and a metric that should be
high as what it lacks of 1. Nothing here judges, which `diagnosis` does, and nothing knows Keras.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from kerastrain.monitors import rises
from kerastrain.records import PER_EPOCH_FACTS, History

Column: TypeAlias = np.ndarray

MOST_LEVEL = 5
"""The epochs at most whose median is a curve's level at its end."""

_ACCURACIES = (
    *("accuracy", "acc", "binary_accuracy", "categorical_accuracy"),
    "sparse_categorical_accuracy",
)
_R2 = ("r2", "r2_score")
_SQUARES = ("mse", "mean_squared_error")
_PLAIN = ("mse", "mae", "crossentropy")  # Chance's names where the loss has more in it.
_LEAST_TREND, _MOST_TREND = 4, 500  # The epochs of a trend; else the last quarter of the run.
_NEAR_CHANCE = 0.2  # Of 1 / classes: an accuracy so near it, epoch after epoch, knows nothing.
_FIRST_EPOCH = 2.0  # Chance over the loss after an epoch, where that must tell it.
_QUARTILE = 1.1503  # The upper quartile of a standard normal's absolute values.


@dataclasses.dataclass(frozen=True)
class Trend:
    """A straight line through the last epochs of a curve.

    Attributes:
        slope: Its change an epoch.
        error: The standard error of `slope`, from the scatter about the line.
        epochs: How many epochs it reaches over.
        points: How many of them have a value.
    """

    slope: float
    error: float
    epochs: int
    points: int

    @property
    def change(self) -> float:
        """How far the line went, and would go in as many epochs more."""
        return self.slope * self.epochs

    @property
    def most_fall(self) -> float:
        """How far it may fall at the most in as many epochs more, by two standard errors."""
        return -(self.slope - 2 * (1 + 2 / max(1, self.points - 2)) * self.error) * self.epochs

    @property
    def is_certain(self) -> bool:
        """Whether the slope is three standard errors, and more of few points, whose error is vague.

        Twice as many of four points, as Student's t would have it for about one error in a hundred.
        """
        return abs(self.slope) > 3 * (1 + 2 / max(1, self.points - 2)) * self.error


@dataclasses.dataclass(frozen=True)
class Curve:
    """The costs of one column, at the epochs that have one.

    Attributes:
        rows: The epochs, counted from 0 in the history's order.
        costs: A finite cost for each.
    """

    rows: Column
    costs: Column

    @property
    def noise(self) -> float:
        """The standard deviation of a cost about its course; 0 of fewer than three.

        It comes from the second differences of the later half, which a smooth course hardly moves
        and which scatter sqrt(6) times as much as white noise; by their upper quartile, which a few
        leaps hardly move and which few points tell better than the median.
        """
        late = self.costs[min(len(self.costs) // 2, max(0, len(self.costs) - 8)) :]
        if len(late) < 3:
            return 0.0
        return float(np.quantile(np.abs(np.diff(late, 2)), 0.75) / (_QUARTILE * math.sqrt(6)))

    @property
    def jitter(self) -> float:
        """How far it leaps up and down: the mean of its upward or downward steps, the lesser.

        The first quarter is left out, and steps in the other direction count 0, so that a curve
        that only falls, or only rises, has none. In white noise either mean is the noise's standard
        deviation over sqrt(pi), by which it is multiplied; leaps count in full.
        """
        steps = np.diff(self.costs[len(self.costs) // 4 :])
        if not steps.size:
            return 0.0
        lesser = min(np.maximum(steps, 0).mean(), np.maximum(-steps, 0).mean())
        return float(lesser * math.sqrt(math.pi))

    @property
    def level(self) -> int:
        """How many of the last epochs make up the level at which it ends: fewer of a short run."""
        return min(MOST_LEVEL, max(1, len(self.costs) // 3))

    @property
    def end(self) -> float:
        """The level at which it ends: the median of the last epochs."""
        return float(np.median(self.costs[-self.level :]))

    def at(self, row: int) -> float:
        """The level about an epoch: the median of it and its neighbours."""
        place = int(np.argmin(np.abs(self.rows - row)))
        return float(np.median(self.costs[max(0, place - 1) : place + 2]))

    @property
    def trend(self) -> Trend:
        """Where it is going at the end, by least squares."""
        return self._trend_of(min(max(_LEAST_TREND, len(self.costs) // 4), _MOST_TREND))

    @property
    def most_fall(self) -> float:
        """How far it may fall at the most, in as many epochs more as either trend reaches over.

        The later half tells a level curve's better where it jitters, the last quarter that of one
        that has come to rest.
        """
        half = self._trend_of(min(max(_LEAST_TREND, len(self.costs) // 2), _MOST_TREND))
        return min(self.trend.most_fall, half.most_fall)

    def _trend_of(self, count: int) -> Trend:
        count = min(count, len(self.costs))
        x, y = self.rows[-count:].astype(float), self.costs[-count:]
        if count < 2:
            return Trend(0.0, math.inf, count, count)
        x = x - x.mean()
        spread = float(x @ x)
        slope = float(x @ y) / spread
        left = y - y.mean() - slope * x
        error = math.sqrt(float(left @ left) / (count - 2) / spread) if count > 2 else math.inf
        return Trend(slope, error, int(self.rows[-1] - self.rows[-count]) + 1, count)


@dataclasses.dataclass(frozen=True)
class Curves:
    """What a history has to be judged by.

    Attributes:
        measure: The column's name, without "val_", such as "loss".
        training: Its training curve; `None` if there is none.
        validation: Its validation curve; `None` if there is none.
        lost: Whether the numbers ended in NaN or infinity.
        chance: The cost of the best constant answer, on the judged rows; NaN where nothing tells.
        scale: The same, or where it isn't known a guess from the cost at the beginning.
        shares: By "" (training) and "val_", the part that is explained, by epochs: `1 - cost /
            chance`, or what the accuracy or R² says, if that is more.
        guessed: Whether `shares` are counted from the beginning, for want of anything better.
        comparable: Whether training and validation are measured alike; a weighted loss isn't, where
            nothing tells how the two go together.
        indirect: Whether the cost is without the weights or penalties by which the steps went.
    """

    measure: str
    training: Curve | None
    validation: Curve | None
    lost: bool
    chance: float
    scale: float
    shares: dict[str, Column]
    guessed: bool
    comparable: bool
    indirect: bool

    @property
    def judged(self) -> Curve | None:
        """Validation where there is any."""
        return self.validation or self.training


def curves_of(history: History) -> Curves | None:
    """Returns the curves to judge a run by, or `None` if it measured nothing.

    They are the loss's, if it has a validation curve or nothing else has; then the monitor's, then
    those of the first metric that was validated.
    """
    measure = _measure_of(history)
    if measure is None:
        return None
    columns = {name: _costs(history, name) for name in (measure, f"val_{measure}")}
    chances = _chances(history)
    chance = chances.get(measure, math.nan)
    chance = 1 - chance if rises(measure) else chance
    is_weighted = measure == "loss" and _is_weighted(history) and columns["val_loss"] is not None
    comparable = not is_weighted or _are_positive(chances, "loss", "val_loss")
    if is_weighted and comparable:  # In validation's units, in which both are judged.
        columns["loss"], chance = _reweighted(columns["loss"], chances), chances["val_loss"]
    training, validation = (_curve(costs) for costs in columns.values())
    scale = _scale(history, measure, training, validation, chance, chances)
    lost = history.stop_reason == "nan" or any(map(_is_lost, columns.values()))
    ways = {
        prefix: _shares(history, prefix, columns[f"{prefix}{measure}"], chance, chances)
        for prefix in ("", "val_")
    }
    guessed = not any(ways.values())
    if guessed:
        ways = _guessed_shares(columns, training, validation, alike=comparable)
    unknown = [np.full(len(history), math.nan)]
    shares = {prefix: np.asarray(np.fmax.reduce(each or unknown)) for prefix, each in ways.items()}
    return Curves(
        *(measure, training, validation, lost, chance, scale, shares, guessed),
        comparable=comparable,
        indirect=is_weighted or measure in _plain_in(history),
    )


def _is_weighted(history: History) -> bool:
    return any(history.settings.get(name) for name in ("class_weight", "sample_weight"))


def _are_positive(chances: dict[str, float], *names: str) -> bool:
    return all(chances.get(name, 0.0) > 0 for name in names)


def _reweighted(costs: Column | None, chances: dict[str, float]) -> Column | None:
    """Returns a weighted loss as it would be of rows that count alike, as chance tells."""
    return None if costs is None else costs * (chances["val_loss"] / chances["loss"])


def _scale(
    history: History,
    measure: str,
    training: Curve | None,
    validation: Curve | None,
    chance: float,
    chances: dict[str, float],
) -> float:
    """Returns the cost of knowing nothing, or a guess of it."""
    if chance > 0:
        return chance
    plain = next((chances[name] for name in _PLAIN if name in chances), 0.0)
    if measure == "loss" and plain > 0:
        return plain
    beginning = _beginning(training, validation)
    if "loss" in measure and _accuracy_in(history):
        beginning = max(beginning, math.log(2))  # Two classes' loss, the least that chance gives.
    if beginning > 0:
        return _FIRST_EPOCH * beginning
    spans = [float(np.ptp(curve.costs)) for curve in (training, validation) if curve]
    return max(spans, default=0.0) or 1.0  # Some losses are below 0.


def _measure_of(history: History) -> str | None:
    names = [name for name in history.history if name not in PER_EPOCH_FACTS]
    bare = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    preferred = [*_plain_in(history), "loss", (history.monitor or "").removeprefix("val_"), *bare]
    there = [name for name in preferred if name in bare]
    validated = [name for name in there if f"val_{name}" in names]
    return next(iter(validated or there), None)


def _plain_in(history: History) -> list[str]:
    """Returns the metrics that stand for a loss that has penalties, of which `fit` tells chance."""
    return [] if "loss" in history.chance else [n for n in _PLAIN if n in history.chance]


def _costs(history: History, name: str) -> Column | None:
    column = history.history.get(name)
    if column is None:
        return None
    values = np.array(column, dtype=float)
    return 1 - values if rises(name) else values


def _curve(costs: Column | None) -> Curve | None:
    rows = np.flatnonzero(np.isfinite(costs)) if costs is not None else np.empty(0, int)
    return Curve(rows, costs[rows]) if costs is not None and rows.size else None


def _is_lost(costs: Column | None) -> bool:
    """Tells whether numbers ended in NaN or infinity; validation of every k-th epoch has gaps."""
    if costs is None or not costs.size:
        return False
    rows = np.flatnonzero(np.isfinite(costs))
    if not rows.size:
        return True
    longest = int(np.max(np.diff(rows, prepend=-1)))
    return bool(np.isinf(costs[-1]) or len(costs) - 1 - rows[-1] >= max(1, longest))


def _chances(history: History) -> dict[str, float]:
    """Returns what the history says of the best constant answer, or what its columns tell."""
    known = dict(history.chance)
    columns = {name: np.array(column, float) for name, column in history.history.items()}
    r2, squares = _first_in(history, _R2), _first_in(history, _SQUARES)
    if "loss" not in known and {"loss", r2, squares} <= columns.keys():
        with np.errstate(all="ignore"):
            alike = np.nanmedian(np.abs(columns["loss"] / columns[squares] - 1)) < 0.01
            spread = float(np.nanmedian(columns[squares] / (1 - columns[r2])))
        if alike and spread > 0:  # R² is 1 - mse / variance.
            known["loss"] = spread
    accuracy = _accuracy_in(history)
    if accuracy in columns and not {"accuracy", "val_loss"} & known.keys():
        known |= _chance_of_classes(columns, accuracy)
    if accuracy and "accuracy" in known:
        known[accuracy] = known["accuracy"]
    return known


def _chance_of_classes(columns: dict[str, Column], accuracy: str) -> dict[str, float]:
    """Returns chance for a classifier that knows nothing: a level accuracy of 1 in so many."""
    values = columns[accuracy][np.isfinite(columns[accuracy])]
    if len(values) < 3 or not 0 < np.median(values) < 0.55:
        return {}
    late = values[len(values) // 2 :]
    losses = columns.get("loss", np.empty(0))
    losses = losses[np.isfinite(losses)]
    # The loss tells the number of classes better, of which the accuracy may be a little off.
    likely = math.exp(min(float(np.median(losses)), 20.0)) if losses.size else 1 / np.median(values)
    count = max(2, round(float(likely)))
    if np.max(np.abs(late * count - 1)) > _NEAR_CHANCE:
        return {}
    if losses.size:
        near = abs(float(np.median(losses)) / math.log(count) - 1) < 0.03
        return {"accuracy": 1 / count, "loss": math.log(count)} if near else {}
    return {"accuracy": 1 / count} if count <= 10 else {}


def _accuracy_in(history: History) -> str:
    return _first_in(history, _ACCURACIES)


def _first_in(history: History, names: Sequence[str]) -> str:
    """Returns the first of the names that training or validation has a column of; else ""."""
    there = history.history.keys()
    return next((name for name in names if {name, f"val_{name}"} & there), "")


def _beginning(*curves: Curve | None) -> float:
    """Returns the cost of the first epoch: the lower one, as training may begin by exploding."""
    return min((float(curve.costs[0]) for curve in curves if curve), default=math.nan)


def _shares(
    history: History, prefix: str, costs: Column | None, chance: float, chances: dict[str, float]
) -> list[Column]:
    """Returns the part that is explained, by epochs, in each of the ways to say it.

    Where nothing tells what chance gives, an accuracy's is taken to be a half, which is the most.
    """
    ways = []
    accuracy, r2 = f"{prefix}{_accuracy_in(history)}", f"{prefix}{_first_in(history, _R2)}"
    if accuracy in history.history and ("accuracy" in chances or not chance > 0):
        by_chance = min(chances.get("accuracy", 0.5), 0.999)
        values = np.array(history.history[accuracy], float)
        ways.append((values - by_chance) / (1 - by_chance))
    if r2 in history.history:
        ways.append(np.array(history.history[r2], float))
    if costs is not None and chance > 0:
        ways.append(1 - costs / chance)
    return ways


def _guessed_shares(
    columns: dict[str, Column | None],
    training: Curve | None,
    validation: Curve | None,
    *,
    alike: bool,
) -> dict[str, list[Column]]:
    """Returns the parts that are explained if nothing was at the beginning."""
    guessed: dict[str, list[Column]] = {}
    for (prefix, costs), own in zip(
        zip(("", "val_"), columns.values(), strict=True), (training, validation), strict=True
    ):
        nothing = _beginning(training, validation) if alike else _beginning(own)
        guessed[prefix] = [1 - costs / nothing] if costs is not None and nothing > 0 else []
    return guessed
