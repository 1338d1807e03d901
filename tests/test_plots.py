import io
import math
import time

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerastrain._axes import COLOURS, brightness
from kerastrain._history_picture import history_picture
from kerastrain.plots import plot_history
from kerastrain.records import History
from kerastrain.repeats import Repeats

matplotlib.use("Agg")

COLUMNS = {
    "accuracy": [0.5, 0.7, 0.8, 0.85],
    "loss": [0.9, 0.6, 0.4, 0.3],
    "val_accuracy": [0.4, 0.6, 0.65, 0.6],
    "val_loss": [1.0, 0.7, 0.6, 0.8],
    "learning_rate": [0.1, 0.1, 0.01, 0.01],
    "seconds": [2.0, 1.0, 1.0, 1.0],
}
STOPPED = History(COLUMNS, [0, 1, 2, 3], "val_loss", 2, 3, "early_stopping")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def curves(*sources, metrics=None, labels=None, smooth=0, log=False):
    return history_picture(sources, metrics, labels, smooth, log).panels


def metrics_of(panels):
    return [panel.metric for panel in panels]


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def labels_of(ax):
    return [line.get_label() for line in ax.get_lines()]


def legend(axes):
    (found,) = axes[0].figure.legends or [ax.get_legend() for ax in axes if ax.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def written(ax):
    return [text.get_text() for text in ax.texts]


def wave(epochs, shift=0.0):
    steps = np.arange(epochs)
    noise = 0.05 * np.sin(7.3 * steps + shift)
    return {"loss": list(np.exp(-steps / epochs) + noise + 1), "val_loss": list(2 + noise)}


# What is drawn


def test_every_measure_has_a_panel_with_its_validation_and_the_loss_comes_first():
    panels = curves(STOPPED)
    assert metrics_of(panels) == ["loss", "accuracy"]
    assert [[c.column for c in panel.curves] for panel in panels] == [
        ["loss", "val_loss"],
        ["accuracy", "val_accuracy"],
    ]
    assert [c.kind for c in panels[0].curves] == ["training", "validation"]


def test_the_curves_are_the_columns_over_the_epochs():
    axes = plot_history(STOPPED)
    for name, column in (("training", "loss"), ("validation", "val_loss")):
        drawn = line(axes[0], name)
        assert list(drawn.get_ydata()) == COLUMNS[column]
        assert list(drawn.get_xdata()) == [0, 1, 2, 3]
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy"]
    assert [ax.get_xlabel() for ax in axes] == ["epoch", "epoch"]


def test_epochs_are_those_of_the_history_also_after_a_resume():
    (panel,) = curves(History.of({"loss": [0.5, 0.4]}, epoch=[7, 8]))
    assert panel.curves[0].run.history.epoch == [7, 8]
    (ax,) = plot_history(History.of({"loss": [0.5, 0.4]}, epoch=[7, 8]))
    assert list(line(ax, "training").get_xdata()) == [7, 8]


def test_facts_of_the_epoch_are_drawn_when_asked_for():
    panels = curves(STOPPED, metrics=["learning_rate", "loss"])
    assert metrics_of(panels) == ["learning_rate", "loss"]
    assert [c.values for c in panels[0].curves] == [COLUMNS["learning_rate"]]
    assert [c.kind for c in panels[0].curves] == [""]


def test_a_history_of_facts_alone_shows_them():
    axes = plot_history({"learning_rate": [0.1, 0.01]})
    assert [ax.get_ylabel() for ax in axes] == ["learning_rate"]
    assert axes[0].figure.legends == []


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ("loss", ["loss"]),
        ("val_loss", ["loss"]),
        (["val_loss", "loss"], ["loss"]),
        (("accuracy", "loss"), ["accuracy", "loss"]),
        ("acc", ["accuracy"]),
        ("val_acc", ["accuracy"]),
    ],
)
def test_metrics_may_be_asked_for_by_any_of_their_names(asked, drawn):
    assert metrics_of(curves(STOPPED, metrics=asked)) == drawn


