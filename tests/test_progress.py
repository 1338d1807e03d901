"""The display is read as text: states in, strings out; the callback is driven by hand."""

import math
import re
import sys

import keras
import numpy as np
import pytest
from displays import AsciiFile, Clock, Recorder, use_notebook, use_terminal

from kerastrain import progress, surfaces
from kerastrain._progress_text import State, bar_html, bar_text, epoch_line, summary
from kerastrain.progress import Progress

METRICS = {"accuracy": 0.881, "loss": 0.31234, "val_accuracy": 0.8812, "val_loss": 0.331}
BEST = ("val_loss", 6, 0.3298)


class PressCtrlC(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


def driven(*, epochs=4, steps=10, interval=0.1, best=lambda: None, stopped=lambda: "stopped early"):
    """A progress callback with a recorder for a surface and a clock to set by hand."""
    surface, clock = Recorder(interval), Clock()
    callback = Progress(
        surface, epochs=epochs, steps=steps, best=best, stopped=stopped, clock=clock
    )
    return callback, surface, clock


def run_epochs(callback, clock, epochs, *, seconds=2.0, logs=None):
    for epoch in epochs:
        callback.on_epoch_begin(epoch)
        clock.now += seconds
        callback.on_epoch_end(epoch, logs or {"loss": 0.5})


def fit(callback, *others, epochs=3):
    x = np.zeros((8, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(x, x[:, :1], epochs=epochs, verbose=0, callbacks=[*others, callback])


def surface_of(verbose):
    return type(progress.progress_callback(verbose, epochs=2, steps=3)._surface)


# Which display


def test_verbose_0_is_silence():
    assert progress.progress_callback(0, epochs=2) is None
    assert progress.progress_callback(False, epochs=2) is None


@pytest.mark.parametrize(
    ("verbose", "kind", "shown"),
    [(3, ValueError, "3"), ("loud", ValueError, "'loud'"), (None, TypeError, "None")],
)
def test_another_verbose_is_refused_in_one_sentence(verbose, kind, shown):
    with pytest.raises(kind) as error:
        progress.progress_callback(verbose, epochs=2)
    assert str(error.value) == (
        f"`fit`: `verbose` must be one of 'auto', 0, 1, 2. Received: verbose={shown}."
    )


@pytest.mark.parametrize("verbose", ["auto", 1])
def test_a_terminal_and_a_notebook_get_a_bar(monkeypatch, verbose):
    use_terminal(monkeypatch)
    assert surface_of(verbose) is surfaces.Terminal
    use_notebook(monkeypatch)
    assert surface_of(verbose) is surfaces.Notebook
    assert surface_of(2) is surfaces.Lines


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_file_and_a_dumb_terminal_get_a_line_an_epoch(monkeypatch, verbose):
    assert surface_of(verbose) is surfaces.Lines
    use_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    assert surface_of(verbose) is surfaces.Lines


@pytest.mark.parametrize("verbose, printed", [("auto", ""), (1, "So.\n"), (2, "")])
def test_what_is_announced_is_a_line_where_1_was_asked_for(capsys, verbose, printed):
    progress.progress_callback(verbose, epochs=2).announce("So.")
    assert capsys.readouterr().out == printed


# What it says


def test_the_bar_of_a_usual_run_at_80_columns():
    state = State(7, 20, 0.34, left=21.0, metrics=METRICS, best=BEST)
    assert bar_text(state, 80).splitlines() == [
        "Epoch  7/20 ━━━━━━╸─────────────  34% · 0:21 left · best val_loss 0.3298 (6th)",
        "loss 0.3123 · val_loss 0.3310 · accuracy 0.8810 · val_accuracy 0.8812",
    ]


@pytest.mark.parametrize("width", [12, 24, 40, 60, 80, 140])
@pytest.mark.parametrize("left", [None, 5.0, 4000.0])
@pytest.mark.parametrize("best", [None, BEST, ("val_sparse_categorical_accuracy", 999, 0.5)])
def test_the_bar_fits_any_width_in_two_lines(width, left, best):
    many = {f"val_metric_{number}": 1234.5 for number in range(9)} | {"learning_rate": 1e-3}
    state = State(100, 1000, 0.1, left=left, metrics=METRICS | many, best=best)
    lines = bar_text(state, width).split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= width


def test_a_narrow_bar_leaves_parts_out_whole():
    state = State(7, 20, 0.34, left=21.0, metrics=METRICS, best=BEST)
    assert bar_text(state, 50).splitlines() == [
        "Epoch  7/20 ━━━━────────  34% · 0:21 left",
        "loss 0.3123 · val_loss 0.3310 · …",
    ]


def test_a_learning_rate_that_does_not_fit_leaves_no_dots():
    state = State(7, 20, metrics=METRICS | {"learning_rate": 0.001})
    assert bar_text(state, 80).endswith("val_accuracy 0.8812")
    assert bar_text(state, 100).endswith("val_accuracy 0.8812 · learning_rate 0.001")


def test_the_time_left_is_open_until_it_is_known():
    assert "0% · -:-- left" in bar_text(State(1, 20), 80)
    assert "· 1:06:40 left" in bar_text(State(1, 20, left=4000.0), 80)


def test_an_epochs_line_names_its_metrics_in_pairs_and_marks_the_best():
    metrics = METRICS | {"learning_rate": 0.001, "seconds": 0.5}
    line = "Epoch  6/20 · 0.50 s · loss 0.3123 · val_loss 0.3310 · accuracy 0.8810 · "
    line += "val_accuracy 0.8812 · learning_rate 0.001"
    state = State(6, 20, metrics=metrics, epoch_seconds=0.5)
    assert epoch_line(state) == line
    assert (
        epoch_line(State(6, 20, metrics=metrics, epoch_seconds=0.5, best=BEST)) == f"{line} · best"
    )
    earlier = ("val_loss", 5, 0.3)
    assert epoch_line(State(6, 20, metrics=metrics, epoch_seconds=0.5, best=earlier)) == line


def test_a_summary_says_how_long_how_good_and_why_it_ended():
    state = State(9, 20, seconds=75.0, best=BEST, epochs_run=9, note="stopped early")
    assert summary(state) == ("9 epochs in 1:15 · best val_loss 0.3298 in the 6th · stopped early")


def test_a_run_without_a_best_epoch_is_summed_up_by_its_last_metrics():
    state = State(1, 1, seconds=0.5, metrics={"loss": math.nan}, epochs_run=1)
    assert summary(state) == "1 epoch in 0.50 s · loss nan"


def test_html_sets_no_colours_and_escapes_names():
    page = bar_html(State(7, 20, 0.34, left=21.0, metrics={"a<b": 0.5}, best=BEST))
    assert 'value="0.3400"' in page
    assert "a&lt;b 0.5000" in page
    assert "0:21 left · best val_loss 0.3298 (6th)" in page
    assert "color" not in page
    assert "background" not in page


# What the callback works out


def test_the_bar_covers_the_whole_run():
    callback, surface, clock = driven(epochs=4, steps=10)
    callback.on_train_begin()
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        for batch in range(10):
            clock.now += 1.0
            callback.on_train_batch_end(batch, {"loss": 0.5})
        clock.now += 1.0
        callback.on_epoch_end(epoch, {"loss": 0.4, "val_loss": 0.6})
    fractions = [state.fraction for state in surface.states]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert {0.025, 0.25, 0.275} < set(fractions)
    assert surface.states[-1].metrics == {"loss": 0.4, "val_loss": 0.6}


def test_the_last_validation_stays_in_view_while_the_next_epoch_trains():
    callback, surface, clock = driven()
    callback.on_train_begin()
    run_epochs(callback, clock, [0], logs={"loss": 0.4, "val_loss": 0.6})
    callback.on_epoch_begin(1)
    clock.now += 1.0
    callback.on_train_batch_end(0, {"loss": 0.3})
    assert surface.states[-1].metrics == {"loss": 0.3, "val_loss": 0.6}


def test_groups_of_batches_named_by_their_first_or_last_never_run_backwards():
    callback, surface, clock = driven(epochs=1, steps=10)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch in (0, 4, 3, 8, 12):
        clock.now += 1.0
        callback.on_train_batch_end(batch)
    callback.on_epoch_end(0)
    assert [state.fraction for state in surface.states[1:]] == [0.1, 0.5, 0.5, 0.9, 1.0]


def test_the_bar_is_drawn_ten_times_a_second_at_most():
    callback, surface, clock = driven(epochs=1000, steps=1000)
    callback.on_train_begin()
    for epoch in range(10):
        callback.on_epoch_begin(epoch)
        for batch in range(100):
            clock.now += 0.001
            callback.on_train_batch_end(batch, {"loss": 0.5})
        callback.on_epoch_end(epoch, {"loss": 0.5})
    assert 8 <= len(surface.states) <= 11


def test_lines_are_drawn_at_each_epochs_end_and_never_between():
    callback, surface, clock = driven(epochs=3, interval=None)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        clock.now += 0.001
        callback.on_train_batch_end(5, {"loss": 0.5})
        callback.on_epoch_end(epoch, {"loss": 0.5})
    assert [state.epoch for state in surface.states] == [1, 2, 3]
    assert [state.epoch_seconds for state in surface.states] == pytest.approx([0.001] * 3)


def test_the_time_left_is_the_mean_epoch_without_the_first():
    callback, surface, clock = driven(epochs=10)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    assert surface.states[-1].left is None
    clock.now += 8.0
    callback.on_epoch_end(0)
    assert surface.states[-1].left == 72.0
    run_epochs(callback, clock, [1, 2], seconds=2.0)
    assert surface.states[-1].left == 14.0
    callback.on_epoch_begin(3)
    clock.now += 0.5
    callback.on_train_batch_end(1)
    assert surface.states[-1].left == 13.5


def test_batches_tell_the_time_left_of_the_first_epoch():
    callback, surface, clock = driven(epochs=2, steps=100)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    clock.now += 30.0  # Compiling isn't held against the batches to come.
    callback.on_train_batch_end(0)
    clock.now += 0.5
    callback.on_train_batch_end(5)
    assert surface.states[-1].left is None
    clock.now += 0.5
    callback.on_train_batch_end(10)
    assert surface.states[-1].left == pytest.approx(18.9)


def test_unknown_steps_count_whole_epochs():
    callback, surface, clock = driven(epochs=4, steps=None)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    clock.now += 5.0
    callback.on_train_batch_end(7, {"loss": 0.5})
    assert (surface.states[-1].fraction, surface.states[-1].left) == (0.0, None)
    callback.on_epoch_end(0)
    run_epochs(callback, clock, [1])
    assert surface.states[-1].fraction == 0.5


def test_a_resumed_run_shows_where_it_is_and_sums_up_what_it_did():
    callback, surface, clock = driven(epochs=20)
    callback.on_train_begin()
    run_epochs(callback, clock, range(15, 20))
    callback.on_train_end()
    assert surface.states[0].fraction == 0.75
    assert surface.states[0].epoch == 16
    assert summary(surface.closed[0]) == "5 epochs in 10.0 s · loss 0.5000"


def test_the_best_epoch_counts_from_1_as_the_bar_does():
    callback, surface, clock = driven(best=lambda: ("val_loss", 0, 0.33))
    callback.on_train_begin()
    run_epochs(callback, clock, [0])
    assert surface.states[-1].best == ("val_loss", 1, 0.33)


def test_metrics_that_are_no_numbers_are_left_out():
    callback, surface, clock = driven()
    callback.on_train_begin()
    run_epochs(callback, clock, [0], logs={"loss": np.float32(0.5), "per_class": np.zeros(3)})
    assert surface.states[-1].metrics == {"loss": 0.5}


# How it ends


def test_a_run_to_the_end_needs_no_note():
    callback, surface, clock = driven(epochs=2)
    callback.on_train_begin()
    run_epochs(callback, clock, range(2))
    callback.on_train_end()
    callback.close()
    callback.close()
    assert [state.note for state in surface.closed] == [""]


def test_a_run_that_stopped_early_says_where_and_in_whose_words():
    callback, surface, clock = driven(epochs=20, stopped=lambda: "out of time")
    callback.on_train_begin()
    run_epochs(callback, clock, range(9))
    callback.on_train_end()
    assert surface.closed[0].note == "out of time"


def test_close_ends_what_keras_left_open_and_only_once():
    callback, surface, clock = driven()
    callback.close()  # Training never began.
    assert surface.closed == []
    callback.on_train_begin()
    run_epochs(callback, clock, [0])
    callback.on_epoch_begin(1)
    callback.close()
    callback.close()
    assert [state.note for state in surface.closed] == ["interrupted in the 2nd epoch"]


def test_close_says_how_it_ended():
    callback, surface, _ = driven()
    callback.on_train_begin()
    callback.close("failed")
    assert surface.closed[0].note == "failed in the 1st epoch"


# On the surfaces, with Keras


def test_a_bar_asked_for_in_a_file_is_a_line_an_epoch(capsys):
    fit(progress.progress_callback(1, epochs=3, steps=1))
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d+\.\d\d s", "T", line) for line in lines] == [
        "Epoch 1/3 · T · loss 0.0000",
        "Epoch 2/3 · T · loss 0.0000",
        "Epoch 3/3 · T · loss 0.0000",
        "3 epochs in T · loss 0.0000",
    ]


def test_a_file_that_knows_only_ascii_gets_ascii(monkeypatch):
    stream = AsciiFile()
    monkeypatch.setattr(sys, "stdout", stream)
    fit(progress.progress_callback(2, epochs=1), epochs=1)
    assert stream.getvalue().startswith("Epoch 1/1 | ")


def test_a_terminal_is_left_with_one_line_and_its_cursor(monkeypatch):
    stream = use_terminal(monkeypatch)
    fit(progress.progress_callback(1, epochs=3, steps=1))
    assert sys.stdout is stream
    written = stream.getvalue()
    assert "Epoch 1/3 " in written
    assert "\x1b[2K" in written  # The bar is wiped out.
    last = written.rpartition("\x1b[?25h")[2]  # The cursor is shown again.
    assert "\x1b[?25l" not in last
    assert re.fullmatch(r"3 epochs in .* s · loss 0\.0000", last.rsplit("\x1b[2K")[-1].strip())


def test_ctrl_c_leaves_the_terminal_as_it_was(monkeypatch):
    stream = use_terminal(monkeypatch)
    callback = progress.progress_callback("auto", epochs=3, steps=1)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(callback, PressCtrlC())
    finally:
        callback.close()
    assert sys.stdout is stream
    assert stream.getvalue().rfind("\x1b[?25h") > stream.getvalue().rfind("\x1b[?25l")
    assert stream.getvalue().endswith("interrupted in the 1st epoch\n")


def test_what_others_print_stands_above_the_bar(monkeypatch):
    stream = use_terminal(monkeypatch)
    talk = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("a word"))
    fit(progress.progress_callback(1, epochs=3, steps=1), talk)
    assert stream.getvalue().count("a word\n") == 3


def test_a_notebook_keeps_one_output_that_ends_as_a_summary(monkeypatch):
    shown = use_notebook(monkeypatch)
    callback = progress.progress_callback("auto", epochs=3, steps=1)
    assert isinstance(callback._surface, surfaces.Notebook)
    fit(callback)
    assert "<progress" in shown[0]["text/html"]
    assert "\x1b" not in "".join(forms["text/plain"] for forms in shown)
    assert shown[-1]["text/plain"].startswith("3 epochs in ")
    assert shown[-1]["text/html"] == f"<div>{shown[-1]['text/plain']}</div>"
