"""Describes one operation of the runtime, and the shapes that it works on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mnaslat.graph.kinds import (
    IMAGE,
    PAIRED,
    VALID,
    WEIGHTED,
    WINDOWED,
    Fused,
    Kind,
    Padding,
    Pair,
    Shape,
)


@dataclass(frozen=True, kw_only=True)
class Op:
    """One kernel of the runtime.

    ``inputs`` count within the layer: 0 is the layer's input, i the output of its i-th op (from 1).
    Padding is TensorFlow's SAME unless ``padding`` says how much. ``avg_pool`` averages over the
    pixels inside the image only. ``mean`` averages over height and width and keeps them as 1x1;
    ``global_pool`` drops them. ``shuffle`` deals the channels of its groups out in turns, ``shift``
    adds constants and ``scale`` multiplies by them. The functions of two tensors broadcast as numpy
    does; ``concat`` joins channels. Reductions and joins over other axes, ``slice``, ``resize``
    (bilinear) and everything else that moves elements say their output's shape in ``size``, and so
    does ``unknown``, whose name tells what it is.
    """

    kind: Kind
    inputs: tuple[int, ...]
    filters: int = 0  # output channels of conv and linear; others keep their input's
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding | Literal[""] = ""  # "" is SAME; of a transposed convolution: what is cut off
    groups: int = 1
    size: Shape = ()  # of the output, where the rest does not say it
    activation: Fused = ""
    norm: bool = False  # trained with batch norm (no bias) rather than with a bias
    bias: bool = True  # False: trained with neither
    name: str = ""  # what it does in its layer, e.g. "depthwise"; no part of the signature

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output, given the shapes of the inputs.

        Raises:
            ValueError: If the shapes do not fit the kind.
        """
        first = inputs[0]
        if len(first) != 3 and self.kind in IMAGE and not self.size:
            raise ValueError(f"{self.kind} needs height, width and channels, got {first}.")
        if self.kind in WINDOWED:
            return self._window_shape(first)
        if self.kind == "linear":
            if len(first) > 2:
                raise ValueError(f"linear needs a vector, got {first}.")
            return (*first[:-1], self.filters)
        if self.kind == "matmul":
            _check_product(first, inputs[1], self.size)
        elif self.kind in ("reshape", "transpose") and math.prod(first) != math.prod(self.size):
            raise ValueError(f"{self.kind} cannot make {self.size} of {first}.")
        elif self.kind == "shuffle" and first[-1] % self.groups:
            raise ValueError(f"{first[-1]} channels cannot be shuffled in {self.groups} groups.")
        elif self.kind == "concat" and self.size:
            if sum(map(math.prod, inputs)) > math.prod(self.size):  # the rest may be constants
                raise ValueError(
                    f"concat cannot make {self.size} of {', '.join(map(str, inputs))}."
                )
        if self.size:
            return self.size
        if self.kind in ("mean", "global_pool"):
            return (1, 1, first[2]) if self.kind == "mean" else (first[2],)
        if self.kind == "pad":
            top, bottom, left, right = self.padding or VALID
            channels = self.filters or first[2]
            return (first[0] + top + bottom, first[1] + left + right, channels)
        if self.kind in PAIRED:
            return _broadcast(self.kind, first, inputs[1])
        if self.kind == "concat":
            return (*first[:-1], _joined(inputs))
        return first

    def _window_shape(self, image: Shape) -> Shape:
        (height, width, channels), (down, right) = image, self.stride
        if not self.padding:
            if self.kind == "conv_transpose":
                return (height * down, width * right, self._channels(channels))
            return (-(-height // down), -(-width // right), self._channels(channels))
        sizes = [self._padded_size(axis, image[axis]) for axis in (0, 1)]
        if min(sizes) < 1:
            raise ValueError(f"{self.kind} has a larger window than its input {image}.")
        return (*sizes, self._channels(channels))

    def _padded_size(self, axis: int, size: int) -> int:
        before, after = (self.padding or VALID)[2 * axis : 2 * axis + 2]
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        if self.kind == "conv_transpose":
            return (size - 1) * self.stride[axis] + reach - before - after
        return (size + before + after - reach) // self.stride[axis] + 1

    def _channels(self, channels: int) -> int:
        if self.kind in ("conv", "conv_transpose"):
            if self.groups > 1 and (channels % self.groups or self.filters % self.groups):
                raise ValueError(
                    f"{self.kind} cannot divide {channels} channels and {self.filters} filters "
                    f"among {self.groups} groups."
                )
            return self.filters
        if self.kind == "dwconv" and self.filters:
            if self.filters % channels or self.filters == channels:
                raise ValueError(
                    f"dwconv says its filters where they are a multiple of its {channels} "
                    f"channels, got {self.filters}."
                )
            return self.filters
        return channels

    def text(self, number: int) -> str:
        """This op in a signature, standing as the ``number``-th of its layer (from 1)."""
        text: str = self.kind
        if self.kind == "unknown" and self.name:
            text += f".{self.name}"
        if self.kind in WINDOWED:
            text += f"{self.kernel[0]}x{self.kernel[1]}"
        if self.stride != (1, 1):
            text += "/" + _pair_text(self.stride)
        if self.dilation != (1, 1):
            text += "~" + _pair_text(self.dilation)
        if self.padding:
            pads = self.padding if len(set(self.padding)) > 1 else self.padding[:1]
            text += "+" + "x".join(map(str, pads))
        if self.filters:
            text += f">{self.filters}"
        if self.groups > 1:
            text += f"%{self.groups}"
        if self.size:
            text += "=" + "x".join(map(str, self.size))
        if self.activation:
            text += f":{self.activation}"
        if self.inputs != (number - 1,):
            text += "@" + ",".join(map(str, self.inputs))
        return text


def _pair_text(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _broadcast(kind: str, first: Shape, second: Shape) -> Shape:
    if first == second:
        return first
    longest = max(len(first), len(second))
    padded = [(1,) * (longest - len(shape)) + shape for shape in (first, second)]
    shape = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    fits = all(size in (1, whole) for one in padded for size, whole in zip(one, shape, strict=True))
    # One order only where the order does not matter: the tensor that has the output's shape first.
    swapped = kind in ("add", "mul") and shape == second != first
    if not fits or swapped:
        raise ValueError(f"{kind} cannot join {first} and {second}.")
    return shape


def _check_product(first: Shape, second: Shape, size: Shape) -> None:
    fits = (
        min(len(first), len(second), len(size)) >= 2
        and first[-1] == second[-2]
        and size[-2:] == (first[-2], second[-1])
    )
    if not fits:
        raise ValueError(f"matmul cannot make {size} of {first} and {second}.")


def _joined(inputs: Sequence[Shape]) -> int:
    if any(shape[:-1] != inputs[0][:-1] for shape in inputs):
        raise ValueError(f"concat cannot join {', '.join(map(str, inputs))}.")
    return sum(shape[-1] for shape in inputs)


@dataclass(frozen=True, kw_only=True)
class ShapedOp:
    """An op with the shapes it works on: what features, counts and weights are computed from."""

    op: Op
    inputs: tuple[Shape, ...]
    output: Shape

    @cached_property
    def madds(self) -> int:
        """Multiply-adds of convolutions (SE included), dense layers and matrix products.

        The rest counts 0.
        """
        if self.op.kind == "matmul":
            return math.prod(self.output) * self.inputs[0][-1]
        if self.op.kind not in WEIGHTED:
            return 0
        # A transposed convolution spreads each of its input's pixels.
        image = self.inputs[0] if self.op.kind == "conv_transpose" else self.output
        return math.prod(image[:-1]) * math.prod(self.weight_shape)

    @property
    def weight_shape(self) -> Shape:
        """(output, kernel, kernel, input channels); depthwise (kernel, kernel, output).

        Grouped ones have the input channels of one group. Dense layers (output, input). Empty for
        ops without weights.
        """
        op, channels = self.op, self.inputs[0][-1]
        if op.kind in ("conv", "conv_transpose"):
            return (op.filters, *op.kernel, channels // op.groups)
        if op.kind == "dwconv":
            return (*op.kernel, self.output[-1])
        return (op.filters, channels) if op.kind == "linear" else ()

    @property
    def n_params(self) -> int:
        """Weights with their bias, or with scale and shift of their batch norm."""
        if self.op.kind in WEIGHTED:
            per_channel = 2 if self.op.norm else int(self.op.bias)
            return math.prod(self.weight_shape) + self.output[-1] * per_channel
        # Of a batch norm that could not be folded, or of PReLU.
        return self.output[-1] if self.op.norm else 0
