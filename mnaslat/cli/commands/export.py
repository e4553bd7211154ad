"""The command ``export``."""

from pathlib import Path
from typing import Annotated

import typer

from mnaslat.cli.options import (
    ArchitectureArgument,
    JsonOption,
    OptionalResolution,
    SpaceOption,
    open_space,
    usage,
)
from mnaslat.cli.terminal import print_json


def export(
    model: ArchitectureArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    format: Annotated[str, typer.Option("--format", help="tflite or torch.")] = "tflite",
    precision: Annotated[str, typer.Option("--precision", help="fp32.")] = "fp32",
    space: SpaceOption = "mnasnet",
    resolution: OptionalResolution = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random weights.")] = 0,
    json: JsonOption = False,
) -> None:
    """Write a network with freshly initialised weights as a .tflite file or torch state dict.

    Example: mnaslat export mnasnet-a1 --format tflite -o mnasnet-a1.tflite
    """
    from mnaslat.user_code import names_user_code
    from mnaslat.workflow.networks import export_network, read_architecture

    with usage("MODEL"):
        if model.endswith(".tflite") or names_user_code(model):
            raise ValueError(
                f"Only architectures can be written (a name, tokens, a JSON file), not {model}. "
                "`mnaslat model` and `mnaslat predict` read such networks."
            )
    architecture = read_architecture(model, open_space(space), resolution=resolution)
    with usage("--precision"):
        if precision != "fp32":
            raise ValueError(f"Only fp32 can be written now, not {precision!r}.")
    n_bytes = export_network(architecture, output, format=format, seed=seed)
    if json:
        print_json({"output": str(output), "bytes": n_bytes, "format": format})
    else:
        print(f"Wrote {output} ({n_bytes:,} bytes, untrained weights).")
