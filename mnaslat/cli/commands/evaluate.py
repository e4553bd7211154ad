"""The command ``evaluate``."""

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
)
from mnaslat.cli.terminal import errors_text, print_json, terminal_events


def evaluate(
    predictor: PredictorOption = None,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    models: Annotated[int, typer.Option("--models", min=3, help="Fresh networks to measure.")] = 30,
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Measure fresh random networks and say how wrong the predictor is on them.

    Prints beside it how well the same measurements repeat: no predictor can be better than that.

    Example: mnaslat evaluate --models 30
    """
    from mnaslat.errors import DeviceError
    from mnaslat.workflow.devices import reopen_device
    from mnaslat.workflow.evaluate import evaluate_predictor, is_imported, unreachable
    from mnaslat.workflow.predictor_library import find_predictor

    place = open_workspace(workspace)
    found, path = find_predictor(place, predictor, device)
    if not device and is_imported(found):
        raise DeviceError(unreachable(found, path.name))
    options = device_options(binary=benchmark_binary, guard=guard)
    with terminal_events() as events:
        try:
            target = reopen_device(found.configuration, device, options, events=events)
        except DeviceError as error:
            raise DeviceError(f"{error} {unreachable(found, path.name)}") from None
        searched = open_space(space, width, resolution, classes)
        result = evaluate_predictor(
            found, target, searched, place, n_networks=models, seed=seed, events=events
        )
    if json:
        print_json({"predictor": str(path), **result.to_json()})
        return
    errors = result.errors
    print(
        f"{path.name} on {errors.n} fresh networks: {errors_text(errors)} (n = {errors.n})\n"
        f"  repeatability of the same measurements: {result.repeatability:.2%}; "
        f"{result.coverage:.0%} lie in the 90 % interval; "
        f"{result.measured_share:.0%} of the latency rests on measured layers"
    )
