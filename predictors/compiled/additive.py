"""Predictors that see a network as a sum over its layers."""

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
        """Features of layers or of whole networks, shape ``(len(graphs), features)``.

        As few as will do: the time of a prediction grows with their number.
        """

    @abstractmethod
    def from_features(self, features: Floats) -> Floats:
        """Latency in milliseconds, shape ``(n,)``, of summed features of shape ``(n, features)``.

        Each row by itself: what it gives must not depend on the others.
        """

    def linear_form(self) -> tuple[Floats, float] | None:
        """Slopes of shape ``(features,)`` and an offset in milliseconds, or None.

        If given, ``from_features(features)`` is ``features @ slopes + offset`` for every network:
        predictions are then faster, and expectations exact.
        """
        return None

    def feature_function(self, largest: Floats) -> CompiledFunction:
        """``from_features`` with its slopes, made for one space.

        Later fits do not change it. A predictor that knows its slopes, or what it can leave out
        where no network has any of a feature, returns a function of its own.

        Args:
            largest: What each feature can be at most in absolute value, shape ``(features,)``.
        """
        # A copy: fitting sets new attributes.
        return NumericalFunction(copy.copy(self), largest)

    def compile(self, space: SearchSpace) -> CompiledPredictor:
        """A function from many rows of tokens of a space to their latencies, and a fast one.

        It takes whole-number tokens of shape ``(n, decisions)`` and returns milliseconds of shape
        ``(n,)``, equal to ``predict_ms`` of the decoded rows but for rounding. What is learnt later
        does not change it: compile again, which takes less time than the first.

        Raises:
            ValueError: If a part of the space depends on so many decisions that it cannot be
                tabulated, or on others than its ``parts`` say.
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
