"""Runs rows in memory in the way that is done first, and changes it where it turns out slower."""

import math
import textwrap
import time
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerastrain import choice
from kerastrain._convolutions import unsuited
from kerastrain._kernels import on_cpu
from kerastrain._progress_text import ordinal
from kerastrain.architecture import layers_within, rows_a_validation_batch
from kerastrain.calls import Calls
from kerastrain.choice import Run, Verdict
from kerastrain.loops import RowLoop
from kerastrain.state import preserved, variables_of
from kerastrain.traces import Traces


class Runner:
    """What Keras calls as a training step, of many batches.

    Args:
        model: The compiled model.
        traces: Traces or borrows the model's functions.
        calls: The training batches.
        epochs: How many there will be at most.
        renewed: The epoch before which `renew` will be called, if any.

    Attributes:
        verdict: The way that is taken, and why; set by `choose`.
    """

    verdict: Verdict

    def __init__(
        self,
        model: keras.Model,
        traces: Traces,
        calls: Calls,
        epochs: int,
        renewed: int | None = None,
    ) -> None:
        self._model, self._traces, self._calls = model, traces, calls
        self._renewed, self._is_untried = renewed, False
        # A GPU has kernels for all of them.
        layers = list(layers_within(model)) if on_cpu() else []
        self._run = Run(
            calls.batches,
            epochs,
            convolves=_has(layers, "Conv"),
            recurs=_has(layers, "RNN"),
            unsuited=next((type(layer).__name__ for layer in layers if unsuited(layer)), ""),
        )
        self._loops: dict[str, RowLoop] = {}
        self._seconds: dict[str, float] = {}  # Of a step in each way, measured or run.
        self._refused: str | None = None
        self._measures = False
        self._epoch, self._spent = -1, 0.0

    def choose(self, speed: str | Mapping[int, str]) -> None:
        """Takes the way, or the ways, asked for, or the one that will take the least time."""
        if speed == "auto":
            self._measures = True
            # A plan is as good for a model that can't share its graph as for one that can.
            shapes = [(str(v.shape), v.dtype) for v in variables_of(self._model)]
            like = self._traces.architecture or f"{type(self._model)} {shapes}"
            key = (like, str(self._calls.specs), self._run, self._renewed)
            plan = choice.remembered(key)
            if plan is None:
                verdict = choice.choose(self._run, self._measured, self._refusal)
                plan = choice.Plan({0: verdict})
                choice.remember(key, plan)
            self._plan = plan
        else:
            asked = {0: speed} if isinstance(speed, str) else speed
            self._plan = choice.Plan({epoch: self._asked(way) for epoch, way in asked.items()})
        self.verdict = self._plan.verdicts[0]

    @property
    def ways(self) -> dict[int, str]:
        """From the epochs, from 0, that began with another way to that way."""
        verdicts = self._plan.verdicts.items()
        return {e: verdict.way for e, verdict in verdicts if e <= max(self._epoch, 0)}

    def __call__(self, iterator: Any = None) -> Any:
        """Runs the batches of a call; Keras's iterator only counts."""
        call = self._calls.next()
        if self._calls.epoch != self._epoch:
            self._begin_epoch(self._calls.epoch)
        start = time.perf_counter()
        logs = self._loop(self.verdict.way).run(call)
        for log in keras.tree.flatten(logs)[:1]:
            keras.ops.convert_to_numpy(log)  # Waits for a GPU, or the time would be that of asking.
        self._spent += time.perf_counter() - start
        return logs

    def start_at(self, batch: int) -> None:
        """Has the next call begin at a batch of the current epoch."""
        self._calls.start_at(batch)

    def renew(self, traces: Traces) -> None:
        """Goes on in the same way with a step that is traced anew, as long as XLA takes it."""
        self._traces, self._is_untried = traces, True
        self._loops, self._seconds, self._refused = {}, {}, None

    def validation(self, calls: Calls, calls_an_epoch: int) -> RowLoop:
        """Returns what runs the validation's batches, in as many calls as an epoch has at most."""
        rows = rows_a_validation_batch(self._model, self._traces.architecture)
        if self.verdict.way == "compiled" and rows and rows > calls.batch_size:
            calls = calls.of_size(rows)
        calls.batches_a_call = math.ceil(calls.batches / min(calls.batches, calls_an_epoch))
        return RowLoop(self._traces, self._model, calls, training=False)

    def _begin_epoch(self, epoch: int) -> None:
        """Looks at what the epochs took, after the 2nd, 4th, 8th, and takes another way if it pays.

        The first may have had to trace. A run that is like another changes where that one did, and
        looks for itself where that one had ended.
        """
        follows, self._epoch = epoch == self._epoch + 1, epoch
        plan, seconds, self._spent = self._plan, self._spent / self._run.steps, 0.0
        is_time = follows and epoch >= 2 and epoch & (epoch - 1) == 0
        is_measured = self._measures and self.verdict.seconds is not None
        if is_time and is_measured and self._epoch > plan.looked:
            plan.looked = self._epoch
            self._seconds[self.verdict.way] = seconds
            left = self._run.after(self._epoch)
            verdict = choice.reconsidered(
                left, self.verdict, self._seconds, self._measured, self._refusal
            )
            if verdict.way != self.verdict.way:
                plan.verdicts[self._epoch] = verdict
        self.verdict = plan.verdicts[max(e for e in plan.verdicts if e <= epoch)]
        if self._is_untried and self.verdict.way == "compiled":
            self._is_untried = False
            if self._refusal():
                self.verdict = Verdict("steps", None, f"since {self._refusal()}")
                plan.verdicts[self._epoch] = self.verdict

    def __str__(self) -> str:
        verdicts = self._plan.verdicts
        changes = [
            f"from the {ordinal(epoch + 1)} epoch on {verdict.way}, {verdict.why}"
            for epoch, verdict in verdicts.items()
            if 0 < epoch <= self._epoch
        ]
        return ", ".join(word for word in (verdicts[0].why, *changes) if word)

    def _asked(self, way: str) -> Verdict:
        if way == "compiled" and not self._refusal():
            return Verdict("compiled", self._measured("compiled"), "by XLA")
        why = f"since {self._refusal()}" if way == "compiled" else "as asked"
        seconds = None if self._run.total < choice.SHORT else self._measured("steps")
        return Verdict("steps", seconds, why)

    def _loop(self, way: str) -> RowLoop:
        if way not in self._loops:
            self._loops[way] = RowLoop(
                self._traces, self._model, self._calls, compiled=way == "compiled"
            )
        return self._loops[way]

    def _measured(self, way: str) -> float:
        """Returns what a step takes in seconds; measures it once, and leaves all as it was."""
        if way not in self._seconds:
            loop = self._loop(way)
            # Tracing makes every variable that a step uses, also those that only a step of the
            # user's knows, such as a second optimizer's.
            loop.trace()
            with preserved(self._model, self._traces.foreign):
                self._seconds[way] = loop.measured()
        return self._seconds[way]

    def _refusal(self) -> str:
        """Returns why the run can't be compiled, or nothing; compiles to find out."""
        if self._refused is None:
            self._refused = self._tried()
        return self._refused

    def _tried(self) -> str:
        if self._calls.holds_text:
            return "XLA knows no strings"
        if not self._calls.full_batches:
            return "there are fewer rows than a batch has"
        losses = [metric for metric in self._model.metrics if metric.name.endswith("loss")]
        if len(losses) > 1 and self._calls.batches > self._calls.full_batches:
            # Keras weights each output's loss by the batch size that it knows when it traces.
            return "the model has several losses, and the last batch has fewer rows"
        try:
            self._measured("compiled")
        except (tf.errors.OpError, NotImplementedError, TypeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            return f"XLA refuses the model: {textwrap.shorten(first, 70, placeholder=' …')}"
        return ""


def _has(layers: Iterable[keras.Layer], word: str) -> bool:
    """Tells whether the name of a layer's class, or of one that it derives from, holds a word."""
    return any(word in kind.__name__ for layer in layers for kind in type(layer).__mro__)
