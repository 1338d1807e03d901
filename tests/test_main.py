"""The demonstration: `python -m kerastrain`."""

import keras
import pytest

import kerastrain as ktr
from kerastrain.__main__ import main


def test_it_leaves_model_history_and_picture_in_the_folder_that_it_names(tmp_path, capsys):
    folder = tmp_path / "demo"
    main(["--output", str(folder), "--epochs", "1"])
    printed = capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.json",
        "history.png",
        "model.keras",
    ]
    history = ktr.History.load(folder / "history.json")
    assert f"validation  loss {history.best['val_loss']:.4f}" in printed
    assert str(folder) in printed
    test = ktr.load_dataset("fashion_mnist_small").test
    loss, accuracy = keras.saving.load_model(folder / "model.keras").evaluate(*test, verbose=0)
    assert f"test        loss {loss:.4f}  accuracy {accuracy:.4f}" in printed


def test_no_epochs_are_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--epochs", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "kerastrain: error: argument --epochs: must be a whole number of at least 1"
    )


def test_a_page_about_runs_is_written_from_the_command_line(tmp_path, capsys):
    runs = [
        ktr.History.of({"loss": [0.9, 0.5]}).save(tmp_path / f"{name}.json") for name in ("a", "b")
    ]
    page = tmp_path / "page.html"
    main(["report", *map(str, runs), "--page", str(page), "--title", "Two runs of mine"])
    assert capsys.readouterr().out == f"In {page}\n"
    assert "<h1>Two runs of mine</h1>" in page.read_text()


def test_what_is_no_run_is_refused_in_a_sentence_on_the_command_line(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == (
        "`report`: `runs` must be a run directory, which has a history.json, or a folder of some. "
        f"Received: '{tmp_path}'."
    )
