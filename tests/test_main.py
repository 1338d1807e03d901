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
