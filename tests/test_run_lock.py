"""One process at a time has a run, and a dead one has none."""

import contextlib
import datetime
import errno
import json
import os
import pathlib
import platform
import re
import signal
import threading
import time

import pytest
from small_processes import small_process

from kerastrain import _owners, _run_lock
from kerastrain._run_lock import InUseError, RunLock, is_in_use

NEVER = 10_000.0  # s
QUICK = {"beat_seconds": 0.05, "patience_seconds": 0.3}


@pytest.fixture(autouse=True)
def settles_at_once(monkeypatch):
    monkeypatch.setattr(_run_lock, "_SETTLING", 0.01)


def fields_in(folder):
    return json.loads((folder / "lock.json").read_text())


def names(folder):
    return sorted(os.listdir(folder))


def refused(folder, **arguments):
    with pytest.raises(InUseError) as error:
        RunLock(folder, **arguments).__enter__()
    assert str(error.value) == f"in use by {error.value.owner}"
    return error.value.owner


def takes(folder, **arguments):
    with RunLock(folder, **arguments) as lock:
        owner = fields_in(folder)["owner"]
        return not lock.is_lost and f" {os.getpid()} " in owner


def a_note(folder, *, age=0.0, **changes):
    """Writes what a process of another machine would have written some seconds ago."""
    note = {
        "owner": "elsewhere abc pid:[1] 1234 567 0123abcd",
        "host": "elsewhere",
        "boot": "another",
        "since": "2026-11-22 01:20:00 UTC",
        "beat_seconds": 0.05,
        "counter": 7,
        "time": time.time() - age,
    } | changes
    (folder / "lock.json").write_text(json.dumps(note))
    return note


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


HOLD = """
import os, sys, time
from kerastrain import _owners, _run_lock

boot, shift, folder = sys.argv[1:]
if boot != "here":
    _owners.boot = lambda: boot
if float(shift):
    now = time.time
    time.time = lambda: now() + float(shift)
with _run_lock.RunLock(folder, beat_seconds=0.05):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def held(folder, *, boot="here", shift=0):
    """Has another process take the run, and kills it afterwards."""
    with small_process(HOLD, boot, shift, folder) as process:
        try:
            assert int(process.stdout.readline()) == process.pid
            yield process
        finally:
            process.kill()


# Taking and giving back.


def test_a_run_is_taken_and_given_back(tmp_path):
    folder = tmp_path / "runs" / "a"
    with RunLock(folder) as lock:
        assert not lock.is_lost
        assert names(folder) == ["lock.json"]
    assert names(folder) == []
    assert takes(folder)


def test_the_file_says_who_has_the_run(tmp_path):
    with RunLock(tmp_path):
        fields = fields_in(tmp_path)
    now = datetime.datetime.now(datetime.UTC)
    assert list(fields) == ["owner", "host", "boot", "since", "beat_seconds", "counter", "time"]
    assert fields["owner"].rsplit(" ", 3)[1] == str(os.getpid())
    assert (fields["host"], fields["boot"]) == (platform.node(), _owners.boot())
    assert fields["since"][:10] in (f"{now:%Y-%m-%d}", f"{now - datetime.timedelta(1):%Y-%m-%d}")
    assert (fields["beat_seconds"], fields["counter"]) == (10.0, 0)


def test_at_a_glance_a_run_is_in_use_while_somebody_has_it_or_may_have_it(tmp_path):
    assert not is_in_use(tmp_path)
    assert not is_in_use(tmp_path / "nowhere")
    with RunLock(tmp_path):
        assert is_in_use(tmp_path)
    assert not is_in_use(tmp_path)
    a_note(tmp_path, age=5.0)
    assert is_in_use(tmp_path)
    a_note(tmp_path, age=500.0)
    assert not is_in_use(tmp_path)
    assert names(tmp_path) == ["lock.json"]


def test_a_second_fit_of_this_process_is_refused(tmp_path):
    with RunLock(tmp_path) as lock:
        owner = rf"process {os.getpid()} on {re.escape(platform.node())}, since "
        assert re.fullmatch(owner + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", refused(tmp_path))
        with pytest.raises(InUseError):
            lock.__enter__()
        assert not lock.is_lost
        assert takes(tmp_path / "another")
    assert takes(tmp_path)


def test_an_error_gives_the_run_back(tmp_path):
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_lock_can_be_taken_again(tmp_path):
    lock = RunLock(tmp_path)
    for _ in range(3):
        with lock:
            assert not lock.is_lost
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        RunLock(tmp_path / "taken").__enter__()


def test_of_threads_that_begin_at_once_one_has_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(_run_lock, "_SETTLING", 0.3)
    barrier, over, won, lost = threading.Barrier(6), threading.Event(), [], []

    def compete():
        barrier.wait()
        try:
            with RunLock(tmp_path, beat_seconds=0.05) as lock:
                won.append(lock)
                over.wait()
        except InUseError as error:
            lost.append(error.owner)

    threads = [threading.Thread(target=compete) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: len(won) + len(lost) == 6)
    over.set()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 5)
    assert names(tmp_path) == []


COMPETE = """
import sys, time
from kerastrain._run_lock import InUseError, RunLock

