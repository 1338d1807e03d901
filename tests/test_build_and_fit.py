"""`build_and_fit`: what the data tell it, what it passes on, and the rate that it sweeps for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same_bits, measures

import kerastrain as ktr

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def compiled(rate=0.01):
    """A small model, as a builder of the user's own might return it."""
    model = ktr.build("dense", input_shape=(4,), units=8, classes=3)
    return ktr.compile_for_task(model, "multiclass", optimizer="sgd", learning_rate=rate)


@pytest.fixture(scope="module")
def data():
    return ktr.Data(
        name="made",
        train=(X[:40], Y[:40]),
        val=(X[40:50], Y[40:50]),
        test=(X[50:], Y[50:]),
        task="multiclass",
        classes=("a", "b", "c"),
        source="here",
    )


def test_data_tell_the_builder_its_shapes_and_the_model_its_task(data):
    trained = ktr.build_and_fit("dense", data, epochs=2, verbose=0, params={"units": 7})
    assert isinstance(trained, ktr.Trained)
    model, history = trained
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert model.layers[1].units == 7
    assert model.loss == "sparse_categorical_crossentropy"
    assert "val_loss" in history.history
    loss = model.evaluate(*data.val, verbose=0)[0]
    assert loss == pytest.approx(history.best["val_loss"], rel=1e-6)


@pytest.mark.parametrize(
    "builder, y, output, loss",
    [
        ("dense", Y, 3, "sparse_categorical_crossentropy"),
        ("dense", np.eye(3)[Y], 3, "categorical_crossentropy"),
        ("regression", X[:, 0], 1, "mean_squared_error"),
        ("regression", X[:, :2], 2, "mean_squared_error"),
        ("binary", (Y > 0).tolist(), 1, "binary_crossentropy"),
    ],
    ids=["classes", "one-hot", "numbers", "two columns", "two classes"],
)
def test_a_pair_tells_what_its_labels_say(builder, y, output, loss):
    model, history = ktr.build_and_fit(builder, (X, y), optimizer="sgd", verbose=0, speed="plain")
    assert (model.output_shape, model.loss) == ((None, output), loss)
    assert history.monitor == "loss"


def test_a_split_that_is_asked_for_takes_the_place_of_the_datas_own(data):
    steps = []
    count = keras.callbacks.LambdaCallback()
    count.on_test_batch_end = lambda batch, logs=None: steps.append(batch)
    arguments = {"optimizer": "sgd", "verbose": 0, "batch_size": 1, "callbacks": count}
    ktr.build_and_fit("dense", data, validation_split=0.1, **arguments)
    assert len(steps) == 4
    ktr.build_and_fit("dense", data, validation_data=None, **arguments)
    assert len(steps) == 4


def test_one_seed_makes_two_calls_the_same_from_the_first_weights_on(data):
    layer = keras.layers.Dropout(0.5)
    calls = [
        ktr.build_and_fit("dense", data, a_layer=layer, optimizer="sgd", seed=seed, verbose=0)
        for seed in (3, 3)
    ]
    assert_same_bits(calls[0].model.get_weights(), calls[1].model.get_weights())
    assert measures(calls[0].history) == measures(calls[1].history)
    assert calls[0].history.seed == 3


def test_optimizer_rate_metrics_and_loss_are_passed_on(data):
    model, history = ktr.build_and_fit(
        "dense", data, optimizer="sgd", learning_rate=0.25, metrics=["auc"], verbose=0
    )
    assert type(model.optimizer) is keras.optimizers.SGD
    assert history.history["learning_rate"] == [0.25]
    assert "val_auc" in history.history


def test_a_model_that_its_builder_compiled_keeps_its_loss_and_its_optimizer(data):
    made = []

    def builder():
        made.append(compiled(rate=0.125))
        return made[0]

    before = compiled(rate=0.125)
    model, history = ktr.build_and_fit(builder, data, verbose=0)
    assert model is made[0]
    assert type(model.optimizer) is type(before.optimizer)
    assert (model.loss, history.history["learning_rate"]) == (before.loss, [0.125])


def test_a_model_that_its_builder_compiled_is_trained_at_the_rate_that_is_given(data):
    _, history = ktr.build_and_fit(compiled, data, learning_rate=0.25, verbose=0)
    assert history.history["learning_rate"] == [0.25]


def test_a_rate_beside_a_schedule_of_the_builders_own_is_refused(data):
    def builder():
        model = compiled()
        decay = keras.optimizers.schedules.CosineDecay(0.1, 10)
        model.compile(keras.optimizers.SGD(decay), model.loss)
        return model

    with pytest.raises(ValueError, match="build_and_fit") as error:
        ktr.build_and_fit(builder, data, learning_rate=0.25)
    assert str(error.value) == (
        "`build_and_fit`: `learning_rate` must be left out where the builder's optimizer runs a "
        "schedule. Received: learning_rate=0.25."
    )


# The rate that a sweep finds.


@pytest.fixture(scope="module")
def clothes():
    return ktr.load_dataset("fashion_mnist_small")


def test_a_rate_that_is_swept_for_is_trained_with_and_said_in_one_line(clothes, capsys):
    _, history = ktr.build_and_fit("dense", clothes, learning_rate="auto", verbose=2)
    lines = capsys.readouterr().out.splitlines()
    (rate,) = history.history["learning_rate"]
    assert 3e-4 < rate < 2e-2
    assert lines[0].startswith(f"learning_rate={rate:.2g}, from a sweep of ")
    assert lines[0].endswith(" steps")
    assert sum("learning_rate=" in line and "sweep" in line for line in lines) == 1


