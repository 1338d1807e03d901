"""The records of a search are numbers, survive a file, rank their trials and read well."""

import dataclasses
import json
import math
import threading

import numpy as np
import pytest

from kerastrain.records import History
from kerastrain.search_records import SearchResult, Trial, is_plain, plain, text_of

NAN, INF = math.nan, math.inf


def a_history(epochs=2):
    return History.of({"loss": [0.5] * epochs, "val_loss": [0.6] * epochs})


def a_trial(number, value=NAN, state="complete", **params):
    return Trial(number, params, state, value)


def a_result(*trials, mode="min", metric="val_loss", **fields):
    return SearchResult(list(trials), metric, mode, **fields)


def of_values(*values, mode="min"):
    return a_result(*(a_trial(number, value) for number, value in enumerate(values)), mode=mode)


def numbers_of(trials):
    return [trial.number for trial in trials]


def reloaded(result, tmp_path):
    return SearchResult.load(result.save(tmp_path / "search.json"))


WHOLE = a_result(
    Trial(
        0,
        {"units": 64, "rate": 0.1 + 0.2, "optimizer": "adam", "bias": True, "layer": None},
        "complete",
        0.31,
        seed=7,
        seconds=1.5,
        histories=[
            History(
                {"loss": [0.9, NAN, INF], "val_loss": [0.5, 0.31, -INF]},
                [0, 1, 2],
                "val_loss",
                1,
                2,
                "early_stopping",
                "compiled",
                {0: "plain", 1: "compiled"},
                7,
            ),
            a_history(),
        ],
    ),
    Trial(1, {"units": 16}, "pruned", 0.6, 8, 0.5, "behind half of the trials", [a_history(1)]),
    Trial(2, {}, "failed", 0.0, 9, 0.1, "ValueError: units"),
    mode="min",
    settings={"sampler": "tpe", "folds": 3, "fit": {"epochs": 20, "patience": None}},
    importance={"units": 0.75, "rate": 0.25},
    stop_reason="timeout",
    seconds=2.25,
    tested={"loss": 0.33},
)

# What a search found.


def test_the_best_is_the_complete_trial_with_the_best_value():
    trials = [
        a_trial(0, 0.5, units=16),
        a_trial(1, 0.1, "pruned", units=32),
        a_trial(2, 0.3, units=64),
        a_trial(3, 0.7, units=128),
    ]
    low, high = a_result(*trials), a_result(*trials, mode="max")
    assert (low.best, low.best_params, low.best_value) == (trials[2], {"units": 64}, 0.3)
    assert (high.best, high.best_params, high.best_value) == (trials[3], {"units": 128}, 0.7)


def test_what_was_found_belongs_to_the_caller():
    result = a_result(a_trial(0, 0.5, units=16), tested={"loss": 0.3})
    result.best_params["units"] = 0
    result.test["loss"] = 0
    assert (result.best_params, result.test) == ({"units": 16}, {"loss": 0.3})


@pytest.mark.parametrize("mode", ["min", "max"])
def test_of_equals_the_earliest_is_the_best(mode):
    result = a_result(a_trial(4, 0.5), a_trial(2, 0.5), a_trial(3, 0.5), mode=mode)
    assert numbers_of(result.ranked) == [2, 3, 4]


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [a_trial(0, 0.2, "pruned"), a_trial(1, state="failed")],
        [a_trial(0, NAN), a_trial(1, INF), a_trial(2, -INF)],
    ],
)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_without_a_complete_trial_with_a_finite_value_there_is_no_best(trials, mode):
    result = a_result(*trials, mode=mode)
    assert (result.best, result.best_params, result.best_value) == (None, {}, None)


@pytest.mark.parametrize(
    "mode, order",
    [("min", [3, 6, 1, 0, 2, 4, 5]), ("max", [1, 6, 3, 0, 2, 4, 5])],
)
def test_trials_are_ranked_by_state_and_value_and_what_is_not_finite_comes_last(mode, order):
    result = a_result(
        a_trial(0, NAN),
        a_trial(1, 0.9),
        a_trial(2, INF if mode == "max" else -INF),
        a_trial(3, 0.1),
        a_trial(4, 0.2, "pruned"),
        a_trial(5, 0.0, "failed"),
        a_trial(6, 0.5),
        mode=mode,
    )
    assert numbers_of(result.ranked) == order


