"""A state's file comes back to the bit, or says what is broken."""

import hashlib
import json
import math
import os
import struct
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from kerastrain import _files, _state_files
from kerastrain._record_files import UnreadableError
from kerastrain._state_files import NewerVersionError, State, read_facts, read_state, write_state

LINE = b"kerastrain state 1\n"
GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "dense/kernel": GENERATOR.normal(size=(7, 5)).astype("float32"),
    "dense/bias": np.arange(5, dtype="float64"),
    "iterations": np.array(7, dtype="int64"),
    "seed": np.array([1, 2**32 - 1], dtype="uint32"),
    "nobody": np.zeros((3, 0), dtype="float32"),
    "is_on": np.array([True, False]),
    "half": np.arange(6, dtype=ml_dtypes.bfloat16),
}
FACTS = {"epoch": 3, "losses": [0.1, math.nan], "note": "Ünal's", "callbacks": {"wait": 0}}


@pytest.fixture
def path(tmp_path):
    write_state(tmp_path / "state.ktr", State(FACTS, ARRAYS))
    return tmp_path / "state.ktr"


def rewritten(path, facts):
    write_state(path, State(facts, {}))
    return read_state(path).facts


def signed(path, header, rest=b"", *, line=LINE, length=None):
    """Writes a file whose checksum fits, whatever else doesn't."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    whole = line + struct.pack("<Q", len(text) if length is None else length) + text + rest
    path.write_bytes(whole + hashlib.sha256(whole).digest())


def why(path, kind=UnreadableError):
    with pytest.raises(kind) as error:
        read_state(path)
    with pytest.raises(kind) as of_facts:
        read_facts(path)
    assert str(of_facts.value) == str(error.value) or "array" in str(error.value)
    return str(error.value)


# Arrays.


def test_arrays_come_back_to_the_bit_and_in_order(path):
    arrays = read_state(path).arrays
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].flags.writeable


DTYPES = sorted(_state_files._OURS | _state_files._KERAS_BRINGS)


@pytest.mark.parametrize("name", DTYPES)
def test_an_array_of_any_dtype_comes_back_to_the_bit(tmp_path, name):
    if name.startswith("float8") and not hasattr(ml_dtypes, name):
        pytest.skip(f"this version of ml_dtypes has no {name}")
    dtype = np.dtype(getattr(ml_dtypes, name, None) or name)
    bits = GENERATOR.integers(0, 2 if name == "bool" else 256, 24 * dtype.itemsize, dtype="uint8")
    array = bits.view(dtype).reshape(2, 3, 4)
    write_state(tmp_path / "one", State({}, {"it": array, "one": array[1, 2, 3]}))
    arrays = read_state(tmp_path / "one").arrays
    assert (arrays["it"].dtype, arrays["it"].shape) == (dtype, (2, 3, 4))
    assert arrays["it"].tobytes() == bits.tobytes()
    assert (arrays["one"].dtype, arrays["one"].shape) == (dtype, ())
    assert arrays["one"].tobytes() == bits[-dtype.itemsize :].tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype="float32").reshape(3, 4).T,
        np.arange(12, dtype="float32")[::-2],
        np.arange(12, dtype=">f4").reshape(3, 4),
        np.broadcast_to(np.float32(2), (3, 2)),
    ],
    ids=["turned", "with steps", "the greatest byte first", "one for many"],
)
def test_an_array_may_lie_in_memory_in_any_way(tmp_path, array):
    write_state(tmp_path / "one", State({}, {"it": array}))
    found = read_state(tmp_path / "one").arrays["it"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == np.dtype("float32")


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (np.array(["a"]), "<ndarray of shape (1,), str32>, dtype str32"),
        (np.array([1j]), "<ndarray of shape (1,), complex128>, dtype complex128"),
        (np.array([None]), "<ndarray of shape (1,), object>, dtype object"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_before_anything_is_written(tmp_path, array, shown):
    with pytest.raises(TypeError) as error:
        write_state(tmp_path / "one", State({}, {"w": array}))
    assert str(error.value) == (
        f"`write_state`: `arrays` must be truth values, integers or floats. Received: 'w': {shown}."
    )
    assert list(tmp_path.iterdir()) == []


def test_writing_and_reading_hold_no_second_copy_of_the_arrays(tmp_path):
    array = np.ones(2**22, dtype="float32")  # 16 MiB
    tracemalloc.start()
    try:
        write_state(tmp_path / "one", State({}, {"it": array}))
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
        tracemalloc.reset_peak()
        read_state(tmp_path / "one")
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
        tracemalloc.reset_peak()
        read_facts(tmp_path / "one")
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


# Facts.


def test_facts_come_back_as_they_were(path):
    facts = read_state(path).facts
    assert repr(facts) == repr(FACTS)
    assert repr(read_facts(path)) == repr(FACTS)


def test_every_float_comes_back_to_the_bit(tmp_path):
    bits = [
        *GENERATOR.integers(0, 2**64, 500, dtype="uint64").tolist(),
        *(0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000001),
        *(0, 0x8000000000000000, 1, 0x7FEFFFFFFFFFFFFF),
    ]
    floats = [struct.unpack("<d", struct.pack("<Q", each))[0] for each in bits]
    nested = {"floats": floats, "deep": [{"er": floats[-5]}, "NaN", None]}
    found = rewritten(tmp_path / "one", nested)
    assert [struct.pack("<d", each) for each in found["floats"]] == [
        struct.pack("<d", each) for each in floats
    ]
    assert all(type(each) is float for each in found["floats"])
    assert found["deep"][1:] == ["NaN", None]
    assert struct.pack("<d", found["deep"][0]["er"]) == struct.pack("<Q", 0xFFF8000000000001)


def test_numbers_of_numpy_become_those_of_python(tmp_path):
    facts = {"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True), "d": np.float64("nan")}
    found = rewritten(tmp_path / "one", facts | {"e": ml_dtypes.bfloat16(0.5), "f": np.str_("f")})
    assert [type(value) for value in found.values()] == [float, int, bool, float, float, str]
    assert found["a"] == float(np.float32(0.1))
    assert (
        repr(found) == "{'a': 0.10000000149011612, 'b': 3, 'c': True, 'd': nan, 'e': 0.5, 'f': 'f'}"
    )


@pytest.mark.parametrize("text", ["\ud800", "\x00\n\x1b[31m", "🙂", "odd floats"])
def test_any_text_is_a_fact_or_the_name_of_one(tmp_path, text):
    assert rewritten(tmp_path / "one", {text: [text, math.inf]}) == {text: [text, math.inf]}


@pytest.mark.parametrize(
    ("facts", "where"),
    [
        ({"a": [1, {2, 3}]}, "facts['a'][1]={2, 3}"),
        ({"a": {1: 2}}, "facts['a']={1: 2}"),
        ({"a": np.zeros(2)}, "facts['a']=<ndarray of shape (2,), float64>"),
        ({"a": b"raw"}, "facts['a']=b'raw'"),
    ],
)
def test_what_json_has_no_word_for_is_refused_before_anything_is_written(tmp_path, facts, where):
    with pytest.raises(TypeError) as error:
        write_state(tmp_path / "one", State(facts, {}))
    assert str(error.value) == (
        "`write_state`: `facts` must hold None, numbers, strings, and lists and dicts of them by "
        f"strings, and nothing else. Received: {where}."
    )
    assert list(tmp_path.iterdir()) == []


# Broken files.


def test_each_flipped_byte_is_found(path):
    whole = path.read_bytes()
    header = len(LINE) + 8 + struct.unpack("<Q", whole[len(LINE) : len(LINE) + 8])[0]
    chosen = [
        *range(len(LINE) + 8),  # the line and the length
        *range(len(LINE) + 8, header, 11),
        *range(header, len(whole) - 32, 4),
        *range(len(whole) - 32, len(whole)),  # the checksum
    ]
    assert len(chosen) > 150
    for place in chosen:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        in_line = place < len(LINE)
        assert why(path) in (
            ["its first line is not that of a state", "its checksum doesn't fit"]
            if in_line
            else ["its checksum doesn't fit"]
        )


def test_each_truncation_is_found(path):
    whole = path.read_bytes()
    lengths = [*range(1, 60), *range(60, len(whole), 7), *range(len(whole) - 40, len(whole))]
    assert len(lengths) > 150
    for length in lengths:
        path.write_bytes(whole[:length])
        line = "its first line is not that of a state"
        assert why(path) == (line if length < len(LINE) else "its checksum doesn't fit")


@pytest.mark.parametrize("more", [b"\0", b"\n", b"x" * 32, b"\0" * 4096])
def test_appended_bytes_are_found(path, more):
    path.write_bytes(path.read_bytes() + more)
    assert why(path) == "its checksum doesn't fit"


def test_exchanged_blocks_and_zeros_are_found(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + whole[200:300] + whole[100:200] + whole[300:])
    assert why(path) == "its checksum doesn't fit"
    path.write_bytes(whole[:500] + bytes(100) + whole[600:])
    assert why(path) == "its checksum doesn't fit"
    path.write_bytes(bytes(len(whole)))
    assert why(path) == "its first line is not that of a state"


def test_an_empty_file_is_refused(path):
    path.write_bytes(b"")
    assert why(path) == "an empty file"


def test_what_is_no_file_is_refused(tmp_path):
    assert why(tmp_path / "none") == "No such file or directory"
    (tmp_path / "folder").mkdir()
    assert why(tmp_path / "folder") in ("not a file", "Is a directory", "Permission denied")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert why(tmp_path / "pipe") == "not a file"


def test_a_link_is_not_followed(path):
    link = path.with_name("link.ktr")
    link.symlink_to(path)
    assert why(link) == "a symbolic link"


def test_a_file_of_a_newer_version_is_refused_as_such(path):
    signed(path, b"nobody knows", line=b"kerastrain state 2\n")
    assert why(path, NewerVersionError) == "version 2, where this package reads 1"


def test_a_file_of_a_newer_version_that_is_broken_is_only_broken(path):
    path.write_bytes(path.read_bytes().replace(b"state 1", b"state 2"))
    with pytest.raises(UnreadableError) as error:
        read_state(path)
    assert type(error.value) is UnreadableError
    assert str(error.value) == "its checksum doesn't fit"


# Files that somebody made up: their checksum fits.


def made_up(**changes):
    entry = {"name": "w", "dtype": "float32", "shape": [2], "size": 8} | changes
    return {"facts": {}, "odd floats": [], "arrays": [entry]}


def test_what_is_made_up_well_is_read(tmp_path):
    signed(tmp_path / "one", made_up(), struct.pack("<ff", 1, 2))
    assert read_state(tmp_path / "one").arrays["w"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "object"}, "dtype 'object', which is not known here"),
        ({"dtype": "finfo"}, "dtype 'finfo', which is not known here"),
        ({"dtype": ">f4"}, "dtype '>f4', which is not known here"),
        ({"dtype": 4}, "an array without a name, dtype or shape"),
        ({"name": None}, "an array without a name, dtype or shape"),
        ({"shape": 2}, "an array without a name, dtype or shape"),
        ({"shape": [-2]}, "an array of shape [-2]"),
        ({"shape": [2.0]}, "an array of shape [2.0]"),
        ({"shape": [True]}, "an array of shape [True]"),
        ({"shape": [10**30]}, f"an array of shape [{10**30}]"),
        ({"shape": [0, 2**62], "size": 0}, "an array of shape (0, 4611686018427387904)"),
        ({"shape": [3]}, "an array of 8 bytes, which its shape doesn't give"),
        ({"size": "8"}, "an array of '8' bytes, which its shape doesn't give"),
        (
            {"shape": [10**15], "size": 4 * 10**15},
            "arrays that are longer or shorter than the file",
        ),
        ({"shape": [1], "size": 4}, "arrays that are longer or shorter than the file"),
        ({"dtype": "bool", "shape": [8]}, "truth values that are neither"),
    ],
)
def test_an_array_that_makes_no_sense_is_refused(tmp_path, changes, message):
    rest = b"\2" * 8 if changes.get("size") != 0 else b""
    signed(tmp_path / "one", made_up(**changes), rest)
    with pytest.raises(UnreadableError) as error:
        read_state(tmp_path / "one")
    assert str(error.value) == message


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"facts": {}}',
        {"facts": [], "odd floats": [], "arrays": []},
        {"facts": {}, "odd floats": [], "arrays": [3]},
        {"facts": {}, "odd floats": [], "arrays": {"w": 3}},
        {"facts": {}, "odd floats": [], "arrays": made_up()["arrays"] * 2},
        {"facts": {}, "odd floats": [[[], "7ff0000000000000"]], "arrays": []},
        {"facts": {"a": None}, "odd floats": [[["b"], "7ff0000000000000"]], "arrays": []},
        {"facts": {"a": None}, "odd floats": [[["a"], "7f"]], "arrays": []},
        {"facts": {"a": 1}, "odd floats": [[["a"], "7ff0000000000000"]], "arrays": []},
        {"facts": {}, "odd floats": 3, "arrays": []},
    ],
    ids=lambda header: repr(header)[:40],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, header):
    signed(tmp_path / "one", header)
    assert why(tmp_path / "one").startswith("a header that doesn't fit: ")


@pytest.mark.parametrize("length", [3, 2**20, 2**63, 2**64 - 1])
def test_a_header_that_ends_beyond_the_file_is_refused(tmp_path, length):
    signed(tmp_path / "one", b"{}", length=length)
    assert why(tmp_path / "one") == "a header that is longer than the file"


def test_a_file_that_ends_before_its_header_is_refused(tmp_path):
    (tmp_path / "one").write_bytes(LINE + hashlib.sha256(LINE).digest())
    assert why(tmp_path / "one") == "a header that is longer than the file"


# Writing.


def test_a_file_that_reads_back_differently_is_an_error(tmp_path, monkeypatch):
    def spoiling(temporary, path):
        text = bytearray(temporary.read_bytes())
        text[-40] ^= 1
        path.write_bytes(text)

    monkeypatch.setattr(_files, "_put", spoiling)
    with pytest.raises(OSError, match="written") as error:
        write_state(tmp_path / "one", State({}, ARRAYS))
    assert error.value.strerror == "what was written can't be read (its checksum doesn't fit)"


def test_another_whole_file_in_its_place_is_an_error(tmp_path, monkeypatch):
    other = tmp_path / "other"
    write_state(other, State({"epoch": 1}, {}))
    monkeypatch.setattr(_files, "_put", lambda temporary, path: path.hardlink_to(other))
    with pytest.raises(OSError, match="written") as error:
        write_state(tmp_path / "one", State({"epoch": 2}, {}))
    assert error.value.strerror == "what was written reads back differently"


def test_a_second_state_takes_the_place_of_the_first(path):
    write_state(path, State({"epoch": 4}, {}))
    assert read_state(path).facts == {"epoch": 4}
    assert [each.name for each in path.parent.iterdir()] == ["state.ktr"]