@pytest.mark.parametrize("asked", [None, "acc", "accuracy", "val_acc", "val_accuracy"])
def test_the_old_name_of_the_accuracy_shares_a_panel_with_the_new_one(asked):
    old = {"acc": [0.5, 0.6], "val_acc": [0.4, 0.5]}
    (panel,) = curves(old, {"accuracy": [0.7, 0.8]}, metrics=asked)
    assert panel.metric == "accuracy"
    assert [c.values for c in panel.curves] == [[0.5, 0.6], [0.4, 0.5], [0.7, 0.8]]


def test_the_old_name_of_the_accuracy_can_be_the_monitor():
    old = History({"val_acc": [0.4, 0.5, 0.3]}, [0, 1, 2], "val_acc", 1)
    (panel,) = curves(old)
    assert panel.curves[0].best == (1, 0.5)


def test_two_metrics_named_acc_and_accuracy_stay_two():
    both = {"accuracy": [0.5], "acc": [0.6]}
    assert metrics_of(curves(both)) == ["accuracy", "acc"]
    assert metrics_of(curves(both, metrics="acc")) == ["acc"]


def test_a_metric_of_some_histories_is_drawn_for_those():
    _, accuracy = curves({"loss": [0.5]}, STOPPED)
    assert [c.run.label for c in accuracy.curves] == ["run 2", "run 2"]


def test_a_validation_column_alone_has_its_panel():
    (panel,) = curves({"val_loss": [0.5, 0.4]})
    assert panel.metric == "loss"
    assert [c.kind for c in panel.curves] == ["validation"]


@pytest.mark.parametrize("kind", ["ours", "keras", "dict", "json", "csv", "text path"])
def test_a_history_comes_in_any_form(kind, tmp_path):
    ours = History.of({"loss": COLUMNS["loss"]})
    theirs = keras.callbacks.History()
    theirs.history, theirs.epoch = {"loss": COLUMNS["loss"]}, [0, 1, 2, 3]
    csv = tmp_path / "log.csv"
    csv.write_text("epoch,loss\n0,0.9\n1,0.6\n2,0.4\n3,0.3\n", encoding="utf-8")
    source = {
        "ours": ours,
        "keras": theirs,
        "dict": {"loss": COLUMNS["loss"]},
        "json": ours.save(tmp_path / "history.json"),
        "csv": csv,
        "text path": str(tmp_path / "history.json"),
    }[kind]
    (ax,) = plot_history(source)
    assert list(line(ax, "training").get_ydata()) == COLUMNS["loss"]


# The best epoch and the stop


def test_one_run_shows_its_best_epoch_and_its_early_stop_in_every_panel():
    axes = plot_history(STOPPED)
    for ax in axes:
        assert set(line(ax, "best epoch by val_loss").get_xdata()) == {2}
        assert set(line(ax, "stopped after epoch 3").get_xdata()) == {3}
    assert legend(axes) == [
        "training",
        "validation",
        "best epoch by val_loss",
        "stopped after epoch 3",
    ]


def test_a_dot_and_a_text_mark_the_best_value_on_the_monitored_curve():
    loss, accuracy = plot_history(STOPPED)
    dot = line(loss, "_best")
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([2], [0.6])
    assert dot.get_color() == line(loss, "validation").get_color()
    assert written(loss) == ["0.6\nat epoch 2"]
    assert "_best" not in labels_of(accuracy)
    assert written(accuracy) == []


def test_the_text_stands_where_the_curve_does_not():
    falling = plot_history({"loss": [1.0, 0.5, 0.2, 0.1]})[0].texts[0]
    assert (falling.get_va(), falling.get_ha()) == ("top", "right")
    rising = History({"accuracy": [0.1, 0.9, 0.8, 0.7]}, [0, 1, 2, 3], "accuracy", 1)
    text = plot_history(rising)[0].texts[0]
    assert (text.get_va(), text.get_ha()) == ("bottom", "left")


def test_a_stop_for_another_reason_says_it():
    stopped = History({"loss": [0.5, math.nan]}, [0, 1], "loss", 0, 1, "nan")
    assert legend(plot_history(stopped))[2] == "stopped after epoch 1 (nan)"


def test_a_run_to_the_end_has_no_line_for_a_stop():
    axes = plot_history(History.of(COLUMNS))
    assert legend(axes) == ["training", "validation", "best epoch by val_loss"]


