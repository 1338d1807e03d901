"""The results that the package promises on real data, skipped where the data is absent."""

import csv
import gzip
import pathlib
import statistics

import keras
import numpy as np
import pytest

import kerastrain as ktr

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist isn't installed")
# The bits of "steps" are Keras's own; of "compiled" only the mean is theirs, since patience=2 ends
# one run in sixteen early by chance.
@pytest.mark.slow
@pytest.mark.parametrize("speed, worst", [("steps", 0.350), ("compiled", 0.370)])
def test_the_notes_network_reaches_the_losses_of_plain_keras_on_all_of_fashion_mnist(speed, worst):
    data = ktr.load_dataset("fashion_mnist")
    losses, accuracies = [], []
    for seed in range(5):
        model, history = ktr.build_and_fit(
            "dense",
            data,
            a_layer=keras.layers.Dropout(0.3),
            optimizer="adam",
            epochs=20,
            patience=2,
            seed=seed,
            speed=speed,
            verbose=0,
        )
        assert history.engine.startswith(speed)
        restored = model.evaluate(*data.val, verbose=0)[0]
        assert restored == pytest.approx(min(history.history["val_loss"]), rel=1e-5)
        losses.append(history.best["val_loss"])
        accuracies.append(history.best["val_accuracy"])
    assert max(losses) <= worst
    assert statistics.mean(losses) <= 0.340
    assert statistics.mean(accuracies) >= 0.873


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist isn't installed")
@pytest.mark.slow
def test_batches_of_8192_with_warm_up_reach_the_accuracy_of_batches_of_32():
    data, dropout = ktr.load_dataset("fashion_mnist"), keras.layers.Dropout(0.3)

    def accuracies(size, **arguments):
        table = ktr.compare_batch_sizes(
            "dense", data, sizes=[size], a_layer=dropout, verbose=0, **arguments
        )
        return [run.history.best["val_accuracy"] for run in table.runs]

    (small,) = accuracies(32, schedule=None, epochs=20)
    rate = 1e-3 * (8192 / 32) ** 0.5
    constant, warmed_up = accuracies(8192, learning_rate=rate, epochs=40)
    assert warmed_up > small - 0.015
    assert warmed_up > constant


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data isn't beside the project")
def test_california_housing_reaches_its_r2(monkeypatch):
    monkeypatch.setenv("KERASTRAIN_DATA", str(SHARED))
    data = ktr.load_dataset("california_housing")
    x, y = (np.concatenate(parts) for parts in zip(data.train, data.val, strict=True))
    _, history = ktr.build_and_fit(
        "regression",
        (x, y),
        params={"n_hidden": 2, "n_neurons": 64},
        learning_rate=3e-3,
        epochs=200,
        batch_size=200,
        patience=20,
        validation_split=0.2,
        seed=1,
        verbose=0,
    )
    assert history.stop_reason == "early_stopping"
    assert history.best["val_r2"] >= 0.72


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data isn't beside the project")
def test_korean_film_reviews_are_told_apart_from_their_raw_text():
    with gzip.open(SHARED / "nsmc.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    order = np.random.default_rng(42).permutation(len(rows))
    texts = np.array([rows[i]["document"] for i in order], dtype=object)
    labels = np.array([int(rows[i]["label"]) for i in order])
    model, history = ktr.build_and_fit(
        "text",
        (texts[8_000:], labels[8_000:]),
        # Letter pairs: Korean words carry endings, so that few of them occur twice.
        params={"split": "character", "ngrams": (2,), "max_tokens": 10_000, "length": 60},
        optimizer="rmsprop",
        epochs=2,
        batch_size=60,
        validation_split=0.1,
        seed=1,
        verbose=0,
    )
    assert len(history) == 2
    accuracy = model.evaluate(texts[:8_000], labels[:8_000], verbose=0, return_dict=True)
    assert accuracy["accuracy"] >= 0.78
