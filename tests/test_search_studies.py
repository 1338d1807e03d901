"""The book of a search: asked, told and read; gone on with, also after a process was killed."""

import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import warnings

import keras
import pytest

optuna = pytest.importorskip("optuna", reason="a search needs the extra `search`")
pytest.importorskip("sklearn", reason="a search needs the extra `search`")
pytest.importorskip("cloudpickle", reason="a search needs the extra `search`")

from small_searches import SPACE, go_on, plan  # noqa: E402

import kerastrain  # noqa: E402
from kerastrain.records import History  # noqa: E402
from kerastrain.search.storages import storage_of  # noqa: E402
from kerastrain.search.studies import opened  # noqa: E402
from kerastrain.search.trials import Outcome  # noqa: E402

TESTS = pathlib.Path(__file__).parent
KINDS = ["db", "journal", "postgres"]
GRID = {"units": [8, 16, 24, 32], "activation": ["relu", "tanh", "elu"]}


def book_of(storage=None, name="search", **parts):
    return opened(storage, name, plan(**parts))


def message(kind, storage, name="search", **parts):
    with pytest.raises(kind) as error, book_of(storage, name, **parts):
        pass
    return str(error.value)


@pytest.fixture(params=KINDS)
def storage(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("postgres")
    return str(tmp_path / f"search.{request.param}")


# Asked and told


def test_a_book_keeps_what_came_of_each_trial(storage):
    history = History(
        {"loss": [0.5, 0.4], "val_loss": [0.6, math.nan], "seconds": [0.1, 0.2]},
        [0, 1],
        monitor="val_loss",
        best_epoch=0,
        seed=7,
    )
    outcomes = [
        Outcome("complete", 0.6, 1.5, histories=[history, history]),
        Outcome("pruned", 0.7, 0.5, "it would hardly win, after 1 epoch", [history]),
        Outcome("failed", math.nan, 0.25, 'ValueError: "a" must be\x00 b, ü, \ud800'),
        Outcome("failed", math.inf, math.nan, ""),
        Outcome("complete", -1e300, 0.0),
    ]
    told = []
    with book_of(storage, seed=5) as book:
        for outcome in outcomes:
            trial = book.ask()
            told.append(plan().space.params(trial))
            book.tell(trial, outcome, params=told[-1])
        at_once = book.trials
    with book_of(storage, seed=5) as book:
        kept = book.trials
    assert repr(kept) == repr(at_once)
    assert [trial.params for trial in kept] == told
    assert [(trial.number, trial.state, trial.reason) for trial in kept] == [
        (number, outcome.state, outcome.reason) for number, outcome in enumerate(outcomes)
    ]
    figures = [figure for trial in kept for figure in (trial.value, trial.seconds)]
    wanted = [figure for outcome in outcomes for figure in (outcome.value, outcome.seconds)]
    assert figures == pytest.approx(wanted, abs=0, rel=0, nan_ok=True)
    assert {trial.seed for trial in kept} == {5}
    assert repr(kept[0].histories) == repr([history, history])
    assert kept[0].histories[1].history["val_loss"] == pytest.approx([0.6, math.nan], nan_ok=True)
    assert kept[1].histories[0].history["loss"] == [0.5, 0.4]


def test_long_curves_are_kept_to_the_last_digit(storage):
    epochs = 5000
    columns = {f"metric_{n}": [math.sin(n + epoch) for epoch in range(epochs)] for n in range(6)}
    history = History(columns, list(range(epochs)))
    with book_of(storage) as book:
        for _ in range(3):
            trial = book.ask()
            book.tell(trial, Outcome("complete", 0.5, 1.0, "", [history]), params={})
    with book_of(storage) as book:
        assert [trial.histories[0].history for trial in book.trials] == [columns] * 3


def test_layers_and_functions_come_back_as_they_are(storage):
    def space():
        layers = [keras.layers.Dropout(0.25), keras.layers.Dropout(0.5)]
        return {"a_layer": [None, *layers], "activation": [math.sin, math.cos], "units": [4, 7]}

    before = space()
    with book_of(storage, space=before, sampler="grid", trials=None) as book:
        for number in range(12):
            trial = book.ask()
            params = plan(space=before).space.params(trial)
            book.tell(trial, Outcome("complete", float(number), 0.1), params=params)
    after = space()
    with book_of(storage, space=after, sampler="grid", trials=None) as book:
        assert [trial.params for trial in book.trials] == [
            {"a_layer": layer, "activation": function, "units": units}
            for layer in after["a_layer"]
            for function in after["activation"]
            for units in after["units"]
        ]


def test_a_function_says_which_parameters_a_record_has(tmp_path):
    def space(trial):
        layers = trial.suggest_int("layers", 1, 3)
        widths = [trial.suggest_int(f"units_{n}", 8, 64) for n in range(layers)]
        return {"units": tuple(widths), "batch_size": 2 ** trial.suggest_int("power", 3, 6)}

    with book_of(tmp_path / "a.db", space=space) as book:
        told = []
        for _ in range(5):
            trial = book.ask()
            told.append(plan(space=space).space.params(trial))
            book.tell(trial, Outcome("complete", 0.5, 0.1), params=told[-1])
    with book_of(tmp_path / "a.db", space=space) as book:
        assert [trial.params for trial in book.trials] == told
    with book_of(tmp_path / "a.db", space=lambda trial: 1 / 0) as book:  # What was kept as text.
        as_text = [{**params, "units": list(params["units"])} for params in told]
        assert [trial.params for trial in book.trials] == as_text


def test_a_range_may_grow_and_what_was_tried_stays(tmp_path):
    with book_of(tmp_path / "a.db", space={"units": [8, 16, 24]}) as book:
        trial = book.ask()
        params = plan(space={"units": [8, 16, 24]}).space.params(trial)
        book.tell(trial, Outcome("complete", 0.5, 0.1), params=params)
    with book_of(tmp_path / "a.db", space={"units": range(8, 129, 8)}) as book:
        assert [trial.params for trial in book.trials] == [params]
        assert plan(space={"units": range(8, 129, 8)}).space.params(book.ask())["units"] % 8 == 0


def test_trials_that_began_are_counted_whatever_came_of_them():
    with book_of() as book:
        assert book.begun == 0
        first, second, third = (book.ask() for _ in range(3))
        assert book.begun == 3
        book.tell(first, Outcome("failed", math.nan, 0.1), params={})
        book.tell(second, Outcome("pruned", 0.5, 0.1), params={})
        assert book.begun == 3
        assert [trial.number for trial in book.trials] == [0, 1]
        book.tell(third, Outcome("complete", 0.5, 0.1), params={})
        assert (book.begun, len(book.trials)) == (3, 3)


def test_a_grid_is_gone_through_over_several_openings(tmp_path):
    found = []
    for count in (5, 1, 6):
        with book_of(tmp_path / "a.db", space=GRID, sampler="grid", trials=None) as book:
            for _ in range(count):
                trial = book.ask()
                params = plan(space=GRID).space.params(trial)
                book.tell(trial, Outcome("complete", 0.5, 0.1), params=params)
                found.append(params)
    space = plan(space=GRID).space
    assert found == [space.combination(number) for number in range(12)]


# Seeds and marks


def test_the_seed_is_the_searchs_or_a_new_one_that_stays(tmp_path):
    with book_of(tmp_path / "a.db", seed=3) as book:
        assert book.seed == 3
    with book_of(tmp_path / "a.db", seed=None) as book:
        assert book.seed == 3
    with book_of(tmp_path / "b.db", seed=None) as book:
        new = book.seed
    with book_of(tmp_path / "b.db", seed=None) as book:
        assert book.seed == new
    assert 0 <= new < 2**31


def marks(**parts):
    given = {"metric": "val_loss", "seed": 1, "folds": 3} | parts
    return {**given, "arguments": {"epochs": 9}}


@pytest.mark.parametrize(
    "other, what, kept, shown",
    [
        (marks(metric="val_mae"), "metric", "'val_loss'", "'val_mae'"),
        (marks(mode="max"), "mode", "'min'", "'max'"),
        (marks(seed=2), "seed", "1", "2"),
        (marks(folds=5), "folds", "3", "5"),
        (marks(folds=None), "folds", "3", "None"),
        (
            marks(space={"units": [8, 16]}),
            "space",
            "['activation', 'learning_rate', 'units']",
            "['units']",
        ),
        (
            marks(space=lambda trial: {}),
            "space",
            "['activation', 'learning_rate', 'units']",
            "'a function'",
        ),
    ],
)
def test_trials_of_another_search_are_refused(tmp_path, other, what, kept, shown):
    with book_of(tmp_path / "a.journal", **marks()) as book:
        book.tell(book.ask(), Outcome("failed", math.nan, 0.1), params={})
    assert message(ValueError, tmp_path / "a.journal", **other) == (
        f"`search`: `storage` must hold trials with the same {what} ({kept}) under the name "
        f"'search', or else pass another `name`. Received: {what}={shown}."
    )


@pytest.mark.parametrize("both", [0, 1])
def test_what_only_one_of_two_searches_was_told_is_compared_too(tmp_path, both):
    """Whichever of them came first."""
    arguments = [{"epochs": 9, "batch_size": 8}, {"epochs": 9}]
    with book_of(tmp_path / "a.db", arguments=arguments[both]) as book:
        book.tell(book.ask(), Outcome("complete", 0.5, 0.1), params={})
    kept, shown = (8, None) if both == 0 else (None, 8)
    assert message(ValueError, tmp_path / "a.db", arguments=arguments[1 - both]) == (
        f"`search`: `storage` must hold trials with the same batch_size ({kept}) under the name "
        f"'search', or else pass another `name`. Received: batch_size={shown}."
    )


def test_other_splits_of_one_kind_are_told_apart(tmp_path):
    from sklearn.model_selection import TimeSeriesSplit

    with book_of(tmp_path / "a.db", folds=TimeSeriesSplit(3)) as book:
        book.tell(book.ask(), Outcome("complete", 0.5, 0.1), params={})
    with book_of(tmp_path / "a.db", folds=TimeSeriesSplit(3)) as book:
        assert len(book.trials) == 1
    assert "the same folds ('TimeSeriesSplit(" in message(
        ValueError, tmp_path / "a.db", folds=TimeSeriesSplit(5)
    )


def test_a_search_in_which_nothing_has_ended_makes_room_for_another(storage):
    with book_of(storage, metric="val_mea", mode="max") as book:
        book.ask().suggest_int("units", 1, 9)
    with book_of(storage) as book:
        assert (book.begun, book.trials) == (0, [])
        found = go_on(book, plan().space, 2)
    with book_of() as book:
        assert go_on(book, plan().space, 2) == found


def test_a_search_that_goes_on_elsewhere_makes_no_room(storage):
    with book_of(storage, metric="val_mae") as book:
        book.ask()
        assert message(ValueError, storage) == (
            "`search`: `storage` must hold trials with the same metric ('val_mae') under the name "
            "'search', or else pass another `name`. Received: metric='val_loss'."
        )


def test_another_name_is_another_search(storage):
    with book_of(storage, "first") as book:
        go_on(book, plan().space, 2)
    with book_of(storage, "second", mode="max", seed=2) as book:
        assert (book.trials, book.begun) == ([], 0)
    with book_of(storage, "first") as book:
        assert len(book.trials) == 2


@pytest.mark.parametrize("name, shown", [("", "''"), (None, "None"), (3, "3")])
def test_a_name_that_is_none_is_refused(name, shown):
    assert message(TypeError, None, name) == (
        f"`search`: `name` must be a string that isn't empty. Received: name={shown}."
    )


def test_a_study_of_somebody_elses_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr("kerastrain.search.studies._PAUSES", (0.0,))
    study = optuna.create_study(storage=storage_of(tmp_path / "a.db"), study_name="search")
    study.add_trial(optuna.create_trial(value=0.0))
    study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.FAIL))
    with book_of(tmp_path / "a.db") as book:
        # Its trials teach the sampler, and count for nothing else.
        assert (book.begun, book.trials, book.seed) == (0, [], 1)
        assert [number for number, _ in go_on(book, plan().space, 2)] == [2, 3]
        assert [trial.number for trial in book.trials] == [2, 3]


