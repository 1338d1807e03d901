"""Model builders as scikit-learn's estimators: the documents' own lines, and everything around."""

import copy
import functools
import inspect
import io
import pickle
import random
import threading

import keras
import numpy as np
import pytest
from small_builders import NAMES, SIGNS, X, Y, build_model, net, number_net
from small_models import assert_same_bits
from small_products import diagonal

pytest.importorskip("sklearn", reason="needs scikit-learn")

import joblib
import sklearn
from scipy.stats import reciprocal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kerastrain as ktr
from kerastrain.search import KerasClassifier, KerasRegressor

TRAIN, HELD = slice(0, 72), slice(72, 96)


def regressor(builder=number_net, **parameters):
    return KerasRegressor(builder, **{"seed": 0, "epochs": 2, "speed": "steps"} | parameters)


def classifier(builder=net, **parameters):
    given = {"seed": 0, "epochs": 20, "learning_rate": 0.05, "speed": "steps"}
    return KerasClassifier(builder, **given | parameters)


class Seen(keras.callbacks.Callback):
    """Counts the epochs that it saw."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


def lost(is_lost=False, a_layer=None):
    """A classifier whose weights become NaN in the first step, where asked; it then says 0."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    rate = np.nan if is_lost else 1e-3
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_a_model_of_nan_has_no_score():
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 10 == 0
    estimator = KerasClassifier(lost, epochs=2, seed=0, speed="steps")
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        clone(estimator).set_params(is_lost=True).fit(x, y)
    assert str(error.value) == (
        "`KerasClassifier.fit`: `build_model` must train to finite weights: a lower learning rate "
        "may do. Received: a run that ended with NaN."
    )
    found = GridSearchCV(estimator, {"is_lost": [True, False]}, cv=2).fit(x, y)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert found.best_params_ == {"is_lost": False}


def test_a_builder_that_returns_the_same_model_again_is_refused():
    model = lost()
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 10 == 0
    estimator = KerasClassifier(lambda: model, epochs=1, seed=0, speed="steps").fit(x, y)
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        clone(estimator).fit(x, y)
    assert str(error.value) == (
        "`KerasClassifier.fit`: `build_model` must return a new model each time. Received: one "
        "that it had returned before."
    )


def test_a_classifier_with_the_head_of_a_regressor_is_refused():
    def numbers():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        KerasClassifier(numbers).fit(np.ones((4, 3)), [0, 1, 0, 1])
    assert str(error.value) == (
        "`KerasClassifier.fit`: `build_model` must return a model that gives probabilities, or "
        "logits with a loss of from_logits=True. Received: a model that ends in 'linear', with the "
        "loss 'mean_squared_error'."
    )


# The documents' lines: D2.2, D2.3, D2.4.


def test_d2_2_a_wrapped_builder_fits_scores_and_predicts():
    keras_reg = KerasRegressor(build_model)
    keras_reg.fit(
        X[TRAIN],
        Y[TRAIN],
        epochs=100,
        validation_data=(X[HELD], Y[HELD]),
        callbacks=[keras.callbacks.EarlyStopping(patience=10)],
    )
    predicted = keras_reg.predict(X[HELD])
    assert predicted.shape == (24,)
    assert keras_reg.score(X[HELD], Y[HELD]) == r2_score(Y[HELD], predicted) > 0.5
    assert keras_reg.model.input_shape == (None, 4)
    assert "val_loss" in keras_reg.history_.history
    np.testing.assert_allclose(keras_reg.model.predict(X[HELD], verbose=0)[:, 0], predicted)


