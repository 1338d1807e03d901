"""A hostile ".keras" file does nothing, and is named."""

import io
import json
import re
import stat
import tracemalloc
import zipfile

import h5py
import pytest

from kerastrain import _model_archives
from kerastrain.models import build
from kerastrain.saving import load_model, save_model


def refusal(path, **arguments):
    """What a file is refused for; nothing has been written by then."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(ValueError, match="load_model") as error:
        load_model(path, **arguments)
    words = str(error.value)
    assert sorted(path.parent.rglob("*")) == before
    start = f"`load_model`: `path` must be a file of save_model. Received: path='{path}', "
    assert words.startswith(start)
    return words.removeprefix(start)


@pytest.fixture
def repacked(tmp_path):
    """Saves a model, and packs its file anew: with other members, and some changed."""
    path = save_model(
        build("dense", input_shape=(4,), units=5, classes=3), tmp_path / "run" / "m.keras"
    )

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
    assert refusal(path) == "whose weights are broken."


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
