"""Translates the calls of a traced torch module into the runtime's operations.

Functions translate single calls; each is registered for the operations that it knows, in
``weighted_ops``, ``elementwise_ops`` and ``layout_ops``. Other calls are an error, or an op of kind
``unknown``.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, cast

from mnaslat.errors import UnsupportedOperation
from mnaslat.graph import KINDS, VALID, Graph, Kind, Padding, Pair, Precision, Shape
from mnaslat.graph.builder import GraphBuilder
from mnaslat.graph.importing import Translations, Unknown
from mnaslat.torch_import.strided_views import Sizes, View, lying, shape_in, usual_order
from mnaslat.torch_import.tracing import Call, Constant, Trace, Traced

IMAGE_ORDER = (0, 2, 3, 1)


class Translation:
    """Goes through a trace once and builds the runtime's operations."""

    def __init__(self, recorded: Trace, unknown: Unknown) -> None:
        self.trace = recorded
        self.unknown = unknown
        sizes = recorded.image.shape
        self.builder = GraphBuilder(shape_in(sizes, IMAGE_ORDER))
        self.views: dict[int, View] = {recorded.image.number: lying(0, sizes, IMAGE_ORDER)}
        self.moved: dict[tuple[View, Shape], int] = {}
        self.path = ""
        self._makers: dict[int, Call] = {}  # of outputs, translated or not

    def graph(self, precision: Precision) -> Graph:
        """Translate all calls of the trace, and return the graph of the output."""
        for call in self.trace.calls:
            self.path = call.path
            self._makers |= {output.number: call for output in call.outputs}
            if not TRANSLATIONS.apply(call.name, self, call):
                self._take_unknown(call, call.outputs)
        outputs = [self.view(output).value for output in self.trace.outputs]
        return self.builder.finish(outputs, precision)

    def _take_unknown(self, call: Call, outputs: Sequence[Traced]) -> None:
        if self.unknown == "error":
            place = call.path or "the module itself"
            inputs = ", ".join(
                "x".join(map(str, one.shape)) for one in call.args if isinstance(one, Traced)
            )
            raise UnsupportedOperation(
                f"{place} calls {call.name} on {inputs or 'several tensors'}, which has no meaning "
                'here. With unknown="estimate" it is priced by the elements it moves.'
            )
        values = [self.view(one).value for one in traced(call.args)]
        name = re.sub(r"\W", "_", call.name)[:64]
        for output in outputs:
            order = usual_order(len(output.shape))
            size = shape_in(output.shape, order) or (1,)
            value = self.add("unknown", *values, size=size, name=name)
            self.views[output.number] = lying(value, output.shape, order)

    # --- Building blocks -----------------------------------------------------------------------

    def add(self, kind: Kind, *values: int, **fields: Any) -> int:
        """Add one operation on values."""
        if KINDS[kind].filters == "must" and fields.get("filters") == 0:
            raise UnsupportedOperation(
                f"{self.path or 'the module itself'} has no filters: it makes a tensor without "
                "elements, which no runtime executes. Leave it out of the network."
            )
        return self.builder.add(kind, *values, label=self.path, **fields)

    def view(self, tensor: Traced) -> View:
        """Where a tensor lies."""
        if tensor.number not in self.views:  # an output that the translation left out
            self._take_unknown(self._makers[tensor.number], [tensor])
        return self.views[tensor.number]

    def order(self, view: View) -> tuple[int, ...]:
        """The order of a view's dimensions in memory."""
        return view.order(self.builder.shape(view.value))

    def read(self, view: View, order: Sequence[int]) -> int:
        """A value that holds a view's elements in an order of its dimensions."""
        target = shape_in(view.sizes, order)
        if view.lies_in(order):
            if self.builder.shape(view.value) == target:
                return view.value
            kind: Kind = "reshape"
        else:
            kind = "broadcast" if view.is_expanded else "transpose"
        if (view, target) not in self.moved:
            self.moved[view, target] = self.add(kind, view.value, size=target)
        return self.moved[view, target]

    def unexpanded(self, view: View) -> tuple[View, int, tuple[int, ...]]:
        """A view without its expansion, the value to read, and its order in memory.

        The value may have other dimensions than the view: it is for those who say ``size``.
        """
        own = View(view.value, view.own_sizes, view.strides)
        order = self.order(own)
        return own, self.lying_in(own, order), order

    def lying_in(self, view: View, order: Sequence[int]) -> int:
        """A value whose elements lie in an order of a view's dimensions, for any shape."""
        return view.value if view.lies_in(order) else self.read(view, order)

    def put(self, output: Traced, value: int, order: Sequence[int]) -> bool:
        """Say that a value holds an output in an order of its dimensions."""
        self.views[output.number] = lying(value, output.shape, order)
        return True

    def alias(self, output: Traced, view: View) -> bool:
        """Say that an output lies where something else lies."""
        self.views[output.number] = view
        return True

    def elementwise(self, view: View, *kinds: Kind, **fields: Any) -> View:
        """Functions of single elements, one after the other: they do not care how these lie."""
        value = view.value
        for kind in kinds:
            value = self.add(kind, value, **fields)
        return View(value, view.sizes, view.strides)

    def pair(self, kind: Kind, first: View, second: View, sizes: Sizes) -> View:
        """A function of two tensors that are broadcast against each other."""
        views = [view.expanded(sizes) for view in (first, second)]
        main = max(views, key=lambda view: math.prod(view.own_sizes))
        own = View(main.value, main.own_sizes, main.strides)
        order = self.order(own)
        whole = shape_in(sizes, order)
        values = []
        for view in views:
            part = View(view.value, view.own_sizes, view.strides)
            lies = part.lies_in(order)
            shape = self.builder.shape(part.value)
            fits = lies and _fits(shape, shape_in(part.sizes, order), whole)
            values.append(part.value if fits else self.read(part, order))
        shapes = [self.builder.shape(value) for value in values]
        if kind in ("add", "mul") and math.prod(shapes[0]) < math.prod(shapes[1]):
            values.reverse()
        value = self.add(kind, *values)
        return lying(value, sizes, order)

    def with_constant(self, kind: Kind, view: View, constant: Constant, sizes: Sizes) -> View:
        """Plus or times something that does not depend on the image."""
        view = view.expanded(sizes)
        if math.prod(view.own_sizes) < math.prod(sizes) == math.prod(constant.shape):
            own, value, _ = self.unexpanded(view)
            order = usual_order(len(sizes))
            value = self.add("broadcast", value, size=shape_in(sizes, order) or (1,))
            view = lying(value, sizes, order)
        if constant.value == (0.0 if kind == "shift" else 1.0):
            return view
        long = (1,) * (len(sizes) - len(constant.shape)) + constant.shape
        spans = [dim for dim, size in enumerate(long) if size > 1]
        channel = not spans or (len(spans) == 1 and view.strides[spans[0]] == 1)
        return self.elementwise(view, kind, constant=constant.value, foldable=channel)

    def reduce(self, kind: Kind, view: View, dims: Sequence[int], keep: bool) -> View:
        """Mean, sum or maximum over some dimensions."""
        rank = len(view.sizes)
        gone = {dim % rank for dim in dims} or set(range(rank))
        own, value, order = self.unexpanded(view)
        if any(view.sizes[dim] > 1 and own.sizes[dim] == 1 for dim in gone):
            own, order = view, usual_order(rank)
            value = self.read(view, order)
        kept = tuple(1 if dim in gone else size for dim, size in enumerate(own.sizes))
        pixels = order == IMAGE_ORDER and gone == {2, 3} and len(self.builder.shape(value)) == 3
        if kind == "mean" and pixels:
            value = self.add("mean" if keep else "global_pool", value)
        else:
            size = shape_in(kept, order) if keep else without(kept, order, gone)
            value = self.add(kind, value, size=size)
        result = lying(value, kept, order)
        if not keep:
            rest = [dim for dim in range(rank) if dim not in gone]
            result = result.permuted(rest)
        return result if own is view else result.expanded(_kept(view.sizes, gone, keep))

    def normalized(self, value: int, over: Shape, affine: int) -> int:
        """(x - mean) / deviation, for a mean of shape ``over``, then scale and shift."""
        mean = self.add("mean", value, size=over)
        centred = self.add("sub", value, mean)
        variance = self.add("mean", self.add("square", centred), size=over)
        factor = self.add("rsqrt", self.add("shift", variance, constant=1e-5))
        value = self.add("mul", centred, factor)
        for kind in ("scale", "shift")[:affine]:
            value = self.add(cast(Kind, kind), value, norm=True, foldable=True)
        return value

    def padded(self, value: int, padding: Padding, fill: float) -> int:
        """A value with explicit padding; as it is where there is none."""
        if padding == VALID:
            return value
        return self.add("pad", value, padding=padding, constant=fill)


