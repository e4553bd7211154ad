"""A search in a workspace: its predictor, its accuracies, its device."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.cli.options import open_device, open_device_of
from mnaslat.errors import DeviceError, MnaslatError

if TYPE_CHECKING:
    from mnaslat.architecture import Architecture
    from mnaslat.arrays import Floats
    from mnaslat.cli.progress import Update
    from mnaslat.data.measurement import Configuration
    from mnaslat.data.workspace import Workspace
    from mnaslat.graph import Precision
    from mnaslat.profiling.device import Device
    from mnaslat.search.accuracy.source import AccuracySource
    from mnaslat.search.run.result import SearchResult
    from mnaslat.search.run.run_folder import Run
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


@dataclass(frozen=True)
class Accuracies:
    """The accuracy source, and who shows how far its training is."""

    source: "AccuracySource"
    training: "_TrainingProgress"


@contextmanager
def open_accuracies(
    workspace: "Workspace", request: Mapping[str, Any], space: "SearchSpace"
) -> "Iterator[Accuracies]":
    """The source that a request names; before anything is measured, for it may be no good."""
    import torch

    from mnaslat.cli.progress import progress
    from mnaslat.search.accuracy.source import ClosableSource
    from mnaslat.search.accuracy.sources import accuracy_source

    # The controller and the supernet's children are small: a second thread costs more than it
    # brings, and on a busy computer many times more. It also keeps the device's other core free.
    torch.set_num_threads(1)
    training = _TrainingProgress()
    with ExitStack() as shown:
        training.shown_by(lambda: shown.enter_context(progress("Preparing the accuracies")))
        source = accuracy_source(
            request["accuracy"],
            space,
            folder=workspace.path / "supernets",
            seed=request["seed"],
            progress=training,
        )
    try:
        yield Accuracies(source, training)
    finally:
        if isinstance(source, ClosableSource):
            source.close()


def run_search(
    workspace: "Workspace",
    run: "Run",
    accuracies: Accuracies,
    reach: Reach,
    max_time_s: float | None,
) -> "tuple[SearchResult, MnaslatError | None]":
    """Search in a run's folder, with its accuracies and its device.

    Returns:
        The result, and what ended the search before its time.

    Raises:
        MnaslatError: If something ended it before there was a result.
    """
    from mnaslat.cli.progress import progress, say
    from mnaslat.cli.search_output import validation_lines
    from mnaslat.cli.search_request import command_of
    from mnaslat.search.problem import SearchProblem
    from mnaslat.search.run.progress import SearchProgress
    from mnaslat.search.run.search import Search

    request, source = run.request, accuracies.source
    validator = None
    if request["validate_every"]:
        configuration = run.predictor.configuration
        device = _device_of(configuration, reach)
        validator = _DeviceValidator(workspace, device, configuration.precision)
    with progress("Searching") as update:
        accuracies.training.shown_by(lambda: update)
        say(f"Accuracy: {source.description}")
        problem = SearchProblem(
            space=run.space, accuracy=source, predictor=run.predictor, validator=validator
        )

        def show(now: SearchProgress) -> None:
            best = "none succeeded yet"
            if now.best is not None:
                best = f"best {now.best.accuracy:.3f} at {now.best.predicted_ms:.2f} ms"
            update(now.n_samples_done, now.n_samples, now.left_s, best, "Searching")
            for line in validation_lines(now.measured):
                say(line)

        settings = replace(run.settings, max_time_s=max_time_s)
        with Search(problem, settings, run.folder, command=command_of(run)) as searching:
            if searching.note:
                say(searching.note)
            try:
                return searching.run(show), None
            except MnaslatError as error:
                if not searching.found_any:
                    raise
                return searching.result("failed"), error


def _device_of(configuration: "Configuration", reach: Reach) -> "Device":
    try:
        return open_device_of(configuration, reach.device, binary=reach.binary, guard=reach.guard)
    except DeviceError as error:
        raise DeviceError(
            f"{error} To search by predictions alone, without measuring, add --validate-every 0."
        ) from error


class _TrainingProgress:
    """Shows how far the training of a source is, wherever progress is shown at the time."""

    def __init__(self) -> None:
        self._since: tuple[float, int] | None = None

    def shown_by(self, open_: "Callable[[], Update]") -> None:
        """From now on; opened when there is something to show."""
        self._open: Callable[[], Update] = open_
        self._update: Update | None = None

    def __call__(self, done: int, total: int) -> None:
        """So many steps of so many are done."""
        now = time.monotonic()
        since, first = self._since = self._since or (now, done)
        left_s = (now - since) / max(done - first, 1) * (total - done)
        self._update = self._update or self._open()
        self._update(done, total, left_s, "", "Preparing the accuracies")


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
