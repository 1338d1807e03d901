"""`search`: what it finds, repeats, survives, goes on with and refuses."""

import logging
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from search_data import DATA, SHORT, SPACE, InterruptAt, X, Y, fails_above_4, told

import kerastrain as ktr

pytest.importorskip("optuna", reason='needs optuna: pip install "kerastrain[search]"')

from kerastrain.search import refit, search
from kerastrain.search_records import SearchResult

ONE_WORKER = {"trial_timeout": 300}
"""Has each trial train in a process of its own; `jobs=2` would start two."""

# What it says.


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def test_many_searches_bring_no_word_of_tracing_and_leave_the_log_as_it_was():
    logger, lines = logging.getLogger("tensorflow"), Lines()
    filters = list(logger.filters)
    logger.addHandler(lines)
    try:
        for seed in range(6):  # From the fifth model that it traces on, TensorFlow warns.
            given = SHORT | {"epochs": 1, "seed": seed, "trials": 1, "test_data": DATA}
            search("regression", {"n_neurons": [2]}, DATA, **given)
        logger.warning("something else")
    finally:
        logger.removeHandler(lines)
    assert lines.texts == ["something else"]
    assert logger.filters == filters


# What it finds.


def test_the_best_trial_has_the_lowest_value_and_its_model_gives_it():
    result = search("regression", SPACE, DATA, trials=6, pruner=None, **SHORT)
    assert [trial.number for trial in result.trials] == list(range(6))
    assert result.best_value == min(trial.value for trial in result.trials)
    history = result.best.histories[0]
    assert result.best_value == min(history.history["val_loss"])
    again = refit(result, "regression", DATA)
    np.testing.assert_array_equal(again.model.predict(X), result.model.predict(X))


def test_every_epoch_of_every_trial_is_kept():
    result = search("regression", SPACE, DATA, trials=3, pruner=None, **SHORT)
    assert [len(trial.histories[0]) for trial in result.trials] == [3, 3, 3]
    assert set(result.trials[0].histories[0].history) >= {"loss", "val_loss", "learning_rate"}


def test_a_metric_that_rises_is_maximised():
    data = ktr.load_dataset("digits")
    space = {"units": [1, 32]}
    result = search("dense", space, data, sampler="grid", metric="val_acc", pruner=None, **SHORT)
    assert (result.mode, result.best_params) == ("max", {"units": 32})
    assert result.best_value == max(result.best.histories[0].history["val_accuracy"])


def test_the_test_set_is_that_of_the_data_and_had_no_part_in_the_choice():
    data = ktr.load_dataset("diabetes")
    result = search("regression", SPACE, data, trials=2, **SHORT)
    expected = result.model.evaluate(*data.test, verbose=0, return_dict=True)
    assert result.test == pytest.approx(expected)


def test_without_a_test_set_there_is_no_result_of_a_test():
    result = search("regression", SPACE, DATA, trials=1, **SHORT)
    with pytest.raises(ValueError, match="must have been a search with a test set"):
        _ = result.test
    tested = search("regression", SPACE, DATA, trials=1, test_data=(X[:9], Y[:9]), **SHORT)
    assert tested.test["loss"] == pytest.approx(np.mean((tested.model(X[:9])[:, 0] - Y[:9]) ** 2))


def test_a_fifth_of_the_rows_is_held_out_where_nothing_else_is_said():
    result = search("regression", SPACE, DATA, trials=1, **SHORT)
    assert result.settings["arguments"]["validation_split"] == 0.2


def test_a_space_may_hold_what_fit_takes_and_kinds_of_layers():
    space = {"batch_size": [8, 16], "a_layer": [None, keras.layers.Dropout(0.5)], "epochs": [1, 2]}
    result = search("regression", space, DATA, sampler="grid", pruner=None, **SHORT)
    assert len(result) == 8
    assert {trial.epochs for trial in result.trials} == {1, 2}
    assert {type(trial.params["a_layer"]).__name__ for trial in result.trials} == {
        "NoneType",
        "Dropout",
    }


