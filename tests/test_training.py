"""`fit` and `build_and_fit`: what they take, what they leave behind, how a run ends."""

import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import assert_same_bits, measures
from small_products import diagonal

import kerastrain as ktr

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
NOISE = GENERATOR.permutation(Y)  # Labels that can be learnt by heart only.


def classifier(*, dropout=0.0, optimizer="sgd", rate=0.01, seed=1, eager=True):
    """A small model; eager where nothing hangs on it, since tracing takes longer than the steps."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(dropout)]
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), *layers, head])
    ktr.compile_for_task(model, "multiclass", optimizer=optimizer, learning_rate=rate)
    model.run_eagerly = eager
    return model


def traced():
    return classifier(eager=False)


def fit(model, *data, **arguments):
    return ktr.fit(model, *data, **{"verbose": 0, "batch_size": 16} | arguments)


# The history.


@pytest.fixture(scope="module")
def trained():
    model = classifier(dropout=0.3, eager=False)
    history = fit(model, X, Y, epochs=4, validation_split=0.25, seed=5)
    return model, history


def test_verbose_1_says_first_how_the_run_goes(capsys):
    history = fit(classifier(), X, Y, epochs=1, verbose=1)
    way, why = history.engine.split(": ", 1)
    assert capsys.readouterr().out.splitlines()[0] == f'speed="{way}": {why}'


def test_a_history_holds_what_keras_logs_the_rate_and_the_seconds_of_every_epoch(trained):
    _, history = trained
    columns = ["accuracy", "learning_rate", "loss", "seconds", "val_accuracy", "val_loss"]
    assert sorted(history.history) == columns
    assert (len(history), history.epoch) == (4, [0, 1, 2, 3])
    assert {len(column) for column in history.history.values()} == {4}
    assert all(type(v) is float for column in history.history.values() for v in column)
    assert history.history["learning_rate"] == pytest.approx([0.01] * 4)
    assert min(history.history["seconds"]) > 0


def test_a_history_says_which_epoch_was_best_and_how_the_run_went(trained):
    _, history = trained
    assert isinstance(history, ktr.History)
    assert (history.monitor, history.seed) == ("val_loss", 5)
    assert history.best_epoch == int(np.argmin(history.history["val_loss"]))
    assert (history.stopped_epoch, history.stop_reason) == (None, "finished")
    assert history.engine == "steps: 3 batches a call, a whole epoch, too short a run to measure"


def test_without_validation_the_training_loss_decides():
    history = fit(classifier(), X, Y, epochs=2)
    assert history.monitor == "loss"
    assert history.best_epoch == int(np.argmin(history.history["loss"]))


def test_nothing_is_printed_where_nothing_was_asked_for(capfd):
    fit(classifier(), X, Y, validation_split=0.25, verbose=0)
    assert capfd.readouterr().out == ""


# What it takes: everything trains as in Keras's own fit.


def two_inputs(*, names=("left", "right"), as_dict=False, outputs=1):
    keras.utils.set_random_seed(1)
    inputs = [keras.Input((2,), name=name) for name in names]
    joined = keras.layers.Concatenate()(inputs)
    heads = [keras.layers.Dense(1, name=f"out{number}")(joined) for number in range(outputs)]
    model = keras.Model(dict(zip(names, inputs, strict=True)) if as_dict else inputs, heads)
    model.compile("sgd", ["mse"] * outputs)
    return model


def dict_outputs():
    keras.utils.set_random_seed(1)
    x = keras.Input((4,))
    heads = {"size": keras.layers.Dense(1)(x), "kind": keras.layers.Dense(3, "softmax")(x)}
    model = keras.Model(x, heads)
    model.compile("sgd", {"size": "mse", "kind": "sparse_categorical_crossentropy"})
    return model


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        rows = slice(number * 16, number * 16 + 16)
        return X[rows], Y[rows]


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)


LEFT, RIGHT = X[:, :2], X[:, 2:]
WEIGHT = np.linspace(0, 2, 60)


@pytest.mark.parametrize(
    "make, data, arguments",
    [
        (traced, lambda: (X, Y), {}),
        (
            traced,
            lambda: (X, Y),
            {"sample_weight": WEIGHT, "validation_data": (X, Y, WEIGHT)},
        ),
        (two_inputs, lambda: ([LEFT, RIGHT], X[:, 0]), {}),
        (
            lambda: two_inputs(as_dict=True),
            lambda: ({"right": RIGHT, "left": LEFT}, X[:, 0]),
            {"validation_data": ({"right": RIGHT, "left": LEFT}, X[:, 0])},
        ),
        (lambda: two_inputs(outputs=2), lambda: ([LEFT, RIGHT], [X[:, 0], X[:, 1]]), {}),
        (dict_outputs, lambda: (X, {"size": X[:, 0], "kind": Y}), {}),
        (traced, lambda: (dataset(),), {"validation_data": dataset()}),
        (traced, lambda: (dataset().filter(lambda x, y: True),), {}),
        (traced, lambda: (Batches(),), {"validation_data": Batches()}),
        (traced, lambda: (Batches(workers=2),), {}),
    ],
    ids=[
        "arrays",
        "sample weights",
        "a tuple of inputs",
        "a dict of inputs",
        "two outputs",
        "a dict of outputs",
        "Dataset",
        "Dataset of unknown length",
        "PyDataset",
        "PyDataset with workers",
    ],
)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, at an unknown length.
def test_in_the_same_order_the_losses_are_those_of_keras(make, data, arguments):
    sizes = {} if len(data()) == 1 else {"batch_size": 16}
    (x, *y), common = data(), {"epochs": 2, "shuffle": False, "verbose": 0}
    wanted = make().fit(x, *y, **sizes, **common, **arguments).history
    history = ktr.fit(make(), *data(), **sizes, **common, **arguments)
    assert history.engine.startswith("steps: ")
    for name, column in wanted.items():
        assert history.history[name] == pytest.approx(column, rel=1e-6), name


def test_the_split_is_as_large_as_keras_would_make_it():
    batches = []
    count = keras.callbacks.LambdaCallback()
    count.on_test_batch_end = lambda batch, logs=None: batches.append(batch)
    arguments = {"batch_size": 1, "validation_split": 0.3, "verbose": 0, "callbacks": [count]}
    classifier().fit(X[:11], Y[:11], **arguments)
    assert len(batches) == 4
    ktr.fit(classifier(), X[:11], Y[:11], **arguments)
    assert len(batches) == 8


# Seeds.


@pytest.fixture(scope="module")
def runs():
    """Runs from the same weights, under differing global seeds, by the seed given to `fit`."""
    start = classifier().get_weights()

    def run(seed, global_seed):
        model = classifier(dropout=0.5, seed=global_seed, eager=False)
        model.set_weights(start)
        history = fit(model, X, Y, epochs=2, validation_split=0.25, seed=seed)
        return history, model.get_weights()

    unseeded = run(None, 3)
    return {
        "once": run(7, 1),
        "again": run(7, 2),
        "other": run(8, 1),
        "unseeded": unseeded,
        "repeated": run(unseeded[0].seed, 4),
    }


def test_a_seed_makes_two_runs_the_same_to_the_bit(runs):
    (history, weights), (other_history, other_weights) = runs["once"], runs["again"]
    assert measures(history) == measures(other_history)
    assert_same_bits(weights, other_weights)


def test_another_seed_makes_another_run(runs):
    assert measures(runs["once"][0]) != measures(runs["other"][0])


def test_a_seed_that_was_drawn_is_noted_and_repeats_the_run(runs):
    (history, weights), (other_history, other_weights) = runs["unseeded"], runs["repeated"]
    assert history.seed == other_history.seed
    assert 0 <= history.seed < 2**31
    assert measures(history) == measures(other_history)
    assert_same_bits(weights, other_weights)


def test_a_drawn_seed_comes_from_pythons_generator_and_leaves_numpys_alone():
    model = classifier(dropout=0.5)
    random.seed(11)
    np.random.seed(11)
    before = repr(np.random.get_state())
    first = fit(model, X, Y).seed
    assert repr(np.random.get_state()) == before
    random.seed(11)
    assert random.getrandbits(31) == first


def test_a_given_seed_seeds_the_generators_of_callbacks_too():
    drawn = []
    draw = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: drawn.append((random.random(), np.random.rand()))
    )
    for _ in range(2):
        fit(classifier(), X, Y, seed=3, callbacks=[draw])
    assert drawn[0] == drawn[1]


def test_a_pydataset_is_shuffled_the_same_way_by_the_same_seed():
    histories = [fit(classifier(), Batches(), batch_size=32, epochs=2, seed=s) for s in (1, 1, 2)]
    assert measures(histories[0]) == measures(histories[1])
    assert measures(histories[0]) != measures(histories[2])


# Learning rates.


def test_the_rate_of_an_epoch_s_last_step_is_in_every_epoch():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5)
    history = fit(classifier(), X, Y, epochs=3, schedule=schedule)
    by_hand = [0.1 * 0.5 ** (step / 4) for step in (3, 7, 11)]
    assert history.history["learning_rate"] == pytest.approx(by_hand)


def test_the_rate_of_the_users_own_schedule_is_in_every_epoch():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([4], [0.1, 0.01])
    model = classifier()
    model.compile(keras.optimizers.SGD(schedule), "sparse_categorical_crossentropy")
    assert fit(model, X, Y, epochs=2).history["learning_rate"] == pytest.approx([0.1, 0.01])


def test_the_rate_that_reduce_on_plateau_lowers_is_in_every_epoch():
    plateau = ktr.callbacks.reduce_on_plateau("loss", factor=0.1, patience=1, min_delta=100)
    history = fit(classifier(), X, Y, epochs=4, callbacks=[plateau])
    assert history.history["learning_rate"] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])


def standing_still():
    return keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.0, 0.0])


@pytest.mark.parametrize("speed", ["plain", "steps"])
def test_a_schedule_counts_after_a_fit_of_keras_and_stays_for_the_next(speed):
    model = traced()
    model.fit(X, Y, batch_size=16, verbose=0)  # Has the optimizer's first rate traced in.
    weights = model.get_weights()
    history = fit(model, X, Y, schedule=standing_still(), speed=speed, restore_best=False)
    assert history.history["learning_rate"] == [0.0]
    assert_same_bits(model.get_weights(), weights)
    model.fit(X, Y, batch_size=16, verbose=0)
    assert_same_bits(model.get_weights(), weights)


STEPS = 4  # an epoch: 60 rows in batches of 16
DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
COSINE = [0.05 * (1 + math.cos(math.pi * step / 8)) for step in (3, 7)]  # of 8 steps, two epochs


@pytest.mark.parametrize(
    "name, speed",
    diagonal(["warmup", "warmup_cosine", "one_cycle"], ["plain", "steps", "compiled"]),
)
def test_a_schedule_learns_the_steps_of_the_run(name, speed):
    factory = getattr(ktr.schedules, name)
    history = fit(traced(), X, Y, epochs=3, schedule=factory(0.1, epochs=1), speed=speed)
    schedule = factory(0.1, epochs=1).for_run(STEPS, 3)
    ends = [float(schedule(STEPS * epoch - 1)) for epoch in (1, 2, 3)]
    assert history.history["learning_rate"] == pytest.approx(ends, rel=1e-6, abs=1e-9)


def test_a_second_run_starts_its_schedule_afresh():
    model = classifier()
    cosine = ktr.schedules.warmup_cosine(0.1, epochs=0)
    runs = [fit(model, X, Y, epochs=2, schedule=cosine).history["learning_rate"] for _ in range(2)]
    assert runs[0] == runs[1] == pytest.approx(COSINE)
    assert int(model.optimizer.iterations) == 4 * STEPS


def test_a_function_gets_the_optimizers_rate_as_the_peak():
    model = classifier(rate=0.25)
    history = fit(model, X, Y, schedule=ktr.schedules.warmup)
    assert history.history["learning_rate"] == pytest.approx([0.25])
    decay = keras.optimizers.schedules.ExponentialDecay
    history = fit(classifier(rate=0.2), X, Y, schedule=lambda peak: decay(peak, STEPS, 0.5))
    assert history.history["learning_rate"] == pytest.approx([0.2 * 0.5**0.75])


def test_a_function_gets_the_peak_of_a_schedule_that_came_before():
    model = classifier(rate=0.25)
    fit(model, X, Y, schedule=ktr.schedules.warmup_cosine)
    history = fit(model, X, Y, schedule=ktr.schedules.warmup)
    assert history.history["learning_rate"] == pytest.approx([0.25])


@pytest.mark.parametrize("factory", [ktr.schedules.warmup_cosine, ktr.schedules.one_cycle])
def test_a_schedule_that_has_ended_near_0_has_to_be_given_again(factory):
    model = classifier()
    fit(model, X, Y, epochs=2, schedule=factory(0.1))
    with pytest.raises(ValueError, match="has ended") as error:
        fit(model, X, Y)
    rate = float(model.optimizer.learning_rate)
    assert str(error.value) == (
        "`fit`: `schedule` must be given where the optimizer's own has ended, at a rate of "
        f"{rate:.2g}. Received: schedule=None."
    )


def test_a_schedule_for_steps_that_are_done_is_refused():
    model = classifier()
    cosine = ktr.schedules.warmup_cosine(0.1).for_run(STEPS, 2)
    fit(model, X, Y, epochs=2, schedule=cosine)
    with pytest.raises(ValueError, match="has ended") as error:
        fit(model, X, Y, epochs=2, schedule=cosine)
    assert str(error.value) == (
        "`fit`: `schedule` must reach beyond step 8, at which it has ended, at a rate of 0: call "
        f".for_run(steps_per_epoch, epochs, first_step=8). Received: schedule={cosine!r}."
    )


def test_an_optimizer_whose_schedule_doesnt_know_its_steps_takes_another():
    model = classifier()
    model.compile(keras.optimizers.SGD(ktr.schedules.one_cycle(0.5)), model.loss)
    history = fit(model, X, Y, schedule=ktr.schedules.warmup(0.1))
    assert history.history["learning_rate"] == pytest.approx([0.1])


@pytest.mark.parametrize(
    "function", [lambda epoch, rate: rate, keras.optimizers.schedules.CosineDecay]
)
def test_a_function_that_takes_no_peak_is_refused(function):
    with pytest.raises(TypeError) as error:
        fit(classifier(), X, Y, schedule=function)
    assert str(error.value) == (
        "`fit`: `schedule` must be a keras.optimizers.schedules.LearningRateSchedule or a function "
        "from the peak to one, such as kerastrain.schedules.one_cycle. "
        f"Received: schedule={function.__name__}."
    )


def test_a_schedule_that_has_ended_at_its_peak_goes_on_there():
    model = classifier()
    fit(model, X, Y, schedule=ktr.schedules.warmup(0.1))
    assert fit(model, X, Y).history["learning_rate"] == pytest.approx([0.1])


def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule_that_came_before():
    model = classifier()
    fit(model, X, Y, schedule=ktr.schedules.warmup(0.1))
    with pytest.raises(ValueError, match="callbacks") as error:
        fit(model, X, Y, callbacks=ktr.callbacks.reduce_on_plateau("loss"))
    assert str(error.value) == (
        "`fit`: `callbacks` must hold none that sets the learning rate where the optimizer runs a "
        "schedule. Received: ReduceLROnPlateau."
    )


def test_accumulated_gradients_leave_the_schedule_counting_batches():
    model = classifier(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    for _ in range(2):
        history = fit(model, X, Y, epochs=2, schedule=ktr.schedules.warmup_cosine(0.1, epochs=0))
        assert history.history["learning_rate"] == pytest.approx(COSINE)


def test_a_dataset_that_knows_its_length_has_steps_for_a_schedule():
    known = unknown().apply(tf.data.experimental.assert_cardinality(STEPS))
    history = fit(
        classifier(),
        known,
        batch_size=32,
        epochs=2,
        schedule=ktr.schedules.warmup_cosine(0.1, epochs=0),
    )
    assert history.history["learning_rate"] == pytest.approx(COSINE)


def unknown():
    """A Dataset that doesn't know its length."""
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(16).filter(lambda *_: True)


