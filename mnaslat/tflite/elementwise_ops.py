"""Operators of a .tflite file that reduce, compute element by element, or move elements."""

import math
from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema

from mnaslat.graph import Kind, Shape
from mnaslat.graph.importing import shuffled_groups
from mnaslat.tflite.file_reader import FileOperator, ModelReader
from mnaslat.tflite.translation import activated, translates


@translates("MEAN", "SUM", "REDUCE_MAX")
def _reduction(reader: ModelReader, operator: FileOperator) -> bool:
    axes = operator.constant(reader, 1)
    keep = operator.options(schema.ReducerOptions).KeepDims()
    whole = reader.whole_shape(operator.inputs[0])
    if axes is None:
        raise ValueError(f"{operator.name} has no axes")
    if not whole:
        raise ValueError(f"{operator.name} is to reduce a single number")
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


@translates(*_PAIRS)
def _two_tensors(reader: ModelReader, operator: FileOperator) -> bool:
    kind, options_name = _PAIRS[operator.name]
    code = schema.ActivationFunctionType.NONE
    if options_name and operator.table.BuiltinOptions() is not None:
        code = operator.options(getattr(schema, options_name)).FusedActivationFunction()
    if len(operator.inputs) != 2:
        raise ValueError(f"{operator.name} has {len(operator.inputs)} inputs")
    values = list(operator.traced)
    output = reader.shape(operator.outputs[0])
    if len(values) == 2:
        shapes = [reader.builder.shape(value) for value in values]
        if kind in ("add", "mul") and math.prod(shapes[0]) < math.prod(shapes[1]):
            values.reverse()
        return activated(reader, operator, code, kind, *values)
    if kind in ("maximum", "minimum"):
        return reader.put(operator.outputs[0], reader.add("relu", values[0]))
    if math.prod(reader.builder.shape(values[0])) != math.prod(output):
        values[0] = reader.add("broadcast", values[0], size=output)
    single: Kind = "shift" if kind in ("add", "sub") else "scale"
    return activated(reader, operator, code, single, values[0])


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


@translates(*_UNARY)
def _unary(reader: ModelReader, operator: FileOperator) -> bool:
    value = reader.value(operator.inputs[0])
    for kind in _UNARY[operator.name]:
        value = reader.add(kind, value)
    return reader.put(operator.outputs[0], value)


@translates("QUANTIZE", "DEQUANTIZE", "CAST")
def _same(reader: ModelReader, operator: FileOperator) -> bool:
    return reader.put(operator.outputs[0], reader.value(operator.inputs[0]))


@translates("CONCATENATION", "PACK")
def _concat(reader: ModelReader, operator: FileOperator) -> bool:
    size = reader.shape(operator.outputs[0])
    code = schema.ActivationFunctionType.NONE
    if operator.name == "CONCATENATION":
        code = operator.options(schema.ConcatenationOptions).FusedActivationFunction()
    shapes = [reader.builder.shape(value) for value in operator.traced]
    plain = len(shapes) > 1 and all(
        len(one) == len(size) and one[:-1] == size[:-1] for one in shapes
    )
    plain = plain and sum(one[-1] for one in shapes) == size[-1]
    return activated(reader, operator, code, "concat", *operator.traced, size=() if plain else size)


@translates("SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "GATHER", "UNPACK")
def _slice(reader: ModelReader, operator: FileOperator) -> bool:
    (value,) = operator.traced
    for output in operator.outputs:
        size = reader.shape(output) or (1,)
        reader.put(output, reader.add("slice", value, size=size))
    return True


@translates("PAD", "PADV2", "MIRROR_PAD")
def _pad(reader: ModelReader, operator: FileOperator) -> bool:
    paddings = operator.constant(reader, 1)
    pads = reader.numbers(paddings) if paddings is not None else []
    if len(pads) != 8 or any(pads[:2]) or min(pads) < 0:
        return False
    image = reader.image(operator.inputs[0])
    filters = reader.builder.shape(image)[2] + sum(pads[6:]) if any(pads[6:]) else 0
    value = reader.add("pad", image, padding=tuple(pads[2:6]), filters=filters)
    return reader.put(operator.outputs[0], value)


@translates("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(reader: ModelReader, operator: FileOperator) -> bool:
    kind: Kind = "resize" if operator.name == "RESIZE_BILINEAR" else "resize_nearest"
    size = reader.shape(operator.outputs[0])
    value = reader.add(kind, reader.image(operator.inputs[0]), size=size)
    return reader.put(operator.outputs[0], value)


@translates("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(reader: ModelReader, operator: FileOperator) -> bool:
    size = reader.shape(operator.outputs[0]) or (1,)
    value = reader.value(operator.inputs[0])
    if value in reader.moves:
        source, before = reader.moves[value]
        groups = shuffled_groups(before, reader.builder.shape(value))
        if groups and reader.builder.shape(source) == size:
            return reader.put(operator.outputs[0], reader.add("shuffle", source, groups=groups))
    return reader.put(operator.outputs[0], reader.value(operator.inputs[0], size))


@translates("TRANSPOSE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def _transpose(reader: ModelReader, operator: FileOperator) -> bool:
    value = reader.value(operator.inputs[0])
    size = reader.shape(operator.outputs[0])
    before = reader.shape(operator.inputs[0])
    source = value
    if value and reader.builder.kind(value) == "reshape":
        source = reader.builder.inputs(value)[0]
    moved = reader.add("transpose", value, size=size)
    if operator.name == "TRANSPOSE":
        axes = operator.constant(reader, 1)
        if axes is not None and reader.numbers(axes) == [0, 1, 2, 4, 3]:
            reader.moves[moved] = (source, before)
    return reader.put(operator.outputs[0], moved)


@translates("BROADCAST_TO", "TILE")
def _broadcast(reader: ModelReader, operator: FileOperator) -> bool:
    (value,) = operator.traced
    size = reader.shape(operator.outputs[0]) or (1,)
    return reader.put(operator.outputs[0], reader.add("broadcast", value, size=size))


@translates("BATCH_MATMUL")
def _product(reader: ModelReader, operator: FileOperator) -> bool:
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