def test_a_function_makes_one_parameter_hang_on_another():
    def space(trial):
        params = {"n_hidden": trial.suggest_int("n_hidden", 0, 2)}
        if params["n_hidden"]:
            params["n_neurons"] = trial.suggest_int("n_neurons", 2, 8)
        return params

    result = search("regression", space, DATA, trials=8, sampler="random", **SHORT)
    for trial in result.trials:
        assert ("n_neurons" in trial.params) == (trial.params["n_hidden"] > 0)
    assert len({tuple(trial.params) for trial in result.trials}) == 2


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "gp"])
def test_each_sampler_keeps_to_the_space(sampler):
    if sampler == "gp":
        pytest.importorskip("torch", reason='needs torch: pip install "kerastrain[gp]"')
    pytest.importorskip("scipy", reason="SciPy's distributions")
    from scipy.stats import loguniform

    space = {"n_neurons": range(2, 9), "learning_rate": loguniform(1e-3, 1e-1)}
    result = search("regression", space, DATA, trials=4, sampler=sampler, **SHORT)
    assert all(2 <= trial.params["n_neurons"] <= 8 for trial in result.trials)
    assert all(1e-3 <= trial.params["learning_rate"] <= 1e-1 for trial in result.trials)


def test_a_grid_tries_every_combination_once():
    result = search("regression", SPACE, DATA, sampler="grid", pruner=None, **SHORT | {"epochs": 1})
    tried = {(trial.params["n_neurons"], trial.params["learning_rate"]) for trial in result.trials}
    assert (len(result), len(tried)) == (8, 8)


def test_trials_that_cannot_win_are_given_up():
    space = {"learning_rate": [1e-7, 0.03]}
    given = SHORT | {"epochs": 9}
    result = search(
        "regression", space, DATA, trials=12, sampler="random", pruner="halving", **given
    )
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.epochs in (1, 3) for trial in pruned)
    assert pruned[0].reason == "it would hardly win, after 1 epoch"
    assert result.best_params == {"learning_rate": 0.03}


def test_with_folds_the_value_is_the_mean_and_the_model_has_seen_all_rows():
    given = SHORT | {"epochs": 2}
    result = search("regression", SPACE, DATA, trials=2, folds=3, pruner=None, **given)
    best = result.best
    assert [len(history) for history in best.histories] == [2, 2, 2]
    values = [min(history.history["val_loss"]) for history in best.histories]
    assert result.best_value == pytest.approx(np.mean(values), rel=1e-12)
    again = refit(result, "regression", DATA)
    assert "val_loss" not in again.history.history
    np.testing.assert_array_equal(again.model.predict(X), result.model.predict(X))


def test_a_trial_is_given_up_in_its_first_fold_or_not():
    given = {"folds": 2, "sampler": "random", "pruner": "halving", **SHORT | {"epochs": 4}}
    result = search("regression", {"learning_rate": [1e-7, 0.03]}, DATA, trials=8, **given)
    assert {(trial.state, len(trial.histories)) for trial in result.trials} == {
        ("complete", 2),
        ("pruned", 1),
    }


# What it repeats.


def test_the_same_seed_gives_the_same_search_to_the_bit():
    first, second = (search("regression", SPACE, DATA, trials=3, **SHORT) for _ in range(2))
    assert told(first) == told(second)


def test_the_importance_of_a_parameter_that_decides_is_the_highest():
    space = {"learning_rate": [1e-7, 1e-5, 1e-3, 0.1], "batch_size": [16, 17, 18]}
    result = search("regression", space, DATA, trials=12, sampler="random", pruner=None, **SHORT)
    assert list(result.importance) == ["learning_rate", "batch_size"]
    assert sum(result.importance.values()) == pytest.approx(1.0)


def test_the_generators_of_others_stay_where_they_were():
    random.seed(5), np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5), np.random.seed(5)
    search("regression", SPACE, DATA, trials=1, **SHORT)
    assert (random.random(), np.random.rand()) == expected


