"""Published networks made as slow as another."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def widths() -> Iterator[Any]:
    """The module, which is imported as scripts import it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        yield importlib.import_module("_widths")


def _madds(architectures: Sequence[Architecture]) -> list[float]:
    return [lower(each).madds / 1e6 for each in architectures]


@pytest.mark.parametrize("wanted", [0.3, 1.04, 5.0])
def test_the_width_found_is_the_fastest_that_is_not_faster(widths: Any, wanted: float) -> None:
    candidates = widths.widths_of("mobilenet-v2", 28, 10)
    found = widths.nearest_not_faster(candidates, wanted, _madds)
    enough = [each for each in _madds([each.architecture for each in candidates]) if each >= wanted]
    assert _madds([found.architecture]) == [min(enough)]


def test_each_width_gives_another_network_and_a_wider_one_is_not_smaller(widths: Any) -> None:
    for name in ("mobilenet-v2", "mnasnet-a1"):
        networks = [each.architecture for each in widths.widths_of(name, 28, 10)]
        assert len(set(networks)) == len(networks) > 20
        assert sorted(_madds(networks)) == _madds(networks)


def test_all_widths_too_fast_is_refused(widths: Any) -> None:
    candidates = widths.widths_of("mnasnet-a1", 28, 10)
    with pytest.raises(ValueError, match="widths are faster than 1000"):
        widths.nearest_not_faster(candidates, 1000.0, _madds)
