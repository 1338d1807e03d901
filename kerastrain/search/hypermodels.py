"""A model builder and a space as what Keras Tuner searches, trained by `kerastrain.fit`."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from kerastrain._checks import invalid, one_of, seed_number, show
from kerastrain.building import Known, build_for, known_of
from kerastrain.models import Builder
from kerastrain.records import PER_EPOCH_FACTS, History
from kerastrain.search.parameters import Routed, routed
from kerastrain.search.spaces import ASpace, Space, space_of
from kerastrain.training import arguments_of_fit, fit, generators_left_alone

_OF_BUILDING = (
    *("a_layer", "learning_rate", "metrics", "optimizer", "task"),
    *("frozen", "layers", "reuse"),
)
"""The arguments of `build_and_fit` that decide on the model."""

_OF_FIT = arguments_of_fit()
"""Those that train it."""

_FUNCTION = "hypermodel"


def hypermodel(
    builder: str | Builder,
    space: ASpace | None = None,
    *,
    data: Any = None,
    params: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    verbose: str | int = 0,
    **arguments: Any,
) -> keras_tuner.HyperModel:
    """Makes what Keras Tuner's tuners search, trained by `kerastrain.fit` in place of `model.fit`.

    What is passed to the tuner's `search` goes to `fit`: data, `epochs`, `callbacks` and the rest;
    a callback of the tuner's that has nothing to do between two batches doesn't keep the run from
    the fast way. A parameter goes to the builder where it has one of that name, else to
    `build_and_fit` and `fit`, as in `objective`, and comes before what was given here or to
    `search`. Hyperband's epochs, and those that it has had already, are the tuner's to say.

    A run that is lost to NaN is a failed trial, and the search goes on. Ctrl-C ends it.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        space: A dict from parameters to lists, ranges or SciPy's distributions; or a function of
            Keras Tuner's `hp` that returns a dict of parameters, as conditional spaces need. Left
            out, it is what the tuner is given as `hyperparameters`.
        data: What the builder's shapes and the task are read off, as in `build_and_fit`; the tuner
            makes models before it sees any data. Left out, the builder's parameters and head say
            them.
        params: The builder's parameters that stay the same.
        seed: Of every run; `None` draws another one each time, as `executions_per_trial` needs.
        verbose: As in `fit`.
        **arguments: More of `build_and_fit` for every run, such as `optimizer` or `patience`.

    Returns:
        A `keras_tuner.HyperModel`, for `RandomSearch`, `Hyperband` and the other tuners.

    Raises:
        ValueError: If an argument's value is out of range.
        TypeError: If an argument is of the wrong kind.
        ImportError: If Keras Tuner or tensorboard isn't installed, which it needs, unsaid.

    Example:
        ```python
        tuner = keras_tuner.RandomSearch(
            hypermodel("dense", {"units": [16, 64], "learning_rate": loguniform(1e-4, 1e-2)}),
            objective="val_accuracy",
            max_trials=10,
        )
        tuner.search(*data.train, validation_data=data.val, epochs=5)
        ```
    """
    fixed = {} if params is None else params
    if not isinstance(fixed, Mapping):
        must = "be a dict from names to values"
        raise invalid(_FUNCTION, "params", must, f"params={show(params)}", kind=TypeError)
    always = routed(builder, {**fixed, **arguments}, function=_FUNCTION)
    read = None if space is None else _read(builder, space)
    seed = None if seed is None else seed_number(_FUNCTION, seed)
    always.arguments.update(seed=seed, verbose=verbose)
    known = Known() if data is None else known_of(data, function=_FUNCTION)
    return _HyperModel(builder, read, known, always)


class _HyperModel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Builds and trains in two calls, as Keras Tuner wants it."""

    def __init__(
        self, builder: str | Builder, space: Space | None, known: Known, always: Routed
    ) -> None:
        super().__init__()
        self._builder, self._space = builder, space
        self._known, self._always = known, always

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Builds and compiles a model of the parameters that `hp` draws."""
        drawn = self._drawn(hp)
        params = {**self._always.params, **drawn.params}
        given = _only(self._always.arguments | drawn.arguments, _OF_BUILDING)
        seed = (self._always.arguments | drawn.arguments)["seed"]
        with _seeded(seed):
            return build_for(self._known, self._builder, function=_FUNCTION, params=params, **given)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        x: Any,
        y: Any = None,
        **arguments: Any,
    ) -> keras.callbacks.History:
        """Trains a model as `kerastrain.fit` does, and returns its history in Keras's form."""
        had = arguments.pop("initial_epoch", 0)
        drawn = _only(self._drawn(hp).arguments, _OF_FIT)
        if "tuner/epochs" in hp.values and "epochs" in drawn:
            must = "leave `epochs` to Hyperband, which decides on them"
            raise _fatal(invalid(_FUNCTION, "space", must, f"epochs={drawn['epochs']!r}"))
        for name in arguments:
            _check_known(name)
        given = _only(self._always.arguments, _OF_FIT) | arguments | drawn
        given["epochs"] = given.get("epochs", 1) - had
        if had and given["seed"] is not None:
            given["seed"] += had  # The order of the rows goes on, rather than start again.
        given["callbacks"] = [*map(_let_off, keras.tree.flatten(given.get("callbacks") or ()))]
        with _seeded(given["seed"]):
            history = fit(model, x, y, **given)
        if history.stop_reason == "interrupted":
            raise KeyboardInterrupt
        if history.stop_reason == "nan":
            raise keras_tuner.errors.FailedTrialError("The run was lost to NaN.")
        return _as_keras(history)

    def _drawn(self, hp: keras_tuner.HyperParameters) -> Routed:
        """Returns the parameters of a trial, by where they go."""
        if self._space is None:
            drawn: Any = {n: value for n, value in hp.values.items() if not n.startswith("tuner/")}
        else:
            function = self._space.function
            drawn = function(hp) if function else self._space.params(_AsTrial(hp))
        if isinstance(drawn, Mapping) and drawn:
            return routed(self._builder, drawn, function=_FUNCTION, argument="space")
        if self._space is None:
            must = "be given, or else the tuner's `hyperparameters`"
            raise invalid(_FUNCTION, "space", must, "neither")
        must = "return a dict with at least one parameter, where it is a function"
        raise invalid(_FUNCTION, "space", must, show(drawn))


