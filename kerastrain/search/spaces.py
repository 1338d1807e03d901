"""What a search may try: the values of each parameter, in the manner of scikit-learn's searches.

A space is a dict from names to lists, ranges or SciPy's distributions, or a function of Optuna's
trial that returns the parameters, where one parameter decides which others there are.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from kerastrain._checks import invalid, show
from kerastrain.search.parameters import as_python
from kerastrain.search_records import is_plain

ASpace: TypeAlias = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]

_LOGARITHMIC = ("loguniform", "reciprocal", "LogUniform")
_PLAIN = (bool, int, float, str, type(None))
_WHAT = "a list, a range or a SciPy distribution"


class _Dimension(Protocol):
    """The values that one parameter may have."""

    def suggested(self, trial: Any, name: str) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several values of any kind."""

    values: tuple[Any, ...]

    def suggested(self, trial: Any, name: str) -> Any:
        """Returns the value that a trial of Optuna's takes."""
        return self._by_label[trial.suggest_categorical(name, self.labels)]

    @property
    def labels(self) -> list[Any]:
        """The values as storages keep them."""
        return list(self._by_label)

    @functools.cached_property
    def _by_label(self) -> dict[Any, Any]:
        """Storages keep numbers and strings only, so a value of another kind goes by its text."""
        labels = [_label(value) for value in self.values]
        if len(set(labels)) < len(labels):  # As True and 1 are the same to a dict.
            labels = [f"{number}: {label}" for number, label in enumerate(labels)]
        return dict(zip(labels, self.values, strict=True))


@dataclasses.dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both among them, in equal steps."""

    low: int
    high: int
    step: int = 1

    def suggested(self, trial: Any, name: str) -> Any:
        """Returns the value that a trial of Optuna's takes."""
        return trial.suggest_int(name, self.low, self.high, step=self.step)

    @property
    def labels(self) -> Sequence[Any]:
        """All of them."""
        return range(self.low, self.high + 1, self.step)


