"""Kills training processes at random moments, and holds what comes of them against a whole run.

    python tests/killing.py --kills 200 [--seed 0] [--only gru] [--speed compiled]

Each process is forked from this one, which has imported Keras and computed nothing. It trains a
model from weights of another seed than the one before it, is killed (SIGKILL) after a random time,
often in the midst of a save, and is started again with the same call until it ends. Weights,
optimizer and history have to be those of a run that nobody broke off, to the bit.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import keras
import numpy as np

import kerastrain as ktr
from kerastrain import engine, schedules

SPEEDS = ("plain", "steps", "compiled")
ROWS, EPOCHS = 480, 5


def dense():
    layers = keras.layers
    stack = [layers.Dense(32, "relu"), layers.Dropout(0.3), layers.Dense(16, "relu")]
    return compiled(stack, "adam"), {}


def normalised():
    layers = keras.layers
    stack = [layers.Dense(32), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2)]
    return compiled(stack, keras.optimizers.SGD(0.05, momentum=0.9)), {}


def gru():
    layers = keras.layers
    stack = [layers.Reshape((8, 8)), layers.GRU(8, dropout=0.1)]
    return compiled(stack, "rmsprop"), {}


def augmented():
    layers = keras.layers
    images = [layers.Reshape((8, 8, 1)), layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1)]
    return compiled([*images, layers.Conv2D(4, 3, activation="relu"), layers.Flatten()], "adam"), {}


def one_cycle():
    return compiled([keras.layers.Dense(32, "relu")], "sgd"), {"schedule": schedules.one_cycle(0.1)}


def with_plateau():
    callbacks = [
        ktr.callbacks.reduce_on_plateau(patience=1, min_delta=0.05),
        ktr.callbacks.early_stopping(patience=3),
    ]
    stack = [keras.layers.Dense(32, "relu"), keras.layers.Dropout(0.5)]
    return compiled(stack, keras.optimizers.Adam(0.02)), {"callbacks": callbacks, "epochs": 12}


CASES = {
    case.__name__: case for case in (dense, normalised, gru, augmented, one_cycle, with_plateau)
}


def compiled(layers, optimizer):
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((64,)), *layers, head])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data():
    generator = np.random.default_rng(7)
    x = generator.normal(size=(ROWS, 64)).astype("float32")
    return x, (x[:, :3] + generator.normal(size=(ROWS, 3))).argmax(axis=1)


class Tells(keras.callbacks.Callback):
    """Tells the parent when the first batches of this process have been trained on."""

    sees_groups = True

    def __init__(self, line):
        super().__init__()
        self.line = line

    def on_train_batch_end(self, batch, logs=None):
        if self.line is not None:
            os.write(self.line, b"x")
            os.close(self.line)
            self.line = None


def train(case, speed, folder, weights_seed, line=None):
    """Trains; leaves variables and history in the folder's neighbour."""
    engine.SECONDS_A_CALL = 0.004  # Many calls an epoch, and so many places to be killed at.
    keras.utils.set_random_seed(weights_seed)
    model, arguments = CASES[case]()
    x, y = data()
    arguments = {"epochs": EPOCHS, "validation_split": 0.2, "batch_size": 16, "seed": 3} | arguments
    callbacks = [*arguments.pop("callbacks", []), Tells(line)]
    if folder.name != "whole":
        arguments |= {"run": folder, "save_every": 0}
    history = ktr.fit(model, x, y, callbacks=callbacks, speed=speed, verbose=0, **arguments)
    kept = [*model.variables, *model.optimizer.variables]
    arrays = {str(n): keras.ops.convert_to_numpy(v) for n, v in enumerate(kept)}
    np.savez(folder.with_suffix(".npz"), **arrays)
    columns = {name: column for name, column in history.history.items() if name != "seconds"}
    told = {"columns": columns, "best": history.best_epoch, "stop": history.stop_reason}
    folder.with_suffix(".json").write_text(json.dumps(told))


def started(case, speed, folder, weights_seed):
    """Forks a process that trains; returns its number, and where it tells that it does."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(here)
            train(case, speed, folder, weights_seed, there)
            code = 0
        except BaseException as error:  # All that it has to say, before it is gone.
            print(f"{case} {speed}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    os.close(there)
    return pid, here


def finished(pid):
    """Waits for a process to end by itself; exits if it failed."""
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("a training process failed")


def killed(case, speed, folder, weights_seed, chance, longest):
    """Starts a process and kills it; returns whether it was killed before it ended."""
    pid, line = started(case, speed, folder, weights_seed)
    if chance.random() < 0.15:
        time.sleep(chance.uniform(0, 0.6))  # On its way to the first batch.
    else:
        os.read(line, 1)
        time.sleep(chance.uniform(0, longest))
    os.close(line)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if status:
        sys.exit("a training process failed")
    return False


def differences(folder, whole):
    """Returns what differs between two runs."""
    ours, theirs = (np.load(path.with_suffix(".npz")) for path in (folder, whole))
    found = [] if len(ours.files) == len(theirs.files) else ["the number of variables"]
    for name in ours.files:
        if ours[name].tobytes() != theirs[name].tobytes():
            found.append(f"variable {name}, by {np.abs(ours[name] - theirs[name]).max()}")
    told, other = (json.loads(path.with_suffix(".json").read_text()) for path in (folder, whole))
    other_parts = [part for part in told if told[part] != other[part]]
    return found + [f"{part}: {told[part]} not {other[part]}" for part in other_parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--speed", choices=SPEEDS)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    cases = [(c, s) for s in SPEEDS for c in CASES]
    cases = [(c, s) for c, s in cases if options.only in (None, c) and options.speed in (None, s)]
    chance.shuffle(cases)
    kills = in_saves = runs = 0
    wrong = []
    while kills < options.kills:
        case, speed = cases[runs % len(cases)]
        goal = min(options.kills, kills + -(-options.kills // len(cases)))
        with tempfile.TemporaryDirectory() as place:
            whole, folder = pathlib.Path(place, "whole"), pathlib.Path(place, "killed")
            start = time.monotonic()
            finished(started(case, speed, whole, 1)[0])
            longest = min(1.0, time.monotonic() - start) / 2
            before, attempt = kills, 1
            # The first process begins with the same weights; those after it with any.
            while kills < goal and killed(case, speed, folder, attempt, chance, longest):
                kills, attempt = kills + 1, attempt + 1
                in_saves += bool(list(folder.glob(".*")))
                if not list(folder.glob("state-*")):
                    attempt = 1  # It was killed before it had kept its weights.
            finished(started(case, speed, folder, attempt)[0])
            found = differences(folder, whole)
            wrong += found
        runs += 1
        note = f", NOT THE SAME: {found}" if found else ""
        print(f"{case} {speed}: {kills - before} kills{note}", flush=True)
    print(f"{kills} kills in {runs} runs, {in_saves} of them in a save: {len(wrong)} differences")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
