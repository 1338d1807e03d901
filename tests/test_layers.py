"""The package as a whole: who imports whom, what importing it does, what it exports."""

import ast
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import pytest

import kerastrain

PACKAGE = pathlib.Path(kerastrain.__file__).parent

# Producers write records and readers read them; a module imports from lower ranks only.
RANKS = {
    "_checks": 0,
    "_axes": 0.5,
    "_files": 0,
    "_owners": 0,
    "_record_files": 0.5,
    "_state_files": 0.7,
    "_generations": 0.8,
    "_memory": 0,
    "_model_archives": 0.7,
    "_run_lock": 0.8,
    "_progress_text": 0,
    "_data_files": 1,
    "_data_places": 1.5,
    "metrics": 1,
    "_convolutions": 0,
    "_generators": 2.5,
    "_threefry": 0,
    "_kernels": 0.2,
    "records": 1,
    "rate_records": 1.5,
    "search_records": 1.5,
    "check_records": 1.5,
    "_curves": 1.2,
    "_run_facts": 1.3,
    "_advice": 1.4,
    "diagnosis": 2,
    "_row_marks": 0,
    "_feature_findings": 2,
    "_label_findings": 2,
    "_model_facts": 2.7,
    "_model_findings": 3,
    "_output_findings": 2,
    "_split_findings": 2,
    "_first_steps": 3,
    "_check_parts": 3,
    "checking": 4,
    "_percents": 0,
    "_tables": 0,
    "lr_rules": 0,
    "lr_finder": 4.5,
    "builders": 1,
    "transfer": 1,
    "models": 2,
    "data": 2,
    "plots": 2,
    "rate_plots": 2,
    "_search_picture": 1.7,
    "search_plots": 2,
    "schedules": 1,
    "_following": 2,
    "passes": 3.2,
    "_optimizers": 0,
    "tasks": 2.5,
    "saving": 2.5,
    "datasets": 3,
    "callbacks": 3,
    "_live_plot": 2.5,
    "monitors": 0.5,
    "_fonts": 0.2,
    "_history_picture": 1.8,
    "mistake_records": 1.5,
    "_shown_rows": 2.5,
    "mistakes": 3,
    "mistake_plots": 4,
    "progress": 3,
    "batches": 2.3,
    "calls": 2.5,
    "architecture": 0.5,
    "sources": 3,
    "_data_checks": 2.7,
    "_bookkeeping": 4.1,
    "loops": 3,
    "choice": 0,
    "state": 0,
    "traces": 1,
    "runner": 3.5,
    "engine": 4,
    "building": 4.2,
    "_rate_choice": 4.7,
    "_unfreezing": 3,
    "_exact_state": 3.5,
    "_own_steps": 3.5,
    "_configurations": 3.5,
    "_digests": 4.15,
    "_replays": 4.1,
    "_course": 4.2,
    "_chance": 2,
    "_noise": 0,
    "repeats": 1.5,
    "_repeating": 4,
    "_run_reading": 1.6,
    "_standings": 1.7,
    "_comparison_words": 1.8,
    "comparison": 2.5,
    "_run_folders": 0.9,
    "_settings": 4.2,
    "_best_state": 4.3,
    "_keeper": 4.4,
    "run": 4.3,
    "_endings": 4.3,
    "_keeping": 4.5,
    "_nan_causes": 4.8,
    "proofs": 6,
    "training": 5,
    "workflow": 5.2,
    "_pages": 0.5,
    "reporting": 4,
    "bench": 6,
    "batch_sizes": 6,
    "search.parameters": 5.5,
    "search.values": 5.5,
    "search.adapters": 6,
    "surfaces": 0.5,
    "search.storages": 0.5,
    "search.samplers": 6.2,
    "search.folds": 6,
    "search.spaces": 6.1,
    "search.hypermodels": 6.2,
    "search.trials": 6.2,
    "search.worker": 6.25,
    "search.crews": 6.3,
    "search.refits": 6.35,
    "search.plans": 6.4,
    "search._bar": 6.5,
    "search.studies": 6.5,
    "search.searching": 6.6,
    "search.labels": 5,
    "search.predictions": 5,
    "search.seeds": 6,
    "search.estimator_parameters": 6,
    "search.keras_estimator": 6.2,
    "search.estimators": 6.4,
    "search.__init__": 7,
    "__init__": 6.5,
    "__main__": 7,
}
# What each module of the search needs beyond what everybody has.
OPTIONAL = {
    "search.crews": ["cloudpickle"],
    "search.folds": ["sklearn"],
    "search.hypermodels": ["keras_tuner"],
    "search.samplers": ["optuna"],
    "search.storages": ["optuna"],
    "search.studies": ["optuna"],
    "search.worker": ["cloudpickle"],
    "search.estimator_parameters": ["sklearn"],
    "search.estimators": ["sklearn"],
    "search.keras_estimator": ["sklearn"],
    "search.labels": ["sklearn"],
}
FILES = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")]
CODE = [path for path in FILES if path.parts[0] != "embedded"]  # Data only.
MODULES = sorted(".".join(path.with_suffix("").parts) for path in CODE)


