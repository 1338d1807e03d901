"""The run directory: a run's state, history, best model and surroundings, so that it can go on.

    run.json            what the run began with
    history.json        its epochs so far, which `History.load` reads at any time
    environment.json    versions, machine and seed of each start
    best.keras          the best model, which Keras loads; or best.weights.h5, see `why_not_whole`
    state-000012.ktr    everything, to the bit; the newest ones are kept
    lock.json           who is at work on it

What it goes on with stands in the state alone; the other files are for readers, and are written
anew from it where they are broken.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import re
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
from kerastrain._run_folders import ENVIRONMENT, HISTORY, RUN
from kerastrain._run_lock import LOCK, InUseError, RunLock
from kerastrain._state_files import State
from kerastrain.engine import speed_checked
from kerastrain.records import History
from kerastrain.saving import save_model, save_weights

BEST, BEST_WEIGHTS = "best.keras", "best.weights.h5"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _are_ways(value: Any) -> bool:
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        ways = speed_checked("fit", {int(epoch): way for epoch, way in value.items()})
        return ways != "auto"
    return False


_FACTS: dict[str, Callable[[Any], bool]] = {
    "epoch": _is_count,
    "batch": _is_count,
    "seed": _is_count,
    "first_step": _is_count,
    "is_over": lambda value: isinstance(value, bool),
    "logs": lambda value: (
        isinstance(value, dict) and all(isinstance(log, float) for log in value.values())
    ),
    "ways": _are_ways,
    "rate": lambda value: value is None or isinstance(value, float),
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

_PARTS = {"facts": dict, "callbacks": dict, "python": list, "numpy": dict}
"""Its parts."""


_NOT_WRITTEN = (NotImplementedError, TypeError, ValueError)
"""What Keras raises for a model that has no words for itself."""


def why_not_whole(model: keras.Model) -> str | None:
    """Says why a model can't be kept whole; `None` if it can."""
    try:
        keras.saving.serialize_keras_object(model)
    except _NOT_WRITTEN as error:
        named = re.search(r"Object (\w+) was created", str(error))
        who = f"{named[1]} has no get_config()" if named else "Keras can't write the model down"
        return f"{who}, so that its best weights are kept in {BEST_WEIGHTS}, and no {BEST}"
    return None


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
            raise otherwise(self.path, f"{name} {was}", f"{name} {now}")
        return True

    def save(self, state: State, history: History, *, is_landmark: bool) -> None:
        """Keeps a state, and tells readers of it."""
        self._check_own()
        self._generations.save(state, is_landmark=is_landmark)
        self._tell(history)
        if self._description is not None and not (self.path / RUN).exists():
            self.describe(*self._description)  # Somebody has removed it.

    def save_history(self, history: History) -> None:
        """Tells readers how far the run is."""
        self._check_own()
        self._tell(history)

    @property
    def has_best(self) -> bool:
        """Whether there is a best model."""
        return any((self.path / name).exists() for name in (BEST, BEST_WEIGHTS))

    def save_best(self, model: keras.Model) -> None:
        """Keeps a model as the best; of one that can't be written down, its weights."""
        self._check_own()
        try:
            save_model(model, self.path / BEST)
        except _NOT_WRITTEN:
            save_weights(model, self.path / BEST_WEIGHTS)

    def describe(self, configuration: Mapping[str, Any], seed: int) -> None:
        """Writes down what the run begins with, and where this process runs it."""
        self._check_own()
        self._description = configuration, seed
        save_record(self.path / RUN, "Run", {"configuration": configuration})
        starts = [*self._starts(), surroundings(seed)]
        save_record(self.path / ENVIRONMENT, "Environment", {"starts": starts})

    def _tell(self, history: History) -> None:
        save_record(self.path / HISTORY, "History", dataclasses.asdict(history))

    def _check_own(self) -> None:
        """Raises where another process has taken the run: of a machine that was asleep."""
        if (why := self._lock.why_lost()) is not None:
            received = f"run={os.fspath(self.path)!r}, {why}"
            raise invalid("fit", "run", "stay with one process", received, kind=RuntimeError)

    def _starts(self) -> list[Any]:
        try:
            fields = fields_in(read_text(self.path / ENVIRONMENT), "Environment")
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
            self._check_new()
            return None
        state, notes = found
        for note in notes:
            warnings.warn(f"`fit`: run={os.fspath(self.path)!r}: {note}.", stacklevel=8)
        return state

    def _check_new(self) -> None:
        """Raises for a folder without a state that somebody has put something else in."""
        for name, kind in ((RUN, "Run"), (HISTORY, "History")):
            with contextlib.suppress(UnreadableError):
                fields_in(read_text(self.path / name), kind)
                raise _broken(self.path, "its state is gone")
        for other in sorted(self.path.iterdir()):
            if other.is_file() and other.name != LOCK and not other.name.startswith("."):
                must = "be the folder of a run, or one without files"
                received = f"run={os.fspath(self.path)!r}, which holds {other.name}"
                raise invalid("fit", "run", must, received)

    def _facts_checked(self) -> dict[str, Any]:
        """Returns what the state says, or raises where that can't be, as of one made by hand."""
        assert self.state is not None
        whole = self.state.facts
        if not all(isinstance(whole.get(part), kind) for part, kind in _PARTS.items()):
            raise _broken(self.path, f"its state holds no {', '.join(_PARTS)}")
        facts = whole["facts"]
        for name, is_right in _FACTS.items():
            if name not in facts or not is_right(facts[name]):
                raise _broken(self.path, f"its state has no {name} that can be")
        return facts_of(self.state)

    def _check_version(self) -> None:
        """Raises for a folder of a later version of this package; a broken file tells nothing."""
        with contextlib.suppress(UnreadableError, json.JSONDecodeError, AttributeError):
            version = json.loads(read_text(self.path / RUN)).get("version")
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


def otherwise(path: pathlib.Path, was: str, now: str) -> Exception:
    """Words the error of a run that would go on otherwise than it began."""
    must = f"be another folder, or go on as it began, with {was}"
    return invalid("fit", "run", must, f"{now}, run={os.fspath(path)!r}")


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
    except ValueError as error:  # A character that no path has.
        raise invalid("fit", "run", "be the path of a folder", f"run={show(path)}") from error
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
