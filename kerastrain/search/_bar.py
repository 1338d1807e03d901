"""What the progress of a search says: one bar for all its trials."""

import dataclasses
import html
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kerastrain._progress_text import clock, drawn_bar, duration, joined, number
from kerastrain.search.plans import Plan
from kerastrain.search.trials import Outcome
from kerastrain.search_records import Trial, is_better, words_for
from kerastrain.surfaces import Surface, checked_verbose, surface_for


@dataclasses.dataclass(frozen=True)
class State:
    """How a search stands at one moment, in words for each surface.

    Attributes:
        done: Trials that have ended.
        trials: All that there will be.
        fraction: The part of the search that is done, from 0 to 1.
        seconds: The time since it began.
        left: The seconds that are left; `None` if unknown.
        metric: What decides.
        best: The best trial's number, its value and its parameters.
        last: What came of the trial that ended last, in a few words.
        ran: Trials that have ended since it began; one that goes on has more behind it.
        counts: How many of them were pruned, and failed.
        epochs: How many epochs they took.
    """

    done: int
    trials: int
    fraction: float
    seconds: float
    left: float | None
    metric: str
    best: tuple[int, float, Mapping[str, Any]] | None = None
    last: str = ""
    ran: int = 0
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    epochs: int = 0

    def bar(self, width: int) -> str:
        """Returns the bar and, on a second line, the best parameters, within `width` characters.

        What doesn't fit is left out, never cut.
        """
        head, *facts = self._facts()
        while facts and width - len(head) - len(joined(facts)) - 2 < 10:
            facts.pop()
        room = max(min(width - len(head) - len(joined(facts)) - 2, width // 4), 0)
        line = f"{head} {drawn_bar(self.fraction, room)} {joined(facts)}".rstrip()
        return f"{line if len(line) <= width else ''}\n{self._best_params(width)}"

    def html(self) -> str:
        """Returns the same for a notebook."""
        params = html.escape(self._best_params()) or "&nbsp;"  # Keeps the line's height.
        return (
            '<div style="font-variant-numeric: tabular-nums">'
            f'<progress value="{self.fraction:.4f}" max="1" style="width: 20em"></progress> '
            f"{html.escape(joined(self._facts()))}<br>{params}</div>"
        )

    def line(self) -> str:
        """Returns the line of the trial that has just ended."""
        return joined([self._head(), self.last])

    def summary(self) -> str:
        """Returns the line that stays when the search has ended."""
        trials = "1 trial" if self.ran == 1 else f"{self.ran} trials"
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs" if self.epochs else ""
        others = [f"{count} {state}" for state, count in self.counts.items() if count]
        facts = [
            f"{trials} in {duration(self.seconds)}",
            epochs,
            *others,
            self._best(),
            self._best_params(),
        ]
        return joined(facts)

    def _head(self) -> str:
        return f"Trial {self.done:{len(str(self.trials))}}/{self.trials}"

    def _facts(self) -> list[str]:
        left = "-:--" if self.left is None else clock(self.left)
        return [self._head(), f"{self.fraction:4.0%}", f"{left} left", self._best()]

    def _best(self) -> str:
        return f"best {self.metric} {number(self.best[1])}" if self.best else ""

    def _best_params(self, width: float = math.inf) -> str:
        """Returns the best parameters, as many as fit."""
        params = dict(self.best[2]) if self.best else {}
        words = f"with {words_for(params)}" if self.best else ""
        while len(words) > width:
            if params:
                params.popitem()
            words = f"with {words_for(params)}, …" if params else ""
        return words


class Bar:
    """Tells a surface how a search stands; nothing where `verbose` asks for silence."""

    def __init__(self, verbose: str | int, plan: Plan) -> None:
        checked_verbose("search", verbose)
        self._surface: Surface | None = None if verbose == 0 else surface_for(verbose)
        self._metric, self._mode = plan.recipe.metric, plan.recipe.mode
        self._trials, self._a_trial, self._jobs = plan.trials, plan.epochs, plan.jobs
        self._began, self._due = time.perf_counter(), 0.0
        self._done = self._epochs = self._before = 0
        self._running: dict[int, int] = {}  # From the number of a trial to its epochs so far.
        self._seconds = 0.0  # Of the trials that ended.
        self._counts = {"pruned": 0, "failed": 0}
        self._best: tuple[int, float, Mapping[str, Any]] | None = None
        self._last = ""

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception: object) -> None:
        """Replaces the bar by a summary, whatever ended the search."""
        if self._surface is not None:
            self._surface.close(self._state())

    def resume(self, trials: Sequence[Trial]) -> None:
        """Takes in the trials that a storage has from before."""
        self._done = self._before = len(trials)
        for trial in trials:
            self._see_best(trial.number, trial.state, trial.value, trial.params)
        self.refresh()

    def see_epoch(self, trial: int, epochs: int) -> None:
        """Takes in an epoch of a trial that runs."""
        self._running[trial] = epochs
        self.refresh()

    def see_end(self, trial: int, outcome: Outcome, params: Mapping[str, Any]) -> None:
        """Takes in the end of a trial."""
        self._running.pop(trial, None)
        self._done += 1
        self._seconds += outcome.seconds
        self._epochs += sum(map(len, outcome.histories))
        if outcome.state in self._counts:
            self._counts[outcome.state] += 1
        is_best = self._see_best(trial, outcome.state, outcome.value, params)
        self._last = self._words(outcome, params, is_best=is_best)
        if self._surface is not None:
            self._show()

    def refresh(self) -> None:
        """Shows where it stands, if it is time."""
        interval = self._surface.interval if self._surface is not None else None
        if interval is not None and time.perf_counter() >= self._due:
            self._show()
            self._due = time.perf_counter() + interval

    def _see_best(self, trial: int, state: str, value: float, params: Mapping[str, Any]) -> bool:
        """Keeps a trial if it is the best so far, and tells whether it is."""
        best = None if self._best is None else self._best[1]
        if state != "complete" or not is_better(value, best, self._mode):
            return False
        self._best = trial, value, params
        return True

    def _show(self) -> None:
        assert self._surface is not None
        self._surface.update(self._state())

    def _state(self) -> State:
        running = sum(min(epochs / self._a_trial, 1.0) for epochs in self._running.values())
        return State(
            done=self._done,
            trials=self._trials,
            fraction=min((self._done + running) / self._trials, 1.0),
            seconds=time.perf_counter() - self._began,
            left=self._left(running),
            metric=self._metric,
            best=self._best,
            last=self._last,
            ran=self._done - self._before,
            counts=self._counts,
            epochs=self._epochs,
        )

    def _left(self, running: float) -> float | None:
        """Trials to go times the mean trial, which knows how many are pruned."""
        ended = self._done - self._before
        if not ended:
            return None
        to_go = max(self._trials - self._done - running, 0.0)
        return to_go * self._seconds / ended / self._jobs

    def _words(self, outcome: Outcome, params: Mapping[str, Any], *, is_best: bool) -> str:
        value = f"{self._metric} {number(outcome.value)}" if outcome.state != "failed" else ""
        state = "" if outcome.state == "complete" else outcome.state
        reason = outcome.reason if outcome.state == "failed" else ""
        mark = "best" if is_best else ""
        return joined([duration(outcome.seconds), value, words_for(params), state, reason, mark])
