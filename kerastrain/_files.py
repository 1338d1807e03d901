"""Writing files so that a reader never meets half of one, and reading only what is a file."""

import contextlib
import errno
import filecmp
import io
import os
import pathlib
import re
import shutil
import stat
import uuid
from collections.abc import Iterator

_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-(.+)")
_NO_RENAMING = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
}
"""What a drive says that can't put one file in another's place."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`; on success it becomes `path`, on error it goes.

    The temporary name keeps the suffixes, since Keras chooses the format by them. Missing folders
    are made. The data reach the disk before the name does, so that a crash leaves the old file or
    the new one, never a mixture. Where a drive can't rename, the file is copied.

    Example:
        >>> import tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with replacing(folder / "new" / "note.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> (folder / "new" / "note.txt").read_text()
        'whole'
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        _put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def clear_leftovers(folder: pathlib.Path, pattern: str = "*") -> None:
    """Removes the temporary files of `replacing` that a killed process has left.

    Args:
        folder: Where to look; nobody else may be writing there.
        pattern: What the names that they were to get look like.
    """
    for path in folder.glob(f".*-{pattern}"):
        if _TEMPORARY.fullmatch(path.name) and (path.is_symlink() or not path.is_dir()):
            with contextlib.suppress(OSError):  # It is in nobody's way.
                path.unlink()


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[io.BufferedReader]:
    """Opens a file to read its bytes, if it is one: no link, no folder, nothing that would wait.

    Raises:
        OSError: If it can't be opened; its `strerror` says why in a few words.
    """
    # A pipe that nobody writes to would keep `open` waiting without O_NONBLOCK.
    names = ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK")
    flags = sum(getattr(os, name, 0) for name in names)
    if os.path.islink(path):  # Not every system knows O_NOFOLLOW.
        raise OSError(errno.ELOOP, "a symbolic link", os.fspath(path))
    with open(os.open(path, os.O_RDONLY | flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", os.fspath(path))
        yield file


def _put(temporary: pathlib.Path, path: pathlib.Path) -> None:
    """Gives a temporary file its name: by renaming, or by a copy where that is not to be had."""
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno not in _NO_RENAMING:
            raise
        if path.is_symlink():  # Which would be followed.
            path.unlink()
        _copy(temporary, path)


def _copy(temporary: pathlib.Path, path: pathlib.Path) -> None:
    try:
        with temporary.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
            target.flush()
            os.fsync(target.fileno())
        if not filecmp.cmp(temporary, path, shallow=False):
            raise OSError(errno.EIO, "what was copied reads back differently", os.fspath(path))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_folder(folder: pathlib.Path) -> None:
    """Makes a rename durable, where the system lets a folder be synced (Windows doesn't)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
