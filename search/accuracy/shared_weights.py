"""Holds the weights that all networks of a space share, and slices those of one network."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from mnaslat.graph import Graph, ShapedOp
from mnaslat.network import OpWeights, torch_weight_shape

# Place, name of the layer's first op, name of the op, its kind. The first op tells the families
# apart: a depthwise convolution of a layer's input has nothing to share with one of an expanded
# input. Kernels are no part of it: a 3x3 kernel is the centre of the 5x5 one.
WeightKey = tuple[str, str, str, str]

_NOISE = 0.05  # share of random weights in the initial ones
_SHIFT = 1.0  # of batch norm at the start: most values then pass the next ReLU unchanged


def shared_shapes(graphs: Iterable[Graph]) -> dict[WeightKey, tuple[tuple[int, ...], bool]]:
    """Find the smallest shapes that hold the weights of every graph, and whether batch norm."""
    shapes: dict[WeightKey, tuple[tuple[int, ...], bool]] = {}
    for graph in graphs:
        for key, shaped in _keyed_ops(graph):
            if not shaped.weight_shape:
                continue
            shape = torch_weight_shape(shaped)
            known, norm = shapes.get(key, (shape, shaped.op.norm))
            widest = tuple(max(sizes) for sizes in zip(shape, known, strict=True))
            shapes[key] = (widest, norm)
    return shapes


def _keyed_ops(graph: Graph) -> Iterator[tuple[WeightKey, ShapedOp]]:
    for place, layer in zip(graph.places, graph.layers, strict=True):
        for number, shaped in enumerate(layer.shaped_ops):
            op = shaped.op
            yield (place, layer.ops[0].name, op.name or str(number), op.kind), shaped


class SupernetWeights(nn.Module):
    """Weights wide enough for every candidate, which uses leading channels and kernels' centres.

    Args:
        shapes: Of ``shared_shapes``.
        seed: Of the initial weights.
    """

    def __init__(
        self, shapes: Mapping[WeightKey, tuple[tuple[int, ...], bool]], *, seed: int
    ) -> None:
        super().__init__()
        listed = repr(sorted(shapes.items()))
        self.digest = hashlib.sha256(listed.encode()).hexdigest()[:8]  # equal for equal shapes
        generator = torch.Generator().manual_seed(seed)
        self._weight, self._scale, self._shift = (nn.ParameterDict() for _ in range(3))
        for key in sorted(shapes):
            shape, norm = shapes[key]
            name = _name(key)
            weight = torch.randn(shape, generator=generator) * (2.0 / math.prod(shape[1:])) ** 0.5
            if norm:
                weight = _near_identity(weight, depthwise=key[3] == "dwconv")
            if key[3] == "linear":
                weight.zero_()  # no class is more likely than others: nothing to be unlearned
            self._weight[name] = nn.Parameter(weight)
            self._shift[name] = nn.Parameter(torch.full((shape[0],), _SHIFT if norm else 0.0))
            if norm:
                self._scale[name] = nn.Parameter(torch.ones(shape[0]))

    def weights(self, graph: Graph) -> list[OpWeights | None]:
        """Slice the weights of one candidate, in the order of ``graph.shaped_ops()``.

        Running statistics start afresh with every call.
        """
        return [
            self._slice(_name(key), shaped) if shaped.weight_shape else None
            for key, shaped in _keyed_ops(graph)
        ]

    def _slice(self, name: str, shaped: ShapedOp) -> OpWeights:
        shape = torch_weight_shape(shaped)
        bank = self._weight[name]
        weight = bank[: shape[0], : shape[1]]
        if bank.dim() == 4:
            margin = (bank.shape[2] - shape[2]) // 2
            weight = weight[:, :, margin : margin + shape[2], margin : margin + shape[3]]
        shift = self._shift[name][: shape[0]]
        if not shaped.op.norm:
            return OpWeights(weight, bias=shift)
        return OpWeights(
            weight,
            scale=self._scale[name][: shape[0]],
            shift=shift,
            running_mean=torch.zeros(shape[0]),
            running_var=torch.ones(shape[0]),
        )


def _near_identity(noise: Tensor, depthwise: bool) -> Tensor:
    """Make a convolution that mostly passes its input on.

    If all layers start so, a layer sees about the same features behind any other layer, and what
    one candidate learns helps the others. From random weights nothing is learned in a minute as
    soon as kernels, ops or depths vary (``docs/decisions.md``, "The supernet").
    A layer that widens (an expansion) passes on every channel twice, as it is and negated, and one
    that narrows takes the difference: together they are the identity in spite of the ReLU between.
    """
    weight = _NOISE * noise
    n_outputs, n_inputs, kernel = noise.shape[0], noise.shape[1], noise.shape[2]
    centre = weight[:, :, kernel // 2, kernel // 2]
    if depthwise:
        centre += 1.0
        return weight
    pairs = torch.arange(min(n_outputs, n_inputs))
    if n_outputs >= 2 * n_inputs:
        centre[2 * pairs, pairs] += 1.0
        centre[2 * pairs + 1, pairs] -= 1.0
    elif n_inputs >= 2 * n_outputs:
        centre[pairs, 2 * pairs] += 1.0
        centre[pairs, 2 * pairs + 1] -= 1.0
    else:
        centre[pairs, pairs] += 1.0
    return weight


def _name(key: WeightKey) -> str:
    return "/".join(map(str, key)).replace(".", "_")  # torch allows no dot in a parameter's name