def test_a_run_without_a_finite_value_has_no_best_epoch():
    axes = plot_history({"loss": [math.nan, math.inf]})
    assert legend(axes) == ["training"]
    assert "_best" not in labels_of(axes[0])


def test_several_runs_have_a_dot_each_and_no_lines_across():
    other = History.of({name: column[::-1] for name, column in COLUMNS.items()})
    axes = plot_history(STOPPED, other)
    assert labels_of(axes[0]) == [
        "run 1, training",
        "run 1, validation",
        "_best",
        "run 2, training",
        "run 2, validation",
        "_best",
    ]
    assert written(axes[0]) == []
    assert legend(axes) == ["run 1", "run 2", "training", "validation", "best epoch"]


# Looks


def test_one_run_has_a_colour_for_training_and_one_for_validation():
    (ax, _) = plot_history(STOPPED)
    assert line(ax, "training").get_color() == "#0072B2"
    assert line(ax, "validation").get_color() == "#E69F00"
    assert line(ax, "training").get_linestyle() == "-"


def test_several_runs_have_a_colour_each_and_training_is_dashed_and_thinner():
    ax = plot_history(STOPPED, STOPPED)[0]
    train, val = line(ax, "run 2, training"), line(ax, "run 2, validation")
    assert train.get_color() == val.get_color() != line(ax, "run 1, training").get_color()
    assert (train.get_linestyle(), val.get_linestyle()) == ("--", "-")
    assert train.get_linewidth() < val.get_linewidth()


def test_training_is_solid_where_there_is_no_validation_at_all():
    axes = plot_history({"loss": [0.5, 0.4]}, {"loss": [0.6, 0.3]})
    assert line(axes[0], "run 1, training").get_linestyle() == "-"
    assert legend(axes) == ["run 1", "run 2", "best epoch"]


def ranked(count, *, rising=False):
    """Runs of which each is better than the one before."""
    name, step = ("accuracy", 0.01) if rising else ("loss", -0.01)
    columns = [
        {name: [0.5, 0.5 + step * i], f"val_{name}": [0.5, 0.5 + step * i]} for i in range(count)
    ]
    return [History(column, [0, 1], f"val_{name}", 1) for column in columns]


@pytest.mark.parametrize("rising", [False, True])
def test_more_runs_than_colours_are_ranked_and_the_best_stands_out(rising):
    runs = ranked(7, rising=rising)
    runs.insert(0, History({"loss": [math.nan]}, [0]))
    (ax, *_) = axes = plot_history(*runs, metrics=runs[1].monitor)
    best, worst = line(ax, "run 8, validation"), line(ax, "run 2, validation")
    assert (best.get_color(), best.get_linewidth()) == (COLOURS[3], 3)
    assert best.get_zorder() > line(ax, "run 7, validation").get_zorder() > worst.get_zorder()
    assert brightness(line(ax, "run 7, validation").get_color()) < brightness(worst.get_color())
    names = [f"run {number}" for number in (8, 7, 6, 5, 4, 3, 2, 1)]
    assert legend(axes) == [*names, "training", "validation", "best epoch"]
    assert ax.figure.legends[0].get_title().get_text() == f"{runs[1].monitor}, best first"
    assert labels_of(ax).count("_best") == 1


def test_on_a_dark_ground_the_better_ones_are_bright():
    with plt.style.context("dark_background"):
        ax = plot_history(*ranked(7))[0]
        near, worst = line(ax, "run 6, validation"), line(ax, "run 1, validation")
        assert brightness(near.get_color()) > brightness(worst.get_color())


def test_names_are_ranked_by_the_mean_of_their_runs():
    runs = ranked(14)
    picture = history_picture(runs, labels=[str(number % 7) for number in range(14)])
    assert [run.label for run in picture.runs] == [n for n in "6543210" for _ in range(2)]
    assert [run.place for run in picture.runs][::2] == pytest.approx([n / 6 for n in range(7)])


def test_runs_without_a_value_keep_their_order_and_none_is_the_best():
    picture = history_picture([{"loss": [math.nan]}] * 7)
    assert [run.label for run in picture.runs] == [f"run {number}" for number in range(1, 8)]
    assert picture.ranked_by == ""
    axes = plot_history(*[{"learning_rate": [0.1]}] * 7)
    assert COLOURS[3] not in {line.get_color() for line in axes[0].get_lines()}


