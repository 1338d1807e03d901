"""The picture of a search: its numbers first, then what stands on the Axes."""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kerastrain._axes import COLOURS
from kerastrain._search_picture import Scale, search_picture
from kerastrain.search_plots import plot_search
from kerastrain.search_records import SearchResult, Trial

matplotlib.use("Agg")

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def a_trial(number, value, state="complete", **params):
    return Trial(number, params or {"units": 16 * (number + 1)}, state, value)


def a_result(*trials, mode="min", **fields):
    return SearchResult(list(trials), "val_loss", mode, **fields)


def of_values(*values, mode="min"):
    """A search of complete trials."""
    return a_result(*(a_trial(n, value) for n, value in enumerate(values)), mode=mode)


def of_params(*params):
    """A search of complete trials with such parameters, the first of them the best."""
    return a_result(*(Trial(n, given, "complete", 0.1 * (n + 1)) for n, given in enumerate(params)))


EACH_STATE = a_result(
    a_trial(0, 0.5),
    a_trial(1, NAN, "failed"),
    a_trial(2, 0.7),
    a_trial(3, 0.4, "pruned"),
    a_trial(4, 0.3),
    a_trial(5, 0.6),
    importance={"units": 1.0},
)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def written(ax):
    return [text.get_text() for text in ax.texts]


