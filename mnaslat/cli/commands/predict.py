"""The command ``predict``."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from mnaslat.predictors import Explanation
    from mnaslat.predictors.base import Network
    from mnaslat.predictors.network_predictor import NetworkPredictor


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
    from mnaslat.predictors.declared_errors import declared_errors
    from mnaslat.workflow.networks import read_network
    from mnaslat.workflow.predictor_library import find_predictor

    meaning = on_unknown(unknown)
    if output is not None and not explain:
        raise typer.BadParameter("It shows layers: give --explain too.", param_hint="--output")
    found, path = find_predictor(open_workspace(workspace), predictor)
    from mnaslat.predictors import CostModel

    from_space = open_space(space, resolution=resolution)
    precision = found.configuration.precision
    networks = [
        read_network(text, from_space, resolution=resolution, precision=precision, unknown=meaning)
        for text in models
    ]
    rows = [
        _row(found, text, network, explain) for text, network in zip(models, networks, strict=True)
    ]
    if output is not None:
        _write_page(found, path, rows, output)
    if json:
        shown = [{**row, "explanation": _to_json(row["explanation"])} for row in rows]
        if not explain:
            shown = [{name: row[name] for name in row if name != "explanation"} for row in rows]
        print_json({"predictor": str(path), **asdict(declared_errors(found)), "models": shown})
        return
    configuration = found.configuration
    print(
        f"{path.name}: {configuration.fingerprint}, {configuration.precision}; "
        f"{declared_errors(found)}"
    )
    from_layers = not isinstance(found, CostModel)
    for row in rows:
        interval = "no interval: calibrate on more networks"
        if row["high_ms"] is not None:
            interval = f"90 % within {row['low_ms']:.3f}-{row['high_ms']:.3f} ms"
        share = f"   {row['measured_share']:.0%} from measured layers" if from_layers else ""
        print(f"  {_shortened(row['model']):24} {row['predicted_ms']:8.3f} ms   {interval}{share}")
        if row["unknown"]:
            print(f"    {_unknown_sentence(row['unknown'])}")
        if row["explanation"] is not None:
            print("\n".join(f"    {line}" for line in str(row["explanation"]).splitlines()))
    if output is not None:
        print(f"Report: {output}")


def _row(found: "NetworkPredictor", text: str, network: "Network", explain: bool) -> dict[str, Any]:
    import numpy as np

    from mnaslat.predictors.base import as_graphs, checked_prediction_ms
    from mnaslat.predictors.known_operations import unmet_places

    (graph,) = as_graphs([network], found.configuration.precision)
    (prediction,) = found.predict_detailed([graph])
    checked_prediction_ms(np.array([prediction.latency_ms]))
    unknown = unmet_places(graph, found.met_operations)
    low_ms, high_ms = found.predict_interval_ms(network)
    return {
        "model": text,
        "predicted_ms": prediction.latency_ms,
        "low_ms": low_ms if math.isfinite(high_ms) else None,
        "high_ms": high_ms if math.isfinite(high_ms) else None,
        "measured_share": prediction.measured_share,
        "n_unknown": len(unknown),
        "unknown": [{"place": place, "operation": name} for place, name in unknown],
        "explanation": found.explain(network) if explain else None,
    }


def _unknown_sentence(unknown: list[dict[str, str]]) -> str:
    """Which operations the predictor cannot know, and where."""
    places: dict[str, list[str]] = {}
    for each in unknown:
        places.setdefault(each["operation"], []).append(each["place"])
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


def _write_page(
    found: "NetworkPredictor", path: Path, rows: list[dict[str, Any]], output: Path
) -> None:
    from mnaslat.reports.explanation_page import explanation_page
    from mnaslat.reports.page import write_report

    explained = [(row["model"], row["explanation"]) for row in rows]
    write_report(explanation_page(found, path.name, explained), output)


def _to_json(explanation: "Explanation | None") -> dict[str, Any] | None:
    if explanation is None:
        return None
    found = explanation.to_json()
    for layer in found["layers"]:
        layer["share"] = layer["latency_ms"] / explanation.latency_ms
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
