"""The command that searches."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    ClassesOption,
    GuardOption,
    JsonOption,
    PredictorOption,
    PredictorsDeviceOption,
    ResolutionOption,
    SeedOption,
    SpaceOption,
    WidthOption,
    WorkspaceOption,
    open_device,
    open_device_of,
    open_space,
    open_workspace,
    print_json,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mnaslat.architecture import Architecture
    from mnaslat.cli.runs import Run
    from mnaslat.data.workspace import Workspace
    from mnaslat.graph import Precision
    from mnaslat.predictors.base import Floats
    from mnaslat.profiling.device import Device
    from mnaslat.search.result import SearchResult
    from mnaslat.search.settings import SearchSettings

# The default target is what this network takes on the device: a searched network should beat it.
_REFERENCE = "mnasnet-a1"


def search(
    predictor: PredictorOption = None,
    target_ms: Annotated[
        float | None,
        typer.Option("--target-ms", help="Latency wanted; left out, what MnasNet-A1 takes."),
    ] = None,
    reward: Annotated[
        str,
        typer.Option(
            "--reward",
            help="hard: at most the target. soft: the paper's trade-off, which no target steers.",
        ),
    ] = "hard",
    accuracy: Annotated[
        str,
        typer.Option(
            "--accuracy",
            help="supernet, table:FILE.csv, or module:function: called with an Architecture, "
            "returns a fraction; the module must be on PYTHONPATH.",
        ),
    ] = "supernet",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Networks to sample.")] = 8000,
    validate_every: Annotated[
        int,
        typer.Option(
            "--validate-every", min=0, help="Updates between measurements on the device; 0: never."
        ),
    ] = 20,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    space: SpaceOption = "mnasnet",
    resolution: ResolutionOption = 224,
    width: WidthOption = 1.0,
    classes: ClassesOption = 1000,
    preset: Annotated[str, typer.Option("--preset", help="fast, or paper.")] = "fast",
    seed: SeedOption = 0,
    run: Annotated[
        str, typer.Option("--run", help="Name of the run; from the time if left out.")
    ] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Search for the most accurate network at a target latency, with PPO.

    The same command goes on with a run that was interrupted. In a workspace without a predictor
    of the device it is measured first, for about four minutes.

    Example: mnaslat search --target-ms 8
    """
    from mnaslat.cli.runs import new_run, unfinished_run
    from mnaslat.profiling.devices import known_as
    from mnaslat.search.presets import preset as known_preset

    with usage("--reward"):
        if reward not in ("hard", "soft"):
            raise ValueError(f"{reward!r} is not a reward; hard or soft.")
    with usage("--target-ms"):
        if target_ms is not None and not (math.isfinite(target_ms) and target_ms > 0):
            raise ValueError(
                f"The target must be a positive number of milliseconds, got {target_ms}."
            )
    with usage("--preset"):
        known_preset(preset)
    searched = open_space(space, width, resolution, classes)
    request = {
        "predictor": None if predictor is None else str(predictor.resolve()),
        "target_ms": target_ms,
        "reward": reward,
        "accuracy": accuracy,
        "samples": samples,
        "validate_every": validate_every,
        "space": [space, resolution, width, classes],
        "preset": preset,
        "seed": seed,
        "run": run,
    }
    if device:
        request["device"] = known_as(device) or device  # a phone's name, also over another cable
    place = open_workspace(workspace)
    reach = _Reach(device, benchmark_binary, guard)
    found = unfinished_run(place, request)
    if found is None:
        path = _predictor_path(place, predictor, reach, searched, seed)
        settings = _settings(path, request)
        found = new_run(place, run, request, settings, path)
    else:
        _say(f"Going on with the unfinished run in {found.folder}.")
    result = _run(place, found, reach)
    (prediction,) = found.predictor.predict_detailed([result.winner.architecture])
    share = prediction.measured_share
    if json:
        print_json({"run": str(found.folder), "measured_share": share, **result.to_json()})
        return
    _print_result(found.folder, result, share)


@dataclass(frozen=True)
class _Reach:
    """How the device is reached this time: no part of what a run is, which only has its name."""

    device: str
    binary: Path | None
    guard: str