def test_d2_3_a_randomized_search_runs_as_it_is_written():
    param_distribs = {
        "n_hidden": [0, 1, 2, 3],
        "n_neurons": np.arange(1, 100),
        "learning_rate": reciprocal(3e-4, 3e-2),
    }
    rnd_search_cv = RandomizedSearchCV(KerasRegressor(build_model), param_distribs, n_iter=3, cv=3)
    rnd_search_cv.fit(
        X,
        Y,
        epochs=4,
        validation_data=(X[HELD], Y[HELD]),
        callbacks=[keras.callbacks.EarlyStopping(patience=10)],
    )
    best, model = rnd_search_cv.best_params_, rnd_search_cv.best_estimator_.model
    assert set(best) == set(param_distribs)
    assert len(model.layers) == best["n_hidden"] + 1
    assert float(model.optimizer.learning_rate) == pytest.approx(best["learning_rate"])
    assert np.isfinite(rnd_search_cv.cv_results_["mean_test_score"]).all()
    assert rnd_search_cv.best_score_ == rnd_search_cv.cv_results_["mean_test_score"].max()
    assert len(rnd_search_cv.best_estimator_.history_) == 4
    assert rnd_search_cv.score(X, Y) == r2_score(Y, rnd_search_cv.predict(X))


def test_d2_4_a_grid_search_likewise():
    grid = {"n_hidden": np.array([0, 1]), "learning_rate": [1e-5, 3e-2]}
    search = GridSearchCV(KerasRegressor(build_model, seed=0), grid, cv=3)
    search.fit(X, Y, epochs=10, batch_size=8)
    assert search.best_params_["learning_rate"] == 3e-2
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.model.optimizer.iterations == 10 * 12


# Parameters.


def test_the_builders_parameters_are_the_estimators_with_its_defaults():
    parameters = KerasRegressor(build_model).get_params()
    of_builder = {"n_hidden": 1, "n_neurons": 30, "learning_rate": 3e-3, "input_shape": [8]}
    assert of_builder.items() <= parameters.items()
    assert parameters["epochs"] == 1


def test_everything_else_that_fit_takes_is_a_parameter_too():
    wanted = set(inspect.signature(ktr.fit).parameters) - {"model", "x", "y"}
    wanted -= {"validation_data", "sample_weight"}  # Which are data.
    wanted -= {"run", "save_every"}  # A folder is for one model.
    wanted |= {"a_layer", "optimizer", "learning_rate", "metrics", "build_model"}
    assert set(KerasClassifier(net).get_params()) >= wanted
    assert wanted - set(KerasRegressor(build_model).get_params()) == {"class_weight"}
    assert set(inspect.signature(KerasClassifier).parameters) == wanted | {"builder_parameters"}


def test_a_parameter_that_both_have_is_the_builders():
    seen = []

    def builder(learning_rate=0.25, optimizer="sgd", input_shape=(8,)):
        seen.append((learning_rate, optimizer))
        return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])

    fitted = regressor(builder, optimizer="adam").fit(X, Y)
    assert fitted.get_params()["learning_rate"] == 0.25
    assert seen == [(0.25, "adam")]
    fitted.set_params(learning_rate=None).fit(X, Y)
    assert seen[1:] == [(None, "adam")]


def test_parameters_are_read_and_set_like_any_estimators():
    estimator = KerasRegressor(build_model, n_hidden=2)
    assert (estimator.n_hidden, estimator.n_neurons, estimator.patience) == (2, 30, None)
    assert estimator.set_params(n_neurons=5, epochs=3) is estimator
    assert (estimator.get_params()["n_neurons"], estimator.epochs) == (5, 3)
    assert not hasattr(estimator, "model_")
    assert "n_hidden=2" in repr(estimator)


def test_the_builder_itself_can_be_searched_over():
    search = GridSearchCV(regressor(), {"build_model": [number_net, "regression"]}, cv=2)
    assert len(search.fit(X, Y).cv_results_["params"]) == 2


def test_a_clone_leaves_to_the_data_what_was_left_to_them():
    estimator = KerasRegressor(build_model, n_neurons=np.int64(4), seed=0)
    copied = clone(estimator)
    assert copied.get_params() == estimator.get_params()
    assert copied.get_params()["n_neurons"] is estimator.get_params()["n_neurons"]
    assert clone(estimator.fit(X, Y)).fit(X, Y).model.input_shape == (None, 4)
    assert not hasattr(clone(estimator), "history_")


