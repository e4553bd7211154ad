"""Defines search spaces: decisions <-> tokens <-> Architecture.

A ``SearchSpace`` is data: a list of named decisions and two functions, one that builds an
architecture from the choices made and one that reads the choices back. Tokens are the indices of
the choices, one per decision, as an integer array.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mnaslat.architecture import Architecture
from mnaslat.arrays import Tokens
from mnaslat.graph import Precision
from mnaslat.lowering import lower

Choice = int | float | str
Choices = Mapping[str, Choice]


@dataclass(frozen=True)
class Decision:
    """One decision of a search: its name and the choices.

    Raises:
        ValueError: If there is no name, or the choices are none or not distinct.

    >>> Decision("kernel", (3, 5))
    Decision(name='kernel', choices=(3, 5))
    """

    name: str
    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"A decision needs a name, got {self.name!r}.")
        if isinstance(self.choices, str):
            raise ValueError(f"Decision {self.name} needs a tuple of choices, got a text.")
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
        width: Multiplier of all filters that ``build`` applies; kept in the records of runs.
    """

    name: str
    decisions: tuple[Decision, ...]
    build: Callable[[Choices], Architecture] = field(repr=False)
    read: Callable[[Architecture], Choices] = field(repr=False)
    parts: Mapping[str, tuple[str, ...]] = field(repr=False)
    title: str = ""
    width: float = 1.0

    def __post_init__(self) -> None:
        if not all(isinstance(decision, Decision) for decision in self.decisions):
            raise ValueError(f"Space {self.name} needs a tuple of Decision(name, choices).")
        names = [decision.name for decision in self.decisions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            raise ValueError(
                f"Space {self.name} needs decisions of different names, got "
                f"{', '.join(twice) + ' twice' if twice else 'none'}."
            )
        if not isinstance(self.parts, Mapping):
            raise ValueError(
                f"Space {self.name} needs parts as a dictionary: of each part the names of the "
                f"decisions that its layers depend on, got a {type(self.parts).__name__}."
            )
        for part, own in self.parts.items():
            unknown = [name for name in own if name not in names]
            if isinstance(own, str) or unknown:
                raise ValueError(
                    f"Space {self.name}: parts[{part!r}] must be a tuple of names of decisions; "
                    f"there is no decision {own if isinstance(own, str) else unknown[0]!r}."
                )

    def __repr__(self) -> str:
        """Show the name and how many decisions there are."""
        return f"SearchSpace({self.name!r}, {len(self.decisions)} decisions, width={self.width:g})"

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
        return self.build(self.choices_of(tokens))

    def choices_of(self, tokens: ArrayLike) -> dict[str, Choice]:
        """Return the choices of one row of tokens, by decision name.

        Raises:
            ValueError: If there are too many or too few tokens or one is out of range.
        """
        row = self.check(tokens)
        return {
            decision.name: decision.choices[token]
            for decision, token in zip(self.decisions, row, strict=True)
        }

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

    def layer_frequencies(self, precision: Precision = "fp32") -> dict[str, float]:
        """Frequency of each distinct layer in a random network, by layer signature.

        Lists every layer that any network of the space contains. Exact, not sampled: the layers of
        a part depend on a few decisions only, and all their combinations are built.
        """
        return dict(self._listed(precision)[0])

    def layer_labels(self, precision: Precision = "fp32") -> dict[str, str]:
        """A short name for people of each distinct layer, by layer signature."""
        return dict(self._listed(precision)[1])

    def part_architectures(self, *parts: str) -> Iterator[tuple[str, list[Architecture]]]:
        """Yield each part, or each one named, with architectures that hold every form of it.

        The decisions that the part depends on run through all combinations; all others stand at
        their first choice.
        """
        first = {decision.name: decision.choices[0] for decision in self.decisions}
        by_name = {decision.name: decision for decision in self.decisions}
        for part in parts or self.parts:
            names = self.parts[part]
            combinations = itertools.product(*(by_name[name].choices for name in names))
            yield (
                part,
                [
                    self.build({**first, **dict(zip(names, chosen, strict=True))})
                    for chosen in combinations
                ],
            )

    @cached_property
    def _listings(self) -> dict[Precision, tuple[dict[str, float], dict[str, str]]]:
        return {}

    def _listed(self, precision: Precision) -> tuple[dict[str, float], dict[str, str]]:
        """Frequency and label of each layer, in one pass over all forms of all parts."""
        if precision not in self._listings:
            expected: dict[str, float] = {}
            labels: dict[str, str] = {}
            for part, architectures in self.part_architectures():
                share = 1.0 / len(architectures)
                for architecture in architectures:
                    graph = lower(architecture, precision)
                    for place, layer, signature in zip(
                        graph.places, graph.layers, graph.layer_signatures, strict=True
                    ):
                        labels[signature] = layer.label
                        if place.split(".")[0] == part:
                            expected[signature] = expected.get(signature, 0.0) + share
            self._listings[precision] = (expected, labels)
        return self._listings[precision]
