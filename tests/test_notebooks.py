"""The notebooks: each runs from top to bottom, and is stored with what a run gave.

A whole run takes half a minute a notebook or more, so here every `epochs=` of ten or more becomes
`epochs=2`, and every search runs four trials at most; and those that take long even so run with the
slow tests, while all are held against the package's names and arguments. The whole run is
`python tests/run_notebooks.py`, whose outputs are the ones that are stored.
"""

import ast
import importlib
import inspect
import pathlib
import re
import tempfile

import pytest
from run_notebooks import FOLDER, execute, read, tidy

import kerastrain

for package in ("nbformat", "nbclient", "ipykernel"):
    pytest.importorskip(package, reason=f'needs {package}: pip install "kerastrain[notebook]"')

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

PICTURES = {
    "01-train-a-network.ipynb": 7,
    "02-learning-rate-and-batch-size.ipynb": 8,
    "03-search.ipynb": 2,
    "04-metrics-callbacks-regression.ipynb": 4,
    "05-modelling-steps.ipynb": 7,
    "06-text.ipynb": 2,
    "07-verdicts.ipynb": 3,
}

# What the text of a notebook says of the stored output of the cells with these ids. If a new run
# gives something else, the text has to change as well.
SAID = {
    "01-train-a-network.ipynb": {
        "model-build": ["Total params: 79,510"],
        "fit-run": ["best val_loss 0.46", "in the 8th"],
        "fit-table": ["<td>29</td><td>0.9473</td><td>0.1466</td><td>0.8359</td><td>0.6694</td>"],
        "compare-fit": ["in the 16th", "best val_loss 0.4279 in the 22nd"],
        "stop-epochs": ["best epoch:     7\nstopped after:  9\nepochs run:     10\n"],
        "stop-checkpoint": ["loss 0.4503"],
        "one-call-fit": ["21 epochs", "best val_loss 0.4283 in the 16th", "stopped early"],
        "test-evaluate": ["loss 0.444, accuracy 0.839"],
        "save-weights": ["True"],
        "save-model": ["True"],
    },
    "02-learning-rate-and-batch-size.ipynb": {
        "sweep-suggestion": ["0.00487\nreliable:   True\n"],
        "sweep-rules": ["minimum / 10          0.0027", "point / 10    0.0077", "1.1e-05"],
        "sweep-untouched": ["True"],
        "sweep-short": ["reliable: False", "raise max_rate"],
        "three-fit": ["0.4664 in the 30th", "0.4615 in the 9th", "2.0610 in the 2nd"],
        "auto-fit": ["best val_loss 0.5033", "learning_rate=0.1,", "best val_loss 0.4388"],
        "schedules-train": ["best val_loss 0.4428", "val_loss 0.4442", "best val_loss 0.4538"],
        "schedules-compare": ["0.443, last 0.537", "0.444, last 0.456", "0.454, last 0.456"],
        "batch-mirror": ["(10240, 28, 28)"],
        "batch-compare": [
            "<td>0.4377</td><td>0.8492</td><td>14</td>",
            "<td>0.4500</td><td>0.8477</td><td>11</td>",
            "<td>0.5293</td><td>0.8281</td><td>60</td>",
            "<td>0.4684</td><td>0.8445</td><td>57</td>",
            "<td>0.4440</td><td>0.8500</td><td>57</td>",
            "<td>2.232</td>",
            "<td>1.257</td>",
        ],
        "size-stop": [
            "  3 units: stopped after  60 epochs",
            "10 units: stopped after  21 epochs, best val_loss 0.526",
            "30 units: stopped after  15 epochs, best val_loss 0.478",
            "100 units: stopped after  21 epochs, best val_loss 0.443",
            "300 units: stopped after  14 epochs",
        ],
        "size-layers": ["0.452", "0.472", "0.450", "0.465"],
        "reuse-new": ["0.719 0.754 0.765", "0.656 0.711 0.742", "0.711 0.730 0.777"],
    },
    "03-search.ipynb": {
        "data-load": ["train (282, 10), val (71, 10), test (89, 10)"],
        "sklearn-random": ["61 fits, 5,0"],
        "sklearn-best": ["n_hidden      0", "n_neurons     64", "parameters    11"],
        "search-run": [
            "391 epochs",
            "13 pruned",
            "<td>12</td><td>0.4540</td>",
            "<td>11</td><td>0.4548</td>",
            "<td>10</td><td>0.4830</td>",
            "<td>5</td><td>0.4829</td>",
        ],
        "pruned-none": ["1047 epochs", "best val_loss 0.4540", "n_hidden=2, n_neurons=72"],
        "pruned-table": ["search                20     391", "0.427\n", "0.471\n"],
        "luck-test": ["validation: 0.454\n", "{'loss': 0.4268}"],
        "luck-compare": ["0.453   0.032\n", "0.486  -0.018\n"],
        "folds-run": ["<td>5</td><td>0.5080</td>"],
        "conditional-run": ["with units=(), "],
        "storage-run": ["4 trials in", "4 trials in"],
        "storage-same": ["True"],
        "refit-run": ["the same: True\n"],
    },
    "04-metrics-callbacks-regression.ipynb": {
        "number-r2": ["R²:          0.468", "off by about 44 where people go from 25 to 346"],
        "further-auc": ["0.662\n", "0.761\n", "0.829\n"],
        "third-fit": [
            "(282,) sparse_categorical_crossentropy\nloss 0.8710, accuracy 0.521",
            "(282, 3) categorical_crossentropy\nloss 0.8710, accuracy 0.521",
            "the most frequent class: 0.437",
        ],
        "mismatch-keras": ["'loss': -", "'val_loss': -"],
        "mismatch-raises": ["`fit`: `y` must be 0 or 1 for binary_crossentropy"],
        "patience-fit": ["150 epochs", "in the 50th", "around the call"],
        "patience-diagnose": ["good fit"],
        "patience-short": ["150 epochs, best 49, val_loss 0.451", "val_loss 0.453"],
        "checkpoint-old": ['write checkpoint("_mcp/diabetes.keras")'],
        "checkpoint-run": ["Epoch 1: val_loss improved", "Epoch 3: val_loss improved"],
        "checkpoint-load": ["True"],
        "watch-run": ["best val_loss 0.434"],
        "optimizers-diagnose": ["still improving"],
        "optimizers-swept": [
            "0.530 -> 0.464",
            "0.452 -> 0.504",
            "0.751 -> 0.449",
            "0.464 -> 0.461",
            "0.443 -> 0.461",
        ],
        "evaluate-test": ["0.023 on 1000 pictures", "'r2': 0.469", "between 0.31 0.58"],
    },
    "05-modelling-steps.ipynb": {
        "data-load": ["train (1149, 8, 8), val (288, 8, 8), test (360, 8, 8)"],
        "model-name": ["9610 9610"],
        "compile-run": ["sparse_categorical_crossentropy"],
        "check-good": ["Nothing found in 1,149 training rows and 288 validation rows"],
        "check-bad-run": [
            "`y` must lie in 0..9 for a head of 10 units. Received: labels from 1 to 10.",
            "`x` lies mostly between 0 and 255",
            "`x` holds NaN in 1 of 73,536 cells",
            "50 of 288 validation rows stand among the training rows too",
        ],
        "fit-run": ["best val_accuracy 0.986", "stopped early"],
        "fit-predict": ["answer and truth:       9 9\n", "by hand:                0.986"],
        "read-diagnose": ["good fit"],
        "read-gallery": [
            "stopped after 2 epochs   too short to say\n",
            "stopped after 10         still improving\n",
            "one hidden unit          underfitting\n",
            "60 pictures, no dropout  overfitting\n",
            "a rate of 0.1            unstable\n",
            "a rate of 10             diverged\n",
        ],
        "read-overfit": ["overfitting"],
        "compare-run": ["That is within the noise over seeds", "0.002 lower than", "0.092 ± 0.005"],
        "run-broken": ["interrupted in the 8th epoch", "12 epochs in", "20 epochs in"],
        "run-same": ["8 20 20\n", "the same weights: True\n", "best.keras", "history.json"],
        "test-run": ["'accuracy': 0.975"],
        "number-build": ["Nothing found in 282 training rows"],
        "number-fit": ["'loss': 41.", "'r2': 0.47"],
        "keep-files": ["('model', '2 × Dense(64, relu), Dense(1)')"],
    },
    "06-text.ipynb": {
        "data-load": ["train (256,), val (64,), test (80,)"],
        "data-show": ["320 reviews"],
        "tokens-known": [
            "words                    1,311    37%",
            "syllables                  601    97%",
            "pairs of syllables       2,374    74%",
        ],
        "model-build": ["Total params: 95,649"],
        "fit-run": ["best val_loss 0.6555 in the 9th"],
        "fit-steps": ["256 rows to train on, 5 steps an epoch, 75 in all", "counted: 75"],
        "curves-diagnose": ["overfitting", "more training rows"],
        "stop-run": [
            "13 epochs in",
            "Restoring model weights from the end of the best epoch: 9.",
            "5 epochs in",
            "Restoring model weights from the end of the best epoch: 1.",
        ],
        "checkpoint-run": ["01-0.693.keras\n", "08-0.677.keras\n09-0.655.keras\n"],
        "checkpoint-period": ["no such argument any more"],
        "judge-repeats": ["0.641 0.594 0.594 0.625 0.703"],
        "judge-test": ["accuracy 0.575", "0.500 ± 0.056"],
        "more-run": [
            "0.692",
            "0.691",
            "0.621",
            "accuracy 0.609",
            "accuracy 0.562",
            "accuracy 0.672",
        ],
        "own-run": ["0.60  정말", "0.41  지루", "0.52  재미"],
    },
    "07-verdicts.ipynb": {
        "judge-all": ["225 of 240 right: 93.8%"],
        "judge-data": ["reviews        22 of 30"],
    },
}

