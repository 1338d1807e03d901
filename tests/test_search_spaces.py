"""What a search may try: read from lists, ranges and distributions, drawn by Optuna's trials."""

import math

import keras
import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="a search needs the extra `search`")
stats = pytest.importorskip("scipy.stats", reason="a search needs the extra `search`")

from kerastrain.search.spaces import Choice, Quantile, Real, Space, Whole, space_of  # noqa: E402


class Part:
    """A trial that draws one part of every range, for numbers that can be told beforehand."""

    def __init__(self, part=0.5):
        self.part = part

    def suggest_float(self, name, low, high, *, log=False):
        if log:
            return low * (high / low) ** self.part
        return low + (high - low) * self.part

    def suggest_int(self, name, low, high, *, step=1):
        return low + step * round((high - low) / step * self.part)

    def suggest_categorical(self, name, choices):
        return list(choices)[math.ceil((len(choices) - 1) * self.part)]


def dimension(values):
    return space_of({"it": values}).dimensions["it"]


def drawn(values, part=0.5):
    return space_of({"it": values}).params(Part(part))["it"]


def labels_of(values):
    return list(dimension(values).labels)


def message(kind, space):
    with pytest.raises(kind) as error:
        space_of(space)
    return str(error.value)


# Lists and ranges


def test_the_space_of_the_documents_is_read():
    space = space_of(
        {
            "n_hidden": [0, 1, 2, 3],
            "n_neurons": np.arange(1, 100),
            "learning_rate": stats.reciprocal(3e-4, 3e-2),
        }
    )
    assert space.dimensions == {
        "n_hidden": Whole(0, 3),
        "n_neurons": Whole(1, 99),
        "learning_rate": Real(3e-4, 3e-2, log=True),
    }
    params = space.params(Part(0.5))
    assert params == {"n_hidden": 2, "n_neurons": 50, "learning_rate": pytest.approx(3e-3)}
    assert [type(value) for value in params.values()] == [int, int, float]


@pytest.mark.parametrize(
    "values, read",
    [
        ([16, 32, 48], Whole(16, 48, 16)),
        ((1, 2, 3), Whole(1, 3)),
        ([1, 2, 2, 3, 1], Whole(1, 3)),
        (range(8, 65, 8), Whole(8, 64, 8)),
        (range(8, 71, 8), Whole(8, 64, 8)),
        (range(1, 10**12), Whole(1, 10**12 - 1)),
        (np.array([1, 2, 3], "uint8"), Whole(1, 3)),
    ],
)
def test_whole_numbers_in_equal_steps_are_a_range(values, read):
    assert dimension(values) == read


@pytest.mark.parametrize(
    "values, kept",
    [
        ([16, 32, 64], (16, 32, 64)),
        ([3, 2, 1], (3, 2, 1)),
        (range(3, 0, -1), (3, 2, 1)),
        ([1, 2], (1, 2)),
        ([5], (5,)),
        ([True, False], (True, False)),
        ([1.0, 2.0, 3.0], (1.0, 2.0, 3.0)),
        ([1, 2, None], (1, 2, None)),
        (np.array([0.25, 0.5]), (0.25, 0.5)),
        (["relu", "tanh", "relu"], ("relu", "tanh")),
    ],
)
def test_other_values_are_choices_each_once(values, kept):
    assert dimension(values) == Choice(kept)
    assert [type(value) for value in dimension(values).values] == [type(value) for value in kept]


def test_a_choice_gives_python_numbers():
    assert type(drawn(np.array([1, 2, 4]))) is int
    assert type(drawn(np.array([0.1, 0.2], "float32"))) is float


def test_values_that_are_equal_but_of_another_kind_stay_apart():
    found = [drawn([1, 1.0, True, "1"], part) for part in (0, 0.3, 0.6, 1)]
    assert [(value, type(value)) for value in found] == [
        (1, int),
        (1.0, float),
        (True, bool),
        ("1", str),
    ]
    assert labels_of([1, 1.0, True]) == ["0: 1", "1: 1.0", "2: True"]


# Values that aren't plain


def test_a_choice_hands_over_the_very_objects():
    layer, rows = keras.layers.Dropout(0.3), np.array([1, 2])
    assert drawn([None, layer], 1) is layer
    assert drawn([math.sin, math.cos], 1) is math.cos
    assert drawn([rows, None], 0) is rows
    assert drawn([(1, 2), (3, 4)], 1) == (3, 4)
    assert drawn([[16], [16, 16], []], 1) == []
    assert math.isnan(drawn([0.5, math.nan], 1))


