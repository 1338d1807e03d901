"""scikit-learn's own checks of an estimator, each that fails with the reason why it has to."""

import pytest
from small_builders import net, number_net

pytest.importorskip("sklearn", reason="needs scikit-learn")

from sklearn.utils.estimator_checks import estimator_checks_generator

from kerastrain.search import KerasClassifier, KerasRegressor


class Numbers:
    """A builder whose name, of which the tests' names are made, has no address in it."""

    def __call__(self, units=8, input_shape=(2,), outputs=1):
        return number_net(units, input_shape, outputs)

    def __repr__(self):
        return "numbers"


class Classes:
    """Likewise."""

    def __call__(self, units=8, input_shape=(2,), classes=2):
        return net(units, input_shape=input_shape, classes=classes)

    def __repr__(self):
        return "classes"


WEIGHTS = (
    "Keras divides a batch's loss by its rows, whatever they weigh: a row of weight 0 counts "
    "there, and a row of weight 2 counts once"
)
SOFTMAX = "the builder ends in softmax, whose classes exclude each other; see the test below"
FAILED = {
    "KerasRegressor": {"check_sample_weight_equivalence_on_dense_data": WEIGHTS},
    "KerasClassifier": {
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
        "check_classifiers_multilabel_representation_invariance": SOFTMAX,
        "check_classifiers_multilabel_output_format_predict": SOFTMAX,
        "check_classifiers_multilabel_output_format_predict_proba": SOFTMAX,
        "check_classifiers_multilabel_output_format_decision_function": SOFTMAX,
    },
}
COMMON = {"epochs": 20, "seed": 0, "speed": "steps"}
ESTIMATORS = [
    KerasClassifier(Classes(), learning_rate=0.05, **COMMON),
    KerasRegressor(Numbers(), **COMMON),
]


def all_checks():
    """Every check of either; what both have is one code, and with the second one a slow test."""
    had = set()
    for estimator in ESTIMATORS:
        name = type(estimator).__name__
        found = estimator_checks_generator(
            estimator, expected_failed_checks=FAILED[name], mark="xfail"
        )
        now = []
        for each in found:
            pair, marks = (each.values, each.marks) if hasattr(each, "marks") else (each, ())
            now.append(_name_of(pair[1]))
            slow = [pytest.mark.slow] if now[-1] in had else []
            yield pytest.param(*pair, marks=[*marks, *slow], id=f"{name}, {now[-1]}")
        had |= set(now)


def _name_of(check):
    return check.func.__name__


@pytest.mark.parametrize("estimator, check", list(all_checks()))
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def is_of_several_labels(check):
    return "multilabel" in check.func.__name__


def sigmoids(units=8, input_shape=(2,), classes=2):
    return net(units, "sigmoid", "binary_crossentropy", input_shape, classes)


@pytest.mark.parametrize(
    "estimator, check",
    [
        pair
        for pair in estimator_checks_generator(KerasClassifier(sigmoids, **COMMON))
        if is_of_several_labels(pair[1])
    ],
    ids=lambda part: getattr(getattr(part, "func", None), "__name__", ""),
)
def test_the_checks_of_several_labels_pass_where_the_model_ends_in_sigmoids(estimator, check):
    check(estimator)