def path_of(module):
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def tree_of(module):
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def imports_of(module):
    """The full names of all modules that a module imports, inside functions too."""
    names = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            is_package = node.module in ("kerastrain", "kerastrain.search")
            names |= submodules if is_package else {node.module}
    return names


def own_imports_of(module):
    """The modules of this package that a module imports."""
    dotted = {name for name in imports_of(module) if name.split(".")[0] == "kerastrain"}
    return {own_module(name.removeprefix("kerastrain").removeprefix(".")) for name in dotted}


def own_module(name):
    """The module that a name within the package is in, or is."""
    if name in MODULES or not name:
        return name or "__init__"
    return f"{name}.__init__" if path_of(f"{name}.__init__").exists() else name.split(".")[0]


def packages_of(module):
    """The other packages that a module imports, itself or by way of this package's modules."""
    names = {name.split(".")[0] for name in imports_of(module)} - {"kerastrain"}
    return names.union(*(packages_of(own) for own in own_imports_of(module)))


def test_every_module_has_a_rank():
    assert sorted(RANKS) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_lower_ranks_only(module):
    too_high = {own for own in own_imports_of(module) if RANKS[own] >= RANKS[module]}
    assert too_high == set()


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"__init__", "__main__"}))
def test_a_module_takes_from_another_what_is_public_there(module):
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerastrain.")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert private == []


def test_tensorflow_is_spoken_where_steps_and_data_are_and_nowhere_else():
    speakers = [
        module
        for module in MODULES
        if any(name.split(".")[0] == "tensorflow" for name in imports_of(module))
    ]
    assert speakers == [
        "_convolutions",
        "_data_checks",
        "_first_steps",
        "_generators",
        "_kernels",
        "_own_steps",
        "_replays",
        "_threefry",
        "architecture",
        "batches",
        "calls",
        "data",
        "engine",
        "loops",
        "lr_finder",
        "passes",
        "run",
        "runner",
        "sources",
        "state",
        "traces",
    ]


KEEPERS = [
    *("_checks", "_files", "_generations", "_memory", "_model_archives", "_owners"),
    *("_progress_text", "_run_lock", "_state_files"),
]
READERS = [
    *("_axes", "_record_files", "_search_picture", "_tables", "lr_rules", "plots", "rate_plots"),
    "_percents",
    *("rate_records", "records", "search_plots", "search_records", "check_records", "_row_marks"),
    *("_feature_findings", "_run_folders", "_noise", "repeats"),
    *("_run_reading", "_standings", "_comparison_words", "comparison", "_pages", "reporting"),
    *("_curves", "_run_facts", "_advice", "diagnosis"),
    *("_fonts", "_history_picture", "mistake_records", "monitors"),
]


@pytest.mark.parametrize("module", [*KEEPERS, *READERS])
def test_what_reads_records_or_keeps_files_knows_no_keras(module):
    assert packages_of(module).isdisjoint({"keras", "tensorflow"})


def test_nobody_imports_what_lies_below_the_surface_of_keras_or_tensorflow():
    private = {
        (module, name)
        for module in MODULES
        for name in imports_of(module)
        if name.startswith(("keras.src", "tensorflow.python", "tensorflow.compiler"))
    }
    assert private == set()


def test_one_module_asks_for_what_lies_there_where_it_can_do_without():
    below = ("keras.src", "tensorflow.python", "tensorflow.compiler")
    texts = {module: path_of(module).read_text(encoding="utf-8") for module in MODULES}
    assert [m for m, text in texts.items() if any(name in text for name in below)] == ["_kernels"]


