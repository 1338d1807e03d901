"""What `diagnose` says of curves made by hand, and of runs whose answer is known."""

import dataclasses
import gzip
import importlib.resources
import json
import math
import pathlib

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.diagnosis import VERDICTS, Diagnosis, diagnose
from kerastrain.records import History

EPOCHS = np.arange(30)
FALL = np.exp(-EPOCHS / 4)
NOISE = np.random.default_rng(0).normal(size=30)
CHANCE = {"loss": 2.303, "accuracy": 0.1}


def run(loss, val_loss=None, chance=CHANCE, stop_reason="finished", **columns):
    """A history of these columns, as `fit` would leave it."""
    columns = {"loss": loss, **({} if val_loss is None else {"val_loss": val_loss}), **columns}
    history = History.of({name: list(map(float, column)) for name, column in columns.items()})
    return dataclasses.replace(history, chance=dict(chance), stop_reason=stop_reason)


def verdict(*args, **kwargs):
    return diagnose(run(*args, **kwargs)).verdict


GOOD = run(0.3 + FALL, 0.35 + FALL)
RISING = run(0.9 * FALL, np.where(EPOCHS < 10, 0.5 + FALL, 0.582 + 0.03 * (EPOCHS - 9)))


# Validation and training.


def test_curves_that_level_off_side_by_side_are_a_good_fit():
    found = diagnose(GOOD)
    assert found.verdict == "good fit"
    assert found.summary == (
        "val_loss has levelled off, at 0.351 in epoch 29, beside 0.301 in training. "
        "It has come 85 % of the way from a constant answer to a perfect one."
    )
    assert found.evidence["gap"] == pytest.approx(0.05)
    assert found.evidence["val_share_explained"] == pytest.approx(1 - 0.351 / 2.303, abs=2e-3)


def test_validation_that_rises_while_training_falls_is_overfitting():
    found = diagnose(RISING)
    assert found.verdict == "overfitting"
    assert found.evidence["best_epoch"] == 9
    assert found.evidence["epochs_since_best"] == 20
    assert found.evidence["rise"] == pytest.approx(1.122 - RISING.best["val_loss"], abs=0.05)
    assert found.advice[0] == (
        "Stop in time: fit(patience=3) ends the run soon after its best epoch and keeps that one; "
        "10 of 30 epochs were of use."
    )


def test_a_wiggle_is_not_overfitting():
    wiggly = run(0.3 + FALL, 0.35 + FALL + 0.004 * NOISE)
    assert diagnose(wiggly).verdict == "good fit"
    assert diagnose(wiggly).evidence["noise"] == pytest.approx(0.004, rel=0.6)


def test_a_rise_counts_by_the_noise_of_its_curve():
    """A hundred level curves whose noise ends them 5 % higher now and then, and a rise by 14 %."""
    training, level = 0.5 * FALL + 0.27 - 0.002 * EPOCHS, 0.35 + FALL
    rising = np.where(EPOCHS < 20, level, 0.356 + 0.005 * (EPOCHS - 19))
    draws = [np.random.default_rng(seed).normal(size=30) for seed in range(100)]
    alarms = [verdict(training, level + 0.018 * noise) == "overfitting" for noise in draws]
    assert sum(alarms) <= 3
    found = [verdict(training, rising + 0.002 * noise) == "overfitting" for noise in draws]
    assert sum(found) == 100


def test_the_rise_has_the_error_that_noise_gives_it():
    """Over many draws, the rise of a level curve scatters by about its standard error."""
    draws = [np.random.default_rng(seed).normal(size=30) for seed in range(300)]
    found = [diagnose(run(0.3 + FALL, 0.35 + FALL + 0.01 * noise)).evidence for noise in draws]
    assert np.median([e["noise"] for e in found]) == pytest.approx(0.01, rel=0.1)
    scatter = np.std([e["rise"] for e in found if e["epochs_since_best"] >= 5])
    error = np.median([e["rise_error"] for e in found if e["epochs_since_best"] >= 5])
    assert scatter == pytest.approx(error, rel=0.35)


