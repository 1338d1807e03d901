"""What reaches below the surface of TensorFlow and Keras goes away again, and isn't relied on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastrain import _kernels


@pytest.mark.parametrize("compiled", [True, False])
def test_masks_of_dropout_are_fair_and_differ_from_step_to_step(compiled):
    steps, side = 200, 100
    keras.utils.set_random_seed(3)
    layer = keras.layers.Dropout(0.3)

    @tf.function(jit_compile=compiled, autograph=False)
    def masks():
        kept = tf.TensorArray(tf.float32, size=steps, element_shape=(32, side))

        def body(number, kept):
            return number + 1, kept.write(number, layer(tf.ones((32, side)), training=True))

        return tf.while_loop(lambda number, _: number < steps, body, (0, kept))[1].stack()

    with _kernels.fast_kernels():
        drawn = masks().numpy() > 0
    spread = np.sqrt(0.3 * 0.7)
    assert drawn.mean() == pytest.approx(0.7, abs=4 * spread / np.sqrt(drawn.size))
    rest = (drawn - 0.7) / spread
    for one, other in ((rest[1:], rest[:-1]), (rest[:, 1:], rest[:, :-1])):
        assert abs((one * other).mean() * np.sqrt(one.size)) < 4  # Standard errors from 0.
    assert len(np.unique(np.packbits(drawn.reshape(steps, -1), axis=1), axis=0)) == steps


def test_metrics_that_cannot_be_built_beforehand_are_left_to_the_first_step():
    class Future:
        """What a model would be if Keras renamed the function."""

    assert _kernels.build_metrics(Future(), (np.zeros((1, 1)),)) is False


def test_a_sum_over_one_replica_is_left_out_of_what_is_traced_and_is_there_again_after():
    whole = tf.distribute.ReplicaContext.all_reduce
    value = tf.constant(3.0)
    with _kernels.one_replica():
        context = tf.distribute.get_replica_context()
        assert context.all_reduce(tf.distribute.ReduceOp.SUM, value) is value
    assert tf.distribute.ReplicaContext.all_reduce is whole


def test_kernels_that_cannot_be_forgotten_are_kept(monkeypatch):
    def missing(name):
        raise ImportError(name)

    _kernels.forget_kernels()  # Where they are to be found today.
    monkeypatch.setattr(_kernels.importlib, "import_module", missing)
    _kernels.forget_kernels()
