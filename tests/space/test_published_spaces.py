"""The spaces of Accel-NASBench and NAS-Bench-Macro are those that were published."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors import TablePredictor
from mnaslat.predictors.compiled.space_layers import space_layers
from mnaslat.space import SearchSpace, load_space
from mnaslat.tflite import random_weights, write_tflite
from mnaslat.zoo import load_network
from tests.command_line import CommandLine

NAMES = ("accel-nasbench", "nas-bench-macro")

# Expansion, kernel, layers and SE (0 or 1) of the blocks: multiply-adds and parameters of rows of
# the published table.
ANB_ROWS = {
    "6310 4520 6330 6530 6520 1320 1320": (415_361_072, 2_501_160),
    "1520 6320 1510 1530 1320 4530 1530": (199_703_840, 2_833_144),
    "1530 1320 4531 6330 6510 6530 6310": (287_642_112, 3_837_178),
    "6330 1320 6531 6331 1520 1311 4321": (494_862_512, 3_614_584),
    "1521 6530 4531 1331 4310 4541 1531": (314_499_704, 3_633_820),
}
# Published parameters and multiply-adds.
MACRO_ROWS = {
    "00000000": (387_882, 7_713_280),
    "00000001": (791_594, 14_115_328),
    "01001101": (1_042_026, 31_611_392),
    "10201012": (1_811_722, 47_768_064),
    "11111111": (1_588_874, 53_246_464),
    "12012012": (2_014_602, 67_092_992),
    "22212220": (1_985_514, 85_164_544),
    "22222222": (2_932_586, 105_660_928),
}


@pytest.fixture(scope="module", params=NAMES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Either of the two, as published."""
    return load_space(request.param)


def anb_network(text: str) -> Architecture:
    """A network from its published digits."""
    space = load_space("accel-nasbench")
    digits = [int(digit) for block in text.split() for digit in block]
    chosen = [digit * (0.25 if place % 4 == 3 else 1) for place, digit in enumerate(digits)]
    return space.decode(
        [
            decision.choices.index(choice)
            for decision, choice in zip(space.decisions, chosen, strict=True)
        ]
    )


def macro_network(text: str) -> Architecture:
    """A network from its published string."""
    return load_space("nas-bench-macro").decode([int(digit) for digit in text])


# --- Accel-NASBench --------------------------------------------------------------------------


def test_accel_nasbench_has_its_published_size() -> None:
    # Three expansions, two kernels, SE or not, and three numbers of layers; four in block 6.
    assert load_space("accel-nasbench").size == (3 * 2 * 2 * 3) ** 6 * (3 * 2 * 2 * 4)


@pytest.mark.parametrize("text", ANB_ROWS)
def test_accel_nasbench_networks_have_their_published_parameters(text: str) -> None:
    assert lower(anb_network(text)).n_params == ANB_ROWS[text][1]


@pytest.mark.parametrize("text", ANB_ROWS)
def test_accel_nasbench_counted_more_than_multiply_adds(text: str) -> None:
    graph = lower(anb_network(text))
    assert graph.madds + _other_operations(graph) == ANB_ROWS[text][0]


def _other_operations(graph: Graph) -> int:
    """Four for a value that is batch-normalised; one for a value summed up, and for a mean."""
    count = 0
    for shaped in graph.shaped_ops():
        if shaped.op.norm:
            count += 4 * math.prod(shaped.output)
        if shaped.op.kind in ("mean", "global_pool"):
            count += math.prod(shaped.inputs[0]) + math.prod(shaped.output)
    return count


def test_other_filters_are_no_point_of_accel_nasbench() -> None:
    with pytest.raises(ValueError, match="Not a point of space accel-nasbench"):
        load_space("accel-nasbench").encode(load_network("mobilenet-v2"))


# --- NAS-Bench-Macro -------------------------------------------------------------------------


