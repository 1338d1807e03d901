"""Words of the user's in pictures: word for word, in a font that has their letters."""

import io
import warnings

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib import font_manager

import kerastrain as ktr
from kerastrain import _fonts
from kerastrain._fonts import font_for, wrapped
from kerastrain.mistake_records import Case, Confusion, Residuals, TopLosses
from kerastrain.rate_records import LRSweep
from kerastrain.search_records import SearchResult, Trial

MONEY = ["It cost $5 and then $10", "from $5 to {$10", "$5 -> ^$6", "$a_$ b", "100 $\\bad$ % _x"]


@pytest.fixture(autouse=True)
def closing():
    yield
    plt.close("all")


def history(name):
    return {name: [0.5, 0.4], f"val_{name}": [0.6, 0.5]}


def top_losses(word):
    case = Case(1, 2.0, word, word, 0.9, word)
    return ktr.plot_top_losses(TopLosses([case], "texts", rows=9, mean_loss=1.0))


def searched(word):
    trials = [Trial(i, {word: f"{word} {i % 2}"}, "complete", 0.5 - i / 10) for i in range(4)]
    return ktr.plot_search(SearchResult(trials, word, "min", importance={word: 1.0}))


def swept(word):
    sweep = LRSweep([1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0], [1.9, 1.1, 2.5], 5e-3, False, word)
    return [ktr.plot_lr_sweep(sweep)]


DRAWN = {
    "a metric": lambda word: ktr.plot_history(history(word)),
    "runs": lambda word: ktr.plot_history(*[history("a")] * 2, labels=[word, "b"]),
    "ranked runs": lambda word: ktr.plot_history(*[history(word)] * 7),
    "classes": lambda word: [ktr.plot_confusion(Confusion([[8, 2], [1, 9]], [word, "dog"]))],
    "texts": top_losses,
    "outputs": lambda word: ktr.plot_residuals(Residuals({word: [1.0, 2.0]}, {word: [2.0, 1.0]})),
    "schedules": lambda word: ktr.plot_schedule(*[float] * 2, epochs=1, labels=[word, "b"]),
    "a sweep's note": swept,
    "parameters": searched,
}


def saved(draw, word):
    figure = draw(word)[0].figure
    figure.savefig(io.BytesIO())
    return figure


def words_in(figure):
    found = figure.findobj(matplotlib.text.Text)
    return " ".join(" ".join(text.get_text().split()) for text in found)


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("word", MONEY)
def test_dollars_are_no_formula(draw, word):
    figure = saved(draw, word)
    written = [text for text in figure.findobj(matplotlib.text.Text) if "$" in text.get_text()]
    assert written
    ours = [text for text in written if "mathdefault" not in text.get_text()]
    assert [text.get_text() for text in ours if text.get_parse_math()] == []


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_korean_is_written_in_a_font_that_has_it(draw):
    if not any(0xAC00 in _fonts._letters(path) for path in _fonts._candidates()):
        pytest.skip("no font with Korean letters is installed")
    with warnings.catch_warnings():
        # Matplotlib 3.9 has its parser of formulas, of a logarithmic axis, warn of itself.
        warnings.filterwarnings("error", "Glyph|.*no font")
        figure = saved(draw, "드롭아웃")
    assert "드롭아웃" in words_in(figure)


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_what_no_font_has_is_a_box_in_every_picture(draw, monkeypatch):
    monkeypatch.setattr(_fonts, "_candidates", lambda: iter(()))
    with pytest.warns(UserWarning, match="no font with Korean letters") as caught:
        figure = saved(draw, "개")
    assert len([one for one in caught if one.category is UserWarning]) == 1
    assert "□" in words_in(figure)
    assert "개" not in words_in(figure)


def test_a_font_that_was_installed_since_is_found(monkeypatch):
    paths = [path for path in _fonts._candidates() if 0xAC00 in _fonts._letters(path)]
    if not paths:
        pytest.skip("no font with Korean letters is installed")
    manager = font_manager.fontManager
    known = [font for font in manager.ttflist if "nanum" not in font.fname.lower()]
    monkeypatch.setattr(manager, "ttflist", [font for font in known if font.fname not in paths])
    families = font_for(["개"], function="plot_history").families
    path = font_manager.findfont(font_manager.FontProperties(family=[families[-1]]))
    assert 0xAC00 in _fonts._letters(path)


def test_a_font_that_the_user_has_set_is_asked_first(monkeypatch):
    paths = [path for path in _fonts._candidates() if 0xAC00 in _fonts._letters(path)]
    if not paths:
        pytest.skip("no font with Korean letters is installed")
    name = font_manager.get_font(paths[0]).family_name
    with plt.rc_context({"font.family": ["no such font", name]}):
        font = font_for(["개"], function="plot_history")
    assert font.families == ()
    assert font.legible("개 dog") == "개 dog"


def test_the_sizes_of_a_style_stay():
    with plt.rc_context({"axes.labelsize": 23}):
        (ax,) = ktr.plot_history(history("손실"), metrics="손실")
    assert ax.yaxis.label.get_size() == 23


def test_a_long_text_is_wrapped_and_a_korean_letter_is_as_wide_as_two():
    assert wrapped(["a", "bc", "def"], 4, 3) == ["a bc", "def"]
    assert wrapped(["a", "bc", "def"], 4, 1) == ["a bc …"]
    assert wrapped(["드롭아웃"], 4, 3) == ["드롭", "아웃"]
    assert wrapped([], 4, 3) == [""]
