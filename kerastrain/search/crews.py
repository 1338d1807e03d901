"""Who runs the trials of a search: this process, or worker processes that are kept apart from it.

A crew takes as many trials as it has hands, and hands back what came of one after the other.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Protocol

import cloudpickle

from kerastrain._checks import invalid, show
from kerastrain.search import trials
from kerastrain.search.parameters import Routed
from kerastrain.search.trials import Outcome, Recipe, Report
from kerastrain.search.worker import STARTED

_GROWTH = 1000  # MB that a worker may gain until another takes its place
_TENSORFLOWS = re.compile(r"[IWEF]\d{4} |WARNING: All log messages before absl")  # lines of its log
_START = 300.0  # s that a worker may take to start
_LOOK = 0.2  # s between two looks at the clock and at the workers' memory
_LAST = 5.0  # s in which a process that has hung up is to end


@dataclasses.dataclass(frozen=True)
class Task:
    """A trial to run.

    Attributes:
        number: Its number in the search.
        routed: Its parameters.
        seed: What to train it with.
        report: Hears of its epochs, and decides whether it goes on.
        best: The best value so far, which decides whether its model is worth keeping.
    """

    number: int
    routed: Routed
    seed: int
    report: Report
    best: float | None


class Crew(Protocol):
    """Runs trials."""

    size: int
    """How many trials it runs at once."""

    def start(self, task: Task) -> None:
        """Takes a trial."""

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """Returns what came of the trial that ends next; `None` if none has for a moment."""


class Here:
    """Runs each trial in this process."""

    size = 1

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._tasks: deque[Task] = deque()

    def start(self, task: Task) -> None:
        """Takes a trial."""
        self._tasks.append(task)

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """Runs the trial."""
        task = self._tasks.popleft()
        try:
            outcome = trials.run(self._recipe, task.routed, seed=task.seed, report=task.report)
        except trials.WrongCallError as error:
            raise error.error from None
        return task.number, outcome


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a trial may use.

    Attributes:
        seconds: How long it may take; `None` for as long as it likes.
        megabytes: How much memory its process may hold, in millions of bytes; likewise.
    """

    seconds: float | None = None
    megabytes: float | None = None


class Workers:
    """Runs trials in worker processes, which live on between trials.

    A trial that crashes its worker, or uses more than it may, takes only this worker with it.

    Args:
        recipe: What all trials have in common.
        size: How many workers there are.
        limits: What a trial may use.
        threads: How many each has.
    """

    def __init__(self, recipe: Recipe, size: int, limits: Limits, *, threads: int) -> None:
        self._recipe = _packed(recipe)
        self.size, self._limits, self._threads = size, limits, threads
        self._workers = [_Worker(self._recipe, threads) for _ in range(size)]

    def start(self, task: Task) -> None:
        """Gives a trial to a worker that has none, in place of one that died if need be."""
        number = next(n for n, worker in enumerate(self._workers) if worker.task is None)
        if self._workers[number].is_spent:
            self._workers[number].kill()
            self._workers[number] = _Worker(self._recipe, self._threads)
        self._workers[number].begin(task)

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """Listens to the workers for a moment, and answers them."""
        busy: dict[Any, _Worker] = {one.line: one for one in self._workers if one.task}
        for line in wait(list(busy), timeout=_LOOK):
            worker = busy[line]
            outcome = worker.hear()
            if outcome is not None:
                return worker.end(outcome)
        for worker in busy.values():
            reason = worker.excess(self._limits)
            if reason:
                worker.kill()
                return worker.end(worker.failure(reason))
        return None

    def close(self) -> None:
        """Ends the workers, whatever they are at."""
        for worker in self._workers:
            worker.kill()


def _packed(recipe: Recipe) -> bytes:
    """Returns what a worker is sent first: the recipe, and those settings of Keras's that count."""
    try:
        return bytes(cloudpickle.dumps((recipe, trials.surroundings())))
    except Exception as error:  # Whatever an object of the user's may raise.
        must = "be what can be sent to a process, and so must data and arguments"
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise invalid("search", "builder", must, f"{show(recipe.builder)} ({reason})") from error


