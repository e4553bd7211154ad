"""The lowered network: shapes, counts, and signatures that say all that matters and no more."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.architecture import Activation, Architecture, Block, Conv, Layer
from mnaslat.graph import VALID, Fused, Graph, Kind, LoweredLayer, Op, Precision, Shape, chain
from mnaslat.lowering import lower
from mnaslat.space import load_space

IMAGE: Shape = (8, 8, 4)


def lowered(
    layer: Layer,
    resolution: int = 16,
    activation: Activation = "relu",
    precision: Precision = "fp32",
) -> Graph:
    """The graph of one layer, standing behind a stem that halves the resolution."""
    architecture = Architecture(
        blocks=(Block(first=layer),),
        stem_filters=layer.input_filters,
        head_filters=8,
        n_classes=2,
        resolution=resolution,
        activation=activation,
    )
    return lower(architecture, precision).layer_graphs()[1]


def meaning(graph: Graph) -> tuple[object, ...]:
    """All that decides the latency of a graph, gathered without its signature."""
    ops = tuple(
        (
            shaped.op.kind,
            shaped.op.inputs,
            shaped.op.kernel,
            shaped.op.stride,
            shaped.op.activation,
            shaped.inputs,
            shaped.output,
        )
        for shaped in graph.shaped_ops()
    )
    return (graph.precision, graph.input_shape, ops)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    conv: Conv = draw(st.sampled_from(["mbconv", "conv"]))
    return Layer(
        conv=conv,
        kernel=draw(st.sampled_from([1, 3, 5, 7])),
        stride=draw(st.sampled_from([1, 2])),
        expansion=1 if conv == "conv" else draw(st.sampled_from([1, 3, 6])),
        input_filters=draw(st.sampled_from([4, 8, 12])),
        output_filters=draw(st.sampled_from([4, 8, 12])),
        se_ratio=draw(st.sampled_from([0.0, 0.25, 0.3, 0.5])),
        skip=draw(st.sampled_from(["identity", "pool", "none"])),
    )


@st.composite
def op_chains(draw: st.DrawFn) -> LoweredLayer:
    """A valid layer that no lowering makes: any op on any earlier tensor that it can take."""
    input_shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 6)))
    shapes: list[Shape] = [input_shape]
    ops: list[Op] = []
    for _ in range(draw(st.integers(1, 6))):
        images = [index for index, shape in enumerate(shapes) if len(shape) == 3]
        source = draw(st.sampled_from(images))
        shape = shapes[source]
        partners = [index for index in images if shapes[index] in (shape, (1, 1, shape[2]))]
        kind: Kind = draw(
            st.sampled_from(["conv", "dwconv", "avg_pool", "mean", "logistic", "mul", "add"])
        )
        op = Op(
            kind=kind, inputs=(source,), activation=draw(st.sampled_from(["", "relu", "relu6"]))
        )
        if kind in ("conv", "dwconv", "avg_pool"):
            op = replace(
                op,
                kernel=draw(st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5]))),
                stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
                filters=draw(st.integers(1, 6)) if kind == "conv" else 0,
            )
        elif kind == "mul":
            op = replace(op, inputs=(source, draw(st.sampled_from(partners))))
        elif kind == "add":
            equal = [index for index in partners if shapes[index] == shape]
            op = replace(op, inputs=(source, draw(st.sampled_from(equal))))
        ops.append(op)
        shapes.append(op.output_shape([shapes[index] for index in op.inputs]))
    if draw(st.booleans()) and len(shapes[-1]) == 3:
        ops.append(Op(kind="global_pool", inputs=(len(ops),)))
        ops.append(Op(kind="linear", inputs=(len(ops),), filters=draw(st.integers(1, 5))))
    return LoweredLayer(input_shape=input_shape, ops=tuple(ops))


_SINGLE: tuple[Kind, ...] = (
    "shift scale relu relu6 relu_n1_to_1 leaky_relu prelu elu gelu hard_swish logistic tanh "
    "softmax exp log sqrt rsqrt square abs neg"
).split()  # type: ignore[assignment]  # the names of kinds
_WINDOWS: tuple[Kind, ...] = ("conv", "dwconv", "conv_transpose", "avg_pool", "max_pool")
_PAIRS: tuple[Kind, ...] = ("add", "sub", "mul", "div", "maximum", "minimum")
_MOVED: tuple[Kind, ...] = ("slice", "resize", "resize_nearest", "broadcast", "unknown")


def _windows(draw: st.DrawFn, kind: Kind, channels: int) -> Op:
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    op = Op(kind=kind, inputs=(0,), kernel=draw(pairs), stride=draw(pairs))
    if kind != "avg_pool" and draw(st.booleans()):
        op = replace(op, dilation=draw(pairs))
    paddings: list[Any] = ["", (9, 9, 9, 9), (8, 12, 10, 9), (12, 12, 0, 12)]
    if kind == "conv_transpose":
        paddings = ["", VALID]
    op = replace(op, padding=draw(st.sampled_from(paddings)))
    if kind == "dwconv":
        return replace(op, filters=draw(st.sampled_from([0, 2 * channels, 3 * channels])))
    if kind in ("conv", "conv_transpose"):
        groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
        return replace(op, groups=groups, filters=groups * draw(st.integers(1, 4)))
    return op


@st.composite
def ops_of_any_kind(draw: st.DrawFn) -> tuple[Op, tuple[Shape, ...]]:
    """An op that an import may make, and the shapes of what it reads."""
    image = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 8)))
    sizes = st.lists(st.integers(1, 99), min_size=1, max_size=5).map(tuple)
    kind: Kind = draw(st.sampled_from(get_args(Kind)))
    inputs: tuple[Shape, ...] = (image,)
    op = Op(kind=kind, inputs=(0,))
    if kind in _WINDOWS:
        op = _windows(draw, kind, image[2])
    elif kind in _PAIRS:
        inputs = (image, draw(st.sampled_from([image, (image[2],), (1, 1, image[2]), (1,)])))
    elif kind == "linear":
        inputs = draw(st.sampled_from([(image[2:],), (image[1:],)]))
        op = replace(op, filters=draw(st.integers(1, 99)))
    elif kind == "matmul":
        inputs = ((4, image[0], image[1]), (4, image[1], image[2]))
        op = replace(op, size=(4, image[0], image[2]))
    elif kind == "concat":
        inputs = (image, image, (*image[:2], 3))
        if draw(st.booleans()):
            inputs = (image, image)
            op = replace(op, size=(2 * image[0], *image[1:]))
    elif kind == "pad":
        padding = draw(st.tuples(*[st.integers(0, 5)] * 4))
        op = replace(op, padding=padding, filters=draw(st.sampled_from([0, 20])))
    elif kind == "shuffle":
        inputs = ((*image[:2], 12),)
        op = replace(op, groups=draw(st.sampled_from([2, 3, 4, 6])))
    elif kind in ("transpose", "reshape"):
        op = replace(op, size=draw(st.permutations(image).map(tuple)))
    elif kind in _MOVED:
        op = replace(op, size=draw(sizes))
        if kind == "unknown":
            op = replace(op, name=draw(st.sampled_from(["", "grid_sampler", "sort3x3", "x"])))
    elif kind in ("mean", "sum", "reduce_max"):
        op = replace(op, size=draw(sizes) if kind != "mean" or draw(st.booleans()) else ())
    activation = draw(st.sampled_from(get_args(Fused)))
    op = replace(op, activation=activation, inputs=tuple(range(len(inputs))))
    return op, inputs


# --- Signatures ------------------------------------------------------------------------------


def test_a_signature_written_by_hand() -> None:
    layer = Layer(kernel=5, expansion=3, input_filters=8, output_filters=8, se_ratio=0.25)
    assert lowered(layer, resolution=20).signature == (
        "fp32 10x10x8 conv1x1>24:relu dwconv5x5:relu mean conv1x1>2:relu conv1x1>24 logistic "
        "mul@2,6 conv1x1>8 add@0,8"
    )


def test_a_whole_network_written_by_hand() -> None:
    architecture = Architecture.from_blocks(
        ["r2_k3_s22_e6_i4_o8_pool"], head_filters=16, n_classes=10, resolution=33
    )
    assert lower(architecture, "int8").signature == (
        "int8 33x33x3 conv3x3/2>4:relu"
        " | conv1x1>24:relu dwconv3x3/2:relu conv1x1>8"
        " | conv1x1>48:relu dwconv3x3:relu conv1x1>8 avg_pool3x3@0 add@4,3"
        " | conv1x1>16:relu global_pool linear>10"
    )


@given(op_chains(), st.sampled_from(["fp32", "fp16", "int8"]))
def test_any_layer_survives_its_signature(layer: LoweredLayer, precision: Precision) -> None:
    graph = Graph((layer,), precision)
    parsed = Graph.parse(graph.signature)
    assert parsed.signature == graph.signature
    assert meaning(parsed) == meaning(graph)
    assert parsed.madds == graph.madds


@given(ops_of_any_kind())
def test_an_op_of_any_kind_survives_its_signature(made: tuple[Op, tuple[Shape, ...]]) -> None:
    op, shapes = made
    # What it reads is made of an image by ops that make any shape.
    sources = tuple(Op(kind="unknown", inputs=(0,), size=shape) for shape in shapes)
    op = replace(op, inputs=tuple(number + 1 for number in op.inputs))
    graph = Graph((LoweredLayer(input_shape=(4, 4, 4), ops=(*sources, op)),))
    parsed = Graph.parse(graph.signature)
    assert parsed.signature == graph.signature
    assert parsed == graph
    (last,) = parsed.layers[0].shaped_ops[-1:]
    assert last.inputs == shapes
    assert min(last.output) >= 1 and last.madds >= 0 and last.n_params >= 0
    assert parsed.madds == graph.madds


def test_every_kind_is_drawn_by_the_test_of_all_kinds() -> None:
    known = {*_SINGLE, *_WINDOWS, *_PAIRS, *_MOVED}
    rest = "linear matmul concat pad shuffle transpose reshape mean global_pool sum reduce_max"
    assert known | set(rest.split()) == set(get_args(Kind))


@pytest.mark.parametrize(
    "signature",
    [
        "fp32 224x224x3 conv3x3/2>32:relu | dwconv3x3:relu | conv1x1>16",
        "fp32 10x10x8 mean conv1x1>2:relu conv1x1>24 logistic",
        "int8 14x14x8 conv3x3>8:relu6 avg_pool3x3@0 add@2,1 | global_pool linear>10",
    ],
)
def test_signatures_in_old_tables_are_read_as_they_were_written(signature: str) -> None:
    assert Graph.parse(signature).signature == signature


@pytest.mark.parametrize(
    ("text", "op"),
    [
        ("conv1x7/2x1~2+0x3x1x1>64%4", "a convolution with everything"),
        ("conv6x6>4", "a kernel that starts with the 6 of relu6"),
        ("relu6", "an activation by itself"),
        ("relu_n1_to_1:relu6", "one activation after another"),
        ("unknown.grid_sampler=3x3", "an op without meaning"),
    ],
)
def test_ops_written_by_hand(text: str, op: str) -> None:
    assert Graph.parse(f"fp32 40x40x64 {text}").signature == f"fp32 40x40x64 {text}", op


@pytest.mark.parametrize("name", ["mnasnet", "mnasnet-paper"])
def test_random_networks_of_a_space_survive_their_signature(name: str) -> None:
    space = load_space(name)
    for row in space.sample(100, np.random.default_rng(0)):
        graph = lower(space.decode(row))
        parsed = Graph.parse(graph.signature)
        assert parsed.signature == graph.signature
        assert parsed.layer_signatures == graph.layer_signatures
        assert meaning(parsed) == meaning(graph)


@given(layers(), layers(), st.sampled_from([16, 17, 18, 32]))
def test_signatures_are_equal_exactly_where_the_meaning_is(
    one: Layer, other: Layer, resolution: int
) -> None:
    first, second = lowered(one, resolution), lowered(other, resolution=16)
    assert (first.signature == second.signature) == (meaning(first) == meaning(second))


def test_signatures_and_meanings_pair_off_over_every_layer_of_a_small_space() -> None:
    pairs = set()
    for conv, kernel, stride, expansion, inputs, outputs, se, skip in itertools.product(
        ("mbconv", "conv"),
        (3, 5),
        (1, 2),
        (1, 3),
        (4, 8),
        (4, 8),
        (0.0, 0.25, 0.3),
        ("identity", "pool", "none"),
    ):
        if conv == "conv" and expansion > 1:
            continue
        layer = Layer(
            conv=conv,  # type: ignore[arg-type]  # one of the two
            kernel=kernel,
            stride=stride,
            expansion=expansion,
            input_filters=inputs,
            output_filters=outputs,
            se_ratio=se,
            skip=skip,  # type: ignore[arg-type]  # one of the three
        )
        for resolution, activation in itertools.product((15, 16, 18), ("relu", "relu6")):
            for precision in ("fp32", "int8"):
                graph = lowered(layer, resolution, activation, precision)  # type: ignore[arg-type]
                pairs.add((graph.signature, meaning(graph)))
    signatures = {signature for signature, _ in pairs}
    meanings = {meaning_ for _, meaning_ in pairs}
    assert len(signatures) == len(meanings) == len(pairs) > 1000


_CHANGES: dict[str, Callable[[Layer], Layer]] = {
    "conv": lambda layer: replace(
        layer, expansion=1, conv="conv" if layer.conv == "mbconv" else "mbconv"
    ),
    "kernel": lambda layer: replace(layer, kernel=layer.kernel + 2),
    "stride": lambda layer: replace(layer, stride=3 - layer.stride),
    "expansion": lambda layer: replace(
        layer, conv="mbconv", expansion=2 if layer.conv == "conv" else layer.expansion + 1
    ),
    "input_filters": lambda layer: replace(layer, input_filters=layer.input_filters + 1),
    "output_filters": lambda layer: replace(layer, output_filters=layer.output_filters + 1),
    "se": lambda layer: replace(layer, se_ratio=0.0 if layer.se_ratio else 0.25),
    "squeeze": lambda layer: replace(layer, se_ratio=1.0),
}


@pytest.mark.parametrize("change", _CHANGES)
@given(layer=layers())
def test_changing_one_thing_of_a_layer_changes_its_signature(change: str, layer: Layer) -> None:
    assert lowered(_CHANGES[change](layer)).signature != lowered(layer).signature


@given(layers())
def test_size_activation_and_precision_change_the_signature(layer: Layer) -> None:
    signature = lowered(layer).signature
    assert lowered(layer, resolution=18).signature != signature
    assert lowered(layer, activation="relu6").signature != signature
    assert lowered(layer, precision="fp16").signature != signature
    assert lowered(layer, precision="int8").signature != signature


@given(layers())
def test_the_skip_changes_the_signature_exactly_where_it_acts(layer: Layer) -> None:
    skips = ("identity", "pool", "none")
    signatures = {
        lowered(replace(layer, skip=skip)).signature  # type: ignore[arg-type]
        for skip in skips
    }
    acts = layer.stride == 1 and layer.input_filters == layer.output_filters
    assert len(signatures) == (3 if acts else 1)


def test_labels_names_and_places_are_no_part_of_signature_or_equality() -> None:
    layer = lowered(Layer(input_filters=8, output_filters=8)).layers[0]
    renamed = replace(layer, label="something else")
    assert Graph((renamed,), places=("there",)) == Graph((layer,))
    nameless = replace(layer, ops=tuple(replace(op, name="") for op in layer.ops))
    assert Graph((nameless,)).signature == Graph((layer,)).signature


def test_a_layer_has_the_same_signature_wherever_it_stands() -> None:
    graph = lower(Architecture.from_blocks(["r4_k3_s11_e3_i8_o8", "r1_k3_s11_e3_i8_o8"]))
    assert len(set(graph.layer_signatures[1:6])) == 1
    assert graph.layer_signatures == tuple(part.signature for part in graph.layer_graphs())


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "fp32",
        "fp32 8x8x4",
        "fp32 8x8x4 ",
        "fp64 8x8x4 conv1x1>4",
        "fp32 8x8 conv1x1>4",
        "fp32 axbxc conv1x1>4",
        "fp32 0x8x4 conv1x1>4",
        "fp32 -8x8x4 conv1x1>4",
        "fp32 08x8x4 conv1x1>4",
        "fp32 8x8x4 conv",
        "fp32 8x8x4 conv3x3",
        "fp32 8x8x4 conv>4",
        "fp32 8x8x4 conv1x1>0",
        "fp32 8x8x4 conv0x0>4",
        "fp32 8x8x4 conv1x1/0>4",
        "fp32 8x8x4 conv1x1/1>4",
        "fp32 8x8x4 conv1x1>4:gelu",
        "fp32 8x8x4 conv1x1>4:",
        "fp32 8x8x4 conv1x1>4@0",
        "fp32 8x8x4 conv1x1>4@0,0",
        "fp32 8x8x4 conv1x1>4@1",
        "fp32 8x8x4 conv1x1>4  dwconv3x3",
        "fp32 8x8x4 conv1x1>4 ",
        "fp32 8x8x4 conv1x1>4\n",
        "fp32 8x8x4 conv1x1>4 | ",
        "fp32 8x8x4 conv1x1>4 |dwconv3x3",
        "fp32 8x8x4 dwconv3x3>4",
        "fp32 8x8x4 logistic/2",
        "fp32 8x8x4 logistic3x3",
        "fp32 8x8x4 swish",
        "fp32 8x8x4 linear>10",
        "fp32 8x8x4 global_pool mean",
        "fp32 8x8x4 global_pool conv1x1>4",
        "fp32 8x8x4 global_pool linear",
        "fp32 8x8x4 add",
        "fp32 8x8x4 add@0,5",
        "fp32 8x8x4 logistic add@0,1,1",
        "fp32 8x8x4 conv1x1>5 add@0,1",
        "fp32 8x8x4 mean mul@1,0",
        "fp32 8x8x4 conv1x1>\N{ARABIC-INDIC DIGIT FOUR}",
        "fp32  8x8x4 conv1x1>4",
        "fp32 8x8x4 conv1x1/1x1>4",
        "fp32 8x8x4 conv1x1~1>4",
        "fp32 8x8x4 conv3x3+1x1x1x1>4",
        "fp32 8x8x4 conv3x3+1x1>4",
        "fp32 8x8x4 conv1x1>4%1",
        "fp32 8x8x4 conv1x1>4%3",
        "fp32 8x8x4 conv1x1>6%4",
        "fp32 8x8x4 conv1x1>4=8x8x4",
        "fp32 8x8x4 conv9x9+0>4",
        "fp32 8x8x4 dwconv3x3>6",
        "fp32 8x8x4 conv.stem3x3>4",
        "fp32 8x8x4 avg_pool3x3~2",
        "fp32 8x8x4 linear>10",
        "fp32 8x8x4 max_pool",
        "fp32 8x8x4 pad",
        "fp32 8x8x4 pad3x3",
        "fp32 8x8x4 pad/2+1",
        "fp32 8x8x4 shuffle",
        "fp32 8x8x4 shuffle%1",
        "fp32 8x8x4 shuffle%3",
        "fp32 8x8x4 concat",
        "fp32 8x8x4 concat@0",
        "fp32 8x8x4 slice",
        "fp32 8x8x4 slice=0x8x4",
        "fp32 8x8x4 reshape=8x8x5",
        "fp32 8x8x4 transpose=16x4",
        "fp32 8x8x4 scale@0,0",
        "fp32 8x8x4 scale>4",
        "fp32 8x8x4 relu=8x8x4",
        "fp32 8x8x4 matmul=8x4@0,0",
        "fp32 8x8x4 unknown",
        "fp32 8x8x4 unknown.=3",
        "fp32 8x8x4 unknown.a b=3",
        "fp32 8x8x4 mean sub@0,1 add@1,2",
    ],
)
def test_what_is_no_signature_is_refused_and_named(signature: str) -> None:
    with pytest.raises(ValueError) as caught:
        Graph.parse(signature)
    assert str(caught.value).startswith(f"{signature!r} is not a signature: ")


# --- Cutting into layers ---------------------------------------------------------------------


def test_a_network_is_cut_wherever_one_tensor_is_alive() -> None:
    ops = [
        Op(kind="conv", inputs=(0,), filters=4),
        Op(kind="conv", inputs=(1,), filters=4),
        Op(kind="relu", inputs=(1,)),
        Op(kind="add", inputs=(3, 2)),
        Op(kind="pad", inputs=(4,), padding=(1, 1, 1, 1)),
        Op(kind="conv", inputs=(5,), filters=2, kernel=(3, 3), padding=VALID),
    ]
    graph = chain(IMAGE, ops, labels=["a", "b", "c", "d", "e", "f"])
    assert [layer.text for layer in graph.layers] == [
        "conv1x1>4",
        "conv1x1>4 relu@0 add@2,1",
        "pad+1 conv3x3+0>2",  # padding stays with what reads it
    ]
    assert [layer.label for layer in graph.layers] == ["a", "b", "e"]


def test_places_say_where_a_network_may_be_cut() -> None:
    ops = [Op(kind="relu", inputs=(number,)) for number in range(4)]
    graph = chain(IMAGE, ops, "int8", places=["stem", "stem", "body", "head"])
    assert graph.signature == "int8 8x8x4 relu relu | relu | relu"
    assert graph.places == ("stem", "body", "head")


def test_a_network_that_reads_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Op 1 \(relu\) reads \(1,\), out of range"):
        chain(IMAGE, [Op(kind="relu", inputs=(1,))])
    with pytest.raises(ValueError, match="A graph needs at least one layer"):
        chain(IMAGE, [])


@given(op_chains())
def test_cutting_changes_neither_ops_nor_counts(layer: LoweredLayer) -> None:
    graph, whole = chain(layer.input_shape, layer.ops), Graph((layer,))
    assert [one.op.kind for one in graph.shaped_ops()] == [op.kind for op in layer.ops]
    assert [one.output for one in graph.shaped_ops()] == [one.output for one in layer.shaped_ops]
    assert (graph.madds, graph.n_params) == (whole.madds, whole.n_params)
    assert graph.output_shape == whole.output_shape


# --- Shapes and counts -----------------------------------------------------------------------


def test_an_mbconv_with_se_and_skip_worked_out_by_hand() -> None:
    layer = Layer(kernel=5, expansion=3, input_filters=8, output_filters=8, se_ratio=0.25)
    graph = lowered(layer, resolution=20)
    shaped = list(graph.shaped_ops())
    big, vector, small = (10, 10, 24), (1, 1, 24), (10, 10, 8)
    assert [one.op.name for one in shaped] == [
        "expand",
        "depthwise",
        "se_mean",
        "se_reduce",
        "se_expand",
        "se_gate",
        "se_scale",
        "project",
        "skip_add",
    ]
    assert [one.output for one in shaped] == [
        big,
        big,
        vector,
        (1, 1, 2),
        vector,
        vector,
        big,
        small,
        small,
    ]
    assert [one.madds for one in shaped] == [
        100 * 8 * 24,
        100 * 25 * 24,
        0,
        24 * 2,
        2 * 24,
        0,
        0,
        100 * 24 * 8,
        0,
    ]
    assert graph.madds == 98_496
    assert [one.n_params for one in shaped] == [
        8 * 24 + 2 * 24,
        25 * 24 + 2 * 24,
        0,
        24 * 2 + 2,
        2 * 24 + 24,
        0,
        0,
        24 * 8 + 2 * 8,
        0,
    ]
    assert graph.n_params == 1218


def test_weight_shapes_are_channels_last() -> None:
    graph = Graph.parse("fp32 8x8x4 conv3x3/2>6:relu dwconv5x5 global_pool linear>10")
    assert [one.weight_shape for one in graph.shaped_ops()] == [
        (6, 3, 3, 4),
        (5, 5, 6),
        (),
        (10, 6),
    ]
    # 16 pixels x 9 x 4 x 6, 16 x 25 x 6, 10 x 6
    assert [one.madds for one in graph.shaped_ops()] == [3456, 2400, 0, 60]


@pytest.mark.parametrize(
    ("size", "stride", "expected"), [(8, 1, 8), (8, 2, 4), (9, 2, 5), (1, 2, 1), (7, 3, 3)]
)
def test_same_padding_rounds_sizes_up(size: int, stride: int, expected: int) -> None:
    op = Op(kind="conv", inputs=(0,), filters=6, kernel=(3, 3), stride=(stride, stride))
    assert op.output_shape([(size, 5, 4)]) == (expected, -(-5 // stride), 6)


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (Op(kind="linear", inputs=(0,), filters=3), "linear needs a vector, got (8, 8, 4)."),
        (Op(kind="conv", inputs=(1,), filters=3), "Op 1 (conv) reads (1,), out of range."),
        (Op(kind="add", inputs=(0, -1)), "Op 1 (add) reads (0, -1), out of range."),
    ],
)
def test_ops_that_cannot_work_are_refused(op: Op, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        _ = LoweredLayer(input_shape=IMAGE, ops=(op,)).shaped_ops
    assert str(caught.value) == sentence


@pytest.mark.parametrize("kind", ["conv", "dwconv", "avg_pool", "mean", "global_pool"])
def test_image_ops_refuse_a_vector(kind: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{kind} needs height, width and channels, got \(4,\)"):
        Op(kind=kind, inputs=(0,), filters=3).output_shape([(4,)])


def test_layers_must_fit_each_other() -> None:
    first = LoweredLayer(input_shape=IMAGE, ops=(Op(kind="conv", inputs=(0,), filters=6),))
    with pytest.raises(ValueError, match=r"puts out \(8, 8, 6\), the next takes \(8, 8, 4\)\."):
        Graph((first, first))


def test_a_graph_needs_a_layer_and_a_known_precision() -> None:
    with pytest.raises(ValueError, match="A graph needs at least one layer"):
        Graph(())
    layer = LoweredLayer(input_shape=IMAGE, ops=(Op(kind="logistic", inputs=(0,)),))
    with pytest.raises(ValueError, match=r"precision must be one of fp32, fp16, int8, got 'fp64'"):
        Graph((layer,), "fp64")  # type: ignore[arg-type]