def test_a_small_gap_stopped_in_time_is_a_good_fit():
    """Patience of five: val_loss has turned up, but the model that is left is the best epoch's."""
    loss, val = [1.0, 0.6, 0.45, 0.36, 0.30, 0.26, 0.22, 0.19], [0.9, 0.6, 0.44, 0.46, 0.49]
    val += [0.52, 0.55, 0.58]
    assert verdict(loss, val, stop_reason="early_stopping") == "good fit"
    assert verdict(loss, val) == "overfitting"


def test_a_large_gap_at_the_best_epoch_is_overfitting_even_if_stopped_in_time():
    loss, val = [1.8, 0.6, 0.2, 0.1, 0.05, 0.03], [1.9, 1.3, 1.1, 1.15, 1.2, 1.3]
    found = diagnose(run(loss, val, stop_reason="early_stopping"))
    assert found.verdict == "overfitting"
    assert found.summary.startswith(
        "val_loss is 1.1 in the best epoch, 2, and loss 0.2: the model has learnt its training "
        "rows better than what they have in common."
    )
    assert "patience" not in " ".join(found.advice)


def test_training_that_is_worse_than_validation_as_with_dropout_is_no_gap():
    assert verdict(0.5 + FALL, 0.35 + FALL) == "good fit"


def test_who_learns_by_heart_what_says_nothing_is_told_to_look_at_the_labels():
    found = diagnose(run(2.3 * FALL, 2.31 + 0.1 * EPOCHS))
    assert found.verdict == "overfitting"
    assert found.summary.endswith(
        "Even at its best it knew no more than a constant answer, which gives 2.3."
    )
    assert found.advice[0].startswith("See whether there is anything to learn: ktr.check(model, x,")


def test_a_rise_beside_level_training_is_overfitting_and_told_so():
    random = np.random.default_rng(0)
    fall = np.exp(-EPOCHS / 2)
    loss, val = (0.3 + fall + 0.005 * random.normal(size=30) for _ in range(2))
    val = val + 0.05 + 0.006 * np.maximum(EPOCHS - 12, 0)
    found = diagnose(run(loss, val, {"loss": 1.0}))
    assert found.verdict == "overfitting"
    assert "and has risen by 0.0" in found.summary
    assert "since, while loss stayed at 0.298: further epochs only made it worse" in found.summary
    assert "by heart" not in found.summary


def test_the_words_fit_a_training_loss_that_rose_too():
    loss = [*(0.9 * FALL[:10] + 0.1), *(0.1 + 0.006 * np.arange(30))]
    val = [*(0.9 * FALL[:10] + 0.12), *(0.2 + 0.02 * np.arange(30))]
    found = diagnose({"loss": loss, "val_loss": val})
    assert found.verdict == "overfitting"
    assert "since; loss has risen too, from 0.1 to 0.262, but less." in found.summary


def test_a_good_fit_that_has_risen_says_so():
    """Both rose together, as after a restart of the rate."""
    both = np.where(EPOCHS < 20, 0.3 + FALL, 0.33)
    found = diagnose(run(both, both + 0.01, {"loss": 1.0}))
    assert found.verdict == "good fit"
    assert found.summary.startswith("val_loss was at its best in epoch 19, with 0.319, beside")
    assert "and has risen by 0.0" in found.summary


# How much was learnt.


def test_level_and_far_from_perfect_is_underfitting():
    found = diagnose(run(1.6 + 0.7 * FALL, 1.62 + 0.7 * FALL))
    assert found.verdict == "underfitting"
    assert found.summary == (
        "val_loss has levelled off, at 1.62 in epoch 29 and training is no better, 1.6. It has "
        "come 30 % of the way from a constant answer to a perfect one."
    )
    assert found.advice[0] == "Make the model larger: more units, or one more layer."


@pytest.mark.parametrize("training, known", [(0.6, "underfitting"), (0.3, "overfitting")])
def test_who_has_learnt_little_for_other_rows_is_no_good_fit(training, known):
    """Stopped early, at a fifth of the way; training tells which of the two it is."""
    loss, val = training + 0.2 * FALL[:8], 0.56 + 0.1 * FALL[:8]
    chance = {"loss": 0.693, "accuracy": 0.5}
    columns = {"accuracy": [0.7] * 8, "val_accuracy": [0.6] * 8}
    found = diagnose(run(loss, val, chance, stop_reason="early_stopping", **columns))
    assert found.verdict == known


