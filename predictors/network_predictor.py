"""Opens predictors of whole networks, by file or by the name of a pretrained one."""

from pathlib import Path

from mnaslat.errors import PredictorFileError
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.pretrained.library import pretrained_path
from mnaslat.predictors.storage.files import load_predictor

NetworkPredictor = CalibratedPredictor | CostModel  # fitted to whole networks


def predictor_file(path: Path) -> Path:
    """Return the file of a predictor: the one named, else that of a pretrained one of that name.

    Raises:
        PredictorFileError: If there is neither.
    """
    if path.exists() or path.suffix or path.parent != Path():
        return path

    try:
        return pretrained_path(str(path))
    except ValueError as error:
        raise PredictorFileError(
            f"There is no predictor file {path}. "
            f"{str(error).replace('mnaslat.predictors.pretrained()', '`mnaslat predictors`')}"
        ) from None


def open_predictor(path: Path) -> NetworkPredictor:
    """Open a predictor of whole networks: a file, else one of those that come with the package.

    Raises:
        PredictorFileError: If the file cannot be read, or its predictor was not calibrated on whole
            networks.
    """
    predictor = load_predictor(predictor_file(path))
    if not isinstance(predictor, CalibratedPredictor | CostModel):
        raise PredictorFileError(
            f"{path} holds a {type(predictor).__name__}, which was not calibrated on whole "
            "networks. Make a predictor with `mnaslat calibrate`."
        )
    return predictor
