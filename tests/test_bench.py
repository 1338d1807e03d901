"""The benchmark runs every way once and holds them against Keras's own; no time is asserted."""

import re
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import bench
from kerastrain.__main__ import main

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")


def made():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_every_way_is_timed_and_says_how_it_went():
    case = bench.Case("small", made, (X, X[:, 0]), epochs=2, batch_size=16, validation=(X, X[:, 0]))
    timings = bench.timed(case, bench.contenders(), repeats=1)
    assert list(timings) == list(bench.WAYS)
    assert [timing.engine.split(":")[0] for timing in timings.values()] == [
        "",
        "plain",
        "steps",
        "compiled",
        "steps",
    ]
    assert all(0 < timing.epoch <= timing.whole for timing in timings.values())


def test_the_table_holds_each_way_against_the_first():
    case = bench.Case("small", made, (X, X[:, 0]), epochs=2)
    timings = {"model.fit": bench.Timing(1.0, 3.0), "steps": bench.Timing(0.25, 1.0, "steps: so")}
    assert bench.table(case, timings).splitlines() == [
        "small: 2 epochs, batch 32",
        "             s an epoch   ratio  whole fit   ratio",
        "  model.fit      1.0000   1.00x     3.00 s   1.00x",
        "  steps          0.2500   4.00x     1.00 s   3.00x  steps: so",
    ]


def test_epochs_that_were_not_run_last_as_long_as_the_others():
    assert bench.extrapolated([9.0, 1.0, 2.0, 3.0], 16.0, 10) == bench.Timing(2.0, 28.0)
    assert bench.extrapolated([9.0], 10.0, 1) == bench.Timing(9.0, 10.0)


def test_the_built_in_cases_are_the_notes_networks():
    cases = {case.name: case for case in bench.built_in_cases()}
    assert list(cases) == [
        "dense + dropout",
        "dense, batch 512",
        "regression",
        "embedding + LSTM",
        "cnn",
    ]
    assert all(case.make().compiled for case in cases.values())


@pytest.fixture
def own(monkeypatch):
    """A module of the user's own, to put functions in."""
    module = types.ModuleType("own_models")
    monkeypatch.setitem(sys.modules, "own_models", module)
    return module


def test_a_model_of_the_users_own_is_timed_from_the_command_line(own, capsys):
    own.small = lambda: (made(), X, X[:, 0])
    arguments = ["--model", "own_models:small", "--epochs", "1", "--repeats", "1"]
    main(["bench", *arguments, "--ways", "steps"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "own_models:small: 1 epoch, batch 32"
    assert [line.split()[0] for line in lines[2:4]] == ["model.fit", "steps"]


def test_a_dataset_of_the_users_own_keeps_its_batches(own):
    stream = tf.data.Dataset.from_tensor_slices((X, X[:, 0])).batch(8)
    own.small = lambda: (made(), stream, None)
    case = bench.case_of("own_models:small", epochs=1)
    assert case.batch_size is None
    timings = bench.timed(case, bench.contenders(["model.fit", "auto"]), repeats=1)
    assert bench.table(case, timings).splitlines()[0] == "own_models:small: 1 epoch"


MODEL = made()


@pytest.mark.parametrize(
    "path, function, received",
    [
        ("math", None, "math"),
        ("./own_models.py:small", None, "./own_models.py:small"),
        ("nosuch:small", None, "nosuch:small, and there is no module nosuch"),
        ("math:nosuch", None, "math:nosuch, and math has no function nosuch"),
        ("own_models:small", lambda: 3, "a function that returns 3"),
        (
            "own_models:small",
            lambda: ("model", X, X),
            "a function that returns 'model', which is no compiled model",
        ),
        (
            "own_models:small",
            lambda: (MODEL, X, X[:, 0]),
            "a function that returns the same model each time",
        ),
    ],
    ids=["no function", "a path", "no module", "no such function", "3", "no model", "the same"],
)
def test_what_is_no_such_function_is_refused_in_one_sentence(own, path, function, received):
    own.small = function
    message = (
        "`bench`: `--model` must be module:function, of a function that returns a new compiled "
        f"model, x and y. Received: {received}."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench.case_of(path, epochs=1)
    with pytest.raises(SystemExit, match=f"^{re.escape(message)}$"):
        main(["bench", "--model", path])


def test_what_the_users_own_function_raises_is_left_to_the_user(own):
    def small():
        raise KeyError("mine")

    own.small = small
    with pytest.raises(KeyError, match="mine"):
        bench.case_of("own_models:small", epochs=1)


def test_rows_that_do_not_belong_together_are_refused(own):
    own.small = lambda: (made(), X, X[:5, 0])
    message = "`bench`: `x` must have as many rows as `y`. Received: len(x)=64, len(y)=5."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench.case_of("own_models:small", epochs=1)


def test_a_case_that_is_none_is_refused_with_the_names_of_those_there_are():
    message = (
        "`bench`: `--case` must be a part of ['dense + dropout', 'dense, batch 512', "
        "'regression', 'embedding + LSTM', 'cnn']. Received: 'nosuch'."
    )
    with pytest.raises(SystemExit, match=f"^{re.escape(message)}$"):
        main(["bench", "--case", "nosuch"])


def test_the_table_says_which_epochs_were_not_run():
    case = bench.Case("small", made, (X, X[:, 0]), epochs=5)
    assert bench.table(case, {"model.fit": bench.Timing(1.0, 3.0)}).splitlines()[-1] == (
        "  Of model.fit 4 epochs were run; more would take as long each."
    )
