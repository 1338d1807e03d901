"""Where a run is: that the same call goes on with it, to the bit, whatever broke it off."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_products import diagonal
from small_runs import CALL, SAME, Fails, X, Y, bits_of, broken_off, net, told_by, whole

from kerastrain.callbacks import checkpoint, csv_log, early_stopping, reduce_on_plateau
from kerastrain.records import History
from kerastrain.schedules import one_cycle
from kerastrain.training import fit

# It goes on to the bit.


PLACES = {"within an epoch": (2, 2), "behind its last batch": (1, 3), "at an end": (2, None)}


@pytest.mark.parametrize("speed, place", diagonal(["plain", "steps", "compiled"], PLACES))
def test_a_run_goes_on_to_the_bit_from_a_fresh_model_of_another_seed(
    short_calls, folder, speed, place
):
    other = net(seed=2)
    broken_off(folder, PLACES[place], speed=speed)
    history = fit(other, X, Y, run=folder, save_every=0, **CALL | {"speed": speed})
    assert (told_by(history), bits_of(other)) == whole(speed)


def test_what_was_not_saved_within_an_epoch_is_trained_again(short_calls, folder):
    other = net(seed=2)
    broken_off(folder, (2, 2), save_every=1e9)
    assert (told_by(fit(other, X, Y, run=folder, **CALL)), bits_of(other)) == whole()


def test_a_run_goes_on_in_the_same_notebook_with_the_model_that_it_had(short_calls, folder):
    unbroken, model = net(), net()
    schedule = {"callbacks": [reduce_on_plateau(patience=1, min_delta=1.0)]}
    fit(unbroken, X, Y, **CALL, **schedule)
    broken_off(folder, (3, 2), model, **schedule)
    assert float(model.optimizer.learning_rate) < 0.001
    fit(model, X, Y, run=folder, save_every=0, **CALL, **schedule)
    assert bits_of(model) == bits_of(unbroken)


@pytest.mark.parametrize("at", [(1, 2), pytest.param((3, 1), marks=pytest.mark.slow)])
def test_a_schedule_goes_on(short_calls, folder, at):
    unbroken, model = net(optimizer="sgd"), net(optimizer="sgd")
    expected = fit(unbroken, X, Y, schedule=one_cycle(0.5), **CALL)
    broken_off(folder, at, model, schedule=one_cycle(0.5))
    history = fit(model, X, Y, schedule=one_cycle(0.5), run=folder, save_every=0, **CALL)
    assert told_by(history) == told_by(expected)
    assert bits_of(model) == bits_of(unbroken)


@pytest.mark.parametrize("at", [(1, 2), pytest.param((2, 2), marks=pytest.mark.slow), (3, None)])
def test_layers_that_were_let_go_stay_so_at_their_rate(short_calls, folder, at):
    def frozen(seed=1):
        model = net(seed)
        model.layers[0].trainable = False
        model.compile("adam", "binary_crossentropy")
        return model

    unbroken, other = frozen(), frozen(seed=2)
    expected = fit(unbroken, X, Y, unfreeze=2, **CALL)
    broken_off(folder, at, frozen(), unfreeze=2)
    history = fit(other, X, Y, unfreeze=2, run=folder, save_every=0, **CALL)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(unbroken)


def test_early_stopping_and_plateau_know_what_they_had_seen(short_calls, folder):
    def callbacks():
        return [reduce_on_plateau(patience=1, min_delta=0.2), early_stopping(patience=2)]

    call = CALL | {"epochs": 30}
    unbroken, other = (
        net(optimizer=keras.optimizers.Adam(0.1)),
        net(seed=2, optimizer=keras.optimizers.Adam(0.1)),
    )
    expected = fit(unbroken, X, Y, callbacks=callbacks(), **call)
    assert expected.stop_reason == "early_stopping"
    last = expected.epoch[-1]
    broken_off(
        folder,
        (last, 2),
        net(optimizer=keras.optimizers.Adam(0.1)),
        callbacks=callbacks(),
        epochs=30,
    )
    history = fit(other, X, Y, callbacks=callbacks(), run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(unbroken)


@pytest.mark.parametrize("speed, at", diagonal(["plain", "steps"], [(2, 0), (2, 2)]))
def test_averages_that_are_in_the_model_between_epochs_go_on(short_calls, folder, speed, at):
    def averaging(seed=1):
        optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
        return net(seed, optimizer=optimizer)

    call = CALL | {"restore_best": False, "speed": speed}
    unbroken, other = averaging(), averaging(2)

    def swap():
        return keras.callbacks.SwapEMAWeights(swap_on_epoch=True)

    expected = fit(unbroken, X, Y, callbacks=[swap()], **call)
    broken_off(folder, at, averaging(), callbacks=[swap()], **call)
    history = fit(other, X, Y, callbacks=[swap()], run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(unbroken)


class Counts(keras.callbacks.Callback):
    """A callback of the user's, with a state and a batch hook."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.sums = np.zeros(2)

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.sums += [batch, 1]

    def get_state(self):
        return {"batches": self.batches, "sums": self.sums}

    def set_state(self, state):
        self.batches, self.sums = state["batches"], np.array(state["sums"])