def test_a_clone_copies_what_can_change():
    layers, optimizer = [keras.layers.Dropout(0.5)], keras.optimizers.SGD(0.25)
    copied = clone(KerasRegressor("regression", a_layer=layers, optimizer=optimizer))
    assert copied.a_layer[0] is not layers[0]
    assert copied.a_layer[0].rate == 0.5
    assert copied.optimizer is not optimizer
    assert float(copied.optimizer.learning_rate) == 0.25


def test_numpys_numbers_reach_builder_and_keras_as_pythons():
    kinds = []

    def builder(units=8, sizes=(1,), input_shape=(8,)):
        kinds.extend([type(units), type(sizes[0])])
        return number_net(units, input_shape)

    given = {"units": np.int64(4), "sizes": (np.int32(3),), "epochs": np.int64(2)}
    estimator = KerasRegressor(builder, batch_size=np.int32(16), seed=np.int64(1), **given)
    estimator.fit(X, Y, shuffle=np.bool_(False))
    assert kinds == [int, int]
    assert len(estimator.history_) == 2
    assert type(estimator.units) is np.int64


def test_what_is_given_to_fit_wins_and_changes_nothing():
    arguments = {"epochs": 3, "batch_size": 16, "patience": 5}
    estimator = regressor(epochs=1, batch_size=32)
    before = estimator.get_params()
    estimator.fit(X, Y, **arguments)
    assert len(estimator.history_) == 3
    assert estimator.model.optimizer.iterations == 3 * 6
    assert estimator.get_params() == before
    assert arguments == {"epochs": 3, "batch_size": 16, "patience": 5}


def test_a_builder_that_takes_anything_gets_what_is_given():
    def builder(**sizes):
        return number_net(sizes["units"], (4,))

    assert regressor(builder, units=3).fit(X, Y).model.layers[1].units == 3


def test_a_partial_is_a_builder_with_other_defaults():
    assert regressor(functools.partial(number_net, units=5)).get_params()["units"] == 5


def test_a_model_that_isnt_compiled_is_compiled_for_its_task():
    estimator = KerasRegressor(
        "regression", optimizer="sgd", learning_rate=0.25, metrics=["mae"], n_hidden=0, seed=0
    ).fit(X, np.column_stack([Y, Y]))
    model = estimator.model
    assert (model.loss, model.output_shape) == ("mean_squared_error", (None, 2))
    assert estimator.history_.history["learning_rate"] == [0.25]
    assert {"mae"} < set(estimator.history_.history)


def test_layers_are_put_in_by_a_search():
    search = GridSearchCV(
        KerasRegressor("regression", seed=0), {"a_layer": [None, keras.layers.Dropout(0.2)]}, cv=2
    ).fit(X, Y)
    kinds = [type(layer).__name__ for layer in search.best_estimator_.model.layers]
    assert ("Dropout" in kinds) == (search.best_params_["a_layer"] is not None)


# Data.


EACH_TIME = [
    (NAMES, None, "softmax"),
    (NAMES, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "linear"),
    (NAMES, "binary_crossentropy", "sigmoid"),
    (SIGNS, "categorical_crossentropy", "softmax"),
    (SIGNS == "yes", "binary_crossentropy", "sigmoid"),
    ((NAMES == "large") * 7.0 - 1, None, "softmax"),
]
"""Every kind of label, loss and head, but not each with each."""

FURTHER = [
    (NAMES, "categorical_crossentropy", "softmax"),
    (NAMES, "sparse_categorical_crossentropy", "softmax"),
    (NAMES, keras.losses.CategoricalFocalCrossentropy(), "softmax"),
    (NAMES, keras.losses.CategoricalCrossentropy(from_logits=True), "linear"),
    (SIGNS, None, "softmax"),
    (NAMES.astype(object), None, "softmax"),
]


