"""What a search tried and found: frozen records of plain numbers, and JSON both ways.

As `records`, this knows no Keras.
"""

import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from kerastrain._checks import invalid, show
from kerastrain._record_files import (
    UnreadableError,
    fields_in,
    made_of,
    read_text,
    save_record,
    unreadable,
)
from kerastrain._tables import html_table, text_table
from kerastrain.records import History

STATES = ("complete", "pruned", "failed")
"""How a trial can end: at its last epoch, given up since it couldn't win, or without a value."""

STOP_REASONS = ("finished", "timeout", "interrupted")
"""Why a search can end."""

_PLAIN = (bool, int, float, str, type(None))
_ROWS_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of parameters, and what came of it.

    Attributes:
        number: Its place in the search, from 0.
        params: What was chosen, by name.
        state: "complete", "pruned" (given up, since it couldn't win) or "failed".
        value: The metric at the best epoch, the mean over the folds; of a pruned trial as far as it
            went, and NaN where there is none.
        seed: What it was trained with.
        seconds: The time that it took.
        reason: Why it was pruned or failed; empty where it is complete.
        histories: Every epoch's curves: one history, or one for each fold.

    Example:
        >>> Trial(3, {"units": 64}, "complete", 0.31, seed=1)
        <Trial 3: 0.31 with units=64>
    """

    number: int
    params: dict[str, Any]
    state: str
    value: float = math.nan
    seed: int = 0
    seconds: float = math.nan
    reason: str = ""
    histories: list[History] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.state not in STATES:
            must = f"be one of {', '.join(map(repr, STATES))}"
            raise invalid("Trial", "state", must, f"state={self.state!r}")

    @property
    def epochs(self) -> int:
        """How many epochs it was trained for, in all folds together."""
        return sum(map(len, self.histories))

    def __repr__(self) -> str:
        what = f"{self.value:.4g}" if self.state == "complete" else f"{self.state}, {self.reason}"
        return f"<Trial {self.number}: {what} with {words_for(self.params)}>"

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Makes a trial of its fields, as a file holds them."""
        numbers = {name: float(fields[name]) for name in ("value", "seconds")}
        params = {name: _from_json(value) for name, value in fields["params"].items()}
        histories = [History.of_fields(history) for history in fields["histories"]]
        return cls(**{**fields, **numbers, "params": params, "histories": histories})


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search tried and found; `search` makes it, and `plot_search` draws it.

    Attributes:
        trials: All of them, in their order.
        metric: What decided, as the history names it.
        mode: "min" if lower is better, "max" if higher is.
        settings: How the search went: sampler, pruner, folds, seed, and what every fit was given.
            Values that aren't numbers or strings, or lists or dicts of them, as their text.
        importance: The share of each parameter in the differences between the trials' values, from
            0 to 1; empty where there are too few trials to tell.
        stop_reason: "finished", "timeout" or "interrupted".
        seconds: The time that the search took; a search that went on from its storage counts its
            last part only.
        tested: The best model's metrics on the test set; empty where there was none.
        model: The best model, trained; `None` in a record that was read from a file.

    Example:
        >>> trials = [
        ...     Trial(0, {"units": 16}, "complete", 0.52),
        ...     Trial(1, {"units": 64}, "complete", 0.31),
        ... ]
        >>> result = SearchResult(trials, "val_loss", "min")
        >>> result.best_params, result.best_value
        ({'units': 64}, 0.31)
    """

    trials: list[Trial]
    metric: str
    mode: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    importance: dict[str, float] = dataclasses.field(default_factory=dict)
    stop_reason: str = "finished"
    seconds: float = math.nan
    tested: dict[str, float] = dataclasses.field(default_factory=dict)
    model: Any = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        allowed = {"mode": ("min", "max"), "stop_reason": STOP_REASONS}
        for name, values in allowed.items():
            value = getattr(self, name)
            if value not in values:
                must = f"be one of {', '.join(map(repr, values))}"
                raise invalid("SearchResult", name, must, f"{name}={value!r}")

    def __len__(self) -> int:
        """The number of trials."""
        return len(self.trials)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value, the earliest of several; `None` if none is complete."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].state == "complete" else None

    @property
    def best_params(self) -> dict[str, Any]:
        """What the best trial chose; empty if there is none."""
        return dict(self.best.params) if self.best else {}

    @property
    def best_value(self) -> float | None:
        """The best trial's value of the metric: what chose it, and so no measure of the model.

        The more trials, the more of the best value is luck with the rows that judged it; `test` is
        the figure to report.
        """
        return self.best.value if self.best else None

    @property
    def test(self) -> dict[str, float]:
        """The best model's metrics on rows that had no part in choosing it.

        Raises:
            ValueError: If the search was given no test set.
        """
        if not self.tested:
            must = "have a test set: pass what load_dataset returns, or search(..., test_data=...)"
            raise invalid("SearchResult.test", "data", must, "a search without one")
        return dict(self.tested)

    @property
    def epochs(self) -> int:
        """How many epochs all trials were trained for."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first: the complete ones, then the pruned, then the failed."""
        sign = 1 if self.mode == "min" else -1

        def rank(trial: Trial) -> tuple[int, float, int]:
            value = math.inf if math.isnan(trial.value) else sign * trial.value
            return STATES.index(trial.state), value, trial.number

        return sorted(self.trials, key=rank)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table, a dict a trial, best first: ready for a data frame."""
        return [self._row(trial) for trial in self.ranked]

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the record as JSON, whole or not at all, without the model; returns the path."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["trials"] = [
            dataclasses.asdict(trial) | {"params": plain(trial.params)} for trial in self.trials
        ]
        del fields["model"]
        return save_record(path, "SearchResult", fields | {"settings": plain(self.settings)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a record that `save` wrote.

        Raises:
            ValueError: If the file can't be read or isn't the result of a search.
        """
        try:
            return made_of(fields_in(read_text(path), "SearchResult"), cls._of_fields)
        except UnreadableError as error:
            must = "be a readable file of SearchResult.save"
            raise unreadable("SearchResult.load", "path", must, path, error) from error

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        fields["trials"] = [Trial.of_fields(trial) for trial in fields["trials"]]
        fields["seconds"] = float(fields["seconds"])
        for name in ("importance", "tested"):
            fields[name] = {key: float(value) for key, value in fields[name].items()}
        return cls(**fields)

    def __repr__(self) -> str:
        """The best trials as a table; a record's own would fill pages with curves."""
        return "\n".join(filter(None, (self._summary(), self._table(text_table))))

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        return f"<p>{self._summary()}</p>{self._table(html_table)}"

    def _table(self, drawn: Any) -> str:
        rows = self.rows[:_ROWS_SHOWN]
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_cell(row.get(name)) for name in names] for row in rows]
        return str(drawn([names, *cells])) if rows else ""

    def _summary(self) -> str:
        counts = {state: sum(t.state == state for t in self.trials) for state in STATES}
        others = [
            f"{count} {state}" for state, count in counts.items() if count and state != "complete"
        ]
        how = f" ({', '.join(others)})" if others else ""
        first = "" if len(self) <= _ROWS_SHOWN else f"; the best {_ROWS_SHOWN}:"
        best = f", best {self.metric} {self.best.value:.4g}" if self.best else ""
        return f"{len(self)} trials{how}, {self.epochs} epochs{best}, {self.stop_reason}{first}"

    def _row(self, trial: Trial) -> dict[str, Any]:
        return {
            "trial": trial.number,
            self.metric: trial.value,
            **trial.params,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "state": trial.state,
        }


def plain(value: Any) -> Any:
    """Returns a value that JSON can hold: numbers, strings, and lists and dicts of them.

    Example:
        >>> plain({"filters": (16, 32), "a_layer": print})
        {'filters': [16, 32], 'a_layer': '<built-in function print>'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, _PLAIN) else show(value)


def is_plain(value: Any) -> bool:
    """Tells whether a record can keep a value itself, and not only its text."""
    if isinstance(value, Mapping):
        return all(map(is_plain, value.values()))
    return (
        all(map(is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, _PLAIN)
    )


def _from_json(value: Any) -> Any:
    """Returns a parameter as it was before it was written, where JSON has no word for it."""
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def words_for(params: Mapping[str, Any]) -> str:
    """Returns parameters as a reader would write them.

    Example:
        >>> words_for({"units": 64, "learning_rate": 0.0123456})
        'units=64, learning_rate=0.01235'
    """
    return ", ".join(f"{name}={_cell(value)}" for name, value in params.items()) or "no parameters"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value) if isinstance(value, str | int) else show(value)
