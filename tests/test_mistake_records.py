"""Records of what a model gets wrong: their numbers, their words, their files."""

import json
import math

import numpy as np
import pytest

from kerastrain import Confusion, Residuals, TopLosses
from kerastrain.mistake_records import Case, Column

PETS = Confusion([[6, 3, 0], [1, 9, 0], [0, 0, 0]], ["cat", "dog", "owl"])


def test_a_confusion_knows_what_was_found():
    assert (PETS.rows, PETS.right, PETS.accuracy) == (19, 15, 15 / 19)
    assert PETS.recall == pytest.approx({"cat": 6 / 9, "dog": 0.9, "owl": math.nan}, nan_ok=True)
    assert PETS.precision == pytest.approx(
        {"cat": 6 / 7, "dog": 9 / 12, "owl": math.nan}, nan_ok=True
    )


@pytest.mark.parametrize(
    ("normalize", "first_row"),
    [("true", [6 / 9, 3 / 9, 0]), ("pred", [6 / 7, 0.25, math.nan]), ("all", [6 / 19, 3 / 19, 0])],
)
def test_shares_are_of_what_was_asked_for(normalize, first_row):
    np.testing.assert_allclose(PETS.shares(normalize)[0], first_row)


def test_the_most_frequent_confusions_are_sentences():
    assert str(PETS) == (
        "15 of 19 rows right (78.9 %), 3 classes.\n"
        "'cat' is taken for 'dog' in 3 rows, 33 % of 'cat'.\n"
        "'dog' is taken for 'cat' in 1 row, 10 % of 'dog'."
    )
    assert "<td>cat</td><td>dog</td><td>3</td><td>33.3%</td>" in PETS._repr_html_()


def test_names_are_text_in_html():
    confusion = Confusion([[0, 1], [1, 0]], ["<b>", "&"])
    assert "<td>&lt;b&gt;</td><td>&amp;</td>" in confusion._repr_html_()


def test_a_confusion_goes_to_a_file_and_back(tmp_path):
    path = PETS.save(tmp_path / "pets.json")
    assert json.loads(path.read_text())["format"] == "kerastrain.Confusion"
    assert Confusion.load(path) == PETS


def test_a_confusion_has_a_row_and_a_column_for_each_class():
    with pytest.raises(ValueError, match="row") as caught:
        Confusion([[1, 2]], ["a", "b"])
    assert str(caught.value) == (
        "`Confusion`: `counts` must have a row and a column for each class (2). "
        "Received: rows of lengths [2]."
    )


def test_residuals_tell_bias_spread_and_what_is_explained():
    found = Residuals({"a": [0.0, 2.0, 4.0]}, {"a": [1.0, 2.0, 6.0]})
    fit = found.fits["a"]
    assert found.residuals["a"].tolist() == [-1.0, 0.0, -2.0]
    assert (fit.mean, fit.spread, fit.mae) == pytest.approx((-1, math.sqrt(2 / 3), 1))
    assert fit.r2 == pytest.approx(1 - (5 / 3) / (8 / 3))
    assert str(found).splitlines()[2].split() == ["a", "-1", "0.8165", "1", "0.375"]


def test_a_truth_that_does_not_vary_explains_nothing():
    assert math.isnan(Residuals({"a": [1.0, 1.0]}, {"a": [1.0, 2.0]}).fits["a"].r2)


def test_residuals_go_to_a_file_and_back(tmp_path):
    found = Residuals({"a": [0.1, 2.0], "b": [1.0, 3.0]}, {"a": [1.0, 2.0], "b": [0.0, 0.5]})
    assert Residuals.load(found.save(tmp_path / "r.json")) == found


def test_residuals_have_numbers_for_each_output():
    with pytest.raises(ValueError, match="as many") as caught:
        Residuals({"a": [1.0]}, {"a": [1.0, 2.0]})
    assert str(caught.value) == (
        "`Residuals`: `predicted` must have as many numbers for each output as `true`, and at "
        "least one output. Received: {'a': 2} beside {'a': 1}."
    )


def test_cases_are_told_in_words():
    picture = Case(3, 2.5, "cat", "dog", 0.75, np.zeros((4, 4)))
    row = Case(1_200, 1.25, "5", "3.1", None, [Column("age", 91.0, 3.14), Column("sex", 0, -1)])
    top = TopLosses([picture, row], "rows", rows=2_000, mean_loss=0.125)
    assert str(top).splitlines() == [
        "2 of 2,000 rows, whose mean loss is 0.125:",
        "row 3: loss 2.5, cat, predicted dog (75 %): <ndarray of shape (4, 4), float64>",
        "row 1,200: loss 1.25, 5, predicted 3.1: age 91 (+3.1 sd), sex 0 (-1.0 sd)",
    ]
    assert "<td>age 91 (+3.1 sd), sex 0 (-1.0 sd)</td>" in top._repr_html_()


def test_a_text_with_colons_is_whole_in_html():
    case = Case(1, 2.0, "a: b", "c", 0.5, "one: two: three")
    html = TopLosses([case], "texts", rows=2, mean_loss=1.0)._repr_html_()
    assert "<td>a: b</td><td>c</td><td>0.50</td><td>one: two: three</td>" in html
