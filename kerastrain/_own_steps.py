"""What a training step changes beside what its model, its metrics and its optimizer keep.

Keras knows of no optimizer in a list or in a model within, of no state of a stateful RNN, and of no
`tf.Variable` and no `tf.random.Generator` of a layer. A traced step has captured them all.
"""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from kerastrain._checks import invalid
from kerastrain._kernels import build_metrics, one_replica
from kerastrain.architecture import architecture_of
from kerastrain.loops import is_kerass
from kerastrain.state import captured_by, is_distributed

_DRAWING = {
    *("RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("RandomUniform", "RandomUniformInt", "RandomShuffle", "RandomCrop", "Multinomial"),
    *("RandomGamma", "RandomPoisson", "RandomPoissonV2", "SampleDistortedBoundingBoxV2"),
    *("UniformCandidateSampler", "LogUniformCandidateSampler", "LearnedUnigramCandidateSampler"),
    *("FixedUnigramCandidateSampler", "AllCandidateSampler", "ThreadUnsafeUnigramCandidateSampler"),
}
"""TensorFlow's operations that draw by generators of their own, which nobody can ask or set."""

_FILLING = {
    *("LookupTableInsertV2", "LookupTableImportV2", "LookupTableRemoveV2"),
    *("StackPushV2", "QueueEnqueueV2", "QueueDequeueV2", "IteratorGetNext"),
}
"""Those that change what is no variable."""


@dataclasses.dataclass(frozen=True)
class OwnState:
    """What a step changes, beside what the model says itself.

    Attributes:
        variables: Those that it has captured.
        why_inexact: Why a run that was broken off won't go on to the bit, if it won't.
    """

    variables: tuple[tf.Variable, ...] = ()
    why_inexact: str = ""

    def check_can_be_saved(self) -> None:
        """Raises where a variable holds what a state has no place for."""
        for variable in self.variables:
            dtype = variable.dtype
            if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
                must = "be left out where a train step keeps in variables what are no numbers"
                received = f"{variable.name.partition(':')[0]!r} of {dtype.name}"
                raise invalid("fit", "run", must, received)


def own_state_of(model: keras.Model, batch: Any) -> OwnState:
    """Has a step make all its variables, and the metrics', and tells which are the step's own.

    A model of which all is Keras's own, and nothing goes on from batch to batch, isn't traced.

    Args:
        model: A compiled model.
        batch: One batch, as a step gets it.
    """
    hindrance = _hindrance(model)
    function = None
    if not (hindrance or is_kerass(model, "train_step")):
        # Before Keras builds the optimizer: the step alone knows what its optimizers train.
        function = _traced(model, batch)
    architecture = architecture_of(model) if build_metrics(model, batch) else None
    if architecture is not None and '"stateful": true' not in architecture:
        return OwnState()
    if hindrance:
        why = f"variables of TensorFlow's in its layers aren't saved, {hindrance}"
        return OwnState(why_inexact=why)
    function = function or _traced(model, batch)
    return OwnState(tuple(captured_by(function, model)), _why_inexact(function))


def _hindrance(model: keras.Model) -> str:
    if model.run_eagerly:
        return "since the model runs eagerly"
    return "since the model has a distribution strategy" if is_distributed(model) else ""


@one_replica()
def _traced(model: keras.Model, batch: Any) -> Any:
    return tf.function(model.train_step, autograph=False).get_concrete_function(batch)


def _why_inexact(function: Any) -> str:
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    for node in nodes:
        if node.op in _DRAWING:
            why = f"{node.op} at {node.name!r} draws random numbers from where nobody can save"
            return f"{why}, as keras.random with a SeedGenerator doesn't"
        if node.op in _FILLING:
            return f"{node.op} at {node.name!r} changes what can't be saved"
    return ""
