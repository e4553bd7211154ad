"""Graph + weights -> .tflite, written directly with LiteRT's own flatbuffer schema.

A converter needs seconds and gigabytes for one model, a sweep needs thousands of models
(``docs/decisions.md``). Shapes are channels-last with a batch of 1. Only fp32 for now.
"""

from collections.abc import Sequence
from typing import Any, cast

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from mnaslat.graph import VALID, Graph, Op, ShapedOp

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]

_BUILTIN = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_SAME, _VALID, _TENSORFLOW_SCHEMA_VERSION = 0, 1, 3
_ACTIVATIONS = {
    "": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
    "relu_n1_to_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}
_POOL = 2**18
_CODES = {
    "conv": _BUILTIN.CONV_2D,
    "dwconv": _BUILTIN.DEPTHWISE_CONV_2D,
    "linear": _BUILTIN.FULLY_CONNECTED,
    "avg_pool": _BUILTIN.AVERAGE_POOL_2D,
    "mean": _BUILTIN.MEAN,
    "global_pool": _BUILTIN.MEAN,
    "add": _BUILTIN.ADD,
    "mul": _BUILTIN.MUL,
    "logistic": _BUILTIN.LOGISTIC,
}


def write_tflite(graph: Graph, weights: Sequence[Weights | None] | None = None) -> bytes:
    """The bytes of a ``.tflite`` file that computes the graph.

    Args:
        graph: Of precision fp32.
        weights: One ``(weight, bias)`` per op in the order of ``graph.shaped_ops()``, as
            ``Network.folded_weights`` returns them: convolutions (output, kernel, kernel, input),
            depthwise (kernel, kernel, channels), dense (output, input). None where an op has none.
            Left out: random weights that keep activations in range, for measuring latency.

    Raises:
        ValueError: If the precision is not fp32, the weights do not fit the graph, or an op is one
            that no search space has.
    """
    if graph.precision != "fp32":
        raise ValueError(f"Only fp32 files can be written, got a graph in {graph.precision}.")
    shaped_ops = list(graph.shaped_ops())
    for shaped in shaped_ops:
        _check_writable(shaped.op)
    if weights is None:
        weights = random_weights(graph)
    if len(weights) != len(shaped_ops):
        raise ValueError(f"The graph has {len(shaped_ops)} ops, got {len(weights)} weights.")
    writer = _Writer()
    image = first = writer.tensor("input", graph.input_shape)
    remaining = iter(weights)
    for place, layer in zip(graph.places, graph.layers, strict=True):
        tensors = [image]
        for number, shaped in enumerate(layer.shaped_ops):
            name = f"{place}/{shaped.op.name or number}"
            inputs = [tensors[source] for source in shaped.op.inputs]
            tensors.append(writer.op(name, shaped, inputs, next(remaining)))
        image = tensors[-1]
    return writer.finish(first, image)


def _check_writable(op: Op) -> None:
    if op.kind not in _CODES or op.size or op.padding not in ("", VALID):
        raise ValueError(
            f"The op {op.text(max(op.inputs) + 1)} cannot be written: only what the search spaces "
            "are made of."
        )


def random_weights(graph: Graph, seed: int = 0) -> list[Weights | None]:
    """Weights that keep every activation near unit variance, so that no speed depends on them.

    Denormal or saturated values could change what a kernel costs: each weight is scaled to the
    mean square that its input is expected to have.
    """
    rng = np.random.default_rng(seed)
    weights: list[Weights | None] = []
    mean_square = 1.0
    for layer in graph.layers:
        mean_squares = [mean_square]
        for shaped in layer.shaped_ops:
            inputs = [mean_squares[source] for source in shaped.op.inputs]
            weights.append(_random_weight(shaped, inputs[0], rng))
            mean_squares.append(_output_mean_square(shaped, inputs))
        mean_square = mean_squares[-1]
    return weights


def _random_weight(
    shaped: ShapedOp, input_mean_square: float, rng: np.random.Generator
) -> Weights | None:
    shape = shaped.weight_shape
    if not shape:
        return None
    fan_in = int(np.prod(shape)) // shaped.output[-1]
    gain = 2.0 if shaped.op.activation else 1.0  # a ReLU halves the mean square
    limit = np.float32((3.0 * gain / (fan_in * input_mean_square)) ** 0.5)
    n_weights = int(np.prod(shape))
    # Millions of weights repeat a pool: drawing them all takes longer than writing the file.
    weight = np.resize(rng.random(min(n_weights, _POOL), dtype=np.float32) * 2 - 1, shape)
    weight *= limit
    return weight, np.zeros(shaped.output[-1], np.float32)


def _output_mean_square(shaped: ShapedOp, inputs: list[float]) -> float:
    match shaped.op.kind:
        case "add":
            return inputs[0] + inputs[1]
        case "mul":
            return inputs[0] * inputs[1]
        case "mean" | "global_pool":
            return inputs[0] / 3  # of a rectified normal variable: 1 / pi
        case "logistic":
            return 0.3  # a half squared, and some spread
        case "avg_pool":
            return inputs[0]
        case _:
            return 1.0


class _Writer:
    """Collects tensors, buffers and operators of one model."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]  # buffer 0 is empty by convention
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}

    def tensor(
        self, name: str, shape: Sequence[int], data: NDArray[Any] | None = None, batch: bool = True
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = [1, *shape] if batch else list(shape)
        tensor.type = schema.TensorType.FLOAT32
        tensor.buffer = 0
        if data is not None:
            if data.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).data, np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def op(self, name: str, shaped: ShapedOp, inputs: list[int], own: Weights | None) -> int:
        """Add one operator; returns the index of its output tensor."""
        op = shaped.op
        if shaped.weight_shape:
            inputs = inputs + self._weights(name, shaped, own)
        elif op.kind in ("mean", "global_pool"):
            inputs = [*inputs, self.tensor(f"{name}/axes", (2,), np.array([1, 2], np.int32), False)]
        output = self.tensor(name, shaped.output)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(_CODES[op.kind], len(self._codes))
        operator.inputs, operator.outputs = inputs, [output]
        options, operator.builtinOptionsType = _options(shaped)
        operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def finish(self, first: int, last: int) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs, subgraph.outputs = [first], [last]
        model = schema.ModelT()
        model.version, model.description = _TENSORFLOW_SCHEMA_VERSION, "mnaslat"
        model.subgraphs, model.buffers = [subgraph], self._buffers
        model.operatorCodes = [_operator_code(code) for code in self._codes]
        size = sum(len(buffer.data) for buffer in self._buffers if buffer.data is not None)
        builder = flatbuffers.Builder(size + 65536)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(memoryview(builder.Bytes)[builder.Head() :])  # Output() would copy once more

    def _weights(self, name: str, shaped: ShapedOp, own: Weights | None) -> list[int]:
        if own is None or own[0].shape != shaped.weight_shape:
            found = "none" if own is None else own[0].shape
            raise ValueError(f"{name} needs weights of shape {shaped.weight_shape}, got {found}.")
        if own[1].shape != shaped.output[-1:]:
            raise ValueError(
                f"{name} needs a bias of shape {shaped.output[-1:]}, got {own[1].shape}."
            )
        weight, bias = (array.astype(np.float32, copy=False) for array in own)
        return [
            # A depthwise weight has a leading 1 where the others have their outputs.
            self.tensor(f"{name}/w", weight.shape, weight, batch=shaped.op.kind == "dwconv"),
            self.tensor(f"{name}/b", bias.shape, bias, batch=False),
        ]


def _operator_code(builtin: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin, 1
    code.deprecatedBuiltinCode = min(builtin, 127)  # readers older than 2020 look here
    return code


def _options(shaped: ShapedOp) -> tuple[Any, int]:
    op = shaped.op
    activation = _ACTIVATIONS[op.activation]
    match op.kind:
        case "conv":
            options, kind = schema.Conv2DOptionsT(), _OPTIONS.Conv2DOptions
            _set_window(options, op)
            options.dilationHFactor, options.dilationWFactor = op.dilation
        case "dwconv":
            options, kind = schema.DepthwiseConv2DOptionsT(), _OPTIONS.DepthwiseConv2DOptions
            _set_window(options, op)
            options.dilationHFactor, options.dilationWFactor = op.dilation
            options.depthMultiplier = shaped.output[-1] // shaped.inputs[0][-1]
        case "avg_pool":
            options, kind = schema.Pool2DOptionsT(), _OPTIONS.Pool2DOptions
            _set_window(options, op)
            options.filterHeight, options.filterWidth = op.kernel
        case "linear":
            options, kind = schema.FullyConnectedOptionsT(), _OPTIONS.FullyConnectedOptions
        case "add":
            options, kind = schema.AddOptionsT(), _OPTIONS.AddOptions
        case "mul":
            options, kind = schema.MulOptionsT(), _OPTIONS.MulOptions
        case "mean" | "global_pool":
            options, kind = schema.ReducerOptionsT(), _OPTIONS.ReducerOptions
            options.keepDims = op.kind == "mean"
            return options, cast(int, kind)
        case _:
            return None, cast(int, _OPTIONS.NONE)
    options.fusedActivationFunction = activation
    return options, cast(int, kind)


def _set_window(options: Any, op: Op) -> None:
    options.padding = _VALID if op.padding else _SAME
    options.strideH, options.strideW = op.stride
