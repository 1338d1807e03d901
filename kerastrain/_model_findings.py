"""What can be wrong with a model by itself, told from plain facts; one function a finding."""

import itertools
from collections.abc import Callable

from kerastrain._model_facts import LayerFacts, ModelFacts
from kerastrain.check_records import Finding, counted, error, warning

_USUAL_RATES = {
    "Adadelta": (1e-4, 10.0),
    "Adagrad": (1e-5, 1.0),
    "Ftrl": (1e-5, 1.0),
    "SGD": (1e-6, 1.0),
    "Lion": (1e-7, 1e-2),
    **dict.fromkeys(("Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lamb"), (1e-7, 5e-2)),
    "Adafactor": (1e-6, 1e-1),
    "Muon": (1e-6, 5e-2),
}
"""The least and the highest rate at which people train with each; far beyond what works best."""

_OF_NUMBERS = (
    *("mae", "mse", "mean_absolute_error", "mean_squared_error", "r2", "R2Score"),
    *("MeanAbsoluteError", "MeanSquaredError", "RootMeanSquaredError"),
)
_OF_TWO = ("binary_accuracy", "BinaryAccuracy", "Precision", "Recall")
_OF_ONE_HOT = ("categorical_accuracy", "CategoricalAccuracy")
_OF_INTEGERS = ("sparse_categorical_accuracy", "SparseCategoricalAccuracy")
_OF_CLASSES = (
    *("accuracy", "acc", "Accuracy", "AUC", "F1Score"),
    *(*_OF_TWO, *_OF_ONE_HOT, *_OF_INTEGERS),
)

_DROPOUTS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout")
_PASSING = (*_DROPOUTS, "Flatten", "Reshape", "GaussianNoise", "GaussianDropout")
"""Layers after which what is linear is still linear."""


def not_compiled(facts: ModelFacts) -> Finding | None:
    """The model has no loss and no optimizer yet."""
    if facts.compiled:
        return None
    return error(
        "not-compiled",
        "model",
        "`model` isn't compiled, so that head, loss, labels and rate couldn't be held against each "
        "other: call compile_for_task(model, y=y) or model.compile(...) first.",
    )


def not_built(facts: ModelFacts) -> Finding | None:
    """The model has no weights yet."""
    if facts.built:
        return None
    return warning(
        "not-built",
        "model",
        "`model` isn't built, so that its shapes, its weights and its first loss couldn't be "
        "looked at: begin it with keras.Input(shape).",
    )


def nothing_to_train(facts: ModelFacts) -> Finding | None:
    """All layers are frozen, or have no weights."""
    if not facts.is_frozen:
        return None
    return error(
        "nothing-to-train",
        "model",
        "`model` has no trainable weights, so that training would change nothing: set "
        "layer.trainable = True for the layers to train, and compile again.",
    )


def odd_weights(facts: ModelFacts) -> Finding | None:
    """Weights are NaN or infinite, as a run that diverged leaves them."""
    if not facts.odd_weights:
        return None
    more = f" and {len(facts.odd_weights) - 1} more" if len(facts.odd_weights) > 1 else ""
    return error(
        "odd-weights",
        "model",
        f"`model` holds NaN or infinity in its weights, {facts.odd_weights[0]}{more}, which no "
        "training mends: build it afresh, or load weights from before.",
    )


def units_alike(facts: ModelFacts) -> Finding | None:
    """A hidden layer whose units all begin, and so stay, the same."""
    for layer in facts.layers[:-1]:
        if layer.constant_kernel:
            return warning(
                "units-alike",
                "model",
                f"The weights of layer {layer.name!r} are all the same number, so that its units "
                "get the same gradient and stay copies of one: leave its kernel_initializer at "
                "Keras's random one.",
            )
    return None


def layers_without_activation(facts: ModelFacts) -> Finding | None:
    """A linear Dense that feeds another is one linear layer with it."""
    if not facts.is_chain:
        return None
    chain = [layer for layer in facts.layers if layer.kind not in _PASSING]
    for layer, after in itertools.pairwise(chain):
        if layer.kind == after.kind == "Dense" and layer.activation == "linear":
            return warning(
                "no-activation",
                "model",
                f"Layer {layer.name!r} has no activation and feeds {after.name!r}, so that the two "
                'are one linear layer: give it activation="relu".',
            )
    return None


def relu_head(facts: ModelFacts) -> Finding | None:
    """A regression can't get out of a relu head that gives 0, nor below it."""
    if facts.task != "numbers" or facts.head is None or facts.head.activation != "relu":
        return None
    return warning(
        "relu-head",
        "model",
        "`model` ends in relu and is trained to predict numbers: it gives none below 0, and a unit "
        "that gives 0 for all rows stays there; write "
        f"Dense({facts.head.units}) without an activation.",
    )


def high_dropout(facts: ModelFacts) -> Finding | None:
    """Hardly anything passes."""
    for layer in facts.layers:
        if layer.kind in _DROPOUTS and layer.rate is not None and layer.rate >= 0.8:
            return warning(
                "high-dropout",
                "model",
                f"Layer {layer.name!r} drops {layer.rate:.0%} of what it gets, so that hardly "
                "anything passes in training: take a rate of 0.2 to 0.5.",
            )
    return None


