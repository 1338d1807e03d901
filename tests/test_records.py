import dataclasses
import json
import math
import re

import keras
import numpy as np
import pytest

from kerastrain.records import STOP_REASONS, History, as_history, lowest
from kerastrain.repeats import Repeats
from kerastrain.workflow import Trained

NAN, INF = math.nan, math.inf

RUN = History(
    history={"loss": [0.9, 0.5, 0.6], "val_loss": [0.8, 0.7, 0.9], "seconds": [1.5, 0.5, 1.0]},
    epoch=[0, 1, 2],
    monitor="val_loss",
    best_epoch=1,
    stopped_epoch=2,
    stop_reason="early_stopping",
    engine="steps: 150 batches a call",
    speed={0: "steps", 4: "compiled"},
    seed=42,
)


def a_history(length):
    """The loss falls until the seventh epoch and rises after it."""
    return History.of({"loss": [abs(epoch - 6) + 0.5 for epoch in range(length)]})


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def as_json(**changes):
    fields = {"format": "kerastrain.History", "version": 1, "history": {}, "epoch": [], **changes}
    return json.dumps(fields)


def load_error(path):
    with pytest.raises(ValueError, match=r"^`History\.load`") as error:
        History.load(path)
    return str(error.value)


def unreadable(path, why):
    return (
        "`History.load`: `path` must be a run directory, or a file of History.save (JSON) or "
        f"CSVLogger (CSV). Received: path='{path}' ({why})."
    )


# The record itself.


@pytest.mark.parametrize("path", [None, 3, ""])
@pytest.mark.parametrize("call", ["save", "load"])
def test_what_is_no_path_is_refused(path, call):
    with pytest.raises((TypeError, ValueError)) as error:
        getattr(RUN, call)(path)
    sentence = f"`History.{call}`: `path` must be a path. Received: path={path!r}."
    assert str(error.value) == sentence


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "h.json"
    with pytest.raises(ValueError, match="`path` must be a file") as error:
        RUN.save(path)
    assert str(error.value) == (
        "`History.save`: `path` must be a file that can be written. "
        f"Received: path='{path}' (File exists)."
    )


def test_a_run_directory_is_loaded_as_its_history(tmp_path, monkeypatch):
    RUN.save(tmp_path / "a" / "history.json")
    assert History.load(tmp_path / "a") == RUN
    monkeypatch.setenv("HOME", str(tmp_path))
    assert History.load("~/a") == RUN
    assert History.load(RUN.save("~/b.json")) == RUN


@pytest.mark.parametrize("columns", [None, {"loss": "abc"}, [0.5]])
def test_columns_are_lists_of_numbers(columns):
    with pytest.raises(TypeError) as error:
        History.of(columns)
    assert str(error.value) == (
        "`History.of`: `columns` must be a dict of lists of numbers. "
        f"Received: columns={columns!r}."
    )


def test_the_length_is_the_number_of_epochs_run():
    assert len(RUN) == 3
    assert len(History({}, [])) == 0


def test_the_best_row_has_every_column():
    assert RUN.best == {"loss": 0.5, "val_loss": 0.7, "seconds": 0.5}


def test_without_a_best_epoch_the_best_row_is_empty():
    assert History({"loss": [NAN]}, [0], "loss").best == {}


def test_the_best_row_is_found_where_the_epochs_start_late():
    history = History({"loss": [0.3, 0.2]}, [5, 6], "loss", best_epoch=6)
    assert history.best == {"loss": 0.2}


def test_the_seconds_of_all_epochs_are_added_up():
    assert RUN.seconds == 3.0
    assert History.of({"loss": [0.5]}).seconds == 0


def test_a_history_prints_in_one_line():
    assert repr(RUN) == "<History: 3 epochs, best_epoch=1 with val_loss=0.7, early_stopping>"
    assert repr(History({}, [])) == "<History: 0 epochs, finished>"


def test_a_history_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RUN.seed = 7


def test_columns_of_other_lengths_than_the_epochs_are_refused():
    with pytest.raises(ValueError, match="number per epoch") as error:
        History({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.7]}, [0, 1, 2])
    assert str(error.value) == (
        "`History`: `history` must hold one number per epoch (3) in each column. "
        "Received: lengths {'val_loss': 2}."
    )


@pytest.mark.parametrize("reason", STOP_REASONS)
def test_every_reason_to_stop_is_accepted(reason):
    assert History({}, [], stop_reason=reason).stop_reason == reason


