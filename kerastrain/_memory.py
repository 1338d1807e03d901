"""How much memory there is."""

import math
import pathlib


def free_memory() -> float:
    """Returns the bytes that a program can still have; infinity where that isn't told.

    Example:
        >>> free_memory() > 0
        True
    """
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return math.inf
