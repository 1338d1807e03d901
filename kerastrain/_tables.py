"""Tables of cells: as text for a terminal, as HTML for a notebook. The first row is the header."""

import html
import unicodedata
from collections.abc import Sequence

_BOLD = ' style="font-weight: bold"'


def text_table(cells: Sequence[Sequence[str]]) -> str:
    """Returns the table as text, with its columns aligned to the right.

    Example:
        >>> print(text_table([["size", "loss"], ["32", "0.5"]]))
        size  loss
          32   0.5
    """
    widths = [max(width_of(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(_to_right(cell, width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def width_of(text: str) -> int:
    """Returns how wide a text is, in Latin letters.

    Example:
        >>> width_of("dog"), width_of("개")
        (3, 2)
    """
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _to_right(cell: str, width: int) -> str:
    return " " * (width - width_of(cell)) + cell


def html_table(
    cells: Sequence[Sequence[str]], *, bold: int | None = None, kinds: Sequence[str] | None = None
) -> str:
    """Returns the table as HTML.

    Args:
        cells: Its rows.
        bold: The row to set in bold, counted from 0 after the header.
        kinds: A class a column, for who styles it; "" for none.

    Example:
        >>> html_table([["loss"], ["0.5"]])
        '<table><thead><tr><th>loss</th></tr></thead><tbody><tr><td>0.5</td></tr></tbody></table>'
    """
    header, *rows = cells
    marks = [f' class="{kind}"' if kind else "" for kind in kinds or [""] * len(header)]
    head = _row_of("th", header, marks)
    body = "".join(
        f"<tr{_BOLD if number == bold else ''}>{_row_of('td', row, marks)}</tr>"
        for number, row in enumerate(rows)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row_of(tag: str, row: Sequence[str], marks: Sequence[str]) -> str:
    return "".join(
        f"<{tag}{mark}>{html.escape(cell)}</{tag}>" for cell, mark in zip(row, marks, strict=True)
    )
