"""What the progress of a search says: states in, strings out; the bar is driven by hand."""

import re
import types

import pytest
from displays import Clock, Recorder, use_notebook, use_terminal

pytest.importorskip("sklearn", reason="a search needs the extra `search`")
pytest.importorskip("cloudpickle", reason="a search needs the extra `search`")
pytest.importorskip("optuna", reason="a search needs the extra `search`")

from kerastrain.records import History
from kerastrain.search import _bar
from kerastrain.search._bar import Bar, State
from kerastrain.search.trials import Outcome
from kerastrain.search_records import Trial

PARAMS = {"units": 64, "activation": "relu", "learning_rate": 0.0123456}
BEST = (3, 0.3298, PARAMS)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_bar, "time", types.SimpleNamespace(perf_counter=clock))
    return clock


def plan(*, trials=20, epochs=10, jobs=1, metric="val_loss", mode="min"):
    """As much of a plan as a bar looks at."""
    recipe = types.SimpleNamespace(metric=metric, mode=mode)
    return types.SimpleNamespace(recipe=recipe, trials=trials, epochs=epochs, jobs=jobs)


def driven(monkeypatch, *, interval=0.0, **parts):
    surface = Recorder(interval)
    monkeypatch.setattr(_bar, "surface_for", lambda verbose: surface)
    return Bar(1, plan(**parts)), surface


def outcome(value=0.5, state="complete", *, seconds=2.0, epochs=10, reason=""):
    columns = {"loss": [0.5] * epochs}
    return Outcome(state, value, seconds, reason, [History(columns, list(range(epochs)))])


def state(**parts):
    given = {"done": 7, "trials": 20, "fraction": 0.34, "seconds": 40.0, "left": 21.0}
    return State(**given | {"metric": "val_loss", "best": BEST} | parts)


# What it says


def test_the_bar_of_a_usual_search_at_80_columns():
    assert state().bar(80).splitlines() == [
        "Trial  7/20 ━━━━━━╸─────────────  34% · 0:21 left · best val_loss 0.3298",
        "with units=64, activation=relu, learning_rate=0.01235",
    ]


def test_a_search_that_has_just_begun_has_no_best():
    begun = state(done=0, fraction=0.0, left=None, best=None)
    assert begun.bar(80) == "Trial  0/20 ────────────────────   0% · -:-- left\n"


@pytest.mark.parametrize("width", [0, 8, 12, 24, 40, 60, 80, 140])
@pytest.mark.parametrize("left", [None, 5.0, 4000.0])
@pytest.mark.parametrize("best", [None, BEST, (3, 1e-7, {"a_layer": "x" * 300, "b": (1, 2)})])
def test_the_bar_fits_any_width_and_no_word_is_cut(width, left, best):
    shown = state(trials=1000, left=left, best=best, metric="val_sparse_categorical_accuracy")
    lines, whole = shown.bar(width).split("\n"), shown.bar(10_000)
    assert len(lines) == 2
    assert max(map(len, lines)) <= width
    words = set(re.sub("[━╸─]+", "", whole).split()) | {"…"}
    assert set(re.sub("[━╸─]+", "", "\n".join(lines)).split()) <= words


def test_a_narrow_bar_leaves_the_best_out_first():
    assert state().bar(50).splitlines() == [
        "Trial  7/20 ━━━━────────  34% · 0:21 left",
        "with units=64, activation=relu, …",
    ]
    assert state().bar(20) == "Trial  7/20 ━╸───\nwith units=64, …"
    assert state().bar(8) == "\n"


def test_html_sets_no_colours_and_escapes_values():
    page = state(best=(3, 0.3298, {"a_layer": "<Dropout>"})).html()
    assert 'value="0.3400"' in page
    assert "0:21 left · best val_loss 0.3298<br>with a_layer=&lt;Dropout&gt;</div>" in page
    assert "color" not in page
    assert "background" not in page
    assert state(best=None).html().endswith("0:21 left<br>&nbsp;</div>")


def test_a_line_says_what_came_of_the_trial_that_has_just_ended():
    assert state(last="12.3 s · val_loss 0.3298").line() == (
        "Trial  7/20 · 12.3 s · val_loss 0.3298"
    )


