"""The learning-rate sweep: some hundred steps at rates that rise, and what they say of the rate."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain._checks import invalid, real_number, seed_number, show, whole_number
from kerastrain._kernels import build_metrics
from kerastrain._optimizers import copy_at_a_rate, variable_rate_of
from kerastrain.data import is_stream
from kerastrain.lr_rules import advise, ran_away_after
from kerastrain.models import compiled_model_checked
from kerastrain.passes import Passes
from kerastrain.rate_records import LRSweep
from kerastrain.sources import Source, source_for
from kerastrain.state import is_distributed, preserved

_STEPS_A_CALL = 20
"""Long enough to hide Python, short enough to end soon after the loss has run away."""


def lr_find(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    min_rate: float = 1e-5,
    max_rate: float = 10.0,
    steps: int = 500,
    batch_size: int = 32,
    seed: int = 0,
) -> LRSweep:
    """Sweeps the learning rate and suggests one; the model stays as it is, to the bit.

    One batch after the other is trained on, at a rate that rises by the same factor each time, from
    `min_rate` to `max_rate` (L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
    2017, section 3.3). At first the loss hardly moves, then it falls, and in the end it runs away.
    The sweep stops when the loss's moving average is four times its lowest, as fastai's does, or
    the loss is no number any more.

    The suggestion is the middle, on a logarithmic scale, of the bottom: of the rates around the
    lowest smoothed loss at which it is above that by no more than a tenth of its fall. Above the
    bottom, steps begin to undo each other; below it, they lead nowhere. To smooth it, the loss is
    averaged over the rates on both sides, by weights that fall exponentially and add up to 1 at the
    ends too, so that it doesn't lag. The rule was chosen by what trains best: the README has the
    table, beside the rules that others use.

    It isn't reliable, and `note` says why, where the loss had neither run away nor turned up by the
    last rate, where it took fewer than 50 steps or never fell by more than chance, and where the
    rules that look for the turn (ours, a tenth of the lowest, a tenth of the turning point) differ
    by ten times.

    Args:
        model: A compiled model, new or trained. An optimizer that runs a schedule, whose rate
            can't be set, is swept with a copy.
        x: Inputs, `(n, ...)`: an array, a tuple or dict of arrays, a tf.data.Dataset or a
            keras.utils.PyDataset. Those with fewer batches than `steps` are gone through again.
        y: Targets with `n` rows.
        sample_weight: One weight a row, `(n,)`.
        class_weight: From class to the weight of its rows in the loss.
        min_rate: The rate of the first step.
        max_rate: The rate of the last step, if the loss hasn't run away before.
        steps: Steps at most.
        batch_size: Rows a step; the rate belongs to it, so take the one that you will train with.
        seed: Decides the order of the rows. Generators stay as they are, but for a Dataset that
            shuffles, whose own order goes on from pass to pass.

    Returns:
        The rates, the losses and the suggestion.

    Raises:
        ValueError: If an argument's value is out of range, the loss is no number at the first step
            or there is none, or the model and the data don't belong together.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import kerastrain as ktr
        >>> x, y = ktr.load_dataset("fashion_mnist_small").train
        >>> model = ktr.compile_for_task(ktr.build("dense"), y=y)
        >>> sweep = lr_find(model, x, y)
        >>> sweep.reliable, 3e-4 < sweep.suggestion < 1e-2
        (True, True)
    """
    compiled_model_checked("lr_find", model)
    rates = _rates(min_rate, max_rate, steps)
    if is_distributed(model):
        must = "be built outside the scope of a distribution strategy"
        raise invalid("lr_find", "model", must, "a model that is distributed")
    size = whole_number("lr_find", "batch_size", batch_size, least=1)
    source = source_for(
        model,
        (x, y, sample_weight),
        None,
        validation_split=0.0,
        batch_size=size,
        shuffle=True,
        class_weight=class_weight,
        seed=seed_number("lr_find", seed),
        function="lr_find",
    )
    losses = _swept(model, source, rates)
    return _record(rates, losses, None if is_stream(x) else size)


def _rates(min_rate: float, max_rate: float, steps: int) -> np.ndarray:
    low = real_number("lr_find", "min_rate", min_rate, above=0)
    high = real_number("lr_find", "max_rate", max_rate, above=0)
    if low >= high:
        received = f"min_rate={low:g}, max_rate={high:g}"
        raise invalid("lr_find", "min_rate", "be below `max_rate`", received)
    return np.geomspace(low, high, whole_number("lr_find", "steps", steps, least=10))


def _swept(model: keras.Model, source: Source, rates: np.ndarray) -> list[float]:
    """Returns the loss of each step, as far as it went, and leaves everything as it was."""
    batches = Passes(source)
    build_metrics(model, batches.first)
    if model.built and not model.trainable_variables:
        must = "have something to train: all its layers are frozen, or have no weights"
        raise invalid("lr_find", "model", must, "a model without trainable weights")
    with _rate_of(model) as rate:
        # Tracing makes every variable that a step uses, so it comes before they are noted.
        steps = _Steps(model, rate, batches)
        with preserved(model, steps.variables):
            losses: list[float] = []
            while len(losses) < len(rates) and ran_away_after(losses) is None:
                losses += steps.run(rates[len(losses) : len(losses) + _STEPS_A_CALL])
    return losses


def _record(rates: np.ndarray, losses: list[float], batch_size: int | None) -> LRSweep:
    """Returns the sweep up to where it ran away, and what it comes to."""
    if not np.isfinite(losses[0]):
        must = "have a finite loss at the first step: look at its weights and at the scale of `x`"
        raise invalid("lr_find", "model", must, f"loss={losses[0]:g} at a rate of {rates[0]:g}")
    end = ran_away_after(losses)
    kept = [loss for loss in losses[:end] if np.isfinite(loss)]
    advice = advise(rates[: len(kept)], kept, ran_away=end is not None)
    return LRSweep(
        rates=rates[: len(kept)].tolist(),
        losses=kept,
        smoothed=advice.smoothed,
        suggestion=advice.suggestion,
        reliable=not advice.doubts,
        note="; ".join(advice.doubts) or _ending(rates, len(losses), end),
        bottom=list(advice.bottom),
        rules=advice.rules,
        batch_size=batch_size,
    )


def _ending(rates: np.ndarray, steps: int, ran_away_after: int | None) -> str:
    if ran_away_after is None:
        return f"all {steps} steps were taken"
    rate = rates[ran_away_after - 1]
    return f"it ran away after {ran_away_after} steps, at a rate of {rate:.2g}"


@contextlib.contextmanager
def _rate_of(model: keras.Model) -> Iterator[keras.Variable]:
    """Yields the variable that the optimizer reads its rate from; of a copy, where it has none."""
    optimizer, rate = model.optimizer, variable_rate_of(model.optimizer)
    if rate is not None:
        yield rate
        return
    model.optimizer = copy_at_a_rate(optimizer, model.trainable_variables, rate=1e-5)
    try:
        yield model.optimizer.learning_rate
    finally:
        model.optimizer = optimizer


class _Steps:
    """Trains on one batch after the other, each at a rate of its own, many in one call.

    Args:
        model: A compiled model.
        rate: What its optimizer reads the rate from.
        batches: The batches.

    Attributes:
        variables: All that a step uses.
    """

    def __init__(self, model: keras.Model, rate: keras.Variable, batches: Passes) -> None:
        self._model, self._rate, self._batches = model, rate, batches
        self._train_step: Any = model.train_step
        if model.jit_compile:
            self._train_step = tf.function(
                model.train_step, autograph=False, jit_compile=True, reduce_retracing=True
            )
        traced = tf.function(self._run, autograph=False)
        self._function: Any = self._run if model.run_eagerly else traced
        self.variables: list[tf.Variable] = []
        # What runs eagerly may not be traceable; where it is, its variables are known all the same.
        with contextlib.suppress(*((Exception,) if model.run_eagerly else ())):
            rates = tf.TensorSpec((None,), tf.float32)
            concrete = traced.get_concrete_function(batches.iterator, rates)
            self.variables = list(concrete.variables)

    def run(self, rates: np.ndarray) -> list[float]:
        """Returns the loss at each rate; at the first ones only, where an epoch ends meanwhile."""
        losses = self._function(self._batches.iterator, tf.constant(rates, tf.float32)).numpy()
        self._batches.took(len(losses))
        if len(losses) < len(rates):
            self._batches.begin_again()
        return [float(loss) for loss in losses]

    def _run(self, iterator: Any, rates: Any) -> Any:
        def unfinished(done: Any, more: Any, _: Any) -> Any:
            return tf.logical_and(more, done < tf.size(rates))

        def next_step(done: Any, _: Any, losses: Any) -> Any:
            batch = iterator.get_next_as_optional()
            more = batch.has_value()
            loss = tf.cond(more, lambda: self._step(batch.get_value(), rates[done]), lambda: 0.0)
            return done + tf.cast(more, tf.int32), more, losses.write(done, loss)

        losses = tf.TensorArray(tf.float32, tf.size(rates), element_shape=())
        done, _, losses = tf.while_loop(unfinished, next_step, (0, True, losses))
        return losses.stack()[:done]

    def _step(self, batch: Any, rate: Any) -> Any:
        """Trains on one batch, and returns its loss alone, where Keras logs the epoch's so far."""
        self._rate.assign(rate)
        for metric in self._model.metrics:
            metric.reset_state()
        logs = self._train_step(batch)
        if not isinstance(logs, Mapping) or "loss" not in logs:
            must = 'return its loss from `train_step`, as "loss"'
            raise invalid("lr_find", "model", must, f"{show(list(logs))}")
        return tf.reduce_mean(tf.cast(logs["loss"], tf.float32))
