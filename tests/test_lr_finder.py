"""The sweep: it trains as Keras does, leaves everything as it was, and takes what `fit` takes."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain.lr_finder import lr_find
from kerastrain.state import variables_of

LABELS = (X[:, 0] > 0).astype(int)
RATES = np.geomspace(1e-4, 1e-1, 10)


def sweep(model, x=X, y=Y, **arguments):
    return lr_find(model, x, y, **{"steps": 60, "batch_size": 16} | arguments)


def state(model):
    return [variable.numpy() for variable in variables_of(model)]


def assert_unchanged_by_a_sweep(model, x=X, y=Y, **arguments):
    """Sweeps, and holds model, optimizer, metrics and generators against what they were."""
    # Metrics have variables from the first batch on; let them be there before.
    model.evaluate(x if y is None else x[:4], y if y is None else y[:4], verbose=0)
    before, optimizer = state(model), model.optimizer
    globally = random.getstate(), np.random.get_state()[1].tolist()
    config = optimizer.get_config()
    found = sweep(model, x, y, **arguments)
    assert len(found.losses) > 10
    for array, other in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(array, other)
    assert model.optimizer is optimizer
    assert optimizer.get_config() == config
    assert (random.getstate(), np.random.get_state()[1].tolist()) == globally


def mean_target(y, prediction):
    """A loss that no training changes; it tells which rows are in a batch."""
    return keras.ops.mean(y) + 0 * keras.ops.mean(prediction)


def in_order(batches):
    """The same batches in every pass."""
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(len(X) // batches)


# What it does.


@pytest.mark.parametrize(
    "optimizer", ["sgd", "adam", pytest.param("rmsprop", marks=pytest.mark.slow)]
)
def test_each_step_trains_as_keras_does_at_that_rate(optimizer):
    model, twin = made(optimizer=optimizer), made(optimizer=optimizer)
    twin.set_weights(model.get_weights())
    found = lr_find(model, in_order(4), min_rate=1e-4, max_rate=1e-1, steps=10)
    np.testing.assert_allclose(found.rates, RATES)
    losses = []
    for rate, (x, y) in zip(RATES, list(in_order(4)) * 3, strict=False):
        twin.optimizer.learning_rate = rate
        twin.reset_metrics()
        losses.append(twin.train_on_batch(x, y))
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)


def test_the_rates_rise_by_the_same_factor_from_one_end_to_the_other():
    found = sweep(made(), min_rate=1e-5, max_rate=1e-3)
    assert (found.rates[0], found.rates[-1]) == pytest.approx((1e-5, 1e-3))
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(100) / 59)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) == 60


def test_it_ends_where_the_loss_runs_away():
    found = sweep(made(), max_rate=1e6, steps=200)
    assert len(found.losses) < 190
    assert np.isfinite(found.losses).all()


def test_a_loss_that_turns_to_nan_has_run_away():
    class Fails(keras.losses.Loss):
        def call(self, y, prediction):
            far = keras.ops.mean(keras.ops.abs(prediction)) > 30
            return keras.ops.where(far, np.nan, keras.ops.mean((y - prediction) ** 2))

    found = sweep(made(loss=Fails(), activation="linear"), max_rate=1e6, steps=400)
    assert len(found.losses) < 400
    assert "raise max_rate" not in found.note


def test_where_it_is_not_reliable_it_says_why_and_no_more():
    found = sweep(made(), max_rate=1e-4)
    assert not found.reliable
    assert found.note.startswith(("the loss hadn't turned up", "the loss never fell"))


def test_the_same_seed_sweeps_the_same_to_the_bit_and_another_differs():
    model = made()
    assert sweep(model, seed=3) == sweep(model, seed=3)
    assert sweep(model, seed=3).losses != sweep(model, seed=4).losses


def test_every_row_is_visited_once_a_pass():
    model = made(loss=mean_target)
    y = np.arange(64.0)
    losses = sweep(model, X, y, steps=10, batch_size=16, max_rate=1e-4).losses
    for first in (0, 4):
        assert sum(losses[first : first + 4]) / 4 == pytest.approx(y.mean())
    assert losses[:4] != losses[4:8]


def test_a_smaller_last_batch_is_left_out_of_the_sweep():
    model = made(loss=mean_target)
    y = np.arange(64.0)
    losses = sweep(model, X, y, steps=10, batch_size=60, max_rate=1e-4).losses
    assert min(losses) > 20  # Four rows alone scatter far more.
    assert len(losses) == 10


def test_fewer_rows_than_a_batch_are_one_batch():
    assert len(sweep(made(), X[:10], Y[:10], batch_size=32, max_rate=1e-2).losses) == 60


def test_the_record_says_the_batch_size_as_a_plain_number(tmp_path):
    assert sweep(made(), batch_size=8).batch_size == 8
    sweep(made(), batch_size=np.int64(8)).save(tmp_path / "sweep.json")
    assert sweep(made(), in_order(4), None, batch_size=32).batch_size is None


def test_it_finds_a_rate_that_trains():
    data = ktr.load_dataset("fashion_mnist_small")
    keras.utils.set_random_seed(1)
    model = ktr.compile_for_task(ktr.build("dense"), data.task)
    found = lr_find(model, *data.train)
    assert found.reliable
    assert found.note.startswith(("it ran away after ", "all 500 steps were taken"))
    assert 1e-3 < found.suggestion < 1e-2
    assert set(found.rules) >= {"middle of the bottom", "minimum / 10", "valley", "steepest"}


# What it leaves as it was.


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param("sgd", marks=pytest.mark.slow),
        pytest.param(keras.optimizers.SGD(momentum=0.9, nesterov=True), marks=pytest.mark.slow),
        keras.optimizers.Adam(3e-3, use_ema=True),
        keras.optimizers.Adam(3e-3, gradient_accumulation_steps=4),
        pytest.param(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 100)),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(1e-3)),
            marks=pytest.mark.slow,
        ),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(1e-2, 9), momentum=0.9)
        ),
    ],
    ids=["sgd", "nesterov", "ema", "accumulation", "schedule", "scaled", "scaled schedule"],
)
def test_a_trained_model_stays_as_it_is_to_the_bit(optimizer):
    # Each test its own: an optimizer belongs to one model.
    optimizer = keras.optimizers.deserialize(
        keras.optimizers.serialize(keras.optimizers.get(optimizer))
    )
    model = made(optimizer=optimizer, layer=keras.layers.Dropout(0.5), metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    assert_unchanged_by_a_sweep(model)


def test_a_new_model_stays_as_it_is_to_the_bit():
    model = made(layer=keras.layers.BatchNormalization(), optimizer="adam")
    assert_unchanged_by_a_sweep(model)
    assert int(model.optimizer.iterations) == 0


def test_training_after_a_sweep_gives_the_bits_of_training_without():
    def weights(swept):
        keras.utils.set_random_seed(2)
        model = made(optimizer="adam", layer=keras.layers.Dropout(0.5))
        if swept:
            sweep(model)
        ktr.fit(model, X, Y, epochs=2, seed=1, verbose=0)
        return model.get_weights()

    for array, other in zip(weights(swept=True), weights(swept=False), strict=True):
        np.testing.assert_array_equal(array, other)


def test_a_second_optimizer_in_a_step_of_the_users_own_stays_too():
    class Model(keras.Sequential):
        def __init__(self):
            super().__init__([keras.Input((8,)), keras.layers.Dense(1)])
            self.other = keras.optimizers.Adam()

        def train_step(self, batch):
            x, y = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True)[:, 0] - y) ** 2)
            weights = self.trainable_weights
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply(gradients, weights)
            self.other.apply(gradients, weights)
            return {"loss": loss}

    model = Model()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    before = [variable.numpy() for variable in model.other.variables]
    assert_unchanged_by_a_sweep(model)
    for variable, value in zip(model.other.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


class DrawsOnKerassOwnGenerator(keras.layers.Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


@pytest.mark.parametrize("eager", [False, True])
def test_what_draws_on_keras_s_own_generator_draws_the_same_afterwards(eager):
    def drawn(swept):
        keras.utils.clear_session()  # Which forgets the generator; in Keras 3.10 a seed doesn't.
        keras.utils.set_random_seed(3)
        model = made(layer=DrawsOnKerassOwnGenerator())
        model.run_eagerly = eager
        if swept:
            sweep(model, steps=10)
        return keras.random.normal((3,)).numpy()

    np.testing.assert_array_equal(drawn(swept=True), drawn(swept=False))


def test_a_sweep_that_is_interrupted_leaves_everything_too(monkeypatch):
    def interrupted(losses):
        raise KeyboardInterrupt

    model = made(optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 9)))
    model.fit(X, Y, verbose=0)
    before, optimizer = state(model), model.optimizer
    monkeypatch.setattr("kerastrain.lr_finder.ran_away_after", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(model)
    for array, other in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(array, other)
    assert model.optimizer is optimizer


def test_an_optimizer_whose_schedule_doesnt_know_its_steps_is_swept_too():
    model = made(optimizer=keras.optimizers.SGD(ktr.schedules.one_cycle(0.1), momentum=0.9))
    assert len(sweep(model).losses) > 10


def test_an_optimizer_with_a_schedule_is_swept_like_one_without_from_the_same_state():
    def losses(rate):
        keras.utils.set_random_seed(0)
        model = made(optimizer=keras.optimizers.SGD(rate, momentum=0.9))
        model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
        return sweep(model).losses

    constant = keras.optimizers.schedules.PiecewiseConstantDecay([1000], [0.01, 0.001])
    np.testing.assert_allclose(losses(constant), losses(0.01), rtol=1e-6)


# What it takes.


def test_arrays_and_a_dataset_of_the_same_batches_give_the_same_losses():
    model = made()
    order = np.concatenate(
        [np.random.default_rng([0, epoch]).permutation(64) for epoch in range(3)]
    )
    dataset = tf.data.Dataset.from_tensor_slices((X[order], Y[order])).batch(16)
    by_arrays = sweep(model, steps=12)
    np.testing.assert_allclose(
        sweep(model, dataset, None, steps=12, batch_size=32).losses, by_arrays.losses
    )


def test_batches_may_differ_in_length_along_the_way():
    class Uneven(keras.utils.PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, number):
            length = (5, 7, 6, 9, 7, 5)[number]
            return np.ones((4, length), "int32"), np.ones(4, "float32")

    layers = [keras.layers.Embedding(3, 2), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((None,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert len(sweep(model, Uneven(), None, batch_size=32, max_rate=1e-3).losses) == 60


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        rows = slice(16 * number, 16 * number + 16)
        return X[rows], Y[rows]


class UnevenBatches(Batches):
    def __getitem__(self, number):
        rows = slice(0, 16 - 5 * (number == 3))
        return X[rows], Y[rows], np.ones(len(X[rows]))


@pytest.mark.parametrize("batches", [Batches, UnevenBatches])
def test_a_py_dataset_is_swept(batches):
    model = made()
    found = sweep(model, batches(), None, batch_size=32, max_rate=1e-3)
    assert len(found.losses) == 60
    if batches is Batches:
        same = sweep(model, in_order(4), None, batch_size=32, max_rate=1e-3)
        np.testing.assert_allclose(found.losses, same.losses)


def test_a_dataset_shorter_than_the_sweep_is_gone_through_again():
    assert len(sweep(made(), in_order(2), None, batch_size=32, max_rate=1e-3).losses) == 60


def test_a_dataset_that_gives_its_batches_once_is_refused_where_it_is_too_short():
    once = iter([(X[:16], Y[:16])] * 25)
    signature = (tf.TensorSpec((16, 8)), tf.TensorSpec((16,), tf.float32))
    dataset = tf.data.Dataset.from_generator(lambda: once, output_signature=signature)
    # One or two go to whoever looked at the first batch.
    sentence = (
        r"^`lr_find`: `x` must give its batches in every pass, or as many as `steps` in one\. "
        r"Received: a Dataset that ended after 2\d batches\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        sweep(made(), dataset, None, batch_size=32, max_rate=1e-3)


def test_weights_of_rows_and_classes_weigh():
    def first_loss(**weights):
        keras.utils.set_random_seed(0)
        model = ktr.compile_for_task(ktr.build("binary", input_shape=(8,)), y=LABELS)
        return sweep(model, X, LABELS, batch_size=64, **weights).losses[0]

    doubled = pytest.approx(2 * first_loss(), rel=1e-5)
    assert first_loss(sample_weight=np.full(64, 2.0)) == doubled
    assert first_loss(class_weight={0: 2.0, 1: 2.0}) == doubled


@pytest.mark.parametrize("targets", [LABELS, LABELS[:, None], np.eye(3)[LABELS]])
def test_the_weights_of_classes_weigh_in_a_dataset_as_in_arrays(targets):
    def first_loss(*data, **arguments):
        keras.utils.set_random_seed(0)
        model = ktr.build("dense", input_shape=(8,), classes=3)
        ktr.compile_for_task(model, y=targets)
        return lr_find(model, *data, class_weight={0: 5.0}, steps=10, **arguments).losses[0]

    of_arrays = first_loss(X, targets, batch_size=64)
    dataset = tf.data.Dataset.from_tensor_slices((X, targets)).batch(64)
    assert first_loss(dataset) == pytest.approx(of_arrays, rel=1e-5)
    weighted = dataset.map(lambda x, y: (x, y, tf.fill(tf.shape(x)[:1], 2.0)))
    assert first_loss(weighted) == pytest.approx(2 * of_arrays, rel=1e-5)


def test_texts_are_swept():
    texts = ["a good film", "a bad film"] * 20
    labels = np.array([1, 0] * 20)
    model = ktr.build("text", texts=texts, classes=2)
    ktr.compile_for_task(model, y=labels)
    assert len(sweep(model, np.array(texts, dtype=object), labels, steps=20).losses) > 10


def test_a_model_without_shapes_is_built_by_the_sweep():
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    sweep(model)
    assert model.built
    assert int(model.optimizer.iterations) == 0


def test_several_inputs_and_outputs_are_swept():
    one, two = keras.Input((8,), name="one"), keras.Input((8,), name="two")
    both = keras.layers.Concatenate()([one, two])
    outputs = [keras.layers.Dense(1, name=name)(both) for name in ("a", "b")]
    model = keras.Model([one, two], outputs)
    model.compile("adam", "mse")
    assert len(sweep(model, {"one": X, "two": X}, (Y, Y)).losses) > 10


@pytest.mark.parametrize("how", [{"run_eagerly": True}, {"jit_compile": True}])
def test_eager_and_compiled_models_are_swept_alike(how):
    model, other = made(), made()
    other.set_weights(model.get_weights())
    other.compile("sgd", "mse", **how)
    np.testing.assert_allclose(
        sweep(other, steps=12).losses, sweep(model, steps=12).losses, rtol=1e-4
    )


# What it refuses.


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        (
            {"min_rate": 0.1, "max_rate": 0.1},
            ValueError,
            "`min_rate` must be below `max_rate`. Received: min_rate=0.1, max_rate=0.1.",
        ),
        (
            {"min_rate": 1.0, "max_rate": 0.1},
            ValueError,
            "`min_rate` must be below `max_rate`. Received: min_rate=1, max_rate=0.1.",
        ),
        ({"min_rate": 0}, ValueError, "`min_rate` must be above 0. Received: min_rate=0."),
        (
            {"max_rate": float("inf")},
            ValueError,
            "`max_rate` must be finite and above 0. Received: max_rate=inf.",
        ),
        ({"steps": 1}, ValueError, "`steps` must be at least 10. Received: steps=1."),
        ({"steps": 99.5}, TypeError, "`steps` must be a whole number. Received: steps=99.5."),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1. Received: batch_size=0."),
        ({"seed": -1}, ValueError, "`seed` must be at least 0. Received: seed=-1."),
        (
            {"y": None},
            ValueError,
            "`y` must be given: the model was compiled with a loss. Received: y=None.",
        ),
        (
            {"x": X[:, :3]},
            ValueError,
            "`x` must be an array of shape (n, 8), as the model takes. "
            "Received: x=<ndarray of shape (64, 3), float32>.",
        ),
        (
            {"x": in_order(4).repeat(), "y": None, "batch_size": 32},
            ValueError,
            "`x` must be finite: take `.repeat()` out, or put `.take(steps)` after it. "
            "Received: an infinite Dataset.",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(arguments, kind, sentence):
    with pytest.raises(kind) as error:
        sweep(made(), **arguments)
    assert str(error.value) == f"`lr_find`: {sentence}"


def test_what_is_no_compiled_model_is_refused():
    with pytest.raises(ValueError, match="lr_find") as error:
        lr_find(ktr.build("regression", input_shape=(8,)), X, Y)
    assert str(error.value) == (
        "`lr_find`: `model` must be compiled: call compile_for_task(model, y=y) or "
        "model.compile(...) first. Received: a model that isn't."
    )
    with pytest.raises(TypeError) as error:
        lr_find("dense", X, Y)
    assert str(error.value) == "`lr_find`: `model` must be a keras.Model. Received: 'dense'."


def test_a_loss_that_is_no_number_at_the_first_step_is_refused():
    model = made()
    model.layers[-1].bias.assign([np.nan])
    with pytest.raises(ValueError, match="lr_find") as error:
        sweep(model)
    assert str(error.value) == (
        "`lr_find`: `model` must have a finite loss at the first step: look at its weights and at "
        "the scale of `x`. Received: loss=nan at a rate of 1e-05."
    )
    assert np.isnan(model.layers[-1].bias.numpy()).all()


def test_a_step_that_returns_no_loss_is_refused():
    class Model(keras.Sequential):
        def train_step(self, batch):
            return {"distance": tf.constant(1.0)}

    model = Model([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="lr_find") as error:
        sweep(model)
    assert str(error.value) == (
        '`lr_find`: `model` must return its loss from `train_step`, as "loss". '
        "Received: ['distance']."
    )


def test_a_model_with_nothing_to_train_is_refused():
    model = made()
    model.trainable = False
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="lr_find") as error:
        sweep(model)
    assert str(error.value) == (
        "`lr_find`: `model` must have something to train: all its layers are frozen, or have no "
        "weights. Received: a model without trainable weights."
    )


def test_a_model_without_an_optimizer_is_refused():
    model = made()
    model.compile(optimizer=None, loss="mse")
    with pytest.raises(ValueError, match="lr_find") as error:
        sweep(model)
    assert str(error.value) == (
        "`lr_find`: `model` must be compiled with an optimizer. Received: a model without one."
    )


def test_a_distributed_model_is_refused():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = made()
    with pytest.raises(ValueError, match="lr_find") as error:
        sweep(model)
    assert str(error.value) == (
        "`lr_find`: `model` must be built outside the scope of a distribution strategy. "
        "Received: a model that is distributed."
    )
