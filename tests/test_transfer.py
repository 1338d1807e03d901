"""The lower layers of a trained model go into a new one: which, how, and what is refused."""

import re

import keras
import numpy as np
import pytest
from small_models import assert_same_bits

import kerastrain as ktr
from kerastrain.models import build
from kerastrain.saving import load_model, save_model

TEXTS = ["so good a film", "so bad a film", "very good", "very bad"]
GENERATOR = np.random.default_rng(0)


def with_weights(model):
    return [layer for layer in model.layers if layer.weights]


def learnt(model):
    """Gives every weight of a model a value that no initialiser gives."""
    model.set_weights([GENERATOR.uniform(1, 2, size=w.shape) for w in model.get_weights()])
    return model


def deep(a_layer=None, **params):
    """A trained regression of three layers with weights."""
    defaults = {"n_hidden": 2, "n_neurons": 4, "input_shape": (3,)}
    return learnt(build("regression", a_layer, **defaults | params))


def small(**params):
    return {"n_hidden": 2, "n_neurons": 4, "input_shape": (3,)} | params


def message(error_type, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        build(*arguments, **keywords)
    return str(error.value)


# What is copied


@pytest.mark.parametrize(("layers", "reused"), [(None, 2), (1, 1), (2, 2), (3, 3)])
def test_the_lowest_layers_are_copied_and_the_rest_starts_afresh(layers, reused):
    trained = deep()
    model = build("regression", reuse=trained, layers=layers, **small())
    pairs = zip(with_weights(model), with_weights(trained), strict=True)
    same = [bool((np.asarray(a.kernel) == np.asarray(b.kernel)).all()) for a, b in pairs]
    assert same == [True] * reused + [False] * (3 - reused)
    assert [layer.trainable for layer in model.layers] == [not alike for alike in same]


def test_layers_that_are_not_frozen_stay_trainable():
    model = build("regression", reuse=deep(), frozen=False, **small())
    assert len(model.trainable_variables) == 6


def test_the_trained_model_stays_as_it_is_and_shares_nothing():
    trained = deep()
    before = trained.get_weights()
    model = build("regression", reuse=trained, frozen=False, **small())
    ktr.compile_for_task(model, "regression", optimizer="sgd")
    model.train_on_batch(np.ones((4, 3)), np.ones(4))
    assert_same_bits(trained.get_weights(), before)
    assert all(layer.trainable for layer in trained.layers)
    assert not {id(v) for v in model.variables} & {id(v) for v in trained.variables}


def test_layers_without_weights_do_not_count_and_may_differ():
    trained = learnt(build("cnn", keras.layers.Dropout(0.5), filters=(2, 3), input_shape=(8, 8)))
    model = build("cnn", filters=(2, 3), input_shape=(8, 8, 1), reuse=trained, layers=2, units=7)
    assert_same_bits(model.get_weights()[:4], trained.get_weights()[:4])
    frozen = [type(layer).__name__ for layer in model.layers if not layer.trainable]
    assert frozen == ["Conv2D", "Conv2D"]


def test_more_layers_can_grow_on_the_trained_ones():
    trained = deep(n_hidden=1)
    model = build("regression", keras.layers.Dense(5), reuse=trained, **small(n_hidden=3))
    assert [layer.trainable for layer in model.layers] == [False, True, True, True, True]
    assert_same_bits(model.get_weights()[:2], trained.get_weights()[:2])


def test_the_statistics_of_a_batch_normalisation_come_along_and_stay_while_it_is_frozen():
    trained = deep(keras.layers.BatchNormalization(), n_hidden=1)
    model = build(
        "regression",
        keras.layers.BatchNormalization(),
        reuse=trained,
        layers=2,
        **small(n_hidden=1),
    )
    assert_same_bits(model.get_weights()[:6], trained.get_weights()[:6])
    x = np.ones((4, 4), dtype="float32")
    np.testing.assert_array_equal(*(model.layers[1](x, training=way) for way in (True, False)))


def test_what_a_normalisation_has_learnt_comes_along():
    def normalised(rows):
        def builder():
            layer = keras.layers.Normalization()
            layer.adapt(rows)
            return keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])

        return builder

    rows = np.array([[0.0, 10.0], [2.0, 30.0]])
    model = build(normalised(np.ones((2, 2))), reuse=normalised(rows)())
    np.testing.assert_allclose(model.layers[0](rows), [[-1, -1], [1, 1]], rtol=1e-6)


