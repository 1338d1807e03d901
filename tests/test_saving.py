import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerastrain.models import build
from kerastrain.saving import load_model, load_weights, save_model, save_weights
from kerastrain.tasks import compile_for_task

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4)).astype("float32")
Y = np.arange(60) % 3


def a_model(units=5):
    return build("dense", input_shape=(4,), units=units, classes=3)


def a_trained_model():
    model = compile_for_task(
        build("dense", keras.layers.BatchNormalization(), input_shape=(4,), units=5, classes=3),
        y=Y,
    )
    for _ in range(4):
        model.train_on_batch(X, Y)
    return model


def evaluated(model):
    return model.evaluate(X, Y, verbose=0, return_dict=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def message(error_type, call, *arguments, **keywords):
    with pytest.raises(error_type) as error:
        call(*arguments, **keywords)
    return str(error.value)


# Round trips.


def test_d1_7_saved_weights_give_the_same_evaluation_to_the_last_digit(tmp_path):
    model = a_trained_model()
    path = save_weights(model, tmp_path / "model.weights.h5")
    other = compile_for_task(
        build("dense", keras.layers.BatchNormalization(), input_shape=(4,), units=5, classes=3),
        y=Y,
    )
    assert evaluated(other) != evaluated(model)
    assert load_weights(other, path) is other
    assert evaluated(other) == evaluated(model)


def test_d1_8_a_saved_model_gives_the_same_evaluation_to_the_last_digit(tmp_path):
    model = a_trained_model()
    loaded = load_model(save_model(model, tmp_path / "model-whole.keras"))
    assert evaluated(loaded) == evaluated(model)
    np.testing.assert_array_equal(loaded.predict_on_batch(X), model.predict_on_batch(X))


def test_a_saved_model_trains_on_where_it_stood(tmp_path):
    model = a_trained_model()
    loaded = load_model(save_model(model, tmp_path / "model.keras"))
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 4
    for each in (model, loaded):
        each.train_on_batch(X, Y)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_that_was_never_compiled_can_be_saved(tmp_path):
    loaded = load_model(save_model(a_model(), tmp_path / "model.keras"))
    assert not loaded.compiled
    assert loaded.output_shape == (None, 3)


def test_a_model_can_be_loaded_without_its_optimizer(tmp_path):
    path = save_model(compile_for_task(a_model()), tmp_path / "model.keras")
    assert not load_model(path, compile=False).compiled


def test_the_path_comes_back_and_can_be_a_string(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(save_model(a_model(), "model.keras")) == "model.keras"
    assert str(save_weights(a_model(), "model.weights.h5")) == "model.weights.h5"
    assert names(tmp_path) == ["model.keras", "model.weights.h5"]


def test_missing_folders_are_made(tmp_path):
    save_model(a_model(), tmp_path / "runs" / "first" / "model.keras")
    save_weights(a_model(), tmp_path / "runs" / "second" / "model.weights.h5")
    assert names(tmp_path / "runs") == ["first", "second"]


# Suffixes.


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("model-whole.h5", "model-whole.keras"),
        ("model.hdf5", "model.keras"),
        ("model.weights.h5", "model.keras"),
        ("model", "model.keras"),
        ("runs/v1.2/model", "runs/v1.2/model.keras"),
    ],
)
def test_d1_8_a_whole_model_goes_into_a_keras_file(path, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message(ValueError, save_model, a_model(), path) == (
        f'`save_model`: `path` must end in ".keras", the format of a whole model: write "{line}" '
        f"(`save_weights` is for weights alone). Received: path='{path}'."
    )
    assert message(ValueError, load_model, path) == (
        f'`load_model`: `path` must end in ".keras", the format of a whole model: write "{line}" '
        f"(`load_weights` is for weights alone). Received: path='{path}'."
    )
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("model.h5", "model.weights.h5"),
        ("model.hdf5", "model.weights.h5"),
        ("model.keras", "model.weights.h5"),
        ("model", "model.weights.h5"),
    ],
)
def test_d1_7_weights_go_into_a_weights_h5_file(path, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message(ValueError, save_weights, a_model(), path) == (
        f'`save_weights`: `path` must end in ".weights.h5", the format of weights: write "{line}" '
        f"(`save_model` is for whole models). Received: path='{path}'."
    )
    assert message(ValueError, load_weights, a_model(), path) == (
        f'`load_weights`: `path` must end in ".weights.h5", the format of weights: write "{line}" '
        f"(`load_model` is for whole models). Received: path='{path}'."
    )
    assert names(tmp_path) == []


# Whole or not at all.


@pytest.mark.parametrize(
    ("save", "method", "name"),
    [
        (save_model, "save", "model.keras"),
        (save_weights, "save_weights", "model.weights.h5"),
    ],
)
def test_a_failing_save_leaves_the_old_file_and_nothing_else(
    save, method, name, tmp_path, monkeypatch
):
    model = a_model()
    path = save(model, tmp_path / name)
    old = path.read_bytes()

    def fail_half_way(self, path, **arguments):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(type(model), method, fail_half_way)
    assert message(OSError, save, model, path) == "No space left on device"
    assert path.read_bytes() == old
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("save", "name"), [(save_model, "model.keras"), (save_weights, "model.weights.h5")]
)
def test_a_second_save_replaces_the_first_without_asking(save, name, tmp_path):
    for units in (5, 50):
        path = save(a_model(units), tmp_path / name)
    assert path.stat().st_size > 0
    assert names(tmp_path) == [name]
    model = a_model(50)
    if save is save_model:
        assert load_model(path).count_params() == model.count_params()
    else:
        assert load_weights(model, path) is model


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda folder: save_model("dense", folder / "m.keras"), "save_model"),
        (lambda folder: save_weights("dense", folder / "m.weights.h5"), "save_weights"),
    ],
)
def test_only_a_model_is_saved(call, name, tmp_path):
    assert message(TypeError, call, tmp_path) == (
        f"`{name}`: `model` must be a keras.Model. Received: 'dense'."
    )
    assert names(tmp_path) == []


