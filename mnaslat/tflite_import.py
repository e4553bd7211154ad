""".tflite -> Graph: what the runtime executes for a model file, as the file says it.

Files come from anywhere: they are read in place through LiteRT's own flatbuffer schema, no more of
them than is needed, with every count checked before anything of that size is made.
"""

import math
import mmap
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ai_edge_litert import schema_py_generated as schema

from mnaslat.errors import ModelFileError, UnsupportedOperation
from mnaslat.fusion import Draft, same_padding
from mnaslat.graph import VALID, Fused, Graph, Kind, Padding, Precision, Shape

Unknown = Literal["error", "estimate"]

_MAX_TABLES = 100_000  # tensors, operators, buffers
_MAX_INPUTS = 1_000_000  # of all operators together
_MAX_RANK, _MAX_NAME, _MAX_CONSTANTS = 8, 1000, 64
_MAX_ELEMENTS = 2**40
_SAME = 0
_NAME_SLOT = 10
# What garbage in a flatbuffer makes its reader raise.
_GARBAGE = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
    AssertionError,
    KeyError,
)

_BUILTIN = schema.BuiltinOperator
_NAMES = {code: name for name, code in vars(_BUILTIN).items() if name.isupper()}
_FUSED = schema.ActivationFunctionType
_ACTIVATIONS: dict[int, Fused] = {
    _FUSED.NONE: "",
    _FUSED.RELU: "relu",
    _FUSED.RELU6: "relu6",
    _FUSED.RELU_N1_TO_1: "relu_n1_to_1",
}
_TYPES = schema.TensorType
_NUMBERS = {_TYPES.INT32: "<i", _TYPES.INT64: "<q"}


def graph_from_tflite(path: str | Path, *, unknown: Unknown = "error") -> Graph:
    """The graph that a ``.tflite`` file computes.

    It is cut into layers wherever exactly one tensor is alive; a file that ``write_tflite`` made
    gives back the layers it was written from. If the model has several outputs, all are computed
    and the last one to be ready is the graph's.

    Args:
        path: Of the file.
        unknown: What to do with an operator that has no meaning here: raise an error, or take it as
            an op of kind ``unknown``, which predictors price by the elements it moves.

    Raises:
        ModelFileError: If the file is no model, is damaged, or has not one input with a batch of 1.
        UnsupportedOperation: If an operator has no meaning here and ``unknown`` is "error".
        OSError: If the file cannot be opened.
        ValueError: If ``unknown`` is neither.
    """
    if unknown not in ("error", "estimate"):
        raise ValueError(f"unknown must be 'error' or 'estimate', got {unknown!r}.")
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if data[4:8] != b"TFL3":
            raise ValueError("it does not start as a .tflite file does")
        return _Reader(data, unknown).graph()
    except _GARBAGE as error:
        raise ModelFileError(f"{path} cannot be read as a .tflite file: {error}.") from None


