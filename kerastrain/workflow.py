"""`build_and_fit`: a model from a builder's name to its trained weights, in one call."""

import contextlib
import functools
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import keras

from kerastrain._checks import invalid, one_of, show, whole_number
from kerastrain._rate_choice import find_rate, rate_to_compile_with
from kerastrain._repeating import first_seed_kept, folder_of, keep_first_seed, repeated
from kerastrain._settings import noting
from kerastrain.builders import ALayer
from kerastrain.building import build_for, check_learns, known_of, unpacked
from kerastrain.callbacks import copies
from kerastrain.models import Builder, builder_of
from kerastrain.records import History
from kerastrain.repeats import Repeats
from kerastrain.run import seed_kept
from kerastrain.training import OF_ONE_RUN, arguments_of_fit, drawn_seed, fit, generators_left_alone


class Trained(NamedTuple):
    """What `build_and_fit` returns.

    Attributes:
        model: The trained model.
        history: What the run did.
    """

    model: keras.Model
    history: History


@overload
def build_and_fit(
    builder: str | Builder,
    data: Any,
    *,
    a_layer: ALayer = ...,
    params: Mapping[str, Any] | None = ...,
    reuse: keras.Model | None = ...,
    layers: int | None = ...,
    frozen: bool | None = ...,
    task: str | None = ...,
    optimizer: str | keras.optimizers.Optimizer = ...,
    learning_rate: float | str | None = ...,
    metrics: Sequence[Any] | None = ...,
    seed: int | None = ...,
    repeats: None = ...,
    **fit_arguments: Any,
) -> Trained: ...


@overload
def build_and_fit(
    builder: str | Builder,
    data: Any,
    *,
    a_layer: ALayer = ...,
    params: Mapping[str, Any] | None = ...,
    reuse: keras.Model | None = ...,
    layers: int | None = ...,
    frozen: bool | None = ...,
    task: str | None = ...,
    optimizer: str | keras.optimizers.Optimizer = ...,
    learning_rate: float | str | None = ...,
    metrics: Sequence[Any] | None = ...,
    seed: int | None = ...,
    repeats: int,
    **fit_arguments: Any,
) -> Repeats: ...


