"""Makes a torch module of a graph, and gives its weights in the runtime's layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name
from numpy.typing import NDArray
from torch import Tensor, nn

from mnaslat.graph import Graph, ShapedOp

# Of the official MnasNet code; torch's momentum is one minus TensorFlow's 0.99.
BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01

FoldedWeights = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass
class OpWeights:
    """The weights of one op, in torch's layout (output, input / groups, kernel, kernel).

    Either ``bias`` is given, or batch norm's four vectors of shape ``(output channels,)``. The
    running statistics are updated in place while training.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None
    shift: Tensor | None = None
    running_mean: Tensor | None = None
    running_var: Tensor | None = None


def run_graph(
    graph: Graph,
    x: Tensor,
    weights: Sequence[OpWeights | None],
    *,
    training: bool = False,
    momentum: float = BATCH_NORM_MOMENTUM,
    dropout: float = 0.0,
) -> Tensor:
    """Compute a graph on a batch.

    Args:
        graph: The graph to compute.
        x: Images, shape ``(batch, channels, height, width)``.
        weights: One entry per op in the order of ``graph.shaped_ops()``; None where an op has none.
        training: Normalise by the batch's statistics and update the running ones.
        momentum: Share of the batch's statistics in the updated running ones.
        dropout: Share of the classifier's inputs dropped while training.

    Returns:
        Shape ``(batch, classes)``, or ``(batch, channels, height, width)`` for a graph that ends in
        an image.

    Raises:
        ValueError: If the input's shape or the number of weights does not fit the graph, or if the
            graph has ops that no search space has.
    """
    height, width, channels = graph.input_shape
    if tuple(x.shape[1:]) != (channels, height, width):
        raise ValueError(
            f"The graph takes (batch, {channels}, {height}, {width}), got {tuple(x.shape)}."
        )
    remaining = iter(weights)
    for layer in graph.layers:
        tensors = [x]
        for shaped in layer.shaped_ops:
            inputs = [tensors[source] for source in shaped.op.inputs]
            own = next(remaining, None)
            if shaped.op.kind == "linear" and training and dropout:
                inputs[0] = F.dropout(inputs[0], dropout, training=True)
            tensors.append(_run_op(shaped, inputs, own, training, momentum))
        x = tensors[-1]
    return x


def _run_op(
    shaped: ShapedOp, inputs: list[Tensor], own: OpWeights | None, training: bool, momentum: float
) -> Tensor:
    _check_computable(shaped)
    op, x = shaped.op, inputs[0]
    if op.kind in ("conv", "dwconv"):
        x = _convolve(shaped, x, _needed(own, shaped), training, momentum)
    elif op.kind == "linear":
        own = _needed(own, shaped)
        x = F.linear(x, own.weight, own.bias)
    else:
        x = _WITHOUT_WEIGHTS[op.kind](op, *inputs)
    if op.activation == "relu":
        return F.relu(x)
    return F.relu6(x) if op.activation == "relu6" else x


def _convolve(
    shaped: ShapedOp, x: Tensor, own: OpWeights, training: bool, momentum: float
) -> Tensor:
    op = shaped.op
    groups = x.shape[1] if op.kind == "dwconv" else 1
    stride = op.stride[0]
    weight, kernel = _within_image(own.weight, x, stride)
    x, padding = _pad_same(x, kernel, stride)
    x = F.conv2d(x, weight, own.bias, stride, padding, groups=groups)
    if not op.norm:
        return x
    return F.batch_norm(
        x,
        own.running_mean,
        own.running_var,
        own.scale,
        own.shift,
        training,
        momentum,
        BATCH_NORM_EPSILON,
    )


_WITHOUT_WEIGHTS: dict[str, Callable[..., Tensor]] = {
    # Stride 1, odd kernel: SAME is symmetric. Pixels outside the image do not count.
    "avg_pool": lambda op, x: F.avg_pool2d(
        x, op.kernel, 1, op.kernel[0] // 2, count_include_pad=False
    ),
    "mean": lambda op, x: x.mean((2, 3), keepdim=True),
    "global_pool": lambda op, x: x.mean((2, 3)),
    "add": lambda op, x, y: x + y,
    "mul": lambda op, x, y: x * y,
    "logistic": lambda op, x: torch.sigmoid(x),
}
_COMPUTED = frozenset({"conv", "dwconv", "linear", *_WITHOUT_WEIGHTS})


def _check_computable(shaped: ShapedOp) -> None:
    """Refuse ops that only imported networks have: their own modules compute them."""
    op = shaped.op
    size, step = op.kernel[0], op.stride[0]
    if (
        op.kind in _COMPUTED
        and op.kernel == (size, size)
        and op.stride == (step, step)
        and op.dilation == (1, 1)
        and op.groups == 1
        and not op.padding
        and not op.size
        and op.activation != "relu_n1_to_1"
        and size % 2 == 1
        and not (op.kind == "dwconv" and op.filters)
        and not (op.kind == "avg_pool" and step > 1)
        and not (op.kind == "linear" and len(shaped.output) > 1)
        and not (op.kind in ("add", "mul") and not _joins_images(shaped))
    ):
        return
    raise ValueError(
        f"The op {op.text(max(op.inputs) + 1)} cannot be computed: only what the search spaces are "
        "made of has a torch module here."
    )


def _joins_images(shaped: ShapedOp) -> bool:
    first, second = shaped.inputs
    return first == second or (len(first) == 3 and second == (1, 1, first[2]))