@pytest.mark.parametrize(
    "directions, found",
    [(["maximize"], "maximize"), (["minimize", "maximize"], "minimize and maximize")],
)
def test_a_study_in_another_direction_is_refused(tmp_path, monkeypatch, directions, found):
    monkeypatch.setattr("kerastrain.search.studies._PAUSES", (0.0,))
    optuna.create_study(
        storage=storage_of(tmp_path / "a.db"), study_name="search", directions=directions
    )
    assert message(ValueError, tmp_path / "a.db") == (
        "`search`: `storage` must hold a study to minimize under the name 'search', or else pass "
        f"another `name`. Received: a study to {found}."
    )


# What it leaves behind


def test_optuna_is_quiet_meanwhile_and_speaks_again_afterwards(tmp_path, capsys):
    verbosity, filters = optuna.logging.get_verbosity(), list(warnings.filters)
    for error in (None, KeyboardInterrupt, ZeroDivisionError):
        calm = contextlib.suppress(KeyboardInterrupt, ZeroDivisionError)
        with calm, book_of(tmp_path / "a.db") as book:
            go_on(book, plan().space, 1)
            trial = book.ask()
            trial.report(0.5, 1)
            trial.report(0.5, 1)  # Of which Optuna warns.
            if error:
                raise error
        assert optuna.logging.get_verbosity() == verbosity
        assert warnings.filters == filters
    message(ValueError, tmp_path / "a.db", seed=2)
    message(ValueError, tmp_path)
    assert optuna.logging.get_verbosity() == verbosity
    assert warnings.filters == filters
    assert capsys.readouterr() == ("", "")


