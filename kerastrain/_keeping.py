"""How `fit` keeps a run: opens its folder, holds it against what it began with, saves, leaves it.

Without a folder all of this does nothing, but for the time that a run is given.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from kerastrain._best_state import BestState
from kerastrain._bookkeeping import Account, Best
from kerastrain._checks import invalid, one_of, real_number
from kerastrain._configurations import RATE, configuration_of
from kerastrain._course import Course, Listeners
from kerastrain._endings import Endings, Interrupts, LostToNanError
from kerastrain._exact_state import (
    check_known,
    check_variables,
    facts_of,
    kinds_with_state,
    settings_with_state,
)
from kerastrain._keeper import Keeper
from kerastrain._optimizers import iterations_of
from kerastrain._own_steps import OwnState, own_state_of
from kerastrain._progress_text import ordinal
from kerastrain._replays import (
    OTHERWISE,
    changed_batch,
    global_seed,
    global_seed_left_alone,
    in_another_order,
    is_validated_alike,
    looked_at,
    way_back,
)
from kerastrain._state_files import State
from kerastrain.engine import Execution
from kerastrain.records import History
from kerastrain.run import RunDirectory, opened, otherwise, why_not_whole
from kerastrain.sources import Source

_BEGUN = (
    *("configuration", "seed", "first_step"),
    *("global_seed", "first_batch", "first_held_out"),
)
"""What a state tells of how its run began."""


class Keeping:
    """What `fit` keeps of a run, and what ends it.

    Args:
        directory: The run's folder, if it has one.
        save_every: Seconds within an epoch after which to save.
        deadline: When its time is up, by `time.monotonic`; `None` for never.
        rolls_back: Whether it goes back to its best epoch when its weights are lost.

    Attributes:
        notes: Where the run goes on, in words; none for one that begins.
        told: What of them its history has to tell: where it couldn't go on exactly where it was.
        warn: Called with what has gone otherwise since training began.
    """

    def __init__(
        self,
        directory: RunDirectory | None,
        *,
        save_every: float,
        deadline: float | None,
        rolls_back: bool,
    ) -> None:
        self._directory, self._save_every, self._deadline = directory, save_every, deadline
        self._rolls_back = rolls_back
        self.notes: list[str] = []
        self.told: list[str] = []
        self.warn: Callable[[str], None] = lambda line: None
        self._state = directory.state if directory else None
        self._facts = facts_of(self._state) if self._state else {}
        self._interrupts = Interrupts()
        self._keeper: Keeper | None = None
        self._course: Course | None = None
        self._best: BestState | None = None
        self._own, self._is_training = OwnState(), False

    @property
    def seed(self) -> int | None:
        """The seed of a run that goes on."""
        return self._facts.get("seed")

    @property
    def first_rate(self) -> float | None:
        """The learning rate that a run which goes on began with; a callback may have changed it."""
        rate = self._facts.get("configuration", {}).get(RATE)
        return rate if isinstance(rate, float) else None

    @property
    def begins(self) -> bool:
        """Whether the run is at its beginning."""
        return self._state is None

    @property
    def initial_epoch(self) -> int:
        """The epoch that training begins with."""
        return 0 if self._course is None else self._course.epoch

    @property
    def is_over(self) -> bool:
        """Whether the run had stopped early."""
        return self._course is not None and self._course.is_over

    def speed(self, asked: str | Mapping[int, str]) -> str | Mapping[int, str]:
        """Returns the ways that the run has gone, or what is asked of one that begins."""
        ways = {int(epoch): str(way) for epoch, way in self._facts.get("ways", {}).items()}
        if not ways:
            return asked
        return ways[0] if len(ways) == 1 else ways

    def begin(
        self,
        model: keras.Model,
        source: Source,
        callbacks: Sequence[Any],
        *,
        seed: int,
        epochs: int,
        arguments: Mapping[str, Any],
    ) -> None:
        """Holds the run against what it began with; puts the count of steps to where that was."""
        if self._directory is None and not self._rolls_back:
            return
        # Else Keras would look at a batch to build them, in the first process and not in the next.
        self._own = own_state_of(model, next(iter(source.probe)))
        if self._directory is None:
            return
        self._own.check_can_be_saved()
        check_known(callbacks)
        made = {f"callbacks.{k}": value for k, value in settings_with_state(callbacks).items()}
        kinds = kinds_with_state(callbacks)
        described = {**arguments, "seed": seed, "callbacks": kinds, **made}
        configuration = configuration_of(model, source.parts, described)
        steps = iterations_of(model.optimizer)
        if self._state is not None and not self._directory.goes_on_with(configuration):
            self._state, self._facts = None, {}
        if self._state is None:
            self._begun = {
                "configuration": configuration,
                "seed": seed,
                "first_step": int(steps + 0),
                "global_seed": global_seed(),
                **looked_at(source),
            }
        else:
            self._check_epochs(epochs)
            self._check_data(source)
            self._begun = {name: self._facts.get(name) for name in _BEGUN}
            self._find_way_back(source, epochs)
            self._steps_before = int(steps + 0)
            steps.assign(self._facts["first_step"])
        if (why := why_not_whole(model)) is not None:
            self.notes.append(f"run {os.fspath(self._directory.path)!r}: {why}")

    def watchers(
        self,
        model: keras.Model,
        source: Source,
        callbacks: Sequence[Any],
        best: Best,
        account: Account,
    ) -> list[Any]:
        """Returns the callbacks that keep the run and end it, to come behind all others."""
        if self._directory is None and self._deadline is None and not self._rolls_back:
            return []
        self._tell(account)
        with_state = list(callbacks)
        self._course = course = Course(source, with_state, self._own.variables)
        if self._state is not None:
            self._go_on(model, course, self._state)
        watchers: list[Any] = [course]
        if self._directory is not None or self._rolls_back:
            self._best = BestState(course, best, list(callbacks))
            watchers.append(self._best)
            with_state.append(self._best)
        if self._directory is not None and self._best is not None:
            self._keeper = Keeper(
                self._directory,
                course=course,
                best=self._best,
                callbacks=with_state,
                history=lambda: account.history("interrupted"),
                facts=self._begun,
                seconds=self._save_every,
            )
            watchers.append(self._keeper)
        save = self._keeper.save if self._keeper else lambda: None
        return [*watchers, Endings(self._deadline, self._interrupts, course, save)]

    @contextlib.contextmanager
    def training(self, model: keras.Model, execution: Execution) -> Iterator[None]:
        """Holds Ctrl-C back in the block, where there is a run to be saved first."""
        if self._course is not None:
            self._course.execution = execution
            self._course.show_weights(model)
        self._is_training = True
        try:
            with self._interrupts.held() if self._directory else contextlib.nullcontext():
                yield
        finally:
            self._is_training = False

    def listeners(
        self, callbacks: list[Any], model: keras.Model, *, epochs: int, steps: int | None
    ) -> Any:
        """Returns what Keras is to tell of the batches."""
        if self._course is None:
            return callbacks
        return Listeners(self._course, callbacks, model, epochs=epochs, steps=steps)

    @property
    def is_left_at_once(self) -> bool:
        """Whether Ctrl-C was pressed twice."""
        return self._interrupts.is_urgent

    def lost(self, epoch: int) -> None:
        """Raises where a run whose weights are lost goes back, and doesn't end."""
        can = self._is_training and self._best is not None and self._best.can_go_back
        if self._rolls_back and can:
            raise LostToNanError(epoch)

    def take_epochs_start(self) -> None:
        """Has training begin at the epoch's start, since its data come otherwise; says so."""
        assert self._course is not None
        self._take_landmark()
        assert self._state is not None
        self._course.go_on_from(self._state)
        self._say("the start of " + self._epoch(), self._otherwise)
        self.warn(self.notes[-1])

    def go_back(self, epoch: int) -> str:
        """Has training begin at the best epoch; returns that in words."""
        assert self._best is not None
        told = f"NaN in the {ordinal(epoch + 1)} epoch: {self._best.go_back()}"
        self.warn(told)
        return told

    def leave(self, account: Account) -> None:
        """Closes it after an error, which is told rather than one of closing."""
        with contextlib.suppress(OSError, RuntimeError):
            if self._keeper is not None:
                self._keeper.save_held()
        with contextlib.suppress(OSError, RuntimeError):
            self.close(account.history("error"))

    def close(self, history: History) -> None:
        """Leaves the best model and the whole history."""
        if self._keeper is not None:
            self._keeper.close(history)

    def _go_on(self, model: keras.Model, course: Course, state: State) -> None:
        try:
            check_variables(state, model, self._own.variables)
        except ValueError:  # A run that is refused leaves the model as it was.
            iterations_of(model.optimizer).assign(self._steps_before)
            raise
        course.go_on_from(state)

    def _tell(self, account: Account) -> None:
        """Tells what the run has told before, and why it can't go on to the bit, if it can't."""
        if before := self._facts.get("note"):
            account.notes.append(str(before))
        why = self._own.why_inexact
        if self._directory is not None and why:
            line = f"a run that goes on won't be the same to the bit: {why}"
            self.notes.append(line)
            account.tell(f"{line[0].upper()}{line[1:]}.")

    def _check_epochs(self, epochs: int) -> None:
        done = int(self._facts["epoch"])
        if epochs < done:
            must = f"be at least {done}, which the run has behind it"
            raise invalid("fit", "epochs", must, f"epochs={epochs}")

    def _check_data(self, source: Source) -> None:
        """Raises where the data aren't those that the run was broken off in."""
        assert self._directory is not None
        batch = int(self._facts["batch"])
        if source.steps is not None and batch > source.steps:
            path = os.fspath(self._directory.path)
            received = f"run={path!r} (its state has no batch that can be)"
            raise invalid("fit", "run", "be a whole run directory", received)
        changed = changed_batch(source, self._facts)
        if changed is not None:
            name, was, now = changed
            begins = f"data.{name} that begins with"
            raise otherwise(self._directory.path, f"{begins} {was}", f"{begins} {now}")

    def _find_way_back(self, source: Source, epochs: int) -> None:
        """Leads streams to the epoch, or takes its start where they can't be led further."""
        assert self._directory is not None
        if self._facts["is_over"] or self._facts["epoch"] == epochs:
            ended = f"run {os.fspath(self._directory.path)!r} has ended already"
            more = "" if self._facts["is_over"] else ", and more epochs go on"
            self.notes = [f"{ended}; another folder begins anew{more}"]
            return
        self._otherwise = in_another_order(self._facts)  # Before `fit` sets the global seed.
        way = way_back(source, self._facts)
        batch = int(self._facts["batch"])
        if batch and way.hindrance:
            self._take_landmark()
            self._say("the start of " + self._epoch(), way.hindrance)
        elif not way.is_exact:
            self._say(self._epoch(), way.hindrance)
        else:
            self._say(self._epoch() + (f", batch {batch + 1}" if batch else ""))
        if not is_validated_alike(source, self._facts):
            self._say(self._epoch(), f"whose validation's batches {OTHERWISE}")

    def _say(self, where: str, why: str = "") -> None:
        """Notes where the run goes on; for its history too, where that isn't just where it was."""
        assert self._directory is not None
        path = os.fspath(self._directory.path)
        self.notes.append(f"run {path!r} goes on at {', '.join(filter(None, (where, why)))}")
        if why:
            self.told.append(f"{self.notes[-1]}.")

    def _epoch(self) -> str:
        return f"the {ordinal(self._facts['epoch'] + 1)} epoch"

    def _take_landmark(self) -> None:
        assert self._directory is not None
        self._state = self._directory.landmark
        self._facts = facts_of(self._state)


@contextlib.contextmanager
def keeping(
    run: Any, *, save_every: float, max_time: float | None, on_nan: str
) -> Iterator[Keeping]:
    """Keeps a run inside the block, if it has a folder; see `fit` for the arguments."""
    rolls_back = one_of("fit", "on_nan", on_nan, ("stop", "rollback")) == "rollback"
    seconds = real_number("fit", "save_every", save_every, least=0)
    deadline = None
    if max_time is not None:
        deadline = time.monotonic() + real_number("fit", "max_time", max_time, above=0)
    with (
        contextlib.nullcontext() if run is None else opened(run) as directory,
        contextlib.nullcontext() if run is None else global_seed_left_alone(),
    ):
        yield Keeping(directory, save_every=seconds, deadline=deadline, rolls_back=rolls_back)
