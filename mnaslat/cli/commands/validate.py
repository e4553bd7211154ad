"""The command ``validate``."""

from pathlib import Path
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    GuardOption,
    JsonOption,
    PredictorsDeviceOption,
    TrustedSpaceOption,
    WorkspaceOption,
    device_options,
    open_workspace,
)
from mnaslat.cli.terminal import print_json, terminal_events


def validate(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a search run; the newest if left out.")
    ] = None,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    top: Annotated[int, typer.Option("--top", min=1, help="Networks to measure.")] = 10,
    space: TrustedSpaceOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Measure the best networks of a search run, against what was predicted.

    Example: mnaslat validate --top 5
    """
    from mnaslat.workflow.devices import reopen_device
    from mnaslat.workflow.runs import open_run
    from mnaslat.workflow.validate import validate_run

    place = open_workspace(workspace)
    found = open_run(run, place, space=space or None)
    found.candidates()  # a run that cannot be read is refused before a device is looked for
    options = device_options(binary=benchmark_binary, guard=guard)
    with terminal_events() as events:
        target = reopen_device(found.predictor.configuration, device, options, events=events)
        rows = validate_run(found, target, place, top=top, events=events)
    if json:
        print_json([row.to_json() for row in rows])
        return
    for row in rows:
        print(
            f"  accuracy {row.candidate.accuracy:.4f}   "
            f"predicted {row.candidate.predicted_ms:7.3f} ms   "
            f"measured {row.measured_ms:7.3f} ms   error {row.error:+.1%}"
        )
