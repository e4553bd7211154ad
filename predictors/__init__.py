"""Graphs in, milliseconds out; fit, save, load, evaluate."""

from mnaslat.predictors.base import LatencyPredictor, Prediction
from mnaslat.predictors.calibrated import CalibratedPredictor
from mnaslat.predictors.evaluation import Errors, prediction_errors
from mnaslat.predictors.files import load_predictor, save_predictor
from mnaslat.predictors.kernel_model import KernelModel
from mnaslat.predictors.table_predictor import TablePredictor

__all__ = [
    "CalibratedPredictor",
    "Errors",
    "KernelModel",
    "LatencyPredictor",
    "Prediction",
    "TablePredictor",
    "load_predictor",
    "prediction_errors",
    "save_predictor",
]
