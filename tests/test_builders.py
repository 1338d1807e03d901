"""The builders that come with the package, and the layers that go into them."""

import unicodedata

import keras
import numpy as np
import pytest

from kerastrain.builders import model_fn
from kerastrain.models import build
from kerastrain.saving import load_model, save_model
from kerastrain.tasks import compile_for_task

BUILT_IN = ["binary", "cnn", "dense", "regression", "text"]

REVIEWS = ["정말 재미있는 영화", "지루하고 재미없다", "배우 연기가 좋다", "시간이 아깝다"]

SMALL = {
    "binary": {"n_neurons": 4, "input_shape": (3,)},
    "cnn": {"filters": (2,), "units": 4, "classes": 3, "input_shape": (6, 6)},
    "dense": {"units": 4, "classes": 3, "input_shape": (6, 6)},
    "regression": {"n_neurons": 4, "input_shape": (3,)},
    "text": {"texts": REVIEWS, "length": 12, "embedding": 3, "units": 3},
}


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def rows_for(name):
    """Four rows that the small model of a name takes, and their targets."""
    if name == "text":
        return np.array(REVIEWS, dtype=object), np.array([1, 0, 1, 0])
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4, *SMALL[name]["input_shape"])).astype("float32")
    y = {"regression": generator.normal(size=4), "binary": np.array([1, 0, 1, 0])}
    return x, y.get(name, np.array([0, 1, 2, 1]))


def message(error_type, call, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        call(*arguments, **keywords)
    return str(error.value)


# The study notes' models.


def test_d1_1_model_fn_is_the_notes_model_of_79510_parameters():
    model = model_fn()
    assert model.count_params() == 79_510
    assert kinds(model) == ["Flatten", "Dense", "Dense"]
    assert [layer.activation.__name__ for layer in model.layers[1:]] == ["relu", "softmax"]
    assert (model.input_shape, model.output_shape) == ((None, 28, 28), (None, 10))


def test_d1_1_model_fn_puts_a_layer_before_the_head():
    model = model_fn(keras.layers.Dropout(0.3))
    assert kinds(model) == ["Flatten", "Dense", "Dropout", "Dense"]
    assert model.layers[2].rate == 0.3
    assert model.count_params() == 79_510


def test_d1_1_a_summary_prints(capsys):
    model_fn().summary()
    assert "79,510" in capsys.readouterr().out


def test_d1_6_dropout_acts_in_training_only():
    model = build("dense", keras.layers.Dropout(0.9), units=50, input_shape=(4,), classes=3)
    x = np.ones((2, 4), dtype="float32")
    np.testing.assert_array_equal(model(x, training=False), model(x, training=False))
    assert (np.asarray(model(x, training=True)) != np.asarray(model(x, training=True))).any()


def test_d4_1_dense_128_with_dropout_is_the_notes_mnist_classifier():
    model = build("dense", keras.layers.Dropout(0.2), units=128)
    assert kinds(model) == ["Flatten", "Dense", "Dropout", "Dense"]
    assert (model.layers[1].units, model.layers[2].rate) == (128, 0.2)
    assert model.count_params() == 784 * 128 + 128 + 128 * 10 + 10


def test_d2_1_the_regression_builder_takes_the_notes_arguments():
    model = build("regression", n_hidden=1, n_neurons=30, input_shape=[8])
    assert model.count_params() == 8 * 30 + 30 + 30 + 1


@pytest.mark.parametrize("n_hidden", [0, 1, 3])
def test_the_hidden_layers_are_as_many_as_asked(n_hidden):
    model = build("regression", n_hidden=n_hidden, n_neurons=2)
    assert len(model.layers) == n_hidden + 1


# Every builder.


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_model_is_not_compiled(name):
    assert not build(name, **SMALL[name]).compiled


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_model_trains_and_predicts_the_same_after_a_file(name, tmp_path):
    x, y = rows_for(name)
    model = compile_for_task(build(name, keras.layers.Dropout(0.1), **SMALL[name]), y=y)
    before = model.get_weights()
    model.train_on_batch(x, y)
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    loaded = load_model(save_model(model, tmp_path / "model.keras"))
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))


@pytest.mark.parametrize("name", ["cnn", "dense", "text"])
def test_two_classes_make_one_sigmoid_unit(name):
    head = build(name, **{**SMALL[name], "classes": 2}).layers[-1]
    assert (head.units, head.activation.__name__) == (1, "sigmoid")


