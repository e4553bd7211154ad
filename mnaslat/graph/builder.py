"""Builds a graph operation by operation, as its own framework executes them."""

from collections.abc import Sequence
from typing import Any

from mnaslat.graph.fusion import Merging, Node
from mnaslat.graph.graph import Graph
from mnaslat.graph.kinds import Kind, Precision, Shape
from mnaslat.graph.op import Op


class GraphBuilder:
    """A network under construction. Values are numbered: 0 is the input, then one per operation."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self._nodes: list[Node] = []

    def shape(self, value: int) -> Shape:
        """Shape of a value as it lies in memory."""
        return self._nodes[value - 1].shape if value else self.input_shape

    def kind(self, value: int) -> str:
        """Kind of the operation that made a value; "" for the input."""
        return self._nodes[value - 1].op.kind if value else ""

    def inputs(self, value: int) -> tuple[int, ...]:
        """Values that a value was made from."""
        return self._nodes[value - 1].op.inputs if value else ()

    def add(
        self,
        kind: Kind,
        *inputs: int,
        label: str = "",
        constant: float | None = None,
        foldable: bool = False,
        **fields: Any,
    ) -> int:
        """Add an operation; returns the number of its output.

        Args:
            kind: Of the operation.
            inputs: Numbers of values.
            label: What people call it, and the layer that it begins (``Graph.places``); also its
                name, unless ``fields`` has one.
            constant: The one number that a shift adds, a scale multiplies by or a pad fills in.
            foldable: The constants are one for all or one for each channel.
            fields: Further fields of ``Op``.

        Raises:
            ValueError: If the shapes do not fit the kind.
        """
        op = Op(kind=kind, inputs=inputs, **{"name": label, **fields})
        shape = op.output_shape([self.shape(value) for value in inputs])
        foldable = foldable or constant is not None
        self._nodes.append(Node(op, shape, label, constant, foldable))
        return len(self._nodes)

    def finish(
        self,
        outputs: Sequence[int],
        precision: Precision,
        *,
        converted: bool = False,
        places: bool = False,
    ) -> Graph:
        """The network as the runtime executes it; its last output to be ready is the graph's.

        Args:
            outputs: Numbers of the values that the network puts out.
            precision: Of the graph.
            converted: A converter has merged already what it could: only reshapes are cleared away.
            places: Labels are ``place/name``; layers are cut only where the place changes.

        Raises:
            UnsupportedOperation: If the network computes nothing.
            ValueError: If there is no such precision.
        """
        results = [self._without_reshape(value) for value in outputs]
        merging = Merging(self.input_shape, self._nodes, results, converted)
        merging.run()
        return merging.graph(precision, places)

    def _without_reshape(self, value: int) -> int:
        while value and self._nodes[value - 1].op.kind == "reshape":
            value = self._nodes[value - 1].op.inputs[0]
        return value
