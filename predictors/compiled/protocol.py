"""The interfaces between predictors and the code that compiles them for a search space."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph


class CompiledFunction(Protocol):
    """A predictor's latency as a function of summed features; later fits do not change it."""

    @property
    def columns(self) -> NDArray[np.intp]:
        """Indices of the predictor's features that the function reads, in the order it reads them.

        Shape ``(columns,)``.
        """

    def latency_ms(self, features: Floats) -> Floats:
        """Return latencies in milliseconds, shape ``(n,)``.

        Args:
            features: Summed features at ``columns``, shape ``(n, columns)``.
        """

    def slopes(self, features: Floats) -> Floats:
        """Return the derivative of the latency by each feature, shape ``(n, columns)``."""


class Compilable(Protocol):
    """A predictor whose latency is a function of features that are summed over layers.

    ``AdditivePredictor`` implements it. The compilers know no more of a predictor than this.
    """

    @property
    def configuration(self) -> Configuration:
        """The device and settings whose latency is predicted."""

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Return the features of layers or networks, shape ``(len(graphs), features)``."""

    def from_features(self, features: Floats) -> Floats:
        """Return latencies in milliseconds, shape ``(n,)``, of summed features."""

    def linear_form(self) -> tuple[Floats, float] | None:
        """Return slopes and an offset in milliseconds where the function is linear, else None."""

    def feature_function(self, largest: Floats) -> CompiledFunction:
        """Return the function from features to latency, for one space."""
