"""Build, fit and look, in a few calls: a thin layer over Keras.

Where things are: models and tasks make and compile models; `fit` and `build_and_fit` (training)
train them, executed by engine, fed by data and datasets, watched by callbacks and progress;
a run leaves a `History` (records), which plots draw. Everything takes and returns Keras's objects.
"""

from kerastrain import callbacks
from kerastrain.datasets import Data, list_datasets, load_dataset
from kerastrain.models import build, list_models, model_fn, register_model
from kerastrain.plots import plot_history
from kerastrain.records import History
from kerastrain.saving import load_model, load_weights, save_model, save_weights
from kerastrain.tasks import compile_for_task
from kerastrain.training import Trained, build_and_fit, fit

__all__ = [
    "Data",
    "History",
    "Trained",
    "build",
    "build_and_fit",
    "callbacks",
    "compile_for_task",
    "fit",
    "list_datasets",
    "list_models",
    "load_dataset",
    "load_model",
    "load_weights",
    "model_fn",
    "plot_history",
    "register_model",
    "save_model",
    "save_weights",
]

__version__ = "0.1.0"
