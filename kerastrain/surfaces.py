"""Where progress is shown: a terminal, a notebook, or printed lines.

What is shown says itself how it reads in each; a surface only puts it there.
"""

import html
import os
import sys
from typing import Any, ClassVar, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kerastrain._checks import invalid, show
from kerastrain._progress_text import encodable

VERBOSE = ("auto", 0, 1, 2)
"""What `verbose` may be: chosen by where the output goes, silent, a bar, a line an epoch."""


def checked_verbose(function: str, verbose: Any) -> None:
    """Raises where `verbose` is none of what it may be."""
    if verbose not in VERBOSE:
        must = f"be one of {', '.join(map(repr, VERBOSE))}"
        kind = ValueError if isinstance(verbose, str | int) else TypeError
        raise invalid(function, "verbose", must, f"verbose={show(verbose)}", kind=kind)


def say(verbose: str | int, text: str) -> None:
    """Prints a line, unless `verbose` asks for silence."""
    if verbose != 0:
        _print(text)


class Shown(Protocol):
    """How something stands at one moment, in words for each surface."""

    def bar(self, width: int) -> str:
        """Returns two lines, each within `width` characters."""

    def html(self) -> str:
        """Returns the same for a notebook."""

    def line(self) -> str:
        """Returns the line of what has just ended."""

    def summary(self) -> str:
        """Returns the line that stays when all has ended."""


class Surface(Protocol):
    """Where progress is shown."""

    interval: ClassVar[float | None]
    """Seconds between two updates; `None` for one at each epoch's end and no other."""

    def update(self, state: Shown) -> None:
        """Shows how it stands."""

    def close(self, state: Shown) -> None:
        """Shows how it ended, and gives the place back."""


class Lines:
    """A printed line an epoch: plain text for files and logs."""

    interval: ClassVar[float | None] = None

    def update(self, state: Shown) -> None:
        """Shows how it stands."""
        _print(state.line())

    def close(self, state: Shown) -> None:
        """Shows how it ended."""
        _print(state.summary())


class Terminal:
    """Two lines at the foot of a terminal; what others print scrolls by above them."""

    interval: ClassVar[float | None] = 0.1

    def __init__(self) -> None:
        self._live: Live | None = None

    def update(self, state: Shown) -> None:
        """Shows how it stands."""
        if self._live is None:
            console = Console(force_terminal=True, force_jupyter=False)
            # Transient, as the summary takes the bar's place; no thread, as we say when to draw.
            self._live = Live(console=console, transient=True, auto_refresh=False)
            self._live.start()
        console = self._live.console
        lines = encodable(state.bar(console.width), console.encoding)
        text = Text(lines, no_wrap=True, overflow="crop")
        text.highlight_regex("[━╸]+", "cyan")
        text.highlight_regex("─+", "dim")
        self._live.update(text, refresh=True)

    def close(self, state: Shown) -> None:
        """Shows how it ended."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        _print(state.summary())


class Notebook:
    """HTML that is replaced in place, in the notebook's own colours, and plain text beside it."""

    interval: ClassVar[float | None] = 0.2

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, state: Shown) -> None:
        """Shows how it stands."""
        self._show(state.html(), state.bar(100))

    def close(self, state: Shown) -> None:
        """Shows how it ended."""
        self._show(f"<div>{html.escape(state.summary())}</div>", state.summary())
        self._handle = None

    def _show(self, as_html: str, as_text: str) -> None:
        from IPython.display import display  # Only a notebook is sure to have it.

        forms = {"text/html": as_html, "text/plain": as_text}
        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)
        else:
            self._handle.update(forms, raw=True)


def surface_for(verbose: str | int) -> Surface:
    """Returns the surface for what `verbose` asks for, which isn't silence."""
    if verbose != 2 and in_notebook():
        return Notebook()
    return Terminal() if verbose != 2 and _in_terminal() else Lines()


def _print(text: str) -> None:
    print(encodable(text, getattr(sys.stdout, "encoding", None) or "utf-8"), flush=True)


def _in_terminal() -> bool:
    isatty = getattr(sys.stdout, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM") not in ("dumb", "unknown")


def in_notebook() -> bool:
    """Tells whether the code runs in a notebook, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # IPython in a terminal has a shell as well; only one behind a notebook has a kernel.
    return getattr(shell, "kernel", None) is not None
