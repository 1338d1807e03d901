"""What estimators of Keras models have in common: from arrays and parameters to a trained model."""

import numbers
from collections.abc import Mapping
from typing import Any, Self

import keras
import numpy as np
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from kerastrain import training, workflow
from kerastrain._checks import invalid, one_of, show
from kerastrain.building import refuse_beside_compiled
from kerastrain.callbacks import copies
from kerastrain.data import is_stream
from kerastrain.models import Builder, build, builder_of, parameters_from_data
from kerastrain.records import History
from kerastrain.search.estimator_parameters import (
    BuilderParameters,
    builder_defaults,
    check_complete,
)
from kerastrain.search.parameters import as_python
from kerastrain.search.predictions import outputs_of, units_of
from kerastrain.search.seeds import built_from, seed_of_pass, seeded
from kerastrain.search.values import came_to_nothing, check_is_new
from kerastrain.training import arguments_of_fit

_COMPILING = ("optimizer", "learning_rate", "metrics")
_ONE_PASS = {
    "epochs": 1,
    "validation_split": 0.0,
    "monitor": "auto",
    "mode": "auto",
    "patience": None,
    "min_delta": 0.0,
    "restore_best": False,
    "schedule": None,
}


class KerasEstimator(BuilderParameters):
    """What `KerasRegressor` and `KerasClassifier` have in common.

    Attributes:
        model_: The trained Keras model; `model` is the same.
        history_: What its training did: a `History`, after `partial_fit` of the last pass.
        n_features_in_: The length of the rows of `X`; there is none for texts.
        feature_names_in_: The columns' names, where `X` was a data frame.
    """

    model_: keras.Model
    history_: History
    _is_numeric: bool

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        validation_data: Any = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        callbacks: Any = None,
        **fit_arguments: Any,
    ) -> Self:
        """Builds a model and trains it.

        What is given here counts for this call, and leaves the estimator's parameters as they are.
        After Ctrl-C the estimator is fitted, up to its best epoch, and `KeyboardInterrupt` is
        raised all the same, so that a search ends too.

        Args:
            X: Inputs, `(n, ...)`: an array of any rank, a data frame, or `n` texts.
            y: Targets, or labels of any kind.
            sample_weight: One weight a row.
            validation_data: `(X, y)` or `(X, y, sample_weight)`, of the kinds of `X` and `y`.
            epochs: In place of the estimator's, as are `batch_size` and `callbacks`.
            batch_size: Rows a step.
            callbacks: Keras callbacks; they are copied, so that no two fits share one.
            **fit_arguments: More of `kerastrain.fit`.

        Returns:
            The estimator, with `model_` and `history_`.

        Raises:
            ValueError: If an argument's value is out of range, model and data don't fit, or the
                weights are lost to NaN.
            TypeError: If an argument is of the wrong kind.
        """
        now = {"epochs": epochs, "batch_size": batch_size, "callbacks": callbacks}
        now = {name: value for name, value in now.items() if value is not None} | fit_arguments
        builder, params, arguments = self._call(now)
        x, y = self._rows(X, y, reset=True)
        self._learn_targets(y)
        return self._build_and_fit(
            (builder, params), arguments, (x, y, sample_weight), validation_data
        )

    def predict(self, X: Any) -> np.ndarray:
        """Returns a prediction for each row of `X`, of the kind of `y`."""
        return self._predicted(self._outputs(X, "predict"))

    @property
    def model(self) -> keras.Model:
        """The trained Keras model."""
        check_is_fitted(self)
        return self.model_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.seed is None
        tags.input_tags.three_d_array = True
        takes_texts = "texts" in builder_defaults(self.build_model)
        tags.input_tags.string = tags.input_tags.one_d_array = takes_texts
        return tags

    # What a regressor and a classifier do in ways of their own.

    def _learn_targets(self, y: np.ndarray) -> None:
        """Keeps what later calls need to know of the targets."""
        raise NotImplementedError

    def _count_of_classes(self) -> int | None:
        raise NotImplementedError

    def _task(self, model: keras.Model, units: int) -> str:
        raise NotImplementedError

    def _targets(self, y: np.ndarray, model: keras.Model, argument: str) -> np.ndarray:
        """Returns targets as the model's loss takes them."""
        raise NotImplementedError

    def _predicted(self, outputs: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _weights(self, y: np.ndarray, sample_weight: Any, arguments: dict[str, Any]) -> Any:
        """Returns the rows' weights; takes those of classes out of the arguments."""
        return sample_weight

    # What they share.

    def _named(self, method: str) -> str:
        return f"{type(self).__name__}.{method}"

    def _call(self, now: Mapping[str, Any]) -> tuple[Builder, dict[str, Any], dict[str, Any]]:
        """Returns the builder, its parameters, and our arguments, with those of this call."""
        for name in now:
            one_of(self._named("fit"), "fit_arguments", name, arguments_of_fit())
        name = type(self).__name__
        builder = builder_of(self.build_model, function=name, argument="build_model")
        params, arguments = self.divided()
        arguments |= {name: as_python(value) for name, value in now.items()}
        arguments["callbacks"] = copies(arguments.get("callbacks", ()))
        return builder, params, arguments

    def _build_and_fit(
        self,
        building: tuple[Builder, dict[str, Any]],
        arguments: dict[str, Any],
        rows: tuple[np.ndarray, np.ndarray, Any],
        validation_data: Any = None,
    ) -> Self:
        x, y, sample_weight = rows
        self._check_weights(sample_weight)
        a_layer = arguments.pop("a_layer", None)
        with seeded(arguments.pop("seed", None)) as seed:
            model, units = built_from(seed, lambda: self._built(*building, a_layer, x, y))
            if model.compiled:
                self._leave_out_compiling(arguments)
            self._units, self._row_shape = units, x.shape[1:]
            if validation_data is not None:
                arguments["validation_data"] = self._held_out(validation_data, model)
            trained = workflow.build_and_fit(
                lambda: model,
                (x, self._targets(y, model, "y")),
                task=None if model.compiled else self._task(model, units),
                seed=seed,
                sample_weight=self._weights(y, sample_weight, arguments),
                **arguments,
            )
        check_is_new(trained.model, function=self._named("fit"), argument="build_model")
        self.passes_ = 0
        return self._keep(trained.model, trained.history)

    def _built(
        self, builder: Builder, params: dict[str, Any], a_layer: Any, x: Any, y: Any
    ) -> tuple[keras.Model, int]:
        """Builds the model, whose data tell what the user left out; returns its units too."""
        classes = self._count_of_classes()
        answers = parameters_from_data(builder, params, x=x, y=y, classes=classes)
        check_complete(type(self), builder, params | answers)
        model = build(builder, a_layer, **params, **answers)
        return model, units_of(model, x, function=self._named("fit"))

    def _leave_out_compiling(self, arguments: dict[str, Any]) -> None:
        """Takes out what a model of its builder's own compiling has; raises if it was given."""
        names: list[str] = [name for name in ("optimizer", "metrics") if name in arguments]
        compiling = {name: arguments.pop(name) for name in names}
        given = {name: value for name, value in compiling.items() if name in self.given()}
        refuse_beside_compiled(type(self).__name__, given)

    def _keep(self, model: keras.Model, history: History) -> Self:
        self.model_, self.history_ = model, history
        self.passes_ += 1
        if history.stop_reason == "interrupted":
            raise KeyboardInterrupt
        if came_to_nothing(model, history):
            must = "train to finite weights: a lower learning rate may do"
            raise invalid(self._named("fit"), "build_model", must, "a run that ended with NaN")
        return self

    def _one_more_pass(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Trains on some rows once, the first time a new model."""
        builder, params, arguments = self._call({})
        arguments |= _ONE_PASS | {"callbacks": _without_stopping(arguments["callbacks"])}
        is_first = not hasattr(self, "model_")
        x, y = self._rows(X, y, reset=is_first)
        if is_first:
            return self._build_and_fit((builder, params), arguments, (x, y, sample_weight))
        for name in ("a_layer", *_COMPILING):
            arguments.pop(name, None)
        self._check_weights(sample_weight)
        arguments["seed"] = seed_of_pass(arguments.get("seed"), self.passes_)
        history = training.fit(
            self.model_,
            x,
            self._targets(y, self.model_, "y"),
            sample_weight=self._weights(y, sample_weight, arguments),
            **arguments,
        )
        return self._keep(self.model_, history)

    def _rows(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        """Checks inputs and targets as scikit-learn does, and returns them as arrays."""
        if is_stream(X):
            must = "be arrays; kerastrain.fit takes a Dataset or a PyDataset"
            raise invalid(self._named("fit"), "X", must, show(X), kind=TypeError)
        if _are_texts(X):
            x = np.asarray(X, dtype=object)
            targets = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=self)
            check_consistent_length(x, targets)
        else:
            x, targets = validate_data(
                self,
                X,
                y,
                reset=reset,
                allow_nd=True,
                multi_output=True,
                y_numeric=self._is_numeric,
            )
        targets = targets.toarray() if hasattr(targets, "toarray") else targets
        return _as_keras_takes(x), targets

    def _inputs(self, X: Any) -> np.ndarray:
        if _are_texts(X):
            return np.asarray(X, dtype=object)
        return _as_keras_takes(validate_data(self, X, reset=False, allow_nd=True))

    def _check_weights(self, sample_weight: Any) -> None:
        """Raises where no row has a weight, which would train to nothing."""
        if sample_weight is not None and not np.any(np.asarray(sample_weight)):
            must, received = "hold a weight that isn't zero", f"sample_weight={show(sample_weight)}"
            raise invalid(self._named("fit"), "sample_weight", must, received)

    def _held_out(self, validation_data: Any, model: keras.Model) -> Any:
        """Returns validation data as the model takes them; `kerastrain.fit` refuses the rest."""
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            return validation_data
        X, y, *weight = validation_data
        targets = self._targets(np.asarray(y), model, "validation_data[1]")
        return (self._inputs(X), targets, *weight)

    def _outputs(self, X: Any, method: str) -> np.ndarray:
        check_is_fitted(self)
        x = self._inputs(X)
        if x.shape[1:] != self._row_shape:
            must = f"have rows of shape {self._row_shape}, as those that it was fitted on"
            raise invalid(self._named(method), "X", must, f"X={show(x)}")
        size = as_python(self.batch_size) if isinstance(self.batch_size, numbers.Integral) else 32
        return outputs_of(self.model_, x, batch_size=size, function=self._named(method))


def _without_stopping(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that have something to do in a single pass."""
    stops = keras.callbacks.EarlyStopping
    return [part for part in keras.tree.flatten(callbacks) if not isinstance(part, stops)]


def _are_texts(X: Any) -> bool:
    """Tells whether `X` is a text a row, which scikit-learn's checks would refuse."""
    is_flat = isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1
    return is_flat and len(X) > 0 and all(isinstance(row, str | bytes) for row in X)


def _as_keras_takes(x: np.ndarray) -> np.ndarray:
    return x.astype(keras.config.floatx()) if x.dtype.kind == "b" else x