def test_a_summary_says_how_long_how_many_and_how_good():
    counts = {"pruned": 4, "failed": 0}
    assert state(done=20, seconds=75.0, ran=20, epochs=153, counts=counts).summary() == (
        "20 trials in 1:15 · 153 epochs · 4 pruned · best val_loss 0.3298 · "
        "with units=64, activation=relu, learning_rate=0.01235"
    )
    assert state(ran=1, epochs=1, best=None).summary() == "1 trial in 40.0 s · 1 epoch"
    assert state(ran=0, seconds=0.5, best=None).summary() == "0 trials in 0.50 s"


# What the bar works out


def test_the_bar_covers_the_whole_search(monkeypatch, clock):
    bar, surface = driven(monkeypatch, trials=4, epochs=10)
    bar.resume([])
    for number in range(4):
        for epochs in (5, 10, 12):
            clock.now += 1.0
            bar.see_epoch(number, epochs)
        bar.see_end(number, outcome(), PARAMS)
    fractions = [state.fraction for state in surface.states]
    assert fractions == sorted(fractions)
    assert fractions[:5] == [0.0, 0.125, 0.25, 0.25, 0.25]
    assert fractions[-1] == 1.0
    assert [state.done for state in surface.states][::4] == [0, 1, 2, 3, 4]


def test_trials_that_run_at_once_count_together(monkeypatch, clock):
    bar, surface = driven(monkeypatch, trials=4, epochs=10, jobs=2)
    bar.see_epoch(0, 5)
    clock.now += 1.0
    bar.see_epoch(1, 1)
    assert surface.states[-1].fraction == pytest.approx(0.15)


def test_the_time_left_is_the_mean_trial_for_each_hand(monkeypatch, clock):
    bar, surface = driven(monkeypatch, trials=10, epochs=10, jobs=2)
    bar.resume([])
    assert surface.states[-1].left is None
    bar.see_end(0, outcome(seconds=10.0), PARAMS)
    assert surface.states[-1].left == 9 * 10.0 / 2
    bar.see_end(1, outcome(state="pruned", seconds=2.0), PARAMS)
    assert surface.states[-1].left == 8 * 6.0 / 2
    clock.now += 1.0
    bar.see_epoch(2, 5)
    assert surface.states[-1].left == 7.5 * 6.0 / 2


@pytest.mark.parametrize("mode, best", [("min", 1), ("max", 2)])
def test_the_best_is_the_lowest_or_the_highest_of_the_complete_ones(monkeypatch, mode, best):
    bar, surface = driven(monkeypatch, mode=mode)
    for number, (value, how) in enumerate(
        [
            *((0.5, "complete"), (0.2, "complete"), (0.9, "complete"), (0.2, "complete")),
            *((0.1, "pruned"), (9.0, "pruned"), (float("nan"), "failed")),
        ]
    ):
        bar.see_end(number, outcome(value, how), {"units": number})
    assert surface.states[-1].best[0] == best
    assert surface.states[-1].best[2] == {"units": best}
    assert surface.states[-1].counts == {"pruned": 2, "failed": 1}
    assert (surface.states[-1].ran, surface.states[-1].epochs) == (7, 70)


def test_a_line_for_each_end_and_no_other(monkeypatch):
    bar, surface = driven(monkeypatch, interval=None)
    bar.resume([])
    bar.see_epoch(0, 1)
    bar.refresh()
    assert surface.states == []
    bar.see_end(0, outcome(0.5, seconds=2.0), {"units": 8})
    bar.see_end(1, outcome(0.7, "pruned", seconds=0.5), {"units": 16})
    bar.see_end(2, outcome(float("nan"), "failed", reason="OSError: no"), {"units": 32})
    bar.see_end(3, outcome(0.6, seconds=2.0), {"units": 64})
    assert [state.line() for state in surface.states] == [
        "Trial  1/20 · 2.00 s · val_loss 0.5000 · units=8 · best",
        "Trial  2/20 · 0.50 s · val_loss 0.7000 · units=16 · pruned",
        "Trial  3/20 · 2.00 s · units=32 · failed · OSError: no",
        "Trial  4/20 · 2.00 s · val_loss 0.6000 · units=64",
    ]


