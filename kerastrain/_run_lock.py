"""One process at a time on a run: a lock with a heartbeat, for drives that can't lock files.

`lock.json` says whose the run is, and whoever has it writes it anew every few seconds. It is free
where it is missing, where its process is gone for sure, or where nobody has written it for long.
Two who take it at the same moment both write it, wait a moment, and see whose it is.
"""

import contextlib
import dataclasses
import datetime
import json
import math
import os
import pathlib
import platform
import re
import stat
import threading
import time
from types import TracebackType
from typing import Any, Self

from kerastrain import _owners
from kerastrain._files import clear_leftovers, reading, replacing

LOCK = "lock.json"
_LONGEST = 2**16  # bytes; ours has some three hundred
_OWNER = re.compile(r".{0,999} ([1-9][0-9]{0,8}) [0-9-]{1,20} [0-9a-f]{1,32}")
_SINCE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", re.ASCII)
_SETTLING = 0.2  # s; two who begin at the same moment find out by then
_LOOKING = 0.05  # s between two looks at a beat
_SPARE = 1.5  # beats without one, until a clock that says so is believed


class InUseError(Exception):
    """Says that another process, or another fit of this one, is on a run.

    Attributes:
        owner: Who, as "process 1234 on host, since 2026-11-22 01:20:00 UTC".
    """

    def __init__(self, owner: str) -> None:
        super().__init__(f"in use by {owner}")
        self.owner = owner


@dataclasses.dataclass(frozen=True)
class _Note:
    """What `lock.json` says.

    Attributes:
        owner: Who has the run, as `_owners` names it, with a random part.
        host: The machine, for people.
        boot: The machine's start.
        since: When it began, for people.
        beat_seconds: How often it writes.
        counter: How often it has written.
        time: When it wrote, by its own clock.
    """

    owner: str
    host: str
    boot: str
    since: str
    beat_seconds: float
    counter: int
    time: float

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "_Note":
        """Makes a note of a file's fields, or raises: anybody may have written them."""
        note = cls(**fields)
        texts = (note.owner, note.host, note.boot, note.since)
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("texts that are none")
        if not _OWNER.fullmatch(note.owner) or not _SINCE.fullmatch(note.since):
            raise ValueError("an owner or a time that is none")
        if max(len(note.host), len(note.boot)) > 255 or type(note.counter) is not int:
            raise ValueError("a counter or a name that is none")
        times = (note.beat_seconds, note.time)
        if not all(type(number) in (int, float) and math.isfinite(number) for number in times):
            raise ValueError("times that are none")
        return note

    def who(self) -> str:
        return f"process {self.owner.rsplit(' ', 3)[1]} on {self.host}, since {self.since}"


@dataclasses.dataclass(frozen=True)
class _Sight:
    """A look at `lock.json`; two are equal if nobody has written it between them.

    Attributes:
        note: What it says; `None` if that makes no sense.
        mark: What a new writing changes.
        changed: When it was written, by the drive's clock.
        why: What is wrong with it.
    """

    note: _Note | None
    mark: tuple[Any, ...]
    changed: float = dataclasses.field(compare=False)
    why: str = ""

    def who(self) -> str:
        return self.note.who() if self.note else f"an unknown process (lock.json is {self.why})"


