"""How a Dataset is led to where it was, and whether it then brings what it brought.

A Dataset that shuffles has another order in each pass over it, and which one follows from the
passes before, also from those that were only begun. So what Keras did is done again, without
training. That doesn't lead every Dataset back: not one that has been gone through meanwhile, nor
one made under another seed of TensorFlow. So the first batch of each pass is noted, and held
against it.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from kerastrain._configurations import described_data
from kerastrain.loops import StreamLoop
from kerastrain.sources import Source

_LONGEST = 10.0  # s, for reading what was trained on; beyond it passes are only begun

TRAINING, VALIDATION = "training", "validation"
_LOOKED_AT = {TRAINING: "first_batch", VALIDATION: "first_held_out"}  # In the facts of a state.

OTHERWISE = "may come in another order than they would have"

_UNSET = 87654321  # What TensorFlow mixes into a seed where no global one is set.


class FirstBatches:
    """Notes the first batch of each pass over the Datasets of a run.

    Args:
        source: The run's data.
    """

    def __init__(self, source: Source) -> None:
        self._streams = streams_of(source)
        self._noted: dict[str, dict[int, str]] = {TRAINING: {}, VALIDATION: {}}

    @property
    def facts(self) -> dict[str, dict[str, str]]:
        """What `noted` looks up in a state."""
        return {
            kind: {str(epoch): digest for epoch, digest in digests.items()}
            for kind, digests in self._noted.items()
        }

    def is_noted(self, kind: str) -> bool:
        """Tells whether there is a Dataset of a kind, of which it notes the batches."""
        return kind in self._streams

    def note(self, kind: str, epoch: int, batch: Any) -> str:
        """Keeps what an epoch began with, for the next one and this; returns it."""
        digests = self._noted[kind]
        digests[epoch] = digest = digest_of(batch)
        # The first epoch's tells whether every pass begins alike.
        self._noted[kind] = {e: d for e, d in digests.items() if not e or epoch - e in (0, 1)}
        return digest

    def go_on(self, facts: Mapping[str, Any]) -> None:
        """Takes back what a state has noted."""
        for kind, digests in self._noted.items():
            epochs = facts.get("first_batches", {}).get(kind, {})
            digests.update({int(epoch): digest for epoch, digest in epochs.items()})

    def noting(self, kind: str, epoch: int, function: Callable[[Any], Any], steps: int) -> Any:
        """Makes a first call of a pass that notes what it begins with.

        Args:
            kind: Which Dataset.
            epoch: The epoch.
            function: What Keras calls with its iterator.
            steps: How many batches Keras's own function takes off it.
        """

        def call(iterator: Any) -> Any:
            if not isinstance(iterator, tf.data.Iterator):
                return function(iterator)  # Of a distribution strategy.
            taken = 1 if isinstance(function, StreamLoop) else steps
            batches = list(itertools.islice(iterator, taken))
            if not batches:
                return function(iterator)  # Which says so.
            self.note(kind, epoch, batches[0])
            first = iter(_again(batches, iterator.element_spec))
            if isinstance(function, StreamLoop):
                return function.begin(first, iterator)
            return function(first)

        return call


def digest_of(batch: Any) -> str:
    """Describes a batch so that one with another value is described otherwise."""
    return "none" if batch is None else described_data(keras.tree.flatten(batch))


def looked_at(source: Source) -> dict[str, str]:
    """Describes the batches that were looked at before training, for the facts of a state."""
    firsts = {TRAINING: source.first, VALIDATION: source.first_held_out}
    return {_LOOKED_AT[kind]: digest_of(first) for kind, first in firsts.items()}


def streams_of(source: Source) -> dict[str, tf.data.Dataset]:
    """Returns the Datasets that were passed, by what they are for."""
    parts = {TRAINING: source.parts.get("x"), VALIDATION: source.parts.get("validation_data")}
    return {kind: part for kind, part in parts.items() if isinstance(part, tf.data.Dataset)}


def noted(facts: Mapping[str, Any], kind: str, epoch: int) -> str | None:
    """Returns what an epoch began with, as far as a state tells."""
    digest = facts.get("first_batches", {}).get(kind, {}).get(str(epoch))
    return digest if isinstance(digest, str) else None


@dataclasses.dataclass(frozen=True)
class Way:
    """How training data can be gone on with.

    Attributes:
        hindrance: Why not in the midst of an epoch, but at its start; empty if they can.
        is_exact: Whether an epoch's start is shown to be as it would have been.
    """

    hindrance: str = ""
    is_exact: bool = True


def way_back(source: Source, facts: Mapping[str, Any]) -> Way:
    """Leads training data to the epoch of a state, where they have an order of their own."""
    if isinstance(source.train, keras.utils.PyDataset):
        name = type(source.train).__name__
        is_alike = looked_at(source)[_LOOKED_AT[TRAINING]] == facts[_LOOKED_AT[TRAINING]]
        if is_alike and not _arranges_itself(source.train):
            return Way(f"since a {name} may bring its batches in another order")
        return Way(f"whose batches {OTHERWISE}: a {name} arranges them itself", is_exact=False)
    if _is_led_back(source, facts, TRAINING):
        return Way()
    return Way(in_another_order(facts), is_exact=False)


def is_validated_alike(source: Source, facts: Mapping[str, Any]) -> bool:
    """Leads validation data to the epoch of a state; tells whether that is shown to have worked."""
    validation = source.parts.get("validation_data")
    if isinstance(validation, keras.utils.PyDataset):
        return not _arranges_itself(validation)
    return _is_led_back(source, facts, VALIDATION)


def in_another_order(facts: Mapping[str, Any]) -> str:
    """Says that a Dataset may bring other batches than it would have, and what to do about it."""
    then, now = facts.get("global_seed"), global_seed()
    if then == now:
        mend = "make the Dataset anew before each call, and give each shuffle() a seed"
    elif then is None:
        mend = "make the Dataset where TensorFlow's global seed isn't set, as it wasn't then"
    else:
        mend = f"make the Dataset after tf.random.set_seed({then}), as it was then"
    return f"whose batches {OTHERWISE}: {mend}"


def _is_led_back(source: Source, facts: Mapping[str, Any], kind: str) -> bool:
    """Leads a Dataset through the epochs of a state; tells whether it is shown to be as it was."""
    stream, epochs = streams_of(source).get(kind), int(facts["epoch"])
    if stream is None:
        return True  # Of rows, whose order follows from the seed.
    if looked_at(source)[_LOOKED_AT[kind]] != facts[_LOOKED_AT[kind]]:
        return False
    if not epochs:
        return True
    digest, is_whole = _passed(stream, epochs)
    # A first epoch begins alike also where what is read, and not only begun, counts.
    return digest == noted(facts, kind, epochs - 1) and (is_whole or epochs > 1)


def _arranges_itself(stream: keras.utils.PyDataset) -> bool:
    """Tells whether a PyDataset does something between two epochs."""
    hooks = ("on_epoch_begin", "on_epoch_end")
    own = (getattr(type(stream), name) for name in hooks)
    return any(
        hook is not getattr(keras.utils.PyDataset, name)
        for hook, name in zip(own, hooks, strict=True)
    )


def changed_batch(source: Source, facts: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Returns what of the data always began alike and now begins otherwise, and both batches."""
    for kind in streams_of(source):
        was, now = (told[_LOOKED_AT[kind]] for told in (facts, looked_at(source)))
        if was != now and noted(facts, kind, 0) == was:
            return ("x" if kind == TRAINING else "validation_data"), was, now
    return None