sys.stdout.write("ready\\n"), sys.stdout.flush()
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with RunLock(sys.argv[1], beat_seconds=0.1) as lock:
        time.sleep(3)
        print("lost" if lock.is_lost else "has it")
except InUseError as error:
    print("refused")
"""


def test_of_processes_that_begin_at_once_one_has_the_run_in_the_end(tmp_path):
    start = time.time() + 2
    processes = [small_process(COMPETE, tmp_path, start) for _ in range(5)]
    said = [process.communicate()[0].splitlines()[-1] for process in processes]
    assert said.count("has it") == 1
    assert set(said) <= {"has it", "lost", "refused"}
    assert names(tmp_path) == []


# Other processes of this machine.


def test_a_process_that_has_the_run_is_named(tmp_path):
    with held(tmp_path) as process:
        since = fields_in(tmp_path)["since"]
        owner = f"process {process.pid} on {platform.node()}, since {since}"
        assert refused(tmp_path, patience_seconds=0.01) == owner
        assert refused(tmp_path) == owner


def test_the_run_of_a_process_that_was_killed_is_free_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_run_lock.RunLock, "_doubt", no_waiting(_run_lock.RunLock._doubt))
    for _ in range(3):
        with held(tmp_path) as process:
            process.send_signal(signal.SIGKILL)
            # Nobody has asked how it ended, so that its number is not free yet.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert takes(tmp_path, patience_seconds=NEVER)


def no_waiting(doubt):
    def without(self, sight):
        seconds = doubt(self, sight)
        assert seconds == 0
        return seconds

    return without


def test_the_run_of_a_process_that_stands_still_is_not_free(tmp_path):
    with held(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        assert refused(tmp_path, **QUICK).startswith(f"process {process.pid} on ")


def test_a_process_whose_number_another_one_has_got_is_gone(tmp_path):
    place = _owners.here().rsplit(" ", 3)[0]
    a_note(tmp_path, owner=f"{place} {os.getppid()} 12 0123abcd", boot=_owners.boot())
    assert takes(tmp_path, patience_seconds=NEVER)


def test_after_a_start_of_the_machine_a_number_tells_nothing(tmp_path):
    place = _owners.here().rsplit(" ", 3)[0]
    a_note(tmp_path, owner=f"{place} {os.getppid()} 12 0123abcd")
    assert (
        refused(tmp_path) == f"process {os.getppid()} on elsewhere, since 2026-11-22 01:20:00 UTC"
    )


# Other machines.


def test_the_run_of_another_machine_is_in_use_while_its_beat_is_fresh(tmp_path):
    a_note(tmp_path, age=50)
    assert refused(tmp_path) == "process 1234 on elsewhere, since 2026-11-22 01:20:00 UTC"


def test_the_run_of_another_machine_is_free_once_its_beat_is_old(tmp_path):
    a_note(tmp_path, age=61)
    assert takes(tmp_path, beat_seconds=0.05)


@pytest.mark.parametrize("shift", [0, -3600, 3600])
def test_the_run_of_another_machine_is_in_use_whatever_its_clock_says(tmp_path, shift):
    with held(tmp_path, boot="another", shift=shift) as process:
        arguments = {"beat_seconds": 2.0, "patience_seconds": 30.0}
        assert refused(tmp_path, **arguments).startswith(f"process {process.pid} on ")


def test_a_clock_that_is_ahead_does_not_keep_a_run_for_ever(tmp_path):
    a_note(tmp_path, age=-3600)
    assert takes(tmp_path, **QUICK)


def test_a_beat_that_is_said_to_be_slow_is_watched_for_no_longer_than_the_patience(tmp_path):
    a_note(tmp_path, age=3600, beat_seconds=1e300)
    assert takes(tmp_path, **QUICK)


def test_a_run_that_is_given_back_while_it_is_watched_is_free(tmp_path):
    a_note(tmp_path, age=3600)
    threading.Timer(0.2, (tmp_path / "lock.json").unlink).start()
    assert takes(tmp_path, beat_seconds=1000.0, patience_seconds=1000.0)


# Files that somebody made up.

NOTE = {
    "owner": "a 1234 567 0123abcd",
    "host": "a",
    "boot": "b",
    "since": "2026-11-22 01:20:00 UTC",
    "beat_seconds": 1.0,
    "counter": 1,
    "time": 0.0,
}
BROKEN = [
    *(b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 60_000, b"x" * 10**6, b"{}"),
    *(
        json.dumps(NOTE | changes).encode()
        for changes in (
            {"owner": 3},
            {"owner": "a"},
            {"owner": "a -1 5 ab"},
            {"owner": "a 0 5 ab"},
            {"owner": "a 99999999999 5 ab"},
            {"owner": "a 12 ../5 ab"},
            {"owner": "a\n 12 5 ab"},
            {"host": "\x1b[31m"},
            {"host": "h" * 300},
            {"host": None},
            {"since": "then"},
            {"counter": 1.5},
            {"counter": True},
            {"time": "now"},
            {"time": float("nan")},
            {"time": 10**400},
            {"beat_seconds": None},
            {"more": 1},
        )
    ),
]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: repr(text[:200])[2:60])
def test_a_broken_file_is_somebody_s_until_it_is_old(tmp_path, text):
    path = tmp_path / "lock.json"
    path.write_bytes(text)
    assert refused(tmp_path) == "an unknown process (lock.json is broken)"
    assert path.read_bytes() == text
    os.utime(path, (0, time.time() - 61))
    assert takes(tmp_path, beat_seconds=0.01)


def test_a_broken_file_that_changes_is_somebody_s(tmp_path):
    path = tmp_path / "lock.json"
    path.write_text("{")
    os.utime(path, (0, 0))
    threading.Timer(0.2, path.write_text, ["{{"]).start()
    arguments = {"beat_seconds": 20.0, "patience_seconds": 30.0}
    assert refused(tmp_path, **arguments) == "an unknown process (lock.json is broken)"


def test_a_link_is_not_followed(tmp_path):
    precious = tmp_path / "precious.json"
    precious.write_text("precious")
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / "lock.json"
    link.symlink_to(precious)
    assert refused(tmp_path / "run") == "an unknown process (lock.json is no file)"
    os.utime(link, (0, 0), follow_symlinks=False)
    assert takes(tmp_path / "run", beat_seconds=0.01)
    assert precious.read_text() == "precious"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "lock.json")
    assert refused(tmp_path) == "an unknown process (lock.json is no file)"


# Beats.


def test_it_writes_again_and_again_that_the_run_is_in_use(tmp_path):
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        first = fields_in(tmp_path)
        until(lambda: fields_in(tmp_path)["counter"] >= 5)
        last = fields_in(tmp_path)
        assert not lock.is_lost
    assert last["time"] > first["time"]
    assert {**first, "counter": 0, "time": 0} == {**last, "counter": 0, "time": 0}
    assert names(tmp_path) == []


def test_a_run_that_another_process_took_is_lost_and_left_to_it(tmp_path):
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        note = a_note(tmp_path)
        until(lambda: lock.is_lost)
        time.sleep(0.1)
    assert fields_in(tmp_path) == note
    assert lock.is_lost


def test_a_run_whose_lock_somebody_removed_is_lost(tmp_path):
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        time.sleep(0.05)
        with lock._writing:
            (tmp_path / "lock.json").unlink()
        until(lambda: lock.is_lost)
    assert names(tmp_path) == []


def test_a_lock_that_somebody_broke_is_written_anew(tmp_path):
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        with lock._writing:
            (tmp_path / "lock.json").write_text("{")
            counter = lock._note.counter
        until(lambda: lock._note.counter > counter)
        assert fields_in(tmp_path)["owner"] == lock._note.owner
        assert not lock.is_lost


def test_a_machine_that_was_suspended_looks_before_it_goes_on(tmp_path, monkeypatch):
    with RunLock(tmp_path, beat_seconds=1000.0) as lock:
        a_note(tmp_path)
        assert not lock.is_lost
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 2001)
        assert lock.is_lost
    assert names(tmp_path) == ["lock.json"]


@pytest.mark.parametrize("jump", [-(10**6), 10**6])
def test_a_clock_that_jumps_loses_nothing(tmp_path, monkeypatch, jump):
    with RunLock(tmp_path, beat_seconds=1000.0) as lock:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + jump)
        assert not lock.is_lost
        assert fields_in(tmp_path)["time"] == now + jump
        assert refused(tmp_path).startswith(f"process {os.getpid()} on ")
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_drive_that_is_away_for_a_while_loses_nothing(tmp_path, monkeypatch, error):
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        failed = []

        def fail(path, note):
            failed.append(path)
            raise OSError(error, os.strerror(error))

        with monkeypatch.context() as patch:
            patch.setattr(_run_lock, "_write", fail)
            until(lambda: len(failed) > 3)
            assert not lock.is_lost
        counter = fields_in(tmp_path)["counter"]
        until(lambda: fields_in(tmp_path)["counter"] > counter)
        assert not lock.is_lost
    assert names(tmp_path) == []


def test_a_drive_that_renames_and_links_nothing_will_do(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(pathlib.Path, "replace", refuse)
    monkeypatch.setattr(os, "link", refuse)
    with RunLock(tmp_path, beat_seconds=0.02) as lock:
        until(lambda: lock._note.counter > 5)
        assert not lock.is_lost
        assert refused(tmp_path)
    assert names(tmp_path) == []


def test_the_thread_ends_with_the_lock(tmp_path):
    before = threading.active_count()
    with RunLock(tmp_path, beat_seconds=NEVER):
        assert threading.active_count() == before + 1
    until(lambda: threading.active_count() == before)


# Processes that fork, or just end.

FORK = """
import os, sys
from kerastrain._run_lock import InUseError, RunLock

with RunLock(sys.argv[1], beat_seconds=0.01) as lock:
    child = os.fork()
    if child == 0:
        print(lock.is_lost, flush=True)
        try:
            RunLock(sys.argv[1]).__enter__()
        except InUseError as error:
            print(str(os.getppid()) in error.owner, flush=True)
        lock.__exit__(None, None, None)
        os._exit(0)
    os.waitpid(child, 0)
    print(os.path.exists(sys.argv[1] + "/lock.json"), lock.is_lost)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_was_forked_off_has_no_run_and_gives_none_back(tmp_path):
    with small_process(FORK, tmp_path) as process:
        assert process.stdout.read().split() == ["True", "True", "True", "False"]
    assert process.returncode == 0
    assert names(tmp_path) == []


END = """
import sys
from kerastrain._run_lock import RunLock

RunLock(sys.argv[1], beat_seconds=0.01).__enter__()
"""


def test_a_lock_that_nobody_gives_back_keeps_no_process_alive(tmp_path):
    with small_process(END, tmp_path) as process:
        assert process.wait(timeout=30) == 0
    assert "lock.json" in names(tmp_path)
    assert takes(tmp_path, patience_seconds=NEVER)
    assert names(tmp_path) == []
