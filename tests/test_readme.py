"""The README in its two languages: the Korean one says nothing that the English one doesn't."""

import pathlib
import re

import pytest

import kerastrain as ktr

ROOT = pathlib.Path(__file__).parent.parent
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")


def code_blocks(text):
    return re.findall(r"^```\w*\n.*?^```$", text, flags=re.MULTILINE | re.DOTALL)


def headings(text):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", outside, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_block_of_code_of_the_korean_readme_stands_in_the_english_one():
    blocks = code_blocks(KOREAN)
    assert len(blocks) >= 10
    assert [block for block in blocks if block not in code_blocks(ENGLISH)] == []


def test_what_it_names_in_the_text_is_there():
    code = re.sub(r"^```.*?^```$", "", KOREAN, flags=re.MULTILINE | re.DOTALL)
    names = set(re.findall(r"`ktr\.(\w+)", code))
    assert names
    assert [name for name in sorted(names) if not hasattr(ktr, name)] == []


def test_it_lists_every_set_of_data():
    assert [name for name in ktr.list_datasets() if f"`{name}`" not in KOREAN] == []


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)]+)\)", KOREAN))
def test_its_links_lead_somewhere(target):
    path, _, anchor = target.partition("#")
    assert (ROOT / path).is_file()
    assert not anchor or anchor in headings((ROOT / path).read_text(encoding="utf-8"))


def test_it_lists_every_notebook():
    notebooks = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert [name for name in notebooks if f"(notebooks/{name})" not in KOREAN] == []


def test_it_is_polite_throughout():
    """Sentences end in the formal style, and no plain one has slipped in between."""
    outside = re.sub(r"^```.*?^```$", "", KOREAN, flags=re.MULTILINE | re.DOTALL)
    prose = "\n".join(line for line in outside.splitlines() if not line.startswith(("|", "#")))
    endings = re.findall(r"(\w+)\.(?=\s|$)", prose)
    endings = [word for word in endings if re.search("[가-힣]$", word)]
    assert len(endings) >= 60
    assert [word for word in endings if not word.endswith("니다")] == []