def test_a_share_near_all_is_told_without_a_power_of_ten():
    found = diagnose(run(0.001 + FALL, 0.001 + FALL, {"loss": 0.7}))
    assert found.summary.endswith(
        "It has come 100 % of the way from a constant answer to a perfect one."
    )


def test_who_makes_no_mistake_isnt_told_to_grow():
    found = diagnose({"loss": [0.0] * 20, "val_loss": [0.0] * 20})
    assert found.advice == (
        "Keep this model, and look once at rows it has never seen: model.evaluate(*data.test).",
    )


@pytest.mark.parametrize("told", [{}, {"accuracy": 0.1}])
def test_the_chance_of_an_accuracy_is_an_accuracy(told):
    level = [0.1, 0.101, 0.099, 0.1, 0.1, 0.1]
    history = History.of({"accuracy": level, "val_accuracy": level})
    found = diagnose(dataclasses.replace(history, chance=told))
    assert found.evidence["chance"] == 0.1


def test_a_collapsed_classifier_underfits():
    found = diagnose(run([2.31, *[2.303] * 9], [2.303] * 10, val_accuracy=[0.1] * 10))
    assert found.verdict == "underfitting"
    assert found.evidence["val_share_explained"] == pytest.approx(0, abs=1e-3)
    assert found.summary.endswith("It knows no more than a constant answer, which gives 2.3.")