@pytest.mark.parametrize(
    "labels, loss, activation",
    [*EACH_TIME, *(pytest.param(*one, marks=pytest.mark.slow) for one in FURTHER)],
)
def test_labels_of_any_kind_become_what_the_loss_wants_and_come_back(labels, loss, activation):
    builder = functools.partial(net, activation=activation, loss=loss)
    rate = {} if loss else {"learning_rate": 0.05}
    given = {"epochs": 25, "batch_size": 8, "seed": 0, "speed": "steps"}
    estimator = KerasClassifier(builder, **given, **rate)
    estimator.fit(X[TRAIN], labels[TRAIN], validation_data=(X[HELD], labels[HELD]))
    np.testing.assert_array_equal(estimator.classes_, np.unique(labels))
    probabilities = estimator.predict_proba(X)
    assert probabilities.shape == (96, len(np.unique(labels)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    predicted = estimator.predict(X)
    np.testing.assert_array_equal(predicted, estimator.classes_[probabilities.argmax(axis=1)])
    assert predicted.dtype == estimator.classes_.dtype
    assert estimator.score(X, labels) == accuracy_score(labels, predicted) > 0.75


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_one_unit_gives_two_columns_of_probabilities(activation):
    def builder(input_shape=(8,)):
        return keras.Sequential(
            [keras.Input(input_shape), keras.layers.Dense(1, activation=activation)]
        )

    estimator = classifier(builder).fit(X, SIGNS)
    raw = estimator.model.predict(X, verbose=0)[:, 0]
    wanted = raw if activation == "sigmoid" else 1 / (1 + np.exp(-raw))
    probabilities = estimator.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], wanted, rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert estimator.score(X, SIGNS) > 0.9


def test_logits_of_several_classes_become_probabilities():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    estimator = classifier(activation="linear", loss=loss, epochs=2).fit(X, NAMES)
    raw = np.exp(estimator.model.predict(X, verbose=0).astype("float64"))
    wanted = raw / raw.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(estimator.predict_proba(X), wanted, rtol=1e-5)


@pytest.mark.parametrize("columns", [2, 3])
def test_one_hot_labels_come_back_one_hot(columns):
    labels = np.eye(columns, dtype=int)[np.digitize(X[:, 0], [0, 0.8][: columns - 1])]
    estimator = KerasClassifier("dense", epochs=30, learning_rate=0.01, seed=0).fit(X, labels)
    assert estimator.predict_proba(X).shape == (96, columns)
    predicted = estimator.predict(X)
    np.testing.assert_array_equal(predicted.sum(axis=1), 1)
    np.testing.assert_array_equal(estimator.classes_, np.arange(columns))
    assert estimator.score(X, labels) > 0.8


def test_several_labels_a_row_come_back_as_such():
    labels = (X[:, :3] > 0).astype(int)
    builder = functools.partial(net, activation="sigmoid")
    estimator = classifier(builder).fit(X, labels, validation_data=(X, labels))
    np.testing.assert_array_equal(estimator.predict(X), estimator.predict_proba(X) > 0.5)
    assert (estimator.predict(X) == labels).mean() > 0.9


def test_units_for_classes_that_no_row_is_of_take_no_part():
    estimator = classifier(classes=10).fit(X, NAMES)
    assert estimator.model.output_shape == (None, 10)
    assert estimator.predict_proba(X).shape == (96, 3)
    np.testing.assert_allclose(estimator.predict_proba(X).sum(axis=1), 1)


def test_images_go_in_as_they_are():
    data = ktr.load_dataset("fashion_mnist_small")
    x, y = data.train[0][:160], np.array(data.classes)[data.train[1][:160]]
    estimator = KerasClassifier("cnn", filters=(4,), units=16, epochs=6, seed=0)
    estimator.fit(x, y)
    assert estimator.model.input_shape == (None, 28, 28)
    assert estimator.score(x, y) > 0.3


def test_texts_go_in_as_they_are():
    texts = ["so good", "very good film", "so bad", "bad film"] * 8
    labels = ["+", "+", "-", "-"] * 8
    estimator = KerasClassifier(
        "text", length=4, epochs=10, learning_rate=0.05, batch_size=8, seed=0, speed="steps"
    )
    fitted = estimator.fit(texts, labels)
    np.testing.assert_array_equal(fitted.predict(["a good one", "a bad one"]), ["+", "-"])
    again = clone(estimator).fit(np.array(texts), labels)
    assert_same_bits([again.predict_proba(texts)], [fitted.predict_proba(texts)])


def test_data_frames_leave_their_names():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    estimator = classifier().fit(frame, pandas.Series(NAMES, dtype="category"))
    assert estimator.feature_names_in_.tolist() == list("abcd")
    assert estimator.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[["b", "a", "c", "d"]])


