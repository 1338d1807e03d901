"""Finding the files of a data set on this machine, and fetching what isn't there."""

import os
import pathlib
from collections.abc import Callable
from typing import TypeVar

from kerastrain._checks import invalid
from kerastrain._data_files import Pair, read_idx, read_idx_pair, unusable

_Loaded = TypeVar("_Loaded")

_SYSTEM_FOLDERS = {"fashion_mnist": pathlib.Path("/usr/share/datasets/fashion-mnist")}
"""Where a system's package puts a set: Debian's `dataset-fashion-mnist`."""

_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_FIRST_TEST_LABELS = {
    "fashion_mnist": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7),
    "mnist": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9),
}
"""Tells the two sets apart, whose files carry the same names."""


def _own_folder() -> pathlib.Path | None:
    """Returns the folder that KERASTRAIN_DATA names, or `None` if the variable isn't set."""
    value = os.environ.get("KERASTRAIN_DATA")
    if not value:
        return None
    folder = pathlib.Path(value).expanduser()
    if not folder.is_dir():
        received = f"KERASTRAIN_DATA={value!r}"
        raise invalid("load_dataset", "KERASTRAIN_DATA", "name a folder that exists", received)
    return folder


def _own_folders(name: str) -> list[pathlib.Path]:
    """Returns where a user may have put a set: its own subfolder before the folder itself."""
    folder = _own_folder()
    return [folder / name, folder / name.replace("_", "-"), folder] if folder else []


def look(name: str, *filenames: str) -> pathlib.Path | None:
    """Returns the first of the files that a user has put in place, or `None`."""
    paths = (folder / filename for folder in _own_folders(name) for filename in filenames)
    return next((path for path in paths if path.is_file()), None)


def idx_set(name: str) -> tuple[Pair, Pair, str] | None:
    """Returns training rows, test rows and the folder of the four IDX files, or `None`."""
    folders = _own_folders(name)
    if name in _SYSTEM_FOLDERS:
        folders.append(_SYSTEM_FOLDERS[name])
    for folder in folders:
        paths = _idx_paths(folder)
        if paths and _are_of(name, paths[3], folder):
            return read_idx_pair(*paths[:2]), read_idx_pair(*paths[2:]), str(folder)
    return None


def _idx_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns a folder's four IDX files, plain or gzipped; empty if it has none of them."""
    choices = [(folder / name, folder / f"{name}.gz") for name in _IDX_FILES]
    found = [next((path for path in pair if path.is_file()), None) for pair in choices]
    paths = [path for path in found if path]
    if paths and len(paths) < len(_IDX_FILES):
        missing = [name for name, path in zip(_IDX_FILES, found, strict=True) if not path]
        raise unusable(folder, f"of the four IDX files it lacks {', '.join(missing)}")
    return paths


def _are_of(name: str, test_labels: pathlib.Path, folder: pathlib.Path) -> bool:
    """Tells whether IDX files are the wanted set's; raises where a user has to say.

    MNIST and Fashion-MNIST name their files alike, so a folder that isn't named after either says
    nothing. There the other set is passed over, and a set that is neither is refused.
    """
    first = tuple(read_idx(test_labels, dimensions=1)[:10].tolist())
    owner = next((known for known, labels in _FIRST_TEST_LABELS.items() if labels == first), None)
    if owner == name:
        return True
    named_after_neither = folder == _own_folder()
    if owner is None and named_after_neither:
        sets = " nor of ".join(repr(known) for known in _FIRST_TEST_LABELS)
        why = f"its first labels are not those of {sets}; put all four files into a folder {name!r}"
        raise unusable(test_labels, why)
    if owner is not None and not named_after_neither:
        raise unusable(test_labels, f"its labels are those of {owner!r}, not of {name!r}")
    return owner is None


def download(
    name: str, load: Callable[[], _Loaded], files: str, folder: str | None = None
) -> _Loaded:
    """Returns what `load` has Keras fetch, or raises, saying which files to put where."""
    try:
        return load()
    except Exception as error:  # Keras raises a bare Exception where a download fails.
        reason = str(error).strip().rstrip(".") or type(error).__name__
        place = folder or f"the folder {name!r} in the one that KERASTRAIN_DATA names"
        raise OSError(
            f"`load_dataset`: {name!r} is not on this machine and could not be downloaded "
            f"({reason}). Put {files} into {place}."
        ) from error
