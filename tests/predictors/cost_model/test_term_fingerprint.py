"""A file learned on other first guesses of unit costs differs from one on today's."""

import pytest

from mnaslat.graph import KINDS, Graph, Precision
from mnaslat.predictors.cost_model import op_terms as cost_features
from mnaslat.predictors.cost_model import term_fingerprint as cost_fingerprint
from mnaslat.predictors.cost_model.op_terms import Runtime, layer_terms
from mnaslat.predictors.cost_model.term_fingerprint import PROBES, guesses_fingerprint
from mnaslat.predictors.pretrained.library import measured_networks


# Another value makes every file that was ever written unreadable, the shipped ones too: make these
# anew with benchmarks/_make_pretrained.py, and say so in CHANGELOG.md.
@pytest.mark.parametrize(
    ("runtime", "precision", "expected"),
    [
        ("cpu", "fp32", "0b2b25b90bf5f77d"),
        ("cpu", "fp16", "0b2b25b90bf5f77d"),
        ("cpu", "int8", "ab7588c08b9236b5"),
        ("gpu", "fp32", "d2994dca16eda0c5"),
        ("gpu", "fp16", "d2994dca16eda0c5"),
        ("gpu", "int8", "d2994dca16eda0c5"),
    ],
)
def test_the_guesses_are_those_of_all_files(
    runtime: Runtime, precision: Precision, expected: str
) -> None:
    assert guesses_fingerprint(runtime, precision) == expected


def test_probes_have_an_op_of_every_cost() -> None:
    """A new kind that costs what others cost needs no probe, and makes no file unreadable."""
    ops = [op for probe in PROBES for op in Graph.parse(f"fp32 {probe}").shaped_ops()]
    probed = {_guess_of(shaped.op.kind) for shaped in ops}
    assert probed == {_guess_of(kind) for kind in KINDS}


def _guess_of(kind: str) -> tuple[str, str]:
    info = KINDS[kind]
    return (info.cost, info.cost_name or kind)


@pytest.mark.parametrize("runtime", ["cpu", "gpu"])
def test_probes_have_every_cost_that_networks_have(runtime: Runtime) -> None:
    def found(graphs: list[Graph]) -> set[tuple[str, str]]:
        layers = [layer for graph in graphs for layer in graph.layers]
        terms = [term for layer in layers for term in layer_terms(layer, runtime, "fp32")]
        return {(term.family, term.what) for term in terms}

    probes = [Graph.parse(f"fp32 {probe}") for probe in PROBES]
    assert found(list(measured_networks().values())) <= found(probes)


def test_another_guess_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cost_features._WHOLE_NETWORK_MS, "cpu", 0.2)
    changed = cost_fingerprint.guesses_fingerprint.__wrapped__("cpu", "fp32")
    assert changed != guesses_fingerprint("cpu", "fp32")
    assert cost_fingerprint.guesses_fingerprint.__wrapped__("gpu", "fp32") == guesses_fingerprint(
        "gpu", "fp32"
    )
