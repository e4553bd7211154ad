"""Modules made by hand, and what a runtime executes for them, worked out by hand."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name
from torch import Tensor, nn

import mnaslat
from mnaslat.errors import UnsupportedOperation
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import Network, OpWeights, run_graph
from mnaslat.predictors.table.kernel_model import KernelModel
from mnaslat.space import load_space
from mnaslat.tflite import write_tflite
from mnaslat.torch_import import graph_from_torch
from mnaslat.zoo import load_network


class Computes(nn.Module):
    """A module whose forward is any function; ``parts`` are its submodules."""

    def __init__(self, function: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def _ops(module: nn.Module, channels: int = 4, size: int = 8, **settings: Any) -> str:
    """The signature without precision and input shape."""
    graph = graph_from_torch(module, (1, channels, size, size), **settings)
    assert Graph.parse(graph.signature).signature == graph.signature
    return graph.signature.split(" ", 2)[2]


def _of(function: Callable[[Tensor], Any], channels: int = 4, size: int = 8) -> str:
    return _ops(Computes(lambda _, x: function(x)), channels, size)


def _conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


# --- Convolutions and padding ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("conv", "expected"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), "conv3x3>6"),
        (nn.Conv2d(4, 6, 3), "conv3x3+0>6"),
        (nn.Conv2d(4, 6, 1), "conv1x1>6"),
        (nn.Conv2d(4, 6, 1, 2), "conv1x1/2>6"),
        (nn.Conv2d(4, 6, 3, 2, padding=1), "pad+1 conv3x3/2+0>6"),
        (nn.Conv2d(4, 6, (1, 7), padding=(0, 3)), "conv1x7>6"),
        (nn.Conv2d(4, 6, (3, 1), (2, 1)), "conv3x1/2x1+0>6"),
        (nn.Conv2d(4, 6, 3, padding=2, dilation=2), "conv3x3~2>6"),
        (nn.Conv2d(4, 6, 3, padding=0, dilation=(1, 2)), "conv3x3~1x2+0>6"),
        (nn.Conv2d(4, 6, 3, padding="same"), "conv3x3>6"),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), "conv3x3>6%2"),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), "dwconv3x3"),
        (nn.Conv2d(4, 8, 5, padding=2, groups=4), "dwconv5x5>8"),
        (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), "pad+1 conv3x3+0>6"),
        (nn.Conv2d(4, 6, 5, padding=1), "pad+1 conv5x5+0>6"),
        (nn.ConvTranspose2d(4, 6, 2, 2), "conv_transpose2x2/2>6"),
        (nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1), "conv_transpose3x3/2>6"),
        (nn.ConvTranspose2d(4, 6, 3, 2), "conv_transpose3x3/2+0>6"),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), "conv_transpose4x4/2>6%2"),
    ],
)
def test_convolutions(conv: nn.Module, expected: str) -> None:
    assert _ops(conv) == expected
    shape = tuple(conv.eval()(torch.zeros(1, 4, 8, 8)).shape)
    graph = graph_from_torch(conv, (1, 4, 8, 8))
    height, width, channels = graph.output_shape
    assert shape == (1, channels, height, width)
    assert graph.n_params == sum(one.numel() for one in conv.parameters())


@pytest.mark.parametrize(("size", "expected"), [(7, "conv3x3/2>6"), (8, "pad+1 conv3x3/2+0>6")])
def test_symmetric_padding_at_stride_2_is_same_on_odd_sizes_only(size: int, expected: str) -> None:
    assert _ops(nn.Conv2d(4, 6, 3, 2, padding=1), size=size) == expected


@pytest.mark.parametrize(
    ("pads", "value", "expected"),
    [
        ((0, 1, 0, 1), 0.0, "conv3x3/2>6"),  # what TensorFlow's SAME pads
        ((1, 0, 1, 0), 0.0, "pad+1x0x1x0 conv3x3/2+0>6"),
        ((0, 1, 0, 1), 1.0, "pad+0x1x0x1 conv3x3/2+0>6"),
    ],
)
def test_padding_before_a_convolution_is_same_where_it_is(
    pads: tuple[int, ...], value: float, expected: str
) -> None:
    module = Computes(
        lambda m, x: m.conv(F.pad(x, pads, value=value)), conv=nn.Conv2d(4, 6, 3, stride=2)
    )
    assert _ops(module) == expected


def test_multiply_adds_and_parameters_worked_out_by_hand() -> None:
    module = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2),  # 64 x 6 x 9 x 2
        nn.ConvTranspose2d(6, 5, 2, 2, bias=False),  # 64 x 6 x 4 x 5
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
        nn.BatchNorm1d(3),
    )
    graph = graph_from_torch(module, (1, 4, 8, 8))
    assert graph.signature == (
        "fp32 8x8x4 conv3x3>6%2 | conv_transpose2x2/2>5 | global_pool | linear>3"
    )
    assert [one.madds for one in graph.shaped_ops()] == [6912, 7680, 0, 15]
    assert [one.n_params for one in graph.shaped_ops()] == [114, 120, 0, 21]


# --- What is folded and fused ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (nn.ReLU(), "conv1x1>6:relu"),
        (nn.ReLU6(inplace=True), "conv1x1>6:relu6"),
        (nn.Hardtanh(), "conv1x1>6:relu_n1_to_1"),
        (nn.Hardswish(), "conv1x1>6 | hard_swish"),
        (nn.Hardsigmoid(), "conv1x1>6:relu6 | scale"),  # the +3 goes into the bias
        (nn.SiLU(inplace=True), "conv1x1>6 | logistic mul@0,1"),
        (nn.Sigmoid(), "conv1x1>6 | logistic"),
        (nn.Tanh(), "conv1x1>6 | tanh"),
        (nn.PReLU(6), "conv1x1>6 | prelu"),
        (nn.LeakyReLU(), "conv1x1>6 | leaky_relu"),
        (nn.ELU(), "conv1x1>6 | elu"),
        (nn.GELU(), "conv1x1>6 | gelu"),
        (nn.Mish(), "conv1x1>6 | exp shift log tanh mul@0,4"),
        (nn.Softmax(dim=1), "conv1x1>6 | softmax"),
        (nn.Identity(), "conv1x1>6"),
        (nn.Dropout(), "conv1x1>6"),
        (nn.Dropout2d(), "conv1x1>6"),
        (nn.BatchNorm2d(6), "conv1x1>6"),
        (nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), "conv1x1>6:relu"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6)), "conv1x1>6:relu | scale | shift"),
        (nn.Sequential(nn.ReLU(), nn.ReLU6()), "conv1x1>6:relu | relu6"),
    ],
)
def test_what_follows_a_convolution(activation: nn.Module, expected: str) -> None:
    assert _ops(nn.Sequential(nn.Conv2d(4, 6, 1), activation)) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * F.relu6(x + 3.0) / 6.0,
        lambda x: x * (F.relu6(x + 3) * (1 / 6)),
        lambda x: F.relu6(3 + x) / 6 * x,
        lambda x: x * F.hardsigmoid(x),
        lambda x: x.mul(F.hardtanh(x + 3, 0, 6).div(6)),
        F.hardswish,
    ],
)
def test_hard_swish_however_it_is_written(function: Callable[[Tensor], Tensor]) -> None:
    module = Computes(lambda m, x: function(m.conv(x)), conv=nn.Conv2d(4, 6, 1))
    assert _ops(module) == "conv1x1>6 | hard_swish"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * F.relu6(x + 2.0) / 6.0,
        lambda x: x * F.relu6(x + 3.0) / 5.0,
        lambda x: x * F.relu(x + 3.0) / 6.0,
    ],
)
def test_what_only_looks_like_hard_swish(function: Callable[[Tensor], Tensor]) -> None:
    assert "hard_swish" not in _of(function)


def test_an_activation_is_not_fused_where_its_input_is_read_twice() -> None:
    module = Computes(lambda m, x: F.relu(m.conv(x)) + m.conv(x), conv=nn.Conv2d(4, 4, 1))
    assert _ops(module) == "conv1x1>4:relu conv1x1>4@0 add@1,2"

    def forward(m: Any, x: Tensor) -> Any:
        y = m.conv(x)
        return F.relu(y) + y

    assert _ops(Computes(forward, conv=nn.Conv2d(4, 4, 1))) == "conv1x1>4 | relu add@1,0"


def test_batch_norm_is_not_folded_where_the_convolution_is_read_twice() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        y = m.conv(x)
        return m.norm(y) + y

    module = Computes(forward, conv=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4))
    assert _ops(module) == "conv1x1>4 | scale shift add@2,0"


def test_batch_norm_without_statistics_is_not_folded() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    ops = _ops(nn.Sequential(nn.Conv2d(4, 4, 1), norm))
    assert ops.startswith("conv1x1>4 | ") and "rsqrt" in ops and "mean=1x1x4" in ops


def test_an_output_is_not_fused_with_what_follows_it() -> None:
    def forward(m: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        y = m.conv(x)
        return y, F.relu(y)

    assert _ops(Computes(forward, conv=nn.Conv2d(4, 4, 1))) == "conv1x1>4 | relu"


def test_constants_per_channel_are_folded_and_others_are_not() -> None:
    class Scaled(nn.Module):
        def __init__(self, *shape: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)
            self.gamma = nn.Parameter(torch.ones(shape))

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.conv(x) * self.gamma
            return result

    assert _ops(Scaled(4, 1, 1)) == _ops(Scaled(1)) == "conv1x1>4"
    assert _ops(Scaled(4, 8, 8)) == "conv1x1>4 | scale"
    assert _of(lambda x: (x * 2 - 1) / 3) == "scale | shift | scale"
    assert _of(lambda x: F.relu(1 - x)) == "neg | shift:relu"
    assert _of(lambda x: F.relu(x * 1.0 + 0)) == "relu"


def test_weights_that_are_computed_from_weights_cost_nothing() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return F.conv2d(x, weight / (weight.std() + 1e-5), self.bias, padding=1)

    assert _ops(Standardised(4, 6, 3)) == "conv3x3>6"
    assert _ops(nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 1))) == "conv1x1>6"


# --- Pooling, reductions, vectors ------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (nn.MaxPool2d(2), "max_pool2x2/2"),
        (nn.MaxPool2d(3, 2, 1), "pad+1 max_pool3x3/2+0"),
        (nn.MaxPool2d(3, 1, 1), "max_pool3x3"),
        (nn.MaxPool2d(3, 2, ceil_mode=True), "max_pool3x3/2"),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), "pad+1x2x1x2 max_pool3x3/2+0"),
        (nn.MaxPool2d(3, 1, 1, dilation=2), "pad+1 max_pool3x3~2+0"),
        (nn.AvgPool2d(2), "avg_pool2x2/2"),
        (nn.AvgPool2d(8), "avg_pool8x8/8"),
        (nn.AvgPool2d(8, 1), "avg_pool8x8+0"),
        (nn.AvgPool2d(3, 1, 1), "pad+1 avg_pool3x3+0"),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), "avg_pool3x3"),
        (nn.AdaptiveAvgPool2d(1), "mean"),
        (nn.AdaptiveAvgPool2d(4), "avg_pool2x2/2"),
        (nn.AdaptiveAvgPool2d((2, 8)), "avg_pool4x1/4x1"),
        (nn.AdaptiveMaxPool2d(1), "reduce_max=1x1x4"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.ReLU()), "relu"),
    ],
)
def test_pools(pool: nn.Module, expected: str) -> None:
    assert _ops(pool) == expected
    graph = graph_from_torch(pool, (1, 4, 8, 8))
    height, width, channels = graph.output_shape
    assert tuple(pool(torch.zeros(1, 4, 8, 8)).shape) == (1, channels, height, width)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.mean((2, 3)), "global_pool"),
        (lambda x: x.mean([-1, -2], keepdim=True), "mean"),
        (lambda x: F.adaptive_avg_pool2d(x, 1).view(1, -1), "mean"),
        (lambda x: torch.mean(x, 1, keepdim=True), "mean=8x8x1"),
        (lambda x: x.flatten(2).mean(-1), "mean=4"),
        (lambda x: torch.max(x, dim=1, keepdim=True)[0], "reduce_max=8x8x1"),
        (lambda x: x.amax((2, 3)), "reduce_max=4"),
        (lambda x: x.sum(dim=(2, 3)), "sum=4"),
        (lambda x: x.view(1, 4, 8, 8), None),
    ],
)
def test_reductions(function: Callable[[Tensor], Tensor], expected: str | None) -> None:
    if expected is None:
        with pytest.raises(UnsupportedOperation, match="computes nothing"):
            _of(function)
    else:
        assert _of(function) == expected


def test_from_image_to_vector() -> None:
    vgg = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 10), nn.ReLU(), nn.Linear(10, 3))
    # Torch flattens channels first: the runtime has to move them or turn the weights around.
    assert _ops(vgg) == "transpose=256 | linear>10:relu | linear>3"
    pooled = Computes(
        lambda m, x: m.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1)), fc=nn.Linear(4, 3)
    )
    assert _ops(pooled) == "global_pool | linear>3"


# --- More than one tensor --------------------------------------------------------------------


def test_a_residual_block() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.norm2(m.conv2(m.relu(m.norm1(m.conv1(x)))))
        y += x
        result: Tensor = m.relu(y)
        return result

    block = Computes(
        forward,
        conv1=nn.Conv2d(4, 4, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(4),
        conv2=nn.Conv2d(4, 4, 3, padding=1, bias=False),
        norm2=nn.BatchNorm2d(4),
        relu=nn.ReLU(inplace=True),
    )
    assert _ops(block) == "conv3x3>4:relu conv3x3>4 add:relu@2,0"
    graph = graph_from_torch(block, (1, 4, 8, 8))
    assert graph.n_params == sum(one.numel() for one in block.parameters())
    assert graph.madds == 2 * 64 * 9 * 16


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: torch.cat([x, x.relu()], 1), "relu concat@0,1"),
        (lambda x: torch.cat([x, F.relu(x)], dim=-3), "relu concat@0,1"),
        (lambda x: torch.cat([x, x.relu()], 2), "relu concat=16x8x4@0,1"),
        (lambda x: torch.stack([x, x.relu()], 1).sum(1), "relu concat=2x8x8x4@0,1 | sum=8x8x4"),
        (lambda x: x * x.mean((2, 3), keepdim=True), "mean mul@0,1"),
        (lambda x: torch.sigmoid(x.mean((2, 3), True)) * x, "mean logistic mul@0,2"),
        (lambda x: x - x.relu(), "relu sub@0,1"),
        (lambda x: x.relu() / x, "relu div@1,0"),
        (lambda x: torch.maximum(x, x.relu()), "relu maximum@0,1"),
        (lambda x: torch.add(x, x.relu(), alpha=2), "relu scale add@0,2"),
        (lambda x: x + x.mean((2, 3)).view(1, 4, 1, 1).expand_as(x), "global_pool add@0,1"),
        (lambda x: x.relu() @ x.relu().transpose(2, 3), None),
    ],
)
def test_functions_of_two_tensors(
    function: Callable[[Tensor], Tensor], expected: str | None
) -> None:
    if expected is None:
        assert "matmul=4x8x8" in _of(function)
    else:
        assert _of(function) == expected


@pytest.mark.parametrize(
    "gate",
    [
        lambda m, x: m.expand(F.relu(m.reduce(x.mean((2, 3), keepdim=True)))).sigmoid(),
        lambda m, x: torch.sigmoid(m.expand(F.relu_(m.reduce(F.adaptive_avg_pool2d(x, 1))))),
    ],
)
def test_squeeze_and_excitation_with_convolutions(gate: Callable[[Any, Tensor], Tensor]) -> None:
    module = Computes(
        lambda m, x: x * gate(m, x), reduce=nn.Conv2d(4, 2, 1), expand=nn.Conv2d(2, 4, 1)
    )
    assert _ops(module) == "mean conv1x1>2:relu conv1x1>4 logistic mul@0,4"


def test_squeeze_and_excitation_with_dense_layers() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        gate = m.pool(x).view(batch, channels)
        gate = torch.sigmoid(m.expand(F.relu(m.reduce(gate)))).view(batch, channels, 1, 1)
        return x * gate.expand_as(x)

    module = Computes(
        forward, pool=nn.AdaptiveAvgPool2d(1), reduce=nn.Linear(4, 2), expand=nn.Linear(2, 4)
    )
    assert _ops(module) == "global_pool linear>2:relu linear>4 logistic mul@0,4"


def test_channel_attention_by_a_convolution_over_channels() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = x.mean((2, 3)).view(1, 1, -1)
        return x * torch.sigmoid(m.conv(y)).view(1, -1, 1, 1)

    module = Computes(forward, conv=nn.Conv1d(1, 1, 3, padding=1, bias=False))
    assert _ops(module) == "global_pool reshape=1x4x1 conv1x3>1 logistic reshape=1x1x4 mul@0,5"
    graph = graph_from_torch(module, (1, 4, 8, 8))
    assert (graph.madds, graph.n_params) == (4 * 3, 3)


@pytest.mark.parametrize(
    "shuffle",
    [
        lambda x: x.view(1, 2, 4, 8, 8).transpose(1, 2).contiguous().view(1, -1, 8, 8),
        lambda x: x.reshape(1, 2, 4, 8, 8).permute(0, 2, 1, 3, 4).reshape(x.shape),
        lambda x: x.unflatten(1, (2, 4)).swapaxes(1, 2).flatten(1, 2),
        nn.ChannelShuffle(2),
    ],
)
def test_channel_shuffle(shuffle: Callable[[Tensor], Tensor]) -> None:
    assert _of(shuffle, channels=8) == "shuffle%2"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).relu(), "relu"),
        (lambda x: x.transpose(2, 3).relu(), "relu"),
        (lambda x: x.view(1, 2, 2, 8, 8).relu().view(1, 4, 8, 8).tanh(), "relu | tanh"),
        (lambda x: F.pixel_shuffle(x, 2), "transpose=16x16x1"),
        (lambda x: F.conv2d(x.transpose(2, 3), torch.ones(1, 4, 1, 1)), None),
    ],
)
def test_moving_elements_costs_something_only_where_they_move(
    function: Callable[[Tensor], Tensor], expected: str | None
) -> None:
    assert _of(function) == (expected or "transpose=8x8x4 | conv1x1>1")


@pytest.mark.parametrize(
    "split",
    [
        lambda x: x.chunk(2, dim=1),
        lambda x: torch.split(x, 2, 1),
        lambda x: x.split([2, 2], dim=1),
        lambda x: (x[:, :2], x[:, 2:]),
        lambda x: (x.narrow(1, 0, 2), x.narrow(1, 2, 2)),
        lambda x: x.view(1, 2, 2, 8, 8).unbind(1),
    ],
)
def test_splitting_channels(split: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
    def forward(x: Tensor) -> Tensor:
        first, second = split(x)
        return torch.cat([first.relu(), second], 1)

    assert _of(forward) == "slice=8x8x2 slice=8x8x2@0 relu@1 concat@3,2"


def test_resizing() -> None:
    assert _of(lambda x: F.interpolate(x, scale_factor=2)) == "resize_nearest=16x16x4"
    up = nn.Upsample(size=(12, 16), mode="bilinear", align_corners=False)
    assert _ops(up) == "resize=12x16x4"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: F.pad(x, (1, 2, 3, 4)).relu(), "pad+3x4x1x2 relu"),
        (lambda x: F.pad(x, (0, 0, 0, 0, 2, 2)), "pad+0>8"),
        (lambda x: F.pad(x, (-1, -1)), "slice=8x6x4"),
        (lambda x: F.pad(x.mean((2, 3)), (1, 1)), "global_pool reshape=1x1x4 pad+0>6"),
        (lambda x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1)), "pad+0x0x1x1"),
    ],
)
def test_padding(function: Callable[[Tensor], Tensor], expected: str) -> None:
    assert _of(function).replace(" | ", " ") == expected


def test_layer_norm_is_what_a_converter_makes_of_it() -> None:
    module = Computes(
        lambda m, x: m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=nn.LayerNorm(4)
    )
    assert _ops(module) == (
        "mean=8x8x1 sub@0,1 | square mean=8x8x1 shift rsqrt mul@0,4 | scale | shift"
    )


# --- How modules are written -----------------------------------------------------------------


def test_a_module_used_twice_runs_twice() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    module = nn.Sequential(shared, nn.ReLU(), shared)
    assert _ops(module) == "conv3x3>4:relu | conv3x3>4"
    assert graph_from_torch(module, (1, 4, 8, 8)).madds == 2 * 64 * 9 * 16


def test_shared_weights() -> None:
    first, second = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
    second.weight = first.weight
    assert _ops(nn.Sequential(first, second)) == "conv1x1>4 | conv1x1>4"


def test_loops_branches_on_shapes_and_nested_modules() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        for block in m.blocks:
            x = block(x) if x.shape[1] == 4 else block(x) + 1.0
        while x.shape[-1] > 2:
            x = F.max_pool2d(x, 2)
        return x

    blocks = nn.ModuleList([nn.Sequential(_conv_bn_relu(4, 6)), _conv_bn_relu(6, 6, stride=2)])
    assert _ops(Computes(forward, blocks=blocks)) == (
        "conv3x3>6:relu | pad+1 conv3x3/2+0>6:relu | shift | max_pool2x2/2"
    )


def test_in_place_operations_and_tensor_methods() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        y = m.conv(x).relu_()
        y.mul_(2.0).add_(x)
        y = y.clamp_(min=0)
        return y.contiguous().sigmoid_()

    module = Computes(forward, conv=nn.Conv2d(4, 4, 1))
    assert _ops(module) == "conv1x1>4:relu scale add:relu@2,0 | logistic"


def test_what_nobody_reads_is_not_executed() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.conv(x)
        return x.relu()

    assert _ops(Computes(forward, conv=nn.Conv2d(4, 4, 1))) == "relu"


def test_several_outputs_are_all_computed() -> None:
    def forward(m: Any, x: Tensor) -> dict[str, Tensor]:
        y = m.conv(x)
        return {"late": y.sigmoid(), "early": y.mean((2, 3))}

    graph = graph_from_torch(Computes(forward, conv=nn.Conv2d(4, 4, 1)), (1, 4, 8, 8))
    assert graph.signature == "fp32 8x8x4 conv1x1>4 | logistic global_pool@0"
    assert graph.output_shape == (4,)


def test_layers_are_cut_where_one_tensor_is_alive() -> None:
    residual = Computes(lambda m, x: m.body(x) + x, body=_conv_bn_relu(6, 6))
    module = nn.Sequential(_conv_bn_relu(4, 6), residual, _conv_bn_relu(6, 4, 1))
    graph = graph_from_torch(module, (1, 4, 8, 8))
    assert [layer.text for layer in graph.layers] == [
        "conv3x3>6:relu",
        "conv3x3>6:relu add@1,0",
        "conv1x1>4:relu",
    ]
    assert graph.places == ("0.0", "1.body.0", "2.0")


def test_the_module_is_left_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    before = {name: one.clone() for name, one in module.state_dict().items()}
    state = torch.get_rng_state()
    assert _ops(module) == "conv3x3+0>4"
    assert module.training and module[1].training
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not module[0]._forward_hooks and module[0].weight.requires_grad


def test_precision_and_public_name() -> None:
    graph = mnaslat.graph_from_torch(nn.Conv2d(3, 8, 1), precision="int8")
    assert graph.signature == "int8 224x224x3 conv1x1>8"
    assert _ops(nn.Conv2d(4, 4, 1).half()) == "conv1x1>4"


# --- Our own networks ------------------------------------------------------------------------


def _multiset(graph: Graph) -> Counter[tuple[object, ...]]:
    return Counter(
        (one.op.kind, one.op.kernel, one.op.stride, one.op.activation, one.inputs, one.output)
        for one in graph.shaped_ops()
    )


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v2"])
def test_our_own_modules_give_the_graphs_that_they_were_made_from(name: str) -> None:
    graph = lower(load_network(name))
    imported = graph_from_torch(Network(graph))
    assert _multiset(imported) == _multiset(graph)
    assert (imported.madds, imported.n_params) == (graph.madds, graph.n_params)


def test_modules_of_random_networks_give_their_graphs() -> None:
    space = load_space("mnasnet")
    for row in space.sample(5, np.random.default_rng(0)):
        graph = lower(space.decode(row))
        imported = graph_from_torch(Network(graph))
        # The pooling skip's module pads by itself and does not count what it padded.
        assert _multiset(imported) == _multiset(graph)
        assert (imported.madds, imported.n_params) == (graph.madds, graph.n_params)


# --- What cannot be imported -----------------------------------------------------------------


def test_an_operation_without_meaning_is_named_with_its_place() -> None:
    class Sorts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(1)

    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(Sorts()))
    with pytest.raises(UnsupportedOperation) as caught:
        graph_from_torch(module, (1, 4, 8, 8))
    assert str(caught.value) == (
        "1.0 calls cumsum on 1x4x8x8, which has no meaning here. With "
        'unknown="estimate" it is priced by the elements it moves.'
    )
    assert isinstance(caught.value, mnaslat.MnaslatError)
    assert _ops(module, unknown="estimate") == "conv1x1>4 | unknown.cumsum=8x8x4"


def test_operations_with_several_outputs_can_be_estimated() -> None:
    assert _ops(Computes(lambda _, x: x.sort(1)[0].relu()), unknown="estimate") == (
        "unknown.sort=8x8x4 | relu"
    )


def test_further_outputs_of_known_operations_can_be_estimated_too() -> None:
    def pooled_back(_: Any, x: Tensor) -> Tensor:
        y, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(y.relu(), places, [2, 2])

    ops = _ops(Computes(pooled_back), unknown="estimate")
    assert "unknown.max_pool2d_with_indices=4x4x4" in ops
    assert "unknown.max_unpool2d=8x8x4" in ops
    with pytest.raises(UnsupportedOperation, match="calls max_pool2d_with_indices on 1x4x8x8"):
        _of(lambda x: F.max_pool2d(x, 2, return_indices=True)[1] + x[:, :, :4, :4])


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda x: x if x.sum() > 0 else -x, r"\(Computes\) decides by the values of a tensor"),
        (lambda x: nn.Conv2d(5, 5, 1)(x), "cannot be traced on an input of shape"),
        (lambda x: torch.ones(3), "No output of the module depends on its input"),
        (lambda x: torch.zeros(1, 8, 8, 8).index_copy_(1, torch.arange(4), x), "writes into"),
    ],
)
def test_modules_that_cannot_be_followed(function: Callable[[Tensor], Any], sentence: str) -> None:
    with pytest.raises(UnsupportedOperation, match=sentence):
        _of(function)


def test_writing_through_a_view_is_refused_rather_than_missed() -> None:
    def forward(x: Tensor) -> Tensor:
        y = x.relu()
        y[:, :2].mul_(y[:, 2:])
        return y.sigmoid()

    with pytest.raises(UnsupportedOperation, match="changed in place through another view"):
        _of(forward)

    def into_new(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, :2] = x[:, 2:]
        return y

    with pytest.raises(UnsupportedOperation, match="writes into a tensor of its own"):
        _of(into_new)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 8, 8),
        (2, 3, 8, 8),
        (1, 3, 0, 8),
        (),
        (1, 3, 8.0, 8),
        (True, 3, 8, 8),
        (1, 3, "8", 8),
        (1, 3, None, 8),
    ],
)
def test_wrong_input_shapes(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"input_shape must be \(1, channels, height, width\)"):
        graph_from_torch(nn.ReLU(), shape)


@pytest.mark.parametrize("side", [2**16, 2**40, 10**400])
def test_images_that_no_runtime_can_hold(side: int) -> None:
    with pytest.raises(ValueError, match="input_shape may have at most 2147483648 elements"):
        graph_from_torch(nn.ReLU(), (1, 3, side, side))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torch_script_is_refused() -> None:
    for scripted in (
        torch.jit.script(nn.Conv2d(4, 4, 1)),
        torch.jit.trace(  # type: ignore[no-untyped-call]  # torch has no types here
            nn.Conv2d(4, 4, 1), torch.zeros(1, 4, 8, 8)
        ),
    ):
        with pytest.raises(UnsupportedOperation, match="TorchScript, which cannot be followed"):
            graph_from_torch(scripted, (1, 4, 8, 8))
    with pytest.raises(ValueError, match=r"module must be a torch\.nn\.Module, got a function"):
        graph_from_torch(test_torch_script_is_refused)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 1), nn.ConvTranspose2d(4, 6, 2, 2)])
def test_a_layer_without_filters_is_named(layer: nn.Module) -> None:
    empty = type(layer)(4, 0, 1)
    with pytest.raises(UnsupportedOperation, match="^1 has no filters"):
        graph_from_torch(nn.Sequential(nn.ReLU(), empty), (1, 4, 8, 8))


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="unknown must be 'error' or 'estimate', got 'skip'"):
        graph_from_torch(nn.ReLU(), unknown="skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="precision must be one of"):
        graph_from_torch(nn.ReLU(), precision="fp8")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOperation, match="run it once on an image"):
        graph_from_torch(nn.LazyConv2d(4, 3))


@pytest.mark.parametrize(("kernel", "stride"), list(itertools.product((1, 2, 3, 5, 7), (1, 2, 3))))
def test_sizes_are_those_of_torch(kernel: int, stride: int) -> None:
    for size, padding, dilation in itertools.product((7, 8, 9, 14), (0, 1, kernel // 2), (1, 2)):
        if size + 2 * padding < dilation * (kernel - 1) + 1:
            continue
        conv = nn.Conv2d(2, 3, kernel, stride, padding, dilation)
        graph = graph_from_torch(conv, (1, 2, size, size))
        height, width, channels = graph.output_shape
        assert tuple(conv(torch.zeros(1, 2, size, size)).shape) == (1, channels, height, width)


# --- Imported graphs elsewhere ---------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [
        "conv1x3>4",
        "conv3x3/1x2>4",
        "conv3x3~2>4",
        "conv3x3+0>4",
        "conv3x3>4%2",
        "conv2x2>4",
        "dwconv3x3>8",
        "avg_pool3x3/2",
        "max_pool2x2/2",
        "conv_transpose2x2/2>4",
        "mean=8x8x1",
        "relu_n1_to_1",
        "conv1x1>4:relu_n1_to_1",
        "global_pool mul@0,1",
        "shuffle%2",
        "unknown.sort=8x8x4",
    ],
)
def test_torch_modules_are_made_of_what_search_spaces_have_only(op: str) -> None:
    graph = Graph.parse(f"fp32 8x8x4 {op}")
    with pytest.raises(ValueError, match=r"^The op .* cannot be computed: only what the search"):
        Network(graph)
    with pytest.raises(ValueError, match=r"^The op .* cannot be computed: only what the search"):
        run_graph(graph, torch.zeros(1, 4, 8, 8), [OpWeights(torch.zeros(1))] * 2)


@pytest.mark.parametrize(
    "op", ["conv3x3+1>4", "max_pool2x2/2", "pad+1", "scale", "mean=8x8x1", "unknown.sort=8x8x4"]
)
def test_files_are_written_of_what_search_spaces_have_only(op: str) -> None:
    with pytest.raises(ValueError, match=r"^The op .* cannot be written: only what the search"):
        write_tflite(Graph.parse(f"fp32 8x8x4 {op}"))


def test_a_kernel_model_prices_imported_layers() -> None:
    measured = [Graph.parse(f"fp32 14x14x32 conv3x3>{8 * n}") for n in range(1, 16)]
    model = KernelModel().fit(measured, np.linspace(1.0, 2.0, 15))
    module = nn.Sequential(_conv_bn_relu(4, 8, stride=2), nn.MaxPool2d(2), nn.SiLU())
    layers = graph_from_torch(module, (1, 4, 16, 16)).layer_graphs()
    assert np.isfinite(model.predict_ms(layers)).all()