def _predictor_path(
    workspace: "Workspace", path: Path | None, reach: "_Reach", space: Any, seed: int
) -> Path:
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


def _settings(predictor: Path, request: dict[str, Any]) -> "SearchSettings":
    from dataclasses import replace

    from mnaslat import zoo
    from mnaslat.cli.predictors import open_predictor
    from mnaslat.search.reward import RewardSettings
    from mnaslat.search.settings import SearchSettings

    space, resolution, width, n_classes = request["space"]
    target_ms = request["target_ms"]
    if target_ms is None:
        reference = replace(
            zoo.load_network(_REFERENCE).scaled(width), resolution=resolution, n_classes=n_classes
        )
        target_ms = open_predictor(predictor).predict_ms(reference)
        _say(
            f"Target: {target_ms:.3g} ms, which is what {_REFERENCE} takes by {predictor.name}. "
            "Set another one with --target-ms."
        )
    make = RewardSettings.hard if request["reward"] == "hard" else RewardSettings.soft
    return SearchSettings(
        reward=make(target_ms=target_ms),
        space=space,
        width=width,
        resolution=resolution,
        n_classes=n_classes,
        n_samples=request["samples"],
        seed=request["seed"],
        preset=request["preset"],
        validate_every=max(1, request["validate_every"]),
    )


def _run(workspace: "Workspace", run: "Run", reach: "_Reach") -> "SearchResult":
    import torch

    from mnaslat.cli.progress import progress
    from mnaslat.search.accuracy import accuracy_source
    from mnaslat.search.problem import SearchProblem
    from mnaslat.search.run import Search, SearchProgress

    # The controller and the supernet's children are small: a second thread costs more than it
    # brings, and on a busy computer many times more. It also keeps the device's other core free.
    torch.set_num_threads(1)
    request, settings = run.request, run.settings
    validator = None
    if request["validate_every"]:
        configuration = run.predictor.configuration
        device = open_device_of(configuration, reach.device, binary=reach.binary, guard=reach.guard)
        validator = _DeviceValidator(workspace, device, configuration.precision)
    with progress("Searching") as update:
        source = accuracy_source(
            request["accuracy"],
            run.space,
            folder=workspace.path / "supernets",
            seed=settings.seed,
            progress=_training_progress(update),
        )
        problem = SearchProblem(
            space=run.space, accuracy=source, predictor=run.predictor, validator=validator
        )

        def show(now: SearchProgress) -> None:
            best = f"best {now.best.accuracy:.3f} at {now.best.predicted_ms:.2f} ms"
            update(now.n_updates_done, now.n_updates, now.left_s, best, "Searching")

        with Search(problem, settings, run.folder) as searching:
            return searching.run(show)


def _training_progress(update: Any) -> "Callable[[int, int], None]":
    started: list[tuple[float, int]] = []

    def show(done: int, total: int) -> None:
        now = time.monotonic()
        if not started:
            started.append((now, done))
        since, first = started[0]
        left_s = (now - since) / max(done - first, 1) * (total - done)
        update(done, total, left_s, "", "Training the supernet")

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


def _print_result(folder: Path, result: "SearchResult", measured_share: float) -> None:
    winner, target_ms = result.winner, result.settings.reward.target_ms
    measured = (
        "not measured" if winner.measured_ms is None else f"{winner.measured_ms:.3g} ms measured"
    )
    verdict = "The best network at" if result.meets_target else "No network reached"
    print(f"{verdict} {target_ms:.3g} ms{'' if result.meets_target else '; the fastest'}:")
    print(f"  accuracy {winner.accuracy:.4f}, {winner.predicted_ms:.3g} ms predicted, {measured}")
    print(f"  {measured_share:.0%} of the prediction rests on layers that were measured")
    for block in winner.architecture.blocks:
        print(f"  {block}")
    print("The Pareto front, fastest first:")
    for candidate in result.front:
        how = "predicted" if candidate.measured_ms is None else "measured"
        print(f"  {candidate.latency_ms:8.3f} ms {how:9}  accuracy {candidate.accuracy:.4f}")
    print(f"Run: {folder} (result.json, winner.json, winner.tflite)\nNext: mnaslat report")


def _say(text: str) -> None:
    from mnaslat.cli.progress import say

    say(text)


SEARCHING = (search,)
