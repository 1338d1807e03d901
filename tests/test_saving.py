import io
import json
import re
import stat
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerastrain import _model_archives
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
        "`load_weights`: `path` must be a file of save_weights for a model of this architecture. "
        f"Received: path='{path}'."
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


def refusal(path, **arguments):
    """What a file is refused for; nothing has been written by then."""
    before = sorted(path.parent.rglob("*"))
    words = message(ValueError, load_model, path, **arguments)
    assert sorted(path.parent.rglob("*")) == before
    start = f"`load_model`: `path` must be a file of save_model. Received: path='{path}', "
    assert words.startswith(start)
    return words.removeprefix(start)


def test_a_file_that_would_run_code_is_refused(a_file_with_code):
    assert refusal(a_file_with_code) == (
        "whose layer 'twice' has a lambda, which would run code: "
        "pass safe_mode=False if you trust it."
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


# Hostile files.


@pytest.fixture
def repacked(tmp_path):
    """Saves a model, and packs its file anew: with other members, and some changed."""
    path = save_model(a_model(), tmp_path / "run" / "m.keras")

    def repack(changed=(), *members):
        with zipfile.ZipFile(path) as archive:
            old = {name: archive.read(name) for name in archive.namelist()} | dict(changed)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in [*old.items(), *members]:
                archive.writestr(name, content)
        return path

    return repack


def config_in(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_a_file_packed_anew_is_loaded(repacked):
    assert load_model(repacked((), ("assets/note.txt", "mine"))).output_shape == (None, 3)


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "assets/../../evil.txt", "/tmp/evil.txt", "C:/evil.txt", "..\\evil.txt"],
)
def test_a_member_that_climbs_out_is_refused(repacked, name):
    path = repacked((), (name, "evil"))
    assert refusal(path) == f"with the member {name!r}, which lies outside of it."


def test_a_member_that_is_a_link_is_refused(repacked):
    link = zipfile.ZipInfo("assets")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert refusal(repacked((), (link, "/etc"))) == "with the member 'assets', which is a link."


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(repacked):
    path = repacked((), ("config.json", "{}"))
    assert refusal(path) == "with the member 'config.json' twice."


def test_a_bomb_of_a_gigabyte_is_refused_and_not_unpacked(repacked):
    path, zeros = repacked(), bytes(2**20)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("assets/vocabulary.txt", "w") as member,
    ):
        for _ in range(1024):
            member.write(zeros)
    assert path.stat().st_size < 6 * 10**6
    tracemalloc.start()
    try:
        words = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    assert re.fullmatch(
        r"with the member 'assets/vocabulary.txt', which unpacks to 1\.1 GB from \d\.\d MB\.", words
    )


def test_a_bomb_in_many_members_is_refused(repacked, monkeypatch):
    monkeypatch.setattr(_model_archives, "_LARGE", 10**6)
    path = repacked()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(400):
            archive.writestr(f"assets/{number}", bytes(900_000))
    monkeypatch.setattr(_model_archives, "_PROPORTION", 500)
    packed = path.stat().st_size / 1e6
    assert refusal(path) == f"which unpacks to 360.0 MB from {packed:.1f} MB."


def test_more_than_the_memory_is_refused(repacked, monkeypatch):
    path = repacked()
    monkeypatch.setattr(_model_archives, "free_memory", lambda: 1000)
    with zipfile.ZipFile(path) as archive:
        whole = sum(member.file_size for member in archive.infolist()) / 1e6
    assert refusal(path) == f"which unpacks to {whole:.1f} MB, where 0.0 MB are free."


