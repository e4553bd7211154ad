"""Latency predictors: fit, predict, explain, evaluate, save and load."""

from mnaslat.predictors.base import LatencyPredictor, Prediction
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.cost_model.term_matrix import term_matrix
from mnaslat.predictors.evaluation import (
    Errors,
    Evaluation,
    HeldOut,
    evaluate,
    prediction_errors,
)
from mnaslat.predictors.explanation import Explanation, LayerCost
from mnaslat.predictors.network_predictor import load_predictor
from mnaslat.predictors.pretrained.library import (
    Pretrained,
    load_pretrained,
    measured_networks,
    pretrained,
    pretrained_path,
    pretrained_priors,
)
from mnaslat.predictors.storage.files import save_predictor
from mnaslat.predictors.table.kernel_model import KernelModel
from mnaslat.predictors.table.predictor import TablePredictor

__all__ = [
    "CalibratedPredictor",
    "Correction",
    "CostModel",
    "Errors",
    "Evaluation",
    "Explanation",
    "HeldOut",
    "KernelModel",
    "LatencyPredictor",
    "LayerCost",
    "Prediction",
    "Pretrained",
    "TablePredictor",
    "evaluate",
    "load_predictor",
    "load_pretrained",
    "measured_networks",
    "prediction_errors",
    "pretrained",
    "pretrained_path",
    "pretrained_priors",
    "save_predictor",
    "term_matrix",
]