def in_memory():
    return X, Y


@pytest.mark.parametrize(
    "rate, data, schedule, kind, sentence",
    [
        (
            0.1,
            lambda: [unknown()],
            ktr.schedules.warmup(0.5),
            ValueError,
            "`fit`: `schedule` must know the steps of an epoch, which this Dataset doesn't tell: "
            "pass dataset.apply(tf.data.experimental.assert_cardinality(steps)) as `x`, or "
            "schedule.for_run(steps_per_epoch, epochs) as `schedule`. "
            "Received: schedule=warmup(peak=0.5, fraction=0.1).",
        ),
        (
            DECAY,
            in_memory,
            ktr.schedules.one_cycle,
            ValueError,
            "`fit`: `schedule` must be called with a peak, as in schedule=one_cycle(0.1), where "
            "the optimizer runs a schedule already and so has no one rate. "
            "Received: schedule=one_cycle.",
        ),
        (
            0.1,
            in_memory,
            math.sqrt,
            TypeError,
            "`fit`: `schedule` must be a keras.optimizers.schedules.LearningRateSchedule or a "
            "function from the peak to one, such as kerastrain.schedules.one_cycle. "
            "Received: schedule=sqrt.",
        ),
        (
            0.1,
            in_memory,
            ktr.schedules.warmup(0.5, epochs=2),
            ValueError,
            "`warmup`: `epochs` must be at most the epochs of the run (1). Received: epochs=2.",
        ),
        (
            ktr.schedules.warmup(0.5),
            in_memory,
            None,
            ValueError,
            "`warmup`: `schedule` must know the steps of the run: pass it to fit(schedule=...), or "
            "call .for_run(steps_per_epoch, epochs). "
            "Received: warmup(peak=0.5, fraction=0.1).",
        ),
    ],
    ids=["unknown steps", "no one rate", "no schedule", "too long", "unresolved in the optimizer"],
)
def test_what_cannot_be_followed_is_refused_before_training(rate, data, schedule, kind, sentence):
    model = classifier()
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    weights = model.get_weights()
    with pytest.raises(kind) as caught:
        ktr.fit(model, *data(), schedule=schedule, verbose=0)
    assert str(caught.value) == sentence
    assert_same_bits(model.get_weights(), weights)
    assert int(model.optimizer.iterations) == 0