def test_a_collapsed_classifier_is_found_without_being_told_what_chance_gives():
    accuracy = [0.099, 0.101, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    columns = {"loss": [2.32, *[2.303] * 7], "val_loss": [2.303] * 8, "accuracy": accuracy}
    found = diagnose(columns | {"val_accuracy": accuracy})
    assert found.verdict == "underfitting"
    assert found.evidence["chance"] == pytest.approx(math.log(10))


def test_a_collapsed_classifier_is_found_by_its_accuracy_alone():
    found = diagnose({"accuracy": [0.49, 0.5, 0.5, 0.5, 0.5, 0.5], "val_accuracy": [0.5] * 6})
    assert found.verdict == "underfitting"
    assert found.summary.endswith("It knows no more than a constant answer, which gives 0.5.")


def test_a_regression_no_better_than_the_mean_underfits():
    loss = [1.6, 1.4, *[1.34] * 8]
    assert verdict(loss, [1.33] * 10, chance={"loss": 1.34}) == "underfitting"


def test_r2_tells_what_the_mean_would_give():
    mse = [1.6, 1.4, *[1.34] * 8]
    columns = {"loss": mse, "mse": mse, "r2": [1 - value / 1.34 for value in mse]}
    found = diagnose(columns | {"val_loss": [1.33] * 10, "val_r2": [0.0] * 10})
    assert found.verdict == "underfitting"
    assert found.evidence["chance"] == pytest.approx(1.34)


def test_an_accuracy_may_say_more_than_the_loss():
    """Four of five right, sure of nothing: a cross-entropy of 0.48 explains a third of ln 2."""
    level = run(0.47 + 0.2 * FALL, 0.48 + 0.2 * FALL, {"loss": 0.693, "accuracy": 0.5})
    assert diagnose(level).verdict == "underfitting"
    told = dataclasses.replace(level, history=level.history | {"val_accuracy": [0.8] * 30})
    assert diagnose(told).verdict == "good fit"
    assert diagnose(told).evidence["val_share_explained"] == pytest.approx(0.6)


def test_a_good_fit_without_chance_says_that_it_may_be_nothing():
    found = diagnose({"loss": list(0.3 + FALL), "val_loss": list(0.35 + FALL)})
    assert found.verdict == "good fit"
    assert found.summary.endswith(
        "Whether that is much, nothing tells: what a constant answer gives isn't known."
    )
    assert "chance" not in found.evidence
    assert "val_share_explained" not in found.evidence


# Where it is going.


def test_validation_that_falls_to_the_end_is_still_improving():
    falling = 2.0 - 0.05 * EPOCHS
    found = diagnose(run(falling, falling, learning_rate=[1e-5] * 30))
    assert found.verdict == "still improving"
    assert found.evidence["slope"] == pytest.approx(-0.05)
    assert found.advice == (
        "Go on: fit(epochs=60, patience=5) stops when it has had enough.",
        "It has hardly slowed down: a higher rate, above the 1e-05 of now, may get there in fewer "
        "epochs; ktr.lr_find(model, x, y) suggests one.",
    )


def test_a_slow_fall_from_above_chance_is_still_improving():
    slow = 2.6 - 0.004 * EPOCHS
    assert verdict(slow, slow + 0.001) == "still improving"


def test_early_stopping_has_seen_the_end_of_improvement():
    loss, val = 2.0 - 0.05 * EPOCHS, [*(1.5 - 0.06 * np.arange(24)), 0.2, 0.19, 0.18, 0.17, 0.16]
    assert verdict(loss, [*val, 0.15], stop_reason="early_stopping") != "still improving"


def test_a_schedule_at_its_end_improves_no_more():
    """The cosine's last tenth moves little, but falls all the same."""
    falling = 0.3 + 0.02 * (30 - EPOCHS)
    rates = 1e-3 * (1 + np.cos(np.pi * EPOCHS / 29)) / 2
    assert verdict(falling, falling) == "still improving"
    assert verdict(falling, falling, learning_rate=rates) == "good fit"


def test_noise_is_no_fall():
    level = 0.4 + 0.004 * NOISE
    assert verdict(level, level) == "good fit"


@pytest.mark.parametrize(
    "val", [[0.604, 0.551, 0.517, 0.491], [0.551, 0.517, 0.491, 0.49], [0.491, 0.49, 0.503, 0.472]]
)
def test_a_fall_that_is_not_certain_is_no_level(val):
    """Of runs of six and eight epochs, which reached 0.43 in twenty-five."""
    val = [0.9, 0.7, *val]
    assert verdict(val, val) in ("still improving", "too short to say")


def test_what_a_few_epochs_leave_open_is_told_in_numbers():
    val = [0.8, 0.604, 0.551, 0.517, 0.491, 0.49]
    found = diagnose(run(val, val))
    assert found.verdict == "too short to say"
    assert found.summary == (
        "val_loss is 0.49 at its best, and changed by -0.021 ± 0.005 an epoch over the last 4: "
        "that doesn't tell whether it has levelled off."
    )
    assert found.advice == (
        "Train longer: fit(epochs=20, patience=3) stops when validation stops improving.",
    )


def test_a_level_that_jitters_is_told_by_its_later_half():
    val = [0.39, 0.345, 0.331, 0.325, 0.323, 0.321, 0.325, 0.322, 0.321, 0.32, 0.323, 0.321]
    assert verdict(val, val, chance={"loss": 0.693}) == "good fit"


# What can't be told.


@pytest.mark.parametrize("columns", [{"loss": [0.5]}, {"loss": [0.9, 0.5], "val_loss": [0.8, 0.6]}])
def test_two_epochs_are_too_short(columns):
    found = diagnose(columns)
    assert found.verdict == "too short to say"
    assert found.evidence["epochs"] == len(columns["loss"])


def test_one_epoch_above_chance_is_no_divergence():
    run = History({"loss": [2.44]}, [0], chance={"loss": 2.3})
    assert diagnose(run).verdict == "too short to say"
    assert diagnose(History({"loss": [math.inf]}, [0])).verdict == "diverged"


def test_one_epoch_is_told_so():
    assert str(diagnose({"loss": [0.5], "val_loss": [0.6]})) == (
        "too short to say: One epoch is no course yet: val_loss is 0.6.\n"
        "  evidence: epochs 1, best_epoch 0, loss 0.5, val_loss 0.6, gap 0.1, noise 0, "
        "epochs_since_best 0,\n    rise 0, rise_error 0, slope 0, slope_epochs 1\n"
        "  advice:\n"
        "  - Train longer: fit(epochs=20, patience=3) stops when validation stops improving."
    )


def test_six_epochs_that_early_stopping_ended_are_not():
    loss, val = [0.8, 0.4, 0.36, 0.33, 0.31, 0.3], [0.5, 0.36, 0.365, 0.37, 0.37, 0.375]
    assert verdict(loss, val, stop_reason="early_stopping") == "good fit"
    assert verdict(loss[:3], val[:3], stop_reason="early_stopping") == "good fit"
    assert verdict(loss[:3], val[:3]) == "too short to say"


def test_without_validation_neither_a_good_fit_nor_overfitting_is_claimed():
    found = diagnose(run(0.3 + FALL))
    assert found.verdict == "too short to say"
    assert found.summary == (
        "loss has levelled off, at 0.301, but there was no validation: whether that holds for "
        "other rows, nothing tells."
    )
    assert found.advice == ("Hold rows out: fit(validation_split=0.2), or validation_data=.",)
    assert "gap" not in found.evidence


def test_without_validation_what_training_shows_is_told():
    assert verdict(2.0 - 0.05 * EPOCHS) == "still improving"
    assert verdict([2.31, *[2.303] * 9]) == "underfitting"
    assert verdict([1.0, 0.5, math.nan]) == "diverged"


# What went wrong.


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_a_run_that_ends_in_nan_has_diverged(end):
    found = diagnose(run([1.0, 0.6, 0.5, end], [1.0, 0.7, 0.6, end], learning_rate=[0.3] * 4))
    assert found.verdict == "diverged"
    assert found.summary == (
        "loss was lost to NaN or infinity; epoch 2 was the last with a number."
    )
    assert found.advice[0] == (
        "Take learning_rate=0.03, a tenth, or what ktr.lr_find(model, x, y) suggests."
    )


def test_a_run_without_a_number_has_diverged():
    found = diagnose({"loss": [math.nan, math.nan]})
    assert (found.verdict, found.summary) == ("diverged", "loss was never a finite number.")
    assert found.evidence == {"epochs": 2, "finite_epochs": 0}


def test_nan_that_fit_stopped_at_has_diverged():
    assert verdict([1.0, 0.6, 0.5], [1.0, 0.7, 0.6], stop_reason="nan") == "diverged"


def test_nan_that_passed_is_forgiven():
    early = [math.nan, *GOOD.history["loss"][1:]], [math.nan, *GOOD.history["val_loss"][1:]]
    assert verdict(*early) == "good fit"


def test_validation_that_was_never_a_number_is_told_from_training():
    found = diagnose(run(0.3 + FALL, [math.nan] * 30))
    assert found.verdict == "diverged"
    assert found.summary == (
        "val_loss was never a finite number, while loss was: look for NaN in the validation rows."
    )


def test_a_loss_that_explodes_has_diverged():
    found = diagnose(run([1.0, 0.8, 0.7, 5.0, 50.0, 500.0], [1.0, 0.9, 0.9, 6.0, 60.0, 600.0]))
    assert found.verdict == "diverged"
    assert found.summary.startswith(
        "loss ended at 275, after 0.7 in epoch 2, and doesn't come back."
    )


def test_a_loss_that_stays_above_chance_has_diverged():
    assert verdict([160.0, *[2.5] * 9], [2.6, *[2.5] * 9]) == "diverged"
    assert verdict([160.0, *[2.303] * 9], [2.303] * 10) == "underfitting"


def test_leaps_are_unstable():
    leaping = 0.5 + FALL + 0.1 * NOISE
    settings = {"batch_size": 32, "optimizer.learning_rate": 0.1}
    found = diagnose(dataclasses.replace(run(leaping, leaping), settings=settings))
    assert found.verdict == "unstable"
    assert found.advice == (
        "Take learning_rate=0.01, a tenth, or what ktr.lr_find(model, x, y) suggests.",
        "Let the rate sink: fit(schedule=ktr.schedules.warmup_cosine).",
        "Average over more rows: batch_size=128; and validate on more, if there are few.",
    )


def test_training_that_jitters_by_dropout_is_not_unstable():
    assert verdict(0.5 + FALL + 0.05 * NOISE, 0.35 + FALL) == "good fit"


def test_training_is_held_against_its_own_lowest():
    """Heavy augmentation: training is far above validation, but has only fallen."""
    assert verdict(1.8 + 0.5 * FALL, 0.6 + 1.4 * FALL) == "good fit"


# Weights and penalties.


def weighted(size, chance):
    history = run(size * (0.36 + 0.2 * FALL), 0.32 + 0.2 * FALL, chance)
    return dataclasses.replace(history, settings={"class_weight": {"0": size, "1": size}})


@pytest.mark.parametrize("size", [0.1, 0.4, 5.0])
def test_a_weighted_loss_is_no_gap(size):
    """Whether chance tells how the two losses go together, or nothing does."""
    known = diagnose(weighted(size, {"loss": size * 0.693, "val_loss": 0.693}))
    assert known.verdict == "good fit"
    assert known.evidence["gap"] == pytest.approx(-0.04, abs=1e-3)
    assert known.evidence["chance"] == 0.693
    unknown = diagnose(weighted(size, {}))
    assert unknown.verdict == "good fit"
    assert "gap" not in unknown.evidence


def test_a_weighted_run_that_learns_by_heart_is_told_by_what_its_losses_explain():
    loss, chance = 0.4 * (0.05 + 0.6 * FALL), {"loss": 0.4 * 0.693, "val_loss": 0.693}
    history = run(loss, 0.3 + 0.3 * FALL, chance)
    found = diagnose(dataclasses.replace(history, settings={"sample_weight": True}))
    assert found.verdict == "overfitting"
    assert found.evidence["gap"] == pytest.approx(0.25, abs=1e-3)


def test_without_chance_a_weighted_run_is_told_by_its_accuracies():
    accuracies = {"accuracy": 1 - 0.5 * FALL, "val_accuracy": 0.75 - 0.25 * FALL}
    history = run(0.01 + 0.2 * FALL, 0.5 + 0.2 * FALL, {}, **accuracies)
    found = diagnose(dataclasses.replace(history, settings={"sample_weight": True}))
    assert found.verdict == "overfitting"


def test_a_loss_with_penalties_is_left_for_the_metric_without():
    penalty, mse = 5 * FALL + 0.02, 0.001 + 0.004 * FALL
    columns = {"mse": mse, "val_mse": mse, "r2_score": 1 - mse / 0.01}
    columns["val_r2_score"] = columns["r2_score"]
    found = diagnose(run(penalty + mse, penalty + mse, {"mse": 0.01}, **columns))
    assert found.verdict == "good fit"
    assert found.evidence["val_mse"] == pytest.approx(0.001, abs=1e-4)
    assert found.evidence["val_share_explained"] == pytest.approx(0.9, abs=0.01)


# What it looks at.


@pytest.mark.parametrize("name", ["specificity", "binary_io_u", "sensitivity", "top_k_accuracy"])
def test_what_should_be_high_is_told_as_for_a_monitor(name):
    rising = list(0.95 - 0.45 * FALL)
    found = diagnose({name: rising, f"val_{name}": rising})
    assert (found.verdict, found.evidence["best_epoch"]) == ("good fit", 29)


def test_a_cost_with_acc_in_its_name_is_one():
    found = diagnose({"accel_mae": list(0.1 + FALL), "val_accel_mae": list(0.1 + FALL)})
    assert (found.verdict, found.evidence["best_epoch"]) == ("good fit", 29)


@pytest.mark.parametrize("name", ["r2", "r2_score", "binary_accuracy", "accuracy"])
def test_keras_names_tell_what_is_explained(name):
    told = list(0.9 - 0.5 * FALL)
    loss = list(30 + 60 * FALL)
    found = diagnose({"loss": loss, "val_loss": loss, name: told, f"val_{name}": told})
    share = 0.9 if name.startswith("r2") else 0.8
    assert found.evidence["val_share_explained"] == pytest.approx(share, abs=0.01)


def test_a_metric_that_should_be_high_is_turned_round():
    accuracy = list(0.9 - 0.8 * FALL)
    assert diagnose({"accuracy": accuracy, "val_accuracy": accuracy}).verdict == "good fit"
    worse = [0.6 - 0.4 * value if e < 8 else 0.54 - 0.01 * (e - 8) for e, value in enumerate(FALL)]
    found = diagnose({"accuracy": list(1 - 0.9 * FALL), "val_accuracy": worse})
    assert found.verdict == "overfitting"
    assert "val_accuracy was at its best in epoch 8, with 0.54" in found.summary
    assert "has fallen by" in found.summary


def test_the_loss_is_left_for_a_metric_that_was_validated():
    columns = {
        "loss": [2.0, 1.0, 0.5],
        "accuracy": [0.1, 0.5, 0.6],
        "val_accuracy": [0.1, 0.4, 0.5],
    }
    found = diagnose(columns)
    assert found.evidence["val_accuracy"] == 0.5
    assert "val_loss" not in found.evidence


def test_the_best_epoch_is_the_monitors():
    history = dataclasses.replace(GOOD, best_epoch=20, monitor="val_accuracy")
    assert diagnose(history).evidence["best_epoch"] == 20


def test_epochs_are_called_as_a_resumed_history_calls_them():
    history = dataclasses.replace(GOOD, epoch=list(range(10, 40)), best_epoch=30)
    assert diagnose(history).evidence["best_epoch"] == 30


def test_validation_of_every_third_epoch_is_enough():
    found = diagnose({"loss": list(0.3 + FALL), "val_loss": list((0.35 + FALL)[2::3])})
    assert found.verdict == "good fit"
    assert found.evidence["best_epoch"] == 29


def test_losses_below_0_have_a_scale_too():
    likelihood = -np.log(1 + EPOCHS)
    assert diagnose({"loss": list(likelihood), "val_loss": list(likelihood)}).verdict == (
        "still improving"
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e300, -5.0])
def test_constant_curves_of_any_size_are_judged(value):
    assert diagnose({"loss": [value] * 12, "val_loss": [value] * 12}).verdict in VERDICTS