class _Worker:
    """A worker process, and the trial that it is at.

    It takes seconds to start, in which it is waited for as for a trial.
    """

    task: Task | None = None
    line: Connection
    """What to wait for: the word that it has started, and then its answers."""
    _has_started = False
    _began = 0.0
    _megabytes = 0.0  # before its first trial

    def __init__(self, recipe: bytes, threads: int) -> None:
        self._recipe, self._threads = recipe, threads
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # Open as long as the process is.
        self._words = 0  # Where in the log its trial begins.
        self._made = time.monotonic()
        self.line, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # As in the parent, a module in the folder that it runs in has no precedence.
                [sys.executable, "-P", "-m", "kerastrain.search.worker", str(theirs.fileno())],
                stdin=subprocess.PIPE,  # By which it learns that the parent has ended.
                stdout=self._log,
                stderr=self._log,
                env=_environment(threads),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal goes to the parent alone.
            )

    @property
    def is_spent(self) -> bool:
        """Whether the process has died, or grown fat: what XLA has compiled, it never lets go."""
        if self._process.poll() is not None:
            return True
        return 0 < self._megabytes < _megabytes(self._process.pid) - _GROWTH

    def begin(self, task: Task) -> None:
        """Gives it a trial."""
        self.task = task
        if self._has_started:
            self._send_task()

    def hear(self) -> Outcome | None:
        """Takes what it says: of an epoch, which it waits to be answered, or of the trial's end."""
        assert self.task is not None
        try:
            packed = self.line.recv_bytes()
        except (EOFError, OSError):
            return self.failure(self._how_it_died())
        said = cloudpickle.loads(packed)
        if isinstance(said, Exception):
            raise said
        if said == STARTED:
            self._has_started = True
            self._send(self._recipe)
            self._send_task()
        elif isinstance(said, tuple):
            # Whatever this raises is an error of the storage or the pruner, and ends the search.
            self._send(cloudpickle.dumps(self.task.report(*said)))
        else:
            return said  # type: ignore[no-any-return]
        return None

    def end(self, outcome: Outcome) -> tuple[int, Outcome]:
        """Frees it for the next trial."""
        assert self.task is not None
        number, self.task = self.task.number, None
        return number, dataclasses.replace(outcome, threads=self._threads)

    def excess(self, limits: Limits) -> str:
        """Returns what its trial uses more than it may, or nothing."""
        now = time.monotonic()
        if self._process.poll() is not None and not self.line.poll():
            return self._how_it_died()  # While a process of the trial's own holds on to the line.
        if not self._has_started:
            late = now - self._made > _START
            return f"its process didn't start within {_START:g} s" if late else ""
        if limits.seconds is not None and now - self._began > limits.seconds:
            return f"it took longer than {limits.seconds:g} s"
        held = _megabytes(self._process.pid) if limits.megabytes is not None else 0.0
        if limits.megabytes is not None and held > limits.megabytes:
            return f"its process held {held:,.0f} MB, more than {limits.megabytes:,g} MB"
        return ""

    def failure(self, reason: str) -> Outcome:
        """Returns the outcome of a trial that was cut off."""
        seconds = time.monotonic() - (self._began or self._made)
        return Outcome("failed", float("nan"), seconds, reason)

    def kill(self) -> None:
        """Ends the process and all that belongs to it."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)  # Its session is its own.
        self._process.wait()
        for opened in (self.line, self._process.stdin, self._log):
            with contextlib.suppress(OSError):
                if opened is not None:
                    opened.close()

    def _send_task(self) -> None:
        assert self.task is not None
        self._megabytes = self._megabytes or _megabytes(self._process.pid)
        self._words = self._log.seek(0, os.SEEK_END)
        self._began = time.monotonic()
        self._send(cloudpickle.dumps((self.task.routed, self.task.seed, self.task.best)))

    def _send(self, what: bytes) -> None:
        with contextlib.suppress(OSError):  # A process that has died says so when it is heard.
            self.line.send_bytes(what)

    def _how_it_died(self) -> str:
        try:
            code = self._process.wait(_LAST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return "its process hung up"
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        words = self._last_words()
        return f"its process died ({how}){f': {words}' if words else ''}"

    def _last_words(self) -> str:
        self._log.seek(self._words)
        said = self._log.read().decode(errors="replace").strip().splitlines()
        lines = [line for line in said if not _TENSORFLOWS.match(line)]
        return lines[-1][:200] if lines else ""


@contextlib.contextmanager
def crew_of(recipe: Recipe, *, jobs: int, limits: Limits) -> Iterator[Crew]:
    """Makes a crew: this process, or workers where there are several or limits to hold."""
    threads = threads_of(jobs, limits)
    if threads is None:
        yield Here(recipe)
        return
    workers = Workers(recipe, jobs, limits, threads=threads)
    try:
        yield workers
    finally:
        workers.close()


def threads_of(jobs: int, limits: Limits) -> int | None:
    """Returns how many threads a trial has; `None` in this process, which has its own.

    The sums of large products hang on how many threads share them, and so do a model's bits.
    """
    if jobs == 1 and limits == Limits():
        return None
    return max(1, _cores() // jobs)


def _cores() -> int:
    """Returns how many cores this process may use, of those that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_run_apart() -> bool:
    """Tells whether this system can hand a process a line to its parent, which Windows can't."""
    return os.name == "posix"


def _environment(count: int) -> dict[str, str]:
    """Returns a worker's environment: what this process can import, and its share of the cores."""
    threads = str(count)
    ours = {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "PYTHONUNBUFFERED": "1",
    }
    # Two TensorFlows that take all cores each are no faster than one.
    shares = {
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    return {**os.environ, **shares, **ours}


def _megabytes(pid: int) -> float:
    """Returns the memory that a process holds, in millions of bytes; 0 if unknown."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError):
        return _megabytes_by_ps(pid)


def _megabytes_by_ps(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        command = ["ps", "-o", "rss=", "-p", str(pid)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1e3
    return 0.0
