"""Networks as layers, each counted, and the terms of those layers."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnaslat.graph import Graph, LoweredLayer, Precision
from mnaslat.predictors.base import Floats
from mnaslat.predictors.cost_features import Runtime, Term, layer_terms

_MAX_LAYERS = 100_000  # remembered; a search space has thousands


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks as sums of layers.

    Attributes:
        counts: How often each network has each layer, shape ``(n, layers)``.
        units: Guessed milliseconds of each layer's terms, shape ``(layers, terms)``.
        keys: Of the layers; layers of equal terms are one.
    """

    counts: Floats
    units: Floats
    keys: tuple[str, ...]

    @property
    def amounts(self) -> Floats:
        """Guessed milliseconds of each network's terms, shape ``(n, terms)``."""
        summed: Floats = self.counts @ self.units
        return summed

    def take(self, rows: NDArray[np.intp] | slice) -> "Networks":
        """Some of the networks."""
        return replace(self, counts=self.counts[rows])


class _Layer(NamedTuple):
    key: str
    columns: NDArray[np.intp]
    values: Floats


class Amounts:
    """Turns graphs into ``Networks``; remembers what it has met.

    Terms are numbered as they are met, so that ``terms`` grows and never changes its order.
    """

    def __init__(self, runtime: Runtime, precision: Precision, terms: Iterable[Term] = ()) -> None:
        self._runtime: Runtime = runtime
        self._precision: Precision = precision
        self._place: dict[Term, int] = {}
        for term in terms:
            self._place.setdefault(term, len(self._place))
        self._layers: dict[str, _Layer] = {}

    @property
    def terms(self) -> tuple[Term, ...]:
        """All met so far."""
        return tuple(self._place)

    @property
    def n_terms(self) -> int:
        """How many there are so far."""
        return len(self._place)

    def compose(self, graphs: Sequence[Graph]) -> Networks:
        """Count the layers of graphs."""
        number: dict[str, int] = {}
        layers: list[_Layer] = []
        places: list[tuple[int, int]] = []
        for row, graph in enumerate(graphs):
            for signature, layer in zip(graph.layer_signatures, graph.layers, strict=True):
                found = self._layers.get(signature) or self._met(signature, layer)
                column = number.setdefault(found.key, len(number))
                if column == len(layers):
                    layers.append(found)
                places.append((row, column))
        counts = np.zeros((len(graphs), len(layers)))
        if places:
            rows, columns = np.array(places).T
            np.add.at(counts, (rows, columns), 1.0)
        units = np.zeros((len(layers), self.n_terms))
        for row, found in enumerate(layers):
            units[row, found.columns] = found.values
        return Networks(counts, units, tuple(number))

    def _met(self, signature: str, layer: LoweredLayer) -> _Layer:
        terms = layer_terms(layer, self._runtime, self._precision)
        place = self._place
        columns = [place.setdefault(term, len(place)) for term in terms]
        text = repr(sorted((tuple(term), ms) for term, ms in terms.items()))
        found = _Layer(
            hashlib.sha256(text.encode()).hexdigest()[:16],
            np.array(columns, dtype=np.intp),
            np.array(list(terms.values()), dtype=np.float64),
        )
        if len(self._layers) >= _MAX_LAYERS:
            self._layers.clear()
        self._layers[signature] = found
        return found
