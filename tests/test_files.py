import os

import pytest

from kerastrain._files import replacing


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