def test_an_unknown_reason_to_stop_is_refused():
    with pytest.raises(ValueError, match="stop_reason") as error:
        History({}, [], stop_reason="bored")
    assert str(error.value) == (
        "`History`: `stop_reason` must be one of 'finished', 'early_stopping', 'time', 'nan', "
        "'interrupted', 'error', 'running'. Received: stop_reason='bored'."
    )


def test_a_best_epoch_that_was_not_run_is_refused():
    with pytest.raises(ValueError, match="best_epoch") as error:
        History({"loss": [0.5]}, [0], best_epoch=7)
    assert str(error.value) == (
        "`History`: `best_epoch` must be one of the epochs run. Received: best_epoch=7."
    )


# Columns alone.


def test_columns_alone_make_a_history_with_its_best_epoch():
    history = History.of({"loss": [0.9, 0.4, 0.3], "val_loss": [0.8, 0.6, 0.7]})
    assert (history.epoch, history.monitor, history.best_epoch) == ([0, 1, 2], "val_loss", 1)
    assert (history.stopped_epoch, history.stop_reason) == (None, "finished")


def test_without_validation_the_loss_decides():
    assert History.of({"accuracy": [0.5, 0.6], "loss": [0.9, 0.4]}).monitor == "loss"


def test_without_a_loss_nothing_decides():
    history = History.of({"accuracy": [0.5, 0.6]})
    assert (history.monitor, history.best_epoch) == (None, None)


def test_the_epochs_can_start_anywhere():
    history = History.of({"loss": [0.9, 0.4]}, epoch=[10, 11])
    assert (history.epoch, history.best_epoch) == ([10, 11], 11)


def test_numbers_of_numpy_become_python_floats():
    history = History.of({"loss": [np.float32(0.5), np.float64(0.25), 1]})
    assert history.history == {"loss": [0.5, 0.25, 1.0]}
    assert {type(value) for value in history.history["loss"]} == {float}


@pytest.mark.parametrize(
    ("values", "position"),
    [
        ([], None),
        ([NAN, INF, -INF], None),
        ([NAN, 0.4, 0.3, 0.5], 2),
        ([0.3, 0.3], 0),
        ([-INF, 2.0], 1),
    ],
)
def test_the_lowest_is_the_first_finite_one(values, position):
    assert lowest(values) == position


# JSON, both ways.


def test_a_saved_history_loads_as_it_was(tmp_path):
    path = RUN.save(tmp_path / "history.json")
    assert path == tmp_path / "history.json"
    assert History.load(path) == RUN
    assert History.load(str(path)) == RUN


def test_saving_makes_the_folder_and_leaves_nothing_else(tmp_path):
    RUN.save(tmp_path / "runs" / "first" / "history.json")
    assert [path.name for path in (tmp_path / "runs" / "first").iterdir()] == ["history.json"]


def test_an_empty_history_survives_the_file(tmp_path):
    assert History.load(History({}, []).save(tmp_path / "h.json")) == History({}, [])


def test_numbers_survive_the_file_to_the_last_digit(tmp_path):
    losses = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    loaded = History.load(History.of({"loss": losses}).save(tmp_path / "h.json"))
    assert [value.hex() for value in loaded.history["loss"]] == [v.hex() for v in losses]


