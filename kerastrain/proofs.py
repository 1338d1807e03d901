"""`prove_resume`: a run that is broken off and goes on in another process, against one that isn't.

`python -m kerastrain.proofs` is that other process; what it is to do comes from `prove_resume`.
"""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerastrain._checks import invalid, needs, real_number, seed_number, show, whole_number
from kerastrain._exact_state import as_array, variables_by_name
from kerastrain._optimizers import iterations_of
from kerastrain._state_files import State, read_state, write_state
from kerastrain.callbacks import copies
from kerastrain.models import Builder
from kerastrain.workflow import build_and_fit

_JOB, _RESULT = "job", "result.ktr"


@dataclasses.dataclass(frozen=True)
class ResumeProof:
    """How far a run that was broken off ended from one that wasn't.

    Attributes:
        weights: The largest difference between weights, the generators of dropout and its kin among
            them.
        optimizer: The largest difference between what the optimizers keep.
        history: The largest difference between the histories, but for the seconds.
        epochs: The epochs of either.
        broken_off_after: After how many the one was broken off.
    """

    weights: float
    optimizer: float
    history: float
    epochs: int
    broken_off_after: float

    def __bool__(self) -> bool:
        """Whether they are the same, to the bit."""
        return self.weights == self.optimizer == self.history == 0.0

    def __str__(self) -> str:
        return (
            f"{self.epochs} epochs at a stretch, and {self.broken_off_after:g} + "
            f"{self.epochs - self.broken_off_after:g} with a new process between: largest "
            f"difference {self.weights} in the weights, {self.optimizer} in the optimizer, "
            f"{self.history} in the history"
        )


def prove_resume(
    builder: str | Builder,
    data: Any,
    *,
    epochs: int = 4,
    broken_off_after: float = 2,
    seed: int = 0,
    **arguments: Any,
) -> ResumeProof:
    """Holds a run that was broken off and went on in a new process against one that wasn't.

    With your model, your data and your callbacks it tells whether `fit(run=…)` keeps its promise
    for them; it prints what it found.

    Args:
        builder: What `build_and_fit` takes.
        data: Likewise; or a function that makes it, called before each training, since a
            tf.data.Dataset can't go to another process.
        epochs: How many to train.
        broken_off_after: After how many the run is broken off: 1.5 is in the midst of the second,
            at the end of the call that takes it there.
        seed: That of both runs.
        **arguments: Those of `build_and_fit`. "auto" may choose another `speed` in another run, so
            that "steps" is what this takes if there is none.

    Returns:
        The largest differences; 0.0 where the promise holds.

    Raises:
        ImportError: If cloudpickle isn't installed, which takes a builder to another process.
        ValueError: If there would be no epoch before or behind the break, or the run ended before
            it, by early stopping or NaN.

    Example:
        ```python
        kerastrain.prove_resume("dense", data, a_layer=keras.layers.Dropout(0.3))
        ```
    """
    function = "prove_resume"
    cloudpickle = needs("cloudpickle", extra="search", function=function)
    epochs = whole_number(function, "epochs", epochs, least=2)
    after = real_number(function, "broken_off_after", broken_off_after, above=0)
    if after >= epochs:
        must, received = f"be below `epochs` ({epochs})", f"broken_off_after={after:g}"
        raise invalid(function, "broken_off_after", must, received)
    for name in ("run", "save_every"):
        if name in arguments:
            must = "be left out: the run that is broken off has a folder of its own"
            raise invalid(function, name, must, f"{name}={show(arguments[name])}")
    if arguments.get("repeats") is not None:
        must = "be left out: two runs are held against each other"
        raise invalid(function, "repeats", must, f"repeats={show(arguments['repeats'])}")
    if hasattr(data, "element_spec"):
        must = "be a function that makes the Dataset, which can't go to another process itself"
        raise invalid(function, "data", must, f"data={show(data)}", kind=TypeError)
    seed = seed_number(function, seed)
    call = {"seed": seed, "epochs": epochs, "speed": "steps", "verbose": 0, **arguments}
    callbacks = call.pop("callbacks", ())
    straight = build_and_fit(builder, _made(data, seed), callbacks=copies(callbacks), **call)
    if len(straight.history) <= after:
        must = f"be below the {len(straight.history)} epochs after which the run ends by itself"
        raise invalid(function, "broken_off_after", must, f"broken_off_after={after:g}")
    whole = _ended(straight)
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        call |= {"run": str(folder / "run"), "save_every": 0}
        _break_off(builder, _made(data, seed), copies(callbacks), after, call)
        job = {"builder": builder, "data": data, "call": {**call, "callbacks": callbacks}}
        (folder / _JOB).write_bytes(cloudpickle.dumps(job))
        _in_a_process(folder)
        parts = read_state(folder / _RESULT)
    proof = ResumeProof(
        weights=_largest(whole.arrays, parts.arrays, "model "),
        optimizer=_largest(whole.arrays, parts.arrays, "optimizer "),
        history=_largest(_columns(whole.facts), _columns(parts.facts), ""),
        epochs=epochs,
        broken_off_after=after,
    )
    print(proof)
    return proof


