"""What a sweep's losses say: each rule on curves whose answer is known, and when to doubt it."""

import math

import numpy as np
import pytest

from kerastrain.lr_rules import (
    FEWEST_STEPS,
    advise,
    moving_average,
    ran_away_after,
    two_sided_average,
)

OURS = "middle of the bottom"
FLAT = "the loss never fell by more than chance: it is flat, or rose from the beginning"


def swept(lowest=1e-2, *, low=1e-5, high=10.0, steps=500, scatter=0.0, floor=0.5, flat=2.3):
    """A loss that is flat, falls over two decades to its lowest, and runs away above it."""
    rates = np.geomspace(low, high, steps)
    decades = np.log10(rates / lowest)
    below = floor + (flat - floor) * np.clip(-decades / 2, 0, 1)
    losses = np.where(decades < 0, below, floor + 3 * decades)
    return rates, losses + scatter * np.random.default_rng(0).normal(size=steps)


def advised(rates, losses, *, ran_away=False):
    return advise(rates, losses, ran_away=ran_away)


def test_the_moving_average_begins_at_the_first_loss_and_weighs_the_past():
    losses = [4.0, 2.0, 0.0]
    # By hand: 0.1 * 4 / 0.1, (0.09 * 4 + 0.1 * 2) / 0.19, (0.081 * 4 + 0.09 * 2) / 0.271.
    expected = [4.0, 0.56 / 0.19, 0.504 / 0.271]
    np.testing.assert_allclose(moving_average(losses, 0.9), expected)


@pytest.mark.parametrize("steps", [100, 500, 2000])
@pytest.mark.parametrize("lowest", [1e-3, 1e-1])
def test_the_two_sided_average_has_its_minimum_near_the_losss(lowest, steps):
    rates, losses = swept(lowest, steps=steps)
    found = rates[two_sided_average(rates, losses).argmin()]
    assert 0.5 < found / lowest < 1.25


def test_the_usual_average_lags_behind_it():
    rates, losses = swept(1e-2)
    assert rates[moving_average(losses).argmin()] > 1.25e-2


def test_an_average_of_constant_losses_is_that_loss():
    rates = np.geomspace(1e-5, 10, 50)
    np.testing.assert_allclose(two_sided_average(rates, np.full(50, 0.7)), 0.7)
    np.testing.assert_allclose(two_sided_average(rates, np.full(50, -0.7)), -0.7)


@pytest.mark.parametrize("scatter", [0.0, 0.2])
@pytest.mark.parametrize("lowest", [1e-3, 1e-2, 1e-1])
def test_the_suggestion_is_where_the_loss_is_lowest(lowest, scatter):
    advice = advised(*swept(lowest, scatter=scatter))
    assert 0.5 < advice.suggestion / lowest < 1.5
    assert advice.doubts == []
    assert advice.rules[OURS] == advice.suggestion


def flat_bottomed(scatter=0.0, seed=0):
    """A loss that falls to 0.5 at 1e-3, stays there until 1e-1, and runs away."""
    rates = np.geomspace(1e-5, 10, 500)
    losses = np.interp(np.log10(rates), [-5, -4, -3, -1, -0.5, 1], [2.3, 2.3, 0.5, 0.5, 2.3, 9])
    return rates, losses + scatter * np.random.default_rng(seed).normal(size=500)


def test_of_a_flat_bottom_it_is_the_middle():
    advice = advised(*flat_bottomed())
    assert 0.7 < advice.suggestion / 1e-2 < 1.4
    low, high = advice.bottom
    assert 0.6 < low / 1e-3 < 1.7
    assert 0.6 < high / 1e-1 < 1.7
    assert advice.suggestion == pytest.approx(math.sqrt(low * high))


def test_chance_moves_the_middle_of_the_bottom_less_than_its_lowest_point():
    advices = [advised(*flat_bottomed(0.2, seed)) for seed in range(10)]
    suggestions = [advice.suggestion for advice in advices]
    minima = [advice.rules["minimum / 10"] for advice in advices]
    assert max(suggestions) / min(suggestions) < 1.5 < max(minima) / min(minima)


def test_a_bottom_that_never_ends_ends_with_the_sweep():
    rates = np.geomspace(1e-5, 10, 100)
    assert advised(rates, np.linspace(2.3, 0.5, 100)).bottom[1] == pytest.approx(10)


def test_the_other_rules_stand_beside_ours():
    rates, losses = swept(1e-2)
    advice = advised(rates, losses)
    usual = moving_average(losses)
    assert list(advice.rules) == [
        OURS,
        "minimum / 10",
        "turning point / 10",
        "valley",
        "steepest",
    ]
    assert advice.rules["minimum / 10"] == pytest.approx(rates[usual.argmin()] / 10)
    turned = rates[(rates > rates[usual.argmin()]) & (usual > 1.1 * usual.min())][0]
    assert advice.rules["turning point / 10"] == pytest.approx(turned / 10)
    # The fall lasts from 1e-4 to 1e-2; the averages lag.
    assert 1e-4 < advice.rules["steepest"] < 2e-2
    assert 5e-4 < advice.rules["valley"] < 1e-2


