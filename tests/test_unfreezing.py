"""Frozen layers are let go in the course of a run, at a lower rate, in each way of executing it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same_bits, measures

import kerastrain as ktr
from kerastrain._optimizers import training_also

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 4)).astype("float32")  # Batches of 16, the last one of 2.
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
WAYS = ["plain", "steps", "compiled"]
LOSS = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def trained():
    """A model whose hidden layer and batch normalisation are there to be reused."""
    keras.utils.set_random_seed(7)
    model = ktr.build("dense", keras.layers.BatchNormalization(), input_shape=(4,), classes=3)
    ktr.fit(ktr.compile_for_task(model, y=Y), X, Y, epochs=3, seed=1, verbose=0)
    return model


class Weights(keras.callbacks.Callback):
    """Keeps the weights that each epoch ends with."""

    def on_train_begin(self, logs=None):
        self.after = [self.model.get_weights()]

    def on_epoch_end(self, epoch, logs=None):
        self.after.append(self.model.get_weights())

    def changed(self, weight):
        """Tells of each epoch whether a weight has changed in it."""
        pairs = zip(self.after, self.after[1:], strict=False)
        return [bool((old[weight] != new[weight]).any()) for old, new in pairs]


KERNEL, BIAS, GAMMA, BETA, MEAN, VARIANCE, HEAD = range(7)


def made(trained, optimizer="adam", *, batch_norm=True, **transfer):
    keras.utils.set_random_seed(1)
    layer = keras.layers.BatchNormalization() if batch_norm else None
    model = ktr.build("dense", layer, reuse=trained, input_shape=(4,), classes=3, **transfer)
    model.compile(optimizer, LOSS)
    return model


def run(model, *data, **arguments):
    """Trains a model for five epochs, two of them frozen; returns its weights and its history."""
    weights = Weights()
    defaults = {"epochs": 5, "batch_size": 16, "seed": 3, "verbose": 0, "unfreeze": 2}
    history = ktr.fit(model, *(data or (X, Y)), callbacks=[weights], **defaults | arguments)
    return weights, history


def message(error_type, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        ktr.fit(*arguments, **keywords)
    return str(error.value)


# When


@pytest.mark.parametrize("speed", WAYS)
def test_frozen_weights_stay_until_the_epoch_and_change_from_then_on(trained, speed):
    weights, history = run(made(trained), speed=speed, validation_data=(X, Y))
    assert history.speed == {0: speed}
    for weight in (KERNEL, BIAS, GAMMA, BETA, MEAN, VARIANCE):
        assert weights.changed(weight) == [False, False, True, True, True]
    assert weights.changed(HEAD) == [True] * 5
    assert_same_bits(weights.after[2][:HEAD], trained.get_weights()[:HEAD])
    assert history.history["learning_rate"] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-4])
    # Twelve steps at a tenth of the rate, each by no more than Adam's share of it.
    assert 1e-5 < np.abs(weights.after[5][KERNEL] - weights.after[2][KERNEL]).max() < 12 * 7e-4


@pytest.mark.parametrize("speed", ["plain", "steps"])
def test_a_stream_is_unfrozen_too(trained, speed):
    stream = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    weights, arguments = Weights(), {"epochs": 5, "unfreeze": 2, "verbose": 0}
    history = ktr.fit(made(trained), stream, callbacks=[weights], speed=speed, **arguments)
    assert history.speed == {0: speed}
    assert weights.changed(KERNEL) == [False, False, True, True, True]


def test_epoch_0_lets_the_layers_go_at_once(trained):
    weights, history = run(made(trained), unfreeze=0)
    assert weights.changed(KERNEL) == [True] * 5
    assert history.history["learning_rate"] == pytest.approx([1e-4] * 5)


def test_the_model_is_unfrozen_for_whoever_trains_it_next(trained):
    model = made(trained)
    model.train_on_batch(X, Y)  # Keras traces it with the layers frozen.
    for speed in ("plain", "steps"):
        run(model, speed=speed, unfreeze=2 if speed == "plain" else None)
        before = model.get_weights()
        model.train_on_batch(X, Y)
        assert (model.get_weights()[KERNEL] != before[KERNEL]).any()
        assert all(layer.trainable for layer in model.layers)


def test_every_layer_that_is_not_trainable_is_let_go_also_in_models_within_the_model():
    within = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    within.layers[0].trainable = False
    frozen = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    frozen.trainable = False
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), within, frozen, head])
    model.compile("sgd", LOSS)
    weights, _ = run(model, epochs=3, unfreeze=1)
    assert weights.changed(0) == weights.changed(4) == [False, True, True]
    assert weights.changed(2) == weights.changed(6) == [True] * 3


def test_a_callback_that_trains_gets_a_step_of_its_own_that_knows_of_it(trained):
    class Trains(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before = self.model.get_weights()[KERNEL]
            self.model.train_on_batch(X[:5], Y[:5])
            changed.append(bool((self.model.get_weights()[KERNEL] != before).any()))

    changed = []
    arguments = {"epochs": 4, "verbose": 0, "unfreeze": 2, "restore_best": False}
    ktr.fit(made(trained), X, Y, callbacks=[Trains()], speed="steps", **arguments)
    assert changed == [False, False, True, True]


def test_a_distributed_model_is_unfrozen_too(trained):
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = made(trained)
    weights, history = run(model)
    assert history.engine.endswith("since the model has a distribution strategy")
    assert weights.changed(KERNEL) == [False, False, True, True, True]


# The same bits


def decaying():
    return keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.7))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0),
            marks=pytest.mark.slow,
        ),
        lambda: keras.optimizers.AdamW(0.01, gradient_accumulation_steps=3),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Nadam(0.01)),
        pytest.param(decaying, marks=pytest.mark.slow),
    ],
    ids=["momentum", "accumulated", "loss scale", "schedule"],
)
def test_steps_give_the_bits_of_plain(trained, make):
    states = []
    for speed in ("plain", "steps"):
        model = made(trained, make())
        weights, history = run(model, speed=speed, restore_best=False)
        assert weights.changed(KERNEL) == [False, False, True, True, True]
        state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
        states.append((measures(history), state))
    assert states[0][0] == states[1][0]
    assert_same_bits(states[0][1], states[1][1])


@pytest.mark.parametrize("speed", [pytest.param("plain", marks=pytest.mark.slow), *WAYS[1:]])
def test_one_seed_gives_the_same_bits_again(trained, speed):
    (one, history), (other, again) = (run(made(trained), speed=speed) for _ in range(2))
    assert measures(history) == measures(again)
    assert_same_bits(one.after[5], other.after[5])


def test_a_run_that_chose_its_way_is_repeated_by_it(trained):
    def trained_again(speed):
        model = made(trained, batch_norm=False, layers=1)
        return run(model, speed=speed, batch_size=1, epochs=8, unfreeze=3)

    one, history = trained_again("auto")
    other, again = trained_again(history.speed)
    assert measures(history) == measures(again)
    assert_same_bits(one.after[8], other.after[8])
    assert one.changed(KERNEL) == [False] * 3 + [True] * 5


def two_stages_of_keras(model, make, *, carried):
    """Trains as Keras's guide to transfer learning does, with or without the optimizer's state."""
    arguments = {"batch_size": 16, "shuffle": False, "verbose": 0}
    model.compile(make(0.01), LOSS)
    model.fit(X, Y, epochs=2, **arguments)
    kept = {v.name: v.numpy() for v in model.optimizer.variables if v.name != "learning_rate"}
    for layer in model.layers:
        layer.trainable = True
    model.compile(make(0.002), LOSS)
    model.optimizer.build(model.trainable_variables)
    for variable in model.optimizer.variables:
        if carried and variable.name in kept:
            variable.assign(kept[variable.name])
    model.fit(X, Y, epochs=3, **arguments)
    return model.get_weights()


@pytest.mark.parametrize(
    ("make", "carried"),
    [
        (keras.optimizers.SGD, False),
        pytest.param(
            lambda rate: keras.optimizers.SGD(rate, momentum=0.9), True, marks=pytest.mark.slow
        ),
        (keras.optimizers.Adam, True),
        pytest.param(
            lambda rate: keras.optimizers.RMSprop(rate, global_clipnorm=0.5),
            True,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["SGD", "momentum", "Adam", "RMSprop"],
)
def test_a_run_reaches_what_two_stages_of_keras_reach_to_the_bit(trained, make, carried):
    model = made(trained, make(0.01))
    run(model, speed="steps", shuffle=False, unfreeze_rate=0.002, restore_best=False)
    by_keras = two_stages_of_keras(made(trained), make, carried=carried)
    assert_same_bits(model.get_weights(), by_keras)


# What goes on over the change


def test_the_best_epoch_may_be_one_before_and_comes_back_whole(trained):
    model = made(trained, keras.optimizers.SGD(0.01))
    weights, history = run(model, unfreeze_rate=50.0, validation_data=(X, Y))
    assert history.best_epoch == 1
    assert history.history["val_loss"][-1] > 2 * history.best["val_loss"]
    assert weights.changed(KERNEL) == [False, False, True, True, True]
    assert_same_bits(model.get_weights(), weights.after[2])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(history.best["val_loss"], rel=1e-6)


def test_the_best_epoch_may_be_one_after(trained):
    model = made(trained, keras.optimizers.SGD(0.001))
    weights, history = run(model, unfreeze_rate=0.05, validation_data=(X, Y))
    assert history.best_epoch == 4
    assert_same_bits(model.get_weights(), weights.after[5])


def test_patience_counts_from_the_epoch_on(trained):
    def epochs(**arguments):
        model = made(trained, keras.optimizers.SGD(1e-4))
        return run(model, epochs=9, patience=2, min_delta=9.0, **arguments)[1]

    assert len(epochs(unfreeze=None)) == 3
    history = epochs(unfreeze=4)
    assert (len(history), history.stopped_epoch, history.stop_reason) == (6, 5, "early_stopping")


def test_a_users_own_early_stopping_stops_as_keras_does(trained):
    stopper = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=9.0)
    arguments = {"epochs": 9, "verbose": 0, "callbacks": [stopper], "unfreeze": 4}
    model = made(trained)
    assert len(ktr.fit(model, X, Y, **arguments)) == 2
    assert [layer.trainable for layer in model.layers] == [True, False, False, True]


@pytest.mark.parametrize("optimizer", [pytest.param("sgd", marks=pytest.mark.slow), "adam"])
def test_a_model_that_was_saved_and_loaded_goes_on_to_the_bit(trained, optimizer, tmp_path):
    model = made(trained, optimizer)
    run(model, epochs=2, unfreeze=None, restore_best=False)
    loaded = ktr.load_model(ktr.save_model(model, tmp_path / "model.keras"))
    results = [run(one, epochs=3, unfreeze=1, restore_best=False)[0] for one in (model, loaded)]
    assert results[0].changed(KERNEL) == [False, True, True]
    assert_same_bits(results[0].after[-1], results[1].after[-1])
    assert int(model.optimizer.iterations) == int(loaded.optimizer.iterations) == 5 * 4


def test_a_file_from_before_the_epoch_is_loaded_with_its_weights_and_unfreezes_again(
    trained, tmp_path
):
    class Saves(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                ktr.save_model(self.model, tmp_path / "first.keras")
                saved.extend(self.model.get_weights())

    saved = []
    arguments = {"epochs": 2, "unfreeze": 1, "verbose": 0}
    ktr.fit(made(trained), X, Y, callbacks=[Saves()], **arguments)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        loaded = ktr.load_model(tmp_path / "first.keras")
    assert_same_bits(loaded.get_weights(), saved)
    weights, _ = run(loaded, epochs=2, unfreeze=1)
    assert weights.changed(KERNEL) == [False, True]


def test_a_second_fit_goes_on_at_the_lower_rate_with_all_layers(trained):
    model = made(trained)
    run(model)
    weights, history = run(model, epochs=2, unfreeze=None)
    assert weights.changed(KERNEL) == [True, True]
    assert history.history["learning_rate"] == pytest.approx([1e-4, 1e-4])
    assert int(model.optimizer.iterations) == 7 * 4


def test_what_the_optimizer_has_gathered_stays():
    old, new = (keras.Variable(np.ones(shape), name=n) for shape, n in ((2, "old"), ((3,), "new")))
    optimizer = keras.optimizers.Adam(0.5)
    optimizer.apply([keras.ops.ones(2)], [old])
    wider = training_also(optimizer, [new, old])
    values = {variable.name: variable.numpy() for variable in wider.variables}
    for variable in optimizer.variables:
        np.testing.assert_array_equal(values[variable.name], variable.numpy())
    assert values["old_momentum"].tolist() == pytest.approx([0.1, 0.1])
    assert values["new_momentum"].tolist() == [0, 0, 0]
    wider.apply([keras.ops.ones(3)], [new])
    assert new.numpy().max() < 1


def test_variables_of_one_name_are_not_mixed_up():
    alike = [keras.Variable(np.ones(2), name="same") for _ in range(2)]
    optimizer = keras.optimizers.Adam()
    optimizer.build(alike[:1])
    assert training_also(optimizer, alike) is None


# The rate


def test_the_rate_can_be_given(trained):
    _, history = run(made(trained), unfreeze_rate=0.25)
    assert history.history["learning_rate"] == pytest.approx([1e-3, 1e-3, 0.25, 0.25, 0.25])


@pytest.mark.parametrize("given", ["fit", "optimizer"])
def test_a_schedule_goes_on_as_it_is(trained, given):
    schedule = ktr.schedules.warmup_cosine(0.1, epochs=1)
    arguments = {"schedule": schedule} if given == "fit" else {}
    optimizer = "sgd" if given == "fit" else keras.optimizers.SGD(schedule.for_run(4, 5))
    weights, history = run(made(trained, optimizer), **arguments)
    steps = schedule.for_run(4, 5)
    expected = [float(steps(4 * epoch + 3)) for epoch in range(5)]
    assert history.history["learning_rate"] == pytest.approx(expected)
    assert weights.changed(KERNEL) == [False, False, True, True, True]


def test_the_momentum_follows_one_cycle_over_the_change_to_the_same_bits(trained):
    results = []
    for speed in ("plain", "steps"):
        model = made(trained, keras.optimizers.SGD(0.1, momentum=0.9))
        weights, _ = run(model, speed=speed, schedule=ktr.schedules.one_cycle(0.1))
        results.append(weights.after[-1])
    assert_same_bits(*results)


def test_a_scheduler_decides_and_a_plateau_lowers_further(trained):
    def rates(callback):
        arguments = {"epochs": 4, "batch_size": 16, "verbose": 0, "unfreeze": 2}
        model = made(trained)
        return ktr.fit(model, X, Y, callbacks=[callback], **arguments).history["learning_rate"]

    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
    assert rates(scheduler) == pytest.approx([0.5, 0.25, 0.5 / 3, 0.125])
    plateau = ktr.callbacks.reduce_on_plateau("loss", factor=0.5, patience=1, min_delta=9.0)
    assert rates(plateau) == pytest.approx([1e-3, 1e-3, 5e-5, 2.5e-5])


def test_build_and_fit_sweeps_for_the_rate_and_lowers_it(monkeypatch):
    def sweep(model, *data, **named):
        model.optimizer.build(model.trainable_variables)  # As a sweep leaves it.
        return ktr.LRSweep([1.0], [1.0], [1.0], 0.25, True)

    monkeypatch.setattr("kerastrain._rate_choice.lr_find", sweep)
    model, history = ktr.build_and_fit(
        "dense",
        (X, Y),
        reuse=ktr.build("dense", input_shape=(4,), classes=3),
        learning_rate="auto",
        optimizer="sgd",
        unfreeze=1,
        epochs=2,
        seed=1,
        verbose=0,
    )
    assert history.history["learning_rate"] == pytest.approx([0.25, 0.025])
    assert all(layer.trainable for layer in model.layers)


# Falling back


class Opaque(keras.layers.Dense):
    """Runs Python where it is trainable, which XLA can't."""

    def call(self, x):
        if self.trainable:
            x = tf.ensure_shape(tf.py_function(lambda rows: rows, [x], x.dtype), x.shape)
        return super().call(x)