def test_forty_runs_have_forty_colours_and_a_legend_that_names_twelve():
    axes = plot_history(*ranked(40))
    colours = {line.get_color() for line in axes[0].get_lines()}
    assert len(colours) == 40
    names = legend(axes)
    assert names[:3] == ["run 40", "run 36", "run 33"]
    assert names[11:] == ["run 1", "… and 28 more", "validation", "best epoch"]


def test_of_more_than_twelve_runs_only_validation_is_drawn_where_there_is_any():
    kinds = [[c.kind for c in curves(*ranked(count))[0].curves] for count in (12, 13)]
    assert kinds == [["training", "validation"] * 12, ["validation"] * 13]
    (panel,) = curves(*ranked(12), {"loss": [0.5]})
    assert [c.run.label for c in panel.curves if c.kind == "training"] == ["run 13"]


def test_runs_of_one_name_share_its_colour_and_its_line_in_the_legend():
    axes = plot_history(*[wave(5, run) for run in range(12)], labels=["a", "b", "c"] * 4)
    for name, colour in zip("abc", COLOURS, strict=False):
        lines = [one for one in axes[0].get_lines() if one.get_label() == f"{name}, validation"]
        assert [line.get_color() for line in lines] == [colour] * 4
    assert legend(axes) == ["a", "b", "c", "training", "validation", "best epoch"]


def test_seeds_of_one_choice_share_its_name_beside_another():
    several = [
        Repeats([History.of(wave(5, run)) for run in runs], "loss") for runs in ((1, 2), (3,))
    ]
    assert legend(plot_history(*several))[:3] == ["run 1", "run 2", "training"]
    assert legend(plot_history(several[0]))[:3] == ["run 1", "run 2", "training"]
    colours = {line.get_color() for line in plot_history(*several)[0].get_lines()}
    assert colours == set(COLOURS[:2])


def test_nothing_of_the_legend_is_cut_off():
    names = [f"{number}: " + "a long name that goes on " * 4 for number in range(14)]
    for axes in (
        plot_history(STOPPED, metrics="loss"),
        plot_history(*[STOPPED] * 14, labels=names),
        plot_history(*[STOPPED] * 2, labels=["short", "x" * 90], metrics="loss"),
    ):
        figure = axes[0].figure
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert all(ax.get_window_extent().width > 3.4 * figure.dpi for ax in axes)


def test_ticks_are_whole_epochs():
    for epochs in (1, 2, 3, 30, 5000):
        (ax,) = plot_history(wave(epochs))
        shown = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
        assert shown
        assert all(tick == round(tick) for tick in shown)


def test_one_epoch_is_a_visible_point():
    axes = plot_history({"loss": [0.5], "val_loss": [0.6]})
    assert line(axes[0], "training").get_marker() == "o"
    assert line(axes[0], "training").get_markevery() == [0]


def test_a_nan_is_a_gap_and_a_point_alone_between_gaps_is_visible():
    values = [1.0, math.nan, 0.8, math.nan, 0.6, 0.5]
    (ax,) = plot_history({"loss": values})
    np.testing.assert_array_equal(line(ax, "training").get_ydata(), values)
    assert line(ax, "training").get_markevery() == [0, 2]


def test_the_lines_that_mark_epochs_take_the_colour_of_text():
    with plt.style.context("dark_background"):
        (ax, _) = plot_history(STOPPED)
        assert line(ax, "best epoch by val_loss").get_color() == "white"
        ax.figure.draw_without_rendering()


# Smoothing and the logarithm


def test_smoothing_is_the_bias_corrected_moving_average():
    panel, _ = curves(STOPPED, smooth=0.6)
    first, average = COLUMNS["loss"], 0.0
    expected = []
    for step, value in enumerate(first, start=1):
        average = 0.6 * average + 0.4 * value
        expected.append(average / (1 - 0.6**step))
    assert panel.curves[0].smoothed == pytest.approx(expected)
    assert panel.curves[0].smoothed[0] == pytest.approx(first[0])
    assert panel.curves[0].values == first


