"""What experiments with learning rates and batch sizes found: frozen records, and JSON both ways.

As `records`, this knows no Keras.
"""

import dataclasses
import math
import statistics
from typing import Any, Self

from kerastrain._checks import flag, invalid
from kerastrain._record_files import SavedRecord, numbers_of
from kerastrain._tables import html_table, text_table
from kerastrain.records import History

_FORMATS = {"learning rate": ".2g", "s an epoch": "#.3g", "MB a step": ",.1f"}


@dataclasses.dataclass(frozen=True)
class LRSweep(SavedRecord):
    """What a sweep of learning rates found; `lr_find` makes it and `plot_lr_sweep` draws it.

    Attributes:
        rates: The rate of each step, rising by the same factor from step to step.
        losses: The loss of that step's batch, before the step changed the weights.
        smoothed: The same, averaged over neighbouring rates.
        suggestion: The rate to train with: the middle of `bottom`, on a logarithmic scale.
        reliable: Whether nothing speaks against it.
        note: What does; where nothing does, why the sweep ended.
        bottom: The lowest and the highest rate of the stretch around the lowest of `smoothed` in
            which it is above that by no more than a tenth of its fall; empty where it isn't known.
        rules: What other rules suggest from the same losses, by name, and ours.
        batch_size: Rows a step; `None` where the data brought their own batches.

    Example:
        >>> rates = [1e-4, 1e-3, 1e-2]
        >>> LRSweep(rates, [2.3, 1.1, 4.0], [2.2, 1.5, 3.0], suggestion=5e-4, reliable=False)
        <LRSweep: learning_rate=0.0005, not reliable, 3 steps from 0.0001 to 0.01>
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float
    reliable: bool
    note: str = ""
    bottom: list[float] = dataclasses.field(default_factory=list)
    rules: dict[str, float] = dataclasses.field(default_factory=dict)
    batch_size: int | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self._columns()}
        if len(set(lengths.values())) > 1 or not self.rates:
            must = "have a rate, a loss and a smoothed loss for each step"
            raise invalid("LRSweep", "rates", must, f"lengths {lengths}")
        flag("LRSweep", "reliable", self.reliable)

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        fields |= {name: numbers_of(fields[name]) for name in (*cls._columns(), "bottom")}
        fields["suggestion"] = float(fields["suggestion"])
        fields["rules"] = {name: float(rate) for name, rate in fields["rules"].items()}
        return cls(**fields)

    @staticmethod
    def _columns() -> tuple[str, ...]:
        return "rates", "losses", "smoothed"

    def __repr__(self) -> str:
        doubt = "" if self.reliable else ", not reliable"
        return (
            f"<LRSweep: learning_rate={self.suggestion:.3g}{doubt}, {len(self.rates)} steps from "
            f"{self.rates[0]:.3g} to {self.rates[-1]:.3g}>"
        )


@dataclasses.dataclass(frozen=True)
class BatchSizeRun:
    """One run of a comparison of batch sizes.

    Attributes:
        batch_size: Rows a step.
        scaling: How the learning rate follows the batch size: "none", "sqrt" or "linear".
        schedule: The name of its schedule; empty for a constant rate.
        learning_rate: The rate, of a schedule its peak.
        megabytes: What a step holds, estimated, in millions of bytes; NaN where that isn't known.
        history: What the run did.
    """

    batch_size: int
    scaling: str
    schedule: str
    learning_rate: float
    megabytes: float
    history: History

    @property
    def seconds(self) -> float:
        """What an epoch takes; the median, without the first one, which traces and compiles."""
        seconds = self.history.history.get("seconds", [])
        return statistics.median(seconds[1:] or seconds or [math.nan])

    @property
    def epochs_to_best(self) -> int | None:
        """Epochs to the best one; `None` if no epoch had a finite value."""
        best = self.history.best_epoch
        return None if best is None else self.history.epoch.index(best) + 1


@dataclasses.dataclass(frozen=True)
class BatchSizes(SavedRecord):
    """What `compare_batch_sizes` found; prints as a table.

    Attributes:
        runs: One for each batch size, scaling and schedule.

    Example:
        >>> history = History.of({"val_loss": [0.9, 0.5], "seconds": [1.5, 0.2]})
        >>> print(BatchSizes([BatchSizeRun(32, "none", "", 0.001, 1.9, history)]))
        batch size rate scaled schedule learning rate s an epoch MB a step val_loss epochs to best
                32        none        -         0.001      0.200       1.9   0.5000              2
    """

    runs: list[BatchSizeRun]

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        return cls([cls._run(run) for run in fields["runs"]])

    @staticmethod
    def _run(fields: dict[str, Any]) -> BatchSizeRun:
        numbers = {name: float(fields[name]) for name in ("learning_rate", "megabytes")}
        history = History.of_fields(fields["history"])
        return BatchSizeRun(**{**fields, **numbers, "history": history})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table, a dict a run: ready for a data frame."""
        return [_row(run) for run in self.runs]

    def __repr__(self) -> str:
        """The table; a record's own would fill pages with the curves of all runs."""
        return text_table(self._cells())

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        return html_table(self._cells())

    def _cells(self) -> list[list[str]]:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        return [names, *([_cell(name, row.get(name)) for name in names] for row in self.rows)]


def _row(run: BatchSizeRun) -> dict[str, Any]:
    """Returns the best epoch's monitor, and with it what else validation measured."""
    best = run.history.best
    monitor = run.history.monitor or "loss"
    measured = [name for name in best if name.startswith("val_") and name != monitor]
    return {
        "batch size": run.batch_size,
        "rate scaled": run.scaling,
        "schedule": run.schedule or "-",
        "learning rate": run.learning_rate,
        "s an epoch": run.seconds,
        "MB a step": run.megabytes,
        monitor: best.get(monitor),
        **{name: best[name] for name in measured},
        "epochs to best": run.epochs_to_best,
    }


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return format(value, _FORMATS.get(name, "#.4g")) if isinstance(value, float) else str(value)
