"""The lowered network: what the runtime executes, op by op, cut into layers.

Batch norm is folded and activations are fused: one ``Op`` is one kernel of the runtime. A ``Graph``
is a chain of ``LoweredLayer``; each reads one tensor, the output of the layer before it, so that
latencies of layers can be measured one by one and added. Everything else in the package (the torch
module, the TFLite file, multiply-adds, the signatures of the latency table, the features of the
predictors) is read from here.

A **signature** is the text of a graph, with all that decides its latency and nothing else::

    fp32 56x56x24 conv1x1>72:relu dwconv5x5/2:relu conv1x1>40

Ops read the op before them unless ``@`` says otherwise (``add@0,3``: op 3 plus the layer's input
0); layers are separated by `` | ``. ``Graph.parse`` reads it back.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

Precision = Literal["fp32", "fp16", "int8"]
Kind = Literal[
    "conv", "dwconv", "linear", "avg_pool", "mean", "global_pool", "add", "mul", "logistic"
]
Shape = tuple[int, ...]  # (height, width, channels) or (channels,); the batch is always 1

WEIGHTED: frozenset[str] = frozenset({"conv", "dwconv", "linear"})
_WINDOWED = frozenset({"conv", "dwconv", "avg_pool"})

_OP = re.compile(
    r"(?P<kind>[a-z_]+)(?:(?P<kernel>\d+)x(?P=kernel))?(?:/(?P<stride>\d+))?(?:>(?P<filters>\d+))?"
    r"(?::(?P<activation>\w+))?(?:@(?P<inputs>\d+(?:,\d+)*))?"
)


@dataclass(frozen=True, kw_only=True)
class Op:
    """One kernel of the runtime.

    ``inputs`` count within the layer: 0 is the layer's input, i the output of its i-th op (from 1).
    Padding is TensorFlow's SAME. ``avg_pool`` averages over the pixels inside the image only.
    ``mean`` averages over height and width and keeps them as 1x1; ``global_pool`` drops them.
    """

    kind: Kind
    inputs: tuple[int, ...]
    filters: int = 0  # output channels of conv and linear; others keep their input's
    kernel: int = 1
    stride: int = 1
    activation: Literal["", "relu", "relu6"] = ""
    norm: bool = False  # trained with batch norm (no bias) rather than with a bias
    name: str = ""  # what it does in its layer, e.g. "depthwise"; no part of the signature

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output, given the shapes of the inputs.

        Raises:
            ValueError: If the shapes do not fit the kind.
        """
        first = inputs[0]
        if len(first) != 3 and (self.kind in _WINDOWED or self.kind in ("mean", "global_pool")):
            raise ValueError(f"{self.kind} needs height, width and channels, got {first}.")
        if self.kind in _WINDOWED:
            height, width = (math.ceil(size / self.stride) for size in first[:2])
            return (height, width, self.filters if self.kind == "conv" else first[2])
        if self.kind == "linear":
            if len(first) != 1:
                raise ValueError(f"linear needs a vector, got {first}.")
            return (self.filters,)
        if self.kind in ("mean", "global_pool"):
            return (1, 1, first[2]) if self.kind == "mean" else (first[2],)
        if self.kind in ("add", "mul"):
            second = inputs[1]
            if first != second and not (self.kind == "mul" and second == (1, 1, first[-1])):
                raise ValueError(f"{self.kind} cannot join {first} and {second}.")
        return first

    def text(self, number: int) -> str:
        """This op in a signature, standing as the ``number``-th of its layer (from 1)."""
        text: str = self.kind
        if self.kind in _WINDOWED:
            text += f"{self.kernel}x{self.kernel}"
        if self.stride > 1:
            text += f"/{self.stride}"
        if self.kind in ("conv", "linear"):
            text += f">{self.filters}"
        if self.activation:
            text += f":{self.activation}"
        if self.inputs != (number - 1,):
            text += "@" + ",".join(map(str, self.inputs))
        return text


@dataclass(frozen=True, kw_only=True)
class ShapedOp:
    """An op with the shapes it works on: what features, counts and weights are computed from."""

    op: Op
    inputs: tuple[Shape, ...]
    output: Shape

    @cached_property
    def madds(self) -> int:
        """Multiply-adds of convolutions (SE included) and dense layers; the rest counts 0."""
        if self.op.kind not in WEIGHTED:
            return 0
        pixels = math.prod(self.output[:-1])
        return pixels * math.prod(self.weight_shape)

    @property
    def weight_shape(self) -> Shape:
        """(output, kernel, kernel, input channels); depthwise (kernel, kernel, channels).

        Dense layers (output, input). Empty for ops without weights.
        """
        op, channels = self.op, self.inputs[0][-1]
        if op.kind == "conv":
            return (op.filters, op.kernel, op.kernel, channels)
        if op.kind == "dwconv":
            return (op.kernel, op.kernel, channels)
        return (op.filters, channels) if op.kind == "linear" else ()

    @property
    def n_params(self) -> int:
        """Weights with their bias, or with scale and shift of their batch norm."""
        if self.op.kind not in WEIGHTED:
            return 0
        return math.prod(self.weight_shape) + self.output[-1] * (2 if self.op.norm else 1)


