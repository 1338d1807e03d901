"""Terminals, files and notebooks for tests of what is shown in them."""

import io
import sys
import types


class Recorder:
    """A surface that keeps the states it is given."""

    def __init__(self, interval):
        self.interval = interval
        self.states = []
        self.closed = []

    def update(self, state):
        self.states.append(state)

    def close(self, state):
        self.closed.append(state)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class AsciiFile(io.StringIO):
    encoding = "ascii"

    def write(self, text):
        return super().write(text.encode("ascii").decode())


def use_terminal(monkeypatch, columns=80):
    """Puts a terminal in the place of the output, and returns it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    return stream


def use_notebook(monkeypatch):
    """Makes this a notebook, and returns the list of what it is given to show."""
    shown = []

    class Handle:
        def update(self, forms, *, raw):
            shown.append(forms)

    def display(forms, *, raw, display_id):
        shown.append(forms)
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return shown
