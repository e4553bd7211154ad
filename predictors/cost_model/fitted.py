"""What a fitted cost model says about networks: latencies, bounds, and where the time goes."""

from collections.abc import Sequence

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.graph import Graph
from mnaslat.predictors.base import check_coverage
from mnaslat.predictors.cost_model.latency_function import CostFunction
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.posterior import CostView
from mnaslat.predictors.cost_model.state import CostState, all_terms
from mnaslat.predictors.cost_model.term_matrix import Amounts, Networks
from mnaslat.predictors.explanation import Explanation, LayerCost
from mnaslat.predictors.known_operations import unmet


class LearnedCosts:
    """A state, at work. All graphs have the precision of its configuration.

    Args:
        state: All that was learned.
        amounts: Terms and layers met while learning it; left out, they are met again.
    """

    def __init__(self, state: CostState, amounts: Amounts | None = None) -> None:
        self.state = state
        self._amounts = amounts or Amounts(
            runtime_of(state.configuration), state.configuration.precision, all_terms([state])
        )
        self._view: tuple[int, CostView] | None = None

    @property
    def view(self) -> CostView:
        """The fit over all terms met so far; new ones are met now and then."""
        terms = self._amounts.terms
        if self._view is None or self._view[0] != len(terms):
            self._view = len(terms), CostView(self.state.fit, terms)
        return self._view[1]

    def compose(self, graphs: Sequence[Graph]) -> Networks:
        """Graphs as the view takes them; this may meet new terms, so ask for the view after it."""
        return self._amounts.compose(graphs)

    def latency_ms(self, graphs: Sequence[Graph]) -> Floats:
        """Latency in milliseconds, shape ``(n,)``."""
        composed = self.compose(graphs)
        return self.view.latency_ms(composed)

    def interval_ms(self, graphs: Sequence[Graph], coverage: float) -> tuple[Floats, Floats]:
        """Bounds of the latency, each of shape ``(n,)``.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        composed = self.compose(graphs)
        return self._bounds(self.view.latency_ms(composed), composed, coverage)

    def features(self, graphs: Sequence[Graph]) -> Floats:
        """Two sums for the fit and each prior, and the terms where they are needed too."""
        composed = self.compose(graphs)
        return self.view.features(composed)

    def latency_of_features_ms(self, features: Floats) -> Floats:
        """Latency in milliseconds, shape ``(n,)``; rows made earlier may have fewer terms."""
        function = self.view.whole
        missing = len(function.columns) - features.shape[1]
        return function.latency_ms(
            np.pad(features, [(0, 0), (0, missing)]) if missing else features
        )

    def function(self, largest: Floats) -> CostFunction:
        """Of features that are at most so large; shape ``(features,)``."""
        view = self.view
        return view.function(np.asarray(largest[view.n_sums :] > 0))

    def explain(self, graph: Graph, coverage: float, met: frozenset[str]) -> Explanation:
        """Milliseconds by layer, which add up to the latency; ``met`` as ``unmet`` takes it.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        check_coverage(coverage)
        total_ms = float(self.latency_ms([graph])[0])
        layers = self.compose(graph.layer_graphs())
        costs_ms = self.view.sums(layers)[:, 0]
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
        deviation = self.view.deviation(networks)
        factor = np.exp(self.state.scores.n_deviations(deviation, coverage) * deviation)
        return latency_ms / factor, latency_ms * factor
