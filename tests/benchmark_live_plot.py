"""What `live_plot` takes of a run's time: the runs with it, and the seconds that it measures.

    python tests/benchmark_live_plot.py [seconds]

Three models are trained for about so many seconds each (60), with a picture as often as there is
time for one. What is measured: the seconds between the beginning of each hook of the callback and
its end, all of them, over the seconds of the whole `fit`; the callback's own account beside it.
"""

import pathlib
import sys
import tempfile
import time

import kerastrain as ktr
from kerastrain.callbacks import live_plot

BATCHES = {"dense": 512, "cnn": 256, "regression": 256}


def timed(callback):
    """Has all hooks of a callback timed from the outside; returns the list of their seconds."""
    seconds = []

    def wrapped(hook):
        def call(*arguments):
            start = time.perf_counter()
            try:
                return hook(*arguments)
            finally:
                seconds.append(time.perf_counter() - start)

        return call

    for name in ("on_train_begin", "on_epoch_end", "on_train_end"):
        setattr(callback, name, wrapped(getattr(callback, name)))
    return seconds


def data_and_model(name):
    regression = name == "regression"
    data = ktr.load_dataset("diabetes" if regression else "fashion_mnist_small")
    parameters = {"input_shape": (10,)} if regression else {}
    return data, ktr.compile_for_task(ktr.build(name, **parameters), data.task)


def measure(name, seconds, folder):
    data, model = data_and_model(name)
    fitting = {"validation_data": data.val, "batch_size": BATCHES[name], "verbose": 0}
    start = time.perf_counter()
    first = ktr.fit(model, *data.train, epochs=5, **fitting)
    an_epoch = min(first.history["seconds"])
    epochs = max(5, round(seconds / an_epoch))
    live = live_plot(folder / f"{name}.png", every=0)
    drawn = []
    draw = live._draw
    live._draw = lambda *a, **k: (drawn.append(time.perf_counter()), draw(*a, **k))
    hooks = timed(live)
    start = time.perf_counter()
    ktr.fit(model, *data.train, epochs=epochs, callbacks=[live], **fitting)
    whole = time.perf_counter() - start
    print(
        f"{name:<10} {epochs:>6,} epochs {whole:6.1f} s: {len(drawn):>2} pictures, the first after "
        f"{drawn[0] - start:4.1f} s; hooks {sum(hooks):.2f} s = {sum(hooks) / whole:.2%}, "
        f"own account {live.budget.spent:.2f} s = {live.budget.spent / whole:.2%}",
        flush=True,
    )


def main(seconds=60.0):
    with tempfile.TemporaryDirectory() as folder:
        for name in BATCHES:
            measure(name, float(seconds), pathlib.Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
