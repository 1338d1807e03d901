"""The rate that `build_and_fit` gives an optimizer: the caller's, or what a sweep suggests."""

from collections.abc import Mapping
from typing import Any

import keras

from kerastrain._checks import flag, invalid, real_number, whole_number
from kerastrain._optimizers import variable_rate_of
from kerastrain.data import rows_of, split_positions
from kerastrain.lr_finder import lr_find
from kerastrain.surfaces import say
from kerastrain.tasks import class_of_each_row


def rate_to_compile_with(learning_rate: float | str | None) -> float | None:
    """Returns the rate; `None`, and so the optimizer's own, where a sweep is to find it."""
    if not isinstance(learning_rate, str):
        return learning_rate
    if learning_rate != "auto":
        must, received = "be a number or 'auto'", f"learning_rate={learning_rate!r}"
        raise invalid("build_and_fit", "learning_rate", must, received)
    return None


def find_rate(model: keras.Model, x: Any, y: Any, arguments: Mapping[str, Any], seed: int) -> None:
    """Gives the optimizer the rate that a sweep suggests, if it is reliable, and says so."""
    own = variable_rate_of(model.optimizer)
    if own is None:
        must = "be left out beside an optimizer that runs a schedule"
        raise invalid("build_and_fit", "learning_rate", must, "learning_rate='auto'")
    whole_number("fit", "epochs", arguments.get("epochs", 1), least=1)
    named = {name: arguments[name] for name in ("batch_size", "class_weight") if name in arguments}
    x, y, weight = _rows_to_sweep(model, (x, y, arguments.get("sample_weight")), arguments, seed)
    sweep = lr_find(model, x, y, sample_weight=weight, **named)
    if sweep.reliable:
        model.optimizer.learning_rate = sweep.suggestion
        why = f"from a sweep of {len(sweep.rates)} steps"
    else:
        why = f"the optimizer's own, since the sweep isn't reliable: {sweep.note}"
    say(arguments.get("verbose", "auto"), f"learning_rate={float(own + 0.0):.2g}, {why}")


def _rows_to_sweep(
    model: keras.Model, data: tuple[Any, Any, Any], arguments: Mapping[str, Any], seed: int
) -> tuple[Any, Any, Any]:
    """Returns the rows that `fit` will train on, without those that it will hold out."""
    fraction = arguments.get("validation_split", 0.0)
    if not fraction:
        return data
    rows = rows_of(*data, function="build_and_fit")
    positions, _ = split_positions(
        len(rows),
        real_number("fit", "validation_split", fraction, least=0, below=1),
        seed=seed,
        shuffle=flag("fit", "shuffle", arguments.get("shuffle", True)),
        labels=class_of_each_row(model, rows.y),
    )
    trained = rows.take(positions)
    return trained.x, trained.y, trained.weight
