"""The run directory: files that are broken, or that somebody has made up."""

import json
import os
import shutil

import numpy as np
import pytest
from small_runs import CALL, X, Y, bits_of, broken_off, message_of, net, told_by, whole

from kerastrain._generations import Generations
from kerastrain._state_files import State
from kerastrain.records import History
from kerastrain.saving import load_model
from kerastrain.training import fit


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was broken off, and what it is to come to."""
    folder = tmp_path_factory.mktemp("runs") / "half"
    broken_off(folder, (2, None))
    return folder, *whole()


FILES = ("run.json", "history.json", "environment.json", "best.keras", "newest", "before")


def is_tested_each_time(name, damage, part):
    """A run goes on by its newest state alone, so that of the others a few will do."""
    if name == "newest":
        return part % (2 if damage == "flip" else 4) == 0
    return part == 4


DAMAGES = [
    pytest.param(
        *(name, damage, part),
        marks=[] if is_tested_each_time(name, damage, part) else [pytest.mark.slow],
    )
    for name in FILES
    for damage in ("flip", "cut")
    for part in range(9)
]


@pytest.mark.parametrize("name, damage, part", DAMAGES)
def test_a_broken_file_never_makes_a_wrong_run(half, tmp_path, name, damage, part):
    origin, expected, bits = half
    folder = tmp_path / "run"
    shutil.copytree(origin, folder)
    states = sorted(folder.glob("state-*"))
    path = {"newest": states[-1], "before": states[-2]}.get(name, folder / name)
    content = bytearray(path.read_bytes())
    place = min(len(content) - 1, len(content) * part // 8)
    if damage == "flip":
        content[place] ^= 0xFF
        path.write_bytes(content)
    else:
        path.write_bytes(content[:place])
    model = net(seed=2)
    call = CALL | {"run": folder}
    if name == "newest":
        with pytest.warns(UserWarning, match="is broken") as told:
            history = fit(model, X, Y, **call)
        assert [one.filename for one in told if "is broken" in str(one.message)] == [__file__]
    else:
        history = fit(model, X, Y, **call)
    assert told_by(history) == expected
    assert bits_of(model) == bits
    assert told_by(History.load(folder / "history.json")) == expected
    assert load_model(folder / "best.keras").count_params() == model.count_params()
    assert json.loads((folder / "run.json").read_text())["configuration"]["seed"] == 5


FORGED = {
    "no epoch": {"epoch": None},
    "an epoch that is none": {"epoch": -1},
    "a batch that is none": {"batch": "2"},
    "ways that lead nowhere": {"ways": {"0": "backwards"}},
    "a seed that is none": {"seed": [1]},
    "a configuration that is none": {"configuration": 3},
    "logs that are none": {"logs": {"loss": "low"}},
    "a way that can't follow another": {"ways": {"0": "plain", "1": "compiled"}},
    "a rate that is none": {"rate": "high"},
    "a step beyond all steps": {"first_step": 2**70},
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_state_that_somebody_made_up_is_refused(half, tmp_path, forged):
    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    facts = {**state.facts, "facts": {**state.facts["facts"], **FORGED[forged]}}
    for _ in range(3):
        generations.save(State(facts, state.arrays), is_landmark=True)
    name = next(iter(FORGED[forged]))
    assert message_of(folder) == (
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} (its "
        f"state has no {name} that can be)."
    )


def forged(half, folder, change):
    """Returns what is said of a run whose state was changed by hand."""
    shutil.copytree(half[0], folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    change(state.facts)
    for _ in range(3):
        generations.save(state, is_landmark=True)
    return message_of(folder)


@pytest.mark.parametrize("part", ["callbacks", "python", "numpy"])
def test_a_state_without_one_of_its_parts_is_refused(half, tmp_path, part):
    folder = tmp_path / "run"
    assert forged(half, folder, lambda facts: facts.pop(part)) == (
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} (its "
        "state holds no facts, callbacks, python, numpy)."
    )


NOTED = {
    "nothing": ({}, "KeyError: 'seconds'"),
    "an array that isn't there": (
        {"seconds": {"kerastrain.array": "nowhere"}},
        "KeyError: 'nowhere'",
    ),
    "a word": (
        {"seconds": "many"},
        "TypeError: unsupported operand type(s) for -: 'float' and 'str'",
    ),
}


@pytest.mark.parametrize("noted", NOTED)
def test_a_state_that_a_callback_cannot_take_is_refused(half, tmp_path, noted):
    made_up, why = NOTED[noted]
    said = forged(
        half, tmp_path / "run", lambda facts: facts["callbacks"].update({"EpochFacts 1": made_up})
    )
    assert said == (
        "`fit`: `run` must be a whole run directory. Received: a state that doesn't fit "
        f"EpochFacts 1 ({why})."
    )


def test_generators_that_somebody_made_up_are_refused(half, tmp_path):
    said = forged(half, tmp_path / "run", lambda facts: facts.update(python=[3, [1, 2], None]))
    assert said == (
        "`fit`: `run` must be a whole run directory. Received: a state that doesn't fit the "
        "generators (ValueError: state vector is the wrong size)."
    )


def test_a_state_of_other_arrays_is_refused(half, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    generations = Generations(folder)
    state = generations.newest()[0]
    arrays = {**state.arrays, "model variable 0": np.zeros((4, 9), "float32")}
    generations.save(State(state.facts, arrays), is_landmark=True)
    assert message_of(folder) == (
        "`fit`: `run` must go on with the model that it began with, where model variable 0 was "
        "float32 (4, 9). Received: model variable 0: float32 (4, 8)."
    )


def test_where_every_state_is_broken_it_says_so(half, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(half[0], folder)
    for path in folder.glob("state-*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert message_of(folder).startswith(
        f"`fit`: `run` must be a whole run directory. Received: run={os.fspath(folder)!r} ("
    )