@pytest.mark.filterwarnings("error")
def test_whatever_the_columns_hold_there_is_a_verdict_of_finite_numbers():
    random = np.random.default_rng(1)
    names = ["loss", "val_loss", "accuracy", "val_accuracy", "r2", "learning_rate"]
    for _ in range(300):
        count, size = int(random.integers(1, 40)), 10.0 ** random.integers(-8, 8)
        columns = {
            name: random.normal(size=count) * size for name in names if random.random() < 0.6
        }
        for column in columns.values():
            lost = random.random(count) < random.choice([0, 0, 0.2])
            column[lost] = random.choice([math.nan, math.inf, -math.inf])
        found = diagnose({"loss": np.ones(count)} | columns)
        assert found.verdict in VERDICTS
        assert all(map(math.isfinite, found.evidence.values()))
        assert str(found).startswith(f"{found.verdict}: ")


def test_five_thousand_epochs_are_judged_as_fifty_are():
    epochs = np.arange(5_000)
    noise = 0.002 * np.random.default_rng(0).normal(size=5_000)
    good = run(0.3 + np.exp(-epochs / 300), 0.35 + np.exp(-epochs / 300) + noise)
    assert diagnose(good).verdict == "good fit"
    rising = np.where(epochs < 900, 0.5 + np.exp(-epochs / 300), 0.55 + 5e-5 * (epochs - 900))
    found = diagnose(run(np.exp(-epochs / 300), rising + noise))
    assert found.verdict == "overfitting"
    assert found.evidence["best_epoch"] == pytest.approx(900, abs=60)


