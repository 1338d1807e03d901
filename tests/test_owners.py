"""Who is at work on a trial, and who has gone."""

import os
import platform
import subprocess
import sys

import pytest

from kerastrain import _owners as owners


@pytest.fixture
def owner():
    mine = owners.here()
    yield mine
    owners.leave(mine)


def changed(owner, **parts):
    """An owner's name with other parts, counted from its end."""
    fields = dict(zip(("place", "pid", "birth", "token"), owner.rsplit(" ", 3), strict=True))
    return " ".join((fields | parts).values())


def pid_that_has_ended():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return str(process.pid)


def test_a_search_of_this_process_is_at_work_until_it_leaves():
    first, second = owners.here(), owners.here()
    assert first != second
    owners.leave(first)
    assert (owners.is_gone(first), owners.is_gone(second)) == (True, False)
    owners.leave(second)
    owners.leave(second)
    assert owners.is_gone(second)


def test_a_process_that_has_ended_is_gone(owner):
    assert owners.is_gone(changed(owner, pid=pid_that_has_ended()))


def test_a_process_that_was_killed_is_gone_before_its_parent_asks_after_it(owner):
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("this system doesn't tell how a process is")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = changed(owner, pid=str(process.pid), birth=owners._birth(process.pid))
    assert not owners.is_gone(theirs)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # It has ended, and is unreaped.
    assert owners.is_gone(theirs)
    process.stdin.close()
    process.wait()


def test_a_process_that_runs_is_not_gone(owner):
    parent = str(os.getppid())
    born = owners._birth(int(parent))
    assert not owners.is_gone(changed(owner, pid=parent, birth=born))


def test_a_process_that_has_the_number_of_one_that_ended_is_told_from_it(owner):
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("this system doesn't tell when a process began")
    assert owners.is_gone(changed(owner, birth="12"))
    assert owners.is_gone(changed(owner, pid=str(os.getppid()), birth="12"))


def test_a_process_that_died_and_that_nobody_asked_after_is_gone(owner):
    if not os.path.exists("/proc/self/stat"):
        pytest.skip("this system doesn't tell that a process has died")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        there = changed(owner, pid=str(process.pid), birth=owners._birth(process.pid))
        assert not owners.is_gone(there)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owners.is_gone(there)


def test_what_is_at_work_for_sure_is_here_and_has_its_birth(owner):
    parent = changed(owner, pid=str(os.getppid()), birth=owners._birth(os.getppid()))
    assert owners.is_at_work(owner)
    assert owners.is_at_work(parent) == os.path.exists("/proc/self/stat")
    assert not owners.is_at_work(changed(parent, birth="-"))
    assert not owners.is_at_work(changed(parent, place="elsewhere"))
    assert not owners.is_at_work(changed(owner, pid=pid_that_has_ended()))


def test_a_start_of_the_machine_has_a_name_where_the_system_gives_it_one(monkeypatch):
    if os.path.exists("/proc/sys/kernel/random/boot_id"):
        assert len(owners.boot()) == 36

    def nothing(*arguments, **keywords):
        raise OSError

    monkeypatch.setattr(owners.pathlib.Path, "read_text", nothing)
    owners.boot.cache_clear()
    try:
        assert owners.boot() == "-"
    finally:
        owners.boot.cache_clear()


def test_one_on_another_machine_is_taken_for_alive(owner):
    assert owner.startswith(platform.node())
    elsewhere = changed(owner, place=f"{owner.rsplit(' ', 3)[0]}-2", pid=pid_that_has_ended())
    assert not owners.is_gone(elsewhere)


def test_a_container_of_the_same_name_is_another_machine(owner, monkeypatch):
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[1]")
    owners._place.cache_clear()
    try:
        there = owners.here()
    finally:
        monkeypatch.undo()
        owners._place.cache_clear()
    assert there.split()[0] == owner.split()[0]
    assert not owners.is_gone(changed(there, pid=pid_that_has_ended()))
    owners.leave(there)


def test_a_system_that_tells_nothing_has_owners_all_the_same(monkeypatch):
    def nothing(*arguments, **keywords):
        raise OSError

    monkeypatch.setattr(owners.pathlib.Path, "read_text", nothing)
    monkeypatch.setattr(os, "readlink", nothing)
    owners._place.cache_clear()
    try:
        mine = owners.here()
        assert mine.rsplit(" ", 4)[1:4] == ["-", str(os.getpid()), "-"]
        assert not owners.is_gone(mine)
        owners.leave(mine)
        assert owners.is_gone(mine)
    finally:
        owners._place.cache_clear()


@pytest.mark.parametrize("name", ["a machine", "Ünal's-Rechner", ""])
def test_a_machine_may_have_any_name(monkeypatch, name):
    monkeypatch.setattr(platform, "node", lambda: name)
    owners._place.cache_clear()
    try:
        mine = owners.here()
        assert not owners.is_gone(mine)
        assert owners.is_gone(changed(mine, pid=pid_that_has_ended()))
        owners.leave(mine)
    finally:
        owners._place.cache_clear()