def test_a_model_that_was_saved_and_loaded_is_reused_and_its_copy_stays_frozen(tmp_path):
    trained = load_model(save_model(deep(), tmp_path / "trained.keras"))
    model = build("regression", reuse=trained, **small())
    loaded = load_model(save_model(model, tmp_path / "model.keras"))
    assert [layer.trainable for layer in loaded.layers] == [False, False, True]
    assert_same_bits(loaded.get_weights(), model.get_weights())


# Models of any kind


def functional(nested=True):
    """Two convolutions, by themselves or in a model within the model, and a head."""
    inputs = keras.Input((8, 8, 1))
    first = keras.layers.Conv2D(2, 3, activation="relu", name="one")
    second = keras.layers.Conv2D(3, 3, activation="relu", name="two")
    if nested:
        within = keras.Input((8, 8, 1))
        base = keras.Model(within, second(keras.layers.MaxPooling2D()(first(within))), name="base")
        features = base(inputs)
    else:
        features = second(keras.layers.MaxPooling2D()(first(inputs)))
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))


@pytest.mark.parametrize("nested", [(True, False), (False, True), (True, True)])
def test_models_within_models_are_opened_on_either_side(nested):
    trained = learnt(functional(nested[0]))
    model = build(lambda: functional(nested[1]), reuse=trained)
    assert_same_bits(model.get_weights()[:4], trained.get_weights()[:4])
    assert len(model.trainable_variables) == 2


def test_a_functional_model_gives_its_layers_to_a_builder_of_the_package():
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, activation="relu", name="mine")(inputs)
    trained = learnt(keras.Model(inputs, keras.layers.Dense(9)(keras.layers.Dropout(0.5)(hidden))))
    model = build("binary", n_neurons=4, input_shape=(3,), reuse=trained)
    assert_same_bits(model.get_weights()[:2], trained.get_weights()[:2])


def test_an_application_of_keras_goes_under_a_new_head():
    def backbone():
        return keras.applications.MobileNetV2((32, 32, 3), 0.35, False, weights=None)

    def builder():
        pooled = keras.layers.GlobalAveragePooling2D()
        head = keras.layers.Dense(2, activation="softmax")
        return keras.Sequential([keras.Input((32, 32, 3)), backbone(), pooled, head])

    trained = learnt(backbone())
    count = len(with_weights(trained))
    model = build(builder, reuse=trained, layers=count)
    assert_same_bits(model.get_weights()[:-2], trained.get_weights())
    assert [tuple(v.shape) for v in model.trainable_variables] == [(1280, 2), (2,)]


def test_a_wrapped_recurrent_layer_is_one_layer():
    def builder():
        wrapped = keras.layers.Bidirectional(keras.layers.LSTM(2))
        return keras.Sequential([keras.Input((5, 3)), wrapped, keras.layers.Dense(1)])

    trained = learnt(builder())
    model = build(builder, reuse=trained, layers=1)
    assert_same_bits(model.get_weights()[:6], trained.get_weights()[:6])
    assert len(model.trainable_variables) == 2


# Texts


def test_a_text_model_takes_the_vocabulary_over_and_what_makes_its_tokens():
    trained = learnt(build("text", texts=TEXTS, split="character", ngrams=(1, 2), length=6))
    model = build("text", reuse=trained, layers=1)
    assert model.layers[0].get_vocabulary() == trained.layers[0].get_vocabulary()
    unseen = np.array(["so bad", "good"], dtype=object)
    np.testing.assert_array_equal(model.layers[0](unseen), trained.layers[0](unseen))
    assert_same_bits(model.get_weights()[:1], trained.get_weights()[:1])


