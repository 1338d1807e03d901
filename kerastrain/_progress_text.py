"""What the progress of a run says: texts as pure functions of a `State` of plain numbers.

A `History` numbers its epochs from 0, as Keras's `stopped_epoch` does, while the "Epoch 7/20" of
Keras's own bar counts from 1: other epochs are named here by their place, "the 6th", in words that
leave no doubt.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Mapping

_TO_ASCII = str.maketrans("━╸─·…", "=>-|~")


@dataclasses.dataclass(frozen=True)
class State:
    """All that a surface can show at one moment.

    Attributes:
        epoch: The epoch that is running or has just ended, from 1.
        epochs: The epoch that the run ends with.
        fraction: The part of the whole run that is done, from 0 to 1.
        seconds: The time since training began.
        left: The seconds that are left if no epoch is saved by stopping early; `None` if unknown.
        metrics: What Keras logged last: of the running epoch, and `val_…` of the one before it.
        best: The monitored metric, its best epoch from 1, and its value there.
        epoch_seconds: The time that an epoch took that has just ended; otherwise `None`.
        epochs_run: The epochs that ended since training began; a resumed run has more behind it.
        note: How the run ended, where it didn't run to its end.
    """

    epoch: int
    epochs: int
    fraction: float = 0.0
    seconds: float = 0.0
    left: float | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    best: tuple[str, int, float] | None = None
    epoch_seconds: float | None = None
    epochs_run: int = 0
    note: str = ""

    def bar(self, width: int) -> str:
        """Returns the bar and, on a second line, the metrics."""
        return bar_text(self, width)

    def html(self) -> str:
        """Returns the same for a notebook."""
        return bar_html(self)

    def line(self) -> str:
        """Returns the line of an epoch that has ended."""
        return epoch_line(self)

    def summary(self) -> str:
        """Returns the line that stays when training has ended."""
        return summary(self)


def bar_text(state: State, width: int) -> str:
    """Returns the bar and, on a second line, the metrics, each within `width` characters.

    What doesn't fit is left out, never cut: the best first, and the metrics from the end.

    Example:
        >>> state = State(7, 20, 0.34, left=21, metrics={"loss": 0.5}, best=("loss", 6, 0.4))
        >>> print(bar_text(state, 70))
        Epoch  7/20 ━━━━━───────────  34% · 0:21 left · best loss 0.4000 (6th)
        loss 0.5000
    """
    head, *facts = _facts(state)
    while facts and width - len(head) - len(joined(facts)) - 2 < 10:
        facts.pop()
    room = min(width - len(head) - len(joined(facts)) - 2, width // 4)
    bar = drawn_bar(state.fraction, room)
    metrics = _metrics(state)
    if len(joined(metrics)) > width and metrics[-1].startswith("learning_rate "):
        metrics.pop()  # It seldom changes, and is no measure of the model: no dots for it.
    while metrics and len(joined(metrics)) > width:
        metrics = [*metrics[: -2 if metrics[-1] == "…" else -1], "…"] if metrics[1:] else []
    return f"{head} {bar} {joined(facts)}"[:width].rstrip() + "\n" + joined(metrics)


def drawn_bar(fraction: float, width: int) -> str:
    """Returns a bar of so many characters.

    Example:
        >>> drawn_bar(0.5, 5)
        '━━╸──'
    """
    full, half = divmod(math.floor(fraction * width * 2), 2)
    return ("━" * full + "╸" * half).ljust(width, "─")


def bar_html(state: State) -> str:
    """Returns the bar and, on a second line, the metrics, as HTML without colours of its own."""
    metrics = html.escape(joined(_metrics(state))) or "&nbsp;"  # Keeps the line's height.
    return (
        '<div style="font-variant-numeric: tabular-nums">'
        f'<progress value="{state.fraction:.4f}" max="1" style="width: 20em"></progress> '
        f"{html.escape(joined(_facts(state)))}<br>{metrics}</div>"
    )


def epoch_line(state: State) -> str:
    """Returns the line of an epoch that has ended, marked if it is the best so far.

    Example:
        >>> metrics = {"accuracy": 0.881, "loss": 0.3123}
        >>> state = State(7, 20, metrics=metrics, best=("loss", 7, 0.3123), epoch_seconds=0.5)
        >>> print(epoch_line(state))
        Epoch  7/20 · 0.50 s · loss 0.3123 · accuracy 0.8810 · best
    """
    mark = "best" if state.best and state.best[1] == state.epoch else ""
    seconds = duration(state.epoch_seconds or 0.0)
    return joined([_epoch(state), seconds, *_metrics(state), mark])


def summary(state: State) -> str:
    """Returns the line that stays when training has ended.

    Example:
        >>> best = ("val_loss", 6, 0.3298)
        >>> print(summary(State(20, 20, seconds=12.3, best=best, epochs_run=20)))
        20 epochs in 12.3 s · best val_loss 0.3298 in the 6th
    """
    epochs = "1 epoch" if state.epochs_run == 1 else f"{state.epochs_run} epochs"
    # With no best, as where all was NaN, the last metrics say what there is to say.
    results = [_best(state, "in the {}")] if state.best else _metrics(state)
    return joined([f"{epochs} in {duration(state.seconds)}", *results, state.note])


def _facts(state: State) -> list[str]:
    """Returns where the run is, in per cent, the time left, and the best, if there is one."""
    left = "-:--" if state.left is None else clock(state.left)
    return [_epoch(state), f"{state.fraction:4.0%}", f"{left} left", _best(state, "({})")]


def _epoch(state: State) -> str:
    return f"Epoch {state.epoch:{len(str(state.epochs))}}/{state.epochs}"


def _best(state: State, where: str) -> str:
    name, epoch, value = state.best or ("", 0, 0.0)
    return f"best {name} {number(value)} {where.format(ordinal(epoch))}" if state.best else ""


def ordinal(number: int) -> str:
    """Returns a place in a row in words that leave no doubt where the counting began.

    Example:
        >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102)]
        ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '102nd']
    """
    teen = 10 <= number % 100 <= 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _metrics(state: State) -> list[str]:
    """Returns each metric with its number, training beside validation and the loss first."""

    # Keras hands them over in alphabetical order, all of validation at the end.
    def rank(name: str) -> tuple[bool, bool, str, bool]:
        stem = name.removeprefix("val_")
        return name == "learning_rate", stem != "loss", stem, name != stem

    shown = {name: number(value) for name, value in state.metrics.items() if name != "seconds"}
    if "learning_rate" in shown:
        shown["learning_rate"] = f"{state.metrics['learning_rate']:.3g}"  # 0.001, not 0.0010.
    return [f"{name} {shown[name]}" for name in sorted(shown, key=rank)]


def joined(parts: Iterable[str]) -> str:
    """Returns what is there of some words, with dots between."""
    return " · ".join(filter(None, parts))


def number(value: float) -> str:
    """Returns a number, in six characters where they show it well, so that it stands still.

    Example:
        >>> [number(value) for value in (0.33121, 12.3456, 1234.5, 0.0, 0.00012, math.nan)]
        ['0.3312', '12.346', '1234.5', '0.0000', '0.00012', 'nan']
    """
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e4:
        return f"{value:.{4 - (size >= 10) - (size >= 100) - (size >= 1000)}f}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Returns a time that has passed.

    Example:
        >>> [duration(seconds) for seconds in (0.52, 12.3, 125, 3720)]
        ['0.52 s', '12.3 s', '2:05', '1:02:00']
    """
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    return clock(seconds)


def clock(seconds: float) -> str:
    """Returns a time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def encodable(text: str, encoding: str) -> str:
    """Returns the text, in simpler signs where `encoding` lacks ours: no run dies of a print."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_TO_ASCII).encode(encoding, "replace").decode(encoding)
    return text
