"""The table of batch sizes: what is trained, at which rate, and what it says of each run."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import X, Y

import kerastrain as ktr
from kerastrain.batch_sizes import step_megabytes
from kerastrain.schedules import warmup, warmup_cosine

DATA = (X, Y)


def compared(data=DATA, **arguments):
    defaults = {"sizes": [8, 32], "epochs": 2, "verbose": 0, "learning_rate": 0.01}
    defaults |= {"optimizer": "sgd", "speed": "steps"}
    return ktr.compare_batch_sizes("regression", data, **defaults | arguments)


def combinations(table):
    return [(run.batch_size, run.scaling, run.schedule, run.learning_rate) for run in table.runs]


@pytest.fixture(scope="module")
def whole():
    """A table of all that there is to compare."""
    return compared(epochs=10)


def test_each_size_is_trained_with_each_scaling_with_and_without_warming_up(whole):
    assert combinations(whole) == [
        (8, "none", "", 0.01),
        (8, "none", "warmup", 0.01),
        (32, "none", "", 0.01),
        (32, "none", "warmup", 0.01),
        (32, "sqrt", "", 0.02),
        (32, "sqrt", "warmup", 0.02),
        (32, "linear", "", 0.04),
        (32, "linear", "warmup", 0.04),
    ]


def test_the_rates_are_the_ones_that_were_trained_with(whole):
    for run in whole.runs:
        rates = run.history.history["learning_rate"]
        assert rates[-1] == pytest.approx(run.learning_rate)
        if not run.schedule:
            assert rates == pytest.approx([run.learning_rate] * 10)


def test_a_schedule_starts_below_its_peak():
    schedule = {"schedule": lambda peak: warmup(peak, epochs=2), "epochs": 3}
    table = compared(**schedule, sizes=[32], scaling="linear")
    rates = table.runs[-1].history.history["learning_rate"]
    assert rates[0] < table.runs[-1].learning_rate
    assert table.runs[-1].schedule == "<lambda>"


def test_without_a_schedule_each_run_is_made_once():
    table = compared(schedule=None, scaling=["linear"])
    assert combinations(table) == [(8, "none", "", 0.01), (32, "linear", "", 0.04)]


def test_any_schedule_will_do():
    table = compared(schedule=warmup_cosine, scaling=["none"])
    assert [run.schedule for run in table.runs] == ["", "warmup_cosine"] * 2


def test_the_optimizers_own_rate_is_scaled_where_none_is_given():
    table = compared(learning_rate=None, optimizer=keras.optimizers.SGD(0.005), scaling=["linear"])
    assert [run.learning_rate for run in table.runs] == [0.005, 0.005, 0.02, 0.02]


def test_a_rate_that_was_swept_for_is_scaled():
    table = compared(learning_rate="auto", optimizer="sgd", scaling=["linear"])
    first, _, scaled, _ = (run.learning_rate for run in table.runs)
    assert scaled == pytest.approx(4 * first)


def test_the_same_seed_gives_the_same_runs():
    given = {"epochs": 1, "scaling": ["none"], "schedule": None, "sizes": [32]}
    one, other = (compared(**given) for _ in range(2))
    for run, same in zip(one.runs, other.runs, strict=True):
        assert run.history.history["loss"] == same.history.history["loss"]


def test_all_runs_begin_with_the_same_weights():
    table = compared(sizes=[64], learning_rate=1e-12, epochs=1)
    losses = [run.history.history["loss"][0] for run in table.runs]
    assert losses[0] == pytest.approx(losses[1])


def test_the_default_sizes_are_those_for_which_there_are_rows():
    table = compared(sizes=None, scaling=["none"], schedule=None, epochs=1)
    assert [run.batch_size for run in table.runs] == [32]
    few = compared((X[:10], Y[:10]), sizes=None, scaling=["none"], schedule=None, epochs=1)
    assert [run.batch_size for run in few.runs] == [10]


def test_what_is_held_out_for_validation_is_no_row_to_train_on():
    with pytest.raises(ValueError, match="51"):
        compared(sizes=[8, 60], validation_split=0.2)


def test_arguments_of_build_and_fit_are_passed_on():
    table = compared(validation_split=0.25, params={"n_neurons": 3}, sizes=[8], patience=0)
    assert "val_loss" in table.rows[0]


def test_a_line_a_run_is_printed(capsys):
    compared(verbose=1, scaling=["linear"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("batch 8 at 0.01 (none): loss ")
    assert lines[3].startswith("batch 32 at 0.04 (linear, warmup): loss ")


def test_silence_is_kept(capsys):
    compared(verbose=0, scaling=["none"], schedule=None, sizes=[32])
    assert capsys.readouterr().out == ""


def test_a_run_that_is_lost_is_a_row_all_the_same():
    table = compared(learning_rate=1e30, scaling=["none"], schedule=None, sizes=[8])
    assert table.runs[0].history.stop_reason == "nan"
    assert (table.rows[0]["loss"], table.rows[0]["epochs to best"]) == (None, None)


# What a step holds.


def test_the_megabytes_are_weights_gradients_slots_outputs_and_the_largest_gradient():
    model = ktr.build("regression", input_shape=(8,), n_neurons=30)
    ktr.compile_for_task(model, optimizer="adam")
    weights = 8 * 30 + 30 + 30 + 1
    slots = sum(variable.value.numpy().nbytes for variable in model.optimizer.variables)
    for rows in (1, 1000):
        outputs = 4 * rows * (8 + 30 + 1 + 30)
        assert step_megabytes(model, rows) == pytest.approx((8 * weights + slots + outputs) / 1e6)


def test_a_model_within_a_model_and_a_view_hold_nothing_of_their_own():
    def megabytes(*layers):
        model = keras.Sequential([keras.Input((8,)), *layers])
        model.compile("sgd", "mse")
        return step_megabytes(model, 1000)

    dense = [keras.layers.Dense(10), keras.layers.Dense(4)]
    flat = megabytes(*dense)
    assert megabytes(keras.Sequential(dense)) == pytest.approx(flat)
    assert megabytes(*dense, keras.layers.Reshape((2, 2)), keras.layers.Flatten()) == flat


def test_what_a_model_of_unknown_shapes_holds_is_unknown():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(1)

        def call(self, x):
            return self.head(x)

    model = Model()
    model.compile("sgd", "mse")
    model(X)
    assert math.isnan(step_megabytes(model, 32))


def test_a_halved_precision_holds_half():
    def outputs(dtype):
        layers = [keras.Input((8,)), keras.layers.Dense(100, dtype=dtype)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        batch = 4 * 8 * 10_000 / 1e6
        return step_megabytes(model, 10_000) - step_megabytes(model, 0) - batch

    assert outputs("mixed_float16") == pytest.approx(outputs("float32") / 2)


# What is refused.


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        ({"sizes": []}, ValueError, "`sizes` must be a list of batch sizes. Received: sizes=[]."),
        (
            {"sizes": "32"},
            ValueError,
            "`sizes` must be a list of batch sizes. Received: sizes='32'.",
        ),
        ({"sizes": [0, 8]}, ValueError, "`sizes` must be at least 1. Received: sizes=0."),
        (
            {"sizes": [8, 65]},
            ValueError,
            "`sizes` must be at most the rows to train on, 64. Received: sizes=[8, 65].",
        ),
        (
            {"scaling": ["cubic"]},
            ValueError,
            "`scaling` must be one of 'none', 'sqrt', 'linear'. Received: scaling='cubic'.",
        ),
        (
            {"scaling": []},
            ValueError,
            "`scaling` must name at least one of 'none', 'sqrt', 'linear'. Received: scaling=[].",
        ),
        (
            {"schedule": warmup(0.1)},
            TypeError,
            "`schedule` must be a function from the peak rate to a schedule, such as "
            f"schedules.warmup. Received: schedule={warmup(0.1)!r}.",
        ),
        (
            {"schedule": lambda: 1},
            TypeError,
            "`schedule` must be a function from the peak rate to a schedule, such as "
            "schedules.warmup. Received: schedule=<function",
        ),
        (
            {"scaling": None},
            ValueError,
            "`scaling` must name at least one of 'none', 'sqrt', 'linear'. Received: scaling=None.",
        ),
        (
            {"validation_split": 1.5},
            ValueError,
            "`validation_split` must be at least 0 and below 1. Received: validation_split=1.5.",
        ),
        (
            {"epochs": 0},
            ValueError,
            "`epochs` must be at least 1. Received: epochs=0.",
        ),
        (
            {"learning_rate": "fast"},
            ValueError,
            "`learning_rate` must be a number or 'auto'. Received: learning_rate='fast'.",
        ),
        (
            {"schedule": 0.1},
            TypeError,
            "`schedule` must be a function from the peak rate to a schedule, such as "
            "schedules.warmup. Received: schedule=0.1.",
        ),
        (
            {"batch_size": 32},
            ValueError,
            "`batch_size` must be left out: the sizes to compare are `sizes`. "
            "Received: batch_size=32.",
        ),
        (
            {"run": "a"},
            ValueError,
            "`run` must be left out: each of the runs would need a folder of its own. "
            "Received: run='a'.",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(arguments, kind, sentence):
    with pytest.raises(kind) as error:
        compared(**arguments)
    assert str(error.value).startswith(f"`compare_batch_sizes`: {sentence}")


def test_a_callback_that_sets_the_rate_is_refused_before_the_first_run():
    plateau = keras.callbacks.ReduceLROnPlateau()
    with pytest.raises(ValueError, match="callbacks") as error:
        compared(callbacks=plateau, schedule=None)
    assert str(error.value) == (
        "`compare_batch_sizes`: `callbacks` must hold none that sets the learning rate, which the "
        "comparison does. Received: ReduceLROnPlateau."
    )


def test_a_builder_whose_optimizer_runs_a_schedule_is_refused_before_the_first_step():
    def builder():
        model = ktr.build("regression", input_shape=(8,))
        model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9)), "mse")
        return model

    with pytest.raises(ValueError, match="builder") as error:
        ktr.compare_batch_sizes(builder, DATA, sizes=[8, 32], verbose=0)
    assert str(error.value) == (
        "`compare_batch_sizes`: `builder` must return a model whose optimizer has a rate, and no "
        "schedule of its own. Received: a SGD with a schedule."
    )


def test_ctrl_c_between_two_runs_returns_those_before():
    built = []

    def builder(a_layer=None):
        built.append(1)
        if len(built) == 3:
            raise KeyboardInterrupt
        return ktr.build("regression", a_layer, input_shape=(8,))

    table = ktr.compare_batch_sizes(builder, DATA, sizes=[8, 32], epochs=1, verbose=0)
    assert len(table.runs) == 2


def test_a_schedule_longer_than_the_run_is_refused_before_the_first_run(capsys):
    with pytest.raises(ValueError, match="be at most the epochs of the run"):
        compared(schedule=lambda peak: warmup(peak, epochs=5), epochs=2, verbose=1)
    assert capsys.readouterr().out == ""


def test_a_model_that_its_builder_compiled_is_trained_at_the_rates_of_the_table():
    def builder():
        model = ktr.build("regression", input_shape=(8,))
        model.compile(keras.optimizers.SGD(0.25), "mse")
        return model

    table = ktr.compare_batch_sizes(
        builder, DATA, sizes=[8, 32], scaling=["linear"], schedule=None, epochs=1, verbose=0
    )
    assert [run.learning_rate for run in table.runs] == [0.25, 1.0]
    assert [run.history.history["learning_rate"] for run in table.runs] == [[0.25], [1.0]]


def test_ctrl_c_returns_the_runs_that_were_done():
    class Interrupts(keras.callbacks.Callback):
        begun = 0

        def on_epoch_begin(self, epoch, logs=None):
            Interrupts.begun += 1
            if Interrupts.begun == 5:
                raise KeyboardInterrupt

    assert len(compared(callbacks=Interrupts()).runs) == 2
    assert Interrupts.begun == 5


def test_a_misspelt_argument_is_refused_before_the_first_run(capsys):
    with pytest.raises(ValueError, match="compare") as error:
        compared(size=[8], verbose=1)
    assert str(error.value).startswith(
        "`compare_batch_sizes`: `arguments` must be one of 'builder', 'data', 'sizes', "
    )
    assert str(error.value).endswith("(did you mean 'sizes'?). Received: arguments='size'.")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("builder", ["regresion", ktr.build("regression", input_shape=(8,))])
def test_what_is_no_builder_is_refused(builder):
    with pytest.raises((TypeError, ValueError)) as error:
        ktr.compare_batch_sizes(builder, DATA)
    assert str(error.value).startswith("`compare_batch_sizes`: `builder` must be one of 'binary', ")


def test_a_dataset_has_its_own_batches_and_is_refused():
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(TypeError) as error:
        compared(dataset)
    assert str(error.value).startswith(
        "`compare_batch_sizes`: `data` must be what load_dataset returns or a pair (x, y), whose "
        "batches have no size yet. Received: data="
    )


def test_an_optimizer_with_a_schedule_needs_a_rate():
    decay = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 10))
    with pytest.raises(ValueError, match="compare") as error:
        compared(optimizer=decay, learning_rate=None)
    assert str(error.value) == (
        "`compare_batch_sizes`: `learning_rate` must be given where the optimizer runs a schedule. "
        "Received: learning_rate=None."
    )
    assert np.allclose([run.learning_rate for run in compared(optimizer=decay).runs][:2], 0.01)
