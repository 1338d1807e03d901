"""`compare_runs`: runs held against each other, in a table, a picture and a few sentences.

A reader: it takes histories, wherever they come from, and knows no Keras.
"""

import base64
import dataclasses
import html
import io
import math
import re
import statistics
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from kerastrain._checks import invalid
from kerastrain._comparison_words import cautions, verdict
from kerastrain._noise import mean_of, with_spread
from kerastrain._run_reading import Found, found_in, names_of
from kerastrain._standings import Standing, differences_of, measures_of, standings_of, value_of
from kerastrain._tables import html_table, text_table
from kerastrain.plots import overlay, plot_history
from kerastrain.records import History

_LONGEST = 32  # letters of a cell
_WIDTH = 100
_FORMATS = {"seconds": ",.1f", "epochs": ",.1f", "best epoch": ",.1f"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs held against each other; prints as a table, and shows in a notebook with a picture.

    Attributes:
        metric: What they are compared by.
        rows: The table, the best first, a dict a row: ready for a data frame. Runs that differ in
            nothing but the seed share a row, with means in it and the sample standard deviation of
            the metric as `spread`.
        histories: All runs, in the order of the rows.
        labels: What each of them is called in a picture, where runs of one row share a colour.
        differences: The settings that aren't the same in all, a value a row: `None` for one that
            wasn't set, "?" for a run that has noted no settings.
        sentences: Which is best, whether that is more than noise, and what to be careful with.

    Example:
        >>> a, b = {"val_loss": [0.9, 0.5]}, {"val_loss": [0.8, 0.6]}
        >>> print(compare_runs(a, b, labels=["plain", "dropout"]))
            run  epochs  best epoch  val_loss  stop reason
          plain       2           1    0.5000     finished
        dropout       2           1    0.6000     finished
        'plain' is best: val_loss 0.5, 0.1 lower than 'dropout' with 0.6.
        One run each can't tell whether that is more than the noise over seeds: train each with
        several, as build_and_fit(..., repeats=5) does.
    """

    metric: str
    rows: list[dict[str, Any]]
    histories: list[History]
    labels: list[str]
    differences: dict[str, list[Any]]
    sentences: list[str]

    def plot(self, **arguments: Any) -> list[Axes]:
        """Lays the runs over each other.

        Args:
            **arguments: Those of `plot_history`, such as `metrics` and `smooth`.

        Returns:
            The Axes, one a metric.
        """
        begun, labels = self._begun()
        return plot_history(*begun, **{"labels": labels, **arguments})

    def tables(self) -> list[list[list[str]]]:
        """Returns the table, and that of what the runs differ in if there is any, as cells."""
        return [self._cells(), *([self._cells_of_differences()] if self.differences else [])]

    def __repr__(self) -> str:
        """The table, what the runs differ in, and the sentences."""
        parts = [text_table(self._cells())]
        if self.differences:
            parts += ["", text_table(self._cells_of_differences()), ""]
        return "\n".join([*parts, *map(_wrapped, self.sentences)])

    def _repr_html_(self) -> str:
        """The picture, the tables and the sentences, for a notebook."""
        bold = 0 if self.rows and math.isfinite(self.rows[0].get(self.metric, math.nan)) else None
        tables = [html_table(cells, bold=bold) for cells in self.tables()]
        said = "<br>".join(map(html.escape, self.sentences))
        return f"<div>{self._picture()}{''.join(tables)}<p>{said}</p></div>"

    def _picture(self) -> str:
        begun, labels = self._begun()
        if not begun:
            return ""
        metrics = dict.fromkeys(
            name.removeprefix("val_")
            for name in (self.metric, "loss", "accuracy")
            if {name, f"val_{name}"} & {*measures_of(begun)}
        )
        file = io.BytesIO()
        overlay(begun, labels=labels, metrics=list(metrics) or None).savefig(
            file, format="png", dpi=100
        )
        data = base64.b64encode(file.getvalue()).decode("ascii")
        alt = html.escape(f"The curves of {', '.join(dict.fromkeys(labels))}", quote=True)
        return f'<img style="max-width: 100%" alt="{alt}" src="data:image/png;base64,{data}">'

    def _begun(self) -> tuple[list[History], list[str]]:
        """Returns the runs that have an epoch to draw, and their labels."""
        pairs = zip(self.histories, self.labels, strict=True)
        begun = [(run, label) for run, label in pairs if run.epoch and run.history]
        return [run for run, _ in begun], [label for _, label in begun]

    def _cells(self) -> list[list[str]]:
        names = [name for name in _columns(self.rows) if name != "spread"]
        return [names, *([_cell(name, row, self.metric) for name in names] for row in self.rows)]

    def _cells_of_differences(self) -> list[list[str]]:
        shown = {name: _shown(name, values) for name, values in self.differences.items()}
        body = [
            [_cut(str(row["run"])), *(values[place] for values in shown.values())]
            for place, row in enumerate(self.rows)
        ]
        return [["differs in", *shown], *body]


def compare_runs(
    *runs: Any, labels: str | Sequence[str] | None = None, metric: str | None = None
) -> Comparison:
    """Holds runs against each other: what each came to, what they differ in, and which is best.

    A run counts with its value at its own best epoch. That is the model which `fit` leaves, unless
    it was told `restore_best=False`; Keras's own `fit` leaves that of the last epoch.

    Runs that differ in nothing but the seed are taken together, as one choice that was tried
    several times; with them it can be told whether a difference between two choices is more than
    the noise over seeds: by Welch's t-test, at 0.05. Runs whose data, layers or callbacks can't be
    told to be the same, as those with a function of your own in a layer, stay apart; `Repeats`, and
    the folder of some, are always one.

    Args:
        *runs: Each one a `History`, Keras's `History`, a dict of lists, a `Repeats`, or a path: to
            a run directory, which may still be training, a folder of some, a JSON file of
            `History.save` or a CSV file of Keras's `CSVLogger`. What can't be read in a folder is
            named, and left out.
        labels: One name a run, `Repeats` being one, and so a folder of them. By default the names
            of files and folders, as in `plot_history`. Runs that are given other names are never
            taken together.
        metric: The column to compare by, such as "val_accuracy"; by default the monitor of most.

    Returns:
        A table that prints, shows in a notebook, and draws.

    Raises:
        ValueError: If there is no run, no such metric, or a wrong count of labels.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> found = compare_runs({"loss": [0.9, 0.5]}, {"loss": [0.9, 0.7]}, labels=["a", "b"])
        >>> [(row["run"], row["loss"]) for row in found.rows]
        [('a', 0.5), ('b', 0.7)]
    """
    if not runs:
        raise invalid("compare_runs", "runs", "hold at least one run", "runs=()")
    found = found_in(runs, function="compare_runs", argument="runs")
    return comparison_of(found, labels, metric=metric, function="compare_runs")


def comparison_of(
    found: Found, labels: str | Sequence[str] | None, *, metric: str | None = None, function: str
) -> Comparison:
    """Does what `compare_runs` does, of runs that have been read, for a public function."""
    names = names_of(found.choices, labels, function=function)
    standings, metric, is_rising = standings_of(
        found.choices, names, metric, is_given=labels is not None
    )
    histories = [run for standing in standings for run in standing.histories]
    return Comparison(
        metric=metric,
        rows=_rows(standings, metric),
        histories=histories,
        labels=[standing.label for standing in standings for _ in standing.histories],
        differences=differences_of(standings),
        sentences=[
            *verdict(standings, metric, is_rising),
            *cautions(standings, metric),
            *found.unreadable,
        ],
    )


def _rows(standings: Sequence[Standing], metric: str) -> list[dict[str, Any]]:
    """Returns the table; a column that would be empty is left out."""
    rows = [_row(standing, metric) for standing in standings]
    kept = [name for name in _columns(rows) if any(row[name] is not None for row in rows)]
    if all(row["runs"] == 1 for row in rows):
        kept.remove("runs")
    return [{name: row[name] for name in kept} for row in rows]


def _row(standing: Standing, metric: str) -> dict[str, Any]:
    runs = standing.histories
    prefix = "val_" if metric.startswith("val_") else ""
    accuracy = f"{prefix}accuracy"
    accuracies = [value_of(run, accuracy, True) for run in runs]
    best = [run.best_epoch for run in runs if run.best_epoch is not None]
    reasons = [run.stop_reason for run in runs]
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    seconds = [run.seconds for run in runs if "seconds" in run.history]
    return {
        "run": standing.label,
        "runs": len(runs),
        "epochs": _average([len(run) for run in runs]),
        "best epoch": _average(best) if best else None,
        metric: standing.mean,
        "spread": standing.spread if math.isfinite(standing.spread) else None,
        **({} if metric == accuracy else {accuracy: _mean_if_any(accuracies)}),
        "seconds": _mean_if_any(seconds),
        "parameters": runs[0].settings.get("parameters"),
        "stop reason": reasons[0]
        if len(counts) == 1
        else ", ".join(f"{count} {reason}" for reason, count in counts.items()),
    }


def _average(counts: list[int]) -> int | float:
    return counts[0] if len(set(counts)) == 1 else statistics.fmean(counts)


def _mean_if_any(values: list[float]) -> float | None:
    mean = mean_of(values)
    return mean if math.isfinite(mean) else None


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell(name: str, row: dict[str, Any], metric: str) -> str:
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if name == metric and row.get("spread") is not None:
        return with_spread(value, row["spread"])
    if isinstance(value, float):
        return format(value, _FORMATS.get(name, "#.4g"))
    return f"{value:,}" if isinstance(value, int) else _cut(str(value))


def _shown(name: str, values: Sequence[Any]) -> list[str]:
    """Returns a setting's values; of models only the layers in which they differ."""
    if name == "model":
        known = [value for value in values if value not in (None, "?")]
        apart = dict(zip(known, _apart(known), strict=True))
        values = [apart.get(value, value) for value in values]
    words = str if name == "seed" else _plain
    return ["-" if value is None else _cut(words(value)) for value in values]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _apart(lines: Sequence[str]) -> list[str | None]:
    """Returns lists without the items that all of them begin and end with.

    Example:
        >>> _apart(["Flatten, Dense(9, relu), Dense(2)", "Flatten, Dense(2)"])
        ['Dense(9, relu)', None]
    """
    items = [re.findall(r"(?:\([^()]*(?:\([^()]*\)[^()]*)*\)|[^,(])+", line) for line in lines]
    parts = [[item.strip() for item in each] for each in items]
    for end in (0, -1):
        while all(parts) and len({each[end] for each in parts}) == 1:
            parts = [each[1:] if end == 0 else each[:-1] for each in parts]
    return [", ".join(each) or None for each in parts]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


def _wrapped(sentence: str) -> str:
    return textwrap.fill(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)
