"""Predicts latencies, intervals and latencies by layer from a fitted state."""

from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.graph import Graph
from mnaslat.predictors.base import check_coverage
from mnaslat.predictors.cost_model.latency_function import CostFunction
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.posterior import CostPosterior
from mnaslat.predictors.cost_model.state import CostState, all_terms
from mnaslat.predictors.cost_model.term_matrix import Networks, TermMatrixBuilder
from mnaslat.predictors.explanation import Explanation, LayerCost
from mnaslat.predictors.known_operations import unmet


class FittedCosts:
    """Predictions from a fitted state. All graphs must have the precision of its configuration.

    Args:
        state: Everything that was fitted.
        builder: Terms and layers counted during the fit; counted again if left out.
    """

    def __init__(self, state: CostState, builder: TermMatrixBuilder | None = None) -> None:
        self.state = state
        self._builder = builder or TermMatrixBuilder(
            runtime_of(state.configuration), state.configuration.precision, all_terms([state])
        )
        self._posterior: tuple[int, CostPosterior] | None = None

    @property
    def posterior(self) -> CostPosterior:
        """The posterior over all terms counted so far; new networks can add terms."""
        terms = self._builder.terms
        if self._posterior is None or self._posterior[0] != len(terms):
            self._posterior = len(terms), CostPosterior(self.state.fit, terms)
        return self._posterior[1]

    def compose(self, graphs: Sequence[Graph]) -> Networks:
        """Count the terms of graphs; call it before `posterior`, since it can add new terms."""
        return self._builder.compose(graphs)

    def latency_ms(self, graphs: Sequence[Graph]) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        composed = self.compose(graphs)
        return self.posterior.latency_ms(composed)

    def interval_ms(self, graphs: Sequence[Graph], coverage: float) -> tuple[Floats, Floats]:
        """Predict lower and upper bounds of the latency in milliseconds, each of shape ``(n,)``.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        composed = self.compose(graphs)
        return self._bounds(self.posterior.latency_ms(composed), composed, coverage)

    def features(self, graphs: Sequence[Graph]) -> Floats:
        """Return two sums for the fit and for each prior, then the term matrix if needed."""
        composed = self.compose(graphs)
        return self.posterior.features(composed)

    def latency_of_features_ms(self, features: Floats) -> Floats:
        """Predict milliseconds, shape ``(n,)``; rows made earlier may have fewer terms."""
        function = self.posterior.whole
        missing = len(function.columns) - features.shape[1]
        return function.latency_ms(
            np.pad(features, [(0, 0), (0, missing)]) if missing else features
        )

    def function(self, largest: Floats) -> CostFunction:
        """Return the latency as a function of features up to ``largest``, shape ``(features,)``."""
        posterior = self.posterior
        return posterior.function(np.asarray(largest[posterior.n_sums :] > 0))

    def explain(self, graph: Graph, coverage: float, met: frozenset[str]) -> Explanation:
        """Split a latency by layer; ``met`` are the known operations, as ``unmet`` takes them.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        check_coverage(coverage)
        total_ms = float(self.latency_ms([graph])[0])
        layers = self.compose(graph.layer_graphs())
        costs_ms = self.posterior.sums(layers)[:, 0]
        each_ms = costs_ms * (total_ms / costs_ms.sum())
        costly = np.flatnonzero(each_ms > 0)  # a reshape alone is free
        low_ms, high_ms = np.zeros(len(each_ms)), np.zeros(len(each_ms))
        bounds = self._bounds(each_ms[costly], layers.take(costly), coverage)
        low_ms[costly], high_ms[costly] = bounds
        unknown = [unmet(layer, met) for layer in graph.layers]
        total_low_ms, total_high_ms = self.interval_ms([graph], coverage)
        return Explanation(
            latency_ms=total_ms,
            low_ms=float(total_low_ms[0]),
            high_ms=float(total_high_ms[0]),
            coverage=coverage,
            layers=tuple(
                LayerCost(
                    place=place,
                    label=layer.label or layer.text_alone,
                    latency_ms=float(each_ms[row]),
                    source="unknown" if unknown[row] else "estimated",
                    low_ms=float(low_ms[row]),
                    high_ms=float(high_ms[row]),
                    unknown=unknown[row],
                )
                for row, (place, layer) in enumerate(zip(graph.places, graph.layers, strict=True))
            ),
        )

    def _bounds(
        self, latency_ms: Floats, networks: Networks, coverage: float
    ) -> tuple[Floats, Floats]:
        check_coverage(coverage)
        deviation = self.posterior.deviation(networks)
        factor = np.exp(self.state.scores.n_deviations(deviation, coverage) * deviation)
        return latency_ms / factor, latency_ms * factor
