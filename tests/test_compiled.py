"""The compiled way, looked at from `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain import _kernels

generator = np.random.default_rng(0)
IMAGES = generator.normal(size=(75, 28, 28)).astype("float32")
CLASSES = generator.integers(0, 10, 75)
TABLE = generator.normal(size=(75, 8)).astype("float32")
SUMS = TABLE.sum(axis=1)


def fitted(model, x, y, speed, **arguments):
    given = {"epochs": 3, "batch_size": 8, "seed": 1, "verbose": 0, "restore_best": False}
    return ktr.fit(model, x, y, speed=speed, **{**given, **arguments})


def built(builder, y, a_layer=None, **params):
    keras.utils.set_random_seed(5)
    return ktr.compile_for_task(ktr.build(builder, a_layer, **params), y=y)


def losses_of(builder, x, y, speed, a_layer=None, params=None, **arguments):
    model = built(builder, y, a_layer, **(params or {}))
    history = fitted(model, x, y, speed, **arguments)
    assert history.engine.startswith(f"{speed}: ")
    return history


WAYS = ("plain", "steps", "compiled")

CASES = [
    ("dense", IMAGES, CLASSES, {}),
    ("regression", TABLE, SUMS, {}),
    ("binary", TABLE, (SUMS > 0).astype(int), {}),
    ("cnn", IMAGES[:24], CLASSES[:24], {"filters": (4,), "units": 8}),
]


@pytest.mark.parametrize(("builder", "x", "y", "params"), CASES, ids=[case[0] for case in CASES])
def test_compiled_follows_plain(builder, x, y, params):
    plain = losses_of(builder, x, y, "plain", params=params, validation_split=0.2)
    compiled = losses_of(builder, x, y, "compiled", params=params, validation_split=0.2)
    assert list(compiled.history) == list(plain.history)
    for column in set(plain.history) - {"seconds"}:
        np.testing.assert_allclose(
            compiled.history[column], plain.history[column], rtol=1e-4, err_msg=column
        )


@pytest.mark.parametrize(("builder", "x", "y", "params"), CASES, ids=[case[0] for case in CASES])
def test_compiled_follows_plain_for_a_hundred_steps(builder, x, y, params):
    five_steps_an_epoch = {"epochs": 20, "batch_size": -(-len(x) // 5)}
    plain = losses_of(builder, x, y, "plain", params=params, **five_steps_an_epoch)
    compiled = losses_of(builder, x, y, "compiled", params=params, **five_steps_an_epoch)
    np.testing.assert_allclose(compiled.history["loss"], plain.history["loss"], rtol=1e-4)


@pytest.mark.slow
def test_with_dropout_the_ways_reach_the_same_loss():
    data = ktr.load_dataset("fashion_mnist_small")

    def best(speed, seed):
        arguments = {"a_layer": keras.layers.Dropout(0.3), "epochs": 8, "verbose": 0}
        _, history = ktr.build_and_fit("dense", data, seed=seed, speed=speed, **arguments)
        return history.best["val_loss"]

    losses = {speed: [best(speed, seed) for seed in range(10)] for speed in WAYS}
    assert losses["steps"] == losses["plain"]
    difference = np.mean(losses["compiled"]) - np.mean(losses["plain"])
    variances = [np.var(losses[speed], ddof=1) / 10 for speed in ("compiled", "plain")]
    assert abs(difference) <= 2 * np.sqrt(sum(variances))


@pytest.mark.parametrize(
    "arguments",
    [
        {"class_weight": {0: 1.0, 3: 5.0}},
        {"sample_weight": generator.uniform(size=75)},
        {"shuffle": False},
        {"schedule": keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.8)},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_weights_order_and_schedule_mean_the_same(arguments):
    plain = losses_of("dense", IMAGES, CLASSES, "plain", **arguments)
    compiled = losses_of("dense", IMAGES, CLASSES, "compiled", **arguments)
    np.testing.assert_allclose(compiled.history["loss"], plain.history["loss"], rtol=1e-4)
    np.testing.assert_allclose(
        compiled.history["learning_rate"], plain.history["learning_rate"], rtol=1e-6
    )


def test_the_last_batch_of_fewer_rows_is_trained_on():
    model = built("regression", SUMS)
    fitted(model, TABLE, SUMS, "compiled")
    assert int(model.optimizer.iterations) == 3 * 10


# So few epochs that "auto" would not measure are enough for the others.
@pytest.mark.parametrize("speed, epochs", [*((way, 3) for way in WAYS), ("auto", 40)])
def test_the_same_seed_gives_the_same_bits_with_dropout(speed, epochs):
    def losses(seed):
        model = built("dense", CLASSES, keras.layers.Dropout(0.5))
        arguments = {"seed": seed, "epochs": epochs, "validation_split": 0.2}
        return fitted(model, IMAGES, CLASSES, speed, **arguments).history["val_loss"]

    first = losses(1)
    assert losses(1) == first
    assert losses(2) != first


def test_a_step_of_the_users_own_logs_what_it_logs():
    class Own(keras.Sequential):
        def train_step(self, data):
            logs = super().train_step(data)
            return {**logs, "doubled": 2 * logs["loss"]}

    def run(speed):
        keras.utils.set_random_seed(5)
        model = Own([keras.Input((8,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return fitted(model, TABLE[:72], SUMS[:72], speed).history["doubled"]

    np.testing.assert_allclose(run("compiled"), run("plain"), rtol=1e-4)


def test_early_stopping_and_a_rate_that_is_lowered_work():
    model = built("regression", SUMS)
    history = fitted(
        model,
        TABLE,
        SUMS,
        "compiled",
        epochs=50,
        patience=3,
        min_delta=10.0,
        restore_best=True,
        callbacks=ktr.callbacks.reduce_on_plateau("loss", patience=0, min_delta=10.0),
    )
    assert history.stop_reason == "early_stopping"
    assert history.history["learning_rate"][-1] < history.history["learning_rate"][0]


def test_the_model_is_keras_own_again_afterwards():
    model = built("regression", SUMS)
    fitted(model, TABLE, SUMS, "compiled")
    assert (model.steps_per_execution, model.train_function) == (1, None)
    before = model.get_weights()[0].copy()
    model.fit(TABLE, SUMS, verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0


@pytest.mark.parametrize(
    ("x", "y", "batch_size", "why"),
    [
        (TABLE[:5], SUMS[:5], 8, "since there are fewer rows than a batch has"),
        (
            tf.data.Dataset.from_tensor_slices((TABLE, SUMS)).batch(8),
            None,
            32,
            "since a stream isn't compiled",
        ),
    ],
    ids=["few rows", "stream"],
)
def test_it_falls_back_and_says_why(x, y, batch_size, why):
    history = fitted(built("regression", SUMS), x, y, "compiled", batch_size=batch_size)
    assert history.engine.startswith("steps: ")
    assert history.engine.endswith(why)


def test_texts_are_left_to_the_steps():
    texts, labels = np.array(["so good", "so bad"] * 8, dtype=object), np.array([0, 1] * 8)
    model = ktr.compile_for_task(ktr.build("text", texts=texts, length=4, units=2, embedding=2))
    history = fitted(model, texts, labels, "compiled")
    assert history.engine.endswith("since XLA knows no strings")


def test_rows_of_different_lengths_are_left_to_the_steps_and_to_the_same_bits():
    class Filled(keras.layers.Layer):
        def call(self, words):
            return words.to_tensor(shape=(None, 6)) if isinstance(words, tf.RaggedTensor) else words

        def compute_output_shape(self, shape):
            return (shape[0], 6)

    def history(speed):
        keras.utils.set_random_seed(2)
        layers = [Filled(), keras.layers.Embedding(9, 3), keras.layers.GlobalAveragePooling1D()]
        inputs = keras.Input((None,), dtype="int32")
        model = keras.Sequential([inputs, *layers, keras.layers.Dense(1)])
        model.compile("adam", "mse")
        rows = tf.ragged.constant([[1, 2], [3], [4, 5, 6, 7, 8, 1]] * 8, dtype=tf.int32)
        stream = tf.data.Dataset.from_tensor_slices((rows, np.arange(24.0))).batch(5)
        return fitted(model, stream, None, speed, batch_size=32)

    compiled, plain = history("compiled"), history("plain")
    assert compiled.engine == "steps: 5 batches a call, since a stream isn't compiled"
    assert compiled.history["loss"] == plain.history["loss"]


def test_a_layer_that_kernels_refuses_is_left_to_the_steps():
    class BackToPython(keras.layers.Layer):
        def call(self, x):
            seen = tf.numpy_function(np.zeros_like, [tf.stop_gradient(x)], x.dtype)
            return x + tf.stop_gradient(tf.reshape(seen, tf.shape(x)))

    model = built("regression", SUMS, BackToPython())
    history = fitted(model, TABLE, SUMS, "compiled")
    assert len(history) == 3
    assert history.engine.startswith("steps: ")
    assert ", since XLA refuses the model: " in history.engine


def test_a_callback_that_wants_every_batch_still_gets_it():
    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            batches.append(batch)

    batches = []
    history = fitted(built("regression", SUMS), TABLE, SUMS, "compiled", callbacks=Count())
    assert batches == list(range(10)) * 3
    assert history.engine == "plain: Keras's own loop, since Count gets every batch"


# What it reaches into TensorFlow for.


def test_the_random_functions_are_put_back_after_an_error_too():
    before = [getattr(module, name) for module, name in _kernels._RANDOM]

    def fail():
        with _kernels.fast_kernels():
            assert tf.nn.experimental.stateless_dropout is not before[0]
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert [getattr(module, name) for module, name in _kernels._RANDOM] == before


def test_without_the_random_functions_dropout_still_trains(monkeypatch):
    monkeypatch.setattr(_kernels, "_RANDOM", {(tf.random, "no_such_function"): None})
    history = losses_of("dense", IMAGES, CLASSES, "compiled", keras.layers.Dropout(0.5))
    assert len(history) == 3