def test_a_callback_of_the_users_goes_on_by_its_own_state(folder):
    unbroken, counts = Counts(), Counts()
    fit(net(), X, Y, callbacks=[unbroken], **CALL)
    broken_off(folder, (2, 4), callbacks=[Counts()])
    fit(net(2), X, Y, callbacks=[counts], run=folder, save_every=0, **CALL)
    assert (counts.batches, counts.sums.tolist()) == (36, unbroken.sums.tolist())


class Loads(keras.callbacks.Callback):
    def get_state(self):
        return {"thread": object}

    def set_state(self, state):
        pass


def test_a_state_that_is_no_plain_numbers_is_refused(folder):
    with pytest.raises(TypeError) as error:
        fit(net(), X, Y, callbacks=[Loads()], run=folder, **CALL)
    assert str(error.value) == (
        "`fit`: `callbacks` must return numbers, strings, arrays, and lists and dicts of them from "
        "get_state(). Received: <class 'object'> at '/callbacks/Loads 1/thread'."
    )


class Hears(keras.callbacks.Callback):
    """Notes which batches it hears of, and the weights that it meets."""

    def __init__(self):
        super().__init__()
        self.batches, self.met = [], []

    def on_train_begin(self, logs=None):
        self.met.append(bits_of(self.model)[0])

    def on_epoch_begin(self, epoch, logs=None):
        self.met.append(bits_of(self.model)[0])
        self.batches.append(f"epoch {epoch}")

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, bits_of(self.model)[0]))


def test_callbacks_hear_of_each_batch_once_and_never_of_another_model(folder):
    unbroken, before, after = Hears(), Hears(), Hears()
    fit(net(), X, Y, callbacks=[unbroken], **CALL)
    broken_off(folder, (2, 4), callbacks=[before])
    fit(net(2), X, Y, callbacks=[after], run=folder, save_every=0, **CALL)
    assert after.batches[0] == "epoch 2"
    # It was broken off before the fourth batch was saved, of which they hear again.
    assert before.batches[:-2] + after.batches[1:] == unbroken.batches
    assert set(after.met[:2]) == {before.batches[-3][1]}


def test_files_of_single_batches_are_not_written_over_on_the_way(folder, tmp_path):
    def checkpoints():
        path = tmp_path / "{epoch}-{batch}.weights.h5"
        return checkpoint(path, save_best_only=False, save_weights_only=True, save_freq=2)

    broken_off(folder, (1, 6), callbacks=[checkpoints()])
    before = {path: path.read_bytes() for path in tmp_path.glob("2-*.h5")}
    fit(net(2), X, Y, callbacks=[checkpoints()], run=folder, save_every=0, **CALL)
    after = {path: path.read_bytes() for path in tmp_path.glob("2-*.h5")}
    assert sorted(path.name for path in before) == [
        "2-1.weights.h5",
        "2-3.weights.h5",
        "2-5.weights.h5",
    ]
    assert before.items() <= after.items()


def test_a_csv_log_has_each_epoch_once(short_calls, folder, tmp_path):
    broken_off(folder, (2, None), callbacks=[csv_log(tmp_path / "log.csv")])
    history = fit(
        net(), X, Y, run=folder, save_every=0, callbacks=[csv_log(tmp_path / "log.csv")], **CALL
    )
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2", "3"]
    assert History.load(tmp_path / "log.csv").history["loss"] == history.history["loss"]


# Streams.

ROWS = tf.data.Dataset.from_tensor_slices((X, Y))
OTHERWISE = "whose batches may come in another order than they would have"


def plain_net(seed=1):
    """A model whose step is traced in a moment, since each fit on a Dataset traces it anew."""
    return net(seed, optimizer="sgd")


def stream(seed=3):
    tf.random.set_seed(None)  # Which a Dataset that shuffles is made with.
    return ROWS.shuffle(96, seed=seed).batch(8)


