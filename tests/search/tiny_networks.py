"""Networks and images so small that one is trained in a second."""

from collections.abc import Sequence

from mnaslat.architecture import Architecture, Block, Layer
from mnaslat.search.accuracy.source import Candidate
from mnaslat.space import Choices, Decision, SearchSpace

RESOLUTION = 8


def tiny_network(kernel: int = 3, expansion: int = 3, filters: int = 16) -> Architecture:
    """One MBConv layer."""
    layer = Layer(kernel=kernel, expansion=expansion, input_filters=8, output_filters=filters)
    return Architecture(
        blocks=(Block(first=layer),),
        stem_filters=8,
        head_filters=32,
        resolution=RESOLUTION,
        n_classes=10,
        dropout=0.1,
    )


def without_tokens(networks: Sequence[Architecture]) -> list[Candidate]:
    """Candidates for a source that does not look at tokens."""
    return [Candidate((), network) for network in networks]


def tiny_space() -> SearchSpace:
    """Two blocks, 36 networks."""

    def build(choices: Choices) -> Architecture:
        filters = int(choices["block1.filters"])
        return Architecture(
            stem_filters=8,
            head_filters=32,
            resolution=RESOLUTION,
            n_classes=10,
            blocks=(
                Block(
                    first=Layer(
                        kernel=int(choices["block1.kernel"]),
                        expansion=int(choices["block1.expansion"]),
                        input_filters=8,
                        output_filters=filters,
                    ),
                ),
                Block(
                    first=Layer(
                        conv=choices["block2.conv"],  # type: ignore[arg-type]
                        input_filters=filters,
                        output_filters=16,
                        se_ratio=0.25,
                    ),
                    n_layers=int(choices["block2.layers"]),
                ),
            ),
        )

    def read(architecture: Architecture) -> Choices:
        first, second = architecture.blocks
        return {
            "block1.kernel": first.first.kernel,
            "block1.expansion": first.first.expansion,
            "block1.filters": first.first.output_filters,
            "block2.conv": second.first.conv,
            "block2.layers": second.n_layers,
        }

    return SearchSpace(
        name="tiny",
        decisions=(
            Decision("block1.kernel", (3, 5)),
            Decision("block1.expansion", (1, 3, 6)),
            Decision("block1.filters", (8, 16)),
            Decision("block2.conv", ("conv", "mbconv")),
            Decision("block2.layers", (1, 2)),
        ),
        build=build,
        read=read,
        parts={
            "stem": (),
            "block1": ("block1.kernel", "block1.expansion", "block1.filters"),
            "block2": ("block1.filters", "block2.conv", "block2.layers"),
            "head": (),
        },
    )
