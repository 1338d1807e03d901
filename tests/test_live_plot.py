"""A picture while a model trains: when it is drawn, what is in it, where it goes."""

import copy
import io
import pickle
import warnings

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from displays import Clock, use_notebook
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain import _live_plot
from kerastrain._live_plot import Budget, LivePlot
from kerastrain.callbacks import copies, live_plot
from kerastrain.engine import sees_every_batch

NAN = float("nan")


@pytest.fixture
def pictures(monkeypatch):
    """The figures that are drawn, in their order; and there is always time for one."""
    figures = []
    fill = _live_plot.fill_figure

    def filling(figure, history, **look):
        figures.append(figure)
        return fill(figure, history, **look)

    monkeypatch.setattr(_live_plot, "fill_figure", filling)
    monkeypatch.setattr(_live_plot, "SHARE", 1e9)
    return figures


def title(figure):
    return figure.get_suptitle().rsplit(", ", 1)[0]  # Without the time.


def curves(figure, panel=0):
    """What a panel shows, by the names in its legend."""
    return {
        line.get_label(): np.asarray(line.get_ydata()).tolist()
        for line in figure.axes[panel].get_lines()
    }


def our_fit(callbacks, epochs=3, **arguments):
    return ktr.fit(made(), X, Y, epochs=epochs, callbacks=callbacks, verbose=0, **arguments)


def keras_fit(callbacks, epochs=3, **arguments):
    return made().fit(X, Y, epochs=epochs, callbacks=callbacks, verbose=0, **arguments)


BOTH_FITS = pytest.mark.parametrize("fit", [keras_fit, our_fit])


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


# When there is time for a picture.


def test_pictures_take_their_share_of_the_time_and_no_more():
    budget, clock = Budget(every=1.0), 0.0
    while clock < 600:
        clock += 0.05
        if budget.allows(clock, whole=600):
            clock += 0.2
            budget.drew(0.2, at=clock)
            assert budget.spent <= 0.015 * max(clock, 25)
    assert budget.spent + 0.2 == pytest.approx(0.015 * 600, abs=0.2)  # The last one is paid for.


def test_a_run_that_cannot_pay_for_two_pictures_has_the_last_one_alone():
    budget = Budget(every=0.0)
    assert not any(budget.allows(float(second), whole=26.0) for second in range(26))


def test_a_trial_tells_that_pictures_are_dear_here():
    budget = Budget(every=0.0)
    assert budget.allows(1.0, whole=60.0)
    budget.tried(0.1)
    assert (budget.spent, budget.cost) == (0.1, 0.5)
    assert [budget.allows(1.0, whole=whole) for whole in (73.0, 74.0)] == [False, True]


def test_what_is_no_bargain_after_a_trial_waits(monkeypatch, tmp_path):
    trials = []
    live = live_plot(tmp_path / "live.png", every=0)
    live._clock = clock = Clock()

    def draw():
        trials.append(1)
        clock.now += 9.0

    monkeypatch.setattr(_live_plot, "_draw_empty_axes", draw)
    live.set_params({"epochs": 100})
    live.on_train_begin()
    for epoch in range(99):
        clock.now += 1.0
        live.on_epoch_end(epoch, {"loss": 1.0})
    assert (trials, live.budget.last) == ([1], None)


def test_pictures_that_cost_nothing_come_as_often_as_asked_for():
    budget = Budget(every=10.0)
    budget.drew(0.0, at=5.0)
    assert [budget.allows(at, whole=100.0) for at in (14.9, 15.0)] == [False, True]


def test_the_first_epoch_which_compiles_foretells_nothing():
    live = live_plot()
    live._clock = clock = Clock()
    live.set_params({"epochs": 100})
    live.on_train_begin()
    foreseen = []
    for epoch, seconds in enumerate([5.0, 0.5, 0.5]):
        clock.now += seconds
        live._take(epoch, {"loss": 1.0})
        elapsed = clock.now - 100.0
        live._first_epoch = live._first_epoch or elapsed
        foreseen.append(live._foreseen(elapsed))
    assert foreseen == [5.0, 54.5, 54.5]


# What is in it.


@BOTH_FITS
def test_every_epoch_so_far_is_in_the_picture(fit, pictures, tmp_path):
    live = live_plot(tmp_path / "live.png", every=0)
    fit([live], validation_data=(X, Y))
    assert [title(figure) for figure in pictures] == [
        "1 of 3 epochs",
        "2 of 3 epochs",
        "3 epochs",
    ]
    drawn = curves(pictures[-1])
    assert [len(drawn[name]) for name in ("training", "validation")] == [3, 3]
    assert drawn["training"] == live.history.history["loss"]
    assert is_png(tmp_path / "live.png")
    assert [path.name for path in tmp_path.iterdir()] == ["live.png"]


