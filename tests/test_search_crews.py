"""Trials in processes of their own: what comes back, what goes wrong in one, what is left."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import keras
import numpy as np
import pytest
import search_data
from search_data import DATA, SHORT, SPACE, InterruptAt, X, told

import kerastrain as ktr
from kerastrain import models

pytest.importorskip("optuna", reason='needs optuna: pip install "kerastrain[search]"')

from kerastrain.search import crews, refit, search
from kerastrain.search.crews import Limits, Task, Workers
from kerastrain.search.parameters import Routed
from kerastrain.search.trials import Recipe

APART = {"sampler": "grid", "pruner": None, **SHORT}
WIDTHS = {"n_neurons": [2, 8, 4]}
ONE_WORKER = {"trial_timeout": 300}


@pytest.fixture
def from_scratch():
    """Says that the workers of a test start as a user's do, which takes some seconds each."""


@pytest.fixture(autouse=True)
def started(request, nursery, monkeypatch):
    """The worker processes that were started, in their order."""
    processes = []
    popen = subprocess.Popen
    start = popen if "from_scratch" in request.fixturenames else nursery

    def noted(command, *arguments, **named):
        if "kerastrain.search.worker" not in command:
            return popen(command, *arguments, **named)
        processes.append(start(command, *arguments, **named))
        return processes[-1]

    monkeypatch.setattr(crews.subprocess, "Popen", noted)
    return processes


def test_workers_find_what_one_process_finds_to_the_bit_and_live_on_between_trials(
    from_scratch, started
):
    given = {"trials": 6, "sampler": "random", "pruner": None, **SHORT}
    alone = search("regression", SPACE, DATA, **given)
    together = search("regression", SPACE, DATA, jobs=2, **given)
    assert told(together) == told(alone)
    np.testing.assert_array_equal(together.model.predict(X), alone.model.predict(X))
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_a_worker_prunes_and_folds_as_one_process_does():
    given = {"trials": 6, "sampler": "random", "pruner": "halving", "folds": 2, **SHORT}
    space = {"learning_rate": [1e-7, 0.03]}
    alone = search("regression", space, DATA, **given)
    apart = search("regression", space, DATA, **ONE_WORKER, **given)
    assert told(apart) == told(alone)
    assert {trial.state for trial in alone.trials} == {"complete", "pruned"}
    np.testing.assert_array_equal(apart.model.predict(X), alone.model.predict(X))


def test_builders_and_callbacks_of_a_notebook_travel_to_the_workers():
    width = 3

    def mine(n_neurons=2, input_shape=(4,)):
        return ktr.build("regression", n_neurons=width * n_neurons, input_shape=input_shape)

    space = {"n_neurons": [1, 2]}
    result = search(mine, space, DATA, **ONE_WORKER, callbacks=[InterruptAt(999)], **APART)
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    assert result.model.count_params() == 3 * result.best_params["n_neurons"] * 6 + 1


def test_a_trial_that_crashes_its_process_has_failed_and_the_search_goes_on(started):
    result = search(search_data.crashes_above_4, WIDTHS, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].reason == "its process died (exit code 7)"
    assert len(started) == 2


def test_a_trial_that_hangs_has_failed_after_its_time():
    result = search(search_data.hangs_above_4, WIDTHS, DATA, trial_timeout=8, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].reason == "it took longer than 8 s"


