"""What a history notes of its run: settings, and what chance gives."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain._settings import model_in_a_line

CLASSES = (Y > 0).astype(int)
QUIET = {"verbose": 0, "speed": "plain", "seed": 1}


def classifier(units=4):
    head = keras.layers.Dense(2, "softmax")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(units, "relu"), head])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def settings(model, *data, **arguments):
    """What is noted, but for the digests, which have their own tests."""
    noted = ktr.fit(model, *data, **QUIET | arguments).settings
    return {name: value for name, value in noted.items() if name != "digests"}


# What stands in them.


def test_a_plain_run_notes_its_model_its_optimizer_and_its_rows():
    assert settings(made(), X, Y) == {
        "model": "Dense(4, relu), Dense(1)",
        "loss": "mean_squared_error",
        "optimizer": "SGD",
        "optimizer.learning_rate": 0.01,
        "epochs": 1,
        "batch_size": 32,
        "rows": 64,
        "parameters": 41,
    }


def test_what_was_told_otherwise_than_by_default_is_noted_and_nothing_else(tmp_path):
    plain = settings(made(), X, Y)
    writer = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    told = settings(
        made(optimizer=keras.optimizers.SGD(0.5, momentum=0.9)),
        *(X, Y),
        sample_weight=np.ones(64),
        validation_split=0.25,
        patience=3,
        shuffle=False,
        restore_best=True,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(patience=2),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate),
            *(keras.callbacks.TerminateOnNaN(), writer),
        ],
    )
    assert {name: value for name, value in told.items() if value != plain.get(name)} == {
        "optimizer.learning_rate": 0.5,
        "optimizer.momentum": 0.9,
        "validation_split": 0.25,
        "rows": 48,
        "validation_rows": 16,
        "sample_weight": True,
        "patience": 3,
        "shuffle": False,
        "callbacks": "ReduceLROnPlateau(patience=2), LearningRateScheduler",
    }


def test_a_schedule_is_noted_alike_however_it_is_given():
    decay = keras.optimizers.schedules.CosineDecay(0.1, 10)
    given = settings(made(), X, Y, schedule=decay)
    compiled = settings(made(optimizer=keras.optimizers.SGD(decay)), X, Y)
    assert given == compiled
    assert "optimizer.learning_rate" not in given
    assert given["schedule"].startswith("CosineDecay(initial_learning_rate=0.1, decay_steps=10")


def test_a_schedule_of_ours_is_noted_without_the_steps_of_the_run():
    noted = settings(made(), X, Y, schedule=ktr.schedules.warmup, epochs=4)["schedule"]
    assert noted == "warmup(peak=0.01, fraction=0.1)"


def test_a_schedule_without_settings_does_no_harm():
    class Own(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.25

    assert settings(made(), X, Y, schedule=Own())["schedule"] == "one of the user's own"


def test_a_loss_is_noted_with_what_is_unusual_of_it():
    model = classifier()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
    noted = settings(model, X, CLASSES)
    assert (noted["loss"], noted["loss.reduction"]) == ("sparse_categorical_crossentropy", "sum")


def test_of_a_stream_the_batch_and_the_steps_are_noted():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    history = ktr.fit(made(), dataset, **QUIET)
    assert (history.settings["batch_size"], history.settings["steps"]) == (16, 4)
    assert "rows" not in history.settings
    assert history.chance == {}


def test_build_and_fit_notes_the_builder_its_parameters_and_the_data():
    params = {"input_shape": (8,), "units": 3, "classes": 2}
    _, history = ktr.build_and_fit("dense", (X, CLASSES), params=params, **QUIET)
    first = list(history.settings.items())[:4]
    assert first == [
        ("builder", "dense"),
        ("params.input_shape", [8]),
        ("params.units", 3),
        ("params.classes", 2),
    ]
    data = ktr.load_dataset("fashion_mnist_small")
    few = ktr.Data(**{**vars(data), "train": tuple(part[:32] for part in data.train), "val": None})
    _, history = ktr.build_and_fit("dense", few, **QUIET)
    assert history.settings["data"] == "fashion_mnist_small"
    assert "builder" not in ktr.fit(made(), X, Y, **QUIET).settings


def test_long_parameters_are_noted_by_their_length():
    def builder(words, table):
        return made()

    params = {"words": ["a"] * 30_000, "table": np.zeros((2, 2))}
    _, history = ktr.build_and_fit(builder, (X, Y), params=params, **QUIET)
    assert history.settings["params.words"] == "a list of 30000"
    assert history.settings["params.table"] == "<ndarray of shape (2, 2), float64>"


# The model in a line.


@pytest.mark.parametrize(
    "layers, line",
    [
        (
            [
                keras.layers.Rescaling(0.5),
                keras.layers.Conv2D(8, 3, 2, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.GlobalAveragePooling2D(),
            ],
            "Rescaling(0.5), Conv2D(8, 3×3, 2×2, relu), MaxPooling2D(2×2), GlobalAveragePooling2D",
        ),
        (
            [
                keras.layers.Embedding(50, 4),
                keras.layers.Bidirectional(keras.layers.LSTM(3)),
                keras.layers.Dense(1, "sigmoid", kernel_regularizer="l2"),
            ],
            "Embedding(50, 4), Bidirectional(LSTM(3)), Dense(1, sigmoid, l2=0.01)",
        ),
        ([keras.layers.Dense(2), keras.layers.Dense(2)], "2 × Dense(2)"),
        ([keras.Sequential([keras.layers.Dense(2)]), keras.layers.ReLU()], "Dense(2), ReLU"),
    ],
)
def test_a_model_is_described_by_its_layers(layers, line):
    assert model_in_a_line(keras.Sequential(layers)) == line


def test_a_frozen_layer_is_called_that():
    model = classifier()
    model.layers[0].trainable = False
    assert model_in_a_line(model) == "frozen Dense(4, relu), Dense(2, softmax)"


def test_a_model_and_a_layer_of_the_users_own_do_no_harm():
    class Odd(keras.layers.Layer):
        @property
        def units(self):
            raise RuntimeError("not yet")

        def call(self, x):
            return x

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.odd, self.head = Odd(), keras.layers.Dense(1)

        def call(self, x):
            return self.head(self.odd(x))

    assert model_in_a_line(Own()) == "Own(Odd, Dense(1))"


# What chance gives.


def test_chance_is_that_of_the_rows_that_are_trained_on():
    labels = np.array([0] * 40 + [1] * 8 + [1] * 16)
    arguments = {"validation_split": 0.25, "shuffle": False}
    history = ktr.fit(classifier(), X, labels, **QUIET, **arguments)
    shares = np.array([40, 8]) / 48
    assert history.chance == {
        "loss": pytest.approx(-(shares * np.log(shares)).sum()),
        "accuracy": pytest.approx(40 / 48),
    }


HALVES = np.array([0, 1] * 32)


@pytest.mark.parametrize(
    "arguments", [{"class_weight": {0: 2.0, 1: 2.0}}, {"sample_weight": np.full(64, 2.0)}]
)
def test_a_weighted_loss_has_a_chance_of_its_own_beside_that_of_validation(arguments):
    history = ktr.fit(classifier(), X, HALVES, **QUIET, **arguments)
    assert history.chance == {
        "loss": pytest.approx(2 * math.log(2)),
        "val_loss": pytest.approx(math.log(2)),
    }


def test_where_validation_has_weights_too_nothing_is_told():
    weights = np.full(64, 2.0)
    split = {"sample_weight": weights, "validation_split": 0.25}
    given = {"sample_weight": weights, "validation_data": (X, HALVES, weights)}
    for arguments in (split, given):
        assert ktr.fit(classifier(), X, HALVES, **QUIET, **arguments).chance == {}


@pytest.mark.parametrize("part", ["kernel_regularizer", "activity_regularizer"])
def test_a_penalised_loss_leaves_chance_to_the_metric_without(part):
    layers = [keras.layers.Dense(4, **{part: "l2"}), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert ktr.fit(model, X, HALVES, **QUIET).chance == {
        "accuracy": 0.5,
        "crossentropy": pytest.approx(math.log(2)),
    }


# What is kept of them.


def test_a_run_that_goes_on_notes_what_one_at_a_stretch_does(tmp_path):
    """Also where the model is the same, whose rate a callback has lowered since."""

    def callbacks():
        return [keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=9.0)]

    whole = ktr.fit(made(), X, Y, epochs=3, callbacks=callbacks(), **QUIET)
    model, run = made(), tmp_path / "run"
    ktr.fit(model, X, Y, epochs=2, callbacks=callbacks(), run=run, **QUIET)
    assert float(model.optimizer.learning_rate) < 0.01
    on = ktr.fit(model, X, Y, epochs=3, callbacks=callbacks(), run=run, **QUIET)
    kept = ktr.History.load(run / "history.json")
    assert on.settings == whole.settings == kept.settings
    assert on.chance == whole.chance == kept.chance
    again = ktr.fit(made(), X, Y, epochs=3, callbacks=callbacks(), run=run, **QUIET)
    assert again.settings == whole.settings


def test_a_file_from_before_there_were_settings_still_loads(tmp_path):
    path = ktr.History.of({"loss": [0.5]}).save(tmp_path / "history.json")
    fields = json.loads(path.read_text(encoding="utf-8"))
    del fields["settings"], fields["chance"]
    path.write_text(json.dumps(fields), encoding="utf-8")
    history = ktr.History.load(path)
    assert (history.settings, history.chance) == ({}, {})


def test_settings_and_chance_come_back_from_a_file(tmp_path):
    history = ktr.History({}, [], settings={"a": [1, None]}, chance={"loss": math.inf})
    assert ktr.History.load(history.save(tmp_path / "history.json")) == history