def test_the_same_history_gets_the_same_diagnosis_twice_and_stays_as_it_was():
    before = dataclasses.asdict(RISING)
    assert diagnose(RISING) == diagnose(RISING)
    assert dataclasses.asdict(RISING) == before


def test_a_file_and_keras_own_history_are_judged_alike(tmp_path):
    of_keras = keras.callbacks.History()
    of_keras.history, of_keras.epoch = RISING.history, RISING.epoch
    told = dataclasses.replace(RISING, chance={})
    assert diagnose(RISING.save(tmp_path / "history.json")) == diagnose(RISING)
    assert diagnose(of_keras) == diagnose(told) == diagnose(RISING.history)


# Real runs.

RUNS = json.loads(pathlib.Path(__file__).with_name("verdict_runs.json").read_text(encoding="utf-8"))
KNOWN = {
    "good, stopped early": "good fit",
    "good, rate to 0": "good fit",
    "rate / 100": "still improving",
    "capacity too small": "underfitting",
    "200 rows or fewer": "overfitting",
    "too long": "overfitting",
    "rate * 100": "unstable",
    "shuffled, by heart": "overfitting",
    "shuffled, stopped early": "underfitting",
}


@pytest.mark.parametrize("known", RUNS, ids=lambda known: f"{known['recipe']} ({known['data']})")
def test_runs_whose_answer_is_known_are_judged_right(known):
    assert diagnose(History.of_fields(known["history"])).verdict == KNOWN[known["recipe"]]


