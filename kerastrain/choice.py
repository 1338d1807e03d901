"""Which way of executing a run takes the least time: numbers in, a verdict out.

Compiling costs about a second and makes a small dense or recurrent step several times faster; a
step whose time goes into large products or convolutions hardly gains, or loses. So a step is
measured wherever the run is long enough to pay for that, and compiled where that can pay.
"""

import dataclasses
from collections.abc import Callable

SHORT = 300
"""Steps of a run below which nothing is measured."""

LONG = 20_000
"""Steps of a run from which compiling comes first, since Keras takes some 15 s for that many."""

_COMPILING = 1.5  # s, tracing and measuring with it
_SMALL = 0.003  # s: of a step that takes no longer, much is overhead
_SMALL_COMPILED = 0.0003  # s: a compiled step that takes no longer has nothing left to gain
_MOST_REMEMBERED = 256


@dataclasses.dataclass(frozen=True)
class Run:
    """What is known of a run before it starts.

    Attributes:
        steps: Steps an epoch.
        epochs: How many epochs there will be at most.
        convolves: Whether the model has convolutions that run on a CPU, where XLA's are slow.
        recurs: Whether it has recurrent layers, whose steps are loops of small ones.
    """

    steps: int
    epochs: int
    convolves: bool = False
    recurs: bool = False

    @property
    def total(self) -> int:
        """All steps of the run."""
        return self.steps * self.epochs


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


_verdicts: dict[object, Verdict] = {}


def choose(run: Run, seconds_of: Callable[[str], float], refusal_of: Callable[[], str]) -> Verdict:
    """Measures as little as it takes, and returns the way that will take the least time.

    Args:
        run: What is known of the run.
        seconds_of: Measures a step of a way, "steps" or "compiled", in seconds.
        refusal_of: Returns why the run can't be compiled, or nothing; it may compile to find out.

    Example:
        >>> choose(Run(100, 10), {"steps": 0.01, "compiled": 0.002}.get, str).why
        '10.00 ms a step, not worth compiling'
        >>> choose(Run(363, 100), {"steps": 1e-4, "compiled": 1e-5}.get, str).way
        'compiled'
    """
    if run.total < SHORT:
        return Verdict("steps", None, "too short a run to measure")
    if run.total >= LONG and not run.convolves and not refusal_of():
        compiled = seconds_of("compiled")
        if compiled <= _SMALL_COMPILED:
            return Verdict("compiled", compiled, f"{_ms(compiled)} a step")
        return _faster(seconds_of("steps"), compiled)
    steps = seconds_of("steps")
    if run.convolves:
        return Verdict("steps", steps, f"{_ms(steps)} a step, since XLA is slow at convolutions")
    if not _may_pay(run, steps):
        return Verdict("steps", steps, f"{_ms(steps)} a step, not worth compiling")
    if refusal := refusal_of():
        return Verdict("steps", steps, f"{_ms(steps)} a step, since {refusal}")
    return _faster(steps, seconds_of("compiled"))


def remembered(key: object) -> Verdict | None:
    """Returns what was chosen for the same run before, so that it is repeated to the bit."""
    return _verdicts.get(key)


def remember(key: object, verdict: Verdict) -> None:
    """Keeps a verdict for the rest of the process."""
    if len(_verdicts) >= _MOST_REMEMBERED:
        _verdicts.pop(next(iter(_verdicts)))
    _verdicts[key] = verdict


def forget() -> None:
    """Lets go of all verdicts, so that the next run is measured."""
    _verdicts.clear()


def _may_pay(run: Run, seconds: float) -> bool:
    """Tells whether compiling can save more than it costs, or costs next to nothing."""
    left = run.total * seconds
    is_overhead = seconds <= _SMALL or run.recurs
    return left > 2 * _COMPILING if is_overhead else left > 20 * _COMPILING


def _faster(steps: float, compiled: float) -> Verdict:
    if compiled < steps:
        return Verdict("compiled", compiled, f"{_ms(compiled)} a step, {_ms(steps)} uncompiled")
    return Verdict("steps", steps, f"{_ms(steps)} a step, {_ms(compiled)} compiled")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"
