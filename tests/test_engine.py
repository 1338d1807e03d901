"""Many steps in one call give the bits of one step a call; what hinders them gets Keras's loop."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_products import diagonal

import kerastrain as ktr
from kerastrain import engine
from kerastrain.sources import source_for

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 4)).astype("float32")  # Batches of 16, the last one of 2.
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
IMAGES = GENERATOR.uniform(size=(50, 8, 8)).astype("float32")
TEXTS = np.array([f"{'good' if y else 'bad'} film {n % 5}" for n, y in enumerate(Y)], dtype=object)


def compiled(model, y, **arguments):
    return ktr.compile_for_task(model, y=y, **arguments)


def arrays(variables):
    return [variable.value.numpy() for variable in variables]


def state(model):
    """Every variable that a step may change: weights, generators of dropout, slots, metrics."""
    return arrays([*model.variables, *model.optimizer.variables, *model.metrics_variables])


def assert_same_bits(those, others):
    for array, other in zip(those, others, strict=True):
        np.testing.assert_array_equal(array, other)


def run(make, *data, speed, **arguments):
    """Trains a fresh model, and returns its history's numbers, its state and how it was run."""
    keras.utils.set_random_seed(1)
    model = make()
    defaults = {"epochs": 2, "batch_size": 16, "seed": 3, "verbose": 0, "restore_best": False}
    history = ktr.fit(model, *data, **defaults | arguments, speed=speed)
    numbers = {name: column for name, column in history.history.items() if name != "seconds"}
    return numbers, state(model), history.engine


def assert_steps_give_the_bits_of_plain(make, *data, **arguments):
    plain, plain_state, _ = run(make, *data, **arguments, speed="plain")
    steps, steps_state, way = run(make, *data, **arguments, speed="steps")
    assert way.startswith("steps: ")
    assert steps == plain
    assert_same_bits(steps_state, plain_state)


def dense():
    return compiled(ktr.build("dense", keras.layers.Dropout(0.5), input_shape=(4,), classes=3), Y)


def regression():
    return compiled(ktr.build("regression", input_shape=(4,)), X[:, 0], optimizer="sgd")


def binary():
    return compiled(ktr.build("binary", input_shape=(4,)), Y > 0, optimizer="sgd")


def cnn():
    model = ktr.build("cnn", input_shape=(8, 8), filters=(4,), units=8, classes=3)
    return compiled(model, Y, optimizer="sgd")


def text():
    model = ktr.build("text", texts=TEXTS, length=5, embedding=4, units=4)
    return compiled(model, Y > 0, optimizer="sgd")


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=3, decay_rate=0.7)


BUILDERS = {
    "dense": (dense, X, Y, {"validation_split": 0.2}),
    "regression": (regression, X, X[:, 0], {"schedule": SCHEDULE}),
    "binary": (binary, X, Y > 0, {"class_weight": {0: 1.0, 1: 3.0}}),
    "cnn": (cnn, IMAGES, Y, {}),
    "text": (text, TEXTS, Y > 0, {}),
}


@pytest.mark.parametrize("builder, shuffle", diagonal(BUILDERS, [True, False]))
def test_steps_give_the_bits_of_plain_for_every_builder(builder, shuffle):
    make, x, y, arguments = BUILDERS[builder]
    assert_steps_give_the_bits_of_plain(make, x, y, shuffle=shuffle, **arguments)


def test_steps_give_the_bits_of_plain_under_batch_normalisation_and_a_recurrent_layer():
    def make():
        layers = [keras.layers.BatchNormalization(), keras.layers.GRU(3)]
        head = keras.layers.Dense(3, activation="softmax")
        model = keras.Sequential([keras.Input((8, 8)), *layers, head])
        return compiled(model, Y, optimizer="sgd")

    assert_steps_give_the_bits_of_plain(make, IMAGES, Y)


def test_steps_give_the_bits_of_plain_where_calls_end_within_an_epoch(monkeypatch):
    measured = engine._steps_a_call
    monkeypatch.setattr(engine, "_steps_a_call", lambda *arguments: min(3, measured(*arguments)))
    plain, plain_state, _ = run(dense, X, Y, validation_data=(X, Y), speed="plain")
    steps, steps_state, way = run(dense, X, Y, validation_data=(X, Y), speed="steps")
    assert way == "steps: 3 batches a call, as asked"
    assert steps == plain
    assert_same_bits(steps_state, plain_state)