def _read(builder: str | Builder, space: Any) -> Space:
    """Reads a space of any form but the one that the tuner is given itself."""
    read = space_of(space, function=_FUNCTION)
    names = dict.fromkeys(read.dimensions or {})
    routed(builder, names, function=_FUNCTION, argument="space")
    return read


class _AsTrial:
    """Keras Tuner's `hp` in the words of a trial of Optuna's, which spaces speak."""

    def __init__(self, hp: keras_tuner.HyperParameters) -> None:
        self._hp = hp

    def suggest_categorical(self, name: str, labels: list[Any]) -> Any:
        """Chooses among values; Keras Tuner takes them of one kind only, so others go by text."""
        kinds = {type(label) for label in labels}
        if len(kinds) == 1 and kinds <= {int, float, str, bool}:
            return self._hp.Choice(name, labels)
        texts = [show(label) for label in labels]
        return labels[texts.index(self._hp.Choice(name, texts))]

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> Any:
        """Chooses a whole number."""
        return self._hp.Int(name, low, high, step=step)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> Any:
        """Chooses a number."""
        return self._hp.Float(name, low, high, sampling="log" if log else "linear")


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Seeds what Keras draws from, and leaves Python's and NumPy's generators as they were."""
    if seed is None:
        yield
        return
    with generators_left_alone():
        keras.utils.set_random_seed(seed)
        yield


def _only(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in names}


def _check_known(name: str) -> None:
    """Raises what ends Keras Tuner's search for an argument of `search` that `fit` doesn't have."""
    try:
        one_of("tuner.search", "arguments", name, ["x", "y", "initial_epoch", *_OF_FIT])
    except ValueError as error:
        raise _fatal(error) from None


def _fatal(error: Exception) -> Exception:
    """Returns an error that ends the search, where Keras Tuner would take it for a failed trial."""
    return keras_tuner.errors.FatalValueError(str(error))  # type: ignore[no-any-return]


def _let_off(callback: Any) -> Any:
    """Lets many batches go in one call, where the tuner does nothing between two of them."""
    tuner, stock = type(getattr(callback, "tuner", None)), keras_tuner.Tuner
    if issubclass(tuner, stock) and all(
        getattr(tuner, hook) is getattr(stock, hook) for hook in ("on_batch_begin", "on_batch_end")
    ):
        callback.sees_groups = True
    return callback


def _as_keras(history: History) -> keras.callbacks.History:
    """Returns a history as Keras has it, of the epochs whose numbers are all finite.

    Keras Tuner would keep the NaN of a first epoch as the best, which nothing then beats.
    """
    columns = {n: column for n, column in history.history.items() if n not in PER_EPOCH_FACTS}
    rows = [row for row in zip(*columns.values(), strict=True) if np.isfinite(row).all()]
    if not rows:
        raise keras_tuner.errors.FailedTrialError("No epoch had finite numbers.")
    theirs = keras.callbacks.History()
    theirs.epoch = list(range(len(rows)))
    theirs.history = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    return theirs