def test_the_trials_keep_their_order():
    result = of_values(0.5, 0.1)
    assert numbers_of(result.ranked) == [1, 0]
    assert numbers_of(result.trials) == [0, 1]
    assert len(result) == 2


def test_epochs_are_counted_over_folds_and_trials():
    trials = [Trial(n, {}, "complete", 0.5, histories=[a_history(n), a_history(3)]) for n in (1, 2)]
    assert [trial.epochs for trial in trials] == [4, 5]
    assert a_result(*trials).epochs == 9


def test_a_search_without_a_test_set_has_no_test_result():
    with pytest.raises(ValueError, match="test set") as error:
        of_values(0.5).test  # noqa: B018
    assert str(error.value) == (
        "`SearchResult.test`: `result` must have been a search with a test set: that of "
        "load_dataset's data, or `test_data`. Received: a search without one."
    )


@pytest.mark.parametrize(
    "make, sentence",
    [
        (
            lambda: a_trial(0, state="done"),
            "`Trial`: `state` must be one of 'complete', 'pruned', 'failed'. "
            "Received: state='done'.",
        ),
        (
            lambda: a_result(mode="auto"),
            "`SearchResult`: `mode` must be one of 'min', 'max'. Received: mode='auto'.",
        ),
        (
            lambda: a_result(stop_reason="tired"),
            "`SearchResult`: `stop_reason` must be one of 'finished', 'timeout', 'interrupted'. "
            "Received: stop_reason='tired'.",
        ),
    ],
)
def test_a_record_of_something_else_is_refused(make, sentence):
    with pytest.raises(ValueError, match="must be one of") as error:
        make()
    assert str(error.value) == sentence


# The table.


def test_a_row_holds_the_trial_s_parameters_between_its_value_and_its_cost():
    assert WHOLE.rows[0] == {
        "trial": 0,
        "val_loss": 0.31,
        "units": 64,
        "rate": 0.1 + 0.2,
        "optimizer": "adam",
        "bias": True,
        "layer": None,
        "epochs": 5,
        "seconds": 1.5,
        "state": "complete",
    }
    assert [row["trial"] for row in WHOLE.rows] == [0, 1, 2]


def test_all_rows_have_the_same_columns_and_what_a_trial_has_not_is_nan():
    result = a_result(
        a_trial(0, 0.5, optimizer="adam"),
        a_trial(1, 0.3, optimizer="sgd", momentum=0.9),
        a_trial(2, 0.4, nesterov=None),
    )
    columns = [
        *("trial", "val_loss", "optimizer", "momentum", "nesterov", "epochs", "seconds", "state")
    ]
    assert [list(row) for row in result.rows] == [columns] * 3
    assert result.parameters == ["optimizer", "momentum", "nesterov"]
    momenta = [row["momentum"] for row in result.rows]
    np.testing.assert_array_equal(momenta, [0.9, NAN, NAN])
    assert result.rows[1]["nesterov"] is None


def test_a_parameter_called_as_another_column_keeps_its_value():
    trial = Trial(3, {"epochs": 50, "state": "x"}, "complete", 0.5, histories=[a_history(2)])
    (row,) = a_result(trial).rows
    assert (row["param_epochs"], row["epochs"]) == (50, 2)
    assert (row["param_state"], row["state"]) == ("x", "complete")


def test_the_rows_are_ready_for_a_data_frame():
    pandas = pytest.importorskip("pandas", reason="a data frame is pandas's")
    frame = pandas.DataFrame(WHOLE.rows)
    assert list(frame["trial"]) == [0, 1, 2]
    assert frame["units"].tolist()[:2] == [64, 16]
    assert frame["units"].isna().tolist() == [False, False, True]


def test_the_text_is_a_summary_and_the_aligned_table():
    result = a_result(
        Trial(0, {"units": 64, "rate": 0.0012345}, "complete", 0.3, 1, 61.04, "", [a_history(20)]),
        Trial(1, {"units": 8, "hidden": (16, 32)}, "pruned", 0.51, 1, 2.0, "late", [a_history(1)]),
        Trial(2, {"units": None}, "failed", NAN, 1, 0.1, "ValueError"),
    )
    assert repr(result).splitlines() == [
        "3 trials (1 pruned, 1 failed), 21 epochs, best val_loss 0.3, finished",
        "trial  val_loss  units      rate    hidden  epochs  seconds     state",
        "    0    0.3000     64  0.001234         -      20     61.0  complete",
        "    1    0.5100      8         -  (16, 32)       1      2.0    pruned",
        "    2         -   None         -         -       0      0.1    failed",
    ]


