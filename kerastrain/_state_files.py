"""The state of a training as one file: facts and arrays, whole or not at all.

| bytes | what |
|---|---|
| a line | `kerastrain state 1`, ending in a newline: what it is, and of which version |
| 8 | the length of the header, the least byte first |
| the header | JSON: the facts, and the name, dtype, shape and length of each array |
| the arrays | one after another, raw, the least byte first |
| 32 | the SHA-256 of all before |

Nothing in it is pickled, so that reading runs no code, and nothing is compressed, so that it takes
no more memory than it takes on the disk. A file of any version begins with such a line and ends
with the checksum, by which one of a newer version is told from a broken one.
"""

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import math
import os
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerastrain._checks import invalid, show
from kerastrain._files import reading, replacing
from kerastrain._record_files import UnreadableError

VERSION = 1

_LINE = b"kerastrain state %d\n"
_ANY_LINE = re.compile(rb"kerastrain state ([0-9]{1,9})\n")
_LONGEST_LINE = 32
_LENGTH = struct.Struct("<Q")
_DIGEST = 32  # bytes of a SHA-256
_CHUNK = 2**20  # bytes
_NONSENSE = (AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error)
_OURS = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
}
_KERAS_BRINGS = {
    *("bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
}


_Kind = tuple[np.dtype[Any], tuple[int, ...]]


class NewerVersionError(UnreadableError):
    """Says that a file is whole, but of a version that this package doesn't read."""


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """What a training needs to go on.

    Attributes:
        facts: What JSON has words for: `None`, truth values, numbers, strings, and lists and dicts
            of them. Every float survives to the bit, NaN and infinity too; a tuple becomes a list
            and a NumPy number one of Python's.
        arrays: Arrays of truth values, integers and floats, by name, in order.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_state(path: str | os.PathLike[str], state: State) -> None:
    """Writes a state, whole or not at all, and reads it back to be sure.

    Args:
        path: The file; missing folders are made.
        state: The state, which must not change meanwhile.

    Raises:
        TypeError: If there is something in it that such a file has no place for.
        OSError: If it can't be written, or reads back differently.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/one.ktr"
        >>> write_state(path, State({"epoch": 3, "best": math.inf}, {"w": np.zeros((2, 0))}))
        >>> state = read_state(path)
        >>> state.facts, state.arrays["w"].shape
        ({'epoch': 3, 'best': inf}, (2, 0))
    """
    arrays = {name: _little_endian(name, array) for name, array in state.arrays.items()}
    header = _header_of(state.facts, arrays)
    with replacing(path) as temporary, temporary.open("xb") as file:
        written = _Hashed(file)
        for part in (_LINE % VERSION, _LENGTH.pack(len(header)), header):
            written.write(part)
        for array in arrays.values():
            written.write(_bytes_of(array))
        file.write(written.hash.digest())
    try:
        with _opened(path) as file:
            found = _checked_digest(file)
    except UnreadableError as error:
        raise OSError(errno.EIO, f"what was written can't be read ({error})", path) from error
    if found != written.hash.digest():
        raise OSError(errno.EIO, "what was written reads back differently", os.fspath(path))


def read_state(path: str | os.PathLike[str]) -> State:
    """Reads what `write_state` wrote.

    Raises:
        UnreadableError: If it is broken; the message says in a few words what is.
        NewerVersionError: If it is whole, but of another version of the format.
    """
    with _opened(path) as file:
        facts, kinds = _read_header(file)
        return State(facts, {name: _read_array(file, *kind) for name, kind in kinds.items()})


def read_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Checks the whole file as `read_state` does, but returns the facts alone."""
    with _opened(path) as file:
        return _read_header(file)[0]


class _Hashed:
    """Writes to a file, and takes the checksum of what it wrote."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self.hash.update(data)
        self._file.write(data)


# Facts: JSON has no word for NaN and infinity, so they stand beside the others, by their bits.


def _header_of(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    odd: list[tuple[list[str | int], str]] = []
    header = {
        "facts": _plain(facts, [], odd),
        "odd floats": odd,
        "arrays": [
            {"name": name, "dtype": a.dtype.name, "shape": list(a.shape), "size": a.nbytes}
            for name, a in arrays.items()
        ],
    }
    return json.dumps(header, allow_nan=False).encode("ascii")


def _plain(value: Any, path: list[str | int], odd: list[tuple[list[str | int], str]]) -> Any:
    """Returns what JSON has words for, and notes where it has none."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        odd.append((path, struct.pack(">d", value).hex()))
        return None
    if isinstance(value, list | tuple):
        return [_plain(item, [*path, i], odd) for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, [*path, key], odd) for key, item in value.items()}
    where = f"facts{''.join(f'[{part!r}]' for part in path)}={show(value)}"
    must = "hold None, numbers, strings, and lists and dicts of them by strings, and nothing else"
    raise invalid("write_state", "facts", must, where, kind=TypeError)


