"""Records as files of JSON, which say what they are and keep numbers to the last digit.

Numbers that JSON has no word for are written as the strings "NaN", "Infinity" and "-Infinity", so
that any reader can parse the file.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from kerastrain._checks import invalid, show
from kerastrain._files import replacing

VERSION = 1

_Record = TypeVar("_Record")


class UnreadableError(Exception):
    """Says in a few words why a file can't be read; the caller words the error."""


def save_record(path: str | os.PathLike[str], kind: str, fields: Mapping[str, Any]) -> pathlib.Path:
    """Writes a record, whole or not at all, and returns the path.

    Args:
        path: The file, whose name ends in ".json".
        kind: The record's class.
        fields: What it holds: numbers, strings, and lists and dicts of them.
    """
    path = pathlib.Path(path)
    if path.suffix != ".json":
        must = f'end in ".json": write "{path.with_suffix(".json")}"'
        raise invalid(f"{kind}.save", "path", must, f"path={os.fspath(path)!r}")
    whole = {"format": f"kerastrain.{kind}", "version": VERSION, **to_json(fields)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=1, allow_nan=False), encoding="utf-8")
    return path


def save_for_user(
    path: str | os.PathLike[str], kind: str, fields: Mapping[str, Any]
) -> pathlib.Path:
    """Writes a record where a user wants it, as `save_record` does, and words what goes wrong.

    Raises:
        ValueError: If the file can't be written.
        TypeError: If `path` is none.
    """
    function = f"{kind}.save"
    place = path_of(path, function=function)
    try:
        return save_record(place, kind, fields)
    except OSError as error:
        must = "be a file that can be written"
        why = UnreadableError(error.strerror or type(error).__name__)
        raise unreadable(function, "path", must, path, why) from error


def path_of(path: Any, *, function: str, argument: str = "path") -> pathlib.Path:
    """Returns a path, with the home folder in place of "~", or raises for what is none."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        kind = ValueError if path == "" else TypeError
        raise invalid(function, argument, "be a path", f"{argument}={show(path)}", kind=kind)
    return pathlib.Path(path).expanduser()


def fields_in(text: str, kind: str) -> dict[str, Any]:
    """Returns the fields of a record, in which numbers may still be strings; see `numbers_of`."""
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON: {error}") from error
    if not isinstance(fields, dict) or fields.pop("format", None) != f"kerastrain.{kind}":
        raise UnreadableError(f"no 'kerastrain.{kind}' in it")
    version = fields.pop("version", None)
    if version != VERSION:
        raise UnreadableError(f"version {version}, where this package reads {VERSION}")
    return fields


def made_of(fields: dict[str, Any], make: Callable[[dict[str, Any]], _Record]) -> _Record:
    """Returns the record that `make` makes of a file's fields, where they are that record's."""
    try:
        return make(fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(f"fields that don't fit: {error}") from error


class SavedRecord:
    """A frozen dataclass that is kept in a file, and made again of its fields."""

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the record as JSON, whole or not at all, and returns the path."""
        return save_for_user(path, type(self).__name__, self._fields())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a record that `save` wrote.

        Raises:
            ValueError: If the file can't be read or holds something else.
        """
        kind = cls.__name__
        place = path_of(path, function=f"{kind}.load")
        try:
            return made_of(fields_in(read_text(place), kind), cls._of_fields)
        except UnreadableError as error:
            must = f"be a readable file of {kind}.save"
            raise unreadable(f"{kind}.load", "path", must, path, error) from error

    def _fields(self) -> dict[str, Any]:
        """Returns what the file is to hold: numbers, strings, and lists and dicts of them."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        """Makes the record of its fields, in which numbers may still be strings."""
        raise NotImplementedError


def record_of(value: Any, kind: Any, *, function: str, argument: str, maker: str) -> Any:
    """Returns a record that was passed, or the one in the file whose path was passed, or raises.

    Args:
        value: What was passed.
        kind: The record's class.
        function: The public function that was called.
        argument: Its argument.
        maker: The function that makes such records.
    """
    if isinstance(value, str | os.PathLike):
        return kind.load(value)
    if not isinstance(value, kind):
        must = f"be what {maker} returns, or a path to a saved one"
        raise invalid(function, argument, must, show(value), kind=TypeError)
    return value


def unreadable(
    function: str, argument: str, must: str, path: str | os.PathLike[str], why: UnreadableError
) -> Exception:
    """Words the error of a file that can't be read; the caller raises it."""
    return invalid(function, argument, must, f"path={os.fspath(path)!r} ({why})")


def numbers_of(column: Any) -> list[float]:
    """Returns a column of numbers as it was before it was written.

    Example:
        >>> numbers_of([0.5, "NaN", "-Infinity"])
        [0.5, nan, -inf]
    """
    return [float(value) for value in column]


def read_text(path: str | os.PathLike[str]) -> str:
    """Returns what a file holds."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise UnreadableError("not text") from error


def to_json(value: Any) -> Any:
    """Returns numbers, strings, and lists and dicts of them, as JSON has words for them.

    Example:
        >>> to_json({"loss": (0.5, math.nan)})
        {'loss': [0.5, 'NaN']}
    """
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