class TwoOptimizers(keras.Model):
    """Keeps what no list of Keras's knows: optimizers of its own and a counter; has no `call`."""

    def __init__(self):
        super().__init__()
        self.halves = [keras.layers.Dense(1), keras.layers.Dense(1)]
        self.optimizers = [keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.1, momentum=0.9)]
        self.counter = tf.Variable(0)
        self.mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean]

    def train_step(self, data):
        x, y = data
        self.counter.assign_add(1)
        for half, optimizer in zip(self.halves, self.optimizers, strict=True):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((half(x)[:, 0] - y) ** 2)
            gradients = tape.gradient(loss, half.trainable_variables)
            optimizer.apply(gradients, half.trainable_variables)
            self.mean.update_state(loss)
        return {"loss": self.mean.result()}


def test_measuring_leaves_no_trace_in_a_model_with_a_step_of_its_own():
    def make():
        made.append(TwoOptimizers())
        made[-1].compile()
        return made[-1]

    made = []
    plain, _, _ = run(make, X, X[:, 0], speed="plain")
    steps, _, way = run(make, X, X[:, 0], speed="steps")
    assert way.startswith("steps: ")
    assert steps == plain
    assert [int(model.counter) for model in made] == [8, 8]
    by_plain, by_steps = ([model, *model.optimizers] for model in made)
    for one, other in zip(by_plain, by_steps, strict=True):
        assert_same_bits(arrays(one.variables), arrays(other.variables))


def test_a_step_is_traced_in_both_ways_as_keras_traces_it():
    class Branches(keras.Model):
        def train_step(self, data):
            if tf.reduce_sum(data[0]) > 0:  # Keras doesn't rewrite this for a graph.
                return {}
            return {}

    for speed in ("plain", "steps"):
        model = Branches()
        model.compile()
        with pytest.raises(TypeError, match="as a Python `bool` is not allowed"):
            ktr.fit(model, X, Y, speed=speed, verbose=0)


# Callbacks that get every batch.


@pytest.fixture(scope="module")
def model():
    return dense()


def source(model, **arguments):
    defaults = {
        "validation_split": 0.0,
        "batch_size": 16,
        "shuffle": True,
        "class_weight": None,
        "seed": 1,
    }
    return source_for(model, (X, Y, None), None, **defaults | arguments)


def chosen(model, *callbacks, speed="auto", epochs=1):
    """How a run with these callbacks would be executed."""
    with engine.executing(model, speed, source(model), callbacks, epochs) as execution:
        return execution


class Hook(keras.callbacks.Callback):
    """Overrides one batch hook, and notes what it is given."""

    def __init__(self, moment):
        super().__init__()
        self.seen = []
        setattr(self, moment, lambda batch, logs=None: self.seen.append(batch))


EVERY_HOOK = [
    f"on_{kind}batch_{moment}" for kind in ("", "train_", "test_") for moment in ("begin", "end")
]


def test_hooks_get_every_batch_in_order_and_the_group_size_comes_back():
    model = dense()
    model.compile("sgd", model.loss, steps_per_execution=7)
    hooks = {moment: Hook(moment) for moment in EVERY_HOOK if moment[3:8] != "batch"}
    collected = []
    by_lambda = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: collected.append(batch)
    )
    history = ktr.fit(
        model,
        X,
        Y,
        validation_data=(X[:32], Y[:32]),
        epochs=2,
        batch_size=16,
        callbacks=[*hooks.values(), by_lambda],
        verbose=0,
    )
    assert history.engine == "plain: Keras's own loop, since Hook gets every batch"
    train, test = [0, 1, 2, 3] * 2, [0, 1] * 2
    assert {moment: hook.seen for moment, hook in hooks.items()} == {
        "on_train_batch_begin": train,
        "on_train_batch_end": train,
        "on_test_batch_begin": test,
        "on_test_batch_end": test,
    }
    assert collected == train
    assert model.steps_per_execution == 7


def test_the_group_size_that_was_compiled_in_comes_back_after_steps():
    model = dense()
    model.compile("sgd", model.loss, steps_per_execution=7)
    history = ktr.fit(model, X, Y, batch_size=16, speed="steps", verbose=0)
    assert history.engine == "steps: 4 batches a call, a whole epoch, as asked"
    assert (model.steps_per_execution, model.train_function) == (7, None)


@pytest.mark.parametrize("moment", EVERY_HOOK)
def test_any_batch_hook_keeps_a_run_from_the_fast_way(model, moment):
    subclass = type("Watcher", (keras.callbacks.Callback,), {moment: lambda *arguments: None})
    execution = chosen(model, subclass(), speed="steps")
    assert str(execution) == "plain: Keras's own loop, since Watcher gets every batch"
    assert execution.steps_per_call == 1
    assert chosen(model, Hook(moment)).way == "plain"