@pytest.mark.parametrize("name", ["cnn", "dense", "text"])
def test_more_classes_make_softmax(name):
    head = build(name, **{**SMALL[name], "classes": 4}).layers[-1]
    assert (head.units, head.activation.__name__) == (4, "softmax")


def test_a_cnn_takes_images_with_and_without_channels():
    assert build("cnn").input_shape == (None, 28, 28)
    assert build("cnn", input_shape=(32, 32, 3)).input_shape == (None, 32, 32, 3)


def test_a_cnn_halves_the_image_once_per_filter_count():
    model = build("cnn", input_shape=(8, 8), filters=(2, 4, 6))
    pooled = [layer.output.shape for layer in model.layers if "pool" in layer.name]
    assert pooled == [(None, 4, 4, 2), (None, 2, 2, 4), (None, 1, 1, 6)]


@pytest.mark.parametrize("name", ["binary", "regression"])
def test_a_perceptron_flattens_rows_of_more_than_one_axis(name):
    assert kinds(build(name, n_neurons=2, input_shape=(2, 3)))[0] == "Flatten"
    assert kinds(build(name, n_neurons=2, input_shape=(6,)))[0] == "Dense"


def test_a_regression_can_have_several_outputs():
    assert build("regression", outputs=3).output_shape == (None, 3)


def test_numpy_integers_are_accepted_everywhere():
    two = np.int64(2)
    numbers = {
        "binary": {"n_hidden": two, "n_neurons": two, "input_shape": np.array([2])},
        "cnn": {
            "filters": np.array([2, 2]),
            "kernel_size": two,
            "units": np.uint8(2),
            "classes": np.int32(3),
            "input_shape": np.array([4, 4]),
        },
        "dense": {"units": two, "classes": np.int32(3), "input_shape": (two, two)},
        "regression": {"n_hidden": two, "n_neurons": two, "outputs": two},
        "text": {
            "texts": REVIEWS,
            "ngrams": two,
            "max_tokens": np.int64(20),
            "length": np.int64(4),
            "embedding": two,
            "units": two,
            "classes": np.int64(2),
        },
    }
    counts = {name: build(name, **params).count_params() for name, params in numbers.items()}
    assert counts["binary"] == 2 * 2 + 2 + 2 * 2 + 2 + 2 + 1
    assert counts["dense"] == 4 * 2 + 2 + 2 * 3 + 3
    assert list(counts) == BUILT_IN


def test_a_model_of_numpy_integers_can_be_saved(tmp_path):
    model = build("cnn", filters=np.array([2]), input_shape=np.array([4, 4]), units=np.int64(2))
    loaded = load_model(save_model(model, tmp_path / "cnn.keras"))
    assert loaded.count_params() == model.count_params()


# Text.


def test_d5_1_the_text_model_is_embedding_lstm_and_a_sigmoid_unit():
    model = build("text", texts=REVIEWS)
    assert kinds(model) == ["TextVectorization", "Embedding", "LSTM", "Dense"]
    assert model.layers[1].mask_zero
    assert model.output_shape == (None, 1)


def test_the_vectoriser_is_saved_inside_the_text_model(tmp_path):
    model = build("text", texts=REVIEWS, length=4, embedding=2, units=2)
    loaded = load_model(save_model(model, tmp_path / "text.keras"))
    assert loaded.layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
    assert "영화" in loaded.layers[0].get_vocabulary()
    unseen = np.array(["정말 좋다", "처음 보는 말"], dtype=object)
    np.testing.assert_array_equal(loaded.predict_on_batch(unseen), model.predict_on_batch(unseen))


def test_letters_and_pairs_of_letters_can_be_tokens():
    letters = build("text", texts=["영화 좋다"], split="character").layers[0]
    pairs = build("text", texts=["영화 좋다"], split="character", ngrams=(2,)).layers[0]
    assert sorted(letters.get_vocabulary()[2:]) == sorted("영화 좋다")
    assert sorted(pairs.get_vocabulary()[2:]) == sorted(["영 화", "화  ", "  좋", "좋 다"])


def test_a_vocabulary_takes_the_place_of_the_texts():
    model = build("text", vocabulary=["좋다", "싫다"], length=3)
    assert np.asarray(model.layers[0](["싫다 좋다 모른다"])).tolist() == [[3, 2, 1]]


