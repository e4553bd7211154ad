"""The predictor files of a workspace: kept, and found again by the device that they are of."""

import time
from pathlib import Path

from mnaslat.data.workspace import Workspace
from mnaslat.errors import PredictorFileError
from mnaslat.predictors import CalibratedPredictor, CostModel, load_predictor, save_predictor

WholePredictor = CalibratedPredictor | CostModel  # learned from whole networks


def store_predictor(workspace: Workspace, predictor: WholePredictor) -> Path:
    """Save a predictor under a name that says what it predicts, as the workspace's newest."""
    configuration = predictor.configuration
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{configuration.device}-{configuration.precision}-t{configuration.threads}-{stamp}"
    path = workspace.predictors / f"{name}.mnaslat"
    save_predictor(predictor, path)
    return path


def open_predictor(path: Path) -> WholePredictor:
    """A predictor of whole networks: a file, else one of those that come with the package.

    Raises:
        PredictorFileError: If the file cannot be read, or what it holds was never held against
            whole networks.
    """
    if not path.exists() and path.suffix == "" and path.parent == Path():
        from mnaslat.predictors.shipped import load_pretrained

        try:
            return load_pretrained(str(path))
        except ValueError as error:
            raise PredictorFileError(f"There is no predictor file {path}. {error}") from None
    predictor = load_predictor(path)
    if not isinstance(predictor, CalibratedPredictor | CostModel):
        raise PredictorFileError(
            f"{path} holds a {type(predictor).__name__}, which was not calibrated on whole "
            "networks. Make a predictor with `mnaslat calibrate`."
        )
    return predictor


def newest_predictor(workspace: Workspace, device: str = "") -> Path | None:
    """The predictor file written last, of the device with that serial or name if one is given.

    Raises:
        DeviceError: If the device is here but does not say what it is.
    """
    if not device:
        return workspace.newest_predictor()
    from mnaslat.profiling.devices import known_as

    name = known_as(device) or device
    found = workspace.predictors.glob("*.mnaslat")
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            if load_predictor(path).configuration.device == name:
                return path
        except PredictorFileError:  # whosever it is, it is of no use
            continue
    return None


def find_predictor(
    workspace: Workspace, path: Path | None, device: str = ""
) -> tuple[WholePredictor, Path]:
    """The predictor named, else the workspace's newest, of a device if one is given.

    Raises:
        PredictorFileError: If there is none or it cannot be read.
        DeviceError: If the device is here but does not say what it is.
    """
    found = path or newest_predictor(workspace, device)
    if found is None:
        whose = f" of device {device!r}" if device else ""
        raise PredictorFileError(
            f"There is no predictor{whose} in workspace {workspace.path} yet. Make one with "
            "`mnaslat profile` and `mnaslat calibrate`, or name a file with --predictor."
        )
    return open_predictor(found), found