def test_smoothing_leaves_a_constant_as_it_is():
    (panel,) = curves({"loss": [0.3] * 50}, smooth=0.99)
    assert panel.curves[0].smoothed == pytest.approx([0.3] * 50)


def test_smoothing_steps_over_gaps():
    (panel,) = curves({"loss": [math.nan, 1.0, math.inf, 4.0]}, smooth=0.5)
    np.testing.assert_allclose(panel.curves[0].smoothed, [math.nan, 1.0, math.nan, 3.0])


def test_the_raw_curve_stays_faint_behind_the_smoothed_one_and_the_best_is_its():
    (ax,) = plot_history({"loss": [1.0, 0.2, 0.6]}, smooth=0.5)
    raw, smooth = line(ax, "_raw"), line(ax, "training")
    assert list(raw.get_ydata()) == [1.0, 0.2, 0.6]
    assert raw.get_alpha() < 0.5
    assert ax.get_lines().index(raw) < ax.get_lines().index(smooth)
    assert list(line(ax, "_best").get_ydata()) == [0.2]


def test_the_y_axis_is_logarithmic_where_all_values_are_above_zero():
    history = {"loss": [1.0, math.nan, 0.01], "r2": [-1.0, 0.0, 0.5]}
    assert [ax.get_yscale() for ax in plot_history(history, log=True)] == ["log", "linear"]
    assert [ax.get_yscale() for ax in plot_history(history)] == ["linear", "linear"]


# Labels


def test_paths_are_called_by_their_files(tmp_path):
    paths = [History.of({"loss": [0.5]}).save(tmp_path / f"{name}.json") for name in "ab"]
    assert [run.label for run in history_picture(paths).runs] == ["a", "b"]


def test_paths_of_files_named_alike_are_called_by_their_folders(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        History.of({"loss": [0.5]}).save(tmp_path / name / "history.json")
    paths = [str(tmp_path / name / "history.json") for name in "ab"]
    picture = history_picture([{"loss": [0.5]}, *paths])
    assert [run.label for run in picture.runs] == ["run 1", "a", "b"]
    picture = history_picture([paths[0], paths[0]])
    assert [run.label for run in picture.runs] == [paths[0], paths[0]]


def test_labels_name_the_runs():
    axes = plot_history(STOPPED, STOPPED, labels=["plain", "_dropout"])
    assert legend(axes)[:2] == ["plain", "_dropout"]
    assert line(axes[0], "plain, training")


def test_one_run_can_have_a_label():
    axes = plot_history(STOPPED, labels="dropout")
    assert legend(axes)[:2] == ["dropout, training", "dropout, validation"]


# Where it is drawn


def test_one_axes_takes_the_first_panel_or_the_one_asked_for():
    _, (left, right) = plt.subplots(1, 2)
    assert plot_history(STOPPED, ax=left) == [left]
    assert plot_history(STOPPED, metrics="accuracy", ax=right) == [right]
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "accuracy")
    assert legend([left])[:2] == ["training", "validation"]


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_as_many_axes_as_panels_take_one_each(kind):
    figure, grid = plt.subplots(2, 2)
    given = list(grid.flat)
    metrics = ["loss", "accuracy", "learning_rate", "seconds"]
    source = grid if kind is np.array else kind(given)
    assert plot_history(STOPPED, metrics=metrics, ax=source) == given
    assert [ax.get_ylabel() for ax in given] == metrics
    assert figure.legends == []


def test_given_axes_need_no_figure_of_pyplot():
    ax = matplotlib.figure.Figure().subplots()
    assert plot_history(*[wave(5, run) for run in range(9)], ax=ax) == [ax]
    assert plt.get_fignums() == []
    assert "run 9" in legend([ax])


def test_panels_fill_a_grid_without_empty_axes():
    many = {f"metric{number}": [0.1, 0.2] for number in range(5)}
    axes = plot_history(many)
    assert len(axes) == len(axes[0].figure.axes) == 5


def test_settings_stay_and_nothing_is_printed_or_shown(monkeypatch, capsys):
    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("shown"))
    before = dict(matplotlib.rcParams)
    plot_history(STOPPED, STOPPED, smooth=0.5, log=True)
    assert dict(matplotlib.rcParams) == before
    assert capsys.readouterr() == ("", "")


