"""Stores the predictor files of a workspace and finds them by device."""

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.errors import PredictorFileError
from mnaslat.files import json_value
from mnaslat.predictors.declared_errors import DeclaredErrors, declared_errors
from mnaslat.predictors.network_predictor import NetworkPredictor, open_predictor
from mnaslat.predictors.pretrained.library import pretrained
from mnaslat.predictors.storage.files import read_predictor, save_predictor


def store_predictor(workspace: Workspace, predictor: NetworkPredictor) -> Path:
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


__all__ = [
    "ListedPredictor",
    "NetworkPredictor",
    "declared_errors",
    "find_predictor",
    "list_predictors",
    "list_pretrained",
    "newest_first",
    "newest_predictor",
    "open_predictor",
    "store_predictor",
]


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
    # Phones are looked for only if one is named.
    from mnaslat.profiling.registry import device_name

    name = device_name(device) or device
    for path in newest_first(workspace):
        try:
            if read_predictor(path).configuration.device == name:
                return path
        except PredictorFileError:  # a file that cannot be read is of no use
            continue
    return None


def find_predictor(
    workspace: Workspace, path: Path | None, device: str = ""
) -> tuple[NetworkPredictor, Path]:
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


@dataclass(frozen=True)
class ListedPredictor:
    """A predictor that ``--predictor`` takes.

    Attributes:
        name: Path of the file, or name of a pretrained predictor.
        configuration: Device and settings whose latency it predicts.
        errors: As its maker states them.
    """

    name: str
    configuration: Configuration
    errors: DeclaredErrors

    def __repr__(self) -> str:
        """Show its name and its stated errors."""
        return f"ListedPredictor({self.name!r}, {self.errors})"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes None."""
        errors: dict[str, Any] = json_value(asdict(self.errors))
        return {
            "predictor": self.name,
            "device": self.configuration.device,
            "precision": self.configuration.precision,
            "threads": self.configuration.threads,
            "cores": self.configuration.cores,
            "delegate": self.configuration.delegate,
            **errors,
        }


def list_predictors(workspace: Workspace) -> list[ListedPredictor]:
    """List the predictors of a workspace, the newest first."""
    rows = []
    for path in newest_first(workspace):
        try:
            found = open_predictor(path)
        except PredictorFileError:  # a file that cannot be read is of no use
            continue
        rows.append(ListedPredictor(str(path), found.configuration, declared_errors(found)))
    return rows


def list_pretrained() -> list[ListedPredictor]:
    """List the predictors that come with the package."""
    return [
        ListedPredictor(
            name,
            each.configuration,
            DeclaredErrors(each.n_networks, each.mape, each.new_family_mape),
        )
        for name, each in pretrained().items()
    ]
