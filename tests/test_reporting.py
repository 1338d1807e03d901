"""`report`: what the page says of one run and of several, and that it needs nothing but itself."""

import dataclasses
import html.parser
import json
import math
import os
import re
import shutil
import subprocess

import matplotlib
import numpy as np
import pytest
from small_runs import finished

import kerastrain as ktr
from kerastrain.records import History

VOID = {"meta", "link", "source", "img", "br"}


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its text, and what it would have to fetch."""

    def __init__(self, path):
        super().__init__()
        self.open, self.parts, self.links, self.images = [], [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self.open

    @property
    def text(self):
        return " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[name] for name in ("src", "href", "srcset") if name in attributes]
        self.images += [attributes["alt"]] if tag == "img" else []
        self.open += [] if tag in VOID else [tag]
        assert tag != "script"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.parts.append(data)


@pytest.fixture
def written(tmp_path):
    """A function that writes a page and reads it."""
    return lambda *runs, **arguments: Page(
        ktr.report(*runs, path=tmp_path / "report.html", **arguments)
    )


def falling(length=30, lift=0.0, **columns):
    loss = [math.exp(-epoch / 5) + 0.1 for epoch in range(length)]
    columns = {"loss": loss, "val_loss": [value + 0.05 + lift for value in loss], **columns}
    return History.of(columns)


def test_a_page_needs_nothing_but_itself(written):
    page = written(falling(), falling(lift=0.1))
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"@import|url\(", page.source)


def test_of_one_run_it_says_the_verdict_the_best_and_how_it_ended(written):
    history = falling()
    page = written(history)
    found = ktr.diagnose(history)
    assert found.verdict in page.text
    assert all(sentence in page.text for sentence in (found.summary, *found.advice))
    assert (
        "0.153 best val_loss 29 best epoch (the first is 0) 30 epochs finished ended" in page.text
    )
    assert page.images == ["loss over the epochs"]


def test_each_picture_is_there_for_light_and_for_dark_screens(written):
    page = written(falling(accuracy=[0.5] * 30))
    assert page.images == ["loss over the epochs", "accuracy over the epochs"]
    assert page.source.count('media="(prefers-color-scheme: dark)"') == 2
    pictures = [link for link in page.links if link.startswith("data:image/png")]
    assert len(set(pictures)) == 4


def test_a_page_leaves_the_settings_of_matplotlib_as_they_are(written):
    before = dict(matplotlib.rcParams)
    written(falling())
    assert dict(matplotlib.rcParams) == before


def test_several_runs_are_compared_before_each_is_shown(written):
    page = written(falling(), falling(lift=0.1), labels=["plain", "lifted"])
    assert "'plain' is best: val_loss 0.153, 0.1 lower than 'lifted' with 0.253." in page.text
    assert page.text.index("plain 30 29") < page.text.index("lifted 30 29")
    assert page.images[0] == "loss over the epochs, of 2 runs"
    assert len(page.images) == 3


def test_many_runs_have_a_line_each(written):
    page = written(*(falling(lift=lift / 1000) for lift in range(8)))
    assert page.images == ["loss over the epochs, of 8 runs"]
    assert "run verdict why" in page.text
    assert page.text.count(ktr.diagnose(falling()).verdict) >= 8


def test_repeats_are_one_choice_in_the_comparison_and_a_line_each_below(written):
    def several(lift):
        runs = [falling(lift=lift + seed / 1000) for seed in range(4)]
        seeds = [dataclasses.replace(run, seed=seed) for seed, run in enumerate(runs)]
        return ktr.Repeats(seeds, "val_loss", best=0)

    page = written(several(0.0), several(0.1), labels=["plain", "lifted"])
    assert "'plain' is best: val_loss 0.1545 ± 0.0013 over 4 seeds" in page.text
    assert "That is more than the noise over seeds (p < 0.001, Welch's t-test)." in page.text
    assert "plain, seed 0" in page.text
    assert "lifted, seed 3" in page.text
    assert written(several(0.0), several(0.1)).text.count("'run 1' is best") == 1


def test_pictures_stand_before_the_tables_and_of_many_runs_the_long_ones_are_folded(written):
    runs = [dataclasses.replace(falling(lift=n / 1000), settings={"a": n * 0.1}) for n in range(13)]
    page = written(*runs)
    assert page.source.index("<img") < page.source.index("<table")
    assert page.source.count("<details>") == 2
    assert "What they differ in (13)" in page.text
    assert written(*runs[:12]).source.count("<details>") == 0
    assert "0.3 " in page.text
    assert "0.30000000000000004" not in page.text


def test_words_stand_to_the_left_and_sentences_in_lines(written):
    page = written(*(falling(lift=lift / 1000) for lift in range(8)))
    assert "<th>epochs</th>" in page.source
    assert '<th class="words">verdict</th><th class="words long">why</th>' in page.source


def test_of_a_folder_what_cannot_be_read_is_named(written, tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        falling().save(tmp_path / name / "history.json")
    (tmp_path / "b" / "history.json").write_text("{}", encoding="utf-8")
    sentence = "'b' can't be read: no 'kerastrain.History' in it."
    assert sentence in written(tmp_path).text
    (tmp_path / "c" / "history.json").unlink()
    assert sentence in written(tmp_path).text
    with pytest.raises(ValueError, match=r"^`report`: `runs` must be a run directory, or"):
        written(tmp_path / "b")


def test_the_home_folder_has_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    finished(tmp_path / "a")
    path = ktr.report("~/a", path="~/page.html")
    assert path == tmp_path / "page.html"
    assert "Where it ran" in Page(path).text


def test_a_run_directory_tells_its_settings_and_where_it_ran(written, folder):
    finished(folder)
    page = written(folder)
    environment = json.loads((folder / "environment.json").read_text())["starts"][0]
    assert page.text.startswith("Run run Written on ")
    assert f"python {environment['python']}" in page.text
    assert "starts 1" in page.text
    assert "batch size 8" in page.text
    assert "Dropout(0.3)" in page.text
    assert "digests" not in page.text


def test_a_broken_environment_is_left_out(written, folder):
    finished(folder)
    (folder / "environment.json").write_text("{")
    assert "Where it ran" not in written(folder).text


def test_a_run_that_has_just_begun_is_shown_beside_others(written, folder):
    begun = History({}, [])
    page = written(falling(), begun, labels=["a", "b"])
    assert "No epoch has ended yet." in page.text


def test_names_and_notes_are_text_whatever_they_hold(written):
    odd = "<script>alert('&')</script>"
    page = written(falling(), falling(lift=0.1), labels=[odd, "b"], title=odd)
    assert page.text.startswith(odd)


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [0.5]},
        {"loss": [math.nan, math.nan]},
        {"loss": [0.5, math.inf, 0.4], "val_loss": [math.nan, 0.4, math.nan]},
        {"acc": [0.5, 0.6]},
        {"loss": list(np.linspace(1, 0.1, 5_000)), "val_loss": list(np.linspace(1, 0.2, 5_000))},
    ],
    ids=["one epoch", "nan", "gaps", "no loss", "five thousand epochs"],
)
def test_odd_histories_have_a_page_too(written, history):
    assert written(history).images


BAD = {
    "no run": (
        (),
        {},
        ValueError,
        "`report`: `runs` must hold at least one run. Received: runs=().",
    ),
    "no epoch": (
        (History({}, []),),
        {},
        ValueError,
        "`report`: `runs` must hold at least one run with an epoch. Received: "
        "runs=(<History: 0 epochs, finished>,).",
    ),
    "another suffix": (
        ({"loss": [0.5]},),
        {"path": "report.pdf"},
        ValueError,
        '`report`: `path` must end in ".html": write "report.html". Received: path=\'report.pdf\'.',
    ),
    "no path": (
        ({"loss": [0.5]},),
        {"path": 3},
        TypeError,
        "`report`: `path` must be the path of a file. Received: path=3.",
    ),
    "too few labels": (
        ({"loss": [0.5]}, {"loss": [0.4]}),
        {"labels": ["a"]},
        ValueError,
        "`report`: `labels` must be a list of one label per run (2). Received: labels=['a'].",
    ),
    "a title that is none": (
        ({"loss": [0.5]},),
        {"title": 3},
        TypeError,
        "`report`: `title` must be a string. Received: title=3.",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, monkeypatch, bad):
    monkeypatch.chdir(tmp_path)
    runs, arguments, kind, sentence = BAD[bad]
    with pytest.raises(kind) as error:
        ktr.report(*runs, **arguments)
    assert str(error.value) == sentence
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_has_nothing_to_complain_of(tmp_path, width):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Debian's chromium is not installed")
    path = ktr.report(falling(), falling(lift=0.1), path=tmp_path / "report.html")
    told = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--window-size={width},900", f"--user-data-dir={tmp_path / 'browser'}"),
            *("--dump-dom", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in told.stderr
    assert told.stdout.count("<img") == 3