# The best epoch, and stopping early.


@pytest.fixture(scope="module")
def stopped():
    """A run that learns noise by heart, so that the validation loss soon rises."""
    model = classifier(optimizer="adam", rate=0.1, eager=False)
    history = fit(model, X, NOISE, validation_data=(X[::-1], NOISE), epochs=40, patience=3, seed=1)
    return model, history


def test_early_stopping_waits_for_its_patience(stopped):
    _, history = stopped
    assert history.stop_reason == "early_stopping"
    assert history.stopped_epoch == history.best_epoch + 3
    assert history.epoch[-1] == history.stopped_epoch < 39
    assert len(history) == history.stopped_epoch + 1


def test_the_model_ends_at_its_best_epoch(stopped):
    model, history = stopped
    assert history.best["val_loss"] == min(history.history["val_loss"])
    evaluated = model.evaluate(X[::-1], NOISE, batch_size=16, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history.best["val_loss"], rel=1e-6)
    assert evaluated["accuracy"] == pytest.approx(history.best["val_accuracy"], rel=1e-6)


@pytest.mark.parametrize("restore_best", [True, False])
def test_without_patience_a_run_ends_at_its_last_epoch_and_may_restore_the_best(restore_best):
    model, upside_down = classifier(), {"mode": "max", "restore_best": restore_best}
    history = fit(model, X, Y, validation_data=(X, Y), epochs=3, **upside_down)
    assert (len(history), history.stopped_epoch, history.stop_reason) == (3, None, "finished")
    best, last = history.best["val_loss"], history.history["val_loss"][-1]
    assert (history.best_epoch, best > last) == (0, True)
    loss = model.evaluate(X, Y, batch_size=16, verbose=0)[0]
    assert loss == pytest.approx(best if restore_best else last, rel=1e-6)


