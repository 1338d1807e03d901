"""Tables of cells: as text for a terminal, as HTML for a notebook. The first row is the header."""

import html
from collections.abc import Sequence


def text_table(cells: Sequence[Sequence[str]]) -> str:
    """Returns the table as text, with its columns aligned to the right.

    Example:
        >>> print(text_table([["size", "loss"], ["32", "0.5"]]))
        size  loss
          32   0.5
    """
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def html_table(cells: Sequence[Sequence[str]], *, bold: int | None = None) -> str:
    """Returns the table as HTML.

    Args:
        cells: Its rows.
        bold: The row to set in bold, counted from 0 after the header.

    Example:
        >>> html_table([["loss"], ["0.5"]])
        '<table><thead><tr><th>loss</th></tr></thead><tbody><tr><td>0.5</td></tr></tbody></table>'
    """
    header, *rows = cells
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(_row(row, is_bold=number == bold) for number, row in enumerate(rows))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(row: Sequence[str], *, is_bold: bool) -> str:
    style = ' style="font-weight: bold"' if is_bold else ""
    return f"<tr{style}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