def test_a_long_search_shows_its_ten_best():
    lines = repr(of_values(*np.linspace(0.1, 0.9, 500))).splitlines()
    assert lines[0] == "500 trials, 0 epochs, best val_loss 0.1, finished; the best 10:"
    assert len(lines) == 12
    assert [line.split()[0] for line in lines[2:]] == list("0123456789")


def test_a_search_of_nothing_is_a_line():
    assert repr(a_result(stop_reason="interrupted")) == "0 trials, 0 epochs, interrupted"
    assert a_result()._repr_html_() == "<p>0 trials, 0 epochs, finished</p>"
    assert repr(of_values(0.5)).splitlines()[0] == "1 trial, 0 epochs, best val_loss 0.5, finished"


def test_long_values_are_cut_and_stay_in_one_line():
    result = a_result(a_trial(0, 0.5, layer="Dropout\n" * 40, array=np.zeros((3, 4))))
    _, header, row = repr(result).splitlines()
    assert len(header) == len(row)
    assert "Dropout Dropout Dropo..." in row
    assert "<ndarray of shape (3,..." in row


def test_a_notebook_shows_the_table_with_the_best_in_bold():
    html = a_result(a_trial(0, 0.5, units=16), a_trial(1, 0.3, units=64))._repr_html_()
    assert html.startswith("<p>2 trials, 0 epochs, best val_loss 0.3, finished</p><table><thead>")
    bold, normal = html.split("<tbody>")[1].split("</tr>")[:2]
    assert bold.startswith('<tr style="font-weight: bold"><td>1</td><td>0.3000</td><td>64</td>')
    assert normal.startswith("<tr><td>0</td><td>0.5000</td><td>16</td>")


def test_nothing_is_bold_where_nothing_is_best_and_names_are_escaped():
    html = a_result(a_trial(0, state="failed", layer="<b>"), metric="<i>")._repr_html_()
    assert "bold" not in html
    assert "<th>&lt;i&gt;</th>" in html
    assert "<td>&lt;b&gt;</td>" in html
    best = a_result(a_trial(0, 0.5), metric="<i>")._repr_html_()
    assert best.startswith("<p>1 trial, 0 epochs, best &lt;i&gt; 0.5, finished</p>")


@pytest.mark.parametrize(
    "trial, text",
    [
        (
            a_trial(3, 0.30001, units=64, layer=None, hidden=(8, 8), act=print),
            "<Trial 3: 0.3 with units=64, layer=None, hidden=(8, 8), act=print>",
        ),
        (a_trial(0, NAN), "<Trial 0: nan with no parameters>"),
        (Trial(1, {"a": 1}, "pruned", 0.5), "<Trial 1: pruned with a=1>"),
        (
            Trial(2, {"a": 1.5}, "failed", reason="ValueError:\n no"),
            "<Trial 2: failed, ValueError: no with a=1.5>",
        ),
    ],
)
def test_a_trial_says_its_value_or_its_end_and_its_parameters(trial, text):
    assert repr(trial) == text


def test_a_trial_with_a_long_reason_is_told_in_short():
    text = repr(Trial(0, {"layer": "x" * 500}, "failed", reason="Traceback " * 90))
    assert len(text) < 160


@pytest.mark.parametrize(
    "value, text",
    [
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (64, "64"),
        (True, "True"),
        (None, "None"),
        ("relu", "relu"),
        ("", "''"),
        (np.float32(0.1), "0.1"),
        (np.int64(3), "3"),
        (np.bool_(True), "True"),
        (dict, "dict"),
        ([1, "a"], "[1, 'a']"),
        ("x" * 41, "x" * 37 + "..."),
    ],
)
def test_a_value_is_told_in_a_word(value, text):
    assert text_of(value) == text


# The file.


