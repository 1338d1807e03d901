"""A generator is gone through once, as Keras takes it, and what can't be trained on is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastrain as ktr
from kerastrain import _generators

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.arange(24) % 3


def classifier():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def refusal(kind, data, **arguments):
    with pytest.raises(kind) as error:
        ktr.fit(classifier(), data, verbose=0, **arguments)
    return str(error.value)


def batches_of(size, make=lambda x, y: (x, y)):
    return (make(X[at : at + size], Y[at : at + size]) for at in range(0, len(X), size))


@pytest.mark.parametrize("speed", ["auto", "plain", "steps", "compiled"])
def test_a_generator_is_gone_through_once_and_does_what_a_dataset_of_its_batches_does(speed):
    def losses(data, speed):
        keras.utils.set_random_seed(1)
        history = ktr.fit(
            classifier(), data, seed=1, speed=speed, verbose=0, validation_data=(X, Y)
        )
        del history.history["seconds"]
        return history.history, history.engine

    logs, engine = losses(batches_of(7), speed)
    assert logs == losses(tf.data.Dataset.from_tensor_slices((X, Y)).batch(7), "plain")[0]
    why = {"plain": "plain: Keras's own loop, as asked"}.get(speed, "steps: ")
    assert engine.startswith(why)
    assert engine.endswith("since a stream isn't compiled") is (speed == "compiled")


def test_a_generator_may_bring_lists_and_names_as_keras_takes_them():
    inputs = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()(inputs)))
    model.compile("sgd", "mse")
    for make in (lambda x, y: ([x, x], y), lambda x, y: [{"a": x, "b": x}, y.astype("float64")]):
        history = ktr.fit(model, batches_of(8, make), verbose=0)
        assert np.isfinite(history.history["loss"]).all()


def test_a_generator_may_bring_batches_that_differ_in_a_side_that_the_model_leaves_open():
    words = keras.Input((None,), dtype="int32")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 3)(words))
    model = keras.Model(words, keras.layers.Dense(1)(pooled))
    model.compile("sgd", "mse")
    batches = [(np.ones((4, length), "int32"), np.ones(4), None) for length in (5, 6, 3)]
    assert len(ktr.fit(model, iter(batches), verbose=0)) == 1


def test_a_generator_of_texts_is_taken_as_keras_and_tensorflow_have_them():
    texts, labels = ["아주 좋아요", "so bad"] * 4, np.array([0, 1] * 4)

    def loss(batch):
        keras.utils.set_random_seed(1)
        model = ktr.build("text", texts=texts, length=4, units=2, embedding=2)
        ktr.compile_for_task(model, y=labels)
        return ktr.fit(model, iter([(batch, labels)]), seed=1, verbose=0).history["loss"]

    assert loss(np.array(texts, dtype=object)) == loss(np.array(texts)) == loss(tf.constant(texts))


def test_a_pydataset_that_is_its_own_iterator_is_no_generator():
    class Flow(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, number):
            return X[number::3], Y[number::3]

        def __next__(self):
            raise AssertionError("asked for the next batch")

        def __iter__(self):
            return self

    assert len(ktr.fit(classifier(), Flow(), epochs=2, verbose=0)) == 2


def test_a_generator_is_not_begun_anew_once_more_has_been_drawn_than_is_kept():
    once = _generators._Once(iter(range(40)))
    assert [number for number, _ in zip(once(), range(5), strict=False)] == [0, 1, 2, 3, 4]
    assert list(once()) == list(range(40))
    with pytest.raises(RuntimeError, match="a generator can be gone through once"):
        list(once())


def test_after_nan_a_generator_cannot_be_gone_through_again():
    assert refusal(ValueError, batches_of(7), on_nan="rollback") == (
        "`fit`: `on_nan` must be 'stop' where `x` is a generator, which can be gone through once. "
        "Received: on_nan='rollback'."
    )


@pytest.mark.parametrize(
    "data, epochs, kind, sentence",
    [
        (
            batches_of(7),
            2,
            ValueError,
            "`epochs` must be 1 where `x` is a generator, which can be gone through once; "
            "`tf.data.Dataset.from_generator` makes a Dataset of the function that makes it. "
            "Received: epochs=2.",
        ),
        (
            iter(()),
            1,
            ValueError,
            "`x` must hold at least one batch. Received: an empty generator.",
        ),
        (
            batches_of(8, lambda x, y: (x, None)),
            1,
            TypeError,
            "`x` must bring batches of arrays. "
            "Received: a generator of <ndarray of shape (8, 4), float32> and "
            "array(None, dtype=object).",
        ),
        (
            zip([1.5], [2], strict=True),
            1,
            TypeError,
            "`x` must bring batches of arrays. Received: a generator of array(1.5, dtype=float32) "
            "and array(2).",
        ),
        (
            batches_of(8, lambda x, y: (x[:, :3], y)),
            1,
            ValueError,
            "`x` must be an array of shape (n, 4), as the model takes. "
            "Received: x=<ndarray of shape (8, 3), float32>.",
        ),
    ],
    ids=["twice", "empty", "no arrays", "single rows", "too narrow"],
)
def test_a_generator_that_cannot_be_trained_on_is_refused(data, epochs, kind, sentence):
    assert refusal(kind, data, epochs=epochs) == f"`fit`: {sentence}"