@pytest.mark.parametrize("text", MACRO_ROWS)
def test_macro_networks_have_their_published_parameters_and_multiply_adds(text: str) -> None:
    graph = lower(macro_network(text))
    assert (graph.n_params, graph.madds) == MACRO_ROWS[text]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("00000001", "00000010"),  # an identity stands for nothing, wherever it stands
        ("10201012", "10210012"),
        ("01001101", "01010110"),  # what halves the image stays where it is
        ("22212220", "22212220"),
    ],
)
def test_macro_rows_of_one_network_are_read_back_as_its_published_name(
    text: str, canonical: str
) -> None:
    space = load_space("nas-bench-macro")
    assert macro_network(text) == macro_network(canonical)
    assert "".join(map(str, space.encode(macro_network(text)))) == canonical


def test_macro_has_3969_different_networks() -> None:
    space = load_space("nas-bench-macro")
    assert space.size == 3**8
    rows = np.stack(np.unravel_index(np.arange(3**8), [3] * 8), axis=1)
    assert len({space.decode(row) for row in rows}) == 3969


def test_a_macro_network_is_for_small_images_and_ten_classes() -> None:
    graph = lower(macro_network("22222222"))
    assert graph.input_shape == (32, 32, 3)
    assert graph.output_shape == (10,)
    sizes = [layer.output_shape[:2] for layer in graph.layers]
    assert sizes == [(32, 32), *[(16, 16)] * 2, *[(8, 8)] * 3, *[(4, 4)] * 3, (10,)]


# --- Both ------------------------------------------------------------------------------------


@given(st.sampled_from(NAMES), st.sampled_from([0.35, 1.0, 1.4]), st.integers(0, 2**32 - 1))
def test_a_network_is_read_back(name: str, width: float, seed: int) -> None:
    space = load_space(name, width=width, resolution=48, n_classes=7)
    network = space.decode(space.sample(1, np.random.default_rng(seed))[0])
    assert (network.resolution, network.n_classes) == (48, 7)
    assert space.decode(space.encode(network)) == network
    assert Architecture.from_json(network.to_json()) == network


def test_the_other_spaces_networks_are_refused() -> None:
    macro, anb = load_space("nas-bench-macro"), load_space("accel-nasbench")
    with pytest.raises(ValueError, match="Not a point of Accel-NASBench's space: it has 8 blocks"):
        anb.encode(macro.decode([0] * 8))
    with pytest.raises(ValueError, match="Not a point of NAS-Bench-Macro's space: it has 7 blocks"):
        macro.encode(anb.decode([0] * 28))
    larger = load_space("nas-bench-macro", resolution=64)
    with pytest.raises(ValueError, match="stem, head, strides, resolution or classes differ"):
        macro.encode(larger.decode([2] * 8))


def test_compiled_latencies_are_those_of_the_networks(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    table = LatencyTable(
        Configuration(device="host", fingerprint="made-up CPU"),
        {
            layer.signature: Row(float(rng.uniform(0.1, 5.0)))
            for layer in space_layers(space, "fp32").graphs
        },
    )
    predictor = TablePredictor(table)
    rows = space.sample(100, rng)
    networks = [space.decode(row) for row in rows]
    assert predictor.compile(space)(rows) == pytest.approx(predictor.predict_ms(networks), rel=1e-6)


def test_every_layer_of_the_space_is_listed(space: SearchSpace) -> None:
    listed = space.layer_frequencies()
    for row in space.sample(100, np.random.default_rng(1)):
        assert set(lower(space.decode(row)).layer_signatures) <= listed.keys()


def test_networks_are_written_as_files(space: SearchSpace) -> None:
    graph = lower(space.decode(space.sample(1, np.random.default_rng(2))[0]))
    assert write_tflite(graph, random_weights(graph, seed=0))[4:8] == b"TFL3"


def test_the_command_line_knows_the_spaces(cli: CommandLine) -> None:
    shown = cli.json("space", "nas-bench-macro")
    assert (shown["size"], len(shown["decisions"])) == (6561, 8)
    counted = cli.json("model", "2,2,2,1,2,2,2,0", "--space", "nas-bench-macro")
    assert (counted["params"], counted["madds"]) == MACRO_ROWS["22212220"]
    assert cli.json("space", "accel-nasbench")["size"] == load_space("accel-nasbench").size
