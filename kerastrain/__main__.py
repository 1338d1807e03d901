"""`python -m kerastrain`: trains the study notes' first model on real images, and shows it.

`python -m kerastrain bench` times the ways of executing a fit on this machine.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

import keras
import matplotlib.pyplot as plt

import kerastrain as ktr
from kerastrain import bench
from kerastrain._progress_text import ordinal


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demonstration, or the command that the arguments name.

    Args:
        arguments: The command line's, without the program's name.
    """
    options = _parser().parse_args(arguments)
    if options.command == "bench":
        _bench(options)
    else:
        _demonstrate(options)


def _bench(options: argparse.Namespace) -> None:
    """Prints a table a case, as soon as it is measured."""
    if options.model:
        cases = iter([bench.case_of(options.model, epochs=options.epochs)])
    else:
        cases = bench.built_in_cases()
    for case in cases:
        if not options.case or options.case in case.name:
            ways = [way for way in bench.WAYS if way in ("model.fit", *options.ways)]
            timings = bench.timed(case, bench.contenders(ways), repeats=options.repeats)
            print(bench.table(case, timings), end="\n\n", flush=True)


def _demonstrate(options: argparse.Namespace) -> None:
    """Goes from data to trained model and picture, all offline."""
    folder = pathlib.Path(options.output)
    data = ktr.load_dataset("fashion_mnist_small")
    print(f"Training a dense network with dropout on {len(data.train[0]):,} real images of clothes")
    model, history = ktr.build_and_fit(
        "dense",
        data,
        a_layer=keras.layers.Dropout(0.3),
        optimizer="adam",
        epochs=options.epochs,
        seed=options.seed,
        callbacks=ktr.callbacks.standard(folder / "model.keras", patience=2),
    )
    if not len(history):
        sys.exit("Stopped before the first epoch had ended; there is nothing to show.")
    history.save(folder / "history.json")
    ktr.plot_history(history)
    plt.savefig(folder / "history.png", dpi=150)
    _print_result(model, history, data, folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerastrain", description="Trains on real images, offline, and shows the result."
    )
    parser.add_argument("--output", default="kerastrain-demo", help="the folder for what it makes")
    parser.add_argument(
        "--epochs", type=_at_least_one, default=20, help="epochs at most (default: 20)"
    )
    parser.add_argument("--seed", type=int, default=42, help="repeats a run (default: 42)")
    commands = parser.add_subparsers(dest="command", title="instead of the demonstration")
    bench_parser = commands.add_parser(
        "bench", help="time model.fit and the ways of kerastrain's fit on this machine"
    )
    bench_parser.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="your own: a function that returns (compiled model, x, y)",
    )
    bench_parser.add_argument("--case", help="only the built-in cases whose name holds this")
    bench_parser.add_argument(
        "--ways", nargs="+", choices=bench.WAYS[1:], default=bench.WAYS[1:], help="default: all"
    )
    bench_parser.add_argument(
        "--repeats", type=_at_least_one, default=3, help="turns of each way (default: 3)"
    )
    bench_parser.add_argument(
        "--epochs", type=_at_least_one, default=10, help="of your own model (default: 10)"
    )
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _print_result(
    model: keras.Model, history: ktr.History, data: ktr.Data, folder: pathlib.Path
) -> None:
    test = model.evaluate(*data.test, verbose=0, return_dict=True)
    best = history.best
    print(
        f"Best: the {ordinal((history.best_epoch or 0) + 1)} of {len(history)} epochs\n"
        f"  validation  loss {best['val_loss']:.4f}  accuracy {best['val_accuracy']:.4f}\n"
        f"  test        loss {test['loss']:.4f}  accuracy {test['accuracy']:.4f}\n"
        f"  {history.seconds:.1f} s for {len(history)} epochs ({history.engine})\n"
        f"In {folder.resolve()}: model.keras (the best epoch's), history.json, history.png"
    )


if __name__ == "__main__":
    main()