def test_a_change_below_min_delta_is_no_improvement():
    history = fit(classifier(), X, Y, epochs=9, patience=2, min_delta=100.0)
    assert (history.best_epoch, history.stopped_epoch, len(history)) == (0, 2, 3)


@pytest.mark.parametrize(
    "monitor, column", [("acc", "accuracy"), ("val_acc", "val_accuracy"), ("val_loss", "val_loss")]
)
def test_the_monitor_may_have_its_old_name_and_its_direction_is_known(monitor, column):
    history = fit(classifier(), X, Y, validation_split=0.25, epochs=3, monitor=monitor)
    assert history.monitor == column
    best = np.argmin if column == "val_loss" else np.argmax
    assert history.best_epoch == int(best(history.history[column]))


def test_the_mode_may_turn_the_monitor_around():
    history = fit(classifier(), X, Y, epochs=3, monitor="loss", mode="max")
    assert history.best_epoch == int(np.argmax(history.history["loss"]))


def test_an_unknown_monitor_raises_at_the_first_epochs_end_and_lists_what_there_is():
    ended = []
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: ended.append(epoch))
    with pytest.raises(ValueError, match="val_auc") as error:
        fit(classifier(), X, Y, validation_split=0.25, epochs=5, monitor="val_auc", callbacks=note)
    assert str(error.value) == (
        "`fit`: `monitor` must be one of 'accuracy', 'learning_rate', 'loss', 'seconds', "
        "'val_accuracy', 'val_loss' (did you mean 'val_accuracy'?). Received: monitor='val_auc'."
    )
    assert ended == [0]