QUICK = ("01-train-a-network.ipynb", "07-verdicts.ipynb")
"""Those that run in some ten seconds, half of them for a kernel to start."""

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def texts(cell):
    """Returns all that the cell's outputs hold, save the pictures."""
    streams = [output.text for output in cell.outputs if output.output_type == "stream"]
    data = [output.get("data", {}) for output in cell.outputs]
    return streams + [form[kind] for form in data for kind in form if kind.startswith("text/")]


def flaws(notebook):
    """Returns what no output may be: an error, a warning, a terminal's code."""
    return [
        f"{cell.id}: {flaw}"
        for cell in code_cells(notebook)
        for flaw, is_there in {
            "an error": any(output.output_type == "error" for output in cell.outputs),
            "standard error": any(output.get("name") == "stderr" for output in cell.outputs),
            "a terminal's code": any(re.search("[\x1b\r\b]", text) for text in texts(cell)),
            "a warning": any("WARNING" in text for text in texts(cell)),
        }.items()
        if is_there
    ]


def test_the_first_notebook_is_there():
    assert "01-train-a-network.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.name in QUICK else [pytest.mark.slow])
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.name,
)
def test_it_runs_from_top_to_bottom(path, tmp_path):
    notebook = read(path)
    for cell in code_cells(notebook):
        cell.source = re.sub(r"\bepochs=\d{2,}\b", "epochs=2", cell.source)
        cell.source = re.sub(r"\b(trials|n_iter)=\d{2,}\b", r"\1=4", cell.source)
        cell.outputs = []
    # No server answers at this address: whatever would fetch something fails.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    execute(notebook, tmp_path, **nowhere)  # Raises what a cell raises.
    tidy(notebook)
    assert flaws(notebook) == []
    assert len(pictures(notebook)) == len(pictures(read(path)))
    assert list(tmp_path.iterdir()) == []