def global_seed() -> int | None:
    """Returns TensorFlow's global seed, which a Dataset that shuffles is made with."""
    seed = int(tf.compat.v1.get_seed(1)[0])
    return None if seed == _UNSET else seed


@contextlib.contextmanager
def global_seed_left_alone() -> Iterator[None]:
    """Puts TensorFlow's global seed back, or a cell that is run again would make other Datasets."""
    before = global_seed()
    try:
        yield
    finally:
        if global_seed() != before:
            tf.random.set_seed(before)


def _passed(stream: tf.data.Dataset, epochs: int) -> tuple[str, bool]:
    """Goes through a Dataset as Keras does in so many epochs.

    Args:
        stream: The Dataset.
        epochs: How many.

    Returns:
        The first batch of the last of them, and whether all were read to their ends.
    """
    deadline, is_whole, digest = time.perf_counter() + _LONGEST, True, ""
    for epoch in range(epochs):
        now = time.perf_counter()
        until = now + (deadline - now) / (epochs - epoch)
        iterator = iter(stream)
        if now < deadline or epoch == epochs - 1:
            digest = digest_of(next(iterator, None))
            # Shuffles behind a first one, and generators in a map, count what is read.
            while (is_read := next(iterator, None) is not None) and time.perf_counter() < until:
                pass
            is_whole = is_whole and not is_read
        else:
            is_whole = False
        if int(stream.cardinality()) >= 0:
            iter(stream)  # Keras begins one more when it has counted all, and doesn't read it.
    return digest, is_whole


def _again(batches: list[Any], spec: Any) -> tf.data.Dataset:
    """Makes a Dataset of batches that were read, of the kind that they came from."""
    parts = [tf.data.Dataset.from_tensors(batch) for batch in batches]
    for part in parts[1:]:
        parts[0] = parts[0].concatenate(part)
    # Else what Keras has traced for batches of any size would be traced again.
    return tf.data.experimental.from_variant(tf.data.experimental.to_variant(parts[0]), spec)
