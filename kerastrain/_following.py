"""How a run follows a schedule: which one it is, and how the momentum goes along with it.

Keras's optimizers hold their momentum as a plain float, of which a step that is traced makes a
constant. For a run, it is exchanged for a float that an update takes as a tensor of its own step.
"""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from kerastrain._checks import invalid, show
from kerastrain._optimizers import as_given, inner_of, iterations_of, variable_rate_of
from kerastrain.schedules import RunSchedule


def schedule_for(
    optimizer: keras.optimizers.Optimizer, schedule: Any, *, steps: int | None, epochs: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the schedule that a run is to follow, which knows the run's steps.

    Args:
        optimizer: Whose rate is the peak for a function, and whose steps go on.
        schedule: A schedule, or a function from the peak to one.
        steps: Steps an epoch; `None` where they aren't known.
        epochs: Epochs of the run.

    Example:
        >>> from kerastrain.schedules import warmup
        >>> schedule_for(keras.optimizers.SGD(0.5), warmup, steps=10, epochs=2).span
        Span(steps_per_epoch=10, epochs=2, first_step=0)
    """
    if not _is_schedule(schedule):
        schedule = _made(schedule, optimizer)
    if not isinstance(schedule, RunSchedule) or schedule.span is not None:
        return schedule
    if steps is None:
        must = (
            "know the steps of an epoch, which this Dataset doesn't tell: pass "
            "dataset.apply(tf.data.experimental.assert_cardinality(steps)) as `x`, or "
            "schedule.for_run(steps_per_epoch, epochs) as `schedule`"
        )
        raise invalid("fit", "schedule", must, f"schedule={schedule!r}")
    return schedule.for_run(steps, epochs, first_step=int(iterations_of(optimizer) + 0))


def schedule_of(optimizer: keras.optimizers.Optimizer) -> RunSchedule | None:
    """Returns the schedule that an optimizer follows, if it is one of ours.

    Raises:
        ValueError: If it is one that doesn't know its steps.
    """
    inner = inner_of(optimizer)
    rate = getattr(inner, "learning_rate", None)  # Asks a schedule of ours, which may raise.
    if rate is None or isinstance(rate, keras.Variable):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # Of a lambda's settings, unsafe to load.
            # Keras gives the rate of the moment; what it follows is in the settings only.
            settings = inner.get_config()["learning_rate"]
    except Exception:  # Of the user's own schedule, which needs no settings to be followed.
        return None
    name = settings.get("registered_name") if isinstance(settings, dict) else None
    if not str(name).startswith("kerastrain>"):
        return None
    schedule = keras.saving.deserialize_keras_object(settings)
    return schedule if isinstance(schedule, RunSchedule) else None


def check_goes_on(optimizer: keras.optimizers.Optimizer, schedule: Any = None) -> None:
    """Raises where a schedule of ours has ended, and nothing more would be learnt.

    Args:
        optimizer: Whose steps count.
        schedule: The schedule that a run is given; `None` for the optimizer's own.
    """
    own = schedule_of(optimizer) if schedule is None else schedule
    if not isinstance(own, RunSchedule) or own.span is None:
        return
    steps = int(iterations_of(optimizer) + 0)
    rate = float(own(steps))
    if steps >= own.span.first_step + own.span.total and rate < own.peak / 100:
        must = f"be given where the optimizer's own has ended, at a rate of {rate:.2g}"
        if schedule is not None:
            must = (
                f"reach beyond step {steps}, at which it has ended, at a rate of {rate:.2g}: call "
                f".for_run(steps_per_epoch, epochs, first_step={steps})"
            )
        raise invalid("fit", "schedule", must, f"schedule={schedule!r}")


def rate_setters(callbacks: list[Any]) -> list[str]:
    """Returns the names of the callbacks that set the learning rate themselves."""
    setters = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    found = [callback for callback in callbacks if isinstance(callback, setters)]
    return [type(callback).__name__.lstrip("_") for callback in found]


def check_rate_setters(
    callbacks: list[Any], optimizer: keras.optimizers.Optimizer, schedule: Any
) -> None:
    """Raises where both a schedule and a callback would set the rate."""
    names = rate_setters(callbacks)
    if names and schedule is not None:
        must = "be left out beside a callback that sets the learning rate itself"
        raise invalid("fit", "schedule", must, f"`schedule` and {names[0]}")
    if names and variable_rate_of(optimizer) is None:
        must = "hold none that sets the learning rate where the optimizer runs a schedule"
        raise invalid("fit", "callbacks", must, names[0])


@contextlib.contextmanager
def momentum_following(model: keras.Model) -> Iterator[None]:
    """Lets the momentum follow the optimizer's schedule inside the block, where both know of it.

    That is its `momentum`, or else `beta_1`, where it is above 0: without momentum an optimizer has
    no variables for it. Afterwards the optimizer has its own again.

    Example:
        >>> from kerastrain.schedules import one_cycle
        >>> schedule = one_cycle(0.1, epochs=1).for_run(steps_per_epoch=2, epochs=3)
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(schedule, momentum=0.9), "mse")
        >>> with momentum_following(model):
        ...     type(model.optimizer.momentum).__name__, model.optimizer.get_config()["momentum"]
        ('FollowingFloat', 0.9)
    """
    optimizer = inner_of(model.optimizer)
    schedule, name = schedule_of(optimizer), _name_of_momentum(optimizer)
    if name is None or schedule is None or schedule.momentum is None:
        yield
        return
    iterations, apply = iterations_of(optimizer), optimizer.apply
    own = getattr(optimizer, name)
    following = FollowingFloat(own)

    def apply_following(*arguments: Any, **named: Any) -> Any:
        # Once for all variables, or many small ones would take half as long again to update.
        # In the precision that variables have, since Muon multiplies the two as they are.
        following.now = ops.cast(schedule.momentum_at(iterations), keras.config.floatx())
        try:
            return apply(*arguments, **named)
        finally:
            following.now = None

    setattr(optimizer, name, following)
    optimizer.apply = apply_following
    model.train_function = None  # One from before would keep to the old momentum.
    try:
        yield
    finally:
        model.train_function = None
        del optimizer.apply
        setattr(optimizer, name, own)


class FollowingFloat(float):
    """A float that computes as a tensor during an update, another number at each step.

    Compared, printed, saved or copied, it is the number that it was made from.

    Attributes:
        now: That tensor; `None` between updates.
    """

    dtype = float
    """What Keras asks for to choose a result's precision; a plain float's leaves it to the rest."""

    now: Any = None

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """Gives TensorFlow what it asks for where it wants a tensor."""
        return ops.cast(self._number, dtype or "float32")

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self),)

    def __add__(self, other: Any) -> Any:
        return self._number + other

    def __radd__(self, other: Any) -> Any:
        return other + self._number

    def __sub__(self, other: Any) -> Any:
        return self._number - other

    def __rsub__(self, other: Any) -> Any:
        return other - self._number

    def __mul__(self, other: Any) -> Any:
        return self._number * other

    def __rmul__(self, other: Any) -> Any:
        return other * self._number

    def __truediv__(self, other: Any) -> Any:
        return self._number / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self._number

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return self._number**other

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        return other**self._number

    def __neg__(self) -> Any:
        return -self._number

    @property
    def _number(self) -> Any:
        return float(self) if self.now is None else self.now


def _is_schedule(thing: Any) -> bool:
    return isinstance(thing, keras.optimizers.schedules.LearningRateSchedule)


def _made(function: Any, optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the schedule that a function makes of the optimizer's rate, or its peak so far."""
    received = f"schedule={getattr(function, '__name__', show(function))}"
    made = None
    if callable(function):
        peak = _peak(optimizer, received)
        with contextlib.suppress(TypeError):  # Of a function that doesn't take a peak alone.
            made = function(peak)
    if not _is_schedule(made):
        must = (
            "be a keras.optimizers.schedules.LearningRateSchedule or a function from the peak to "
            "one, such as kerastrain.schedules.one_cycle"
        )
        raise invalid("fit", "schedule", must, received, kind=TypeError)
    return made


def _peak(optimizer: keras.optimizers.Optimizer, received: str) -> float:
    """Returns the rate that a schedule may have as its peak: the one so far, or its peak."""
    rate = variable_rate_of(optimizer)
    if rate is not None:
        return as_given(rate)
    schedule = schedule_of(optimizer)
    if schedule is None:
        must = (
            "be called with a peak, as in schedule=one_cycle(0.1), where the optimizer runs a "
            "schedule already and so has no one rate"
        )
        raise invalid("fit", "schedule", must, received)
    return schedule.peak


def _name_of_momentum(optimizer: keras.optimizers.Optimizer) -> str | None:
    if type(optimizer).__name__.startswith("ScheduleFree"):
        return None  # Whose `beta_1` weighs an average, and has to stay the same.
    values = {name: getattr(optimizer, name, None) for name in ("momentum", "beta_1")}
    if any(isinstance(value, FollowingFloat) for value in values.values()):
        return None  # A callback trains the model within a run, whose momentum it goes on with.
    there = (name for name, value in values.items() if isinstance(value, float) and value > 0)
    return next(there, None)
