"""Hyper-parameter search: scikit-learn's, as written for Keras models, and ours on Optuna.

Where things are: `KerasClassifier` and `KerasRegressor` (estimators) make a model builder an
estimator of scikit-learn's. Each name needs an optional package, which is imported when the name is
first asked for, and says how to install it where it is missing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kerastrain._checks import needs

if TYPE_CHECKING:
    from kerastrain.search.estimators import KerasClassifier, KerasRegressor

__all__ = ["KerasClassifier", "KerasRegressor"]

_WHERE = {
    "KerasClassifier": ("estimators", "sklearn", "sklearn"),
    "KerasRegressor": ("estimators", "sklearn", "sklearn"),
}
"""From a public name to its module, the package that it needs, and the extra that brings it."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, package, extra = _WHERE[name]
    needs(package, extra=extra, function=name)
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return __all__
