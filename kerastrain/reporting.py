"""`report`: a page about a run or several, to keep, to print or to send.

A reader: it takes histories, wherever they come from, and knows no Keras.
"""

import datetime
import functools
import importlib.metadata
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from kerastrain import _pages as pages
from kerastrain._checks import invalid, show
from kerastrain._files import replacing
from kerastrain._history_picture import measures_in
from kerastrain._record_files import UnreadableError, fields_in, read_text
from kerastrain._run_folders import ENVIRONMENT
from kerastrain._run_reading import Found, found_in, is_path, names_of, names_of_runs
from kerastrain.comparison import Comparison, comparison_of
from kerastrain.diagnosis import Diagnosis, diagnose
from kerastrain.plots import overlay
from kerastrain.records import DIGESTS, History

_MOST_WHOLE = 6  # Runs that each have a chapter with pictures; of more, a table.
_PICTURE = (5.4, 3.7)  # inches
_GRADES = {"good fit": "good", "diverged": "bad", "overfitting": "bad", "unstable": "bad"}


def report(
    *runs: Any,
    path: str | os.PathLike[str] = "report.html",
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> pathlib.Path:
    """Writes a page about runs: curves, what they mean, settings, where it ran, and a comparison.

    The page is a single file that needs no network and runs no scripts. It is light or dark as the
    reader's screen is, and fits a phone.

    Args:
        *runs: Each one a `History`, Keras's `History`, a dict of lists, a `Repeats`, or a path: to
            a run directory, which may still be training, a folder of some, a JSON file of
            `History.save` or a CSV file of Keras's `CSVLogger`. What can't be read in a folder is
            named, and left out.
        path: Where to write it; ends in ".html".
        labels: One name a run, `Repeats` being one, and so a folder of them; by default the names
            of files and folders.
        title: What stands above all.

    Returns:
        The path.

    Raises:
        ValueError: If there is no run, one has no epoch, or the path has another suffix.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import tempfile
        >>> history = History.of({"loss": [0.9, 0.5], "val_loss": [0.8, 0.6]})
        >>> report(history, path=tempfile.mkdtemp() + "/report.html").name
        'report.html'
    """
    target = _path(path)
    if title is not None and not isinstance(title, str):
        raise invalid("report", "title", "be a string", f"title={show(title)}", kind=TypeError)
    if not runs:
        raise invalid("report", "runs", "hold at least one run", "runs=()")
    found = found_in(runs, function="report", argument="runs")
    if not any(map(len, found.histories)):
        must = "hold at least one run with an epoch"
        raise invalid("report", "runs", must, f"runs={show(runs)}")
    written = _page(title, found, labels)
    with replacing(target) as temporary:
        temporary.write_text(written, encoding="utf-8")
    return target


def _path(path: Any) -> pathlib.Path:
    if not isinstance(path, str | os.PathLike):
        must = "be the path of a file"
        raise invalid("report", "path", must, f"path={show(path)}", kind=TypeError)
    if pathlib.Path(path).suffix not in (".html", ".htm"):
        better = pathlib.Path(os.fspath(path) or "report").with_suffix(".html")
        must = f'end in ".html": write "{better}"'
        raise invalid("report", "path", must, f"path={os.fspath(path)!r}")
    return pathlib.Path(path).expanduser()


def _page(title: str | None, found: Found, labels: Sequence[str] | None) -> str:
    """Returns the whole page: of one run its chapter, of several a comparison before theirs."""
    names = names_of_runs(found.choices, names_of(found.choices, labels, function="report"))
    is_one = len(names) == 1
    title = title or (_title_of_one(found.sources[0], names[0]) if is_one else f"{len(names)} runs")
    parts = [pages.heading(title, 1), pages.paragraph(_said_of_time(), kind="faint")]
    if is_one:
        parts += _chapter(found.sources[0], found.histories[0])
        parts.append(pages.bullets(found.unreadable))
    else:
        parts += _compared(comparison_of(found, labels, function="report"))
        if len(names) <= _MOST_WHOLE:
            for source, run, name in zip(found.sources, found.histories, names, strict=True):
                parts += [pages.heading(name), *_chapter(source, run)]
        else:
            parts += _verdicts(found.histories, names)
    version = importlib.metadata.version("kerastrain")
    return pages.page(title, parts, f"Written by kerastrain {version}.")


def _title_of_one(source: Any, name: str) -> str:
    return f"Run {name}" if is_path(source) else "A training run"


def _said_of_time() -> str:
    return f"Written on {datetime.datetime.now():%Y-%m-%d at %H:%M}."


def _chapter(source: Any, history: History) -> Iterator[str]:
    """Yields the parts about one run."""
    if not len(history):
        yield pages.paragraph("No epoch has ended yet.")
        return
    yield pages.key_facts(_key_facts(history))
    found = diagnose(history)
    yield pages.verdict(found.verdict, found.summary, grade=_GRADES.get(found.verdict, ""))
    yield pages.bullets(found.advice)
    yield pages.paragraph(history.note)
    yield pages.pictures(_curves([history], [""]))
    yield pages.folded("The numbers behind the verdict", pages.pairs(_evidence(found)))
    yield pages.folded("Epochs", f'<div class="wide">{history.table()}</div>')
    if history.settings:
        yield pages.folded("Settings", pages.pairs(_plain_pairs(_settings(history))))
    if (where := _surroundings(source)) is not None:
        yield pages.folded("Where it ran", pages.pairs(_plain_pairs(where)))


def _key_facts(history: History) -> Iterator[tuple[str, str]]:
    """Yields the few numbers that one looks for first."""
    best = history.best
    prefix = "val_" if (history.monitor or "").startswith("val_") else ""
    for name in dict.fromkeys((history.monitor, f"{prefix}accuracy")):
        if name in best and math.isfinite(best[name]):
            yield f"best {name}" if name == history.monitor else f"{name} then", f"{best[name]:.4g}"
    if history.best_epoch is not None:
        yield "best epoch (the first is 0)", str(history.best_epoch)
    yield "epochs", f"{len(history):,}"
    if history.seconds:
        yield "seconds", f"{history.seconds:,.1f}"
    if "parameters" in history.settings:
        yield "parameters", f"{history.settings['parameters']:,}"
    reason = history.stop_reason.replace("_", " ")
    yield "state" if reason == "running" else "ended", reason


def _curves(histories: Sequence[History], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for metric in measures_in(histories):
        words = f"{metric} over the epochs" + (f", of {len(names)} runs" if len(names) > 1 else "")
        yield words, functools.partial(_drawn, histories, names, metric)


def _drawn(histories: Sequence[History], names: Sequence[str], metric: str) -> Figure:
    return overlay(histories, labels=names, metrics=[metric], size=_PICTURE)


def _evidence(found: Diagnosis) -> Iterator[tuple[str, str]]:
    for name, value in found.evidence.items():
        yield name.replace("_", " "), f"{value:,.4g}"


def _settings(history: History) -> dict[str, Any]:
    ways = {"seed": history.seed, "engine": history.engine or None}
    ours = {name: value for name, value in history.settings.items() if name != DIGESTS}
    return ours | {name: way for name, way in ways.items() if way is not None}


def _plain_pairs(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        elif isinstance(value, float):
            value = f"{value:.6g}"
        elif isinstance(value, int) and not isinstance(value, bool) and name != "seed":
            value = f"{value:,}"
        yield name.replace("_", " "), str(value)


def _surroundings(source: Any) -> dict[str, Any] | None:
    """Returns what a run directory says of where the run ran last; `None` for other sources."""
    if not is_path(source):
        return None
    try:
        file = pathlib.Path(source).expanduser() / ENVIRONMENT
        starts = fields_in(read_text(file), "Environment")["starts"]
        return {**starts[-1], "starts": len(starts)}
    except (UnreadableError, KeyError, IndexError, TypeError):
        return None


def _compared(found: Comparison) -> Iterator[str]:
    """Yields the comparison of several runs; those of one choice share a colour."""
    yield pages.bullets(found.sentences)
    pairs = zip(found.histories, found.labels, strict=True)
    begun = [(run, label) for run, label in pairs if len(run)]
    yield pages.pictures(_curves([run for run, _ in begun], [label for _, label in begun]))
    ranking, *differences = found.tables()
    yield pages.table(ranking, bold=0)
    for cells in differences:
        yield pages.long_table("What they differ in", cells, bold=0)


def _verdicts(histories: Sequence[History], names: Sequence[str]) -> Iterator[str]:
    """Yields what the curves of each of many runs mean, a line each."""
    yield pages.heading("What the curves of each say")
    rows = [["run", "verdict", "why"]]
    for history, name in zip(histories, names, strict=True):
        if not len(history):
            rows.append([name, "", "no epoch has ended yet"])
            continue
        found = diagnose(history)
        rows.append([name, found.verdict, found.summary])
    yield pages.long_table("A line each", rows)
