"""A process that runs trials, one after the other; `python -m kerastrain.search.worker` starts it.

It lives on between trials, since importing TensorFlow takes seconds, and ends with its parent,
however that ends. The parent writes a key to its input, and reads off its output where it listens.
"""

import os
import sys
import threading
from multiprocessing.connection import Connection, Listener
from typing import Any

import cloudpickle

from kerastrain.search import trials


def main() -> None:
    """Listens for its parent, and runs what that sends."""
    key, folder = sys.stdin.readline().rstrip("\n").split(" ", 1)
    input_of_ours = os.dup(sys.stdin.fileno())
    # A builder that asks for input is told that there is none.
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    threading.Thread(target=_end_with_the_parent, args=(input_of_ours,), daemon=True).start()
    address = None if os.name == "nt" else os.path.join(folder, "line")  # Where a file can be one.
    with Listener(address, authkey=bytes.fromhex(key)) as listener:
        print(listener.address, flush=True)
        # What a builder prints belongs to the log, as nobody reads the output from here on.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        with listener.accept() as parent:
            serve(parent)


def serve(parent: Connection) -> None:
    """Takes the job, and then trial after trial, until the parent hangs up."""
    try:
        job, surroundings = cloudpickle.loads(parent.recv_bytes())
        trials.surround(surroundings)
        while True:
            parent.send_bytes(cloudpickle.dumps(_answer(job, parent)))
    except (EOFError, OSError):
        return


def _answer(job: trials.Job, parent: Connection) -> Any:
    """Runs the trial that comes next; returns its outcome, or the error that ends the search."""
    routed, seed, best = cloudpickle.loads(parent.recv_bytes())

    def report(epochs: int, value: float | None) -> str:
        parent.send_bytes(cloudpickle.dumps((epochs, value)))
        return str(parent.recv())

    try:
        outcome = trials.run(job, routed, seed=seed, report=report)
    except trials.WrongCallError as error:
        return error.error
    return trials.with_packed_model(outcome, job.mode, best)


def _end_with_the_parent(line: int) -> None:
    while os.read(line, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
