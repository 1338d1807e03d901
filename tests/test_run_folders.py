"""Run directories and folders of them, where histories are read."""

import dataclasses
import os
import pathlib

import keras
import pytest
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain._run_folders import labels_for, listed, one_by_one
from kerastrain._run_lock import RunLock
from kerastrain.records import as_history

HISTORY = ktr.History.of({"loss": [0.9, 0.5]})


def a_run(folder, name, history=HISTORY):
    (folder / name).mkdir(parents=True)
    history.save(folder / name / "history.json")
    return folder / name


def labels(axes):
    return [text.get_text() for text in axes[0].figure.legends[0].get_texts()]


def refusal(function):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        function()
    return str(error.value)


def test_a_run_directory_is_read_by_its_history(tmp_path):
    run = a_run(tmp_path, "a")
    assert as_history(run, function="plot_history") == HISTORY
    assert as_history(str(run), function="plot_history") == HISTORY
    (line, *_) = ktr.plot_history(run)[0].get_lines()
    assert list(line.get_ydata()) == [0.9, 0.5]


def test_a_run_can_be_read_while_it_trains(tmp_path):
    run, seen = tmp_path / "a", []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(len(as_history(run, function="plot_history")))

    ktr.fit(made(), X, Y, epochs=3, run=run, save_every=0, callbacks=Look(), verbose=0)
    assert seen == [0, 1, 2]


def test_a_folder_of_runs_is_several_sorted_by_name(tmp_path):
    for name in ("lr_0.2", "lr_0.1"):
        a_run(tmp_path, name)
    a_run(tmp_path / "deeper", "c")
    a_run(tmp_path / "deeper" / "still", "d")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert one_by_one([tmp_path], function="plot_history", argument="histories") == [
        tmp_path / "lr_0.1",
        tmp_path / "lr_0.2",
        tmp_path / "deeper" / "c",
    ]
    assert labels(ktr.plot_history(tmp_path))[:3] == ["lr_0.1", "lr_0.2", "c"]


@pytest.mark.parametrize("asked", ["", "rep"])
def test_a_folder_of_repeats_is_one_choice(asked, tmp_path):
    a_run(tmp_path, "alone")
    runs = [a_run(tmp_path / "rep", f"seed-{seed}") for seed in (1, 2)]
    (tmp_path / "rep" / "repeats.json").write_text("{}", encoding="utf-8")
    found = listed([tmp_path / asked], function="compare_runs", argument="runs")
    assert [(one.source.name, len(one.runs)) for one in found] == (
        [("rep", 2)] if asked else [("alone", 1), ("rep", 2)]
    )
    assert found[-1].runs == runs


def test_a_run_that_somebody_trains_is_running_and_not_broken_off(tmp_path):
    broken_off = dataclasses.replace(HISTORY, stop_reason="interrupted", stopped_epoch=1)
    run = a_run(tmp_path, "a", broken_off)
    assert as_history(run, function="report") == broken_off
    with RunLock(run):
        running = as_history(run, function="report")
        assert (running.stop_reason, running.stopped_epoch) == ("running", None)
        assert as_history(a_run(tmp_path, "b"), function="report") == HISTORY
    assert as_history(run, function="report") == broken_off


def test_in_a_folder_a_run_that_cannot_be_read_is_warned_of_and_left_out(tmp_path):
    for name in "abc":
        a_run(tmp_path, name)
    (tmp_path / "b" / "history.json").write_text("{", encoding="utf-8")
    why = "'b' can't be read: not JSON: Expecting property name"
    with pytest.warns(UserWarning, match=why) as warned:
        axes = ktr.plot_history(tmp_path)
    assert labels(axes)[:2] == ["a", "c"]
    assert warned[0].filename == __file__


def test_in_a_folder_a_run_that_has_just_begun_waits_its_turn(tmp_path):
    a_run(tmp_path, "a"), a_run(tmp_path, "b", ktr.History({}, [])), a_run(tmp_path, "c")
    assert labels(ktr.plot_history(tmp_path))[:2] == ["a", "c"]
    assert labels(ktr.plot_history(tmp_path, labels=["x", "y", "z"]))[:2] == ["x", "z"]
    assert refusal(lambda: ktr.plot_history(tmp_path / "b")) == (
        "`plot_history`: `histories` must each hold at least one epoch of one column. "
        "Received: histories[0]=<History: 0 epochs, finished>."
    )


def test_a_folder_without_a_run_is_refused(tmp_path):
    assert refusal(lambda: ktr.plot_history(tmp_path)) == (
        "`plot_history`: `histories` must be a run directory, which has a history.json, or a "
        f"folder of some. Received: '{tmp_path}'."
    )
    assert refusal(lambda: as_history(tmp_path, function="diagnose", argument="history")) == (
        "`diagnose`: `history` must be a run directory, which has a history.json. "
        f"Received: '{tmp_path}'."
    )


def test_several_runs_are_refused_where_one_is_read(tmp_path):
    a_run(tmp_path, "a")
    assert refusal(lambda: as_history(tmp_path, function="diagnose", argument="history")) == (
        "`diagnose`: `history` must be a run directory, which has a history.json and not several. "
        f"Received: '{tmp_path}'."
    )


def test_a_run_directory_without_its_history_is_said_to_be_that(tmp_path):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    path = tmp_path / "history.json"
    assert refusal(lambda: ktr.plot_history(tmp_path)) == (
        "`plot_history`: `histories` must be a run directory, or a file of History.save (JSON) or "
        f"CSVLogger (CSV). Received: path='{path}' (No such file or directory)."
    )


def test_the_home_folder_has_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    a_run(tmp_path, "a")
    assert as_history("~/a", function="plot_history") == HISTORY


@pytest.mark.parametrize(
    "names, expected",
    [
        (["x/seed-1", "x/seed-2"], ["seed-1", "seed-2"]),
        (["x/best", "y/best"], ["x", "y"]),
        (["x/seed-1", "y/seed-1", "y/seed-2"], ["x/seed-1", "y/seed-1", "y/seed-2"]),
    ],
)
def test_runs_are_called_by_the_shortest_part_of_their_paths(names, expected, tmp_path):
    for name in names:
        a_run(tmp_path, name)
    assert labels_for([pathlib.Path(tmp_path, name) for name in names]) == expected
