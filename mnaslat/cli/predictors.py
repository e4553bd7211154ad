"""The predictor files of a workspace: kept, and found again by the device that they are of."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.errors import PredictorFileError
from mnaslat.predictors import CalibratedPredictor, CostModel, load_predictor, save_predictor

WholePredictor = CalibratedPredictor | CostModel  # learned from whole networks

_MAX_NETWORKS, _MAX_ERROR = 10**9, 1e6  # that a predictor may claim


@dataclass(frozen=True)
class JudgedErrors:
    """What a predictor was fitted on, and how wrong it is on what it was not fitted on."""

    n_networks: int
    held_out_mape: float | None  # of networks left out, a fraction; None: not known
    new_family_mape: float | None = None  # of networks unlike all others

    def __str__(self) -> str:
        text = f"fitted on {self.n_networks} network{'' if self.n_networks == 1 else 's'}"
        if self.held_out_mape is not None:
            text += f", held out {self.held_out_mape:.1%} wrong"
        if self.new_family_mape is not None:
            text += f", new families {self.new_family_mape:.1%}"
        return text


def judged_errors(predictor: WholePredictor) -> JudgedErrors:
    """As its file says them; in its provenance only where that has the form of shipped ones."""
    told = predictor.provenance.get("held_out")
    random, new_family = (_entries(told, name) for name in ("random", "new_family"))
    n, mape = random.get("n"), _fraction(random.get("mape"))
    if type(n) is int and 1 <= n <= _MAX_NETWORKS and mape is not None:
        return JudgedErrors(n, mape, _fraction(new_family.get("mape")))
    errors = predictor.held_out
    if errors is None:
        return JudgedErrors(len(predictor.networks), None)
    return JudgedErrors(errors.n, errors.mape)


def _entries(values: Any, name: str) -> Mapping[str, Any]:
    found = values.get(name) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _fraction(value: Any) -> float | None:
    """An error that can be printed; provenance is whatever its writer wrote."""
    known = type(value) in (int, float) and 0 <= value <= _MAX_ERROR
    return float(value) if known else None


def store_predictor(workspace: Workspace, predictor: WholePredictor) -> Path:
    """Save a predictor under a name that says what it predicts, as the workspace's newest.

    No file is ever written over: where a name is taken, a number is added.
    """
    with _free_path(workspace.predictors, _stem(predictor.configuration)) as path:
        save_predictor(predictor, path)
    return path


def _stem(configuration: Configuration) -> str:
    parts = (
        configuration.device,
        configuration.precision,
        configuration.delegate,
        configuration.cores,
        f"t{configuration.threads}",
        time.strftime("%Y%m%d-%H%M%S"),
    )
    return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(part[:64] for part in parts))


@contextmanager
def _free_path(folder: Path, stem: str) -> Iterator[Path]:
    """A path where no file is, which no other process is given meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}.mnaslat"
        claim = folder / f".{path.name}.claim"
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            if path.exists():
                continue
            yield path
            return
        finally:
            claim.unlink(missing_ok=True)


def predictor_file(path: Path) -> Path:
    """The file of a predictor: the one named, else that of a shipped one of that name.

    Raises:
        PredictorFileError: If there is neither.
    """
    if path.exists() or path.suffix or path.parent != Path():
        return path
    from mnaslat.predictors.shipped import pretrained_path

    try:
        return pretrained_path(str(path))
    except ValueError as error:
        raise PredictorFileError(
            f"There is no predictor file {path}. "
            f"{str(error).replace('mnaslat.predictors.pretrained()', '`mnaslat predictors`')}"
        ) from None


def open_predictor(path: Path) -> WholePredictor:
    """A predictor of whole networks: a file, else one of those that come with the package.

    Raises:
        PredictorFileError: If the file cannot be read, or what it holds was never held against
            whole networks.
    """
    predictor = load_predictor(predictor_file(path))
    if not isinstance(predictor, CalibratedPredictor | CostModel):
        raise PredictorFileError(
            f"{path} holds a {type(predictor).__name__}, which was not calibrated on whole "
            "networks. Make a predictor with `mnaslat calibrate`."
        )
    return predictor


def newest_first(workspace: Workspace) -> list[Path]:
    """The workspace's predictor files."""
    found = workspace.predictors.glob("*.mnaslat")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def newest_predictor(workspace: Workspace, device: str = "") -> Path | None:
    """The predictor file written last, of the device with that serial or name if one is given.

    Raises:
        DeviceError: If the device is here but does not say what it is.
    """
    if not device:
        return workspace.newest_predictor()
    from mnaslat.profiling.devices import known_as

    name = known_as(device) or device
    for path in newest_first(workspace):
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
            "`mnaslat profile` and `mnaslat calibrate`, or name one with --predictor: a file, or "
            "a phone that comes with mnaslat, e.g. pixel4-cpu1-fp32 (`mnaslat predictors` lists "
            "all)."
        )
    return open_predictor(found), found