def test_a_run_that_can_be_compiled_no_longer_goes_on_in_steps_and_says_so():
    layers = [keras.Input((4,)), Opaque(5), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    model.layers[0].trainable = False
    model.compile("sgd", LOSS)
    weights, history = run(model, speed="compiled")
    assert history.speed == {0: "compiled", 2: "steps"}
    assert "from the 3rd epoch on steps, since XLA refuses the model" in history.engine
    assert weights.changed(1) == [False, False, True, True, True]


# What is refused, before training


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"unfreeze": 5},
            "`unfreeze` must be below `epochs` (5), or the frozen layers are never trained. "
            "Received: unfreeze=5.",
        ),
        ({"unfreeze": -1}, "`unfreeze` must be at least 0. Received: unfreeze=-1."),
        (
            {"unfreeze": None, "unfreeze_rate": 0.1},
            "`unfreeze_rate` must be left out without `unfreeze`. Received: unfreeze_rate=0.1.",
        ),
        ({"unfreeze_rate": 0.0}, "`unfreeze_rate` must be above 0. Received: unfreeze_rate=0.0."),
        (
            {"unfreeze_rate": 0.1, "schedule": ktr.schedules.one_cycle},
            "`unfreeze_rate` must be left out where a schedule sets the rate, which goes on as it "
            "is. Received: unfreeze_rate=0.1.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(trained, arguments, sentence):
    model = made(trained)
    defaults = {"epochs": 5, "unfreeze": 2}
    assert message(ValueError, model, X, Y, **defaults | arguments) == f"`fit`: {sentence}"
    assert [layer.trainable for layer in model.layers] == [True, False, False, True]


def test_a_rate_beside_a_scheduler_is_refused(trained):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    arguments = {"epochs": 2, "unfreeze": 1, "unfreeze_rate": 0.1, "callbacks": [scheduler]}
    assert message(ValueError, made(trained), X, Y, **arguments) == (
        "`fit`: `unfreeze_rate` must be left out where a schedule sets the rate, which goes on as "
        "it is. Received: unfreeze_rate=0.1."
    )


def test_a_model_without_frozen_layers_is_refused(trained):
    model = made(trained, frozen=False)
    assert message(ValueError, model, X, Y, epochs=2, unfreeze=1) == (
        "`fit`: `unfreeze` must be left out for a model without frozen layers. "
        "Received: unfreeze=1."
    )


def test_a_model_of_frozen_layers_only_has_nothing_to_train_before(trained):
    model = made(trained)
    model.trainable = False
    assert message(ValueError, model, X, Y, epochs=2, unfreeze=1) == (
        "`fit`: `unfreeze` must be 0 for a model whose layers are all frozen, of which nothing "
        "would be trained. Received: unfreeze=1."
    )
    weights, _ = run(model, unfreeze=0)
    assert weights.changed(KERNEL) == weights.changed(HEAD) == [True] * 5


def test_a_model_that_is_not_built_is_refused():
    model = keras.Sequential([keras.layers.Dense(2, trainable=False), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert message(ValueError, model, X, Y, epochs=2, unfreeze=1) == (
        "`fit`: `unfreeze` must be left out for a model that isn't built: call it on data first. "
        "Received: unfreeze=1."
    )


def test_an_average_over_frozen_layers_is_refused(trained):
    model = made(trained, keras.optimizers.Adam(use_ema=True))
    arguments = {"epochs": 2, "unfreeze": 1, "restore_best": False}
    assert message(ValueError, model, X, Y, **arguments) == (
        "`fit`: `unfreeze` must be left out beside an optimizer with use_ema=True, which averages "
        "frozen layers too. Received: unfreeze=1."
    )


def test_an_optimizer_that_cannot_be_copied_is_refused_where_it_is_in_use_already(trained):
    class Own(keras.optimizers.SGD):
        def __init__(self, rate):
            super().__init__(rate, momentum=0.9)

    weights, _ = run(made(trained, Own(0.01)))
    assert weights.changed(KERNEL) == [False, False, True, True, True]
    model = made(trained, Own(0.01))
    run(model, unfreeze=None)
    assert message(ValueError, model, X, Y, epochs=2, unfreeze=1) == (
        "`fit`: `unfreeze` must be left out beside an optimizer that is in use already and can't "
        "be made again from its settings: compile the model with a new one. Received: Own."
    )
