"""Written files compute what the torch module computes, as one node of the delegate."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from torch import Tensor

from mnaslat.architecture import Architecture
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.network import Network, run_graph
from mnaslat.space import load_space
from mnaslat.tflite import random_weights, write_tflite, writer
from mnaslat.zoo import load_network
from tests.pairs import in_pairs

Floats = NDArray[np.float32]

# Of the outputs' deviation, in the root mean square. A real mistake (a pad on the wrong side, a
# missing activation) is above 1e-2. Rounding in float32 amounts to about 1e-6 in a layer and 2e-5
# in a published network. Some random networks amplify it to 2e-4, in torch as in the runtime
# (against torch in float64), so they may be three times as wrong as torch's own rounding.
MAX_LAYER_ERROR = 1e-5
MAX_NETWORK_ERROR = 1e-4
MAX_ROUNDING_ERROR = 5e-4
RANDOM_ROWS = load_space("mnasnet").sample(20, np.random.default_rng(11))
RANDOM_NUMBERS = [
    pytest.param(number, marks=[] if number < 5 else pytest.mark.slow)
    for number in range(len(RANDOM_ROWS))
]
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def _interpreter(model: bytes, **settings: Any) -> Any:
    interpreter = Interpreter(model_content=model, num_threads=1, **settings)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, image: Floats) -> Floats:
    """Outputs of shape (height, width, channels) or (classes,) for one channels-last image."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return np.array(output[0], dtype=np.float32)


def _ops_outside_the_delegate(interpreter: Any) -> list[str]:
    """Names of the ops that the runtime executes beside ONE delegate node; empty if all are inside.

    The runtime keeps replaced ops in its list and appends the delegate nodes. An op that was left
    outside feeds a delegate node (which then reads what an op puts out), feeds another op, or puts
    out the model's output: so all are inside exactly if there is one delegate node, it alone makes
    the model's output, and it reads nothing that an op puts out.
    """
    details = interpreter._get_ops_details()
    ops = [one for one in details if one["op_name"] != "DELEGATE"]
    delegates = [one for one in details if one["op_name"] == "DELEGATE"]
    if not delegates:
        return [one["op_name"] for one in ops]
    maker = {int(tensor): one["op_name"] for one in ops for tensor in one["outputs"]}
    output = interpreter.get_output_details()[0]["index"]
    if len(delegates) > 1:
        return ["between delegates"]
    outside = [maker[int(tensor)] for tensor in delegates[0]["inputs"] if int(tensor) in maker]
    if [int(tensor) for tensor in delegates[0]["outputs"]] != [output]:
        outside.append(maker[output])
    return outside


def _calibrated(graph: Graph, seed: int = 0) -> tuple[Network, Tensor]:
    """A network whose batch norm fits 64 images of noise, and these images.

    With its initial statistics a network's output hardly depends on its input, and any mistake
    would pass.
    """
    torch.manual_seed(seed)
    net = Network(graph)
    height, width, channels = graph.input_shape
    images = torch.randn(64, channels, height, width)
    with torch.no_grad():
        for own in net.op_weights():
            if own is not None and own.shift is not None and own.scale is not None:
                # As after training: no two channels alike, some often below 0 or above 6.
                own.scale.uniform_(0.5, 3.0)
                own.shift.normal_(0.0, 0.3)
            elif own is not None and own.bias is not None:
                own.bias.normal_(0.0, 0.3)
        run_graph(graph, images, net.op_weights(), training=True, momentum=1.0)
    return net.eval(), images