def traced(value: Any) -> list[Traced]:
    """List the traced tensors in an argument, also in nested lists."""
    if isinstance(value, Traced):
        return [value]
    return (
        [one for each in value for one in traced(each)] if isinstance(value, list | tuple) else []
    )


def _fits(shape: Shape, fine: Shape, whole: Shape) -> bool:
    """Whether a value can be broadcast as it lies.

    ``fine`` is its shape by dimensions of the result, whose shape is ``whole``.
    """
    stripped = [_stripped(one) for one in (shape, fine)]
    return stripped[0] == stripped[1] and len(shape) <= len(whole) and shape[-1:] == fine[-1:]


def _stripped(shape: Shape) -> Shape:
    for position, size in enumerate(shape):
        if size > 1:
            return shape[position:]
    return ()


def without(sizes: Sizes, order: Sequence[int], gone: set[int]) -> Shape:
    """Return the shape, batch left out, of dimensions in an order, without those removed."""
    rest = [dim for dim in order if dim not in gone]
    shape = tuple(sizes[dim] for dim in rest)
    return (shape[1:] if len(shape) > 1 and rest[0] == 0 and shape[0] == 1 else shape) or (1,)


def _kept(sizes: Sizes, gone: set[int], keep: bool) -> Sizes:
    if keep:
        return tuple(1 if dim in gone else size for dim, size in enumerate(sizes))
    return tuple(size for dim, size in enumerate(sizes) if dim not in gone)


TRANSLATIONS: Translations[Translation, Call] = Translations()
translates = TRANSLATIONS.of


def pair_of(value: Any) -> Pair:
    """Return a height and a width from one number or two."""
    sizes = list(value) if isinstance(value, list | tuple) else [value]
    return (int(sizes[0]), int(sizes[-1]))
