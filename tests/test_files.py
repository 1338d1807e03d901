import errno
import os
import pathlib

import pytest

from kerastrain._files import clear_leftovers, reading, replacing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_under_its_name(tmp_path):
    with replacing(tmp_path / "note.txt") as temporary:
        temporary.write_text("whole")
        assert names(tmp_path) == [temporary.name]
    assert (tmp_path / "note.txt").read_text() == "whole"
    assert names(tmp_path) == ["note.txt"]


def test_the_temporary_name_is_hidden_and_keeps_every_suffix(tmp_path):
    with replacing(tmp_path / "model.weights.h5") as temporary:
        temporary.write_text("")
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.name.endswith("-model.weights.h5")


def test_missing_folders_are_made(tmp_path):
    with replacing(tmp_path / "runs" / "first" / "note.txt") as temporary:
        temporary.write_text("deep")
    assert (tmp_path / "runs" / "first" / "note.txt").read_text() == "deep"


def test_a_path_can_be_a_string(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing("note.txt") as temporary:
        temporary.write_text("here")
    assert names(tmp_path) == ["note.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error_type", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error_type):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail_half_way():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise error_type

    with pytest.raises(error_type):
        fail_half_way()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_a_failing_replacement_leaves_the_old_file_and_nothing_else(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(OSError, match="taken"), replacing(folder) as temporary:
        temporary.write_text("a file can't replace a folder")
    assert names(tmp_path) == ["taken"]


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "note.txt"):
        pass
    assert names(tmp_path) == []


def test_the_data_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    path, steps = tmp_path / "note.txt", []
    sync = os.fsync

    def note(descriptor):
        steps.append(("synced", path.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with replacing(path) as temporary:
        temporary.write_text("safe")
    assert steps == [("synced", False), ("synced", True)]  # The file, then the folder.


# Drives that can't rename.


@pytest.fixture
def no_renaming(monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EPERM, "Operation not permitted", str(target))

    monkeypatch.setattr(pathlib.Path, "replace", refuse)


@pytest.mark.usefixtures("no_renaming")
def test_where_a_drive_cannot_rename_the_file_is_copied(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "note.txt") as temporary:
            temporary.write_text(text)
        assert (tmp_path / "note.txt").read_text() == text
        assert names(tmp_path) == ["note.txt"]


@pytest.mark.usefixtures("no_renaming")
def test_a_copy_does_not_follow_a_link(tmp_path):
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "note.txt").symlink_to(tmp_path / "precious.txt")
    with replacing(tmp_path / "note.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not (tmp_path / "note.txt").is_symlink()


@pytest.mark.usefixtures("no_renaming")
def test_half_a_copy_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.copyfileobj", lambda source, target, size: target.write(b"ha"))
    path = tmp_path / "note.txt"
    with pytest.raises(OSError, match="reads back differently"), replacing(path) as temporary:
        temporary.write_text("half")
    assert names(tmp_path) == []


# What is left over.


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    stay = [".0123456-a.ktr", ".01234567-a.json", ".0123456g-a.ktr", ".note-a.ktr", "a.ktr"]
    for name in [*stay, ".01234567-a.ktr", ".fedcba98-b-c.ktr"]:
        (tmp_path / name).write_text("half")
    (tmp_path / ".00000000-c.ktr").mkdir()
    (tmp_path / ".11111111-d.ktr").symlink_to(tmp_path / "a.ktr")
    clear_leftovers(tmp_path, "*.ktr")
    assert names(tmp_path) == sorted([*stay, ".00000000-c.ktr"])


def test_what_a_killed_replacement_left_is_cleared(tmp_path):
    with replacing(tmp_path / "note.txt") as temporary:
        temporary.write_text("half")
        clear_leftovers(tmp_path)
        assert names(tmp_path) == []
        temporary.write_text("again")


# Reading.


def test_a_file_is_read(tmp_path):
    (tmp_path / "note.txt").write_text("whole")
    with reading(tmp_path / "note.txt") as file:
        assert file.read() == b"whole"


def test_a_link_a_folder_and_nothing_are_no_files_to_read(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "note.txt")
    for name in ("link", "", "none"):
        with pytest.raises(OSError, match=r"link|file|directory"), reading(tmp_path / name):
            pass