def test_objects_go_into_storages_by_a_text_that_is_the_same_in_every_process():
    def made():
        return [None, keras.layers.Dropout(0.3), keras.layers.Dropout(0.5)]

    assert labels_of(made()) == labels_of(made()) == ["0: None", "1: Dropout", "2: Dropout"]
    assert labels_of([None, keras.layers.Dropout(0.3)]) == [None, "Dropout"]
    assert labels_of([keras.layers.LSTM, keras.layers.GRU]) == ["LSTM", "GRU"]
    assert labels_of([lambda x: x, math.sin]) == ["<lambda>", "sin"]
    assert labels_of([(1, 2), [3, 4], {"rate": 0.5}]) == ["(1, 2)", "[3, 4]", "{'rate': 0.5}"]
    assert labels_of([0.5, math.nan]) == [0.5, "nan"]


def test_long_values_that_begin_alike_stay_apart():
    long = [tuple(range(100)), (*range(100), 1)]
    assert [label[:3] for label in labels_of(long)] == ["0: ", "1: "]
    assert drawn(long, 1) == long[1]


@pytest.mark.parametrize("ending", ["db", "journal"])
def test_objects_come_back_from_a_storage_in_another_process(tmp_path, ending):
    from kerastrain.search.storages import storage_of

    def space():
        layers = [None, keras.layers.Dropout(0.3), keras.layers.Dropout(0.5)]
        return space_of({"a_layer": layers, "init": [math.sin, math.cos], "rows": [(1,), (2, 3)]})

    def study():
        return optuna.create_study(
            storage=storage_of(tmp_path / f"a.{ending}"), study_name="a", load_if_exists=True
        )

    trials = [study().ask() for _ in range(6)]
    first = [space().params(trial) for trial in trials]
    again = [space().params(optuna.trial.FixedTrial(t.params)) for t in study().get_trials()]
    assert [_told(params) for params in again] == [_told(params) for params in first]
    assert len({str(_told(params)) for params in first}) > 2


def _told(params):
    layer = params["a_layer"]
    return layer and layer.rate, params["init"], params["rows"]


# Distributions


@pytest.mark.parametrize(
    "distribution, read",
    [
        (stats.loguniform(1e-4, 1e-1), Real(1e-4, 1e-1, log=True)),
        (stats.loguniform(a=1e-4, b=1e-1), Real(1e-4, 1e-1, log=True)),
        (stats.loguniform(1e-4, 1e-1, scale=2), Real(2e-4, 2e-1, log=True)),
        (stats.uniform(2, 3), Real(2, 5)),
        (stats.uniform(loc=-1, scale=2), Real(-1, 1)),
        (stats.uniform, Real(0, 1)),
        (stats.randint(1, 10), Whole(1, 9)),
        (stats.randint(1, 10, loc=5), Whole(6, 14)),
        (stats.randint(0, 10**9), Whole(0, 10**9 - 1)),
    ],
)
def test_a_distribution_that_optuna_has_is_optunas(distribution, read):
    assert dimension(distribution) == read


@pytest.mark.parametrize(
    "distribution, part, value",
    [
        (stats.norm(1, 2), 0.5, 1.0),
        (stats.norm, 0.5, 0.0),
        (stats.loguniform(1e-4, 1e-1, loc=1), 0.5, 1 + 10**-2.5),
        (stats.expon(), 0.5, math.log(2)),
        (stats.beta(1, 1, loc=2, scale=4), 0.25, 3.0),
        (stats.rv_discrete(values=([0.5, 4.0], [0.7, 0.3])), 0.5, 0.5),
    ],
)
def test_any_other_distribution_is_drawn_by_its_quantiles(distribution, part, value):
    found = drawn(distribution, part)
    assert found == pytest.approx(value, abs=1e-5)
    assert type(found) is float


@pytest.mark.parametrize(
    "distribution, value",
    [
        (stats.poisson(3), 3),
        (stats.binom(10, 0.5), 5),
        (stats.geom(0.5, loc=8), 9),
        (stats.rv_discrete(values=([16, 32, 128], [0.2, 0.5, 0.3])), 32),
    ],
)
def test_a_distribution_of_whole_numbers_gives_ints(distribution, value):
    assert (drawn(distribution), type(drawn(distribution))) == (value, int)


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_a_distribution_without_ends_stays_finite(part):
    assert abs(drawn(stats.norm(), part)) == pytest.approx(4.75, abs=0.01)


def test_distributions_of_the_newer_kind_are_read_as_the_older_are():
    if not hasattr(stats, "make_distribution"):
        pytest.skip("this SciPy has distributions of the older kind only")
    assert dimension(stats.Uniform(a=1, b=4)) == Real(1, 4)
    found = [
        *(drawn(stats.Normal(mu=1.5, sigma=2)), drawn(stats.Uniform(a=0, b=1) + 3)),
        drawn(stats.make_distribution(stats.loguniform)(a=1e-3, b=1e-1), 0.25),
    ]
    assert found == pytest.approx([1.5, 3.5, 10**-2.5], rel=1e-4)
    assert {type(value) for value in found} == {float}
    whole = drawn(stats.make_distribution(stats.binom)(n=10, p=0.5))
    assert (whole, type(whole)) == (5, int)


