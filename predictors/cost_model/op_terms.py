"""Describes the cost of an op as terms, each with an initial estimate.

Every op adds to a few **terms** of its class: multiply-adds, elements moved, weights, a constant,
and the runtime's own overheads. A term's value is a quantity times an estimated unit cost, right to
an order of magnitude; ``CostModel`` learns the factors. CPUs and GPUs have different terms:

- On a CPU convolutions are a matrix product over unfolded windows, in tiles of eight, with weights
  packed at every inference; grouped ones are plain loops; a batch norm that could not be folded
  is a multiplication and an addition with a cost for each pixel.
- On a GPU a small image waits for one thread's loop over the window (``serial``), large ones for
  multiply-adds; 3x3 convolutions with enough channels and tiles become Winograd kernels;
  elementwise functions are fused with the previous op.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mnaslat.data.delegates import Family, described_delegates, family_of
from mnaslat.data.measurement import Configuration
from mnaslat.graph import KINDS, LoweredLayer, Precision, ShapedOp

Runtime = Family


class Term(NamedTuple):
    """A cost that the ops of one class share; classes become finer from left to right."""

    family: str  # e.g. conv
    kernel: str  # e.g. conv3x3
    stride: str  # e.g. conv3x3/2
    what: str  # e.g. macs


# Once per network: starting and ending an inference. The layer that reads the image includes it.
WHOLE_NETWORK = Term("network", "network", "network", "one")
_WHOLE_NETWORK_MS: dict[Runtime, float] = {"cpu": 0.1, "gpu": 0.5}

_NS = 1e-6  # in milliseconds


def runtime_of(configuration: Configuration) -> Runtime:
    """Return whose terms describe a configuration: a CPU's or a GPU's.

    Raises:
        ValueError: If the delegate is not known to run on one of them.
    """
    family = family_of(configuration.delegate)
    if family is None:
        known = ", ".join(described_delegates())
        raise ValueError(
            f"What a network costs on the delegate {configuration.delegate[:40]!r} is not known "
            f"from its ops. Known: {known}. Name the one that runs the networks, or measure a "
            "table of layers (`mnaslat profile`), which needs no such knowledge."
        )
    return family


def layer_terms(layer: LoweredLayer, runtime: Runtime, precision: Precision) -> dict[Term, float]:
    """Estimate the milliseconds of each term of a layer.

    An explicit padding costs nothing: it is merged with the op that reads it. A layer that reads an
    image (one or three channels) is a network's first, and includes the cost of the call.
    """
    depth_step = 16 if precision == "int8" else 1
    terms: dict[Term, float] = {}
    if len(layer.input_shape) == 3 and layer.input_shape[-1] in (1, 3):
        terms[WHOLE_NETWORK] = _WHOLE_NETWORK_MS[runtime]
    for shaped in layer.shaped_ops:
        if KINDS[shaped.op.kind].cost == "free":
            continue
        for term, ms in _op_terms(shaped, runtime, depth_step):
            terms[term] = terms.get(term, 0.0) + ms
    return terms


# Layers are many, but made of the same few ops.
@lru_cache(maxsize=16384)
def _op_terms(
    shaped: ShapedOp, runtime: Runtime, depth_step: int
) -> tuple[tuple[Term, float], ...]:
    found = _gpu_terms(shaped) if runtime == "gpu" else _cpu_terms(shaped, depth_step)
    return tuple((term, ns * _NS) for term, ns in found if ns != 0)


class _Sizes:
    """The sizes that terms are computed from."""

    def __init__(self, shaped: ShapedOp) -> None:
        op, out = shaped.op, shaped.output
        self.n_in = sum(map(math.prod, shaped.inputs))
        self.n_out = math.prod(out)
        self.pixels = math.prod(out[:-1])
        self.c_in, self.c_out = shaped.inputs[0][-1], out[-1]
        self.pixels_in = math.prod(shaped.inputs[0][:-1])
        self.taps = math.prod(op.kernel)
        self.step = max(op.stride)
        self.kernel = f"{op.kernel[0]}x{op.kernel[1]}"
        self.stride = f"{self.kernel}/{self.step}"


def _family(shaped: ShapedOp, sizes: _Sizes) -> str:
    kind, groups = shaped.op.kind, shaped.op.groups
    if kind == "matmul" or (kind == "linear" and sizes.pixels == 1):
        return "dense"
    if kind == "linear":
        return "conv"  # of 1x1: each row is a pixel
    if kind == "conv" and groups == 1 and sizes.pixels == sizes.pixels_in == 1:
        return "dense"
    if kind in ("conv", "conv_transpose"):
        return "grouped" if groups > 1 else kind
    if kind == "dwconv":
        return "depthwise"
    if kind == "avg_pool" and sizes.pixels == 1:
        return "reduce"
    return KINDS[kind].cost


def _window_path(family: str, kind: str, sizes: _Sizes, c_in: int) -> tuple[str, str, str]:
    if family == "conv" and c_in == 3:
        return ("conv", "stem", f"stem{sizes.kernel}")
    name = {"grouped": "grouped", "depthwise": "depthwise", "conv": "conv"}.get(family, kind)
    group = "conv" if family == "conv_transpose" else family
    return (group, name + sizes.kernel, name + sizes.stride)


def _cpu_terms(shaped: ShapedOp, depth_step: int) -> Iterator[tuple[Term, float]]:
    sizes = _Sizes(shaped)
    family = _family(shaped, sizes)
    if family == "dense":
        yield from _cpu_dense(shaped)
    elif family in ("conv", "conv_transpose"):
        yield from _cpu_conv(shaped, sizes, family, depth_step)
    elif family in ("grouped", "depthwise"):
        yield from _cpu_grouped(shaped, sizes, family)
    else:
        yield from _cpu_memory(shaped, sizes, family)


def _cpu_dense(shaped: ShapedOp) -> Iterator[tuple[Term, float]]:
    # Of one vector, as many as weights; several vectors, or matrices, read them again and again.
    yield Term("dense", "dense", "dense", "weights"), 0.5 * shaped.madds
    yield Term("dense", "dense", "dense", "one"), 3000.0


def _cpu_conv(
    shaped: ShapedOp, sizes: _Sizes, family: str, depth_step: int
) -> Iterator[tuple[Term, float]]:
    path = _window_path(family, shaped.op.kind, sizes, sizes.c_in)
    rows = sizes.pixels_in if family == "conv_transpose" else sizes.pixels
    depth = sizes.taps * sizes.c_in
    macs = _up(depth, depth_step) * sizes.c_out * rows
    tiled = _up(depth, depth_step) * _up(sizes.c_out, 8) * _up(rows, 8)
    pointwise = sizes.taps == 1 and sizes.step == 1
    yield Term(*path, "macs"), 0.1 * macs
    yield Term(*path, "waste"), 0.1 * (tiled - macs)
    yield Term(*path, "columns"), 1.0 * depth * rows  # unfolding windows
    yield Term(*path, "out"), 1.0 * sizes.n_out
    yield Term(*path, "weights"), 0.5 * depth * sizes.c_out  # packed at every inference
    yield Term(*path, "rows"), 5.0 * rows * (1 if pointwise else shaped.op.kernel[0])
    if sizes.c_out % 8:
        yield Term(*path, "odd"), 0.5 * sizes.pixels * (sizes.c_out % 8)
    yield Term(*path, "one"), 3000.0


def _cpu_grouped(shaped: ShapedOp, sizes: _Sizes, family: str) -> Iterator[tuple[Term, float]]:
    path = _window_path(family, shaped.op.kind, sizes, sizes.c_in)
    if family == "grouped":
        yield Term(*path, "macs"), 0.5 * shaped.madds
        yield Term(*path, "taps"), 2.0 * sizes.taps * sizes.n_out
    else:
        yield Term(*path, "macs"), 0.1 * sizes.taps * _up(sizes.c_out, 8) * sizes.pixels
        yield Term(*path, "taps"), 2.0 * sizes.taps * sizes.pixels
        if sizes.c_out % 8:
            yield Term(*path, "odd"), 0.5 * sizes.taps * sizes.pixels * (sizes.c_out % 8)
        yield Term(*path, "in"), 1.0 * sizes.n_in
    yield Term(*path, "out"), 1.0 * sizes.n_out
    yield Term(*path, "one"), 3000.0


def _cpu_memory(shaped: ShapedOp, sizes: _Sizes, family: str) -> Iterator[tuple[Term, float]]:
    name = _memory_name(shaped, family)
    path = ("memory", name, name)
    moved = sizes.n_in + (sizes.taps if family == "pool" else 1) * sizes.n_out
    yield Term(*path, "moved"), 1.0 * moved
    yield Term(*path, "one"), 3000.0
    if name in ("affine", "mul"):  # loops over the broadcast operand restart at every pixel
        yield Term(*path, "pixels"), 20.0 * sizes.pixels
    if name == "concat":
        yield Term(*path, "pixels"), 5.0 * sizes.pixels * len(shaped.inputs)


def _gpu_terms(shaped: ShapedOp) -> Iterator[tuple[Term, float]]:
    sizes = _Sizes(shaped)
    family = _family(shaped, sizes)
    if family == "dense":
        path = ("dense", "dense", "linear" if shaped.op.kind == "linear" else "conv")
        yield Term(*path, "weights"), 0.2 * shaped.madds
        yield Term(*path, "serial"), 10.0 * sizes.c_in
        yield Term(*path, "one"), 1e4
    elif family in ("conv", "conv_transpose", "grouped"):
        yield from _gpu_conv(shaped, sizes, family)
    elif family == "depthwise":
        path = _window_path(family, shaped.op.kind, sizes, sizes.c_in)
        yield Term(*path, "taps"), 0.05 * sizes.taps * _up(sizes.c_out, 4) * sizes.pixels
        yield Term(*path, "in"), 0.2 * sizes.n_in
        yield Term(*path, "out"), 0.2 * sizes.n_out
        yield Term(*path, "one"), 1e4
    elif family == "elementwise":
        name = _memory_name(shaped, family)
        moved = sizes.n_in if name == "add" else sizes.n_out
        yield Term("elementwise", name, name, "moved"), 0.2 * moved
        yield Term("elementwise", name, name, "fused"), 1e3
    else:
        name = _memory_name(shaped, family)
        moved = sizes.n_in + sizes.n_out
        if family == "pool":
            moved = (sizes.taps + 1) * sizes.n_out // 2
        yield Term("move", name, name, "moved"), 0.2 * moved
        yield Term("move", name, name, "one"), 1e4


def _gpu_conv(shaped: ShapedOp, sizes: _Sizes, family: str) -> Iterator[tuple[Term, float]]:
    group = sizes.c_in // shaped.op.groups
    depth = sizes.taps * _up(group, 4)
    if family == "conv" and sizes.c_in != 3 and _is_winograd(shaped, sizes):
        path = ("conv", "winograd", "winograd")
    else:
        path = _window_path(family, shaped.op.kind, sizes, sizes.c_in)
    yield Term(*path, "macs"), 0.005 * depth * _up(sizes.c_out, 4) * sizes.pixels
    yield Term(*path, "serial"), 10.0 * depth
    yield Term(*path, "in"), 0.2 * sizes.n_in
    yield Term(*path, "out"), 0.2 * sizes.n_out
    yield Term(*path, "weights"), 0.2 * sizes.taps * group * sizes.c_out
    yield Term(*path, "one"), 1e4


def _is_winograd(shaped: ShapedOp, sizes: _Sizes) -> bool:
    """Apply TensorFlow Lite's rule for its 4x4 Winograd kernel on a GPU."""
    op, out = shaped.op, shaped.output
    if (op.kernel, op.stride, op.dilation, op.groups) != ((3, 3), (1, 1), (1, 1), 1):
        return False
    tiles = -(-out[0] // 4) * -(-out[1] // 4)
    depth = 8 if tiles >= 128 else 16
    return tiles >= 32 and -(-sizes.c_in // 4) >= depth and -(-sizes.c_out // 4) >= depth


def _memory_name(shaped: ShapedOp, family: str) -> str:
    return "mean" if family == "reduce" else KINDS[shaped.op.kind].cost_name


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