def test_a_trial_that_was_left_open_is_taken_up_again(storage):
    with book_of(storage) as book:
        go_on(book, plan().space, 2)
        left = book.ask()
        units = left.suggest_int("units", 8, 32, step=8)
        assert book.begun == 3
    with book_of(storage) as book:
        assert book.begun == 2
        again = book.ask()
        assert (again.number, book.begun) == (2, 3)
        params = plan().space.params(again)
        assert params["units"] == units
        book.tell(again, Outcome("complete", 0.5, 0.1), params=params)
        found = [(trial.number, trial.params) for trial in book.trials]
    with book_of() as book:
        assert go_on(book, plan().space, 3) == found


def test_two_searches_in_one_process_leave_each_other_alone(storage):
    with book_of(storage) as one, book_of(storage) as other:
        first, second = one.ask(), other.ask()
        assert (first.number, second.number) == (0, 1)
        assert one.begun == other.begun == 2
        other.tell(second, Outcome("complete", 0.5, 0.1), params={})
        assert [trial.number for trial in one.trials] == [1]


def test_of_two_that_take_up_a_trial_at_the_same_moment_neither_has_it(tmp_path):
    with book_of(tmp_path / "a.db") as book:
        book.ask()
    with book_of(tmp_path / "a.db") as one, book_of(tmp_path / "a.db") as other:
        trials = [optuna.trial.Trial(book._study, 1) for book in (one, other)]
        trials[1].set_user_attr(other._mark, True)
        assert not one._takes_over(trials[0])
        trials[1].set_user_attr(other._mark, False)
        assert one.ask().number == 0
        assert not other._takes_over(trials[1])
        assert other.ask().number == 1


