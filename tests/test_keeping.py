"""`fit(run=…)`: what is held against what the run began with, and refused."""

import json
import os
import pathlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import CALL, SAME, X, Y, broken_off, finished, message_of, net

from kerastrain._generations import Generations
from kerastrain._state_files import State
from kerastrain.callbacks import early_stopping, reduce_on_plateau
from kerastrain.schedules import one_cycle
from kerastrain.training import fit


def changed(**arguments):
    return lambda: ((net(), X, Y), arguments)


CHANGES = {
    "batch_size": (changed(batch_size=16), "batch_size 8", "batch_size 16"),
    "seed": (changed(seed=6), "seed 5", "seed 6"),
    "speed": (changed(speed="plain"), 'speed "steps"', 'speed "plain"'),
    "patience": (changed(patience=3), "patience null", "patience 3"),
    "data": (
        lambda: ((net(), X[:, ::-1], Y), {}),
        'data.x "(96, 4) float32, sha256 ',
        'data.x "(96, 4) float32, sha256 ',
    ),
    "rows": (
        lambda: ((net(), X[:80], Y[:80]), {}),
        'data.x "(96, 4) float32, sha256 ',
        'data.x "(80, 4) float32, sha256 ',
    ),
    "dropout": (
        lambda: ((net(rate=0.4), X, Y), {}),
        "model.layers[2].config.rate 0.3",
        "model.layers[2].config.rate 0.4",
    ),
    "units": (
        lambda: ((net(units=9), X, Y), {}),
        "model.layers[1].config.units 8",
        "model.layers[1].config.units 9",
    ),
    "optimizer": (
        lambda: ((net(optimizer="sgd"), X, Y), {}),
        'optimizer "Adam"',
        'optimizer "SGD"',
    ),
    "rate": (
        lambda: ((net(optimizer=keras.optimizers.Adam(0.01)), X, Y), {}),
        "optimizer.learning_rate 0.001",
        "optimizer.learning_rate 0.01",
    ),
    "callbacks": (
        changed(callbacks=[reduce_on_plateau()]),
        "callbacks []",
        'callbacks ["ReduceLROnPlateau 1"]',
    ),
}


def test_a_stopper_that_watches_something_else_is_refused(folder):
    def stopper(monitor, **arguments):
        return {"callbacks": [early_stopping(monitor, patience=9, **arguments)]}

    fit(net(), X, Y, run=folder, **CALL | stopper("val_acc"))
    fit(net(), X, Y, run=folder, **CALL | stopper("val_accuracy"))
    with pytest.raises(ValueError, match="`run` must be another") as error:
        fit(net(), X, Y, run=folder, **CALL | stopper("val_loss"))
    assert str(error.value) == (
        "`fit`: `run` must be another folder, or go on as it began, with "
        'callbacks.EarlyStopping 1.monitor "val_accuracy". Received: '
        'callbacks.EarlyStopping 1.monitor "val_loss", '
        f"run={os.fspath(folder)!r}."
    )


def test_a_state_of_its_own_kind_is_asked_for_only_where_it_is_kept(folder):
    class Keeps(keras.callbacks.Callback):
        def get_state(self):
            return object()

        def set_state(self, state):
            pass

    assert len(fit(net(), X, Y, max_time=1000, callbacks=[Keeps()], **CALL)) == 4


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_would_go_on_otherwise_is_refused_by_the_first_difference(folder, change):
    made, was, came = CHANGES[change]
    finished(folder)
    arguments, keywords = made()
    with pytest.raises(ValueError, match="`run` must be another folder") as error:
        fit(*arguments, run=folder, **CALL | keywords)
    message = str(error.value)
    must = "be another folder, or go on as it began"
    assert message.startswith(f"`fit`: `run` must {must}, with {was}")
    assert f". Received: {came}" in message
    assert message.endswith(f", run={os.fspath(folder)!r}.")


ROWS = tf.data.Dataset.from_tensor_slices((X, Y))
STREAM = SAME | {"epochs": 2}


def test_a_dataset_of_another_length_is_refused(folder):
    fit(net(), ROWS.batch(8), run=folder, **STREAM)
    with pytest.raises(ValueError, match="`run` must be another folder") as error:
        fit(net(), ROWS.take(40).batch(8), run=folder, **STREAM)
    parts = str(error.value).split(", with ")[1].split(". Received: ")
    assert [part[:32] for part in parts] == [
        'data.x "a Dataset of 12 batches ',
        'data.x "a Dataset of 5 batches o',
    ]


@pytest.mark.parametrize("kind", ["x", "validation_data"])
def test_a_dataset_that_begins_with_another_batch_is_refused(folder, kind):
    parts = {"x": ROWS.batch(8), "validation_data": ROWS.batch(8)}
    fit(net(), run=folder, **parts, **STREAM)
    other = tf.data.Dataset.from_tensor_slices((X, 1 - Y)).batch(8)
    with pytest.raises(ValueError, match="`run` must be another folder") as error:
        fit(net(), run=folder, **parts | {kind: other}, **STREAM | {"epochs": 3})
    begins = f"data.{kind} that begins with (8, 4) float32, (8,) int32, sha256 "
    assert str(error.value).count(begins) == 2


def test_a_batch_that_the_data_have_not_is_refused(short_calls, folder):
    broken_off(folder, (2, 2))
    generations = Generations(folder)
    state = generations.newest()[0]
    facts = {**state.facts, "facts": {**state.facts["facts"], "batch": 99}}
    generations.save(State(facts, state.arrays))
    assert message_of(folder) == (
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} (its "
        "state has no batch that can be)."
    )


