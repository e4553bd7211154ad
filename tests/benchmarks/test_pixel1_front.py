"""Published networks in a space that has not their every choice, and the drawing of a front."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mnaslat.space import load_space

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[Any, Any]]:
    """``pixel1_front`` and ``_svg``, which are imported as scripts import them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        yield importlib.import_module("pixel1_front"), importlib.import_module("_svg")


def test_mnasnet_a1_keeps_all_but_an_expansion_of_3_and_a_fourth_layer(
    modules: tuple[Any, Any],
) -> None:
    space = load_space("accel-nasbench")
    blocks = space.decode(modules[0].nearest_row(space, "mnasnet-a1")).blocks
    assert [str(block) for block in blocks] == [
        "r1_k3_s11_e1_i32_o16",
        "r2_k3_s22_e6_i16_o24",
        "r3_k5_s22_e4_i24_o40_se0.25",
        "r3_k3_s22_e6_i40_o80",
        "r2_k3_s11_e6_i80_o112_se0.25",
        "r3_k5_s22_e6_i112_o192_se0.25",
        "r1_k3_s11_e6_i192_o320",
    ]


def test_a_drawing_has_every_front_and_every_name(modules: tuple[Any, Any]) -> None:
    svg = modules[1]
    stairs = [svg.Stair([40.0, 60.0], [0.5, 0.6], "found"), svg.Stair([50.0, 70.0], [0.55, 0.62])]
    points = [svg.Point("A < B", 65.0, 0.58)]
    answer = svg.Point("at 62 ms", 62.0, 0.6)
    text = svg.front_drawing(stairs, points, answer, x_title="latency", y_title="accuracy")
    root = ElementTree.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}path")) == 2
    assert len(root.findall(f"{name}circle")) == 2
    labels = [each.text for each in root.findall(f"{name}text")]
    assert {"found", "A < B", "at 62 ms", "latency", "accuracy", "40"} <= set(labels)
