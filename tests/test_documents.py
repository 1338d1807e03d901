"""One test for each capability of the study notes, found by its row: D1.* to D5.*."""

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain.callbacks import checkpoint, early_stopping, standard


@pytest.fixture(scope="module")
def data():
    return ktr.load_dataset("fashion_mnist_small")


@pytest.fixture(scope="module")
def few(data):
    """A few hundred rows of it, where the capability and not the result is looked at."""
    (x, y), (x_val, y_val) = data.train, data.val
    return (x[:480], y[:480]), (x_val[:120], y_val[:120])


@pytest.fixture(scope="module")
def housing():
    """A regression with a known answer: eight features, a curved target and a little noise."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(800, 8)).astype("float32")
    y = x[:, 0] + 0.5 * x[:, 1] ** 2 + generator.normal(scale=0.1, size=800)
    return x, y.astype("float32")


def dense(optimizer="rmsprop", a_layer=None):
    return ktr.compile_for_task(ktr.build("dense", a_layer), optimizer=optimizer)


# D1: training a network on Fashion-MNIST


def test_d1_1_model_fn_builds_the_notes_network(capsys):
    model = ktr.model_fn()
    model.summary()
    assert model.count_params() == 79_510
    assert [type(layer).__name__ for layer in model.layers] == ["Flatten", "Dense", "Dense"]
    assert "79,510" in capsys.readouterr().out
    with_dropout = ktr.model_fn(keras.layers.Dropout(0.3))
    assert [type(layer).__name__ for layer in with_dropout.layers][2] == "Dropout"


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_d1_2_compile_with_rmsprop_or_adam_and_sparse_cross_entropy(few, optimizer):
    model = dense(optimizer)
    assert model.loss == "sparse_categorical_crossentropy"
    assert type(model.optimizer) is type(keras.optimizers.get(optimizer))
    history = ktr.fit(model, *few[0], epochs=1, verbose=0)
    assert {"loss", "accuracy"} <= set(history.history)


def test_d1_3_images_come_scaled_and_split_with_a_seed(data):
    assert (data.train[0].min(), data.train[0].max()) == (0.0, 1.0)
    assert len(data.train[0]) / (len(data.train[0]) + len(data.val[0])) == 0.8
    again = ktr.load_dataset("fashion_mnist_small", seed=42)
    np.testing.assert_array_equal(again.val[1], data.val[1])


def test_d1_4_the_history_has_the_curves_and_one_call_draws_them(few):
    history = ktr.fit(dense(), *few[0], epochs=3, verbose=0)
    assert len(history.history["loss"]) == len(history.history["accuracy"]) == 3
    axes = ktr.plot_history(history)
    assert len(axes) == 2
    np.testing.assert_allclose(axes[0].get_lines()[0].get_ydata(), history.history["loss"])


def test_d1_5_training_and_validation_loss_stand_in_one_picture(few):
    train, val = few
    history = ktr.fit(dense(), *train, validation_data=val, epochs=3, verbose=0)
    (axes,) = ktr.plot_history(history, metrics="loss")
    drawn = [list(line.get_ydata()) for line in axes.get_lines()]
    assert history.history["loss"] in drawn
    assert history.history["val_loss"] in drawn


def test_d1_5_rmsprop_overfits_sooner_than_adam_and_dropout_delays_it(data):
    def rise(optimizer, a_layer=None):
        """How far the validation loss has risen above its lowest at the end."""
        _, history = ktr.build_and_fit(
            "dense", data, a_layer=a_layer, optimizer=optimizer, epochs=20, seed=1, verbose=0
        )
        return history.history["val_loss"][-1] - min(history.history["val_loss"])

    rmsprop, adam = rise("rmsprop"), rise("adam")
    with_dropout = rise("adam", keras.layers.Dropout(0.3))
    assert rmsprop > adam > with_dropout


def test_d1_6_dropout_acts_in_training_only(few):
    model = ktr.model_fn(keras.layers.Dropout(0.5))
    x = few[0][0][:8]
    predicted = model.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), predicted)
    np.testing.assert_allclose(model(x, training=False), predicted, rtol=1e-5)
    assert np.abs(model(x, training=True) - predicted).max() > 0.01


def test_d1_7_weights_are_saved_and_loaded(few, tmp_path):
    model = dense(a_layer=keras.layers.Dropout(0.3))
    ktr.fit(model, *few[0], epochs=1, verbose=0)
    path = ktr.save_weights(model, tmp_path / "model.weights.h5")
    fresh = ktr.load_weights(dense(a_layer=keras.layers.Dropout(0.3)), path)
    assert fresh.evaluate(*few[1], verbose=0) == model.evaluate(*few[1], verbose=0)


def test_d1_8_a_whole_model_is_saved_and_loaded(few, tmp_path):
    model = dense()
    ktr.fit(model, *few[0], epochs=1, verbose=0)
    loaded = ktr.load_model(ktr.save_model(model, tmp_path / "model-whole.keras"))
    assert loaded.evaluate(*few[1], verbose=0) == model.evaluate(*few[1], verbose=0)
    with pytest.raises(ValueError, match=r'write ".*model-whole\.keras"'):
        ktr.save_model(model, tmp_path / "model-whole.h5")


def test_d1_9_the_best_model_is_checkpointed_and_loaded(few, tmp_path):
    train, val = few
    path = tmp_path / "best-model.keras"
    model = dense()
    history = ktr.fit(
        model, *train, validation_data=val, epochs=8, callbacks=checkpoint(path), verbose=0
    )
    best = ktr.load_model(path).evaluate(*val, verbose=0, return_dict=True)
    assert best["loss"] == pytest.approx(min(history.history["val_loss"]), rel=1e-6)


def test_d1_10_early_stopping_works_beside_the_checkpoint(few, tmp_path):
    train, val = few
    model = dense(keras.optimizers.Adam(0.01))
    path = tmp_path / "best-model.keras"
    history = ktr.fit(
        model, *train, validation_data=val, epochs=200, callbacks=standard(path), verbose=0
    )
    assert history.stop_reason == "early_stopping"
    assert history.stopped_epoch == len(history) - 1 == history.best_epoch + 2
    restored = model.evaluate(*val, verbose=0)
    assert restored == ktr.load_model(path).evaluate(*val, verbose=0)
    assert restored[0] == pytest.approx(min(history.history["val_loss"]), rel=1e-6)


# D2: the learning rate, the batch size, the size of the network


def test_d2_6_the_rate_is_swept_from_1e_5_to_10_in_500_steps_and_starts_afresh(data):
    model = dense("sgd")
    before = model.get_weights()
    sweep = ktr.lr_find(model, *data.train)
    assert (sweep.rates[0], len(sweep.rates) <= 500) == (pytest.approx(1e-5), True)
    np.testing.assert_allclose(np.diff(np.log(sweep.rates)), np.log(1e6) / 499, rtol=1e-9)
    for weights, swept in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, swept)
    (ax,) = [ktr.plot_lr_sweep(sweep)]
    assert list(ax.get_lines()[1].get_ydata()) == sweep.smoothed
    # Theirs, a tenth of the rate where the loss turns up, stands beside the suggestion.
    assert 0.2 < sweep.rules["turning point / 10"] / sweep.suggestion < 5


def test_d2_7_batches_from_small_to_large_are_compared_with_and_without_warm_up(few):
    table = ktr.compare_batch_sizes("dense", few[0], sizes=[32, 480], epochs=2, verbose=0)
    assert {(run.batch_size, run.schedule) for run in table.runs} == {
        (size, schedule) for size in (32, 480) for schedule in ("", "warmup")
    }
    assert {"s an epoch", "MB a step", "loss", "epochs to best"} <= set(table.rows[0])


def test_d2_8_layers_and_neurons_are_parameters_of_the_builder(housing):
    def rows(**params):
        _, history = ktr.build_and_fit(
            "regression", housing, params=params, validation_split=0.2, seed=1, verbose=0
        )
        return history.history["loss"]

    assert rows(n_hidden=1, n_neurons=8) != rows(n_hidden=3, n_neurons=64)


# D3: metrics, early stopping, checkpoints, task kinds, optimizers


def test_d3_1_regression_has_r2(housing):
    model, history = ktr.build_and_fit(
        "regression", housing, epochs=30, validation_split=0.2, seed=1, verbose=0
    )
    assert {"val_mae", "val_mse", "val_r2"} <= set(history.history)
    x, y = housing
    residual = np.sum((y - model.predict(x, verbose=0)[:, 0]) ** 2)
    r2 = 1 - residual / np.sum((y - y.mean()) ** 2)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["r2"] == pytest.approx(r2, abs=1e-4)


def test_d3_1_binary_ends_in_one_sigmoid_unit(housing):
    x, y = housing
    labels = (y > np.median(y)).astype("int64")
    model, history = ktr.build_and_fit("binary", (x, labels), epochs=15, seed=1, verbose=0)
    assert model.loss == "binary_crossentropy"
    assert model.output_shape == (None, 1)
    assert history.best["accuracy"] > 0.8


def test_d3_1_one_hot_labels_get_the_categorical_loss(few):
    (x, y), _ = few
    model, _ = ktr.build_and_fit("dense", (x, np.eye(10)[y]), epochs=1, verbose=0)
    assert model.loss == "categorical_crossentropy"


def test_d3_1_a_mismatch_raises_where_keras_trains_to_nonsense(few):
    model = ktr.model_fn()
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="not pair a softmax head with mean_squared_error"):
        ktr.fit(model, *few[0])


def test_d3_2_early_stopping_ends_thousands_of_epochs(housing):
    stopper = early_stopping("val_loss", patience=10, mode="min", restore_best_weights=True)
    _, history = ktr.build_and_fit(
        "regression",
        housing,
        params={"n_hidden": 2, "n_neurons": 64},
        learning_rate=0.01,
        epochs=5_000,
        batch_size=200,
        validation_split=0.2,
        callbacks=[stopper],
        seed=1,
        verbose=0,
    )
    assert history.stop_reason == "early_stopping"
    assert history.best_epoch == history.stopped_epoch - 10
    assert history.best["val_r2"] > 0.9


def test_d3_3_the_notes_checkpoint_line_raises_with_the_line_to_write(housing, tmp_path):
    arguments = {"monitor": "val_loss", "mode": "auto", "save_best_only": True, "verbose": 1}
    folder = tmp_path / "_mcp"
    with pytest.raises(ValueError, match=r'write checkpoint\(".*tf18_cali\.keras"\)'):
        checkpoint(filepath=folder / "tf18_cali.hdf5", **arguments)
    written = checkpoint(filepath=folder / "tf18_cali.keras", **arguments)
    fit = {"epochs": 2, "validation_split": 0.2, "callbacks": [written], "verbose": 0}
    ktr.build_and_fit("regression", housing, **fit)
    assert (folder / "tf18_cali.keras").is_file()


def test_d3_4_the_training_time_is_in_the_history(few):
    history = ktr.fit(dense(), *few[0], epochs=3, verbose=0)
    assert len(history.history["seconds"]) == 3
    assert history.seconds == sum(history.history["seconds"]) > 0


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", keras.optimizers.SGD(momentum=0.9), "adagrad", "rmsprop", "adam"],
    ids=["sgd", "momentum", "adagrad", "rmsprop", "adam"],
)
def test_d3_5_every_optimizer_of_the_notes_learns(few, optimizer):
    history = ktr.fit(dense(optimizer), *few[0], epochs=3, seed=1, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_d3_6_evaluate_returns_loss_and_accuracy(few):
    model = dense()
    ktr.fit(model, *few[0], epochs=1, verbose=0)
    loss, accuracy = model.evaluate(*few[1], verbose=0)
    right = model.predict(few[1][0], verbose=0).argmax(axis=1) == few[1][1]
    assert loss > 0
    assert accuracy == pytest.approx(right.mean())


# D4: modelling steps


def test_d4_1_the_mnist_classifier(few):
    model = ktr.build("dense", keras.layers.Dropout(0.2), units=128)
    assert model.count_params() == 784 * 128 + 128 + 128 * 10 + 10
    ktr.compile_for_task(model, "multiclass")
    assert ktr.fit(model, *few[0], epochs=5, seed=1, verbose=0).best["accuracy"] > 0.5


def test_d4_2_the_regressor_takes_its_input_width_from_the_data():
    x = np.random.default_rng(0).normal(size=(64, 5))
    model, _ = ktr.build_and_fit(
        "regression", (x, x.sum(axis=1)), params={"n_hidden": 2, "n_neurons": 64}, verbose=0
    )
    assert model.input_shape == (None, 5)
    assert [layer.units for layer in model.layers] == [64, 64, 1]


@pytest.mark.parametrize(
    ("builder", "activation", "loss", "metrics"),
    [
        ("dense", "softmax", "sparse_categorical_crossentropy", {"accuracy"}),
        ("binary", "sigmoid", "binary_crossentropy", {"accuracy"}),
        ("regression", "linear", "mean_squared_error", {"mae", "mse", "r2"}),
    ],
)
def test_d4_3_each_task_has_its_activation_loss_and_metrics(builder, activation, loss, metrics):
    model = ktr.compile_for_task(ktr.build(builder))
    assert model.layers[0].name.startswith("flatten") or model.layers[0].activation.__name__ == (
        "relu"
    )
    assert model.layers[-1].activation.__name__ == activation
    assert model.loss == loss
    x = np.zeros((4, *model.input_shape[1:]), "float32")
    logged = set(ktr.fit(model, x, np.array([0, 1, 0, 1]), verbose=0).history)
    assert logged - {"loss", "learning_rate", "seconds"} == metrics


def test_d4_3_mae_and_auc_on_request(housing):
    x, y = housing
    regressor = ktr.compile_for_task(ktr.build("regression"), loss="mae", metrics=["mse"])
    assert regressor.loss == "mean_absolute_error"
    classifier = ktr.compile_for_task(ktr.build("binary"), metrics=["accuracy", "auc"])
    history = ktr.fit(classifier, x, (y > np.median(y)).astype(int), epochs=8, verbose=0)
    assert history.best["auc"] > 0.8


def test_d4_4_old_history_names_mean_todays(few):
    train, val = few
    model = dense("adam")
    history = ktr.fit(
        model, *train, validation_data=val, epochs=60, monitor="val_acc", patience=3, verbose=0
    )
    assert history.monitor == "val_accuracy"
    assert history.stop_reason == "early_stopping"
    assert history.best["val_accuracy"] == max(history.history["val_accuracy"])
    assert model.predict(val[0], verbose=0).shape == (120, 10)


# D5: text model, early stopping, checkpoints, compile, fit explained

REVIEWS = [
    "정말 재미있는 영화",
    "아주 좋은 연기",
    "최고의 감동",
    "지루한 영화",
    "아쉬운 연기",
    "최악의 각본",
]


def test_d5_1_embedding_and_lstm_take_raw_korean_reviews():
    texts, labels = REVIEWS * 20, [1, 1, 1, 0, 0, 0] * 20
    model, history = ktr.build_and_fit(
        "text",
        (texts, np.array(labels)),
        params={"split": "character", "length": 12, "embedding": 8, "units": 8},
        optimizer="rmsprop",
        learning_rate=0.01,
        epochs=12,
        seed=1,
        verbose=0,
    )
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["TextVectorization", "Embedding", "LSTM", "Dense"]
    assert model.loss == "binary_crossentropy"
    assert history.best["accuracy"] == 1.0
    assert model.predict(np.array(REVIEWS[:1], dtype=object), verbose=0)[0, 0] > 0.5


def test_d5_2_early_stopping_takes_the_notes_arguments():
    made = early_stopping(monitor="val_loss", mode="min", verbose=1, patience=4, min_delta=0.01)
    assert (made.monitor, made.mode, made.verbose, made.patience) == ("val_loss", "min", 1, 4)
    assert made.min_delta == 0.01
    for argument in ("monitor", "mode", "verbose", "patience", "min_delta"):
        assert f"{argument}: " in early_stopping.__doc__


def test_d5_3_checkpoint_takes_the_notes_arguments_but_period(tmp_path):
    arguments = {
        "filepath": tmp_path / "best.weights.h5",
        "monitor": "val_acc",
        "verbose": 1,
        "save_best_only": True,
        "save_weights_only": True,
        "mode": "max",
    }
    assert checkpoint(**arguments).save_weights_only
    with pytest.raises(ValueError, match='write save_freq="epoch"'):
        checkpoint(**arguments, period=1)


def test_d5_4_steps_are_rows_by_batch_size_rounded_up():
    x, y = np.zeros((101, 8), "float32"), np.zeros(101, "float32")
    model = ktr.compile_for_task(ktr.build("regression"))
    history = ktr.fit(
        model, x, y, epochs=15, batch_size=60, validation_split=0.2, shuffle=False, verbose=0
    )
    assert len(history) == 15
    # 80 rows are left to train on: ceil(80 / 60) = 2 steps an epoch.
    assert int(model.optimizer.iterations) == 15 * 2


def test_d5_5_the_help_explains_epochs_batches_validation_and_test():
    text = " ".join(ktr.fit.__doc__.split())
    assert "An epoch is one pass over the training rows" in text
    assert "`ceil(rows / batch_size)` times an epoch" in text
    assert "The validation rows are never trained on" in text
    assert "Keep a third part, the test rows, for the end" in text
