"""Batches of rows that don't fit in memory are those of rows that do."""

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain import data as data_module
from kerastrain.batches import as_tensors, batches, batches_read
from kerastrain.data import EpochOrder, Rows, rows_of

TEN = np.arange(10, dtype="float32")
TABLE = np.random.default_rng(1).normal(size=(50, 4))  # In 64 bits, as many files have it.


def fixed_batches(rows, batch_size):
    """Batches of all rows as they stand."""
    order = EpochOrder(np.arange(len(rows)), shuffle=False)
    return batches(as_tensors(rows), order, batch_size=batch_size)


def test_batches_follow_the_order_of_the_current_epoch():
    order = EpochOrder(np.arange(10), seed=1, shuffle=True)
    dataset = batches(as_tensors(Rows(TEN, TEN * 2)), order, batch_size=4)
    for epoch in (0, 1, 1, 0):
        order.begin_epoch(epoch)
        pairs = [(x.numpy().tolist(), y.numpy().tolist()) for x, y in dataset]
        wanted = order.of_epoch(epoch).tolist()
        assert [len(x) for x, _ in pairs] == [4, 4, 2]
        assert [row for x, _ in pairs for row in x] == wanted
        assert [row for _, y in pairs for row in y] == [2 * row for row in wanted]


@pytest.mark.parametrize("batch_size, sizes", [(1, [1] * 10), (5, [5, 5]), (16, [10])])
def test_fixed_batches_keep_the_rows_as_they_stand(batch_size, sizes):
    dataset = fixed_batches(Rows(TEN, TEN, TEN), batch_size=batch_size)
    parts = [[part.numpy().tolist() for part in batch] for batch in dataset]
    assert [len(x) for x, _, _ in parts] == sizes
    assert [row for x, _, _ in parts for row in x] == TEN.tolist()
    assert int(dataset.cardinality()) == len(sizes)


def test_batches_of_tuples_dicts_and_strings_keep_their_structure():
    words = np.array([f"word {n}" for n in range(10)], dtype=object)
    rows = Rows({"words": words, "numbers": TEN}, (TEN, TEN + 1))
    ((x, y),) = fixed_batches(rows, batch_size=10)
    assert x["words"].numpy()[3] == b"word 3"
    assert x["numbers"].numpy().tolist() == TEN.tolist()
    assert [float(part[0]) for part in y] == [0.0, 1.0]


@pytest.mark.parametrize(
    "rows, parts",
    [
        (Rows(TEN, None), TEN),
        (Rows((TEN, TEN), None), ((TEN, TEN),)),
        (Rows({"a": TEN}, None), {"a": TEN}),
        (Rows(TEN, TEN), (TEN, TEN)),
        (Rows(TEN, TEN, TEN), (TEN, TEN, TEN)),
    ],
    ids=["x", "tuple", "dict", "x-y", "x-y-weight"],
)
def test_a_step_gets_its_batch_packed_as_keras_packs_it(rows, parts):
    keras.tree.assert_same_structure(rows.parts, parts)
    keras.tree.assert_same_structure(next(iter(fixed_batches(rows, batch_size=2))), parts)


def test_rows_taken_are_copies():
    rows = Rows(TEN.copy(), {"a": TEN}, None)
    taken = rows.take(np.array([1, 8]))
    rows.x[:] = 0
    assert (taken.x.tolist(), taken.y["a"].tolist(), taken.weight) == ([1, 8], [1, 8], None)
    assert len(taken) == 2


# Of rows that don't fit in memory


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr(data_module, "free_memory", lambda: 0.0)


def trained_on(*data, **arguments):
    """The numbers and the weights after training, and how it was run."""
    keras.utils.set_random_seed(1)
    model = ktr.build("regression", keras.layers.Dropout(0.3), input_shape=(4,))
    ktr.compile_for_task(model, task="regression", optimizer="sgd")
    given = {"epochs": 2, "batch_size": 8, "seed": 3, "verbose": 0, "speed": "steps"}
    history = ktr.fit(model, *data, **given | arguments)
    del history.history["seconds"]
    return history.history, model.get_weights(), history.engine


def on_disk(folder, array):
    np.save(folder / "array.npy", array)
    return np.load(folder / "array.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"validation_split": 0.2},
        {"validation_split": 0.2, "shuffle": False},
        {"validation_data": (TABLE[:9], TABLE[:9, 0])},
        {"sample_weight": np.linspace(0.0, 1.0, 50)},
    ],
    ids=["plain", "split", "split in order", "validation", "weights"],
)
def test_rows_on_a_disk_give_the_bits_of_rows_in_memory(tmp_path, monkeypatch, arguments):
    numbers, weights, _ = trained_on(TABLE, TABLE[:, 0], **arguments)
    monkeypatch.setattr(data_module, "free_memory", lambda: 0.0)
    same, others, way = trained_on(on_disk(tmp_path, TABLE), TABLE[:, 0], **arguments)
    assert way.endswith("a call, since the rows would take more than half of the free memory")
    assert same == numbers
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_would_be_compiled_says_that_it_streams(no_memory):
    *_, way = trained_on(TABLE, TABLE[:, 0], speed="compiled")
    assert way.startswith("steps: ")
    assert way.endswith(", since the rows would take more than half of the free memory")


def test_several_inputs_and_texts_are_read_too(no_memory):
    rows = rows_of((TABLE, np.array(["a", "b"] * 25)), TABLE[:, 0])
    order = EpochOrder(np.arange(50)[::-1], shuffle=False)
    (table, texts), targets = next(iter(batches_read(rows, order, batch_size=3)))
    np.testing.assert_array_equal(table, TABLE[:-4:-1].astype("float32"))
    assert list(texts.numpy()) == [b"b", b"a", b"b"]
    np.testing.assert_array_equal(targets, TABLE[:-4:-1, 0].astype("float32"))
