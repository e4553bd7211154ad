"""Measures the best networks of a search on its device, during the search and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError
from mnaslat.graph import Precision
from mnaslat.profiling.device import Device
from mnaslat.search.run.candidates import EvaluatedCandidate
from mnaslat.search.run.records import Validation
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.search.tokens import tokens_text
from mnaslat.workflow.arguments import check_arguments, check_whole
from mnaslat.workflow.measure import measure_networks
from mnaslat.workflow.progress import SILENT, Events


@dataclass(frozen=True)
class ValidatedCandidate:
    """A network of a search with its measured latency in milliseconds."""

    candidate: EvaluatedCandidate
    measured_ms: float

    @property
    def error(self) -> float:
        """Predicted latency relative to the measured one, minus 1."""
        return self.candidate.predicted_ms / self.measured_ms - 1.0

    def __repr__(self) -> str:
        """Show the network's accuracy and both latencies."""
        return (
            f"ValidatedCandidate(accuracy={self.candidate.accuracy:.4g}, "
            f"predicted_ms={self.candidate.predicted_ms:.4g}, measured_ms={self.measured_ms:.4g})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "tokens": tokens_text(self.candidate.tokens),
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
) -> list[ValidatedCandidate]:
    """Measure the best networks of a run, the one with the highest reward first.

    Networks that the workspace holds already are read from it.

    Args:
        run: A search, finished or not.
        device: The one that the run's predictor is of.
        workspace: Keeps the measurements.
        top: How many networks to measure, at least 1.
        events: Receives progress and waits.

    Raises:
        ValueError: If an argument is wrong.
        ConfigurationMismatch: If the run's predictor is of another device or setting.
        DeviceError: If the device is lost or could not run a network.
        SearchError: If the run cannot be read.
    """
    check_arguments(device=device, workspace=workspace)
    if not isinstance(run, SearchRun):
        raise ArgumentError("run", f"run must be a SearchRun, as open_run returns it, got {run!r}.")
    check_whole("top", top, 1)
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


class DeviceValidator:
    """Measures candidates on the device; reads from the workspace what was measured before."""

    def __init__(
        self, workspace: Workspace, device: Device, precision: Precision, events: Events
    ) -> None:
        self._workspace, self._device, self._precision = workspace, device, precision
        self._events = events

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Latencies in milliseconds, shape ``(n,)``."""
        measured = measure_networks(
            self._device,
            architectures,
            self._workspace,
            precision=self._precision,
            events=self._events,
        )
        return np.array(measured.latency_ms)


def validation_lines(validations: Sequence[Validation]) -> list[str]:
    """Write for each round what was measured in it, and what was predicted before and after."""
    by_round: dict[int, list[str]] = {}
    for row in validations:
        by_round.setdefault(row.round, []).append(
            f"{row.measured_ms:.4g} ({row.predicted_ms:.4g}, then {row.predicted_after_ms:.4g})"
        )
    return [
        f"Round {number}: measured (predicted before, then after learning from it), in ms: "
        + ", ".join(texts)
        for number, texts in by_round.items()
    ]
