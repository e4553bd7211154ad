"""mnaslat: latency-first neural architecture search for phones.

Public names are loaded when they are first used, so that importing the package stays fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnaslat.architecture import Architecture as Architecture
    from mnaslat.architecture import Block as Block
    from mnaslat.architecture import Layer as Layer
    from mnaslat.errors import MnaslatError as MnaslatError
    from mnaslat.graph import Graph as Graph
    from mnaslat.lowering import lower as lower
    from mnaslat.network import Network as Network
    from mnaslat.predictors import load_predictor as load_predictor
    from mnaslat.space import SearchSpace as SearchSpace
    from mnaslat.space import load_space as load_space
    from mnaslat.tflite import graph_from_tflite as graph_from_tflite
    from mnaslat.tflite import write_tflite as write_tflite
    from mnaslat.torch_import import graph_from_torch as graph_from_torch
    from mnaslat.zoo import load_network as load_network

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "mnaslat.architecture",
    "Block": "mnaslat.architecture",
    "Layer": "mnaslat.architecture",
    "MnaslatError": "mnaslat.errors",
    "Graph": "mnaslat.graph",
    "lower": "mnaslat.lowering",
    "Network": "mnaslat.network",
    "load_predictor": "mnaslat.predictors",
    "SearchSpace": "mnaslat.space",
    "load_space": "mnaslat.space",
    "write_tflite": "mnaslat.tflite",
    "graph_from_tflite": "mnaslat.tflite.importer",
    "graph_from_torch": "mnaslat.torch_import",
    "load_network": "mnaslat.zoo",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnaslat' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