def test_the_valley_is_the_middle_of_the_longest_fall():
    losses = np.concatenate([np.linspace(3, 2, 40), np.linspace(2.5, 5, 60)])
    rates = np.geomspace(1e-5, 10, 100)
    # The usual average falls from step 0 to 39: fastai's index is -1 + 13 + 6.
    assert advised(rates, losses).rules["valley"] == pytest.approx(rates[18], rel=0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_losses_may_be_negative(sign):
    rates, losses = swept(1e-2, floor=-2.0, flat=-0.5 * sign)
    assert 0.5 < advised(rates, losses).suggestion / 1e-2 < 1.5


# When to stop.


def test_a_sweep_goes_on_while_the_loss_falls_or_is_flat():
    assert ran_away_after(swept()[1][:250]) is None
    assert ran_away_after([2.3] * 100) is None
    assert ran_away_after([2.3]) is None
    assert ran_away_after([]) is None


def test_a_sweep_ends_at_four_times_the_lowest_average():
    losses = [2.0] * 20 + [0.5] * 400
    lowest = moving_average(losses)[-1]
    # Each step at 8, which is four times the beginning, moves the average a fiftieth of the way.
    steps = math.ceil(math.log((8 - 4 * lowest) / (8 - lowest)) / math.log(0.98))
    assert ran_away_after([*losses, *[8.0] * (steps - 1)]) is None
    assert ran_away_after([*losses, *[8.0] * (steps + 5)]) == 420 + steps


def test_one_batch_far_off_ends_nothing():
    assert ran_away_after([*[2.3] * 30, 1e6, *[2.3] * 100]) is None


def test_losses_below_zero_end_as_far_above_their_lowest():
    losses = [-0.1] * 20 + [-1.0] * 400
    assert ran_away_after([*losses, *[-0.9] * 100]) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sweep_ends_at_the_first_loss_that_is_no_number(bad):
    assert ran_away_after([2.3, bad, 2.3, bad]) == 2


def test_one_lucky_batch_at_the_beginning_ends_nothing():
    assert ran_away_after([0.01, *[2.3] * 60]) is None


# When to doubt it.


def test_a_loss_that_never_turned_up_is_doubted():
    rates, losses = swept(1e-1)
    until = rates < 5e-2
    assert advised(rates[until], losses[until]).doubts == [
        f"the loss hadn't turned up by the rate of {rates[until][-1]:.3g}: raise max_rate"
    ]


def test_a_loss_that_ran_away_has_turned_up():
    rates, losses = swept(1e-1)
    until = rates < 5e-2
    assert advised(rates[until], losses[until], ran_away=True).doubts == []


@pytest.mark.parametrize("loss", [1.0, 0.0, 2.302585, -1.0])
def test_a_loss_that_stays_the_same_is_doubted(loss):
    assert advised(np.geomspace(1e-3, 8e-3, 100), [loss] * 100).doubts == [FLAT]


@pytest.mark.parametrize("seed", range(10))
def test_a_loss_that_depends_on_the_one_before_is_doubted(seed):
    generator, scatter = np.random.default_rng(seed), [0.0]
    for _ in range(399):
        scatter.append(0.8 * scatter[-1] + generator.normal(scale=0.1))
    doubts = advised(np.geomspace(1e-5, 1e-2, 400), 0.7 + np.array(scatter)).doubts
    assert doubts != []


def test_too_few_steps_are_doubted():
    assert advised(*swept(steps=FEWEST_STEPS)).doubts == []
    assert advised(*swept(steps=FEWEST_STEPS - 1)).doubts == [
        "it took fewer than 50 steps, so that chance decides"
    ]


@pytest.mark.parametrize("seed", range(30))
def test_a_loss_that_only_scatters_is_doubted(seed):
    scatter = np.random.default_rng(seed).normal(scale=0.3, size=400)
    assert advised(np.geomspace(1e-5, 1e-2, 400), 0.7 + scatter).doubts == [FLAT]


def test_a_loss_that_rose_from_the_beginning_is_doubted():
    rates = np.geomspace(0.1, 10, 100)
    assert advised(rates, np.linspace(2.3, 9, 100)).doubts == [FLAT]


def test_a_loss_that_jumped_at_the_first_step_is_doubted():
    losses = np.concatenate([[2.3], np.geomspace(900, 5, 99)])
    assert advised(np.geomspace(0.5, 10, 100), losses).doubts == [
        "the loss ran away from the first step, at 0.5: lower min_rate"
    ]


def test_rules_that_differ_by_ten_times_are_doubted():
    # A wide flat bottom, with the lowest loss by a hair at its beginning.
    rates = np.geomspace(1e-5, 10, 500)
    decades = np.log10(rates)
    losses = np.interp(decades, [-5, -4, -3.5, 0.7, 0.8, 1], [2.3, 2.3, 0.5, 0.51, 3, 9])
    assert advised(rates, losses).doubts == ["the rules disagree, from 0.029 to 0.56"]


def test_a_sweep_that_ran_away_at_once_says_what_to_do():
    rates, losses = swept(steps=500)
    assert advised(rates[:20], losses[:20], ran_away=True).doubts == [
        "it ran away after 20 steps, near 1.7e-05: lower min_rate"
    ]


def test_a_single_step_has_an_answer_too():
    advice = advised([1e-3], [2.3])
    assert advice.suggestion == pytest.approx(1e-3)
    assert advice.doubts == ["it took fewer than 50 steps, so that chance decides"]
