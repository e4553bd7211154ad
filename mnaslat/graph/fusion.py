"""Merges operations that a converter and the runtime execute as one kernel.

Constants are folded into the convolutions before them, activations are fused, explicit padding
becomes SAME where both read the same pixels, hard-swish is recognised, and operations without
readers are dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mnaslat.errors import UnsupportedOperation
from mnaslat.graph.graph import Graph, chain
from mnaslat.graph.kinds import FUSED, KINDS, VALID, Fused, Padding, Pair, Precision, Shape
from mnaslat.graph.op import Op

_TOLERANCE = 1e-3


@dataclass
class Node:
    """An operation of a network under construction."""

    op: Op  # inputs count through the whole network; 0 is its input
    shape: Shape
    label: str
    constant: float | None = None  # what a shift adds, a scale multiplies by, a pad fills in
    foldable: bool = False  # a constant for each channel, or one for all


class Merging:
    """One pass over a network. ``stands_for`` says which value took the place of another."""

    def __init__(
        self, input_shape: Shape, nodes: Sequence[Node], outputs: Sequence[int], converted: bool
    ) -> None:
        self.input_shape = input_shape
        self.converted = converted
        self.nodes = [replace(node) for node in nodes]
        self.outputs = list(outputs)
        self.stands_for = list(range(len(self.nodes) + 1))
        self.n_users = [0] * (len(self.nodes) + 1)

    def run(self) -> None:
        """Fuse all operations in place."""
        self._count_users()
        if not self.converted:
            for number in range(1, len(self.nodes) + 1):
                self._find_hard_swish(number)
        self._count_users()
        for number, node in enumerate(self.nodes, start=1):
            sources = tuple(self.stands_for[source] for source in node.op.inputs)
            node.op = replace(node.op, inputs=sources)
            self._merge(number, node)
        self._count_users()

    def _merge(self, number: int, node: Node) -> None:
        op = node.op
        source = op.inputs[0]
        before = self.nodes[source - 1] if source else None
        if before is None:
            return
        alone = self.n_users[source] == 1
        if self.converted and op.kind != "reshape":
            return
        if op.kind in ("shift", "scale") and node.foldable and alone:
            if KINDS[before.op.kind].weighted and not before.op.activation:
                before.op = replace(before.op, norm=before.op.norm or op.norm)
                self._replace(number, source)
        elif op.kind in FUSED and alone:
            if KINDS[before.op.kind].takes_activation and not before.op.activation:
                activation: Fused = op.kind  # type: ignore[assignment]  # one of the three
                before.op = replace(before.op, activation=activation)
                self._replace(number, source)
        elif op.kind == "reshape":
            if before.op.kind == "mean" and alone and node.shape == before.shape[-1:]:
                if not before.op.size:
                    before.op = replace(before.op, kind="global_pool")
                    before.shape = node.shape
                    self._replace(number, source)
            elif before.op.kind == "reshape":
                node.op = replace(op, inputs=before.op.inputs)
        elif op.padding == VALID and before.op.kind == "pad" and not before.op.filters:
            image = self._shape(before.op.inputs[0])
            neutral = KINDS[op.kind].outside_image
            if (
                neutral is not None
                and before.constant == neutral
                and same_padding(
                    image, op.kernel, op.stride, op.dilation, before.op.padding or VALID
                )
            ):
                node.op = replace(op, padding="", inputs=(before.op.inputs[0], *op.inputs[1:]))

    def _find_hard_swish(self, number: int) -> None:
        """Find ``x * relu6(x + 3) / 6``, in either order of the last two steps."""
        node = self.nodes[number - 1]
        if node.op.kind == "scale" and _is(node.constant, 1 / 6):
            product = node.op.inputs[0]
            if self._kind(product) == "mul" and self.n_users[product] == 1:
                self._try_hard_swish(number, self.nodes[product - 1].op.inputs)
        elif node.op.kind == "mul":
            first, second = node.op.inputs
            for x, gate in ((first, second), (second, first)):
                if self._kind(gate) == "scale" and self.n_users[gate] == 1:
                    if _is(self.nodes[gate - 1].constant, 1 / 6):
                        self._try_hard_swish(number, (x, self.nodes[gate - 1].op.inputs[0]))

    def _try_hard_swish(self, number: int, factors: Sequence[int]) -> None:
        for x, clipped in (tuple(factors), tuple(factors)[::-1]):
            if self._kind(clipped) != "relu6" or self.n_users[clipped] != 1:
                continue
            shifted = self.nodes[clipped - 1].op.inputs[0]
            if self._kind(shifted) != "shift" or self.n_users[shifted] != 1:
                continue
            shift = self.nodes[shifted - 1]
            if shift.op.inputs[0] == x and _is(shift.constant, 3.0):
                old = self.nodes[number - 1].op
                self.nodes[number - 1].op = Op(kind="hard_swish", inputs=(x,), name=old.name)
                return

    def _kind(self, value: int) -> str:
        return self.nodes[value - 1].op.kind if value else ""

    def _shape(self, value: int) -> Shape:
        return self.nodes[value - 1].shape if value else self.input_shape

    def _replace(self, number: int, by: int) -> None:
        self.stands_for[number] = by
        self.n_users[by] += self.n_users[number] - 1

    def _count_users(self) -> None:
        """Count how often each value is read on the way to an output, from the last."""
        self.n_users = [0] * (len(self.nodes) + 1)
        for value in self.outputs:
            self.n_users[self.stands_for[value]] += 1
        for number in range(len(self.nodes), 0, -1):
            if self.n_users[number] and self.stands_for[number] == number:
                for source in self.nodes[number - 1].op.inputs:
                    self.n_users[self.stands_for[source]] += 1

    def graph(self, precision: Precision, places: bool) -> Graph:
        """The remaining operations, cut into layers."""
        numbers = {0: 0}
        ops: list[Op] = []
        labels: list[str] = []
        for number, node in enumerate(self.nodes, start=1):
            if self.stands_for[number] == number and self.n_users[number]:
                sources = tuple(numbers[self.stands_for[source]] for source in node.op.inputs)
                ops.append(replace(node.op, inputs=sources))
                labels.append(node.label)
                numbers[number] = len(ops)
        if not ops:
            raise UnsupportedOperation("The network computes nothing.")
        if not places:
            graph = chain(self.input_shape, ops, precision, labels=labels)
            # What a layer is made of says more than its name a second time.
            layers = tuple(replace(layer, label="") for layer in graph.layers)
            named = zip(graph.places, graph.layers, strict=True)
            return Graph(layers, precision, tuple(layer.label or place for place, layer in named))
        parted = [label.rpartition("/") for label in labels]
        ops = [replace(op, name=name[2]) for op, name in zip(ops, parted, strict=True)]
        return chain(self.input_shape, ops, precision, places=[name[0] for name in parted])


def _is(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) < _TOLERANCE


def same_padding(
    image: Shape, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
) -> bool:
    """Whether explicit padding reads the same pixels as SAME.

    What is padded below and to the right beyond the last window does not count.
    """
    pads = ((padding[0], padding[1]), (padding[2], padding[3]))
    for size, window, step, spread, (before, after) in zip(
        image[:2], kernel, stride, dilation, pads, strict=True
    ):
        reach = spread * (window - 1) + 1
        n_outputs = (size + before + after - reach) // step + 1
        total = max((-(-size // step) - 1) * step + reach - size, 0)
        if n_outputs != -(-size // step) or before != total // 2:
            return False
    return True