@dataclass(frozen=True, kw_only=True)
class LoweredLayer:
    """Ops of one layer, in order of execution; the last one's output is the layer's output."""

    input_shape: Shape
    ops: tuple[Op, ...]
    label: str = field(default="", compare=False)  # for people; no part of the signature

    @cached_property
    def shaped_ops(self) -> tuple[ShapedOp, ...]:
        """The ops with their shapes.

        Raises:
            ValueError: If an op reads a tensor that does not exist yet, or shapes do not fit.
        """
        shapes = [self.input_shape]
        shaped = []
        for number, op in enumerate(self.ops, start=1):
            if any(not 0 <= source < number for source in op.inputs):
                raise ValueError(f"Op {number} ({op.kind}) reads {op.inputs}, out of range.")
            inputs = tuple(shapes[source] for source in op.inputs)
            shapes.append(op.output_shape(inputs))
            shaped.append(ShapedOp(op=op, inputs=inputs, output=shapes[-1]))
        return tuple(shaped)

    @cached_property
    def n_weights(self) -> int:
        """Elements of all weights."""
        return sum(math.prod(each.weight_shape) for each in self.shaped_ops if each.weight_shape)

    @cached_property
    def n_outputs(self) -> int:
        """Elements of all outputs of ops."""
        return sum(math.prod(each.output) for each in self.shaped_ops)

    @property
    def output_shape(self) -> Shape:
        """Shape of the layer's output."""
        return self.shaped_ops[-1].output if self.ops else self.input_shape

    @cached_property
    def text(self) -> str:
        """The ops as they stand in a signature."""
        return " ".join(op.text(number) for number, op in enumerate(self.ops, start=1))


@dataclass(frozen=True)
class Graph:
    """A chain of layers at one precision; a single layer is a graph of one.

    ``places`` names the layers by where they stand (``stem``, ``block2.1``, ``head``), as many as
    layers. They are no part of equality or signature.
    """

    layers: tuple[LoweredLayer, ...]
    precision: Precision = "fp32"
    places: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("A graph needs at least one layer.")
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"precision must be one of {', '.join(get_args(Precision))}, got "
                f"{self.precision!r}."
            )
        if not self.places:
            places = tuple(f"layer{number}" for number in range(len(self.layers)))
            object.__setattr__(self, "places", places)
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.output_shape != after.input_shape:
                raise ValueError(
                    f"A layer puts out {before.output_shape}, the next takes {after.input_shape}."
                )

    @property
    def input_shape(self) -> Shape:
        """(height, width, channels)."""
        return self.layers[0].input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer's output."""
        return self.layers[-1].output_shape

    def shaped_ops(self) -> Iterator[ShapedOp]:
        """Every op of every layer in order."""
        for layer in self.layers:
            yield from layer.shaped_ops

    @property
    def madds(self) -> int:
        """Multiply-adds of convolutions, SE and dense layers."""
        return sum(shaped.madds for shaped in self.shaped_ops())

    @property
    def n_params(self) -> int:
        """Trainable parameters, batch norm's scale and shift included."""
        return sum(shaped.n_params for shaped in self.shaped_ops())

    @cached_property
    def layer_signatures(self) -> tuple[str, ...]:
        """The signature of each layer standing alone: the keys of the latency table."""
        return tuple(_signature(self.precision, (layer,)) for layer in self.layers)

    @cached_property
    def signature(self) -> str:
        """The signature of the whole graph."""
        return _signature(self.precision, self.layers)

    def layer_graphs(self) -> tuple["Graph", ...]:
        """Each layer as a graph of its own."""
        return tuple(Graph((layer,), self.precision) for layer in self.layers)

    @classmethod
    def parse(cls, signature: str) -> "Graph":
        """Build a graph from its signature.

        What a signature leaves out (batch norm, names, places) is left out here too, so
        ``n_params`` may differ; latency features, multiply-adds and the signature are the same.

        Raises:
            ValueError: If the text is not a signature.
        """
        try:
            precision, shape_text, rest = signature.split(" ", 2)
            shape: Shape = tuple(int(size) for size in shape_text.split("x"))
            if min(shape) < 1:
                raise ValueError(f"{shape_text!r} is not a shape")
            layers = []
            for layer_text in rest.split(" | "):
                ops = tuple(
                    _parse_op(text, number)
                    for number, text in enumerate(layer_text.split(" "), start=1)
                )
                layers.append(LoweredLayer(input_shape=shape, ops=ops))
                shape = layers[-1].output_shape
            graph = cls(tuple(layers), precision)  # type: ignore[arg-type]  # checked by Graph
            if graph.signature != signature:  # e.g. filters on an op that has none
                raise ValueError(f"what it means is written {graph.signature[:80]!r}")
            return graph
        except (ValueError, IndexError) as error:
            raise ValueError(f"{signature[:80]!r} is not a signature: {error}") from None


def _signature(precision: Precision, layers: Sequence[LoweredLayer]) -> str:
    shape = "x".join(map(str, layers[0].input_shape))
    return f"{precision} {shape} " + " | ".join(layer.text for layer in layers)


def _parse_op(text: str, number: int) -> Op:
    match = _OP.fullmatch(text)
    if match is None or match["kind"] not in get_args(Kind):
        raise ValueError(f"{text!r} is not an op")
    inputs: tuple[int, ...] = (number - 1,)
    if match["inputs"]:
        inputs = tuple(int(source) for source in match["inputs"].split(","))
    op = Op(
        kind=match["kind"],  # type: ignore[arg-type]  # checked above
        inputs=inputs,
        filters=int(match["filters"] or 0),
        kernel=int(match["kernel"] or 1),
        stride=int(match["stride"] or 1),
        activation=match["activation"] or "",  # type: ignore[arg-type]  # checked below
    )
    if (
        op.activation not in ("", "relu", "relu6")
        or len(inputs) != (2 if op.kind in ("add", "mul") else 1)
        or (op.kind in ("conv", "linear") and op.filters < 1)
        or min(op.kernel, op.stride) < 1
        or (op.stride > 1 and op.kind not in _WINDOWED)
    ):
        raise ValueError(f"{text!r} is not an op")
    return op