def test_build_and_fit_takes_the_vocabulary_and_not_the_new_texts(tmp_path):
    trained = build("text", texts=TEXTS, length=6, embedding=3, units=2)
    trained = load_model(save_model(learnt(trained), tmp_path / "text.keras"))
    new = np.array(["bad again", "good again", "so so", "a film"], dtype=object)
    model, _ = ktr.build_and_fit(
        "text",
        (new, np.array([0, 1, 0, 1])),
        params={"embedding": 3, "units": 2},
        reuse=trained,
        epochs=1,
        verbose=0,
    )
    assert model.layers[0].get_vocabulary() == trained.layers[0].get_vocabulary()
    assert_same_bits(model.get_weights()[:1], trained.get_weights()[:1])


@pytest.mark.parametrize(
    ("texts", "received"),
    [(["other"], "has 3"), (["so good a film", "so sad a film", "very good", "very sad"], "")],
)
def test_another_vocabulary_is_refused_even_of_the_same_size(texts, received):
    trained = build("text", texts=TEXTS)
    assert message(ValueError, "text", texts=texts, reuse=trained).startswith(
        "`build`: `reuse` must have the vocabulary of the new model: leave `texts` out to take it "
        f"over. Received: 8 tokens in '{trained.layers[0].name}', where the new model's "
        "'text_vectorization"
    )
    assert message(ValueError, "text", texts=texts, reuse=trained).endswith(
        f"{received or 'has others'}."
    )


def test_words_told_apart_in_another_way_are_refused():
    trained = build("text", texts=TEXTS)
    sentence = message(ValueError, "text", split="character", reuse=trained)
    assert sentence.startswith(
        "`build`: `reuse` must turn the same text into the same numbers as the new model. "
        f"Received: '{trained.layers[0].name}' with split='whitespace', where the new model's "
    )
    assert sentence.endswith(" has 'character'.")


def test_a_vocabulary_below_and_none_is_refused():
    trained = build("text", texts=TEXTS)

    def numbered():
        embedded = keras.layers.Embedding(8, 32)
        return keras.Sequential([keras.Input((5,)), embedded, keras.layers.Dense(1)])

    assert message(ValueError, numbered, reuse=trained, layers=1) == (
        "`build`: `reuse` must turn the same text into the same numbers as the new model. "
        "Received: 1 with a vocabulary below the reused layers, where the new model has none with "
        "a vocabulary."
    )


# What is refused, before anything is copied


def refused_with(trained, **params):
    """The sentence, in which layers are called by their places."""
    sentence = message(ValueError, "regression", reuse=trained, **small(**params))
    for place, layer in enumerate(trained.layers):
        sentence = sentence.replace(f"'{layer.name}'", f"<theirs {place}>")
    return re.sub(r"'dense(_\d+)?'", "<ours>", sentence)


def test_other_shapes_are_named():
    assert refused_with(deep(n_neurons=5)) == (
        "`build`: `reuse` must have the shapes of the new model in the layers that are reused. "
        "Received: layer 1 with weights, <theirs 0>, of (3, 5) and (5,), where the new model has "
        "<ours>, of (3, 4) and (4,)."
    )


def test_a_shape_further_up_leaves_the_lower_layers_untouched(monkeypatch):
    trained = deep(keras.layers.Dense(7, activation="relu"), n_hidden=1)
    made = []
    monkeypatch.setattr(keras.layers.Dense, "set_weights", lambda *_: made.append(1))
    assert "layer 2 with weights" in message(ValueError, "regression", reuse=trained, **small())
    assert made == []


def test_other_kinds_of_layers_are_named():
    trained = deep(keras.layers.BatchNormalization(), n_hidden=1)
    assert refused_with(trained) == (
        "`build`: `reuse` must have the kinds of layers that the new model has. Received: layer 2 "
        "with weights, <theirs 1>, a BatchNormalization, where the new model has <ours>, a Dense."
    )


def sequence(layer):
    return learnt(keras.Sequential([keras.Input((6, 3)), layer, keras.layers.Dense(1)]))