def test_the_vocabulary_is_cut_at_its_size():
    model = build("text", texts=["a a a b b c"], max_tokens=4)
    assert model.layers[0].get_vocabulary() == ["", "[UNK]", "a", "b"]
    assert model.layers[1].input_dim == 4


@pytest.mark.parametrize(
    ("params", "received"),
    [
        ({}, "texts=None, vocabulary=None"),
        ({"texts": ["a"], "vocabulary": ["a"]}, "texts=['a'], vocabulary=['a']"),
    ],
)
def test_a_text_model_wants_texts_or_a_vocabulary(params, received):
    assert message(ValueError, build, "text", **params) == (
        f"`text`: `texts` must be given, or else `vocabulary`, and not both. Received: {received}."
    )


def test_a_split_is_by_whitespace_or_character():
    assert message(ValueError, build, "text", texts=["a"], split="words") == (
        "`text`: `split` must be one of 'whitespace', 'character'. Received: split='words'."
    )


def test_stripped_punctuation_glues_words_and_lower_leaves_what_tells_the_mood():
    def tokens(**params):
        model = build("text", texts=["Good..별로 ;; ^^"], **params)
        return sorted(model.layers[0].get_vocabulary()[2:])

    assert tokens() == ["good별로"]
    assert tokens(standardize="lower") == [";;", "^^", "good..별로"]
    assert tokens(standardize="strip_punctuation") == ["Good별로"]
    assert tokens(standardize=None) == [";;", "Good..별로", "^^"]
    letters = tokens(standardize="lower", split="character")
    assert {"^", ";", "별", "g"} <= set(letters)


def test_a_syllable_is_a_token_in_composed_text_and_falls_apart_in_other():
    composed, apart = "좋다", unicodedata.normalize("NFD", "좋다")

    def tokens(text):
        return build("text", texts=[text], split="character").layers[0].get_vocabulary()[2:]

    assert sorted(tokens(composed)) == ["다", "좋"]
    assert len(tokens(apart)) == 5
    assert tokens(unicodedata.normalize("NFC", apart)) == tokens(composed)


def test_a_standardization_is_one_of_keras_names():
    assert message(ValueError, build, "text", texts=["a"], standardize="upper") == (
        "`text`: `standardize` must be one of 'lower_and_strip_punctuation', 'lower', "
        "'strip_punctuation'. Received: standardize='upper'."
    )


# The layer.


@pytest.mark.parametrize(
    "a_layer",
    [
        keras.layers.Dropout(0.5),
        [keras.layers.Dropout(0.5)],
        (keras.layers.Dropout(0.5),),
        lambda: keras.layers.Dropout(0.5),
        lambda: [keras.layers.Dropout(0.5)],
        lambda: (keras.layers.Dropout(0.5),),
    ],
    ids=["layer", "list", "tuple", "function", "function of a list", "function of a tuple"],
)
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_layer_comes_as_a_layer_a_list_or_a_function(name, a_layer):
    model = build(name, a_layer, **SMALL[name])
    assert kinds(model)[-2:] == ["Dropout", "Dense"]
    assert model.layers[-2].rate == 0.5


def test_a_layer_comes_as_a_class():
    assert kinds(build("dense", keras.layers.BatchNormalization))[2] == "BatchNormalization"


def test_no_layer_comes_as_none_or_an_empty_list():
    assert kinds(build("dense", None)) == kinds(build("dense", [])) == kinds(model_fn())


