"""How shares are told."""

import pytest

from kerastrain._percents import percent


@pytest.mark.parametrize(
    "share, told",
    [(0, "0 %"), (0.0012, "0.12 %"), (0.194, "19 %"), (0.994, "99 %"), (0.996, "100 %")],
)
def test_two_digits_are_told_of_a_share(share, told):
    assert percent(share) == told


def test_more_than_all_is_told_in_full():
    assert (percent(4.8), percent(-1.5)) == ("480 %", "-150 %")
