"""Describes how a torch tensor lies in the runtime's channels-last memory.

Torch reshapes, permutes and expands tensors all the time. Most of it costs nothing: the elements
stay where they are. A ``View`` follows it as torch's own strides would, so that an operation knows
whether it can read the elements as they lie or whether they have to be moved first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mnaslat.graph import Shape

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """A torch tensor as a strided look at all elements of one value of the graph."""

    value: int
    sizes: Sizes
    strides: Sizes  # in elements of the value as it lies in memory; 0 where expanded

    @property
    def own_sizes(self) -> Sizes:
        """Sizes without what is only expanded."""
        return tuple(
            1 if stride == 0 else size
            for size, stride in zip(self.sizes, self.strides, strict=True)
        )

    @property
    def is_expanded(self) -> bool:
        """Whether elements are seen more than once."""
        return self.own_sizes != self.sizes

    def lies_in(self, order: Sequence[int]) -> bool:
        """Whether the elements lie one after the other in this order of dimensions."""
        expected = 1
        for dim in reversed(order):
            if self.sizes[dim] > 1:
                if self.strides[dim] != expected:
                    return False
                expected *= self.sizes[dim]
        return True

    def order(self, lying: Shape) -> tuple[int, ...]:
        """The order of dimensions in memory, for a value of shape ``lying``."""
        own = View(self.value, self.own_sizes, self.strides)
        candidates = (usual_order(len(self.sizes)), tuple(range(len(self.sizes))))
        fitting = [order for order in candidates if own.lies_in(order)]
        for order in fitting:
            if shape_in(own.sizes, order) == lying:
                return order
        if fitting:
            return fitting[0]
        dims = range(len(self.sizes))
        return tuple(sorted(dims, key=lambda dim: (self.own_sizes[dim] > 1, -self.strides[dim])))

    def permuted(self, dims: Sequence[int]) -> "View":
        """The same elements with their dimensions in another order."""
        return View(
            self.value,
            tuple(self.sizes[dim] for dim in dims),
            tuple(self.strides[dim] for dim in dims),
        )

    def expanded(self, sizes: Sizes) -> "View":
        """Dimensions of size 1, or new ones in front, seen as often as ``sizes`` says."""
        missing = len(sizes) - len(self.sizes)
        own_sizes = (1,) * missing + self.sizes
        own_strides = (0,) * missing + self.strides
        strides = tuple(
            stride if own == size else 0
            for own, stride, size in zip(own_sizes, own_strides, sizes, strict=True)
        )
        return View(self.value, sizes, strides)

    def reshaped(self, sizes: Sizes) -> "View | None":
        """The same elements in another shape; None where they would have to be moved."""
        strides: list[int] = [0] * len(sizes)
        blocks = self._blocks()
        position = len(sizes) - 1
        for size, stride in reversed(blocks):
            filled = 1
            while position >= 0 and (filled < size or sizes[position] == 1):
                strides[position] = stride * filled
                filled *= sizes[position]
                position -= 1
            if filled != size:
                return None
        if position >= 0 and math.prod(sizes[: position + 1]) != 1:
            return None
        return View(self.value, sizes, tuple(strides))

    def _blocks(self) -> list[tuple[int, int]]:
        """Runs of dimensions that lie together as one: (elements, stride of the innermost)."""
        blocks: list[tuple[int, int]] = []
        for size, stride in zip(self.sizes, self.strides, strict=True):
            if size == 1:
                continue
            if blocks and blocks[-1][1] == size * stride and stride:
                blocks[-1] = (blocks[-1][0] * size, stride)
            else:
                blocks.append((size, stride))
        return blocks


def usual_order(rank: int) -> tuple[int, ...]:
    """Order of a torch tensor's dimensions in the runtime: channels last where it has pixels."""
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def shape_in(sizes: Sequence[int], order: Sequence[int]) -> Shape:
    """Shape of a value whose dimensions lie in an order; a batch of 1 is not written."""
    shape = tuple(sizes[dim] for dim in order)
    return shape[1:] if len(shape) > 1 and order[0] == 0 and shape[0] == 1 else shape


def lying(value: int, sizes: Sequence[int], order: Sequence[int]) -> View:
    """The view of a value whose dimensions lie in an order."""
    strides = [0] * len(sizes)
    step = 1
    for dim in reversed(order):
        strides[dim] = step
        step *= sizes[dim]
    return View(value, tuple(sizes), tuple(strides))
