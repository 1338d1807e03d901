"""`objective`: a function from parameters to a number, for libraries that minimise one."""

import dataclasses
import math
import pickle
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.search import Objective, objective

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 8)).astype("float32")
Y = X[:, 0] + 0.1 * GENERATOR.normal(size=60).astype("float32")
DATA = ktr.Data(
    name="made",
    train=(X[:40], Y[:40]),
    val=(X[40:50], Y[40:50]),
    test=(X[50:], Y[50:]),
    task="regression",
    classes=None,
    source="here",
)


def build_model(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=(8,)):
    """The study notes' own, which compiles."""
    model = ktr.build("regression", n_hidden=n_hidden, n_neurons=n_neurons, input_shape=input_shape)
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    return model


def fails(n_neurons=1):
    raise RuntimeError(f"{n_neurons} neurons are not to be had")


def message(kind, call, *arguments, **named):
    with pytest.raises(kind) as error:
        call(*arguments, **named)
    return str(error.value)


# The number.


def test_the_number_is_the_best_epochs_as_the_history_has_it():
    # Noise that is learnt by heart, so that the best epoch comes before the last.
    noise = GENERATOR.normal(size=50)
    rows = dataclasses.replace(DATA, train=(X[:40], noise[:40]), val=(X[40:50], noise[40:]))
    loss = objective("regression", rows, epochs=30, learning_rate=0.02)
    history = loss.history(n_neurons=20)
    assert loss(n_neurons=20) == min(history.history["val_loss"])
    assert loss(n_neurons=20) < history.history["val_loss"][-1]
    assert (history.monitor, history.best_epoch) == (
        "val_loss",
        int(np.argmin(history.history["val_loss"])),
    )


@pytest.mark.parametrize("metric, sign", [("val_r2", -1), ("val_mae", 1), ("mse", 1)])
def test_of_a_metric_of_which_more_is_better_comes_the_negative(metric, sign):
    score = objective("regression", DATA, metric=metric, epochs=4)
    column = score.history().history[metric]
    assert score() == min(sign * value for value in column)


def test_accuracy_goes_by_its_old_name_too():
    data = ktr.load_dataset("fashion_mnist_small")
    few = dataclasses.replace(data, train=(data.train[0][:200], data.train[1][:200]))
    error = objective("dense", few, metric="val_acc", epochs=3)
    assert error(units=8) == -max(error.history(units=8).history["val_accuracy"]) < 0


def test_a_mode_says_what_a_name_does_not():
    def error_of(y, predicted):
        return keras.ops.mean(keras.ops.abs(y - predicted), axis=-1)

    bad = objective("regression", DATA, metric="val_error_of", metrics=[error_of], mode="max")
    column = bad.history(epochs=3).history["val_error_of"]
    assert bad(epochs=3) == -max(column)


def test_a_stopper_of_the_users_chooses_the_epoch():
    stopper = keras.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True)
    arguments = {"epochs": 6, "optimizer": "sgd", "learning_rate": 0.2, "callbacks": [stopper]}
    loss = objective("regression", DATA, metric="val_loss", **arguments)
    history = loss.history()
    assert history.monitor == "loss"
    assert loss() == history.best["val_loss"]


def test_a_monitor_of_the_users_chooses_the_epoch_its_own_way():
    score = objective("regression", DATA, metric="val_r2", monitor="loss", epochs=3)
    history = score.history()
    assert history.best_epoch == int(np.argmin(history.history["loss"]))
    assert score() == -history.best["val_r2"]


# The parameters.


def test_parameters_come_as_a_dict_or_as_keywords_with_numbers_of_numpy():
    loss = objective("regression", DATA, epochs=2)
    drawn = {"n_neurons": np.int64(3), "batch_size": np.int32(8), "learning_rate": np.float32(0.02)}
    assert loss(drawn) == loss(**drawn) == loss({"n_neurons": 3}, batch_size=8, learning_rate=0.02)
    assert loss(drawn) != loss({**drawn, "batch_size": 16})


def test_a_call_comes_before_what_holds_for_every_call():
    loss = objective(build_model, DATA, params={"n_neurons": 2}, learning_rate=0.02, epochs=2)
    assert loss.always.params == {"n_neurons": 2, "learning_rate": 0.02}
    assert loss(n_neurons=3, epochs=1) == objective(build_model, DATA)(
        n_neurons=3, epochs=1, learning_rate=0.02
    )
    assert len(loss.history()) == 2
    assert loss.history().history["learning_rate"][0] == pytest.approx(0.02)


