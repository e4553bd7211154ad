"""Evaluates a predictor on fresh networks measured on its device."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats
from mnaslat.data.workspace import Workspace
from mnaslat.errors import MnaslatError
from mnaslat.files import json_value
from mnaslat.graph import Precision
from mnaslat.html_table import html_table
from mnaslat.lowering import lower
from mnaslat.predictors import Errors, prediction_errors
from mnaslat.predictors.declared_errors import declared_errors
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.profiling.device import Device
from mnaslat.reports.predictor_page import table_of
from mnaslat.space import SearchSpace
from mnaslat.workflow.arguments import check_arguments, check_whole
from mnaslat.workflow.measure import measure_networks
from mnaslat.workflow.profile import report_other_space
from mnaslat.workflow.progress import SILENT, Events

IMPORTED = "measured elsewhere"  # the runtime of a device that only a file of measurements knows
# Two rounds are compared with two others, to say how well a measurement repeats.
_N_ROUNDS = 4


@dataclass(frozen=True)
class EvaluatedNetwork:
    """One network of an evaluation; latencies are in milliseconds."""

    tokens: tuple[int, ...]
    predicted_ms: float
    measured_ms: float
    rounds_ms: tuple[float, ...]


@dataclass(frozen=True)
class DeviceEvaluation:
    """Errors of a predictor on fresh networks.

    Attributes:
        errors: Of the predictions, relative to what was measured.
        coverage: Fraction of the networks inside the 90 % interval.
        repeatability: Mean relative difference between two halves of the same measurements; no
            predictor can be better. Not a number where there were too few rounds.
        measured_share: Mean fraction of a prediction that rests on measured layers.
        networks: What was predicted and measured.
    """

    errors: Errors
    coverage: float
    repeatability: float
    measured_share: float
    networks: tuple[EvaluatedNetwork, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the errors stand at the top level, NaN becomes None."""
        values = asdict(self)
        plain: dict[str, Any] = json_value({**values.pop("errors"), **values})
        return plain

    def __repr__(self) -> str:
        return (
            f"DeviceEvaluation({len(self.networks)} networks, error {self.errors.mape:.1%}, "
            f"{self.coverage:.0%} inside the interval)"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                ",".join(map(str, each.tokens)),
                each.measured_ms,
                each.predicted_ms,
                f"{each.predicted_ms / each.measured_ms - 1.0:+.1%}",
            )
            for each in self.networks
        ]
        caption = f"mean error {self.errors.mape:.1%}, {self.coverage:.0%} inside the interval"
        return html_table(
            ("network", "measured ms", "predicted ms", "error"), rows, caption=caption
        )


def evaluate_predictor(
    predictor: NetworkPredictor,
    device: Device,
    space: SearchSpace,
    workspace: Workspace,
    *,
    n_networks: int = 30,
    seed: int = 0,
    events: Events = SILENT,
) -> DeviceEvaluation:
    """Measure random networks that the predictor was not calibrated on, and compare.

    Args:
        predictor: Of this device.
        device: To measure on.
        space: The networks come from.
        workspace: Keeps the measurements.
        n_networks: How many are measured, at least 3.
        seed: Of the networks that are drawn; they differ from those of any calibration.
        events: Receives progress and waits.

    Raises:
        ValueError: If an argument is wrong.
        MnaslatError: If the space has too few networks.
        ConfigurationMismatch: If the predictor is of another device or setting.
        DeviceError: If the device is lost or could not run a network.
    """
    check_arguments(predictor=predictor, device=device, space=space, workspace=workspace)
    check_arguments(seed=seed)
    check_whole("n_networks", n_networks, 3)
    precision = predictor.configuration.precision
    predictor.configuration.require(device.configuration(precision), f"Device {device.name}")
    table = table_of(predictor)
    if table is not None:
        report_other_space(table, space, "the predictor's table", events)
    architectures = fresh_networks(
        space, precision, n_networks, seed, known=calibration_graphs(predictor)
    )
    if len(architectures) < n_networks:
        raise MnaslatError(
            f"The space has only {len(architectures)} networks that the predictor was not "
            f"calibrated on; ask for fewer than {n_networks} with --models."
        )
    measured = measure_networks(
        device,
        architectures,
        workspace,
        precision=precision,
        n_rounds=_N_ROUNDS,
        seed=seed + 1,
        events=events,
    )
    predictions = predictor.predict_detailed(architectures)
    predicted_ms = np.array([each.latency_ms for each in predictions])
    measured_ms = np.array(measured.latency_ms)
    intervals = [predictor.predict_interval_ms(each) for each in architectures]
    inside = [
        low_ms <= latency_ms <= high_ms
        for (low_ms, high_ms), latency_ms in zip(intervals, measured_ms, strict=True)
    ]
    return DeviceEvaluation(
        errors=prediction_errors(predicted_ms, measured_ms),
        coverage=float(np.mean(inside)),
        repeatability=repeatability(measured.round_min_ms),
        measured_share=float(np.mean([each.measured_share for each in predictions])),
        networks=tuple(
            EvaluatedNetwork(
                tuple(int(token) for token in space.encode(architecture)),
                float(predicted),
                float(latency_ms),
                tuple(rounds),
            )
            for architecture, predicted, latency_ms, rounds in zip(
                architectures, predicted_ms, measured_ms, measured.round_min_ms, strict=True
            )
        ),
    )


def calibration_graphs(predictor: NetworkPredictor) -> set[str]:
    """Return the signatures of the networks that a predictor was calibrated on."""
    return {graph.signature for graph in predictor.networks}


def fresh_networks(
    space: SearchSpace, precision: Precision, n: int, seed: int, known: set[str]
) -> list[Architecture]:
    """Draw ``n`` random networks that are not among the known signatures."""
    rng = np.random.default_rng([seed, 0xF2E5])  # a stream that no calibration seed gives
    found: dict[str, Architecture] = {}
    for row in space.sample(4 * n + 100, rng):
        architecture = space.decode(row)
        signature = lower(architecture, precision).signature
        if signature not in known and len(found) < n:
            found[signature] = architecture
    return list(found.values())


def is_imported(predictor: NetworkPredictor) -> bool:
    """Say whether a predictor was made from measurements of a device that was never here."""
    return bool(predictor.provenance) or predictor.configuration.runtime == IMPORTED


def unreachable(predictor: NetworkPredictor, name: str) -> str:
    """Describe the errors that are known of a predictor whose device is not here."""
    return (
        f"{name} predicts {predictor.configuration.device}, which cannot be measured from here. "
        f"What is known of it: {declared_errors(predictor)}. To evaluate it with your "
        "own measurements, list them in a CSV file: `mnaslat calibrate --measurements FILE` says "
        "how wrong a fit is on networks left out (`--suggest 10` says which to measure)."
    )


def repeatability(round_min_ms: tuple[tuple[float, ...], ...]) -> float:
    """Return the mean relative difference between the minima of the first and next two rounds."""
    halves: Floats = np.array([[min(r[:2]), min(r[2:4])] for r in round_min_ms if len(r) >= 4])
    return float(np.abs(halves[:, 1] / halves[:, 0] - 1.0).mean()) if len(halves) else float("nan")
