"""Operators of a .tflite file with weights or windows: convolutions, dense layers, pools."""

import math
from typing import Any, Literal

from ai_edge_litert import schema_py_generated as schema

from mnaslat.graph import VALID, Kind, Padding, Shape
from mnaslat.graph.fusion import same_padding
from mnaslat.tflite.file_reader import FileOperator, ModelReader
from mnaslat.tflite.translation import activated, translates

_SAME = 0


def _window(
    reader: ModelReader, image: int, options: Any, kernel: tuple[int, int]
) -> dict[str, Any]:
    stride = (options.StrideH(), options.StrideW())
    dilation = (1, 1)
    if hasattr(options, "DilationHFactor"):
        dilation = (options.DilationHFactor(), options.DilationWFactor())
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"it has a window {kernel} of stride {stride} and dilation {dilation}")
    shape = reader.builder.shape(image)
    same = options.Padding() == _SAME or same_padding(shape, kernel, stride, dilation, VALID)
    return {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": "" if same else VALID,
    }


@translates("CONV_2D")
def _conv(reader: ModelReader, operator: FileOperator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None:
        raise ValueError("a convolution has no weights")
    options = operator.options(schema.Conv2DOptions)
    image = reader.image(operator.inputs[0])
    filters, height, width, channels = _four(reader.whole_shape(weights))
    fields = _window(reader, image, options, (height, width))
    groups, rest = divmod(reader.builder.shape(image)[2], channels)
    if rest:
        raise ValueError("a convolution's weights do not fit its input")
    fields |= {"filters": filters, "groups": groups, "bias": len(operator.inputs) > 2}
    return activated(reader, operator, options.FusedActivationFunction(), "conv", image, **fields)


@translates("DEPTHWISE_CONV_2D")
def _depthwise(reader: ModelReader, operator: FileOperator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None:
        raise ValueError("a convolution has no weights")
    options = operator.options(schema.DepthwiseConv2DOptions)
    image = reader.image(operator.inputs[0])
    _, height, width, filters = _four(reader.whole_shape(weights))
    fields = _window(reader, image, options, (height, width))
    filters = 0 if filters == reader.builder.shape(image)[2] else filters
    fields |= {"filters": filters, "bias": len(operator.inputs) > 2}
    return activated(reader, operator, options.FusedActivationFunction(), "dwconv", image, **fields)


@translates("TRANSPOSE_CONV")
def _transposed(reader: ModelReader, operator: FileOperator) -> bool:
    weights = operator.constant(reader, 1)
    if weights is None or len(operator.inputs) < 3:
        raise ValueError("a transposed convolution lacks weights or input")
    options = operator.options(schema.TransposeConvOptions)
    image = reader.image(operator.inputs[2])
    filters, height, width, _ = _four(reader.whole_shape(weights))
    stride = (options.StrideH(), options.StrideW())
    shape, wanted = reader.builder.shape(image), reader.shape(operator.outputs[0])
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
    return activated(
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


@translates("FULLY_CONNECTED")
def _dense(reader: ModelReader, operator: FileOperator) -> bool:
    if operator.inputs[1] in reader.values:
        return False
    weights = operator.constant(reader, 1)
    shape = reader.whole_shape(weights) if weights is not None else ()
    if len(shape) != 2:
        raise ValueError("a dense layer has no matrix of weights")
    options = operator.options(schema.FullyConnectedOptions)
    filters, channels = shape
    value = reader.value(operator.inputs[0])
    found = reader.builder.shape(value)
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
    return activated(reader, operator, options.FusedActivationFunction(), kind, value, **fields)


def _four(shape: Shape) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise ValueError(f"a convolution has weights of shape {shape}")
    return shape


@translates("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(reader: ModelReader, operator: FileOperator) -> bool:
    options = operator.options(schema.Pool2DOptions)
    image = reader.image(operator.inputs[0])
    kind: Kind = "max_pool" if operator.name == "MAX_POOL_2D" else "avg_pool"
    fields = _window(reader, image, options, (options.FilterHeight(), options.FilterWidth()))
    return activated(reader, operator, options.FusedActivationFunction(), kind, image, **fields)
