"""Implements scikit-learn's estimator interface without importing scikit-learn.

``clone``, ``cross_val_score`` and ``GridSearchCV`` work over lists of graphs: a sample is a graph,
the target its latency in milliseconds.
"""

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.predictors.base import Network, checked_prediction_ms

Own = TypeVar("Own", bound="Estimator")


class Estimator:
    """Base class of predictors: parameters are the arguments of ``__init__``, under their names.

    ``fit`` stores its results in other attributes.
    """

    _estimator_type = "regressor"  # read by scikit-learn before 1.6

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of ``__init__`` by name.

        Args:
            deep: Without effect: tables and predictors given as arguments are values.
        """
        return {name: self._argument(name) for name in self._parameter_names()}

    def set_params(self: Own, **params: Any) -> Own:
        """Set arguments of ``__init__``; they take effect at the next ``fit``.

        Raises:
            ValueError: If there is no such argument.
        """
        known = self._parameter_names()
        for name, value in params.items():
            if name not in known:
                listed = ", ".join(known) or "none"
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {listed}."
                )
            setattr(self, name, value)
        return self

    def fit(self: Own, graphs: Sequence[Any], latency_ms: Any) -> Own:
        """Fit the predictor to graphs and their latencies in milliseconds, and return it."""
        raise NotImplementedError

    def predict(self, graphs: Sequence[Any]) -> Floats:
        """Predict latencies in milliseconds, shape ``(n,)``."""
        raise NotImplementedError

    @overload
    def predict_ms(self, networks: Network) -> float: ...
    @overload
    def predict_ms(self, networks: Sequence[Network]) -> Floats: ...
    def predict_ms(self, networks: Network | Sequence[Network]) -> float | Floats:
        """Predict milliseconds: a float for one network, shape ``(n,)`` for a sequence.

        Raises:
            ConfigurationMismatch: If a graph has another precision than the predictor.
            PredictorFileError: If a prediction is not finite.
        """
        if not isinstance(networks, Sequence):
            return float(checked_prediction_ms(self.predict([networks]))[0])
        return checked_prediction_ms(self.predict(networks))

    def score(self, graphs: Sequence[Any], latency_ms: Sequence[float] | Any) -> float:
        """Compute the coefficient of determination, as scikit-learn's regressors do; 1 is perfect.

        Slow networks have the largest weight. For relative errors use
        ``scoring="neg_mean_absolute_percentage_error"`` or ``mnaslat.predictors.evaluate``.
        """
        measured_ms = np.asarray(latency_ms, dtype=np.float64)
        missed = float(np.square(measured_ms - self.predict(graphs)).sum())
        spread = float(np.square(measured_ms - measured_ms.mean()).sum())
        return 1.0 - missed / spread if spread > 0 else float(missed == 0)

    def _argument(self, name: str) -> Any:
        return getattr(self, name)

    @classmethod
    def _parameter_names(cls) -> tuple[str, ...]:
        if cls.__init__ is object.__init__:
            return ()
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return tuple(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)

    def __sklearn_clone__(self: Own) -> Own:
        # Priors, tables and bases are data: scikit-learn's default would make unfitted copies.
        return type(self)(**self.get_params())

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True, positive_only=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=False),
        )

    def __repr__(self) -> str:
        # Omit defaults, and abbreviate tables and predictors, which are long.
        defaults = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={_short(value)}"
            for name, value in self.get_params().items()
            if value is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


class IntervalEstimator(Estimator):
    """Base class of predictors that also predict intervals."""

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
        """Predict bounds that contain the measured latency of a share of networks.

        The networks must be like those that the predictor was fitted to.

        Args:
            networks: One, or a sequence of ``n``.
            coverage: The share of networks whose measured latency lies within the bounds.

        Returns:
            Bounds below and above in milliseconds: floats for one network, arrays of shape ``(n,)``
            for a sequence. They are 0 and infinite where too few networks were measured for the
            coverage.

        Raises:
            ValueError: If coverage does not lie between 0 and 1, or nothing was fitted.
        """
        if not isinstance(networks, Sequence):
            low_ms, high_ms = self._interval_ms([networks], coverage)
            return float(low_ms[0]), float(high_ms[0])
        return self._interval_ms(networks, coverage)

    def _interval_ms(self, networks: Sequence[Network], coverage: float) -> tuple[Floats, Floats]:
        raise NotImplementedError


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"<{type(value).__name__}>"
