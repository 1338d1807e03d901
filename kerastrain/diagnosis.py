"""What the curves of a run say, and what to do next.

The verdict is the first of `_RULES` that holds; each asks the numbers of `_run_facts`. Their
thresholds were chosen on runs whose answer is known from how they were made, and tried on others:
`tests/benchmark_verdicts.py`.
"""

import dataclasses
import html
import math
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from kerastrain._advice import advice_on, summary_of
from kerastrain._checks import invalid, one_of
from kerastrain._curves import Curve, curves_of
from kerastrain._run_facts import Facts, facts_of
from kerastrain._tables import html_table
from kerastrain.monitors import rises
from kerastrain.records import History, as_history

VERDICTS = (
    *("good fit", "overfitting", "underfitting", "still improving", "diverged", "unstable"),
    "too short to say",
)
"""What `diagnose` says of a run."""

_APART = 0.2  # A gap of so much of the scale is one, however low validation is.
_APART_AND_FAR = 0.1, 2.0  # And so is one of less, where validation is so many times training.
_LEFT_BEHIND = 0.03  # A gap from which training may be said to have left validation behind.
_LITTLE = 0.35  # Of the way from a constant answer to a perfect one: no good fit.
_KNOWS_LITTLE = 0.5  # The same, where training is no better.
_KNOWS_LESS = 0.25  # The same by an accuracy whose chance isn't known,
_HARDLY_FELL = 0.1  # and by how far the loss fell from its first epoch.
_ABOVE_CHANCE = 1.02  # Who knows nothing and is even worse was thrown about, not at rest.
_THROWN_BACK = 0.5  # Of the scale: a training loss that has come up again so far won't come back.
_NOT_AT_REST = 0.01  # Of the scale: more than validation jitters where there is nothing to learn.
_LEAPS = 0.015  # Of the scale: more than sound curves of validation jitter.
_GUESSED_LEAPS = 0.03  # The same of training, and where the scale is a guess.
_WILD = 0.05
_GAINS = 0.01, 0.03  # What further epochs must promise, of the scale and of the fall so far.
_FALLS = 0.0002, 0.1  # The same of a fall that is slow but hasn't slowed down.
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` has found; prints as a few lines.

    Attributes:
        verdict: One of `VERDICTS`.
        summary: Why, in a sentence.
        evidence: The numbers that it rests on, by name; those that aren't known are left out.
            `gap`, `noise`, `rise` and `slope` are in the units of the curve; of an accuracy and its
            like, which should be high, they are those of what it lacks of 1.
        advice: What to do next, a sentence each.

    Example:
        >>> Diagnosis("too short to say", "One epoch is no course.", {"epochs": 1}, ())
        too short to say: One epoch is no course.
          evidence: epochs 1
    """

    verdict: str
    summary: str
    evidence: dict[str, float]
    advice: tuple[str, ...]

    def __post_init__(self) -> None:
        one_of("Diagnosis", "verdict", self.verdict, VERDICTS)

    def __repr__(self) -> str:
        """The lines, for a terminal."""
        shown = ", ".join(f"{name} {_number(value)}" for name, value in self.evidence.items())
        lines = [_wrapped(f"{self.verdict}: {self.summary}", after="  ")]
        lines += [_wrapped(f"  evidence: {shown}", after="    ")] if shown else []
        lines += ["  advice:"] if self.advice else []
        lines += [_wrapped(f"  - {sentence}", after="    ") for sentence in self.advice]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The same for a notebook, with the evidence in a table that unfolds."""
        advice = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.advice)
        rows = [[name, _number(value)] for name, value in self.evidence.items()]
        table = html_table([["evidence", ""], *rows])
        return (
            f"<p><b>{self.verdict}</b>: {html.escape(self.summary)}</p>"
            + (f"<ul>{advice}</ul>" if advice else "")
            + (f"<details><summary>evidence</summary>{table}</details>" if rows else "")
        )


def diagnose(history: Any) -> Diagnosis:
    """Tells what the curves of a run say about it, and what to do next.

    It looks at the loss where it was validated, else at the monitor. A rise of validation counts
    where it is more than three standard errors of the curve's own noise, so that a wiggle isn't
    overfitting. A run that early stopping ended is judged by the epoch that it kept. How much a
    model has learnt is measured from the loss of the best constant answer, `History.chance`, which
    `fit` notes; without it, from what the columns tell, and where they don't, from the beginning.

    | verdict | what it means |
    |---|---|
    | good fit | validation has levelled off, near training and far from chance |
    | overfitting | validation rises while training doesn't, or is far above it |
    | underfitting | level, and little or nothing learnt, of the training rows either |
    | still improving | validation still falls: more epochs, or a higher rate |
    | diverged | NaN, a loss that explodes, or that is thrown about above chance |
    | unstable | the loss leaps up and down |
    | too short to say | too few epochs, or too much noise, to tell a level from a fall; or no |
    | | validation where only that would tell |

    Args:
        history: Our `History`, Keras's `History`, a dict of lists, or a path to a JSON file of
            `History.save` or a CSV file of Keras's `CSVLogger`.

    Returns:
        The verdict with its numbers and advice.

    Raises:
        ValueError: If there is no epoch or nothing was measured.
        TypeError: If it isn't a history.

    Example:
        >>> found = diagnose(
        ...     {
        ...         "loss": [0.9, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03],
        ...         "val_loss": [0.9, 0.7, 0.6, 0.61, 0.65, 0.70, 0.76, 0.82],
        ...     }
        ... )
        >>> found.verdict, found.evidence["best_epoch"]
        ('overfitting', 2)
    """
    record = as_history(history, function="diagnose", argument="history")
    with np.errstate(all="ignore"):  # A loss of 1e300 has a variance of infinity.
        return _diagnosed(record)


def _diagnosed(record: History) -> Diagnosis:
    curves = curves_of(record) if record.epoch else None
    if curves is None:
        must = "hold at least one epoch of one metric"
        raise invalid("diagnose", "history", must, f"history={record!r}")
    if curves.judged is None:
        evidence: dict[str, float] = {"epochs": len(record), "finite_epochs": 0}
        summary = f"{curves.measure} was never a finite number."
        return Diagnosis("diverged", summary, evidence, advice_on("diverged", record))
    facts = facts_of(record, curves)
    verdict = next(verdict for holds, verdict in _RULES if holds(facts))
    summary, advice = summary_of(verdict, facts, record), advice_on(verdict, record, facts)
    return Diagnosis(verdict, summary, _evidence(facts, record), advice)


def _is_lost(facts: Facts) -> bool:
    return facts.curves.lost


def _is_no_course(facts: Facts) -> bool:
    return len(facts.judged.costs) < 3 and not facts.stopped


def _is_thrown_out(facts: Facts) -> bool:
    """Thrown back by half of all there is to learn, or about above what a constant would give."""
    if facts.epochs < 2:
        return False  # Weights that have hardly been trained are worse than a constant.
    scale = facts.curves.scale
    if facts.end - facts.low > _THROWN_BACK * scale and not _falls(facts):
        return True
    above = facts.end > _ABOVE_CHANCE * facts.curves.chance
    learnt = facts.ever_learnt or _falls(facts)
    return not learnt and (above or _leaps(facts, _NOT_AT_REST))


def _is_overfitted(facts: Facts) -> bool:
    if not facts.validated or math.isnan(facts.training):
        return False
    if _is_apart(facts.gap, facts.times):
        return True
    if facts.stopped:
        return False
    ends_apart = _is_apart(facts.end_gap, facts.end_times)
    return ends_apart or (facts.has_risen and _leaves_behind(facts))


def _is_apart(gap: float, times: float) -> bool:
    least, times_at_least = _APART_AND_FAR
    return gap > _APART or (gap > least and times > times_at_least)


def _leaves_behind(facts: Facts) -> bool:
    """Whether training hasn't got worse itself since validation was at its best, and is ahead."""
    return facts.training_since != "rose" and not facts.end_gap <= _LEFT_BEHIND


def _is_wild(facts: Facts) -> bool:
    """Whether both curves leap so far that a rise between them says nothing."""
    return _leaps(facts, _WILD) and _jitters(facts.curves.training, facts, _WILD)


def _leaps(facts: Facts, least: float = _LEAPS) -> bool:
    """Whether the judged curve leaps up and down by more than sound ones do.

    Validation is asked where there is any: dropout alone makes training jitter. So do weights and
    penalties a cost that is without them, as no step is held against it.
    """
    if not (facts.validated and facts.curves.chance > 0):
        least = max(least, _GUESSED_LEAPS)
    if facts.curves.indirect:
        least = _WILD
    return not facts.is_short and _jitters(facts.judged, facts, least)


def _jitters(curve: Curve | None, facts: Facts, least: float) -> bool:
    return curve is not None and curve.jitter > least * facts.curves.scale


def _is_improving(facts: Facts) -> bool:
    return not facts.has_ended and _falls(facts)


def _falls(facts: Facts) -> bool:
    """Whether the end of the judged curve falls enough that more epochs would pay."""
    if not facts.trend.is_certain or facts.trend.slope >= 0:
        return False
    gain, scale = -facts.trend.change, facts.curves.scale
    return any(gain > a * scale and gain > b * facts.fallen for a, b in (_GAINS, _FALLS))


def _is_open(facts: Facts) -> bool:
    return facts.is_open


def _is_underfitted(facts: Facts) -> bool:
    shares = [s for s in (facts.share, facts.training_share) if not math.isnan(s)]
    least = _KNOWS_LITTLE if facts.curves.chance > 0 else _KNOWS_LESS
    least = _HARDLY_FELL if facts.curves.guessed else least
    return max(shares, default=math.inf) < least


def _knows_its_rows_only(facts: Facts) -> bool:
    return facts.validated and not facts.curves.guessed and facts.share < _LITTLE


def _is_unwatched(facts: Facts) -> bool:
    return not facts.validated


def _always(facts: Facts) -> bool:
    return True


_RULES: tuple[tuple[Callable[[Facts], bool], str], ...] = (
    (_is_lost, "diverged"),
    (_is_thrown_out, "diverged"),
    (_is_no_course, "too short to say"),
    (_is_wild, "unstable"),
    (_is_overfitted, "overfitting"),
    (_leaps, "unstable"),
    (_is_improving, "still improving"),
    (_is_open, "too short to say"),
    (_is_underfitted, "underfitting"),
    (_knows_its_rows_only, "overfitting"),
    (_is_unwatched, "too short to say"),
    (_always, "good fit"),
)


def _evidence(facts: Facts, history: History) -> dict[str, float]:
    """Returns the numbers under names that stand in a table's header, the unknown ones left out."""
    curves = facts.curves
    prefix = "val_" if facts.validated else ""
    at = {
        name: history.history[name][facts.row]
        for name in (curves.measure, f"val_{curves.measure}")
        if name in history.history
    }
    numbers = {
        "epochs": facts.epochs,
        "best_epoch": history.epoch[facts.row],
        **at,
        "chance": round(1 - curves.chance, 12) if rises(curves.measure) else curves.chance,
        f"{prefix}share_explained": math.nan if curves.guessed else facts.share,
        "share_explained": math.nan if curves.guessed else facts.training_share,
        "gap": facts.cost - facts.training if math.isfinite(facts.end_gap) else math.nan,
        "noise": facts.judged.noise,
        "epochs_since_best": facts.since_best,
        "rise": facts.rise,
        "rise_error": facts.rise_error,
        "slope": facts.trend.slope,
        "slope_error": facts.trend.error,
        "slope_epochs": facts.trend.epochs,
        "learning_rate": facts.rate,
    }
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _wrapped(text: str, *, after: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