@pytest.mark.parametrize("speed, at", diagonal(["plain", "steps"], [(2, 2), (0, 2), (2, None)]))
def test_a_dataset_that_shuffles_by_a_seed_goes_on_to_the_bit(short_calls, folder, speed, at):
    call = {"epochs": 4, "seed": 5, "verbose": 0, "speed": speed}
    unbroken, other = plain_net(), plain_net(seed=2)
    expected = fit(unbroken, stream(), **call)
    with pytest.raises(RuntimeError):
        fit(plain_net(), stream(), run=folder, save_every=0, callbacks=[Fails(*at)], **call)
    history = fit(other, stream(), run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(unbroken)


def test_a_dataset_that_shuffles_goes_on_to_the_bit_at_any_verbosity(short_calls, folder):
    call = SAME | {"epochs": 4}
    unbroken, other = plain_net(), plain_net(seed=2)
    fit(unbroken, stream(), **call)
    with pytest.raises(RuntimeError):
        fit(plain_net(), stream(), run=folder, callbacks=[Fails(2, 2)], **call | {"verbose": 1})
    fit(other, stream(), run=folder, **call)
    assert bits_of(other) == bits_of(unbroken)


def test_a_dataset_in_another_order_each_time_goes_on_at_an_epochs_start(
    short_calls, folder, capsys
):
    call = SAME | {"epochs": 4, "verbose": 1, "run": folder, "save_every": 0}
    with pytest.raises(RuntimeError):
        fit(plain_net(), stream(None), callbacks=[Fails(2, 2)], **call)
    history = fit(plain_net(), stream(4), **call)
    assert history.epoch == [0, 1, 2, 3]
    note = (
        f"run {os.fspath(folder)!r} goes on at the start of the 3rd epoch, {OTHERWISE}: make the "
        "Dataset anew before each call, and give each shuffle() a seed"
    )
    assert f"{note}\n" in capsys.readouterr().out
    assert history.note == f"{note}."


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 12

    def __getitem__(self, number):
        return X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]


def test_a_pydataset_goes_on_at_an_epochs_start(short_calls, folder, capsys):
    call = {"epochs": 4, "seed": 5, "shuffle": False, "verbose": 1, "run": folder, "save_every": 0}
    unbroken, other = plain_net(), plain_net(seed=2)
    fit(unbroken, Batches(), epochs=4, seed=5, shuffle=False, verbose=0)
    with pytest.raises(RuntimeError):
        fit(plain_net(), Batches(), callbacks=[Fails(2, 2)], **call)
    fit(other, Batches(), **call)
    assert bits_of(other) == bits_of(unbroken)
    assert (
        f"run {os.fspath(folder)!r} goes on at the start of the 3rd epoch, since a Batches may "
        "bring its batches in another order\n"
    ) in capsys.readouterr().out


# Models of other kinds.


class TwoOptimizers(keras.Model):
    """Trains its body by one optimizer and its head by another, in a step of its own."""

    def __init__(self):
        super().__init__()
        self.body, self.head = keras.layers.Dense(6, "relu"), keras.layers.Dense(1)
        self.build((None, 4))

    def build(self, shape):
        self.body.build(shape)
        self.head.build((None, 6))
        self.built = True

    def call(self, x):
        return self.head(self.body(x))

    def compile(self):
        super().compile("adam", "mse")
        self.other = keras.optimizers.SGD(0.1, momentum=0.9)

    def train_step(self, data):
        x, y = data
        parts = [layer.trainable_variables for layer in (self.body, self.head)]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - tf.cast(y, tf.float32)[:, None]) ** 2)
        gradients = tape.gradient(loss, parts)
        self.optimizer.apply(gradients[0], parts[0])
        self.other.apply(gradients[1], parts[1])
        return {"loss": loss}


@pytest.mark.parametrize("speed, at", diagonal(["plain", "steps"], [(2, 2), (2, None)]))
def test_a_step_of_ones_own_with_two_optimizers_goes_on(short_calls, folder, speed, at):
    def made(seed=1):
        keras.utils.set_random_seed(seed)
        model = TwoOptimizers()
        model.compile()
        return model

    call = {**SAME, "epochs": 4, "batch_size": 8, "speed": speed}
    unbroken, other = made(), made(2)
    expected = fit(unbroken, X, Y, **call)
    with pytest.raises(RuntimeError):
        fit(made(), X, Y, run=folder, save_every=0, callbacks=[Fails(*at)], **call)
    history = fit(other, X, Y, run=folder, save_every=0, **call)
    assert told_by(history) == told_by(expected)
    # A measured step has Keras build the first optimizer for all layers, of which it trains some.
    kept = [[*model.variables, *model.other.variables] for model in (other, unbroken)]
    for ours, theirs in zip(*kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_mixed_precision_goes_on_with_the_scale_of_its_loss(short_calls, folder):
    def made(seed=1):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return net(seed)
        finally:
            keras.config.set_dtype_policy(before)

    unbroken, other = made(), made(2)
    expected = fit(unbroken, X, Y, **CALL)
    broken_off(folder, (2, 2), made())
    history = fit(other, X, Y, run=folder, save_every=0, **CALL)
    assert type(other.optimizer).__name__ == "LossScaleOptimizer"
    assert told_by(history) == told_by(expected)
    assert bits_of(other) == bits_of(unbroken)
