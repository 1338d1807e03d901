"""Batches of rows in memory, handed out many at a time."""

import concurrent.futures
import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain.data import EpochOrder

_MOST_BYTES = 16 * 2**20  # so that a stack stays near the processor
_MOST_BATCHES = 4096


@dataclasses.dataclass(frozen=True)
class Stack:
    """Some batches of the epoch, one upon the other.

    Attributes:
        batches: Like a batch, each part with one more dimension in front.
        count: How many of them belong to the epoch; the others only fill the size.
        is_full: Whether they have `batch_size` rows, as all but the epoch's last batch have.
        ends_call: Whether Keras is to be called back after them.
    """

    batches: Any
    count: int
    is_full: bool
    ends_call: bool


class Stacks:
    """Hands out an epoch's batches in stacks; the next is gathered while one is worked on.

    Args:
        tensors: All rows, in memory: what a batch is, but whole.
        order: The rows of each epoch in their order.
        batch_size: Rows a batch; the epoch's last one may have fewer, and comes by itself.
        even: Whether all stacks of full batches have one size, as XLA needs it.
    """

    def __init__(self, tensors: Any, order: EpochOrder, *, batch_size: int, even: bool) -> None:
        self._tensors = tensors
        self._order = order
        self._batch_size = batch_size
        self._even = even
        self._full, self._over = divmod(len(order.positions), batch_size)
        self._epoch, self._at = order.epoch, 0
        self._ahead: tuple[tuple[int, int], concurrent.futures.Future[Stack]] | None = None
        self._background = concurrent.futures.ThreadPoolExecutor(1)
        self.size = self._size()
        self.batches_a_call = self.batches

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return self._full + bool(self._over)

    @property
    def full_batches(self) -> int:
        """How many of them have `batch_size` rows."""
        return self._full

    @property
    def holds_text(self) -> bool:
        """Whether a part of the batches is strings."""
        return any(part.dtype == tf.string for part in keras.tree.flatten(self._tensors))

    def first(self) -> Stack:
        """Returns the first stack of the epoch, and leaves the order of things as it was."""
        return self._gather(self._order.epoch, 0)

    def next(self) -> Stack:
        """Returns the next stack; after the epoch's last one, the first of the epoch that began."""
        epoch = self._order.epoch
        if epoch != self._epoch:
            self._epoch, self._at = epoch, 0
        ahead, self._ahead = self._ahead, None
        is_it = ahead is not None and ahead[0] == (epoch, self._at)
        stack = ahead[1].result() if ahead and is_it else self._gather(epoch, self._at)
        self._at += stack.count
        if self._at == self.batches:
            self._at, epoch = 0, self._order.following
        upcoming = (epoch, self._at)
        self._ahead = upcoming, self._background.submit(self._gather, *upcoming)
        return stack

    def close(self) -> None:
        """Ends the background thread."""
        self._background.shutdown(cancel_futures=True)

    def _size(self) -> int:
        """Chooses how many batches a stack holds: near the most, and alike for runs much alike."""
        parts = keras.tree.flatten(self._tensors)
        row: int = sum(part.dtype.size * math.prod(part.shape[1:]) for part in parts)
        most = min(_MOST_BATCHES, max(1, _MOST_BYTES // max(1, row * self._batch_size)))
        size = math.ceil(self._full / max(1, math.ceil(self._full / most)))
        grain = 1 << max(0, size.bit_length() - 5)
        return max(1, math.ceil(size / grain) * grain)

    def _gather(self, epoch: int, at: int) -> Stack:
        size, positions = self._batch_size, self._order.of_epoch(epoch)
        if at >= self._full:
            rest = positions[self._full * size :].reshape(1, -1)
            return Stack(self._take(rest), count=1, is_full=False, ends_call=True)
        call_ends = min(self.batches, (at // self.batches_a_call + 1) * self.batches_a_call)
        count = min(self.size, self._full - at, call_ends - at)
        chosen = positions[at * size : (at + count) * size]
        if self._even:
            chosen = np.resize(chosen, self.size * size)
        return Stack(
            batches=self._take(chosen.reshape(-1, size)),
            count=count,
            is_full=True,
            ends_call=at + count == call_ends,
        )

    def _take(self, positions: np.ndarray) -> Any:
        first, last = int(positions.flat[0]), int(positions.flat[-1])
        if not self._order.shuffles and last - first + 1 == positions.size:
            # Rows that lie together already aren't copied.
            return keras.tree.map_structure(
                lambda part: tf.reshape(
                    part[first : last + 1], (*positions.shape, *part.shape[1:])
                ),
                self._tensors,
            )
        chosen = tf.constant(positions)
        return keras.tree.map_structure(lambda part: tf.gather(part, chosen), self._tensors)