@BOTH_FITS
def test_a_short_run_is_drawn_once_at_its_end(fit, tmp_path):
    live = live_plot(tmp_path / "deep" / "live.png")
    fit([live])
    assert is_png(tmp_path / "deep" / "live.png")
    assert live.budget.last is not None
    assert live.budget.spent == live.budget.cost


def test_the_stop_and_the_best_epoch_are_marked(pictures, tmp_path):
    live = live_plot(tmp_path / "live.png", every=1e9)
    history = our_fit([live], epochs=50, validation_data=(X, -Y), patience=1)
    last = pictures[-1]
    assert title(last) == f"{len(history)} of 50 epochs"
    assert {
        "best epoch by val_loss",
        f"stopped after epoch {history.stopped_epoch}",
    } <= set(curves(last))
    assert live.history.best_epoch == history.best_epoch


@pytest.mark.parametrize(("mode", "best"), [("auto", 1), ("max", 1), ("min", 0)])
def test_the_best_epoch_is_by_what_was_asked_for(mode, best):
    live = live_plot(monitor="val_acc", mode=mode)
    for epoch, value in enumerate([0.5, 0.9, NAN, 0.9]):
        live._take(epoch, {"loss": 1 - epoch / 10, "val_accuracy": value})
    assert (live.history.monitor, live.history.best_epoch) == ("val_accuracy", best)


def test_panels_are_those_asked_for(pictures, tmp_path):
    live = live_plot(tmp_path / "live.png", metrics=["learning_rate", "val_loss"], log=True)
    our_fit([live], validation_data=(X, Y))
    assert [ax.get_ylabel() for ax in pictures[-1].axes] == ["learning_rate", "loss"]
    assert pictures[-1].axes[1].get_yscale() == "log"


LOGS = {
    "one epoch": [{"loss": 0.5}],
    "NaN": [{"loss": 0.5}, {"loss": NAN}, {"loss": float("inf")}],
    "only NaN": [{"loss": NAN, "val_loss": NAN}] * 3,
    "validation now and then": [{"loss": 0.5}, {"loss": 0.4, "val_loss": 0.6}, {"loss": 0.3}],
    "something that is no number": [{"loss": np.float32(0.5), "matrix": np.eye(2)}],
    "5,000 epochs": [{"loss": 1 / (1 + n), "val_loss": 1 / (1 + n)} for n in range(5_000)],
}


@pytest.mark.parametrize("logs", LOGS.values(), ids=LOGS)
def test_every_history_can_be_drawn(logs, pictures, tmp_path):
    live = live_plot(tmp_path / "live.png", every=1e9)
    live.set_params({"epochs": len(logs)})
    live.on_train_begin()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for epoch, of_epoch in enumerate(logs):
            live.on_epoch_end(epoch, of_epoch)
        live.on_train_end()
    drawn = curves(pictures[-1])
    kept = [float(of_epoch["loss"]) for of_epoch in logs]
    np.testing.assert_array_equal(next(iter(drawn.values())), kept)
    assert is_png(tmp_path / "live.png")


def test_a_column_that_comes_late_has_gaps_before():
    live = live_plot()
    for epoch, logs in enumerate(LOGS["validation now and then"]):
        live._take(epoch, logs)
    np.testing.assert_array_equal(live.history.history["val_loss"], [NAN, 0.6, NAN])
    assert live.history.best_epoch == 1


def test_a_run_without_an_epoch_leaves_nothing(tmp_path):
    live = live_plot(tmp_path / "live.png")
    live.on_train_begin()
    live.on_train_end()
    assert list(tmp_path.iterdir()) == []


# What it leaves alone.


def test_it_keeps_no_run_from_the_fast_way(tmp_path):
    assert not sees_every_batch(live_plot())
    history = our_fit([live_plot(tmp_path / "live.png")])
    assert "Keras's own loop" not in history.engine


def test_pyplot_and_its_backend_are_as_they_were(tmp_path):
    before = matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)
    our_fit([live_plot(tmp_path / "live.png")])
    assert (matplotlib.get_backend(), plt.get_fignums(), dict(matplotlib.rcParams)) == before


def test_the_model_is_the_one_without_it(tmp_path):
    runs = []
    for callbacks in ([], [live_plot(tmp_path / "live.png", every=0)]):
        keras.utils.set_random_seed(1)
        runs.append(our_fit(callbacks, seed=3, speed="steps").history["loss"])
    assert runs[0] == runs[1]


