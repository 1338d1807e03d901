"""What an optimizer keeps: its rate, its count of steps, the optimizer within; and its copy."""

from typing import Any

import keras


def inner_of(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns the optimizer that does the steps, of which another may scale the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def iterations_of(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """Returns the count of batches that Keras hands to schedules.

    `optimizer.iterations` is another where gradients are accumulated: the count of updates.
    """
    variables = inner_of(optimizer).variables
    return next(variable for variable in variables if variable.name == "iteration")


def variable_rate_of(optimizer: keras.optimizers.Optimizer) -> keras.Variable | None:
    """Returns the variable that holds the rate, or `None` where a schedule or a function tells it.

    Example:
        >>> float(variable_rate_of(keras.optimizers.SGD(0.5)) + 0.0)
        0.5
        >>> decay = keras.optimizers.schedules.CosineDecay(0.5, 10)
        >>> variable_rate_of(keras.optimizers.SGD(decay)) is None
        True
    """
    try:
        rate = getattr(optimizer, "learning_rate", None)
    except ValueError:  # A schedule of ours that doesn't know its steps yet.
        return None
    return rate if isinstance(rate, keras.Variable) else None


def as_given(rate: keras.Variable) -> float:
    """Returns a rate as it was before it became a float32: 0.001, not 0.0010000000474974513."""
    return float(f"{float(rate + 0.0):.6g}")


def follow(optimizer: keras.optimizers.Optimizer, schedule: Any) -> None:
    """Gives an optimizer a schedule, also where its own can't be asked, not knowing its steps."""
    inner = inner_of(optimizer)
    # An assignment would ask for the rate so far.
    type(inner).learning_rate.fset(inner, schedule)


def rate_of_last_step(optimizer: keras.optimizers.Optimizer) -> float | None:
    """Returns the rate that the last step went at, or `None` for an optimizer without one.

    A schedule tells the next step's, which in a run's last epoch nobody goes at.
    """
    rate = getattr(optimizer, "learning_rate", None)
    if rate is not None and not isinstance(rate, keras.Variable):
        iterations = iterations_of(optimizer)
        iterations.assign_sub(1)
        try:
            rate = optimizer.learning_rate
        finally:
            iterations.assign_add(1)
    # A sum is one tensor, also where the variable lives on several devices.
    return None if rate is None else float(rate + 0.0)


def copy_at_a_rate(
    optimizer: keras.optimizers.Optimizer, variables: list[Any], rate: float
) -> keras.optimizers.Optimizer:
    """Returns an optimizer in the same state, but with a rate in place of its schedule.

    Args:
        optimizer: An optimizer with a schedule.
        variables: The variables that it trains.
        rate: The rate.
    """
    copy = type(optimizer).from_config(_at_a_rate(optimizer.get_config(), rate))
    for one in (optimizer, copy):
        if not one.built:
            one.build(variables)
    state = [variable for variable in copy.variables if variable is not copy.learning_rate]
    for ours, theirs in zip(state, optimizer.variables, strict=True):
        ours.assign(theirs)
    return copy


def _at_a_rate(config: dict[str, Any], rate: float) -> dict[str, Any]:
    if "inner_optimizer" not in config:
        return config | {"learning_rate": rate}
    inner = config["inner_optimizer"]  # Of a LossScaleOptimizer.
    return config | {"inner_optimizer": inner | {"config": _at_a_rate(inner["config"], rate)}}


def training_also(
    optimizer: keras.optimizers.Optimizer, variables: list[Any]
) -> keras.optimizers.Optimizer | None:
    """Returns an optimizer in the same state that can train more variables.

    Keras's own keeps to those that it was built for, so where it is built already, this is a copy.
    What it keeps of a variable is told by its name, which begins with the variable's path.

    Args:
        optimizer: An optimizer.
        variables: The variables that it trains already, and others among them.

    Returns:
        The optimizer; `None` where it can't be copied.
    """
    if not optimizer.built:
        optimizer.build(variables)
        return optimizer
    try:
        copy = type(optimizer).from_config(optimizer.get_config())
        copy.build(variables)
    except Exception:  # Of an optimizer or a schedule of the user's that settings don't tell.
        return None
    kept, new = (_by_name(one.variables) for one in (optimizer, copy))
    if any(len(new.get(name, ())) != len(those) for name, those in kept.items()):
        return None
    for name, those in kept.items():
        for ours, theirs in zip(new[name], those, strict=True):
            ours.assign(theirs)
    return copy


def _by_name(variables: list[Any]) -> dict[str, list[Any]]:
    named: dict[str, list[Any]] = {}
    for variable in variables:
        named.setdefault(variable.name, []).append(variable)
    return named