def test_the_bar_is_drawn_ten_times_a_second_at_most(monkeypatch, clock):
    bar, surface = driven(monkeypatch, interval=0.1, epochs=1000)
    for epochs in range(1000):
        clock.now += 0.001
        bar.see_epoch(0, epochs)
    assert 8 <= len(surface.states) <= 11


def test_a_search_that_goes_on_shows_what_there_is_and_sums_up_what_it_did(monkeypatch, clock):
    bar, surface = driven(monkeypatch, trials=4)
    with bar:
        before = [
            Trial(0, {"units": 8}, "complete", 0.4, seconds=60.0),
            Trial(1, {"units": 16}, "pruned", 0.1, seconds=60.0),
        ]
        bar.resume(before)
        assert surface.states[-1].done == 2
        assert surface.states[-1].fraction == 0.5
        assert surface.states[-1].left is None
        clock.now += 2.0
        bar.see_end(2, outcome(0.5, "pruned", epochs=3), {"units": 32})
        assert surface.states[-1].left == 2.0
    assert surface.closed[0].summary() == (
        "1 trial in 2.00 s · 3 epochs · 1 pruned · best val_loss 0.4000 · with units=8"
    )


def test_an_error_leaves_the_place_given_back(monkeypatch, clock):
    bar, surface = driven(monkeypatch)
    with pytest.raises(OSError, match="no"), bar:
        raise OSError("no")
    assert [state.summary() for state in surface.closed] == ["0 trials in 0.00 s"]


def test_silence_says_nothing(capsys):
    with Bar(0, plan()) as bar:
        bar.resume([Trial(0, {"units": 8}, "complete", 0.4)])
        bar.see_epoch(1, 1)
        bar.see_end(1, outcome(), PARAMS)
        bar.refresh()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("verbose", "kind", "shown"),
    [(3, ValueError, "3"), ("loud", ValueError, "'loud'"), (None, TypeError, "None")],
)
def test_another_verbose_is_refused_in_one_sentence(verbose, kind, shown):
    with pytest.raises(kind) as error:
        Bar(verbose, plan())
    assert str(error.value) == (
        f"`search`: `verbose` must be one of 'auto', 0, 1, 2. Received: verbose={shown}."
    )


# On the surfaces


def test_a_terminal_is_left_with_one_line_and_its_cursor(monkeypatch, clock):
    stream = use_terminal(monkeypatch)
    with Bar("auto", plan(trials=2)) as bar:
        bar.resume([])
        for number in range(2):
            clock.now += 1.0
            bar.see_epoch(number, 5)
            bar.see_end(number, outcome(0.5 - number / 10), {"units": number})
    written = stream.getvalue()
    assert "Trial 0/2 " in written
    assert "Trial 1/2 " in written
    last = written.rpartition("\x1b[?25h")[2].rsplit("\x1b[2K")[-1].strip()
    assert last == "2 trials in 2.00 s · 20 epochs · best val_loss 0.4000 · with units=1"


def test_a_file_gets_a_line_a_trial(capsys, clock):
    with Bar("auto", plan(trials=2)) as bar:
        bar.resume([])
        bar.see_end(0, outcome(0.5), {"units": 8})
        bar.see_end(1, outcome(0.7), {"units": 16})
    assert capsys.readouterr().out.splitlines() == [
        "Trial 1/2 · 2.00 s · val_loss 0.5000 · units=8 · best",
        "Trial 2/2 · 2.00 s · val_loss 0.7000 · units=16",
        "2 trials in 0.00 s · 20 epochs · best val_loss 0.5000 · with units=8",
    ]


def test_a_notebook_keeps_one_output_that_ends_as_a_summary(monkeypatch, clock):
    shown = use_notebook(monkeypatch)
    with Bar(1, plan(trials=2)) as bar:
        bar.resume([])
        bar.see_end(0, outcome(0.5), {"units": 8})
    assert len(shown) == 3
    assert "<progress" in shown[0]["text/html"]
    assert shown[-1]["text/plain"] == (
        "1 trial in 0.00 s · 10 epochs · best val_loss 0.5000 · with units=8"
    )