@dataclasses.dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`, all alike or all orders of magnitude alike."""

    low: float
    high: float
    log: bool = False

    def suggested(self, trial: Any, name: str) -> Any:
        """Returns the value that a trial of Optuna's takes."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclasses.dataclass(frozen=True)
class Quantile:
    """Any other distribution: the sampler draws a part of 1, and `at` gives the value there."""

    at: Callable[[float], Any]
    is_whole: bool

    def suggested(self, trial: Any, name: str) -> Any:
        """Returns the value that a trial of Optuna's takes."""
        # Not 0 and 1, where many a distribution has no finite value.
        value = self.at(trial.suggest_float(name, 1e-6, 1 - 1e-6))
        return int(value) if self.is_whole else float(value)


@dataclasses.dataclass(frozen=True)
class Space:
    """What a search may try; `space_of` makes it.

    Attributes:
        dimensions: From names to what they may be; `None` where a function says so.
        function: That function, of Optuna's trial.
    """

    dimensions: dict[str, _Dimension] | None = None
    function: Callable[[Any], Any] | None = None

    def params(self, trial: Any) -> dict[str, Any]:
        """Returns the parameters of a trial, a new one or one that was made before."""
        if self.function is None:
            dimensions = (self.dimensions or {}).items()
            return {name: _suggested(trial, name, dimension) for name, dimension in dimensions}
        params = self.function(trial)
        if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
            must = "return a dict from names to values, where it is a function"
            raise invalid("search", "space", must, show(params), kind=TypeError)
        return as_python(dict(params))  # type: ignore[no-any-return]

    @property
    def size(self) -> float:
        """How many combinations there are."""
        if self.dimensions is None:
            return math.inf
        return math.prod(len(labels) if labels else math.inf for labels in self._labels())

    def combination(self, number: int) -> dict[str, Any]:
        """Returns one of all combinations, as storages keep it; the last parameter turns fastest.

        Example:
            >>> space = space_of({"units": [8, 16, 24], "activation": ["relu", "tanh"]})
            >>> [list(space.combination(number).values()) for number in (0, 1, 2)]
            [[8, 'relu'], [8, 'tanh'], [16, 'relu']]
        """
        labels = self._labels()
        places = np.unravel_index(number % int(self.size), [len(each) for each in labels])
        chosen = [each[int(place)] for each, place in zip(labels, places, strict=True)]
        return dict(zip(self.dimensions or {}, chosen, strict=True))

    def _labels(self) -> list[Sequence[Any]]:
        return [getattr(d, "labels", []) for d in (self.dimensions or {}).values()]


def space_of(space: Any, *, function: str = "search") -> Space:
    """Reads a space once, or raises where it can't be read, naming the public function.

    Example:
        >>> space_of({"n_hidden": [0, 1, 2, 3], "activation": ["relu", "tanh"]}).dimensions
        {'n_hidden': Whole(low=0, high=3, step=1), 'activation': Choice(values=('relu', 'tanh'))}
    """
    if callable(space) and not isinstance(space, Mapping):
        return Space(function=space)
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        must = f"be a dict from names to {_WHAT}, or a function of the trial"
        raise invalid(function, "space", must, f"space={show(space)}", kind=TypeError)
    if not space:
        raise invalid(function, "space", "name at least one parameter", "space={}")
    return Space({name: _dimension(name, values, function) for name, values in space.items()})


def _dimension(name: str, values: Any, function: str) -> _Dimension:
    if hasattr(values, "rvs") or hasattr(values, "icdf"):
        return _distributed(name, values, function)
    is_row = isinstance(values, Sequence) or (isinstance(values, np.ndarray) and values.ndim > 0)
    if isinstance(values, str | bytes) or not is_row:
        must = f"hold {_WHAT} for each parameter"
        raise invalid(function, "space", must, f"{name}={show(values)}", kind=TypeError)
    if isinstance(values, range) and len(values) > 2 and values.step > 0:  # It may be a long one.
        return Whole(values[0], values[-1], values.step)
    distinct = tuple({_told_by(value): value for value in map(as_python, values)}.values())
    if not distinct:
        must = "hold at least one value for each parameter"
        raise invalid(function, "space", must, f"{name}={show(values)}")
    return _evenly_spaced(distinct) or Choice(distinct)


def _told_by(value: Any) -> object:
    """Returns what tells a value from others: 1 isn't 1.0 nor True, and a list has no hash."""
    return repr(value) if isinstance(value, (*_PLAIN, tuple, list)) else id(value)


def _evenly_spaced(values: tuple[Any, ...]) -> Whole | None:
    """Returns three whole numbers or more as a range, whose order a sampler can use."""
    if len(values) < 3 or any(type(value) is not int for value in values):
        return None
    step = values[1] - values[0]
    if step <= 0 or list(values) != list(range(values[0], values[-1] + 1, step)):
        return None
    return Whole(values[0], values[-1], step)


def _distributed(name: str, distribution: Any, function: str) -> _Dimension:
    """Reads one of SciPy's distributions, frozen or of the newer kind."""
    kind = getattr(getattr(distribution, "dist", distribution), "name", None)
    kind = kind or type(distribution).__name__
    low, high, at = _read(name, distribution, function)
    if kind == "randint":
        return Whole(int(low), int(high))
    # A log-uniform distribution that is shifted isn't log-uniform over its support.
    is_shifted = (
        "loc" in getattr(distribution, "kwds", {}) or len(getattr(distribution, "args", ())) > 2
    )
    if kind in _LOGARITHMIC and not is_shifted and low > 0:
        return Real(low, high, log=True)
    if kind in ("uniform", "Uniform"):
        return Real(low, high)
    # The newer kind has every method, whether its values are whole numbers or not.
    is_whole = all(float(value).is_integer() for value in at(np.linspace(0.01, 0.99, 99)))
    return Quantile(at, is_whole)


def _read(name: str, distribution: Any, function: str) -> tuple[float, float, Callable[[Any], Any]]:
    """Returns where a distribution begins and ends, and its quantile function."""
    try:
        low, high = map(float, distribution.support())
        at = distribution.ppf if hasattr(distribution, "ppf") else distribution.icdf
    except (AttributeError, TypeError):  # Of several numbers, or not frozen.
        low = high = math.nan
    if not low <= high:
        must = (
            "hold distributions of one number, each with its parameters and with a support and a "
            "quantile function, as SciPy's have"
        )
        raise invalid(function, "space", must, f"{name}={show(distribution)}", kind=TypeError)
    return low, high, at


def _suggested(trial: Any, name: str, dimension: _Dimension) -> Any:
    try:
        return dimension.suggested(trial, name)
    except ValueError as error:
        if not hasattr(trial, "study"):  # Then there are no trials before it that it may not fit.
            raise
        must = (
            "have for each parameter what it had for the trials in the storage, but for the ends "
            "of ranges, or else pass another `name`"
        )
        raise invalid("search", "space", must, f"{name}={show(dimension)}") from error


def _label(value: Any) -> Any:
    """Returns a value as storages keep it, the same in every process that has such a value."""
    if isinstance(value, _PLAIN) and value == value:  # NaN is not itself.
        return value
    # The `repr` of a function has its address, and that of a layer the number of layers before.
    named = getattr(value, "__name__", None) or type(value).__name__
    return show(value) if is_plain(value) else named
