"""Model builders as estimators of scikit-learn's, for its searches, pipelines and scores."""

from typing import Any, Self

import keras
import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import column_or_1d

from kerastrain._checks import invalid, show
from kerastrain.models import Builder
from kerastrain.search.estimator_parameters import taking
from kerastrain.search.keras_estimator import KerasEstimator
from kerastrain.search.labels import Labels
from kerastrain.tasks import compiled_loss, head_of


class KerasRegressor(RegressorMixin, KerasEstimator):  # type: ignore[misc]
    """A model builder as a regressor of scikit-learn's.

    Its parameters are the builder's, with the builder's defaults, and with them those of
    `kerastrain.build_and_fit` and `kerastrain.fit`, such as `a_layer`, `epochs`, `batch_size`,
    `callbacks`, `patience`, `seed`, `speed` and, for a model that the builder hasn't compiled,
    `optimizer`, `learning_rate` and `metrics`. Where the builder has a parameter of the same name,
    it is the builder's. Its `input_shape`, `outputs` and `texts` come from the data where they
    aren't given.

    Args:
        build_model: A name of `list_models()`, or any function that returns a `keras.Model`,
            compiled or not.
        **parameters: Any of these parameters.

    Attributes:
        model_: The trained Keras model; `model` is the same.
        history_: What its training did, a `History`.

    Raises:
        ValueError: If neither the estimator nor its builder has a parameter of some name.

    Example:
        >>> from sklearn.model_selection import GridSearchCV
        >>> x = np.linspace(-1, 1, 60)[:, None]
        >>> y = 3 * x[:, 0] + 1
        >>> regressor = KerasRegressor("regression", n_hidden=0, epochs=20, batch_size=4, seed=0)
        >>> search = GridSearchCV(regressor, {"learning_rate": [1e-5, 0.1]}, cv=3).fit(x, y)
        >>> search.best_params_, search.best_estimator_.model.count_params()
        ({'learning_rate': 0.1}, 2)
    """

    _is_numeric = True

    @taking("regression", classes=False)
    def __init__(self, build_model: str | Builder = "regression", **parameters: Any) -> None:
        super().__init__(build_model, **parameters)

    def partial_fit(self, X: Any, y: Any, *, sample_weight: Any = None) -> Self:
        """Trains on some rows once, and goes on with weights and optimizer as they are.

        Of the parameters those count that speak of one pass: not `epochs`, `validation_split`,
        `schedule`, nor what chooses the best epoch or stops there.

        Args:
            X: Inputs, as for `fit`.
            y: Targets.
            sample_weight: One weight a row.
        """
        return self._one_more_pass(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _learn_targets(self, y: np.ndarray) -> None:
        """There is nothing to know of numbers."""

    def _count_of_classes(self) -> None:
        return None

    def _task(self, model: keras.Model, units: int) -> str:
        return "regression"

    def _targets(self, y: np.ndarray, model: keras.Model, argument: str) -> np.ndarray:
        return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y

    def _predicted(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs


class KerasClassifier(ClassifierMixin, KerasEstimator):  # type: ignore[misc]
    """A model builder as a classifier of scikit-learn's.

    Its parameters are as those of `KerasRegressor`, and `class_weight`: a dict from the labels
    themselves, or "balanced". The builder's `classes` comes from the data too. Labels are of any
    kind: numbers, strings, or a column of 0 and 1 for each class, of which one may be 1 in a row
    or, where the model ends in sigmoid units, several.

    Args:
        build_model: A name of `list_models()`, or any function that returns a `keras.Model`,
            compiled or not. A loss that wants one-hot labels gets them.
        **parameters: The builder's, and those of `kerastrain.build_and_fit` and `kerastrain.fit`.

    Attributes:
        classes_: The labels that there are, sorted.
        model_: The trained Keras model; `model` is the same.
        history_: What its training did, a `History`.

    Raises:
        ValueError: If neither the estimator nor its builder has a parameter of some name.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(90, 2))
        >>> y = np.where(x[:, 0] > 0, "right", "left")
        >>> classifier = KerasClassifier("dense", epochs=10, learning_rate=0.01, seed=0).fit(x, y)
        >>> [str(name) for name in classifier.predict([[2, 0], [-2, 0]])]
        ['right', 'left']
        >>> classifier.predict_proba(x).shape
        (90, 2)
    """

    _is_numeric = False

    @taking("dense", classes=True)
    def __init__(self, build_model: str | Builder = "dense", **parameters: Any) -> None:
        super().__init__(build_model, **parameters)

    @property
    def classes_(self) -> np.ndarray:
        """The labels that there are, sorted."""
        return np.asarray(self.labels_.classes)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, *, sample_weight: Any = None
    ) -> Self:
        """Trains on some rows once, and goes on with weights and optimizer as they are.

        Of the parameters those count that speak of one pass: not `epochs`, `validation_split`,
        `schedule`, nor what chooses the best epoch or stops there.

        Args:
            X: Inputs, as for `fit`.
            y: Labels.
            classes: All labels that there will ever be; needed in the first call.
            sample_weight: One weight a row.
        """
        function = self._named("partial_fit")
        is_first = not hasattr(self, "model_")
        if is_first and classes is None:
            raise invalid(function, "classes", "be given in the first call", "classes=None")
        if classes is not None:
            labels = Labels.listed(classes, function=function, argument="classes")
            if is_first:
                self.labels_ = labels
            elif not np.array_equal(labels.classes, self.classes_):
                must = f"be those of the first call, {show(self.classes_.tolist())}"
                raise invalid(function, "classes", must, show(labels.classes.tolist()))
        return self._one_more_pass(X, y, sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class for each row of `X`, `(n, classes)`."""
        outputs = self._outputs(X, "predict_proba")
        return self.labels_.probabilities(outputs, self.model_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _learn_targets(self, y: np.ndarray) -> None:
        self.labels_ = Labels.of(_as_column(y), function=self._named("fit"))

    def _count_of_classes(self) -> int:
        return len(self.classes_)

    def _task(self, model: keras.Model, units: int) -> str:
        head = head_of(model)
        ends_in_sigmoids = head is not None and head.activation == "sigmoid"
        return "binary" if units == 1 or ends_in_sigmoids else "multiclass"

    def _targets(self, y: np.ndarray, model: keras.Model, argument: str) -> np.ndarray:
        self._check_gives_probabilities(model)
        numbered = self.labels_.numbered(
            _as_column(y), function=self._named("fit"), argument=argument
        )
        return self.labels_.for_loss(numbered, model, self._units)

    def _check_gives_probabilities(self, model: keras.Model) -> None:
        """Raises for a model that its builder has compiled to give numbers of any size."""
        head, loss = head_of(model), compiled_loss(model)
        if head is None or loss is None or head.activation != "linear" or loss.from_logits:
            return
        must = "return a model that gives probabilities, or logits with a loss of from_logits=True"
        received = f"a model that ends in 'linear', with the loss {loss.name!r}"
        raise invalid(self._named("fit"), "build_model", must, received)

    def _predicted(self, outputs: np.ndarray) -> np.ndarray:
        probabilities = self.labels_.probabilities(outputs, self.model_)
        return self.labels_.named(probabilities, self.model_)

    def _weights(self, y: np.ndarray, sample_weight: Any, arguments: dict[str, Any]) -> Any:
        function, given = self._named("fit"), arguments.pop("class_weight", None)
        return self.labels_.weights(given, _as_column(y), sample_weight, function=function)


def _as_column(y: np.ndarray) -> np.ndarray:
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
