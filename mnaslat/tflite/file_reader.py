"""A .tflite file, read in place: what it says of tensors and operators, every count checked.

Files come from anywhere: no more of them is read than is needed, through LiteRT's own flatbuffer
schema, and nothing is made whose size was not checked before.
"""

import math
import struct
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from mnaslat.graph import Kind, Shape
from mnaslat.graph.builder import GraphBuilder

MAX_TABLES = 100_000  # tensors, operators, buffers
_MAX_RANK, _MAX_NAME, _MAX_CONSTANTS = 8, 1000, 64
_MAX_ELEMENTS = 2**40
_NAME_SLOT = 10

_BUILTIN = schema.BuiltinOperator
_NAMES = {code: name for name, code in vars(_BUILTIN).items() if name.isupper()}
_TYPES = schema.TensorType
_NUMBERS = {_TYPES.INT32: "<i", _TYPES.INT64: "<q"}


class ModelReader:
    """A model file, and the builder of its graph as far as its operators were read.

    Raises ``ValueError``, or an error of the flatbuffer reader, where a damaged file
    does not say what it should.

    Attributes:
        values: What each tensor read so far is in the builder.
        constants: Tensors computed from what stands in the file.
        moves: Of values made by a transposition of channel groups: from which value, and the shape
            before it.
        label: What the file calls the operator at hand.
    """

    def __init__(self, data: Any) -> None:
        self.model = schema.Model.GetRootAs(data, 0)
        n_subgraphs = self.model.SubgraphsLength()
        if n_subgraphs < 1:
            raise ValueError("it holds no network")
        self.subgraph = self.model.Subgraphs(0)
        self.n_tensors = limited(self.subgraph.TensorsLength(), MAX_TABLES, "tensors")
        self.n_buffers = limited(self.model.BuffersLength(), MAX_TABLES, "buffers")
        self.is_ours = self._description() == b"mnaslat"
        if limited(self.subgraph.InputsLength(), MAX_TABLES, "inputs") != 1:
            raise ValueError(f"it has {self.subgraph.InputsLength()} inputs, where one is expected")
        first = self.subgraph.Inputs(0)
        shape = self.whole_shape(first)
        if len(shape) < 2 or shape[0] != 1:
            raise ValueError(f"its input has the shape {shape}, where a batch of 1 is expected")
        self.builder = GraphBuilder(shape[1:])
        self.values: dict[int, int] = {first: 0}
        self.constants: set[int] = set()
        self.moves: dict[int, tuple[int, Shape]] = {}
        self.label = ""

    def _description(self) -> bytes:
        offset = self.model._tab.Offset(10)
        if not offset or self.model._tab.VectorLen(offset) > _MAX_NAME:
            return b""
        return bytes(self.model.Description() or b"")

    # --- What a file says ----------------------------------------------------------------------

    def tensor(self, index: int) -> Any:
        """A tensor's table."""
        if not 0 <= index < self.n_tensors:
            raise ValueError(f"it names tensor {index} of {self.n_tensors}")
        return self.subgraph.Tensors(index)

    def whole_shape(self, index: int) -> Shape:
        """Shape of a tensor with its batch."""
        tensor = self.tensor(index)
        rank = limited(tensor.ShapeLength(), _MAX_RANK, "dimensions of a tensor")
        shape = tuple(int(tensor.Shape(axis)) for axis in range(rank))
        if any(size < 1 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
            raise ValueError(f"it has a tensor of shape {shape}")
        return shape

    def shape(self, index: int) -> Shape:
        """Shape of a tensor; a batch of 1 is left out."""
        shape = self.whole_shape(index)
        return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape

    def name(self, index: int) -> str:
        """Name of a tensor in the file."""
        tensor = self.tensor(index)
        offset = tensor._tab.Offset(_NAME_SLOT)
        if not offset or tensor._tab.VectorLen(offset) > _MAX_NAME:
            return ""
        return bytes(tensor.Name() or b"").decode("utf-8", "replace")

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's elements stand in the file, or are computed from such."""
        if index in self.constants:
            return True
        buffer = self._buffer(self.tensor(index).Buffer())
        # Files above 2 GB keep their weights behind the flatbuffer.
        return buffer is not None and (buffer.DataLength() > 0 or buffer.Offset() > 1)

    def numbers(self, index: int) -> list[int]:
        """The few integers of a constant: axes, paddings."""
        tensor = self.tensor(index)
        layout = _NUMBERS.get(tensor.Type())
        buffer = self._buffer(tensor.Buffer())
        if layout is None or buffer is None or buffer.DataLength() > 8 * _MAX_CONSTANTS:
            raise ValueError(f"{self.name(index)!r} should hold a few integers")
        data = bytes(buffer.Data(position) for position in range(buffer.DataLength()))
        return [int(number) for (number,) in struct.iter_unpack(layout, data)]

    def _buffer(self, index: int) -> Any:
        if not 0 <= index < self.n_buffers:
            raise ValueError(f"it names buffer {index} of {self.n_buffers}")
        return self.model.Buffers(index)

    # --- Drafting ------------------------------------------------------------------------------

    def add(self, kind: Kind, *values: int, **fields: Any) -> int:
        """Add one operation on values."""
        return self.builder.add(kind, *values, label=self.label, **fields)

    def put(self, tensor: int, value: int) -> bool:
        """Say which value a tensor is; its shape must be the one that the file says."""
        said, found = self.shape(tensor), self.builder.shape(value)
        if math.prod(said) != math.prod(found):
            raise ValueError(f"{self.name(tensor)!r} should have the shape {found}, not {said}")
        self.values[tensor] = value
        return True

    def value(self, tensor: int, shape: Shape | None = None) -> int:
        """The value of a tensor, in a shape if it must have one."""
        value = self.values[tensor]
        if shape is not None and self.builder.shape(value) != shape:
            value = self.add("reshape", value, size=shape)
        return value

    def image(self, tensor: int) -> int:
        """The value of a tensor as (height, width, channels)."""
        shape = self.shape(tensor)
        if len(shape) != 3 or len(self.whole_shape(tensor)) != 4:
            raise ValueError(f"{self.name(tensor)!r} is no image: {self.whole_shape(tensor)}")
        return self.value(tensor, shape)


class FileOperator:
    """One operator of a file."""

    def __init__(self, reader: ModelReader, table: Any) -> None:
        self.table = table
        codes = reader.model.OperatorCodesLength()
        if not 0 <= table.OpcodeIndex() < limited(codes, MAX_TABLES, "operator codes"):
            raise ValueError(f"it names operator code {table.OpcodeIndex()} of {codes}")
        code = reader.model.OperatorCodes(table.OpcodeIndex())
        # Readers older than 2020 look at the deprecated one, which holds up to 127.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        self.name = _NAMES.get(builtin, f"BUILTIN_{builtin}")
        self.inputs = [table.Inputs(number) for number in range(table.InputsLength())]
        self.outputs = [table.Outputs(number) for number in range(table.OutputsLength())]
        for index in self.outputs:
            reader.tensor(index)
        self.traced = [reader.values[index] for index in self.inputs if index in reader.values]
        for index in self.inputs:
            if index >= 0 and index not in reader.values and not reader.is_constant(index):
                raise ValueError(f"{reader.name(index)!r} is read before anything makes it")

    def options(self, kind: type[Any]) -> Any:
        """The operator's options, or the defaults of their kind."""
        options = kind()
        table = self.table.BuiltinOptions()
        if table is None:
            raise ValueError(f"{self.name} has no options")
        options.Init(table.Bytes, table.Pos)
        return options

    def constant(self, reader: ModelReader, number: int) -> int | None:
        """The tensor of an input that must stand in the file; None where it is left out."""
        if number >= len(self.inputs) or self.inputs[number] < 0:
            return None
        index = int(self.inputs[number])
        if not reader.is_constant(index) or index in reader.values:
            raise ValueError(f"{reader.name(index)!r} should be a constant")
        return index


def limited(count: int, limit: int, what: str) -> int:
    """A count, if it is not too large.

    Raises:
        ValueError: If it is.
    """
    if count > limit:
        raise ValueError(f"it claims to have {count} {what}")
    return count
