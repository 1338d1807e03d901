"""`build_and_fit(repeats=…)`: the same training with several seeds."""

import gc
import json
import random
import weakref

import keras
import numpy as np
import pytest
from small_models import assert_same_bits, measures

import kerastrain as ktr
from kerastrain import traces
from kerastrain._repeating import seeds_from

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
QUIET = {"verbose": 0, "speed": "steps", "validation_split": 0.25, "epochs": 2}


def several(repeats=3, seed=1, **arguments):
    return ktr.build_and_fit("dense", (X, Y), repeats=repeats, seed=seed, **{**QUIET, **arguments})


def refusal(kind=ValueError, **arguments):
    with pytest.raises(kind) as error:
        several(**arguments)
    return str(error.value)


def test_it_trains_with_other_seeds_the_first_of_which_is_given():
    found = several()
    assert isinstance(found, ktr.Repeats)
    assert (found.metric, found.seeds, len(set(found.seeds))) == ("val_loss", seeds_from(1, 3), 3)
    assert len(set(found.values)) == 3
    for seed, history in zip(found.seeds, found.histories, strict=True):
        alone = ktr.build_and_fit("dense", (X, Y), seed=seed, **QUIET)
        assert measures(alone.history) == measures(history)


@pytest.mark.parametrize("monitor, best", [("val_loss", min), ("val_accuracy", max)])
def test_the_model_is_that_of_the_best_run(monitor, best):
    found = several(monitor=monitor, epochs=4)
    assert found.values[found.best] == best(found.values)
    alone = ktr.build_and_fit(
        "dense", (X, Y), seed=found.seeds[found.best], **{**QUIET, "epochs": 4}, monitor=monitor
    )
    assert_same_bits(found.model.get_weights(), alone.model.get_weights())


def test_without_repeats_a_call_returns_what_it_did():
    assert isinstance(ktr.build_and_fit("dense", (X, Y), seed=1, **QUIET), ktr.Trained)
    assert len(several(repeats=1).histories) == 1


def test_the_other_models_are_let_go():
    models = []

    def builder():
        model = ktr.build("dense", input_shape=(4,), units=4, classes=3)
        models.append(weakref.ref(model))
        return model

    found = ktr.build_and_fit(builder, (X, Y), seed=1, repeats=4, **QUIET)
    gc.collect()
    alive = [reference() is not None for reference in models]
    assert alive == [number == found.best for number in range(4)]


def test_what_is_traced_for_the_first_run_serves_the_others(monkeypatch):
    monkeypatch.setattr(traces, "_kept", type(traces._kept)())
    traced = []
    trace = traces.Traces._borrowed_or_new

    def counted(self, key, *rest):
        traced.append(key in traces._kept)
        return trace(self, key, *rest)

    monkeypatch.setattr(traces.Traces, "_borrowed_or_new", counted)
    several(repeats=1, a_layer=keras.layers.Dropout(0.5))
    first = len(traced)
    assert not any(traced)
    several(a_layer=keras.layers.Dropout(0.5))
    assert all(traced[first:])
    assert len(traced) > first


def test_without_a_seed_one_is_drawn_and_noted_and_the_generators_stay():
    np.random.seed(3), random.seed(3)
    found = several(seed=None)
    assert found.seeds == seeds_from(found.seeds[0], 3)
    after = random.random(), np.random.rand()
    np.random.seed(3), random.seed(3)
    random.getrandbits(31)  # The seed that was drawn.
    assert random.random() == after[0]
    assert np.random.rand() == after[1]
    assert several(seed=None).seeds != found.seeds


def test_callbacks_are_copied_for_each():
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=9.0)
    found = several(callbacks=[stopper], epochs=4)
    assert [len(history) for history in found.histories] == [2, 2, 2]
    assert stopper.model is None


def test_each_run_has_a_folder_and_goes_on(tmp_path):
    run = tmp_path / "runs" / "a"
    first = several(run=run, seed=None, repeats=2)
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == sorted(
        f"seed-{seed}" for seed in first.seeds
    )
    again = several(run=run, seed=None, repeats=2)
    assert [h.history for h in again.histories] == [h.history for h in first.histories]
    more = several(run=run, seed=None, repeats=3, epochs=3)
    assert more.seeds[:2] == first.seeds
    assert [len(history) for history in more.histories] == [3] * 3
    for one, other in zip(more.histories[:2], first.histories, strict=True):
        assert one.history["loss"][:2] == other.history["loss"]


def test_their_folder_is_compared_as_one_choice(tmp_path):
    several(run=tmp_path / "dense", seed=1)
    (row,) = ktr.compare_runs(tmp_path / "dense").rows
    assert (row["run"], row["runs"]) == ("dense", 3)


def test_ctrl_c_leaves_the_runs_that_were_done():
    begun = []

    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            begun.append(1)
            if len(begun) == 3:
                raise KeyboardInterrupt

    found = several(callbacks=[Stop()], repeats=5)
    assert len(found.histories) == 2
    begun.pop()
    assert several(callbacks=[Stop()]).histories[0].stop_reason == "interrupted"


def test_a_line_says_which_it_is(capsys):
    several(verbose=2, repeats=2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("repeat")]
    assert lines == [f"repeat {n} of 2, seed {s}" for n, s in enumerate(seeds_from(1, 2), 1)]
    several(repeats=2)
    assert capsys.readouterr().out == ""


def test_what_cannot_be_repeated_is_refused(tmp_path):
    assert refusal(repeats=0) == (
        "`build_and_fit`: `repeats` must be at least 1. Received: repeats=0."
    )
    assert refusal(TypeError, repeats=2.5) == (
        "`build_and_fit`: `repeats` must be a whole number. Received: repeats=2.5."
    )
    assert refusal(TypeError, run=3) == (
        "`build_and_fit`: `run` must be the path of a folder. Received: run=3."
    )
    ktr.build_and_fit("dense", (X, Y), run=tmp_path / "one", **QUIET)
    assert refusal(run=tmp_path / "one") == (
        "`build_and_fit`: `run` must be another folder beside `repeats`, since it is that of one "
        f"run. Received: run='{tmp_path / 'one'}'."
    )


def test_another_seed_in_the_same_folder_is_refused(tmp_path):
    several(run=tmp_path, repeats=1, seed=1)
    assert refusal(run=tmp_path, seed=2) == (
        f"`build_and_fit`: `seed` must be 1, with which the runs in '{tmp_path}' began. "
        "Received: seed=2."
    )
    assert json.loads((tmp_path / "repeats.json").read_text(encoding="utf-8"))["seed"] == 1


def test_repeats_of_the_builders_own_are_its_parameter():
    def builder(repeats=1):
        return ktr.build("dense", input_shape=(4,), classes=3)

    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        ktr.build_and_fit(builder, (X, Y), repeats=2)
    assert str(error.value) == (
        "`build_and_fit`: `repeats` must be passed in `params`, as the builder's own: "
        "params={'repeats': 2}. Received: repeats=2."
    )


def test_who_calls_build_and_fit_himself_takes_no_repeats():
    with pytest.raises(ValueError, match="compare_batch_sizes") as error:
        ktr.compare_batch_sizes("dense", (X, Y), sizes=[8], epochs=1, repeats=2)
    assert str(error.value).endswith("Received: arguments='repeats'.")
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        ktr.prove_resume("dense", (X, Y), repeats=2)
    assert str(error.value) == (
        "`prove_resume`: `repeats` must be left out: two runs are held against each other. "
        "Received: repeats=2."
    )
