"""Training processes that are killed, again and again, end as if they hadn't been."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HARNESS = pathlib.Path(__file__).with_name("killing.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
@pytest.mark.parametrize(
    "speed, kills",
    [
        ("steps", 2),  # Both of one run: each process imports and traces anew, which takes seconds.
        *(
            pytest.param(speed, 4, marks=pytest.mark.slow)
            for speed in ("plain", "steps", "compiled")
        ),
    ],
)
def test_runs_that_are_killed_end_to_the_bit_as_others(speed, kills):
    command = [sys.executable, HARNESS, "--kills", str(kills), "--seed", "1", "--speed", speed]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    last = process.stdout.strip().splitlines()[-1:]
    assert last, process.stderr
    told = re.fullmatch(r"(\d+) kills in \d+ runs, \d+ of them in a save: 0 differences", last[0])
    assert told, process.stdout
    assert int(told[1]) == kills