def test_a_model_whose_run_is_refused_keeps_its_count_of_steps(folder):
    finished(folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    arrays = {**state.arrays, "model variable 0": np.zeros((4, 9), "float32")}
    generations.save(State(state.facts, arrays), is_landmark=True)
    model = net()
    fit(model, X, Y, **CALL | {"epochs": 1})
    with pytest.raises(ValueError, match="`run` must go on with the model that it began with"):
        fit(model, X, Y, run=folder, **CALL)
    assert int(model.optimizer.iterations) == 9


def test_fewer_epochs_than_it_has_are_refused(folder):
    finished(folder)
    assert message_of(folder, epochs=2) == (
        "`fit`: `epochs` must be at least 4, which the run has behind it. Received: epochs=2."
    )


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            {"run": 3},
            "`run` must be the path of a folder. Received: run=3.",
        ),
        (
            {"run": "a\0b"},
            "`run` must be the path of a folder. Received: run='a\\x00b'.",
        ),
        (
            {"save_every": -1},
            "`save_every` must be at least 0. Received: save_every=-1.",
        ),
        ({"max_time": 0}, "`max_time` must be above 0. Received: max_time=0."),
        (
            {"on_nan": "ignore"},
            "`on_nan` must be one of 'stop', 'rollback'. Received: on_nan='ignore'.",
        ),
        (
            {"on_nan": "rollback", "schedule": one_cycle(0.1)},
            "`on_nan` must be 'stop' where a schedule sets the rate, which can't be halved. "
            "Received: on_nan='rollback'.",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(folder, arguments, sentence):
    assert message_of(folder, **arguments) == f"`fit`: {sentence}"


def test_a_file_in_its_place_is_refused(tmp_path):
    path = tmp_path / "run"
    path.write_text("a file")
    assert message_of(path) == (
        "`fit`: `run` must be a folder that can be written. Received: "
        f"run={os.fspath(path)!r} (File exists)."
    )


def test_a_folder_that_cannot_be_written_is_refused():
    assert message_of(pathlib.Path("/proc/run")) == (
        "`fit`: `run` must be a folder that can be written. Received: run='/proc/run' "
        "(No such file or directory)."
    )


def test_a_run_of_a_later_version_is_refused(folder):
    finished(folder)
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"version": 1', '"version": 2'))
    assert message_of(folder) == (
        "`fit`: `run` must be a run directory of version 1, which this package reads. Received: "
        f"run={os.fspath(folder)!r} of version 2."
    )


def test_a_run_without_its_state_does_not_silently_begin_anew(folder):
    finished(folder)
    for path in folder.glob("state-*"):
        path.unlink()
    assert message_of(folder) == (
        "`fit`: `run` must be a whole run directory. Received: "
        f"run={os.fspath(folder)!r} (its state is gone)."
    )


def test_a_folder_of_other_files_is_refused_and_left_as_it_is(folder):
    folder.mkdir()
    (folder / "best.keras").write_text("precious")
    assert message_of(folder) == (
        "`fit`: `run` must be the folder of a run, or one without files. Received: "
        f"run={os.fspath(folder)!r}, which holds best.keras."
    )
    assert [path.name for path in folder.iterdir()] == ["best.keras"]
    assert (folder / "best.keras").read_text() == "precious"


def test_a_run_that_another_call_is_at_work_on_is_refused(folder):
    class Again(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.message = message_of(folder)

    again = Again()
    fit(net(), X, Y, run=folder, callbacks=[again], **CALL)
    assert again.message.startswith(
        f"`fit`: `run` must not be in use. Received: run={os.fspath(folder)!r}, on which process "
        f"{os.getpid()} on "
    )


class Sleeps(keras.callbacks.Callback):
    """Lets the machine sleep after the first epoch, until what another one does is done."""

    def __init__(self, monkeypatch, meanwhile):
        super().__init__()
        self.patch, self.meanwhile = monkeypatch, meanwhile

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.meanwhile()
            later = time.time() + 1000
            self.patch.setattr(time, "time", lambda: later)


def taken_by_another_machine(folder):
    note = json.loads((folder / "lock.json").read_text())
    owner, host = "elsewhere abc pid:[1] 1234 567 0123abcd", "elsewhere"
    (folder / "lock.json").write_text(json.dumps(note | {"owner": owner, "host": host}))


def removed(folder):
    (folder / "lock.json").unlink()


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (
            taken_by_another_machine,
            (
                "which process 1234 on elsewhere, since {since}, took while nothing was heard of "
                "this one"
            ),
        ),
        (removed, "whose lock.json somebody has removed"),
    ],
    ids=["taken", "removed"],
)
def test_a_run_that_was_lost_while_the_machine_slept_is_left_alone(
    folder, monkeypatch, happens, why
):
    since, before = [], []

    def meanwhile():
        since.append(json.loads((folder / "lock.json").read_text())["since"])
        happens(folder)
        before.append({path.name: path.read_bytes() for path in folder.iterdir()})

    with pytest.raises(RuntimeError) as error:
        fit(net(), X, Y, run=folder, callbacks=[Sleeps(monkeypatch, meanwhile)], **CALL)
    assert str(error.value) == (
        "`fit`: `run` must stay with one process. Received: "
        f"run={os.fspath(folder)!r}, {why.format(since=since[0])}."
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before[0]
