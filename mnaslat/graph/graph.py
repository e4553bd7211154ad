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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mnaslat.graph.kinds import MAX_SIZE, PRECISIONS, Precision, Shape
from mnaslat.graph.op import Op, ShapedOp
from mnaslat.graph.signature import parse_op


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
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}."
            )
        if not self.places:
            places = tuple(f"layer{number}" for number in range(len(self.layers)))
            object.__setattr__(self, "places", places)
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.output_shape != after.input_shape:
                raise ValueError(
                    f"A layer puts out {before.output_shape}, the next takes {after.input_shape}."
                )

    def __repr__(self) -> str:
        """Show the start of the signature and the number of layers."""
        text = self.signature
        shown = text if len(text) <= 80 else f"{text[:79]}…"
        return f"Graph({shown!r}, {len(self.layers)} layers)"

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
            if not all(1 <= size <= MAX_SIZE for size in shape):
                raise ValueError(f"{shape_text[:80]!r} is not a shape")
            layers = []
            for layer_text in rest.split(" | "):
                ops = tuple(
                    parse_op(text, number)
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
