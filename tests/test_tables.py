"""Tables of cells, as text and as HTML."""

from kerastrain._tables import html_table, text_table

CELLS = [["size", "loss"], ["8,192", "<0.5>"], ["1", ""]]


def test_text_is_aligned_to_the_right():
    assert text_table(CELLS) == " size   loss\n8,192  <0.5>\n    1       "


def test_html_escapes_its_cells_and_sets_a_row_in_bold():
    assert html_table(CELLS, bold=1) == (
        "<table><thead><tr><th>size</th><th>loss</th></tr></thead><tbody>"
        "<tr><td>8,192</td><td>&lt;0.5&gt;</td></tr>"
        '<tr style="font-weight: bold"><td>1</td><td></td></tr></tbody></table>'
    )


def test_letters_that_are_two_wide_stand_below_each_other():
    cells = [["run", "loss"], ["드롭아웃", "0.5"], ["plain", "0.25"]]
    assert text_table(cells) == "     run  loss\n드롭아웃   0.5\n   plain  0.25"
