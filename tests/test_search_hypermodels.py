"""`hypermodel`: what Keras Tuner searches, trained by `kerastrain.fit`."""

import gc
import sys

import keras
import numpy as np
import pytest

import kerastrain as ktr

keras_tuner = pytest.importorskip("keras_tuner", reason="pip install keras-tuner tensorboard")
pytest.importorskip("tensorboard", reason="Keras Tuner needs it: pip install tensorboard")

from kerastrain.search import hypermodel  # noqa: E402

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(80, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
TRAIN, VAL = (X[:60], Y[:60]), (X[60:], Y[60:])


@pytest.fixture(scope="module", autouse=True)
def no_look_at_what_was_there_before():
    """Keras Tuner collects garbage for each model, which takes long where others have left much."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def random_search(hyper, folder, *, trials=3, **arguments):
    return keras_tuner.RandomSearch(
        hyper,
        **{"objective": "val_loss", "max_trials": trials, "seed": 1, **arguments},
        directory=folder,
        project_name="project",
    )


def searched(hyper, folder, *, epochs=2, tuner=random_search, search=None, **arguments):
    made = tuner(hyper, folder, **arguments)
    made.search(*TRAIN, validation_data=VAL, epochs=epochs, verbose=0, **(search or {}))
    return made


def trials_of(tuner):
    return [tuner.oracle.trials[name] for name in tuner.oracle.end_order]


def message(kind, call, *arguments, **named):
    with pytest.raises(kind) as error:
        call(*arguments, **named)
    return str(error.value)


class Sees(keras.callbacks.Callback):
    """Notes the runs that it is in, beyond the copies that the tuner makes of it."""

    def __init__(self, runs):
        super().__init__()
        self.runs = runs

    def __deepcopy__(self, memo):
        return Sees(self.runs)

    def on_train_begin(self, logs=None):
        self.runs.append({"epochs": 0, "calls": 0, "rate": self.model.optimizer.learning_rate})
        self.runs[-1]["rate"] = float(self.model.optimizer.learning_rate)
        self.runs[-1]["steps"] = self.model.steps_per_execution

    def on_epoch_end(self, epoch, logs=None):
        self.runs[-1]["epochs"] += 1


# The search.


def test_the_best_trial_trained_again_by_build_and_fit_has_the_same_value(tmp_path):
    space = {"units": [4, 16], "learning_rate": [0.001, 0.03], "batch_size": range(10, 31, 10)}
    tuner = searched(hypermodel("dense", space, data=(X, Y)), tmp_path, trials=4)
    scores = [trial.score for trial in trials_of(tuner)]
    best = tuner.get_best_hyperparameters()[0].values
    assert set(best) == set(space)
    _, history = ktr.build_and_fit(
        "dense",
        TRAIN,
        validation_data=VAL,
        params={"units": best["units"]},
        learning_rate=best["learning_rate"],
        batch_size=best["batch_size"],
        epochs=2,
        seed=0,
        verbose=0,
    )
    assert (len(set(scores)), min(scores)) == (4, history.best["val_loss"])


def test_the_best_model_is_the_checkpoint_of_its_best_epoch(tmp_path):
    tuner = searched(hypermodel("dense", {"units": [4, 8, 16]}, data=(X, Y)), tmp_path)
    model = tuner.get_best_models()[0]
    loss, _ = model.evaluate(*VAL, verbose=0)
    assert loss == pytest.approx(min(trial.score for trial in trials_of(tuner)), rel=1e-5)


def test_an_objective_of_which_more_is_better_is_the_tuners_to_tell(tmp_path):
    hyper = hypermodel("dense", {"units": [4, 8, 16]}, data=(X, Y))
    tuner = searched(hyper, tmp_path, objective="val_accuracy", epochs=4)
    best = tuner.oracle.get_best_trials()[0]
    assert best.score == max(trial.score for trial in trials_of(tuner)) > 0.4


def test_the_steps_go_many_a_call_and_the_users_callbacks_are_there(tmp_path):
    runs = []
    hyper = hypermodel("dense", {"units": [4, 8]}, data=(X, Y), batch_size=5)
    searched(hyper, tmp_path, trials=2, epochs=3, search={"callbacks": [Sees(runs)]})
    assert [run["epochs"] for run in runs] == [3, 3]
    assert min(run["steps"] for run in runs) > 1


def test_a_tuner_that_looks_at_every_batch_gets_every_batch(tmp_path):
    class Watches(keras_tuner.RandomSearch):
        batches = 0

        def on_batch_end(self, trial, model, batch, logs=None):
            self.batches += 1

    def watching(hyper, folder):
        return Watches(hyper, objective="val_loss", max_trials=1, directory=folder)

    hyper = hypermodel("dense", {"units": [4, 8]}, data=(X, Y))
    assert searched(hyper, tmp_path, tuner=watching).batches == 4


def test_early_stopping_is_the_users_or_ours(tmp_path):
    stopper = keras.callbacks.EarlyStopping("val_loss", patience=1)
    space, runs = {"units": [4, 8]}, []
    arguments = {"data": (X, Y), "learning_rate": 3.0}
    theirs = {"callbacks": [stopper, Sees(runs)]}
    searched(hypermodel("dense", space, **arguments), tmp_path / "1", epochs=30, search=theirs)
    ours = hypermodel("dense", space, patience=1, **arguments)
    searched(ours, tmp_path / "2", epochs=30, search={"callbacks": [Sees(runs)]})
    assert max(run["epochs"] for run in runs) < 30
    assert len(runs) == 4
    assert [run["epochs"] for run in runs[:2]] == [run["epochs"] for run in runs[2:]]


def hyperband(hyper, folder):
    return keras_tuner.Hyperband(
        hyper, objective="val_loss", max_epochs=4, factor=2, seed=1, directory=folder
    )


def test_hyperband_goes_on_where_it_left_off(tmp_path):
    runs = []
    space = {"units": [4, 8], "learning_rate": [0.001, 0.003, 0.01, 0.03]}
    hyper = hypermodel("dense", space, data=(X, Y))
    tuner = searched(hyper, tmp_path, tuner=hyperband, search={"callbacks": [Sees(runs)]})
    had = [trial.hyperparameters.values for trial in trials_of(tuner)]
    assert {trial.status for trial in trials_of(tuner)} == {"COMPLETED"}
    assert [run["epochs"] for run in runs] == [
        values["tuner/epochs"] - values["tuner/initial_epoch"] for values in had
    ]
    longer = [trial for trial in trials_of(tuner) if "tuner/trial_id" in trial.hyperparameters]
    assert len(longer) >= 2
    for trial in longer:
        before = tuner.oracle.trials[trial.hyperparameters.values["tuner/trial_id"]]
        assert trial.score < before.score


def test_without_a_seed_two_executions_of_a_trial_differ(tmp_path):
    arguments = {"executions_per_trial": 2, "trials": 1}
    same = hypermodel("dense", {"units": [4, 8]}, data=(X, Y))
    other = hypermodel("dense", {"units": [4, 8]}, data=(X, Y), seed=None)
    values = {}
    for name, hyper in {"same": same, "other": other}.items():
        runs = []
        callback = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, runs=runs: runs.append(logs["val_loss"])
        )
        search = {"callbacks": [callback]}
        searched(hyper, tmp_path / name, epochs=1, search=search, **arguments)
        values[name] = runs
    assert len(set(values["same"])) == 1
    assert len(set(values["other"])) == 2


# The space.


def drawn_of(space, builder="dense"):
    """The hyperparameters that a space declares, as Keras Tuner keeps them."""
    hp = keras_tuner.HyperParameters()
    hypermodel(builder, space, data=(X, Y)).build(hp)
    return {one.name: one for one in hp.space}


def test_lists_and_ranges_become_choices_and_whole_numbers():
    space = drawn_of(
        {"units": [4, 16, 5], "batch_size": range(8, 33, 8), "activation": ["relu", "tanh"]}
    )
    assert space["units"].values == [4, 16, 5]
    sizes = space["batch_size"]
    assert (sizes.min_value, sizes.max_value, sizes.step) == (8, 32, 8)
    assert space["activation"].values == ["relu", "tanh"]


def test_distributions_of_scipy_become_numbers_between_their_ends():
    stats = pytest.importorskip("scipy.stats", reason="it comes with scikit-learn")
    space = drawn_of(
        {
            "learning_rate": stats.reciprocal(3e-4, 3e-2),
            "min_delta": stats.uniform(0.25, 0.5),
            "units": stats.randint(1, 100),
        }
    )
    rate, delta, units = space["learning_rate"], space["min_delta"], space["units"]
    assert (rate.min_value, rate.max_value, rate.sampling) == (3e-4, 3e-2, "log")
    assert (delta.min_value, delta.max_value, delta.sampling) == (0.25, 0.75, "linear")
    assert (units.min_value, units.max_value) == (1, 99)


def test_any_other_distribution_is_drawn_by_its_quantiles():
    stats = pytest.importorskip("scipy.stats", reason="it comes with scikit-learn")
    hp = keras_tuner.HyperParameters()
    hp.Fixed("learning_rate", 0.5)
    rates = stats.lognorm(1.0, scale=0.01)
    model = hypermodel("dense", {"learning_rate": rates}, data=(X, Y)).build(hp)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_values_of_any_kind_can_be_chosen_among():
    hp = keras_tuner.HyperParameters()
    space = {"a_layer": [None, keras.layers.Dropout(0.5)], "optimizer": ["sgd", "adam"]}
    hyper = hypermodel("dense", space, data=(X, Y))
    plain = hyper.build(hp)
    hp.values["a_layer"] = hp.space[0].values[1]
    assert len(hyper.build(hp).layers) == len(plain.layers) + 1
    assert hp.space[0].values[0] == "None"


def test_a_function_makes_a_conditional_space(tmp_path):
    def space(hp):
        params = {"n_hidden": hp.Int("n_hidden", 0, 1)}
        if params["n_hidden"]:
            params["n_neurons"] = hp.Choice("n_neurons", [4, 8])
        return params

    hyper = hypermodel("regression", space, params={"input_shape": (4,)}, task="regression")
    tuner = searched(hyper, tmp_path, trials=3)
    assert {trial.status for trial in trials_of(tuner)} == {"COMPLETED"}
    assert tuner.get_best_models()[0].input_shape == (None, 4)


def test_without_a_space_the_tuners_own_is_searched(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Choice("units", [4, 8])
    tuner = searched(hypermodel("dense", data=(X, Y)), tmp_path, trials=2, hyperparameters=hp)
    assert {trial.hyperparameters.values["units"] for trial in trials_of(tuner)} == {4, 8}


def test_a_builder_that_compiles_is_taken_as_it_is(tmp_path):
    def build_model(n_neurons=30, learning_rate=3e-3):
        model = ktr.build("regression", n_neurons=n_neurons, input_shape=(4,))
        model.compile(keras.optimizers.SGD(learning_rate), "mae")
        return model

    runs = []
    hyper = hypermodel(build_model, {"n_neurons": [2, 3], "learning_rate": [0.5]})
    searched(hyper, tmp_path, trials=1, search={"callbacks": [Sees(runs)]})
    assert runs[0]["rate"] == 0.5


# Trouble.


def test_a_trial_that_is_lost_to_nan_fails_and_the_search_goes_on(tmp_path):
    hyper = hypermodel("dense", {"learning_rate": [1e30, 0.01]}, data=(X, Y), optimizer="sgd")
    tuner = searched(hyper, tmp_path, trials=2)
    states = {t.hyperparameters.values["learning_rate"]: t for t in trials_of(tuner)}
    assert (states[1e30].status, states[0.01].status) == ("FAILED", "COMPLETED")
    assert "FailedTrialError: The run was lost to NaN." in states[1e30].message


def test_ctrl_c_ends_the_search(tmp_path):
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    hyper = hypermodel("dense", {"units": [4, 8]}, data=(X, Y))
    with pytest.raises(KeyboardInterrupt):
        searched(hyper, tmp_path, search={"callbacks": [Interrupts()]})


def test_an_argument_that_fit_does_not_have_ends_the_search_at_once(tmp_path):
    hyper = hypermodel("dense", {"units": [4, 8]}, data=(X, Y))
    text = message(ValueError, searched, hyper, tmp_path, search={"batchsize": 3})
    assert text.startswith("`tuner.search`: `arguments` must be one of 'x', 'y', 'initial_epoch', ")
    assert text.endswith(" (did you mean 'batch_size'?). Received: arguments='batchsize'.")


def test_epochs_are_hyperbands_to_say(tmp_path):
    hyper = hypermodel("dense", {"units": [4, 8], "epochs": [1]}, data=(X, Y))
    assert message(ValueError, searched, hyper, tmp_path, tuner=hyperband) == (
        "`hypermodel`: `space` must leave `epochs` to Hyperband, which decides on them. "
        "Received: epochs=1."
    )


KINDS = "a list, a range or a SciPy distribution"


@pytest.mark.parametrize(
    "kind, space, sentence",
    [
        (ValueError, {}, "`space` must name at least one parameter. Received: space={}."),
        (
            TypeError,
            [4, 8],
            f"`space` must be a dict from names to {KINDS}, or a function of the trial. "
            "Received: space=[4, 8].",
        ),
        (
            ValueError,
            {"units": []},
            "`space` must hold at least one value for each parameter. Received: units=[].",
        ),
        (
            TypeError,
            {"units": 4},
            f"`space` must hold {KINDS} for each parameter. Received: units=4.",
        ),
        (
            TypeError,
            {"activation": "relu"},
            f"`space` must hold {KINDS} for each parameter. Received: activation='relu'.",
        ),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(kind, space, sentence):
    assert message(kind, hypermodel, "dense", space) == f"`hypermodel`: {sentence}"


def test_a_parameter_that_nobody_knows_is_met_with_both_lists():
    wrong = {"space": {"unit": [4]}}, {"unit": 4}, {"params": {"unit": 4}}
    for named, argument in zip(wrong, ("space", "params", "params"), strict=True):
        text = message(ValueError, hypermodel, "dense", **named)
        assert text.startswith(
            f"`hypermodel`: `{argument}` must be parameters of the builder ('input_shape', "
            "'units', 'classes', 'activation') or arguments of build_and_fit ('a_layer', "
        )
        assert text.endswith(" (did you mean 'units'?). Received: 'unit'.")


def test_a_function_that_returns_nothing_is_refused(tmp_path):
    hyper = hypermodel("dense", lambda hp: None)
    assert message(ValueError, random_search, hyper, tmp_path) == (
        "`hypermodel`: `space` must return a dict with at least one parameter, where it is a "
        "function. Received: None."
    )


def test_no_space_at_all_is_refused(tmp_path):
    assert message(ValueError, random_search, hypermodel("dense"), tmp_path) == (
        "`hypermodel`: `space` must be given, or else the tuner's `hyperparameters`. "
        "Received: neither."
    )


@pytest.mark.parametrize(
    "kind, arguments, sentence",
    [
        (TypeError, {"params": [4]}, "`params` must be a dict from names to values. Received: "),
        (ValueError, {"seed": -1}, "`seed` must be at least 0. Received: seed=-1."),
        (TypeError, {"data": X}, "`data` must be what load_dataset returns, a pair (x, y), a tf."),
        (ValueError, {"builder": "dens"}, "`builder` must be one of 'binary', 'cnn', 'dense', "),
    ],
)
def test_a_wrong_argument_is_refused_before_the_first_trial(kind, arguments, sentence):
    text = message(kind, hypermodel, **{"builder": "dense", "space": {"units": [4]}, **arguments})
    assert text.startswith(f"`hypermodel`: {sentence}")


@pytest.mark.parametrize("module, package", [("keras_tuner", "keras-tuner"), ("tensorboard",) * 2])
def test_a_package_that_is_absent_is_named_with_the_line_that_installs_both(
    monkeypatch, module, package
):
    monkeypatch.setitem(sys.modules, module, None)
    assert message(ImportError, getattr, ktr.search, "hypermodel") == (
        f"`hypermodel` needs {package}, which is not installed. Install it with: pip install "
        "keras-tuner tensorboard"
    )
