"""A found network as files: block strings in JSON, a ``.tflite``, a torch module."""

import io
import json
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.files import replace_file
from mnaslat.lowering import lower
from mnaslat.tflite import write_tflite

if TYPE_CHECKING:
    from mnaslat.network import Network


def random_network(architecture: Architecture, seed: int) -> "Network":
    """The torch module of an architecture as a training starts with it."""
    import torch

    from mnaslat.network import Network

    with torch.random.fork_rng(devices=[]):  # initialisation draws from the global generator
        torch.manual_seed(seed)
        return Network(lower(architecture), dropout=architecture.dropout)


def torch_bytes(architecture: Architecture, network: "Network") -> bytes:
    """A network as the file that `load_winner` reads."""
    import torch

    content = io.BytesIO()
    torch.save(
        {"architecture": architecture.to_json(), "state_dict": network.state_dict()}, content
    )
    return content.getvalue()


def write_winner(folder: Path, name: str, architecture: Architecture, seed: int) -> None:
    """Write ``NAME.json`` (the architecture), ``NAME.tflite`` and ``NAME.pt``.

    The weights are random, the same in both: the ``.tflite`` is for measuring, the module of
    ``NAME.pt`` (to be read with `load_winner`) starts as a training does.
    """
    network = random_network(architecture, seed)
    replace_file(folder / f"{name}.pt", torch_bytes(architecture, network))
    tflite = write_tflite(network.graph, network.eval().folded_weights())
    replace_file(folder / f"{name}.tflite", tflite)
    replace_file(folder / f"{name}.json", json_bytes(architecture.to_json()))


def load_winner(path: str | PathLike[str]) -> "Network":
    """Load the winner of a search as a torch module.

    Its input are images of shape ``(batch, channels, height, width)``, its output logits of shape
    ``(batch, classes)``.

    Args:
        path: The folder of a run (of several winners the one at the highest target is taken), a
            file ``winner.pt``, or a file of ``mnaslat export --format torch``.

    Raises:
        SearchError: If there is no winner, or the file cannot be read or is no such file.
    """
    from mnaslat.network import Network
    from mnaslat.search.tensor_file import load_checkpoint

    path = _winner_file(Path(path))
    state = load_checkpoint(path)
    try:
        architecture = Architecture.from_json(state["architecture"])
        network = Network(lower(architecture), dropout=architecture.dropout)
        network.load_state_dict(state["state_dict"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise SearchError(f"{path} does not hold a network with its weights: {error}") from error
    return network


def _winner_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    by_target = {}
    for file in path.glob("winner*.pt"):
        named = re.fullmatch(r"winner(?:-([0-9.e+-]+)ms)?", file.stem)
        if named:
            by_target[float(named[1] or 0.0)] = file
    if not by_target:
        raise SearchError(
            f"There is no winner in {path}. Name the folder of a search that has ended, or a file "
            "winner.pt."
        )
    return by_target[max(by_target)]


def json_bytes(data: dict[str, Any]) -> bytes:
    """Write a JSON document."""
    return (json.dumps(data, indent=2) + "\n").encode()
