"""Whatever happens to a folder of states, the newest whole one is found."""

import errno
import hashlib
import os
import pathlib
import random
import signal
import struct
import time

import numpy as np
import pytest
from small_processes import small_process

from kerastrain import _generations, _state_files
from kerastrain._generations import Generations
from kerastrain._record_files import UnreadableError
from kerastrain._state_files import NewerVersionError, State, write_state


def a_state(epoch):
    return State({"epoch": epoch, "loss": float("inf")}, {"w": np.full(1000, epoch, "float32")})


def saved(folder, *epochs, landmarks=()):
    generations = Generations(folder)
    for epoch in epochs:
        generations.save(a_state(epoch), is_landmark=epoch in landmarks)
    return generations


def names(folder):
    return sorted(os.listdir(folder))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damage(path, place=-100):
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)


def epoch_of(state):
    assert state.facts == {"epoch": state.facts["epoch"], "loss": float("inf")}
    np.testing.assert_array_equal(state.arrays["w"], np.full(1000, state.facts["epoch"], "float32"))
    return state.facts["epoch"]


def newest(folder):
    state, broken = Generations(folder).newest()
    return epoch_of(state), broken


# What is there, and what stays.


@pytest.mark.parametrize("folder", ["none", "."])
def test_where_there_is_no_file_there_is_no_state(tmp_path, folder):
    generations = Generations(tmp_path / folder)
    assert (generations.newest(), generations.landmark()) == (None, None)
    assert names(tmp_path) == []


def test_the_newest_state_comes_back(tmp_path):
    saved(tmp_path / "runs" / "a", 0, 1, 2)
    assert newest(tmp_path / "runs" / "a") == (2, [])


def test_the_two_newest_stay(tmp_path):
    saved(tmp_path, 0)
    assert names(tmp_path) == ["state-000001.ktr"]
    saved(tmp_path, 1, 2, 3)
    assert names(tmp_path) == ["state-000003.ktr", "state-000004.ktr"]


def test_the_newest_landmark_stays_too(tmp_path):
    generations = saved(tmp_path, 0, 1, 2, 3, 4, 5, landmarks=[1, 2])
    assert names(tmp_path) == ["state-000003.ktr", "state-000005.ktr", "state-000006.ktr"]
    assert epoch_of(generations.landmark()) == epoch_of(Generations(tmp_path).landmark()) == 2
    saved(tmp_path, 6)  # In another process.
    assert names(tmp_path) == ["state-000003.ktr", "state-000006.ktr", "state-000007.ktr"]
    saved(tmp_path, 7, landmarks=[7])
    assert names(tmp_path) == ["state-000007.ktr", "state-000008.ktr"]
    assert epoch_of(Generations(tmp_path).landmark()) == 7


def test_without_a_landmark_there_is_none(tmp_path):
    assert saved(tmp_path, 0, 1).landmark() is None


def test_numbers_go_on_past_a_million(tmp_path):
    write_state(tmp_path / "state-999999.ktr", State({"facts": {}, "is_landmark": False}, {}))
    saved(tmp_path, 1)
    assert names(tmp_path) == ["state-1000000.ktr", "state-999999.ktr"]
    assert newest(tmp_path) == (1, [])


def test_other_files_are_left_alone(tmp_path):
    others = ["State-000009.ktr", "best.keras", "state-00009.ktr", "state-0000009.ktr", "x.ktr"]
    others += ["state-٠٠٠٠٠٩.ktr", "state-000009.ktr.bak", ".state-000009.ktr", ".hidden-note"]
    for name in others:
        (tmp_path / name).write_text("mine")
    saved(tmp_path, 0, 1, 2)
    assert names(tmp_path) == sorted([*others, "state-000002.ktr", "state-000003.ktr"])
    assert newest(tmp_path) == (2, [])


# Broken ones.


def test_where_the_newest_is_broken_the_one_before_it_is_used(tmp_path):
    saved(tmp_path, 0, 1)
    damage(tmp_path / "state-000002.ktr")
    assert newest(tmp_path) == (
        0,
        [
            "state-000002.ktr is broken (its checksum doesn't fit), so the one before it is used",
        ],
    )


def test_each_broken_one_is_named(tmp_path):
    saved(tmp_path, 0, 1, 2, 3, landmarks=[0])
    damage(tmp_path / "state-000004.ktr")
    (tmp_path / "state-000003.ktr").write_bytes(b"")
    assert newest(tmp_path) == (
        0,
        [
            "state-000004.ktr is broken (its checksum doesn't fit), so the one before it is used",
            "state-000003.ktr is broken (an empty file), so the one before it is used",
        ],
    )


def test_where_none_is_whole_that_is_an_error_and_no_start_from_nothing(tmp_path):
    generations = saved(tmp_path, 0, 1)
    damage(tmp_path / "state-000001.ktr")
    damage(tmp_path / "state-000002.ktr", 0)
    with pytest.raises(UnreadableError) as error:
        generations.newest()
    assert str(error.value) == (
        "no state is whole: state-000002.ktr is broken (its first line is not that of a state), "
        "state-000001.ktr is broken (its checksum doesn't fit)"
    )
    assert generations.landmark() is None


