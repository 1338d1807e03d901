"""Build, fit and look, in a few calls: a thin layer over Keras.

Where things are: builders, models, tasks and transfer make models; `fit` (training) and
`build_and_fit` (workflow) train them, by engine, on data and datasets, watched by callbacks and
progress, at rates of schedules and `lr_find` (lr_finder). What they leave (records, rate_records,
search_records), plots, rate_plots and search_plots draw, diagnosis and comparison judge, reporting
puts on a page; mistake_plots shows what a model gets wrong. `check` (checking) looks before
training, `prove_resume` (proofs) at whether a run in a folder (run) goes on to the bit.
"""

from kerastrain import callbacks, schedules
from kerastrain.batch_sizes import compare_batch_sizes
from kerastrain.builders import model_fn
from kerastrain.check_records import Finding, Report
from kerastrain.checking import check
from kerastrain.comparison import Comparison, compare_runs
from kerastrain.datasets import Data, list_datasets, load_dataset
from kerastrain.diagnosis import Diagnosis, diagnose
from kerastrain.lr_finder import lr_find
from kerastrain.mistake_plots import plot_confusion, plot_residuals, plot_top_losses
from kerastrain.mistake_records import Confusion, Residuals, TopLosses
from kerastrain.models import build, list_models, register_model
from kerastrain.plots import plot_history
from kerastrain.proofs import ResumeProof, prove_resume
from kerastrain.rate_plots import plot_lr_sweep, plot_schedule
from kerastrain.rate_records import BatchSizes, LRSweep
from kerastrain.records import History
from kerastrain.repeats import Repeats
from kerastrain.reporting import report
from kerastrain.saving import load_model, load_weights, save_model, save_weights
from kerastrain.search_plots import plot_search
from kerastrain.search_records import SearchResult
from kerastrain.tasks import compile_for_task
from kerastrain.training import fit
from kerastrain.workflow import Trained, build_and_fit

# fmt: off
__all__ = [
    "BatchSizes", "Comparison", "Confusion", "Data", "Diagnosis", "Finding", "History", "LRSweep",
    "Repeats", "Report", "Residuals", "ResumeProof", "SearchResult", "TopLosses", "Trained",
    "build", "build_and_fit", "callbacks", "check", "compare_batch_sizes", "compare_runs",
    "compile_for_task", "diagnose", "fit", "list_datasets", "list_models", "load_dataset",
    "load_model", "load_weights", "lr_find", "model_fn", "plot_confusion", "plot_history",
    "plot_lr_sweep", "plot_residuals", "plot_schedule", "plot_search", "plot_top_losses",
    "prove_resume", "register_model", "report", "save_model", "save_weights", "schedules",
]
# fmt: on

__version__ = "0.1.0"
