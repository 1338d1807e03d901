"""A process that runs trials, one after the other; `python -m kerastrain.search.worker` starts it.

It lives on between trials, since importing TensorFlow takes seconds, and ends with its parent,
however that ends. The parent hands it one end of a line, by its number; what is printed, by a
builder or by Python as it starts, goes to the parent's log.
"""

import contextlib
import os
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from kerastrain._checks import invalid
from kerastrain.search import trials

STARTED = "started"
"""What a worker says first, when all that takes seconds is imported."""


def main() -> None:
    """Says that it has started, and runs what the parent sends."""
    line = int(sys.argv[1])
    os.set_inheritable(line, False)  # Or a program of the user's would keep the line open.
    input_of_ours = os.dup(sys.stdin.fileno())
    # A builder that asks for input is told that there is none.
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    threading.Thread(target=_end_with_the_parent, args=(input_of_ours,), daemon=True).start()
    with Connection(line) as parent:
        _say(parent, STARTED)
        serve(parent)


class _HungUpError(Exception):
    """Says that there is no parent any more."""


def serve(parent: Connection) -> None:
    """Takes the recipe, and then trial after trial, until the parent hangs up."""
    with contextlib.suppress(_HungUpError):
        packed = _heard(parent)
        try:
            recipe, surroundings = cloudpickle.loads(packed)
            trials.surround(surroundings)
        except Exception as error:  # Whatever an object of the user's may raise; so in all trials.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            must = "be what a process can read when it is sent, and so must data and arguments"
            _say(parent, invalid("search", "builder", must, reason))
            return
        while True:
            _say(parent, _answer(recipe, _heard(parent), parent))


def _answer(recipe: trials.Recipe, packed: bytes, parent: Connection) -> Any:
    """Runs a trial; returns its outcome, or the error that ends the search."""
    routed, seed, best = cloudpickle.loads(packed)

    def report(epochs: int, value: float | None) -> str:
        _say(parent, (epochs, value))
        return str(cloudpickle.loads(_heard(parent)))

    try:
        outcome = trials.run(recipe, routed, seed=seed, report=report)
    except trials.WrongCallError as error:
        return error.error
    return trials.with_packed_model(outcome, recipe.mode, best)


def _heard(parent: Connection) -> bytes:
    try:
        return parent.recv_bytes()
    except (EOFError, OSError) as error:
        raise _HungUpError from error


def _say(parent: Connection, what: Any) -> None:
    packed = cloudpickle.dumps(what)
    try:
        parent.send_bytes(packed)
    except OSError as error:
        raise _HungUpError from error


def _end_with_the_parent(line: int) -> None:
    while os.read(line, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
