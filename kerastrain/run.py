"""The run directory: a run's state, history, best model and surroundings, so that it can go on.

    run.json            what the run began with
    history.json        its epochs so far, which `History.load` reads at any time
    environment.json    versions, machine and seed of each start
    best.keras          the best model, which Keras loads
    state-000012.ktr    everything, to the bit; the newest ones are kept
    lock.json           who is at work on it

What it goes on with stands in the state alone; the other files are for readers, and are written
anew from it where they are broken.
"""

import contextlib
import json
import os
import pathlib
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, show
from kerastrain._configurations import RATE, first_difference
from kerastrain._exact_state import facts_of
from kerastrain._generations import Generations
from kerastrain._record_files import VERSION, UnreadableError, fields_in, read_text, save_record
from kerastrain._run_lock import InUseError, RunLock
from kerastrain._state_files import State
from kerastrain.engine import SPEEDS
from kerastrain.records import History
from kerastrain.saving import save_model

BEST = "best.keras"
_RUN, _HISTORY, _ENVIRONMENT = "run.json", "history.json", "environment.json"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_FACTS: dict[str, Callable[[Any], bool]] = {
    "epoch": _is_count,
    "batch": _is_count,
    "seed": _is_count,
    "first_step": _is_count,
    "is_over": lambda value: isinstance(value, bool),
    "logs": lambda value: (
        isinstance(value, dict) and all(isinstance(log, float) for log in value.values())
    ),
    "ways": lambda value: (
        isinstance(value, dict)
        and "0" in value
        and all(epoch.isdecimal() and way in SPEEDS[1:] for epoch, way in value.items())
    ),
    "configuration": lambda value: isinstance(value, dict),
    "first_batch": lambda value: isinstance(value, str),
    "first_held_out": lambda value: isinstance(value, str),
    "first_batches": lambda value: (
        isinstance(value, dict)
        and all(
            isinstance(noted, dict) and all(epoch.isdecimal() for epoch in noted)
            for noted in value.values()
        )
    ),
}
"""What a state has to say, and how that is told from what it can't."""


