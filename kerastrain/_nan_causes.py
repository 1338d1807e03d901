"""What may have made weights NaN, found by looking at rate, data and labels."""

from typing import Any

import keras

from kerastrain._optimizers import rate_of_last_step
from kerastrain._progress_text import ordinal
from kerastrain.check_records import Report
from kerastrain.checking import check, preflight
from kerastrain.sources import Source

_CAUSES = (
    *("unusual-rate", "missing-values", "infinite-values", "too-large", "unscaled", "grey-levels"),
    *("large-targets", "targets-out-of-reach", "tokens-out-of-range", "odd-weights"),
    *("x", "y", "model"),
)
"""Findings with which numbers may grow until there are none."""


def findings_of(model: keras.Model, source: Source, *, batch_size: int, shuffle: bool) -> Report:
    """Looks at a model and the data of a run, of a stream at its first batches."""
    if source.rows is None:
        return check(model, source.parts["x"], batch_size=batch_size)
    return preflight(model, source.rows, source.held_out, batch_size=batch_size, shuffle=shuffle)


def told_of_nan(epoch: int, model: keras.Model, found: Report) -> str:
    """Says where weights became NaN, and why that may be.

    Args:
        epoch: The epoch.
        model: The model, at its best weights again.
        found: What a look at it and its data has found.
    """
    rate = rate_of_last_step(model.optimizer)
    causes = [finding.sentence for finding in found.findings if finding.code in _CAUSES]
    if not causes:
        causes = [
            "Data and labels look sound: take a tenth of the rate, see where the loss turns up "
            "with lr_find(), or give the optimizer clipnorm=1.0."
        ]
    at = "" if rate is None else f", at a rate of {rate:g}"
    return " ".join([f"NaN in the {ordinal(epoch + 1)} epoch{at}.", *causes])


def told(report: Any, *, most: int = 5) -> list[str]:
    """Returns the lines in which `fit` tells what it has found."""
    lines = [f"check: {finding}" for finding in report.findings[:most]]
    left = len(report.findings) - most
    return lines + ([f"check: {left} more; print(ktr.check(…)) has them all"] if left > 0 else [])
