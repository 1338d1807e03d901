"""How a user's words stand in a picture: letter by letter, in a font that has their letters.

Matplotlib's own font has no Korean, Chinese or Japanese letters, and it takes what stands between
two dollar signs for a formula. `font_for` is asked wherever there may be words of the user's: names
of runs, classes, metrics and parameters, and the texts of the data.
"""

import dataclasses
import functools
import itertools
import pathlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from kerastrain._tables import width_of

_FAMILIES = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "NanumBarunGothic", "Malgun Gothic"),
    *("Apple SD Gothic Neo", "AppleGothic", "Source Han Sans KR", "UnDotum", "Baekmuk Gulim"),
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Arial Unicode MS"),
)
_FILES = ("cjk", "nanum", "malgun", "gothicneo", "applegothic", "undotum", "baekmuk", "wqy")
_BOX = "□"


@dataclasses.dataclass(frozen=True)
class Font:
    """A font with those that stand in for it, and what can be written in them.

    Attributes:
        families: Their names, of which each sign is drawn in the first that has it; none where
            Matplotlib's own font has all.
        letters: The signs that they have.
    """

    families: tuple[str, ...]
    letters: frozenset[int]

    @property
    def look(self) -> dict[str, Any]:
        """What to pass with words of the user's wherever Matplotlib takes a text.

        "$5 or $10" is no formula, and "val_loss" nothing that LaTeX is to be asked about.
        """
        family = {"fontfamily": list(self.families)} if self.families else {}
        return {"parse_math": False, "usetex": False, **family}

    def legible(self, text: str) -> str:
        """Returns a text on one line, in which what the font lacks, such as emoji, are boxes."""
        box = _BOX if ord(_BOX) in self.letters else "?"
        words = " ".join(text.split())
        return "".join(sign if ord(sign) in self.letters else box for sign in words)


def font_for(texts: Iterable[str], *, function: str) -> Font:
    """Returns a font that has the letters of some texts: Matplotlib's own, with others if need be.

    Where there is none a warning says so, in one sentence.

    Args:
        texts: The texts.
        function: The public function that was called.

    Example:
        >>> font = font_for(["Ankle boot"], function="plot_confusion")
        >>> font.legible("Ankle   boot"), font.look
        ('Ankle boot', {'parse_math': False, 'usetex': False})
    """
    own = _own_letters()
    lacking = {ord(sign) for text in texts for sign in text if sign.isalpha()} - own
    families: list[str] = []
    letters = set(own)
    for path in _candidates() if lacking else ():
        if found := lacking & _letters(path):
            families.append(_known_name(path))
            letters |= _letters(path)
            lacking -= found
        if not lacking:
            break
    if lacking and not families:
        script = "Korean" if any(0xAC00 <= letter <= 0xD7A3 for letter in lacking) else "these"
        words = (
            f"`{function}`: no font with {script} letters is installed, so they show as boxes: "
            "install one, such as Debian's fonts-nanum."
        )
        warnings.warn(words, stacklevel=3)
    before = matplotlib.rcParams["font.family"] if families else ()
    return Font((*before, *families), frozenset(letters))


def wrapped(words: Iterable[str], width: int, lines: int) -> list[str]:
    """Returns the first words in so many lines; a Korean letter is as wide as two Latin ones.

    Example:
        >>> wrapped(["dense", "with", "dropout"], 10, 2), wrapped(["고양이와", "개"], 8, 1)
        (['dense with', 'dropout'], ['고양이와 …'])
    """
    rows, taken = [""], 0
    for word in itertools.chain.from_iterable(_pieces(word, width) for word in words):
        wide = width_of(word)
        if taken and taken + 1 + wide > width:
            if len(rows) == lines:
                rows[-1] += " …"
                return rows
            rows.append("")
            taken = 0
        rows[-1] += f" {word}" if taken else word
        taken += wide + (taken > 0)
    return rows


def _pieces(word: str, width: int) -> Sequence[str]:
    """Returns a word, cut where it is longer than a line, as an address is, or Chinese."""
    pieces = [""]
    for sign in word:
        if width_of(pieces[-1]) + width_of(sign) > width:
            pieces.append("")
        pieces[-1] += sign
    return pieces


def _own_letters() -> frozenset[int]:
    """Returns the signs of the fonts that Matplotlib is set to."""
    paths = []
    for family in matplotlib.rcParams["font.family"]:
        try:
            own = FontProperties(family=[family])
            paths.append(font_manager.findfont(own, fallback_to_default=False))
        except ValueError:  # It isn't installed, and Matplotlib says so when it draws.
            continue
    paths = paths or [font_manager.findfont(FontProperties())]
    return frozenset().union(*map(_letters, paths))


def _candidates() -> Iterator[str]:
    """Yields the files of fonts that may have them, those that Matplotlib knows of first."""
    known = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    yield from (known[name] for name in _FAMILIES if name in known)
    # Matplotlib keeps a list, and doesn't notice what was installed since.
    for path in sorted(font_manager.findSystemFonts()):
        name = pathlib.Path(path).name.lower()
        if any(part in name for part in _FILES):
            yield path


def _known_name(path: str) -> str:
    """Returns what Matplotlib calls the font of a file, which it is told of if need be."""
    if all(font.fname != path for font in font_manager.fontManager.ttflist):
        font_manager.fontManager.addfont(path)
    return str(font_manager.get_font(path).family_name)


@functools.lru_cache(maxsize=64)
def _letters(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
