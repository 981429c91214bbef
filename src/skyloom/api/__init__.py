"""The front door: everything the command line does, as functions.

``load_recipe`` and ``run`` do all; ``train``, ``evaluate``, ``transfer``, ``explain`` and ``report`` are its
steps; ``load_run`` opens a trained run for predictions.
"""

from skyloom.api.all_in_one import compare, comparison, headline, run
from skyloom.api.data import samples
from skyloom.api.drawing import draw
from skyloom.api.emulating import read_points, read_table, sample
from skyloom.api.exporting import export_onnx
from skyloom.api.fetching import fetch
from skyloom.api.health import doctor
from skyloom.api.importing import import_, import_weights, inspect, make
from skyloom.api.judging import evaluate, explain, report
from skyloom.api.learning_curve import curve, curve_rows
from skyloom.api.predicting import doubts, predict, predicted
from skyloom.api.scoring import scorecard
from skyloom.api.searching import ranking, read_space, sweep
from skyloom.api.sharing import from_pretrained, package, push_to_hub
from skyloom.api.sky import export_sky
from skyloom.api.trained import Run, load_run
from skyloom.api.training import split, train
from skyloom.api.transfer import transfer, transfer_tables
from skyloom.recipe import load as load_recipe

__all__ = [
    "Run",
    "compare",
    "comparison",
    "curve",
    "curve_rows",
    "doctor",
    "doubts",
    "draw",
    "evaluate",
    "explain",
    "export_onnx",
    "export_sky",
    "fetch",
    "from_pretrained",
    "headline",
    "import_",
    "import_weights",
    "inspect",
    "load_recipe",
    "load_run",
    "make",
    "package",
    "predict",
    "predicted",
    "push_to_hub",
    "ranking",
    "read_points",
    "read_space",
    "read_table",
    "report",
    "run",
    "sample",
    "samples",
    "scorecard",
    "split",
    "sweep",
    "train",
    "transfer",
    "transfer_tables",
]