def test_the_free_memory_is_what_the_system_says_where_it_does(monkeypatch):
    free = _model_archives.free_memory()
    assert free is None or 10**6 < free < 10**14

    def nothing(*arguments, **keywords):
        raise OSError

    monkeypatch.setattr(_model_archives.pathlib.Path, "read_text", nothing)
    assert _model_archives.free_memory() is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "whose config.json is not JSON."),
        (b"\xff\xfe\x00", "whose config.json is not JSON."),
        ("[" * 100_000, "whose config.json is not JSON."),
        ("[]", "whose config.json is not that of a model."),
    ],
    ids=["cut", "bytes", "deep", "list"],
)
def test_a_config_that_makes_no_sense_is_refused(repacked, text, why):
    assert refusal(repacked({"config.json": text})) == why


@pytest.mark.parametrize("where", ["layers", "compile_config", "old"])
def test_code_is_refused_wherever_it_is(repacked, where):
    path = repacked()
    config = config_in(path)
    code = {"class_name": "__lambda__", "config": {"code": "4wEA", "defaults": None}}
    if where == "compile_config":
        config["compile_config"] = {"loss": code}
    else:
        inner = {"name": "inner", "layers": config["config"]["layers"]}
        lambda_layer = {"class_name": "Lambda", "config": {"name": "evil", "function": code}}
        if where == "old":
            lambda_layer["config"] |= {"function": ["4wEA"], "function_type": "lambda"}
        inner["layers"].append(lambda_layer)
        config["config"]["layers"] = [{"class_name": "Sequential", "config": inner}]
    what = "config" if where == "compile_config" else "layer 'evil'"
    assert refusal(repacked({"config.json": json.dumps(config)})) == (
        f"whose {what} has a lambda, which would run code: pass safe_mode=False if you trust it."
    )


def with_weights(repacked, change):
    """Packs a file whose weights were changed."""
    with zipfile.ZipFile(repacked()) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "a") as file:
        change(file["layers"])
    return repacked({"model.weights.h5": content.getvalue()})


def external_link(group):
    group["evil"] = h5py.ExternalLink("/etc/hosts", "/")


def soft_link(group):
    group["evil"] = h5py.SoftLink("/layers")


def external_storage(group):
    group.create_dataset("evil", (4,), "uint8", external=[("/etc/hostname", 0, 4)])


def virtual(group):
    layout = h5py.VirtualLayout((4,), "uint8")
    layout[:] = h5py.VirtualSource("/etc/evil.h5", "x", shape=(4,))
    group.create_virtual_dataset("evil", layout)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (external_link, "lie in another file"),
        (soft_link, "are a link"),
        (external_storage, "lie in another file"),
        (virtual, "lie in another file"),
    ],
)
def test_weights_that_lie_elsewhere_are_refused(repacked, change, what):
    path = with_weights(repacked, lambda group: change(group.create_group("deep")))
    assert refusal(path) == f"whose weights 'layers/deep/evil' {what}."


def test_weights_that_grow_out_of_proportion_are_refused(repacked):
    def huge(group):
        group.create_dataset("evil", (10**9,), "float32", chunks=(10**6,), compression="gzip")

    assert refusal(with_weights(repacked, huge)) == (
        "whose weights 'layers/evil' unpack to 4.0 GB from 0.0 MB."
    )


def test_weights_in_a_circle_are_looked_at_once(repacked):
    def circle(group):
        group["again"] = group

    assert load_model(with_weights(repacked, circle)).output_shape == (None, 3)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_broken_weights_are_refused(repacked, content):
    path = repacked({"model.weights.h5": content})
    assert refusal(path) == "whose model.weights.h5 is broken."


def test_a_member_whose_bytes_were_changed_is_refused(repacked):
    path = repacked()
    whole = path.read_bytes()
    place = whole.index(b'"class_name"')
    path.write_bytes(whole[:place] + b"'" + whole[place + 1 :])
    assert refusal(path) == "whose config.json is broken."


def test_what_is_hostile_is_refused_from_whom_the_user_trusts_too(repacked):
    path = repacked((), ("../evil.txt", "evil"))
    assert refusal(path, safe_mode=False) == (
        "with the member '../evil.txt', which lies outside of it."
    )
