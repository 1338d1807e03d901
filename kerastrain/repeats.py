"""What the same training does with several seeds: a frozen record, as `build_and_fit` returns it.

As `records`, this knows no Keras; the model is passed through.
"""

import dataclasses
import html
import math
from collections.abc import Iterator
from typing import Any

from kerastrain._checks import invalid, show
from kerastrain._noise import found_in, mean_of, rounded, spread_of, with_spread
from kerastrain._tables import html_table
from kerastrain.records import History


@dataclasses.dataclass(frozen=True)
class Repeats:
    """The same training with several seeds; prints the mean and how far the runs scatter.

    The one model that is kept is that of the best run: `histories[best]`. Chosen among several, its
    value is better than what the next run is to be expected to give, which is the mean.

    Attributes:
        histories: What each run did.
        metric: What the runs are judged by: their monitor.
        best: The position of the run with the best value; `None` where no run has one.
        model: Its model; `None` likewise.

    Example:
        >>> runs = [History.of({"val_loss": [0.9, best]}) for best in (0.302, 0.312, 0.321)]
        >>> repeats = Repeats(runs, "val_loss", best=0)
        >>> print(repeats)
        val_loss 0.312 ± 0.010 over 3 seeds (0.302 to 0.321)
        >>> round(repeats.mean, 4), round(repeats.spread, 4)
        (0.3117, 0.0095)
    """

    histories: list[History]
    metric: str
    best: int | None = None
    model: Any = None

    def __post_init__(self) -> None:
        if not self.histories or not all(isinstance(run, History) for run in self.histories):
            received = f"histories={show(self.histories)}"
            raise invalid("Repeats", "histories", "be Histories", received, kind=TypeError)

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each run."""
        return [history.seed for history in self.histories]

    @property
    def values(self) -> list[float]:
        """The metric of each run at its best epoch; NaN where it has none."""
        return [history.best.get(self.metric, math.nan) for history in self.histories]

    @property
    def mean(self) -> float:
        """The mean of the values that are numbers; NaN where there is none."""
        return mean_of(self.values)

    @property
    def spread(self) -> float:
        """Their sample standard deviation; NaN of fewer than two."""
        return spread_of(self.values)

    def __iter__(self) -> Iterator[Any]:
        """Unpacks into `model, histories`, as one run does into `model, history`."""
        return iter((self.model, self.histories))

    def __str__(self) -> str:
        found, count = found_in(self.values), len(self.histories)
        lost = f"; {count - len(found)} of {count} runs without one" * (len(found) < count)
        if not found:
            return f"no {self.metric} in {count} runs"
        if len(found) == 1:
            return f"{self.metric} {found[0]:.4g} with one seed{lost}"
        scatter = with_spread(self.mean, self.spread)
        span = " to ".join(rounded(end(found), self.spread) for end in (min, max))
        return f"{self.metric} {scatter} over {len(found)} seeds ({span}){lost}"

    def __repr__(self) -> str:
        return f"<Repeats: {self}>"

    def _repr_html_(self) -> str:
        """A table for a notebook: a run a row, the best one in bold."""
        cells = [
            [str(run.seed), f"{value:#.4g}", _cell(run.best_epoch), str(len(run)), run.stop_reason]
            for run, value in zip(self.histories, self.values, strict=True)
        ]
        header = ["seed", self.metric, "best epoch", "epochs", "stop reason"]
        return f"{html_table([header, *cells], bold=self.best)}<p>{html.escape(str(self))}</p>"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