def test_nan_and_infinity_survive_a_file_of_strict_json(tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    path = History.of({"loss": [NAN, INF, -INF, 0.5]}).save(tmp_path / "h.json")
    strict = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert strict["history"] == {"loss": ["NaN", "Infinity", "-Infinity", 0.5]}
    loaded = History.load(path)
    assert str(loaded.history["loss"]) == "[nan, inf, -inf, 0.5]"
    assert loaded.best_epoch == 3


def test_the_file_says_what_it_is(tmp_path):
    fields = json.loads(RUN.save(tmp_path / "h.json").read_text(encoding="utf-8"))
    assert (fields["format"], fields["version"]) == ("kerastrain.History", 1)
    assert fields["epoch"] == [0, 1, 2]


# Unreadable paths.


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "h.json"
    assert load_error(path) == unreadable(path, "No such file or directory")


def test_a_folder_is_refused(tmp_path):
    assert load_error(tmp_path) == (
        "`History.load`: `path` must be a run directory, which has a history.json. "
        f"Received: '{tmp_path}'."
    )


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "h.json"
    path.write_bytes(b"\x89HDF\xff\xfe")
    assert load_error(path) == unreadable(path, "not text")


def test_what_is_no_json_is_refused(tmp_path):
    path = write(tmp_path, "h.json", "loss,accuracy")
    why = "not JSON: Expecting value: line 1 column 1 (char 0)"
    assert load_error(path) == unreadable(path, why)


def test_a_truncated_file_is_refused(tmp_path):
    whole = RUN.save(tmp_path / "h.json").read_text(encoding="utf-8")
    path = write(tmp_path, "half.json", whole[: len(whole) // 2])
    sentence = load_error(path)
    assert sentence.startswith(unreadable(path, "not JSON: ").removesuffix(")."))
    assert sentence.endswith(").")


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"format": "keras.History", "version": 1}'])
def test_json_of_another_format_is_refused(tmp_path, text):
    path = write(tmp_path, "h.json", text)
    assert load_error(path) == unreadable(path, "no 'kerastrain.History' in it")


@pytest.mark.parametrize("version", [2, None])
def test_a_newer_version_is_refused(tmp_path, version):
    path = write(tmp_path, "h.json", as_json(version=version))
    why = f"version {version}, where this package reads 1"
    assert load_error(path) == unreadable(path, why)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"history": 3}, "'int' object has no attribute 'items'"),
        ({"history": {"loss": 3}}, "'int' object is not iterable"),
        ({"history": {"loss": ["low"]}}, "could not convert string to float: 'low'"),
        (
            {"history": {"loss": [0.5]}},
            "`History`: `history` must hold one number per epoch (0) in each column. "
            "Received: lengths {'loss': 1}.",
        ),
    ],
)
def test_fields_that_do_not_fit_are_refused(tmp_path, changes, why):
    path = write(tmp_path, "h.json", as_json(**changes))
    assert load_error(path) == unreadable(path, f"fields that don't fit: {why}")


def test_a_field_of_another_name_is_refused(tmp_path):
    path = write(tmp_path, "h.json", as_json(mood="good"))
    why = "History.__init__() got an unexpected keyword argument 'mood'"
    assert load_error(path) == unreadable(path, f"fields that don't fit: {why}")


# CSV.


def test_a_csv_of_keras_loads(tmp_path):
    path = write(tmp_path, "run.csv", "epoch,loss,val_loss\n0,0.9,0.8\n1,0.5,nan\n2,0.4,0.7\n")
    history = History.load(path)
    assert history.epoch == [0, 1, 2]
    assert history.history["loss"] == [0.9, 0.5, 0.4]
    assert str(history.history["val_loss"]) == "[0.8, nan, 0.7]"
    assert (history.monitor, history.best_epoch) == ("val_loss", 2)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no epochs in it"),
        ("epoch,loss\n", "no epochs in it"),
        ("epoch\n0\n1\n", "no epochs in it"),
        ("loss\n0.5\n", "columns that aren't CSVLogger's: 'epoch'"),
        ("epoch;loss\n0;0.5\n", "columns that aren't CSVLogger's: could not convert string to "),
        ("epoch,loss\n0,low\n", "columns that aren't CSVLogger's: could not convert string to "),
        ("epoch,loss\n0,0.5\n1\n", "columns that aren't CSVLogger's: float() argument must be "),
    ],
)
def test_a_csv_of_another_kind_is_refused(tmp_path, text, why):
    path = write(tmp_path, "run.csv", text)
    assert load_error(path).startswith(unreadable(path, why).removesuffix(")."))


# A table in a notebook.


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, []),
        (1, ["0"]),
        (12, ["0", "1", "2", "3", "4", "…", "6", "7", "8", "9", "10", "11"]),
        (500, ["0", "1", "2", "3", "4", "…", "6", "…", "495", "496", "497", "498", "499"]),
    ],
)
def test_the_table_shows_the_ends_and_the_best_epoch(length, shown):
    table = a_history(length)._repr_html_()
    rows = re.findall(r"<tr[^>]*><td[^>]*>(.*?)</td>", table)
    assert rows == shown


def test_the_best_row_of_the_table_is_bold():
    table = a_history(12)._repr_html_()
    assert re.findall(r"<tr ([^>]*)><td>(\d+)</td><td>(.*?)</td>", table) == [
        ('style="font-weight: bold"', "6", "0.5000")
    ]


def test_the_table_names_its_columns_and_says_how_the_run_went():
    table = RUN._repr_html_()
    names = ["epoch", "loss", "val_loss", "seconds"]
    assert re.findall("<th>(.*?)</th>", table) == names
    assert table.endswith(
        "<p>History: 3 epochs, best_epoch=1 with val_loss=0.7, early_stopping</p>"
    )


