"""What a search tried and found: frozen records of plain numbers, and JSON both ways.

As `records`, this knows no Keras.
"""

import dataclasses
import html
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from kerastrain._checks import invalid, show
from kerastrain._record_files import SavedRecord
from kerastrain._tables import html_table, text_table
from kerastrain.records import History

STATES = ("complete", "pruned", "failed")
"""How a trial can end: at its last epoch, given up since it couldn't win, or without a value."""

STOP_REASONS = ("finished", "timeout", "interrupted")
"""Why a search can end."""

_PLAIN = (bool, int, float, str, type(None))
_ROWS_SHOWN = 10
_NUMBERS = ("NaN", "Infinity", "-Infinity")
"""How a file has the numbers that JSON has no word for."""


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
        threads: How many it had in a process of its own, on which the bits of large products hang;
            `None` if it ran in the process of the search.
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
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            must = f"be one of {', '.join(map(repr, STATES))}"
            raise invalid("Trial", "state", must, f"state={self.state!r}")

    @property
    def epochs(self) -> int:
        """How many epochs it was trained for, in all folds together."""
        return sum(map(len, self.histories))

    def __repr__(self) -> str:
        state = ", ".join(filter(None, (self.state, cut(self.reason, 80))))
        what = f"{self.value:.4g}" if self.state == "complete" else state
        return f"<Trial {self.number}: {what} with {words_for(self.params)}>"

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Makes a trial of its fields, as a file holds them."""
        numbers = {name: float(fields[name]) for name in ("value", "seconds")}
        params = {name: _from_json(value) for name, value in fields["params"].items()}
        histories = [History.of_fields(history) for history in fields["histories"]]
        return cls(**{**fields, **numbers, "params": params, "histories": histories})


@dataclasses.dataclass(frozen=True)
class SearchResult(SavedRecord):
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
        note: Why there is no model, or no test of it, where something failed after all trials.
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
    note: str = ""
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
        """The complete trial with the best value, the earliest of several.

        `None` if no complete trial has a finite value.
        """
        ranked = self.ranked[:1]
        return ranked[0] if ranked and is_valued(ranked[0]) else None

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
            ValueError: If the search was given no test set, or no trial is complete.
        """
        if not self.tested:
            must = "have been a search with a test set: that of load_dataset's data, or `test_data`"
            what = "without a best model" if self.best is None else "without one"
            what += f", as {self.note.rstrip('.')}" if self.note else ""
            raise invalid("SearchResult.test", "result", must, f"a search {what}")
        return dict(self.tested)

    @property
    def epochs(self) -> int:
        """How many epochs all trials were trained for."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def ranked(self) -> list[Trial]:
        """The trials, best first: the complete ones, then the pruned, then the failed.

        Among each of them, those whose value isn't finite come last, however high or low it is.
        """
        sign = 1 if self.mode == "min" else -1

        def rank(trial: Trial) -> tuple[int, float, int]:
            value = sign * trial.value if math.isfinite(trial.value) else math.inf
            return STATES.index(trial.state), value, trial.number

        return sorted(self.trials, key=rank)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table, a dict a trial, best first: ready for a data frame.

        All have the same columns; a parameter that a trial didn't have is NaN, and one that is
        called as another column is, such as "epochs", stands under "param_epochs".
        """
        columns = self._columns
        return [self._row(trial, columns) for trial in self.ranked]

    @property
    def parameters(self) -> list[str]:
        """The names of all parameters, in the order in which the trials first have them."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.params))

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the record as JSON, whole or not at all, without the model; returns the path.

        JSON knows no tuples and no objects: they are read back as lists, and as their names.
        """
        return super().save(path)

    def _fields(self) -> dict[str, Any]:
        fields = _fields_of(self) | {"trials": [_fields_of(trial) for trial in self.trials]}
        del fields["model"]
        for trial in fields["trials"]:
            trial["histories"] = [dataclasses.asdict(history) for history in trial["histories"]]
        fields = plain(fields)
        for holder, name in [(fields, "settings"), *((one, "params") for one in fields["trials"])]:
            holder[name] = with_words_marked(holder[name])
        return fields  # type: ignore[no-any-return]

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        trials = fields["trials"]
        fields["settings"] = {k: _from_json(value) for k, value in fields["settings"].items()}
        # A file of an earlier version has one number of threads for all trials.
        threads = {"threads": fields["settings"].pop("threads", None)}
        fields["trials"] = [Trial.of_fields(threads | trial) for trial in trials]
        fields["seconds"] = float(fields["seconds"])
        for name in ("importance", "tested"):
            fields[name] = {key: float(value) for key, value in fields[name].items()}
        return cls(**fields)

    def __repr__(self) -> str:
        """The best trials as a table; a record's own would fill pages with curves."""
        return "\n".join([self._summary(), *([text_table(self._cells())] if self.trials else [])])

    def _repr_html_(self) -> str:
        """A table for a notebook, with the best trial in bold."""
        table = html_table(self._cells(), bold=0 if self.best else None)
        return f"<p>{html.escape(self._summary())}</p>{table if self.trials else ''}"

    def _cells(self) -> list[list[str]]:
        formats = {self.metric: "#.4g", "seconds": ".1f"}
        rows = self.rows[:_ROWS_SHOWN]
        cells = [[_cell(row[name], formats.get(name, ".4g")) for name in row] for row in rows]
        return [list(self._columns), *cells]

    def _summary(self) -> str:
        states = [trial.state for trial in self.trials]
        others = [f"{states.count(state)} {state}" for state in STATES[1:] if state in states]
        how = f" ({', '.join(others)})" if others else ""
        first = "" if len(self) <= _ROWS_SHOWN else f"; the best {_ROWS_SHOWN}:"
        best = f", best {self.metric} {self.best.value:.4g}" if self.best else ""
        return (
            f"{_counted(len(self), 'trial')}{how}, {_counted(self.epochs, 'epoch')}{best}, "
            f"{self.stop_reason}{first}"
        )

    @property
    def _columns(self) -> dict[str, str]:
        """From each column of the table to the parameter in it; empty for what is none."""
        before, after = ("trial", self.metric), ("epochs", "seconds", "state")
        taken = (*before, *after)
        params = {f"param_{name}" if name in taken else name: name for name in self.parameters}
        return dict.fromkeys(before, "") | params | dict.fromkeys(after, "")

    def _row(self, trial: Trial, columns: Mapping[str, str]) -> dict[str, Any]:
        facts = {
            "trial": trial.number,
            self.metric: trial.value,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "state": trial.state,
        }
        return {
            column: trial.params.get(name, math.nan) if name else facts[column]
            for column, name in columns.items()
        }


