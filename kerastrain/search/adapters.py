"""What any library that minimises a function needs: a function from parameters to a number."""

import contextlib
import dataclasses
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerastrain._checks import invalid, real_number, seed_number, show
from kerastrain.building import unpacked
from kerastrain.data import is_stream, rows_of
from kerastrain.models import Builder
from kerastrain.monitors import direction
from kerastrain.records import History
from kerastrain.search.parameters import Routed, routed, watched_for
from kerastrain.search.values import check_is_measured, check_is_new, measure_in, value_of
from kerastrain.training import generators_left_alone
from kerastrain.workflow import Trained, build_and_fit

_ONE_AT_A_TIME = threading.Lock()
"""Keras draws the first weights from generators that all threads share."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """A function from parameters to a number, of which less is better; `objective` makes it.

    It holds its arguments and nothing else, so that it can be sent to other processes.

    Attributes:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        data: What `build_and_fit` takes.
        metric: The column of the history that is minimised or maximised.
        mode: "min" if less of it is better, "max" if more is.
        lost: The value of a run that is lost to NaN.
        always: The parameters and arguments of every call.
    """

    builder: str | Builder
    data: Any
    metric: str
    mode: str
    lost: float
    always: Routed

    def __call__(self, params: Mapping[str, Any] | None = None, /, **named: Any) -> float:
        """Builds and trains a model, and returns the metric of its best epoch; less is better.

        Args:
            params: The parameters as a dict, as Hyperopt hands them over.
            **named: The parameters as keywords, as scikit-optimize's `use_named_args` does.
        """
        trained, arguments = self._trained({**_as_dict(params), **named})
        name = self._name_in(trained.history.history)
        value = value_of(trained, name, arguments=arguments)
        if not math.isfinite(value):
            return self.lost
        return value if self.mode == "min" else -value

    def history(self, params: Mapping[str, Any] | None = None, /, **named: Any) -> History:
        """Does what a call does, and returns the whole history in place of the number.

        Raises:
            KeyboardInterrupt: If the run was interrupted, so that the search ends as well.
        """
        return self._trained({**_as_dict(params), **named})[0].history

    def _trained(self, params: dict[str, Any]) -> tuple[Trained, dict[str, Any]]:
        """Returns what came of a run, and the arguments that it was given."""
        found = routed(self.builder, params, function="objective")
        arguments = {**self.always.arguments, **found.arguments}
        watcher = _AfterFirstEpoch(self._name_in)
        arguments = watched_for(self.metric, self.mode, arguments, watcher)
        arguments["params"] = {**self.always.params, **found.params}
        # A seeded run seeds the global generators, and a search that draws from them would draw the
        # same after every run. Without a seed `build_and_fit` draws one there, and that must count.
        is_seeded = arguments["seed"] is not None
        alone = generators_left_alone() if is_seeded else contextlib.nullcontext()
        with _ONE_AT_A_TIME, alone:
            trained = build_and_fit(self.builder, self.data, **arguments)
        if trained.history.stop_reason == "interrupted":
            raise KeyboardInterrupt
        check_is_new(trained.model, function="objective", argument="builder")
        return trained, arguments

    def _name_in(self, logs: Mapping[str, Any]) -> str:
        """Returns the name under which a run has the metric, or raises, listing what it has."""
        return measure_in(self.metric, logs, function="objective")


def objective(
    builder: str | Builder,
    data: Any,
    *,
    metric: str = "val_loss",
    mode: str = "auto",
    params: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    lost: float = math.inf,
    verbose: str | int = 0,
    **arguments: Any,
) -> Objective:
    """Makes a function from parameters to a number, for any library that minimises one.

    Each call builds a model, trains it, and returns the metric of its best epoch, as the history
    has it; with `restore_best=False`, of its last one. Less is better: of a metric of which more is
    better, such as `val_accuracy`, it returns the negative. A parameter goes to the builder where
    it has one of that name, else to `build_and_fit` and `fit`: `epochs`, `batch_size`,
    `learning_rate`, `optimizer`, `patience` and the rest. What a call is given comes before what
    was given here.

    A run that ends with weights of NaN counts as infinity, and the search goes on. What else fails
    is raised, the builder's errors among it, and so is Ctrl-C.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        data: What `load_dataset` returns, a pair `(x, y)`, a tf.data.Dataset or a PyDataset.
        metric: A column of the history, which also chooses the best epoch, unless `monitor` or an
            `EarlyStopping` in `callbacks` does.
        mode: "min" if lower is better, "max" if higher is, "auto" to tell from the metric's name.
        params: The builder's parameters that stay the same.
        seed: Of every run, so that nothing but the parameters makes a difference; `None` draws
            another one each time. A seed leaves Python's and NumPy's own generators as they are.
        lost: What a run counts that is lost to NaN; scikit-optimize takes no infinity.
        verbose: As in `fit`.
        **arguments: More of `build_and_fit` for every run, such as `epochs` or `patience`.
            Callbacks are copied for each.

    Returns:
        The function, which takes the parameters as a dict or as keywords, and can be pickled where
        builder and data can. Its `history` returns the run's history in place of the number.

    Raises:
        ValueError: If an argument's value is out of range.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import kerastrain as ktr
        >>> data = ktr.load_dataset("fashion_mnist_small")
        >>> error = objective("dense", data, metric="val_accuracy", epochs=1)
        >>> -1 < error({"units": 16, "batch_size": 128}) == error(units=16, batch_size=128) < -0.5
        True
    """
    function = "objective"
    always = routed(builder, {**_as_dict(params), **arguments}, function=function)
    if not isinstance(metric, str):
        must = "be the name of a metric"
        raise invalid(function, "metric", must, f"metric={show(metric)}", kind=TypeError)
    mode = direction(metric, mode, function=function)
    _check_data(data, always.arguments, metric)
    if not (isinstance(lost, float) and lost == math.inf):
        lost = real_number(function, "lost", lost)
    seed = None if seed is None else seed_number(function, seed)
    always.arguments.update(seed=seed, verbose=verbose)
    return Objective(builder, data, metric, mode, lost, always)


class _AfterFirstEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets the metric be looked up as soon as there is one: the whole run may take long."""

    def __init__(self, look_up: Callable[[Mapping[str, Any]], str]) -> None:
        super().__init__()
        self._look_up = look_up

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 0:
            self._look_up(logs or {})


def _as_dict(params: Any) -> Mapping[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        must = "be a dict or keywords; skopt.utils.use_named_args makes keywords of a list"
        raise invalid("objective", "params", must, f"params={show(params)}", kind=TypeError)
    return params


def _check_data(data: Any, arguments: Mapping[str, Any], metric: str) -> None:
    """Raises for what would else be noticed in the first run, which may come late."""
    (x, y), validation, *_ = unpacked(data, function="objective")
    if not is_stream(x):
        rows_of(x, y, function="objective")
    if {"validation_data", "validation_split"} & set(arguments):
        split = arguments.get("validation_split", 0.0) != 0.0
        validated = split or arguments.get("validation_data") is not None
    else:
        validated = validation is not None
    check_is_measured(metric, arguments, is_validated=validated, function="objective")
