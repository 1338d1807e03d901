"""What a search logs, and what it doesn't."""

import logging

import numpy as np
import pytest

pytest.importorskip("optuna", reason='needs optuna: pip install "kerastrain[search]"')

from kerastrain.search import search

X = np.linspace(-1, 1, 40, dtype="float32")[:, None]


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def test_many_searches_bring_no_word_of_tracing_and_leave_the_log_as_it_was():
    logger, lines = logging.getLogger("tensorflow"), Lines()
    filters = list(logger.filters)
    logger.addHandler(lines)
    try:
        for seed in range(6):  # From the fifth model that it traces on, TensorFlow warns.
            fixed = {"trials": 1, "epochs": 1, "seed": seed, "verbose": 0, "test_data": (X, X)}
            search("regression", {"n_neurons": [2]}, (X, X), **fixed)
        logger.warning("something else")
    finally:
        logger.removeHandler(lines)
    assert lines.texts == ["something else"]
    assert logger.filters == filters