class _Reader:
    """Goes through the operators of a file once."""

    def __init__(self, data: Any, unknown: Unknown) -> None:
        self.model = schema.Model.GetRootAs(data, 0)
        self.unknown = unknown
        n_subgraphs = self.model.SubgraphsLength()
        if n_subgraphs < 1:
            raise ValueError("it holds no network")
        self.subgraph = self.model.Subgraphs(0)
        self.n_tensors = _limited(self.subgraph.TensorsLength(), _MAX_TABLES, "tensors")
        self.n_buffers = _limited(self.model.BuffersLength(), _MAX_TABLES, "buffers")
        self.is_ours = self._description() == b"mnaslat"
        if _limited(self.subgraph.InputsLength(), _MAX_TABLES, "inputs") != 1:
            raise ValueError(f"it has {self.subgraph.InputsLength()} inputs, where one is expected")
        first = self.subgraph.Inputs(0)
        shape = self.whole_shape(first)
        if len(shape) < 2 or shape[0] != 1:
            raise ValueError(f"its input has the shape {shape}, where a batch of 1 is expected")
        self.draft = Draft(shape[1:])
        self.values: dict[int, int] = {first: 0}  # by tensor
        self.constants: set[int] = set()
        self.moves: dict[int, tuple[int, Shape]] = {}  # value: how TRANSPOSE made it, and from what
        self.label = ""
        self.half = False

    def graph(self) -> Graph:
        n_operators = _limited(self.subgraph.OperatorsLength(), _MAX_TABLES, "operators")
        n_inputs = 0
        for number in range(n_operators):
            operator = self.subgraph.Operators(number)
            n_inputs += operator.InputsLength() + operator.OutputsLength()
            _limited(n_inputs, _MAX_INPUTS, "inputs of operators")
            self._read(_Operator(self, operator))
        outputs = [
            self.values[self.subgraph.Outputs(number)]
            for number in range(_limited(self.subgraph.OutputsLength(), _MAX_TABLES, "outputs"))
            if self.subgraph.Outputs(number) in self.values
        ]
        if not outputs:
            raise ValueError("no output depends on its input")
        return self.draft.finish(outputs, self._precision(), converted=True, places=self.is_ours)

    def _read(self, operator: "_Operator") -> None:
        if not operator.outputs:
            return
        self.label = self.name(operator.outputs[0])
        if operator.name == "DEQUANTIZE" and not operator.traced:
            self.half = self.half or self.tensor(operator.inputs[0]).Type() == _TYPES.FLOAT16
        if not operator.traced:
            self.constants.update(operator.outputs)
            return
        translate = _TRANSLATIONS.get(operator.name)
        if translate is not None and translate(self, operator):
            return
        if self.unknown == "error":
            raise UnsupportedOperation(
                f"The operator {operator.name} at {self.label!r} has no meaning here. With "
                'unknown="estimate" it is priced by the elements it moves.'
            )
        name = re.sub(r"\W", "_", operator.name.lower())[:64]
        for output in operator.outputs:
            size = self.shape(output) or (1,)
            self.put(output, self.add("unknown", *operator.traced, size=size, name=name))

    def _precision(self) -> Precision:
        kinds = {self.tensor(index).Type() for index in self.values}
        if kinds & {_TYPES.INT8, _TYPES.UINT8}:
            return "int8"
        return "fp16" if self.half or _TYPES.FLOAT16 in kinds else "fp32"

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
        rank = _limited(tensor.ShapeLength(), _MAX_RANK, "dimensions of a tensor")
        shape = tuple(int(tensor.Shape(axis)) for axis in range(rank))
        if any(size < 1 for size in shape) or math.prod(shape) > _MAX_ELEMENTS:
            raise ValueError(f"it has a tensor of shape {shape}")
        return shape

    def shape(self, index: int) -> Shape:
        """Shape of a tensor; a batch of 1 is left out."""
        shape = self.whole_shape(index)
        return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape

    def name(self, index: int) -> str:
        """What the file calls a tensor."""
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
        """Draft one operation on values."""
        return self.draft.add(kind, *values, label=self.label, **fields)

    def put(self, tensor: int, value: int) -> bool:
        """Say which value a tensor is; its shape must be the one that the file says."""
        said, found = self.shape(tensor), self.draft.shape(value)
        if math.prod(said) != math.prod(found):
            raise ValueError(f"{self.name(tensor)!r} should have the shape {found}, not {said}")
        self.values[tensor] = value
        return True

    def value(self, tensor: int, shape: Shape | None = None) -> int:
        """The value of a tensor, in a shape if it must have one."""
        value = self.values[tensor]
        if shape is not None and self.draft.shape(value) != shape:
            value = self.add("reshape", value, size=shape)
        return value

    def image(self, tensor: int) -> int:
        """The value of a tensor as (height, width, channels)."""
        shape = self.shape(tensor)
        if len(shape) != 3 or len(self.whole_shape(tensor)) != 4:
            raise ValueError(f"{self.name(tensor)!r} is no image: {self.whole_shape(tensor)}")
        return self.value(tensor, shape)


