"""Commands about networks as data: space, model, predict, export."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    ClassesOption,
    JsonOption,
    PredictorOption,
    ResolutionOption,
    SpaceOption,
    WidthOption,
    WorkspaceOption,
    open_space,
    open_workspace,
    print_json,
    read_architecture,
    usage,
)

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A published network (mnasnet-a1, mobilenet-v2@0.75), comma-separated tokens of the "
        "space, or an architecture's JSON file.",
    ),
]
OptionalResolution = Annotated[
    int | None,
    typer.Option("--resolution", min=8, max=1024, help="Pixels; the network's own if left out."),
]


def space(
    name: Annotated[str, typer.Argument(help="mnasnet, mnasnet-paper, or FILE.py:FUNCTION.")] = (
        "mnasnet"
    ),
    width: WidthOption = 1.0,
    resolution: ResolutionOption = 224,
    classes: ClassesOption = 1000,
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


def model(
    model: ModelArgument,
    predictor: PredictorOption = None,
    space: SpaceOption = "mnasnet",
    resolution: OptionalResolution = None,
    json: JsonOption = False,
) -> None:
    """Count a network: parameters, multiply-adds, layers; its latency if a predictor is named.

    Example: mnaslat model mnasnet-a1 --json
    """
    from mnaslat.lowering import lower

    architecture = read_architecture(model, open_space(space), resolution)
    graph = lower(architecture)
    predicted_ms = None
    if predictor is not None:
        from mnaslat.predictors import load_predictor

        predicted_ms = load_predictor(predictor).predict_ms(architecture)
    if json:
        layers = [
            {
                "place": place,
                "layer": layer.label,
                "signature": signature,
                "params": sum(shaped.n_params for shaped in layer.shaped_ops),
                "madds": sum(shaped.madds for shaped in layer.shaped_ops),
            }
            for place, layer, signature in zip(
                graph.places, graph.layers, graph.layer_signatures, strict=True
            )
        ]
        print_json(
            {
                "model": model,
                "params": graph.n_params,
                "madds": graph.madds,
                "predicted_ms": predicted_ms,
                "architecture": architecture.to_json(),
                "layers": layers,
            }
        )
        return
    print(f"{model} at {architecture.resolution} px")
    print(f"  parameters     {graph.n_params:,}")
    print(f"  multiply-adds  {graph.madds / 1e6:,.1f} M")
    if predicted_ms is not None:
        print(f"  latency        {predicted_ms:.3g} ms (predicted)")
    for place, layer in zip(graph.places, graph.layers, strict=True):
        madds = sum(shaped.madds for shaped in layer.shaped_ops) / 1e6
        print(f"  {place:10} {layer.label:38} {madds:8.2f} M")


def predict(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Names, tokens or JSON files; one or more."),
    ],
    predictor: PredictorOption = None,
    space: SpaceOption = "mnasnet",
    resolution: OptionalResolution = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Predict the latency of networks, and say how much of it rests on measured layers.

    Example: mnaslat predict mnasnet-a1 mobilenet-v2
    """
    from mnaslat.cli.predictors import find_predictor

    found, path = find_predictor(open_workspace(workspace), predictor)
    from_space = open_space(space, resolution=resolution or 224)
    architectures = [read_architecture(text, from_space, resolution) for text in models]
    rows: list[dict[str, Any]] = []
    for text, architecture, prediction in zip(
        models, architectures, found.predict(architectures), strict=True
    ):
        low_ms, high_ms = found.predict_interval_ms(architecture)
        rows.append(
            {
                "model": text,
                "predicted_ms": prediction.latency_ms,
                "low_ms": low_ms if math.isfinite(high_ms) else None,
                "high_ms": high_ms if math.isfinite(high_ms) else None,
                "measured_share": prediction.measured_share,
            }
        )
    if json:
        print_json({"predictor": str(path), "models": rows})
        return
    print(f"{path.name}: {found.configuration.fingerprint}, {found.configuration.precision}")
    for row in rows:
        interval = "no interval: calibrate on more networks"
        if row["high_ms"] is not None:
            interval = f"90 % within {row['low_ms']:.3f}-{row['high_ms']:.3f} ms"
        print(
            f"  {_shortened(row['model']):24} {row['predicted_ms']:8.3f} ms   {interval}   "
            f"{row['measured_share']:.0%} from measured layers"
        )


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


def export(
    model: ModelArgument,
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
    from mnaslat.lowering import lower

    architecture = read_architecture(model, open_space(space), resolution)
    if format not in ("tflite", "torch"):
        raise typer.BadParameter(
            f"{format!r} is not a format; tflite or torch.", param_hint="--format"
        )
    with usage("--precision"):
        if precision != "fp32":
            raise ValueError(f"Only fp32 can be written now, not {precision!r}.")
        graph = lower(architecture)
    import torch

    from mnaslat.network import Network
    from mnaslat.tflite import write_tflite

    torch.manual_seed(seed)
    network = Network(graph, dropout=architecture.dropout).eval()
    output.parent.mkdir(parents=True, exist_ok=True)
    if format == "tflite":
        output.write_bytes(write_tflite(graph, network.folded_weights()))
    else:
        torch.save(
            {"architecture": architecture.to_json(), "state_dict": network.state_dict()}, output
        )
    if json:
        print_json({"output": str(output), "bytes": output.stat().st_size, "format": format})
    else:
        print(f"Wrote {output} ({output.stat().st_size:,} bytes, untrained weights).")


MODELS = (space, model, predict, export)