class RunLock:
    """Has a run for this process, while it is entered.

    Args:
        folder: The run's folder, which is made where it is missing.
        beat_seconds: How often to write that the run is in use.
        patience_seconds: How long nobody must have written so that the run is free, where the
            process that has it is on another machine.

    Raises:
        InUseError: On entering, if another process, or another fit of this one, has the run.
        OSError: On entering, if nothing can be written there.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with RunLock(folder) as lock:
        ...     with contextlib.suppress(InUseError), RunLock(folder):
        ...         print("never here")
        ...     print(lock.is_lost)
        False
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        beat_seconds: float = 10.0,
        patience_seconds: float = 60.0,
    ) -> None:
        self._path = pathlib.Path(folder) / LOCK
        self._beat_seconds, self._patience = beat_seconds, patience_seconds
        self._note: _Note | None = None  # What this process has written, while it has the run.
        self._process = 0
        self._is_lost = False
        self._writing = threading.Lock()
        self._ended = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether the run isn't this process's any more: another one took it for dead.

        It is also lost to a process that was forked off.
        """
        if self._process != os.getpid():
            return True
        note = self._note
        # A machine that was suspended looks before it goes on, and not at some later beat.
        if note and abs(time.time() - note.time) > 2 * self._beat_seconds:
            self._beat()
        return self._is_lost

    def why_lost(self) -> str | None:
        """Says what has become of the run; `None` as long as it is this process's."""
        if not self.is_lost:
            return None
        if (sight := self._look()) is None:
            return "whose lock.json somebody has removed"
        return f"which {sight.who()}, took while nothing was heard of this one"

    def __enter__(self) -> Self:
        """Takes the run, or raises."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        seen = self._wait_until_free()
        note = self._first_note()
        try:
            self._take(note, seen)
        except BaseException:
            _owners.leave(note.owner)
            raise
        clear_leftovers(self._path.parent, LOCK)
        self._note, self._process, self._is_lost = note, os.getpid(), False
        self._ended = threading.Event()
        beating = threading.Thread(target=self._keep_beating, args=(self._ended,), daemon=True)
        beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Gives the run back, if it is still this process's."""
        if self._process != os.getpid():  # A fork's: the run is its parent's.
            return
        with self._writing:
            self._ended.set()
            note, self._note = self._note, None
            if note is None:
                return
            with contextlib.suppress(OSError):
                sight = self._look()
                if sight and sight.note and sight.note.owner == note.owner:
                    self._path.unlink()
            _owners.leave(note.owner)

    # Taking it.

    def _wait_until_free(self) -> _Sight | None:
        """Returns what there is, once the run is known to be free; raises if it is in use."""
        sight = self._look()
        seconds = self._doubt(sight) if sight else 0.0
        until = time.monotonic() + seconds
        while seconds and time.monotonic() < until:
            time.sleep(min(_LOOKING, seconds))
            now = self._look()
            if now is None:
                return None
            if now != sight:
                raise InUseError(now.who())
        return sight

    def _take(self, note: _Note, seen: _Sight | None) -> None:
        """Writes that the run is this process's, and raises where another one did so too."""
        try:
            with replacing(self._path) as temporary:
                _write(temporary, note)
                now = self._look()  # Once more, as late as can be.
                if now is not None and now != seen:
                    raise InUseError(now.who())
        except FileNotFoundError:  # Who was faster has cleared it away.
            pass
        time.sleep(_SETTLING)
        now = self._look()
        if now is None or now.note is None or now.note.owner != note.owner:
            raise InUseError(now.who() if now else "another process, which began just now")

    def _doubt(self, sight: _Sight) -> float:
        """Returns how long to watch whether somebody writes, 0 if the run is free, or raises."""
        note = sight.note
        if note and note.boot == _owners.boot():  # Else a number tells nothing.
            if _owners.is_gone(note.owner):
                return 0.0
            if _owners.is_at_work(note.owner):
                raise InUseError(note.who())
        age = time.time() - (note.time if note else sight.changed)
        if abs(age) < self._patience:
            raise InUseError(sight.who())
        if age < 0:  # Clocks that differ, or a hostile file: only watching tells.
            return self._patience
        beat = max(self._beat_seconds, note.beat_seconds if note else 0.0)
        return min(_SPARE * beat, self._patience)

    def _first_note(self) -> _Note:
        now = datetime.datetime.now(datetime.UTC)
        return _Note(
            owner=_owners.here(),
            host="".join(filter(str.isprintable, platform.node()))[:255],
            boot=_owners.boot(),
            since=f"{now:%Y-%m-%d %H:%M:%S} UTC",
            beat_seconds=self._beat_seconds,
            counter=0,
            time=time.time(),
        )

    # Having it.

    def _keep_beating(self, ended: threading.Event) -> None:
        while not ended.wait(self._beat_seconds) and not self._is_lost:
            self._beat()

    def _beat(self) -> None:
        """Writes that the run is in use, or notes that it is lost."""
        with self._writing, contextlib.suppress(OSError):  # A drive may be away for a while.
            if self._note is None or self._is_lost:
                return
            sight = self._look()
            if sight is None:
                time.sleep(_SETTLING)  # A thief may be between two steps, or the drive slow.
                sight = self._look()
            if sight is None or (sight.note and sight.note.owner != self._note.owner):
                self._is_lost = True
                return
            counter = self._note.counter + 1
            note = dataclasses.replace(self._note, counter=counter, time=time.time())
            with replacing(self._path) as temporary:
                _write(temporary, note)
            self._note = note

    def _look(self) -> _Sight | None:
        """Returns what stands in the file; `None` if there is none."""
        try:
            info = os.lstat(self._path)
            if not stat.S_ISREG(info.st_mode):
                return _Sight(None, (info.st_mtime_ns, info.st_ino), info.st_mtime, "no file")
            with reading(self._path) as file:
                text = file.read(_LONGEST + 1)
        except FileNotFoundError:
            return None
        try:
            if len(text) > _LONGEST:
                raise ValueError("too long")
            return _Sight(_Note.of(json.loads(text)), (text,), info.st_mtime)
        except (OverflowError, RecursionError, TypeError, ValueError):
            return _Sight(None, (text, info.st_mtime_ns), info.st_mtime, "broken")


def is_in_use(folder: str | os.PathLike[str]) -> bool:
    """Tells at a glance whether somebody is at work on a run, by its folder.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with RunLock(folder):
        ...     print(is_in_use(folder))
        True
        >>> is_in_use(folder)
        False
    """
    lock = RunLock(folder)
    with contextlib.suppress(OSError):
        sight = lock._look()
        try:
            if sight is not None:
                lock._doubt(sight)
        except InUseError:
            return True
    return False


def _write(path: pathlib.Path, note: _Note) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(note), file, indent=1)
        file.flush()
        os.fsync(file.fileno())  # Here, as what comes between the last look and the name is short.