def test_callbacks_are_copied_for_every_trial():
    class Counter(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    mine = Counter()
    search("regression", SPACE, DATA, trials=2, callbacks=[mine], **SHORT)
    assert mine.epochs == 0


def test_an_early_stopping_of_the_users_own_decides_in_each_trial():
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e9)
    given = {"trials": 2, "callbacks": [stopper], "pruner": None, **SHORT}
    result = search("regression", SPACE, DATA, **given)
    assert [trial.epochs for trial in result.trials] == [2, 2]


# What it survives.


def test_a_trial_whose_builder_fails_is_kept_with_its_reason():
    space = {"n_neurons": [2, 4, 8]}
    result = search(fails_above_4, space, DATA, sampler="grid", pruner=None, **SHORT)
    assert [trial.state for trial in result.trials] == ["complete", "complete", "failed"]
    assert result.trials[2].reason == "RuntimeError: too wide for this house"
    assert result.best_params["n_neurons"] in (2, 4)


def test_a_trial_without_a_finite_value_has_failed():
    space = {"learning_rate": [1e30, 0.01]}
    given = {"sampler": "grid", "pruner": None, "optimizer": "sgd"}
    result = search("regression", space, DATA, **given, **SHORT)
    assert result.trials[0].state == "failed"
    assert result.trials[0].reason == "no epoch had a finite val_loss"
    assert result.best_params == {"learning_rate": 0.01}


RARE = (np.arange(60) % 10 == 0).astype("int32")


def classifier(is_lost=False, a_layer=None):
    """A model whose weights become NaN in the first step, where asked; it then says 0 always."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    rate = math.nan if is_lost else 1e-3
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("apart", [{}, ONE_WORKER], ids=["here", "apart"])
def test_a_model_of_nan_does_not_win_by_its_accuracy(starts_at_once, apart):
    given = {"metric": "val_accuracy", "sampler": "grid", "pruner": None, **apart, **SHORT}
    result = search(classifier, {"is_lost": [True, False]}, (X, RARE), **given)
    assert result.trials[0].histories[0].history["val_accuracy"][0] > 0.8
    assert (result.trials[0].state, result.trials[0].reason) == (
        "failed",
        "its weights were lost to NaN",
    )
    assert result.best_params == {"is_lost": False}
    assert np.isfinite(result.model.get_weights()[0]).all()


def test_the_accuracy_of_a_model_of_nan_is_not_held_against_others():
    import optuna

    seen = []

    class Looks(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            seen.append(trial.number)
            return False

    given = {"metric": "val_accuracy", "sampler": "grid", "pruner": Looks(), **SHORT}
    search(classifier, {"is_lost": [True, False]}, (X, RARE), **given)
    assert set(seen) == {1}


class LosesIn(keras.callbacks.Callback):
    """Makes the weights NaN at the begin of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.set_weights([weight * math.nan for weight in self.model.get_weights()])


def test_a_run_that_was_good_before_it_was_lost_counts_with_its_best_epoch():
    given = {"callbacks": [LosesIn(2)], "pruner": None, **SHORT}
    result = search("regression", SPACE, DATA, trials=1, **given)
    history = result.best.histories[0]
    assert (history.stop_reason, history.best_epoch) == ("nan", 1)
    assert result.best_value == history.history["val_loss"][1]
    assert np.isfinite(result.model.predict(X, verbose=0)).all()


def test_the_best_value_is_that_of_the_model_which_is_returned():
    """Whether the user's EarlyStopping restores, and also where nothing is to be restored."""
    space, held_out = {"learning_rate": [0.8]}, {"validation_data": (X, Y), **SHORT, "epochs": 8}
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=9)
    for given in ({}, {"callbacks": [stopper]}, {"restore_best": False}):
        result = search("regression", space, DATA, trials=1, **held_out, **given)
        losses = result.best.histories[0].history["val_loss"]
        expected = losses[-1] if "restore_best" in given else min(losses)
        assert losses[-1] > min(losses)
        assert result.best_value == expected
        loss = result.model.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
        assert loss == pytest.approx(expected, rel=1e-5)
    assert not stopper.restore_best_weights


