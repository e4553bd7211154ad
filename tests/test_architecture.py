"""Networks as data: block strings, JSON, widths, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.architecture import Architecture, Block, Conv, Layer, round_filters

A1_BLOCK_3 = "r3_k5_s22_e3_i24_o40_se0.25"


@st.composite
def blocks(draw: st.DrawFn, input_filters: int | None = None) -> Block:
    conv: Conv = draw(st.sampled_from(["mbconv", "conv", "project"]))
    layer = Layer(
        conv=conv,
        kernel=draw(st.integers(0, 5)) * 2 + 1,
        stride=draw(st.integers(1, 9)),
        expansion=draw(st.integers(1, 12)) if conv == "mbconv" else 1,
        input_filters=input_filters or draw(st.integers(1, 2000)),
        output_filters=draw(st.integers(1, 2000)),
        se_ratio=draw(st.just(0.0) | st.just(0.25) | st.floats(0.0, 1.0)),
        skip=draw(st.sampled_from(["identity", "pool", "none"])),
    )
    return Block(first=layer, n_layers=draw(st.integers(1, 20)))


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    stem_filters = filters = draw(st.integers(1, 64))
    chain = []
    for _ in range(draw(st.integers(1, 5))):
        chain.append(draw(blocks(input_filters=filters)))
        filters = chain[-1].first.output_filters
    return Architecture(
        blocks=tuple(chain),
        stem_filters=stem_filters,
        head_filters=draw(st.integers(1, 2000)),
        n_classes=draw(st.integers(1, 2000)),
        resolution=draw(st.integers(1, 512)),
        input_channels=draw(st.integers(1, 4)),
        activation=draw(st.sampled_from(["relu", "relu6"])),
        dropout=draw(st.floats(0.0, 0.99)),
        stem_stride=draw(st.integers(1, 4)),
    )


def test_a_block_string_says_what_it_says() -> None:
    block = Block.parse(A1_BLOCK_3)
    assert block.n_layers == 3
    assert block.first == Layer(
        conv="mbconv",
        kernel=5,
        stride=2,
        expansion=3,
        input_filters=24,
        output_filters=40,
        se_ratio=0.25,
        skip="identity",
    )


@pytest.mark.parametrize(
    ("suffix", "conv", "skip"),
    [
        ("", "mbconv", "identity"),
        ("_noskip", "mbconv", "none"),
        ("_pool", "mbconv", "pool"),
        ("_conv", "conv", "identity"),
        ("_conv_noskip", "conv", "none"),
        ("_conv_pool", "conv", "pool"),
        ("_project", "project", "identity"),
        ("_project_noskip", "project", "none"),
    ],
)
def test_suffixes_of_block_strings(suffix: str, conv: str, skip: str) -> None:
    text = f"r1_k3_s11_e1_i8_o8_se0.25{suffix}"
    block = Block.parse(text)
    assert (block.first.conv, block.first.skip) == (conv, skip)
    assert str(block) == text


@given(blocks())
def test_a_block_survives_its_string(block: Block) -> None:
    assert Block.parse(str(block)) == block


@given(architectures())
def test_an_architecture_survives_json(architecture: Architecture) -> None:
    read = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert read == architecture
    assert hash(read) == hash(architecture)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r1",
        "k3_r1_s11_e1_i8_o8",
        "r1_k3_s1_e1_i8_o8",
        "r1_k3_s11_e1_i8",
        "r1_k3_s11_e1_i8_o8_se",
        "r1_k3_s11_e1_i8_o8_se.",
        "r1_k3_s11_e1_i8_o8_se0.2.5",
        "r1_k3_s11_e1_i8_o8_noskip_pool",
        "r1_k3_s11_e1_i8_o8_swish",
        "r-1_k3_s11_e1_i8_o8",
    ],
)
def test_a_bad_block_string_is_named_and_an_example_given(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Block.parse(text)
    message = str(caught.value)
    assert message.startswith(repr(text))
    assert "is not a block string. Expected e.g. r4_k5_s22_e6_i40_o80_se0.25_noskip." in message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("r1_k3_s12_e1_i8_o8", "Only square strides are supported"),
        (
            "r0_k3_s22_e1_i8_o8",
            "A block of no layers cannot stride or change filters, got stride 2",
        ),
        ("r0_k3_s11_e1_i8_o16", "got stride 1 and 8 to 16 filters."),
        ("r1_k4_s11_e1_i8_o8", "kernel must be odd, got 4."),
        ("r1_k3_s00_e1_i8_o8", "stride must "),
        ("r1_k3_s11_e0_i8_o8", "expansion must be at least 1, got 0."),
        ("r1_k3_s11_e1_i0_o8", "input_filters must be at least 1, got 0."),
        ("r1_k3_s11_e1_i8_o8_se1.5", "se_ratio must lie in [0, 1], got 1.5."),
        ("r1_k3_s11_e6_i8_o8_project", "A plain convolution has no expansion, got 6."),
        ("r1_k3_s11_e6_i8_o8_conv", "A plain convolution has no expansion, got 6."),
    ],
)
def test_a_block_that_cannot_be_built_says_why(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Block.parse(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"conv": "depthwise"},
        {"skip": "max"},
        {"stride": 10},  # block strings have one digit for it
        {"se_ratio": float("nan")},
        {"output_filters": -8},
    ],
)
def test_a_layer_refuses_what_it_cannot_be(wrong: dict[str, Any]) -> None:
    settings = {"input_filters": 8, "output_filters": 8, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Layer(**settings)


def test_a_block_may_be_left_out() -> None:
    block = Block.parse("r0_k3_s11_e1_i8_o8")
    assert block.layers == ()
    assert str(block) == "r0_k3_s11_e1_i8_o8"
    with pytest.raises(ValueError, match="n_layers must be at least 0, got -1"):
        Block(first=block.first, n_layers=-1)


def test_json_of_a_usual_stem_is_what_it_was_before_stems_had_a_stride() -> None:
    blocks = [A1_BLOCK_3]
    usual = Architecture.from_blocks(blocks).to_json()
    assert "stem_stride" not in usual
    assert Architecture.from_blocks(blocks, stem_stride=1).to_json() == {**usual, "stem_stride": 1}
    with pytest.raises(ValueError, match="stem_stride must be at least 1, got 0"):
        Architecture.from_json({**usual, "stem_stride": 0})


def test_only_the_first_layer_of_a_block_strides_and_widens() -> None:
    first, second, third = Block.parse(A1_BLOCK_3).layers
    assert (first.stride, first.input_filters, first.output_filters) == (2, 24, 40)
    assert second == third == replace(first, stride=1, input_filters=40)


@pytest.mark.parametrize(
    ("text", "skips"),
    [
        ("r2_k3_s11_e6_i16_o24", [False, True]),
        ("r2_k3_s22_e6_i24_o24", [False, True]),
        ("r2_k3_s11_e6_i24_o24", [True, True]),
        ("r2_k3_s11_e6_i24_o24_noskip", [False, False]),
        ("r2_k3_s22_e6_i16_o24_pool", [False, True]),
    ],
)
def test_skips_need_stride_1_and_equal_channels(text: str, skips: list[bool]) -> None:
    assert [layer.has_skip for layer in Block.parse(text).layers] == skips


def test_squeeze_filters_are_a_share_of_the_input_filters_rounded_down() -> None:
    # MnasNet-A1's block 3: int(24 / 4) = 6 in its first layer, int(40 / 4) = 10 in the others.
    assert [layer.squeeze_filters for layer in Block.parse(A1_BLOCK_3).layers] == [6, 10, 10]
    assert Layer(input_filters=7, output_filters=8, se_ratio=0.25).squeeze_filters == 1
    assert Layer(input_filters=3, output_filters=8, se_ratio=0.25).squeeze_filters == 1
    assert Layer(input_filters=32, output_filters=8).squeeze_filters == 0


def test_the_chain_of_filters_is_checked_and_the_block_named() -> None:
    with pytest.raises(
        ValueError, match=r"^Block 2 \(r1_\S+\) takes 24 filters, but 16 come in\.$"
    ):
        Architecture.from_blocks(["r1_k3_s11_e1_i32_o16", "r1_k3_s22_e6_i24_o24"])


def test_the_stem_must_feed_the_first_block() -> None:
    with pytest.raises(ValueError, match=r"^Block 1 .* takes 32 filters, but 16 come in\.$"):
        Architecture.from_blocks(["r1_k3_s11_e1_i32_o16"], stem_filters=16)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"blocks": ()}, "An architecture needs at least one block."),
        ({"activation": "swish"}, "activation must be one of ('relu', 'relu6'), got 'swish'."),
        ({"resolution": 0}, "resolution must be at least 1, got 0."),
        ({"n_classes": 0}, "n_classes must be at least 1, got 0."),
        ({"dropout": 1.0}, "dropout must lie in [0, 1), got 1.0."),
    ],
)
def test_an_architecture_refuses_what_it_cannot_be(wrong: dict[str, Any], sentence: str) -> None:
    settings: dict[str, Any] = {"blocks": (Block.parse("r1_k3_s11_e1_i32_o16"),), **wrong}
    with pytest.raises(ValueError) as caught:
        Architecture(**settings)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"colour": "red"},
        {"blocks": []},
        {"blocks": None},
        {"blocks": [3]},
        {"blocks": ["r1"]},
        {"resolution": "wide"},
        {"resolution": 96.5},
    ],
)
def test_json_that_is_no_architecture_is_refused(change: dict[str, Any]) -> None:
    good = Architecture.from_blocks([A1_BLOCK_3]).to_json()
    with pytest.raises(ValueError):
        Architecture.from_json({**good, **change})


def test_json_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Not an architecture: 'blocks'\."):
        Architecture.from_json({"format": 1})


@pytest.mark.parametrize(
    ("filters", "width", "expected"),
    [
        (32, 0.35, 16),  # 11.2 -> 8 would lose more than 10 %
        (16, 0.35, 8),  # 5.6: never below the divisor
        (24, 0.35, 8),  # 8.4
        (40, 0.35, 16),  # 14.0
        (96, 0.35, 32),  # 33.6
        (320, 0.35, 112),  # exactly
        (24, 0.5, 16),  # 12: half goes up
        (32, 0.75, 24),
        (24, 0.75, 24),  # 18 -> 16 would lose more than 10 %
        (24, 1.4, 32),  # 33.6
        (160, 1.4, 224),
        (36, 1.0, 40),
    ],
)
def test_rounding_of_filters_worked_out_by_hand(filters: int, width: float, expected: int) -> None:
    assert round_filters(filters, width) == expected


@given(st.integers(1, 2000), st.floats(0.01, 4.0))
def test_rounded_filters_are_a_multiple_of_8_and_lose_no_more_than_a_tenth(
    filters: int, width: float
) -> None:
    rounded = round_filters(filters, width)
    exact = filters * width
    assert rounded % 8 == 0 and rounded >= 8
    assert 0.9 * exact <= rounded < max(exact + 8 + 4, 9)


@given(architectures(), st.sampled_from([0.35, 0.5, 0.75, 1.4]))
def test_width_scales_stem_and_blocks_but_not_the_head(
    architecture: Architecture, width: float
) -> None:
    scaled = architecture.scaled(width)
    assert scaled.stem_filters == round_filters(architecture.stem_filters, width)
    for before, after in zip(architecture.blocks, scaled.blocks, strict=True):
        filters = round_filters(before.first.output_filters, width)
        inputs = round_filters(before.first.input_filters, width)
        assert after == replace(
            before, first=replace(before.first, input_filters=inputs, output_filters=filters)
        )
    assert scaled.head_filters == architecture.head_filters
    assert architecture.scaled(1.0) == architecture


@pytest.mark.parametrize("width", [0.0, -1.0])
def test_a_width_that_is_not_positive_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"width must be positive, got"):
        Architecture.from_blocks([A1_BLOCK_3]).scaled(width)


@pytest.mark.parametrize("data", ['{"format": 1}', b"{}", None, ["r1_k3_s11_e1_i32_o16"], 1])
def test_json_that_is_no_dictionary_says_what_to_pass(data: Any) -> None:
    with pytest.raises(ValueError, match=r"from a dictionary, got \w+\..*pass json\.loads\(text\)"):
        Architecture.from_json(data)
