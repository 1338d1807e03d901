import math
import os
import pathlib

import pytest

from kerastrain._memory import free_memory


def test_the_free_memory_is_what_the_system_says():
    if not os.path.exists("/proc/meminfo"):
        pytest.skip("this system doesn't tell")
    assert 10**6 < free_memory() < 10**14


@pytest.mark.parametrize("text", [None, "", "MemTotal: 5 kB\n"])
def test_where_nothing_is_told_there_is_no_limit(monkeypatch, text):
    def read(*arguments, **keywords):
        if text is None:
            raise OSError
        return text

    monkeypatch.setattr(pathlib.Path, "read_text", read)
    assert free_memory() == math.inf