class _Operator:
    """One operator of a file."""

    def __init__(self, reader: _Reader, table: Any) -> None:
        self.table = table
        codes = reader.model.OperatorCodesLength()
        if not 0 <= table.OpcodeIndex() < _limited(codes, _MAX_TABLES, "operator codes"):
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

    def constant(self, reader: _Reader, number: int) -> int | None:
        """The tensor of an input that must stand in the file; None where it is left out."""
        if number >= len(self.inputs) or self.inputs[number] < 0:
            return None
        index = int(self.inputs[number])
        if not reader.is_constant(index) or index in reader.values:
            raise ValueError(f"{reader.name(index)!r} should be a constant")
        return index


def _limited(count: int, limit: int, what: str) -> int:
    if count > limit:
        raise ValueError(f"it claims to have {count} {what}")
    return count


# --- Translations: each says whether it knew what to do -----------------------------------------

_Translate = Callable[[_Reader, _Operator], bool]
_TRANSLATIONS: dict[str, _Translate] = {}


def _translates(*names: str) -> Callable[[_Translate], _Translate]:
    def register(function: _Translate) -> _Translate:
        for name in names:
            _TRANSLATIONS[name] = function
        return function

    return register


def _activated(
    reader: _Reader, operator: _Operator, code: int, kind: Kind, *values: int, **fields: Any
) -> bool:
    """Draft an operation with the activation that is fused into it."""
    if code not in _ACTIVATIONS and code != _FUSED.TANH:
        return False
    value = reader.add(kind, *values, activation=_ACTIVATIONS.get(code, ""), **fields)
    if code == _FUSED.TANH:
        value = reader.add("tanh", value)
    return reader.put(operator.outputs[0], value)


def _window(reader: _Reader, image: int, options: Any, kernel: tuple[int, int]) -> dict[str, Any]:
    stride = (options.StrideH(), options.StrideW())
    dilation = (1, 1)
    if hasattr(options, "DilationHFactor"):
        dilation = (options.DilationHFactor(), options.DilationWFactor())
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"it has a window {kernel} of stride {stride} and dilation {dilation}")
    shape = reader.draft.shape(image)
    same = options.Padding() == _SAME or same_padding(shape, kernel, stride, dilation, VALID)
    return {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": "" if same else VALID,
    }