def _relative_error(found: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference over that of the outputs about their means."""
    deviation = expected - expected.mean(0)
    return float((found - expected).square().mean().sqrt() / deviation.square().mean().sqrt())


def _parity_error(graph: Graph, seed: int = 0, n_images: int = 8) -> tuple[float, float]:
    """Error of the written file against torch, and of torch's float32 against its float64."""
    net, images = _calibrated(graph, seed)
    images = images[:n_images]
    with torch.no_grad():
        expected = net(images)
    if expected.dim() == 4:
        expected = expected.permute(0, 2, 3, 1)
    interpreter = _interpreter(write_tflite(graph, net.folded_weights()))
    assert _ops_outside_the_delegate(interpreter) == []
    found = np.stack([_run(interpreter, one) for one in images.permute(0, 2, 3, 1).numpy()])
    assert found.shape == tuple(expected.shape)
    with torch.no_grad():
        exact = net.double()(images.double())
    if exact.dim() == 4:
        exact = exact.permute(0, 2, 3, 1)
    return (
        _relative_error(torch.from_numpy(found), expected),
        _relative_error(expected.double(), exact),
    )


def _layer(block: str, resolution: int, activation: str) -> Graph:
    settings = {"resolution": resolution, "head_filters": 8, "n_classes": 2}
    architecture = Architecture.from_blocks([block], activation=activation, **settings)
    return lower(architecture).layer_graphs()[1]


# --- Parity ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "kernel", "stride", "se", "skip"),
    in_pairs(
        ["e1_conv", "e1", "e3", "e6"], [3, 5], [1, 2], ["", "_se0.25"], ["", "_pool", "_noskip"]
    ),
)
def test_every_kind_of_layer_computes_what_torch_computes(
    kind: str, kernel: int, stride: int, se: str, skip: str
) -> None:
    expansion, _, conv = kind.partition("_")
    suffix = se + (f"_{conv}" if conv else "") + skip
    text = f"r1_k{kernel}_s{stride}{stride}_{expansion}_i8_o8{suffix}"
    # Even and odd sizes pad differently; the layer's input has half the resolution, rounded up.
    for resolution, activation in ((24, "relu"), (25, "relu6"), (28, "relu6"), (29, "relu")):
        assert _parity_error(_layer(text, resolution, activation))[0] <= MAX_LAYER_ERROR


@pytest.mark.parametrize("place", ["stem", "head"])
@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v2"])
@pytest.mark.parametrize("resolution", [64, 65])
def test_stem_and_head_compute_what_torch_computes(place: str, name: str, resolution: int) -> None:
    graph = lower(load_network(name, resolution=resolution, n_classes=10))
    part = graph.layer_graphs()[graph.places.index(place)]
    assert _parity_error(part)[0] <= MAX_LAYER_ERROR


@pytest.mark.parametrize(
    "text",
    [
        "r1_k3_s11_e6_i8_o16",
        "r1_k7_s22_e9_i12_o20",
        "r1_k5_s22_e3_i24_o40_se0.25",
        "r1_k3_s22_e1_i32_o8_se0.25_conv",
        "r1_k1_s22_e1_i8_o16_project",
        "r1_k3_s11_e1_i8_o8_project",
        "r1_k3_s11_e1_i3_o5",
    ],
)
def test_layers_that_change_their_channels_compute_what_torch_computes(text: str) -> None:
    assert _parity_error(_layer(text, 22, "relu"))[0] <= MAX_LAYER_ERROR


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v2"])
def test_published_networks_compute_what_torch_computes(name: str) -> None:
    assert _parity_error(lower(load_network(name, resolution=96)))[0] <= MAX_NETWORK_ERROR


@pytest.mark.parametrize("digits", ["00000000", "10201012", "22212220"])
def test_networks_for_small_images_compute_what_torch_computes(digits: str) -> None:
    network = load_space("nas-bench-macro").decode([int(digit) for digit in digits])
    assert _parity_error(lower(network))[0] <= MAX_NETWORK_ERROR


@pytest.mark.parametrize("number", RANDOM_NUMBERS)
def test_random_networks_compute_what_torch_computes(number: int) -> None:
    graph = lower(load_space("mnasnet", resolution=96).decode(RANDOM_ROWS[number]))
    error, rounding_error = _parity_error(graph, seed=number)
    assert rounding_error <= MAX_ROUNDING_ERROR
    assert error <= max(MAX_NETWORK_ERROR, 3 * rounding_error)


def test_a_network_at_an_odd_resolution_computes_what_torch_computes() -> None:
    assert _parity_error(lower(load_network("mnasnet-a1", resolution=75)))[0] <= MAX_NETWORK_ERROR


