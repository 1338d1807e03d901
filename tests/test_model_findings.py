"""Models as plain facts: what is said of each, and what nothing is said of."""

import pytest
from small_findings import assert_found

from kerastrain import _model_findings as models
from kerastrain._model_facts import LayerFacts, ModelFacts
from kerastrain.metrics import Head, Loss

MSE, SPARSE = Loss("mean_squared_error"), Loss("sparse_categorical_crossentropy")


def chain(*layers):
    return ModelFacts(layers=layers)


def dense(name, activation="relu", **more):
    return LayerFacts(name, "Dense", activation, **more)


NORMAL = chain(LayerFacts("normal", "BatchNormalization"), dense("head"))


FOUND = {
    "a model that is not compiled": (
        lambda: models.not_compiled(ModelFacts(compiled=False)),
        "error",
        "not-compiled",
        "model",
        (
            "`model` isn't compiled, so that head, loss, labels and rate couldn't be held "
            "against each other: call compile_for_task(model, y=y) or model.compile(...) first."
        ),
    ),
    "a model that is not built": (
        lambda: models.not_built(ModelFacts(built=False)),
        "warning",
        "not-built",
        "model",
        (
            "`model` isn't built, so that its shapes, its weights and its first loss couldn't "
            "be looked at: begin it with keras.Input(shape)."
        ),
    ),
    "a model that is frozen": (
        lambda: models.nothing_to_train(ModelFacts(is_frozen=True)),
        "error",
        "nothing-to-train",
        "model",
        (
            "`model` has no trainable weights, so that training would change nothing: set "
            "layer.trainable = True for the layers to train, and compile again."
        ),
    ),
    "weights that are nan": (
        lambda: models.odd_weights(ModelFacts(odd_weights=("dense/kernel",))),
        "error",
        "odd-weights",
        "model",
        (
            "`model` holds NaN or infinity in its weights, dense/kernel, which no training "
            "mends: build it afresh, or load weights from before."
        ),
    ),
    "several weights that are nan": (
        lambda: models.odd_weights(
            ModelFacts(odd_weights=("dense/kernel", "dense/bias", "head/bias"))
        ),
        "error",
        "odd-weights",
        "model",
        (
            "`model` holds NaN or infinity in its weights, dense/kernel and 2 more, which no "
            "training mends: build it afresh, or load weights from before."
        ),
    ),
    "units that are copies of one": (
        lambda: models.units_alike(chain(dense("hidden", constant_kernel=True), dense("head"))),
        "warning",
        "units-alike",
        "model",
        (
            "The weights of layer 'hidden' are all the same number, so that its units get the "
            "same gradient and stay copies of one: leave its kernel_initializer at Keras's "
            "random one."
        ),
    ),
    "two layers that are one": (
        lambda: models.layers_without_activation(
            chain(dense("a", "linear"), LayerFacts("drop", "Dropout", rate=0.2), dense("b"))
        ),
        "warning",
        "no-activation",
        "model",
        (
            "Layer 'a' has no activation and feeds 'b', so that the two are one linear layer: "
            'give it activation="relu".'
        ),
    ),
    "relu before numbers": (
        lambda: models.relu_head(ModelFacts(head=Head(1, "relu"), loss=MSE)),
        "warning",
        "relu-head",
        "model",
        (
            "`model` ends in relu and is trained to predict numbers: it gives none below 0, and"
            " a unit that gives 0 for all rows stays there; write Dense(1) without an "
            "activation."
        ),
    ),
    "dropout of almost all": (
        lambda: models.high_dropout(chain(LayerFacts("drop", "Dropout", rate=0.8), dense("head"))),
        "warning",
        "high-dropout",
        "model",
        (
            "Layer 'drop' drops 80% of what it gets, so that hardly anything passes in "
            "training: take a rate of 0.2 to 0.5."
        ),
    ),
    "dropout of predictions": (
        lambda: models.dropout_after_head(
            chain(dense("head"), LayerFacts("drop", "Dropout", rate=0.3))
        ),
        "warning",
        "dropout-after-head",
        "model",
        (
            "`model` ends in 'drop', which sets 30% of the predictions to 0 in training: put it"
            " before the last Dense layer."
        ),
    ),
    "batches too small to normalise": (
        lambda: models.small_batches_to_normalise(NORMAL, 4),
        "warning",
        "small-batches",
        "batch_size",
        (
            "A BatchNormalization takes mean and variance of each batch, and `batch_size` is 4:"
            " take at least 16, or LayerNormalization."
        ),
    ),
    "a rate of zero": (
        lambda: models.rate_of_zero(ModelFacts(rate=0.0)),
        "error",
        "rate-of-zero",
        "model",
        (
            "The learning rate is 0, at which nothing is learnt: compile with a rate above 0; "
            "lr_find(model, x, y) suggests one."
        ),
    ),
    "a rate that is high for adam": (
        lambda: models.unusual_rate(ModelFacts(optimizer="Adam", rate=0.5)),
        "warning",
        "unusual-rate",
        "model",
        (
            "The learning rate is 0.5, and Adam mostly diverges outside 1e-07 to 0.05: take the"
            " one that lr_find(model, x, y) suggests."
        ),
    ),
    "a rate that is low for sgd": (
        lambda: models.unusual_rate(ModelFacts(optimizer="SGD", rate=1e-8)),
        "warning",
        "unusual-rate",
        "model",
        (
            "The learning rate is 1e-08, and SGD hardly learns outside 1e-06 to 1: take the one"
            " that lr_find(model, x, y) suggests."
        ),
    ),
    "accuracy of a regression": (
        lambda: models.metrics_of_another_task(ModelFacts(loss=MSE, metrics=("mae", "accuracy"))),
        "warning",
        "metrics-of-another-task",
        "model",
        (
            "The metric 'accuracy' says nothing of a model that predicts numbers: take "
            'metrics=["mae", "r2"].'
        ),
    ),
    "r2 of a classifier": (
        lambda: models.metrics_of_another_task(
            ModelFacts(loss=SPARSE, metrics=("accuracy", "R2Score"))
        ),
        "warning",
        "metrics-of-another-task",
        "model",
        (
            "The metric 'R2Score' says nothing of a model that predicts classes: take "
            'metrics=["accuracy"].'
        ),
    ),
    "an accuracy for one hot beside integers": (
        lambda: models.metrics_of_other_labels(
            ModelFacts(loss=SPARSE, metrics=("CategoricalAccuracy",))
        ),
        "warning",
        "metrics-of-other-labels",
        "model",
        (
            "The metric 'CategoricalAccuracy' expects other labels than "
            "sparse_categorical_crossentropy and gives a wrong number or an error: write "
            '"accuracy", of which Keras takes the right one.'
        ),
    ),
    "an accuracy for integers beside one hot": (
        lambda: models.metrics_of_other_labels(
            ModelFacts(
                loss=Loss("categorical_crossentropy"), metrics=("sparse_categorical_accuracy",)
            )
        ),
        "warning",
        "metrics-of-other-labels",
        "model",
        (
            "The metric 'sparse_categorical_accuracy' expects other labels than "
            'categorical_crossentropy and gives a wrong number or an error: write "accuracy", '
            "of which Keras takes the right one."
        ),
    ),
    "precision of many classes": (
        lambda: models.metrics_of_other_labels(ModelFacts(loss=SPARSE, metrics=("Precision",))),
        "warning",
        "metrics-of-other-labels",
        "model",
        (
            "The metric 'Precision' expects other labels than sparse_categorical_crossentropy "
            'and gives a wrong number or an error: write "accuracy", of which Keras takes the '
            "right one."
        ),
    ),
    "accuracy of a logit": (
        lambda: models.accuracy_of_logits(
            ModelFacts(loss=Loss("binary_crossentropy", True), metrics=("accuracy",))
        ),
        "warning",
        "accuracy-of-logits",
        "model",
        (
            "The metric 'accuracy' counts outputs above 0.5 as class 1, where logits change "
            "sides at 0: take keras.metrics.BinaryAccuracy(threshold=0.0), as compile_for_task "
            "does."
        ),
    ),
    "weights by the thousand to a row": (
        lambda: models.too_few_rows(ModelFacts(trainable=200_000), 50),
        "warning",
        "too-few-rows",
        "model",
        (
            "`model` has 200,000 weights to train and `x` has 50 rows, 4,000 weights a row: "
            "take a smaller model, more rows, or lower layers that were trained elsewhere "
            "(build(reuse=...))."
        ),
    ),
    "a single row": (
        lambda: models.too_few_rows(ModelFacts(trainable=2000), 1),
        "warning",
        "too-few-rows",
        "model",
        (
            "`model` has 2,000 weights to train and `x` has 1 row, 2,000 weights a row: take a "
            "smaller model, more rows, or lower layers that were trained elsewhere "
            "(build(reuse=...))."
        ),
    ),
    "batches larger than the data": (
        lambda: models.large_batches(100, 256),
        "warning",
        "large-batches",
        "batch_size",
        (
            "`batch_size` is 256 and there are 100 rows, so that the weights change once an "
            "epoch: take at most 10."
        ),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_it_is_said_what_was_found_and_what_to_do(case):
    assert_found(*FOUND[case])


NOTHING = {
    "a model that is ready": lambda: (
        models.not_compiled(ModelFacts()) or models.not_built(ModelFacts())
    ),
    "a head of equal weights": lambda: models.units_alike(
        chain(dense("hidden"), dense("head", constant_kernel=True))
    ),
    "a linear layer before an activation": lambda: models.layers_without_activation(
        chain(dense("a", "linear"), LayerFacts("relu", "ReLU"), dense("b"))
    ),
    "a linear layer that feeds several": lambda: models.layers_without_activation(
        ModelFacts((dense("a", "linear"), dense("b")), is_chain=False)
    ),
    "a linear head": lambda: models.relu_head(ModelFacts(head=Head(1, "linear"), loss=MSE)),
    "dropout of 0.7": lambda: models.high_dropout(chain(LayerFacts("drop", "Dropout", rate=0.7))),
    "dropout before the head": lambda: models.dropout_after_head(
        chain(LayerFacts("drop", "Dropout", rate=0.3), dense("head"))
    ),
    "normalising batches of 8": lambda: models.small_batches_to_normalise(NORMAL, 8),
    "small batches without normalising": lambda: models.small_batches_to_normalise(
        chain(dense("head")), 1
    ),
    "a rate above 0": lambda: models.rate_of_zero(ModelFacts(rate=1e-9)),
    "a schedule's rate": lambda: (
        models.rate_of_zero(ModelFacts()) or models.unusual_rate(ModelFacts(optimizer="Adam"))
    ),
    "Adam at 0.05": lambda: models.unusual_rate(ModelFacts(optimizer="Adam", rate=0.05)),
    "SGD at 1": lambda: models.unusual_rate(ModelFacts(optimizer="SGD", rate=1.0)),
    "an optimizer of the user's": lambda: models.unusual_rate(
        ModelFacts(optimizer="Mine", rate=100.0)
    ),
    "metrics of numbers": lambda: models.metrics_of_another_task(
        ModelFacts(loss=MSE, metrics=("mae", "mse", "R2Score"))
    ),
    "metrics of a loss of the user's": lambda: models.metrics_of_another_task(
        ModelFacts(loss=Loss("mine"), metrics=("mae", "accuracy"))
    ),
    "metrics of classes": lambda: models.metrics_of_other_labels(
        ModelFacts(loss=SPARSE, metrics=("accuracy", "MulticlassAUC"))
    ),
    "precision of two classes": lambda: models.metrics_of_other_labels(
        ModelFacts(loss=Loss("binary_crossentropy"), metrics=("Precision",))
    ),
    "accuracy of a probability": lambda: models.accuracy_of_logits(
        ModelFacts(loss=Loss("binary_crossentropy"), metrics=("accuracy",))
    ),
    "999 weights a row": lambda: models.too_few_rows(ModelFacts(trainable=49_950), 50),
    "a batch of all rows": lambda: models.large_batches(100, 100),
}


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_said_of(case):
    assert NOTHING[case]() is None