def test_several_targets_are_predicted_together():
    targets = np.column_stack([Y, -Y])
    estimator = regressor(epochs=30).fit(X, targets, validation_split=0.25)
    assert estimator.predict(X).shape == targets.shape
    assert estimator.score(X, targets) > 0.5


def test_rows_of_no_weight_arent_learnt():
    labels = np.where(SIGNS == "yes", "no", "yes")
    both, twice = np.concatenate([SIGNS, labels]), np.concatenate([X, X])
    weights = np.repeat([1.0, 0.0], 96)
    estimator = classifier().fit(twice, both, sample_weight=weights)
    assert estimator.score(X, SIGNS) > 0.9


@pytest.mark.parametrize("weights", [{"yes": 50.0, "no": 0.5}, {"yes": 50.0}])
def test_classes_weigh_by_their_own_names(weights):
    labels = np.where(X[:, 3] > 1, "yes", "no")
    plain, weighted = (
        classifier(class_weight=given, epochs=4).fit(X[:, :3], labels) for given in (None, weights)
    )
    counts = [(estimator.predict(X[:, :3]) == "yes").sum() for estimator in (plain, weighted)]
    assert counts[1] > counts[0] + 20


def test_balanced_classes_weigh_as_scikit_learn_balances_them():
    weights = sklearn.utils.class_weight.compute_sample_weight("balanced", NAMES)
    balanced = classifier(class_weight="balanced", epochs=2).fit(X, NAMES)
    by_row = classifier(epochs=2).fit(X, NAMES, sample_weight=weights)
    assert_same_bits(balanced.model.get_weights(), by_row.model.get_weights())


def test_validation_rows_bring_weights_too():
    held = (X[HELD], NAMES[HELD], np.ones(24))
    assert "val_loss" in classifier().fit(X, NAMES, validation_data=held).history_.history


# Within scikit-learn.


def test_a_pipeline_scales_what_goes_in():
    pipeline = make_pipeline(StandardScaler(), regressor(epochs=20, batch_size=8))
    pipeline.fit(1000 * X, Y, kerasregressor__epochs=30)
    assert pipeline.score(1000 * X, Y) > 0.9
    search = GridSearchCV(pipeline, {"kerasregressor__units": [2, 8]}, cv=2).fit(X, Y)
    assert search.best_estimator_[-1].units == search.best_params_["kerasregressor__units"]


def test_a_search_knows_classifiers_from_regressors():
    assert is_classifier(KerasClassifier())
    assert is_regressor(KerasRegressor())
    # In order of class, which no unstratified fold would survive.
    order = np.argsort(SIGNS)
    scores = cross_val_score(classifier(), X[order], SIGNS[order], cv=3, scoring="roc_auc")
    assert scores.min() > 0.9


def test_halving_spends_epochs_as_its_resource():
    search = HalvingRandomSearchCV(
        regressor(), {"units": [1, 2, 4, 8]}, resource="epochs", max_resources=9, min_resources=3,
        factor=3, cv=2, random_state=0, n_candidates=3,
    )  # fmt: skip
    search.fit(X, Y)
    assert search.n_resources_ == [3, 9]
    assert len(search.best_estimator_.history_) == 9


def test_targets_are_transformed_and_back():
    inner = regressor(epochs=30, batch_size=8)
    wrapped = TransformedTargetRegressor(inner, transformer=StandardScaler())
    assert wrapped.fit(X, 1000 * Y).score(X, 1000 * Y) > 0.5


def test_metadata_are_routed_where_they_are_requested():
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = classifier(epochs=1).set_fit_request(
            sample_weight=True, validation_data=True, callbacks=True, epochs=True
        )
        estimator.set_score_request(sample_weight=True)
        search = GridSearchCV(estimator, {"units": [2]}, cv=2)
        seen = Seen()
        search.fit(
            X,
            NAMES,
            sample_weight=np.ones(96),
            validation_data=(X[HELD], NAMES[HELD]),
            callbacks=[seen],
            epochs=3,
        )
    history = search.best_estimator_.history_.history
    assert (len(history["val_loss"]), seen.epochs) == (3, [])