# Importance


def told(space, value_of, count, *, state="complete"):
    """The importance of parameters after so many trials."""
    with book_of(space=space, sampler="random") as book:
        for _ in range(count):
            trial = book.ask()
            params = plan(space=space).space.params(trial)
            book.tell(trial, Outcome(state, value_of(params), 0.1), params=params)
        return book.importance()


def test_the_parameter_that_decides_has_the_largest_share():
    found = told(SPACE, lambda params: math.log10(params["learning_rate"]) ** 2, 40)
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.8
    assert all(type(share) is float for share in found.values())


@pytest.mark.parametrize(
    "value_of, count, state",
    [
        (lambda params: params["units"], 3, "complete"),
        (lambda params: 0.5, 10, "complete"),
        (lambda params: params["units"], 10, "pruned"),
        (lambda params: params["units"], 0, "complete"),
    ],
)
def test_too_few_trials_or_equal_ones_tell_nothing(value_of, count, state):
    assert told(SPACE, value_of, count, state=state) == {}


def test_a_parameter_with_one_value_has_no_share():
    found = told({"units": range(1, 65), "activation": ["relu"]}, lambda p: p["units"], 10)
    assert found["units"] == 1
    assert found.get("activation", 0) == 0
    calls = iter(range(10))
    assert set(told({"activation": ["relu"]}, lambda p: next(calls), 10).values()) <= {0.0, 1.0}


