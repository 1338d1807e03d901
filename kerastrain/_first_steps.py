"""A model's outputs before training, and an attempt to learn one batch by heart.

The model ends as it was, to the bit.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._kernels import build_metrics
from kerastrain._optimizers import variable_rate_of
from kerastrain.data import Rows
from kerastrain.state import preserved

STEPS = 300
"""Enough to learn most of some dozens of rows at any sensible rate."""

HELPED_STEPS = 900
"""Those of Adam, where its own optimizer didn't do: unscaled targets are far away."""

_STEPS_A_CALL = 25
_LEARNT = 0.2
"""By heart is a loss of less than this part of what the best constant answer has."""


@dataclasses.dataclass(frozen=True)
class Overfit:
    """What an attempt to learn one batch by heart came to.

    Attributes:
        done: Whether it could be; `None` where one constant answer is right for all rows.
        before: The loss before.
        own: The loss after as many steps of the model's own optimizer.
        after: The loss in the end: of Adam's steps, where its own didn't do.
    """

    done: bool | None
    before: float
    own: float
    after: float


def outputs_of(model: keras.Model, rows: Rows) -> Any:
    """Returns what a built model gives for rows, as in inference; nothing of it changes."""
    states = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    inputs = keras.tree.map_structure(tf.convert_to_tensor, rows.x)
    outputs, _ = model.stateless_call(*states, inputs, training=False)
    return keras.tree.map_structure(np.asarray, outputs)


def loss_of(model: keras.Model, y: np.ndarray, outputs: np.ndarray) -> float:
    """Returns the mean loss of outputs, by the one loss that the model was compiled with."""
    loss = model.loss
    if isinstance(loss, list | tuple | dict):
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    targets = y[:, None] if y.ndim == 1 and outputs.ndim == 2 and outputs.shape[1] == 1 else y
    return float(np.mean(np.asarray(keras.losses.get(loss)(targets, outputs))))


def overfit(model: keras.Model, batch: Rows, chance: float) -> Overfit:
    """Trains on one batch until it is known by heart, or some hundred steps are taken.

    Args:
        model: A built model, compiled with one of Keras's losses.
        batch: Some dozens of rows.
        chance: The loss of the best answer that is the same for all of them.
    """
    before = loss_of(model, batch.y, outputs_of(model, batch))
    enough = _LEARNT * chance
    own = _trained(model, batch, _like_its_own(model), STEPS, enough)
    after = own
    if chance > 0 and own > enough:
        after = _trained(model, batch, keras.optimizers.Adam(0.01), HELPED_STEPS, enough)
    done = None if chance <= 0 else after <= enough
    return Overfit(done, before, own, after)


def _like_its_own(model: keras.Model) -> keras.optimizers.Optimizer:
    """Returns a new optimizer with the settings of the model's; at 0.001 in place of a schedule."""
    kind = type(model.optimizer)
    if variable_rate_of(model.optimizer) is not None:
        return kind.from_config(model.optimizer.get_config())
    try:
        return kind.from_config(model.optimizer.get_config() | {"learning_rate": 1e-3})
    except (TypeError, ValueError):  # A schedule that doesn't know its steps, or one within.
        return keras.optimizers.Adam(1e-3)


def _trained(
    model: keras.Model,
    batch: Rows,
    optimizer: keras.optimizers.Optimizer,
    most: int,
    enough: float,
) -> float:
    """Returns the lowest loss that some hundred steps came to."""
    parts = keras.tree.map_structure(tf.convert_to_tensor, batch.parts)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_optimizer_of(model, optimizer))
        build_metrics(model, parts)  # It builds the optimizer too.
        train_step: Any = model.train_step

        def steps() -> Any:
            for _ in tf.range(_STEPS_A_CALL):
                train_step(parts)

        # Asked for at once, TensorFlow doesn't warn that it is traced anew each time.
        call = steps if model.run_eagerly else tf.function(steps).get_concrete_function()
        # Also what a layer of the user's keeps in variables of TensorFlow, which a trace has met.
        stack.enter_context(preserved(model, getattr(call, "variables", ())))
        lowest = np.inf
        for _ in range(most // _STEPS_A_CALL):
            call()
            # Of the model as it predicts; dropout would hide what was learnt.
            loss = loss_of(model, batch.y, outputs_of(model, batch))
            lowest = min(lowest, loss if np.isfinite(loss) else np.inf)
            if lowest <= enough or not np.isfinite(loss):
                break
    return float(lowest)


@contextlib.contextmanager
def _optimizer_of(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Gives a model another optimizer meanwhile: its own keeps its state, and needn't be built."""
    own = model.optimizer
    model.optimizer = optimizer
    try:
        yield
    finally:
        model.optimizer = own
