"""Importers, writer and network know every kind of operation, or a list says which they lack."""

import ast
from pathlib import Path

import pytest

from mnaslat import network
from mnaslat.graph import KINDS
from mnaslat.tflite import writer

ROOT = Path(__file__).resolve().parents[2] / "mnaslat"
# A new kind that only one of the importers can make is listed for the other.
LACKING: dict[str, set[str]] = {"torch_import": set(), "tflite": set()}


def _named(package: str) -> set[str]:
    """The kinds that the texts in an importer's files name."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / package).glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {kind for kind in KINDS if kind in texts}


@pytest.mark.parametrize("package", LACKING)
def test_an_importer_makes_every_kind_that_it_does_not_lack(package: str) -> None:
    assert _named(package) == KINDS.keys() - LACKING[package]


def test_the_writer_and_the_network_know_what_spaces_are_made_of() -> None:
    of_spaces = {
        "conv", "dwconv", "linear", "avg_pool", "mean", "global_pool", "add", "mul", "logistic",
    }  # fmt: skip
    assert writer._CODES.keys() == network._COMPUTED == of_spaces < KINDS.keys()