def build_and_fit(
    builder: str | Builder,
    data: Any,
    *,
    a_layer: ALayer = None,
    params: Mapping[str, Any] | None = None,
    reuse: keras.Model | None = None,
    layers: int | None = None,
    frozen: bool | None = None,
    task: str | None = None,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    learning_rate: float | str | None = None,
    metrics: Sequence[Any] | None = None,
    seed: int | None = None,
    repeats: int | None = None,
    **fit_arguments: Any,
) -> Trained | Repeats:
    """Builds a model, compiles it for its task and trains it, in one call.

    A builder's `input_shape`, `classes`, `outputs` and `texts` come from the data where they
    aren't given. A model that the builder has compiled already keeps its loss, optimizer and
    metrics; `learning_rate` is given to its optimizer.

    Args:
        builder: A name of `list_models()`, or any function `f(a_layer=None, **params)`.
        data: What `load_dataset` returns, a pair `(x, y)`, a tf.data.Dataset or a PyDataset. The
            last two are asked for one batch, which can't tell the number of classes.
        a_layer: A layer, a list of layers or a function that makes one; see `build`.
        params: The builder's own parameters.
        reuse: A trained model whose lower layers to begin with; see `build`.
        layers: How many of its layers; see `build`.
        frozen: Whether they are left out of training, until `unfreeze`; see `build`.
        task: "multiclass", "binary" or "regression"; see `compile_for_task`.
        optimizer: A name or an object; see `compile_for_task`.
        learning_rate: Replaces the optimizer's own rate. "auto" sweeps for one with `lr_find`, says
            in a line what it chose, and keeps the optimizer's own where the sweep isn't reliable.
        metrics: Replaces the task's metrics.
        seed: Decides the first weights too: two calls with the same seed are the same to the bit.
            Left out, one is drawn, and Python's and NumPy's generators stay as they are.
        repeats: How often to train, each time with another seed, so as to see how far the runs
            scatter: first weights, order, dropout, and the split where one is asked for, all come
            from it. The first run has `seed` itself, and the others' are drawn from that.
            Callbacks are copied for each, and in `run` each has a folder of its own.
        **fit_arguments: Those of `fit`. Unless they say how to validate, `data.val` is used.

    Returns:
        The model and its history; with `repeats`, even of 1, all histories and the best model.

    Example:
        >>> import kerastrain as ktr
        >>> data = ktr.load_dataset("fashion_mnist_small")
        >>> model, history = ktr.build_and_fit("dense", data, epochs=1, seed=1, verbose=0)
        >>> len(history)
        1
        >>> several = build_and_fit("dense", data, epochs=1, seed=1, verbose=0, repeats=2)
        >>> several.metric, len(several.histories), several.histories[0].seed
        ('val_loss', 2, 1)
    """
    function = "build_and_fit"
    chosen = builder_of(builder, function=function, argument="builder")
    not_for_transfer = {"layers": layers, "frozen": frozen} if reuse is None else {}
    _check_fit_arguments(chosen, fit_arguments, {**not_for_transfer, "repeats": repeats})
    if repeats is not None:
        once = functools.partial(
            build_and_fit,
            builder,
            data,
            a_layer=a_layer,
            params=params,
            reuse=reuse,
            layers=layers,
            frozen=frozen,
            task=task,
            optimizer=optimizer,
            learning_rate=learning_rate,
            metrics=metrics,
        )
        return _repeated(once, repeats, seed, fit_arguments)
    rate = rate_to_compile_with(learning_rate)
    (x, y), validation_data, *_ = unpacked(data, function=function)
    if not {"validation_data", "validation_split"} & set(fit_arguments):
        fit_arguments["validation_data"] = validation_data
    known = known_of(data, function=function)
    run = fit_arguments.get("run")
    drawn = drawn_seed(seed_kept(run) if seed is None and run is not None else seed)
    with contextlib.ExitStack() as stack:
        if seed is None:
            stack.enter_context(generators_left_alone())
        keras.utils.set_random_seed(drawn)
        model = build_for(
            known,
            builder,
            function=function,
            a_layer=a_layer,
            params=params,
            task=task,
            optimizer=optimizer,
            learning_rate=rate,
            metrics=metrics,
            reuse=reuse,
            layers=layers,
            frozen=frozen,
        )
        if reuse is not None:
            check_learns(model, layers, fit_arguments.get("unfreeze"))
        if learning_rate == "auto":
            find_rate(model, x, y, fit_arguments, drawn)
        with noting(_settings_of(builder, data, params, reuse)):
            return Trained(model, fit(model, x, y, seed=drawn, **fit_arguments))


def _repeated(
    once: Callable[..., Trained], repeats: int, seed: int | None, arguments: Mapping[str, Any]
) -> Repeats:
    """Does what `build_and_fit` does, several times, and keeps the seeds that it has drawn."""
    count = whole_number("build_and_fit", "repeats", repeats, least=1)
    folder = folder_of(arguments.get("run"))
    given = first_seed_kept(folder, seed)
    first = drawn_seed(given)

    def train(seed: int, run: pathlib.Path | None) -> Trained:
        own = {"run": run, "callbacks": copies(arguments.get("callbacks") or ())}
        return once(seed=seed, **{**arguments, **own})

    with contextlib.ExitStack() as stack:
        if given is None:
            stack.enter_context(generators_left_alone())
        keep_first_seed(folder, first)
        return repeated(
            train, count=count, first=first, folder=folder, verbose=arguments.get("verbose", "auto")
        )


def _settings_of(
    builder: str | Builder, data: Any, params: Mapping[str, Any] | None, reuse: Any
) -> dict[str, Any]:
    """Returns what the history is to note of where model and data come from."""
    name = builder if isinstance(builder, str) else getattr(builder, "__name__", None)
    given = {f"params.{key}": value for key, value in (params or {}).items()}
    source = os.fspath(reuse) if isinstance(reuse, os.PathLike) else reuse
    return {"builder": name, **given, "reuse": source, "data": getattr(data, "name", None)}


def _check_fit_arguments(
    builder: Builder, arguments: dict[str, Any], others: Mapping[str, Any]
) -> None:
    """Raises where an argument isn't `fit`'s, or is one of others but meant for the builder."""
    known = [*arguments_of_fit(), *OF_ONE_RUN]
    theirs = inspect.signature(builder).parameters
    meant = {k: v for k, v in others.items() if k in theirs and v is not None}
    for name, value in (arguments | meant).items():
        if name in theirs and name not in known:
            must = (
                f"be passed in `params`, as the builder's own: params={{{name!r}: {show(value)}}}"
            )
            raise invalid("build_and_fit", name, must, f"{name}={show(value)}")
        one_of("build_and_fit", "fit_arguments", name, known)
