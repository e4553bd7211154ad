"""Published networks: their counts, exact, against the published and independently made figures.

Counts of parameters: osmr/imgclsmob lists 3,887,038 for MnasNet-A1 and 4,383,312 for B1,
torchvision 3,504,872 for MobileNetV2; the others were counted by hand from the block lists of
tensorflow/tpu, models/official/mnasnet/mnasnet_models.py. Multiply-adds: the same block lists
(the paper rounds A1 to 312 M, the official README small to 68 M).
"""

import pytest

from mnaslat.architecture import Block
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.zoo import load_network, network_names


@pytest.mark.parametrize(
    ("name", "n_params", "madds_m", "n_layers"),
    [
        ("mnasnet-a1", 3_887_038, 311.58, 16),
        ("mnasnet-b1", 4_383_312, 314.42, 17),
        ("mnasnet-small", 2_030_264, 68.34, 15),
        ("mobilenet-v2", 3_504_872, 300.77, 17),
        ("mnasnet-d1", 3_638_404, 967.71, 22),
        ("mnasnet-d1-320", 6_932_240, 3687.92, 28),
        ("mnasnet-a1@0.35", 1_747_018, 61.68, 16),
        ("mobilenet-v2@0.35", 1_677_128, 59.29, 17),
        ("mobilenet-v2@1.4", 6_108_776, 582.2, 17),
    ],
)
def test_counts_of_published_networks(
    name: str, n_params: int, madds_m: float, n_layers: int
) -> None:
    graph = lower(load_network(name))
    assert graph.n_params == n_params
    assert graph.madds / 1e6 == pytest.approx(madds_m, abs=0.01)
    assert len(graph.layers) == n_layers + 2  # and stem and head


# A1's filters with one kind of layer everywhere but in the first block: the paper's Table 6.
@pytest.mark.parametrize(
    ("kernel", "expansion", "n_params", "madds_m"),
    [
        (3, 3, 2_654_240, 186.27),
        (5, 3, 2_712_224, 202.03),
        (3, 6, 3_610_472, 330.31),
        (5, 6, 3_726_440, 361.85),
    ],
)
def test_counts_of_networks_of_one_kind_of_layer(
    kernel: int, expansion: int, n_params: int, madds_m: float
) -> None:
    a1 = load_network("mnasnet-a1")
    texts = [str(a1.blocks[0])]
    for block in a1.blocks[1:]:
        first = block.first
        texts.append(
            f"r{block.n_layers}_k{kernel}_s{first.stride}{first.stride}_e{expansion}"
            f"_i{first.input_filters}_o{first.output_filters}"
        )
    graph = lower(type(a1).from_blocks(texts))
    assert graph.n_params == n_params
    assert graph.madds / 1e6 == pytest.approx(madds_m, abs=0.01)


@pytest.mark.parametrize("name", network_names())
def test_graphs_of_published_networks_survive_their_signature(name: str) -> None:
    graph = lower(load_network(name))
    parsed = Graph.parse(graph.signature)
    assert parsed.signature == graph.signature
    assert parsed.madds == graph.madds
    assert parsed.output_shape == (1000,)


def test_resolution_classes_activation_and_dropout() -> None:
    assert load_network("mnasnet-d1-320").resolution == 320
    assert load_network("mnasnet-d1-320", resolution=96).resolution == 96
    assert load_network("mnasnet-a1").resolution == 224
    assert load_network("mnasnet-a1", n_classes=10).n_classes == 10
    assert load_network("mobilenet-v2").activation == "relu6"
    assert load_network("mnasnet-a1").activation == "relu"
    assert load_network("mnasnet-a1").dropout == 0.2
    assert load_network("mnasnet-small").dropout == 0.0


def test_only_mobilenet_v2_widens_its_head_and_only_above_width_1() -> None:
    assert load_network("mobilenet-v2@1.4").head_filters == 1792
    assert load_network("mobilenet-v2@0.35").head_filters == 1280
    assert load_network("mnasnet-a1@1.4").head_filters == 1280


def test_stem_of_the_small_network_has_8_filters() -> None:
    small = load_network("mnasnet-small")
    assert small.stem_filters == 8
    assert small.blocks[0] == Block.parse("r1_k3_s11_e1_i8_o8")


def test_names_are_read_generously() -> None:
    assert (
        load_network("MnasNet_A1") == load_network("mnasnet-a1") == load_network("mnasnet-a1@1.0")
    )


def test_an_unknown_network_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"^No network named 'resnet'\. Known: mnasnet-a1, .*v2\.$"
    ):
        load_network("resnet")


@pytest.mark.parametrize("width", ["wide", "-1", "0", "1e3", "0.5x"])
def test_a_bad_width_is_refused(width: str) -> None:
    with pytest.raises(ValueError, match="width"):
        load_network(f"mnasnet-a1@{width}")
