"""Builds the term matrix of networks: counts of layers times the terms of each layer."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph, LoweredLayer, Precision
from mnaslat.predictors.cost_model.op_terms import Runtime, Term, layer_terms, runtime_of

_MAX_LAYERS = 100_000  # remembered; a search space has thousands


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks as sums of layers.

    Attributes:
        counts: Number of times each network has each layer, shape ``(n, layers)``.
        units: Estimated milliseconds of each layer's terms, shape ``(layers, terms)``.
        keys: One per layer; layers with equal terms are one layer.
    """

    counts: Floats
    units: Floats
    keys: tuple[str, ...]

    @property
    def term_matrix(self) -> Floats:
        """The design matrix: estimated milliseconds of each term, shape ``(n, terms)``."""
        summed: Floats = self.counts @ self.units
        return summed

    def take(self, rows: NDArray[np.intp] | slice) -> "Networks":
        """Return some of the networks."""
        return replace(self, counts=self.counts[rows])


class _Layer(NamedTuple):
    key: str
    columns: NDArray[np.intp]
    values: Floats


@lru_cache(maxsize=4096)
def _text(term: Term) -> str:
    return repr(tuple(term))


class TermMatrixBuilder:
    """Converts graphs to ``Networks``; caches the terms of layers.

    Terms are numbered in the order of their first use, so ``terms`` only grows at its end.
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
        """All terms used so far."""
        return tuple(self._place)

    @property
    def n_terms(self) -> int:
        """Number of terms used so far."""
        return len(self._place)

    def compose(self, graphs: Sequence[Graph]) -> Networks:
        """Count the layers of graphs and look up their terms."""
        number: dict[str, int] = {}
        layers: list[_Layer] = []
        places: list[int] = []  # of counts: the network's row, then the layer's column
        for row, graph in enumerate(graphs):
            for signature, layer in zip(graph.layer_signatures, graph.layers, strict=True):
                found = self._layers.get(signature) or self._met(signature, layer)
                column = number.setdefault(found.key, len(layers))
                if column == len(layers):
                    layers.append(found)
                places += (row, column)
        rows, columns = np.array(places, dtype=np.intp).reshape(-1, 2).T
        size = len(graphs) * len(layers)
        found_at = np.bincount(rows * len(layers) + columns, minlength=size)
        counts = found_at.reshape(len(graphs), len(layers)).astype(np.float64)
        units = np.zeros((len(layers), self.n_terms))
        if layers:
            sizes = [len(found.columns) for found in layers]
            columns = np.concatenate([found.columns for found in layers])
            values = np.concatenate([found.values for found in layers])
            units[np.repeat(np.arange(len(layers)), sizes), columns] = values
        return Networks(counts, units, tuple(number))

    def _met(self, signature: str, layer: LoweredLayer) -> _Layer:
        terms = layer_terms(layer, self._runtime, self._precision)
        place = self._place
        columns = [place.setdefault(term, len(place)) for term in terms]
        listed = [f"({_text(term)}, {ms!r})" for term, ms in sorted(terms.items())]
        text = f"[{', '.join(listed)}]"  # files hold digests of it
        found = _Layer(
            hashlib.sha256(text.encode()).hexdigest()[:16],
            np.array(columns, dtype=np.intp),
            np.array(list(terms.values()), dtype=np.float64),
        )
        if len(self._layers) >= _MAX_LAYERS:
            self._layers.clear()
        self._layers[signature] = found
        return found


def term_matrix(graphs: Sequence[Graph], configuration: Configuration) -> Floats:
    """Return the initial cost estimates of networks, term by term, shape ``(n, terms)``.

    Args:
        graphs: Networks.
        configuration: Its runtime and precision decide the estimates.
    """
    builder = TermMatrixBuilder(runtime_of(configuration), configuration.precision)
    return builder.compose(graphs).term_matrix