def test_ctrl_c_returns_what_there_is():
    stop = InterruptAt(8)  # In the third trial of three epochs each.
    given = {"trials": 9, "pruner": None, "callbacks": [stop], **SHORT}
    result = search("regression", SPACE, DATA, **given)
    assert (result.stop_reason, len(result)) == ("interrupted", 2)
    assert result.model.predict(X, verbose=0).shape == (60, 1)


def test_ctrl_c_before_a_trial_has_ended_returns_an_empty_result():
    result = search("regression", SPACE, DATA, callbacks=[InterruptAt(1)], **SHORT)
    assert (len(result), result.best, result.model, result.tested) == (0, None, None, {})


def test_the_time_of_a_search_ends_it_at_an_epochs_end():
    class Sleep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.3)

    given = {"callbacks": [Sleep()], "timeout": 0.1, "pruner": None, **SHORT}
    began = time.monotonic()
    result = search("regression", SPACE, DATA, **given | {"epochs": 1000})
    assert (result.stop_reason, len(result), result.best) == ("timeout", 0, None)
    assert time.monotonic() - began < 100  # Of 300 s.
    # One that was at its last epoch has done what there was to do.
    result = search("regression", SPACE, DATA, **given | {"epochs": 1})
    assert [(trial.state, trial.epochs) for trial in result.trials] == [("complete", 1)]
    assert result.stop_reason == "timeout"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_the_time_has_cut_is_begun_anew_by_the_same_call(
    starts_at_once, tmp_path, jobs
):
    class Slow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.05)

    given = {"trials": 1, "pruner": None, "callbacks": [Slow()], **SHORT, "epochs": 30}
    cut = search(
        "regression", SPACE, DATA, storage=tmp_path / "a.db", timeout=0.5, jobs=jobs, **given
    )
    assert (cut.stop_reason, len(cut), cut.best) == ("timeout", 0, None)
    rest = search("regression", SPACE, DATA, storage=tmp_path / "a.db", **given)
    assert (rest.stop_reason, [t.epochs for t in rest.trials]) == ("finished", [30])
    assert told(rest) == told(search("regression", SPACE, DATA, **given))


class ReadsValidation(keras.callbacks.Callback):
    """Needs what a fit on all rows doesn't have."""

    def on_epoch_end(self, epoch, logs=None):
        assert logs["val_loss"] > 0


def test_a_search_whose_best_model_cannot_be_trained_again_keeps_what_it_found():
    given = {"trials": 2, "folds": 2, "pruner": None, "callbacks": [ReadsValidation()], **SHORT}
    sentence = "it could not be trained again: KeyError: 'val_loss'"
    with pytest.warns(UserWarning, match="trained again") as warned:
        result = search("regression", SPACE, DATA, test_data=DATA, **given)
    words = [str(one.message) for one in warned]
    assert f"`search` found the best parameters, but {sentence}" in words
    assert (len(result), result.model, result.note) == (2, None, sentence)
    assert result.best_params
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        _ = result.test
    assert str(error.value) == (
        "`SearchResult.test`: `result` must have been a search with a test set: that of "
        "load_dataset's data, or `test_data`. Received: a search without one, as it could not be "
        "trained again: KeyError: 'val_loss'."
    )


def test_a_search_whose_test_fails_keeps_the_model():
    rows = ktr.load_dataset("digits")
    test = rows.test[0], rows.test[1] + 90  # Labels beyond the head.
    given = {"trials": 1, "test_data": test, **SHORT}
    with pytest.warns(UserWarning, match="^`search` found the best .* it could not be tested: "):
        result = search("dense", {"units": [8]}, rows, **given)
    assert result.model.predict(test[0][:5], verbose=0).shape == (5, 10)
    assert result.tested == {}


