"""A device that makes its latencies up at once, for tests of what is done with them."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.data.circumstances import Circumstances
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.data.workspace import Workspace
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.profiling.device import Failure, Model
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.space import SearchSpace, load_space
from mnaslat.workflow.calibrate import Calibration, calibrate
from mnaslat.workflow.profile import profile_space
from mnaslat.workflow.search import run_search

SMALL_SPACE = f"{Path(__file__).parents[1] / 'cli' / 'small_space.py'}:small"


@dataclass
class MadeUpDevice:
    """Latencies follow from the multiply-adds and the layers, to within a per cent.

    Attributes:
        fails: Part of the signatures of networks that cannot be run.
        threads: Of its configuration.
    """

    name: str = "made-up"
    fails: str = ""
    threads: int = 1
    n_rounds_measured: int = 0

    def configuration(self, precision: Precision) -> Configuration:
        """Return that of a device that is only here."""
        return Configuration(
            device=self.name, fingerprint="made up", precision=precision, threads=self.threads
        )

    def plan(self, kind: Subject) -> TimingPlan:
        """Return two rounds, whose disagreement is no reason for more."""
        return TimingPlan(n_rounds=2, max_rounds=4, agreement=0.5)

    def remember(self, circumstances: Sequence[Circumstances]) -> None:
        """Ignore them: nothing is usual here."""

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure]]:
        """Make up one round of each model."""
        for model in models:
            if self.fails and self.fails in model.signature:
                yield model.signature, Failure("it was made up to fail")
                continue
            self.n_rounds_measured += 1
            latency_ms = made_up_latency_ms(model.signature)
            yield (
                model.signature,
                Round.of_runs(np.array([latency_ms, 1.1 * latency_ms], np.float32)),
            )


def made_up_latency_ms(signature: str) -> float:
    """Return a latency that is the same for each call with one signature."""
    graph = Graph.parse(signature)
    digest = hashlib.sha256(signature.encode()).digest()
    disturbance = 1.0 + 0.01 * (digest[0] / 255.0 - 0.5)
    return disturbance * (0.01 + graph.madds / 2e8 + 0.01 * len(graph.layers))


def small_space(resolution: int = 32, n_classes: int = 10) -> SearchSpace:
    """Load the space of a few dozen small layers."""
    return load_space(SMALL_SPACE, width=0.25, resolution=resolution, n_classes=n_classes)


def calibrated(folder: Path) -> Calibration:
    """Profile the small space and calibrate, in a workspace in the folder."""
    workspace, space, device = Workspace(folder), small_space(), MadeUpDevice()
    profile_space(device, space, workspace)
    return calibrate(device, space, workspace, n_networks=8)


def by_size(architecture: Architecture) -> float:
    """Make up an accuracy that grows with the multiply-adds."""
    return min(1.0, lower(architecture).madds / 1e8)


def searched(predictor: Any, workspace: Workspace, **options: Any) -> SearchRun:
    """Search the small space for a moment; ``options`` as ``run_search`` takes them."""
    settings: dict[str, Any] = {
        "accuracy": by_size,
        "target_ms": 0.16,
        "n_samples": 20,
        "searcher": "random",
        "workspace": workspace,
    }
    return run_search(small_space(), predictor, **{**settings, **options})


class Recorder:
    """Keeps all events."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.details: list[str] = []
        self.notices: list[str] = []

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Keep it."""
        assert 0 <= done <= total and seconds_left >= 0.0
        self.steps.append((step, done, total))
        self.details.append(detail)

    def notice(self, text: str) -> None:
        """Keep it."""
        self.notices.append(text)

    @property
    def names(self) -> list[str]:
        """The steps in their order, each once."""
        return list(dict.fromkeys(step for step, _, _ in self.steps))


def json_text(result: Any) -> str:
    """Write a result as strict JSON; fails where it holds what JSON cannot."""
    return json.dumps(result.to_json(), allow_nan=False)
