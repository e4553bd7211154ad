"""A network as data: stem, blocks, head, input size.

The official block strings of MnasNet (``r2_k3_s22_e6_i16_o24_se0.25_noskip``) are read and written,
with suffixes of ours for what search spaces have and the released networks do not: ``_conv`` (a
plain convolution instead of an MBConv), ``_project`` (one without activation) and ``_pool`` (a
pooling skip). ``r0`` is a block that is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

Conv = Literal["mbconv", "conv", "project"]
Skip = Literal["identity", "pool", "none"]
Activation = Literal["relu", "relu6"]

_BLOCK = re.compile(
    r"r(?P<n_layers>\d+)_k(?P<kernel>\d+)_s(?P<stride>\d)(?P<stride_w>\d)_e(?P<expansion>\d+)"
    r"_i(?P<inputs>\d+)_o(?P<outputs>\d+)(?:_se(?P<se>\d+(?:\.\d+)?(?:e-\d+)?))?"
    r"(?P<conv>_conv|_project)?(?P<skip>_noskip|_pool)?"
)
_CONVS: dict[str | None, Conv] = {None: "mbconv", "_conv": "conv", "_project": "project"}
_JSON_VERSION = 1
_COUNTS = (
    "stem_filters",
    "head_filters",
    "n_classes",
    "resolution",
    "input_channels",
    "stem_stride",
)
_STEM_STRIDE = 2  # of ImageNet networks; a file says only what differs


# Listing the layers of a space builds 70,000 of them, and get_args is slow.
_CONV_NAMES = get_args(Conv)
_SKIP_NAMES = get_args(Skip)
_ACTIVATION_NAMES = get_args(Activation)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One repeated unit: a convolution or an MBConv, with its squeeze-and-excitation and skip.

    ``conv="mbconv"`` with ``expansion=1`` is the depthwise-separable convolution. ``conv="conv"``
    is one k x k convolution with batch norm and activation; it has no expansion. ``conv="project"``
    is the same without an activation.

    ``skip`` says what is added to the layer's output where stride is 1 and the channels agree: the
    input (``identity``), its 3x3 average (``pool``) or nothing (``none``). Where they do not agree
    nothing is added, for any ``skip``; the paper leaves the pooling skip open.
    """

    conv: Conv = "mbconv"
    kernel: int = 3
    stride: int = 1
    expansion: int = 1
    input_filters: int
    output_filters: int
    se_ratio: float = 0.0
    skip: Skip = "identity"

    def __post_init__(self) -> None:
        if self.conv not in _CONV_NAMES:
            raise ValueError(f"conv must be one of {_CONV_NAMES}, got {self.conv!r}.")
        if self.skip not in _SKIP_NAMES:
            raise ValueError(f"skip must be one of {_SKIP_NAMES}, got {self.skip!r}.")
        for name in ("kernel", "stride", "expansion", "input_filters", "output_filters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.stride > 9:
            raise ValueError(f"stride must be one digit, as in block strings, got {self.stride}.")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")
        if self.conv != "mbconv" and self.expansion != 1:
            raise ValueError(f"A plain convolution has no expansion, got {self.expansion}.")
        if not 0.0 <= self.se_ratio <= 1.0:
            raise ValueError(f"se_ratio must lie in [0, 1], got {self.se_ratio}.")

    @property
    def has_skip(self) -> bool:
        """Whether something is added to the output."""
        return (
            self.skip != "none" and self.stride == 1 and self.input_filters == self.output_filters
        )

    @property
    def squeeze_filters(self) -> int:
        """Channels between the two SE convolutions: a share of the layer's INPUT filters."""
        return max(1, int(self.input_filters * self.se_ratio)) if self.se_ratio else 0


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stack of ``n_layers`` layers; only the first has the stride and changes the filters.

    A block of no layers hands on its input: it keeps its place where a search space leaves a layer
    out, so that the blocks after it keep their numbers.
    """

    first: Layer
    n_layers: int = 1

    def __post_init__(self) -> None:
        if self.n_layers < 0:
            raise ValueError(f"n_layers must be at least 0, got {self.n_layers}.")
        first = self.first
        if not self.n_layers and (first.stride != 1 or first.input_filters != first.output_filters):
            raise ValueError(
                f"A block of no layers cannot stride or change filters, got stride {first.stride} "
                f"and {first.input_filters} to {first.output_filters} filters."
            )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order, ``n_layers`` of them."""
        if not self.n_layers:
            return ()
        repeated = replace(self.first, stride=1, input_filters=self.first.output_filters)
        return (self.first, *(repeated for _ in range(self.n_layers - 1)))

    @classmethod
    def parse(cls, text: str) -> "Block":
        """Read a block string.

        Raises:
            ValueError: If the text is not a block string this package understands.

        >>> Block.parse("r2_k3_s22_e6_i16_o24").first.output_filters
        24
        """
        match = _BLOCK.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not a block string. Expected e.g. r4_k5_s22_e6_i40_o80_se0.25_noskip."
            )
        if match["stride"] != match["stride_w"]:
            raise ValueError(f"Only square strides are supported, got s in {text!r}.")
        skip: Skip = "identity"
        if match["skip"]:
            skip = "none" if match["skip"] == "_noskip" else "pool"
        first = Layer(
            conv=_CONVS[match["conv"]],
            kernel=int(match["kernel"]),
            stride=int(match["stride"]),
            expansion=int(match["expansion"]),
            input_filters=int(match["inputs"]),
            output_filters=int(match["outputs"]),
            se_ratio=float(match["se"] or 0.0),
            skip=skip,
        )
        return cls(first=first, n_layers=int(match["n_layers"]))

    def __str__(self) -> str:
        first = self.first
        text = (
            f"r{self.n_layers}_k{first.kernel}_s{first.stride}{first.stride}_e{first.expansion}"
            f"_i{first.input_filters}_o{first.output_filters}"
        )
        if first.se_ratio:
            text += f"_se{float(first.se_ratio)!r}"  # the shortest text that reads back exactly
        if first.conv != "mbconv":
            text += f"_{first.conv}"
        return text + {"identity": "", "none": "_noskip", "pool": "_pool"}[first.skip]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A whole network: stem convolution, blocks, head convolution, classifier.

    The stem is a 3x3 convolution of stride 2, or 1 for small images; the head a 1x1 convolution, a
    global average pool and a dense layer. Square inputs of ``resolution`` pixels with
    ``input_channels`` channels.
    """

    blocks: tuple[Block, ...]
    stem_filters: int = 32
    head_filters: int = 1280
    n_classes: int = 1000
    resolution: int = 224
    input_channels: int = 3
    activation: Activation = "relu"
    dropout: float = 0.2
    stem_stride: int = _STEM_STRIDE

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("An architecture needs at least one block.")
        if self.activation not in _ACTIVATION_NAMES:
            raise ValueError(
                f"activation must be one of {_ACTIVATION_NAMES}, got {self.activation!r}."
            )
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}.")
        filters = self.stem_filters
        for number, block in enumerate(self.blocks, start=1):
            if block.first.input_filters != filters:
                raise ValueError(
                    f"Block {number} ({block}) takes {block.first.input_filters} filters, but "
                    f"{filters} come in."
                )
            filters = block.first.output_filters

    @classmethod
    def from_blocks(cls, blocks: tuple[str, ...] | list[str], **settings: Any) -> "Architecture":
        """Build from block strings; ``settings`` are the other fields of this class."""
        parsed = tuple(Block.parse(text) for text in blocks)
        if not parsed:
            raise ValueError("An architecture needs at least one block.")
        settings.setdefault("stem_filters", parsed[0].first.input_filters)
        return cls(blocks=parsed, **settings)

    def scaled(self, width: float) -> "Architecture":
        """The same network with stem and blocks ``width`` times as wide; the head stays.

        Source: ``round_filters`` of the official MnasNet code. ``width=1`` changes nothing (the
        official code skips the rounding where no multiplier is given).
        """
        if width == 1.0:
            return self
        blocks = tuple(
            replace(
                block,
                first=replace(
                    block.first,
                    input_filters=round_filters(block.first.input_filters, width),
                    output_filters=round_filters(block.first.output_filters, width),
                ),
            )
            for block in self.blocks
        )
        return replace(self, stem_filters=round_filters(self.stem_filters, width), blocks=blocks)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that ``from_json`` reads back."""
        settings = {
            "format": _JSON_VERSION,
            "stem_filters": self.stem_filters,
            "blocks": [str(block) for block in self.blocks],
            "head_filters": self.head_filters,
            "n_classes": self.n_classes,
            "resolution": self.resolution,
            "input_channels": self.input_channels,
            "activation": self.activation,
            "dropout": self.dropout,
        }
        if self.stem_stride != _STEM_STRIDE:
            settings["stem_stride"] = self.stem_stride
        return settings

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Architecture":
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: If it is no dictionary, of a newer format, lacks a field or has a wrong one.
        """
        if not isinstance(data, Mapping):
            raise ValueError(
                f"An architecture is read from a dictionary, got {type(data).__name__}. Of a text, "
                "pass json.loads(text); of a file, pass json.loads(path.read_text())."
            )
        settings = dict(data)
        version = settings.pop("format", None)
        if version != _JSON_VERSION:
            raise ValueError(f"Architecture format {version!r} is not known; expected 1.")
        try:
            blocks = [str(block) for block in settings.pop("blocks")]
            architecture = cls.from_blocks(blocks, **settings)
        except (KeyError, TypeError) as error:
            raise ValueError(f"Not an architecture: {error}.") from None
        for name in _COUNTS:
            if not isinstance(getattr(architecture, name), int):
                raise ValueError(f"{name} must be a whole number, got {settings[name]!r}.")
        return architecture


def round_filters(filters: int, width: float, divisor: int = 8) -> int:
    """Scale a filter count, rounded to the divisor but never below 90 % of the exact value.

    >>> round_filters(32, 0.35)
    16
    """
    if width <= 0:
        raise ValueError(f"width must be positive, got {width}.")
    exact = filters * width
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded
