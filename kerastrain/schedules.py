"""Learning rates that follow the run: warm-up, cosine, one cycle; pure functions of the step.

A schedule tells its lengths in epochs or in parts of the run, and learns the steps from
`fit(schedule=...)`, or from `for_run`. It is a Keras `LearningRateSchedule`, and is saved and
loaded with the model whose optimizer it drives, wherever kerastrain is imported.
"""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from kerastrain._checks import invalid, real_number, show, whole_number

__all__ = ["one_cycle", "warmup", "warmup_cosine"]

_START = 1 / 25  # of the peak, PyTorch's div_factor
_FINAL = _START / 1e4  # its final_div_factor, which divides the start and not the peak
_MOMENTUM = (0.95, 0.85)


class Span(NamedTuple):
    """The steps that a schedule spans.

    Attributes:
        steps_per_epoch: Steps an epoch.
        epochs: Epochs of the run.
        first_step: The optimizer's step at which the run begins.
    """

    steps_per_epoch: int
    epochs: int
    first_step: int = 0

    @property
    def total(self) -> int:
        """All steps of the run."""
        return self.steps_per_epoch * self.epochs


class RunSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A schedule that warms up and then does something else until the run ends.

    Args:
        peak: The highest rate.
        epochs: How long it warms up, in epochs.
        fraction: The same, as a part of the run.
        span: The run's steps, once they are known.

    Attributes:
        span: The same.
        momentum: The optimizer's momentum at the start and at the peak; `None` leaves it alone.
    """

    factory: str
    default_fraction: float
    momentum: tuple[float, float] | None = None

    def __init__(
        self,
        peak: float,
        *,
        epochs: float | None = None,
        fraction: float | None = None,
        span: tuple[int, int, int] | None = None,
    ) -> None:
        self.peak = real_number(self.factory, "peak", peak, above=0)
        if epochs is not None and fraction is not None:
            must = "be left out beside `epochs`, which tells the same length"
            received = f"epochs={show(epochs)}, fraction={show(fraction)}"
            raise invalid(self.factory, "fraction", must, received)
        if epochs is None and fraction is None:
            fraction = self.default_fraction
        self.epochs = epochs if epochs is None else self._number("epochs", epochs)
        self.fraction = fraction if fraction is None else self._part("fraction", fraction)
        self.span = None if span is None else Span(*span)

    def __call__(self, step: Any) -> Any:
        """Returns the rate at a step of the optimizer, a number or a tensor."""
        rate = self.peak * self._share_of_peak(self._steps_run(step))
        return ops.cast(rate, keras.config.floatx())  # As Keras's own, which optimizers rely on.

    def for_run(self, steps_per_epoch: int, epochs: int, first_step: int = 0) -> "RunSchedule":
        """Returns the same schedule for a run of so many steps.

        Args:
            steps_per_epoch: Steps an epoch.
            epochs: Epochs of the run.
            first_step: The optimizer's step at which the run begins.

        Raises:
            ValueError: If the run ends before the schedule is at its peak.
        """
        function = f"{self.factory}.for_run"
        span = Span(
            whole_number(function, "steps_per_epoch", steps_per_epoch, least=1),
            whole_number(function, "epochs", epochs, least=1),
            whole_number(function, "first_step", first_step, least=0),
        )
        if self.epochs is not None and self.epochs > span.epochs:
            # Cut short, it would drive the run at rates that nobody has asked for.
            must = f"be at most the epochs of the run ({span.epochs})"
            raise invalid(self.factory, "epochs", must, f"epochs={self.epochs:g}")
        resolved: RunSchedule = type(self)(**(self.get_config() | {"span": tuple(span)}))
        return resolved

    @property
    def warm(self) -> int:
        """The steps of the warm-up: a whole number, and at least one where there is any."""
        span = self._known_span()
        if self.epochs is None:
            length = (self.fraction or 0) * span.total
        else:
            length = self.epochs * span.steps_per_epoch
        return max(round(length), math.ceil(length > 0))

    def momentum_at(self, step: Any) -> Any:
        """Returns the momentum at a step of the optimizer, or `None` where it is left alone."""

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the same schedule again, also in a saved file."""
        span = None if self.span is None else list(self.span)
        return {"peak": self.peak, "epochs": self.epochs, "fraction": self.fraction, "span": span}

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_config().items() if value is not None}
        return f"{self.factory}({', '.join(f'{name}={value}' for name, value in given.items())})"

    def _share_of_peak(self, t: Any) -> Any:
        """Returns the rate after `t` steps of the run, as a part of the peak."""
        raise NotImplementedError

    def _known_span(self) -> Span:
        if self.span is None:
            must = (
                "know the steps of the run: pass it to fit(schedule=...), or call "
                ".for_run(steps_per_epoch, epochs)"
            )
            raise invalid(self.factory, "schedule", must, repr(self))
        return self.span

    def _steps_run(self, step: Any) -> Any:
        """Returns t, the steps since the run began, from 0 to all of them, as float32."""
        span = self._known_span()
        since = ops.cast(step, "int64") - span.first_step  # Whole numbers, which lose no digit.
        return ops.cast(ops.minimum(ops.maximum(since, 0), span.total), "float32")

    def _warmed(self, t: Any) -> Any:
        """Returns the part of the peak that a linear warm-up has reached, up to 1."""
        return ops.minimum((t + 1) / max(1, self.warm), 1.0)

    def _left(self) -> int:
        """Returns the steps after the warm-up, at least one."""
        return max(1, self._known_span().total - self.warm)

    def _number(self, argument: str, value: float) -> float:
        return real_number(self.factory, argument, value, least=0)

    def _part(self, argument: str, value: float) -> float:
        number = real_number(self.factory, argument, value)
        if not 0 <= number <= 1:
            must = "be at least 0 and at most 1"
            raise invalid(self.factory, argument, must, f"{argument}={show(value)}")
        return number


