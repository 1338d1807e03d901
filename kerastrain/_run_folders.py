"""Run directories and folders of them, as those who read histories find them.

The files are replaced whole, so that a run which is still training can be read at any time.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from kerastrain._checks import invalid

HISTORY = "history.json"
RUN = "run.json"
ENVIRONMENT = "environment.json"


def is_run(path: str | os.PathLike[str]) -> bool:
    """Tells whether a folder is a run directory."""
    return any((pathlib.Path(path) / name).is_file() for name in (HISTORY, RUN))


def history_file(path: str | os.PathLike[str], *, function: str, argument: str) -> pathlib.Path:
    """Returns the file of a history: that in a run directory, or the path itself.

    Raises:
        ValueError: If it is a folder, but no run directory.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_dir():
        return path
    if is_run(path):
        return path / HISTORY
    many = " and not several" if _runs_in(path) else ""
    must = f"be a run directory, which has a {HISTORY}{many}"
    raise invalid(function, argument, must, f"{os.fspath(path)!r}")


def one_by_one(sources: Sequence[Any], *, function: str, argument: str) -> list[Any]:
    """Returns the sources of histories, with the runs of a folder in place of the folder.

    They are sorted by name; folders within them aren't looked into. What has several histories,
    such as `Repeats`, gives its histories.

    Raises:
        ValueError: If a folder neither is a run directory nor has some in it.
    """
    return [one for source in sources for one in _ones(source, function, argument)]


def _ones(source: Any, function: str, argument: str) -> list[Any]:
    histories = getattr(source, "histories", None)
    if isinstance(histories, list | tuple):
        return list(histories)
    if not isinstance(source, str | os.PathLike):
        return [source]
    folder = pathlib.Path(source).expanduser()
    if not folder.is_dir() or is_run(folder):
        return [source]
    runs = _runs_in(folder)
    if not runs:
        must = f"be a run directory, which has a {HISTORY}, or a folder of some"
        raise invalid(function, argument, must, f"{os.fspath(source)!r}")
    return list(runs)


def _runs_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and is_run(path)]


def labels_for(sources: Sequence[Any]) -> list[str]:
    """Returns the shortest part of the paths that tells them apart, else the runs' numbers.

    Example:
        >>> labels_for(["runs/a/history.json", "runs/b/history.json", {"loss": [0.5]}])
        ['a', 'b', 'run 3']
    """
    labels = [f"run {number}" for number in range(1, len(sources) + 1)]
    rows = [row for row, source in enumerate(sources) if isinstance(source, str | os.PathLike)]
    paths = [pathlib.Path(sources[row]).absolute() for row in rows]
    own = [path.name if path.is_dir() else path.stem for path in paths]
    above = [path.parent.name for path in paths]
    both = [f"{parent}/{name}" for parent, name in zip(above, own, strict=True)]
    for names in (own, above, both, list(map(str, paths))):
        for row, name in zip(rows, names, strict=True):
            labels[row] = name
        if len(set(names)) == len(names):
            break
    return labels
