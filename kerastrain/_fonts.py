"""Which font a text can be read in: Matplotlib's own has no Korean, Chinese or Japanese letters."""

import pathlib
import warnings
from collections.abc import Iterable, Iterator

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

_FAMILIES = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "NanumBarunGothic", "Malgun Gothic"),
    *("Apple SD Gothic Neo", "AppleGothic", "Source Han Sans KR", "UnDotum", "Baekmuk Gulim"),
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Arial Unicode MS"),
)
_FILES = ("cjk", "nanum", "malgun", "gothicneo", "applegothic", "undotum", "baekmuk", "wqy")
_BOX = "□"


class Font:
    """A font, and what can be written in it.

    Args:
        properties: The font, as Matplotlib takes it.
        letters: The signs that it has.
    """

    def __init__(self, properties: FontProperties, letters: frozenset[int]) -> None:
        self._properties, self._letters = properties, letters

    def sized(self, size: float | str) -> FontProperties:
        """Returns the font in a size."""
        sized = self._properties.copy()
        sized.set_size(size)
        return sized

    def legible(self, text: str) -> str:
        """Returns a text on one line, in which what the font lacks, such as emoji, are boxes."""
        box = _BOX if ord(_BOX) in self._letters else "?"
        words = " ".join(text.split())
        return "".join(sign if ord(sign) in self._letters else box for sign in words)


def font_for(texts: Iterable[str], *, function: str) -> Font:
    """Returns a font that has the letters of some texts: Matplotlib's own, or an installed one.

    Where there is none a warning says so, in one sentence.

    Args:
        texts: The texts.
        function: The public function that was called.

    Example:
        >>> font_for(["Ankle boot"], function="plot_confusion").legible("Ankle   boot")
        'Ankle boot'
    """
    own = FontProperties()
    font = Font(own, _letters(font_manager.findfont(own)))
    needed = {ord(sign) for text in texts for sign in text if sign.isalpha()}
    lacking = {letter for letter in needed if chr(letter) not in font.legible(chr(letter))}
    if not lacking:
        return font
    best, best_found = font, 0
    for path in _candidates():
        letters = _letters(path)
        found = len(lacking & letters)
        if found > best_found:
            best, best_found = Font(FontProperties(fname=path), letters), found
        if found == len(lacking):
            return best
    if not best_found:
        script = "Korean" if any(0xAC00 <= letter <= 0xD7A3 for letter in lacking) else "these"
        words = (
            f"`{function}`: no font with {script} letters is installed, so they show as boxes: "
            "install one, such as Debian's fonts-nanum."
        )
        warnings.warn(words, stacklevel=3)
    return best


def _candidates() -> Iterator[str]:
    """Yields the files of fonts that may have them, those that Matplotlib knows of first."""
    known = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    yield from (known[name] for name in _FAMILIES if name in known)
    # Matplotlib keeps a list, and doesn't notice what was installed since.
    for path in sorted(font_manager.findSystemFonts()):
        name = pathlib.Path(path).name.lower()
        if any(part in name for part in _FILES):
            yield path


def _letters(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
