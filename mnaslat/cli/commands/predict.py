"""The command ``predict``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    JsonOption,
    OptionalResolution,
    SpaceOption,
    UnknownOption,
    WorkspaceOption,
    on_unknown,
    open_space,
    open_workspace,
)
from mnaslat.cli.terminal import print_json


def predict(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Names, comma-separated tokens, architectures' JSON files, .tflite files; or "
            "FILE.py:FUNCTION or MODULE:FUNCTION, which is imported and called, so name only code "
            "you trust: it returns a torch module for RGB images of --resolution (224) pixels.",
        ),
    ],
    predictor: Annotated[
        Path | None,
        typer.Option(
            "--predictor",
            help="Predictor file, or the name of one of the phones that come with mnaslat, e.g. "
            "pixel4-cpu1-fp32 (`mnaslat predictors` lists them); the workspace's newest if left "
            "out.",
        ),
    ] = None,
    space: SpaceOption = "mnasnet",
    resolution: OptionalResolution = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which layer takes how long.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file with the layers as bars, for --explain."),
    ] = None,
    unknown: UnknownOption = "error",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Predict the latency of networks, and say how sure it is and what it rests on.

    Example: mnaslat predict mnasnet-a1 mobilenet-v2 --predictor pixel4-cpu1-fp32 --explain
    """
    from mnaslat.workflow.networks import read_network
    from mnaslat.workflow.predict import is_from_layers, predict_networks
    from mnaslat.workflow.predictor_library import declared_errors, find_predictor

    meaning = on_unknown(unknown)
    if output is not None and not explain:
        raise typer.BadParameter("It shows layers: give --explain too.", param_hint="--output")
    found, path = find_predictor(open_workspace(workspace), predictor)
    from_space = open_space(space, resolution=resolution)
    precision = found.configuration.precision
    networks = [
        read_network(text, from_space, resolution=resolution, precision=precision, unknown=meaning)
        for text in models
    ]
    rows = predict_networks(found, networks, explain=explain)
    if output is not None:
        from mnaslat.workflow.report import write_explanations

        write_explanations(found, path.name, list(zip(models, rows, strict=True)), output)
    errors = declared_errors(found)
    if json:
        shown = [{"model": text, **row.to_json()} for text, row in zip(models, rows, strict=True)]
        print_json({"predictor": str(path), **asdict(errors), "models": shown})
        return
    configuration = found.configuration
    print(f"{path.name}: {configuration.fingerprint}, {configuration.precision}; {errors}")
    from_layers = is_from_layers(found)
    for text, row in zip(models, rows, strict=True):
        interval = "no interval: calibrate on more networks"
        if row.high_ms is not None:
            interval = f"90 % within {row.low_ms:.3f}-{row.high_ms:.3f} ms"
        share = f"   {row.measured_share:.0%} from measured layers" if from_layers else ""
        print(f"  {_shortened(text):24} {row.predicted_ms:8.3f} ms   {interval}{share}")
        if row.unknown:
            print(f"    {_unknown_sentence(row.unknown)}")
        if row.explanation is not None:
            print("\n".join(f"    {line}" for line in str(row.explanation).splitlines()))
    if output is not None:
        print(f"Report: {output}")


def _unknown_sentence(unknown: tuple[tuple[str, str], ...]) -> str:
    """Name the operations that the predictor cannot know, and where they are."""
    places: dict[str, list[str]] = {}
    for place, operation in unknown:
        places.setdefault(operation, []).append(place)
    named = "; ".join(f"{name} in {_few(where)}" for name, where in places.items())
    n = len(unknown)
    what = "1 operation was" if n == 1 else f"{n} operations were"
    cost = "its cost is" if n == 1 else "their cost is"
    return (
        f"{what} in no network that the predictor was fitted on, so that {cost} a guess, and the "
        f"interval too narrow: {named}."
    )


def _few(places: list[str]) -> str:
    shown = list(dict.fromkeys(places))
    rest = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + rest


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
