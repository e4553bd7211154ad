"""Loads predictors by file, or by the name of a pretrained one."""

import os
from pathlib import Path
from typing import Any

from mnaslat.errors import PredictorFileError
from mnaslat.predictors.base import StrPath
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.pretrained.library import pretrained_path
from mnaslat.predictors.storage.files import read_predictor

NetworkPredictor = CalibratedPredictor | CostModel  # fitted to whole networks


def predictor_file(name_or_path: StrPath) -> Path:
    """Find the file of a predictor: an existing file, else a pretrained predictor of that name.

    Raises:
        PredictorFileError: If there is neither.
        TypeError: If the argument is neither text nor a path.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            "A predictor is the path of a file or the name of a pretrained predictor, as text or "
            f"as a path, got a {type(name_or_path).__name__}."
        )
    path = Path(name_or_path)
    if path.exists() or path.suffix or path.parent != Path():
        return path
    try:
        return pretrained_path(str(path))
    except ValueError as error:
        raise PredictorFileError(
            f"There is no predictor file {path}. "
            f"{str(error).replace('mnaslat.predictors.pretrained()', '`mnaslat predictors`')}"
        ) from None


def load_predictor(name_or_path: StrPath) -> Any:  # the file says which kind it is
    """Load a predictor: a file that ``save_predictor`` wrote, or a pretrained predictor by name.

    Args:
        name_or_path: A file; where there is none, the name of a pretrained predictor, such as
            ``pixel4-cpu1-fp32`` (``pretrained`` lists them).

    Returns:
        A ``CalibratedPredictor``, ``CostModel``, ``TablePredictor`` or ``KernelModel``, equal in
        every value to the one that was saved.

    Raises:
        PredictorFileError: If there is neither; or the file is truncated, was changed after it was
            written, is of a newer version, or holds a cost model for other initial cost estimates
            than this version has.
        TypeError: If the argument is neither text nor a path.

    >>> load_predictor("pixel4-cpu1-fp32").configuration.precision
    'fp32'
    """
    return read_predictor(predictor_file(name_or_path))


def open_predictor(name_or_path: StrPath) -> NetworkPredictor:
    """Load a predictor of whole networks, by file or by name as ``load_predictor`` does.

    Raises:
        PredictorFileError: If it cannot be loaded, or was not calibrated on whole networks.
        TypeError: If the argument is neither text nor a path.
    """
    predictor = load_predictor(name_or_path)
    if not isinstance(predictor, CalibratedPredictor | CostModel):
        raise PredictorFileError(
            f"{name_or_path} holds a {type(predictor).__name__}, which was not calibrated on whole "
            "networks. Make a predictor with `mnaslat calibrate`."
        )
    return predictor