def test_parameters_that_not_all_trials_have_have_no_share():
    def space(trial):
        if trial.suggest_categorical("kind", ["a", "b"]) == "a":
            return {"units": trial.suggest_int("wide", 8, 64)}
        return {"units": trial.suggest_int("narrow", 1, 8)}

    assert list(told(space, lambda params: params["units"], 20)) == ["kind"]


def test_trials_that_are_alike_in_what_all_of_them_have_tell_nothing():
    """Optuna's evaluator raises of these: their values differ, and nothing that it knows does."""
    space = {"units": [8, 9]}
    with book_of(space=space, sampler="random") as book:
        for number in range(20):
            trial = book.ask()
            params = plan(space=space).space.params(trial)
            state = "complete" if params["units"] == 8 else "failed"
            book.tell(trial, Outcome(state, float(number), 0.1), params=params)
        assert sum(trial.state == "complete" for trial in book.trials) >= 4
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=1)
        with pytest.raises(RuntimeError, match="zero total variance"):
            optuna.importance.get_param_importances(book._study, evaluator=evaluator)
        assert book.importance() == {}


def test_trials_that_have_no_parameter_in_common_tell_nothing():
    flips = iter([True, False] * 20)

    def space(trial):
        name = "a" if next(flips) else "b"
        return {"units": trial.suggest_int(name, 8, 64)}

    assert told(space, lambda params: params["units"], 10) == {}


# Several processes

ASKS_AND_WAITS = """
import sys, time, json, contextlib
from small_searches import go_on, plan
from kerastrain.search.studies import opened

with contextlib.ExitStack() as stack:
    for storage in sys.argv[1:]:
        book = stack.enter_context(opened(storage, "search", plan()))
        before = go_on(book, plan().space, 1)
        trial = book.ask()
        trial.suggest_int("units", 8, 32, step=8)
        print(json.dumps([before[0][0], trial.number, trial.params]), flush=True)
    time.sleep(600)
"""

