"""Holds the documents' search on California housing against a plain wrapper around `model.fit`.

    KERASTRAIN_DATA=... python tests/benchmark_search.py [--candidates 5] [--epochs 30]
    KERASTRAIN_DATA=... python tests/benchmark_search.py whole
    KERASTRAIN_DATA=... python tests/benchmark_search.py workers

The first times the same candidates, three folds each, with `KerasRegressor` and with a wrapper that
does nothing but call `model.fit`, in turns, in one process. The second runs the whole search with
`KerasRegressor`: 20 candidates, 100 epochs at most, patience 10, and the winner's error on the test
rows, in (100,000 dollars) squared. The third runs a smaller one in this process and in two of
joblib's, with as many TensorFlow threads as there are cores and with one.
"""

import argparse
import math
import os
import time

import joblib
import keras
import numpy as np
from joblib.externals.loky import get_reusable_executor
from scipy.stats import reciprocal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import GridSearchCV, ParameterSampler, RandomizedSearchCV

import kerastrain as ktr
from kerastrain.search import KerasRegressor

SPACE = {
    "n_hidden": [0, 1, 2, 3],
    "n_neurons": np.arange(1, 100),
    "learning_rate": reciprocal(3e-4, 3e-2),
}
THREADS = "TF_NUM_INTRAOP_THREADS"


def build_model(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=[8]):  # noqa: B006
    """The documents' builder."""
    model = keras.Sequential([keras.Input(input_shape)])
    for _ in range(n_hidden):
        model.add(keras.layers.Dense(n_neurons, activation="relu"))
    model.add(keras.layers.Dense(1))
    model.compile(loss="mse", optimizer=keras.optimizers.SGD(learning_rate=learning_rate))
    return model


class PlainRegressor(RegressorMixin, BaseEstimator):
    """The least that a search needs around `model.fit`."""

    def __init__(self, n_hidden=1, n_neurons=30, learning_rate=3e-3, seed=0):
        self.n_hidden = n_hidden
        self.n_neurons = n_neurons
        self.learning_rate = learning_rate
        self.seed = seed

    def fit(self, X, y, **arguments):
        keras.utils.set_random_seed(self.seed)
        sizes = int(self.n_hidden), int(self.n_neurons)
        self.model_ = build_model(*sizes, float(self.learning_rate))
        self.model_.fit(X, y, verbose=0, **arguments)
        return self

    def predict(self, X):
        return self.model_.predict(X, verbose=0)[:, 0]


def housing():
    """Returns 11,610 districts to train on, 3,870 to validate on and 5,160 to test on."""
    return ktr.load_dataset("california_housing", validation=0.25)


def fit_arguments(data, epochs):
    stopping = keras.callbacks.EarlyStopping(patience=10)
    return {"epochs": epochs, "validation_data": data.val, "callbacks": [stopping]}


def timed(function, *arguments, **named):
    start = time.perf_counter()
    result = function(*arguments, **named)
    return time.perf_counter() - start, result


def compare(candidates, epochs):
    """Prints what each candidate takes either way, and the whole search."""
    data, seconds, scores = housing(), {}, {}
    ways = {"ktr": KerasRegressor(build_model, seed=0), "plain": PlainRegressor()}
    sampled = list(ParameterSampler(SPACE, candidates, random_state=0))
    for params in sampled:
        grid = {name: [value] for name, value in params.items()}
        for name, estimator in ways.items():
            search = GridSearchCV(estimator, grid, cv=3, refit=False, error_score="raise")
            took, _ = timed(search.fit, *data.train, **fit_arguments(data, epochs))
            seconds.setdefault(name, []).append(took)
            scores.setdefault(name, []).append(search.cv_results_["mean_test_score"][0])
        pairs = [f"{name} {seconds[name][-1]:.2f} s, R² {scores[name][-1]:.3f}" for name in ways]
        print(", ".join(f"{k}={v:.3g}" for k, v in params.items()), "|", " | ".join(pairs))
    best = sampled[int(np.argmax(scores["ktr"]))]
    for name, estimator in ways.items():
        winner = clone(estimator).set_params(**best)
        took, _ = timed(winner.fit, *data.train, **fit_arguments(data, epochs))
        seconds[name].append(took)
    sums = {name: math.fsum(column) for name, column in seconds.items()}
    ratio = sums["plain"] / sums["ktr"]
    print(f"ktr {sums['ktr']:.1f} s, plain {sums['plain']:.1f} s: {ratio:.1f} times faster")


def whole(candidates, epochs):
    """Prints the whole search's time, winner and error on the test rows."""
    data = housing()
    regressor = KerasRegressor(build_model, seed=0)
    search = RandomizedSearchCV(regressor, SPACE, n_iter=candidates, cv=3, random_state=0)
    took, _ = timed(search.fit, *data.train, **fit_arguments(data, epochs))
    folds = np.array([search.cv_results_[f"split{fold}_test_score"] for fold in range(3)])
    x, y = data.test
    mse = float(np.mean((search.predict(x) - y) ** 2))
    print(f"{folds.size} fits in {took:.0f} s, {int((~np.isfinite(folds)).sum())} failed")
    print(f"best {search.best_params_}, R² {search.best_score_:.3f}, test mse {mse:.3f}")


def workers(candidates, epochs):
    """Prints what two processes gain, with several TensorFlow threads in each and with one."""
    data = housing()
    serial = None
    for jobs, threads in ((1, None), (2, None), (2, 1)):
        if threads:
            os.environ[THREADS] = str(threads)  # What new workers inherit.
        regressor = KerasRegressor(build_model, seed=0, speed="steps")
        search = RandomizedSearchCV(regressor, SPACE, n_iter=candidates, cv=3, random_state=0)
        with joblib.parallel_config("loky", n_jobs=jobs):
            took, _ = timed(search.fit, *data.train, **fit_arguments(data, epochs))
            again, _ = timed(search.fit, *data.train, **fit_arguments(data, epochs))
        scores = search.cv_results_["mean_test_score"]
        serial = scores if serial is None else serial
        same = "the same bits" if np.array_equal(scores, serial) else "other bits"
        print(f"{jobs} processes, {threads or 'all'} threads: {took:.1f} s, {again:.1f} s, {same}")
        get_reusable_executor().shutdown(wait=True)
    os.environ.pop(THREADS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = {"compare": (compare, 5, 30), "whole": (whole, 20, 100), "workers": (workers, 6, 30)}
    parser.add_argument("command", nargs="?", choices=commands, default="compare")
    parser.add_argument("--candidates", type=int)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    command, candidates, epochs = commands[arguments.command]
    command(arguments.candidates or candidates, arguments.epochs or epochs)


if __name__ == "__main__":
    main()
