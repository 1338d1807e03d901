"""Who suggests parameters and who gives up trials, told by name, and seeded trial by trial."""

import math
import sys

import pytest

optuna = pytest.importorskip("optuna", reason="a search needs the extra `search`")
stats = pytest.importorskip("scipy.stats", reason="a search needs the extra `search`")

from kerastrain.search.samplers import (  # noqa: E402
    PRUNERS,
    SAMPLERS,
    Judge,
    judge_of,
    sampler_checked,
    sampler_of,
)
from kerastrain.search.spaces import space_of  # noqa: E402
from kerastrain.search.storages import storage_of  # noqa: E402

SPACE = space_of(
    {
        "units": [8, 16, 24, 32],
        "rate": stats.loguniform(1e-4, 1e-1),
        "drop": stats.norm(0.3, 0.1),
        "activation": ["relu", "tanh"],
    }
)


def value_of(params):
    bowl = (math.log10(params["rate"]) + 2) ** 2 + params["units"] / 32 + params["drop"]
    return bowl + (params["activation"] == "tanh")


def study_of(sampler, *, storage=None, seed=1, space=SPACE, pruner=None):
    study = optuna.create_study(
        storage=storage_of(storage), study_name="study", load_if_exists=True, pruner=pruner
    )
    study.sampler = sampler_of(sampler, seed=seed, space=space)
    return study


def suggested(study, count, space=SPACE):
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append(space.params(trial))
        study.tell(trial, value_of(found[-1]) if space is SPACE else 0.0)
    return found


