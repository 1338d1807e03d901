"""Models that train by the same graph have one architecture; whatever isn't told has none."""

import functools

import keras
import numpy as np
import pytest
from small_models import X, Y, made
from small_products import diagonal

import kerastrain as ktr
from kerastrain.architecture import architecture_of, rows_a_validation_batch


def test_models_made_alike_have_one_architecture_whatever_their_layers_are_called():
    assert architecture_of(made()) == architecture_of(made())
    assert architecture_of(made(optimizer=keras.optimizers.Adam(0.1))) == architecture_of(
        made(optimizer=keras.optimizers.Adam(0.2))
    )


@pytest.mark.parametrize(
    "other",
    [
        {"units": 5},
        {"activation": "tanh"},
        {"loss": "mae"},
        {"loss": keras.losses.Huber(2.0)},
        {"optimizer": keras.optimizers.SGD(momentum=0.9)},
        {"optimizer": keras.optimizers.SGD(clipnorm=1.0)},
        {
            "optimizer": keras.optimizers.SGD(
                keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
            )
        },
        {"metrics": ["mae"]},
        {"layer": keras.layers.Dropout(0.5)},
    ],
    ids=[
        "units",
        "activation",
        "loss",
        "delta",
        "momentum",
        "clipping",
        "schedule",
        "metrics",
        "dropout",
    ],
)
def test_what_changes_the_graph_changes_the_architecture(other):
    assert architecture_of(made(**other)) not in (None, architecture_of(made()))


def test_a_recurrent_model_has_one_architecture_though_its_settings_share_words_with_names():
    def make():
        layers = [keras.layers.Embedding(9, 3), keras.layers.LSTM(2), keras.layers.Dropout(0.1)]
        model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    keras.backend.clear_session()  # So that the first one's layers have no numbers.
    one, other = architecture_of(make()), architecture_of(make())
    assert one == other
    assert one is not None


def test_functional_models_made_alike_have_one_architecture_with_losses_by_output():
    def make():
        inputs = keras.Input((8,))
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(4)(inputs)))
        model.compile("adamw", {model.output_names[0]: "mse"})
        return model

    one, other = architecture_of(make()), architecture_of(make())
    assert one == other
    assert one is not None


def test_freezing_a_layer_changes_the_architecture():
    frozen = made()
    frozen.layers[0].trainable = False
    assert architecture_of(frozen) != architecture_of(made())


def adapted():
    layer = keras.layers.Normalization()
    layer.adapt(X)
    return layer


def doubled(x):
    return 2 * x


class Own(keras.layers.Dense):
    pass


class OwnModel(keras.Model):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: made(activation=doubled),
        lambda: keras.Sequential(
            [
                keras.Input((8, 1)),
                keras.layers.LSTM(1, activation=doubled),
            ]
        ),
        lambda: made(loss=lambda y, p: keras.ops.mean((y - p) ** 2)),
        lambda: made(layer=keras.layers.Lambda(lambda x: x)),
        lambda: made(layer=Own(3)),
        lambda: keras.Sequential([keras.Input((8,)), adapted(), keras.layers.Dense(1)]),
        OwnModel,
    ],
    ids=["activation", "within", "loss", "lambda", "layer", "adapted", "model"],
)
def test_what_no_setting_tells_has_no_architecture(make):
    assert architecture_of(make()) is None


def relu(x):
    return keras.ops.tanh(x)


def changed(change):
    """A model to which something is done that its settings don't tell."""

    def make():
        model = made(optimizer="adamw")
        change(model)
        return model

    return make


def exclude(model):
    model.optimizer.exclude_from_weight_decay(var_names=["kernel"])


def freeze(model):
    model.layers[0].kernel.trainable = False


def exchange(model):
    model.optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)


def regularize(model):
    model.layers[0].kernel.regularizer = keras.regularizers.L2(1.0)


def constrain(model):
    model.layers[0].kernel.constraint = keras.constraints.MaxNorm(0.01)


def override(model):
    model.compute_loss = lambda x, y, y_pred, *others, **more: keras.ops.mean(y_pred**2)


