"""Calibrates a predictor on whole networks measured on the device."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.data.workspace import Workspace
from mnaslat.errors import MnaslatError
from mnaslat.files import json_value
from mnaslat.graph import Precision
from mnaslat.lowering import lower
from mnaslat.predictors import CalibratedPredictor, Errors, TablePredictor
from mnaslat.predictors.table.kernel_model import MIN_LAYERS
from mnaslat.profiling.device import Device
from mnaslat.space import SearchSpace
from mnaslat.workflow.arguments import check_arguments, check_whole
from mnaslat.workflow.measure import MeasuredNetworks, measure_networks
from mnaslat.workflow.predictor_library import store_predictor
from mnaslat.workflow.profile import profile_space, read_table, report_other_space
from mnaslat.workflow.progress import SILENT, Events

# What a search does by itself in a workspace without a predictor.
QUICK_PROFILE_S = 150.0
QUICK_CALIBRATION_NETWORKS = 10
MIN_NETWORKS = 3


@dataclass(frozen=True)
class Calibration:
    """A calibrated predictor and how it was made.

    Attributes:
        predictor: Sums of measured layers, corrected to whole networks.
        path: Its file in the workspace.
        measured: The networks it was calibrated on.
        held_out: Errors on networks left out, by cross-validation.
    """

    predictor: CalibratedPredictor
    path: Path
    measured: MeasuredNetworks
    held_out: Errors

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: path, correction and held-out errors."""
        return {
            "predictor": str(self.path),
            "correction": json_value(asdict(self.predictor.correction)),
            "held_out": self.held_out.to_json(),
        }

    def __repr__(self) -> str:
        return f"Calibration({self.path}, held-out error {self.held_out.mape:.1%})"


def calibrate(
    device: Device,
    space: SearchSpace,
    workspace: Workspace,
    *,
    precision: Precision = "fp32",
    n_networks: int = 20,
    seed: int = 0,
    events: Events = SILENT,
) -> Calibration:
    """Measure random networks of a space, fit the correction of sums of layers, save the predictor.

    Args:
        device: To measure on; its layers must be profiled in the workspace.
        space: The networks come from.
        workspace: Holds the table, and keeps the measurements and the predictor.
        precision: Of the networks.
        n_networks: How many are measured.
        seed: Of the networks that are drawn.
        events: Receives progress and waits.

    Raises:
        MnaslatError: If too few layers are measured.
        DeviceError: If the device is lost or could not run a network.
        ValueError: If ``n_networks`` is too small.
    """
    check_arguments(device=device, space=space, workspace=workspace)
    check_arguments(precision=precision, seed=seed)
    check_whole("n_networks", n_networks, MIN_NETWORKS)
    table = read_table(device, workspace, precision)
    if len(table) < MIN_LAYERS:
        raise MnaslatError(
            f"Only {len(table)} layers are measured; a predictor needs at least {MIN_LAYERS}. "
            "Continue `mnaslat profile` for longer."
        )
    report_other_space(table, space, f"workspace {workspace.path}", events)
    networks = calibration_networks(space, precision, n_networks, seed)
    measured = measure_networks(
        device, networks, workspace, precision=precision, seed=seed, events=events
    )
    events.progress("Fitting the predictor", 0, 1, 0.0)
    predictor = CalibratedPredictor(TablePredictor(table))
    predictor.fit(measured.graphs, measured.latency_ms)
    assert predictor.held_out is not None
    events.progress("Fitting the predictor", 1, 1, 0.0)
    return Calibration(
        predictor, store_predictor(workspace, predictor), measured, predictor.held_out
    )


def calibration_networks(
    space: SearchSpace, precision: Precision, n: int, seed: int
) -> list[Architecture]:
    """Draw random networks, spread evenly over the number of weights, in random order.

    Networks whose weights outgrow the caches are rare and far from what their layers add up to:
    among a few networks drawn at random there may be none.
    """
    rng = np.random.default_rng(seed)
    candidates = [space.decode(row) for row in space.sample(15 * n, rng)]
    candidates = list(dict.fromkeys(candidates))
    weights = [
        sum(layer.n_weights for layer in lower(each, precision).layers) for each in candidates
    ]
    n = min(n, len(candidates))
    places = ((np.arange(n) + 0.5) / n * len(candidates)).astype(int)
    chosen = np.argsort(weights, kind="stable")[places]
    return [candidates[index] for index in rng.permutation(chosen)]


def quick_calibration(
    device: Device,
    space: SearchSpace,
    workspace: Workspace,
    *,
    seed: int = 0,
    events: Events = SILENT,
) -> Calibration:
    """Profile for a few minutes and calibrate, for a search in an empty workspace."""
    events.notice(
        f"No predictor in {workspace.path}: measuring this space on {device.name} first, about "
        "four minutes. `mnaslat profile` and `mnaslat calibrate` make a better one."
    )
    profile_space(device, space, workspace, budget_s=QUICK_PROFILE_S, seed=seed, events=events)
    return calibrate(
        device, space, workspace, n_networks=QUICK_CALIBRATION_NETWORKS, seed=seed, events=events
    )
