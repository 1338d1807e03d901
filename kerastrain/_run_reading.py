"""Histories read from wherever they are, for those who compare several or draw them."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from kerastrain._checks import labels_checked
from kerastrain._run_folders import Listed, labels_for, listed
from kerastrain.records import History, as_history

_BROKEN_OFF = ("interrupted", "error", "running")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What somebody has tried: one run, or the same with several seeds.

    Attributes:
        source: What it is called after.
        sources: Where each of its runs comes from.
        histories: Its runs.
    """

    source: Any
    sources: tuple[Any, ...]
    histories: tuple[History, ...]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was read.

    Attributes:
        choices: What could be read, in the order in which it was passed.
        unreadable: A sentence for each run of a folder that couldn't.
    """

    choices: list[Choice]
    unreadable: list[str]

    @property
    def histories(self) -> list[History]:
        """All runs."""
        return [history for choice in self.choices for history in choice.histories]

    @property
    def sources(self) -> list[Any]:
        """Where each of them comes from."""
        return [source for choice in self.choices for source in choice.sources]


def found_in(sources: Sequence[Any], *, function: str, argument: str) -> Found:
    """Reads the histories of all sources; see `as_history` for what they may be, and `listed`.

    Raises:
        ValueError: If something that was passed itself can't be read, or nothing in a folder.
    """
    found = Found([], [])
    errors: list[ValueError] = []
    for one in listed(sources, function=function, argument=argument):
        read: list[tuple[Any, History]] = []
        for run in one.runs:
            try:
                read.append((run, as_history(run, function=function, argument=argument)))
            except ValueError as error:
                if not one.is_found:
                    raise
                errors.append(error)
                found.unreadable.append(_told(run, error))
        found.choices.extend(_choices(one, read))
    if not found.choices and errors:
        raise errors[0]
    return found


def _choices(one: Listed, read: list[tuple[Any, History]]) -> list[Choice]:
    """Returns repeats as one, but for those in a folder that were broken off."""
    whole: list[tuple[Any, History]] = []
    apart: list[tuple[Any, History]] = []
    for pair in read:
        is_apart = one.is_found and pair[1].stop_reason in _BROKEN_OFF
        (apart if is_apart else whole).append(pair)
    choices = [Choice(one.source, *map(tuple, zip(*whole, strict=True)))] if whole else []
    return choices + [Choice(source, (source,), (history,)) for source, history in apart]


def _told(path: pathlib.Path, error: ValueError) -> str:
    """Returns which run can't be read, and why, in a sentence."""
    return f"{path.name!r} can't be read: {error.__cause__ or error}."


def names_of(
    choices: Sequence[Choice], labels: str | Sequence[str] | None, *, function: str
) -> list[str]:
    """Returns what each is called: as somebody says, or by default after its file or folder.

    Raises:
        ValueError: If the labels aren't as many.
    """
    if labels is None:
        return labels_for([choice.source for choice in choices])
    return labels_checked(function, labels, len(choices), of="run")


def names_of_runs(choices: Sequence[Choice], names: Sequence[str]) -> list[str]:
    """Returns what each run of each choice is called.

    Example:
        >>> runs = tuple(dataclasses.replace(History({}, []), seed=seed) for seed in (3, 4))
        >>> names_of_runs([Choice("a", ("a",), runs[:1]), Choice("b", runs, runs)], ["a", "b"])
        ['a', 'b, seed 3', 'b, seed 4']
    """
    return [
        name if len(choice.histories) == 1 else f"{name}, {_told_apart(history, number)}"
        for choice, name in zip(choices, names, strict=True)
        for number, history in enumerate(choice.histories, 1)
    ]


def _told_apart(history: History, number: int) -> str:
    return f"run {number}" if history.seed is None else f"seed {history.seed}"


def is_path(source: Any) -> bool:
    """Tells whether a source is the path of a file or folder."""
    return isinstance(source, str | os.PathLike)
