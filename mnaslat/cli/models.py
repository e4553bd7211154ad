"""Commands about networks as data: space, model, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnaslat.cli.networks import UnknownOption, names_code, on_unknown, read_network
from mnaslat.cli.options import (
    SPACES,
    JsonOption,
    PredictorOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    WidthOption,
    open_space,
    print_json,
    read_architecture,
    usage,
)

if TYPE_CHECKING:
    from mnaslat.graph import Precision
    from mnaslat.predictors.network_predictor import NetworkPredictor

_MODEL = (
    "A published network (mnasnet-a1, mobilenet-v2@0.75), comma-separated tokens of the space, or "
    "an architecture's JSON file"
)
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help=f"{_MODEL}; a .tflite file; or FILE.py:FUNCTION or MODULE:FUNCTION, which is run, so "
        "name only code you trust: it returns a torch module.",
    ),
]
ArchitectureArgument = Annotated[str, typer.Argument(metavar="MODEL", help=f"{_MODEL}.")]
OptionalResolution = Annotated[
    int | None,
    typer.Option("--resolution", min=8, max=1024, help="Pixels; the network's own if left out."),
]


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


def model(
    model: ModelArgument,
    predictor: PredictorOption = None,
    space: SpaceOption = "mnasnet",
    resolution: OptionalResolution = None,
    unknown: UnknownOption = "error",
    json: JsonOption = False,
) -> None:
    """Count a network: parameters, multiply-adds, layers; its latency if a predictor is named.

    Example: mnaslat model mnasnet-a1 --json
    """
    from mnaslat.architecture import Architecture
    from mnaslat.lowering import lower

    meaning = on_unknown(unknown)
    found: NetworkPredictor | None = None
    precision: Precision = "fp32"
    if predictor is not None:
        from mnaslat.predictors.network_predictor import open_predictor

        found = open_predictor(predictor)
        precision = found.configuration.precision
    network = read_network(
        model, open_space(space), resolution, precision=precision, unknown=meaning
    )
    graph = lower(network) if isinstance(network, Architecture) else network
    predicted_ms = None if found is None else found.predict_ms(network)
    if json:
        layers = [
            {
                "place": place,
                "layer": layer.label or layer.text_alone,
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
                "architecture": network.to_json() if isinstance(network, Architecture) else None,
                "layers": layers,
            }
        )
        return
    print(f"{model} at {graph.input_shape[0]} px")
    print(f"  parameters     {graph.n_params:,}")
    print(f"  multiply-adds  {graph.madds / 1e6:,.1f} M")
    if predicted_ms is not None:
        print(f"  latency        {predicted_ms:.3g} ms (predicted)")
    for place, layer in zip(graph.places, graph.layers, strict=True):
        madds = sum(shaped.madds for shaped in layer.shaped_ops) / 1e6
        print(f"  {place:10} {layer.label or layer.text_alone:38} {madds:8.2f} M")


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
    with usage("MODEL"):
        if model.endswith(".tflite") or names_code(model):
            raise ValueError(
                f"Only architectures can be written (a name, tokens, a JSON file), not {model}. "
                "`mnaslat model` and `mnaslat predict` read such networks."
            )
    architecture = read_architecture(model, open_space(space), resolution)
    if format not in ("tflite", "torch"):
        raise typer.BadParameter(
            f"{format!r} is not a format; tflite or torch.", param_hint="--format"
        )
    with usage("--precision"):
        if precision != "fp32":
            raise ValueError(f"Only fp32 can be written now, not {precision!r}.")
    from mnaslat.search.run.artifacts import random_network, torch_bytes
    from mnaslat.tflite import write_tflite

    with usage("MODEL"):
        network = random_network(architecture, seed).eval()
    output.parent.mkdir(parents=True, exist_ok=True)
    if format == "tflite":
        output.write_bytes(write_tflite(network.graph, network.folded_weights()))
    else:
        output.write_bytes(torch_bytes(architecture, network))
    if json:
        print_json({"output": str(output), "bytes": output.stat().st_size, "format": format})
    else:
        print(f"Wrote {output} ({output.stat().st_size:,} bytes, untrained weights).")


MODELS = (space, model, export)
