"""The command ``space``."""

from typing import Annotated

import typer

from mnaslat.cli.options import (
    SPACES,
    JsonOption,
    SpaceClassesOption,
    SpaceResolutionOption,
    WidthOption,
    open_space,
)
from mnaslat.cli.terminal import print_json


def space(
    name: Annotated[str, typer.Argument(help=SPACES)] = "mnasnet",
    width: WidthOption = 1.0,
    resolution: SpaceResolutionOption = None,
    classes: SpaceClassesOption = None,
    json: JsonOption = False,
) -> None:
    """Show the decisions of a search space, their choices, and its size.

    Example: mnaslat space mnasnet-paper
    """
    found = open_space(name, width, resolution, classes)
    layers = len(found.layer_frequencies())
    if json:
        decisions = [
            {"name": decision.name, "choices": list(decision.choices)}
            for decision in found.decisions
        ]
        print_json(
            {"name": found.name, "size": found.size, "layers": layers, "decisions": decisions}
        )
        return
    print(f"{found.name}: {found.title}")
    print(f"{found.size:,} networks ({found.size:.2e}) of {layers:,} distinct layers")
    for decision in found.decisions:
        print(f"  {decision.name:16} {', '.join(map(str, decision.choices))}")