@_translates("CONV_2D")
def _conv(reader: _Reader, operator: _Operator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None:
        raise ValueError("a convolution has no weights")
    options = operator.options(schema.Conv2DOptions)
    image = reader.image(operator.inputs[0])
    filters, height, width, channels = _four(reader.whole_shape(weights))
    fields = _window(reader, image, options, (height, width))
    groups, rest = divmod(reader.draft.shape(image)[2], channels)
    if rest:
        raise ValueError("a convolution's weights do not fit its input")
    fields |= {"filters": filters, "groups": groups, "bias": len(operator.inputs) > 2}
    return _activated(reader, operator, options.FusedActivationFunction(), "conv", image, **fields)


@_translates("DEPTHWISE_CONV_2D")
def _depthwise(reader: _Reader, operator: _Operator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None:
        raise ValueError("a convolution has no weights")
    options = operator.options(schema.DepthwiseConv2DOptions)
    image = reader.image(operator.inputs[0])
    _, height, width, filters = _four(reader.whole_shape(weights))
    fields = _window(reader, image, options, (height, width))
    filters = 0 if filters == reader.draft.shape(image)[2] else filters
    fields |= {"filters": filters, "bias": len(operator.inputs) > 2}
    return _activated(
        reader, operator, options.FusedActivationFunction(), "dwconv", image, **fields
    )


@_translates("TRANSPOSE_CONV")
def _transposed(reader: _Reader, operator: _Operator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None or len(operator.inputs) < 3:
        raise ValueError("a transposed convolution lacks weights or input")
    options = operator.options(schema.TransposeConvOptions)
    image = reader.image(operator.inputs[2])
    filters, height, width, _ = _four(reader.whole_shape(weights))
    stride = (options.StrideH(), options.StrideW())
    shape, wanted = reader.draft.shape(image), reader.shape(operator.outputs[0])
    if len(wanted) != 3 or min(stride) < 1:
        raise ValueError(f"{reader.label!r} has no image as output")
    padding: Padding | Literal[""] = ""
    if wanted[:2] != (shape[0] * stride[0], shape[1] * stride[1]):
        cuts = [
            (size - 1) * step + window - out
            for size, step, window, out in zip(
                shape[:2], stride, (height, width), wanted[:2], strict=True
            )
        ]
        if min(cuts) < 0:
            return False
        padding = (cuts[0] // 2, -(-cuts[0] // 2), cuts[1] // 2, -(-cuts[1] // 2))
    return _activated(
        reader,
        operator,
        options.FusedActivationFunction(),
        "conv_transpose",
        image,
        filters=filters,
        kernel=(height, width),
        stride=stride,
        padding=padding,
        bias=len(operator.inputs) > 3,
    )


@_translates("FULLY_CONNECTED")
def _dense(reader: _Reader, operator: _Operator) -> bool:
    if operator.inputs[1] in reader.values:
        return False
    weights = operator.constant(reader, 1)
    shape = reader.whole_shape(weights) if weights is not None else ()
    if len(shape) != 2:
        raise ValueError("a dense layer has no matrix of weights")
    options = operator.options(schema.FullyConnectedOptions)
    filters, channels = shape
    value = reader.value(operator.inputs[0])
    found = reader.draft.shape(value)
    fields = {"filters": filters, "bias": len(operator.inputs) > 2 and operator.inputs[2] >= 0}
    kind: Kind = "linear"
    rows, rest = divmod(math.prod(found), channels)
    if rest or rows < 1:
        raise ValueError("a dense layer's weights do not fit its input")
    if rows == 1:
        value = reader.value(operator.inputs[0], (channels,))
    elif len(found) == 3 and found[2] == channels:
        kind = "conv"  # every pixel for itself
    elif found != (rows, channels):
        value = reader.value(operator.inputs[0], (rows, channels))
    return _activated(reader, operator, options.FusedActivationFunction(), kind, value, **fields)


def _four(shape: Shape) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise ValueError(f"a convolution has weights of shape {shape}")
    return shape


@_translates("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(reader: _Reader, operator: _Operator) -> bool:
    options = operator.options(schema.Pool2DOptions)
    image = reader.image(operator.inputs[0])
    kind: Kind = "max_pool" if operator.name == "MAX_POOL_2D" else "avg_pool"
    fields = _window(reader, image, options, (options.FilterHeight(), options.FilterWidth()))
    return _activated(reader, operator, options.FusedActivationFunction(), kind, image, **fields)


@_translates("MEAN", "SUM", "REDUCE_MAX")
def _reduction(reader: _Reader, operator: _Operator) -> bool:
    axes = operator.constant(reader, 1)
    keep = operator.options(schema.ReducerOptions).KeepDims()
    whole = reader.whole_shape(operator.inputs[0])
    if axes is None:
        raise ValueError(f"{operator.name} has no axes")
    gone = {axis % len(whole) for axis in reader.numbers(axes)}
    kinds: dict[str, Kind] = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "reduce_max"}
    kind = kinds[operator.name]
    if kind == "mean" and len(whole) == 4 and whole[0] == 1 and gone == {1, 2}:
        value = reader.add("mean" if keep else "global_pool", reader.image(operator.inputs[0]))
    else:
        size = reader.shape(operator.outputs[0]) or (1,)
        value = reader.add(kind, reader.value(operator.inputs[0]), size=size)
    return reader.put(operator.outputs[0], value)


_PAIRS: dict[str, tuple[Kind, str]] = {
    "ADD": ("add", "AddOptions"),
    "SUB": ("sub", "SubOptions"),
    "MUL": ("mul", "MulOptions"),
    "DIV": ("div", "DivOptions"),
    "MAXIMUM": ("maximum", ""),
    "MINIMUM": ("minimum", ""),
}


@_translates(*_PAIRS)
def _two_tensors(reader: _Reader, operator: _Operator) -> bool:
    kind, options_name = _PAIRS[operator.name]
    code = _FUSED.NONE
    if options_name and operator.table.BuiltinOptions() is not None:
        code = operator.options(getattr(schema, options_name)).FusedActivationFunction()
    if len(operator.inputs) != 2:
        raise ValueError(f"{operator.name} has {len(operator.inputs)} inputs")
    values = list(operator.traced)
    output = reader.shape(operator.outputs[0])
    if len(values) == 2:
        shapes = [reader.draft.shape(value) for value in values]
        if kind in ("add", "mul") and math.prod(shapes[0]) < math.prod(shapes[1]):
            values.reverse()
        return _activated(reader, operator, code, kind, *values)
    if kind in ("maximum", "minimum"):
        return reader.put(operator.outputs[0], reader.add("relu", values[0]))
    if math.prod(reader.draft.shape(values[0])) != math.prod(output):
        values[0] = reader.add("broadcast", values[0], size=output)
    single: Kind = "shift" if kind in ("add", "sub") else "scale"
    return _activated(reader, operator, code, single, values[0])


_UNARY: dict[str, tuple[Kind, ...]] = {
    "RELU": ("relu",),
    "RELU6": ("relu6",),
    "RELU_N1_TO_1": ("relu_n1_to_1",),
    "LEAKY_RELU": ("leaky_relu",),
    "PRELU": ("prelu",),
    "ELU": ("elu",),
    "GELU": ("gelu",),
    "HARD_SWISH": ("hard_swish",),
    "LOGISTIC": ("logistic",),
    "TANH": ("tanh",),
    "SOFTMAX": ("softmax",),
    "LOG_SOFTMAX": ("softmax", "log"),
    "EXP": ("exp",),
    "LOG": ("log",),
    "SQRT": ("sqrt",),
    "RSQRT": ("rsqrt",),
    "SQUARE": ("square",),
    "ABS": ("abs",),
    "NEG": ("neg",),
}


@_translates(*_UNARY)
def _unary(reader: _Reader, operator: _Operator) -> bool:
    value = reader.value(operator.inputs[0])
    for kind in _UNARY[operator.name]:
        value = reader.add(kind, value)
    return reader.put(operator.outputs[0], value)


@_translates("QUANTIZE", "DEQUANTIZE", "CAST")
def _same(reader: _Reader, operator: _Operator) -> bool:
    return reader.put(operator.outputs[0], reader.value(operator.inputs[0]))


@_translates("CONCATENATION", "PACK")
def _concat(reader: _Reader, operator: _Operator) -> bool:
    size = reader.shape(operator.outputs[0])
    code = _FUSED.NONE
    if operator.name == "CONCATENATION":
        code = operator.options(schema.ConcatenationOptions).FusedActivationFunction()
    shapes = [reader.draft.shape(value) for value in operator.traced]
    plain = len(shapes) > 1 and all(
        len(one) == len(size) and one[:-1] == size[:-1] for one in shapes
    )
    plain = plain and sum(one[-1] for one in shapes) == size[-1]
    return _activated(
        reader, operator, code, "concat", *operator.traced, size=() if plain else size
    )


@_translates("SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "GATHER", "UNPACK")
def _slice(reader: _Reader, operator: _Operator) -> bool:
    (value,) = operator.traced
    for output in operator.outputs:
        size = reader.shape(output) or (1,)
        reader.put(output, reader.add("slice", value, size=size))
    return True


@_translates("PAD", "PADV2", "MIRROR_PAD")
def _pad(reader: _Reader, operator: _Operator) -> bool:
    paddings = operator.constant(reader, 1)
    pads = reader.numbers(paddings) if paddings is not None else []
    if len(pads) != 8 or any(pads[:2]) or min(pads) < 0:
        return False
    image = reader.image(operator.inputs[0])
    filters = reader.draft.shape(image)[2] + sum(pads[6:]) if any(pads[6:]) else 0
    value = reader.add("pad", image, padding=tuple(pads[2:6]), filters=filters)
    return reader.put(operator.outputs[0], value)


@_translates("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(reader: _Reader, operator: _Operator) -> bool:
    kind: Kind = "resize" if operator.name == "RESIZE_BILINEAR" else "resize_nearest"
    size = reader.shape(operator.outputs[0])
    value = reader.add(kind, reader.image(operator.inputs[0]), size=size)
    return reader.put(operator.outputs[0], value)


@_translates("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(reader: _Reader, operator: _Operator) -> bool:
    size = reader.shape(operator.outputs[0]) or (1,)
    value = reader.value(operator.inputs[0])
    if value in reader.moves:
        source, before = reader.moves[value]
        groups = _shuffled_groups(before, reader.draft.shape(value))
        if groups and reader.draft.shape(source) == size:
            return reader.put(operator.outputs[0], reader.add("shuffle", source, groups=groups))
    return reader.put(operator.outputs[0], reader.value(operator.inputs[0], size))


def _shuffled_groups(before: Shape, after: Shape) -> int:
    """Groups of a channel shuffle: (h, w, groups, n) made (h, w, n, groups)."""
    swapped = len(before) == 4 == len(after) and after == (*before[:2], before[3], before[2])
    return before[2] if swapped and min(before[2:]) > 1 else 0


@_translates("TRANSPOSE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def _transpose(reader: _Reader, operator: _Operator) -> bool:
    value = reader.value(operator.inputs[0])
    size = reader.shape(operator.outputs[0])
    before = reader.shape(operator.inputs[0])
    source = value
    if value and reader.draft.kind(value) == "reshape":
        source = reader.draft.inputs(value)[0]
    moved = reader.add("transpose", value, size=size)
    if operator.name == "TRANSPOSE":
        axes = operator.constant(reader, 1)
        if axes is not None and reader.numbers(axes) == [0, 1, 2, 4, 3]:
            reader.moves[moved] = (source, before)
    return reader.put(operator.outputs[0], moved)


@_translates("BROADCAST_TO", "TILE")
def _broadcast(reader: _Reader, operator: _Operator) -> bool:
    (value,) = operator.traced
    size = reader.shape(operator.outputs[0]) or (1,)
    return reader.put(operator.outputs[0], reader.add("broadcast", value, size=size))


@_translates("BATCH_MATMUL")
def _product(reader: _Reader, operator: _Operator) -> bool:
    if len(operator.traced) != 2:
        return False
    options = operator.options(schema.BatchMatMulOptions)
    values = []
    for tensor, turned in zip(operator.inputs, (options.AdjX(), options.AdjY()), strict=True):
        shape = _matrix(reader.whole_shape(tensor))
        value = reader.value(tensor, shape)
        if turned:
            value = reader.add("transpose", value, size=(*shape[:-2], shape[-1], shape[-2]))
        values.append(value)
    size = _matrix(reader.whole_shape(operator.outputs[0]))
    return reader.put(operator.outputs[0], reader.add("matmul", *values, size=size))


def _matrix(shape: Sequence[int]) -> Shape:
    if len(shape) < 2:
        raise ValueError(f"a product needs matrices, got {tuple(shape)}")
    return tuple(shape[-2:] if math.prod(shape[:-2]) == 1 else shape)
