"""A search in a workspace: its predictor, its accuracies, its device."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.cli.options import open_device, open_device_of

if TYPE_CHECKING:
    from mnaslat.architecture import Architecture
    from mnaslat.cli.runs import Run
    from mnaslat.data.workspace import Workspace
    from mnaslat.graph import Precision
    from mnaslat.predictors.base import Floats
    from mnaslat.profiling.device import Device
    from mnaslat.search.result import SearchResult
    from mnaslat.space import SearchSpace


@dataclass(frozen=True)
class Reach:
    """How the device is reached this time: no part of what a run is, which only has its name."""

    device: str
    binary: Path | None
    guard: str


def predictor_path(
    workspace: "Workspace", path: Path | None, reach: Reach, space: "SearchSpace", seed: int
) -> Path:
    """The predictor named, else the workspace's newest, else one that is made now."""
    from mnaslat.cli.predictors import find_predictor, newest_predictor
    from mnaslat.cli.setup import make_quick_predictor, measured_in

    if path is None and newest_predictor(workspace, reach.device) is None:
        device = open_device(
            reach.device,
            measured=measured_in(workspace, "fp32"),
            binary=reach.binary,
            guard=reach.guard,
        )
        return make_quick_predictor(workspace, device, space, seed)[1]
    return find_predictor(workspace, path, reach.device)[1]


def run_search(
    workspace: "Workspace", run: "Run", reach: Reach, max_time_s: float | None
) -> "SearchResult":
    """Search in a run's folder, with its accuracies and its device."""
    import torch

    from mnaslat.cli.progress import progress, say
    from mnaslat.cli.search_request import command_of
    from mnaslat.search.accuracy import accuracy_source
    from mnaslat.search.clock import SearchProgress
    from mnaslat.search.problem import SearchProblem
    from mnaslat.search.run import Search

    # The controller and the supernet's children are small: a second thread costs more than it
    # brings, and on a busy computer many times more. It also keeps the device's other core free.
    torch.set_num_threads(1)
    request = run.request
    validator = None
    if request["validate_every"]:
        configuration = run.predictor.configuration
        device = open_device_of(configuration, reach.device, binary=reach.binary, guard=reach.guard)
        validator = _DeviceValidator(workspace, device, configuration.precision)
    with ExitStack() as stack, progress("Searching") as update:
        source = accuracy_source(
            request["accuracy"],
            run.space,
            folder=workspace.path / "supernets",
            seed=run.settings.seed,
            progress=_training_progress(update),
        )
        if hasattr(source, "close"):
            stack.callback(source.close)
        say(f"Accuracy: {source.description}")
        problem = SearchProblem(
            space=run.space, accuracy=source, predictor=run.predictor, validator=validator
        )

        def show(now: SearchProgress) -> None:
            best = "none succeeded yet"
            if now.best is not None:
                best = f"best {now.best.accuracy:.3f} at {now.best.predicted_ms:.2f} ms"
            update(now.n_samples_done, now.n_samples, now.left_s, best, "Searching")

        settings = replace(run.settings, max_time_s=max_time_s)
        with Search(problem, settings, run.folder, command=command_of(run)) as searching:
            if searching.note:
                say(searching.note)
            return searching.run(show)


def _training_progress(update: Any) -> Callable[[int, int], None]:
    started: list[tuple[float, int]] = []

    def show(done: int, total: int) -> None:
        now = time.monotonic()
        if not started:
            started.append((now, done))
        since, first = started[0]
        left_s = (now - since) / max(done - first, 1) * (total - done)
        update(done, total, left_s, "", "Preparing the accuracies")

    return show


class _DeviceValidator:
    """Measures candidates on the device; what the workspace has already is read from it."""

    def __init__(self, workspace: "Workspace", device: "Device", precision: "Precision") -> None:
        self._workspace, self._device, self._precision = workspace, device, precision

    def measure(self, architectures: "Sequence[Architecture]", /) -> "Floats":
        """Latencies in milliseconds, shape ``(n,)``."""
        import numpy as np

        from mnaslat.cli.setup import measure_networks

        measured = measure_networks(
            self._workspace, self._device, architectures, self._precision, quiet=True
        )
        return np.array(measured.latency_ms)
