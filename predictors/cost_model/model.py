"""Latency of any network from a few whole networks measured on the device."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, overload

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.base import Network, Prediction, as_graphs, checked_latency_ms, renewed
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.cost_model.active_selection import choose_networks, measured_before
from mnaslat.predictors.cost_model.fit import CostSettings
from mnaslat.predictors.cost_model.fitted import LearnedCosts
from mnaslat.predictors.cost_model.latency_function import CostFunction
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.state import CostState, all_operations, digest
from mnaslat.predictors.cost_model.training import before, checked_priors, learn
from mnaslat.predictors.estimator import Estimator
from mnaslat.predictors.evaluation import Errors, prediction_errors
from mnaslat.predictors.explanation import Explanation
from mnaslat.predictors.measurement_checks import merged

_NOISE = {"cpu": 0.01, "gpu": 0.03}


class CostModel(AdditivePredictor, Estimator):
    """Learns what ops cost from whole networks, helped by what is known of other devices.

    No sweep of layers is needed: about ninety networks give the best it can do, ten are enough
    where other devices' models are its priors (``suggest_calibration`` says which ten), and five
    are the least without. Measurements that are several times too high lose their weight.

    A network given twice counts once, with the geometric mean of its latencies; where they differ
    by more than half, nobody can tell which is right, and ``fit`` raises an error.

    Args:
        priors: Fitted models of other devices, of the same runtime (CPU or GPU) and precision; the
            number of threads and the cores may differ, but a prior is best where they are alike.
            From forty whole networks on they are dropped if networks left out are predicted clearly
            worse with them.
        configuration: Whose latency is learned; left out, that of an unnamed device with the
            precision of the graphs and the runtime of the priors.
        noise: Standard deviation of a measurement's log latency; left out, 0.01 on a CPU and 0.03
            on a GPU.
        misfit: Standard deviation of what a network's ops do not explain, of log latency.
            With 0, here and in the priors, ``compile`` is much faster and predictions a little
            worse.
        reach: How unlike networks may be and still share that, in roots of shares of latency.
        layer_misfit: Standard deviation of what a layer's ops do not explain, in all networks that
            have it; left out, chosen by the error on networks left out.

    Attributes set by ``fit``:
        held_out: Errors with each network left out of the fit in turn.
        networks: Those measured; empty where a file left them out.
        measured_ms: Their latencies, shape ``(n,)``.

    The method stands in ``cost_fit`` and ``cost_prior``, the terms in ``cost_features``.

    >>> from mnaslat.graph import Graph
    >>> graphs = [Graph.parse(f"fp32 32x32x16 conv3x3>{8 * n}") for n in range(1, 9)]
    >>> model = CostModel().fit(graphs, [0.1 + 0.3 * n for n in range(1, 9)])
    >>> round(model.predict_ms(Graph.parse("fp32 32x32x16 conv3x3>80")), 1)
    3.1
    """

    held_out: Errors | None = None
    networks: tuple[Graph, ...] = ()
    measured_ms: Floats = np.zeros(0)
    provenance: Mapping[str, Any] = MappingProxyType({})
    _learned: LearnedCosts | None = None

    def __init__(
        self,
        priors: "Sequence[CostModel]" = (),
        configuration: Configuration | None = None,
        *,
        noise: float | None = None,
        misfit: float = 0.05,
        reach: float = 0.15,
        layer_misfit: float | None = None,
    ) -> None:
        self.priors = priors
        self._configuration = configuration
        self.noise = noise
        self.misfit = misfit
        self.reach = reach
        self.layer_misfit = layer_misfit

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted.

        Raises:
            ValueError: If none was given and nothing was fitted yet.
        """
        return self._configuration or self.state.configuration

    @configuration.setter
    def configuration(self, value: Configuration | None) -> None:
        self._configuration = value

    def _argument(self, name: str) -> Any:
        # What was given, where the property says what was learned.
        return self._configuration if name == "configuration" else getattr(self, name)

    @property
    def learned(self) -> LearnedCosts:
        """What the fit says about networks.

        Raises:
            ValueError: If nothing was fitted.
        """
        if self._learned is None:
            raise ValueError("Fit the cost model first.")
        return self._learned

    @property
    def state(self) -> CostState:
        """All that was learned.

        Raises:
            ValueError: If nothing was.
        """
        return self.learned.state

    @property
    def residuals(self) -> Floats:
        """Relative error on each of ``networks``, predicted by a fit without it; shape ``(n,)``."""
        if not self.networks:
            return np.zeros(0)
        return np.asarray(np.exp(-self.state.fit.left_out) - 1.0)

    @classmethod
    def from_state(cls, state: CostState) -> "CostModel":
        """A fitted model that knows what ``state`` says."""
        settings = state.fit.settings
        model = cls(
            tuple(cls.from_state(prior) for prior in state.priors),
            state.configuration,
            noise=settings.noise,
            misfit=settings.misfit,
            reach=settings.reach,
            layer_misfit=settings.layer_misfit,
        )
        model._learned = LearnedCosts(state)
        return model

    def fit(self, graphs: Sequence[Network], latency_ms: Sequence[float] | Floats) -> "CostModel":
        """Learn from whole networks, or single layers, measured on the device.

        Args:
            graphs: At least five; one where there are priors.
            latency_ms: Shape ``(n,)``, all positive.

        Raises:
            ValueError: If there are too few, a latency is not positive, one network has two very
                different latencies, all are about a thousand times what the priors predict, or the
                configuration's delegate is neither a CPU's nor a GPU's.
            ConfigurationMismatch: If graphs or priors are of another precision or runtime.
        """
        measured_ms = checked_latency_ms(latency_ms, len(graphs), "A cost model")
        configuration = self._configuration_for(graphs)
        networks, measured_ms = merged(as_graphs(graphs, configuration.precision), measured_ms)
        state, amounts = learn(
            networks,
            measured_ms,
            configuration,
            self._settings(configuration),
            priors=checked_priors(self._states_of_priors(), configuration),
            choose_layer_misfit=self.layer_misfit is None,
        )
        self._learned = LearnedCosts(state, amounts)
        self.networks, self.measured_ms = tuple(networks), measured_ms
        self.held_out = prediction_errors(measured_ms * (1.0 + self.residuals), measured_ms)
        self.provenance = MappingProxyType({})
        return self

    def recalibrated(
        self, networks: Sequence[Network], measured_ms: Sequence[float] | Floats
    ) -> "CostModel":
        """A new model, fitted to this one's networks and further ones of the same device.

        A network that was measured before counts once, with its new latency. Where a file left this
        model's measurements out, it becomes the prior of the new one.
        """
        graphs = as_graphs(networks, self.configuration.precision)
        arguments = {**self.get_params(), "configuration": self.configuration}
        if not self.networks:
            return CostModel(**{**arguments, "priors": (self,)}).fit(graphs, measured_ms)
        latency_ms = checked_latency_ms(measured_ms, len(graphs), "A cost model")
        fresh, latency_ms = merged(graphs, latency_ms)
        known, latencies_ms = renewed(self.networks, self.measured_ms, fresh, latency_ms)
        return CostModel(**arguments).fit(known, latencies_ms)

    def predict(self, graphs: Sequence[Network]) -> Floats:
        """Latency in milliseconds, shape ``(n,)``.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the model.
        """
        return self.learned.latency_ms(self._graphs(graphs))

    def predict_detailed(self, networks: Sequence[Network]) -> list[Prediction]:
        """Latency of each network; none of it rests on measured layers."""
        return [Prediction(float(latency_ms), 0.0) for latency_ms in self.predict(networks)]

    @overload
    def predict_interval_ms(
        self, networks: Network, coverage: float = 0.9
    ) -> tuple[float, float]: ...
    @overload
    def predict_interval_ms(
        self, networks: Sequence[Network], coverage: float = 0.9
    ) -> tuple[Floats, Floats]: ...
    def predict_interval_ms(
        self, networks: Network | Sequence[Network], coverage: float = 0.9
    ) -> tuple[float, float] | tuple[Floats, Floats]:
        """Bounds that hold the measured latency of ``coverage`` of networks, below and above.

        Floats for one network, arrays of shape ``(n,)`` for a sequence. Networks unlike all that
        were measured get wider bounds, as families left out of the fit needed them.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        if not isinstance(networks, Sequence):
            low_ms, high_ms = self.predict_interval_ms([networks], coverage)
            return float(low_ms[0]), float(high_ms[0])
        return self.learned.interval_ms(self._graphs(networks), coverage)

    def explain(self, network: Network, coverage: float = 0.9) -> Explanation:
        """Milliseconds by layer, which add up to the prediction.

        The first layer also pays for starting an inference. What the ops do not explain is shared
        out in proportion. Layers with operations that were in no measured network are ``unknown``.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        (graph,) = self._graphs([network])
        return self.learned.explain(graph, coverage, self.met_operations)

    @property
    def met_operations(self) -> frozenset[str]:
        """Operations of all networks measured, here or for a prior."""
        return all_operations([self.state])

    def suggest_calibration(self, candidates: Sequence[Network], n: int) -> list[int]:
        """Which networks to measure next, the most telling one first.

        Those that leave the least doubt about all candidates, given the priors and what was fitted
        so far. Networks measured before are not suggested, nor is one that stands there twice.

        Args:
            candidates: Networks like those to be predicted.
            n: How many; fewer are suggested where there are fewer candidates.

        Raises:
            ValueError: If n is not positive or there are no candidates.
        """
        if n < 1 or len(candidates) == 0:
            raise ValueError(f"Suggest at least 1 of at least 1 network, got n={n}.")
        configuration = self._configuration_for(candidates)
        graphs = as_graphs(candidates, configuration.precision)
        settings = self._settings(configuration)
        if self._learned is None:
            priors = checked_priors(self._states_of_priors(), configuration)
            view, composed = before(graphs, configuration, settings, priors)
            seen: frozenset[str] = frozenset()
        else:
            composed = self._learned.compose(graphs)
            view, seen = self._learned.view, self.state.seen
        excluded = measured_before([digest(graph) for graph in graphs], seen)
        covariance = partial(view.covariance, composed)
        return choose_networks(covariance, view.variance(composed), n, settings.noise, excluded)

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Two sums for this model and each prior, and the terms where they are needed too."""
        return self.learned.features(graphs)

    def from_features(self, features: Floats) -> Floats:
        """Latency in milliseconds, shape ``(n,)``; rows made earlier may have fewer terms."""
        return self.learned.latency_of_features_ms(features)

    def feature_function(self, largest: Floats) -> CostFunction:
        """Of the terms that the space has; slopes are exact."""
        return self.learned.function(largest)

    def _graphs(self, networks: Sequence[Network]) -> list[Graph]:
        return as_graphs(networks, self.state.configuration.precision)

    def _settings(self, configuration: Configuration) -> CostSettings:
        noise = _NOISE[runtime_of(configuration)] if self.noise is None else self.noise
        return CostSettings(
            noise=noise,
            misfit=self.misfit,
            reach=self.reach,
            layer_misfit=0.05 if self.layer_misfit is None else self.layer_misfit,
        )

    def _configuration_for(self, networks: Sequence[Network]) -> Configuration:
        if self._configuration is not None:
            return self._configuration
        precisions = [each.precision for each in networks if isinstance(each, Graph)]
        precision = precisions[0] if precisions else "fp32"
        states = self._states_of_priors()
        delegate = states[0].configuration.delegate if states else "xnnpack"
        return Configuration(
            device="unnamed", fingerprint="unnamed", precision=precision, delegate=delegate
        )

    def _states_of_priors(self) -> tuple[CostState, ...]:
        for prior in self.priors:
            if not isinstance(prior, CostModel):
                raise ValueError(
                    f"Priors are fitted cost models, got a {type(prior).__name__}. Load one with "
                    "load_predictor, or leave priors out."
                )
        return tuple(prior.state for prior in self.priors)
