"""Runs held against each other: the table, what they differ in, the sentences, the picture."""

import base64
import dataclasses
import io
import json
import math
import shutil

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.comparison import Comparison, compare_runs
from kerastrain.records import History
from kerastrain.repeats import Repeats

ONE_EACH = (
    "One run each can't tell whether that is more than the noise over seeds: train each with "
    "several, as build_and_fit(..., repeats=5) does."
)
X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
CLASSES = (X[:, 0] > 0).astype(int)
MODEL = "Flatten, Dense(100, relu), {}Dense(10, softmax)"


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def a_run(best=0.5, *, seed=None, seconds=1.5, **settings):
    """Two epochs, of which the second is the best."""
    columns = {"loss": [0.9, 0.4], "val_loss": [0.9, best], "val_accuracy": [0.5, 1 - best]}
    history = History.of({**columns, "seconds": [seconds, seconds]})
    noted = settings and {"digests": {"model": "a", "data": "b"}, **settings}
    return dataclasses.replace(history, seed=seed, settings=noted)


def small_model(initializer="glorot_uniform", layer=None):
    layers = [keras.layers.Dense(2, "softmax", kernel_initializer=initializer)]
    model = keras.Sequential([keras.Input((4,)), *([layer] if layer else []), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def trained(seed, *, times=1, factor=None, rate=None, class_weight=None, **model):
    """A run of an epoch."""
    callbacks = [] if factor is None else [keras.callbacks.ReduceLROnPlateau("loss", factor)]
    callbacks += [] if rate is None else [keras.callbacks.LearningRateScheduler(rate)]
    told = {"callbacks": callbacks, "class_weight": class_weight, "speed": "plain", "verbose": 0}
    return ktr.fit(small_model(**model), X * times, CLASSES, seed=seed, **told)


def repeats(*values):
    runs = [a_run(value, seed=seed) for seed, value in enumerate(values)]
    return Repeats(runs, "val_loss", best=values.index(min(values)))


def said(*runs, **arguments):
    return compare_runs(*runs, **arguments).sentences


# The table.


def test_the_table_has_a_row_a_run_the_best_first():
    found = compare_runs(a_run(0.6), a_run(0.5, parameters=1000), labels=["a", "b"])
    assert found.metric == "val_loss"
    assert found.rows == [
        {
            "run": "b",
            "epochs": 2,
            "best epoch": 1,
            "val_loss": 0.5,
            "val_accuracy": 0.5,
            "seconds": 3.0,
            "parameters": 1000,
            "stop reason": "finished",
        },
        {
            "run": "a",
            "epochs": 2,
            "best epoch": 1,
            "val_loss": 0.6,
            "val_accuracy": 0.4,
            "seconds": 3.0,
            "parameters": None,
            "stop reason": "finished",
        },
    ]
    assert (found.labels, found.histories[0].best["val_loss"]) == (["b", "a"], 0.5)


def test_it_prints_as_a_table():
    found = compare_runs(
        a_run(0.6, batch_size=32), a_run(0.5, batch_size=64), labels=["small", "large"]
    )
    assert str(found).splitlines() == [
        "  run  epochs  best epoch  val_loss  val_accuracy  seconds  stop reason",
        "large       2           1    0.5000        0.5000      3.0     finished",
        "small       2           1    0.6000        0.4000      3.0     finished",
        "",
        "differs in  batch_size",
        "     large          64",
        "     small          32",
        "",
        "'large' is best: val_loss 0.5, 0.1 lower than 'small' with 0.6.",
        "One run each can't tell whether that is more than the noise over seeds: train each with "
        "several, as",
        "build_and_fit(..., repeats=5) does.",
    ]


@pytest.mark.parametrize("metric", ["val_accuracy", "val_acc"])
def test_of_a_metric_that_rises_the_highest_is_best(metric):
    old = {"loss": [0.9, 0.5], "val_acc": [0.5, 0.75]}
    found = compare_runs(a_run(0.5), old, labels=["new", "old"], metric=metric)
    assert [(row["run"], row["val_accuracy"]) for row in found.rows] == [
        ("old", 0.75),
        ("new", 0.5),
    ]
    assert found.sentences[0] == (
        "'old' is best: val_accuracy 0.75, 0.25 higher than 'new' with 0.5."
    )


@pytest.mark.parametrize("mode, first", [("max", 0.75), ("min", 0.5)])
def test_of_a_metric_whose_name_tells_nothing_the_runs_tell_what_is_better(mode, first):
    runs = [
        History({"score": [0.25, value]}, [0, 1], "score", 1, settings={"mode": mode})
        for value in (0.5, 0.75)
    ]
    assert compare_runs(*runs).rows[0]["score"] == first
    bests = [0 if mode == "min" else 1 for _ in runs]
    guessed = [
        dataclasses.replace(run, settings={}, best_epoch=best)
        for run, best in zip(runs, bests, strict=True)
    ]
    assert compare_runs(*guessed).rows[0]["score"] == (0.75 if mode == "max" else 0.25)


def test_a_run_counts_with_the_value_at_its_own_best_epoch():
    """Whose weights it has left, though another epoch was more accurate."""
    run = History.of({"val_loss": [0.5, 0.6], "val_accuracy": [0.7, 0.9]})
    assert compare_runs(run, metric="val_accuracy").rows[0]["val_accuracy"] == 0.7


def test_a_run_without_a_best_epoch_counts_with_the_best_of_the_metric():
    assert compare_runs({"accuracy": [0.5, 0.75, 0.5]}).rows[0]["accuracy"] == 0.75


# What is compared.


@pytest.mark.parametrize("kind", ["ours", "keras", "dict", "json", "csv", "run", "folder"])
def test_runs_come_in_any_form(kind, tmp_path):
    ours = History.of({"loss": [0.9, 0.5]})
    theirs = keras.callbacks.History()
    theirs.history, theirs.epoch = {"loss": [0.9, 0.5]}, [0, 1]
    (tmp_path / "runs" / "a").mkdir(parents=True)
    ours.save(tmp_path / "runs" / "a" / "history.json")
    csv = tmp_path / "log.csv"
    csv.write_text("epoch,loss\n0,0.9\n1,0.5\n", encoding="utf-8")
    source = {
        "ours": ours,
        "keras": theirs,
        "dict": {"loss": [0.9, 0.5]},
        "json": ours.save(tmp_path / "history.json"),
        "csv": csv,
        "run": tmp_path / "runs" / "a",
        "folder": str(tmp_path / "runs"),
    }[kind]
    assert compare_runs(source, {"loss": [0.75]}).rows[0]["loss"] == 0.5


def test_a_folder_of_runs_is_compared_by_name(tmp_path):
    for name, best in (("plain", 0.6), ("dropout", 0.5)):
        (tmp_path / name).mkdir()
        a_run(best).save(tmp_path / name / "history.json")
    assert [row["run"] for row in compare_runs(tmp_path).rows] == ["dropout", "plain"]


def test_repeats_are_one_row_with_mean_and_spread():
    found = compare_runs(repeats(0.30, 0.31, 0.32), a_run(0.5), labels=["many", "one"])
    first, second = found.rows
    assert (first["runs"], second["runs"]) == (3, 1)
    assert first["val_loss"] == pytest.approx(0.31)
    assert first["spread"] == pytest.approx(0.01)
    assert second["spread"] is None
    assert str(found).splitlines()[1].split()[:7] == [
        *("many", "3", "2", "1", "0.310", "±", "0.010")
    ]
    assert found.labels == ["many", "many", "many", "one"]


def test_runs_that_differ_in_nothing_but_the_seed_are_taken_together(tmp_path):
    for name, seed, units in (("d-seed-1", 1, 9), ("d-seed-2", 2, 9), ("e", 1, 8), ("f", 2, 7)):
        (tmp_path / name).mkdir()
        a_run(0.5, seed=seed, units=units).save(tmp_path / name / "history.json")
    found = compare_runs(tmp_path)
    assert sorted((row["run"], row["runs"]) for row in found.rows) == [
        ("d", 2),
        ("e", 1),
        ("f", 1),
    ]
    by_seeds = compare_runs(*[a_run(units=9, seed=seed) for seed in (1, 2)])
    assert by_seeds.rows[0]["run"] == "run 1 and 1 more"


@pytest.mark.parametrize(
    "one, other",
    [
        (a_run(seed=1, units=9), a_run(seed=1, units=9)),
        (a_run(seed=1), a_run(seed=2)),
        (a_run(units=9), a_run(units=9)),
        (a_run(seed=1, units=9), a_run(seed=2, units=8)),
        (a_run(seed=1, units=9), a_run(seed=2, units=9, digests={"model": None, "data": "b"})),
        (
            a_run(seed=1, units=9),
            dataclasses.replace(a_run(seed=2, units=9), stop_reason="interrupted"),
        ),
    ],
    ids=["one seed", "no settings", "no seeds", "other settings", "untold", "broken off"],
)
def test_others_stay_apart(one, other):
    assert len(compare_runs(one, other).rows) == 2


def test_runs_with_labels_of_their_own_stay_apart_and_are_called_noise():
    runs = [a_run(0.5, seed=1, units=9), a_run(0.6, seed=2, units=9)]
    assert said(*runs, labels=["a", "b"]) == [
        "'a' is best: val_loss 0.5, 0.1 lower than 'b' with 0.6.",
        "They differ in nothing but the seed: the difference is noise.",
    ]
    assert len(compare_runs(*runs, labels=["a", "a"]).rows) == 1


@pytest.mark.parametrize(
    "one, other, told",
    [
        ({}, {"initializer": "he_normal"}, "layers' settings"),
        ({}, {"times": 100}, "values of the data"),
        ({}, {"layer": keras.layers.BatchNormalization(momentum=0.5)}, "model"),
        (
            {"layer": keras.layers.BatchNormalization()},
            {"layer": keras.layers.BatchNormalization(momentum=0.5)},
            "layers' settings",
        ),
        ({"factor": 0.1}, {"factor": 0.9}, "callbacks' settings"),
        ({"rate": lambda epoch: 0.1}, {"rate": lambda epoch: 0.01}, "callbacks' settings"),
        ({"class_weight": dict.fromkeys(range(25), 2.0)}, {}, "class_weight"),
        (
            {"class_weight": dict.fromkeys(range(25), 2.0)},
            {"class_weight": dict.fromkeys(range(25), 3.0)},
            "long arguments",
        ),
    ],
    ids=[
        *("initializer", "data", "layer", "momentum", "factor", "function", "weights"),
        "other weights",
    ],
)
def test_only_runs_that_differ_in_nothing_but_the_seed_are_one(one, other, told):
    found = compare_runs(trained(1, **one), trained(2, **one), trained(3, **other))
    assert sorted(row["runs"] for row in found.rows) == [1, 2]
    assert told in found.differences
    if told in ("layers' settings", "values of the data", "callbacks' settings", "long arguments"):
        assert sorted(found.differences[told]) == ["set 1", "set 2"]


def test_a_run_that_goes_on_with_a_trained_model_is_another():
    model = small_model()
    runs = [ktr.fit(model, X, CLASSES, seed=seed, epochs=1, verbose=0) for seed in (1, 2)]
    assert len(compare_runs(*runs).rows) == 2


def test_runs_with_a_function_that_cannot_be_told_apart_stay_apart():
    def mine(x):
        return x

    runs = [trained(seed, layer=keras.layers.Activation(mine)) for seed in (1, 2)]
    found = compare_runs(*runs)
    assert found.differences["layers' settings"] == ["unknown", "unknown"]


def test_two_choices_of_one_name_are_told_apart(tmp_path):
    for number, units in enumerate((9, 9, 8, 8), 1):
        (tmp_path / f"dense{number}").mkdir()
        run = a_run(0.5 + number / 100, seed=number, units=units)
        run.save(tmp_path / f"dense{number}" / "history.json")
    names = [row["run"] for row in compare_runs(tmp_path).rows]
    assert names == ["dense1 and 1 more", "dense3 and 1 more"]


def test_a_folder_of_repeats_within_a_folder_is_one_row(tmp_path):
    """Also where they can't be shown to be alike, but for one that was broken off."""
    broken_off = dataclasses.replace(a_run(0.1, seed=3), stop_reason="interrupted")
    runs = {"a": a_run(0.6), "b/seed-1": a_run(0.5, seed=1), "b/seed-2": a_run(0.52, seed=2)}
    for name, run in {**runs, "b/seed-3": broken_off}.items():
        (tmp_path / name).mkdir(parents=True)
        run.save(tmp_path / name / "history.json")
    (tmp_path / "b" / "repeats.json").write_text("{}", encoding="utf-8")
    rows = {row["run"]: row["runs"] for row in compare_runs(tmp_path).rows}
    assert rows == {"seed-3": 1, "b": 2, "a": 1}
    assert compare_runs(tmp_path, labels=["x", "y", "z"]).rows[1]["run"] == "y"


def test_in_a_folder_a_run_that_cannot_be_read_is_named_and_left_out(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        a_run(0.5).save(tmp_path / name / "history.json")
    (tmp_path / "a" / "history.json").write_text('{"format"', encoding="utf-8")
    (tmp_path / "b" / "history.json").rename(tmp_path / "b" / "run.json")
    found = compare_runs(tmp_path)
    assert [row["run"] for row in found.rows] == ["c"]
    assert found.sentences == [
        "'c' is alone: val_loss 0.5.",
        "'a' can't be read: not JSON: Expecting ':' delimiter: line 1 column 10 (char 9).",
        "'b' can't be read: No such file or directory.",
    ]
    with pytest.raises(ValueError, match=r"^`compare_runs`: `runs` must be a run directory, or"):
        compare_runs(tmp_path / "a", tmp_path / "c")
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(ValueError, match=r"^`compare_runs`: `runs` must be a run directory, or"):
        compare_runs(tmp_path)


def test_a_run_that_still_trains_is_said_to_be_that(tmp_path):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(compare_runs(run))

    run, rest = tmp_path / "run", {"epochs": 2, "save_every": 0, "verbose": 0, "speed": "plain"}
    ktr.fit(small_model(), X, CLASSES, run=run, callbacks=Look(), **rest)
    assert [found.rows[0]["stop reason"] for found in seen] == ["running", "running"]
    assert seen[0].sentences[-1] == "'run' has no epochs yet."
    assert "'run' is still training." in seen[1].sentences
    assert compare_runs(run).rows[0]["stop reason"] == "finished"


# What they differ in.


def test_only_settings_that_are_not_the_same_in_all_are_told():
    found = compare_runs(
        a_run(0.5, loss="mse", batch_size=32, patience=2),
        a_run(0.6, loss="mse", batch_size=64),
        a_run(0.7),
    )
    assert found.differences == {"batch_size": [32, 64, "?"], "patience": [2, None, "?"]}
    assert compare_runs(a_run(0.5, loss="mse"), {"loss": [0.5]}).differences == {}


def test_the_seed_is_told_where_runs_are_not_taken_together():
    found = compare_runs(a_run(0.5, seed=1, units=9), a_run(0.6, seed=2, units=8))
    assert found.differences == {"units": [9, 8], "seed": [1, 2]}
    large = compare_runs(a_run(0.5, seed=10**9, rate=0.1 + 0.2), a_run(0.6, seed=2, rate=0.1))
    assert str(large).splitlines()[5].split() == ["run", "1", "0.3", "1000000000"]


def test_of_models_the_layers_that_differ_are_shown():
    found = compare_runs(
        a_run(0.5, model=MODEL.format("Dropout(0.3), ")),
        a_run(0.6, model=MODEL.format("")),
        a_run(0.7),
    )
    assert found.differences["model"][1] == "Flatten, Dense(100, relu), Dense(10, softmax)"
    lines = str(found).splitlines()[5:9]
    assert [line.split()[-1] for line in lines] == ["model", "Dropout(0.3)", "-", "?"]


# Which is best, and whether that is noise.


def test_one_run_each_cannot_tell():
    assert said(a_run(0.5), a_run(0.6), labels=["a", "b"])[1] == ONE_EACH
    assert said(a_run(0.5), a_run(0.6), a_run(0.7))[1].startswith("One run of each can't tell")


def test_a_difference_beyond_the_noise_is_said_to_be_that():
    assert said(repeats(0.30, 0.31, 0.32), repeats(0.40, 0.41, 0.42), labels=["a", "b"]) == [
        "'a' is best: val_loss 0.310 ± 0.010 over 3 seeds, 0.1 lower than 'b' with 0.410 ± 0.010.",
        "That is more than the noise over seeds (p < 0.001, Welch's t-test).",
    ]


def test_a_difference_within_the_noise_is_said_to_be_that():
    assert said(repeats(0.30, 0.31, 0.32), repeats(0.305, 0.315, 0.325), labels=["a", "b"])[1] == (
        "That is within the noise over seeds (p = 0.57, Welch's t-test), and shows neither to be "
        "better."
    )


@pytest.mark.parametrize("value, is_more", [(0.34, False), (0.40, True)])
def test_a_single_run_is_held_against_the_scatter_of_those_that_are_repeated(value, is_more):
    sentence = said(repeats(0.30, 0.31, 0.32), a_run(value))[1]
    assert ("more than" in sentence) == is_more
    assert "if single runs scatter as the repeated ones do" in sentence


def test_equals_are_said_to_be_that():
    assert said(a_run(0.5), a_run(0.5), labels=["a", "b"]) == [
        "'a' and 'b' are equally good: val_loss 0.5."
    ]
    assert said(*[a_run(0.5)] * 3, labels=list("abc"))[0].startswith("'a', 'b' and 'c' are equally")
    assert said(*[a_run(0.5)] * 9, labels=list("abcdefghi"))[0].startswith("'a' and 8 more are eq")


def test_one_choice_alone_has_its_scatter_told():
    assert said(repeats(0.30, 0.31, 0.32), labels=["a"]) == [
        "'a' is alone: val_loss 0.310 ± 0.010 over 3 seeds."
    ]


# What to be careful with.


def test_a_run_without_validation_beside_one_with_cannot_be_ranked():
    found = compare_runs({"loss": [0.4]}, a_run(0.5), a_run(0.6), labels=["blind", "a", "b"])
    assert [row["run"] for row in found.rows] == ["a", "b", "blind"]
    assert found.sentences[-1] == (
        "'blind' has no val_loss, and can't be ranked: `metric='loss'` compares by what all have."
    )
    assert str(found).splitlines()[3].split() == [*("blind", "1", "0"), *"---", "finished"]


def test_training_figures_are_said_to_tell_nothing_of_new_rows():
    assert said({"loss": [0.4]}, {"loss": [0.5]})[-1] == (
        "The loss is that of the rows trained on, and doesn't tell which does better on new ones."
    )


def test_a_run_lost_to_nan_stands_at_the_end():
    found = compare_runs({"val_loss": [math.nan]}, a_run(0.5), a_run(0.6), labels=["x", "a", "b"])
    assert [row["run"] for row in found.rows] == ["a", "b", "x"]
    assert found.sentences[-1] == "'x' has no finite val_loss, and can't be ranked."


def test_runs_that_are_all_lost_are_said_to_be_that():
    assert said({"loss": [math.nan]}, {"loss": [math.inf]})[0] == (
        "Nothing can be compared: no run has a finite loss."
    )


def test_a_run_that_has_just_begun_is_waited_for():
    found = compare_runs(History({}, []), a_run(0.5), a_run(0.6), labels=["new", "a", "b"])
    assert found.sentences[-1] == "'new' has no epochs yet."
    assert len(found.plot()[0].get_lines()) == 6
    assert "<img" in found._repr_html_()


def test_other_monitors_are_named():
    other = dataclasses.replace(a_run(0.6), monitor="val_accuracy")
    assert said(a_run(0.5), a_run(0.55), other)[-1] == (
        "Their best epochs were chosen by different monitors (val_accuracy, val_loss); each counts "
        "with its val_loss at its own best epoch."
    )


def test_other_validation_rows_are_named():
    runs = [a_run(0.5, validation_rows=1000), a_run(0.6, validation_rows=2000)]
    assert said(*runs)[-1] == ("They were validated on different numbers of rows (1,000, 2,000).")


def test_a_model_that_is_not_that_of_the_best_epoch_is_named():
    run = History({"val_loss": [0.5, 0.6]}, [0, 1], "val_loss", 0, settings={"restore_best": False})
    assert said(run, a_run(0.55), labels=["a", "b"])[-1] == (
        "'a' counts with its best epoch's val_loss, but its model is the last epoch's "
        "(restore_best=False)."
    )
    assert "restore_best" not in said(dataclasses.replace(run, best_epoch=1), a_run(0.55))[-1]


def test_a_repeat_that_was_lost_is_counted():
    nan = History.of({"val_loss": [math.nan]})
    lost = Repeats([a_run(0.3, seed=1), nan], "val_loss", best=0)
    assert (
        said(lost, a_run(0.5), labels=["a", "b"])[-1] == "1 of 2 runs of 'a' came to no val_loss."
    )


def test_many_names_are_cut_short():
    lost = [{"val_loss": [math.nan]}] * 6
    assert said(a_run(0.5), *lost)[-1] == (
        "'run 2', 'run 3', 'run 4' and 3 more have no finite val_loss, and can't be ranked."
    )


# The picture.


def test_it_draws_all_runs_over_each_other():
    found = compare_runs(a_run(0.6), a_run(0.5), labels=["a", "b"])
    loss, accuracy = found.plot()
    assert [line.get_label() for line in loss.get_lines()][:2] == ["b, training", "b, validation"]
    assert accuracy.get_ylabel() == "accuracy"
    (only,) = found.plot(metrics="loss", smooth=0.5, labels=["x", "y"])
    assert [text.get_text() for text in only.figure.legends[0].get_texts()][:2] == ["x", "y"]


def test_a_notebook_shows_the_picture_above_the_tables():
    found = compare_runs(a_run(0.6, units=8), a_run(0.5, units=9), labels=["<a>", "b"])
    shown = found._repr_html_()
    picture = shown.split("base64,")[1].split('"')[0]
    image = matplotlib.image.imread(io.BytesIO(base64.b64decode(picture)), format="png")
    assert image.shape[0] > 300
    assert image.shape[1] > 900
    assert np.ptp(image[..., :3]) == 1
    assert plt.get_fignums() == []
    assert shown.index("<img") < shown.index("<table") < shown.index("differs in")
    assert "<a>" not in shown
    assert "&lt;a&gt;" in shown
    assert '<tr style="font-weight: bold"><td>b</td>' in shown
    assert "color" not in shown  # The notebook's own are readable, light or dark.


def test_without_an_epoch_there_is_no_picture():
    assert "<img" not in compare_runs(History({}, []))._repr_html_()


@pytest.mark.parametrize(
    "runs",
    [
        [{"loss": [0.5]}],
        [{"loss": [0.5, math.nan]}, {"accuracy": [0.5]}],
        [History({}, []), History({}, [])],
        [{"learning_rate": [0.1]}],
        [History.of({"loss": [0.5] * 5000})] * 40,
    ],
    ids=["one epoch", "nothing in common", "no epochs", "no measure", "forty"],
)
def test_nothing_fails(runs):
    found = compare_runs(*runs)
    assert isinstance(found, Comparison)
    assert str(found)
    assert found._repr_html_()
    assert json.dumps(found.rows)
    assert found.sentences


# What is refused.


@pytest.mark.parametrize(
    "runs, arguments, kind, sentence",
    [
        ([], {}, ValueError, "`runs` must hold at least one run. Received: runs=()."),
        (
            [3],
            {},
            TypeError,
            "`runs` must be a History, Keras's History, a dict of lists of numbers or a path to a "
            "saved one. Received: 3.",
        ),
        (
            [{"loss": [0.5]}],
            {"labels": ["a", "b"]},
            ValueError,
            "`labels` must be a list of one label per run (1). Received: labels=['a', 'b'].",
        ),
        (
            [{"loss": [0.5], "seconds": [1.0]}, {"accuracy": [0.5]}],
            {"metric": "acuracy"},
            ValueError,
            "`metric` must be one of 'loss', 'accuracy' (did you mean 'accuracy'?). "
            "Received: metric='acuracy'.",
        ),
        (
            [{"loss": [0.5]}],
            {"metric": 3},
            TypeError,
            "`metric` must be one of 'loss'. Received: metric=3.",
        ),
        (
            ["nowhere.json"],
            {},
            ValueError,
            "`runs` must be a run directory, or a file of History.save (JSON) or CSVLogger "
            "(CSV). Received: path='nowhere.json' (No such file or directory).",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, arguments, kind, sentence):
    with pytest.raises(kind) as error:
        compare_runs(*runs, **arguments)
    assert str(error.value) == f"`compare_runs`: {sentence}"