def test_several_layers_keep_their_order_and_settings():
    layers = [keras.layers.Dense(7), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
    model = build("dense", layers)
    assert kinds(model)[2:-1] == ["Dense", "BatchNormalization", "Dropout"]
    assert (model.layers[2].units, model.layers[4].rate) == (7, 0.1)


def test_the_same_layer_twice_in_a_list_makes_two_layers():
    layer = keras.layers.Dense(3)
    model = build("dense", [layer, layer])
    first, second = model.layers[2:4]
    assert first.name != second.name
    assert first.kernel is not second.kernel
    assert [tuple(kernel.shape) for kernel in (first.kernel, second.kernel)] == [(100, 3), (3, 3)]


def test_the_name_that_a_user_gave_a_layer_stays():
    layers = [keras.layers.Dense(3, name="first"), keras.layers.Dense(3, name="second")]
    assert [layer.name for layer in build("dense", layers).layers[2:4]] == ["first", "second"]


def test_a_named_layer_twice_in_a_list_is_numbered():
    layer = keras.layers.Dense(3, name="mine")
    names = [layer.name for layer in build("dense", [layer, layer, layer]).layers[2:5]]
    assert names == ["mine", "mine_1", "mine_2"]


def test_one_layer_object_given_to_two_models_shares_nothing():
    layer = keras.layers.Dense(5)
    first, second = (build("dense", layer, input_shape=(4,), units=6) for _ in range(2))
    assert not {id(v) for v in first.variables} & {id(v) for v in second.variables}
    assert not layer.built
    before = second.get_weights()
    compile_for_task(first).train_on_batch(np.ones((2, 4)), np.array([0, 1]))
    for old, new in zip(before, second.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_layer_that_was_trained_elsewhere_starts_afresh():
    layer = build("dense", keras.layers.Dense(5), input_shape=(4,)).layers[2]
    copy = build("dense", layer, input_shape=(4,)).layers[2]
    assert layer.built
    assert copy is not layer
    assert (np.asarray(copy.kernel) != np.asarray(layer.kernel)).any()


def test_a_model_as_a_layer_is_copied_whole():
    block = keras.Sequential([keras.layers.Dense(3), keras.layers.Dropout(0.2)])
    first, second = (build("dense", block, input_shape=(4,)) for _ in range(2))
    assert kinds(first.layers[2]) == ["Dense", "Dropout"]
    assert not {id(v) for v in first.variables} & {id(v) for v in second.variables}


def test_a_layer_from_before_clear_session_clashes_with_no_name():
    layer = keras.layers.Dense(3)
    keras.utils.clear_session()
    fresh = [keras.layers.Dense(1).name for _ in range(2)]
    model = build("dense", [layer, keras.layers.Dense(3)], input_shape=(4,))
    names = [layer.name for layer in model.layers]
    assert fresh == ["dense", "dense_1"]
    assert len(set(names)) == len(names) == 5


@pytest.mark.parametrize(
    ("kind", "data", "built"),
    [
        (keras.layers.Normalization, np.arange(8.0).reshape(4, 2), True),
        (keras.layers.StringLookup, np.array(["좋다", "싫다"]), False),
        (keras.layers.TextVectorization, np.array(REVIEWS), False),
    ],
)
def test_a_layer_that_was_adapted_to_data_is_refused(kind, data, built):
    layer = kind(name="learnt")
    layer.adapt(data)
    assert message(ValueError, build, "dense", layer) == (
        "`build`: `a_layer` must not be a layer that was adapted to data; pass a function that "
        f"makes and adapts it. Received: a_layer=<{kind.__name__} name=learnt, built={built}>."
    )


def test_an_adapted_layer_whose_config_holds_what_it_learnt_is_copied():
    layer = keras.layers.Discretization(num_bins=2)
    layer.adapt(np.arange(8.0))
    assert build("dense", [layer, keras.layers.Dense(1)]).layers[2].bin_boundaries == [3.0]


def test_a_function_that_makes_and_adapts_a_layer_keeps_what_it_learnt():
    def adapted():
        layer = keras.layers.Normalization()
        layer.adapt(np.full((4, 3), 7.0))
        return layer

    model = build("regression", adapted, n_neurons=3, input_shape=(2,))
    np.testing.assert_array_equal(model.layers[1].mean, np.full((1, 3), 7.0))


@pytest.mark.parametrize(
    ("a_layer", "received"),
    [
        ("dropout", "'dropout'"),
        (0.3, "0.3"),
        ([0.3], "[0.3]"),
        ([keras.layers.Dropout], "[<class 'keras.src.layers.regularization.dropout.Dropout'>]"),
        ({"rate": 0.3}, "{'rate': 0.3}"),
    ],
)
@pytest.mark.parametrize("builder", ["dense", lambda a_layer: model_fn(a_layer)])
def test_what_makes_no_layer_is_refused(builder, a_layer, received):
    assert message(TypeError, build, builder, a_layer) == (
        "`build`: `a_layer` must be a layer, a list of layers or a function that makes one. "
        f"Received: a_layer={received}."
    )


@pytest.mark.parametrize(("product", "shown"), [(0.3, "0.3"), ([0.3], "[0.3]")])
def test_a_function_that_makes_no_layer_is_refused(product, shown):
    def maker():
        return product

    sentence = message(TypeError, build, "dense", maker)
    assert sentence.startswith(
        "`build`: `a_layer` must be a layer, a list of layers or a function that makes one. "
        "Received: a_layer=<function "
    )
    assert sentence.endswith(f" that makes {shown}.")