def test_layers_that_the_folds_best_epochs_had_frozen_stay_frozen_in_the_model():
    trained = ktr.build("regression", n_neurons=4, input_shape=(4,))
    reused = {"reuse": trained, "layers": 1, "unfreeze": 2, "params": {"n_neurons": 4}}
    reused |= {"unfreeze_rate": 50.0}  # Which spoils all that has been learnt.
    space = {"learning_rate": [0.01, 0.02]}
    given = {"folds": 2, "sampler": "grid", "pruner": None, **reused, **SHORT}
    result = search("regression", space, DATA, **given)
    best = [history.best_epoch + 1 for history in result.best.histories]
    assert np.median(best) <= 2  # Or this test would show nothing.
    assert [layer.trainable for layer in result.model.layers if layer.weights] == [False, True]


@pytest.mark.parametrize("pruner", [pytest.param(None, marks=pytest.mark.slow), "hyperband"])
def test_a_sampler_of_optunas_that_has_nothing_left_ends_the_search(tmp_path, pruner):
    import optuna

    space = {"n_neurons": [2, 4], "batch_size": [16, 32]}
    given = {"pruner": pruner, "storage": tmp_path / "a.db", "trials": 9, **SHORT}
    sampler = optuna.samplers.GridSampler(space, seed=1)
    for _ in range(2):
        result = search("regression", space, DATA, sampler=sampler, **given)
        tried = [(t.params["n_neurons"], t.params["batch_size"]) for t in result.trials]
        assert sorted(tried) == [(2, 16), (2, 32), (4, 16), (4, 32)]
        assert result.stop_reason == "finished"
    forced = optuna.samplers.BruteForceSampler(seed=1)
    result = search("regression", space, DATA, sampler=forced, **given | {"storage": None})
    assert len(result) == 4


# What it goes on with.


@pytest.mark.parametrize(
    "name", ["trials.db", pytest.param("trials.journal", marks=pytest.mark.slow)]
)
def test_the_same_call_goes_on_with_what_ctrl_c_has_left_to_the_bit(tmp_path, name):
    given = {"trials": 6, "storage": tmp_path / "new" / name, **SHORT}
    whole = search("regression", SPACE, DATA, trials=6, callbacks=[InterruptAt(999)], **SHORT)
    cut = search("regression", SPACE, DATA, callbacks=[InterruptAt(7)], **given)
    assert (cut.stop_reason, len(cut) < 6) == ("interrupted", True)
    rest = search("regression", SPACE, DATA, callbacks=[InterruptAt(999)], **given)
    assert told(rest) == told(whole)
    np.testing.assert_array_equal(rest.model.predict(X), whole.model.predict(X))


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from search_data import DATA, SHORT, SPACE
import kerastrain as ktr
from kerastrain.search import search
print("ready", flush=True)
sys.stdin.readline()
begun = []

def regression(n_neurons=2, input_shape=(4,)):
    begun.append(n_neurons)
    time.sleep(0.3)  # So that the others have their turn.
    return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)