def _put_back(facts: Any, path: list[Any], bits: str) -> None:
    holder = facts
    for part in path[:-1]:
        holder = holder[part]
    if holder[path[-1]] is not None:
        raise ValueError("a float where another fact is")
    holder[path[-1]] = struct.unpack(">d", bytes.fromhex(bits))[0]


# Arrays.


def _little_endian(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.name not in _OURS | _KERAS_BRINGS:
        must = "be truth values, integers or floats"
        where = f"{name!r}: {show(value)}, dtype {array.dtype.name}"
        raise invalid("write_state", "arrays", must, where, kind=TypeError)
    return array.astype(_dtype(array.dtype.name), copy=False)


def _bytes_of(array: np.ndarray) -> memoryview:
    """Returns an array's bytes, themselves where they lie in order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _dtype(name: str) -> np.dtype[Any]:
    """Returns the dtype of a name, the least byte first."""
    if name in _OURS:
        return np.dtype(name).newbyteorder("<")
    import ml_dtypes  # Keras's, which whoever has such an array has too.

    kind = getattr(ml_dtypes, name, None) if name in _KERAS_BRINGS else None
    if kind is None or (sys.byteorder == "big" and name == "bfloat16"):
        raise UnreadableError(f"dtype {show(name)}, which is not known here")
    dtype: np.dtype[Any] = np.dtype(kind)
    return dtype


def _read_array(
    file: io.BufferedReader, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> np.ndarray:
    try:
        array = np.empty(shape, dtype)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"an array of shape {show(shape)}") from error
    data = array.reshape(-1).view(np.uint8)
    if file.readinto(data.data) != array.nbytes:
        raise UnreadableError("it grew shorter while it was read")
    if dtype == np.bool_ and data.max(initial=0) > 1:
        raise UnreadableError("truth values that are neither")
    return array.astype(dtype.newbyteorder("="), copy=False)


# The file.


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[io.BufferedReader]:
    try:
        with reading(path) as file:
            yield file
    except OSError as error:
        raise UnreadableError(error.strerror or type(error).__name__) from error


def _checked_digest(file: io.BufferedReader) -> bytes:
    """Reads a file through, and returns its checksum if that is right.

    A mistaken length can't be trusted before this, nor anything else.
    """
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UnreadableError("an empty file")
    if not (match := _ANY_LINE.match(file.read(_LONGEST_LINE))):
        raise UnreadableError("its first line is not that of a state")
    digest, left = hashlib.sha256(), size - _DIGEST
    file.seek(0)
    while left > 0 and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
    if left or file.read(_DIGEST) != digest.digest():
        raise UnreadableError("its checksum doesn't fit")
    if int(match[1]) != VERSION:
        raise NewerVersionError(f"version {int(match[1])}, where this package reads {VERSION}")
    return digest.digest()


def _read_header(
    file: io.BufferedReader,
) -> tuple[dict[str, Any], dict[str, tuple[Any, tuple[int, ...]]]]:
    """Returns the facts and each array's dtype and shape, and leaves the file where they begin."""
    _checked_digest(file)
    start = len(_LINE % VERSION)
    left = os.fstat(file.fileno()).st_size - start - _LENGTH.size - _DIGEST
    file.seek(start)
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size)) if left >= 0 else (math.inf,)
    if length > left:
        raise UnreadableError("a header that is longer than the file")
    try:
        header = json.loads(file.read(length))
        for path, bits in header["odd floats"]:
            _put_back(header["facts"], path, bits)
        entries = [_entry(**entry) for entry in header["arrays"]]
    except _NONSENSE as error:
        raise UnreadableError(f"a header that doesn't fit: {show(str(error))}") from error
    kinds = {name: (dtype, shape) for name, dtype, shape, _ in entries}
    if len(kinds) < len(entries) or not isinstance(header["facts"], dict):
        raise UnreadableError("a header that doesn't fit: facts or names")
    if sum(size for *_, size in entries) != left - length:
        raise UnreadableError("arrays that are longer or shorter than the file")
    return header["facts"], kinds


def _entry(name: Any, dtype: Any, shape: Any, size: Any) -> tuple[str, Any, tuple[int, ...], int]:
    """Returns what the header says of an array, where it makes sense."""
    if not isinstance(name, str) or not isinstance(dtype, str) or not isinstance(shape, list):
        raise UnreadableError("an array without a name, dtype or shape")
    kind = _dtype(dtype)
    if len(shape) > 64 or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise UnreadableError(f"an array of shape {show(shape)}")
    if type(size) is not int or size != math.prod(shape) * kind.itemsize:
        raise UnreadableError(f"an array of {show(size)} bytes, which its shape doesn't give")
    return name, kind, tuple(shape), size