def test_a_saved_search_loads_as_it_was(tmp_path):
    loaded = reloaded(WHOLE, tmp_path)
    assert dataclasses.replace(loaded, trials=loaded.trials[1:]) == dataclasses.replace(
        WHOLE, trials=WHOLE.trials[1:]
    )
    assert loaded.trials[0].params == WHOLE.trials[0].params
    assert loaded.trials[0].histories[1] == WHOLE.trials[0].histories[1]
    history, was = loaded.trials[0].histories[0], WHOLE.trials[0].histories[0]
    np.testing.assert_array_equal(history.history["loss"], was.history["loss"])
    columns = {"loss": [0.0] * 3}
    assert dataclasses.replace(history, history=columns) == dataclasses.replace(
        was, history=columns
    )
    assert loaded.test == {"loss": 0.33}


def test_numbers_that_json_has_no_word_for_survive(tmp_path):
    odd = a_result(
        Trial(0, {"clip": INF, "low": -INF, "pair": [1, INF]}, "complete", -INF, seconds=INF),
        Trial(1, {"clip": NAN}, "failed"),
        settings={"timeout": INF, "fit": {"least": [-INF]}},
        importance={"clip": NAN},
        tested={"loss": INF},
        seconds=INF,
    )
    loaded = reloaded(odd, tmp_path)
    assert loaded.trials[0] == odd.trials[0]
    assert math.isnan(loaded.trials[1].params["clip"])
    assert math.isnan(loaded.trials[1].value)
    assert math.isnan(loaded.trials[1].seconds)
    assert math.isnan(loaded.importance["clip"])
    assert (loaded.settings, loaded.tested, loaded.seconds) == (odd.settings, {"loss": INF}, INF)
    text = (tmp_path / "search.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)["seconds"] == "Infinity"


def test_what_json_does_not_know_is_read_back_as_lists_and_names(tmp_path):
    result = a_result(
        a_trial(0, 0.5, hidden=(16, (8, 8)), activation=print, kind=dict, lock=threading.Lock()),
        settings={"a_layer": print, 3: (1, 2)},
    )
    loaded = reloaded(result, tmp_path)
    lock = loaded.trials[0].params.pop("lock")
    assert loaded.trials[0].params == {
        "hidden": [16, [8, 8]],
        "activation": "print",
        "kind": "dict",
    }
    assert lock.startswith("<unlocked _thread.lock object")
    assert loaded.settings == {"a_layer": "print", "3": [1, 2]}


def test_numpy_s_numbers_are_saved_as_numbers(tmp_path):
    params = {"units": np.int64(64), "rate": np.float32(0.5), "bias": np.bool_(True)}
    params |= {"name": np.str_("adam"), "low": np.float64(-INF)}
    loaded = reloaded(a_result(Trial(0, params, "complete", np.float32(0.25))), tmp_path)
    assert loaded.trials[0].params == {
        "units": 64,
        "rate": 0.5,
        "bias": True,
        "name": "adam",
        "low": -INF,
    }
    assert [type(value) for value in loaded.best_params.values()] == [int, float, bool, str, float]
    assert loaded.best_value == 0.25


def test_saving_changes_nothing_and_leaves_the_model_out(tmp_path):
    model = object()
    result = a_result(a_trial(0, 0.5, hidden=(8, 8)), model=model)
    path = result.save(tmp_path / "search.json")
    assert result.model is model
    assert result.trials[0].params == {"hidden": (8, 8)}
    assert "model" not in json.loads(path.read_text(encoding="utf-8"))
    assert SearchResult.load(path).model is None


def test_plain_values_stay_as_they_are():
    value = {"a": [1, 2.5, "x", True, None], "b": {"c": -INF}}
    assert plain(value) == value


@pytest.mark.parametrize(
    "value, is_kept",
    [
        ({"a": [1, (2.5, "x")], "b": None}, True),
        (np.float32(0.5), True),
        ({"a": [1, print]}, False),
        ({"a": {"b": np.zeros(2)}}, False),
    ],
)
def test_a_value_is_plain_where_a_record_keeps_it_itself(value, is_kept):
    assert is_plain(value) is is_kept


def changed(path, **fields):
    whole = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


A_TRIAL = {
    "number": 0,
    "params": {},
    "state": "complete",
    "value": 0.5,
    "seed": 1,
    "seconds": 1.0,
    "reason": "",
    "histories": [],
}


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"version": 9}, "version 9, where this package reads 1"),
        ({"format": "kerastrain.History"}, "no 'kerastrain.SearchResult' in it"),
        ({"seconds": "soon"}, "fields that don't fit: could not convert string to float: 'soon'"),
        (
            {"importance": None},
            "fields that don't fit: 'NoneType' object has no attribute 'items'",
        ),
        ({"settings": []}, "fields that don't fit: 'list' object has no attribute 'items'"),
        (
            {"mode": "best"},
            "fields that don't fit: `SearchResult`: `mode` must be one of 'min', 'max'. "
            "Received: mode='best'.",
        ),
        ({"trials": [{}]}, "fields that don't fit: 'value'"),
        ({"trials": [A_TRIAL | {"histories": [{}]}]}, "fields that don't fit: 'history'"),
        (
            {"trials": [A_TRIAL | {"state": "lost"}]},
            "fields that don't fit: `Trial`: `state` must be one of 'complete', 'pruned', "
            "'failed'. Received: state='lost'.",
        ),
        (
            {"trials": [A_TRIAL | {"params": [1]}]},
            "fields that don't fit: 'list' object has no attribute 'items'",
        ),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused(tmp_path, fields, why):
    path = changed(WHOLE.save(tmp_path / "search.json"), **fields)
    with pytest.raises(ValueError, match="SearchResult") as error:
        SearchResult.load(path)
    assert str(error.value) == (
        "`SearchResult.load`: `path` must be a readable file of SearchResult.save. "
        f"Received: path='{path}' ({why})."
    )


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "No such file or directory"),
        (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[1, 2]", "no 'kerastrain.SearchResult' in it"),
        (b"\xff\xfe\x00", "not text"),
        (
            b'{"format": "kerastrain.SearchResult", "version": 1}',
            "fields that don't fit: 'trials'",
        ),
    ],
)
def test_a_file_without_a_search_is_refused(tmp_path, content, why):
    path = tmp_path / "search.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="SearchResult") as error:
        SearchResult.load(path)
    assert str(error.value) == (
        "`SearchResult.load`: `path` must be a readable file of SearchResult.save. "
        f"Received: path='{path}' ({why})."
    )


