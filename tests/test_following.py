"""A run that follows a one cycle moves the momentum of its optimizer too, and puts it back."""

import copy
import json

import keras
import numpy as np
import pytest
from small_models import X, Y, made
from small_products import diagonal

import kerastrain as ktr
from kerastrain._following import FollowingFloat, momentum_following, schedule_of
from kerastrain.architecture import architecture_of
from kerastrain.schedules import one_cycle, warmup

SPEEDS = ["plain", "steps", "compiled"]
EPOCHS, SIZE = 3, 16
STEPS = len(X) // SIZE
CYCLE = one_cycle(0.02, epochs=1).for_run(STEPS, EPOCHS)
KINDS = {
    "SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.5),
    "Nesterov": lambda rate: keras.optimizers.SGD(rate, momentum=0.5, nesterov=True),
    "RMSprop": lambda rate: keras.optimizers.RMSprop(rate, momentum=0.5),
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "Nadam": keras.optimizers.Nadam,
}
all_kinds = pytest.mark.parametrize("kind", KINDS)


def linear(optimizer):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(optimizer, "mse")
    return model


def fit(model, **arguments):
    fixed = {"epochs": EPOCHS, "batch_size": SIZE, "shuffle": False, "restore_best": False}
    return ktr.fit(model, X, Y, **{"verbose": 0, "seed": 1, **fixed} | arguments)


def gradient(weights, batch):
    """Of the mean of squares, by hand; the last weight is the bias."""
    x = np.hstack([X[batch * SIZE : (batch + 1) * SIZE], np.ones((SIZE, 1))])
    y = Y[batch * SIZE : (batch + 1) * SIZE]
    return 2 * x.T @ (x @ weights - y) / SIZE


def steps_by_hand():
    """Each step's batch, rate and momentum."""
    for step in range(EPOCHS * STEPS):
        yield step, step % STEPS, float(CYCLE(step)), float(CYCLE.momentum_at(step))


def sgd_by_hand(nesterov=False):
    weights, velocity = np.zeros(9), np.zeros(9)
    for _, batch, rate, momentum in steps_by_hand():
        slope = gradient(weights, batch)
        velocity = momentum * velocity - rate * slope
        weights = weights + (momentum * velocity - rate * slope if nesterov else velocity)
    return weights


def adam_by_hand():
    weights, mean, square = np.zeros(9), np.zeros(9), np.zeros(9)
    for step, batch, rate, momentum in steps_by_hand():
        slope = gradient(weights, batch)
        mean += (1 - momentum) * (slope - mean)
        square += 0.001 * (slope**2 - square)
        correction = np.sqrt(1 - 0.999 ** (step + 1)) / (1 - momentum ** (step + 1))
        weights = weights - rate * correction * mean / (np.sqrt(square) + 1e-7)
    return weights


def rmsprop_by_hand():
    weights, square, velocity = np.zeros(9), np.zeros(9), np.zeros(9)
    for _, batch, rate, momentum in steps_by_hand():
        slope = gradient(weights, batch)
        square = 0.9 * square + 0.1 * slope**2
        velocity = momentum * velocity + rate * slope / np.sqrt(square + 1e-7)
        weights = weights - velocity
    return weights