search(regression, SPACE, DATA, trials=6, storage=sys.argv[1], pruner=None, **SHORT)
print(len(begun))
"""


def regression(n_neurons=2, input_shape=(4,)):
    return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)


def process(popen, path):
    script = SCRIPT.format(tests=str(pathlib.Path(__file__).parent))
    package = str(pathlib.Path(ktr.__file__).parents[1])
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", script, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    begun = popen(command, text=True, env=environment, **pipes)
    assert begun.stdout.readline() == "ready\n"
    return begun


def test_a_killed_search_goes_on_from_its_storage_to_the_bit(nursery, tmp_path):
    import optuna

    path = tmp_path / "trials.db"
    running = process(nursery, path)
    running.stdin.write("go\n")
    running.stdin.flush()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if path.exists():
            try:
                study = optuna.load_study(study_name="search", storage=f"sqlite:///{path}")
                if sum(trial.state.is_finished() for trial in study.trials) >= 2:
                    break
            except Exception:  # The tables are being made.
                pass
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    # Or the next search would only read what was done.
    assert running.wait() == -signal.SIGKILL
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{path}")
    assert 2 <= sum(trial.state.is_finished() for trial in study.trials) < 6
    given = {"trials": 6, "pruner": None, **SHORT}
    rest = search(regression, SPACE, DATA, storage=path, **given)
    whole = search(regression, SPACE, DATA, **given)
    assert told(rest) == told(whole)


def shared_by_two_processes(nursery, storage):
    both = [process(nursery, storage) for _ in range(2)]
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    trained = [int(one.communicate(timeout=200)[0]) for one in both]
    assert min(trained) >= 1  # Each had its part.
    assert sum(trained) >= 6
    result = search(regression, SPACE, DATA, trials=6, storage=storage, pruner=None, **SHORT)
    assert [trial.number for trial in result.trials] == list(range(len(result)))
    assert sum(trial.state == "complete" for trial in result.trials) == 6
    return result


def test_two_processes_share_the_trials_of_one_storage(nursery, tmp_path):
    assert len(shared_by_two_processes(nursery, tmp_path / "trials.journal")) == 6


def test_two_processes_share_the_trials_of_a_postgresql_server(nursery, postgres):
    assert len(shared_by_two_processes(nursery, postgres)) == 6


def test_a_search_that_is_done_only_reads_its_storage(tmp_path):
    given = {"trials": 2, "storage": tmp_path / "trials.db", **SHORT}
    first = search("regression", SPACE, DATA, callbacks=[InterruptAt(999)], **given)
    second = search("regression", SPACE, DATA, callbacks=[InterruptAt(1)], **given)
    assert told(first) == told(second)


def test_ctrl_c_while_the_best_is_trained_again_keeps_what_was_found():
    stop = InterruptAt(2 * 3 * 2 + 1)  # After two trials with two folds of three epochs each.
    given = {"trials": 2, "folds": 2, "pruner": None, "callbacks": [stop], **SHORT}
    result = search("regression", SPACE, DATA, **given)
    assert (result.stop_reason, len(result), result.model) == ("interrupted", 2, None)


def test_a_refit_keeps_the_callbacks_that_watch_no_validation():
    class Halve(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.optimizer.learning_rate = 0.125

    callbacks = [Halve(), keras.callbacks.EarlyStopping(patience=1)]
    given = {"trials": 1, "folds": 2, "callbacks": callbacks, **SHORT}
    result = search("regression", SPACE, DATA, **given)
    assert float(result.model.optimizer.learning_rate + 0.0) == 0.125


# What it refuses.


@pytest.mark.parametrize(
    ("test_data", "sentence"),
    [
        (
            X,
            "be a pair (x, y), a tf.data.Dataset or a PyDataset. Received: test_data=<ndarray of "
            "shape (60, 4), float32>.",
        ),
        (
            (X, Y.astype(str)),
            "have targets of the training targets' kind, float32. Received: targets of object.",
        ),
        (
            (X, np.stack([Y, Y], axis=1)),
            "have targets of the training targets' shape (). Received: targets of shape (2,).",
        ),
        (
            (X[:, :2], Y),
            "have rows of the training rows' shape (4,). Received: rows of shape (2,).",
        ),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused_before_training(test_data, sentence):
    given = {"test_data": test_data, "callbacks": [InterruptAt(1)]}
    whole = f"`search`: `test_data` must {sentence}"
    assert refusal((TypeError, ValueError), **given) == whole


def test_a_test_set_whose_parts_differ_in_rows_is_refused_before_training():
    assert refusal(test_data=(X[:5], Y), callbacks=[InterruptAt(1)]) == (
        "`search`: `test_data[0]` must have as many rows as `test_data[1]`. Received: "
        "len(test_data[0])=5, len(test_data[1])=60."
    )


def test_a_refit_takes_another_way_where_it_is_told_to():
    result = search("regression", SPACE, DATA, trials=1, **SHORT)
    assert refit(result, "regression", DATA).history.speed == {0: "steps"}
    plain = refit(result, "regression", DATA, speed="plain", params=None)
    assert plain.history.speed == {0: "plain"}
    with pytest.raises(TypeError) as error:
        refit(result, "regression", DATA, params=3)
    assert str(error.value) == (
        "`refit`: `params` must be a dict from names to values. Received: params=3."
    )


@pytest.mark.parametrize("apart", [{}, ONE_WORKER], ids=["here", "apart"])
def test_a_builder_that_returns_the_same_model_again_is_refused(starts_at_once, apart):
    model = classifier()
    given = {"space": {"batch_size": [8, 16, 32]}, "data": (X, RARE), **apart}
    assert refusal(builder=lambda: model, **given) == (
        "`search`: `builder` must return a new model each time. Received: one that it had returned "
        "before."
    )


def test_a_builder_that_leaves_python_has_failed_in_this_process_too():
    def leaves(n_neurons=2, input_shape=(4,)):
        if n_neurons > 4:
            sys.exit("enough")
        return regression(n_neurons, input_shape)

    result = search(leaves, {"n_neurons": [2, 8]}, DATA, sampler="grid", pruner=None, **SHORT)
    assert [trial.reason for trial in result.trials] == ["", "SystemExit: enough"]


def test_what_a_record_cannot_keep_has_to_be_given_again():
    data = ktr.load_dataset("digits")
    weights = {n: 1.0 + n for n in range(10)}
    given = {"trials": 1, "class_weight": weights, **SHORT}
    result = search("dense", {"units": [8]}, data, **given)
    with pytest.raises(ValueError, match=r"^`refit`: `class_weight` must be given again"):
        refit(result, "dense", data)
    again = refit(result, "dense", data, class_weight=weights)
    assert again.history.best["val_loss"] == result.best_value


def test_another_builder_on_the_same_storage_is_refused(tmp_path):
    given = {"trials": 1, "storage": tmp_path / "a.db", **SHORT}
    search("regression", {"n_neurons": [2, 4]}, DATA, **given)
    with pytest.raises(ValueError, match=r"the same builder \('regression'\)"):
        search(fails_above_4, {"n_neurons": [2, 4]}, DATA, **given)


def test_an_error_of_a_pruner_ends_the_search_with_that_error():
    import optuna

    class Broken(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            raise RuntimeError("no verdict")

    with pytest.raises(RuntimeError, match=r"^no verdict$"):
        search("regression", SPACE, DATA, pruner=Broken(), **SHORT)


def test_only_a_complete_trial_can_be_trained_again():
    result = search(fails_above_4, {"n_neurons": [2, 8]}, DATA, sampler="grid", **SHORT)
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        refit(result, fails_above_4, DATA, trial=1)
    assert str(error.value) == (
        "`refit`: `trial` must be the number of a complete trial of `result`. Received: trial=1."
    )


def refusal(kind=ValueError, builder="regression", space=SPACE, data=DATA, **arguments):
    with pytest.raises(kind) as error:
        search(builder, space, data, **{**SHORT, "trials": 5, **arguments})
    return str(error.value)


def test_a_builder_that_fails_for_all_values_ends_the_search():
    sentence = refusal(builder=fails_above_4, space={"n_neurons": [8, 16]}, sampler="random")
    assert sentence == (
        "`search`: `builder` must train a model with the parameters in `space`. Received: 5 "
        "trials, which all failed, the first with RuntimeError: too wide for this house."
    )


def test_a_search_of_which_all_trials_have_failed_is_refused_the_second_time_too(tmp_path):
    given = {"builder": fails_above_4, "space": {"n_neurons": [8, 16]}, "trials": 3}
    given |= {"storage": tmp_path / "a.db", "sampler": "random"}
    refusal(**given)
    assert refusal(**given) == (
        "`search`: `storage` must hold a trial that hasn't failed, or else pass another `name`, or "
        "more `trials`. Received: 3 trials, which all failed, the first with RuntimeError: too "
        "wide for this house."
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"batch_size": 0}, "`fit`: `batch_size` must be at least 1. Received: batch_size=0."),
        ({"callbacks": "x"}, "`fit`: `callbacks` must be Keras callbacks. Received: 'x'."),
    ],
)
def test_an_argument_that_is_wrong_for_every_trial_ends_the_search_with_the_first(
    tmp_path, wrong, sentence
):
    given = {"storage": tmp_path / "a.db", "trials": 1}
    assert refusal((TypeError, ValueError), **given, **wrong) == sentence
    assert len(search("regression", SPACE, DATA, **given, **SHORT)) == 1


def test_an_argument_that_is_wrong_for_some_trials_is_theirs():
    given = {"sampler": "grid", "pruner": None, **SHORT}
    result = search("regression", {"batch_size": [0, 16]}, DATA, **given)
    assert [trial.state for trial in result.trials] == ["failed", "complete"]
    assert result.trials[0].reason == (
        "ValueError: `fit`: `batch_size` must be at least 1. Received: batch_size=0."
    )


def test_a_metric_that_does_not_exist_leaves_the_storage_to_the_right_one(tmp_path):
    refusal(storage=tmp_path / "a.db", metric="val_mse2", mode="min")
    given = {"trials": 2, "storage": tmp_path / "a.db", **SHORT}
    result = search("regression", SPACE, DATA, **given)
    assert [trial.number for trial in result.trials] == [0, 1]
    assert told(result) == told(search("regression", SPACE, DATA, trials=2, **SHORT))


def test_a_storage_that_is_lost_in_the_course_is_named(tmp_path):
    import sqlite3

    class Breaks(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            database = sqlite3.connect(tmp_path / "a.db")
            database.execute("drop table trial_user_attributes")
            database.commit()

    sentence = refusal(storage=tmp_path / "a.db", callbacks=[Breaks()])
    assert re.fullmatch(
        r"`search`: `storage` must be one that can be reached\. Received: storage='.*a\.db' "
        r"\(StorageInternalError: .*no such table: trial_user_attributes\)\.",
        sentence,
    )


def test_a_metric_that_does_not_exist_is_named_with_those_that_do():
    sentence = refusal(metric="val_accuracy")
    assert sentence == (
        "`search`: `metric` must be one of 'loss', 'mae', 'mse', 'r2', "
        "'val_loss', 'val_mae', 'val_mse', 'val_r2'. Received: metric='val_accuracy'."
    )


def test_what_is_no_measure_of_a_model_is_no_metric():
    sentence = refusal(metric="seconds", mode="min")
    assert sentence == (
        "`search`: `metric` must be one of 'loss', 'mae', 'mse', 'r2', 'val_loss', 'val_mae', "
        "'val_mse', 'val_r2'. Received: metric='seconds'."
    )


def test_an_unknown_parameter_of_a_function_is_refused_at_once():
    sentence = refusal(space=lambda trial: {"n_neuron": trial.suggest_int("n_neuron", 1, 4)})
    assert sentence.startswith("`search`: `space` must be parameters of the builder (")
    assert sentence.endswith("(did you mean 'n_neurons'?). Received: 'n_neuron'.")


def test_a_storage_with_another_search_is_refused(tmp_path):
    search("regression", SPACE, DATA, trials=1, storage=tmp_path / "a.db", **SHORT)
    sentence = refusal(storage=tmp_path / "a.db", metric="val_mae")
    assert sentence == (
        "`search`: `storage` must hold trials with the same metric ('val_loss') under the name "
        "'search', or else pass another `name`. Received: metric='val_mae'."
    )
    sentence = refusal(storage=tmp_path / "a.db", batch_size=8)
    assert sentence == (
        "`search`: `storage` must hold trials with the same batch_size (None) under the name "
        "'search', or else pass another `name`. Received: batch_size=8."
    )
    sentence = refusal(storage=tmp_path / "a.db", data=(X, 100 * Y))
    assert sentence.startswith("`search`: `storage` must hold trials with the same data ('(60, 4) ")
    sentence = refusal(storage=tmp_path / "a.db", epochs=4)
    assert sentence == (
        "`search`: `storage` must hold trials with the same epochs (3) under the name 'search', or "
        "else pass another `name`. Received: epochs=4."
    )


def test_a_result_goes_to_a_file_and_back(tmp_path):
    result = search("regression", SPACE, DATA, trials=2, **SHORT)
    loaded = SearchResult.load(result.save(tmp_path / "result.json"))
    assert loaded == result
    assert loaded.model is None
    again = refit(tmp_path / "result.json", "regression", DATA)
    assert again.history.best["val_loss"] == result.best_value