def test_the_first_run_of_the_notes_is_a_good_fit():
    data = ktr.load_dataset("fashion_mnist_small")
    dropout = keras.layers.Dropout(0.3)
    _, history = ktr.build_and_fit(
        "dense", data, a_layer=dropout, epochs=20, patience=2, seed=1, verbose=0
    )
    found = ktr.diagnose(history)
    assert found.verdict == "good fit"
    assert found.evidence["val_loss"] == history.best["val_loss"]


# How it reads, and what it refuses.


def test_a_diagnosis_reads_well_in_a_terminal():
    assert max(map(len, str(diagnose(RISING)).splitlines())) <= 100
    assert str(Diagnosis("good fit", "All is well.", {"epochs": 12, "loss": 0.25}, ("Stop.",))) == (
        "good fit: All is well.\n  evidence: epochs 12, loss 0.25\n  advice:\n  - Stop."
    )


def test_a_diagnosis_is_a_list_and_a_table_that_unfolds_in_a_notebook():
    found = Diagnosis("unstable", "It <leaps>.", {"epochs": 12, "noise": 0.25}, ("Take a & b.",))
    assert found._repr_html_() == (
        "<p><b>unstable</b>: It &lt;leaps&gt;.</p><ul><li>Take a &amp; b.</li></ul>"
        "<details><summary>evidence</summary>"
        "<table><thead><tr><th>evidence</th><th></th></tr></thead>"
        "<tbody><tr><td>epochs</td><td>12</td></tr><tr><td>noise</td><td>0.25</td></tr></tbody>"
        "</table></details>"
    )