def test_a_trial_that_takes_too_much_memory_has_failed():
    limit = _held_after_a_trial() + 250
    result = search(search_data.hoards_above_4, WIDTHS, DATA, trial_megabytes=limit, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    reason = result.trials[1].reason
    assert reason.startswith("its process held ")
    assert reason.endswith(f" MB, more than {limit:,g} MB")


def _held_after_a_trial():
    """Returns the memory of a worker that has trained, in MB."""
    recipe = Recipe(
        "regression", DATA, "val_loss", "min", None, {"epochs": 3, "validation_split": 0.2}
    )
    workers = Workers(recipe, 1, Limits(), threads=1)
    try:
        workers.start(Task(0, Routed({}, {}), 1, lambda *_: "", None))
        while workers.next_outcome() is None:
            pass
        return crews._megabytes(workers._workers[0]._process.pid)
    finally:
        workers.close()


@pytest.mark.slow  # It starts a process or two, six seconds each.
def test_a_worker_that_has_grown_fat_is_replaced(started, monkeypatch):
    monkeypatch.setattr(crews, "_GROWTH", 1)
    result = search("regression", {"n_neurons": [2, 4]}, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete"] * 2
    assert len(started) == 2


def test_ctrl_c_ends_the_workers_and_returns_what_there_is(started, monkeypatch):
    ended = []
    whole = Workers.next_outcome

    def pressed(self):
        if ended:
            raise KeyboardInterrupt
        outcome = whole(self)
        ended.extend([outcome] if outcome else [])
        return outcome

    monkeypatch.setattr(Workers, "next_outcome", pressed)
    result = search("regression", WIDTHS, DATA, jobs=2, **APART)
    assert (result.stop_reason, len(result)) == ("interrupted", 1)
    assert result.model.predict(X, verbose=0).shape == (60, 1)
    assert all(process.poll() is not None for process in started)


def test_the_workers_end_with_their_parent(from_scratch):
    recipe = Recipe("regression", DATA, "val_loss", "min", None, {"epochs": 3})
    workers = Workers(recipe, 1, Limits(), threads=1)
    process = workers._workers[0]._process
    assert workers._workers[0].line.poll(120)  # It has started.
    process.stdin.close()  # As the system does where the parent is killed.
    assert process.wait(timeout=60) == 1
    workers.close()


def test_an_argument_that_no_trial_can_do_with_ends_the_search_in_workers_too():
    with pytest.raises(ValueError, match=r"^`search`: `metric` must be one of 'loss', 'mae', "):
        search("regression", WIDTHS, DATA, metric="val_f1", **ONE_WORKER, **APART)


def test_what_a_worker_died_of_is_told_by_its_signal():
    recipe = Recipe("regression", DATA, "val_loss", "min", None, {"epochs": 500_000})
    workers = Workers(recipe, 1, Limits(), threads=1)
    try:
        workers.start(Task(3, Routed({}, {"speed": "steps"}), 1, lambda *_: "", None))
        time.sleep(0.5)
        workers._workers[0]._process.send_signal(signal.SIGKILL)
        outcome = None
        while outcome is None:
            outcome = workers.next_outcome()
        assert outcome[0] == 3
        assert outcome[1].reason.startswith("its process died (signal SIGKILL)")
    finally:
        workers.close()


# What a worker has to know of its parent.


def wide(n_neurons=2, input_shape=(4,)):
    return ktr.build("regression", n_neurons=3 * n_neurons, input_shape=input_shape)


def test_a_registered_name_and_keras_own_settings_reach_the_workers(monkeypatch):
    monkeypatch.setitem(models._builders, "wide", wide)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        space = {"n_neurons": [2, 4]}
        alone, apart = (search("wide", space, DATA, **APART, **one) for one in ({}, ONE_WORKER))
    finally:
        keras.config.set_dtype_policy("float32")
    assert told(apart) == told(alone)
    assert apart.model.dtype_policy.name == "mixed_bfloat16"


ROWS = np.random.default_rng(0).normal(size=(160, 8192)).astype("float32")
LARGE = (ROWS, ROWS[:, :30].sum(axis=1))
"""Rows so long that the sums of their products hang on the number of threads."""

COMPILED = {"epochs": 1, "seed": 3, "verbose": 0, "batch_size": 32, "speed": "compiled"}


def large(n_neurons=256, input_shape=(8192,)):
    return ktr.build("regression", n_neurons=n_neurons, n_hidden=1, input_shape=input_shape)


@pytest.fixture(scope="module")
def of_each_threads(tmp_path_factory):
    """A storage in which three trials that are the same had other threads each; the last result."""
    path = tmp_path_factory.mktemp("threads") / "trials.db"
    given = {**COMPILED, "pruner": None, "sampler": "random", "storage": path}
    space = {"n_neurons": [256]}
    search(large, space, LARGE, trials=1, **given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crews, "_cores", lambda: 1)
        search(large, space, LARGE, trials=2, **ONE_WORKER, **given)
        patch.setattr(crews, "_cores", lambda: 3)
        return search(large, space, LARGE, trials=3, **ONE_WORKER, **given)


def test_a_trial_knows_how_many_threads_it_had_whatever_the_others_had(of_each_threads):
    assert [trial.threads for trial in of_each_threads.trials] == [None, 1, 3]


def test_the_bits_of_large_products_hang_on_the_threads(of_each_threads):
    """Or the next test couldn't fail."""
    assert len({trial.value for trial in of_each_threads.trials}) > 1


@pytest.mark.parametrize("number", [0, 1, 2])
def test_large_products_are_refit_with_the_threads_that_they_had(of_each_threads, number):
    again = refit(of_each_threads, large, LARGE, trial=number)
    assert again.history.best["val_loss"] == of_each_threads.trials[number].value


def test_a_registered_name_is_refit_in_a_process_too(of_each_threads, monkeypatch, started):
    monkeypatch.setitem(models._builders, "large", large)
    again = refit(of_each_threads, "large", LARGE, trial=1)
    assert again.history.best["val_loss"] == of_each_threads.trials[1].value
    assert len(started) == 1


def test_a_refit_that_fails_in_its_process_says_why(of_each_threads):
    def fails(n_neurons=256, input_shape=(8192,)):
        raise RuntimeError("too wide\nfor this house")

    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        refit(of_each_threads, fails, LARGE, trial=1)
    assert str(error.value) == (
        "`refit`: `builder` must train again in a process of its own, as it did in the search. "
        "Received: RuntimeError: too wide for this house."
    )


def test_a_trial_has_its_share_of_the_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(5)), raising=False)
    assert crews.threads_of(2, Limits()) == 2
    assert crews.threads_of(1, Limits(seconds=1.0)) == 5
    assert crews.threads_of(9, Limits()) == 1
    assert crews.threads_of(1, Limits()) is None