@keras.saving.register_keras_serializable(package="kerastrain")
class Warmup(RunSchedule):
    """What `warmup` returns."""

    factory = "warmup"
    default_fraction = 0.1

    def _share_of_peak(self, t: Any) -> Any:
        return self._warmed(t)


@keras.saving.register_keras_serializable(package="kerastrain")
class WarmupCosine(RunSchedule):
    """What `warmup_cosine` returns."""

    factory = "warmup_cosine"
    default_fraction = 0.1

    def __init__(self, peak: float, *, final: float = 0.0, **lengths: Any) -> None:
        super().__init__(peak, **lengths)
        self.final = self._part("final", final)

    def _share_of_peak(self, t: Any) -> Any:
        done = ops.maximum(t - self.warm, 0.0) / self._left()
        falling = self.final + (1 - self.final) * _half_cosine(1 - done)
        return self._warmed(t) * falling

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the same schedule again, also in a saved file."""
        return super().get_config() | {"final": self.final}


@keras.saving.register_keras_serializable(package="kerastrain")
class OneCycle(RunSchedule):
    """What `one_cycle` returns."""

    factory = "one_cycle"
    default_fraction = 0.3

    def __init__(
        self,
        peak: float,
        *,
        start: float = _START,
        final: float = _FINAL,
        momentum: tuple[float, float] | None = _MOMENTUM,
        **lengths: Any,
    ) -> None:
        super().__init__(peak, **lengths)
        self.start = self._part("start", start)
        self.final = self._part("final", final)
        self.momentum = None if momentum is None else _momenta(momentum)

    def _share_of_peak(self, t: Any) -> Any:
        low = self.final + (self.start - self.final) * ops.cast(t < self.warm, "float32")
        return low + (1 - low) * self._height(t)

    def momentum_at(self, step: Any) -> Any:
        """Returns the momentum at a step of the optimizer, or `None` where it is left alone."""
        if self.momentum is None:
            return None
        outer, inner = self.momentum
        return outer + (inner - outer) * self._height(self._steps_run(step))

    def get_config(self) -> dict[str, Any]:
        """Returns what makes the same schedule again, also in a saved file."""
        momentum = None if self.momentum is None else list(self.momentum)
        own = {"start": self.start, "final": self.final, "momentum": momentum}
        return super().get_config() | own

    def _height(self, t: Any) -> Any:
        """Returns where the cycle is between its foot, 0, and its peak, 1."""
        beyond = t - self.warm
        rising, falling = 1 + beyond / max(1, self.warm), 1 - beyond / self._left()
        return _half_cosine(ops.minimum(rising, falling))


def warmup(peak: float, *, epochs: float | None = None, fraction: float | None = None) -> Warmup:
    """Makes a schedule that rises to the peak and stays there.

    With `t` steps done and `warm` steps of warm-up, the rate is `peak * min((t + 1) / warm, 1)`:
    linear as in Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2, and above 0 from
    the first step, which else would change nothing.

    Args:
        peak: The highest rate.
        epochs: How long it rises, in epochs; parts of one too.
        fraction: The same as a part of the run, from 0 to 1; 0.1 where neither is given.

    Returns:
        A Keras schedule, for `fit(schedule=...)`.

    Example:
        >>> schedule = warmup(0.1, epochs=2).for_run(steps_per_epoch=2, epochs=5)
        >>> [round(float(schedule(step)), 3) for step in range(6)]
        [0.025, 0.05, 0.075, 0.1, 0.1, 0.1]
    """
    return Warmup(peak, epochs=epochs, fraction=fraction)


def warmup_cosine(
    peak: float,
    *,
    epochs: float | None = None,
    fraction: float | None = None,
    final: float = 0.0,
) -> WarmupCosine:
    """Makes a schedule that rises to the peak as `warmup`, and falls until the run ends.

    After the warm-up, with `p` from 0 to 1 the part of the other steps that is done, the rate is
    `peak * (final + (1 - final) * (1 + cos(pi * p)) / 2)`: Loshchilov and Hutter, "SGDR", 2017,
    equation 5, without restarts. The last step comes just before `p = 1`.

    Args:
        peak: The highest rate.
        epochs: How long it rises, in epochs; parts of one too.
        fraction: The same as a part of the run, from 0 to 1; 0.1 where neither is given.
        final: The rate at the end, as a part of the peak.

    Returns:
        A Keras schedule, for `fit(schedule=...)`.

    Example:
        >>> schedule = warmup_cosine(0.1, epochs=1).for_run(steps_per_epoch=2, epochs=3)
        >>> [round(float(schedule(step)), 3) for step in range(7)]
        [0.05, 0.1, 0.1, 0.085, 0.05, 0.015, 0.0]
    """
    return WarmupCosine(peak, epochs=epochs, fraction=fraction, final=final)


def one_cycle(
    peak: float,
    *,
    epochs: float | None = None,
    fraction: float | None = None,
    start: float = _START,
    final: float = _FINAL,
    momentum: tuple[float, float] | None = _MOMENTUM,
) -> OneCycle:
    """Makes a schedule that rises to the peak and falls far below where it began.

    With `h = (1 - cos(pi * p)) / 2`, and `p` going from 0 to 1 while it rises and back to 0 until
    the run ends, the rate is `peak * (low + (1 - low) * h)`, where `low` is `start` and then
    `final`. In `kerastrain.fit` the momentum goes the other way, `m0 + (m1 - m0) * h`, where the
    optimizer has one above 0: its `momentum`, or else `beta_1`. Keras's own `model.fit` follows
    the rate only.

    Smith and Topin, "Super-Convergence", 2018, with the two cosine phases of fastai's
    `fit_one_cycle` and the numbers of PyTorch's `OneCycleLR` (`div_factor=25`,
    `final_div_factor=1e4`, which divides the start, so that the end is a 250,000th of the peak).
    As in fastai, the peak is where `fraction` of the steps are done; PyTorch has it a step earlier.

    Args:
        peak: The highest rate.
        epochs: How long it rises, in epochs; parts of one too.
        fraction: The same as a part of the run, from 0 to 1; 0.3 where neither is given.
        start: The first rate, as a part of the peak.
        final: The rate at the end, as a part of the peak.
        momentum: The momentum at the start and the end, and at the peak; `None` leaves the
            optimizer's own.

    Returns:
        A Keras schedule, for `fit(schedule=...)`.

    Example:
        >>> schedule = one_cycle(0.1, epochs=1).for_run(steps_per_epoch=2, epochs=3)
        >>> [round(float(schedule(step)), 3) for step in range(7)]
        [0.004, 0.052, 0.1, 0.085, 0.05, 0.015, 0.0]
        >>> [round(float(schedule.momentum_at(step)), 3) for step in range(7)]
        [0.95, 0.9, 0.85, 0.865, 0.9, 0.935, 0.95]
    """
    return OneCycle(
        peak, epochs=epochs, fraction=fraction, start=start, final=final, momentum=momentum
    )


def _half_cosine(p: Any) -> Any:
    """Returns half a cosine wave that rises from 0 to 1 as `p` does."""
    return (1 - ops.cos(math.pi * p)) / 2


def _momenta(momentum: Any) -> tuple[float, float]:
    try:
        outer, inner = momentum
    except (TypeError, ValueError):
        must = "be a pair, the momentum at the start and at the peak, or None"
        received = f"momentum={show(momentum)}"
        raise invalid("one_cycle", "momentum", must, received, kind=TypeError) from None
    check = {"least": 0, "below": 1}
    return (
        real_number("one_cycle", "momentum", outer, **check),
        real_number("one_cycle", "momentum", inner, **check),
    )
