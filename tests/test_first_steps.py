"""With `deep=True`, `check` tries to learn one batch by heart, and says where that fails."""

import keras
import numpy as np
from small_classifiers import X, Y, a_model, codes
from small_steps import Counts

from kerastrain.checking import check


def test_a_batch_is_learnt_by_heart():
    report = check(a_model(keras.layers.Dense(64, "relu")), X, Y, deep=True)
    assert report.overfits is True
    assert report.loss_after < 0.25 < 0.5 < report.loss_before
    assert codes(report) == []


def test_a_model_that_is_too_small_is_told_so():
    keras.utils.set_random_seed(1)
    report = check(a_model(keras.layers.Dense(1, "relu")), X, Y, deep=True)
    assert report.overfits is False
    assert codes(report) == ["not-overfitted"]
    assert report.findings[0].sentence == (
        "`model` couldn't learn one batch of 32 rows by heart: 300 steps of Adam, and from the "
        f"start again 900 of Adam at 0.01, brought its loss from {report.loss_before:.3g} to "
        f"{report.loss_after:.3g}: look whether x and y belong together row by row, take a larger "
        "model, and less dropout and regularisation until it can."
    )


def test_a_rate_that_is_too_low_is_told_so():
    keras.utils.set_random_seed(1)
    model = a_model(keras.layers.Dense(64, "relu"), optimizer=keras.optimizers.SGD(1e-5))
    report = check(model, X, Y, deep=True)
    assert report.overfits is True
    assert codes(report) == ["slow-rate"]


def test_a_layers_own_variable_is_left_as_it_was():
    layer = Counts()
    model = a_model(layer)
    layer.count.assign(7.0)
    assert check(model, X, Y, deep=True).loss_after is not None
    assert float(layer.count) == 7.0


def test_a_batch_of_one_label_leaves_nothing_to_learn():
    labels = (np.arange(300) == 299).astype(int) * 2
    report = check(a_model(), X, labels, deep=True)
    assert report.overfits is None
    assert set(codes(report)) == {"missing-classes", "imbalanced-classes"}