def _made(data: Any, seed: int) -> Any:
    """Returns data, or what a function makes of them, each time under the same seed."""
    if not callable(data):
        return data
    keras.utils.set_random_seed(seed)
    return data()


class _BreakError(Exception):
    pass


class _Break(keras.callbacks.Callback):  # type: ignore[misc]
    """Breaks a training off, as a kill would, at the first turn that comes after so many epochs."""

    sees_groups = True

    def __init__(self, after: float) -> None:
        super().__init__()
        self._after = after
        self._epoch, self._first = 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._first = epoch, self._steps
        if epoch >= self._after:
            raise _BreakError

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._look()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._look()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._look()

    @property
    def _steps(self) -> int:
        return int(iterations_of(self.model.optimizer) + 0)

    def _look(self) -> None:
        epoch, part = divmod(self._after, 1)
        done = self._steps - self._first
        # Of data without a length any step is in the midst of the epoch.
        due = part * (self.params["steps"] or 1)
        if part and self._epoch == epoch and done >= due:
            raise _BreakError


def _break_off(
    builder: Any, data: Any, callbacks: Any, after: float, call: Mapping[str, Any]
) -> None:
    with contextlib.suppress(_BreakError):
        build_and_fit(builder, data, callbacks=[*_listed(callbacks), _Break(after)], **call)


def _listed(callbacks: Any) -> list[Any]:
    return list(keras.tree.flatten(callbacks)) if callbacks is not None else []


def _in_a_process(folder: pathlib.Path) -> None:
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    process = subprocess.run(
        [sys.executable, "-m", "kerastrain.proofs", str(folder)],
        env={**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"`prove_resume`: the process in which the run went on failed: {last}")


def _ended(trained: Any) -> State:
    arrays = {name: as_array(variable) for name, variable in variables_by_name(trained.model)}
    return State({"history": trained.history.history}, arrays)


def _columns(facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    history = facts["history"]
    return {name: np.array(column) for name, column in history.items() if name != "seconds"}


def _largest(ours: Mapping[str, Any], theirs: Mapping[str, Any], group: str) -> float:
    """Returns the largest difference between arrays; infinity where one is missing."""
    names = {name for name in (*ours, *theirs) if name.startswith(group)}
    differences = [0.0]
    for name in names:
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None or one.shape != other.shape:
            return float("inf")
        if one.size and one.tobytes() != other.tobytes():
            apart = np.abs(one.astype("float64") - other.astype("float64")).max()
            differences.append(float(apart) if np.isfinite(apart) else float("inf"))
    return max(differences)


def _main() -> None:
    folder = pathlib.Path(sys.argv[1])
    cloudpickle = needs("cloudpickle", extra="search", function="prove_resume")
    job = cloudpickle.loads((folder / _JOB).read_bytes())
    trained = build_and_fit(job["builder"], _made(job["data"], job["call"]["seed"]), **job["call"])
    write_state(folder / _RESULT, _ended(trained))


if __name__ == "__main__":
    _main()
