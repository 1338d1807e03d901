"""Which way of executing a run takes the least time: numbers in, a verdict out.

Compiling costs about a second and makes a small dense, recurrent or convolutional step several
times faster; a step whose time goes into large products hardly gains, or loses. So a step is
measured wherever the run is long enough to pay for that, and compiled where that can pay.
"""

import dataclasses
from collections.abc import Callable, Mapping

SHORT = 300
"""Steps of a run below which nothing is measured."""

LONG = 20_000
"""Steps of a run from which compiling comes first, since Keras takes some 15 s for that many."""

LONG_RECURRENT = 400
"""Likewise with recurrent layers, whose steps take some 5 ms at least, and as much to measure."""

_COMPILING = 1.5  # s, tracing and measuring with it
_COMPILING_CONVOLUTIONS = 2.5  # s, likewise, since each cell of a window is traced
_SMALL = 0.003  # s: of a step that takes no longer, much is overhead
_SMALL_CONVOLVING = 0.001  # s: likewise, of one with convolutions
_LARGE_CONVOLVING = 0.005  # s: of such a one that takes longer, most goes into products
_SMALL_COMPILED = 0.0003  # s: a compiled step that takes no longer has nothing left to gain
_SMALL_RECURRENT = 0.005  # s: likewise, of a recurrent one
_MARGIN = 0.8  # of the time: what a change has to reach, as both times are noisy
_MOST_REMEMBERED = 256


@dataclasses.dataclass(frozen=True)
class Run:
    """What is known of a run before it starts.

    Attributes:
        steps: Steps an epoch.
        epochs: How many epochs there will be at most.
        convolves: Whether the model has convolutions that run on a CPU, where only those pay whose
            time doesn't go into products.
        recurs: Whether it has recurrent layers that run there, whose steps are loops of small ones.
        unsuited: A kind of layer that it has and that XLA is slow at there, or nothing.
    """

    steps: int
    epochs: int
    convolves: bool = False
    recurs: bool = False
    unsuited: str = ""

    @property
    def total(self) -> int:
        """All steps of the run."""
        return self.steps * self.epochs

    def after(self, epochs: int) -> "Run":
        """Returns what is left of the run after some epochs."""
        return dataclasses.replace(self, epochs=self.epochs - epochs)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A way, and why.

    Attributes:
        way: "steps" or "compiled".
        seconds: What a step takes; `None` if that wasn't measured.
        why: The reason, in a few words.
    """

    way: str
    seconds: float | None
    why: str


@dataclasses.dataclass
class Plan:
    """What was decided in the course of a run, for the next one that is like it.

    Attributes:
        verdicts: From the epochs, counted from 0, that began with a new verdict to that verdict.
        looked: The last epoch that began with a look at what the ones before it took.
    """

    verdicts: dict[int, Verdict]
    looked: int = 0


_plans: dict[object, Plan] = {}


def choose(run: Run, seconds_of: Callable[[str], float], refusal_of: Callable[[], str]) -> Verdict:
    """Measures as little as it takes, and returns the way that will take the least time.

    Args:
        run: What is known of the run.
        seconds_of: Measures a step of a way, "steps" or "compiled", in seconds.
        refusal_of: Returns why the run can't be compiled, or nothing; it may compile to find out.

    Example:
        >>> choose(Run(100, 10), {"steps": 0.01, "compiled": 0.002}.get, str).why
        '10.0 ms a step, not worth compiling'
        >>> choose(Run(363, 100), {"steps": 1e-4, "compiled": 1e-5}.get, str).way
        'compiled'
    """
    if run.total < SHORT:
        return Verdict("steps", None, "too short a run to measure")
    is_long = run.total >= (LONG_RECURRENT if run.recurs else LONG)
    if is_long and not run.convolves and not run.unsuited and not refusal_of():
        compiled = seconds_of("compiled")
        if compiled <= _small_compiled(run):
            return Verdict("compiled", compiled, f"{_ms(compiled)} a step")
        return _faster(seconds_of("steps"), compiled)
    steps = seconds_of("steps")
    if run.unsuited:
        return Verdict("steps", steps, f"{_ms(steps)} a step, since XLA is slow at {run.unsuited}")
    if not _may_pay(run, steps):
        return Verdict("steps", steps, f"{_ms(steps)} a step, not worth compiling")
    if refusal := refusal_of():
        return Verdict("steps", steps, f"{_ms(steps)} a step, since {refusal}")
    return _faster(steps, seconds_of("compiled"))


def reconsidered(
    left: Run,
    verdict: Verdict,
    known: Mapping[str, float],
    seconds_of: Callable[[str], float],
    refusal_of: Callable[[], str],
) -> Verdict:
    """Returns another way for the epochs that are left, or the same one where none is better.

    Args:
        left: What is left of the run.
        verdict: The way that was taken.
        known: What a step takes in each way that was measured, or run, in seconds.
        seconds_of: Measures a step of a way.
        refusal_of: Returns why the run can't be compiled, or nothing.

    Example:
        >>> known = {"steps": 0.010, "compiled": 0.015}
        >>> taken = Verdict("compiled", 0.008, "8.00 ms a step, 10.0 ms uncompiled")
        >>> reconsidered(Run(100, 8), taken, known, known.get, str).why
        'whose step takes 10.0 ms, and not 15.0 ms'
    """
    other = "compiled" if verdict.way == "steps" else "steps"
    now = known[verdict.way]
    if other not in known:
        is_slow = _may_pay(left, now) if other == "compiled" else now > 2 * _small_compiled(left)
        if left.unsuited or not is_slow or (other == "compiled" and refusal_of()):
            return verdict
    seconds = seconds_of(other)
    if seconds > _MARGIN * now:
        return verdict
    return Verdict(other, seconds, f"whose step takes {_ms(seconds)}, and not {_ms(now)}")


def remembered(key: object) -> Plan | None:
    """Returns what was decided for the same run before, so that it is repeated to the bit."""
    return _plans.get(key)


def remember(key: object, plan: Plan) -> None:
    """Keeps a plan for the rest of the process."""
    if len(_plans) >= _MOST_REMEMBERED:
        _plans.pop(next(iter(_plans)))
    _plans[key] = plan


def forget() -> None:
    """Lets go of all plans, so that the next run is measured."""
    _plans.clear()


def _may_pay(run: Run, seconds: float) -> bool:
    """Tells whether compiling can save more than it costs, or costs next to nothing."""
    left = run.total * seconds
    if run.convolves and seconds > _LARGE_CONVOLVING:
        return False
    is_overhead = run.recurs or seconds <= (_SMALL_CONVOLVING if run.convolves else _SMALL)
    compiling = _COMPILING_CONVOLUTIONS if run.convolves else _COMPILING
    return left > 2 * compiling if is_overhead else left > 20 * compiling


def _small_compiled(run: Run) -> float:
    """Returns what a compiled step may take, in seconds, for the other not to be measured."""
    return _SMALL_RECURRENT if run.recurs else _SMALL_COMPILED


def _faster(steps: float, compiled: float) -> Verdict:
    if compiled < steps:
        return Verdict("compiled", compiled, f"{_ms(compiled)} a step, {_ms(steps)} uncompiled")
    return Verdict("steps", steps, f"{_ms(steps)} a step, {_ms(compiled)} compiled")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:#.3g} ms"