def test_numbers_go_on_past_broken_ones_which_go(tmp_path):
    saved(tmp_path, 0, 1)
    damage(tmp_path / "state-000002.ktr")
    saved(tmp_path, 2)
    assert names(tmp_path) == ["state-000001.ktr", "state-000003.ktr"]
    assert newest(tmp_path) == (2, [])


def test_a_landmark_that_is_broken_gives_way_to_the_one_before_it(tmp_path):
    saved(tmp_path, 0, 1, landmarks=[0, 1])
    damage(tmp_path / "state-000002.ktr")
    assert epoch_of(Generations(tmp_path).landmark()) == 0
    saved(tmp_path, 2, 3, 4)
    assert names(tmp_path) == ["state-000001.ktr", "state-000004.ktr", "state-000005.ktr"]


@pytest.mark.parametrize("facts", [{}, {"facts": {}}, {"facts": 1, "is_landmark": True}])
def test_a_state_of_something_else_is_no_generation(tmp_path, facts):
    write_state(tmp_path / "state-000001.ktr", State(facts, {}))
    with pytest.raises(UnreadableError) as error:
        Generations(tmp_path).newest()
    assert str(error.value) == (
        "no state is whole: state-000001.ktr is broken (a state of something else)"
    )


def test_a_newer_version_is_refused_and_neither_passed_over_nor_removed(tmp_path):
    saved(tmp_path, 0, 1)
    whole = b"kerastrain state 2\n" + b"nobody knows"
    (tmp_path / "state-000003.ktr").write_bytes(whole + hashlib.sha256(whole).digest())
    before = contents(tmp_path)
    generations = Generations(tmp_path)
    for call in (generations.newest, generations.landmark, lambda: generations.save(a_state(2))):
        with pytest.raises(NewerVersionError) as error:
            call()
        assert str(error.value) == ("state-000003.ktr is of version 2, where this package reads 1")
    assert contents(tmp_path) == before


def test_links_folders_and_pipes_are_not_followed(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    saved(run, 0)
    saved(elsewhere, 7)
    (run / "state-000002.ktr").symlink_to(elsewhere / "state-000001.ktr")
    (run / "state-000003.ktr").mkdir()
    os.mkfifo(run / "state-000004.ktr")
    (run / "state-000005.ktr").symlink_to("../nowhere")
    assert newest(run) == (
        0,
        [
            "state-000005.ktr is broken (a symbolic link), so the one before it is used",
            "state-000004.ktr is broken (not a file), so the one before it is used",
            "state-000003.ktr is broken (Is a directory), so the one before it is used",
            "state-000002.ktr is broken (a symbolic link), so the one before it is used",
        ],
    )
    saved(run, 1)
    assert names(run) == ["state-000001.ktr", "state-000003.ktr", "state-000006.ktr"]
    assert newest(run) == (1, [])
    assert newest(elsewhere) == (7, [])


def test_a_reader_that_others_overtake_looks_again(tmp_path, monkeypatch):
    generations = saved(tmp_path, 0, 1, landmarks=[0])
    read, is_first = _generations.read_state, [True]

    def overtaken(path):
        if is_first.pop() if is_first else False:
            generations.save(a_state(2))
            generations.save(a_state(3))
        return read(path)

    monkeypatch.setattr(_generations, "read_state", overtaken)
    assert newest(tmp_path) == (3, [])


# Writes that fail.


def failing(*, after):
    """A `_Hashed.write` of the state's file that fails, once it has written some parts."""
    write, left = _state_files._Hashed.write, [after]

    def fail(self, data):
        if not left[0]:
            raise OSError(errno.EIO, "Input/output error")
        left[0] -= 1
        write(self, data)

    return fail


@pytest.mark.parametrize("after", range(4))
def test_a_write_that_fails_leaves_all_as_it_was(tmp_path, monkeypatch, after):
    generations = saved(tmp_path, 0, 1, 2, landmarks=[0])
    before = contents(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_state_files._Hashed, "write", failing(after=after))
        with pytest.raises(OSError, match="Input/output error"):
            generations.save(a_state(3))
    assert contents(tmp_path) == before
    generations.save(a_state(3))
    assert newest(tmp_path) == (3, [])


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_drive_that_fails_at_the_end_leaves_all_as_it_was(tmp_path, monkeypatch, call):
    generations = saved(tmp_path, 0, 1)
    before = contents(tmp_path)

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, call) if call == "fsync" else (pathlib.Path, call)), fail)
        with pytest.raises(OSError, match="No space left on device"):
            generations.save(a_state(2))
    assert contents(tmp_path) == before


def test_what_reads_back_broken_goes_and_the_old_ones_stay(tmp_path, monkeypatch):
    generations = saved(tmp_path, 0, 1)
    before = contents(tmp_path)
    replace = pathlib.Path.replace

    def spoil(self, target):
        damage(self)
        return replace(self, target)

    monkeypatch.setattr(pathlib.Path, "replace", spoil)
    with pytest.raises(OSError, match="what was written can't be read"):
        generations.save(a_state(2))
    assert contents(tmp_path) == before