def test_a_sweep_before_training_changes_the_rate_and_nothing_else(clothes):
    few = tuple(part[:640] for part in clothes.train)
    arguments = {"seed": 3, "verbose": 0, "a_layer": keras.layers.Dropout(0.5), "epochs": 2}
    swept = ktr.build_and_fit("dense", few, learning_rate="auto", **arguments)
    rate = float(swept.model.optimizer.learning_rate)
    given = ktr.build_and_fit("dense", few, learning_rate=rate, **arguments)
    assert_same_bits(swept.model.get_weights(), given.model.get_weights())
    assert measures(swept.history) == measures(given.history)


def test_the_sweep_takes_the_batch_size_and_the_weights_of_the_run(data, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "kerastrain._rate_choice.lr_find",
        lambda *_, **named: asked.append(named) or ktr.LRSweep([1.0], [1.0], [1.0], 0.25, True),
    )
    weights = np.ones(40)
    _, history = ktr.build_and_fit(
        "dense", data, learning_rate="auto", batch_size=8, sample_weight=weights, verbose=0
    )
    assert asked[0]["batch_size"] == 8
    assert asked[0]["sample_weight"] is weights
    assert history.history["learning_rate"] == [0.25]


def test_the_sweep_sees_no_row_that_is_held_out(monkeypatch):
    swept, trained = [], []
    monkeypatch.setattr(
        "kerastrain._rate_choice.lr_find",
        lambda model, x, y, **_: swept.append(x) or ktr.LRSweep([1.0], [1.0], [1.0], 0.25, True),
    )
    rows = np.arange(60.0, dtype="float32")[:, None] * np.ones((1, 4), "float32")

    class Sees(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(3, activation="softmax")

        def call(self, x):
            return self.head(x)

        def train_step(self, batch):
            trained.extend(batch[0].numpy()[:, 0])
            return super().train_step(batch)

    def builder():
        model = Sees()
        model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    arguments = {"validation_split": 0.25, "seed": 3, "verbose": 0}
    ktr.build_and_fit(builder, (rows, Y), learning_rate="auto", **arguments)
    assert sorted(swept[0][:, 0]) == sorted(trained)
    assert len(trained) == 45


def test_a_dataset_is_swept_with_its_class_weights(data):
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    arguments = {"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}, "verbose": 0}
    ktr.build_and_fit(compiled, dataset, learning_rate="auto", **arguments)


def test_the_optimizers_own_rate_stays_where_the_sweep_is_not_reliable(data, capsys):
    labels = (data.train[0], np.zeros(40, int))  # Nothing to learn: the loss only falls.
    _, history = ktr.build_and_fit(
        lambda: compiled(rate=0.125), labels, learning_rate="auto", verbose=2
    )
    assert history.history["learning_rate"] == [0.125]
    assert capsys.readouterr().out.startswith(
        "learning_rate=0.12, the optimizer's own, since the sweep isn't reliable: "
    )


def test_a_swept_rate_is_the_peak_of_a_schedule(clothes):
    few = tuple(part[:640] for part in clothes.train)
    model, history = ktr.build_and_fit(
        *("dense", few),
        learning_rate="auto",
        schedule=ktr.schedules.warmup,
        epochs=10,
        seed=1,
        verbose=0,
    )
    swept = ktr.build_and_fit("dense", few, learning_rate="auto", seed=1, verbose=0).model
    peak = float(swept.optimizer.learning_rate)
    assert history.history["learning_rate"][-1] == pytest.approx(peak)
    assert type(model.optimizer.get_config()["learning_rate"]) is dict


def test_another_word_for_the_rate_is_refused(data):
    with pytest.raises(ValueError, match="build_and_fit") as error:
        ktr.build_and_fit("dense", data, learning_rate="fast")
    assert str(error.value) == (
        "`build_and_fit`: `learning_rate` must be a number or 'auto'. "
        "Received: learning_rate='fast'."
    )


def test_a_sweep_beside_a_schedule_of_the_optimizer_is_refused(data):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(ValueError, match="build_and_fit") as error:
        ktr.build_and_fit("dense", data, optimizer=optimizer, learning_rate="auto")
    assert str(error.value) == (
        "`build_and_fit`: `learning_rate` must be left out beside an optimizer that runs a "
        "schedule. Received: learning_rate='auto'."
    )


def test_a_model_that_is_reused_and_frozen_as_a_whole_learns_nothing_and_is_refused():
    x, y = np.ones((8, 3), "float32"), np.arange(8, dtype="float32")
    given = {"params": {"n_neurons": 2, "input_shape": (3,)}, "epochs": 2, "verbose": 0}
    given |= {"reuse": ktr.build("regression", **given["params"]), "layers": 2}
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        ktr.build_and_fit("regression", (x, y), **given)
    assert str(error.value) == (
        "`build_and_fit`: `layers` must leave a layer to be trained, or else pass `unfreeze`, or "
        "`frozen`=False. Received: layers=2."
    )
    assert len(ktr.build_and_fit("regression", (x, y), frozen=False, **given).history) == 2
    assert len(ktr.build_and_fit("regression", (x, y), unfreeze=0, **given).history) == 2