def test_half_a_file_is_refused(tmp_path):
    path = WHOLE.save(tmp_path / "search.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(ValueError, match=r"^`SearchResult\.load`: .* \(not JSON: "):
        SearchResult.load(path)


def test_an_unknown_field_is_refused(tmp_path):
    path = changed(WHOLE.save(tmp_path / "search.json"), colour="red")
    with pytest.raises(ValueError, match=r"fields that don't fit: .*unexpected .* 'colour'"):
        SearchResult.load(path)


def test_a_search_is_saved_as_json_and_says_so(tmp_path):
    with pytest.raises(ValueError, match="must end in") as error:
        WHOLE.save(tmp_path / "search.csv")
    assert str(error.value) == (
        f'`SearchResult.save`: `path` must end in ".json": write "{tmp_path / "search.json"}". '
        f"Received: path='{tmp_path / 'search.csv'}'."
    )


def test_words_that_a_file_has_for_numbers_stay_words(tmp_path):
    params = {"tag": "NaN", "sizes": ["Infinity", "\\NaN", "ok"], "rate": math.inf}
    settings = {"arguments": {"optimizer": "-Infinity"}}
    trial = Trial(0, params, "complete", 0.5, seconds=1.0)
    result = SearchResult([trial], "val_loss", "min", settings=settings, seconds=2.0)
    loaded = SearchResult.load(result.save(tmp_path / "result.json"))
    assert loaded == result
    assert loaded.trials[0].params == params


def test_a_file_that_has_one_number_of_threads_for_all_trials_is_read(tmp_path):
    trials = [Trial(n, {}, "complete", 0.5, seconds=1.0) for n in range(2)]
    path = SearchResult(trials, "val_loss", "min", seconds=2.0).save(tmp_path / "result.json")
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["settings"]["threads"] = 3
    for trial in fields["trials"]:
        del trial["threads"]
    path.write_text(json.dumps(fields), encoding="utf-8")
    loaded = SearchResult.load(path)
    assert [trial.threads for trial in loaded.trials] == [3, 3]
    assert loaded.settings == {}
