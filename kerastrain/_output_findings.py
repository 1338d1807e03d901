"""What a model's outputs before training tell; one function a finding, on plain arrays."""

import math
import re

import numpy as np

from kerastrain.check_records import Finding, error, warning
from kerastrain.metrics import Head, Loss


def not_run(rows: int, argument: str, exception: Exception) -> Finding:
    """A layer raises."""
    return error(
        "not-run",
        "model",
        f"`model` can't be run on {rows:,} rows of `{argument}` ({_said(exception)}): look at the "
        f"layer that raises this, with model.predict({argument}).",
    )


def no_loss(y: tuple[int, ...], outputs: tuple[int, ...], exception: Exception) -> Finding:
    """The loss can't be had of such targets and outputs."""
    return error(
        "no-loss",
        "y",
        f"The loss of {y[0]:,} rows can't be had of `y` with rows of shape {y[1:]} and outputs of "
        f"shape {outputs[1:]} ({_said(exception)}): bring `y` to the shape of the outputs, or "
        "without the last side for sparse_categorical_crossentropy.",
    )


def odd_outputs(outputs: np.ndarray) -> Finding | None:
    """NaN or infinity, from finite inputs."""
    rows = ~np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)
    if not rows.any():
        return None
    return error(
        "odd-outputs",
        "model",
        f"`model` gives NaN or infinity for {int(rows.sum()):,} of {len(outputs):,} rows: look for "
        "a division by 0, a logarithm of 0 or an exponential in its layers, and at the scale of "
        "`x`.",
    )


def outputs_alike(outputs: np.ndarray, inputs_differ: bool) -> Finding | None:
    """Dead: whatever comes in, the same comes out."""
    if len(outputs) < 2 or not inputs_differ or not (outputs == outputs[:1]).all():
        return None
    return warning(
        "outputs-alike",
        "model",
        f"`model` gives the same output, {outputs.flat[0]:.3g}, for all of {len(outputs):,} "
        "different rows: a layer within gives 0 for all of them, as relu does where its weights or "
        "its inputs are large and negative; build it afresh and scale `x`.",
    )


def first_loss(loss: float, y: np.ndarray, head: Head | None, kind: Loss | None) -> Finding | None:
    """The loss before training is far above that of a guess, to which training must first come.

    A new model gives all classes about the same share, ln(classes) a row, and numbers near 0.
    """
    if kind is None or not math.isfinite(loss):
        return None
    if kind.name.endswith("categorical_crossentropy"):
        if head is None:
            return None
        guess, why, most = math.log(head.units), f"ln {head.units}", 2 * math.log(head.units) + 2
    elif kind.name == "binary_crossentropy":
        guess, why, most = math.log(2), "ln 2", 2 * math.log(2) + 2
    elif kind.name in ("mean_squared_error", "mean_absolute_error"):
        power = 2 if kind.name == "mean_squared_error" else 1
        guess = float(np.mean(np.abs(y.astype(float)) ** power))
        # Small targets are soon reached, however far a model begins from them.
        why, most = "predicting 0", max(10 * guess, 10.0)
    else:
        return None
    if loss <= most:
        return None
    return warning(
        "first-loss",
        "model",
        f"The loss is {loss:.3g} before training, where a new model should have about {guess:.3g} "
        f"({why}): scale `x` to numbers near 1, and leave kernel_initializer at Keras's own.",
    )


def not_overfitted(
    rows: int, steps: tuple[int, int], losses: tuple[float, float], optimizer: str
) -> Finding:
    """One batch couldn't be learnt by heart, by the model's own optimizer nor by Adam."""
    return warning(
        "not-overfitted",
        "model",
        f"`model` couldn't learn one batch of {rows} rows by heart: {steps[0]} steps of "
        f"{optimizer}, and from the start again {steps[1]} of Adam at 0.01, brought its loss from "
        f"{losses[0]:.3g} to {losses[1]:.3g}: look whether x and y belong together row by row, "
        "take a larger model, and less dropout and regularisation until it can.",
    )


def slow_rate(
    rows: int, steps: tuple[int, int], losses: tuple[float, float, float], optimizer: str
) -> Finding:
    """Adam at 0.01 learnt by heart what the model's own optimizer hardly began with."""
    before, own, after = losses
    return warning(
        "slow-rate",
        "model",
        f"{steps[0]} steps of {optimizer} on one batch of {rows} rows brought the loss from "
        f"{before:.3g} to {own:.3g}, and {steps[1]} of Adam at 0.01 to {after:.3g}: take the rate "
        "that lr_find(model, x, y) suggests, and scale large targets.",
    )


def _said(exception: Exception) -> str:
    plain = re.sub(r"\x1b\[\d+m", "", str(exception))  # Keras prints it in bold.
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    # Keras begins with the layer, and says what was wrong in the next line.
    what = next((line for line in lines if not line.startswith("Exception encountered")), "")
    return f"{type(exception).__name__}: {what[:200].rstrip('.')}"
