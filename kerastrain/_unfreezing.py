"""How a run lets frozen layers go: when, at which rate, and with which optimizer.

Keras's optimizers train the variables that they were built for, and its functions those that were
trainable when they were traced. So the optimizer is built for all of them before the run, and the
step is traced anew when the layers are let go.
"""

from collections.abc import Callable
from typing import Any

import keras

from kerastrain._checks import invalid, real_number, show, whole_number
from kerastrain._following import rate_setters
from kerastrain._optimizers import as_given, training_also, variable_rate_of
from kerastrain.architecture import layers_of

_PART_OF_RATE = 10
"""What the rate is divided by where none is given, as is usual for fine tuning."""


class Unfreezing(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets a model's frozen layers go at the start of an epoch.

    Args:
        model: A compiled model, of which some layers have `trainable=False`.
        epoch: The epoch, from 0.
        rate: The rate from then on; `None` for a tenth of the one that there is by then.
        sets_rate: Whether the rate is to change at all.

    Attributes:
        epoch: The same.
        renew: What has the step traced anew; whoever executes the run sets it.
    """

    def __init__(
        self, model: keras.Model, epoch: int, rate: float | None, *, sets_rate: bool
    ) -> None:
        super().__init__()
        self.epoch = epoch
        self.renew: Callable[[], Any] = lambda: None
        self._trained, self._rate, self._sets_rate = model, rate, sets_rate
        self._is_done = False

    def prepare(self) -> None:
        """Has the optimizer know all layers' variables, and forgets what was traced before."""
        model = self._trained
        with model.distribute_strategy.scope():
            optimizer = training_also(model.optimizer, _trainable_later(model))
        if optimizer is None:
            must = (
                "be left out beside an optimizer that is in use already and can't be made again "
                "from its settings: compile the model with a new one"
            )
            raise invalid("fit", "unfreeze", must, type(model.optimizer).__name__)
        model.optimizer, model.train_function = optimizer, None
        if self.epoch == 0:
            self.let_go()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Lets the layers go, when it is time."""
        if epoch >= self.epoch:
            self.let_go()

    def get_state(self) -> dict[str, Any]:
        """Returns whether they are let go."""
        return {"is_done": self._is_done}

    def set_state(self, state: dict[str, Any]) -> None:
        """Lets them go, where they were; the rate is put back with the optimizer."""
        if state["is_done"]:
            self._sets_rate = False
            self.let_go()

    def let_go(self) -> None:
        """Makes all layers trainable, lowers the rate, and has the step traced anew; once."""
        if self._is_done:
            return
        self._is_done = True
        for layer in _frozen(self._trained):
            layer.trainable = True
        rate = variable_rate_of(self._trained.optimizer)
        if self._sets_rate and rate is not None:
            rate.assign(as_given(rate) / _PART_OF_RATE if self._rate is None else self._rate)
        self.renew()


def unfreezing_for(
    model: keras.Model,
    epoch: int | None,
    rate: float | None,
    *,
    epochs: int,
    schedule: Any,
    callbacks: list[Any],
) -> Unfreezing | None:
    """Returns what lets the layers go, or `None` where nothing is to be; changes nothing yet.

    Args:
        model: The compiled model.
        epoch: The epoch, from 0, at whose start they are let go.
        rate: The rate from then on.
        epochs: The epochs of the run.
        schedule: The run's schedule, if it is given one.
        callbacks: The user's.

    Raises:
        ValueError: If that can't be.
    """
    if epoch is None:
        if rate is not None:
            received = f"unfreeze_rate={show(rate)}"
            raise invalid("fit", "unfreeze_rate", "be left out without `unfreeze`", received)
        return None
    epoch = whole_number("fit", "unfreeze", epoch, least=0)
    if epoch >= epochs:
        must = f"be below `epochs` ({epochs}), or the frozen layers are never trained"
        raise invalid("fit", "unfreeze", must, f"unfreeze={epoch}")
    _check_model(model, epoch)
    setters = [name for name in rate_setters(callbacks) if name == "LearningRateScheduler"]
    is_set = schedule is not None or variable_rate_of(model.optimizer) is None or bool(setters)
    if rate is not None:
        real_number("fit", "unfreeze_rate", rate, above=0)
        if is_set:
            must = "be left out where a schedule sets the rate, which goes on as it is"
            raise invalid("fit", "unfreeze_rate", must, f"unfreeze_rate={show(rate)}")
    return Unfreezing(model, epoch, rate, sets_rate=not is_set)


def _check_model(model: keras.Model, epoch: int) -> None:
    if not model.built:
        must = "be left out for a model that isn't built: call it on data first"
        raise invalid("fit", "unfreeze", must, f"unfreeze={epoch}")
    if len(_trainable_later(model)) == len(model.trainable_variables):
        must = "be left out for a model without frozen layers"
        raise invalid("fit", "unfreeze", must, f"unfreeze={epoch}")
    if epoch and not model.trainable_variables:
        must = "be 0 for a model whose layers are all frozen, of which nothing would be trained"
        raise invalid("fit", "unfreeze", must, f"unfreeze={epoch}")
    if getattr(model.optimizer, "use_ema", False):
        must = "be left out beside an optimizer with use_ema=True, which averages frozen layers too"
        raise invalid("fit", "unfreeze", must, f"unfreeze={epoch}")


def _frozen(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers with `trainable=False`, the model itself among them, outer ones first."""
    return [layer for layer in (model, *layers_of(model)) if not layer.trainable]


def _trainable_later(model: keras.Model) -> list[Any]:
    """Returns the variables that will be trainable when no layer is frozen any more."""
    flags = [(layer, layer.trainable) for layer in (model, *layers_of(model))]
    try:
        for layer in _frozen(model):
            layer.trainable = True
        return list(model.trainable_variables)
    finally:
        for layer, flag in flags:
            if layer.trainable != flag:
                layer.trainable = flag  # Of a model, that of its layers too.
