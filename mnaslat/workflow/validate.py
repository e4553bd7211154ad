"""Measures the best networks of a search on its device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError
from mnaslat.profiling.device import Device
from mnaslat.search.run.candidates import Candidate
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.workflow.measure import measure_networks
from mnaslat.workflow.progress import SILENT, Events


@dataclass(frozen=True)
class ValidatedCandidate:
    """A network of a search with its measured latency in milliseconds."""

    candidate: Candidate
    measured_ms: float

    @property
    def error(self) -> float:
        """Predicted latency relative to the measured one, minus 1."""
        return self.candidate.predicted_ms / self.measured_ms - 1.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "tokens": self.candidate.tokens,
            "accuracy": self.candidate.accuracy,
            "predicted_ms": self.candidate.predicted_ms,
            "measured_ms": self.measured_ms,
            "error": self.error,
        }


def validate_run(
    run: SearchRun,
    device: Device,
    workspace: Workspace,
    *,
    top: int = 10,
    events: Events = SILENT,
) -> Sequence[ValidatedCandidate]:
    """Measure the best networks of a run, the one with the highest reward first.

    Networks that the workspace holds already are read from it.

    Args:
        run: A search, finished or not.
        device: The one that the run's predictor is of.
        workspace: Keeps the measurements.
        top: How many networks to measure, at least 1.
        events: Told about progress and waits.

    Raises:
        ConfigurationMismatch: If the run's predictor is of another device or setting.
        DeviceError: If the device is lost or could not run a network.
        SearchError: If the run cannot be read.
    """
    if top < 1:
        raise ArgumentError("top", f"At least 1 network has to be measured, got {top}.")
    configuration = run.predictor.configuration
    configuration.require(device.configuration(configuration.precision), f"Device {device.name}")
    candidates = run.candidates()[:top]
    measured = measure_networks(
        device,
        [each.architecture for each in candidates],
        workspace,
        precision=configuration.precision,
        events=events,
    )
    return [
        ValidatedCandidate(each, measured_ms)
        for each, measured_ms in zip(candidates, measured.latency_ms, strict=True)
    ]
