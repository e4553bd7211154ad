"""Model files give back the graph they compute, and damaged ones a clear error."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

import mnaslat
from mnaslat.errors import ModelFileError, UnsupportedOperation
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.space import load_space
from mnaslat.tflite import graph_from_tflite, write_tflite
from mnaslat.zoo import load_network


def _read(data: bytes, folder: Path, **settings: Any) -> Graph:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return graph_from_tflite(path, **settings)


@dataclass
class Model:
    """A model file under construction, as a converter of somebody else would write it."""

    input_shape: Sequence[int] = (1, 8, 8, 4)
    type: int = schema.TensorType.FLOAT32
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.input = self.tensor(self.input_shape)

    def tensor(self, shape: Sequence[int], data: NDArray[Any] | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.tensors)}", list(shape)
        tensor.type, tensor.buffer = self.type, 0
        if data is not None:
            types = schema.TensorType
            tensor.type = {"int32": types.INT32, "float16": types.FLOAT16, "int8": types.INT8}.get(
                data.dtype.name, types.FLOAT32
            )
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, *shape: int) -> int:
        return self.tensor(shape, np.zeros(shape, np.float32))

    def numbers(self, values: Any) -> int:
        array = np.array(values, np.int32)
        return self.tensor(array.shape, array)

    def op(self, name: str, inputs: Sequence[int], *shapes: Sequence[int], **options: Any) -> int:
        """Add an operator; ``kind`` is that of its options. Returns its first output."""
        operator = schema.OperatorT()
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs = list(inputs)
        operator.outputs = [self.tensor(shape) for shape in shapes]
        kind = options.pop("kind", "")
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, kind + "T")()
            for option, value in options.items():
                setattr(operator.builtinOptions, option, value)
        self.operators.append(operator)
        self.outputs = [operator.outputs[0]]
        return int(operator.outputs[0])

    def bytes(self) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [self.input], self.outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [subgraph], self.buffers
        model.operatorCodes = []
        for builtin in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = builtin, 1
            code.deprecatedBuiltinCode = min(builtin, 127)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def graph(self, folder: Path, **settings: Any) -> Graph:
        graph = _read(self.bytes(), folder, **settings)
        assert Graph.parse(graph.signature).signature == graph.signature
        return graph


def _ops(model: Model, folder: Path, **settings: Any) -> str:
    """The signature without precision and input shape, of a file that the runtime accepts."""
    Interpreter(model_content=model.bytes(), num_threads=1).allocate_tensors()
    return model.graph(folder, **settings).signature.split(" ", 2)[2]


CONV = {"kind": "Conv2DOptions", "strideH": 1, "strideW": 1}
DWCONV = {
    "kind": "DepthwiseConv2DOptions",
    "strideH": 2,
    "strideW": 2,
    "depthMultiplier": 1,
    "dilationHFactor": 1,
    "dilationWFactor": 1,
}
POOL = {"kind": "Pool2DOptions", "strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2}


# --- Our own files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v2"])
def test_published_networks_come_back_as_they_were_written(name: str, tmp_path: Path) -> None:
    graph = lower(load_network(name))
    result = _read(write_tflite(graph), tmp_path)
    assert result.signature == graph.signature
    assert result.layer_signatures == graph.layer_signatures
    assert (result.places, result.madds) == (graph.places, graph.madds)
    names = [one.op.name for one in graph.shaped_ops()]
    assert [one.op.name for one in result.shaped_ops()] == names


@pytest.mark.parametrize("space_name", ["mnasnet", "mnasnet-paper"])
def test_random_networks_come_back_as_they_were_written(space_name: str, tmp_path: Path) -> None:
    space = load_space(space_name, resolution=96)
    for row in space.sample(20, np.random.default_rng(0)):
        graph = lower(space.decode(row))
        assert _read(write_tflite(graph), tmp_path).signature == graph.signature
        single = graph.layer_graphs()[3]
        assert _read(write_tflite(single), tmp_path).signature == single.signature


@pytest.mark.parametrize(
    "ops",
    [
        "conv3x5/2x1>6:relu_n1_to_1",
        "conv3x3~2>6",
        "conv3x3+0>6",
        "conv3x3>6%2",
        "dwconv3x3>8:relu6",
        "dwconv3x3/2+0",
        "logistic mul@0,1 global_pool linear>3:relu",
    ],
)
def test_every_convolution_comes_back_as_it_was_written(ops: str, tmp_path: Path) -> None:
    graph = Graph.parse(f"fp32 9x9x4 {ops}")
    data = write_tflite(graph)
    Interpreter(model_content=data, num_threads=1).allocate_tensors()
    assert _read(data, tmp_path).signature == graph.signature


# --- Files of others -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1, 2, "conv3x3~1x2>6"), (2, 1, "conv3x3~2x1>6"), (2, 2, "conv3x3~2>6")],
)
def test_dilation_is_read_by_height_and_width(
    height: int, width: int, expected: str, tmp_path: Path
) -> None:
    model = Model()
    inputs = [model.input, model.weights(6, 3, 3, 4), model.weights(6)]
    dilation = {"dilationHFactor": height, "dilationWFactor": width}
    model.op("CONV_2D", inputs, (1, 8, 8, 6), **CONV, **dilation)
    assert _ops(model, tmp_path) == expected


def test_convolutions_padding_and_activations(tmp_path: Path) -> None:
    model = Model()
    pads = model.numbers([[0, 0], [1, 1], [1, 1], [0, 0]])
    x = model.op("PAD", [model.input, pads], (1, 10, 10, 4), kind="PadOptions")
    weights = [model.weights(6, 3, 3, 2), model.weights(6)]
    x = model.op(
        "CONV_2D", [x, *weights], (1, 8, 8, 6), **CONV, padding=1, fusedActivationFunction=3
    )
    weights = [model.weights(1, 5, 5, 6), model.weights(6)]
    x = model.op("DEPTHWISE_CONV_2D", [x, *weights], (1, 4, 4, 6), **DWCONV)
    x = model.op("HARD_SWISH", [x], (1, 4, 4, 6), kind="HardSwishOptions")
    x = model.op("MAX_POOL_2D", [x], (1, 2, 2, 6), **POOL)
    x = model.op(
        "MEAN", [x, model.numbers([1, 2])], (1, 1, 1, 6), kind="ReducerOptions", keepDims=1
    )
    x = model.op("RESHAPE", [x, model.numbers([1, 6])], (1, 6), kind="ReshapeOptions")
    weights = [model.weights(3, 6), model.weights(3)]
    x = model.op("FULLY_CONNECTED", [x, *weights], (1, 3), kind="FullyConnectedOptions")
    model.op("SOFTMAX", [x], (1, 3), kind="SoftmaxOptions", beta=1.0)
    assert _ops(model, tmp_path) == (
        "pad+1 conv3x3+0>6%2:relu6 | dwconv5x5/2 | hard_swish | max_pool3x2/2 | global_pool"
        " | linear>3 | softmax"
    )


def test_padding_of_height_and_width_stay_apart(tmp_path: Path) -> None:
    model = Model()
    pads = model.numbers([[0, 0], [1, 2], [3, 4], [0, 0]])
    x = model.op("PAD", [model.input, pads], (1, 11, 15, 4), kind="PadOptions")
    model.op("HARD_SWISH", [x], (1, 11, 15, 4), kind="HardSwishOptions")
    assert _ops(model, tmp_path) == "pad+1x2x3x4 hard_swish"


def test_joining_and_splitting(tmp_path: Path) -> None:
    model = Model()
    shape, half = (1, 8, 8, 4), (1, 8, 8, 2)
    axis = model.tensor((), np.array(3, np.int32))
    first = model.op("SPLIT", [axis, model.input], half, half, kind="SplitOptions", numSplits=2)
    relu = model.op("RELU", [first], half)
    both = model.op("CONCATENATION", [relu, first + 1], shape, kind="ConcatenationOptions", axis=3)
    total = model.op(
        "ADD", [both, model.input], shape, kind="AddOptions", fusedActivationFunction=1
    )
    scaled = model.op("MUL", [total, model.weights(4)], shape, kind="MulOptions")
    model.op("SUB", [scaled, model.weights(1)], shape, kind="SubOptions")
    assert _ops(model, tmp_path) == (
        "slice=8x8x2 slice=8x8x2@0 relu@1 concat@3,2 add:relu@4,0 | scale | shift"
    )


def test_a_channel_shuffle_is_recognised(tmp_path: Path) -> None:
    model = Model()
    x = model.op("RESHAPE", [model.input, model.numbers([1, 8, 8, 2, 2])], (1, 8, 8, 2, 2))
    x = model.op("TRANSPOSE", [x, model.numbers([0, 1, 2, 4, 3])], (1, 8, 8, 2, 2))
    x = model.op("RESHAPE", [x, model.numbers([1, 8, 8, 4])], (1, 8, 8, 4))
    model.op("TANH", [x], (1, 8, 8, 4))
    assert _ops(model, tmp_path) == "shuffle%2 | tanh"


def test_resizing_and_transposed_convolutions(tmp_path: Path) -> None:
    model = Model()
    size = model.numbers([16, 16])
    x = model.op(
        "RESIZE_BILINEAR", [model.input, size], (1, 16, 16, 4), kind="ResizeBilinearOptions"
    )
    shape = model.numbers([1, 33, 33, 6])
    inputs = [shape, model.weights(6, 3, 3, 4), x]
    options = {"kind": "TransposeConvOptions", "strideH": 2, "strideW": 2, "padding": 1}
    model.op("TRANSPOSE_CONV", inputs, (1, 33, 33, 6), **options)
    assert _ops(model, tmp_path) == "resize=16x16x4 | conv_transpose3x3/2+0>6"


def test_half_precision_weights_make_an_fp16_graph(tmp_path: Path) -> None:
    model = Model()
    half = model.tensor((6, 1, 1, 4), np.zeros((6, 1, 1, 4), np.float16))
    weights = model.op("DEQUANTIZE", [half], (6, 1, 1, 4), kind="DequantizeOptions")
    model.op("CONV_2D", [model.input, weights, model.weights(6)], (1, 8, 8, 6), **CONV)
    assert model.graph(tmp_path).signature == "fp16 8x8x4 conv1x1>6"


def test_integer_activations_make_an_int8_graph(tmp_path: Path) -> None:
    model = Model()
    model.type = schema.TensorType.INT8
    x = model.op("QUANTIZE", [model.input], (1, 8, 8, 4), kind="QuantizeOptions")
    weights = model.tensor((6, 1, 1, 4), np.zeros((6, 1, 1, 4), np.int8))
    x = model.op("CONV_2D", [x, weights], (1, 8, 8, 6), **CONV)
    model.type = schema.TensorType.FLOAT32
    model.op("DEQUANTIZE", [x], (1, 8, 8, 6), kind="DequantizeOptions")
    assert model.graph(tmp_path).signature == "int8 8x8x4 conv1x1>6"


def test_an_operator_without_meaning_is_named(tmp_path: Path) -> None:
    model = Model()
    x = model.op("CEIL", [model.input], (1, 8, 8, 4))
    model.op("RELU", [x], (1, 8, 8, 4))
    with pytest.raises(UnsupportedOperation, match="The operator CEIL at 't1' has no meaning here"):
        model.graph(tmp_path)
    assert _ops(model, tmp_path, unknown="estimate") == "unknown.ceil=8x8x4 | relu"
    with pytest.raises(ValueError, match="unknown must be 'error' or 'estimate'"):
        model.graph(tmp_path, unknown="skip")


# --- Bad files -------------------------------------------------------------------------------


def test_files_that_are_no_models(tmp_path: Path) -> None:
    for data in (b"", b"TFL3", b"PK\x03\x04" + bytes(100), b"\x10\0\0\0TFL3", bytes(100)):
        with pytest.raises(
            ModelFileError, match=r"model\.tflite cannot be read as a \.tflite file"
        ):
            _read(data, tmp_path)
    with pytest.raises(FileNotFoundError):
        graph_from_tflite(tmp_path / "missing.tflite")
    assert issubclass(ModelFileError, mnaslat.MnaslatError)


def _flawed(flaw: str) -> Model:
    model = Model(input_shape=(2, 8, 8, 4) if flaw == "batch" else (1, 8, 8, 4))
    shape: tuple[int, ...] = (1, 8, 8, 6)
    inputs = [model.input, model.weights(6, 1, 1, 4), model.weights(6)]
    if flaw == "missing tensor":
        inputs[1] = 1000
    elif flaw == "not made yet":
        inputs[0] = model.tensor((1, 8, 8, 4))
    elif flaw == "output shape":
        shape = (1, 8, 8, 7)
    elif flaw == "zero stride":
        model.op("CONV_2D", inputs, shape, **{**CONV, "strideH": 0})
        return model
    elif flaw == "huge":
        shape = (1, 2**31 - 1, 2**31 - 1, 6)
    elif flaw == "rank":
        shape = (1,) * 9
    elif flaw == "groups":
        inputs[1] = model.weights(6, 1, 1, 3)
    elif flaw == "single number":
        model = Model(input_shape=(1, 1))
        number = model.op("RESHAPE", [model.input, model.numbers([1])], (), kind="ReshapeOptions")
        model.op("MEAN", [number, model.numbers([0])], (), kind="ReducerOptions")
        return model
    elif flaw == "no options":
        model.op("CONV_2D", inputs, shape)
        return model
    model.op("CONV_2D", inputs, shape, **CONV)
    if flaw == "no output":
        model.outputs = []
    elif flaw == "no code":
        model.operators[0].opcodeIndex = 5
    elif flaw == "no buffer":
        model.tensors[1].buffer = 77
    return model


@pytest.mark.parametrize(
    ("flaw", "sentence"),
    [
        ("batch", "where a batch of 1 is expected"),
        ("missing tensor", "it names tensor 1000 of"),
        ("not made yet", "is read before anything makes it"),
        ("output shape", "should have the shape"),
        ("zero stride", "it has a window"),
        ("huge", "it has a tensor of shape"),
        ("rank", "it claims to have 9 dimensions of a tensor"),
        ("groups", "weights do not fit its input"),
        ("single number", "MEAN is to reduce a single number"),
        ("no options", "CONV_2D has no options"),
        ("no output", "no output depends on its input"),
        ("no code", "it names operator code 5 of 1"),
        ("no buffer", "it names buffer 77 of"),
    ],
)
def test_flawed_files_are_refused_with_the_reason(flaw: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=sentence):
        _flawed(flaw).graph(tmp_path)


def test_damaged_files_give_a_graph_or_a_clear_error(tmp_path: Path) -> None:
    data = write_tflite(lower(load_network("mnasnet-small", resolution=32)).layer_graphs()[3])
    rng = np.random.default_rng(0)
    # Weights may hold anything: damage where the structure is.
    positions = [position for position in range(len(data)) if data[position]]
    outcomes = set()
    for number in range(600):
        damaged = bytearray(data)
        if number % 3 == 0:
            damaged = damaged[: int(rng.integers(0, len(data)))]
        elif number % 3 == 1:
            for position in rng.choice(positions, 3):
                damaged[position] = int(rng.integers(0, 256))
        else:
            position = int(rng.integers(0, len(data) // 4)) * 4
            damaged[position : position + 4] = struct.pack("<I", int(rng.integers(0, 2**32)))
        try:
            graph = _read(bytes(damaged), tmp_path)
            assert Graph.parse(graph.signature).signature == graph.signature
            outcomes.add("graph")
        except (ModelFileError, UnsupportedOperation) as error:
            assert len(str(error)) < 2000
            outcomes.add(type(error).__name__)
    assert outcomes >= {"graph", "ModelFileError"}


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF])
def test_no_word_of_a_small_file_can_do_harm(value: int, tmp_path: Path) -> None:
    model = Model()
    model.op("RELU", [model.input], (1, 8, 8, 4))
    data = model.bytes()
    for position in range(0, len(data) - 3, 4):
        damaged = data[:position] + struct.pack("<I", value) + data[position + 4 :]
        try:
            _read(damaged, tmp_path)
        except (ModelFileError, UnsupportedOperation):
            pass
