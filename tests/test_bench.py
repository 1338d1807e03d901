"""The benchmark runs every way once and holds them against Keras's own; no time is asserted."""

import re
import sys
import types

import keras
import numpy as np
import pytest

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


def test_a_model_of_the_users_own_is_timed_from_the_command_line(monkeypatch, capsys):
    module = types.ModuleType("own_models")
    module.small = lambda: (made(), X, X[:, 0])
    monkeypatch.setitem(sys.modules, "own_models", module)
    own = ["--model", "own_models:small", "--epochs", "1", "--repeats", "1"]
    main(["bench", *own, "--ways", "steps"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "own_models:small: 1 epoch, batch 32"
    assert [line.split()[0] for line in lines[2:4]] == ["model.fit", "steps"]


def test_what_is_no_such_function_is_refused():
    message = (
        "`bench`: `--model` must be module:function, of a function that returns "
        "(compiled model, x, y). Received: math:no_such "
        "(module 'math' has no attribute 'no_such')."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bench.case_of("math:no_such", epochs=1)