def test_a_drive_that_renames_and_syncs_nothing_will_do(tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError(errno.EPERM, "Operation not permitted")

    open_it = os.open
    is_folder = os.path.isdir
    monkeypatch.setattr(pathlib.Path, "replace", refuse)
    monkeypatch.setattr(
        os, "open", lambda path, *rest: refuse() if is_folder(path) else open_it(path, *rest)
    )
    monkeypatch.setattr(os, "link", refuse)
    saved(tmp_path, 0, 1, 2, landmarks=[0])
    assert names(tmp_path) == [f"state-00000{number}.ktr" for number in (1, 2, 3)]
    assert newest(tmp_path) == (2, [])


def test_old_ones_that_cannot_be_removed_are_no_error(tmp_path, monkeypatch):
    generations = saved(tmp_path, 0, 1)
    unlink = pathlib.Path.unlink

    def refuse(self, missing_ok=False):
        if self.name.startswith("state-"):
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(pathlib.Path, "unlink", refuse)
    generations.save(a_state(2))
    assert names(tmp_path) == [f"state-00000{number}.ktr" for number in (1, 2, 3)]
    assert newest(tmp_path) == (2, [])


FILL = """
import resource, sys
import numpy as np
from kerastrain._generations import Generations
from kerastrain._state_files import State

folder, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for epoch in range(1000):
        w = np.full(1000 * (1 + epoch), epoch, "float32")
        Generations(folder).save(State({"epoch": epoch}, {"w": w}), is_landmark=epoch == 3)
        print(epoch)
except OSError as error:
    print(error.strerror)
"""


def filled(folder, limit=0):
    """Saves larger and larger states until that fails; returns the last one and the error."""
    pytest.importorskip("resource", reason="limits are those of Unix")
    with small_process(FILL, folder, limit) as process:
        lines = process.stdout.read().splitlines()
    return int(lines[-2]), lines[-1]


def test_a_file_that_may_not_grow_leaves_the_old_ones(tmp_path):
    last, error = filled(tmp_path, 200_000)
    assert (last, error) == (48, "File too large")
    assert names(tmp_path) == [f"state-0000{number}.ktr" for number in ("04", "48", "49")]
    state, broken = Generations(tmp_path).newest()
    assert (state.facts, broken) == ({"epoch": 48}, [])
    assert state.arrays["w"].tolist() == [48.0] * 49_000


def test_a_full_disk_leaves_the_old_ones(small_disk):
    last, error = filled(small_disk)
    assert error == "No space left on device"
    assert last > 20
    assert names(small_disk) == [
        "state-000004.ktr",
        f"state-{last:06d}.ktr",
        f"state-{last + 1:06d}.ktr",
    ]
    state, broken = Generations(small_disk).newest()
    assert (state.facts, broken) == ({"epoch": last}, [])
    assert Generations(small_disk).landmark().facts == {"epoch": 3}


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        saved(tmp_path / "taken", 0)
    with pytest.raises(OSError, match="taken"):
        saved(tmp_path / "taken" / "run", 0)


# Killed writers.

SAVE = """
import sys
import numpy as np
from kerastrain._generations import Generations
from kerastrain._state_files import State

generations = Generations(sys.argv[1])
found = generations.newest()
first = found[0].facts["epoch"] + 1 if found else 0
for epoch in range(first, 10**9):
    w = np.full(50_000, epoch, "float32")
    generations.save(State({"epoch": epoch}, {"w": w}), is_landmark=epoch % 7 == 0)
    print(epoch, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_state_that_is_not_older_than_its_last(tmp_path):
    generator, last = random.Random(0), -1
    for _ in range(20):
        with small_process(SAVE, tmp_path / "run") as process:
            last = int(process.stdout.readline())
            time.sleep(generator.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            last = int((process.stdout.read().splitlines() or [last])[-1])
        state, broken = Generations(tmp_path / "run").newest()
        landmark = Generations(tmp_path / "run").landmark()
        assert state.facts["epoch"] in (last, last + 1)
        assert (state.arrays["w"] == state.facts["epoch"]).all()
        assert broken == []
        assert landmark.facts["epoch"] == state.facts["epoch"] // 7 * 7
    assert last > 40
    files = [name for name in names(tmp_path / "run") if name.startswith("state-")]
    assert len(files) <= 4
    saved(tmp_path / "run", 0)
    assert all(name.startswith("state-") for name in names(tmp_path / "run"))


def test_what_a_killed_writer_left_is_cleared_by_the_next_one_to_write_alone(tmp_path):
    saved(tmp_path, 0)
    half = tmp_path / ".0a1b2c3d-state-000002.ktr"
    half.write_bytes(b"kerastrain state 1\n" + struct.pack("<Q", 100))
    assert newest(tmp_path) == (0, [])
    assert half.exists()
    saved(tmp_path, 1)
    assert names(tmp_path) == ["state-000001.ktr", "state-000002.ktr"]
