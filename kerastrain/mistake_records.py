"""What a model gets wrong: frozen records of plain numbers. Nothing here knows Keras."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kerastrain._checks import invalid, one_of, show
from kerastrain._percents import percent
from kerastrain._record_files import SavedRecord, numbers_of
from kerastrain._tables import html_table, text_table

NORMALIZE = ("true", "pred", "all")
"""What the shares of a confusion may be of: the true class, the predicted one, or all rows."""

KINDS = ("pictures", "series", "texts", "rows")
"""What the cases of `TopLosses` may show."""

_TOLD = 5  # confusions, in a summary


@dataclasses.dataclass(frozen=True)
class Confused:
    """A class that was taken for another.

    Attributes:
        true: The class.
        predicted: What it was taken for.
        count: In how many rows.
        share: Of all rows of the class.

    Example:
        >>> print(Confused("Shirt", "Coat", 20, 0.2))
        'Shirt' is taken for 'Coat' in 20 rows, 20 % of 'Shirt'.
    """

    true: str
    predicted: str
    count: int
    share: float

    def __str__(self) -> str:
        rows = f"{self.count:,} row{'' if self.count == 1 else 's'}"
        share = percent(self.share)
        return f"{self.true!r} is taken for {self.predicted!r} in {rows}, {share} of {self.true!r}."


@dataclasses.dataclass(frozen=True)
class Confusion(SavedRecord):
    """Which classes a model takes for which.

    Attributes:
        counts: Rows by their true class (the outer list) and the predicted one.
        classes: What the classes are called.

    Example:
        >>> print(Confusion([[8, 2], [0, 10]], ["cat", "dog"]))
        18 of 20 rows right (90.0 %), 2 classes.
        'cat' is taken for 'dog' in 2 rows, 20 % of 'cat'.
    """

    counts: list[list[int]]
    classes: list[str]

    def __post_init__(self) -> None:
        if [len(row) for row in self.counts] != [len(self.classes)] * len(self.classes):
            must = f"have a row and a column for each class ({len(self.classes)})"
            received = f"rows of lengths {[len(row) for row in self.counts]}"
            raise invalid("Confusion", "counts", must, received)

    @property
    def rows(self) -> int:
        """How many rows were predicted."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> int:
        """How many of them rightly."""
        return sum(row[number] for number, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        """Which part of them."""
        return self.right / self.rows

    @property
    def recall(self) -> dict[str, float]:
        """Which part of each class was found; NaN for a class without a row."""
        return dict(zip(self.classes, np.diag(self.shares("true")).tolist(), strict=True))

    @property
    def precision(self) -> dict[str, float]:
        """Which part of what was taken for a class is of it; NaN for one that never was."""
        return dict(zip(self.classes, np.diag(self.shares("pred")).tolist(), strict=True))

    @property
    def confused(self) -> list[Confused]:
        """Each class that was taken for another, the most frequent first."""
        shares = self.shares("true")
        found = [
            Confused(self.classes[true], self.classes[taken], count, float(shares[true, taken]))
            for true, row in enumerate(self.counts)
            for taken, count in enumerate(row)
            if count and true != taken
        ]
        return sorted(found, key=lambda pair: -pair.count)

    def shares(self, normalize: str) -> np.ndarray:
        """Returns the counts as shares; NaN where there is nothing to have a share of.

        Args:
            normalize: Of what: "true" is of the true class, so that rows add up to 1, "pred" of the
                predicted one, so that columns do, and "all" of all rows.

        Example:
            >>> Confusion([[8, 2], [0, 10]], ["cat", "dog"]).shares("true").tolist()
            [[0.8, 0.2], [0.0, 1.0]]
        """
        one_of("Confusion.shares", "normalize", normalize, NORMALIZE)
        axes: dict[str, int | None] = {"true": 1, "pred": 0, "all": None}
        counts = np.array(self.counts, dtype=float)
        with np.errstate(invalid="ignore"):
            shares: np.ndarray = counts / counts.sum(axis=axes[normalize], keepdims=True)
        return shares

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *map(str, self.confused[:_TOLD])])

    def _repr_html_(self) -> str:
        """The headline and the most frequent confusions, for a notebook."""
        cells = [[p.true, p.predicted, f"{p.count:,}", f"{p.share:.1%}"] for p in self.confused]
        header = ["is", "is taken for", "rows", "of its class"]
        table = html_table([header, *cells[: 2 * _TOLD]]) if cells else ""
        return f"<p>{self._headline()}</p>{table}"

    def _headline(self) -> str:
        right = f"{self.right:,} of {self.rows:,} rows right ({self.accuracy:.1%})"
        return f"{right.replace('%', ' %')}, {len(self.classes)} classes."


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a row: its name, its value, and the standard deviations from the column's mean.

    Example:
        >>> print(Column("age", 91.0, 3.14))
        age 91 (+3.1 sd)
    """

    name: str
    value: float
    distance: float

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} ({self.distance:+.1f} sd)"


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A row that a model does badly on.

    Attributes:
        row: Its number in the data, from 0.
        loss: Its loss.
        true: Its label, by the class's name, or its numbers.
        predicted: What the model gave.
        probability: How sure the model was of that; `None` for numbers.
        shown: The row itself: a picture `(height, width)` or `(height, width, channels)`, a
            series `(steps, features)`, a text, or the columns that lie furthest from the mean.
    """

    row: int
    loss: float
    true: str
    predicted: str
    probability: float | None
    shown: Any

    @property
    def verdict(self) -> str:
        """What it is and what the model says, in one line."""
        sure = "" if self.probability is None else f" ({100 * self.probability:.0f} %)"
        return f"{self.true}, predicted {self.predicted}{sure}"

    @property
    def summary(self) -> str:
        """What is shown, in at most 80 signs."""
        if isinstance(self.shown, np.ndarray):
            return show(self.shown)
        text = self.shown if isinstance(self.shown, str) else ", ".join(map(str, self.shown))
        return text if len(text) <= 80 else f"{text[:77]}..."

    def __str__(self) -> str:
        return f"row {self.row:,}: loss {self.loss:.4g}, {self.verdict}: {self.summary}"


