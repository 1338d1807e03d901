"""What training leaves behind: frozen records of plain numbers, and JSON both ways.

Training writes these and everything that draws, judges or compares reads them; the two halves
meet nowhere else. Nothing here knows Keras.
"""

import csv
import dataclasses
import html
import math
import numbers
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeGuard

from kerastrain._checks import invalid, show
from kerastrain._record_files import (
    UnreadableError,
    fields_in,
    made_of,
    numbers_of,
    path_of,
    read_text,
    save_for_user,
    unreadable,
)
from kerastrain._run_folders import history_file, is_training

STOP_REASONS = ("finished", "early_stopping", "time", "nan", "interrupted", "error", "running")
"""Why a run ended, as `History.stop_reason` says it; one that goes on while it is read is last."""

PER_EPOCH_FACTS = ("learning_rate", "seconds")
"""Columns of a history that describe the epoch and are no measure of the model."""

DIGESTS = "digests"
"""The entry of a history's settings with marks of all that decides a run's course but the seed.

A dict with a short text, or `None` for what can't be told, of "model", "callbacks", "data" and
"arguments": two runs differ in nothing but the seed where the settings and these are the same.
"""


@dataclasses.dataclass(frozen=True)
class History:
    """What one run did, epoch by epoch.

    Attributes:
        history: Per column one number an epoch: whatever Keras logs, the `learning_rate` of the
            epoch's last step and the `seconds` that the epoch took, validation included.
        epoch: The epochs run, counted from 0 as Keras counts them.
        monitor: The column that chose the best epoch.
        best_epoch: The epoch with the best `monitor`, whose weights were restored if the run
            restores the best; `None` if no epoch had a finite value.
        stopped_epoch: The epoch after which the run stopped early; `None` if it ran to the end.
        stop_reason: One of `STOP_REASONS`.
        engine: How the steps were executed and why, in one line.
        speed: The ways in which they were, by the epochs, from 0, that began with another one:
            what `fit(speed=history.speed, seed=history.seed)` repeats the run with, to the bit.
        seed: The seed of the run, drawn at random if none was given.
        note: What happened in its course, such as NaN, and what may have been the cause.
        settings: What was trained, and how: plain values by name, such as `parameters`,
            `batch_size` and `optimizer.learning_rate`. What two runs differ in stands here.
        chance: What measures would be of a model that gives all rows the same answer, the best
            there is, on the training rows: `loss`, and `accuracy` of classes. Where rows have
            weights, `val_loss` is what that answer gives without them; where the loss has
            penalties, the metric that is without them has its place.

    Example:
        >>> history = History.of({"loss": [0.9, 0.5, 0.6], "val_loss": [0.8, 0.6, 0.7]})
        >>> len(history), history.monitor, history.best_epoch
        (3, 'val_loss', 1)
        >>> history.best
        {'loss': 0.5, 'val_loss': 0.6}
    """

    history: dict[str, list[float]]
    epoch: list[int]
    monitor: str | None = None
    best_epoch: int | None = None
    stopped_epoch: int | None = None
    stop_reason: str = "finished"
    engine: str = ""
    speed: dict[int, str] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    note: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    chance: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        uneven = {k: len(v) for k, v in self.history.items() if len(v) != len(self.epoch)}
        if uneven:
            raise invalid(
                "History",
                "history",
                f"hold one number per epoch ({len(self.epoch)}) in each column",
                f"lengths {uneven}",
            )
        if self.stop_reason not in STOP_REASONS:
            allowed = ", ".join(repr(reason) for reason in STOP_REASONS)
            received = f"stop_reason={self.stop_reason!r}"
            raise invalid("History", "stop_reason", f"be one of {allowed}", received)
        if self.best_epoch is not None and self.best_epoch not in self.epoch:
            must = "be one of the epochs run"
            raise invalid("History", "best_epoch", must, f"best_epoch={self.best_epoch}")

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[float]], epoch: Iterable[int] | None = None) -> Self:
        """Makes a history from columns alone, as Keras's own `History` or a CSV has them.

        The monitor is `val_loss`, or `loss` where there was no validation; the best epoch is where
        that is lowest. A column of every k-th epoch, as Keras's `validation_freq=k` leaves it, is
        spread out, with NaN where there was no validation.

        Raises:
            TypeError: If there are no columns of numbers.
        """
        if not _are_columns(columns):
            must, received = "be a dict of lists of numbers", f"columns={show(columns)}"
            raise invalid("History.of", "columns", must, received, kind=TypeError)
        length = max((len(column) for column in columns.values()), default=0)
        history = {str(name): _spread(column, length) for name, column in columns.items()}
        epochs = [int(number) for number in epoch] if epoch is not None else list(range(length))
        monitor = next((name for name in ("val_loss", "loss") if name in history), None)
        best = lowest(history[monitor]) if monitor else None
        return cls(history, epochs, monitor, None if best is None else epochs[best])

    def __len__(self) -> int:
        """The number of epochs run."""
        return len(self.epoch)

    @property
    def best(self) -> dict[str, float]:
        """Every column's value at the best epoch; empty if there is none."""
        if self.best_epoch is None:
            return {}
        row = self.epoch.index(self.best_epoch)
        return {name: column[row] for name, column in self.history.items()}

    @property
    def seconds(self) -> float:
        """The seconds that all epochs took together, validation included."""
        return sum(self.history.get("seconds", []))

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the record as JSON, whole or not at all, and returns the path.

        Numbers that JSON has no word for are written as the strings "NaN", "Infinity" and
        "-Infinity", so that any reader can parse the file.

        Example:
            >>> import tempfile
            >>> path = History.of({"loss": [0.5, math.nan]}).save(tempfile.mkdtemp() + "/h.json")
            >>> History.load(path).history
            {'loss': [0.5, nan]}
        """
        return save_for_user(path, "History", dataclasses.asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a record that `save` wrote, a CSV that Keras's `CSVLogger` wrote, or a run's.

        Args:
            path: The file, or a run directory, which may still be training.

        Raises:
            ValueError: If the file can't be read or isn't a history.
            TypeError: If `path` is none.
        """
        function = "History.load"
        place = path_of(path, function=function)
        return cls._load(history_file(place, function=function, argument="path"), function, "path")

    @classmethod
    def _load(cls, path: str | os.PathLike[str], function: str, argument: str) -> Self:
        read = cls._from_csv if pathlib.Path(path).suffix == ".csv" else cls._from_json
        try:
            return read(read_text(path))
        except UnreadableError as error:
            must = "be a run directory, or a file of History.save (JSON) or CSVLogger (CSV)"
            raise unreadable(function, argument, must, path, error) from error

    @classmethod
    def _from_json(cls, text: str) -> Self:
        return made_of(fields_in(text, "History"), cls.of_fields)

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Makes a history of its fields, as a file holds them."""
        columns = {name: numbers_of(column) for name, column in fields["history"].items()}
        # JSON has no numbers for keys, and a file of an earlier version no `speed` and no `chance`.
        speed = {int(epoch): str(way) for epoch, way in fields.get("speed", {}).items()}
        chance = {str(name): float(value) for name, value in fields.get("chance", {}).items()}
        return cls(**{**fields, "history": columns, "speed": speed, "chance": chance})

    @classmethod
    def _from_csv(cls, text: str) -> Self:
        rows = list(csv.DictReader(text.splitlines()))
        try:
            names = [name for name in (rows[0] if rows else ()) if name != "epoch"]
            columns = {name: [float(row[name]) for row in rows] for name in names}
            epochs = [int(row["epoch"]) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableError(f"columns that aren't CSVLogger's: {error}") from error
        if not columns:
            raise UnreadableError("no epochs in it")
        return cls.of(columns, epochs)

    def __repr__(self) -> str:
        best = ""
        if self.monitor in self.best:
            value = self.best[self.monitor]
            best = f", best_epoch={self.best_epoch} with {self.monitor}={value:.4g}"
        return f"<History: {len(self)} epochs{best}, {self.stop_reason}>"

    def _repr_html_(self) -> str:
        """A table for a notebook, and what it comes to."""
        return f"{self.table()}<p>{html.escape(repr(self)[1:-1])}</p>"

    def table(self) -> str:
        """The first and last epochs and the best one, set in bold, as a table of HTML."""
        header = "".join(f"<th>{html.escape(name)}</th>" for name in ("epoch", *self.history))
        shown = _rows_to_show(len(self), self._best_row())
        body = "".join(self._html_row(row) for row in shown)
        return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"

    def _html_row(self, row: int | None) -> str:
        if row is None:
            columns = len(self.history) + 1
            return f'<tr><td colspan="{columns}" style="text-align: center">…</td></tr>'
        values = (f"{column[row]:#.4g}" for column in self.history.values())
        cells = "".join(f"<td>{cell}</td>" for cell in (str(self.epoch[row]), *values))
        bold = ' style="font-weight: bold"' if row == self._best_row() else ""
        return f"<tr{bold}>{cells}</tr>"

    def _best_row(self) -> int | None:
        return None if self.best_epoch is None else self.epoch.index(self.best_epoch)


def as_history(source: Any, *, function: str, argument: str = "histories") -> History:
    """Returns a `History` from anything that holds one.

    Args:
        source: Our `History`, what `build_and_fit` returns, Keras's `History`, a dict of lists, or
            a path: to a run directory, which may still be training, a JSON file of `History.save`
            or a CSV file of Keras's `CSVLogger`.
        function: The public function that was given it, named in the error.
        argument: Its argument.

    Example:
        >>> as_history({"loss": [0.9, 0.5]}, function="plot_history").best_epoch
        1
    """
    if isinstance(source, History):
        return source
    if isinstance(source, str | os.PathLike):
        path = history_file(source, function=function, argument=argument)
        history = History._load(path, function, argument)
        if history.stop_reason == "interrupted" and is_training(source):
            return dataclasses.replace(history, stop_reason="running", stopped_epoch=None)
        return history
    columns = source if isinstance(source, Mapping) else getattr(source, "history", None)
    if isinstance(columns, History):  # Of what `build_and_fit` returns.
        return columns
    if _are_columns(columns):
        return History.of(columns, getattr(source, "epoch", None) or None)
    must = "be a History, Keras's History, a dict of lists of numbers or a path to a saved one"
    if isinstance(source, list | tuple) and source and not _are_numbers(source):
        must = "be given one by one, not in a list"
    if isinstance(getattr(source, "histories", None), list | tuple):
        must = "be one run, such as repeats.histories[0]"
    raise invalid(function, argument, must, show(source), kind=TypeError)


def lowest(values: Sequence[float]) -> int | None:
    """Returns the position of the lowest finite value, or `None` if there is none.

    Example:
        >>> lowest([math.nan, 0.4, 0.3, 0.5])
        2
    """
    finite = [(value, row) for row, value in enumerate(values) if math.isfinite(value)]
    return min(finite)[1] if finite else None


def _are_columns(columns: Any) -> TypeGuard[Mapping[str, Sequence[float]]]:
    return isinstance(columns, Mapping) and all(map(_are_numbers, columns.values()))


def _are_numbers(column: Any) -> bool:
    if isinstance(column, str | Mapping) or not isinstance(column, Iterable):
        return False
    return all(isinstance(value, numbers.Real) for value in column)


def _spread(column: Sequence[float], length: int) -> list[float]:
    """Returns a column of `length` numbers: itself, or one number in every k-th place."""
    values = [float(value) for value in column]
    every = length // len(values) if values else 0
    if len(values) == length or not every or length // every != len(values):
        return values
    spread = [math.nan] * length
    spread[every - 1 :: every] = values
    return spread


def _rows_to_show(length: int, best: int | None, *, ends: int = 5) -> list[int | None]:
    """Returns the rows of a table that fits one look, with `None` where rows are left out."""
    wanted = {*range(min(ends, length)), *range(max(0, length - ends), length)}
    rows = sorted(wanted | ({best} if best is not None else set()))
    shown: list[int | None] = []
    for row in rows:
        if shown and shown[-1] != row - 1:
            shown.append(None)
        shown.append(row)
    return shown