class RunDirectory:
    """A run directory that this process has for itself.

    Args:
        path: The folder.
        lock: What says that it has it.

    Attributes:
        path: The folder.
        state: What the run goes on with; `None` for one that begins.
        facts: What that says of the run; empty for one that begins.
    """

    def __init__(self, path: pathlib.Path, lock: RunLock) -> None:
        self.path, self._lock = path, lock
        self._generations = Generations(path)
        self._description: tuple[Mapping[str, Any], int] | None = None
        self.state = self._newest()
        self.facts: dict[str, Any] = {} if self.state is None else self._facts_checked()

    @property
    def landmark(self) -> State:
        """The state at the start of the epoch that the run is in."""
        found = self._generations.landmark()
        if found is None:
            raise _broken(self.path, "no state of an epoch's start in it")
        return found

    def goes_on_with(self, configuration: dict[str, Any]) -> bool:
        """Tells whether a run goes on; one that hasn't trained yet may begin otherwise.

        Raises:
            ValueError: If it would go on otherwise than it began; names the first difference.
        """
        before = dict(self.facts["configuration"])
        if configuration.get(RATE, "none") == self.facts["rate"]:
            # The model of a notebook that was stopped, whose rate a callback has lowered since.
            configuration = {**configuration, RATE: before.get(RATE)}
        difference = first_difference(before, configuration)
        if difference is not None and not (self.facts["epoch"] or self.facts["batch"]):
            self.state, self.facts = None, {}
            return False
        if difference is not None:
            name, was, now = difference
            must = f"go on as it began, with {name} {was}"
            raise invalid("fit", "run", must, f"{name} {now}, run={os.fspath(self.path)!r}")
        return True

    def save(self, state: State, history: History, *, is_landmark: bool) -> None:
        """Keeps a state, and tells readers of it."""
        self._check_own()
        self._generations.save(state, is_landmark=is_landmark)
        history.save(self.path / _HISTORY)
        if self._description is not None and not (self.path / _RUN).exists():
            self.describe(*self._description)  # Somebody has removed it.

    def save_history(self, history: History) -> None:
        """Tells readers how far the run is."""
        self._check_own()
        history.save(self.path / _HISTORY)

    @property
    def has_best(self) -> bool:
        """Whether there is a best model."""
        return (self.path / BEST).exists()

    def save_best(self, model: keras.Model) -> None:
        """Keeps a model as the best."""
        self._check_own()
        save_model(model, self.path / BEST)

    def describe(self, configuration: Mapping[str, Any], seed: int) -> None:
        """Writes down what the run begins with, and where this process runs it."""
        self._check_own()
        self._description = configuration, seed
        save_record(self.path / _RUN, "Run", {"configuration": configuration})
        starts = [*self._starts(), surroundings(seed)]
        save_record(self.path / _ENVIRONMENT, "Environment", {"starts": starts})

    def _check_own(self) -> None:
        """Raises where another process has taken the run: of a machine that was asleep."""
        if (why := self._lock.why_lost()) is not None:
            received = f"run={os.fspath(self.path)!r}, {why}"
            raise invalid("fit", "run", "stay with one process", received, kind=RuntimeError)

    def _starts(self) -> list[Any]:
        try:
            fields = fields_in(read_text(self.path / _ENVIRONMENT), "Environment")
        except UnreadableError:
            return []
        starts = fields.get("starts")
        return starts if isinstance(starts, list) else []

    def _newest(self) -> State | None:
        self._check_version()
        try:
            found = self._generations.newest()
        except UnreadableError as error:
            raise _broken(self.path, str(error)) from error
        if found is None:
            if (self.path / _HISTORY).exists() or (self.path / _RUN).exists():
                raise _broken(self.path, "its state is gone")
            return None
        state, notes = found
        for note in notes:
            warnings.warn(f"`fit`: run={os.fspath(self.path)!r}: {note}.", stacklevel=6)
        return state

    def _facts_checked(self) -> dict[str, Any]:
        """Returns what the state says, or raises where that can't be, as of one made by hand."""
        assert self.state is not None
        facts = self.state.facts.get("facts")
        for name, is_right in _FACTS.items():
            if not isinstance(facts, dict) or not is_right(facts.get(name)):
                raise _broken(self.path, f"its state has no {name} that can be")
        return facts_of(self.state)

    def _check_version(self) -> None:
        """Raises for a folder of a later version of this package; a broken file tells nothing."""
        with contextlib.suppress(UnreadableError, json.JSONDecodeError, AttributeError):
            version = json.loads(read_text(self.path / _RUN)).get("version")
            if isinstance(version, int) and version > VERSION:
                must = f"be a run directory of version {VERSION}, which this package reads"
                received = f"run={os.fspath(self.path)!r} of version {version}"
                raise invalid("fit", "run", must, received)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[RunDirectory]:
    """Has a run directory to itself inside the block; makes the folder if need be.

    Raises:
        ValueError: If another process has it, or it can't be read or written.
    """
    folder = _folder(path)
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(RunLock(folder))
        except InUseError as error:
            must = "not be in use"
            received = f"run={os.fspath(path)!r}, on which {error.owner} is at work"
            raise invalid("fit", "run", must, received) from error
        except OSError as error:
            raise _unwritable(path, error) from error
        yield RunDirectory(folder, lock)


def seed_kept(path: str | os.PathLike[str]) -> int | None:
    """Returns the seed of the run in a folder; `None` where there is none that can be read."""
    with contextlib.suppress(UnreadableError, OSError, TypeError, KeyError):
        found = Generations(path).newest()
        return None if found is None else int(facts_of(found[0])["seed"])
    return None


def _folder(path: str | os.PathLike[str]) -> pathlib.Path:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        must = "be the path of a folder"
        raise invalid("fit", "run", must, f"run={show(path)}", kind=TypeError)
    folder = pathlib.Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    return folder


def surroundings(seed: int) -> dict[str, Any]:
    """Describes where a run runs: versions, machine, devices."""
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "python": platform.python_version(),
        "packages": {
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "system": platform.platform(),
        "machine": platform.node(),
        "cores": os.cpu_count(),
        "devices": [f"{device.device_type}" for device in tf.config.list_physical_devices()],
        "floatx": keras.config.floatx(),
        "seed": seed,
        "command": pathlib.Path(sys.argv[0]).name,
    }


def _broken(path: pathlib.Path, why: str) -> Exception:
    return invalid("fit", "run", "be a whole run directory", f"run={os.fspath(path)!r} ({why})")


def _unwritable(path: str | os.PathLike[str], error: OSError) -> Exception:
    received = f"run={os.fspath(path)!r} ({error.strerror or type(error).__name__})"
    return invalid("fit", "run", "be a folder that can be written", received)