SHARES_A_GRID = """
import sys, pathlib, time, json
from small_searches import plan
from kerastrain.search.studies import opened
from kerastrain.search.trials import Outcome

folder, me, *storages = sys.argv[1:]
grid = {"units": [8, 16, 24, 32], "activation": ["relu", "tanh", "elu"]}
for number, storage in enumerate(storages):
    (pathlib.Path(folder) / f"{me}-{number}").touch()
    while len(list(pathlib.Path(folder).glob(f"*-{number}"))) < 2:
        time.sleep(0.001)
    made = plan(space=grid, sampler="grid", trials=None, seed=None)
    with opened(storage, "search", made) as book:
        mine = []
        while (trial := book.ask()) is not None:
            params = made.space.params(trial)
            time.sleep(0.01)
            book.tell(trial, Outcome("complete", 0.5, 0.1), params=params)
            mine.append(trial.number)
        print(json.dumps([book.seed, mine]), flush=True)
"""


def started(popen, script, *arguments):
    paths = [TESTS, pathlib.Path(kerastrain.__file__).parents[1]]
    return popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
    )


def addresses(request, folder):
    """A new storage of each kind that there is here."""
    found = {kind: str(folder / f"search.{kind}") for kind in ("db", "journal")}
    with contextlib.suppress(pytest.skip.Exception):
        found["postgres"] = request.getfixturevalue("postgres_server")()
    return found


def one_of(found, kind):
    if kind not in found:
        pytest.skip("PostgreSQL or psycopg2 is not installed")
    return found[kind]


@pytest.fixture(scope="module")
def killed(request, nursery, tmp_path_factory):
    """Storages in each of which a process that was killed has left a trial that ran.

    With each, what it asked for, and what another process saw while it was alive.
    """
    places = addresses(request, tmp_path_factory.mktemp("killed"))
    process = started(nursery, ASKS_AND_WAITS, *places.values())
    seen = {}
    for kind, place in places.items():
        line = process.stdout.readline()
        assert line, process.stderr.read()
        with book_of(place) as book:
            seen[kind] = place, json.loads(line), (book.begun, book.ask().number)
    process.kill()
    process.communicate()
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_of_a_process_that_runs_is_left_to_it(killed, kind):
    _, (done, running, _), while_alive = one_of(killed, kind)
    assert (done, running) == (0, 1)
    assert while_alive == (2, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_of_a_process_that_was_killed_is_taken_up_as_if_nothing_had_happened(killed, kind):
    place, (_, _, suggested), _ = one_of(killed, kind)
    with book_of(place) as book:
        assert book.begun == 1
        found = go_on(book, plan().space, 4)
        assert [number for number, _ in found] == [1, 2, 3, 4]
        assert found[0][1]["units"] == suggested["units"]
        assert [trial.number for trial in book.trials] == [0, 1, 2, 3, 4]
        kept = [trial.params for trial in book.trials]
    with book_of() as book:
        without_a_break = [params for _, params in go_on(book, plan().space, 5)]
    assert kept == without_a_break


@pytest.fixture(scope="module")
def shared(request, nursery, tmp_path_factory):
    """Storages in which two processes that began together went through a grid.

    With each, what either had for a seed and which trials it made.
    """
    folder = tmp_path_factory.mktemp("shared")
    places = addresses(request, folder)
    commands = [(SHARES_A_GRID, str(folder), me, *places.values()) for me in ("a", "b")]
    processes = [started(nursery, *command) for command in commands]
    try:
        answers = [process.communicate(timeout=100) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for _, errors in answers:
        assert "Traceback" not in errors, errors
    lines = [map(json.loads, printed.splitlines()) for printed, _ in answers]
    found = zip(*lines, strict=True)
    return {kind: (place, *next(found)) for kind, place in places.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_go_through_a_grid_together(shared, kind):
    place, (seed, first), (other_seed, second) = one_of(shared, kind)
    assert seed == other_seed
    assert first
    assert second
    assert set(first).isdisjoint(second)
    assert sorted(first + second) == list(range(12))
    with book_of(place, space=GRID, sampler="grid", trials=None, seed=None) as book:
        combinations = [plan(space=GRID).space.combination(number) for number in range(12)]
        assert [trial.params for trial in book.trials][:12] == combinations
        assert {trial.seed for trial in book.trials} == {seed}
