"""Which batches each call works on: of rows in memory, in the order of the epoch."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from kerastrain.batches import taken
from kerastrain.data import EpochOrder


@dataclasses.dataclass(frozen=True)
class Call:
    """Some batches of an epoch, one after the other.

    Attributes:
        positions: The epoch's rows in their order, `(n,)`; `None` where they are visited as they
            lie, and need no gathering.
        first: The number of the first batch within the epoch.
        count: How many there are.
    """

    positions: tf.Tensor | None
    first: int
    count: int


class Calls:
    """Counts out the batches of each epoch, many a call.

    Args:
        tensors: All rows, in memory: what a batch is, but whole.
        order: The rows of each epoch in their order.
        batch_size: Rows a batch; the epoch's last one may have fewer.

    Attributes:
        tensors: The same; only those that are visited, where they are visited as they lie.
        batch_size: The same.
        batches_a_call: How many there are in a call, but for the epoch's last; all at first.
    """

    def __init__(self, tensors: Any, order: EpochOrder, *, batch_size: int) -> None:
        self.tensors = tensors
        if order.is_as_it_lies:
            self.tensors = keras.tree.map_structure(lambda part: part[: len(order)], tensors)
        self.batch_size = batch_size
        self.batches_a_call = math.ceil(len(order) / batch_size)
        self._order = order
        self._epoch, self._at = order.epoch, 0

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self._order) / self.batch_size)

    @property
    def full_batches(self) -> int:
        """How many of them have `batch_size` rows."""
        return len(self._order) // self.batch_size

    @property
    def specs(self) -> tuple[Any, int]:
        """What tells these batches from others, but for their number: their parts' and their size.

        One graph serves any number of rows, as Keras's own does.
        """
        parts = keras.tree.map_structure(
            lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), self.tensors
        )
        return parts, self.batch_size

    @property
    def holds_text(self) -> bool:
        """Whether a part of the batches is strings."""
        return any(part.dtype == tf.string for part in keras.tree.flatten(self.tensors))

    def of_size(self, batch_size: int) -> "Calls":
        """Returns the same rows in batches of another size."""
        return Calls(self.tensors, self._order, batch_size=batch_size)

    def first_batch(self) -> Any:
        """Returns the batch itself that the epoch begins with."""
        return taken(self.tensors, self._order.current[: self.batch_size])

    def first(self) -> Call:
        """Returns the epoch's first call, and leaves the count as it is."""
        return self._call(0)

    def start_at(self, batch: int) -> None:
        """Has the next call begin at a batch of the current epoch."""
        self._epoch, self._at = self._order.epoch, batch

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._order.epoch

    def next(self) -> Call:
        """Returns the next call; after the epoch's last one, the first of the epoch that began."""
        if self._order.epoch != self._epoch or self._at == self.batches:
            self._epoch, self._at = self._order.epoch, 0
        call = self._call(self._at)
        self._at += call.count
        return call

    def _call(self, first: int) -> Call:
        positions = None if self._order.is_as_it_lies else self._order.current.value()
        return Call(positions, first, min(self.batches_a_call, self.batches - first))
