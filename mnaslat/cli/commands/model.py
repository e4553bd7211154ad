"""The command ``model``."""

from typing import TYPE_CHECKING

from mnaslat.cli.options import (
    JsonOption,
    ModelArgument,
    OptionalResolution,
    PredictorOption,
    SpaceOption,
    UnknownOption,
    on_unknown,
    open_space,
)
from mnaslat.cli.terminal import print_json

if TYPE_CHECKING:
    from mnaslat.graph import Precision
    from mnaslat.workflow.predictor_library import NetworkPredictor


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
    from mnaslat.workflow.networks import read_network
    from mnaslat.workflow.predictor_library import open_predictor

    meaning = on_unknown(unknown)
    found: NetworkPredictor | None = None
    precision: Precision = "fp32"
    if predictor is not None:
        found = open_predictor(predictor)
        precision = found.configuration.precision
    network = read_network(
        model, open_space(space), resolution=resolution, precision=precision, unknown=meaning
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
