"""Who is at work on a trial: a search in this process, or in another one that may have died."""

import functools
import os
import pathlib
import platform
import uuid

_at_work: set[str] = set()
"""The searches of this process that go on."""


def here() -> str:
    """Returns a new name for a search in this process, which says where it is."""
    owner = f"{_place()} {os.getpid()} {_birth(os.getpid())} {uuid.uuid4().hex[:8]}"
    _at_work.add(owner)
    return owner


def leave(owner: str) -> None:
    """Notes that a search of this process has ended."""
    _at_work.discard(owner)


def is_gone(owner: str) -> bool:
    """Tells whether a search has ended, for sure: one on another machine is taken for alive.

    Example:
        >>> mine = here()
        >>> is_gone(mine)
        False
        >>> leave(mine)
        >>> is_gone(mine)
        True
    """
    place, pid, birth, _ = owner.rsplit(" ", 3)
    if place != _place():
        return False
    if int(pid) == os.getpid() and birth == _birth(os.getpid()):
        return owner not in _at_work
    return not _is_alive(int(pid)) or _birth(int(pid)) != birth


@functools.cache
def _place() -> str:
    """Returns what tells where a process has its number: machines and containers share names."""
    try:
        machine = pathlib.Path("/etc/machine-id").read_text(encoding="ascii").strip()
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        machine = numbers = "-"
    return f"{platform.node()} {machine} {numbers}"


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # Where signal 0 isn't a question.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _birth(pid: int) -> str:
    """Returns when a process began, in a system's own unit, as numbers are given anew; or "-"."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "-"
    state, *fields = stat.rpartition(")")[2].split()
    # A killed process that its parent hasn't asked after is still listed, as a zombie.
    return "ended" if state in "ZX" else fields[18]
