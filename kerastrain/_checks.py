"""The one place where argument errors are worded.

Every message is one sentence of the same form, so that a reader finds at once which call, which
argument, what is allowed and what came:

    `fit`: `epochs` must be at least 1. Received: epochs=0.
"""

import difflib
import importlib
import math
import numbers
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any


def invalid(
    function: str,
    argument: str,
    must: str,
    received: str,
    *,
    kind: type[Exception] = ValueError,
) -> Exception:
    """Words an argument error; the caller raises it.

    Args:
        function: The public function that the user called.
        argument: The argument that is wrong.
        must: What is allowed, completing "must ...".
        received: What came, as the user would write it, such as `"epochs=0"`.
        kind: `ValueError` for a value, `TypeError` for a kind.

    Example:
        >>> print(invalid("fit", "epochs", "be at least 1", "epochs=0"))
        `fit`: `epochs` must be at least 1. Received: epochs=0.
    """
    return kind(f"`{function}`: `{argument}` must {must}. Received: {received}.")


def whole_number(function: str, argument: str, value: object, *, least: int) -> int:
    """Returns `value` as a Python int that is at least `least`, or raises."""
    received = f"{argument}={show(value)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise invalid(function, argument, "be a whole number", received, kind=TypeError)
    if value < least:
        raise invalid(function, argument, f"be at least {least}", received)
    return int(value)


def real_number(
    function: str,
    argument: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Returns `value` as a float with `least <= value`, `above < value < below`, or raises."""
    received = f"{argument}={show(value)}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise invalid(function, argument, "be a number", received, kind=TypeError)
    try:
        number = float(value)
    except OverflowError:  # An int may be larger than any float.
        number = -math.inf if value < 0 else math.inf
    if not (math.isfinite(number) and least <= number and above < number < below):
        bounds = [
            f"at least {least:g}" if least > -math.inf else "",
            f"above {above:g}" if above > -math.inf else "",
            f"below {below:g}" if below < math.inf else "",
        ]
        is_between = max(least, above) <= number <= below
        if not any(bounds) or (math.isinf(number) and is_between):
            bounds.insert(0, "finite")  # Infinity is above what it has to be above.
        must = "be " + " and ".join(filter(None, bounds))
        raise invalid(function, argument, must, received)
    return number


def flag(function: str, argument: str, value: object) -> bool:
    """Returns `value` if it is True or False, or raises: "no" would count as True."""
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    received = f"{argument}={show(value)}"
    raise invalid(function, argument, "be True or False", received, kind=TypeError)


def one_of(function: str, argument: str, value: object, allowed: Iterable[str]) -> str:
    """Returns `value` if it is one of `allowed`, or raises, listing them."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    must = f"be one of {', '.join(repr(name) for name in names)}{nearest(value, names)}"
    kind = ValueError if isinstance(value, str) else TypeError
    raise invalid(function, argument, must, f"{argument}={show(value)}", kind=kind)


def names_in(value: Any) -> list[str] | None:
    """Returns names out of a list, a tuple or an array of them; `None` of anything else.

    Example:
        >>> names_in(("cat", "dog")), names_in("cat")
        (['cat', 'dog'], None)
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return [str(name) for name in value] if is_list else None


def seed_number(function: str, value: object) -> int:
    """Returns `value` as a seed that NumPy's generators take, or raises."""
    number = whole_number(function, "seed", value, least=0)
    if number > 2**32 - 1:
        raise invalid(function, "seed", "be at most 4294967295", f"seed={number}")
    return number


def show(value: object) -> str:
    """Returns a short `repr`: arrays by shape and type, long texts cut.

    Example:
        >>> import numpy as np
        >>> show(np.zeros((3, 4), "float32"))
        '<ndarray of shape (3, 4), float32>'
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape and dtype is not None:
        return f"<{type(value).__name__} of shape {tuple(shape)}, {getattr(dtype, 'name', dtype)}>"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def labels_checked(function: str, labels: Any, count: int, *, of: str) -> list[str]:
    """Returns the labels of so many things of a kind, such as "history", or raises."""
    names = [labels] if isinstance(labels, str) else names_in(labels)
    if names is None or len(names) != count:
        must = f"be a list of one label per {of} ({count})"
        raise invalid(function, "labels", must, f"labels={show(labels)}")
    return names


def needs(module: str, *, extra: str, function: str, install: str | None = None) -> ModuleType:
    """Imports an optional package, or raises with the line that installs it.

    Args:
        module: The module to import, such as `"sklearn.datasets"`.
        extra: The extra of this package that brings it.
        function: The public call that needs it.
        install: What to install in place of the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        package = {"sklearn": "scikit-learn", "keras_tuner": "keras-tuner"}.get(name, name)
        line = install or f"'kerastrain[{extra}]'"
        raise ImportError(
            f"`{function}` needs {package}, which is not installed. "
            f"Install it with: pip install {line}"
        ) from error


def nearest(value: Any, names: list[str]) -> str:
    """Returns a hint at the name that was probably meant, or nothing."""
    near = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""
