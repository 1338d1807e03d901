"""What several seeds came to, as a record."""

import dataclasses
import math

import pytest

from kerastrain import plot_history
from kerastrain.records import History
from kerastrain.repeats import Repeats

NAN = math.nan


def a_run(value, seed=None):
    history = History.of({"loss": [0.9, 0.4], "val_loss": [NAN, value]})
    return dataclasses.replace(history, seed=seed)


def repeats(*values, metric="val_loss", best=0):
    return Repeats([a_run(value, seed) for seed, value in enumerate(values)], metric, best=best)


def test_mean_and_spread_are_those_of_the_runs_best_values():
    found = repeats(0.30, 0.31, 0.35)
    assert found.values == [0.30, 0.31, 0.35]
    assert found.mean == pytest.approx(0.32)
    assert found.spread == pytest.approx(math.sqrt((0.02**2 + 0.01**2 + 0.03**2) / 2))
    assert found.seeds == [0, 1, 2]


def test_it_unpacks_as_one_run_does():
    best = object()
    model, histories = dataclasses.replace(repeats(0.30, 0.31), model=best)
    assert model is best
    assert [history.seed for history in histories] == [0, 1]


@pytest.mark.parametrize(
    "values, text",
    [
        ((123456.0,) * 3, "val_loss 1.235e+05 ± 0 over 3 seeds (1.235e+05 to 1.235e+05)"),
        ((0.302, 0.312, 0.321), "val_loss 0.312 ± 0.010 over 3 seeds (0.302 to 0.321)"),
        (
            (0.30, 0.32, NAN),
            "val_loss 0.310 ± 0.014 over 2 seeds (0.300 to 0.320); 1 of 3 runs without one",
        ),
        ((0.5,), "val_loss 0.5 with one seed"),
        ((0.5, NAN), "val_loss 0.5 with one seed; 1 of 2 runs without one"),
        ((NAN, NAN), "no val_loss in 2 runs"),
    ],
)
def test_it_prints_mean_spread_and_range(values, text):
    assert str(repeats(*values)) == text
    assert repr(repeats(*values)) == f"<Repeats: {text}>"


def test_without_numbers_there_is_no_mean_and_of_one_no_spread():
    assert math.isnan(repeats(NAN, NAN).mean)
    assert math.isnan(repeats(NAN, 0.5).spread)
    assert repeats(NAN, 0.5).mean == 0.5


def test_a_notebook_shows_a_run_a_row_with_the_best_in_bold():
    shown = repeats(0.5, 0.25, best=1)._repr_html_()
    assert shown.count("<tr") == 3
    assert '<tr style="font-weight: bold"><td>1</td><td>0.2500</td>' in shown
    assert shown.endswith("<p>val_loss 0.38 ± 0.18 over 2 seeds (0.25 to 0.50)</p>")
    assert "<b>" not in repeats(0.5, metric="<b>")._repr_html_()


def test_it_is_drawn_as_several_runs():
    (ax,) = plot_history(repeats(0.5, 0.25), metrics="loss")
    assert len([line for line in ax.get_lines() if "validation" in line.get_label()]) == 2


def test_what_is_no_history_is_refused():
    for histories in ([], [{"loss": [0.5]}]):
        with pytest.raises(TypeError) as error:
            Repeats(histories, "loss")
        assert str(error.value) == (
            f"`Repeats`: `histories` must be Histories. Received: histories={histories!r}."
        )
