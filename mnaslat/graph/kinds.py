"""Lists the kinds of operations and what each of them may have."""

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
KINDS = frozenset(get_args(Kind))
PRECISIONS = get_args(Precision)
FUSED = frozenset(get_args(Fused))
WINDOWED = frozenset({"conv", "dwconv", "conv_transpose", "avg_pool", "max_pool"})
DILATED = WINDOWED - {"avg_pool"}
FILTERED = frozenset({"conv", "linear", "conv_transpose"})
MAY_FILTER = FILTERED | {"dwconv", "pad"}
GROUPED = frozenset({"conv", "conv_transpose", "shuffle"})
_REDUCING = frozenset({"mean", "sum", "reduce_max"})
SIZED = frozenset("slice resize resize_nearest transpose reshape broadcast matmul unknown".split())
MAY_SIZE = SIZED | _REDUCING | {"concat"}
IMAGE = WINDOWED | {"mean", "global_pool", "pad", "sum", "reduce_max"}
