"""Defines the search space of Accel-NASBench."""

from mnaslat.architecture import Architecture, Block, Layer
from mnaslat.space.nas_bench_macro import check_blocks, check_width
from mnaslat.space.search_space import Choice, Choices, Decision, SearchSpace

_ANB_FILTERS = (16, 24, 40, 80, 112, 192, 320)
_ANB_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_ANB_MOST_LAYERS = (3, 3, 3, 3, 3, 4, 3)
_ANB_SE = 0.25


def accel_nasbench(
    *, width: float = 1.0, resolution: int = 224, n_classes: int = 1000
) -> SearchSpace:
    """The space of Accel-NASBench: seven MBConv blocks with fixed filters, four decisions each.

    Filters and strides are MnasNet-like; decided are expansion, kernel, number of layers and
    squeeze-and-excitation. 5,138 of its networks were trained on ImageNet at 224 pixels. Parameters
    are those published; multiply-adds are lower, because there four operations were counted for
    every value that is batch-normalised, and the sums of pooling.

    Args:
        width: Multiplier of all filters but the head's (1: as published).
        resolution: Pixels of the square input.
        n_classes: Outputs of the classifier.

    Source: Ahmad et al., Accel-NASBench (github.com/afzalxo/Accel-NASBench).
    """
    check_width(width)
    decisions: list[Decision] = []
    parts: dict[str, tuple[str, ...]] = {"stem": ()}
    for number, most in enumerate(_ANB_MOST_LAYERS, start=1):
        block = f"block{number}"
        own = (
            Decision(f"{block}.expansion", (1, 4, 6)),
            Decision(f"{block}.kernel", (3, 5)),
            Decision(f"{block}.layers", tuple(range(1, most + 1))),
            Decision(f"{block}.se", (0.0, _ANB_SE)),
        )
        decisions += own
        parts[block] = tuple(decision.name for decision in own)
    parts["head"] = ()

    def build(choices: Choices) -> Architecture:
        blocks = []
        filters = 32
        for number, (outputs, stride) in enumerate(
            zip(_ANB_FILTERS, _ANB_STRIDES, strict=True), start=1
        ):
            block = f"block{number}"
            layer = Layer(
                kernel=int(choices[f"{block}.kernel"]),
                stride=stride,
                expansion=int(choices[f"{block}.expansion"]),
                input_filters=filters,
                output_filters=outputs,
                se_ratio=float(choices[f"{block}.se"]),
            )
            blocks.append(Block(first=layer, n_layers=int(choices[f"{block}.layers"])))
            filters = outputs
        architecture = Architecture(
            blocks=tuple(blocks), n_classes=n_classes, resolution=resolution
        )
        return architecture.scaled(width)

    def read(architecture: Architecture) -> Choices:
        check_blocks(architecture, "Accel-NASBench", len(_ANB_FILTERS))
        choices: dict[str, Choice] = {}
        for number, block in enumerate(architecture.blocks, start=1):
            choices |= {
                f"block{number}.expansion": block.first.expansion,
                f"block{number}.kernel": block.first.kernel,
                f"block{number}.layers": block.n_layers,
                f"block{number}.se": block.first.se_ratio,
            }
        return choices

    return SearchSpace(
        name="accel-nasbench",
        decisions=tuple(decisions),
        build=build,
        read=read,
        parts=parts,
        title="Accel-NASBench's space: 5,138 of its networks were trained on ImageNet",
    )