def test_a_model_that_cannot_travel_is_trained_where_it_is_wanted():
    def local(n_neurons=2, input_shape=(4,)):
        class Mine(keras.layers.Dense):
            pass

        layers = [keras.Input(input_shape), Mine(n_neurons), keras.layers.Dense(1)]
        return keras.Sequential(layers)

    result = search(local, {"n_neurons": [2, 4]}, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    assert result.model.predict(X, verbose=0).shape == (60, 1)


def test_what_cannot_be_sent_to_a_process_is_refused():
    lock = threading.Lock()

    def locked(n_neurons=2, input_shape=(4,)):
        with lock:
            return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)

    must = "be what can be sent to a process, and so must data and arguments"
    with pytest.raises(ValueError, match=rf"^`search`: `builder` must {must}\. Received: .*lock"):
        search(locked, WIDTHS, DATA, jobs=2, **APART)


def test_failures_beside_a_trial_that_does_well_do_not_end_the_search(monkeypatch):
    space = {"n_neurons": [2, 8, 10, 12, 14, 16]}
    given = APART | {"epochs": 60}
    result = search(search_data.fails_above_4, space, DATA, jobs=2, **given)
    assert [trial.state for trial in result.trials] == ["complete"] + 5 * ["failed"]


def test_a_builder_that_asks_for_input_is_told_that_there_is_none():
    def asks(n_neurons=2, input_shape=(4,)):
        if n_neurons > 4:
            input("How many? ")
        return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)

    result = search(asks, WIDTHS, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].reason.startswith("EOFError")


def test_killed_workers_leave_nothing_behind(from_scratch, started, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    recipe = Recipe("regression", DATA, "val_loss", "min", None, {"epochs": 3})
    opened = len(os.listdir("/proc/self/fd"))
    workers = Workers(recipe, 2, Limits(), threads=1)
    assert len(os.listdir("/proc/self/fd")) > opened
    workers.close()
    assert len(os.listdir("/proc/self/fd")) == opened
    assert list(tmp_path.iterdir()) == []
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


# What must not keep it waiting.


@pytest.mark.parametrize("apart", [{}, ONE_WORKER], ids=["here", "apart"])
def test_an_error_of_a_pruner_that_looks_like_a_lost_line_ends_the_search(apart):
    import optuna

    class Full(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match=r"^no space left on device$"):
        search("regression", WIDTHS, DATA, **apart, **APART | {"pruner": Full()})


@pytest.mark.slow  # It starts a process or two, six seconds each.
def test_what_python_prints_as_it_starts_is_not_taken_for_an_answer(
    from_scratch, tmp_path, monkeypatch
):
    greets = "import sys; print('Welcome to the cluster!'); print('Bye!', file=sys.stderr)"
    (tmp_path / "sitecustomize.py").write_text(greets, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    result = search("regression", WIDTHS, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete"] * 3


@pytest.mark.slow  # It starts a process or two, six seconds each.
def test_a_long_temporary_folder_and_modules_beside_the_user_are_no_trouble(
    from_scratch, tmp_path, monkeypatch
):
    folder = tmp_path / ("a_folder_of_a_cluster_named_after_its_job_" * 4)
    folder.mkdir()
    (folder / "secrets.py").write_text("raise ImportError('not that one')", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    result = search("regression", WIDTHS, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete"] * 3


@pytest.mark.slow  # It starts a process or two, six seconds each.
def test_a_crash_is_noticed_while_a_process_of_the_trials_own_lives_on():
    def forks_above_4(n_neurons=2, input_shape=(4,)):
        if n_neurons > 4:
            if os.fork() == 0:
                time.sleep(600)
            os._exit(7)
        return ktr.build("regression", n_neurons=n_neurons, input_shape=input_shape)

    result = search(forks_above_4, WIDTHS, DATA, **ONE_WORKER, **APART)
    assert [trial.state for trial in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].reason == "its process died (exit code 7)"


class Unreadable:
    """What can be sent to a process, which then can't read it."""

    def __reduce__(self):
        return open, ("/nonexistent/file",)


def test_what_a_process_cannot_read_ends_the_search():
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        search(
            "regression",
            WIDTHS,
            DATA,
            **ONE_WORKER,
            callbacks=[],
            params={"outputs": Unreadable()},
            **APART,
        )
    assert str(error.value) == (
        "`search`: `builder` must be what a process can read when it is sent, and so must data and "
        "arguments. Received: FileNotFoundError: [Errno 2] No such file or directory: "
        "'/nonexistent/file'."
    )
