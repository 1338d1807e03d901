"""What may be wrong with a ".keras" file, found before Keras unpacks it.

It is a zip archive of `config.json`, `metadata.json`, `model.weights.h5` and perhaps a folder of
assets. Whoever made it may have put in what leads elsewhere, what grows out of proportion, or code.
"""

import io
import json
import pathlib
import re
import stat
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py  # type: ignore[import-untyped]

from kerastrain._checks import show
from kerastrain._memory import free_memory
from kerastrain._record_files import UnreadableError

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_LARGE = 100 * 10**6  # bytes; what is smaller does no harm
_PROPORTION = 200  # Keras packs without compressing, and weights hardly can be
_BROKEN = (EOFError, NotImplementedError, OSError, RuntimeError, ValueError, zipfile.BadZipFile)


def check_archive(path: pathlib.Path, *, may_run_code: bool = False) -> None:
    """Raises if loading a model from a file would do more than that.

    Args:
        path: The file.
        may_run_code: Whether the user trusts the code in it.

    Raises:
        UnreadableError: The message completes "path=..., ".
    """
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise UnreadableError("which is no zip archive") from error
    with archive:
        for member in archive.infolist():
            _check_member(member)
        _check_sizes(archive, path.stat().st_size)
        if _CONFIG not in archive.namelist():
            raise UnreadableError("a zip archive of something else")
        config = _config_in(archive)
        if not may_run_code:
            _check_code(config)
        if _WEIGHTS in archive.namelist():
            check_weights(io.BytesIO(_read(archive, _WEIGHTS)))


def check_weights(content: io.BytesIO | pathlib.Path) -> None:
    """Raises if weights, in a file of HDF5, aren't all there, at their size.

    Raises:
        UnreadableError: The message completes "path=..., ".
    """
    try:
        with h5py.File(content, "r") as file:
            _check_group(file)
    except _BROKEN as error:
        raise UnreadableError("whose weights are broken") from error


def _check_member(member: zipfile.ZipInfo) -> None:
    # `filename` ends at a null byte and `orig_filename` doesn't, and unpackers differ.
    for name in (member.filename, member.orig_filename):
        parts = re.split(r"[/\\]", name)
        if ".." in parts or not parts[0] or ":" in parts[0] or "\0" in name:
            raise UnreadableError(f"with the member {show(name)}, which lies outside of it")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "is a link" if kind == stat.S_IFLNK else "is no file"
        raise UnreadableError(f"with the member {show(member.filename)}, which {what}")


def _check_sizes(archive: zipfile.ZipFile, packed: int) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"with the member {show(twice)} twice")
    for member in members:
        if _is_bomb(member.file_size, member.compress_size):
            sizes = f"{_size(member.file_size)} from {_size(member.compress_size)}"
            what = f"which unpacks to {sizes}"
            raise UnreadableError(f"with the member {show(member.filename)}, {what}")
    whole = sum(member.file_size for member in members)
    if _is_bomb(whole, packed):  # Members may overlap.
        raise UnreadableError(f"which unpacks to {_size(whole)} from {_size(packed)}")
    free = free_memory()
    if whole > free:
        raise UnreadableError(f"which unpacks to {_size(whole)}, where {_size(free)} are free")


def _is_bomb(size: int, packed: int) -> bool:
    return size > _LARGE and size > _PROPORTION * packed


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.1f} MB"


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except _BROKEN as error:
        raise UnreadableError(f"whose {name} is broken") from error


# Code.


def _config_in(archive: zipfile.ZipFile) -> dict[str, Any]:
    text = _read(archive, _CONFIG)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"whose {_CONFIG} is not JSON") from error
    if not isinstance(config, dict):
        raise UnreadableError(f"whose {_CONFIG} is not that of a model")
    return config


def _check_code(config: dict[str, Any]) -> None:
    for layer, part in _parts(config):
        is_code = part.get("class_name") == "__lambda__" or part.get("function_type") == "lambda"
        if is_code:
            where = "config" if layer is None else f"layer {show(layer)}"
            advice = "pass safe_mode=False if you trust it"
            raise UnreadableError(f"whose {where} has a lambda, which would run code: {advice}")


def _parts(config: dict[str, Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yields each dict within a config, and the name of the innermost one with a name around it."""
    left: list[tuple[str | None, Any]] = [(None, config)]
    while left:
        name, part = left.pop()
        if isinstance(part, dict):
            name = part["name"] if isinstance(part.get("name"), str) else name
            yield name, part
            left += [(name, value) for value in part.values()]
        elif isinstance(part, list):
            left += [(name, value) for value in part]


# Weights.


def _check_group(file: Any) -> None:
    """Looks at each dataset once, by the links that lead to it in this file."""
    left, seen = [file], set()
    while left:
        group = left.pop()
        for name in group:
            link = group.get(name, getlink=True)
            where = show(f"{group.name.rstrip('/')}/{name}".lstrip("/"))
            if isinstance(link, h5py.ExternalLink):
                raise UnreadableError(f"whose weights {where} lie in another file")
            if not isinstance(link, h5py.HardLink):
                raise UnreadableError(f"whose weights {where} are a link")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                _check_dataset(item, where)
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Group) and address not in seen:
                seen.add(address)
                left.append(item)


def _check_dataset(dataset: Any, where: str) -> None:
    if dataset.external or dataset.is_virtual:
        raise UnreadableError(f"whose weights {where} lie in another file")
    packed = dataset.id.get_storage_size()
    if dataset.shape is not None and _is_bomb(dataset.nbytes, packed):
        sizes = f"{_size(dataset.nbytes)} from {_size(packed)}"
        raise UnreadableError(f"whose weights {where} unpack to {sizes}")
