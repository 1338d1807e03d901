"""Pages of HTML that need nothing but themselves: no network, no scripts, light and dark.

What a page says is `report`'s; here is only how a part of it is written down.
"""

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Sequence

import matplotlib
from matplotlib.figure import Figure

from kerastrain._tables import html_table

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --faint: #5b6570; --paper: #ffffff;
  --card: #f3f5f7; --line: #d5dae0; --good: #00694f; --doubt: #8a5200; --bad: #a83c00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --faint: #a3acb6; --paper: #15181b; --card: #1f2428; --line: #3a4148;
    --good: #4cc9a4; --doubt: #f0b34a; --bad: #ff9d6b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, "Noto Sans KR", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul { margin: .4rem 0; max-width: 44rem; }
.faint, footer { color: var(--faint); font-size: .9rem; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.facts div { background: var(--card); border-radius: .5rem; padding: .5rem .8rem; }
.facts b { display: block; font-size: 1.15rem; }
.facts span { color: var(--faint); font-size: .85rem; }
.verdict { border-left: .3rem solid var(--doubt); padding: .1rem 0 .1rem .8rem; }
.verdict b { color: var(--doubt); } .verdict.good { border-color: var(--good); }
.verdict.good b { color: var(--good); } .verdict.bad { border-color: var(--bad); }
.verdict.bad b { color: var(--bad); }
.pictures { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.pictures img { width: 100%; height: auto; display: block; }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child, .words { text-align: left; }
td.long { white-space: normal; min-width: 12rem; }
th { color: var(--faint); font-weight: 600; }
table.pairs td { white-space: normal; overflow-wrap: anywhere; text-align: left; }
table.pairs td:first-child { color: var(--faint); min-width: 9rem; }
@media (max-width: 40rem) {
  .stacked thead { display: none; } .stacked tr { display: block; padding: .4rem 0;
    border-bottom: 1px solid var(--line); }
  .stacked td { display: block; border: 0; padding: .1rem 0; text-align: left;
    white-space: normal; overflow-wrap: anywhere; } }
details summary { cursor: pointer; color: var(--faint); margin: .6rem 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .6rem; }
"""


def _colours(paper: str, ink: str) -> dict[str, str]:
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {**dict.fromkeys(papers, paper), **dict.fromkeys(inks, ink)}


_LIGHT, _DARK = _colours("#ffffff", "#1c2126"), _colours("#15181b", "#e8eaed")
_DOTS_AN_INCH = 140
_LONG = 40  # letters of a cell that is broken into lines
_NUMBER = re.compile(r"[-+]?[\d.,]*(e[-+]?\d+)?( ± [\d.,e+-]+)?|nan|inf|\?")
_MOST_ROWS = 12  # of a table that isn't folded


def page(title: str, parts: Iterable[str], footer: str) -> str:
    """Returns a whole page of parts that are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{html.escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + f"\n<footer>{html.escape(footer)}</footer>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Returns a heading.

    Example:
        >>> heading("Curves & more")
        '<h2>Curves &amp; more</h2>'
    """
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str, *, kind: str = "") -> str:
    """Returns a paragraph; none for no text."""
    shown = f' class="{kind}"' if kind else ""
    return f"<p{shown}>{html.escape(text)}</p>" if text else ""


def bullets(sentences: Iterable[str]) -> str:
    """Returns a list."""
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def key_facts(values: Iterable[tuple[str, str]]) -> str:
    """Returns a row of boxes, each with what it is called and its value."""
    boxes = (
        f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>"
        for name, value in values
    )
    return f'<div class="facts">{"".join(boxes)}</div>'


def verdict(word: str, sentence: str, *, grade: str) -> str:
    """Returns a verdict.

    Args:
        word: What it is.
        sentence: Why.
        grade: "good", "bad", or "" for what is neither.
    """
    said = f"<b>{html.escape(word)}</b>: {html.escape(sentence)}"
    return f'<p class="verdict {grade}">{said}</p>'


def table(cells: Sequence[Sequence[str]], *, bold: int | None = None) -> str:
    """Returns a table that scrolls by itself where it is wider than the screen."""
    kinds = [_kind(column) for column in zip(*cells[1:], strict=True)] or None
    # Sentences would be pushed off a phone's screen by the columns before them.
    stacked = " stacked" if kinds and any("long" in kind for kind in kinds) else ""
    return f'<div class="wide{stacked}">{html_table(cells, bold=bold, kinds=kinds)}</div>'


def _kind(column: Sequence[str]) -> str:
    """Returns how a column is set: numbers to the right, words to the left, sentences in lines."""
    if all(_NUMBER.fullmatch(cell) for cell in column):
        return ""
    return "words long" if max(map(len, column)) > _LONG else "words"


def long_table(summary: str, cells: Sequence[Sequence[str]], *, bold: int | None = None) -> str:
    """Returns a table, which is folded where it has so many rows that it hides what follows."""
    shown = table(cells, bold=bold)
    return shown if len(cells) - 1 <= _MOST_ROWS else folded(f"{summary} ({len(cells) - 1})", shown)


def pairs(values: Iterable[tuple[str, str]]) -> str:
    """Returns a table of names and values."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in values
    )
    return f'<div class="wide"><table class="pairs"><tbody>{rows}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Returns what is shown when somebody asks for it."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def pictures(drawn: Iterable[tuple[str, Callable[[], Figure]]]) -> str:
    """Returns pictures side by side, each in two colours for light and dark screens.

    Args:
        drawn: What each shows, in words, and what draws it.
    """
    shown = "".join(_picture(words, draw) for words, draw in drawn)
    return f'<div class="pictures">{shown}</div>' if shown else ""


def _picture(words: str, draw: Callable[[], Figure]) -> str:
    light, dark = (_data(draw, colours) for colours in (_LIGHT, _DARK))
    alt = html.escape(words, quote=True)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{alt}"></picture>'
    )


def _data(draw: Callable[[], Figure], colours: dict[str, str]) -> str:
    file = io.BytesIO()
    with matplotlib.rc_context(colours):
        draw().savefig(file, format="png", dpi=_DOTS_AN_INCH)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