@pytest.mark.parametrize(
    ("theirs", "ours", "setting", "values"),
    [
        (
            lambda: keras.layers.Bidirectional(keras.layers.LSTM(4, activation="relu")),
            lambda: keras.layers.Bidirectional(keras.layers.LSTM(4)),
            "backward_layer.activation",
            ("'relu'", "'tanh'"),
        ),
        (
            lambda: keras.layers.TimeDistributed(keras.layers.Dense(4, activation="relu")),
            lambda: keras.layers.TimeDistributed(keras.layers.Dense(4)),
            "layer.activation",
            ("'relu'", "'linear'"),
        ),
        (
            lambda: keras.layers.RNN([keras.layers.GRUCell(4, activation="relu")]),
            lambda: keras.layers.RNN([keras.layers.GRUCell(4)]),
            "cell.cells.0.activation",
            ("'relu'", "'tanh'"),
        ),
        (
            lambda: keras.layers.Conv1D(4, 2, dilation_rate=2),
            lambda: keras.layers.Conv1D(4, 2),
            "dilation_rate",
            ("[2]", "[1]"),
        ),
        (
            lambda: keras.layers.LayerNormalization(epsilon=10.0),
            lambda: keras.layers.LayerNormalization(),
            "epsilon",
            ("10.0", "0.001"),
        ),
    ],
)
def test_another_meaning_is_named_in_layers_within_layers_too(theirs, ours, setting, values):
    trained, model = sequence(theirs()), sequence(ours())
    before = model.get_weights()
    names = [with_weights(one)[0].name for one in (trained, model)]
    assert message(ValueError, lambda: model, reuse=trained, layers=1) == (
        "`build`: `reuse` must compute as the new model does in the layers that are reused. "
        f"Received: {names[0]!r} with {setting}={values[0]}, where the new model's {names[1]!r} "
        f"has {values[1]}."
    )
    assert_same_bits(model.get_weights(), before)


def test_initialisers_within_layers_mean_nothing():
    def made(kernel):
        dense = keras.layers.Dense(4, kernel_constraint=kernel)
        return sequence(keras.layers.TimeDistributed(dense))

    trained = made(keras.constraints.MaxNorm(2, axis=0))
    model = build(lambda: made(keras.constraints.MaxNorm(2, axis=1)), reuse=trained, layers=1)
    assert_same_bits(model.get_weights()[:2], trained.get_weights()[:2])


def test_another_activation_is_named():
    trained = learnt(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, activation="tanh"),
                keras.layers.Dense(1),
            ]
        )
    )
    assert refused_with(trained) == (
        "`build`: `reuse` must compute as the new model does in the layers that are reused. "
        "Received: <theirs 0> with activation='tanh', where the new model's <ours> has 'relu'."
    )


@pytest.mark.parametrize(
    ("transfer", "sentence"),
    [
        (
            {"layers": 4},
            "`build`: `layers` must be at most 3, the layers with weights of `reuse`. "
            "Received: layers=4.",
        ),
        ({"layers": 0}, "`build`: `layers` must be at least 1. Received: layers=0."),
        (
            {"n_hidden": 0},
            "`build`: `layers` must be at most 1, the layers with weights of the new model. "
            "Received: all but the head, 2.",
        ),
    ],
)
def test_a_number_of_layers_that_are_not_there_is_refused(transfer, sentence):
    assert message(ValueError, "regression", reuse=deep(), **small(**transfer)) == sentence


@pytest.mark.parametrize(
    ("transfer", "sentence"),
    [
        ({"reuse": "best.keras"}, "`reuse` must be a keras.Model, the trained one. Received: "),
        ({"reuse": "model", "frozen": 1}, "`frozen` must be True or False. Received: frozen=1."),
        ({"reuse": "model", "layers": 1.0}, "`layers` must be a whole number. Received: "),
    ],
)
def test_what_is_of_another_kind_is_refused(transfer, sentence):
    if transfer["reuse"] == "model":
        transfer = transfer | {"reuse": deep()}
    assert message(TypeError, "regression", **small(**transfer)).startswith(f"`build`: {sentence}")


def test_a_model_that_has_learnt_nothing_is_refused():
    trained = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
    assert message(ValueError, "regression", reuse=trained) == (
        "`build`: `reuse` must have layers with weights: call it on data first where it isn't "
        "built. Received: a model without weights."
    )