def test_the_users_own_early_stopping_decides():
    own = keras.callbacks.EarlyStopping(
        "accuracy", mode="max", min_delta=2.0, patience=1, restore_best_weights=True
    )
    model = classifier()
    first = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: first or first.extend(model.get_weights())
    )
    history = fit(model, X, Y, epochs=9, callbacks=[own, keep])
    assert (history.monitor, history.best_epoch, history.stopped_epoch) == ("accuracy", 0, 1)
    assert history.stop_reason == "early_stopping"
    assert_same_bits(model.get_weights(), first)


def test_the_users_own_early_stopping_says_once_that_it_stopped(capsys):
    own = keras.callbacks.EarlyStopping(
        "accuracy", mode="max", min_delta=2.0, patience=1, restore_best_weights=True, verbose=1
    )
    fit(classifier(), X, Y, epochs=9, callbacks=[own])
    said = capsys.readouterr().out
    assert said.count("Epoch 2: early stopping") == 1
    assert said.count("Restoring model weights from the end of the best epoch: 1.") == 1
    assert own.verbose == 1


# The other ends of a run.


def test_weights_lost_to_nan_end_the_run():
    keras.utils.set_random_seed(1)
    model = ktr.build("regression", input_shape=(4,), n_neurons=4)
    ktr.compile_for_task(model, "regression", optimizer="sgd", learning_rate=1e30)
    history = fit(model, X, X[:, 0], epochs=9)
    assert history.stop_reason == "nan"
    assert history.stopped_epoch == history.epoch[-1] < 8
    assert (history.best_epoch, history.best) == (None, {})
    assert not math.isfinite(history.history["loss"][-1])


