"""Random numbers by Threefry: the published ones, even and independent, in TensorFlow's terms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import _kernels, _threefry

SEED = (3, 7)


def word(number):
    return tf.constant(number, tf.uint32)


@pytest.mark.parametrize(
    "counter, key, made",
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_it_makes_the_words_that_its_authors_publish(counter, key, made):
    words = _threefry.threefry(tuple(map(word, key)), tuple(map(word, counter)))
    assert tuple(int(one) for one in words) == made


def test_every_bit_is_even_and_goes_with_no_other_nor_with_the_next_seed():
    count = 20_000
    words = [_threefry._words((count,), (5, step)).numpy() for step in range(3)]
    bits = np.concatenate([(one[:, None] >> np.arange(32)) & 1 for one in words], axis=1) - 0.5
    errors = 2 * bits.mean(axis=0) * np.sqrt(count)  # In standard errors.
    assert np.abs(errors).max() < 4.5
    # Within a word, between words of one place, and between a word and the next one.
    for others in (bits, np.roll(bits, 1, axis=0)):
        correlations = 4 * (bits.T @ others) / np.sqrt(count)
        if others is bits:
            np.fill_diagonal(correlations, 0)
        assert np.abs(correlations).max() < 5.5  # Of some 9,000.


def test_uniform_numbers_lie_between_their_bounds_and_fill_them_evenly():
    drawn = _threefry.stateless_uniform((50_000,), SEED, -2.0, 3.0).numpy()
    assert drawn.dtype == "float32"
    assert -2 <= drawn.min() < -1.999
    assert 2.999 < drawn.max() < 3
    counts = np.histogram(drawn, bins=20, range=(-2, 3))[0]
    chi_squared = ((counts - 2500) ** 2 / 2500).sum()
    assert chi_squared < 45  # Of 19 degrees: 0.1 % lie above 44.
    assert _threefry.stateless_uniform((2, 3), SEED).numpy().min() >= 0


def test_normal_numbers_have_their_moments_and_tails():
    drawn = _threefry.stateless_normal((100_000,), SEED, mean=1.0, stddev=2.0).numpy()
    standard = (drawn - 1) / 2
    assert standard.mean() == pytest.approx(0, abs=0.015)
    assert standard.std() == pytest.approx(1, abs=0.01)
    assert (standard**3).mean() == pytest.approx(0, abs=0.05)
    assert (standard**4).mean() == pytest.approx(3, abs=0.15)
    assert (np.abs(standard) > 1.96).mean() == pytest.approx(0.05, abs=0.004)
    assert np.isfinite(drawn).all()


def test_the_least_and_the_greatest_word_make_finite_normal_numbers(monkeypatch):
    monkeypatch.setattr(
        _threefry, "_words", lambda sides, seed: tf.constant([0, 2**32 - 1], "uint32")
    )
    drawn = _threefry.stateless_normal((2,), SEED).numpy()
    assert drawn == pytest.approx([-5.3, 5.3], abs=0.1)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_dropout_leaves_out_its_part_and_lets_the_others_grow(rate):
    x = tf.ones((200, 300))
    kept = _threefry.stateless_dropout(x, rate, SEED).numpy()
    assert set(np.unique(kept)) <= {0.0, np.float32(1 / (1 - rate))}
    assert (kept == 0).mean() == pytest.approx(rate, abs=0.006)
    np.testing.assert_array_equal(kept, _threefry.stateless_dropout(x, rate, SEED))
    if rate:
        assert (kept != _threefry.stateless_dropout(x, rate, (3, 8)).numpy()).any()


def test_a_mask_is_repeated_along_the_sides_that_say_so_as_spatial_dropout_wants():
    kept = _threefry.stateless_dropout(tf.ones((4, 5, 60)), 0.5, SEED, noise_shape=(4, 1, None))
    kept = kept.numpy()
    assert (kept == kept[:, :1]).all()
    assert 60 < (kept[:, 0] > 0).sum() < 180


def test_half_precision_stays_so():
    kept = _threefry.stateless_dropout(tf.ones((8, 8), tf.bfloat16), 0.5, SEED)
    assert kept.dtype == tf.bfloat16
    assert set(np.unique(kept.numpy().astype("float32"))) == {0.0, 2.0}


@tf.function(input_signature=[tf.TensorSpec((None, 3))])
def of_unknown_length(x):
    return (
        _threefry.stateless_dropout(x, 0.5, SEED),
        _threefry.stateless_uniform(tf.shape(x), SEED),
        _threefry.stateless_normal(tf.shape(x), SEED),
    )


def test_what_it_cannot_do_is_left_to_tensorflow_by_philox():
    x, by = tf.ones((4, 3)), {"alg": "philox"}
    dropped = tf.nn.experimental.stateless_dropout(x, 0.5, SEED, rng_alg="philox")
    uniform = tf.random.stateless_uniform((4, 3), SEED, **by)
    normal = tf.random.stateless_normal((4, 3), SEED, **by)
    for ours, theirs in zip(of_unknown_length(x), (dropped, uniform, normal), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(_threefry.stateless_dropout(x, tf.constant(0.5), SEED), dropped)
    for name, arguments in (
        ("stateless_uniform", ((4, 3), SEED, 0, 10, tf.int32)),
        ("stateless_uniform", ((4, 3), SEED, 0, 1, tf.float64)),
        ("stateless_normal", ((4, 3), SEED, 0.0, 1.0, tf.float64)),
    ):
        ours, theirs = getattr(_threefry, name)(*arguments), getattr(tf.random, name)
        np.testing.assert_array_equal(ours, theirs(*arguments, **by))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dropout(0.5),
        keras.layers.SpatialDropout1D(0.5),
        keras.layers.GaussianNoise(1.0),
        keras.layers.GaussianDropout(0.5),
        keras.layers.AlphaDropout(0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_kerass_random_layers_draw_by_it_and_anew_each_step(layer, monkeypatch):
    def counted(*arguments):
        drawn.append(arguments)
        return words(*arguments)

    drawn, words = [], _threefry._words
    monkeypatch.setattr(_threefry, "_words", counted)
    x = tf.ones((2, 50, 4))
    with _kernels.fast_kernels():
        step = tf.function(lambda: layer(x, training=True), jit_compile=True, autograph=False)
        first, second = step().numpy(), step().numpy()
    assert len(drawn) >= 1
    assert np.isfinite(first).all()
    assert (first != second).any()
