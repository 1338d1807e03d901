"""A model for some data: what the data tell, and what a builder that compiles keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain.building import Known, build_for, known_of, unpacked

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def compiled(optimizer="sgd"):
    model = ktr.build("dense", input_shape=(4,), units=2, classes=3)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def test_a_pair_tells_shapes_and_classes_and_leaves_the_task_to_the_head():
    known = known_of((X.tolist(), Y), function="fit")
    assert (known.x.shape, known.x.dtype, known.y.shape) == ((12, 4), "float32", (12,))
    assert (known.task, known.classes) == (None, 3)


def test_a_stream_tells_its_first_batch_and_no_classes():
    known = known_of(tf.data.Dataset.from_tensor_slices((X, Y)).batch(5), function="fit")
    assert (known.x.shape, known.y.shape, known.classes) == ((5, 4), (5,), None)


def test_the_packages_own_data_tell_task_and_classes():
    known = known_of(ktr.load_dataset("fashion_mnist_small"), function="fit")
    assert (known.task, known.classes) == ("multiclass", 10)


def test_a_model_is_built_to_the_data_and_compiled_for_the_task():
    known = known_of((X, Y), function="fit")
    model = build_for(known, "dense", function="fit", params={"units": 5}, learning_rate=0.25)
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert model.layers[1].units == 5
    assert model.loss == "sparse_categorical_crossentropy"
    assert float(model.optimizer.learning_rate) == 0.25


def test_without_data_the_builders_own_shapes_hold():
    model = build_for(Known(), "regression", function="fit", metrics=["mae"])
    assert (model.input_shape, model.loss) == ((None, 8), "mean_squared_error")


def test_a_builder_that_compiles_keeps_its_loss_and_is_given_the_rate():
    model = build_for(Known(), compiled, function="fit", learning_rate=0.5)
    assert (model.loss, float(model.optimizer.learning_rate)) == (
        "sparse_categorical_crossentropy",
        0.5,
    )


def test_a_rate_beside_the_builders_schedule_is_refused():
    decay = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    with pytest.raises(ValueError, match="schedule") as error:
        build_for(Known(), lambda: compiled(decay), function="hypermodel", learning_rate=0.5)
    assert str(error.value) == (
        "`hypermodel`: `learning_rate` must be left out where the builder's optimizer runs a "
        "schedule. Received: learning_rate=0.5."
    )


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError) as error:
        unpacked([X], function="fit")
    assert str(error.value).startswith(
        "`fit`: `data` must be what load_dataset returns, a pair (x, y), a tf.data.Dataset or a "
        "PyDataset. Received: data="
    )


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ({"optimizer": "sgd"}, "`optimizer` {}. Received: optimizer='sgd'."),
        ({"metrics": ["mae"]}, "`metrics` {}. Received: metrics=['mae']."),
        ({"task": "binary"}, "`task` {}. Received: task='binary'."),
    ],
)
def test_what_a_compiled_model_would_ignore_is_refused(given, received):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        build_for(Known(), compiled, function="build_and_fit", **given)
    must = "must be left out where the builder compiles its model"
    assert str(error.value) == f"`build_and_fit`: {received.format(must)}"


def test_the_task_that_data_tell_is_no_contradiction_to_a_compiled_model():
    assert build_for(Known(task="multiclass"), compiled, function="fit").compiled
