"""A run changes its way where another turns out faster, and one like it changes alike."""

import keras
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain import choice
from kerastrain.choice import Verdict

X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = X.sum(axis=1)


def fitted(speed="auto", epochs=9, **arguments):
    keras.utils.set_random_seed(1)
    model = ktr.build("regression", keras.layers.Dropout(0.2), input_shape=(4,))
    ktr.compile_for_task(model, y=Y, optimizer="sgd")
    given = {"batch_size": 8, "seed": 1, "verbose": 0, "restore_best": False}
    history = ktr.fit(model, X, Y, epochs=epochs, speed=speed, **given | arguments)
    return history, model


@pytest.fixture
def looks(monkeypatch):
    """A machine on which "steps" is chosen, and "compiled" turns out faster after 4 epochs."""
    seen = []

    def reconsidered(left, verdict, known, *measures):
        seen.append((left.epochs, verdict.way, sorted(known)))
        is_better = left.epochs <= 5
        return Verdict("compiled", 1e-4, "as it is faster") if is_better else verdict

    monkeypatch.setattr(choice, "_plans", {})
    monkeypatch.setattr(choice, "choose", lambda *asked: Verdict("steps", 1e-3, "slow"))
    monkeypatch.setattr(choice, "reconsidered", reconsidered)
    return seen


def test_it_looks_after_the_2nd_4th_and_8th_epoch(looks):
    fitted()
    assert looks == [
        (7, "steps", ["steps"]),
        (5, "steps", ["steps"]),
        (1, "compiled", ["compiled", "steps"]),
    ]


def test_it_says_from_which_epoch_it_went_another_way(looks):
    history, _ = fitted()
    assert history.engine == (
        "steps: 9 batches a call, a whole epoch, slow, from the 5th epoch on "
        "compiled, as it is faster"
    )


def test_up_to_the_change_it_has_the_bits_of_plain(looks):
    changed, plain = fitted()[0].history["loss"], fitted("plain")[0].history["loss"]
    assert changed[:4] == plain[:4]
    assert changed[4:] != plain[4:]


def test_a_run_like_it_changes_at_the_same_epoch_and_gives_the_same_bits(looks):
    first, model = fitted()
    looked = len(looks)
    again, other = fitted()
    assert len(looks) == looked
    assert again.engine == first.engine
    assert again.history["loss"] == first.history["loss"]
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_way_that_was_asked_for_is_kept(looks):
    assert fitted("steps")[0].engine == "steps: 9 batches a call, a whole epoch, as asked"
    assert looks == []


class Stops(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 2


def test_where_a_run_like_it_had_ended_it_looks_for_itself(looks):
    fitted(callbacks=[Stops()])
    assert [left for left, *_ in looks] == [7]
    fitted()
    assert [left for left, *_ in looks] == [7, 5, 1]


def test_the_speed_in_its_history_repeats_a_run_that_changed_to_the_bit(looks, monkeypatch):
    changed, model = fitted()
    assert changed.speed == {0: "steps", 4: "compiled"}
    monkeypatch.setattr(choice, "_plans", {})
    again, same = fitted(changed.speed)
    assert (again.speed, again.history["loss"]) == (changed.speed, changed.history["loss"])
    for one, other in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_that_ends_before_it_would_have_changed_tells_only_the_way_it_took():
    history, _ = fitted({0: "steps", 4: "compiled"}, epochs=4)
    assert history.speed == {0: "steps"}


def test_a_way_that_cannot_be_had_is_not_told_as_taken():
    history, _ = fitted({0: "compiled"}, epochs=1, batch_size=100)
    assert history.speed == {0: "steps"}