def test_rows_that_come_in_parts_are_learnt_from_one_pass_each():
    estimator = regressor(batch_size=8)
    for _ in range(6):
        estimator.partial_fit(X[:48], Y[:48])
        model = estimator.model
        estimator.partial_fit(X[48:], Y[48:])
        assert estimator.model is model
    assert model.optimizer.iterations == 6 * 2 * 6
    assert len(estimator.history_) == 1
    assert estimator.score(X, Y) > 0.7


def test_one_pass_is_a_fit_of_one_epoch_and_the_next_has_another_order():
    passes, whole = regressor(), regressor(epochs=1).fit(X, Y)
    assert_same_bits(passes.partial_fit(X, Y).model.get_weights(), whole.model.get_weights())
    seeds = [passes.partial_fit(X, Y).history_.seed for _ in range(3)]
    assert len({0, *seeds}) == 4
    again = regressor().partial_fit(X, Y)
    assert [again.partial_fit(X, Y).history_.seed for _ in range(3)] == seeds


def test_a_classifiers_first_pass_is_told_all_classes():
    estimator = classifier()
    only_two = NAMES != "small"
    for _ in range(2):
        estimator.partial_fit(X[only_two], NAMES[only_two], classes=np.unique(NAMES))
    assert estimator.predict_proba(X).shape == (96, 3)
    for _ in range(8):
        estimator.partial_fit(X, NAMES)
    assert set(estimator.predict(X)) == set(NAMES)


def test_parts_go_on_from_a_whole_fit():
    estimator = classifier().fit(X, SIGNS)
    steps = int(estimator.model.optimizer.iterations)
    estimator.partial_fit(X, SIGNS)
    assert estimator.model.optimizer.iterations == steps + 3


# Copies, files, bits.


def moved(estimator, way):
    if way == "joblib":
        file = io.BytesIO()
        joblib.dump(estimator, file)
        file.seek(0)
        return joblib.load(file)
    return copy.deepcopy(estimator) if way == "copy" else pickle.loads(pickle.dumps(estimator))


@pytest.mark.parametrize(
    "way, kind", diagonal(["pickle", "joblib", "copy"], ["regressor", "classifier"])
)
def test_an_estimator_moves_fitted_or_not_and_predicts_the_same_bits(way, kind):
    make, y = {"regressor": (regressor, Y), "classifier": (classifier, NAMES)}[kind]
    estimator = make(callbacks=[keras.callbacks.EarlyStopping("loss", patience=5)])
    unfitted = moved(estimator, way)
    assert unfitted.get_params().keys() == estimator.get_params().keys()
    fitted = estimator.fit(X, y)
    again = moved(fitted, way)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(unfitted.fit(X, y).predict(X), fitted.predict(X))
    assert again.history_ == fitted.history_
    again.partial_fit(X, y)
    fitted.partial_fit(X, y)
    assert_same_bits(again.model.get_weights(), fitted.model.get_weights())