def test_weights_are_loaded_into_a_model(tmp_path):
    path = save_weights(a_model(), tmp_path / "m.weights.h5")
    assert message(TypeError, load_weights, "dense", path) == (
        "`load_weights`: `model` must be a keras.Model. Received: 'dense'."
    )


# Files that aren't there, or aren't what they seem.


def test_a_missing_file_is_refused(tmp_path):
    whole, weights = tmp_path / "m.keras", tmp_path / "m.weights.h5"
    assert message(ValueError, load_model, whole) == (
        f"`load_model`: `path` must be a file. Received: path='{whole}', which is not."
    )
    assert message(ValueError, load_weights, a_model(), weights) == (
        f"`load_weights`: `path` must be a file. Received: path='{weights}', which is not."
    )


def test_a_folder_is_refused(tmp_path):
    folder = tmp_path / "m.keras"
    folder.mkdir()
    assert message(ValueError, load_model, folder) == (
        f"`load_model`: `path` must be a file. Received: path='{folder}', which is not."
    )


def test_a_file_cut_short_is_refused(tmp_path):
    path = save_model(a_model(), tmp_path / "m.keras")
    path.write_bytes(path.read_bytes()[:-500])
    assert message(ValueError, load_model, path) == (
        "`load_model`: `path` must be a file of save_model. "
        f"Received: path='{path}', which is no zip archive."
    )


def test_weights_of_no_hdf5_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    path.write_text("no weights")
    assert message(ValueError, load_weights, a_model(), path) == (
        "`load_weights`: `path` must be a file of save_weights. "
        f"Received: path='{path}', whose weights are broken."
    )


def test_weights_alone_that_lie_elsewhere_are_refused(tmp_path):
    path = save_weights(a_model(), tmp_path / "m.weights.h5")
    with h5py.File(path, "a") as file:
        file["evil"] = h5py.ExternalLink("/etc/hosts", "/")
    assert message(ValueError, load_weights, a_model(), path) == (
        "`load_weights`: `path` must be a file of save_weights. "
        f"Received: path='{path}', whose weights 'evil' lie in another file."
    )


def test_weights_that_do_not_fit_are_refused_and_the_model_keeps_its_own(tmp_path):
    path = save_weights(
        build("regression", n_hidden=1, n_neurons=5, outputs=2), tmp_path / "m.weights.h5"
    )
    # The hidden layer would fit, the head would not.
    model = build("regression", n_hidden=1, n_neurons=5, outputs=3)
    before = model.get_weights()
    assert message(ValueError, load_weights, model, path) == (
        "`load_weights`: `path` must be a file of save_weights for a model of this architecture. "
        f"Received: path='{path}'."
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_for_a_model_without_shapes_are_refused(tmp_path):
    path = save_weights(a_model(), tmp_path / "m.weights.h5")
    model = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(3)])
    assert message(ValueError, load_weights, model, path) == (
        "`load_weights`: `path` must be a file of save_weights for a model of this architecture. "
        f"Received: path='{path}'."
    )


# Safe mode.


@pytest.fixture
def a_file_with_code(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, name="twice")(inputs))
    return save_model(model, tmp_path / "code.keras")


def test_a_file_that_would_run_code_is_refused(a_file_with_code):
    assert message(ValueError, load_model, a_file_with_code) == (
        "`load_model`: `path` must be a file of save_model. "
        f"Received: path='{a_file_with_code}', whose layer 'twice' has a lambda, which would run "
        "code: pass safe_mode=False if you trust it."
    )


def test_a_file_that_would_run_code_is_loaded_where_the_user_says_so(a_file_with_code):
    model = load_model(a_file_with_code, safe_mode=False)
    np.testing.assert_array_equal(model.predict_on_batch(np.ones((1, 2))), [[2.0, 2.0]])


def test_a_saved_model_is_the_archive_that_keras_writes(tmp_path):
    path = save_model(a_model(), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        assert {"config.json", "metadata.json", "model.weights.h5"} <= set(archive.namelist())
    assert keras.saving.load_model(path).output_shape == (None, 3)


def test_a_zip_of_something_else_is_no_model(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("note.txt", "no model")
    with pytest.raises(ValueError, match="must be a file of save_model") as error:
        load_model(path)
    assert str(error.value) == (
        "`load_model`: `path` must be a file of save_model. "
        f"Received: path='{path}', a zip archive of something else."
    )
