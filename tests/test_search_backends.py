"""The documents' search in other processes: joblib's own, Dask's and Ray's."""

import os

import keras
import numpy as np
import pytest
from small_builders import X, Y

pytest.importorskip("sklearn", reason="needs scikit-learn")

import joblib
from sklearn.model_selection import RandomizedSearchCV

from kerastrain.search import KerasRegressor

SPACE = {"n_hidden": [0, 1, 2], "n_neurons": np.arange(1, 20), "learning_rate": [1e-3, 1e-2]}


@pytest.fixture(autouse=True)
def quiet_workers(monkeypatch):
    """TensorFlow in a worker takes one thread, and finds this package as this process does."""
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def searched():
    """Searches as the documents do, over a builder that no module holds."""
    width = 2

    def builder(n_hidden=1, n_neurons=30, learning_rate=3e-3, input_shape=[8]):  # noqa: B006
        model = keras.Sequential([keras.Input(input_shape)])
        for _ in range(n_hidden):
            model.add(keras.layers.Dense(n_neurons * width, activation="relu"))
        model.add(keras.layers.Dense(1))
        model.compile("sgd", "mse")
        model.optimizer.learning_rate = learning_rate
        return model

    # One way of executing, since what is measured and chosen in one process isn't in another.
    regressor = KerasRegressor(builder, seed=0, speed="steps")
    search = RandomizedSearchCV(regressor, SPACE, n_iter=3, cv=2, random_state=0)
    return search.fit(
        X,
        Y,
        epochs=3,
        validation_data=(X, Y),
        callbacks=[keras.callbacks.EarlyStopping(patience=10)],
    )


@pytest.fixture(scope="module")
def serial():
    return searched()


def assert_same(search, serial):
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], serial.cv_results_[name])
    np.testing.assert_array_equal(search.predict(X), serial.predict(X))


def test_two_processes_of_joblibs_find_the_same_bits(serial):
    from joblib.externals.loky import get_reusable_executor

    try:
        with joblib.parallel_config("loky", n_jobs=2):
            assert_same(searched(), serial)
    finally:
        get_reusable_executor().shutdown(wait=True)


def test_two_workers_of_dasks_find_the_same_bits(serial):
    distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        assert_same(searched(), serial)


def test_two_workers_of_rays_find_the_same_bits(serial):
    ray = pytest.importorskip("ray", reason="needs ray")
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        with joblib.parallel_config("ray", n_jobs=2):
            assert_same(searched(), serial)
    finally:
        ray.shutdown()
