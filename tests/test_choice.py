"""The way that takes the least time is chosen, with as little measuring as it takes."""

import pytest

from kerastrain.choice import Run, Verdict, choose, reconsidered, remember, remembered


class Machine:
    """Says what a step takes, and notes what it was asked."""

    def __init__(self, steps=1.0, compiled=1.0, refusal=""):
        self.seconds = {"steps": steps, "compiled": compiled}
        self.refusal = refusal
        self.asked = []

    def seconds_of(self, way):
        self.asked.append(way)
        return self.seconds[way]

    def verdict(self, *run, **kind):
        chosen = choose(Run(*run, **kind), self.seconds_of, lambda: self.refusal)
        return f"{chosen.way}, {chosen.why}"


@pytest.mark.parametrize(
    "run, kind, machine, verdict, asked",
    [
        ((50, 1), {}, Machine(), "steps, too short a run to measure", []),
        (
            (363, 100),
            {},
            Machine(compiled=2e-5),
            "compiled, 0.0200 ms a step",
            ["compiled"],
        ),
        (
            (1500, 20),
            {},
            Machine(steps=0.020, compiled=0.010),
            "compiled, 10.0 ms a step, 20.0 ms uncompiled",
            ["compiled", "steps"],
        ),
        (
            (1500, 20),
            {},
            Machine(steps=0.010, compiled=0.020),
            "steps, 10.0 ms a step, 20.0 ms compiled",
            ["compiled", "steps"],
        ),
        (
            (1500, 20),
            {},
            Machine(steps=0.001, refusal="XLA knows no strings"),
            "steps, 1.00 ms a step, since XLA knows no strings",
            ["steps"],
        ),
        (
            (200, 5),
            {"unsuited": "DepthwiseConv2D"},
            Machine(steps=0.001),
            "steps, 1.00 ms a step, since XLA is slow at DepthwiseConv2D",
            ["steps"],
        ),
        (
            (1500, 20),
            {"convolves": True},
            Machine(steps=0.0005, compiled=0.0001),
            "compiled, 0.100 ms a step, 0.500 ms uncompiled",
            ["steps", "compiled"],
        ),
        (
            (1500, 10),
            {"convolves": True},
            Machine(steps=0.0015, compiled=0.001),
            "steps, 1.50 ms a step, not worth compiling",
            ["steps"],
        ),
        (
            (1500, 40),
            {"convolves": True},
            Machine(steps=0.0015, compiled=0.001),
            "compiled, 1.00 ms a step, 1.50 ms uncompiled",
            ["steps", "compiled"],
        ),
        (
            (1500, 100),
            {"convolves": True},
            Machine(steps=0.006, compiled=0.001),
            "steps, 6.00 ms a step, not worth compiling",
            ["steps"],
        ),
        (
            (100, 10),
            {},
            Machine(steps=0.001),
            "steps, 1.00 ms a step, not worth compiling",
            ["steps"],
        ),
        (
            (100, 10),
            {},
            Machine(steps=0.010),
            "steps, 10.0 ms a step, not worth compiling",
            ["steps"],
        ),
        (
            (100, 10),
            {"recurs": True},
            Machine(steps=0.010, compiled=0.002),
            "compiled, 2.00 ms a step",
            ["compiled"],
        ),
        (
            (100, 10),
            {"recurs": True},
            Machine(steps=0.010, compiled=0.020),
            "steps, 10.0 ms a step, 20.0 ms compiled",
            ["compiled", "steps"],
        ),
        (
            (100, 3),
            {"recurs": True},
            Machine(steps=0.011, compiled=0.002),
            "compiled, 2.00 ms a step, 11.0 ms uncompiled",
            ["steps", "compiled"],
        ),
        (
            (100, 100),
            {},
            Machine(steps=0.010, compiled=0.009),
            "compiled, 9.00 ms a step, 10.0 ms uncompiled",
            ["steps", "compiled"],
        ),
    ],
    ids=[
        "short",
        "long and small",
        "long and large",
        "long, slower compiled",
        "long, refused",
        "unsuited",
        "small convolutions",
        "convolutions, too few steps",
        "convolutions, many steps",
        "large convolutions",
        "small, too few steps",
        "large, too few steps",
        "recurrent",
        "recurrent and large",
        "recurrent, few steps",
        "large, many steps",
    ],
)
def test_the_least_time_wins_with_the_least_measuring(run, kind, machine, verdict, asked):
    assert machine.verdict(*run, **kind) == verdict
    assert machine.asked == asked


def test_what_was_chosen_once_is_chosen_again():
    key = ("a test's own", 1)
    assert remembered(key) is None
    remember(key, verdict := choose(Run(1, 1), {}.get, str))
    assert remembered(key) is verdict


LEFT = Run(1000, 10)
STEPS, COMPILED = Verdict("steps", 0.001, "so"), Verdict("compiled", 0.001, "so")


@pytest.mark.parametrize(
    "left, verdict, known, machine, expected, asked",
    [
        (LEFT, COMPILED, {"compiled": 0.9, "steps": 0.8}, Machine(), "compiled", []),
        (LEFT, COMPILED, {"compiled": 0.9, "steps": 0.7}, Machine(), "steps", []),
        (LEFT, STEPS, {"steps": 0.9, "compiled": 0.7}, Machine(), "compiled", []),
        (LEFT, COMPILED, {"compiled": 0.0005}, Machine(), "compiled", []),
        (LEFT, COMPILED, {"compiled": 0.0007}, Machine(steps=0.0001), "steps", ["steps"]),
        (Run(100, 8, recurs=True), COMPILED, {"compiled": 0.004}, Machine(), "compiled", []),
        (LEFT, STEPS, {"steps": 0.0002}, Machine(), "steps", []),
        (LEFT, STEPS, {"steps": 0.002}, Machine(compiled=0.001), "compiled", ["compiled"]),
        (LEFT, STEPS, {"steps": 0.002}, Machine(refusal="no"), "steps", []),
        (
            Run(1000, 10, unsuited="DepthwiseConv2D"),
            STEPS,
            {"steps": 0.002},
            Machine(compiled=0.001),
            "steps",
            [],
        ),
        (
            Run(1000, 10, convolves=True),
            STEPS,
            {"steps": 0.006},
            Machine(compiled=0.001),
            "steps",
            [],
        ),
    ],
    ids=[
        "within the margin",
        "steps are faster",
        "compiled is faster",
        "little enough",
        "slow enough to measure",
        "recurrent, little enough",
        "too little left to compile",
        "enough left to compile",
        "refused",
        "unsuited",
        "large convolutions",
    ],
)
def test_what_the_epochs_took_is_held_against_the_other_way(
    left, verdict, known, machine, expected, asked
):
    def seconds_of(way):
        return known[way] if way in known else machine.seconds_of(way)

    machine.asked.clear()
    chosen = reconsidered(left, verdict, known, seconds_of, lambda: machine.refusal)
    assert (chosen.way, machine.asked) == (expected, asked)
    assert (chosen is verdict) == (expected == verdict.way)
