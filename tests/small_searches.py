"""Plans and trials for tests of what keeps a search, without any training."""

import math

import numpy as np
from scipy import stats

from kerastrain.search.crews import Limits
from kerastrain.search.plans import plan_of
from kerastrain.search.trials import Outcome, Recipe

X = np.arange(20, dtype="float32").reshape(10, 2)
SPACE = {
    "units": [8, 16, 24, 32],
    "learning_rate": stats.loguniform(1e-4, 1e-1),
    "activation": ["relu", "tanh"],
}


def plan(space=None, **parts):
    """What `search` would make of its arguments."""
    given = {"trials": 100, "sampler": "tpe", "pruner": None, "seed": 1} | parts
    of_recipe = {"metric": "val_loss", "mode": "auto", "folds": None, "arguments": {"epochs": 9}}
    of_recipe |= {name: given.pop(name) for name in list(given) if name in of_recipe}
    recipe = Recipe("dense", (X, X[:, 0]), **of_recipe)
    others = {"jobs": 1, "limits": Limits(), "timeout": None, "test_data": None}
    return plan_of(recipe, SPACE if space is None else space, **others, **given)


def value_of(params):
    return (math.log10(params["learning_rate"]) + 2) ** 2 + params["units"] / 32


def go_on(book, space, count):
    """Asks for trials and tells what came of them; returns their numbers and parameters."""
    found = []
    for _ in range(count):
        trial = book.ask()
        params = space.params(trial)
        book.tell(trial, Outcome("complete", value_of(params), 0.5), params=params)
        found.append((trial.number, params))
    return found
