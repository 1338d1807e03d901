"""What `diagnose` says of a verdict: why, in a sentence, and what to do next. It judges nothing."""

import math
from collections.abc import Callable

import numpy as np

from kerastrain._curves import Curve
from kerastrain._percents import percent
from kerastrain._run_facts import Facts
from kerastrain.monitors import rises
from kerastrain.records import History

_HIGH_FOR_ADAM = 0.03  # Ten times the rate at which Adam and its kin train most networks.
_LOOK_FIRST = (
    "See whether there is anything to learn: ktr.check(model, x, y, deep=True) looks at labels, "
    "scale and loss, and tries to learn one batch by heart.",
)
_ADAMS = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop")


def summary_of(verdict: str, facts: Facts, history: History) -> str:
    """Says in a sentence or two why a run is judged as it is."""
    said = _SUMMARIES[verdict](facts, history)
    return said + _what_it_knows(verdict, facts)


def advice_on(verdict: str, history: History, facts: Facts | None = None) -> tuple[str, ...]:
    """Says what to do next, the most promising first; without facts no epoch was finite."""
    return tuple(_ADVICE[verdict](history, facts))


def _good(facts: Facts, history: History) -> str:
    value, training = _at(facts, history, facts.row), _training_at(facts, history, facts.row)
    best = _epoch(history, facts.row)
    beside = f", beside {training} in training" if training else ""
    if not facts.has_risen:
        return f"{_name(facts)} has levelled off, at {value} in epoch {best}{beside}."
    return (
        f"{_name(facts)} was at its best in epoch {best}, with {value}{beside}, and has "
        f"{_worsened(facts)} by {_rise(facts)} since{_together(facts, history)}."
    )


def _overfitted(facts: Facts, history: History) -> str:
    name, value, best = _name(facts), _at(facts, history, facts.row), _epoch(history, facts.row)
    training = _training_at(facts, history, facts.row)
    if not facts.has_risen:
        return (
            f"{name} is {value} in the best epoch, {best}, and {facts.curves.measure} {training}: "
            "the model has learnt its training rows better than what they have in common."
        )
    since = f"{name} was at its best in epoch {best}, with {value}, and has {_worsened(facts)} by "
    since += f"{_rise(facts)} since"
    end = _training_end(facts, history)
    if facts.training_since == "rose":
        too = f"{facts.curves.measure} has {_worsened(facts)} too, from {training} to {end}"
        return f"{since}; {too}, but less."
    if facts.training_since == "stayed":
        stayed = f"{facts.curves.measure} stayed at {end}"
        return f"{since}, while {stayed}: further epochs only made it worse on other rows."
    return (
        f"{since}, while {facts.curves.measure} went on from {training} to {end}: from then on the "
        "model learnt its training rows by heart."
    )


def _underfitted(facts: Facts, history: History) -> str:
    value, best = _at(facts, history, facts.row), _epoch(history, facts.row)
    training = _training_at(facts, history, facts.row)
    beside = f" and training is no better, {training}" if training and facts.validated else ""
    return f"{_name(facts)} has levelled off, at {value} in epoch {best}{beside}."


def _improving(facts: Facts, history: History) -> str:
    trend, verb = facts.trend, "rises" if _turned(facts) else "falls"
    return (
        f"{_name(facts)} still {verb}, by {abs(trend.slope):.2g} ± {trend.error:.1g} an epoch over "
        f"the last {trend.epochs}, and is at its best so far, {_at(facts, history, facts.best)}."
    )


def _diverged(facts: Facts, history: History) -> str:
    measure, curve = facts.curves.measure, facts.curves.training or facts.judged
    if facts.curves.lost and not facts.validated and f"val_{measure}" in history.history:
        return (
            f"val_{measure} was never a finite number, while {measure} was: look for NaN in the "
            "validation rows."
        )
    if facts.curves.lost:
        last = _epoch(history, int(curve.rows[-1]))
        return f"{measure} was lost to NaN or infinity; epoch {last} was the last with a number."
    name = measure if facts.curves.training else _name(facts)
    row = int(curve.rows[np.argmin(curve.costs)])
    low, best = f"{history.history[name][row]:.3g}", _epoch(history, row)
    end = _end_of(history.history[name], curve)
    if best == _epoch(history, int(curve.rows[-1])):
        return f"{name} ended at {end}, its best, which is worse than a constant answer."
    return f"{name} ended at {end}, after {low} in epoch {best}, and doesn't come back."


def _unstable(facts: Facts, history: History) -> str:
    return (
        f"{_name(facts)} leaps up and down by {facts.judged.jitter:.2g} from epoch to epoch, "
        f"{percent(facts.judged.jitter / facts.curves.scale)} of all there is to learn."
    )