# Where it goes.


def test_a_notebook_has_one_picture_that_is_replaced(monkeypatch, pictures, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = use_notebook(monkeypatch)
    outputs = []
    display = _live_plot.sys.modules["IPython.display"].display
    monkeypatch.setattr(
        _live_plot.sys.modules["IPython.display"],
        "display",
        lambda *forms, **options: outputs.append(options) or display(*forms, **options),
    )
    our_fit([live_plot(every=0)])
    assert outputs == [{"raw": True, "display_id": True}]
    assert [form["text/plain"].rsplit(", ", 1)[0] for form in shown] == [
        "1 of 3 epochs",
        "2 of 3 epochs",
        "3 epochs",
    ]
    assert all(form["image/png"].startswith("iVBORw0KGgo") for form in shown)
    assert list(tmp_path.iterdir()) == []  # No file was asked for.


def test_a_notebook_writes_the_file_that_was_asked_for_too(monkeypatch, tmp_path):
    shown = use_notebook(monkeypatch)
    our_fit([live_plot(tmp_path / "live.png")])
    assert len(shown) == 1
    assert is_png(tmp_path / "live.png")


def test_a_script_writes_live_png(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    our_fit([live_plot()])
    assert is_png(tmp_path / "live.png")


def test_copies_share_the_place_but_not_the_epochs(monkeypatch):
    shown = use_notebook(monkeypatch)
    first = live_plot()
    (second,) = copies([first])
    our_fit([first])
    our_fit([second], epochs=2)
    assert second._place is first._place
    assert (len(first.history), len(second.history)) == (3, 2)
    assert [form["text/plain"].rsplit(", ", 1)[0] for form in shown] == ["3 epochs", "2 epochs"]


def test_it_can_be_sent_to_another_process():
    live = pickle.loads(pickle.dumps(live_plot("a.png", metrics="loss", monitor="r2")))
    assert isinstance(live, LivePlot)
    assert (live.path.name, live.metrics, live.monitor) == ("a.png", ("loss",), "r2")
    assert copy.deepcopy(live)._place is live._place


def test_a_full_disk_costs_a_picture_and_never_the_run(monkeypatch, tmp_path):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_live_plot, "replacing", full)
    monkeypatch.setattr(_live_plot, "SHARE", 1e9)
    path = tmp_path / "live.png"
    with pytest.warns(UserWarning, match="space") as caught:
        history = our_fit([live_plot(path, every=0)])
    ours = [str(one.message) for one in caught if one.category is UserWarning]
    assert ours == ["`live_plot`: a picture failed (OSError: [Errno 28] No space left on device)."]
    assert len(history) == 3


@pytest.mark.parametrize("what", ["fill_figure", "_draw_empty_axes"])
def test_whatever_goes_wrong_with_a_picture_is_one_warning_and_its_time_is_counted(
    what, monkeypatch, tmp_path
):
    live = live_plot(tmp_path / "live.png", every=0)
    live._clock = clock = Clock()

    def fail(*_, **__):
        clock.now += 0.5
        raise ValueError("no such formula")

    monkeypatch.setattr(_live_plot, what, fail)
    live.set_params({"epochs": 100})
    live.on_train_begin()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in range(100):
            clock.now += 1.0
            live.on_epoch_end(epoch, {"loss": 1.0})
        live.on_train_end()
    sentence = "`live_plot`: a picture failed (ValueError: no such formula)."
    assert [str(one.message) for one in caught if one.category is UserWarning] == [sentence]
    assert len(live.history) == 100
    assert live.budget.spent >= 0.5


def test_ctrl_c_in_a_picture_ends_the_run(monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_live_plot, "fill_figure", interrupt)
    live = live_plot(tmp_path / "live.png")
    live.on_train_begin()
    live.on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(KeyboardInterrupt):
        live.on_train_end()


def test_a_metric_of_any_name_is_drawn(tmp_path):
    live = live_plot(tmp_path / "live.png")
    live.on_train_begin()
    live.on_epoch_end(0, {"$a_$ acc": 1.0})
    live.on_train_end()
    assert (tmp_path / "live.png").exists()


def test_a_path_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert live_plot("~/live.png").path == tmp_path / "live.png"


# However a run ends.


class Raises(keras.callbacks.Callback):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise self.error


def test_ctrl_c_leaves_the_whole_picture(pictures, tmp_path):
    live = live_plot(tmp_path / "live.png", every=1e9)
    history = our_fit([live, Raises(KeyboardInterrupt())], epochs=5)
    assert history.stop_reason == "interrupted"
    assert title(pictures[-1]) == "2 of 5 epochs"


def test_an_error_leaves_the_whole_picture_and_no_figure(pictures, tmp_path):
    before = plt.get_fignums()
    with pytest.raises(RuntimeError, match="mine"):
        our_fit([live_plot(tmp_path / "a.png", every=1e9), Raises(RuntimeError("mine"))], epochs=5)
    assert title(pictures[-1]) == "2 of 5 epochs"
    assert plt.get_fignums() == before


def test_an_error_in_keras_own_fit_leaves_what_was_drawn(pictures, tmp_path):
    with pytest.raises(RuntimeError, match="mine"):
        keras_fit([live_plot(tmp_path / "a.png", every=0), Raises(RuntimeError("mine"))])
    assert is_png(tmp_path / "a.png")


def test_a_run_that_goes_on_has_the_whole_curve(pictures, tmp_path):
    run = {"run": tmp_path / "run", "seed": 1, "speed": "steps"}
    with pytest.raises(RuntimeError, match="mine"):
        our_fit([live_plot(tmp_path / "a.png"), Raises(RuntimeError("mine"))], epochs=5, **run)
    live = live_plot(tmp_path / "a.png", every=1e9)
    history = our_fit([live], epochs=5, **run)
    assert live.history.epoch == [0, 1, 2, 3, 4]
    assert curves(pictures[-1])["training"] == history.history["loss"]


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_without_it_or_with_it_for_the_first_time(first, tmp_path):
    run = {"run": tmp_path / "run", "seed": 1, "speed": "steps"}
    live = [live_plot(tmp_path / "a.png")]
    with pytest.raises(RuntimeError, match="mine"):
        our_fit([*(live if first else []), Raises(RuntimeError("mine"))], epochs=4, **run)
    history = our_fit([] if first else live, epochs=4, **run)
    assert len(history) == 4


# What can't be had.


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"path": 3}, TypeError, "`path` must be the path of a file. Received: 3."),
        (
            {"path": "a/live.jpg"},
            ValueError,
            '`path` must end in ".png": write "a/live.png". Received: path=\'a/live.jpg\'.',
        ),
        ({"every": -1}, ValueError, "`every` must be at least 0. Received: every=-1."),
        (
            {"metrics": []},
            TypeError,
            "`metrics` must be the name of a metric or a list of names. Received: metrics=[].",
        ),
        (
            {"monitor": None},
            TypeError,
            "`monitor` must be the name of a metric. Received: monitor=None.",
        ),
        (
            {"monitor": "speed"},
            ValueError,
            "`mode` must be 'min' or 'max' for a metric whose name doesn't tell, such as 'speed'. "
            "Received: mode='auto'.",
        ),
        (
            {"mode": "max"},
            ValueError,
            "`mode` must be 'min' for the loss, which monitor='auto' means. Received: mode='max'.",
        ),
        (
            {"smooth": 1},
            ValueError,
            "`smooth` must be at least 0 and below 1. Received: smooth=1.",
        ),
        ({"log": "yes"}, TypeError, "`log` must be True or False. Received: log='yes'."),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments, kind, sentence):
    with pytest.raises(kind) as caught:
        live_plot(**arguments)
    assert str(caught.value) == f"`live_plot`: {sentence}"


@pytest.mark.parametrize("argument", ["metrics", "monitor"])
@BOTH_FITS
def test_a_metric_that_is_not_there_is_refused_after_the_first_epoch(fit, argument, tmp_path):
    live = live_plot(tmp_path / "live.png", **{argument: "val_loss"})
    if argument == "metrics":
        live.metrics = ("los",)
    with pytest.raises(ValueError, match="one of") as caught:
        fit([live])
    name, hint = ("los", " (did you mean 'loss'?)") if argument == "metrics" else ("val_loss", "")
    columns = "'learning_rate', 'loss', 'seconds'" if fit is our_fit else "'loss'"
    hint = hint or " (did you mean 'loss'?)"
    assert str(caught.value) == (
        f"`live_plot`: `{argument}` must be one of {columns}{hint}. Received: {argument}={name!r}."
    )
    assert len(live._epoch) == 1


def test_the_pictures_are_no_larger_than_a_page():
    live = live_plot()
    live._take(0, {"loss": 0.5, "accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5})
    png = live._picture(live.history, "1 epoch")
    height, width, _ = matplotlib.image.imread(io.BytesIO(png)).shape
    assert (width, height) == pytest.approx((920, 410), abs=1)
