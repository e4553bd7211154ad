"""Search spaces: decisions <-> tokens <-> Architecture.

A ``SearchSpace`` is data: a list of named decisions and two functions, one that builds an
architecture from the choices made and one that reads the choices back. Tokens are the indices of
the choices, one per decision, as an integer array.
"""

import importlib.util
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnaslat.architecture import Architecture, Block, Layer, Skip, round_filters
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower

Tokens = NDArray[np.int64]
Choice = int | float | str
Choices = Mapping[str, Choice]


@dataclass(frozen=True)
class Decision:
    """One thing the controller decides: a name and what can be chosen."""

    name: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) != len(self.choices):
            raise ValueError(f"Decision {self.name} needs distinct choices, got {self.choices}.")


@dataclass(frozen=True)
class SearchSpace:
    """A set of architectures, each described by one choice per decision.

    Attributes:
        name: How the space is called on the command line.
        decisions: In the order in which the controller takes them.
        build: Choices by decision name -> architecture.
        read: Architecture -> choices by decision name; raises ``ValueError`` if it is no point.
        parts: For each part of a network (``stem``, ``block1``, ..., ``head``: a layer's place
            up to the dot) the names of the decisions that its layers depend on. This is what makes
            it possible to list all layers of a space without listing its networks.
        title: One line for people.
    """

    name: str
    decisions: tuple[Decision, ...]
    build: Callable[[Choices], Architecture] = field(repr=False)
    read: Callable[[Architecture], Choices] = field(repr=False)
    parts: Mapping[str, tuple[str, ...]] = field(repr=False)
    title: str = ""

    @property
    def size(self) -> int:
        """Number of token rows."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    @cached_property
    def n_choices(self) -> Tokens:
        """Number of choices of each decision, shape ``(decisions,)``."""
        return np.array([len(decision.choices) for decision in self.decisions], dtype=np.int64)

    def decode(self, tokens: ArrayLike) -> Architecture:
        """The architecture of one row of tokens.

        Raises:
            ValueError: If there are too many or too few tokens or one is out of range.
        """
        return self.build(self._choices(self.check(tokens)))

    def encode(self, architecture: Architecture) -> Tokens:
        """The tokens of an architecture.

        Raises:
            ValueError: If the architecture is not a point of this space.
        """
        choices = self.read(architecture)
        tokens = []
        for decision in self.decisions:
            chosen = choices[decision.name]
            if chosen not in decision.choices:
                raise ValueError(
                    f"Not a point of space {self.name}: {decision.name} is {chosen}, but only "
                    f"{', '.join(map(str, decision.choices))} can be chosen."
                )
            tokens.append(decision.choices.index(chosen))
        row = np.array(tokens, dtype=np.int64)
        if self.decode(row) != architecture:
            raise ValueError(
                f"Not a point of space {self.name}: stem, head, strides, resolution or classes "
                "differ from what the space builds."
            )
        return row

    def check(self, tokens: ArrayLike) -> Tokens:
        """One row of tokens as an array.

        Raises:
            ValueError: If there are too many or too few tokens or one is out of range.
        """
        row = np.asarray(tokens)
        if row.shape != (len(self.decisions),) or not np.issubdtype(row.dtype, np.integer):
            raise ValueError(
                f"Space {self.name} needs {len(self.decisions)} whole-number tokens, got "
                f"shape {row.shape} of {row.dtype}."
            )
        wrong = np.flatnonzero((row < 0) | (row >= self.n_choices))
        if wrong.size:
            index = int(wrong[0])
            raise ValueError(
                f"Token {index} ({self.decisions[index].name}) is {row[index]}, but must lie in "
                f"0..{self.n_choices[index] - 1}."
            )
        return np.asarray(row, dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> Tokens:
        """``n`` rows drawn uniformly, shape ``(n, decisions)``."""
        return rng.integers(0, self.n_choices, size=(n, len(self.decisions)))

    def mutate(self, tokens: ArrayLike, rng: np.random.Generator, n_changes: int = 1) -> Tokens:
        """A copy of one row with ``n_changes`` decisions changed to another choice."""
        row: Tokens = self.check(tokens).copy()
        open_ = np.flatnonzero(self.n_choices > 1)
        for index in rng.choice(open_, size=min(n_changes, len(open_)), replace=False):
            n_choices = self.n_choices[index]
            row[index] = (row[index] + rng.integers(1, n_choices)) % n_choices
        return row

    def layer_frequencies(self, precision: Precision = "fp32") -> dict[str, float]:
        """How often each distinct layer occurs in a random network, by layer signature.

        Lists every layer that any network of the space contains. Exact, not sampled: the layers of
        a part depend on a few decisions only, and all their combinations are built.
        """
        expected: dict[str, float] = {}
        for part, row_graphs in self._part_graphs(precision):
            n_rows = len(row_graphs)
            for graph in row_graphs:
                for place, signature in zip(graph.places, graph.layer_signatures, strict=True):
                    if place.split(".")[0] == part:
                        expected[signature] = expected.get(signature, 0.0) + 1.0 / n_rows
        return expected

    def layer_labels(self, precision: Precision = "fp32") -> dict[str, str]:
        """A short name for people of each distinct layer, by layer signature."""
        return {
            signature: layer.label
            for _, graphs in self._part_graphs(precision)
            for graph in graphs
            for layer, signature in zip(graph.layers, graph.layer_signatures, strict=True)
        }

    def part_architectures(self) -> Iterator[tuple[str, list[Architecture]]]:
        """For each part, architectures that between them hold every form the part can take.

        The decisions that the part depends on run through all combinations; all others stand at
        their first choice.
        """
        first = {decision.name: decision.choices[0] for decision in self.decisions}
        by_name = {decision.name: decision for decision in self.decisions}
        for part, names in self.parts.items():
            combinations = itertools.product(*(by_name[name].choices for name in names))
            yield (
                part,
                [
                    self.build({**first, **dict(zip(names, chosen, strict=True))})
                    for chosen in combinations
                ],
            )

    def _part_graphs(self, precision: Precision) -> Iterator[tuple[str, list[Graph]]]:
        for part, architectures in self.part_architectures():
            yield part, [lower(architecture, precision) for architecture in architectures]

    def _choices(self, row: Tokens) -> Choices:
        return {
            decision.name: decision.choices[token]
            for decision, token in zip(self.decisions, row, strict=True)
        }


# --- MnasNet ---------------------------------------------------------------------------------

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


def _published(name: str) -> Callable[..., SearchSpace]:
    """A preset of ``mnaslat.published_spaces``, which imports this module."""

    def load(**settings: Any) -> SearchSpace:
        module = importlib.import_module("mnaslat.published_spaces")
        space = getattr(module, name)(**settings)
        assert isinstance(space, SearchSpace)
        return space

    return load


_PRESETS: dict[str, Callable[..., SearchSpace]] = {
    "accel-nasbench": _published("accel_nasbench"),
    "mnasnet": mnasnet,
    "mnasnet-paper": lambda **settings: mnasnet(paper=True, **settings),
    "nas-bench-macro": _published("nas_bench_macro"),
}


def space_names() -> tuple[str, ...]:
    """The names of the presets."""
    return tuple(sorted(_PRESETS))


def load_space(
    name: str,
    *,
    width: float = 1.0,
    resolution: int | None = None,
    n_classes: int | None = None,
) -> SearchSpace:
    """A preset by name, or a space from a Python file of the user as ``FILE.py:FUNCTION``.

    The function is called with ``width``, ``resolution`` and ``n_classes`` and returns a
    ``SearchSpace``. The file is run: name only files you trust.

    Args:
        name: Of the space.
        width: Multiplier of all filters but the head's.
        resolution: Pixels of the square input; if left out, those that the preset was published
            with (224, ``nas-bench-macro`` 32), or 224.
        n_classes: Outputs of the classifier; if left out, as published (1000, ``nas-bench-macro``
            10), or 1000.

    Raises:
        ValueError: If there is no such preset, file or function.
    """
    if name in _PRESETS:
        given = {"resolution": resolution, "n_classes": n_classes}
        return _PRESETS[name](
            width=width, **{key: value for key, value in given.items() if value is not None}
        )
    path, _, function = name.rpartition(":")
    if not path.endswith(".py"):
        raise ValueError(
            f"No space named {name!r}. Known: {', '.join(space_names())}; or FILE.py:FUNCTION."
        )
    spec = importlib.util.spec_from_file_location("mnaslat_user_space", Path(path))
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise ValueError(f"No Python file {path}: cannot load a space from it.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is executed
    with _errors_of(f"Cannot run {path}"):
        spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        raise ValueError(f"{path} has no function {function!r}.")
    with _errors_of(f"Calling {name} with width, resolution and n_classes failed"):
        space = getattr(module, function)(
            width=width,
            resolution=224 if resolution is None else resolution,
            n_classes=1000 if n_classes is None else n_classes,
        )
    if not isinstance(space, SearchSpace):
        raise ValueError(f"{function} in {path} returned {type(space).__name__}, no SearchSpace.")
    return replace(space, name=name)


@contextmanager
def _errors_of(what: str) -> Iterator[None]:
    """Turn whatever a user's file raises into a ``ValueError`` that names the file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what}: {type(error).__name__}: {error}") from error
