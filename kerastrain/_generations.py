"""States of a training, one after another: the next is whole before an older one goes."""

import contextlib
import os
import pathlib
import re
from typing import Any

from kerastrain._files import clear_leftovers
from kerastrain._record_files import UnreadableError
from kerastrain._state_files import (
    NewerVersionError,
    State,
    read_facts,
    read_state,
    write_state,
)

_NAME = re.compile(r"state-([0-9]{6,})\.ktr")
_KEPT = 2  # whole ones: the newest might be broken yet before the next is there


class Generations:
    """The states in a folder: `state-000001.ktr`, `state-000002.ktr`, and so on.

    One process at a time may save there; any may read.

    Args:
        folder: The folder, which the first save makes.

    Example:
        >>> import tempfile
        >>> generations = Generations(tempfile.mkdtemp() + "/run")
        >>> for epoch in range(5):
        ...     generations.save(State({"epoch": epoch}, {}), is_landmark=epoch == 1)
        >>> state, broken = generations.newest()
        >>> state.facts, broken, generations.landmark().facts
        ({'epoch': 4}, [], {'epoch': 1})
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = pathlib.Path(folder)
        self._is_opened = False
        # By number: whether it is a landmark, or `None` where it isn't whole.
        self._found: dict[int, bool | None] = {}

    def save(self, state: State, *, is_landmark: bool = False) -> None:
        """Writes a new generation, reads it back, and only then removes what is older.

        The two newest whole ones stay, and the newest landmark. Where the new one can't be
        written, all that was there before stays as it was, and nothing else.

        Args:
            state: What to save.
            is_landmark: Whether to keep it until the next landmark, as an epoch's start.

        Raises:
            OSError: If it can't be written.
            NewerVersionError: If there is a state of a newer version of the format.
        """
        self._open_to_write()
        number = max(self._numbers(), default=0) + 1
        path = self._path(number)
        facts = {"is_landmark": bool(is_landmark), "facts": state.facts}
        try:
            write_state(path, State(facts, state.arrays))
        except OSError:
            with contextlib.suppress(OSError):  # It may have been written, and read back broken.
                path.unlink(missing_ok=True)
            raise
        self._found[number] = bool(is_landmark)
        self._remove_old()

    def newest(self) -> tuple[State, list[str]] | None:
        """Returns the newest whole state and a sentence for each newer one, which is broken.

        Returns:
            `None` if there is no state at all.

        Raises:
            UnreadableError: If there are states and none is whole.
            NewerVersionError: If there is one of a newer version of the format, which would be
                lost by going on from an older one.
        """
        numbers = self._numbers()
        state, broken = None, {}
        for number in numbers:
            try:
                state, _ = self._read(number)
                break
            except NewerVersionError:
                raise
            except UnreadableError as error:
                broken[self._path(number).name] = f"is broken ({error})"
        if broken and numbers != self._numbers():
            return self.newest()  # Somebody saved meanwhile, and removed the older ones.
        if state is not None:
            used = "so the one before it is used"
            return state, [f"{name} {why}, {used}" for name, why in broken.items()]
        if broken:
            listed = ", ".join(f"{name} {why}" for name, why in broken.items())
            raise UnreadableError(f"no state is whole: {listed}")
        return None

    def landmark(self) -> State | None:
        """Returns the newest whole state that was saved as a landmark; `None` if there is none.

        Raises:
            NewerVersionError: If there is a state of a newer version of the format.
        """
        for number in self._numbers():
            try:
                state, is_landmark = self._read(number)
            except NewerVersionError:
                raise
            except UnreadableError:
                continue
            if is_landmark:
                return state
        return None

    def _read(self, number: int) -> tuple[State, bool]:
        """Returns a generation, and whether it is a landmark."""
        path = self._path(number)
        try:
            state = read_state(path)
        except NewerVersionError as error:
            raise NewerVersionError(f"{path.name} is of {error}") from error
        facts, is_landmark = _parts_of(state.facts)
        return State(facts, state.arrays), is_landmark

    def _open_to_write(self) -> None:
        if not self._is_opened:
            self._folder.mkdir(parents=True, exist_ok=True)
            clear_leftovers(self._folder, "state-*.ktr")
            for number in self._numbers():
                self._look_at(number)  # Which refuses to write beside what is of a newer version.
            self._is_opened = True

    def _remove_old(self) -> None:
        numbers = self._numbers()
        found = {number: self._look_at(number) for number in numbers}  # The newest first.
        whole = [number for number in numbers if found[number] is not None]
        landmarks = [number for number in numbers if found[number]]
        for number in set(numbers).difference(whole[:_KEPT], landmarks[:1]):
            with contextlib.suppress(OSError):  # The new one is safe, which is what counts.
                self._path(number).unlink()

    def _look_at(self, number: int) -> bool | None:
        """Returns whether a generation is a landmark; `None` if it isn't whole."""
        if number not in self._found:
            try:
                self._found[number] = _parts_of(read_facts(self._path(number)))[1]
            except NewerVersionError as error:
                raise NewerVersionError(f"{self._path(number).name} is of {error}") from error
            except UnreadableError:
                self._found[number] = None
        return self._found[number]

    def _numbers(self) -> list[int]:
        """Returns the numbers that there are, the newest first."""
        if not self._folder.exists():
            return []
        matches = [_NAME.fullmatch(name) for name in os.listdir(self._folder)]
        numbers = {int(match[1]): match[0] for match in matches if match}
        return sorted((n for n in numbers if numbers[n] == _name(n)), reverse=True)

    def _path(self, number: int) -> pathlib.Path:
        return self._folder / _name(number)


def _name(number: int) -> str:
    return f"state-{number:06d}.ktr"


def _parts_of(kept: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns the facts of a generation, and whether it is a landmark."""
    facts, is_landmark = kept.get("facts"), kept.get("is_landmark")
    if not isinstance(facts, dict) or not isinstance(is_landmark, bool):
        raise UnreadableError("a state of something else")
    return facts, is_landmark
