"""The lowered network: what the runtime executes, op by op, cut into layers.

Batch norm is folded and activations are fused: one ``Op`` is one kernel of the runtime. A ``Graph``
is a chain of ``LoweredLayer``; each reads one tensor, the output of the layer before it, so that
latencies of layers can be measured one by one and added. Everything else in the package (the torch
module, the TFLite file, multiply-adds, the signatures of the latency table, the features of the
predictors) is read from here.

A **signature** is the text of a graph, with all that decides its latency and nothing else::

    fp32 56x56x24 conv1x1>72:relu dwconv5x5/2:relu conv1x1>40

An op is written ``kind``, ``KERNEL``, ``/stride``, ``~dilation``, ``+padding``, ``>filters``,
``%groups``, ``=output shape``, ``:activation``, ``@inputs``, of which only what says something is
written: ``conv1x7/2x1~2+0x3x1x1>64%4``. Ops read the op before them unless ``@`` says otherwise
(``add@0,3``: op 3 plus the layer's input 0); layers are separated by `` | ``. ``Graph.parse`` reads
it back.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal, get_args

_MAX_SIZE = 2**31 - 1  # of a dimension: what a .tflite file can say

Precision = Literal["fp32", "fp16", "int8"]
Kind = Literal[
    # With weights.
    "conv",
    "dwconv",
    "linear",
    "conv_transpose",
    # Windows and reductions.
    "avg_pool",
    "max_pool",
    "mean",
    "global_pool",
    "sum",
    "reduce_max",
    # Two tensors, broadcast against each other.
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "matmul",
    # One tensor and constants: plus, times.
    "shift",
    "scale",
    # Element by element.
    "relu",
    "relu6",
    "relu_n1_to_1",
    "leaky_relu",
    "prelu",
    "elu",
    "gelu",
    "hard_swish",
    "logistic",
    "tanh",
    "softmax",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "abs",
    "neg",
    # Moving elements.
    "concat",
    "slice",
    "pad",
    "resize",
    "resize_nearest",
    "shuffle",
    "transpose",
    "reshape",
    "broadcast",
    # Whatever has no meaning here: priced by the elements it moves.
    "unknown",
]
Shape = tuple[int, ...]  # (height, width, channels) or (channels,); the batch is always 1
Pair = tuple[int, int]  # (height, width)
Padding = tuple[int, int, int, int]  # (top, bottom, left, right)
Fused = Literal["", "relu", "relu6", "relu_n1_to_1"]

WEIGHTED: frozenset[str] = frozenset({"conv", "dwconv", "linear", "conv_transpose"})
PAIRED: frozenset[str] = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})
VALID: Padding = (0, 0, 0, 0)
_KINDS = frozenset(get_args(Kind))
_PRECISIONS = get_args(Precision)
_FUSED = frozenset(get_args(Fused))
_WINDOWED = frozenset({"conv", "dwconv", "conv_transpose", "avg_pool", "max_pool"})
_DILATED = _WINDOWED - {"avg_pool"}
_FILTERED = frozenset({"conv", "linear", "conv_transpose"})
_MAY_FILTER = _FILTERED | {"dwconv", "pad"}
_GROUPED = frozenset({"conv", "conv_transpose", "shuffle"})
_REDUCING = frozenset({"mean", "sum", "reduce_max"})
_SIZED = frozenset("slice resize resize_nearest transpose reshape broadcast matmul unknown".split())
_MAY_SIZE = _SIZED | _REDUCING | {"concat"}
_IMAGE = _WINDOWED | {"mean", "global_pool", "pad", "sum", "reduce_max"}

_OP = re.compile(
    rf"(?P<kind>{'|'.join(sorted(_KINDS, key=len, reverse=True))})"  # relu6 before relu
    r"(?:\.(?P<name>\w+))?(?P<kernel>\d+x\d+)?"
    r"(?:/(?P<stride>\d+(?:x\d+)?))?(?:~(?P<dilation>\d+(?:x\d+)?))?"
    r"(?:\+(?P<padding>\d+(?:x\d+){3}|\d+))?(?:>(?P<filters>\d+))?(?:%(?P<groups>\d+))?"
    r"(?:=(?P<size>\d+(?:x\d+)*))?(?::(?P<activation>\w+))?(?:@(?P<inputs>\d+(?:,\d+)*))?"
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
        if len(first) != 3 and self.kind in _IMAGE and not self.size:
            raise ValueError(f"{self.kind} needs height, width and channels, got {first}.")
        if self.kind in _WINDOWED:
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
        if self.kind in _WINDOWED:
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
            for source in op.inputs:
                if not 0 <= source < number:
                    raise ValueError(f"Op {number} ({op.kind}) reads {op.inputs}, out of range.")
            inputs = tuple([shapes[source] for source in op.inputs])
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

    @cached_property
    def output_shape(self) -> Shape:
        """Shape of the layer's output."""
        return self.shaped_ops[-1].output if self.ops else self.input_shape

    @cached_property
    def text(self) -> str:
        """The ops as they stand in a signature."""
        return " ".join(op.text(number) for number, op in enumerate(self.ops, start=1))

    @cached_property
    def text_alone(self) -> str:
        """The signature of the layer as a network of its own, without the precision."""
        return f"{'x'.join(map(str, self.input_shape))} {self.text}"


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
        if self.precision not in _PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(_PRECISIONS)}, got {self.precision!r}."
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
        return tuple(f"{self.precision} {layer.text_alone}" for layer in self.layers)

    @cached_property
    def signature(self) -> str:
        """The signature of the whole graph."""
        first, *others = self.layers
        texts = (first.text_alone, *(layer.text for layer in others))
        return f"{self.precision} {' | '.join(texts)}"

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
            if not all(1 <= size <= _MAX_SIZE for size in shape):
                raise ValueError(f"{shape_text[:80]!r} is not a shape")
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