def noise(epochs, seed):
    generator = np.random.default_rng(seed)
    return {name: generator.random(epochs) for name in ("loss", "val_loss")}


@pytest.mark.parametrize("made", [wave, noise])
def test_forty_runs_of_five_thousand_epochs_take_two_seconds_at_most(made):
    runs = [made(5000, run) for run in range(40)]
    start = time.process_time()
    axes = plot_history(*runs, smooth=0.9)
    axes[0].figure.savefig(io.BytesIO(), format="png")
    assert time.process_time() - start < 2
    (panel, *_) = history_picture(runs, smooth=0.9).panels
    (curve,) = [curve for curve in panel.curves if curve.run.label == "run 40"]
    whole, drawn = curve.smoothed, line(axes[0], "run 40, validation")
    assert len(drawn.get_ydata()) < 500 < len(whole) == 5000
    assert (min(drawn.get_ydata()), max(drawn.get_ydata())) == (min(whole), max(whole))
    assert (drawn.get_xdata()[0], drawn.get_xdata()[-1]) == (0, 4999)


def test_a_long_run_alone_is_drawn_through_all_its_points():
    (ax,) = plot_history(wave(5000))
    assert len(line(ax, "validation").get_ydata()) == 5000


# What is refused


@pytest.mark.parametrize(
    ("sources", "arguments", "sentence"),
    [
        ([], {}, "`histories` must hold at least one history. Received: histories=()."),
        (
            [STOPPED, {}],
            {},
            "`histories` must each hold at least one epoch of one column. "
            f"Received: histories[1]={History.of({})!r}.",
        ),
        (
            [{"loss": [0.5], "accuracy": [0.5]}],
            {"metrics": ["los"]},
            "`metrics` must be one of 'loss', 'accuracy' (did you mean 'loss'?). "
            "Received: metrics='los'.",
        ),
        (
            [{"loss": [0.5], "seconds": [0.5]}],
            {"metrics": "val_loss"},
            "`metrics` must be one of 'loss', 'seconds' (did you mean 'loss'?). "
            "Received: metrics='val_loss'.",
        ),
        (
            [{"loss": [0.5]}],
            {"metrics": "acc"},
            "`metrics` must be one of 'loss'. Received: metrics='acc'.",
        ),
        (
            [STOPPED],
            {"metrics": []},
            "`metrics` must be the name of a metric or a list of names. Received: metrics=[].",
        ),
        (
            [STOPPED, STOPPED],
            {"labels": ["one"]},
            "`labels` must be a list of one label per history (2). Received: labels=['one'].",
        ),
        (
            [STOPPED, STOPPED],
            {"labels": "ab"},
            "`labels` must be a list of one label per history (2). Received: labels='ab'.",
        ),
        ([STOPPED], {"smooth": 1}, "`smooth` must be at least 0 and below 1. Received: smooth=1."),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(sources, arguments, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole sentence is compared below)
        plot_history(*sources, **arguments)
    assert str(caught.value) == f"`plot_history`: {sentence}"
    assert plt.get_fignums() == []


def test_a_wrong_number_of_axes_is_refused():
    _, axes = plt.subplots(1, 3)
    for given, count in ((axes, 3), (axes[:1], 1)):
        with pytest.raises(ValueError, match="one Axes per metric") as caught:
            plot_history(STOPPED, ax=given)
        assert str(caught.value) == (
            "`plot_history`: `ax` must hold one Axes per metric ('loss', 'accuracy'). "
            f"Received: {count} Axes."
        )
    with pytest.raises(ValueError, match="Received: 1 Axes"):
        plot_history(STOPPED, metrics=["loss", "accuracy"], ax=axes[0])


def test_what_is_no_axes_is_refused():
    with pytest.raises(TypeError) as caught:
        plot_history(STOPPED, ax="left")
    assert str(caught.value) == (
        "`plot_history`: `ax` must be a Matplotlib Axes or a list of them. Received: ax='left'."
    )


def test_what_is_no_history_is_refused():
    with pytest.raises(TypeError) as caught:
        plot_history([STOPPED])
    assert str(caught.value) == (
        "`plot_history`: `histories` must be given one by one, not in a list. "
        f"Received: [{STOPPED!r}]."
    )