def weights_of(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


BY_HAND = {
    "SGD": sgd_by_hand,
    "Nesterov": lambda: sgd_by_hand(nesterov=True),
    "RMSprop": rmsprop_by_hand,
    "Adam": adam_by_hand,
}


@pytest.mark.parametrize("kind, speed", diagonal(BY_HAND, SPEEDS))
def test_the_steps_are_those_that_one_takes_by_hand(kind, speed):
    model = linear(KINDS[kind](0.1))
    fit(model, schedule=one_cycle(0.02, epochs=1), speed=speed)
    np.testing.assert_allclose(weights_of(model), BY_HAND[kind](), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    # Those of which the test above hasn't the numbers, and one that computes otherwise than others.
    [
        pytest.param(kind, marks=[pytest.mark.slow] if kind in ("SGD", "RMSprop", "Adam") else [])
        for kind in KINDS
    ],
)
def test_every_speed_follows_alike_and_otherwise_than_without(kind):
    def trained(speed, momentum=(0.95, 0.85)):
        keras.utils.set_random_seed(1)
        model = linear(KINDS[kind](0.1))
        fit(model, schedule=one_cycle(0.02, epochs=1, momentum=momentum), speed=speed)
        return weights_of(model)

    plain = trained("plain")
    np.testing.assert_array_equal(trained("steps"), plain)
    np.testing.assert_allclose(trained("compiled"), plain, rtol=1e-4, atol=1e-6)
    assert np.abs(trained("plain", momentum=None) - plain).max() > 1e-3


class Saver(keras.callbacks.Callback):
    """Saves the model in the middle of the run, and looks at the optimizer."""

    def __init__(self, path):
        super().__init__()
        self.path, self.seen = path, []

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self.model.save(self.path)
        settings = json.loads(json.dumps(optimizer.get_config()))
        self.seen += [settings.get("momentum", settings.get("beta_1"))]
        other = copy.deepcopy(optimizer)
        assert other.get_config() == optimizer.get_config()
        assert "apply" not in vars(other)
        kept = keras.optimizers.serialize(optimizer)
        assert keras.optimizers.deserialize(kept).get_config() == optimizer.get_config()


@all_kinds
@pytest.mark.filterwarnings("ignore:Skipping variable loading")  # Keras's own, in its deepcopy.
def test_what_is_saved_in_the_middle_of_a_run_has_the_optimizers_own_momentum(kind, tmp_path):
    model, saver = linear(KINDS[kind](0.1)), Saver(tmp_path / "model.keras")
    fit(model, schedule=one_cycle, callbacks=[saver])
    own = 0.9 if "A" in kind or kind == "Nadam" else 0.5
    assert saver.seen == [own] * EPOCHS
    loaded = keras.saving.load_model(saver.path).optimizer
    name = "beta_1" if own == 0.9 else "momentum"
    assert type(getattr(loaded, name)) is type(getattr(model.optimizer, name)) is float
    assert getattr(loaded, name) == getattr(model.optimizer, name) == own
    assert not {"apply"} & set(vars(model.optimizer))


def test_a_run_that_fails_puts_the_momentum_back():
    model = linear(KINDS["SGD"](CYCLE))

    def failing():
        raise RuntimeError

    with pytest.raises(RuntimeError), momentum_following(model):
        failing()
    assert type(model.optimizer.momentum) is float
    assert "apply" not in vars(model.optimizer)


def test_a_later_run_goes_on_with_the_cycle_of_the_optimizer(tmp_path):
    whole, parts = linear(KINDS["SGD"](CYCLE)), linear(KINDS["SGD"](CYCLE))
    fit(whole)
    fit(parts, epochs=1)
    parts.save(tmp_path / "model.keras")
    parts = keras.saving.load_model(tmp_path / "model.keras")
    fit(parts, epochs=2)
    np.testing.assert_array_equal(weights_of(parts), weights_of(whole))
    np.testing.assert_allclose(weights_of(parts), sgd_by_hand(), rtol=2e-5)


def test_a_step_that_keras_has_traced_is_traced_anew():
    model, other = linear(KINDS["SGD"](CYCLE)), linear(KINDS["SGD"](CYCLE))
    for each in (model, other):
        each.fit(X, Y, batch_size=SIZE, shuffle=False, verbose=0)  # Follows the rate only.
    fit(model, speed="plain", epochs=2)
    fit(other, speed="steps", epochs=2)
    np.testing.assert_array_equal(weights_of(model), weights_of(other))


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adagrad])
def test_without_momentum_the_rate_alone_is_followed(optimizer):
    model = linear(optimizer(0.1))
    history = fit(model, schedule=one_cycle(0.02, epochs=1))
    ends = [float(CYCLE(STEPS * epoch - 1)) for epoch in (1, 2, 3)]
    assert history.history["learning_rate"] == pytest.approx(ends)
    other = linear(optimizer(CYCLE))
    other.fit(X, Y, batch_size=SIZE, epochs=EPOCHS, shuffle=False, verbose=0)
    np.testing.assert_array_equal(weights_of(model), weights_of(other))


@pytest.mark.parametrize(
    "computed", [lambda m: m**2, lambda m: 1 / m, lambda m: m / 2, lambda m: -m, lambda m: 2**m]
)
def test_whatever_an_update_computes_of_it_is_computed_of_the_tensor(computed):
    following = FollowingFloat(0.9)
    assert computed(following) == pytest.approx(computed(0.9))
    following.now = keras.ops.convert_to_tensor(0.5)
    assert float(computed(following)) == pytest.approx(computed(0.5))


def test_beneath_a_scaled_loss_the_inner_optimizer_follows():
    scaled = keras.optimizers.LossScaleOptimizer(KINDS["Adam"](0.1), initial_scale=1.0)
    model = linear(scaled)
    fit(model, schedule=one_cycle(0.02, epochs=1))
    np.testing.assert_allclose(weights_of(model), adam_by_hand(), rtol=2e-5, atol=1e-6)
    assert schedule_of(scaled).span == (STEPS, EPOCHS, 0)


@pytest.mark.parametrize("speed", SPEEDS)
def test_accumulated_gradients_take_the_rate_and_momentum_of_the_batch_that_steps(speed):
    model = linear(keras.optimizers.SGD(0.1, momentum=0.5, gradient_accumulation_steps=2))
    fit(model, schedule=one_cycle(0.02, epochs=1), speed=speed)
    weights, velocity, waiting = np.zeros(9), np.zeros(9), np.zeros(9)
    for step, batch, rate, momentum in steps_by_hand():
        slope = (waiting + gradient(weights, batch)) / 2
        waiting = gradient(weights, batch)
        if step % 2:
            velocity = momentum * velocity - rate * slope
            weights = weights + velocity
    np.testing.assert_allclose(weights_of(model), weights, rtol=2e-5)


def test_a_run_that_follows_shares_no_graph_with_one_that_does_not():
    def architecture(*, following):
        model = made(optimizer=KINDS["SGD"](CYCLE))
        if not following:
            return architecture_of(model)
        with momentum_following(model):
            return architecture_of(model)

    assert architecture(following=True) == architecture(following=True) is not None
    assert architecture(following=True) != architecture(following=False)


def test_what_follows_is_a_number_beside_the_updates():
    model = linear(KINDS["SGD"](CYCLE))
    with momentum_following(model):
        momentum = model.optimizer.momentum
        assert (momentum, 1 - momentum, momentum * 2, momentum + 1) == (0.5, 0.5, 1.0, 1.5)
        assert type(copy.deepcopy(momentum)) is float
        with momentum_following(model):  # As where a callback trains the model.
            assert model.optimizer.momentum is momentum
        assert model.optimizer.momentum is momentum


def test_a_schedule_of_anybody_else_is_none_of_ours():
    class Untold(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    others = [0.1, Untold(), keras.optimizers.schedules.CosineDecay(0.1, 10), lambda: 0.1]
    assert [schedule_of(keras.optimizers.SGD(rate)) for rate in others] == [None] * 4
    ours = warmup(0.1).for_run(1, 10)
    assert schedule_of(keras.optimizers.SGD(ours)).get_config() == ours.get_config()