def test_a_run_lost_to_nan_ends_at_its_best_epoch():
    model = classifier()

    def spoil(epoch, logs):
        if epoch == 2:
            model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])

    spoiler = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    history = fit(model, X, Y, validation_data=(X, Y), epochs=9, callbacks=[spoiler])
    assert (history.stop_reason, history.stopped_epoch, len(history)) == ("nan", 2, 3)
    assert np.isnan(history.history["val_loss"]).tolist() == [False, False, True]
    loss = model.evaluate(X, Y, batch_size=16, verbose=0)[0]
    assert loss == pytest.approx(history.best["val_loss"], rel=1e-6)


class Interrupts(keras.callbacks.Callback):
    """Ctrl-C at a certain moment."""

    def __init__(self, moment, at):
        super().__init__()

        def interrupt(number, logs=None):
            if number == at:
                raise KeyboardInterrupt

        setattr(self, moment, interrupt)


@pytest.mark.parametrize(
    "moment, at, epochs", [("on_epoch_begin", 2, 2), ("on_epoch_end", 1, 2), ("on_epoch_end", 0, 1)]
)
def test_an_interrupted_run_is_kept_and_the_model_ends_at_its_best_epoch(moment, at, epochs):
    model = classifier()
    interrupts = Interrupts(moment, at)
    history = fit(model, X, Y, validation_data=(X, Y), epochs=9, callbacks=[interrupts])
    assert (history.stop_reason, len(history)) == ("interrupted", epochs)
    assert (history.stopped_epoch, history.best_epoch) == (epochs - 1, epochs - 1)
    assert {len(column) for column in history.history.values()} == {epochs}
    loss = model.evaluate(X, Y, batch_size=16, verbose=0)[0]
    assert loss == pytest.approx(history.best["val_loss"], rel=1e-6)


def test_an_interruption_in_the_first_epoch_leaves_an_empty_history():
    history = fit(classifier(), X, Y, callbacks=[Interrupts("on_train_batch_begin", 1)])
    assert (history.stop_reason, history.epoch, history.history) == ("interrupted", [], {})
    assert (history.best_epoch, history.stopped_epoch) == (None, None)


