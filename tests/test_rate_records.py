"""Sweeps and comparisons are numbers, survive a file, and read well."""

import dataclasses
import math

import pytest
from small_records import assert_refused_with

from kerastrain.rate_records import BatchSizeRun, BatchSizes, LRSweep
from kerastrain.records import History

NAN, INF = math.nan, math.inf

# A sweep of learning rates.

SWEEP = LRSweep(
    rates=[1e-3, 1e-2, 1e-1],
    losses=[2.3, 1.1, INF],
    smoothed=[2.2, 1.3, 3.0],
    suggestion=5e-3,
    reliable=False,
    note="it took 3 steps",
    bottom=[1e-3, 2.5e-2],
    rules={"middle of the bottom": 5e-3, "steepest": 1e-3},
    batch_size=32,
)


def test_a_saved_sweep_loads_as_it_was(tmp_path):
    assert LRSweep.load(SWEEP.save(tmp_path / "sweep.json")) == SWEEP


def test_numbers_that_json_has_no_word_for_survive_in_a_sweep(tmp_path):
    odd = dataclasses.replace(SWEEP, suggestion=INF, rules={"steepest": -INF})
    assert LRSweep.load(odd.save(tmp_path / "sweep.json")) == odd


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("suggestion", "abc", "could not convert string to float: 'abc'"),
        ("rules", None, "'NoneType' object has no attribute 'items'"),
        ("reliable", "no", "`LRSweep`: `reliable` must be True or False. Received: reliable='no'."),
    ],
)
def test_a_file_whose_fields_were_changed_by_hand_is_refused(tmp_path, field, value, why):
    assert_refused_with(SWEEP, tmp_path / "sweep.json", field, value, why)


def test_a_sweep_says_the_rate_and_whether_to_rely_on_it():
    assert repr(SWEEP) == (
        "<LRSweep: learning_rate=0.005, not reliable, 3 steps from 0.001 to 0.1>"
    )
    sure = dataclasses.replace(SWEEP, reliable=True)
    assert repr(sure) == "<LRSweep: learning_rate=0.005, 3 steps from 0.001 to 0.1>"


@pytest.mark.parametrize(
    "changes", [{"losses": [2.3]}, {"rates": [], "losses": [], "smoothed": []}]
)
def test_a_sweep_has_a_loss_for_each_rate(changes):
    with pytest.raises(ValueError, match="LRSweep") as error:
        dataclasses.replace(SWEEP, **changes)
    lengths = {"rates": 3, "losses": 3, "smoothed": 3} | {k: len(v) for k, v in changes.items()}
    assert str(error.value) == (
        "`LRSweep`: `rates` must have a rate, a loss and a smoothed loss for each step. "
        f"Received: lengths {lengths}."
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"format": "kerastrain.History", "version": 1}', "no 'kerastrain.LRSweep' in it"),
        ('{"format": "kerastrain.LRSweep", "version": 1}', "fields that don't fit: 'rates'"),
        ("rates", "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_file_without_a_sweep_is_refused(tmp_path, text, why):
    path = tmp_path / "sweep.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="LRSweep") as error:
        LRSweep.load(path)
    assert str(error.value) == (
        "`LRSweep.load`: `path` must be a readable file of LRSweep.save. "
        f"Received: path='{path}' ({why})."
    )


def test_a_sweep_is_saved_as_json_and_says_so(tmp_path):
    with pytest.raises(ValueError, match="must end in") as error:
        SWEEP.save(tmp_path / "sweep.csv")
    assert str(error.value) == (
        f'`LRSweep.save`: `path` must end in ".json": write "{tmp_path / "sweep.json"}". '
        f"Received: path='{tmp_path / 'sweep.csv'}'."
    )


# A comparison of batch sizes.


def a_run(batch_size=32, val_loss=(0.9, 0.5, 0.6), **fields):
    columns = {
        "loss": [1.0, 0.7, 0.5],
        "val_loss": list(val_loss),
        "val_accuracy": [0.6, 0.8, 0.7],
        "seconds": [1.5, 0.2, 0.3],
        "learning_rate": [1e-3] * 3,
    }
    defaults = {"scaling": "none", "schedule": "", "learning_rate": 1e-3, "megabytes": 1.5}
    return BatchSizeRun(batch_size, history=History.of(columns), **defaults | fields)


def test_a_run_says_its_seconds_an_epoch_without_the_first_and_the_epochs_to_its_best():
    run = a_run()
    assert run.seconds == pytest.approx(0.25)
    assert run.epochs_to_best == 2


def test_a_run_that_was_lost_has_no_best_epoch():
    assert a_run(val_loss=[NAN] * 3).epochs_to_best is None


def test_a_run_without_an_epoch_took_no_time_that_is_known():
    assert math.isnan(dataclasses.replace(a_run(), history=History({}, [])).seconds)


def test_the_table_has_a_row_a_run_with_the_best_epoch_s_figures():
    table = BatchSizes([a_run(), a_run(8192, scaling="sqrt", schedule="warmup")])
    assert table.rows[1] == {
        "batch size": 8192,
        "rate scaled": "sqrt",
        "schedule": "warmup",
        "learning rate": 1e-3,
        "s an epoch": pytest.approx(0.25),
        "MB a step": 1.5,
        "val_loss": 0.5,
        "val_accuracy": 0.8,
        "epochs to best": 2,
    }
    lines = str(table).splitlines()
    assert lines[0].split("  ")[0] == "batch size"
    assert lines[2].split() == [
        *("8,192", "sqrt", "warmup", "0.001", "0.250", "1.5", "0.5000", "0.8000", "2")
    ]
    assert len({len(line) for line in lines}) == 1


def test_a_run_that_was_lost_stands_in_the_table_too():
    table = BatchSizes([a_run(), a_run(64, val_loss=[NAN] * 3)])
    assert str(table).splitlines()[2].split()[-3:] == ["-", "-", "-"]


def test_a_notebook_shows_the_same_as_a_table():
    html = BatchSizes([a_run()])._repr_html_()
    assert html.startswith("<table><thead><tr><th>batch size</th>")
    assert "<td>32</td><td>none</td><td>-</td><td>0.001</td>" in html


def test_a_saved_comparison_loads_as_it_was(tmp_path):
    runs = BatchSizes([a_run(), a_run(64, schedule="warmup")])
    assert BatchSizes.load(runs.save(tmp_path / "sizes.json")) == runs
    unknown = BatchSizes([a_run(megabytes=NAN)]).save(tmp_path / "unknown.json")
    assert math.isnan(BatchSizes.load(unknown).runs[0].megabytes)


def test_a_file_without_a_comparison_is_refused(tmp_path):
    path = SWEEP.save(tmp_path / "sweep.json")
    with pytest.raises(ValueError, match="BatchSizes") as error:
        BatchSizes.load(path)
    assert str(error.value) == (
        "`BatchSizes.load`: `path` must be a readable file of BatchSizes.save. "
        f"Received: path='{path}' (no 'kerastrain.BatchSizes' in it)."
    )