def test_every_call_has_the_same_seed_unless_it_is_told_another():
    loss = objective("regression", DATA, epochs=1)
    assert loss() == loss() == objective("regression", DATA, epochs=1)()
    assert loss(seed=1) == objective("regression", DATA, epochs=1, seed=1)() != loss()
    drawn = objective("regression", DATA, epochs=1, seed=None)
    assert drawn() != drawn()


def test_the_generators_of_a_library_go_on_as_if_nothing_had_run():
    loss = objective("regression", DATA, epochs=1)
    random.seed(5), np.random.seed(5)
    wanted = random.random(), np.random.random()
    random.seed(5), np.random.seed(5)
    loss()
    assert (random.random(), np.random.random()) == wanted


def test_callbacks_are_copied_for_every_run():
    class Counts(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1
            logs["counted"] = self.epochs

    mine = Counts()
    loss = objective("regression", DATA, callbacks=mine, epochs=2)
    assert [loss.history().history["counted"] for _ in range(2)] == [[1, 2], [1, 2]]
    assert mine.epochs == 0


def test_a_pair_with_a_split_and_a_dataset_do_as_well():
    split = objective("regression", (X, Y), validation_split=0.25, epochs=1)
    assert 0 < split() < 10
    rows = tf.data.Dataset.from_tensor_slices((X, Y[:, None])).batch(20)
    assert 0 < objective("regression", rows, metric="loss", task="regression")() < 10
    held_out = objective("regression", rows, validation_data=rows, epochs=1, task="regression")
    assert held_out() == held_out.history().best["val_loss"]


# Elsewhere, and in trouble.


def test_it_travels_before_and_after_it_was_called():
    loss = objective(build_model, DATA, epochs=2, callbacks=[keras.callbacks.TerminateOnNaN()])
    value = loss(n_neurons=3)
    again = pickle.loads(pickle.dumps(loss))
    assert isinstance(again, Objective)
    assert again(n_neurons=3) == value


@pytest.mark.parametrize("backend, calls", [("threading", 2), ("loky", 1)])
def test_the_number_is_the_same_in_threads_and_in_another_process(backend, calls):
    joblib = pytest.importorskip("joblib", reason="it comes with scikit-learn")
    loss = objective("regression", DATA, epochs=2)
    with joblib.parallel_config(backend, n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(loss)(n_neurons=3) for _ in range(calls))
    assert found == [loss(n_neurons=3)] * calls


@pytest.mark.parametrize("metric", ["val_loss", "val_r2"])
def test_a_run_that_is_lost_to_nan_is_infinite_and_the_search_goes_on(metric):
    found = objective("regression", DATA, metric=metric, optimizer="sgd", epochs=3)
    assert found(learning_rate=1e20) == math.inf
    assert math.isfinite(found(learning_rate=1e-3))


def test_a_lost_run_counts_what_it_is_told_to():
    loss = objective("regression", DATA, optimizer="sgd", epochs=3, lost=1e6)
    assert loss(learning_rate=1e20) == 1e6


def test_the_accuracy_of_a_model_of_nan_does_not_count():
    labels = np.zeros(60, int)
    labels[:3] = [1, 2, 1]
    error = objective("dense", (X, labels), metric="accuracy", optimizer="sgd", batch_size=4)
    history = error.history(learning_rate=1e30)
    assert (history.stop_reason, history.best_epoch) == ("nan", None)
    assert history.history["accuracy"][0] > 0.5
    assert error(learning_rate=1e30) == math.inf


def test_a_run_that_was_good_before_it_was_lost_counts_with_its_best_epoch():
    class LosesLast(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.set_weights([w * math.nan for w in self.model.get_weights()])

    loss = objective("regression", DATA, epochs=3, callbacks=[LosesLast()])
    history = loss.history()
    assert (history.stop_reason, history.best_epoch) == ("nan", 1)
    assert loss() == history.history["val_loss"][1]
    last = objective("regression", DATA, epochs=3, callbacks=[LosesLast()], restore_best=False)
    assert last() == math.inf


def test_an_error_of_the_builders_is_raised_as_it_is():
    loss = objective(fails, DATA)
    assert message(RuntimeError, loss, n_neurons=3) == "3 neurons are not to be had"


def test_ctrl_c_ends_the_search_as_well():
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        objective("regression", DATA, callbacks=Interrupts(), epochs=3)()


# What is wrong is said in one sentence, before the first run where it can be.


def test_a_metric_that_is_not_there_is_refused_after_one_epoch_with_what_there_is():
    epochs = []

    class Counts(keras.callbacks.Callback):
        def __deepcopy__(self, memo):
            return self

        def on_epoch_end(self, epoch, logs=None):
            epochs.append(epoch)

    loss = objective("regression", DATA, metric="val_accuracy", epochs=9, callbacks=Counts())
    assert message(ValueError, loss) == (
        "`objective`: `metric` must be one of 'loss', 'mae', 'mse', 'r2', 'val_loss', 'val_mae', "
        "'val_mse', 'val_r2'. Received: metric='val_accuracy'."
    )
    assert epochs == [0]


def test_a_misspelt_metric_has_its_nearest_named():
    loss = objective("regression", DATA, metric="val_maes", mode="min")
    assert message(ValueError, loss) == (
        "`objective`: `metric` must be one of 'loss', 'mae', 'mse', 'r2', 'val_loss', 'val_mae', "
        "'val_mse', 'val_r2' (did you mean 'val_mae'?). Received: metric='val_maes'."
    )


@pytest.mark.parametrize(
    "kind, arguments, sentence",
    [
        (
            ValueError,
            {"metric": "val_mystery"},
            "`mode` must be 'min' or 'max' for a metric whose name doesn't tell, such as "
            "'val_mystery'. Received: mode='auto'.",
        ),
        (
            ValueError,
            {"mode": "down"},
            "`mode` must be one of 'auto', 'min', 'max'. Received: mode='down'.",
        ),
        (
            TypeError,
            {"metric": ["val_loss"]},
            "`metric` must be the name of a metric. Received: metric=['val_loss'].",
        ),
        (
            ValueError,
            {"validation_data": None},
            "`metric` must be a training metric where there is neither validation_data nor "
            "validation_split. Received: metric='val_loss'.",
        ),
        (TypeError, {"lost": "much"}, "`lost` must be a number. Received: lost='much'."),
        (ValueError, {"lost": math.nan}, "`lost` must be finite. Received: lost=nan."),
        (ValueError, {"seed": -1}, "`seed` must be at least 0. Received: seed=-1."),
        (TypeError, {"seed": 0.5}, "`seed` must be a whole number. Received: seed=0.5."),
        (
            TypeError,
            {"params": [3]},
            "`params` must be a dict or keywords; skopt.utils.use_named_args makes keywords of a "
            "list. Received: params=[3].",
        ),
    ],
)
def test_a_wrong_argument_is_refused_before_the_first_run(kind, arguments, sentence):
    assert message(kind, objective, "regression", DATA, **arguments) == f"`objective`: {sentence}"


def test_a_parameter_that_nobody_knows_is_met_with_both_lists():
    loss = objective("regression", DATA)
    for call in (lambda: loss(n_neuron=3), lambda: objective("regression", DATA, n_neuron=3)):
        text = message(ValueError, call)
        assert text.startswith(
            "`objective`: `params` must be parameters of the builder ('n_hidden', 'n_neurons', "
            "'input_shape', 'outputs') or arguments of build_and_fit ('a_layer', 'batch_size', "
        )
        assert text.endswith(" (did you mean 'n_neurons'?). Received: 'n_neuron'.")


def test_a_list_of_values_without_names_is_refused():
    assert message(TypeError, objective("regression", DATA), [1, 30]) == (
        "`objective`: `params` must be a dict or keywords; skopt.utils.use_named_args makes "
        "keywords of a list. Received: params=[1, 30]."
    )


def test_a_builder_that_is_not_there_is_refused():
    assert message(ValueError, objective, "regresion", DATA).endswith(
        "'regression', 'text' (did you mean 'regression'?). Received: builder='regresion'."
    )


@pytest.mark.parametrize("data", [X, None, "digits", (X, Y, X), iter([(X, Y)])])
def test_data_of_another_kind_are_refused(data):
    assert message(TypeError, objective, "regression", data).startswith(
        "`objective`: `data` must be what load_dataset returns, a pair (x, y), a tf.data.Dataset "
        "or a PyDataset. Received: data="
    )


def test_rows_that_do_not_fit_each_other_are_refused():
    assert message(ValueError, objective, "regression", (X, Y[:50]), metric="loss") == (
        "`objective`: `x` must have as many rows as `y`. Received: len(x)=60, len(y)=50."
    )


def test_a_value_that_fit_refuses_is_refused_in_its_words():
    assert message(ValueError, objective("regression", DATA), batch_size=0) == (
        "`fit`: `batch_size` must be at least 1. Received: batch_size=0."
    )
