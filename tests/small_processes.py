"""Processes that use a module of the package that needs no Keras, and so begin at once."""

import pathlib
import subprocess
import sys

import kerastrain

# The package by its path alone: its `__init__` would take seconds to import TensorFlow.
_BARE = f"""
import sys, types
package = types.ModuleType("kerastrain")
package.__path__ = [{str(pathlib.Path(kerastrain.__file__).parent)!r}]
sys.modules["kerastrain"] = package
"""


def small_process(code, *arguments):
    """Starts Python with a piece of code, and returns the process."""
    return subprocess.Popen(
        [sys.executable, "-c", _BARE + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )
