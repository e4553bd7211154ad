"""A small search problem for tests and trials: every figure is arithmetic, no training, no device.

"Latencies" are multiply-adds in a unit of their own. The accuracy source and the validator can keep
a log of what they were asked, a line per network, that survives a killed process.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.search.accuracy import ChildResult
from mnaslat.search.problem import Predictor, SearchProblem
from mnaslat.space import SearchSpace, load_space

Floats = NDArray[np.float64]
RESOLUTION = 32


def small_space() -> SearchSpace:
    """The MnasNet space on small images."""
    return load_space("mnasnet", resolution=RESOLUTION, n_classes=10)


def has_conv(architecture: Architecture) -> bool:
    """Whether a plain convolution is in the network: the op that `SkewedPredictor` is wrong on."""
    return any(block.first.conv == "conv" for block in architecture.blocks)


def madds_ms(architecture: Architecture) -> float:
    """What stands in for the true latency: millions of multiply-adds."""
    return lower(architecture).madds / 1e6


class MaddsPredictor:
    """Predicts `madds_ms`, times a factor that is fitted to what it is shown."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def predict_ms(self, architectures: Sequence[Architecture]) -> Floats:
        """`madds_ms` times the factor, where it applies."""
        return self.factor * np.array([madds_ms(each) for each in architectures])

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats
    ) -> "MaddsPredictor":
        """With the factor that fits these best."""
        exact_ms = np.array([madds_ms(each) for each in architectures])
        return MaddsPredictor(float(np.median(measured_ms / exact_ms)))


class SkewedPredictor:
    """30 % too optimistic about networks with plain convolutions, until it is shown one."""

    def __init__(self, factor: float = 0.7) -> None:
        self.factor = factor

    def predict_ms(self, architectures: Sequence[Architecture]) -> Floats:
        """`madds_ms` times the factor, where it applies."""
        return np.array(
            [madds_ms(each) * (self.factor if has_conv(each) else 1.0) for each in architectures]
        )

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats
    ) -> "SkewedPredictor":
        """With the factor that fits those of these that have a plain convolution."""
        ratios = [
            measured / madds_ms(each)
            for each, measured in zip(architectures, measured_ms, strict=True)
            if has_conv(each)
        ]
        return SkewedPredictor(float(np.mean(ratios))) if ratios else self


class LoggingValidator:
    """Answers with `madds_ms`, and keeps a line per network in a file."""

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self.n_networks = 0

    def measure(self, architectures: Sequence[Architecture]) -> Floats:
        """`madds_ms` of each."""
        self.n_networks += len(architectures)
        if self.log is not None:
            _append(self.log, [str(hash_of(each)) for each in architectures])
        return np.array([madds_ms(each) for each in architectures])


class LoggingAccuracy:
    """A smooth function of the choices; keeps a line per network in a file.

    Args:
        log: The file.
        pause_s: Slept before each answer.
        fails: Says why a network fails; empty where it does not.
    """

    description = "a smooth function of the choices"
    noise = 0.0

    def __init__(
        self,
        log: Path | None = None,
        pause_s: float = 0.0,
        fails: Callable[[Architecture], str] = lambda architecture: "",
    ) -> None:
        self.log, self.pause_s, self.fails = log, pause_s, fails
        self.n_networks = 0

    def evaluate(
        self, architectures: Sequence[Architecture], /
    ) -> Iterator[tuple[int, ChildResult]]:
        """`smooth_accuracy` of each, the last one first."""
        for index, architecture in reversed(list(enumerate(architectures))):
            self.n_networks += 1
            if self.log is not None:
                _append(self.log, [hash_of(architecture)])
            if self.pause_s:
                time.sleep(self.pause_s)
            failure = self.fails(architecture)
            accuracy = None if failure else smooth_accuracy(architecture)
            yield index, ChildResult(accuracy=accuracy, cost_s=self.pause_s, failure=failure)


def smooth_accuracy(architecture: Architecture) -> float:
    """Larger kernels, SE and more multiply-adds help, with diminishing returns."""
    kernels = np.mean([block.first.kernel for block in architecture.blocks])
    se = np.mean([block.first.se_ratio > 0 for block in architecture.blocks])
    size = np.log10(madds_ms(architecture) + 1.0)
    return float(0.3 + 0.02 * kernels + 0.05 * se + 0.1 * size)


def hash_of(architecture: Architecture) -> str:
    """The same text for the same network in every process."""
    return " ".join(str(block) for block in architecture.blocks)


def small_problem(
    predictor: Predictor | None = None,
    *,
    accuracy: LoggingAccuracy | None = None,
    validator: LoggingValidator | None = None,
) -> SearchProblem:
    """The small space with these parts."""
    return SearchProblem(
        space=small_space(),
        accuracy=accuracy or LoggingAccuracy(),
        predictor=predictor or MaddsPredictor(),
        validator=validator,
    )


def _append(path: Path, lines: Sequence[str]) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