def test_a_head_alone_is_taken_only_where_it_is_asked_for():
    trained = deep(n_hidden=0)
    assert message(ValueError, "regression", reuse=trained) == (
        "`build`: `reuse` must have layers with weights below its head, or pass `layers`=1 to take "
        "the head itself. Received: a model with one."
    )
    model = build("regression", reuse=trained, layers=1, **small(n_hidden=0))
    assert_same_bits(model.get_weights(), trained.get_weights())


def test_weights_that_no_layer_holds_are_refused():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__(name="scaled")
            self.scale = self.add_weight(shape=(), name="scale")
            self.head = keras.layers.Dense(1)

        def call(self, x):
            return self.head(x) * self.scale

    trained = Scaled()
    trained(np.ones((1, 3)))
    assert message(ValueError, "regression", reuse=trained, layers=1) == (
        "`build`: `reuse` must hold its weights in its layers, to take the lower ones. "
        "Received: <Scaled name=scaled, built=True>, which holds some itself."
    )


@pytest.mark.parametrize(("name", "value"), [("layers", 2), ("frozen", True)])
def test_what_says_how_to_reuse_needs_a_model_to_reuse(name, value):
    assert message(ValueError, "dense", **{name: value}) == (
        f"`build`: `{name}` must be left out without `reuse`, the trained model. "
        f"Received: {name}={value}."
    )


# Builders that use these names themselves


def test_a_builders_own_layers_are_its_own_where_nothing_is_reused():
    def stack(a_layer=None, *, layers=1):
        return build("regression", a_layer, n_hidden=layers)

    def free(**params):
        return build("regression", n_hidden=params["layers"])

    assert len(build(stack, layers=3).layers) == len(build(free, layers=3).layers) == 4
    _, history = ktr.build_and_fit(
        stack, (np.ones((8, 8)), np.ones(8)), params={"layers": 2}, reuse=stack(layers=2), verbose=0
    )
    assert len(history) == 1
    assert message(ValueError, stack, layers=3, reuse=stack()) == (
        "`build`: `layers` must be left out beside `reuse` where the builder has a parameter of "
        "that name too: call the builder with its own in a function, and pass that. "
        "Received: layers=3."
    )


def test_build_and_fit_says_where_a_builders_own_layers_belong():
    def stack(a_layer=None, *, layers=1):
        return build("regression", a_layer, n_hidden=layers)

    with pytest.raises(ValueError, match="build_and_fit") as error:
        ktr.build_and_fit(stack, (np.ones((8, 8)), np.ones(8)), layers=2)
    assert str(error.value) == (
        "`build_and_fit`: `layers` must be passed in `params`, as the builder's own: "
        "params={'layers': 2}. Received: layers=2."
    )


def test_a_builders_own_reuse_is_its_own():
    def mine(a_layer=None, *, reuse=None):
        return build("regression", a_layer, reuse=reuse, layers=1, **small())

    trained = deep()
    assert_same_bits(build(mine, reuse=trained).get_weights()[:2], trained.get_weights()[:2])


# Real data


def test_d2_8_lower_layers_of_five_kinds_of_clothes_help_to_learn_the_other_five_from_200_rows():
    data = ktr.load_dataset("fashion_mnist_small")

    def of(pair, classes, rows=None):
        x, y = pair
        chosen = np.isin(y, classes)
        return x[chosen][:rows], np.searchsorted(classes, y[chosen][:rows])

    def figures(**transfer):
        few, test = of(data.train, [5, 6, 7, 8, 9], 200), of(data.test, [5, 6, 7, 8, 9])
        runs = []
        for seed in range(2):
            model, _ = ktr.build_and_fit(
                "cnn", few, params=params, epochs=5, seed=seed, verbose=0, **transfer
            )
            runs.append(model.evaluate(*test, verbose=0))
        return np.mean(runs, axis=0)

    params = {"filters": (16, 32), "units": 64}
    many = of(data.train, [0, 1, 2, 3, 4])
    trained, _ = ktr.build_and_fit("cnn", many, params=params, epochs=5, seed=0, verbose=0)
    afresh, reused = figures(), figures(reuse=trained, layers=2)
    # Measured: a loss of 0.47 and an accuracy of 0.81, against 0.31 and 0.91.
    assert reused[0] < 0.8 * afresh[0]
    assert reused[1] > afresh[1] + 0.05
