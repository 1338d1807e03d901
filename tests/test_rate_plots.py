import dataclasses
import math

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from kerastrain import plot_lr_sweep, plot_schedule
from kerastrain._axes import COLOURS
from kerastrain.rate_plots import _schedule_curves
from kerastrain.rate_records import LRSweep
from kerastrain.schedules import one_cycle, warmup, warmup_cosine

matplotlib.use("Agg")

DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)


@pytest.fixture(autouse=True)
def close_figures():
    plt.close("all")
    yield
    plt.close("all")


def test_a_schedule_is_drawn_over_the_epochs_of_the_run():
    (ax,) = plot_schedule(warmup(0.4, epochs=1), epochs=2, steps_per_epoch=4)
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), np.arange(9) / 4)
    by_hand = [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    np.testing.assert_allclose(line.get_ydata(), by_hand, rtol=1e-6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "learning rate")
    assert ax.get_ylim()[0] == 0


def test_schedules_of_keras_and_functions_are_called_with_the_step():
    decay, line = _schedule_curves([DECAY, lambda step: step / 10], 2, 10, None)
    assert (decay.label, line.label) == ("ExponentialDecay", "<lambda>")
    np.testing.assert_allclose(decay.rates, 0.1 * 0.5 ** (np.arange(21) / 10), rtol=1e-5)
    np.testing.assert_allclose(line.rates, np.arange(21) / 10)
    assert decay.momenta is line.momenta is None


def test_momentum_has_a_panel_where_a_schedule_moves_it():
    rates, momenta = plot_schedule(one_cycle(0.5), warmup(0.5), epochs=10, steps_per_epoch=10)
    assert (rates.get_ylabel(), momenta.get_ylabel()) == ("learning rate", "momentum")
    assert len(rates.get_lines()) == 2
    (line,) = momenta.get_lines()
    assert line.get_color() == COLOURS[0]
    picked = line.get_ydata()[[0, 30, 100]]
    np.testing.assert_allclose(picked, [0.95, 0.85, 0.95], rtol=1e-6)
    assert len(plot_schedule(one_cycle(0.5, momentum=None), epochs=10)) == 1


def test_several_have_a_colour_and_a_name_each():
    schedules = [warmup(0.1), warmup(0.2), warmup_cosine(0.3), *[DECAY] * 4]
    (ax,) = plot_schedule(*schedules, epochs=2, steps_per_epoch=10)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    decays = [f"ExponentialDecay {number}" for number in (1, 2, 3, 4)]
    assert names == ["warmup 1", "warmup 2", "warmup_cosine", *decays]
    looks = {(line.get_color(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == 7
    assert [line.get_color() for line in ax.get_lines()][:6] == list(COLOURS)


def test_labels_replace_the_names():
    (ax,) = plot_schedule(warmup(0.1), DECAY, epochs=2, labels=["up", "down"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["up", "down"]


@pytest.mark.parametrize(
    "steps_per_epoch, words",
    [(10, "peak 0.3 at epoch 3.9"), (1001, "peak 0.3 at epoch 4")],
)
def test_the_peak_of_one_is_marked_where_it_is(steps_per_epoch, words):
    (ax,) = plot_schedule(warmup_cosine(0.3, epochs=4), epochs=20, steps_per_epoch=steps_per_epoch)
    (text,) = ax.texts
    assert text.get_text() == words
    line, dot = ax.get_lines()
    assert line.get_ydata().max() == pytest.approx(0.3)
    assert dot.get_xdata()[0] == pytest.approx((4 * steps_per_epoch - 1) / steps_per_epoch)
    assert ax.get_legend() is None
    assert len(line.get_xdata()) < 400


def test_given_axes_are_drawn_on():
    _, axes = plt.subplots(1, 2)
    assert plot_schedule(one_cycle(0.1), epochs=2, ax=axes[0]) == [axes[0]]
    assert plot_schedule(one_cycle(0.1), epochs=2, ax=axes) == list(axes)
    with pytest.raises(ValueError, match="one Axes") as caught:
        plot_schedule(one_cycle(0.1), epochs=2, ax=axes[:1])
    assert str(caught.value) == (
        "`plot_schedule`: `ax` must hold one Axes per quantity ('learning rate', 'momentum'). "
        "Received: 1 Axes."
    )


@pytest.mark.parametrize(
    "schedules, arguments, kind, sentence",
    [
        (
            [],
            {},
            ValueError,
            "`schedules` must hold at least one schedule. Received: schedules=().",
        ),
        (
            [warmup(0.1), 0.1],
            {},
            TypeError,
            "`schedules` must each be a Keras schedule or another function from the step to the "
            "rate. Received: schedules[1]=0.1.",
        ),
        ([DECAY], {"epochs": 0}, ValueError, "`epochs` must be at least 1. Received: epochs=0."),
        (
            [DECAY],
            {"steps_per_epoch": 1.5},
            TypeError,
            "`steps_per_epoch` must be a whole number. Received: steps_per_epoch=1.5.",
        ),
        (
            [DECAY, DECAY],
            {"labels": "ab"},
            ValueError,
            "`labels` must be a list of one label per schedule (2). Received: labels='ab'.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(schedules, arguments, kind, sentence):
    with pytest.raises(kind) as caught:
        plot_schedule(*schedules, **{"epochs": 2} | arguments)
    assert str(caught.value) == f"`plot_schedule`: {sentence}"
    assert plt.get_fignums() == []


# The picture of a sweep.

RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1e0]
SWEEP = LRSweep(
    rates=RATES,
    losses=[2.4, 1.9, 1.2, 1.4, 40.0],
    smoothed=[2.3, 2.0, 1.3, 1.5, 20.0],
    suggestion=5e-3,
    reliable=True,
)


@pytest.mark.parametrize(
    "function",
    [
        lambda step: "a",
        lambda step: None,
        lambda step, rate: 0.1,
        lambda step: math.nan,
        DECAY.__class__,
    ],
)
def test_what_gives_no_rate_at_a_step_is_refused(function):
    with pytest.raises(TypeError) as error:
        plot_schedule(function, epochs=2)
    assert str(error.value).startswith(
        "`plot_schedule`: `schedules` must each be a Keras schedule or another function from the "
        "step to the rate. Received: schedules[0]=<"
    )


def test_a_function_that_wants_its_peak_is_refused():
    with pytest.raises(ValueError, match="peak") as error:
        plot_schedule(one_cycle, epochs=2)
    assert str(error.value) == (
        "`plot_schedule`: `schedules` must be called with a peak, as in one_cycle(0.01). "
        "Received: schedules[0]=one_cycle."
    )


def drawn(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_the_picture_of_a_sweep_has_each_step_and_the_smoothed_line_over_a_log_rate():
    ax = plot_lr_sweep(SWEEP)
    lines = drawn(ax)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss")
    for label, losses in (("each step", SWEEP.losses), ("smoothed", SWEEP.smoothed)):
        np.testing.assert_array_equal(lines[label].get_xdata(), RATES)
        np.testing.assert_array_equal(lines[label].get_ydata(), losses)
    assert lines["each step"].get_alpha() < 0.5
    assert lines["each step"].get_linestyle() == "None"


def test_the_suggestion_is_marked_on_the_smoothed_line_and_written_out():
    ax = plot_lr_sweep(SWEEP)
    (rate,), (height,) = drawn(ax)["suggestion"].get_data()
    assert rate == 5e-3
    # Between 1e-3 and 1e-2, at log10(5) of the way.
    assert height == pytest.approx(2.0 - 0.7 * math.log10(5))
    assert [text.get_text() for text in ax.texts] == ["learning rate 0.005"]
    assert "suggestion" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_bottom_is_shaded():
    ax = plot_lr_sweep(dataclasses.replace(SWEEP, bottom=[1e-3, 2.5e-2]))
    (shade,) = ax.patches
    low, high = shade.get_extents().transformed(ax.transData.inverted()).intervalx
    assert (low, high) == pytest.approx((1e-3, 2.5e-2))
    assert "bottom" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert plot_lr_sweep(SWEEP).patches[:] == []


def test_the_fall_of_the_loss_fills_the_picture_and_what_runs_away_leaves_it():
    low, high = plot_lr_sweep(SWEEP).get_ylim()
    assert 0.9 < low < 1.2
    assert 2.4 < high < 3


def test_a_doubt_is_written_beside_the_suggestion():
    note = "it took 5 steps, and below 50 chance decides; all 5 steps were taken"
    ax = plot_lr_sweep(dataclasses.replace(SWEEP, reliable=False, note=note))
    (text,) = ax.texts
    assert " ".join(text.get_text().split()) == f"learning rate 0.005 not reliable: {note}"
    assert max(map(len, text.get_text().splitlines())) <= 34


@pytest.mark.parametrize("suggestion, side", [(2e-4, "left"), (5e-1, "right")])
def test_the_text_stands_where_there_is_room(suggestion, side):
    (text,) = plot_lr_sweep(dataclasses.replace(SWEEP, suggestion=suggestion)).texts
    assert text.get_horizontalalignment() == side


def test_a_saved_sweep_is_drawn_from_its_path(tmp_path):
    ax = plot_lr_sweep(SWEEP.save(tmp_path / "sweep.json"))
    np.testing.assert_array_equal(drawn(ax)["smoothed"].get_ydata(), SWEEP.smoothed)


def test_a_sweep_is_drawn_on_given_axes():
    ax = Figure().add_subplot()
    assert plot_lr_sweep(SWEEP, ax) is ax


def test_a_sweep_of_one_step_is_drawn():
    plot_lr_sweep(LRSweep([1e-3], [2.0], [2.0], 5e-4, False, "it took 1 steps"))


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        (
            ({"rates": [1]},),
            TypeError,
            "`sweep` must be what lr_find returns, or a path to a saved one. "
            "Received: {'rates': [1]}.",
        ),
        (
            (SWEEP, "here"),
            TypeError,
            "`ax` must be a Matplotlib Axes or a list of them. Received: ax='here'.",
        ),
        (
            (SWEEP, []),
            ValueError,
            "`ax` must hold one Axes per panel ('loss'). Received: 0 Axes.",
        ),
    ],
)
def test_what_is_no_sweep_or_no_axes_is_refused(arguments, kind, sentence):
    with pytest.raises(kind) as error:
        plot_lr_sweep(*arguments)
    assert str(error.value) == f"`plot_lr_sweep`: {sentence}"
