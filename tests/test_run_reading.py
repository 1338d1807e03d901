"""Histories read from wherever they are: which are one choice, and what they are called."""

import dataclasses

import pytest

from kerastrain._run_reading import found_in, names_of, names_of_runs
from kerastrain.records import History
from kerastrain.repeats import Repeats

RUN = History.of({"loss": [0.9, 0.5]})
SEVERAL = Repeats([dataclasses.replace(RUN, seed=seed) for seed in (3, None)], "loss")


def read(*sources):
    return found_in(sources, function="report", argument="runs")


def test_repeats_are_one_choice_and_every_run_has_its_name():
    found = read(RUN, SEVERAL)
    names = names_of(found.choices, None, function="report")
    assert (len(found.choices), len(found.histories), len(found.sources)) == (2, 3, 3)
    assert names_of_runs(found.choices, names) == ["run 1", "run 2, seed 3", "run 2, run 2"]


def test_labels_are_one_a_choice():
    found = read(RUN, SEVERAL)
    assert names_of(found.choices, ["a", "b"], function="report") == ["a", "b"]
    with pytest.raises(ValueError, match="labels") as error:
        names_of(found.choices, ["a", "b", "c"], function="report")
    assert str(error.value) == (
        "`report`: `labels` must be a list of one label per run (2). "
        "Received: labels=['a', 'b', 'c']."
    )


def test_what_was_passed_itself_has_to_be_readable(tmp_path):
    with pytest.raises(ValueError, match="runs") as error:
        read(RUN, tmp_path / "nowhere.json")
    assert str(error.value) == (
        "`report`: `runs` must be a run directory, or a file of History.save (JSON) or "
        f"CSVLogger (CSV). Received: path='{tmp_path / 'nowhere.json'}' "
        "(No such file or directory)."
    )
