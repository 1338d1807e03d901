import math
import sys

import numpy as np
import pytest

from kerastrain._checks import invalid, needs, one_of, real_number, show, whole_number


def message(error_type, check, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        check(*arguments, **keywords)
    return str(error.value)


def test_every_error_is_one_sentence_of_the_same_form():
    error = invalid("fit", "epochs", "be at least 1", "epochs=0")
    assert type(error) is ValueError
    assert str(error) == "`fit`: `epochs` must be at least 1. Received: epochs=0."


def test_an_error_of_kind_is_a_type_error():
    assert type(invalid("fit", "x", "be an array", "x=3", kind=TypeError)) is TypeError


# Whole numbers.


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array([3])[0]])
def test_a_whole_number_comes_back_as_a_python_int(value):
    number = whole_number("fit", "epochs", value, least=1)
    assert (number, type(number)) == (3, int)


def test_a_whole_number_that_is_too_small_is_refused():
    assert message(ValueError, whole_number, "fit", "patience", -1, least=0) == (
        "`fit`: `patience` must be at least 0. Received: patience=-1."
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.0, "2.0"),
        ("3", "'3'"),
        (None, "None"),
        (True, "True"),
        (np.array([1, 2]), "<ndarray of shape (2,), int64>"),
    ],
)
def test_what_is_no_whole_number_is_of_the_wrong_kind(value, shown):
    assert message(TypeError, whole_number, "fit", "epochs", value, least=1) == (
        f"`fit`: `epochs` must be a whole number. Received: epochs={shown}."
    )


# Real numbers.


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5)])
def test_a_real_number_comes_back_as_a_python_float(value):
    number = real_number("fit", "min_delta", value, least=0)
    assert (number, type(number)) == (0.5, float)


def test_whole_numbers_are_real_numbers_too():
    assert real_number("fit", "min_delta", 2, least=0) == 2.0


@pytest.mark.parametrize(
    ("bounds", "must"),
    [
        ({"least": 0}, "be at least 0"),
        ({"above": 0}, "be above 0"),
        ({"below": 1}, "be below 1"),
        ({"above": 0, "below": 1}, "be above 0 and below 1"),
        ({"least": 0, "below": 1}, "be at least 0 and below 1"),
        ({}, "be finite"),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_bound_lets_nan_or_infinity_in(bounds, must, value):
    if value == math.inf and "below" not in bounds:
        must = must.replace("be ", "be finite and ") if bounds else must
    if value == -math.inf and bounds == {"below": 1}:
        must = "be finite and below 1"
    assert message(ValueError, real_number, "fit", "rate", value, **bounds) == (
        f"`fit`: `rate` must {must}. Received: rate={value}."
    )


def test_a_number_that_no_float_holds_is_infinite():
    assert message(ValueError, real_number, "fit", "max_time", 10**400, above=0).startswith(
        "`fit`: `max_time` must be finite and above 0. Received: max_time=1000"
    )
    assert message(ValueError, real_number, "fit", "max_time", -(10**400), above=0).startswith(
        "`fit`: `max_time` must be above 0. Received: max_time=-1000"
    )


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        ({"least": 0}, 0, -1e-9),
        ({"above": 0}, 1e-9, 0),
        ({"below": 1}, 0.999, 1),
        ({"above": 0, "below": 1}, 0.5, 1),
    ],
)
def test_a_bound_holds_on_its_edge(bounds, inside, outside):
    assert real_number("fit", "rate", inside, **bounds) == inside
    with pytest.raises(ValueError, match="`rate` must be"):
        real_number("fit", "rate", outside, **bounds)


@pytest.mark.parametrize("value", ["0.1", None, True, 1j])
def test_what_is_no_real_number_is_of_the_wrong_kind(value):
    assert message(TypeError, real_number, "fit", "rate", value) == (
        f"`fit`: `rate` must be a number. Received: rate={value!r}."
    )


# Names.


def test_a_name_among_those_allowed_comes_back():
    assert one_of("fit", "mode", "min", iter(["auto", "min", "max"])) == "min"


def test_a_name_that_is_near_is_named():
    assert message(ValueError, one_of, "fit", "monitor", "val_los", ["loss", "val_loss"]) == (
        "`fit`: `monitor` must be one of 'loss', 'val_loss' (did you mean 'val_loss'?). "
        "Received: monitor='val_los'."
    )


def test_a_name_like_no_other_gets_the_list_alone():
    assert message(ValueError, one_of, "fit", "mode", "sideways", ["auto", "min"]) == (
        "`fit`: `mode` must be one of 'auto', 'min'. Received: mode='sideways'."
    )


@pytest.mark.parametrize("value", [None, 3, ["auto"]])
def test_what_is_no_name_is_of_the_wrong_kind(value):
    assert message(TypeError, one_of, "fit", "mode", value, ["auto", "min"]) == (
        f"`fit`: `mode` must be one of 'auto', 'min'. Received: mode={value!r}."
    )


# Showing.


def test_arrays_are_shown_by_shape_and_type():
    assert show(np.zeros((3, 4), "float32")) == "<ndarray of shape (3, 4), float32>"


def test_a_number_of_numpy_is_shown_as_itself():
    assert show(np.int64(3)) == "np.int64(3)"


def test_what_is_shown_is_cut_at_eighty_characters():
    assert show("x" * 78) == "'" + "x" * 78 + "'"
    assert show("x" * 79) == "'" + "x" * 76 + "..."
    assert len(show(list(range(1000)))) == 80


# Optional packages.


def test_a_package_that_is_there_is_imported():
    assert needs("json", extra="json", function="load").loads("[1]") == [1]


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("tensorboard", "tensorboard", "tensorboard"),
        ("sklearn.datasets", "scikit-learn", "sklearn"),
    ],
)
def test_a_package_that_is_absent_raises_with_the_line_that_installs_it(
    monkeypatch, module, package, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    assert message(ImportError, needs, module, extra=extra, function="load_dataset") == (
        f"`load_dataset` needs {package}, which is not installed. "
        f"Install it with: pip install 'kerastrain[{extra}]'"
    )