def _too_short(facts: Facts, history: History) -> str:
    count, at = len(facts.judged.costs), _at(facts, history, facts.row)
    if facts.is_short or count < 3:
        epochs = "One epoch is" if count == 1 else f"{count} epochs are"
        return f"{epochs} no course yet: {_name(facts)} is {at}."
    if facts.is_open:
        trend, sign = facts.trend, -1 if _turned(facts) else 1
        return (
            f"{_name(facts)} is {at} at its best, and changed by {sign * trend.slope:.2g} ± "
            f"{trend.error:.1g} an epoch over the last {trend.epochs}: that doesn't tell whether "
            "it has levelled off."
        )
    return (
        f"{facts.curves.measure} has levelled off, at {at}, but there was no validation: whether "
        "that holds for other rows, nothing tells."
    )


_SUMMARIES: dict[str, Callable[[Facts, History], str]] = {
    "good fit": _good,
    "overfitting": _overfitted,
    "underfitting": _underfitted,
    "still improving": _improving,
    "diverged": _diverged,
    "unstable": _unstable,
    "too short to say": _too_short,
}


def _what_it_knows(verdict: str, facts: Facts) -> str:
    """Says how much the model explains, where that is known and says something."""
    if verdict in ("too short to say", "unstable") or facts.curves.lost:
        return ""
    if facts.curves.guessed:
        unknown = " Whether that is much, nothing tells: what a constant answer gives isn't known."
        return unknown if verdict in ("good fit", "underfitting") else ""
    if not facts.curves.chance > 0:
        return ""
    chance, share = _shown(facts, facts.curves.chance), facts.share
    if facts.knows_nothing:
        when = "Even at its best it knew" if verdict == "overfitting" else "It knows"
        return f" {when} no more than a constant answer, which gives {chance}."
    when = "At its best it had" if verdict in ("overfitting", "diverged") else "It has"
    return f" {when} come {percent(share)} of the way from a constant answer to a perfect one."


def _keep(history: History, facts: Facts | None) -> list[str]:
    advice = [
        "Keep this model, and look once at rows it has never seen: model.evaluate(*data.test)."
    ]
    if facts is None or facts.share > 0.9:
        return advice
    if facts.gap > 0.03:
        advice.append(
            "For a little more, close what is left of the gap: a_layer=keras.layers.Dropout(0.3), "
            "or more training rows."
        )
    elif not facts.curves.guessed and facts.training > 0:
        advice.append(
            "For more, a larger model has room: training is as far from perfect as validation."
        )
    return advice


def _regularise(history: History, facts: Facts | None) -> list[str]:
    assert facts is not None, "Overfitting shows on curves."
    if facts.knows_nothing:
        return [
            *_LOOK_FIRST,
            f"Look at the order of the labels: nothing of the {facts.curves.measure} that training "
            "gains holds for other rows, as where labels belong to other rows.",
        ]
    advice = []
    if not facts.stopped and facts.since_best > 0:
        epochs = facts.best + 1
        advice.append(
            f"Stop in time: fit(patience=3) ends the run soon after its best epoch and keeps that "
            f"one; {epochs} of {facts.epochs} epochs were of use."
        )
    rows = history.settings.get("rows")
    few = f"; it had {rows:,}" if isinstance(rows, int) else ""
    dropped = "Dropout" in str(history.settings.get("model", ""))
    rate = "0.5" if dropped else "0.3"
    more = "More dropout" if dropped else "Drop units in training"
    return [
        *advice,
        f"Give it more training rows, or augment them{few}.",
        f"{more}: build(..., a_layer=keras.layers.Dropout({rate})).",
        "Make the model smaller, or hold its weights small: kernel_regularizer='l2'.",
    ]


def _enlarge(history: History, facts: Facts | None) -> list[str]:
    assert facts is not None, "Underfitting shows on curves."
    if facts.knows_nothing or facts.curves.guessed:
        return [
            *_LOOK_FIRST,
            "See at which rate the loss falls at all: ktr.lr_find(model, x, y).",
            "Should both be sound, the inputs may say nothing about the labels, or the labels be "
            "out of their order.",
        ]
    return [
        "Make the model larger: more units, or one more layer.",
        "Take away what holds it back: dropout, penalties on the weights.",
        "See whether a higher rate comes further: ktr.lr_find(model, x, y).",
        "If a larger model comes no further, the inputs don't tell more: add features.",
    ]


def _go_on(history: History, facts: Facts | None) -> list[str]:
    assert facts is not None, "Improvement shows on curves."
    advice = [
        f"Go on: fit(epochs={2 * facts.epochs}, patience=5) stops when it has had enough.",
    ]
    if not facts.is_short and facts.trend.slope * facts.epochs < -0.6 * facts.fallen:
        now = f", above the {facts.rate:.2g} of now," if math.isfinite(facts.rate) else ""
        advice.append(
            f"It has hardly slowed down: a higher rate{now} may get there in fewer epochs; "
            "ktr.lr_find(model, x, y) suggests one."
        )
    return advice


