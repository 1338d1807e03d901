"""Schedules are the formulas of their papers, know their run, and are saved with a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain.schedules import one_cycle, warmup, warmup_cosine

FACTORIES = [warmup, warmup_cosine, one_cycle]
all_factories = pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f.__name__)


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def half_cosine(p):
    return (1 - np.cos(np.pi * np.asarray(p))) / 2


# The formulas, by hand.


def test_a_warmup_rises_linearly_from_its_first_step_and_stays():
    schedule = warmup(0.4, epochs=2).for_run(steps_per_epoch=4, epochs=5)
    by_hand = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.4, 0.4]
    assert rates(schedule, [*range(9), 100]) == pytest.approx(by_hand)


def test_a_warmup_cosine_falls_from_the_peak_to_its_part_of_it():
    schedule = warmup_cosine(0.4, epochs=1, final=0.1).for_run(steps_per_epoch=4, epochs=5)
    assert rates(schedule, range(4)) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    p = (np.arange(4, 21) - 4) / 16
    by_hand = 0.4 * (0.1 + 0.9 * (1 + np.cos(np.pi * p)) / 2)
    assert rates(schedule, range(4, 21)) == pytest.approx(by_hand)
    assert rates(schedule, [20, 21, 1000]) == pytest.approx([0.04] * 3)


def test_one_cycle_rises_and_falls_and_its_momentum_goes_the_other_way():
    schedule = one_cycle(0.5, fraction=0.25, start=0.1, final=0.01).for_run(4, epochs=5)
    up, down = half_cosine(np.arange(5) / 5), half_cosine(1 - np.arange(16) / 15)
    by_hand = [*0.5 * (0.1 + 0.9 * up), *0.5 * (0.01 + 0.99 * down)]
    assert rates(schedule, range(21)) == pytest.approx(by_hand)
    momenta = [*0.95 - 0.1 * up, *0.95 - 0.1 * down]
    assert rates(schedule.momentum_at, range(21)) == pytest.approx(momenta)


def test_one_cycle_has_the_numbers_of_pytorch():
    schedule = one_cycle(0.5).for_run(steps_per_epoch=10, epochs=10)
    assert rates(schedule, [0, 30, 100]) == pytest.approx([0.5 / 25, 0.5, 0.5 / 25 / 1e4])
    assert rates(schedule.momentum_at, [0, 30, 100]) == pytest.approx([0.95, 0.85, 0.95])


def test_without_its_pair_one_cycle_leaves_the_momentum_alone():
    assert one_cycle(0.5, momentum=None).for_run(10, 10).momentum_at(3) is None


@pytest.mark.parametrize("factory, step", [(warmup, 29), (warmup_cosine, 29), (one_cycle, 30)])
def test_the_peak_is_where_the_length_says(factory, step):
    schedule = factory(0.5, epochs=3).for_run(steps_per_epoch=10, epochs=10)
    assert schedule.warm == 30
    assert int(np.argmax(rates(schedule, range(101)))) == step
    assert float(schedule(step)) == pytest.approx(0.5)


@all_factories
def test_epochs_and_a_fraction_may_mean_the_same(factory):
    by_epochs = factory(0.5, epochs=2.5).for_run(steps_per_epoch=7, epochs=10)
    by_fraction = factory(0.5, fraction=0.25).for_run(steps_per_epoch=7, epochs=10)
    assert rates(by_epochs, range(71)) == rates(by_fraction, range(71))


@pytest.mark.parametrize("factory, warm", [(warmup, 10), (warmup_cosine, 10), (one_cycle, 30)])
def test_without_a_length_it_is_a_part_of_the_run(factory, warm):
    assert factory(0.5).for_run(10, 10).warm == warm


@all_factories
@pytest.mark.parametrize("length, warm", [({"epochs": 1e-9}, 1), ({"epochs": 0}, 0)])
def test_a_warmup_takes_a_step_at_least_or_none(factory, length, warm):
    schedule = factory(0.5, **length).for_run(steps_per_epoch=10, epochs=10)
    assert schedule.warm == warm
    assert max(rates(schedule, range(2))) == pytest.approx(0.5)


@all_factories
def test_a_whole_run_of_warming_ends_at_the_peak(factory):
    schedule = factory(0.5, fraction=1).for_run(steps_per_epoch=10, epochs=1)
    seen = rates(schedule, range(11))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.5)


@all_factories
def test_a_run_that_begins_later_has_the_same_rates_from_there(factory):
    here, later = (factory(0.5).for_run(10, 3, first_step=first) for first in (0, 1000))
    assert rates(later, range(1000, 1031)) == rates(here, range(31))
    assert float(later(0)) == float(here(0))


@all_factories
@pytest.mark.parametrize("compiled", [False, True])
def test_a_graph_computes_what_a_number_gives(factory, compiled):
    schedule = factory(0.5).for_run(steps_per_epoch=10, epochs=2)
    step = tf.Variable(0, dtype=tf.int64)
    in_graph = tf.function(lambda: schedule(step), jit_compile=compiled)
    seen = []
    for number in range(21):
        step.assign(number)
        seen.append(float(in_graph()))
    assert seen == pytest.approx(rates(schedule, range(21)), rel=1e-5, abs=1e-7)


@all_factories
@pytest.mark.parametrize("floatx, digits", [("float16", 1e-3), ("float64", 1e-6)])
def test_a_rate_has_the_precision_of_the_layers_and_its_steps_are_whole(factory, floatx, digits):
    schedule = factory(0.5).for_run(steps_per_epoch=10_000, epochs=1)
    steps = [2999, 3001, 9000]
    expected = rates(schedule, steps)
    try:
        keras.config.set_floatx(floatx)
        assert keras.backend.standardize_dtype(schedule(0).dtype) == floatx
        assert rates(schedule, steps) == pytest.approx(expected, rel=digits)
    finally:
        keras.config.set_floatx("float32")


# Saving.


@all_factories
def test_settings_make_the_same_schedule_again(factory):
    for schedule in (factory(0.5, epochs=1), factory(0.5).for_run(10, 3, first_step=7)):
        settings = schedule.get_config()
        assert type(schedule).from_config(settings).get_config() == settings
        kept = keras.saving.serialize_keras_object(schedule)
        assert kept["registered_name"] == f"kerastrain>{type(schedule).__name__}"
        assert keras.saving.deserialize_keras_object(kept).get_config() == settings


def test_a_schedule_shows_what_makes_it():
    assert repr(warmup(0.5, epochs=2)) == "warmup(peak=0.5, epochs=2.0)"


@all_factories
def test_a_model_is_saved_with_its_schedule_and_keras_goes_on_with_it(factory, tmp_path):
    x = np.ones((8, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(factory(0.01).for_run(4, 5)), "mse")
    model.fit(x, x[:, :1], batch_size=2, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        each.fit(x, x[:, :1], batch_size=2, epochs=1, verbose=0)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    schedule = factory(0.01).for_run(4, 5)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(float(schedule(12)))


# What can't be.


@all_factories
def test_a_schedule_that_knows_no_steps_says_who_tells_it(factory):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole sentence is compared below)
        factory(0.5, epochs=1)(0)
    assert str(caught.value) == (
        f"`{factory.__name__}`: `schedule` must know the steps of the run: pass it to "
        "fit(schedule=...), or call .for_run(steps_per_epoch, epochs). "
        f"Received: {factory(0.5, epochs=1)!r}."
    )


@pytest.mark.parametrize(
    "make, kind, sentence",
    [
        (lambda: warmup(0), ValueError, "`warmup`: `peak` must be above 0. Received: peak=0."),
        (
            lambda: warmup_cosine("high"),
            TypeError,
            "`warmup_cosine`: `peak` must be a number. Received: peak='high'.",
        ),
        (
            lambda: one_cycle(0.1, epochs=2, fraction=0.1),
            ValueError,
            "`one_cycle`: `fraction` must be left out beside `epochs`, which tells the same length."
            " Received: epochs=2, fraction=0.1.",
        ),
        (
            lambda: warmup(0.1, epochs=-1),
            ValueError,
            "`warmup`: `epochs` must be at least 0. Received: epochs=-1.",
        ),
        (
            lambda: warmup(0.1, fraction=1.5),
            ValueError,
            "`warmup`: `fraction` must be at least 0 and at most 1. Received: fraction=1.5.",
        ),
        (
            lambda: warmup_cosine(0.1, final=2),
            ValueError,
            "`warmup_cosine`: `final` must be at least 0 and at most 1. Received: final=2.",
        ),
        (
            lambda: one_cycle(0.1, start=-1),
            ValueError,
            "`one_cycle`: `start` must be at least 0 and at most 1. Received: start=-1.",
        ),
        (
            lambda: one_cycle(0.1, momentum=0.9),
            TypeError,
            "`one_cycle`: `momentum` must be a pair, the momentum at the start and at the peak, or "
            "None. Received: momentum=0.9.",
        ),
        (
            lambda: one_cycle(0.1, momentum=(0.9, 1)),
            ValueError,
            "`one_cycle`: `momentum` must be at least 0 and below 1. Received: momentum=1.",
        ),
        (
            lambda: warmup(0.1, epochs=3).for_run(steps_per_epoch=10, epochs=2),
            ValueError,
            "`warmup`: `epochs` must be at most the epochs of the run (2). Received: epochs=3.",
        ),
        (
            lambda: warmup(0.1).for_run(steps_per_epoch=0, epochs=2),
            ValueError,
            "`warmup.for_run`: `steps_per_epoch` must be at least 1. Received: steps_per_epoch=0.",
        ),
        (
            lambda: warmup(0.1).for_run(steps_per_epoch=1, epochs=1.5),
            TypeError,
            "`warmup.for_run`: `epochs` must be a whole number. Received: epochs=1.5.",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, kind, sentence):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == sentence