def _needed(own: OpWeights | None, shaped: ShapedOp) -> OpWeights:
    if own is None:
        raise ValueError(f"Op {shaped.op.name or shaped.op.kind} needs weights, got none.")
    return own


def _within_image(weight: Tensor, x: Tensor, stride: int) -> tuple[Tensor, int]:
    """The middle of a kernel that can touch the image at all, and its size.

    On images of 1 or 2 pixels the outer taps only ever meet padding. Leaving them out changes no
    result, and torch's depthwise convolution is a hundred times slower with them.
    """
    kernel = weight.shape[2]
    reach = max(x.shape[2:]) - 1
    unused = kernel // 2 - reach
    if unused <= 0 or (stride > 1 and reach > 0):
        return weight, kernel
    return weight[:, :, unused:-unused, unused:-unused], kernel - 2 * unused


def _pad_same(x: Tensor, kernel: int, stride: int) -> tuple[Tensor, int]:
    """Pad as TensorFlow's SAME does: at stride 2 on even sizes only below and to the right.

    Returns the tensor and the symmetric padding that the convolution still has to add.
    """
    if stride == 1:
        return x, kernel // 2
    pads = []
    for size in (x.shape[3], x.shape[2]):  # F.pad counts from the last dimension
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads), 0


class Network(nn.Module):
    """A trainable network that computes a graph.

    Convolutions start normal with standard deviation sqrt(2 / (k * k * output channels)), the
    classifier uniform within 1 / sqrt(classes): the official MnasNet code's initialisation.
    """

    def __init__(self, graph: Graph, *, dropout: float = 0.0) -> None:
        super().__init__()
        for shaped in graph.shaped_ops():
            _check_computable(shaped)
        self.graph = graph
        self.dropout = dropout
        places = [
            f"{place}.{shaped.op.name or number}".replace(".", "_")
            for place, layer in zip(graph.places, graph.layers, strict=True)
            for number, shaped in enumerate(layer.shaped_ops)
        ]
        self.names = tuple(places)
        self.weights = nn.ModuleDict(
            {
                name: _OpModule(shaped)
                for name, shaped in zip(places, graph.shaped_ops(), strict=True)
                if shaped.weight_shape
            }
        )

    def op_weights(self) -> list[OpWeights | None]:
        """The weights of each op in the order of ``graph.shaped_ops()``."""
        return [
            cast(_OpModule, self.weights[name]).op_weights() if name in self.weights else None
            for name in self.names
        ]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape ``(batch, classes)`` for images ``(batch, channels, height, width)``."""
        return run_graph(
            self.graph, x, self.op_weights(), training=self.training, dropout=self.dropout
        )

    @torch.no_grad()
    def folded_weights(self) -> list[FoldedWeights | None]:
        """Weights and biases for ``write_tflite``, batch norm folded in, channels last."""
        return [
            None if own is None else _folded(shaped, own)
            for shaped, own in zip(self.graph.shaped_ops(), self.op_weights(), strict=True)
        ]


class _OpModule(nn.Module):
    """Parameters and running statistics of one op."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shaped: ShapedOp) -> None:
        super().__init__()
        op, filters = shaped.op, shaped.output[-1]
        self.weight = nn.Parameter(torch.empty(torch_weight_shape(shaped)))
        if op.kind == "linear":
            nn.init.uniform_(self.weight, -(filters**-0.5), filters**-0.5)
        else:
            fan_out = op.kernel[0] * op.kernel[1] * (1 if op.kind == "dwconv" else filters)
            nn.init.normal_(self.weight, std=(2.0 / fan_out) ** 0.5)
        self.norm = op.norm
        if op.norm:
            self.scale = nn.Parameter(torch.ones(filters))
            self.shift = nn.Parameter(torch.zeros(filters))
            self.register_buffer("running_mean", torch.zeros(filters))
            self.register_buffer("running_var", torch.ones(filters))
        else:
            self.bias = nn.Parameter(torch.zeros(filters))

    def op_weights(self) -> OpWeights:
        if not self.norm:
            return OpWeights(self.weight, bias=self.bias)
        return OpWeights(
            self.weight,
            scale=self.scale,
            shift=self.shift,
            running_mean=self.running_mean,
            running_var=self.running_var,
        )


def torch_weight_shape(shaped: ShapedOp) -> tuple[int, ...]:
    """Shape of an op's weight in torch's layout."""
    shape = shaped.weight_shape
    if shaped.op.kind == "conv":
        return (shape[0], shape[3], shape[1], shape[2])
    return (shape[2], 1, shape[0], shape[1]) if shaped.op.kind == "dwconv" else shape


def _folded(shaped: ShapedOp, own: OpWeights) -> FoldedWeights:
    weight = own.weight.double()
    bias = torch.zeros(weight.shape[0]) if own.bias is None else own.bias
    if own.scale is not None:
        assert own.shift is not None and own.running_mean is not None
        assert own.running_var is not None
        factor = own.scale.double() / (own.running_var.double() + BATCH_NORM_EPSILON).sqrt()
        weight = weight * factor.view(-1, *([1] * (weight.dim() - 1)))
        bias = own.shift.double() - own.running_mean.double() * factor
    if shaped.op.kind == "conv":
        weight = weight.permute(0, 2, 3, 1)
    elif shaped.op.kind == "dwconv":
        weight = weight[:, 0].permute(1, 2, 0)
    return (
        np.ascontiguousarray(weight.float().numpy()),
        np.ascontiguousarray(bias.float().numpy()),
    )
