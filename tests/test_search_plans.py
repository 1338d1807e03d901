"""What a search is to do: defaults, and every argument that is refused before it begins."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from search_data import DATA, SPACE

pytest.importorskip("optuna", reason='needs optuna: pip install "kerastrain[search]"')

from scipy.stats import norm
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, LeaveOneOut, TimeSeriesSplit
from small_searches import plan

from kerastrain.search import search

STREAM = tf.data.Dataset.from_tensor_slices(DATA).batch(8)


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch):
    def train(*arguments, **named):
        raise AssertionError("It has begun to train.")

    monkeypatch.setattr(keras.Model, "fit", train)


REFUSED = [
    (
        {"space": {}},
        "`space` must name at least one parameter. Received: space={}.",
    ),
    (
        {"space": {"n_neurons": []}},
        "`space` must hold at least one value for each parameter. Received: n_neurons=[].",
    ),
    (
        {"space": {"n_neurons": 30}},
        "`space` must hold a list, a range or a SciPy distribution for each parameter. Received: "
        "n_neurons=30.",
    ),
    (
        {"space": ["n_neurons"]},
        "`space` must be a dict from names to a list, a range or a SciPy distribution, or a "
        "function of the trial. Received: space=['n_neurons'].",
    ),
    (
        {"space": {"seed": [1, 2]}},
        "`space` must not hold what the search itself decides ('builder', 'mode', 'monitor', "
        "'params', 'seed', 'verbose'). Received: 'seed'.",
    ),
    (
        {"space": {"patience": [1, 2]}, "patience": 3},
        "`space` must not hold what is given as the same for all trials. Received: 'patience' in "
        "both.",
    ),
    (
        {"builder": "regresion"},
        "`builder` must be one of 'binary', 'cnn', 'dense', 'regression', 'text' (did you mean "
        "'regression'?). Received: builder='regresion'.",
    ),
    (
        {"data": 3},
        "`data` must be what load_dataset returns, a pair (x, y), a tf.data.Dataset or a "
        "PyDataset. Received: data=3.",
    ),
    ({"metric": 3}, "`metric` must be the name of a metric. Received: metric=3."),
    (
        {"metric": "val_my_score"},
        "`mode` must be 'min' or 'max' for a metric whose name doesn't tell, such as "
        "'val_my_score'. Received: mode='auto'.",
    ),
    ({"mode": "up"}, "`mode` must be one of 'auto', 'min', 'max'. Received: mode='up'."),
    ({"trials": 0}, "`trials` must be at least 1. Received: trials=0."),
    ({"epochs": 0}, "`epochs` must be at least 1. Received: epochs=0."),
    ({"jobs": 0}, "`jobs` must be at least 1. Received: jobs=0."),
    ({"folds": 1}, "`folds` must be at least 2. Received: folds=1."),
    ({"timeout": 0}, "`timeout` must be above 0. Received: timeout=0."),
    ({"trial_timeout": -1}, "`trial_timeout` must be above 0. Received: trial_timeout=-1."),
    ({"seed": -1}, "`seed` must be at least 0. Received: seed=-1."),
    (
        {"sampler": "tpa"},
        "`sampler` must be one of 'tpe', 'random', 'grid', 'gp', 'cmaes' (did you mean 'tpe'?). "
        "Received: sampler='tpa'.",
    ),
    (
        {"pruner": "hyper"},
        "`pruner` must be one of 'hyperband', 'median', 'halving', 'none' (did you mean "
        "'hyperband'?). Received: pruner='hyper'.",
    ),
    (
        {"sampler": "grid", "trials": 7},
        "`trials` must be at least 8 for sampler='grid', the combinations in `space`. Received: "
        "trials=7.",
    ),
    (
        {"sampler": "grid", "space": {"learning_rate": norm(1, 0.1)}},
        "`space` must be a dict of lists or ranges for sampler='grid', which tries every "
        "combination. Received: a function, or a distribution in it.",
    ),
    (
        {"storage": "trials.txt"},
        "`storage` must be None, a path ending in '.journal', '.log', '.db', '.sqlite' or "
        "'.sqlite3', the address of a database or one of Optuna's storages. Received: "
        "storage='trials.txt'.",
    ),
    (
        {"folds": 3, "validation_split": 0.2},
        "`validation_split` must be left out where there are `folds`, which say what to validate "
        "on. Received: validation_split and folds=3.",
    ),
    (
        {"params": 3},
        "`params` must be a dict from names to values. Received: params=3.",
    ),
    (
        {"params": {"epochs": 3}},
        "`params` must hold the builder's own parameters; what trains goes beside them. Received: "
        "'epochs'.",
    ),
    ({"n_trials": 3}, "`n_trials` must be called `trials`. Received: n_trials=3."),
    ({"cv": 3}, "`cv` must be called `folds`. Received: cv=3."),
    (
        {"folds": 100},
        "`folds` must be at most the number of rows (60). Received: folds=100.",
    ),
    (
        {"folds": GroupKFold(3)},
        "`folds` must split the rows of `data` by themselves, and their labels at most. Received: "
        f"folds={GroupKFold(3)} (The 'groups' parameter should not be None).",
    ),
    (
        {"folds": LeaveOneGroupOut()},
        "`folds` must split the rows of `data` by themselves, and their labels at most. Received: "
        "folds=LeaveOneGroupOut() (The 'groups' parameter should not be None).",
    ),
    (
        {"validation_split": 0},
        "`metric` must be a training metric where there is neither validation_data nor "
        "validation_split. Received: metric='val_loss'.",
    ),
    (
        {"data": STREAM},
        "`validation_data` must be given, or else `folds`, where the data are a stream. Received: "
        f"data={STREAM!r:.77}....",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_an_argument_is_refused_before_anything_trains(arguments, sentence):
    given = {"builder": "regression", "space": SPACE, "data": DATA, "verbose": 0} | arguments
    with pytest.raises((TypeError, ValueError), match=f"^`search`: {re.escape(sentence)}$"):
        search(given.pop("builder"), given.pop("space"), given.pop("data"), **given)


def test_an_unknown_parameter_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The ends of a long sentence, below.
        search("regression", {"n_neuron": [1, 2]}, DATA, verbose=0)
    assert str(error.value).startswith(
        "`search`: `space` must be parameters of the builder ('n_hidden', 'n_neurons', "
        "'input_shape', 'outputs') or arguments of build_and_fit ('a_layer', 'batch_size', "
    )
    assert str(error.value).endswith("(did you mean 'n_neurons'?). Received: 'n_neuron'.")


def test_an_unknown_argument_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"^`search`: `arguments` must be one of 'a_layer', .*"):
        search("regression", SPACE, DATA, patients=3)


def test_streams_and_processes_do_not_go_together():
    with pytest.raises(ValueError, match="to which a stream can't go"):
        search("regression", SPACE, STREAM, validation_data=STREAM, jobs=2)


@pytest.mark.parametrize(
    ("given", "received"), [({"jobs": 2}, "jobs=2"), ({"trial_timeout": 9}, "a limit for trials")]
)
def test_a_system_that_cannot_run_trials_apart_says_so(monkeypatch, given, received):
    monkeypatch.setattr("kerastrain.search.plans.can_run_apart", lambda: False)
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        search("regression", SPACE, DATA, verbose=0, **given)
    assert str(error.value) == (
        "`search`: `jobs` must be 1, without limits for trials, on Windows, where none runs in a "
        f"process of its own. Received: {received}."
    )


# Defaults.


def test_there_are_20_trials_or_all_of_a_grid():
    assert plan(trials=None).trials == 20
    assert (
        plan({"units": [8, 16, 24, 32], "epochs": [1, 2]}, trials=None, sampler="grid").trials == 8
    )


@pytest.mark.parametrize(
    ("metric", "mode"), [("val_loss", "min"), ("val_accuracy", "max"), ("val_auc", "max")]
)
def test_the_name_of_a_metric_tells_its_direction(metric, mode):
    assert plan(metric=metric).recipe.mode == mode


@pytest.mark.parametrize(
    ("folds", "count"),
    [(None, 1), (3, 3), (np.int64(2), 2), (TimeSeriesSplit(4), 4), (LeaveOneOut(), 10)],
)
def test_a_trial_has_the_epochs_of_all_its_folds(folds, count):
    assert plan(folds=folds).epochs == 9 * count


@pytest.mark.parametrize(("epochs", "most"), [([3, 5, 7], 7), ([1, 12], 12), (norm(5), 9)])
def test_epochs_in_the_space_decide_how_many_there_are_at_most(epochs, most):
    assert plan({"epochs": epochs}).epochs == most


def test_what_has_to_be_the_same_in_a_storage_is_told_in_words_that_stay():
    made = [plan(arguments={"epochs": 3, "callbacks": [object()]}).identity for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["callbacks"] == "a list"
    assert (made[0]["epochs"], made[0]["space"]) == (3, ["activation", "learning_rate", "units"])