def test_after_an_interruption_the_next_run_validates_on_its_own_data():
    model = classifier()
    interrupts = Interrupts("on_epoch_end", 0)
    fit(model, X, Y, validation_data=(X[:20], Y[:20]), epochs=2, callbacks=[interrupts])
    history = fit(model, X, Y, validation_data=(X[20:], Y[20:]))
    loss = model.evaluate(X[20:], Y[20:], batch_size=16, verbose=0)[0]
    assert loss == pytest.approx(history.history["val_loss"][0], rel=1e-6)


def test_an_error_in_a_callback_comes_through_and_leaves_the_model_usable(capsys):
    def fail(epoch, logs):
        raise RuntimeError("a callback's own error")

    model = traced()
    before = (model.steps_per_execution, model.train_function, model.test_function)
    fails = keras.callbacks.LambdaCallback(on_epoch_end=fail)
    with pytest.raises(RuntimeError, match="a callback's own error"):
        fit(model, X, Y, callbacks=[fails], verbose=2)
    assert capsys.readouterr().out.endswith("failed in the 1st epoch\n")
    assert (model.steps_per_execution, model.train_function, model.test_function) == before


# Metrics.


def test_a_metric_that_only_some_epochs_log_leaves_nan_in_the_others():
    def log(epoch, logs):
        if epoch in (1, 3):
            logs["val_f1"] = epoch / 10

    history = fit(
        classifier(), X, Y, epochs=4, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=log)]
    )
    nan = math.nan
    np.testing.assert_array_equal(history.history["val_f1"], [nan, 0.1, nan, 0.3])
    assert len(history.history["loss"]) == 4


def test_a_metric_of_many_numbers_is_left_out():
    model = classifier()
    f1 = keras.metrics.F1Score(average=None, name="f1")
    model.compile("sgd", "categorical_crossentropy", metrics=[f1], run_eagerly=True)
    assert sorted(fit(model, X, np.eye(3)[Y]).history) == ["learning_rate", "loss", "seconds"]


# Models with a step of their own.


class Autoencoder(keras.Model):
    """Gets an array and no targets, as a step of Keras gets it: bare."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)
        self.mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean]

    def call(self, x):
        return self.dense(x)

    def train_step(self, x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - x) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}

    def test_step(self, x):
        self.mean.update_state(tf.reduce_mean((self(x) - x) ** 2))
        return {"loss": self.mean.result()}


def autoencoder():
    keras.utils.set_random_seed(1)
    model = Autoencoder()
    model.compile("sgd")
    return model


IN_ORDER = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}


@pytest.fixture(scope="module")
def by_keras():
    return autoencoder().fit(X, validation_data=(X, None), **IN_ORDER).history


@pytest.mark.parametrize("speed", ["plain", "steps"])
def test_a_model_with_its_own_step_trains_without_targets(by_keras, speed):
    model = autoencoder()
    history = ktr.fit(model, X, validation_data=(X, None), **IN_ORDER, speed=speed).history
    assert history["loss"] == by_keras["loss"]
    assert history["val_loss"] == by_keras["val_loss"]


# The model afterwards.


@pytest.mark.parametrize("speed", ["plain", "steps"])
def test_the_model_is_otherwise_as_it_was_and_keras_goes_on_with_it(speed):
    model = traced()
    model.fit(X, Y, validation_data=(X, Y), verbose=0)
    before = (model.steps_per_execution, model.train_function, model.test_function)
    compiled = (model.optimizer, model.loss, model.jit_compile, model.run_eagerly)
    fit(model, X, Y, validation_split=0.25, speed=speed)
    assert (model.steps_per_execution, model.train_function, model.test_function) == before
    assert (model.optimizer, model.loss, model.jit_compile, model.run_eagerly) == compiled
    epochs = model.fit(X, Y, validation_data=(X, Y), initial_epoch=1, epochs=3, verbose=0).epoch
    assert epochs == [1, 2]
    assert model.predict(X, verbose=0).shape == (60, 3)


def test_a_second_fit_goes_on_where_the_first_one_ended():
    model = traced()
    first = fit(model, X, Y, epochs=3)
    assert int(model.optimizer.iterations) == 12
    second = fit(model, X, Y, epochs=2)
    assert int(model.optimizer.iterations) == 20
    assert second.history["loss"][0] < first.history["loss"][0]
    assert (second.epoch, len(second)) == ([0, 1], 2)