def _calm_down(history: History, facts: Facts | None) -> list[str]:
    rate = _rate(history, facts)
    lower = f"learning_rate={rate / 10:.2g}, a tenth" if rate else "a tenth of the learning rate"
    advice = [f"Take {lower}, or what ktr.lr_find(model, x, y) suggests."]
    if rate and rate > _HIGH_FOR_ADAM and _optimizer(history) in _ADAMS:
        advice[0] += f" {_optimizer(history)} trains most networks at 0.001 to 0.003."
    return [
        *advice,
        "Look at the data: ktr.check(model, x, y) finds NaN, unscaled columns, impossible labels.",
        "Bound the steps, if it happens late: the optimizer's clipnorm=1.0.",
    ]


def _steady(history: History, facts: Facts | None) -> list[str]:
    rate = _rate(history, facts)
    lower = f"learning_rate={rate / 10:.2g}, a tenth" if rate else "a tenth of the learning rate"
    size = history.settings.get("batch_size")
    larger = f"batch_size={4 * size}" if isinstance(size, int) else "a batch four times as large"
    return [
        f"Take {lower}, or what ktr.lr_find(model, x, y) suggests.",
        "Let the rate sink: fit(schedule=ktr.schedules.warmup_cosine).",
        f"Average over more rows: {larger}; and validate on more, if there are few.",
    ]


def _wait(history: History, facts: Facts | None) -> list[str]:
    assert facts is not None, "Epochs that say little have said something."
    epochs = max(20, 2 * facts.epochs)
    if facts.validated:
        longer = f"Train longer: fit(epochs={epochs}, patience=3) stops when validation stops"
        return [f"{longer} improving."]
    advice = ["Hold rows out: fit(validation_split=0.2), or validation_data=."]
    goes_on = facts.is_short or facts.is_open
    return advice + ([f"Train longer: fit(epochs={epochs}, patience=3)."] if goes_on else [])


_ADVICE: dict[str, Callable[[History, Facts | None], list[str]]] = {
    "good fit": _keep,
    "overfitting": _regularise,
    "underfitting": _enlarge,
    "still improving": _go_on,
    "diverged": _calm_down,
    "unstable": _steady,
    "too short to say": _wait,
}


def _turned(facts: Facts) -> bool:
    return rises(facts.curves.measure)


def _worsened(facts: Facts) -> str:
    return "fallen" if _turned(facts) else "risen"


def _rise(facts: Facts) -> str:
    error = f" ± {facts.rise_error:.2g}" if facts.rise_error else ""
    return f"{facts.rise:.3g}{error}"


def _together(facts: Facts, history: History) -> str:
    """Says what training did while validation got worse, where it did no better."""
    training, end = _training_at(facts, history, facts.row), _training_end(facts, history)
    return f"; {facts.curves.measure} went from {training} to {end}" if training else ""


def _name(facts: Facts) -> str:
    return f"val_{facts.curves.measure}" if facts.validated else facts.curves.measure


def _epoch(history: History, row: int) -> int:
    """Returns the number of an epoch as `History.best_epoch` and the pictures count it, from 0."""
    return history.epoch[row]


def _at(facts: Facts, history: History, row: int) -> str:
    return f"{history.history[_name(facts)][row]:.3g}"


def _training_at(facts: Facts, history: History, row: int) -> str:
    column = history.history.get(facts.curves.measure)
    return f"{column[row]:.3g}" if column is not None and facts.validated else ""


def _training_end(facts: Facts, history: History) -> str:
    curve = facts.curves.training
    return _end_of(history.history[facts.curves.measure], curve) if curve else ""


def _end_of(column: list[float], curve: Curve) -> str:
    """Returns the level at which a curve ended, in the column's own units."""
    return f"{float(np.median([column[row] for row in curve.rows[-curve.level :]])):.3g}"


def _shown(facts: Facts, cost: float) -> str:
    """Returns a cost as the user's metric has it."""
    return f"{1 - cost if _turned(facts) else cost:.3g}"


def _rate(history: History, facts: Facts | None) -> float:
    """Returns the highest rate of the run; 0 where it isn't known."""
    rates = [rate for rate in history.history.get("learning_rate", []) if math.isfinite(rate)]
    told = history.settings.get("optimizer.learning_rate")
    return max(rates, default=float(told) if isinstance(told, int | float) else 0.0)


def _optimizer(history: History) -> str:
    return str(history.settings.get("optimizer", ""))