def test_a_seed_repeats_a_fit_to_the_bit_and_leaves_others_alone():
    first, second, other = (classifier(seed=s).fit(X, NAMES).predict_proba(X) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    before = np.random.get_state()[1].copy()
    drawn = [regressor(seed=None).fit(X, Y) for _ in range(2)]
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    seeds = [estimator.history_.seed for estimator in drawn]
    assert seeds[0] != seeds[1]
    repeated = regressor(seed=seeds[0]).fit(X, Y)
    assert_same_bits(repeated.model.get_weights(), drawn[0].model.get_weights())


def test_numbers_that_other_threads_draw_change_nothing():
    """As a worker's own threads do, from Python's generator, which all of them share."""
    wanted, disturbances, found = regressor().fit(X, Y).predict(X), iter([True, False, False]), []

    def builder(units=8, input_shape=(2,)):
        if next(disturbances):
            drawing = threading.Thread(target=random.random)
            drawing.start()
            drawing.join()
        return number_net(units, input_shape)

    def fit():
        found.append(regressor(builder).fit(X, Y).predict(X))

    fitting = threading.Thread(target=fit)
    fitting.start()
    fitting.join()
    np.testing.assert_array_equal(found[0], wanted)


def test_a_fit_is_that_of_build_and_fit_to_the_bit():
    estimator = regressor(seed=3).fit(X, Y)
    model, _ = ktr.build_and_fit(number_net, (X, Y), epochs=2, seed=3, verbose=0)
    assert_same_bits(estimator.model.get_weights(), model.get_weights())


def test_the_tags_say_whether_a_seed_was_given():
    tags = [sklearn.utils.get_tags(KerasRegressor(seed=seed)) for seed in (None, 0)]
    assert [tag.non_deterministic for tag in tags] == [True, False]


def test_callbacks_are_copied_for_every_fit():
    seen = Seen()
    estimator = regressor(callbacks=[seen])
    cross_val_score(estimator.fit(X, Y), X, Y, cv=2)
    estimator.fit(X, Y, callbacks=seen)
    assert seen.epochs == []
    assert "_model" not in vars(seen) or seen._model is None


def test_a_callback_that_was_used_before_brings_no_model_along():
    used, model = keras.callbacks.EarlyStopping("loss", patience=3), number_net(900, (900,))
    model.fit(np.zeros((8, 900)), np.zeros(8), callbacks=[used], verbose=0)
    estimator = KerasRegressor(build_model, callbacks=[used])
    assert len(pickle.dumps(estimator)) < 10_000
    assert clone(estimator).callbacks[0].model is None
    estimator.fit(X, Y, epochs=2)
    assert used.model is model
    assert estimator.callbacks[0] is used


def test_a_callback_that_holds_a_file_is_copied_as_far_as_that_goes(tmp_path):
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    for _ in range(2):
        log.notes = []
        regressor(epochs=3, callbacks=[log]).fit(X, Y)
        log.csv_file = open(tmp_path / "log.csv", encoding="utf-8")  # noqa: SIM115
    log.csv_file.close()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4


def test_after_ctrl_c_an_estimator_is_fitted_and_a_search_ends():
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    estimator = regressor(epochs=5, callbacks=[Interrupts()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)
    assert len(estimator.history_) == 2
    assert estimator.predict(X).shape == (96,)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(estimator, {"units": [1, 2]}, cv=2).fit(X, Y)


def test_many_rows_are_predicted_as_few_are():
    estimator = classifier(epochs=1, batch_size=2).fit(X, NAMES)
    many = np.tile(X, (8, 1))  # More than 16 batches of 32.
    np.testing.assert_allclose(
        estimator.predict_proba(many)[:96], estimator.predict_proba(X), rtol=1e-5
    )


# What goes wrong.


def unknown(estimator="KerasRegressor"):
    names = {**KerasRegressor(number_net).get_params()}
    return f"`{estimator}`: `parameters` must be one of {', '.join(map(repr, sorted(names)))}"


def without_default(units, input_shape=(8,)):
    return number_net(units, input_shape)


def with_a_method(score=1):
    return number_net()


def two_outputs(input_shape=(8,)):
    inputs = keras.Input(input_shape)
    model = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)])
    model.compile("sgd", ["mse", "mse"])
    return model


