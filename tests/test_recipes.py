"""The README's recipes for other search libraries, run as they stand there."""

import pathlib
import re
import runpy

import numpy as np
import pytest

import kerastrain as ktr

pytest.importorskip("sklearn", reason="the recipes' data come with it: pip install scikit-learn")

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Other search libraries")[2].partition("</details>")[0]
BLOCK = r"```python\n(.*?)```"
SETUP = re.search(BLOCK, SECTION, flags=re.DOTALL)[1]
RECIPES = dict(re.findall(r"\*\*([^*]+)\*\* \(`pip[^\n]+\n\n" + BLOCK, SECTION, flags=re.DOTALL))


@pytest.fixture(scope="module")
def data():
    return ktr.load_dataset("digits")


@pytest.fixture
def left_by(tmp_path, monkeypatch):
    """Runs a recipe in a folder of its own, and returns the names that it leaves."""
    monkeypatch.chdir(tmp_path)

    def run(name, *packages):
        for package in packages:
            pytest.importorskip(package, reason=f"the recipe is for those who have {package}")
        script = tmp_path / "recipe.py"
        script.write_text(f"{SETUP}\n{RECIPES[name]}", encoding="utf-8")
        return runpy.run_path(str(script))

    return run


def test_every_recipe_of_the_readme_is_run_here():
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    assert len(RECIPES) == len(re.findall(BLOCK, SECTION, flags=re.DOTALL)) - 1 == 7
    assert [name for name in RECIPES if f'left_by("{name}"' not in source] == []


def test_hyperopt(left_by):
    left = left_by("Hyperopt", "hyperopt")
    best = left["best_params"]
    assert isinstance(best["units"], int)
    assert left["error"](best) < -0.9


@pytest.mark.slow
def test_scikit_optimize(left_by):
    left = left_by("scikit-optimize", "skopt")
    for found in (left["process"], left["forest"]):
        assert len(found.func_vals) == 6
        assert found.fun == min(found.func_vals) < -0.9
        units, rate = found.x
        assert left["error"](units=units, learning_rate=rate) == found.fun


def test_keras_tuner(left_by, data):
    left = left_by("Keras Tuner", "keras_tuner", "tensorboard")
    best = left["tuner"].oracle.get_best_trials()[0]
    assert len(left["tuner"].oracle.end_order) == 4
    _, accuracy = left["best_model"].evaluate(*data.val, verbose=0)
    assert accuracy == pytest.approx(best.score)
    assert accuracy > 0.8
    assert left["error"](best.hyperparameters.values) == -best.score


@pytest.mark.slow
def test_hyperband_of_keras_tuner(left_by):
    left = left_by("Hyperband, Keras Tuner's", "keras_tuner", "tensorboard")
    trials = left["tuner"].oracle.trials.values()
    assert {trial.hyperparameters.values["tuner/epochs"] for trial in trials} == {1, 3}
    assert max(trial.score for trial in trials) > 0.7
    assert {"units", "learning_rate"} < set(left["best_params"])


def test_hyperband_of_ours(left_by):
    left = left_by("Hyperband, ours", "optuna", "cloudpickle")
    result = left["result"]
    assert len(result.trials) == 6
    assert result.best_value > 0.8


@pytest.mark.slow
def test_sklearn_genetic_opt(left_by, data):
    left = left_by("sklearn-genetic-opt", "sklearn_genetic")
    found = left["found"]
    drawn = {tuple(sorted(params.items())) for params in found.cv_results_["params"]}
    assert len(drawn) > 4  # More than it began with.
    assert found.best_score_ == max(found.cv_results_["mean_test_score"]) > 0.8
    predicted = left["best_model"].predict(data.test[0], verbose=0)
    assert np.mean(predicted.argmax(axis=1) == data.test[1]) > 0.8


@pytest.mark.slow
def test_talos(left_by):
    scan = left_by("Talos", "talos")["scan"]
    assert sorted(scan.data["units"]) == [8, 32, 128]
    assert scan.data["val_accuracy"].max() > 0.8