def chain(
    input_shape: Shape,
    ops: Sequence[Op],
    precision: Precision = "fp32",
    *,
    labels: Sequence[str] = (),
    places: Sequence[str] = (),
) -> Graph:
    """Cut a network into layers wherever exactly one tensor is alive.

    Args:
        input_shape: (height, width, channels).
        ops: In order of execution; ``inputs`` count through the whole network, 0 is its input. The
            last op's output is the network's.
        precision: Of the graph.
        labels: What people call each op, as many as ops; a layer is labelled by its first op.
        places: Where each op stands. If given, layers are cut only where the place changes, and
            are named by it.

    Raises:
        ValueError: If there is no op, an op reads what does not exist yet, or shapes do not fit.

    >>> stem, branch = Op(kind="conv", inputs=(0,), filters=8), Op(kind="logistic", inputs=(1,))
    >>> chain((4, 4, 3), [stem, branch, Op(kind="mul", inputs=(1, 2))]).signature
    'fp32 4x4x3 conv1x1>8 | logistic mul@0,1'
    """
    last_use = list(range(len(ops) + 1))
    for number, op in enumerate(ops, start=1):
        if any(not 0 <= source < number for source in op.inputs):
            raise ValueError(f"Op {number} ({op.kind}) reads {op.inputs}, out of range.")
        for source in op.inputs:
            last_use[source] = number
    layers: list[LoweredLayer] = []
    names: list[str] = []
    start, shape, alive_until = 0, input_shape, last_use[0]
    for number in range(1, len(ops) + 1):
        # What was made before this op may be needed after it; its own output always is. Padding
        # stays with what reads it: runtimes merge the two.
        alone = alive_until <= number < last_use[number] and ops[number - 1].kind != "pad"
        if places and number < len(ops):
            alone = alone and places[number - 1] != places[number]
        if number < len(ops) and not alone:
            alive_until = max(alive_until, last_use[number])
            continue
        own = tuple(
            replace(op, inputs=tuple(source - start for source in op.inputs))
            for op in ops[start:number]
        )
        label = labels[start] if labels else ""
        if places:
            names.append(places[start])
        layers.append(LoweredLayer(input_shape=shape, ops=own, label=label))
        start, shape, alive_until = number, layers[-1].output_shape, last_use[number]
    return Graph(tuple(layers), precision, tuple(names))


@lru_cache(maxsize=65536)  # networks are made of the same few ops
def _parse_op(text: str, number: int) -> Op:
    match = _OP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an op")
    inputs: tuple[int, ...] = (number - 1,)
    if match["inputs"]:
        inputs = tuple(int(source) for source in match["inputs"].split(","))
    pads = _numbers(match["padding"])
    op = Op(
        kind=match["kind"],  # type: ignore[arg-type]  # checked above
        inputs=inputs,
        filters=int(match["filters"] or 0),
        kernel=_pair(match["kernel"]),
        stride=_pair(match["stride"]),
        dilation=_pair(match["dilation"]),
        padding=(pads * 4 if len(pads) == 1 else pads) or "",  # type: ignore[arg-type]  # 0, 1 or 4
        groups=int(match["groups"] or 1),
        size=_numbers(match["size"]),
        activation=match["activation"] or "",  # type: ignore[arg-type]  # checked below
        name=match["name"] or "",
    )
    if not _is_whole(op):
        raise ValueError(f"{text!r} is not an op")
    return op


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("x")) if text else ()


def _pair(text: str | None) -> Pair:
    numbers = _numbers(text) or (1,)
    return (numbers[0], numbers[-1])


def _is_whole(op: Op) -> bool:
    """Whether an op says all that its kind needs, and nothing that its kind cannot have."""
    kind = op.kind
    if kind in PAIRED or kind == "matmul":
        right_inputs = len(op.inputs) == 2
    elif kind == "concat":
        right_inputs = len(op.inputs) >= 2 or bool(op.size)
    else:
        right_inputs = len(op.inputs) == 1 or kind == "unknown"
    return (
        right_inputs
        and op.activation in _FUSED
        and min(*op.kernel, *op.stride, *op.dilation, op.groups) >= 1
        and (kind in _WINDOWED or (op.kernel, op.stride) == ((1, 1), (1, 1)))
        and (kind in _DILATED or op.dilation == (1, 1))
        and (kind in _WINDOWED or kind == "pad" or not op.padding)
        and (kind != "pad" or bool(op.padding))
        and (op.filters >= 1 if kind in _FILTERED else kind in _MAY_FILTER or not op.filters)
        and (op.groups == 1 or kind in _GROUPED)
        and (kind != "shuffle" or op.groups > 1)
        and (bool(op.size) if kind in _SIZED else kind in _MAY_SIZE or not op.size)
        and all(size >= 1 for size in op.size)
        and (not op.name or kind == "unknown")
    )