BAD = {
    "an unknown parameter": (
        lambda: KerasRegressor(number_net, unit=3),
        f"{unknown()} (did you mean 'units'?). Received: parameters='unit'.",
    ),
    "an unknown parameter set": (
        lambda: regressor().set_params(epoch=3),
        f"{unknown()} (did you mean 'epochs'?). Received: parameters='epoch'.",
    ),
    "a former builder's parameter": (
        lambda: regressor(build_model, n_hidden=2).set_params(build_model=number_net).fit(X, Y),
        f"{unknown()}. Received: parameters='n_hidden'.",
    ),
    "no builder": (
        lambda: KerasRegressor(3).fit(X, Y),
        "`KerasRegressor`: `build_model` must be one of "
        f"{', '.join(map(repr, ktr.list_models()))}. Received: build_model=3.",
    ),
    "a parameter without a value": (
        lambda: regressor(without_default).fit(X, Y),
        "`KerasRegressor`: `units` must be given: the builder has no default for it. Received: "
        "no units.",
    ),
    "a parameter with the name of a method": (
        lambda: regressor(with_a_method).fit(X, Y),
        "`KerasRegressor`: `build_model` must have no parameter named 'score', which the estimator "
        f"has a use for. Received: {ktr._checks.show(with_a_method)}.",
    ),
    "an optimizer for a compiled model": (
        lambda: regressor(optimizer="adam").fit(X, Y),
        "`KerasRegressor`: `optimizer` must be left out where the builder compiles its model. "
        "Received: optimizer='adam'.",
    ),
    "several outputs": (
        lambda: regressor(two_outputs).fit(X, Y),
        "`KerasRegressor.fit`: `build_model` must return a model that gives one row of numbers for "
        "each row of `X`. Received: outputs of shape [(1, 1), (1, 1)].",
    ),
    "an unknown argument of fit": (
        lambda: regressor().fit(X, Y, patient=3),
        "`KerasRegressor.fit`: `fit_arguments` must be one of 'validation_data', "
        "'validation_split', 'epochs', 'batch_size', 'callbacks', 'shuffle', 'class_weight', "
        "'sample_weight', 'monitor', 'mode', 'patience', 'min_delta', 'restore_best', 'schedule', "
        "'unfreeze', 'unfreeze_rate', 'max_time', 'on_nan', 'seed', 'speed', 'verbose' (did you "
        "mean 'patience'?). Received: fit_arguments='patient'.",
    ),
    "one class": (
        lambda: classifier().fit(X, ["a"] * 96),
        "`KerasClassifier.fit`: `y` must hold at least two classes. Received: 1 class.",
    ),
    "a class that wasn't trained on": (
        lambda: classifier().fit(X, SIGNS, validation_data=(X[:2], ["yes", "maybe"])),
        "`KerasClassifier.fit`: `validation_data[1]` must hold classes that it was fitted on, "
        "['no', 'yes']. Received: a label 'maybe'.",
    ),
    "a weight for no class": (
        lambda: classifier(class_weight={1: 2.0}).fit(X, SIGNS),
        "`KerasClassifier.fit`: `class_weight` must be by classes that there are, ['no', 'yes']. "
        "Received: class_weight={1: 2.0}.",
    ),
    "weights that are none": (
        lambda: classifier(class_weight="even").fit(X, SIGNS),
        "`KerasClassifier.fit`: `class_weight` must be a dict from class to weight, or 'balanced' "
        "for one label a row. Received: class_weight='even'.",
    ),
    "no first classes": (
        lambda: classifier().partial_fit(X, SIGNS),
        "`KerasClassifier.partial_fit`: `classes` must be given in the first call. Received: "
        "classes=None.",
    ),
    "other classes later": (
        lambda: classifier().fit(X, SIGNS).partial_fit(X, SIGNS, classes=["a", "b"]),
        "`KerasClassifier.partial_fit`: `classes` must be those of the first call, ['no', 'yes']. "
        "Received: ['a', 'b'].",
    ),
    "rows of another shape": (
        lambda: regressor().fit(X[:, :, None], Y).predict(X),
        "`KerasRegressor.predict`: `X` must have rows of shape (4, 1), as those that it was fitted "
        "on. Received: X=<ndarray of shape (96, 4), float32>.",
    ),
    "weights that weigh nothing": (
        lambda: regressor().fit(X, Y, sample_weight=np.zeros(96)),
        "`KerasRegressor.fit`: `sample_weight` must hold a weight that isn't zero. Received: "
        "sample_weight=<ndarray of shape (96,), float64>.",
    ),
    "epochs of none": (
        lambda: regressor(epochs=0).fit(X, Y),
        "`fit`: `epochs` must be at least 1. Received: epochs=0.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("call, sentence", BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_in_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert str(error.value) == sentence


def test_a_dataset_is_for_fit():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(TypeError, match=r"`X` must be arrays; kerastrain\.fit takes a Dataset"):
        regressor().fit(dataset, Y)
