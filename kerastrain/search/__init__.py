"""Hyper-parameter search: scikit-learn's, as written for Keras models, and ours on Optuna.

Where things are: `KerasClassifier` and `KerasRegressor` (estimators) make a model builder an
estimator of scikit-learn's. `search` (searching) is ours, and `refit` (refits) trains again what it
found: a plan (plans) says what to do, spaces what to try, samplers who suggests and who gives up; a
crew (crews) runs the trials, here or in workers; a book (studies) keeps them, in storages. For
other libraries `objective` (adapters) makes a builder a function from parameters to a number, and
`hypermodel` (hypermodels) what Keras Tuner searches. What a run counts is in values, and who takes
which parameter in parameters. Optional packages are imported when a name that needs them is first
asked for; where they are missing, it says how to install them.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from kerastrain._checks import needs

if TYPE_CHECKING:
    from kerastrain.search.adapters import Objective, objective
    from kerastrain.search.estimators import KerasClassifier, KerasRegressor
    from kerastrain.search.hypermodels import hypermodel
    from kerastrain.search.refits import refit
    from kerastrain.search.searching import search

# fmt: off
__all__ = [
    "KerasClassifier", "KerasRegressor", "Objective", "hypermodel", "objective", "refit", "search",
]
# fmt: on

_WHERE = {
    "KerasClassifier": ("estimators", "sklearn", "sklearn"),
    "KerasRegressor": ("estimators", "sklearn", "sklearn"),
    "Objective": ("adapters", "", ""),
    "hypermodel": ("hypermodels", "keras_tuner tensorboard", "keras-tuner"),
    "objective": ("adapters", "", ""),
    "refit": ("refits", "optuna", "search"),
    "search": ("searching", "optuna", "search"),
}
"""From a public name to its module, the packages that it needs, and the extra that brings them."""

_INSTALL = {"keras-tuner": "keras-tuner tensorboard"}
"""What brings the packages where it isn't an extra of ours."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, packages, extra = _WHERE[name]
    with warnings.catch_warnings():
        # Optuna imports tqdm for notebooks, which misses its widgets there; our bar needs none.
        warnings.filterwarnings("ignore", "IProgress not found")
        for package in packages.split():
            needs(package, extra=extra, function=name, install=_INSTALL.get(extra))
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return __all__