def test_a_table_without_columns_is_a_table():
    assert History({}, [])._repr_html_() == (
        "<table><thead><tr><th>epoch</th></tr></thead><tbody></tbody></table>"
        "<p>History: 0 epochs, finished</p>"
    )


def test_a_column_name_cannot_inject_markup():
    table = History.of({"<script>": [1.0]})._repr_html_()
    assert "<th>&lt;script&gt;</th>" in table
    assert "<script>" not in table


# Anything that holds a history.


def test_a_history_is_a_history():
    assert as_history(RUN, function="plot_history") is RUN


def test_a_dict_of_lists_is_a_history():
    assert as_history({"loss": [0.9, 0.5]}, function="plot_history").best_epoch == 1


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_path_to_json_is_a_history(tmp_path, kind):
    path = RUN.save(tmp_path / "history.json")
    assert as_history(kind(path), function="plot_history") == RUN


def test_a_path_to_a_csv_is_a_history(tmp_path):
    path = write(tmp_path, "run.csv", "epoch,loss\n0,0.9\n1,0.5\n")
    assert as_history(path, function="plot_history") == History.of({"loss": [0.9, 0.5]})


def test_the_history_of_keras_is_a_history():
    keras_history = keras.callbacks.History()
    keras_history.history = {"loss": [0.9, 0.5], "val_loss": [0.8, 0.9]}
    keras_history.epoch = [3, 4]
    history = as_history(keras_history, function="plot_history")
    assert (history.epoch, history.best_epoch) == ([3, 4], 3)
    assert history.history == keras_history.history


def test_a_history_of_keras_that_never_ran_is_empty():
    keras_history = keras.callbacks.History()
    keras_history.on_train_begin()
    assert as_history(keras_history, function="plot_history") == History({}, [])


def test_a_column_of_every_second_epoch_stands_where_it_was_measured():
    columns = {"loss": [0.9, 0.8, 0.7, 0.6, 0.5], "val_loss": [0.85, 0.75]}
    history = as_history(columns, function="plot_history")
    assert str(history.history["val_loss"]) == "[nan, 0.85, nan, 0.75, nan]"
    assert history.best_epoch == 3


def test_columns_that_no_frequency_explains_are_refused():
    with pytest.raises(ValueError, match="number per epoch") as error:
        as_history({"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.7]}, function="plot_history")
    assert str(error.value) == (
        "`History`: `history` must hold one number per epoch (3) in each column. "
        "Received: lengths {'val_loss': 2}."
    )


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (3, "3"),
        (None, "None"),
        ([0.9, 0.5], "[0.9, 0.5]"),
        ({"loss": 0.5}, "{'loss': 0.5}"),
        ({"loss": "low"}, "{'loss': 'low'}"),
    ],
)
def test_what_holds_no_history_is_refused(source, shown):
    with pytest.raises(TypeError) as error:
        as_history(source, function="plot_history")
    assert str(error.value) == (
        "`plot_history`: `histories` must be a History, Keras's History, a dict of lists of "
        f"numbers or a path to a saved one. Received: {shown}."
    )


def refusal(source):
    with pytest.raises(TypeError) as error:
        as_history(source, function="diagnose", argument="history")
    return str(error.value)


def test_what_build_and_fit_returns_is_taken_for_its_history():
    assert as_history(Trained(None, RUN), function="diagnose") is RUN
    assert refusal([RUN, RUN]).startswith(
        "`diagnose`: `history` must be given one by one, not in a list. Received: [<History: 3"
    )
    assert refusal(Repeats([RUN, RUN], "loss")).startswith(
        "`diagnose`: `history` must be one run, such as repeats.histories[0]. Received: <Repeats"
    )


def test_a_history_is_saved_as_json_and_says_so(tmp_path):
    with pytest.raises(ValueError, match="must end in") as error:
        History.of({"loss": [0.5]}).save(tmp_path / "run.csv")
    assert str(error.value) == (
        f'`History.save`: `path` must end in ".json": write "{tmp_path / "run.json"}". '
        f"Received: path='{tmp_path / 'run.csv'}'."
    )


def test_a_file_from_before_there_was_a_speed_in_it_still_loads(tmp_path):
    path = History.of({"loss": [0.5]}).save(tmp_path / "h.json")
    path.write_text(path.read_text().replace('"speed": {},', ""))
    assert History.load(path).speed == {}
