"""Models of one architecture share what was traced; others, and what can't be told, do not."""

import gc
import pathlib
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import X, Y, made

import kerastrain as ktr
from kerastrain import traces
from kerastrain.traces import Traces


def fitted(model, **arguments):
    given = {"epochs": 2, "batch_size": 8, "seed": 1, "verbose": 0, "speed": "compiled"}
    return ktr.fit(model, X, Y, **given | arguments)


@pytest.fixture
def fresh(monkeypatch):
    """Nothing was traced before."""
    monkeypatch.setattr(traces, "_kept", type(traces._kept)())
    return traces._kept


def test_a_second_model_takes_over_what_was_traced_and_gets_its_own_bits(fresh):
    def run():
        keras.utils.set_random_seed(3)
        model = made(layer=keras.layers.Dropout(0.3))
        history = fitted(model)
        return history.history["loss"], model.get_weights()

    first_losses, first_weights = run()
    kept = {key: concrete for key, (concrete, _) in fresh.items()}
    assert len(kept) == 1
    second_losses, second_weights = run()
    assert {key: concrete for key, (concrete, _) in fresh.items()} == kept
    assert second_losses == first_losses
    for one, other in zip(first_weights, second_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_is_not_kept_alive(fresh):
    model = made()
    fitted(model)
    gone = weakref.ref(model), weakref.ref(model.layers[0].kernel.value)
    del model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_nothing_is_lent_to_two_at_once(fresh):
    spec = [tf.TensorSpec((), tf.float32)]
    one, other = made(), made()
    batch = (tf.constant(X[:2]), tf.constant(Y[:2]))
    with Traces(one, batch) as first, Traces(other, batch) as second:
        lent = [
            lender.traced("add", model.layers[0].bias.assign_add, spec, compiled=False)
            for lender, model in ((first, one), (second, other))
        ]
        lent[0](tf.constant(1.0))
        assert lent[0] is not lent[1]
    sums = [float(keras.ops.sum(model.layers[0].bias)) for model in (one, other)]
    assert sums == [4.0, 0.0]


def test_only_so_much_is_kept(fresh, monkeypatch):
    monkeypatch.setattr(traces, "_MOST_KEPT", 2)
    for units in (1, 2, 3):
        fitted(made(units), epochs=1)
    assert len(fresh) == 2


def test_where_keras_cannot_build_metrics_beforehand_nothing_is_shared(fresh, monkeypatch):
    monkeypatch.setattr(traces, "build_metrics", lambda model, batch: False)
    fitted(made())
    assert len(fresh) == 0


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="no /proc here")
def test_fits_of_one_architecture_do_not_pile_up(starts_at_once):
    """Memory, in a process of its own: 2.7 MB a fit would be 54 MB."""
    program = """
import os, numpy as np, kerastrain as ktr
x = np.random.default_rng(0).normal(size=(640, 8)).astype("float32")
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
for number in range(30):
    ktr.build_and_fit("regression", (x, x.sum(1)), epochs=2, verbose=0, speed="compiled", seed=1)
    if number == 9:
        before = resident()
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 20


def test_the_graphs_of_past_fits_are_let_go():
    def graphs_after(fits):
        for width in range(fits):
            model = ktr.build("regression", n_neurons=3 + width, input_shape=X.shape[1:])
            ktr.fit(ktr.compile_for_task(model, y=Y), X, Y, epochs=1, speed="steps", verbose=0)
        del model
        traces.forget()
        gc.collect()
        return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())

    assert graphs_after(4) <= graphs_after(1)
