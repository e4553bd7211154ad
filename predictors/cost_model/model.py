"""Predicts the latency of any network from a few whole networks measured on the device."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.base import Network, Prediction, as_graphs, checked_latency_ms, renewed
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.cost_model.active_selection import choose_networks, measured_before
from mnaslat.predictors.cost_model.fit import CostSettings
from mnaslat.predictors.cost_model.fitted import FittedCosts
from mnaslat.predictors.cost_model.latency_function import CostFunction
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.state import CostState, all_operations, digest
from mnaslat.predictors.cost_model.training import before, checked_priors, learn
from mnaslat.predictors.estimator import IntervalEstimator
from mnaslat.predictors.evaluation import Errors, prediction_errors
from mnaslat.predictors.explanation import Explanation
from mnaslat.predictors.measurement_checks import merged

_NOISE = {"cpu": 0.01, "gpu": 0.03}


class CostModel(AdditivePredictor, IntervalEstimator):
    """Learns the costs of operations from whole networks, with models of other devices as priors.

    Needs no sweep of layers. About ninety networks give the least error; ten are enough with models
    of other devices as priors (``suggest_calibration`` chooses them); without priors, five are the
    minimum. Outliers several times too high get little weight.

    A network given twice counts once, with the geometric mean of its latencies; if they differ by
    more than half, ``fit`` raises an error.

    Intervals are wider for networks unlike all measured ones, by the errors on families of networks
    left out of the fit.

    Args:
        priors: Fitted models of other devices, of the same runtime (CPU or GPU) and precision; the
            number of threads and the cores may differ, but similar ones are better priors. With
            forty or more whole networks, priors are dropped if they clearly increase the
            leave-one-out error.
        configuration: Device and settings of the measurements; left out, an unnamed device with the
            precision of the graphs and the runtime of the priors.
        noise: Standard deviation of a measurement's log latency; left out, 0.01 on a CPU and 0.03
            on a GPU.
        misfit: Model discrepancy of networks: standard deviation of the part of log latency that
            the ops do not explain. With 0, here and in the priors, ``compile`` is much faster and
            predictions are slightly worse.
        reach: Length scale of that discrepancy, in square roots of the contributions of terms to
            a latency.
        layer_misfit: Model discrepancy of layers, equal in all networks with the layer; left out,
            chosen by the leave-one-out error.

    Attributes set by ``fit``:
        held_out: Leave-one-out errors.
        networks: The measured networks; empty if the model's file omits them.
        measured_ms: Their latencies, shape ``(n,)``.

    ``fit`` and ``prior`` describe the method, ``op_terms`` the terms.

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
    _fitted: FittedCosts | None = None

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
            ValueError: If none was given and nothing was fitted.
        """
        return self._configuration or self.state.configuration

    @configuration.setter
    def configuration(self, value: Configuration | None) -> None:
        self._configuration = value

    def _argument(self, name: str) -> Any:
        # The argument; the property of this name returns the fitted configuration.
        return self._configuration if name == "configuration" else getattr(self, name)

    @property
    def fitted(self) -> FittedCosts:
        """The predictions of the fit.

        Raises:
            ValueError: If nothing was fitted.
        """
        if self._fitted is None:
            raise ValueError("Fit the cost model first.")
        return self._fitted

    @property
    def state(self) -> CostState:
        """Everything that was fitted.

        Raises:
            ValueError: If nothing was fitted.
        """
        return self.fitted.state

    @property
    def residuals(self) -> Floats:
        """Leave-one-out relative error of each of ``networks``, shape ``(n,)``."""
        if not self.networks:
            return np.zeros(0)
        return np.asarray(np.exp(-self.state.fit.left_out) - 1.0)

    @classmethod
    def from_state(cls, state: CostState) -> "CostModel":
        """Make a fitted model from a state."""
        settings = state.fit.settings
        model = cls(
            tuple(cls.from_state(prior) for prior in state.priors),
            state.configuration,
            noise=settings.noise,
            misfit=settings.misfit,
            reach=settings.reach,
            layer_misfit=settings.layer_misfit,
        )
        model._fitted = FittedCosts(state)
        return model

    def fit(self, graphs: Sequence[Network], latency_ms: Sequence[float] | Floats) -> "CostModel":
        """Fit the model to whole networks, or single layers, measured on the device.

        Args:
            graphs: At least five; at least one with priors.
            latency_ms: Shape ``(n,)``, all positive.

        Raises:
            ValueError: If there are too few, a latency is not positive, one network has two very
                different latencies, all are about a thousand times the priors' predictions, or the
                configuration's delegate runs on neither a CPU nor a GPU.
            ConfigurationMismatch: If graphs or priors are of another precision or runtime.
        """
        measured_ms = checked_latency_ms(latency_ms, len(graphs), "A cost model")
        configuration = self._configuration_for(graphs)
        networks, measured_ms = merged(as_graphs(graphs, configuration.precision), measured_ms)
        state, builder = learn(
            networks,
            measured_ms,
            configuration,
            self._settings(configuration),
            priors=checked_priors(self._states_of_priors(), configuration),
            choose_layer_misfit=self.layer_misfit is None,
        )
        self._fitted = FittedCosts(state, builder)
        self.networks, self.measured_ms = tuple(networks), measured_ms
        self.held_out = prediction_errors(measured_ms * (1.0 + self.residuals), measured_ms)
        self.provenance = MappingProxyType({})
        return self

    def recalibrated(
        self, networks: Sequence[Network], measured_ms: Sequence[float] | Floats
    ) -> "CostModel":
        """Fit a new model to this one's networks and further ones of the same device.

        A network that was measured before counts once, with its new latency. A model whose file
        omits its measurements becomes the prior of the new one.
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
        """Predict latencies in milliseconds, shape ``(n,)``.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the model.
        """
        return self.fitted.latency_ms(self._graphs(graphs))

    def predict_detailed(self, networks: Sequence[Network]) -> list[Prediction]:
        """Predict each latency; none of it comes from measured layers."""
        return [Prediction(float(latency_ms), 0.0) for latency_ms in self.predict(networks)]

    def _interval_ms(self, networks: Sequence[Network], coverage: float) -> tuple[Floats, Floats]:
        # Networks unlike all measured ones get wider bounds, as families left out of the fit did.
        return self.fitted.interval_ms(self._graphs(networks), coverage)

    def explain(self, network: Network, coverage: float = 0.9) -> Explanation:
        """Split a prediction by layer; the milliseconds of the layers add up to it.

        The first layer includes the start of an inference. The part that the ops do not explain is
        distributed in proportion. Layers with operations of no measured network are ``unknown``.

        Raises:
            ValueError: If coverage does not lie between 0 and 1.
        """
        (graph,) = self._graphs([network])
        return self.fitted.explain(graph, coverage, self.met_operations)

    @property
    def met_operations(self) -> frozenset[str]:
        """Operations of all measured networks, including those of the priors."""
        return all_operations([self.state])

    def suggest_calibration(
        self,
        candidates: Sequence[Network],
        n: int,
        *,
        on_chosen: Callable[[int], None] = lambda n_chosen: None,
    ) -> list[int]:
        """Suggest networks to measure next, the most informative one first.

        They reduce the summed variance of all candidates most, given the priors and the fit.
        Networks measured before and duplicates are not suggested.

        Args:
            candidates: Networks like those to be predicted.
            n: Number of suggestions; fewer if there are fewer candidates.
            on_chosen: Called after each choice with the number of networks chosen so far.

        Returns:
            Indices into ``candidates``.

        Raises:
            ValueError: If n is not positive or there are no candidates.
        """
        if n < 1 or len(candidates) == 0:
            raise ValueError(f"Suggest at least 1 of at least 1 network, got n={n}.")
        configuration = self._configuration_for(candidates)
        graphs = as_graphs(candidates, configuration.precision)
        settings = self._settings(configuration)
        if self._fitted is None:
            priors = checked_priors(self._states_of_priors(), configuration)
            posterior, composed = before(graphs, configuration, settings, priors)
            seen: frozenset[str] = frozenset()
        else:
            composed = self._fitted.compose(graphs)
            posterior, seen = self._fitted.posterior, self.state.seen
        excluded = measured_before([digest(graph) for graph in graphs], seen)
        covariance = partial(posterior.covariance, composed)
        return choose_networks(
            covariance, posterior.variance(composed), n, settings.noise, excluded, on_chosen
        )

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Return two sums for this model and for each prior, then the term matrix if needed."""
        return self.fitted.features(graphs)

    def from_features(self, features: Floats) -> Floats:
        """Predict milliseconds, shape ``(n,)``; rows made earlier may have fewer terms."""
        return self.fitted.latency_of_features_ms(features)

    def feature_function(self, largest: Floats) -> CostFunction:
        """Return the function over the terms of a space, with exact derivatives."""
        return self.fitted.function(largest)

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
