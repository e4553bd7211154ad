"""The base class of predictors whose features add up over layers."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.compiled.compiled_predictor import CompiledPredictor
from mnaslat.predictors.compiled.feature_function import NumericalFunction
from mnaslat.predictors.compiled.protocol import CompiledFunction
from mnaslat.space import SearchSpace

if TYPE_CHECKING:
    from mnaslat.predictors.compiled.expected_latency import ExpectedLatency


class AdditivePredictor(ABC):
    """A predictor whose latency is a function of features that add up over layers.

    ``predict_ms(graphs)`` must be ``from_features(additive_features(graphs))``, and the features of
    a network the sum of its layers'. Then a whole search space can be predicted from tables, the
    faster the fewer features there are, and its latency can be differentiated.
    """

    @property
    @abstractmethod
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""

    @abstractmethod
    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Return features of layers or of whole networks, shape ``(len(graphs), features)``.

        The time of a prediction grows with the number of features.
        """

    @abstractmethod
    def from_features(self, features: Floats) -> Floats:
        """Predict milliseconds, shape ``(n,)``, from summed features, shape ``(n, features)``.

        Each row's result must not depend on the other rows.
        """

    def linear_form(self) -> tuple[Floats, float] | None:
        """Return slopes of shape ``(features,)`` and an offset in milliseconds, or None.

        If given, ``from_features(features)`` is ``features @ slopes + offset`` for every network:
        predictions are then faster, and expectations exact.
        """
        return None

    def feature_function(self, largest: Floats) -> CompiledFunction:
        """Return ``from_features`` and its derivatives as a function for one space.

        Later fits do not change it. Predictors with derivatives in closed form, or with features
        that a space does not use, override this.

        Args:
            largest: Largest absolute value of each feature in the space, shape ``(features,)``.
        """
        # A copy: fitting sets new attributes.
        return NumericalFunction(copy.copy(self), largest)

    def compile(self, space: SearchSpace) -> CompiledPredictor:
        """Return a fast function from rows of tokens of a space to their latencies.

        It takes whole-number tokens of shape ``(n, decisions)`` and returns milliseconds of shape
        ``(n,)``, equal to ``predict_ms`` of the decoded rows up to rounding. Later fits do not
        change it; compile again after one, which is faster than the first time.

        Raises:
            ValueError: If a part of the space depends on so many decisions that it cannot be
                tabulated, or on decisions that its ``parts`` do not list.
        """
        return CompiledPredictor(self, space)

    def differentiable(self, space: SearchSpace) -> "ExpectedLatency":
        """Return a torch module from probabilities of the choices to expected milliseconds.

        Needs torch. ``ExpectedLatency`` documents the shapes and which predictions are exact.

        Raises:
            ValueError: As ``compile``.
        """
        from mnaslat.predictors.compiled.expected_latency import ExpectedLatency

        return ExpectedLatency(self, space)
