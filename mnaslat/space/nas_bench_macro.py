"""Defines the search space of NAS-Bench-Macro.

All of its networks were trained and their accuracies are public, so that a search can be evaluated.
"""

from collections.abc import Sequence

from mnaslat.architecture import Architecture, Block, Layer
from mnaslat.space.search_space import Choices, Decision, SearchSpace

_MACRO_STAGES = ((64, 2), (128, 3), (256, 3))  # filters, layers
_MACRO_STEM = 32
# In the order of the published digits 0, 1, 2.
_MACRO_OPS: dict[str, tuple[int, int]] = {"mbconv3_k3": (3, 3), "mbconv6_k5": (6, 5)}
_IDENTITY = "identity"


def nas_bench_macro(
    *, width: float = 1.0, resolution: int = 32, n_classes: int = 10
) -> SearchSpace:
    """The space of NAS-Bench-Macro: eight layers, each an identity, an MBConv k3 e3 or k5 e6.

    All of its networks were trained on CIFAR-10, so that the best one is known at any latency.
    Tokens are the digits of the published strings. The first layer of a stage halves the image and
    doubles the filters: the identity is a 1x1 convolution with batch norm there. Elsewhere it is
    nothing at all, and two rows of tokens that differ only in where the identities of a stage stand
    are one network: 6,561 rows, 3,969 networks. ``encode`` gives the row with the identities last.

    Parameters and multiply-adds are those published.

    Args:
        width: Multiplier of all filters but the head's (1: as published).
        resolution: Pixels of the square input; the stem does not halve it.
        n_classes: Outputs of the classifier.

    Source: Su et al., CVPR 2021 (arXiv:2103.11922; github.com/xiusu/NAS-Bench-Macro).
    """
    check_width(width)
    stages: list[list[str]] = []
    parts: dict[str, tuple[str, ...]] = {"stem": ()}
    number = 1
    for _, n_layers in _MACRO_STAGES:
        names = [f"layer{place}" for place in range(number, number + n_layers)]
        parts[f"block{number}"] = (names[0],)
        # What stands at a place depends on the identities before it, which go to the stage's end.
        parts |= {f"block{number + place}": tuple(names[1:]) for place in range(1, n_layers)}
        stages.append(names)
        number += n_layers
    parts["head"] = ()
    choices_of_all = (_IDENTITY, *_MACRO_OPS)

    def build(choices: Choices) -> Architecture:
        blocks: list[Block] = []
        filters = _MACRO_STEM
        for (outputs, _), names in zip(_MACRO_STAGES, stages, strict=True):
            first, *others = (str(choices[name]) for name in names)
            blocks.append(_macro_block(first, filters, outputs, stride=2))
            others.sort(key=lambda op: op == _IDENTITY)  # stable: the others keep their order
            blocks += (_macro_block(op, outputs, outputs, stride=1) for op in others)
            filters = outputs
        architecture = Architecture(
            blocks=tuple(blocks), n_classes=n_classes, resolution=resolution, stem_stride=1
        )
        return architecture.scaled(width)

    def read(architecture: Architecture) -> Choices:
        check_blocks(architecture, "NAS-Bench-Macro", sum(n for _, n in _MACRO_STAGES))
        names = [name for stage in stages for name in stage]
        return dict(zip(names, map(_macro_op, architecture.blocks), strict=True))

    return SearchSpace(
        name="nas-bench-macro",
        decisions=tuple(Decision(name, choices_of_all) for stage in stages for name in stage),
        build=build,
        read=read,
        parts=parts,
        title="NAS-Bench-Macro's space: 3,969 different networks, all trained on CIFAR-10",
    )


def _macro_block(op: str, inputs: int, outputs: int, *, stride: int) -> Block:
    if op in _MACRO_OPS:
        expansion, kernel = _MACRO_OPS[op]
        return Block(
            first=Layer(
                kernel=kernel,
                stride=stride,
                expansion=expansion,
                input_filters=inputs,
                output_filters=outputs,
            )
        )
    changes = stride > 1
    layer = Layer(
        conv="project", kernel=1, stride=stride, input_filters=inputs, output_filters=outputs
    )
    return Block(first=layer, n_layers=int(changes))


def _macro_op(block: Block) -> str:
    first = block.first
    if first.conv == "project":
        return _IDENTITY
    known = [op for op, sizes in _MACRO_OPS.items() if sizes == (first.expansion, first.kernel)]
    return known[0] if known else f"{first.conv}{first.expansion}_k{first.kernel}"


def check_width(width: float) -> None:
    """Raise ValueError if a width is not positive."""
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}.")


def check_blocks(architecture: Architecture, space: str, n_blocks: int) -> None:
    """Raise ValueError if an architecture has another number of blocks than a space."""
    blocks: Sequence[Block] = architecture.blocks
    if len(blocks) != n_blocks:
        raise ValueError(
            f"Not a point of {space}'s space: it has {len(blocks)} blocks, not {n_blocks}."
        )
