"""Run directories and folders of them, as those who read histories find them.

The files are replaced whole, so that a run which is still training can be read at any time.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from kerastrain._checks import invalid
from kerastrain._run_lock import is_in_use

HISTORY = "history.json"
REPEATS = "repeats.json"  # In a folder of runs that are the same training with several seeds.
RUN = "run.json"
ENVIRONMENT = "environment.json"


def is_run(path: str | os.PathLike[str]) -> bool:
    """Tells whether a folder is a run directory."""
    return any((pathlib.Path(path) / name).is_file() for name in (HISTORY, RUN))


def is_training(path: str | os.PathLike[str]) -> bool:
    """Tells whether a path is a run directory that somebody is at work on."""
    folder = pathlib.Path(path).expanduser()
    return folder.is_dir() and is_in_use(folder)


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
    many = " and not several" if any(map(is_run, _folders_in(path))) else ""
    must = f"be a run directory, which has a {HISTORY}{many}"
    raise invalid(function, argument, must, f"{os.fspath(path)!r}")


@dataclasses.dataclass(frozen=True)
class Listed:
    """A source of histories, as it was passed or as it was found in a folder.

    Attributes:
        source: What it is called after: a path, a history, or what has several of them.
        runs: The run itself, or those that are the same training with several seeds.
        is_found: Whether it was found in a folder, where one that can't be read holds up no others.
    """

    source: Any
    runs: list[Any]
    is_found: bool = False


def one_by_one(sources: Sequence[Any], *, function: str, argument: str) -> list[Any]:
    """Returns the sources of histories, each run for itself; see `listed`."""
    choices = listed(sources, function=function, argument=argument)
    return [run for choice in choices for run in choice.runs]


def listed(sources: Sequence[Any], *, function: str, argument: str) -> list[Listed]:
    """Returns the sources of histories, with what is in a folder in place of the folder.

    That is sorted by name, and folders within it are looked into likewise, but no deeper. What
    has several histories, as `Repeats` or the folder of some, stays one.

    Raises:
        ValueError: If a folder neither is a run directory nor has some in it.
    """
    return [one for source in sources for one in _listed(source, function, argument)]


def _listed(source: Any, function: str, argument: str) -> list[Listed]:
    histories = getattr(source, "histories", None)
    if isinstance(histories, list | tuple):
        return [Listed(source, list(histories))]
    if not isinstance(source, str | os.PathLike):
        return [Listed(source, [source])]
    folder = pathlib.Path(source).expanduser()
    if not folder.is_dir() or is_run(folder):
        return [Listed(source, [source])]
    found = _found_in(folder)
    if not (folder / REPEATS).is_file():
        within = [path for path in _folders_in(folder) if not is_run(path)]
        found += [one for path in within for one in _found_in(path)]
    if not found:
        must = f"be a run directory, which has a {HISTORY}, or a folder of some"
        raise invalid(function, argument, must, f"{os.fspath(source)!r}")
    return found


def _found_in(folder: pathlib.Path) -> list[Listed]:
    """Returns the runs of a folder, which are one if they are repeats."""
    runs = [path for path in _folders_in(folder) if is_run(path)]
    if runs and (folder / REPEATS).is_file():
        return [Listed(folder, runs, is_found=True)]
    return [Listed(run, [run], is_found=True) for run in runs]


def _folders_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir()]


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
