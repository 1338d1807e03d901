"""Hyper-parameter search: scikit-learn's, as written for Keras models, and ours on Optuna.

Where things are: `KerasClassifier` and `KerasRegressor` (estimators) make a model builder an
estimator of scikit-learn's. `search` (searching) is ours, and `refit` (refits) trains again what it
found: a plan (plans) says what to do, spaces what to try, samplers who suggests and who gives up; a
crew (crews) runs the trials, here or in workers; a book (studies) keeps them, in storages. Each name
needs optional packages, which are imported when it is first asked for; where they are missing, it
says how to install them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kerastrain._checks import needs

if TYPE_CHECKING:
    from kerastrain.search.estimators import KerasClassifier, KerasRegressor
    from kerastrain.search.refits import refit
    from kerastrain.search.searching import search

__all__ = ["KerasClassifier", "KerasRegressor", "refit", "search"]

_WHERE = {
    "KerasClassifier": ("estimators", "sklearn", "sklearn"),
    "KerasRegressor": ("estimators", "sklearn", "sklearn"),
    "refit": ("refits", "optuna", "search"),
    "search": ("searching", "optuna", "search"),
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
