"""`prove_resume`: it tells a run that goes on to the bit from one that doesn't."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_runs import newest_facts

from kerastrain import proofs, schedules
from kerastrain.callbacks import early_stopping
from kerastrain.proofs import ResumeProof, prove_resume
from kerastrain.tasks import compile_for_task
from kerastrain.training import fit

pytest.importorskip("cloudpickle", reason="the builder goes to another process by cloudpickle")

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(64, 4)).astype("float32")
Y = X.sum(axis=1)


def build(a_layer=None, *, units=8, input_shape=(4,)):
    layers = [keras.layers.Dense(units, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input(input_shape), *layers])


class Shrinks(keras.callbacks.Callback):
    """Changes the weights by what it has counted, and forgets it."""

    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        kernel = self.model.layers[0].kernel
        kernel.assign(kernel * 0.9**self.epochs)


def test_a_run_of_ones_own_builder_and_callbacks_is_proved(capsys):
    proof = prove_resume(
        build,
        (X, Y),
        callbacks=[early_stopping("loss", patience=3)],
        schedule=schedules.one_cycle(0.01),
        batch_size=16,
    )
    assert proof == ResumeProof(0.0, 0.0, 0.0, 4, 2)
    assert bool(proof)
    assert capsys.readouterr().out == (
        "4 epochs at a stretch, and 2 + 2 with a new process between: largest difference 0.0 in "
        "the weights, 0.0 in the optimizer, 0.0 in the history\n"
    )


def test_a_run_is_broken_off_in_the_midst_of_an_epoch(starts_at_once, short_calls, capsys):
    proof = prove_resume(build, (X, Y), epochs=2, broken_off_after=1.5, batch_size=8)
    assert proof == ResumeProof(0.0, 0.0, 0.0, 2, 1.5)
    assert "2 epochs at a stretch, and 1.5 + 0.5 with a new" in capsys.readouterr().out


@pytest.mark.parametrize(
    "after, left", [(0.1, (0, 3)), (0.5, (0, 6)), (0.9, (0, 8)), (1, (1, 0)), (1.2, (1, 3))]
)
@pytest.mark.parametrize("validation", [None, (X, Y)])
def test_the_break_comes_at_the_first_turn_after_so_many_epochs(
    short_calls, folder, after, left, validation
):
    call = {"epochs": 2, "batch_size": 8, "seed": 0, "speed": "steps", "verbose": 0}
    call |= {"run": folder, "save_every": 0, "validation_data": validation}
    model = compile_for_task(build(), "regression")
    with pytest.raises(proofs._BreakError):
        fit(model, X, Y, callbacks=[proofs._Break(after)], **call)
    facts = newest_facts(folder)
    assert (facts["epoch"], facts["batch"]) == left


def test_a_run_that_ends_before_it_is_broken_off_proves_nothing():
    stops = early_stopping("loss", mode="max", patience=0)
    with pytest.raises(ValueError, match="`broken_off_after` must") as error:
        prove_resume(build, (X, Y), callbacks=[stops], epochs=4, broken_off_after=2)
    assert str(error.value) == (
        "`prove_resume`: `broken_off_after` must be below the 2 epochs after which the run ends by "
        "itself. Received: broken_off_after=2."
    )


def shuffled():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(64, seed=1).batch(8)


def test_a_dataset_is_made_by_a_function(starts_at_once):
    assert prove_resume(build, shuffled, epochs=2, broken_off_after=1)
    with pytest.raises(TypeError) as error:
        prove_resume(build, shuffled())
    assert str(error.value).startswith(
        "`prove_resume`: `data` must be a function that makes the Dataset, which can't go to "
        "another process itself. Received: data=<_BatchDataset"
    )


def test_a_callback_that_forgets_is_found_out(starts_at_once):
    proof = prove_resume(build, (X, Y), callbacks=[Shrinks()], epochs=3, broken_off_after=1)
    assert proof.weights > 0.01
    assert not proof


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"epochs": 1}, "`epochs` must be at least 2. Received: epochs=1."),
        (
            {"broken_off_after": 4},
            "`broken_off_after` must be below `epochs` (4). Received: broken_off_after=4.",
        ),
        (
            {"run": "a"},
            "`run` must be left out: the run that is broken off has a folder of its own. "
            "Received: run='a'.",
        ),
    ],
)
def test_what_cannot_be_proved_is_refused(arguments, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011  # The whole sentence is below.
        prove_resume(build, (X, Y), **arguments)
    assert str(error.value) == f"`prove_resume`: {sentence}"