@pytest.mark.parametrize(
    "make, name",
    [
        (keras.callbacks.TerminateOnNaN, "TerminateOnNaN"),
        (
            lambda: keras.callbacks.ModelCheckpoint("{batch}.keras", save_freq=5),
            "ModelCheckpoint",
        ),
        (
            lambda: keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: None),
            "LambdaCallback",
        ),
    ],
    ids=["TerminateOnNaN", "ModelCheckpoint by batches", "LambdaCallback"],
)
def test_keras_callbacks_that_use_a_batch_hook_get_every_batch(model, make, name):
    execution = chosen(model, make())
    assert str(execution) == f"plain: Keras's own loop, since {name} gets every batch"


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.ModelCheckpoint("best.keras"),
        keras.callbacks.EarlyStopping(),
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        keras.callbacks.History(),
        ktr.callbacks.early_stopping(),
        ktr.callbacks.reduce_on_plateau(),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_callbacks_of_epochs_leave_the_fast_way_open(callback):
    assert engine.sees_every_batch(callback) is False


def test_the_standard_pair_goes_the_fast_way(tmp_path):
    model = dense()
    pair = ktr.callbacks.standard(tmp_path / "best.keras", patience=5)
    history = ktr.fit(
        model, X, Y, validation_data=(X, Y), batch_size=16, epochs=2, callbacks=pair, verbose=0
    )
    assert history.engine == "steps: 4 batches a call, a whole epoch, too short a run to measure"
    assert (tmp_path / "best.keras").is_file()


# What else keeps a run from the fast way.


def test_plain_is_what_was_asked_for(model):
    execution = chosen(model, speed="plain")
    assert (execution.way, str(execution)) == ("plain", "plain: Keras's own loop, as asked")


@pytest.mark.parametrize("speed", ["auto", "steps"])
def test_a_model_that_runs_eagerly_falls_back_and_says_so(speed):
    model = dense()
    model.run_eagerly = True
    history = ktr.fit(model, X, Y, speed=speed, verbose=0)
    assert history.engine == "plain: Keras's own loop, since the model runs eagerly"