def names_above(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def group(ax, state):
    (found,) = [one for one in ax.collections if one.get_label() == f"_{state}"]
    return found


def drawn_lines(ax, state):
    """The lines of the parallel coordinates, a list of heights a trial."""
    return [path[:, 1].tolist() for path in group(ax, state).get_segments()]


def lightness(ax):
    """How light the colour of each complete trial is, in the order in which they are drawn."""
    return [sum(to_rgb(colour)) for colour in group(ax, "complete").get_colors()]


def axis_of(name, *values):
    """The axis of one parameter; `places` in the order of the values."""
    picture = search_picture(of_params(*({name: value} for value in values)))
    return picture.axes[0].places[::-1], picture.axes[0].ticks


# Value over trials.


def test_each_state_has_its_marker_and_its_colour():
    ax = plot_search(EACH_STATE)[0]
    looks = {
        label: (line.get_marker(), line.get_color(), line.get_xdata().tolist())
        for label, line in lines(ax).items()
    }
    assert looks["complete"] == ("o", COLOURS[0], [0, 2, 4, 5])
    assert looks["pruned"] == ("D", COLOURS[1], [3])
    assert looks["failed"] == ("x", matplotlib.rcParams["text.color"], [1])
    assert lines(ax)["complete"].get_ydata().tolist() == [0.5, 0.7, 0.3, 0.6]
    assert lines(ax)["pruned"].get_ydata().tolist() == [0.4]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("trial", "val_loss")


def test_the_legend_names_what_there_is_and_the_best():
    ax = plot_search(EACH_STATE)[0]
    assert legend(ax) == ["best so far", "complete", "pruned", "failed", "best: 0.3 in trial 4"]
    assert legend(plot_search(of_values(0.5))[0])[1:] == ["complete", "best: 0.5 in trial 0"]


@pytest.mark.parametrize(
    "mode, values", [("min", [0.5, 0.5, 0.3, 0.3]), ("max", [0.5, 0.7, 0.7, 0.7])]
)
def test_the_best_so_far_follows_the_mode_and_counts_complete_trials_only(mode, values):
    result = SearchResult(EACH_STATE.trials, "val_loss", mode)
    line = lines(plot_search(result)[0])["best so far"]
    np.testing.assert_array_equal(line.get_ydata(), values)
    assert line.get_xdata().tolist() == [0, 2, 4, 5]
    assert line.get_drawstyle() == "steps-post"


def test_the_best_so_far_goes_on_to_the_last_trial():
    picture = search_picture(a_result(a_trial(1, 0.5), a_trial(4, NAN, "failed"), a_trial(9, INF)))
    assert picture.best_so_far.numbers == [1, 9]
    assert picture.best_so_far.values == [0.5, 0.5]


def test_trials_that_ended_out_of_turn_are_drawn_in_their_order():
    picture = search_picture(a_result(a_trial(2, 0.3), a_trial(0, 0.5), a_trial(1, 0.4)))
    assert picture.best_so_far.numbers == [0, 1, 2]
    assert picture.points["complete"].values == [0.5, 0.4, 0.3]


def test_the_best_trial_is_marked_in_both_panels():
    value, _, parameters = plot_search(EACH_STATE)
    (dot,) = [line for label, line in lines(value).items() if label.startswith("best:")]
    assert (dot.get_xdata().tolist(), dot.get_ydata().tolist()) == ([4], [0.3])
    line = lines(parameters)["_best"]
    assert line.get_ydata().tolist() == pytest.approx([4 / 5, 0])
    assert dot.get_color() == line.get_color() == COLOURS[3]
    assert line.get_linewidth() >= 3


def test_what_has_no_value_lies_at_the_bottom_below_the_others():
    ax = plot_search(a_result(a_trial(0, 0.5), a_trial(1, NAN), a_trial(2, INF), a_trial(3, 0.4)))[
        0
    ]
    line = lines(ax)["failed or not finite"]
    assert line.get_xdata().tolist() == [1, 2]
    heights = line.get_transform().transform(line.get_xydata())[:, 1]
    assert max(heights) < ax.transData.transform((0, 0.4))[1]
    assert min(heights) > ax.transAxes.transform((0, 0))[1]


def test_what_runs_away_is_marked_at_the_edge():
    result = of_values(0.30, 0.35, 0.28, 0.33, 1e6, 0.31, 400.0)
    ax = plot_search(result)[0]
    assert lines(ax)["far off"].get_xdata().tolist() == [4, 6]
    assert lines(ax)["far off"].get_ydata().tolist() == [0.35, 0.35]
    assert lines(ax)["far off"].get_marker() == "^"
    assert ax.get_ylim() == pytest.approx((0.28 - 0.07 * 0.07, 0.35 + 0.07 * 0.07))


def test_what_runs_away_downwards_is_marked_at_the_lower_edge():
    ax = plot_search(of_values(0.70, 0.65, 0.72, 0.67, -1e6, 0.69, mode="max"))[0]
    assert lines(ax)["far off"].get_ydata().tolist() == [0.65]
    assert lines(ax)["far off"].get_marker() == "v"


def test_nothing_is_far_off_among_equals_or_in_a_few():
    assert "far off" not in lines(plot_search(of_values(0.3, 0.3, 0.3, 0.4))[0])
    assert "far off" not in lines(plot_search(of_values(0.3, 40.0))[0])


def test_values_over_decades_are_logarithmic_and_others_are_not():
    ax = plot_search(of_values(0.02, 0.04, 0.2, 2.0))[0]
    assert ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.03", "0.1", "0.3", "1"]
    assert ax.get_ylim() == pytest.approx((0.02 / 100**0.07, 2.0 * 100**0.07))
    assert plot_search(of_values(0.3, 0.4, 0.9))[0].get_yscale() == "linear"
    assert plot_search(of_values(-0.3, 0.4, 90.0))[0].get_yscale() == "linear"


# Importance.


def test_importance_has_a_bar_a_parameter_the_most_important_above():
    shares = {"units": 0.296, "rate": 0.7, "layers": 0.004, "odd": NAN}
    ax = plot_search(a_result(a_trial(0, 0.5), importance=shares))[1]
    assert [bar.get_width() for bar in ax.patches] == [0.7, 0.296, 0.004]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rate", "units", "layers"]
    assert written(ax) == ["70 %", "30 %", "< 1 %"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_xlabel() == "importance for val_loss"


def test_an_importance_that_is_not_known_is_said_in_words():
    ax = plot_search(of_values(0.5, 0.4))[1]
    assert " ".join(written(ax)[0].split()) == (
        "The importance of the parameters is not known: too few complete trials"
    )
    assert list(ax.patches) == []


# Parallel coordinates.


def test_each_parameter_has_an_axis_and_the_value_the_last():
    result = of_params({"units": 16, "rate": 0.1}, {"units": 64, "rate": 0.2})
    ax = plot_search(result)[2]
    assert names_above(ax) == ["units", "rate", "val_loss"]
    assert drawn_lines(ax, "complete") == [[1, 1, 1], [0, 0, 0]]


def test_the_best_lines_are_drawn_last_and_darkest():
    ax = plot_search(of_values(0.2, 0.4, 0.3))[2]
    assert [line[-1] for line in drawn_lines(ax, "complete")] == pytest.approx([1, 0.5, 0])
    assert lightness(ax) == sorted(lightness(ax), reverse=True)


def test_the_highest_are_the_darkest_where_higher_is_better():
    ax = plot_search(of_values(0.2, 0.4, 0.3, mode="max"))[2]
    assert [line[-1] for line in drawn_lines(ax, "complete")] == pytest.approx([0, 0.5, 1])
    assert lightness(ax) == sorted(lightness(ax), reverse=True)


def test_the_best_are_the_lightest_on_a_dark_background():
    with plt.style.context("dark_background"):
        ax = plot_search(of_values(0.2, 0.4, 0.3))[2]
    assert lightness(ax) == sorted(lightness(ax))


def test_pruned_trials_are_faint_and_failed_ones_end_at_the_last_parameter():
    ax = plot_search(EACH_STATE)[2]
    assert group(ax, "pruned").get_alpha() < 0.4 * group(ax, "complete").get_alpha()
    assert drawn_lines(ax, "pruned") == [pytest.approx([3 / 5, 0.25])]
    assert drawn_lines(ax, "failed") == [pytest.approx([1 / 5])]
    assert legend(ax) == ["best: trial 4", "pruned", "failed"]


def test_a_trial_without_a_value_has_no_place_on_the_axis_of_values():
    ax = plot_search(a_result(a_trial(0, 0.5), a_trial(1, NAN), a_trial(2, 0.7)))[2]
    assert [len(line) for line in drawn_lines(ax, "complete")] == [1, 2, 2]


def test_a_value_far_off_has_its_place_at_the_end():
    places = search_picture(of_values(0.30, 0.35, 0.28, 0.33, 1e6)).axes[-1].places
    assert places[0] == 1
    assert places[-1] == 0


def test_rates_over_decades_have_a_logarithmic_axis():
    places, ticks = axis_of("rate", 1e-4, 1e-3, 1e-2, 3e-2, 5e-3, 2e-4, 4e-4)
    assert places[:3] == pytest.approx(
        [0, math.log(10) / math.log(300), math.log(100) / math.log(300)]
    )
    assert list(ticks.values()) == ["0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03"]


def test_shares_have_a_linear_axis_even_where_one_is_almost_zero():
    places, ticks = axis_of("dropout", 1e-6, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
    assert places[1] == pytest.approx(0.2, abs=1e-4)
    assert list(ticks.values()) == ["0.1", "0.2", "0.3", "0.4", "0.5"]


def test_a_few_choices_of_numbers_are_each_written():
    assert axis_of("units", 64, 16, 32, 16)[1] == {0: "16", 1 / 3: "32", 1: "64"}
    assert list(axis_of("rate", 0.1, 0.15, 0.1, 0.15)[1].values()) == ["0.1", "0.15"]


def test_choices_too_close_to_be_written_are_thinned():
    _, ticks = axis_of("units", *[1, 2, 100, 101], *[50] * 8)
    assert list(ticks.values()) == ["1", "50", "100"]


def test_whole_numbers_have_whole_ticks():
    _, ticks = axis_of("layers", 1, 2, 3, 4, 5, 6, 7, 8)
    assert list(ticks.values()) == ["2", "4", "6", "8"]


def test_one_value_stands_in_the_middle():
    assert axis_of("units", 64, 64) == ([0.5, 0.5], {0.5: "64"})
    assert axis_of("optimizer", "adam", "adam") == ([0.5, 0.5], {0.5: "adam"})


def test_words_are_evenly_spread_in_their_order():
    places, ticks = axis_of("optimizer", "sgd", "adam", "rmsprop")
    assert places == [1, 0, 0.5]
    assert ticks == {0: "adam", 0.5: "rmsprop", 1: "sgd"}
    assert axis_of("flag", True, False)[1] == {0: "False", 1: "True"}
    assert axis_of("hidden", (64,), (8, 8))[1] == {0: "(8, 8)", 1: "(64,)"}


def test_values_of_several_kinds_are_words():
    places, ticks = axis_of("layer", None, print, (16, 32), [16, 32], 5, np.float32(0.5))
    assert len(set(places)) == 6
    assert sorted(ticks.values()) == ["(16, 32)", "0.5", "5", "None", "[16, 32]", "print"]


def test_what_is_no_number_lies_below_the_numbers():
    places, ticks = axis_of("clip", None, 0.5, 1.0, NAN, 0.5, 1.0, INF)
    assert list(ticks.values()) == ["None", "inf", "nan", "0.5", "1"]
    assert list(ticks) == pytest.approx([0, 0.1, 0.2, 0.36, 1])
    assert places == [0, pytest.approx(0.36), 1, 0.2, pytest.approx(0.36), 1, 0.1]


def test_a_parameter_that_only_some_trials_have_is_not_set_in_the_others():
    result = of_params(
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.9, "kind": "plain"},
        {"optimizer": "sgd", "momentum": 0.5, "kind": "nesterov"},
    )
    _, momentum, kind, _ = search_picture(result).axes
    assert momentum.places == [pytest.approx(0.16), 1, 0]
    assert momentum.ticks[0] == "not set"
    assert kind.ticks == {0: "not set", 0.5: "nesterov", 1: "plain"}
    assert [len(line) for line in drawn_lines(plot_search(result)[2], "complete")] == [4, 4, 4]


def test_of_many_parameters_the_most_important_are_drawn_in_their_order():
    names = [f"param_{number}" for number in range(30)]
    shares = {name: number / 435 for number, name in enumerate(names)}
    params = dict.fromkeys(names, 1)
    axes = plot_search(a_result(Trial(0, params, "complete", 0.5), importance=shares))
    assert names_above(axes[2]) == [*names[18:], "val_loss"]
    assert axes[2].get_title(loc="left") == "12 of 30 parameters, the most important"
    assert len(axes[1].patches) == 12
    assert plot_search(of_values(0.5))[2].get_title(loc="left") == ""


def test_long_names_are_folded_and_keep_their_beginning_and_end():
    name = "a_rather_long_name_of_a_parameter_of_layer_{}_kernel_size"
    params = {name.format(number): number for number in range(12)}
    shares = dict.fromkeys(params, 1 / 12)
    axes = plot_search(a_result(Trial(0, params, "complete", 0.5), importance=shares))
    bars = [label.get_text() for label in axes[1].get_yticklabels()]
    assert len(set(bars)) == 12
    assert all(len(text) <= 30 for text in bars)
    above = names_above(axes[2])
    assert len(set(above)) == 13
    assert above[0].replace("\n", "").startswith("a_rather_")
    assert above[0].endswith("size")
    assert all(len(line) <= 14 for text in above for line in text.split("\n"))


def test_long_words_are_cut():
    result = of_params({"layer": "a very long name of a layer " * 9}, {"layer": "b"}, {"layer": ""})
    ax = plot_search(result)[2]
    assert max(map(len, written(ax))) < 80
    assert "''" in written(ax)


# Searches that found little.


def test_a_search_without_a_complete_trial_has_no_best():
    value, importance, parameters = plot_search(
        a_result(a_trial(0, NAN, "failed"), a_trial(1, 0.4, "pruned"))
    )
    assert legend(value) == ["pruned", "failed"]
    assert "not known" in written(importance)[0]
    assert legend(parameters) == ["pruned", "failed"]


def test_where_all_failed_only_their_parameters_are_drawn():
    value, _, parameters = plot_search(
        a_result(*(Trial(n, {"units": n, "kind": "ab"[n % 2]}, "failed") for n in range(3)))
    )
    assert lines(value)["failed"].get_xdata().tolist() == [0, 1, 2]
    assert value.get_yticks().size == 0
    assert names_above(parameters) == ["units", "kind"]
    assert drawn_lines(parameters, "failed") == [[1, 0], [0.5, 1], [0, 0]]


def test_an_empty_search_says_so():
    assert [written(ax)[0].split(":")[0] for ax in plot_search(a_result())] == [
        *("no trials", "The importance of the parameters\nis not known", "no trials")
    ]


def test_one_trial_and_no_parameters_are_drawn():
    axes = plot_search(a_result(Trial(0, {}, "complete", 0.5)))
    assert lines(axes[0])["complete"].get_ydata().tolist() == [0.5]
    assert axes[0].get_ylim() == pytest.approx((0.443, 0.557))
    assert written(axes[2]) == ["no parameters"]


def test_five_hundred_trials_are_drawn_fainter_than_five():
    many = plot_search(of_values(*np.linspace(0.2, 0.9, 500)))[2]
    few = plot_search(of_values(*np.linspace(0.2, 0.9, 5)))[2]
    assert len(drawn_lines(many, "complete")) == 500
    assert group(many, "complete").get_alpha() < 0.5 * group(few, "complete").get_alpha()


@pytest.mark.parametrize("is_log", [False, True])
def test_a_scale_goes_both_ways(is_log):
    scale = Scale(1e-300, 1e300, True) if is_log else Scale(-2.0, 6.0, False)
    for place in (-0.05, 0.0, 0.3, 1.0, 1.01):
        assert scale.place(scale.at(place)) == pytest.approx(min(max(place, 0), 1))
    assert math.isnan(scale.place(NAN))


# Where it is drawn, and from what.


def test_it_is_drawn_on_given_axes():
    ax = Figure().add_subplot()
    assert plot_search(EACH_STATE, ax=ax) == [ax]
    assert lines(ax)["complete"].get_xdata().tolist() == [0, 2, 4, 5]
    three = Figure().subplots(3)
    assert plot_search(EACH_STATE, ax=three) == list(three)
    assert names_above(three[2]) == ["units", "val_loss"]
    assert plt.get_fignums() == []


def test_a_saved_search_is_drawn_from_its_path(tmp_path):
    ax = plot_search(EACH_STATE.save(tmp_path / "search.json"))[0]
    assert lines(ax)["complete"].get_ydata().tolist() == [0.5, 0.7, 0.3, 0.6]


def test_drawing_changes_no_setting_and_the_picture_can_be_saved(tmp_path):
    before = dict(matplotlib.rcParams)
    axes = plot_search(EACH_STATE)
    axes[0].figure.savefig(tmp_path / "search.png")
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "search.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "arguments, ax, kind, sentence",
    [
        (
            {"trials": []},
            None,
            TypeError,
            "`result` must be what search returns, or a path to a saved one. "
            "Received: {'trials': []}.",
        ),
        (
            EACH_STATE,
            "here",
            TypeError,
            "`ax` must be a Matplotlib Axes or a list of them. Received: ax='here'.",
        ),
        (
            EACH_STATE,
            [],
            ValueError,
            "`ax` must hold one Axes per panel ('value', 'importance', 'parameters'). "
            "Received: 0 Axes.",
        ),
    ],
)
def test_what_is_no_search_or_no_axes_is_refused(arguments, ax, kind, sentence):
    with pytest.raises(kind) as error:
        plot_search(arguments, ax=ax)
    assert str(error.value) == f"`plot_search`: {sentence}"
    assert plt.get_fignums() == []
