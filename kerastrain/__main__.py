"""`python -m kerastrain`: trains the study notes' first model on real images, and shows it.

`python -m kerastrain bench` times the ways of executing a fit on this machine, and
`python -m kerastrain report runs/` writes a page about runs.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Sequence

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
    elif options.command == "report":
        _report(options)
    else:
        _demonstrate(options)


def _bench(options: argparse.Namespace) -> None:
    """Prints a table a case, as soon as it is measured."""
    ways = [way for way in bench.WAYS if way in ("model.fit", *options.ways)]
    for case in _cases(options):
        timings = bench.timed(case, bench.contenders(ways), repeats=options.repeats)
        print(bench.table(case, timings), end="\n\n", flush=True)


def _report(options: argparse.Namespace) -> None:
    """Writes the page, and says where."""
    try:
        path = ktr.report(*options.runs, path=options.page, title=options.title)
    except (OSError, TypeError, ValueError) as error:
        sys.exit(str(error))
    print(f"In {path.resolve()}")


def _cases(options: argparse.Namespace) -> Iterable[bench.Case]:
    if options.model:
        sys.path.insert(0, "")  # Where `python -m` looks too.
        try:
            return [bench.case_of(options.model, epochs=options.fit_epochs or 10)]
        except ValueError as error:
            sys.exit(str(error))
    chosen = (options.case or "").lower()
    names = [case.name for case in bench.built_in_cases()]
    if not any(chosen in name for name in names):
        sys.exit(f"`bench`: `--case` must be a part of {names}. Received: {options.case!r}.")
    return (
        dataclasses.replace(case, epochs=options.fit_epochs or case.epochs)
        for case in bench.built_in_cases()
        if chosen in case.name
    )


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
    which = bench_parser.add_mutually_exclusive_group()
    which.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="your own: a function that returns a new compiled model, x and y",
    )
    which.add_argument("--case", help="only the built-in cases whose name holds this")
    bench_parser.add_argument(
        "--ways", nargs="+", choices=bench.WAYS[1:], default=bench.WAYS[1:], help="default: all"
    )
    bench_parser.add_argument(
        "--repeats", type=_at_least_one, default=3, help="turns of each way (default: 3)"
    )
    bench_parser.add_argument(
        "--epochs",
        dest="fit_epochs",
        type=_at_least_one,
        help="of a whole fit (default: the case's own; 10 for your own model)",
    )
    report_parser = commands.add_parser(
        "report", help="write a page about runs: curves, verdicts, settings, a comparison"
    )
    report_parser.add_argument(
        "runs", nargs="+", help="run directories, folders of them, or files of History.save"
    )
    report_parser.add_argument(
        "--page", default="report.html", help="where to write it (default: report.html)"
    )
    report_parser.add_argument("--title", help="what stands above all")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


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
