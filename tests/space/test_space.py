"""Search spaces: tokens and architectures stand for each other, and all layers are listed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from mnaslat.architecture import Block
from mnaslat.lowering import lower
from mnaslat.space import Decision, SearchSpace, load_space, space_names
from mnaslat.space.mnasnet import round_choice
from mnaslat.zoo import load_network

USER_SPACE = """
from dataclasses import dataclass

from mnaslat.architecture import Architecture
from mnaslat.space import Decision, SearchSpace


{decorator}
class Setting:
    kernel: int = 3


def make(width, resolution, n_classes):
    def build(choices):
        text = f"r1_k{{choices['kernel']}}_s22_e1_i8_o16"
        return Architecture.from_blocks([text], resolution=resolution, n_classes=n_classes)

    return SearchSpace(
        name="mine",
        decisions=(Decision("kernel", (3, 5)),),
        build=build,
        read=lambda architecture: {{"kernel": architecture.blocks[0].first.kernel}},
        parts={{"stem": (), "block1": ("kernel",), "head": ()}},
    )


def wrong(width, resolution, n_classes):
    return 3


number = 3
"""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load_space("mnasnet")


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "my_space.py"
    path.write_text(USER_SPACE.format(decorator="@dataclass"))
    return path


# --- What the space is -----------------------------------------------------------------------


def test_the_paper_space_has_432_choices_a_block() -> None:
    assert load_space("mnasnet-paper").size == 432**7


def test_the_default_space_adds_one_filter_choice_to_two_blocks(space: SearchSpace) -> None:
    assert space.size == 432**5 * 576**2
    filters = {one.name: one.choices for one in space.decisions if one.name.endswith("filters")}
    assert filters == {
        "block1.filters": (8, 16, 24),
        "block2.filters": (16, 24, 32),
        "block3.filters": (24, 32, 40),
        "block4.filters": (48, 64, 80),
        "block5.filters": (72, 96, 112, 120),
        "block6.filters": (120, 160, 192, 200),
        "block7.filters": (240, 320, 400),
    }


def test_layers_go_one_down_and_one_up_but_never_to_none(space: SearchSpace) -> None:
    layers = [one.choices for one in space.decisions if one.name.endswith("layers")]
    assert layers == [
        (1, 2, 3),
        (1, 2, 3),
        (2, 3, 4),
        (3, 4, 5),
        (2, 3, 4),
        (2, 3, 4),
        (1, 2, 3),
    ]


@pytest.mark.parametrize("name", space_names())
def test_all_choices_are_distinct_and_counted(name: str) -> None:
    space = load_space(name)
    assert len({decision.name for decision in space.decisions}) == len(space.decisions)
    for decision, n_choices in zip(space.decisions, space.n_choices, strict=True):
        assert len(set(decision.choices)) == n_choices


def test_every_choice_builds_another_network(space: SearchSpace) -> None:
    base = np.zeros(42, dtype=np.int64)
    built = set()
    for index, n_choices in enumerate(space.n_choices):
        for token in range(1, n_choices):
            row = base.copy()
            row[index] = token
            built.add(space.decode(row))
    assert len(built) == int((space.n_choices - 1).sum())


@pytest.mark.parametrize(
    ("filters", "factor", "expected"),
    [(16, 0.75, 8), (16, 1.25, 24), (24, 0.75, 16), (24, 1.25, 32), (96, 0.75, 72), (8, 0.5, 8)],
)
def test_filter_choices_are_rounded_away_from_the_base(
    filters: int, factor: float, expected: int
) -> None:
    assert round_choice(filters, factor) == expected


def test_a_decision_needs_distinct_choices() -> None:
    with pytest.raises(ValueError, match=r"Decision kernel needs distinct choices, got \(3, 3\)"):
        Decision("kernel", (3, 3))
    with pytest.raises(ValueError, match="Decision kernel needs distinct choices"):
        Decision("kernel", ())


# --- Tokens <-> architectures ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_released_networks_are_points_of_the_default_space(name: str, space: SearchSpace) -> None:
    assert space.decode(space.encode(load_network(name))) == load_network(name)


@pytest.mark.parametrize(("name", "decision"), [("a1", "block5.filters"), ("b1", "block6.filters")])
def test_released_networks_are_no_points_of_the_paper_space(name: str, decision: str) -> None:
    with pytest.raises(ValueError, match=rf"Not a point of space mnasnet-paper: {decision} is 1"):
        load_space("mnasnet-paper").encode(load_network(f"mnasnet-{name}"))


# Two rows of NAS-Bench-Macro can be one network.
@pytest.mark.parametrize("name", sorted({*space_names()} - {"nas-bench-macro"}))
def test_tokens_survive_decoding_and_encoding(name: str) -> None:
    space = load_space(name)
    for row in space.sample(10_000, np.random.default_rng(7)):
        assert (space.encode(space.decode(row)) == row).all()


def test_tokens_worked_out_by_hand(space: SearchSpace) -> None:
    row = np.zeros(42, dtype=np.int64)
    row[6:12] = [3, 1, 1, 2, 0, 2]  # block 2: mbconv6, 5x5, SE, no skip, 16 filters, 3 layers
    blocks = space.decode(row).blocks
    assert blocks[0] == Block.parse("r1_k3_s11_e1_i32_o8_conv_pool")
    assert blocks[1] == Block.parse("r3_k5_s22_e6_i8_o16_se0.25_noskip")
    assert blocks[2] == Block.parse("r2_k3_s22_e1_i16_o24_conv_pool")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([0] * 41, r"needs 42 whole-number tokens, got shape \(41,\)"),
        ([0] * 43, r"needs 42 whole-number tokens, got shape \(43,\)"),
        ([], r"needs 42 whole-number tokens, got shape \(0,\)"),
        ([[0] * 42], r"needs 42 whole-number tokens, got shape \(1, 42\)"),
        ([0.0] * 42, r"needs 42 whole-number tokens, got .*float64"),
        ([False] * 42, r"needs 42 whole-number tokens, got .*bool"),
        ([4] + [0] * 41, r"Token 0 \(block1.op\) is 4, but must lie in 0\.\.3\."),
        ([0] * 41 + [3], r"Token 41 \(block7.layers\) is 3, but must lie in 0\.\.2\."),
        ([0, -1] + [0] * 40, r"Token 1 \(block1.kernel\) is -1, but must lie in 0\.\.1\."),
    ],
)
def test_wrong_tokens_are_refused_and_named(
    tokens: ArrayLike, sentence: str, space: SearchSpace
) -> None:
    with pytest.raises(ValueError, match=sentence):
        space.decode(tokens)


def test_networks_outside_the_space_are_refused(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="block1.op is expansion 9"):
        space.encode(load_network("mnasnet-d1"))
    with pytest.raises(ValueError, match="stem, head, strides, resolution or classes differ"):
        space.encode(load_network("mnasnet-a1", resolution=96))
    one_block = load_space("mnasnet").decode([0] * 42).blocks[:1]
    with pytest.raises(ValueError, match="it has 1 blocks, not 7"):
        space.encode(type(load_network("mnasnet-a1"))(blocks=one_block))


# --- Chance ----------------------------------------------------------------------------------


def test_samples_are_uniform_and_the_seed_decides_them(space: SearchSpace) -> None:
    rows = space.sample(20_000, np.random.default_rng(1))
    assert (rows == space.sample(20_000, np.random.default_rng(1))).all()
    for index, n_choices in enumerate(space.n_choices):
        shares = np.bincount(rows[:, index], minlength=int(n_choices)) / len(rows)
        assert shares == pytest.approx(np.full(int(n_choices), 1 / n_choices), abs=0.02)


# --- Layers of a space -----------------------------------------------------------------------


def test_layer_frequencies_add_up_to_the_expected_number_of_layers(space: SearchSpace) -> None:
    frequencies = space.layer_frequencies()
    # Stem, head, and on average 2 + 2 + 3 + 4 + 3 + 3 + 2 layers in the blocks.
    assert sum(frequencies.values()) == pytest.approx(21.0, rel=1e-9)
    assert frequencies["fp32 224x224x3 conv3x3/2>32:relu"] == 1.0
    # Block 1's first layer as a plain 5x5 convolution to 24 filters without SE: op, kernel, SE and
    # filters decide. It has stride 1 but unequal channels, so that no skip acts.
    assert frequencies["fp32 112x112x32 conv5x5>24:relu"] == pytest.approx(1 / (4 * 2 * 2 * 3))
    # What block 2 repeats, on average once: op, kernel, SE, skip and filters decide.
    repeated = "fp32 56x56x24 conv1x1>144:relu dwconv3x3:relu conv1x1>24 add@0,3"
    assert frequencies[repeated] == pytest.approx(1 / (4 * 2 * 2 * 3 * 3))
    # The head on 240 filters.
    head = "fp32 7x7x240 conv1x1>1280:relu global_pool linear>1000"
    assert frequencies[head] == pytest.approx(1 / 3)


def test_layer_frequencies_agree_with_counting(space: SearchSpace) -> None:
    frequencies = space.layer_frequencies()
    counts: dict[str, int] = {}
    rows = space.sample(1000, np.random.default_rng(3))
    for row in rows:
        for signature in lower(space.decode(row)).layer_signatures:
            counts[signature] = counts.get(signature, 0) + 1
    assert counts.keys() <= frequencies.keys()
    frequent = [signature for signature, expected in frequencies.items() if expected > 0.01]
    assert len(frequent) > 10
    for signature in frequent:
        # Five standard errors of a rare event that counts up to five times in a network.
        allowed = 5 * (5 * frequencies[signature] / len(rows)) ** 0.5
        counted = counts.get(signature, 0) / len(rows)
        assert counted == pytest.approx(frequencies[signature], abs=allowed)


def test_a_scaled_space_works_from_tokens_to_layers() -> None:
    space = load_space("mnasnet", width=0.35, resolution=96, n_classes=10)
    rows = space.sample(300, np.random.default_rng(5))
    frequencies = space.layer_frequencies("int8")
    assert sum(frequencies.values()) == pytest.approx(21.0, rel=1e-9)
    for row in rows:
        architecture = space.decode(row)
        assert (architecture.resolution, architecture.n_classes) == (96, 10)
        assert architecture.stem_filters == 16
        assert all(block.first.output_filters <= 144 for block in architecture.blocks)
        assert space.decode(space.encode(architecture)) == architecture
        assert set(lower(architecture, "int8").layer_signatures) <= frequencies.keys()
    a1 = load_network("mnasnet-a1@0.35", resolution=96, n_classes=10)
    assert space.decode(space.encode(a1)) == a1


@pytest.mark.parametrize("name", space_names())
def test_a_width_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="width must be positive, got 0"):
        load_space(name, width=0)


# --- Spaces of the user ----------------------------------------------------------------------


def test_a_space_from_a_file_of_the_user(user_file: Path) -> None:
    space = load_space(f"{user_file}:make", resolution=32, n_classes=5)
    assert space.name == f"{user_file}:make"
    assert space.size == 2
    architecture = space.decode([1])
    assert architecture.blocks[0].first.kernel == 5
    assert (architecture.resolution, architecture.n_classes) == (32, 5)
    assert space.encode(architecture).tolist() == [1]
    assert set(space.layer_frequencies().values()) == {1.0, 0.5}


def test_a_user_file_may_use_dataclasses_with_postponed_annotations(user_file: Path) -> None:
    code = "from __future__ import annotations\n" + user_file.read_text()
    user_file.write_text(code)
    assert load_space(f"{user_file}:make").size == 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def make(:",
            r"Cannot run .*my_space\.py: it failed in .*my_space\.py, line 1: SyntaxError",
        ),
        ("1 / 0", r"Cannot run .*: it failed in .*my_space\.py, line 1: ZeroDivisionError"),
        (
            "import sys; sys.exit(0)",
            r"Cannot run .*: it failed in .*my_space\.py, line 1: SystemExit: 0",
        ),
        (
            "def make(): pass",
            "takes none, but is called with width, resolution, n_classes",
        ),
    ],
)
def test_what_a_user_file_raises_is_said_with_its_name(
    user_file: Path, code: str, message: str
) -> None:
    user_file.write_text(code)
    with pytest.raises(ValueError, match=message):
        load_space(f"{user_file}:make")


def test_wrong_names_of_spaces_say_what_would_be_right(user_file: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^No space named 'nonsense'\. Known: .*mnasnet-paper.*; or"
    ):
        load_space("nonsense")
    with pytest.raises(ValueError, match=r"or FILE\.py:FUNCTION or MODULE:FUNCTION\.$"):
        load_space(str(user_file))
    with pytest.raises(ValueError, match=r"There is no file .*missing\.py"):
        load_space(f"{user_file.with_name('missing.py')}:make")
    with pytest.raises(ValueError, match=r"my_space\.py has no function 'absent'"):
        load_space(f"{user_file}:absent")
    with pytest.raises(ValueError, match=r"my_space\.py has no function 'number'"):
        load_space(f"{user_file}:number")
    with pytest.raises(ValueError, match=r"my_space\.py:wrong returned a int, not a SearchSpace"):
        load_space(f"{user_file}:wrong")


def test_of_choices_that_mean_the_same_network_the_first_is_read_back() -> None:
    space = load_space("mnasnet", width=0.1)
    filters = [index for index, each in enumerate(space.decisions) if each.name == "block1.filters"]
    row = np.zeros(len(space.decisions), dtype=np.int64)
    row[filters] = space.n_choices[filters] - 1  # 24 filters, a tenth of which are 8: as of 8
    assert space.decode(row) == space.decode(np.zeros_like(row))
    assert not space.encode(space.decode(row)).any()
