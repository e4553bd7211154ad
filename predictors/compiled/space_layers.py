"""Lists the layers of all networks of a space without listing the networks."""

import itertools
import math
import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Ints
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.space import SearchSpace

MAX_FORMS = 2_000_000  # of one part; a hundred thousand take about twelve seconds to list
_N_PROBES = 64


@dataclass(frozen=True)
class PartForms:
    """All forms of one part of a network.

    Attributes:
        name: Name of the part, e.g. ``block3``.
        decisions: Positions of the decisions that the part depends on.
        layers: Indices in ``SpaceLayers.graphs``, shape ``(forms, most layers)``. One row for each
            combination of choices, the last decision running fastest; padded with -1.
    """

    name: str
    decisions: tuple[int, ...]
    layers: NDArray[np.int32]


@dataclass(frozen=True)
class SpaceLayers:
    """All distinct layers of a space as graphs, and the layers of each form of each part."""

    graphs: tuple[Graph, ...]
    parts: tuple[PartForms, ...]


# By the identity of a space, which has no hash. Listing takes a second, and a search lists again
# after every validation.
_LISTED: dict[tuple[int, Precision], tuple[weakref.ref[SearchSpace], SpaceLayers]] = {}


def space_layers(space: SearchSpace, precision: Precision) -> SpaceLayers:
    """List the layers of a space; the result for a space object is cached.

    Raises:
        ValueError: If a part has more than ``MAX_FORMS`` forms, or depends on decisions
            that the space's ``parts`` do not list.
    """
    key = (id(space), precision)
    if key in _LISTED and _LISTED[key][0]() is space:
        return _LISTED[key][1]
    listed = _Lister(space, precision).all_parts()
    _LISTED[key] = (weakref.ref(space, lambda _: _forget(key)), listed)
    return listed


def _forget(key: tuple[int, Precision]) -> None:
    # Another space may have this address by now.
    if key in _LISTED and _LISTED[key][0]() is None:
        del _LISTED[key]


class _Lister:
    def __init__(self, space: SearchSpace, precision: Precision) -> None:
        self._space, self._precision = space, precision
        self._graphs: list[Graph] = []
        self._index: dict[str, int] = {}  # by signature

    def all_parts(self) -> SpaceLayers:
        positions = {decision.name: n for n, decision in enumerate(self._space.decisions)}
        decisions = {}
        for name, depends_on in self._space.parts.items():
            unknown = [each for each in depends_on if each not in positions]
            if unknown:
                raise ValueError(
                    f"Part {name} of space {self._space.name} depends on {unknown[0]}, but the "
                    "space has no such decision."
                )
            decisions[name] = tuple(positions[each] for each in depends_on)
            self._check_number(name, decisions[name])
        parts = [PartForms(name, own, self._forms(name, own)) for name, own in decisions.items()]
        self._probe(parts)
        return SpaceLayers(tuple(self._graphs), tuple(parts))

    def _check_number(self, name: str, decisions: tuple[int, ...]) -> None:
        n_forms = math.prod(self._sizes(decisions))
        if n_forms > MAX_FORMS:
            raise ValueError(
                f"Part {name} of space {self._space.name} depends on {len(decisions)} decisions "
                f"and has {n_forms:,} forms, but at most {MAX_FORMS:,} can be tabulated. Cut it "
                "into parts that depend on fewer decisions."
            )

    def _sizes(self, decisions: tuple[int, ...]) -> list[int]:
        return [int(self._space.n_choices[position]) for position in decisions]

    def _forms(self, name: str, decisions: tuple[int, ...]) -> NDArray[np.int32]:
        row = np.zeros(len(self._space.decisions), dtype=np.int64)
        forms = []
        for tokens in itertools.product(*map(range, self._sizes(decisions))):
            row[list(decisions)] = tokens
            forms.append(self._by_part(row).get(name, ()))
        layers = np.full((len(forms), max(map(len, forms))), -1, dtype=np.int32)
        for number, form in enumerate(forms):
            layers[number, : len(form)] = form
        return layers

    def _by_part(self, row: Ints) -> dict[str, tuple[int, ...]]:
        """Return the indices of one network's layers, by part."""
        graph = lower(self._space.decode(row), self._precision)
        found: dict[str, tuple[int, ...]] = {}
        for number, place in enumerate(graph.places):
            part = place.split(".")[0]
            found[part] = (*found.get(part, ()), self._number(graph, number))
        return found

    def _number(self, graph: Graph, number: int) -> int:
        signature = graph.layer_signatures[number]
        if signature not in self._index:
            self._index[signature] = len(self._graphs)
            self._graphs.append(Graph((graph.layers[number],), graph.precision))
        return self._index[signature]

    def _probe(self, parts: list[PartForms]) -> None:
        """Check the parts on random networks: an undeclared decision would give wrong latencies."""
        space = self._space
        for row in space.sample(_N_PROBES, np.random.default_rng(0)):
            found = self._by_part(row)
            for part in parts:
                decisions = list(part.decisions)
                form = 0
                for position in decisions:
                    form = form * int(space.n_choices[position]) + int(row[position])
                expected = tuple(int(each) for each in part.layers[form] if each >= 0)
                if found.pop(part.name, ()) != expected:
                    names = [space.decisions[position].name for position in decisions]
                    raise ValueError(
                        f"Part {part.name} of space {space.name} depends on more than "
                        f"{', '.join(names) or 'nothing'}, as the network "
                        f"{','.join(map(str, row))} shows. Name all its decisions in the space's "
                        "`parts`."
                    )
            if found:
                raise ValueError(
                    f"Networks of space {space.name} have layers in {', '.join(sorted(found))}, "
                    "which its `parts` do not name."
                )
