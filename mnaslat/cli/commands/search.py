"""The command ``search``."""

from dataclasses import replace
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    GuardOption,
    JsonOption,
    PredictorOption,
    PredictorsDeviceOption,
    SeedOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    WidthOption,
    WorkspaceOption,
    device_options,
    open_space,
    open_workspace,
    usage,
)
from mnaslat.cli.search_output import print_result
from mnaslat.cli.terminal import print_json, say, terminal_events
from mnaslat.search.accuracy.sources import sources_help
from mnaslat.search.searchers.registry import known_searchers
from mnaslat.units import parse_duration_s


def search(
    predictor: PredictorOption = None,
    target_ms: Annotated[
        str,
        typer.Option(
            "--target-ms",
            help="Latency wanted, e.g. 75. With --reward hard it is a limit; with --reward soft it "
            "only rescales the reward, and just picks the answer. 20:100 trains for all targets in "
            "between (hard only). Left out: what MnasNet-A1 takes.",
        ),
    ] = "",
    reward: Annotated[
        str,
        typer.Option(
            "--reward",
            help="hard: accuracy alone up to the target, above it in proportion less; for `at most "
            "75 ms`. soft: the paper's trade-off, twice as slow costs 5 % of the accuracy, "
            "wherever the target.",
        ),
    ] = "hard",
    accuracy: Annotated[
        str,
        typer.Option("--accuracy", help=sources_help()),
    ] = "supernet",
    samples: Annotated[int, typer.Option("--samples", min=1, help="Networks to evaluate.")] = 8000,
    max_time: Annotated[
        str,
        typer.Option(
            "--max-time", help="End after this time, e.g. 30m; the same command resumes the search."
        ),
    ] = "",
    searcher: Annotated[
        str,
        typer.Option("--searcher", help=f"{known_searchers()}."),
    ] = "ppo",
    no_surrogate: Annotated[
        bool,
        typer.Option(
            "--no-surrogate", help="PPO alone, without a model of the accuracies seen so far."
        ),
    ] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="Of the PPO controller: fast, or paper.")
    ] = "fast",
    latency: Annotated[
        str,
        typer.Option(
            "--latency",
            help="point: the reward uses the predicted latency. upper: the upper end of its "
            "90 % interval, so that a network has to be surely fast enough.",
        ),
    ] = "point",
    validate_every: Annotated[
        int,
        typer.Option(
            "--validate-every", min=0, help="Rounds between measurements on the device; 0: never."
        ),
    ] = 20,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    seed: SeedOption = 0,
    run: Annotated[
        str, typer.Option("--run", help="Name of the run; from the time if left out.")
    ] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Search for the most accurate network at a target latency, with PPO.

    The answer is the most accurate network at or under the target, measured if there is a device.
    Repeat an interrupted command to resume it; Ctrl-C ends it with what was found. In a workspace
    without a predictor of the device it is measured first, for about four minutes.

    Example: mnaslat search --target-ms 8
    """
    from mnaslat.workflow.devices import device_name
    from mnaslat.workflow.search import search_in_workspace
    from mnaslat.workflow.search_request import SearchOptions

    searched = open_space(space, width, resolution, classes)
    options = SearchOptions(
        predictor=None if predictor is None else str(predictor.resolve()),
        target_ms=target_ms,
        reward=reward,
        accuracy=accuracy,
        samples=samples,
        searcher=searcher,
        surrogate=not no_surrogate,
        preset=preset,
        latency=latency,
        validate_every=validate_every,
        space=space,
        width=width,
        seed=seed,
        run=run,
    ).of_space(searched)
    options.check()
    with usage("--max-time"):
        max_time_s = parse_duration_s(max_time) if max_time else None
    if device:  # a phone's name, also over another cable
        options = replace(options, device=device_name(device) or device)
    with terminal_events() as events:
        found = search_in_workspace(
            options,
            searched,
            open_workspace(workspace),
            predictor=predictor,
            device=device,
            device_options=device_options(binary=benchmark_binary, guard=guard),
            max_time_s=max_time_s,
            events=events,
        )
    result = found.result
    assert result is not None
    predictions = found.predictor.predict_detailed(
        [winner.candidate.architecture for winner in result.winners]
    )
    shares = [prediction.measured_share for prediction in predictions]
    if json:
        print_json({"run": str(found.folder), "measured_share": shares[-1], **result.to_json()})
    else:
        print_result(found.folder, result, shares)
    if found.failure is not None:
        say(f"The search ended after {result.n_samples} of {samples} networks, because:")
        raise found.failure
    if result.ended != "samples":
        why = "Stopped" if result.ended == "stopped" else "Time is over"
        say(
            f"{why} after {result.n_samples} of {samples} networks. Run the same command again to "
            "continue."
        )
    if result.ended == "stopped":
        raise typer.Exit(130)
