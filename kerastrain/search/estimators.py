"""Model builders as estimators of scikit-learn's."""


class KerasRegressor:
    """A model builder as a regressor."""


class KerasClassifier:
    """A model builder as a classifier."""
