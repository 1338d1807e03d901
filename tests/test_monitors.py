"""The names of metrics: which are the same."""

import pytest

from kerastrain.monitors import known_monitor, new_name


@pytest.mark.parametrize(
    "column, columns, name",
    [
        ("acc", ["acc"], "accuracy"),
        ("val_acc", ["acc", "val_acc"], "val_accuracy"),
        ("acc", ["acc", "accuracy"], "acc"),
        ("val_mae", ["val_mae"], "val_mae"),
    ],
)
def test_a_column_has_todays_name_unless_that_is_another_one(column, columns, name):
    assert new_name(column, columns) == name


@pytest.mark.parametrize("monitor, there", [("val_acc", "val_accuracy"), ("accuracy", "acc")])
def test_a_monitor_is_found_under_either_name(monitor, there):
    assert known_monitor(monitor, {"loss": 0.5, there: 0.5}, function="fit") == there


def test_training_is_not_taken_for_validation():
    with pytest.raises(ValueError, match="monitor") as error:
        known_monitor("val_acc", {"accuracy": 0.5}, function="fit")
    assert str(error.value) == (
        "`fit`: `monitor` must be one of 'accuracy'. Received: monitor='val_acc'."
    )
