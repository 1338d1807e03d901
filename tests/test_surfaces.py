"""Where progress is shown: the place is given back, and gets the words that suit it."""

import sys
import types

import pytest
from displays import AsciiFile, use_notebook, use_terminal

from kerastrain import surfaces
from kerastrain.surfaces import Lines, Notebook, Terminal, checked_verbose, say, surface_for


class Words:
    """Something that stands at a number, and says so in each surface's words."""

    def __init__(self, number=1):
        self.number = number

    def bar(self, width):
        return f"{'━' * self.number}── {self.number} of 3 · {width} wide\nsecond line"

    def html(self):
        return f"<b>{self.number}</b>"

    def line(self):
        return f"line {self.number} · done"

    def summary(self):
        return f"all & {self.number}"


@pytest.mark.parametrize("verbose", ["auto", 0, 1, 2, True, False])
def test_what_keras_takes_is_taken(verbose):
    checked_verbose("search", verbose)


@pytest.mark.parametrize(
    ("verbose", "kind", "shown"),
    [(3, ValueError, "3"), ("loud", ValueError, "'loud'"), (None, TypeError, "None")],
)
def test_another_verbose_is_refused_in_the_words_of_the_call(verbose, kind, shown):
    with pytest.raises(kind) as error:
        checked_verbose("search", verbose)
    assert str(error.value) == (
        f"`search`: `verbose` must be one of 'auto', 0, 1, 2. Received: verbose={shown}."
    )


def test_the_surface_is_the_place_where_the_output_goes(monkeypatch):
    assert [type(surface_for(verbose)) for verbose in ("auto", 1, 2)] == [Lines] * 3
    use_terminal(monkeypatch)
    assert [type(surface_for(verbose)) for verbose in ("auto", 1, 2)] == [Terminal, Terminal, Lines]
    use_notebook(monkeypatch)
    assert [type(surface_for(verbose)) for verbose in ("auto", 1, 2)] == [Notebook, Notebook, Lines]


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_go_back_gets_lines(monkeypatch, kind):
    use_terminal(monkeypatch)
    monkeypatch.setenv("TERM", kind)
    assert type(surface_for(1)) is Lines


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))
    assert not surfaces.in_notebook()


@pytest.mark.parametrize("verbose, printed", [("auto", "So.\n"), (1, "So.\n"), (0, "")])
def test_a_word_is_said_unless_silence_was_asked_for(capsys, verbose, printed):
    say(verbose, "So.")
    assert capsys.readouterr().out == printed


def test_lines_are_printed_one_by_one(capsys):
    surface = Lines()
    for number in (1, 2):
        surface.update(Words(number))
    surface.close(Words(2))
    assert capsys.readouterr().out == "line 1 · done\nline 2 · done\nall & 2\n"


def test_a_file_that_knows_only_ascii_gets_ascii(monkeypatch):
    stream = AsciiFile()
    monkeypatch.setattr(sys, "stdout", stream)
    Lines().update(Words())
    assert stream.getvalue() == "line 1 | done\n"


def test_a_terminal_shows_the_bar_at_its_width_and_ends_with_the_summary(monkeypatch):
    stream = use_terminal(monkeypatch, columns=60)
    surface = Terminal()
    surface.update(Words(1))
    surface.update(Words(2))
    surface.close(Words(2))
    written = stream.getvalue()
    assert "2 of 3 · 60 wide" in written
    assert "second line" in written
    assert written.rpartition("\x1b[?25h")[2].endswith("all & 2\n")  # The cursor is shown again.
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert sys.stdout is stream


def test_a_terminal_that_never_showed_anything_still_sums_up(monkeypatch):
    stream = use_terminal(monkeypatch)
    Terminal().close(Words(0))
    assert stream.getvalue() == "all & 0\n"


def test_what_others_print_stands_above_the_bar(monkeypatch):
    stream = use_terminal(monkeypatch)
    surface = Terminal()
    surface.update(Words(1))
    print("a word")
    surface.close(Words(1))
    assert stream.getvalue().count("a word\n") == 1


def test_a_notebook_replaces_one_output(monkeypatch):
    shown = use_notebook(monkeypatch)
    surface = Notebook()
    surface.update(Words(1))
    surface.update(Words(2))
    surface.close(Words(2))
    assert [forms["text/html"] for forms in shown] == [
        "<b>1</b>",
        "<b>2</b>",
        "<div>all &amp; 2</div>",
    ]
    assert [forms["text/plain"] for forms in shown] == [
        "━── 1 of 3 · 100 wide\nsecond line",
        "━━── 2 of 3 · 100 wide\nsecond line",
        "all & 2",
    ]
