"""Reports are records: they survive a file, and read well."""

import dataclasses
import math

import pytest
from small_records import assert_refused_with

from kerastrain.check_records import Finding, Report

SORTED = Finding("warning", "sorted-labels", "y", "`y` is sorted: shuffle it.")
GAPS = Finding("error", "missing-values", "x", "`x` holds NaN in 3 cells: fill the <gaps>.")
REPORT = Report(
    [SORTED, GAPS],
    seconds=0.25,
    rows=5_000,
    validation_rows=1,
    overfits=False,
    loss_before=2.3,
    loss_after=math.inf,
)


def test_a_saved_report_loads_as_it_was(tmp_path):
    assert Report.load(REPORT.save(tmp_path / "report.json")) == REPORT
    bare = Report([], seconds=0.1, rows=3)
    assert Report.load(bare.save(tmp_path / "bare.json")) == bare


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("seconds", "abc", "could not convert string to float: 'abc'"),
        ("overfits", "no", "`Report`: `overfits` must be True or False. Received: overfits='no'."),
        (
            "findings",
            [{"grade": "fatal", "code": "a", "argument": "x", "sentence": "b"}],
            "`Finding`: `grade` must be one of 'error', 'warning'. Received: grade='fatal'.",
        ),
    ],
)
def test_a_file_whose_fields_were_changed_by_hand_is_refused(tmp_path, field, value, why):
    assert_refused_with(REPORT, tmp_path / "report.json", field, value, why)


def test_a_report_holds_findings_only():
    with pytest.raises(TypeError) as raised:
        Report(["a sentence"], seconds=0.1, rows=3)
    assert str(raised.value) == "`Report`: `findings` must be Findings. Received: str."


def test_errors_stand_before_warnings():
    assert REPORT.findings == [GAPS, SORTED]
    assert (REPORT.errors, REPORT.warnings) == ([GAPS], [SORTED])


def test_a_report_is_true_where_there_is_no_error():
    assert not REPORT
    assert not REPORT.ok
    assert Report([SORTED], seconds=0.1, rows=3)
    assert Report([], seconds=0.1, rows=3).ok


def test_a_report_reads_well_in_a_terminal():
    long = dataclasses.replace(SORTED, sentence=" ".join(["`y` is sorted, or nearly:"] * 4))
    assert str(dataclasses.replace(REPORT, findings=[GAPS, long])) == (
        "1 error and 1 warning found in 5,000 training rows and 1 validation row (0.25 s). It "
        "doesn't learn one batch by heart (loss 2.3 to inf).\n"
        "  error:   `x` holds NaN in 3 cells: fill the <gaps>.\n"
        "  warning: `y` is sorted, or nearly: `y` is sorted, or nearly: `y` is sorted, or nearly: "
        "`y` is\n"
        "           sorted, or nearly:"
    )
    learns = Report([], seconds=2.0, rows=64, overfits=True, loss_before=2.31, loss_after=0.0123)
    assert str(learns) == (
        "Nothing found in 64 training rows (2.00 s). It learns one batch by heart (loss 2.31 to "
        "0.0123)."
    )


def test_a_report_is_a_table_in_a_notebook():
    html = dataclasses.replace(REPORT, overfits=None)._repr_html_()
    assert html == (
        "<p>1 error and 1 warning found in 5,000 training rows and 1 validation row (0.25 s).</p>"
        "<table><thead><tr><th>grade</th><th>what</th><th>finding</th></tr></thead><tbody>"
        "<tr><td>error</td><td>missing-values</td>"
        "<td>`x` holds NaN in 3 cells: fill the &lt;gaps&gt;.</td></tr>"
        "<tr><td>warning</td><td>sorted-labels</td><td>`y` is sorted: shuffle it.</td></tr>"
        "</tbody></table>"
    )
    assert Report([], seconds=0.1, rows=1)._repr_html_() == (
        "<p>Nothing found in 1 training row (0.10 s).</p>"
    )
