"""Lists the kinds of operations, and all that the package knows of each kind by itself.

A new kind is a name in ``Kind`` and a row in ``KINDS``, then what imports or writes it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

MAX_SIZE = 2**31 - 1  # of a dimension: what a .tflite file can say

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
    # Anything without a meaning here: priced by the elements it moves.
    "unknown",
]
Shape = tuple[int, ...]  # (height, width, channels) or (channels,); the batch is always 1
Pair = tuple[int, int]  # (height, width)
Padding = tuple[int, int, int, int]  # (top, bottom, left, right)
Fused = Literal["", "relu", "relu6", "relu_n1_to_1"]
Cost = Literal["weighted", "pool", "reduce", "elementwise", "move", "free"]
May = Literal["never", "may", "must"]

VALID: Padding = (0, 0, 0, 0)
PRECISIONS = get_args(Precision)
FUSED = frozenset(get_args(Fused))


@dataclass(frozen=True, kw_only=True)
class KindInfo:
    """Properties of one kind of operation, and the family that its cost is of.

    Attributes:
        cost: What its time is spent on: products with weights, windows, reductions, functions of
            elements or moving them. Free ones are merged with what reads them.
        cost_name: Kinds of one name have the same first estimate of their cost.
        alike: Kinds of one name are computed in the same way, so that a predictor which has met one
            knows the others. Its own name if left out.
        n_inputs: Tensors that it reads; 0 is any number.
        weighted: It has trained weights.
        windowed: It has a kernel and a stride, and takes padding.
        dilated: Its window may be spread out.
        filters: Whether it says its output channels.
        grouped: Its channels may be divided into groups.
        sized: Whether it says its output's shape.
        image: It needs height, width and channels where it does not say its output's shape.
        paired: Its two tensors are broadcast against each other.
        takes_activation: The runtime computes an activation after it in the same kernel.
        outside_image: What SAME padding reads there, if explicit padding by it can be merged.
    """

    cost: Cost
    cost_name: str = ""
    alike: str = ""
    n_inputs: int = 1
    weighted: bool = False
    windowed: bool = False
    dilated: bool = False
    filters: May = "never"
    grouped: bool = False
    sized: May = "never"
    image: bool = False
    paired: bool = False
    takes_activation: bool = False
    outside_image: float | None = None


_weighted = partial(KindInfo, cost="weighted", weighted=True, takes_activation=True)
_window = partial(KindInfo, cost="pool", cost_name="pool", takes_activation=True)
_reduction = partial(KindInfo, cost="reduce", cost_name="mean", alike="mean", image=True)
_pair = partial(KindInfo, cost="elementwise", n_inputs=2, paired=True)
_affine = partial(KindInfo, cost="elementwise", cost_name="affine", alike="scale")
_move = partial(KindInfo, cost="move", sized="must")
_CLIP = KindInfo(cost="elementwise", cost_name="simple", alike="clip")
_CURVE = KindInfo(cost="elementwise", cost_name="sigmoid")

KINDS: Mapping[str, KindInfo] = {
    "conv": _weighted(
        windowed=True, dilated=True, filters="must", grouped=True, image=True, outside_image=0.0
    ),
    "dwconv": _weighted(windowed=True, dilated=True, filters="may", image=True, outside_image=0.0),
    "linear": _weighted(filters="must"),
    "conv_transpose": _weighted(
        windowed=True, dilated=True, filters="must", grouped=True, image=True
    ),
    "avg_pool": _window(windowed=True, image=True),
    "max_pool": _window(windowed=True, dilated=True, image=True, outside_image=-math.inf),
    "mean": _reduction(sized="may"),
    "global_pool": _reduction(),
    "sum": _reduction(sized="may"),
    "reduce_max": _reduction(sized="may"),
    "add": _pair(cost_name="add", alike="add", takes_activation=True),
    "sub": _pair(cost_name="add", alike="add", takes_activation=True),
    "mul": _pair(cost_name="mul", takes_activation=True),
    "div": _pair(cost_name="add", takes_activation=True),
    "maximum": _pair(cost_name="add", alike="add"),
    "minimum": _pair(cost_name="add", alike="add"),
    "matmul": KindInfo(cost="weighted", n_inputs=2, sized="must"),
    "shift": _affine(takes_activation=True),
    "scale": _affine(takes_activation=True),
    "relu": _CLIP,
    "relu6": _CLIP,
    "relu_n1_to_1": _CLIP,
    "leaky_relu": _CLIP,
    "prelu": _CLIP,
    "elu": _CURVE,
    "gelu": _CURVE,
    "hard_swish": _CLIP,
    "logistic": _CURVE,
    "tanh": _CURVE,
    "softmax": _CURVE,
    "exp": _CURVE,
    "log": _CURVE,
    "sqrt": _CURVE,
    "rsqrt": _CURVE,
    "square": _CLIP,
    "abs": _CLIP,
    "neg": _CLIP,
    "concat": KindInfo(cost="move", cost_name="concat", n_inputs=0, sized="may"),
    "slice": _move(cost_name="slice"),
    "pad": KindInfo(cost="free", filters="may", image=True),
    "resize": _move(cost_name="resize"),
    "resize_nearest": _move(cost_name="resize"),
    "shuffle": KindInfo(cost="move", cost_name="shuffle", alike="transpose", grouped=True),
    "transpose": _move(cost_name="shuffle", alike="transpose"),
    "reshape": KindInfo(cost="free", sized="must"),
    "broadcast": _move(cost_name="broadcast"),
    "unknown": _move(cost_name="unknown", n_inputs=0),
}
WEIGHTED = frozenset(kind for kind, info in KINDS.items() if info.weighted)
PAIRED = frozenset(kind for kind, info in KINDS.items() if info.paired)
WINDOWED = frozenset(kind for kind, info in KINDS.items() if info.windowed)
IMAGE = frozenset(kind for kind, info in KINDS.items() if info.image)