def is_valued(trial: Trial) -> bool:
    """Tells whether a trial is complete and has a finite value, so that it could be the best."""
    return trial.state == "complete" and math.isfinite(trial.value)


def text_of(value: Any, longest: int = 40) -> str:
    """Returns a parameter's value in a word or two, for a table or a picture.

    Example:
        >>> [text_of(value) for value in (0.0012345, (16, 32), None, "relu", print)]
        ['0.001234', '(16, 32)', 'None', 'relu', 'print']
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return f"{value:.4g}"
    return cut(value if isinstance(value, str) else _name_of(value), longest) or repr(value)


def words_for(params: Mapping[str, Any]) -> str:
    """Returns parameters as a reader would write them.

    Example:
        >>> words_for({"units": 64, "learning_rate": 0.0123456})
        'units=64, learning_rate=0.01235'
    """
    words = [f"{name}={text_of(value)}" for name, value in params.items()]
    return ", ".join(words) or "no parameters"


def cut(text: str, longest: int) -> str:
    r"""Returns a text in one line that is at most so long.

    Example:
        >>> cut("a long and winding\nroad", 12)
        'a long an...'
    """
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Tells whether a value beats the best one so far; anything beats none.

    Example:
        >>> is_better(0.4, 0.5, "min"), is_better(0.4, 0.4, "max"), is_better(0.4, None, "max")
        (True, False, True)
    """
    return best is None or (value < best if mode == "min" else value > best)


def plain(value: Any) -> Any:
    """Returns a value that JSON can hold: numbers, strings, and lists and dicts of them.

    Example:
        >>> plain({"filters": (16, 32), "a_layer": print})
        {'filters': [16, 32], 'a_layer': 'print'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value if isinstance(value, _PLAIN) else _name_of(value)


def is_plain(value: Any) -> bool:
    """Tells whether a record can keep a value itself, and not only its text."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, (*_PLAIN, np.generic))


def _from_json(value: Any) -> Any:
    """Returns a value as it was before it was written, where JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, str) and value.lstrip("\\") in _NUMBERS:
        return value[1:] if value.startswith("\\") else float(value)
    return value


def with_words_marked(value: Any) -> Any:
    r"""Returns plain values with a mark before strings that a file would take for numbers.

    Example:
        >>> with_words_marked({"tag": "NaN", "units": 8})
        {'tag': '\\NaN', 'units': 8}
    """
    if isinstance(value, dict):
        return {key: with_words_marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_words_marked(item) for item in value]
    is_taken = isinstance(value, str) and value.lstrip("\\") in _NUMBERS
    return f"\\{value}" if is_taken else value


def _fields_of(record: Any) -> dict[str, Any]:
    """Returns the fields themselves; `dataclasses.asdict` would copy objects that can't be."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _name_of(value: Any) -> str:
    """Returns what a function or class is called, whose `repr` tells an address; else a `repr`."""
    return str(getattr(value, "__name__", None) or show(value))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _cell(value: Any, how: str) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else format(value, how)
    return text_of(value, 24)