@dataclasses.dataclass(frozen=True, eq=False)
class TopLosses:
    """The rows with the highest losses.

    Attributes:
        cases: The rows, the highest loss first.
        kind: What they show; one of `KINDS`.
        rows: How many rows were looked at.
        mean_loss: The mean of their losses.

    Example:
        >>> case = Case(7, 4.2, "positive", "negative", 0.98, "not bad at all")
        >>> print(TopLosses([case], "texts", rows=100, mean_loss=0.5))
        1 of 100 rows, whose mean loss is 0.5:
        row 7: loss 4.2, positive, predicted negative (98 %): not bad at all
    """

    cases: list[Case]
    kind: str
    rows: int
    mean_loss: float

    def __post_init__(self) -> None:
        one_of("TopLosses", "kind", self.kind, KINDS)

    def __len__(self) -> int:
        return len(self.cases)

    def __str__(self) -> str:
        return "\n".join([self._headline(), *map(str, self.cases)])

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        header = ["row", "loss", "is", "predicted", "probability", "what"]
        what = {"pictures": "a picture", "series": "a series"}.get(self.kind)
        cells = [
            [
                *(f"{case.row:,}", f"{case.loss:.4g}", case.true, case.predicted),
                "" if case.probability is None else f"{case.probability:.2f}",
                what or case.summary,
            ]
            for case in self.cases
        ]
        return f"<p>{self._headline()}</p>{html_table([header, *cells])}"

    def _headline(self) -> str:
        return f"{len(self)} of {self.rows:,} rows, whose mean loss is {self.mean_loss:.4g}:"


@dataclasses.dataclass(frozen=True)
class Fit:
    """How near the predictions of an output are to the truth.

    Attributes:
        mean: The mean of the residuals; away from 0, the model is biased.
        spread: Their standard deviation.
        mae: The mean of their sizes.
        r2: The part of the variance of the truth that the predictions explain: 1 for all of it, 0
            for what the mean would; NaN where the truth doesn't vary.
    """

    mean: float
    spread: float
    mae: float
    r2: float


@dataclasses.dataclass(frozen=True)
class Residuals(SavedRecord):
    """What is left of the true numbers without the predicted ones.

    Attributes:
        true: The true numbers of each output, by its name.
        predicted: The predicted ones.

    Example:
        >>> found = Residuals({"price": [1.0, 2.0, 3.0]}, {"price": [1.5, 2.0, 2.5]})
        >>> found.residuals["price"].tolist(), found.fits["price"].r2
        ([-0.5, 0.0, 0.5], 0.75)
    """

    true: dict[str, list[float]]
    predicted: dict[str, list[float]]

    def __post_init__(self) -> None:
        lengths = [{k: len(v) for k, v in part.items()} for part in (self.true, self.predicted)]
        if lengths[0] != lengths[1] or len(set(lengths[0].values())) != 1:
            must = "have as many numbers for each output as `true`, and at least one output"
            raise invalid("Residuals", "predicted", must, f"{lengths[1]} beside {lengths[0]}")

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return list(self.true)

    @property
    def rows(self) -> int:
        """How many rows were predicted."""
        return len(next(iter(self.true.values())))

    @functools.cached_property
    def residuals(self) -> dict[str, np.ndarray]:
        """Of each output the true numbers less the predicted ones: positive where it is too low."""
        return {k: np.array(self.true[k]) - np.array(self.predicted[k]) for k in self.true}

    @functools.cached_property
    def fits(self) -> dict[str, Fit]:
        """How near each output is."""
        return {name: _fit(np.array(self.true[name]), self.residuals[name]) for name in self.true}

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        parts = {
            part: {name: numbers_of(column) for name, column in fields[part].items()}
            for part in ("true", "predicted")
        }
        return cls(**parts)

    def __repr__(self) -> str:
        return f"<Residuals of {', '.join(self.outputs)}: {self.rows:,} rows>"

    def __str__(self) -> str:
        return f"Residuals of {self.rows:,} rows:\n{text_table(self._cells())}"

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        return f"<p>Residuals of {self.rows:,} rows</p>{html_table(self._cells())}"

    def _cells(self) -> Sequence[Sequence[str]]:
        rows = [
            [name, *(f"{value:.4g}" for value in (fit.mean, fit.spread, fit.mae, fit.r2))]
            for name, fit in self.fits.items()
        ]
        return [["output", "mean", "spread", "mae", "R²"], *rows]


def _fit(true: np.ndarray, residuals: np.ndarray) -> Fit:
    variance = float(true.var())
    return Fit(
        mean=float(residuals.mean()),
        spread=float(residuals.std()),
        mae=float(np.abs(residuals).mean()),
        r2=1 - float(np.square(residuals).mean()) / variance if variance else float("nan"),
    )
