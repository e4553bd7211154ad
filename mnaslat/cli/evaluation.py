"""Predictions against fresh measurements: of random networks, and of a search's candidates."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.cli.setup import calibration_graphs, fresh_networks, measure_networks
from mnaslat.data.workspace import Workspace
from mnaslat.errors import MnaslatError
from mnaslat.predictors import prediction_errors
from mnaslat.predictors.declared_errors import judged_errors
from mnaslat.predictors.network_predictor import NetworkPredictor
from mnaslat.space import SearchSpace

if TYPE_CHECKING:
    from mnaslat.profiling.device import Device
    from mnaslat.search.run.run_folder import Run

FEW_NETWORKS = 5  # fewer say little about a predictor's error
ELSEWHERE = "measured elsewhere"  # the runtime of a device that only a file of measurements knows
# Two rounds are compared with two others, to say how well a measurement repeats.
_N_ROUNDS = 4


def evaluate_predictor(
    workspace: Workspace,
    device: "Device",
    predictor: NetworkPredictor,
    space: SearchSpace,
    *,
    n_models: int,
    seed: int,
) -> dict[str, Any]:
    """Errors on random networks that the predictor was not calibrated on.

    Beside ``prediction_errors``: ``repeatability``, the mean difference between the networks' first
    two rounds and the next two; ``coverage`` of the 90 % interval; the mean ``measured_share``.

    Raises:
        MnaslatError: If the space has too few networks.
    """
    precision = predictor.configuration.precision
    architectures = fresh_networks(
        space, precision, n_models, seed, known=calibration_graphs(predictor)
    )
    if len(architectures) < n_models:
        raise MnaslatError(
            f"The space has only {len(architectures)} networks that the predictor was not "
            f"calibrated on; ask for fewer than {n_models} with --models."
        )
    measured = measure_networks(
        workspace, device, architectures, precision, n_rounds=_N_ROUNDS, seed=seed + 1
    )
    predictions = predictor.predict_detailed(architectures)
    predicted_ms = np.array([each.latency_ms for each in predictions])
    measured_ms = np.array(measured.latency_ms)
    intervals = [predictor.predict_interval_ms(each) for each in architectures]
    inside = [
        low_ms <= latency_ms <= high_ms
        for (low_ms, high_ms), latency_ms in zip(intervals, measured_ms, strict=True)
    ]
    return {
        **asdict(prediction_errors(predicted_ms, measured_ms)),
        "coverage": float(np.mean(inside)),
        "repeatability": repeatability(measured.round_min_ms),
        "measured_share": float(np.mean([each.measured_share for each in predictions])),
        "networks": [
            {
                "tokens": [int(token) for token in space.encode(architecture)],
                "predicted_ms": float(predicted),
                "measured_ms": float(latency_ms),
                "rounds_ms": list(rounds),
            }
            for architecture, predicted, latency_ms, rounds in zip(
                architectures, predicted_ms, measured_ms, measured.round_min_ms, strict=True
            )
        ],
    }


def measured_elsewhere(predictor: NetworkPredictor) -> bool:
    """Whether this program has never seen the predictor's device, so that it need not look."""
    return bool(predictor.provenance) or predictor.configuration.runtime == ELSEWHERE


def unreachable(predictor: NetworkPredictor, name: str) -> str:
    """What is known of a predictor's errors where its device is not here, and what to do."""
    return (
        f"{name} predicts {predictor.configuration.device}, which cannot be measured from here. "
        f"What is known of it: {judged_errors(predictor)}. To judge it by measurements of your "
        "own, list them in a CSV file: `mnaslat calibrate --measurements FILE` says how wrong a "
        "fit is on networks left out (`--suggest 10` says which to measure)."
    )


def errors_text(errors: dict[str, float]) -> str:
    """Held-out errors in a sentence; what a few networks cannot say is left out."""
    text = (
        f"MAPE {errors['mape']:.2%}, within 5 % {errors['within_5']:.0%}, within 10 % "
        f"{errors['within_10']:.0%}"
    )
    if math.isfinite(errors["spearman"]):
        text += f", Spearman {errors['spearman']:.4f}"
    if errors["n"] < FEW_NETWORKS:
        text += "; so few networks say little about it"
    return text


def repeatability(round_min_ms: tuple[tuple[float, ...], ...]) -> float:
    """Mean relative difference between the first two rounds' minimum and the next two's."""
    halves: Floats = np.array([[min(r[:2]), min(r[2:4])] for r in round_min_ms if len(r) >= 4])
    return float(np.abs(halves[:, 1] / halves[:, 0] - 1.0).mean()) if len(halves) else float("nan")


def validate_run(
    workspace: Workspace, run: "Run", device: "Device", top: int
) -> list[dict[str, Any]]:
    """Measure the ``top`` best networks of a run; those measured before are read from the store."""
    candidates = run.candidates()[:top]
    measured = measure_networks(
        workspace,
        device,
        [each.architecture for each in candidates],
        run.predictor.configuration.precision,
    )
    return [
        {
            "tokens": each.tokens,
            "accuracy": each.accuracy,
            "predicted_ms": each.predicted_ms,
            "measured_ms": measured_ms,
            "error": each.predicted_ms / measured_ms - 1.0,
        }
        for each, measured_ms in zip(candidates, measured.latency_ms, strict=True)
    ]