@pytest.fixture(autouse=True)
def quiet():
    """Optuna says nothing, as in a search."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(verbosity)


# Who suggests


@pytest.mark.parametrize("name", ["tpe", "random", "grid", "gp", "cmaes"])
def test_a_sampler_is_told_by_its_name(name):
    if name == "gp":
        pytest.importorskip("torch", reason="a Gaussian process needs the extra `gp`")
    assert name in SAMPLERS
    assert sampler_checked(name) == name
    assert isinstance(sampler_of(name, seed=1, space=SPACE), optuna.samplers.BaseSampler)


def test_a_sampler_of_optunas_is_taken_as_it_is():
    sampler = optuna.samplers.RandomSampler(seed=1)
    assert sampler_checked(sampler) is sampler
    assert sampler_of(sampler, seed=2, space=SPACE) is sampler


@pytest.mark.parametrize(
    "given, kind, hint, shown",
    [
        ("tpee", ValueError, " (did you mean 'tpe'?)", "'tpee'"),
        ("evolution", ValueError, "", "'evolution'"),
        (None, TypeError, "", "None"),
        (3, TypeError, "", "3"),
    ],
)
def test_another_sampler_is_refused(given, kind, hint, shown):
    with pytest.raises(kind) as error:
        sampler_checked(given)
    assert str(error.value) == (
        "`search`: `sampler` must be one of 'tpe', 'random', 'grid', 'gp', 'cmaes'"
        f"{hint}. Received: sampler={shown}."
    )


@pytest.mark.parametrize(
    "name, package, extra", [("gp", "torch", "gp"), ("cmaes", "cmaes", "search")]
)
def test_a_sampler_whose_package_is_missing_says_how_to_install_it(
    monkeypatch, name, package, extra
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as error:
        sampler_checked(name)
    assert str(error.value) == (
        f"`search(sampler={name!r})` needs {package}, which is not installed. "
        f"Install it with: pip install 'kerastrain[{extra}]'"
    )


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "gp"])
def test_a_search_that_goes_on_suggests_what_it_would_have_without_a_break(tmp_path, name):
    if name == "gp":
        pytest.importorskip("torch", reason="a Gaussian process needs the extra `gp`")
    # TPE and the Gaussian process draw at random for ten trials, CMA-ES for one.
    parts = (3, 9, 3)
    whole = suggested(study_of(name), sum(parts))
    storage = tmp_path / "search.journal"
    halves = [params for n in parts for params in suggested(study_of(name, storage=storage), n)]
    assert halves == whole
    assert len({str(params) for params in whole}) == sum(parts)


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_every_storage_leads_to_the_same_suggestions(tmp_path, ending):
    found = suggested(study_of("tpe", storage=tmp_path / f"search.{ending}"), 12)
    assert found == suggested(study_of("tpe"), 12)


def test_the_seed_decides():
    assert suggested(study_of("tpe", seed=1), 3) != suggested(study_of("tpe", seed=2), 3)


def test_a_sampler_that_learns_beats_chance():
    best = {
        name: min(value_of(params) for params in suggested(study_of(name, seed=3), 40))
        for name in ("random", "tpe")
    }
    assert best["tpe"] < best["random"] < 1


def test_a_grid_gives_each_combination_once_and_then_begins_again():
    space = space_of({"units": [8, 16, 24], "activation": ["relu", "tanh"], "bias": [True]})
    found = suggested(study_of("grid", space=space), 7, space)
    assert found[:6] == [space.combination(number) for number in range(6)]
    assert found[6] == found[0]


def test_two_processes_share_a_grid(tmp_path):
    space = space_of({"units": [8, 16, 24], "activation": ["relu", "tanh"]})
    one = study_of("grid", storage=tmp_path / "search.db", space=space)
    other = study_of("grid", storage=tmp_path / "search.db", space=space)
    running = [study.ask() for study in (one, other, other, one, one, other)]
    found = [space.params(trial) for trial in reversed(running)]
    assert sorted(map(str, found)) == sorted(str(space.combination(n)) for n in range(6))


# Who gives up trials


@pytest.mark.parametrize(
    "name, kind",
    [
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("halving", optuna.pruners.SuccessiveHalvingPruner),
        ("median", optuna.pruners.MedianPruner),
        ("none", type(None)),
        (None, type(None)),
    ],
)
def test_a_pruner_is_told_by_its_name(name, kind):
    assert name is None or name in PRUNERS
    assert type(judge_of(name, epochs=20).pruner) is kind


def test_a_pruner_of_optunas_is_asked_after_every_epoch_but_the_last():
    pruner = optuna.pruners.ThresholdPruner(upper=1.0)
    judge = judge_of(pruner, epochs=5)
    assert judge.pruner is pruner
    assert [epochs for epochs in range(1, 6) if judge.looks_after(epochs)] == [1, 2, 3, 4]


@pytest.mark.parametrize("given, kind", [("asha", ValueError), (3, TypeError), (True, TypeError)])
def test_another_pruner_is_refused(given, kind):
    with pytest.raises(kind) as error:
        judge_of(given, epochs=20)
    assert str(error.value) == (
        "`search`: `pruner` must be one of 'hyperband', 'median', 'halving', 'none'. "
        f"Received: pruner={given!r}."
    )


@pytest.mark.parametrize(
    "name, epochs, looks",
    [
        ("hyperband", 30, [1, 3, 9, 27]),
        ("hyperband", 27, [1, 3, 9]),
        ("halving", 28, [1, 3, 9, 27]),
        ("median", 4, [1, 2, 3]),
        ("hyperband", 1, []),
        ("none", 30, []),
    ],
)
def test_a_judge_looks_where_there_is_something_to_give_up(name, epochs, looks):
    judge = judge_of(name, epochs=epochs)
    assert [n for n in range(1, epochs + 1) if judge.looks_after(n)] == looks


def test_a_judge_that_never_gives_up_never_looks():
    assert not any(Judge(None).looks_after(epochs) for epochs in range(1, 100))


@pytest.mark.parametrize("name", ["hyperband", "halving", "median"])
def test_a_judge_gives_up_what_does_badly_and_lets_the_best_go_on(name):
    judge = judge_of(name, epochs=30)
    study = study_of("random", pruner=judge.pruner)
    given_up = []
    for number in range(30):
        trial = study.ask()
        value = float(number if number < 15 else -number)  # Worse and worse, then ever better.
        for epochs in filter(judge.looks_after, range(1, 31)):
            trial.report(value, epochs)
            if trial.should_prune():
                given_up.append(number)
                break
        study.tell(trial, value)
    assert given_up
    assert max(given_up) < 15