def dropout_after_head(facts: ModelFacts) -> Finding | None:
    """Predictions themselves are dropped in training."""
    last = facts.layers[-1] if facts.layers else LayerFacts("", "")
    if not facts.is_chain or last.kind not in _DROPOUTS or not last.rate:
        return None
    return warning(
        "dropout-after-head",
        "model",
        f"`model` ends in {last.name!r}, which sets {last.rate:.0%} of the predictions to 0 in "
        "training: put it before the last Dense layer.",
    )


def small_batches_to_normalise(facts: ModelFacts, batch_size: int) -> Finding | None:
    """Statistics of a few rows are mostly chance."""
    has_layer = any(layer.kind == "BatchNormalization" for layer in facts.layers)
    if not has_layer or batch_size >= 8:
        return None
    return warning(
        "small-batches",
        "batch_size",
        f"A BatchNormalization takes mean and variance of each batch, and `batch_size` is "
        f"{batch_size}: take at least 16, or LayerNormalization.",
    )


def rate_of_zero(facts: ModelFacts) -> Finding | None:
    """Nothing would be learnt."""
    if facts.rate is None or facts.rate > 0:
        return None
    return error(
        "rate-of-zero",
        "model",
        f"The learning rate is {facts.rate:g}, at which nothing is learnt: compile with a rate "
        "above 0; lr_find(model, x, y) suggests one.",
    )


def unusual_rate(facts: ModelFacts) -> Finding | None:
    """A rate at which nobody trains with that optimizer."""
    if facts.rate is None or facts.rate <= 0 or facts.optimizer not in _USUAL_RATES:
        return None
    low, high = _USUAL_RATES[facts.optimizer]
    if low <= facts.rate <= high:
        return None
    does = "hardly learns" if facts.rate < low else "mostly diverges"
    return warning(
        "unusual-rate",
        "model",
        f"The learning rate is {facts.rate:g}, and {facts.optimizer} {does} outside {low:g} to "
        f"{high:g}: take the one that lr_find(model, x, y) suggests.",
    )


def metrics_of_another_task(facts: ModelFacts) -> Finding | None:
    """Metrics that say nothing for this loss."""
    wrong, instead = {
        "numbers": (_OF_CLASSES, 'predicts numbers: take metrics=["mae", "r2"]'),
        "classes": (_OF_NUMBERS, 'predicts classes: take metrics=["accuracy"]'),
    }.get(facts.task, ((), ""))
    found = [name for name in facts.metrics if name in wrong]
    if not found:
        return None
    return warning(
        "metrics-of-another-task",
        "model",
        f"The metric {found[0]!r} says nothing of a model that {instead}.",
    )


def metrics_of_other_labels(facts: ModelFacts) -> Finding | None:
    """Accuracies of Keras that expect another form of labels than the loss."""
    if facts.loss is None or facts.task != "classes":
        return None
    unfit = {
        "sparse_categorical_crossentropy": (*_OF_TWO, *_OF_ONE_HOT),
        "categorical_crossentropy": (*_OF_TWO[:2], *_OF_INTEGERS),
        "binary_crossentropy": (*_OF_ONE_HOT, *_OF_INTEGERS),
    }.get(facts.loss.name, ())
    found = [name for name in facts.metrics if name in unfit]
    if not found:
        return None
    return warning(
        "metrics-of-other-labels",
        "model",
        f"The metric {found[0]!r} expects other labels than {facts.loss.name} and gives a wrong "
        'number or an error: write "accuracy", of which Keras takes the right one.',
    )


def accuracy_of_logits(facts: ModelFacts) -> Finding | None:
    """Keras rounds at 0.5, which isn't where a logit changes sides."""
    is_logit = facts.loss is not None and facts.loss.from_logits
    rounded = [n for n in facts.metrics if n in ("accuracy", "acc", *_OF_TWO[:2])]
    if not is_logit or facts.loss is None or facts.loss.name != "binary_crossentropy":
        return None
    if not rounded:
        return None
    return warning(
        "accuracy-of-logits",
        "model",
        f"The metric {rounded[0]!r} counts outputs above 0.5 as class 1, where logits change sides "
        "at 0: take keras.metrics.BinaryAccuracy(threshold=0.0), as compile_for_task does.",
    )


def too_few_rows(facts: ModelFacts, rows: int) -> Finding | None:
    """Thousands of weights to each row."""
    if facts.trainable < 1000 * rows:
        return None
    return warning(
        "too-few-rows",
        "model",
        f"`model` has {facts.trainable:,} weights to train and `x` has {counted(rows, 'row')}, "
        f"{facts.trainable // rows:,} weights a row: take a smaller model, more rows, or lower "
        "layers that were trained elsewhere (build(reuse=...)).",
    )


def large_batches(rows: int, batch_size: int) -> Finding | None:
    """An epoch is a single step."""
    if batch_size <= rows or rows < 2:
        return None
    return warning(
        "large-batches",
        "batch_size",
        f"`batch_size` is {batch_size:,} and there are {rows:,} rows, so that the weights change "
        f"once an epoch: take at most {max(1, rows // 10)}.",
    )


OF_MODELS: tuple[Callable[[ModelFacts], Finding | None], ...] = (
    *(not_compiled, not_built, nothing_to_train, odd_weights, units_alike),
    *(layers_without_activation, relu_head, high_dropout, dropout_after_head, rate_of_zero),
    *(unusual_rate, metrics_of_another_task, metrics_of_other_labels, accuracy_of_logits),
)
"""What needs the facts alone."""