def test_a_verdict_is_one_of_seven():
    with pytest.raises(ValueError, match="verdict") as raised:
        Diagnosis("splendid", "", {}, ())
    assert str(raised.value) == (
        "`Diagnosis`: `verdict` must be one of 'good fit', 'overfitting', 'underfitting', "
        "'still improving', 'diverged', 'unstable', 'too short to say'. "
        "Received: verdict='splendid'."
    )


@pytest.mark.parametrize("columns", [{}, {"loss": []}, {"learning_rate": [0.1]}])
def test_a_history_without_a_metric_is_refused(columns):
    with pytest.raises(ValueError, match="diagnose") as raised:
        diagnose(columns)
    count = len(next(iter(columns.values()), []))
    assert str(raised.value) == (
        "`diagnose`: `history` must hold at least one epoch of one metric. "
        f"Received: history=<History: {count} epochs, finished>."
    )


def test_what_is_no_history_is_refused():
    with pytest.raises(TypeError) as raised:
        diagnose(3)
    assert str(raised.value) == (
        "`diagnose`: `history` must be a History, Keras's History, a dict of lists of numbers or "
        "a path to a saved one. Received: 3."
    )


def test_most_runs_whose_answer_is_known_from_how_they_were_made_are_judged_right():
    file = importlib.resources.files("kerastrain.embedded") / "known_runs.jsonl.gz"
    runs = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    said = [diagnose(History.of_fields(run["history"])).verdict for run in runs]
    right = [word in run["accepted"] for word, run in zip(said, runs, strict=True)]
    assert (len(right), sum(right)) == (240, 225)