def recurrent(activation):
    cell = keras.layers.SimpleRNNCell(3, activation=activation)
    stacked = keras.layers.RNN(keras.layers.StackedRNNCells([cell]))
    layers = [keras.layers.Reshape((8, 1)), stacked, keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    model.compile("sgd", "mse")
    return model


LEFT_OUT = {
    "delta": (
        lambda: made(loss=keras.losses.Huber(3.0)),
        lambda: made(loss=keras.losses.Huber(0.1)),
    ),
    "decay": (changed(lambda model: None), changed(exclude)),
    "frozen": (changed(lambda model: None), changed(freeze)),
    "optimizer": (changed(lambda model: None), changed(exchange)),
    "regularizer": (changed(lambda model: None), changed(regularize)),
    "constraint": (changed(lambda model: None), changed(constrain)),
    "own loss": (changed(lambda model: None), changed(override)),
    "own relu": (lambda: recurrent("relu"), lambda: recurrent(relu)),
}


@pytest.mark.parametrize("what, speed", diagonal(LEFT_OUT, ["steps", "compiled"]))
def test_a_model_that_differs_in_what_settings_leave_out_trains_by_its_own_graph(what, speed):
    make, other = LEFT_OUT[what]

    def losses(make, speed):
        keras.utils.set_random_seed(2)
        arguments = {"epochs": 3, "batch_size": 8, "seed": 1, "verbose": 0}
        return ktr.fit(make(), X, Y, speed=speed, **arguments).history["loss"]

    plain = losses(other, "plain")
    losses(make, speed)
    np.testing.assert_allclose(losses(other, speed), plain, rtol=1e-4)


def masked(mask):
    layers = [keras.layers.Embedding(9, 3, mask_zero=mask), keras.layers.LSTM(2)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def of_fixed_batches():
    model = keras.Sequential([keras.Input(batch_shape=(4, 8)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def wide():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2**16)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "make, rows",
    [
        (made, 8192),
        (lambda: masked(False), 8192),
        (wide, 256),
        (lambda: made(loss=keras.losses.Huber(1.0)), 8192),
        (lambda: made(loss=keras.losses.MeanSquaredError(reduction="sum")), None),
        (lambda: made(loss=keras.losses.Dice(name="mse")), None),
        (lambda: made(loss=keras.losses.mean_squared_error), None),
        (lambda: made(layer=keras.layers.ActivityRegularization(0.1)), None),
        (lambda: made(layer=keras.layers.Dense(3, activity_regularizer="l2")), None),
        (lambda: masked(True), None),
        (of_fixed_batches, None),
        (lambda: made(layer=Own(3)), None),
    ],
    ids=[
        "mean",
        "embedding",
        "wide",
        "huber",
        "sum",
        "dice",
        "a function",
        "activity",
        "activity of a layer",
        "mask",
        "fixed batches",
        "untold",
    ],
)
def test_only_where_figures_do_not_depend_on_the_batch_may_it_be_larger(make, rows):
    model = make()
    assert rows_a_validation_batch(model, architecture_of(model)) == rows


def exchange_for_a_schedule(decay):
    def change(model):
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, decay)
        model.optimizer = keras.optimizers.SGD(schedule)

    return change


def heads(names, y=None):
    """Two heads, the first from ones and the second from zeros."""
    inputs = keras.Input((8,))
    starts = zip(("ones", "zeros"), names, strict=True)
    outputs = [keras.layers.Dense(1, kernel_initializer=k, name=n)(inputs) for k, n in starts]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model


def narrow(autocast):
    layers = [keras.layers.Dense(4, dtype="mixed_bfloat16", autocast=autocast)]
    model = keras.Sequential([keras.Input((8,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def towers(is_crossed):
    """Two towers that share a layer, beside one of the shared one's name."""

    def dense(name):
        return keras.layers.Dense(8, name=name)

    inputs, p, q = keras.Input((8,)), dense("a"), dense("b")
    first = keras.Sequential([keras.Input((8,)), p, q])
    others = [dense("a"), q] if is_crossed else [p, dense("b")]
    second = keras.Sequential([keras.Input((8,)), *others])
    model = keras.Model(inputs, keras.layers.Dense(1)(first(inputs) + 2.0 * second(inputs)))
    model.compile("sgd", "mse")
    return model


def wrapped(factor):
    @functools.wraps(keras.activations.relu)
    def function(x):
        return keras.activations.relu(x) * factor

    return made(activation=function)


NAMES = ["dense", "dense_1"]
BY_NAME = {"dense": Y, "dense_1": 5 * Y}


@pytest.mark.parametrize(
    "make, other, y",
    [
        *[(changed(exchange_for_a_schedule(0.5)), changed(exchange_for_a_schedule(0.99)), Y)],
        (lambda: heads(NAMES), lambda: heads(NAMES[::-1]), BY_NAME),
        (lambda: narrow(True), lambda: narrow(False), Y),
        (lambda: towers(False), lambda: towers(True), Y),
        (lambda: wrapped(2.0), lambda: wrapped(5.0), Y),
    ],
    ids=["schedule", "names of outputs", "autocast", "shared layers", "wrapped function"],
)
def test_a_model_that_differs_in_its_wiring_or_within_trains_by_its_own_graph(make, other, y):
    def losses(make, speed):
        keras.utils.set_random_seed(2)
        arguments = {"epochs": 2, "batch_size": 8, "seed": 1, "verbose": 0}
        return ktr.fit(make(), X, y, speed=speed, **arguments).history["loss"]

    plain = losses(other, "plain")
    losses(make, "steps")
    assert losses(other, "steps") == plain


def test_logs_bear_the_names_of_the_models_own_metrics():
    def columns(name):
        model = made(metrics=[keras.metrics.MeanAbsoluteError(name=name)])
        history = ktr.fit(model, X, Y, batch_size=8, speed="steps", verbose=0)
        return [column for column in history.history if column.startswith("mae")]

    assert [columns("mae"), columns("mae_1")] == [["mae"], ["mae_1"]]