def test_a_model_that_makes_its_own_train_function_keeps_it():
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            raise AssertionError("not called here")

    model = Own([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    assert str(chosen(compiled(model, Y))) == (
        "plain: Keras's own loop, since the model makes its own train function"
    )


def test_under_a_distribution_strategy_keras_runs_the_steps():
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = dense()
    history = ktr.fit(model, X, Y, batch_size=16, verbose=0)
    assert history.engine == (
        "plain: Keras's own loop, since the model has a distribution strategy"
    )
    assert history.history["learning_rate"] == pytest.approx([0.001])


# Leaving everything as it was.


def test_the_functions_and_the_group_size_come_back_even_after_an_error(model):
    before = (model.steps_per_execution, model.train_function, model.test_function)
    for speed in ("steps", "plain"):
        with (
            pytest.raises(RuntimeError, match="in between"),
            engine.executing(model, speed, source(model), []),
        ):
            raise RuntimeError("in between")
        assert (model.steps_per_execution, model.train_function, model.test_function) == before


def test_measuring_leaves_every_bit_of_a_trained_model_in_place():
    model = dense()
    model.train_on_batch(X, Y)
    before = state(model)
    with engine.executing(model, "steps", source(model), []) as execution:
        assert execution.way == "steps"
        assert_same_bits(state(model), before)


def test_measuring_leaves_a_fresh_model_with_a_fresh_optimizer():
    model = dense()
    before = arrays(model.variables)
    with engine.executing(model, "steps", source(model), []):
        assert_same_bits(arrays(model.variables), before)
        slots = [v for v in arrays(model.optimizer.variables) if v.ndim]
        assert int(model.optimizer.iterations) == 0
    assert len(slots) == 8
    assert not any(slot.any() for slot in slots)


# How many steps go into a call.


@pytest.mark.parametrize("seconds_a_call, steps", [(1e-9, 1), (1e9, 4)])
def test_a_call_takes_one_batch_at_least_and_an_epoch_at_most(
    monkeypatch, model, seconds_a_call, steps
):
    monkeypatch.setattr(engine, "SECONDS_A_CALL", seconds_a_call)
    assert chosen(model, speed="steps", epochs=100).steps_per_call == steps


def test_validation_and_prediction_run_many_steps_a_call_too():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            functions.append((self.model.test_function, self.model.predict_function))
            predicted.append(self.model.predict(x, batch_size=8, verbose=0))

    functions, predicted = [], []
    model = dense()
    x = np.random.default_rng(0).normal(size=(20, *model.input_shape[1:])).astype("float32")
    y = np.zeros(20, int)
    stock = model.test_function, model.predict_function
    ktr.fit(model, x, y, validation_data=(x, y), speed="steps", callbacks=Look(), verbose=0)
    assert None not in functions[0]
    assert (model.test_function, model.predict_function) == stock
    np.testing.assert_allclose(predicted[0], model.predict(x, verbose=0), rtol=1e-5)


# What callbacks do besides


class Asks(keras.callbacks.Callback):
    """Evaluates, and trains on, rows of its own, which is not for `fit`'s batches to answer."""

    def on_epoch_end(self, epoch, logs=None):
        figures = self.model.evaluate(X[:20], Y[:20], batch_size=8, verbose=0)
        self.evaluated = [*getattr(self, "evaluated", []), figures[0]]
        self.tested = self.model.test_on_batch(X[:7], Y[:7])[0]
        batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        self.evaluated.append(self.model.evaluate(batches, steps=1, verbose=0)[0])
        self.evaluated.append(len(self.model.predict(batches, steps=2, verbose=0)))
        if epoch == 0:
            self.model.train_on_batch(X[:5], Y[:5])
            self.model.fit(batches.repeat(), steps_per_epoch=2, verbose=0)
            self.model.stop_training = False


KINDS_OF_DATA = {
    "validation": {"x": X, "y": Y, "batch_size": 16, "validation_data": (X, Y)},
    "rows": {"x": X, "y": Y, "batch_size": 16},
    "Dataset": {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)},
}


@pytest.mark.parametrize("speed, data", diagonal(["steps", "compiled"], KINDS_OF_DATA))
def test_a_callback_that_evaluates_or_trains_gets_its_own_rows(speed, data):
    def asked(speed):
        keras.utils.set_random_seed(1)
        model = compiled(ktr.build("dense", input_shape=(4,), classes=3), Y, optimizer="sgd")
        asks, arguments = Asks(), {"epochs": 3, "seed": 3, "verbose": 0, "restore_best": False}
        ktr.fit(model, **KINDS_OF_DATA[data], **arguments, callbacks=[asks], speed=speed)
        return [*asks.evaluated, asks.tested, int(model.optimizer.iterations)]

    np.testing.assert_allclose(asked(speed), asked("plain"), rtol=1e-5)


class WithAnotherFigure(keras.Model):
    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        figures = super().compute_metrics(x, y, y_pred, sample_weight)
        return {**figures, "largest": keras.ops.max(y_pred)}


@pytest.mark.parametrize("speed", ["steps", "compiled"])
def test_what_compute_metrics_adds_is_logged(speed):
    def history(speed):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        model = WithAnotherFigure(inputs, keras.layers.Dense(1)(inputs))
        model.compile("sgd", "mse")
        arguments = {"epochs": 2, "batch_size": 16, "seed": 1, "verbose": 0}
        return ktr.fit(model, X, Y, validation_data=(X, Y), speed=speed, **arguments).history

    plain, fast = history("plain"), history(speed)
    for column in ("loss", "largest", "val_largest"):
        np.testing.assert_allclose(fast[column], plain[column], rtol=1e-5)


def test_a_step_may_log_a_number_a_row():
    class LogsRows(keras.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            return {**logs, "rows": self(data[0])[:, 0]}

    inputs = keras.Input((4,))
    model = LogsRows(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    history = ktr.fit(model, X, Y, batch_size=16, speed="steps", verbose=0)
    assert history.engine.startswith("steps: ")
    assert list(history.history) == ["loss", "learning_rate", "seconds"]


def test_losses_of_several_outputs_are_not_compiled_beside_a_smaller_last_batch():
    def run(speed):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,))
        heads = [keras.layers.Dense(1, name=name)(inputs) for name in "ab"]
        model = keras.Model(inputs, heads)
        model.compile("sgd", ["mse", "mse"])
        arguments = {"epochs": 2, "batch_size": 16, "seed": 1, "verbose": 0}
        return ktr.fit(model, X, (X[:, 0], X[:, 1]), speed=speed, **arguments)

    plain, asked = run("plain"), run("compiled")
    assert asked.engine.endswith(
        "since the model has several losses, and the last batch has fewer rows"
    )
    assert asked.history["a_loss"] == plain.history["a_loss"]


# What may be asked for.


@pytest.mark.parametrize("way", ["plain", "steps", "compiled"])
def test_the_one_way_of_a_run_is_that_way(way):
    assert engine.speed_checked("fit", {0: way}) == way


@pytest.mark.parametrize(
    "speed",
    [{}, {1: "steps"}, {0: "auto"}, {0: "fast"}, {0: "plain", 2: "steps"}, {0: "steps", 2: "x"}],
)
def test_ways_between_which_a_run_cannot_change_are_refused(speed):
    must = "name a way for epoch 0, and change between 'steps' and 'compiled' only"
    sentence = f"`fit`: `speed` must {must}. Received: speed={speed}."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        engine.speed_checked("fit", speed)


def test_the_epochs_of_ways_are_whole_numbers():
    with pytest.raises(TypeError) as caught:
        engine.speed_checked("fit", {"0": "steps"})
    assert str(caught.value) == "`fit`: `speed` must be a whole number. Received: speed='0'."
