"""Defines the search space of MnasNet, as published and as released."""

import math

from mnaslat.architecture import Architecture, Block, Layer, Skip, round_filters
from mnaslat.space.search_space import Choice, Choices, Decision, SearchSpace

# Relative to MobileNetV2, as in the paper: filters, layers and stride of the seven blocks.
_BASE_FILTERS = (16, 24, 32, 64, 96, 160, 320)
_BASE_LAYERS = (1, 2, 3, 4, 3, 3, 1)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_OPS: dict[str, tuple[str, int]] = {
    "conv": ("conv", 1),
    "sepconv": ("mbconv", 1),
    "mbconv3": ("mbconv", 3),
    "mbconv6": ("mbconv", 6),
}
_SKIPS: tuple[Skip, ...] = ("pool", "identity", "none")
# The released A1 has 112 filters in block 5 and B1 192 in block 6; the paper's text allows neither.
_RELEASED_FILTERS = {5: 112, 6: 192}


def mnasnet(
    *, width: float = 1.0, resolution: int = 224, n_classes: int = 1000, paper: bool = False
) -> SearchSpace:
    """The factorised hierarchical space of the paper: seven blocks, six decisions each.

    Args:
        width: Multiplier of all filters but the head's (a setting, not a decision).
        resolution: Pixels of the square input.
        n_classes: Outputs of the classifier.
        paper: The space to the letter, 432^7 networks. Otherwise blocks 5 and 6 have one more
            filter choice each, so that MnasNet-A1 and B1 are points of the space.

    Source: Tan et al., CVPR 2019, section 4.1; what the paper leaves open is decided in
    ``docs/decisions.md``.
    """
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}.")
    decisions: list[Decision] = []
    parts: dict[str, tuple[str, ...]] = {"stem": ()}
    for number, (filters, layers) in enumerate(
        zip(_BASE_FILTERS, _BASE_LAYERS, strict=True), start=1
    ):
        options = {round_choice(filters, factor) for factor in (0.75, 1.0, 1.25)}
        if not paper and number in _RELEASED_FILTERS:
            options.add(_RELEASED_FILTERS[number])
        block = f"block{number}"
        own = (
            Decision(f"{block}.op", tuple(_OPS)),
            Decision(f"{block}.kernel", (3, 5)),
            Decision(f"{block}.se", (0.0, 0.25)),
            Decision(f"{block}.skip", _SKIPS),
            Decision(f"{block}.filters", tuple(sorted(options))),
            # -1, 0, +1 around the base; a block of one layer cannot lose it, so it goes up to 3.
            Decision(f"{block}.layers", tuple(max(layers, 2) + step for step in (-1, 0, 1))),
        )
        decisions += own
        before = (f"block{number - 1}.filters",) if number > 1 else ()
        parts[block] = (*(decision.name for decision in own), *before)
    parts["head"] = ("block7.filters",)

    def build(choices: Choices) -> Architecture:
        blocks = []
        filters = 32
        for number, stride in enumerate(_STRIDES, start=1):
            block = f"block{number}"
            conv, expansion = _OPS[str(choices[f"{block}.op"])]
            layer = Layer(
                conv=conv,  # type: ignore[arg-type]  # the values of _OPS
                kernel=int(choices[f"{block}.kernel"]),
                stride=stride,
                expansion=expansion,
                input_filters=filters,
                output_filters=int(choices[f"{block}.filters"]),
                se_ratio=float(choices[f"{block}.se"]),
                skip=choices[f"{block}.skip"],  # type: ignore[arg-type]  # one of _SKIPS
            )
            blocks.append(Block(first=layer, n_layers=int(choices[f"{block}.layers"])))
            filters = layer.output_filters
        return Architecture(
            blocks=tuple(blocks), n_classes=n_classes, resolution=resolution
        ).scaled(width)

    filter_choices = {
        decision.name: decision.choices
        for decision in decisions
        if decision.name.endswith(".filters")
    }

    def read(architecture: Architecture) -> Choices:
        if len(architecture.blocks) != len(_STRIDES):
            raise ValueError(
                f"Not a point of the MnasNet space: it has {len(architecture.blocks)} blocks, not "
                f"{len(_STRIDES)}."
            )
        choices: dict[str, Choice] = {}
        for number, block in enumerate(architecture.blocks, start=1):
            name, first = f"block{number}", block.first
            op = [key for key, value in _OPS.items() if value == (first.conv, first.expansion)]
            # Small widths round several choices to the same filters: the first one stands for all.
            unscaled = [
                base
                for base in filter_choices[f"{name}.filters"]
                if _scaled(int(base), width) == first.output_filters
            ]
            choices |= {
                f"{name}.op": op[0] if op else f"expansion {first.expansion}",
                f"{name}.kernel": first.kernel,
                f"{name}.se": first.se_ratio,
                f"{name}.skip": first.skip,
                f"{name}.filters": unscaled[0] if unscaled else first.output_filters,
                f"{name}.layers": block.n_layers,
            }
        return choices

    return SearchSpace(
        name="mnasnet-paper" if paper else "mnasnet",
        decisions=tuple(decisions),
        build=build,
        read=read,
        parts=parts,
        title="MnasNet's space to the letter of the paper: 432^7 networks"
        if paper
        else "MnasNet's space with the filter choices of the released A1 and B1",
    )


def round_choice(filters: int, factor: float) -> int:
    """A filter choice: the nearest multiple of 8, a tie going away from ``filters``.

    With ties away from the base the three choices of every block are distinct (12 would otherwise
    round to 16, the base itself).

    >>> [round_choice(16, factor) for factor in (0.75, 1.0, 1.25)]
    [8, 16, 24]
    """
    eighths = filters * factor / 8
    nearest = math.ceil(eighths - 0.5) if factor < 1 else math.floor(eighths + 0.5)
    return max(8, 8 * nearest)


def _scaled(filters: int, width: float) -> int:
    return filters if width == 1.0 else round_filters(filters, width)
