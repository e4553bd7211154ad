"""What a block is made of, written out by hand: the one place that knows is the lowering."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.architecture import Architecture, Block
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.zoo import load_network


def _first_layer(block: str, activation: str = "relu") -> Graph:
    settings = {"resolution": 28, "head_filters": 8, "n_classes": 2, "activation": activation}
    return lower(Architecture.from_blocks([block], **settings)).layer_graphs()[1]


@pytest.mark.parametrize(
    ("block", "ops"),
    [
        ("r1_k3_s11_e1_i8_o16_conv", "conv3x3>16:relu"),
        ("r1_k5_s22_e1_i8_o8_conv", "conv5x5/2>8:relu"),
        ("r1_k3_s11_e1_i8_o8_conv", "conv3x3>8:relu add@0,1"),
        ("r1_k3_s11_e1_i8_o8_conv_pool", "conv3x3>8:relu avg_pool3x3@0 add@2,1"),
        (
            "r1_k3_s11_e1_i8_o16_se0.25_conv",
            "conv3x3>16:relu mean conv1x1>2:relu conv1x1>16 logistic mul@1,5",
        ),
        ("r1_k1_s22_e1_i8_o16_project", "conv1x1/2>16"),
        ("r1_k3_s11_e1_i8_o8_project", "conv3x3>8 add@0,1"),
        ("r1_k3_s11_e1_i8_o16", "dwconv3x3:relu conv1x1>16"),
        ("r1_k3_s11_e1_i8_o8_noskip", "dwconv3x3:relu conv1x1>8"),
        (
            "r1_k5_s11_e1_i8_o16_se0.25",
            "dwconv5x5:relu mean conv1x1>2:relu conv1x1>8 logistic mul@1,5 conv1x1>16",
        ),
        ("r1_k3_s22_e6_i8_o8", "conv1x1>48:relu dwconv3x3/2:relu conv1x1>8"),
        ("r1_k3_s11_e6_i8_o8", "conv1x1>48:relu dwconv3x3:relu conv1x1>8 add@0,3"),
        (
            "r1_k3_s11_e6_i8_o8_pool",
            "conv1x1>48:relu dwconv3x3:relu conv1x1>8 avg_pool3x3@0 add@4,3",
        ),
    ],
)
def test_layers_written_out_by_hand(block: str, ops: str) -> None:
    assert _first_layer(block).signature == f"fp32 14x14x8 {ops}"


def test_relu6_networks_keep_relu_inside_squeeze_and_excitation() -> None:
    assert _first_layer("r1_k3_s11_e3_i8_o16_se0.25", "relu6").signature == (
        "fp32 14x14x8 conv1x1>24:relu6 dwconv3x3:relu6 mean conv1x1>2:relu conv1x1>24 logistic "
        "mul@2,6 conv1x1>16"
    )


def test_batch_norm_follows_every_convolution_but_those_of_se() -> None:
    ops = [shaped.op for shaped in _first_layer("r1_k3_s11_e3_i8_o16_se0.25").shaped_ops()]
    assert {op.name: op.norm for op in ops if op.kind in ("conv", "dwconv")} == {
        "expand": True,
        "depthwise": True,
        "se_reduce": False,
        "se_expand": False,
        "project": True,
    }


def test_stem_and_head() -> None:
    layers = lower(load_network("mnasnet-a1")).layer_signatures
    assert layers[0] == "fp32 224x224x3 conv3x3/2>32:relu"
    assert layers[-1] == "fp32 7x7x320 conv1x1>1280:relu global_pool linear>1000"


def test_places_count_blocks_from_1_and_layers_from_0() -> None:
    graph = lower(Architecture.from_blocks(["r2_k3_s11_e1_i8_o8", "r1_k3_s22_e6_i8_o16"]))
    assert graph.places == ("stem", "block1.0", "block1.1", "block2.0", "head")


def test_the_precision_is_passed_on() -> None:
    graph = lower(load_network("mnasnet-small"), "int8")
    assert graph.precision == "int8"
    assert all(signature.startswith("int8 ") for signature in graph.layer_signatures)


def test_a1_sizes_halve_with_each_stride() -> None:
    graph = lower(load_network("mnasnet-a1"))
    sizes = {
        place: layer.output_shape[0]
        for place, layer in zip(graph.places, graph.layers, strict=True)
        if place.endswith(".0")
    }
    assert list(sizes.values()) == [112, 56, 28, 14, 14, 7, 7]


@given(
    st.integers(1, 6),
    st.sampled_from([3, 5]),
    st.sampled_from([1, 2]),
    st.sampled_from(["_conv", "_conv_pool", "", "_pool", "_noskip"]),
    st.sampled_from(["", "_se0.25"]),
    st.integers(16, 65),
)
def test_a_network_has_a_layer_per_layer_and_ends_in_its_classes(
    n_layers: int, kernel: int, stride: int, suffix: str, se: str, resolution: int
) -> None:
    text = f"r{n_layers}_k{kernel}_s{stride}{stride}_e1_i8_o16{se}{suffix}"
    graph = lower(Architecture.from_blocks([text], resolution=resolution, n_classes=7))
    assert len(graph.layers) == n_layers + 2
    assert graph.output_shape == (7,)
    halved = -(-resolution // 2)
    assert graph.layers[1].output_shape == (-(-halved // stride), -(-halved // stride), 16)
    assert Block.parse(text).n_layers == n_layers


def test_a_block_that_is_left_out_keeps_the_numbers_of_the_others() -> None:
    blocks = ["r1_k3_s11_e1_i8_o16", "r0_k3_s11_e1_i16_o16", "r2_k3_s22_e3_i16_o24"]
    graph = lower(Architecture.from_blocks(blocks, resolution=32))
    assert graph.places == ("stem", "block1.0", "block3.0", "block3.1", "head")
    without = lower(Architecture.from_blocks([blocks[0], blocks[2]], resolution=32))
    assert graph.signature == without.signature


def test_a_stem_of_stride_1_keeps_the_size() -> None:
    settings = {"resolution": 32, "stem_stride": 1}
    graph = lower(Architecture.from_blocks(["r1_k3_s11_e1_i8_o16"], **settings))
    assert graph.layers[0].output_shape == (32, 32, 8)
    assert graph.layer_signatures[0] == "fp32 32x32x3 conv3x3>8:relu"
