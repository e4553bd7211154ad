"""``read_network`` and ``export_network``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.architecture import Architecture
from mnaslat.errors import ArgumentError, MnaslatError
from mnaslat.graph import Graph
from tests.workflow.made_up_device import small_space

SPACE = small_space()
SMALL = SPACE.decode([0] * 42)
PLACES: dict[str, Callable[[Path], Any]] = {"path": Path, "text": str}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_network_is_exported_and_read_again(tmp_path: Path, place: Callable[[Path], Any]) -> None:
    path = tmp_path / "new folder" / "small.tflite"
    assert mnaslat.export_network(SMALL, place(path)) == path.stat().st_size
    found = mnaslat.read_network(place(path))
    assert isinstance(found, Graph) and found.madds == mnaslat.lower(SMALL).madds
    architecture = tmp_path / "small.json"
    architecture.write_text(json.dumps(SMALL.to_json()))
    assert mnaslat.read_network(place(architecture)) == SMALL
    weights = tmp_path / "small.pt"
    assert mnaslat.export_network(SMALL, place(weights), format="torch", seed=1) > 0


def test_names_tokens_and_functions_are_read(tmp_path: Path) -> None:
    found = mnaslat.read_network("mnasnet-a1", resolution=160)
    assert isinstance(found, Architecture) and found.resolution == 160
    assert mnaslat.read_network(",".join("0" * 42), SPACE) == SMALL
    made = tmp_path / "nets.py"
    made.write_text("from torch import nn\ndef tiny():\n    return nn.Conv2d(3, 8, 3, padding=1)\n")
    graph = mnaslat.read_network(f"{made}:tiny", resolution=16)
    assert isinstance(graph, Graph) and graph.output_shape == (16, 16, 8)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nope", "Known: mnasnet-a1"),
        ("nope.json", "No such file"),
        ("nope.tflite", "There is no file"),
        ("nope.py:made", "There is no file"),
        ("1,2", "needs 42 whole-number tokens"),
    ],
)
def test_what_names_no_network_says_why(text: str, says: str) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.read_network(text, SPACE)
    assert caught.value.argument == "model"


def test_wrong_arguments_and_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="tflite or torch"):
        mnaslat.export_network(SMALL, tmp_path / "a", format="onnx")
    with pytest.raises(ArgumentError, match="must be an Architecture"):
        mnaslat.export_network(mnaslat.lower(SMALL), tmp_path / "a")  # type: ignore[arg-type]
    with pytest.raises(MnaslatError, match="Cannot write .*Is a directory"):
        mnaslat.export_network(SMALL, tmp_path)