# --- Delegation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ops",
    [
        "logistic conv3x3>8:relu conv1x1>4",
        "conv3x3>8:relu logistic conv1x1>4",
        "conv3x3>8:relu conv1x1>4 logistic",
        "conv3x3>4:relu logistic add@1,2",
        "logistic conv3x3>4:relu add@1,2",
        "logistic",
    ],
)
def test_an_op_outside_the_delegate_is_noticed(ops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph.parse(f"fp32 8x8x4 {ops}")
    assert _ops_outside_the_delegate(_interpreter(write_tflite(graph))) == []
    # XNNPACK has no log-softmax.
    codes = {**writer._CODES, "logistic": schema.BuiltinOperator.LOG_SOFTMAX}
    monkeypatch.setattr(writer, "_CODES", codes)
    assert _ops_outside_the_delegate(_interpreter(write_tflite(graph))) != []


def test_whole_networks_at_full_size_are_one_delegate_node() -> None:
    for name in ("mnasnet-a1", "mobilenet-v2"):
        interpreter = _interpreter(write_tflite(lower(load_network(name))))
        assert _ops_outside_the_delegate(interpreter) == []


# Each operation once, with all that it can have beside it.
DEEPEST = ((0, 0, 0), (1, 1, 1), (2, 0, 2), (3, 1, 0))


# --- Random weights --------------------------------------------------------------------------


def _activations(graph: Graph, image: Floats) -> list[Floats]:
    """Outputs of all ops. Delegated ones cannot be read, so the plain kernels compute them."""
    interpreter = _interpreter(
        write_tflite(graph),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    _run(interpreter, image)
    details = interpreter._get_ops_details()
    assert len(details) == len(list(graph.shaped_ops()))
    return [interpreter.get_tensor(int(one["outputs"][0])) for one in details]


def _assert_sane(activations: list[Floats]) -> None:
    for values in activations:
        sizes = np.abs(values)
        assert np.isfinite(values).all()
        assert sizes.max() < 1e3
        assert not ((sizes > 0) & (sizes < SMALLEST_NORMAL)).any()
    # Small images lose a part of each window to the padding, which shrinks what is left.
    assert 1e-7 < np.sqrt(np.square(activations[-1]).mean()) < 10


@pytest.mark.parametrize("number", RANDOM_NUMBERS)
def test_random_weights_keep_activations_in_range(number: int) -> None:
    graph = lower(load_space("mnasnet", resolution=96).decode(RANDOM_ROWS[number]))
    image = np.random.default_rng(number).random((96, 96, 3), dtype=np.float32)
    _assert_sane(_activations(graph, image))


@pytest.mark.parametrize(
    ("op", "se", "skip"),
    [
        pytest.param(*each, marks=[] if each in DEEPEST else pytest.mark.slow)
        for each in product(range(4), range(2), range(3))
    ],
)
def test_random_weights_keep_the_deepest_networks_in_range(op: int, se: int, skip: int) -> None:
    space = load_space("mnasnet", resolution=64)
    row = space.n_choices - 1
    row = row.reshape(7, 6)
    row[:, 0], row[:, 2], row[:, 3] = op, se, skip
    image = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    _assert_sane(_activations(lower(space.decode(row.reshape(-1))), image))


def test_the_seed_decides_random_weights() -> None:
    graph = lower(load_network("mnasnet-small", resolution=32))
    assert write_tflite(graph) == write_tflite(graph, random_weights(graph, seed=0))
    assert write_tflite(graph) != write_tflite(graph, random_weights(graph, seed=1))


# --- What cannot be written ------------------------------------------------------------------


def test_only_fp32_is_written() -> None:
    with pytest.raises(ValueError, match="Only fp32 files can be written, got a graph in int8"):
        write_tflite(lower(load_network("mnasnet-small"), "int8"))


def test_weights_that_do_not_fit_are_refused_and_named() -> None:
    graph = lower(load_network("mnasnet-small", resolution=32)).layer_graphs()[0]
    bias = np.zeros(8, np.float32)
    with pytest.raises(ValueError, match="The graph has 1 ops, got 0 weights"):
        write_tflite(graph, [])
    with pytest.raises(ValueError, match=r"conv needs weights of shape \(8, 3, 3, 3\), got none"):
        write_tflite(graph, [None])
    with pytest.raises(ValueError, match=r"of shape \(8, 3, 3, 3\), got \(3, 3, 3, 8\)"):
        write_tflite(graph, [(np.zeros((3, 3, 3, 8), np.float32), bias)])
    with pytest.raises(ValueError, match=r"conv needs a bias of shape \(8,\), got \(7,\)"):
        write_tflite(graph, [(np.zeros((8, 3, 3, 3), np.float32), bias[:7])])
