"""The torch module computes what the graph says, with TensorFlow's padding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import (
    BATCH_NORM_EPSILON,
    Network,
    OpWeights,
    run_graph,
    torch_weight_shape,
)
from mnaslat.zoo import load_network


def _count_up(size: int) -> Tensor:
    """A one-channel image whose pixels are 0, 1, 2, ... row by row."""
    return torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)


def _calibrated(graph: Graph, n_images: int = 8, seed: int = 0) -> tuple[Network, Tensor]:
    """A network whose running statistics are those of the returned images."""
    torch.manual_seed(seed)
    net = Network(graph)
    height, width, channels = graph.input_shape
    images = torch.randn(n_images, channels, height, width)
    with torch.no_grad():
        run_graph(graph, images, net.op_weights(), training=True, momentum=1.0)
    return net.eval(), images


# --- Padding ---------------------------------------------------------------------------------

# Sums of the pixels under a window of ones. At stride 2 on 4 x 4, SAME pads 1 (kernel 3) or 3
# (kernel 5) pixels in all, the odd one below and to the right; on 5 x 5 both sides get 1 or 2.
_SUMS = {
    (4, 3): [[45, 39], [66, 50]],
    (5, 3): [[12, 27, 24], [63, 108, 81], [72, 117, 84]],
    (4, 5): [[120, 96], [114, 90]],
    (5, 5): [[54, 105, 72], [165, 300, 195], [144, 255, 162]],
}


@pytest.mark.parametrize(("size", "kernel"), _SUMS)
@pytest.mark.parametrize("kind", ["conv", "dwconv"])
def test_same_padding_at_stride_2_worked_out_by_hand(size: int, kernel: int, kind: str) -> None:
    filters = ">1" if kind == "conv" else ""
    graph = Graph.parse(f"fp32 {size}x{size}x1 {kind}{kernel}x{kernel}/2{filters}")
    ones = OpWeights(torch.ones(1, 1, kernel, kernel), bias=torch.zeros(1))
    result = run_graph(graph, _count_up(size), [ones])
    assert result[0, 0].tolist() == _SUMS[size, kernel]


def test_height_and_width_are_padded_each_for_itself() -> None:
    graph = Graph.parse("fp32 4x5x1 conv3x3/2>1")  # even height: below only; odd width: both sides
    image = torch.arange(20, dtype=torch.float32).view(1, 1, 4, 5)
    ones = OpWeights(torch.ones(1, 1, 3, 3), bias=torch.zeros(1))
    # Rows 0-2, then 2-3; columns 0-1, 1-3, 3-4.
    expected = [[33, 63, 51], [52, 87, 64]]
    assert run_graph(graph, image, [ones])[0, 0].tolist() == expected


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_stride_1_keeps_the_size_and_the_centre(kernel: int) -> None:
    graph = Graph.parse(f"fp32 6x6x1 conv{kernel}x{kernel}>1")
    weight = torch.zeros(1, 1, kernel, kernel)
    weight[0, 0, kernel // 2, kernel // 2] = 1.0
    image = _count_up(6)
    assert torch.equal(run_graph(graph, image, [OpWeights(weight, bias=torch.zeros(1))]), image)


@given(st.integers(1, 12), st.sampled_from([1, 3, 5, 7]), st.integers(1, 3))
def test_sizes_are_those_of_the_graph(size: int, kernel: int, stride: int) -> None:
    text = f"conv{kernel}x{kernel}" + (f"/{stride}" if stride > 1 else "") + ">2"
    graph = Graph.parse(f"fp32 {size}x{size}x1 {text}")
    own = OpWeights(torch.ones(2, 1, kernel, kernel), bias=torch.zeros(2))
    height, width, channels = graph.output_shape
    assert run_graph(graph, _count_up(size), [own]).shape == (1, channels, height, width)


def test_average_pool_leaves_out_pixels_outside_the_image() -> None:
    graph = Graph.parse("fp32 3x3x1 avg_pool3x3")
    pooled = run_graph(graph, _count_up(3), [None])
    assert pooled[0, 0].tolist() == [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]]


# --- Ops -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ("logistic", [0.5, 1 / (1 + np.exp(-8.0))]),
        ("logistic:relu", [0.5, 1 / (1 + np.exp(-8.0))]),
        ("add@0,0", [0.0, 16.0]),
        ("add:relu6@0,0", [0.0, 6.0]),
        ("mul@0,0", [0.0, 64.0]),
        ("mean", [4.0]),
        ("mean mul@0,1", [0.0, 32.0]),
    ],
)
def test_small_ops_worked_out_by_hand(ops: str, expected: list[float]) -> None:
    graph = Graph.parse(f"fp32 1x2x1 {ops}")
    image = torch.tensor([[[[0.0, 8.0]]]])
    result = run_graph(graph, image, [None] * len(ops.split()))
    assert result.flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_relu_and_relu6_clip_where_they_should() -> None:
    image = torch.tensor([[[[-1.0, 3.0, 8.0]]]])
    one = OpWeights(torch.ones(1, 1, 1, 1), bias=torch.zeros(1))
    for activation, expected in (("", [-1, 3, 8]), (":relu", [0, 3, 8]), (":relu6", [0, 3, 6])):
        graph = Graph.parse(f"fp32 1x3x1 conv1x1>1{activation}")
        assert run_graph(graph, image, [one]).flatten().tolist() == expected


def test_global_pool_and_linear() -> None:
    graph = Graph.parse("fp32 2x2x2 global_pool linear>2")
    image = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])  # means 3 and 1
    dense = OpWeights(torch.tensor([[1.0, 10.0], [0.0, -1.0]]), bias=torch.tensor([0.5, 0.0]))
    assert run_graph(graph, image, [None, dense]).tolist() == [[13.5, -1.0]]


def test_batch_norm_worked_out_by_hand() -> None:
    graph = lower(load_network("mnasnet-small", resolution=32)).layer_graphs()[0]
    conv = graph.layers[0].ops[0]
    assert conv.norm
    # The weight is zero, so the convolution gives 0: (0 - 4) * 3 / sqrt(v + eps) + 20 = 8.
    own = OpWeights(
        torch.zeros(8, 3, 3, 3),
        scale=torch.full((8,), 3.0),
        shift=torch.full((8,), 20.0),
        running_mean=torch.full((8,), 4.0),
        running_var=torch.full((8,), 1.0 - BATCH_NORM_EPSILON),
    )
    result = run_graph(graph, torch.zeros(1, 3, 32, 32), [own])
    torch.testing.assert_close(result, torch.full((1, 8, 16, 16), 8.0))


def test_wrong_images_and_missing_weights_are_refused() -> None:
    graph = Graph.parse("fp32 8x8x3 conv1x1>4")
    with pytest.raises(ValueError, match=r"takes \(batch, 3, 8, 8\), got \(1, 8, 8, 3\)"):
        run_graph(graph, torch.zeros(1, 8, 8, 3), [None])
    with pytest.raises(ValueError, match="conv needs weights, got none"):
        run_graph(graph, torch.zeros(1, 3, 8, 8), [])


# --- Weights and training --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v2", "mnasnet-small"])
def test_a_network_has_the_parameters_that_its_graph_counts(name: str) -> None:
    graph = lower(load_network(name))
    assert sum(one.numel() for one in Network(graph).parameters()) == graph.n_params


def test_folding_worked_out_by_hand() -> None:
    graph = lower(load_network("mnasnet-small", resolution=8)).layer_graphs()[0]
    net = Network(graph)
    (own,) = net.op_weights()
    assert own is not None and own.scale is not None and own.shift is not None
    assert own.running_mean is not None and own.running_var is not None
    with torch.no_grad():
        own.weight.fill_(2.0)
        own.scale.fill_(3.0)
        own.shift.fill_(0.5)
        own.running_mean.fill_(4.0)
        own.running_var.fill_(1.0 - BATCH_NORM_EPSILON)
    (folded,) = net.folded_weights()
    assert folded is not None
    weight, bias = folded
    assert weight.shape == (8, 3, 3, 3) and weight.dtype == bias.dtype == np.float32
    assert weight == pytest.approx(np.full((8, 3, 3, 3), 6.0), rel=1e-6)  # 2 * 3 / 1
    assert bias == pytest.approx(np.full(8, -11.5), rel=1e-6)  # 0.5 - 4 * 3 / 1


def test_folded_weights_compute_the_same_network() -> None:
    graph = lower(load_network("mnasnet-a1", resolution=40))
    net, images = _calibrated(graph)
    as_torch: list[OpWeights | None] = []
    for shaped, folded in zip(graph.shaped_ops(), net.folded_weights(), strict=True):
        if folded is None:
            as_torch.append(None)
            continue
        weight, bias = (torch.from_numpy(array) for array in folded)
        assert tuple(weight.shape) == shaped.weight_shape
        if shaped.op.kind == "conv":
            weight = weight.permute(0, 3, 1, 2)
        elif shaped.op.kind == "dwconv":
            weight = weight.permute(2, 0, 1)[:, None]
        assert tuple(weight.shape) == torch_weight_shape(shaped)
        as_torch.append(OpWeights(weight, bias=bias))
    without_norm = Graph.parse(graph.signature)
    with torch.no_grad():
        expected, result = net(images), run_graph(without_norm, images, as_torch)
    assert (result - expected).square().mean().sqrt() < 1e-4 * expected.std(0).mean()


def test_training_updates_running_statistics_and_evaluation_does_not() -> None:
    graph = lower(load_network("mnasnet-small", resolution=32)).layer_graphs()[0]
    net = Network(graph)
    (own,) = net.op_weights()
    assert own is not None and own.running_mean is not None
    images = torch.ones(4, 3, 32, 32)
    with torch.no_grad():
        net.eval()(images)
        assert torch.equal(own.running_mean, torch.zeros(8))
        raw = torch.nn.functional.conv2d(
            torch.nn.functional.pad(images, (0, 1, 0, 1)), own.weight, stride=2
        )
        net.train()(images)
        # One hundredth of the batch's mean: TensorFlow's momentum 0.99.
        torch.testing.assert_close(own.running_mean, 0.01 * raw.mean((0, 2, 3)))
        run_graph(graph, images, net.op_weights(), training=True, momentum=1.0)
        torch.testing.assert_close(own.running_mean, raw.mean((0, 2, 3)))


def test_dropout_acts_on_the_classifier_in_training_only() -> None:
    graph = Graph.parse("fp32 1x1x1000 global_pool linear>1")
    net = Network(graph, dropout=0.5)
    with torch.no_grad():
        (_, dense) = net.op_weights()
        assert dense is not None
        dense.weight.fill_(1.0)
        ones = torch.ones(1, 1000, 1, 1)
        assert net.eval()(ones).item() == 1000.0
        torch.manual_seed(0)
        dropped = net.train()(ones).item() / 2  # what is kept counts double
        assert dropped == int(dropped) and 400 < dropped < 600


def test_the_state_of_a_network_is_all_it_needs() -> None:
    graph = lower(load_network("mnasnet-small", resolution=32))
    net, images = _calibrated(graph)
    other = Network(graph).eval()
    with torch.no_grad():
        assert not torch.equal(other(images), net(images))
        other.load_state_dict(net.state_dict())
        assert torch.equal(other(images), net(images))
    assert "block2_0_depthwise.running_mean" in {
        name.removeprefix("weights.") for name in net.state_dict()
    }


def test_every_weight_learns() -> None:
    net, images = _calibrated(lower(load_network("mnasnet-a1", resolution=32)), n_images=4)
    net.train()(images).square().sum().backward()
    without = [name for name, one in net.named_parameters() if one.grad is None]
    assert not without


def test_initial_weights_are_those_of_the_official_code() -> None:
    torch.manual_seed(0)
    net = Network(lower(load_network("mnasnet-a1")))
    by_name = dict(zip(net.names, net.op_weights(), strict=True))
    expand, depthwise = by_name["block6_1_expand"], by_name["block6_1_depthwise"]
    classifier = by_name["head_classifier"]
    assert expand is not None and depthwise is not None and classifier is not None
    assert expand.weight.std().item() == pytest.approx((2 / 960) ** 0.5, rel=0.02)
    assert depthwise.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert classifier.weight.abs().max().item() == pytest.approx(1000**-0.5, rel=1e-3)