def tree(notebook):
    """Returns what all the cells' Python comes to."""
    sources = [cell.source for cell in code_cells(notebook)]
    return ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", "\n".join(sources), flags=re.MULTILINE))


def of_the_package(node, names):
    """Returns the object that a name, or a dotted one, is in the package; `None` for others."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = of_the_package(node.value, names)
        # Modules' and functions' only: what an instance has can't be told from its class.
        return getattr(owner, node.attr) if inspect.ismodule(owner) else None
    return None


def imported_by(source):
    """Returns what a notebook imports of the package, by the names that it gives it."""
    names = {}
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.startswith("kerastrain")]
            names |= {alias.asname: importlib.import_module(alias.name) for alias in ours}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("kerastrain"):
            module = importlib.import_module(node.module)
            names |= {a.asname or a.name: getattr(module, a.name) for a in node.names}
    return names


@each_notebook
def test_all_that_it_calls_is_there_and_takes_the_arguments(path):
    source = tree(read(path))
    names = imported_by(source)
    assert names["ktr"] is kerastrain
    called = 0
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute):
            of_the_package(node, names)  # Raises where the package has no such name.
        if isinstance(node, ast.Call) and (function := of_the_package(node.func, names)):
            called += 1
            taken = inspect.signature(function).parameters
            given = {keyword.arg for keyword in node.keywords} - {None}
            if not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
                assert given <= set(taken), ast.unparse(node)
    assert called > 2


@each_notebook
def test_it_is_stored_as_it_was_run(path):
    notebook = read(path)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert flaws(notebook) == []
    assert len(pictures(notebook)) >= PICTURES[path.name]
    assert path.stat().st_size < 700 * 1024


@each_notebook
def test_its_text_says_what_its_outputs_show(path):
    shown = {cell.id: "\n".join(texts(cell)) for cell in code_cells(read(path))}
    for cell_id, said in SAID[path.name].items():
        assert [text for text in said if text not in shown[cell_id]] == [], cell_id


@each_notebook
def test_its_first_cell_installs_the_package_where_it_is_absent(path):
    source = code_cells(read(path))[0].source
    tries = r"^try:\n    import kerastrain\b.*\n(    .+\n)*"
    package = r"(kerastrain|\"kerastrain\[(search|sklearn)\]\")"
    installs = rf"except ImportError:\n    %pip install -q {package}\n"
    assert re.search(tries + installs, source, flags=re.MULTILINE)


@each_notebook
def test_nothing_of_a_machine_is_stored(path):
    notebook = read(path)
    stored = read(path)
    tidy(notebook)
    assert notebook == stored
    ids = [cell.id for cell in stored.cells]
    assert len(set(ids)) == len(ids)
    for output in pictures(stored):
        del output.data["image/png"]  # Anything can stand in its letters.
    everything = re.sub("base64,[A-Za-z0-9+/=]+", "", str(stored))  # A picture within a page.
    assert not re.findall(r"(?<![\w/<:])/\w[\w.-]*/\w[^\s'\"]*", everything)
    for folder in (pathlib.Path.home(), tempfile.gettempdir()):
        assert str(folder) not in everything
