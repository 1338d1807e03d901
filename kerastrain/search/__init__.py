"""Hyper-parameter search: scikit-learn's, as written for Keras models, and ours on Optuna.

Where things are: `KerasClassifier` and `KerasRegressor` (estimators) make a model builder an
estimator of scikit-learn's; `objective` (adapters) makes it a function from parameters to a number,
for any library that minimises one, and `hypermodel` (hypermodels) what Keras Tuner searches. A name
is imported when it is first asked for, and says how to install the optional package that it needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kerastrain._checks import needs

if TYPE_CHECKING:
    from kerastrain.search.adapters import Objective, objective
    from kerastrain.search.estimators import KerasClassifier, KerasRegressor
    from kerastrain.search.hypermodels import hypermodel

__all__ = ["KerasClassifier", "KerasRegressor", "Objective", "hypermodel", "objective"]

_WHERE = {
    "KerasClassifier": ("estimators", "sklearn", "sklearn"),
    "KerasRegressor": ("estimators", "sklearn", "sklearn"),
    "Objective": ("adapters", "", ""),
    "hypermodel": ("hypermodels", "keras_tuner tensorboard", "keras-tuner"),
    "objective": ("adapters", "", ""),
}
"""From a public name to its module, the packages that it needs, and the extra that brings them."""

_INSTALL = {"keras-tuner": "keras-tuner tensorboard"}
"""What brings the packages where it isn't an extra of ours."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, packages, extra = _WHERE[name]
    for package in packages.split():
        needs(package, extra=extra, function=name, install=_INSTALL.get(extra))
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return __all__