def test_the_same_part_is_the_same_value_in_another_process():
    assert isinstance(dimension(stats.norm()), Quantile)
    study = optuna.create_study()
    space = space_of({"it": stats.norm(5, 1)})
    trial = study.ask()
    value = space.params(trial)["it"]
    assert space.params(optuna.trial.FixedTrial(trial.params))["it"] == value


# The space as a whole


def test_a_space_counts_its_combinations_and_names_each():
    space = space_of({"units": [8, 16, 24], "activation": ["relu", "tanh"], "bias": [True]})
    assert space.size == 6
    assert [tuple(space.combination(number).values()) for number in range(6)] == [
        (8, "relu", True),
        (8, "tanh", True),
        (16, "relu", True),
        (16, "tanh", True),
        (24, "relu", True),
        (24, "tanh", True),
    ]
    assert space.combination(6) == space.combination(0)
    assert list(space.combination(0)) == ["units", "activation", "bias"]


def test_a_space_with_a_distribution_or_of_a_function_has_no_end():
    assert space_of({"units": [8, 16], "rate": stats.uniform()}).size == math.inf
    assert space_of(lambda trial: {}).size == math.inf


def test_a_function_decides_which_parameters_there_are():
    def space(trial):
        layers = trial.suggest_int("layers", 1, 3)
        return {"units": [trial.suggest_int(f"units_{n}", 8, 64) for n in range(layers)]}

    assert space_of(space) == Space(function=space)
    assert space_of(space).params(Part(0.0)) == {"units": [8]}
    assert space_of(space).params(Part(1.0)) == {"units": [64, 64, 64]}


def test_numbers_of_numpy_that_a_function_returns_become_pythons():
    params = space_of(lambda trial: {"units": np.int64(8)}).params(Part())
    assert (params, type(params["units"])) == ({"units": 8}, int)


# What is refused


@pytest.mark.parametrize("space, shown", [([1, 2], "[1, 2]"), ({1: [2]}, "{1: [2]}"), (3, "3")])
def test_what_has_no_names_is_refused(space, shown):
    assert message(TypeError, space) == (
        "`search`: `space` must be a dict from names to a list, a range or a SciPy distribution, "
        f"or a function of the trial. Received: space={shown}."
    )


def test_a_space_without_names_is_refused():
    assert message(ValueError, {}) == (
        "`search`: `space` must name at least one parameter. Received: space={}."
    )


@pytest.mark.parametrize(
    "values, shown",
    [
        ([], "[]"),
        ((), "()"),
        (range(0), "range(0, 0)"),
        (np.array([]), "<ndarray of shape (0,), float64>"),
    ],
)
def test_a_parameter_without_values_is_refused(values, shown):
    assert message(ValueError, {"units": values}) == (
        "`search`: `space` must hold at least one value for each parameter. "
        f"Received: units={shown}."
    )


@pytest.mark.parametrize(
    "values, shown",
    [
        ("relu", "'relu'"),
        (b"relu", "b'relu'"),
        (64, "64"),
        (None, "None"),
        ({8}, "{8}"),
        ({"low": 1}, "{'low': 1}"),
        (np.array(3), "array(3)"),
    ],
)
def test_what_is_no_row_of_values_is_refused(values, shown):
    assert message(TypeError, {"units": values}) == (
        "`search`: `space` must hold a list, a range or a SciPy distribution for each parameter. "
        f"Received: units={shown}."
    )


@pytest.mark.parametrize(
    "distribution",
    [stats.loguniform, stats.dirichlet([1, 2]), stats.uniform(0, 0), stats.norm([0, 1], 1)],
)
def test_a_distribution_that_gives_no_number_is_refused(distribution):
    from kerastrain._checks import show

    assert message(TypeError, {"rate": distribution}) == (
        "`search`: `space` must hold distributions of one number, each with its parameters and "
        "with a support and a quantile function, as SciPy's have. "
        f"Received: rate={show(distribution)}."
    )


@pytest.mark.parametrize("returned", [None, [1], {1: 2}])
def test_a_function_that_returns_no_parameters_is_refused(returned):
    with pytest.raises(TypeError) as error:
        space_of(lambda trial: returned).params(Part())
    assert str(error.value) == (
        "`search`: `space` must return a dict from names to values, where it is a function. "
        f"Received: {returned!r}."
    )


def test_another_kind_of_values_than_the_trials_before_had_is_refused():
    study = optuna.create_study()
    space_of({"units": ["8", "16"]}).params(study.ask())
    trial = optuna.trial.Trial(study, study.get_trials()[0]._trial_id)
    with pytest.raises(ValueError, match="for each parameter") as error:
        space_of({"units": ["8", "32"]}).params(trial)
    assert str(error.value) == (
        "`search`: `space` must have for each parameter what it had for the trials in the "
        "storage, but for the ends of ranges, or else pass another `name`. "
        "Received: units=Choice(values=('8', '32'))."
    )