def test_nothing_is_imported_that_nobody_installs():
    needed = {"keras", "matplotlib", "numpy", "rich", "tensorflow"}
    # IPython is there where there is a notebook, and h5py and ml_dtypes where there is Keras.
    allowed = needed | {"IPython", "h5py", "kerastrain", "ml_dtypes"} | set(sys.stdlib_module_names)
    core = [module for module in MODULES if not module.startswith("search.")]
    assert {name.split(".")[0] for module in core for name in imports_of(module)} <= allowed


def test_optional_packages_are_imported_where_the_search_is_and_nowhere_else():
    optional = {
        module: sorted(
            {name.split(".")[0] for name in imports_of(module)}
            & {"cloudpickle", "joblib", "keras_tuner", "optuna", "scipy", "sklearn"}
        )
        for module in MODULES
    }
    assert {module: names for module, names in optional.items() if names} == OPTIONAL


# What an import does.

SNAPSHOT = """
import json, locale, logging, os, random, signal, sys, threading, warnings
import keras, matplotlib, numpy, rich, tensorflow

def state():
    config = tensorflow.config
    return [repr(part) for part in (
        warnings.filters, warnings.showwarning,
        random.getstate(), numpy.random.get_state(), numpy.geterr(), numpy.get_printoptions(),
        keras.config.backend(), keras.config.floatx(), keras.config.image_data_format(),
        config.threading.get_inter_op_parallelism_threads(),
        config.threading.get_intra_op_parallelism_threads(),
        config.optimizer.get_jit(), config.functions_run_eagerly(),
        sorted(matplotlib.rcParams.items(), key=str),
        logging.getLogger().level, logging.getLogger().handlers,
        logging.getLogger("tensorflow").level,
        [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        sorted(os.environ.items()), os.getcwd(), locale.getlocale(), sys.path,
        sys.excepthook, sys.displayhook, threading.active_count(),
    )]

numpy.random.seed(1), random.seed(1)
patched = [keras.Model, keras.Model.fit, keras.callbacks.EarlyStopping, numpy.asarray]
before, loaded = state(), set(sys.modules)
import kerastrain
after = state()
again = [keras.Model, keras.Model.fit, keras.callbacks.EarlyStopping, numpy.asarray]
print(json.dumps({
    "changed": [pair for pair in zip(before, after) if pair[0] != pair[1]],
    "patched": patched != again,
    "loaded": sorted({name.split(".")[0] for name in set(sys.modules) - loaded}),
    "pyplot": "matplotlib.pyplot" in set(sys.modules) - loaded,
}))
"""


@pytest.fixture(scope="module")
def importing(tmp_path_factory):
    """What changed between before and after `import kerastrain`, in a process of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{SNAPSHOT}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    facts = json.loads(process.stdout.splitlines()[-1])
    return {
        **facts,
        "printed": process.stdout.splitlines()[:-1],
        "errors": process.stderr,
        "files": list(folder.iterdir()),
    }


def test_importing_changes_no_filter_no_random_state_and_no_setting(importing):
    assert importing["changed"] == []


def test_importing_patches_nothing(importing):
    assert importing["patched"] is False


def test_importing_says_nothing_and_writes_nothing(importing):
    assert (importing["printed"], importing["files"]) == ([], [])
    assert "kerastrain" not in importing["errors"]


def test_importing_loads_no_optional_package(importing):
    assert set(importing["loaded"]).isdisjoint(
        {"IPython", "joblib", "optuna", "pandas", "scipy", "sklearn", "tensorboard"}
    )
    assert importing["pyplot"] is False


# What the package exports.


def test_the_map_of_the_package_fits_on_a_page():
    assert len((PACKAGE / "__init__.py").read_text(encoding="utf-8").splitlines()) < 50


def test_all_lists_in_order_what_the_map_imports():
    imported = [
        alias.asname or alias.name
        for node in tree_of("__init__").body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert kerastrain.__all__ == sorted(imported)
    assert len(set(imported)) == len(imported)


@pytest.mark.parametrize("name", kerastrain.__all__)
def test_every_public_name_is_there_and_explained(name):
    assert getattr(kerastrain, name).__doc__


def test_the_public_callables_show_an_example():
    without = [
        name
        for name in kerastrain.__all__
        if callable(getattr(kerastrain, name))
        and "Example:" not in getattr(kerastrain, name).__doc__
        and name
        not in ("Data", "Trained", "ResumeProof")  # What `load_dataset` and `build_and_fit` return.
    ]
    assert without == []


def test_the_version_is_that_of_the_installed_package():
    try:
        version = importlib.metadata.version("kerastrain")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("kerastrain is on the path but not installed")
    assert kerastrain.__version__ == version


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()
