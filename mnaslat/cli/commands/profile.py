"""The command ``profile``."""

import math
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    CoresOption,
    DelegateOption,
    DeviceOption,
    GuardOption,
    JsonOption,
    PrecisionOption,
    SeedOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    ThreadsOption,
    WidthOption,
    WorkspaceOption,
    device_options,
    full_command,
    only_fp32,
    open_space,
    open_workspace,
    usage,
)
from mnaslat.cli.terminal import print_json, terminal_events


def profile(
    device: DeviceOption = "",
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 1,
    cores: CoresOption = "",
    delegate: DelegateOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    budget: Annotated[
        str, typer.Option("--budget", help="Time to spend, e.g. 10m; all layers if left out.")
    ] = "",
    seed: SeedOption = 0,
    new_table: Annotated[
        bool,
        typer.Option("--new-table", help="Start anew where the device is no longer the same."),
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Sweep the layers of a search space on a device into a latency table.

    Repeat an interrupted command to resume it: nothing is measured twice.

    Example: mnaslat profile --budget 10m
    """
    from mnaslat.units import format_duration, parse_duration_s
    from mnaslat.workflow.devices import open_device
    from mnaslat.workflow.profile import profile_space

    with usage("--budget"):
        budget_s = parse_duration_s(budget) if budget else math.inf
    only_fp32(precision)
    place = open_workspace(workspace)
    options = device_options(threads, cores, delegate, benchmark_binary, guard)
    with terminal_events() as events:
        target = open_device(device, options, workspace=place, new_table=new_table, events=events)
        searched = open_space(space, width, resolution, classes)
        found = profile_space(target, searched, place, budget_s=budget_s, seed=seed, events=events)
    if json:
        print_json(found.to_json())
        return
    result = found.sweep
    print(
        f"{result.n_measured} of {result.n_total} layers measured on {target.name}; "
        f"{result.n_rounds} rounds in {format_duration(result.wall_s)}, "
        f"{result.timed_s / max(result.wall_s, 1e-9):.0%} of it timed inference."
    )
    if result.n_not_converged:
        print(
            f"{result.n_not_converged} layers vary by more than 2 % between rounds; "
            "their fastest round is taken."
        )
    for signature, reason in list(result.failures.items())[:3]:
        print(f"Could not run {signature}: {reason}")
    if result.n_left:
        print(f"{result.n_left} layers are left: predictions estimate them from the measured ones.")
    following = full_command(
        "calibrate",
        device=target.name,
        threads=threads,
        cores=cores,
        delegate=delegate,
        space=space,
        resolution=resolution,
        width=width,
        classes=classes,
        workspace=workspace,
    )
    print(f"Table: {found.path}\nNext: {following}")
