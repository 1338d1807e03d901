"""Batches of rows in memory, handed out many at a time."""

import concurrent.futures
import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastrain.data import EpochOrder, Rows


@dataclasses.dataclass(frozen=True)
class Stack:
    """Some full batches of the epoch, one upon the other, and what the last batch has.

    Attributes:
        batches: Like a batch, each part with one more dimension in front; always of one size.
        count: How many of them belong to the epoch; the others only fill the size.
        rest: The batch at the epoch's end that has fewer rows, or `None`.
    """

    batches: Any
    count: int
    rest: Any


class Stacks:
    """Hands out an epoch's batches in stacks; the next is gathered while one is worked on.

    Args:
        rows: All rows, in memory.
        order: The rows of each epoch in their order.
        batch_size: Rows a batch.
    """

    def __init__(self, rows: Rows, order: EpochOrder, *, batch_size: int) -> None:
        self._tensors = keras.tree.map_structure(tf.convert_to_tensor, rows.parts)
        self._order = order
        self._batch_size = batch_size
        self._full, self._over = divmod(len(order.positions), batch_size)
        self._epoch, self._at = -1, 0
        self._ahead: concurrent.futures.Future[Stack] | None = None
        self._background = concurrent.futures.ThreadPoolExecutor(1)
        self.size = 1

    @property
    def full_batches(self) -> int:
        """How many batches of an epoch have `batch_size` rows."""
        return self._full

    @property
    def bytes_a_batch(self) -> int:
        """The memory that one batch takes."""
        parts = keras.tree.flatten(self._tensors)
        row = sum(part.dtype.size * math.prod(part.shape[1:]) for part in parts)
        return int(row) * self._batch_size

    @property
    def holds_text(self) -> bool:
        """Whether a part of the batches is strings."""
        return any(part.dtype == tf.string for part in keras.tree.flatten(self._tensors))

    def first(self) -> Stack:
        """Returns the first stack of the epoch, and leaves the order of things as it was."""
        return self._gather(0)

    def resize(self, most: int) -> int:
        """Chooses stacks of about so many batches at most, as even as can be; returns their size.

        The batch with fewer rows comes with the last stack, so an epoch must need no more calls
        for one batch more.
        """
        total = self.full_batches + bool(self._over)
        size = math.ceil(self.full_batches / math.ceil(self.full_batches / max(1, most)))
        while math.ceil(total / size) > math.ceil(self.full_batches / size):
            size += 1
        self.size = size
        return size

    def next(self) -> Stack:
        """Returns the next stack; after the epoch's last one, the first of the epoch that began."""
        if self._at == 0 or self._epoch != self._order.epoch:
            self._epoch, self._at, self._ahead = self._order.epoch, 0, None
        stack = self._ahead.result() if self._ahead else self._gather(self._at)
        self._at += stack.count
        if self._at < self._full:
            self._ahead = self._background.submit(self._gather, self._at)
        else:
            self._at, self._ahead = 0, None
        return stack

    def close(self) -> None:
        """Ends the background thread."""
        self._background.shutdown(cancel_futures=True)

    def _gather(self, at: int) -> Stack:
        size, rows = self._batch_size, self._order.positions
        count = min(self.size, self._full - at)
        chosen = np.resize(rows[at * size : (at + count) * size], self.size * size)
        is_last = at + count == self._full and self._over
        return Stack(
            batches=self._take(chosen.reshape(self.size, size)),
            count=count,
            rest=self._take(rows[self._full * size :]) if is_last else None,
        )

    def _take(self, positions: np.ndarray) -> Any:
        chosen = tf.constant(positions)
        return keras.tree.map_structure(lambda part: tf.gather(part, chosen), self._tensors)
