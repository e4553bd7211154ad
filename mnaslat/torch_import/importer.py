"""Reads torch modules as the graphs that a TFLite runtime would execute for them.

The module runs once without computing anything (``tracing``). Each primitive operation that it
calls is translated (``translation``) into what a converter writes for it: channels last, batch norm
folded, activations fused, padding explicit unless it equals SAME (``mnaslat.graph.fusion``).
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

from mnaslat.errors import UnsupportedOperation
from mnaslat.graph import Graph, Precision
from mnaslat.graph.importing import Unknown, check_unknown

# These know how to translate: importing them registers what they know.
from mnaslat.torch_import import elementwise_ops as _elementwise_ops  # noqa: F401
from mnaslat.torch_import import layout_ops as _layout_ops  # noqa: F401
from mnaslat.torch_import import weighted_ops as _weighted_ops  # noqa: F401
from mnaslat.torch_import.tracing import trace
from mnaslat.torch_import.translation import Translation

_MAX_ELEMENTS = 2**31  # of an image; what a runtime can count


def graph_from_torch(
    module: nn.Module,
    input_shape: Sequence[int] = (1, 3, 224, 224),
    *,
    precision: Precision = "fp32",
    unknown: Unknown = "error",
) -> Graph:
    """Trace a torch module in evaluation and return the graph that a TFLite runtime would execute.

    The module is left as it is and nothing is computed. The graph is cut into layers wherever
    exactly one tensor is alive. If the module has several outputs, all are computed and the last
    one to be ready is the graph's.

    Args:
        module: Any module that takes one image. Loops, branches on shapes, functional calls and
            in-place operations are followed.
        input_shape: (1, channels, height, width).
        precision: Of the graph.
        unknown: What to do with an operation that has no meaning here: raise an error, or take it
            as an op of kind ``unknown``, which predictors price by the elements it moves.

    Raises:
        UnsupportedOperation: If an operation has no meaning here and ``unknown`` is "error", or if
            the module cannot be traced, e.g. because it decides by the values of a tensor.
        ValueError: If ``input_shape`` is not that of one image, or ``unknown`` is neither.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, padding=1), nn.BatchNorm2d(8), nn.Hardswish())
    >>> graph_from_torch(net, (1, 3, 32, 32)).signature
    'fp32 32x32x3 pad+1 conv3x3/2+0>8 | hard_swish'
    """
    shape = _checked_shape(input_shape)
    check_unknown(unknown)
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedOperation(
            "The module is TorchScript, which cannot be followed. Import the module that it was "
            "made from."
        )
    if not isinstance(module, nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, got a {type(module).__name__}.")
    return Translation(trace(module, shape), unknown).graph(precision)


def _checked_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(input_shape)
    # NumPy's integers count as well, True does not.
    whole = all(hasattr(size, "__index__") and not isinstance(size, bool) for size in shape)
    if not whole or len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
        raise ValueError(f"input_shape must be (1, channels, height, width), got {shape}.")
    if math.prod(map(int, shape)) > _MAX_ELEMENTS:
        raise ValueError(f"input_shape may have at most {_MAX_ELEMENTS} elements.")
    return tuple(map(int, shape))
