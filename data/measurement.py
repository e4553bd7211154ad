"""Holds measured latencies with their circumstances."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mnaslat.data.circumstances import Circumstances
from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Precision

_MAX_TEXT, _MAX_THREADS = 1000, 10_000


def _shown(value: object) -> str:
    try:
        return repr(value)[:60]
    except ValueError:  # a number of thousands of digits has no decimal text
        return "a huge number"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All that must be equal for two latencies to be compared."""

    device: str  # for people and the command line: "host", or a phone's model and a hash
    fingerprint: str  # model, SoC and build of the device, without anything personal
    precision: Precision = "fp32"
    threads: int = 1
    cores: str = "any"  # core set the runtime is pinned to
    delegate: str = "xnnpack"
    runtime: str = ""  # name and version, and a hash where it is a binary of its own

    def __post_init__(self) -> None:
        for name in ("device", "fingerprint", "cores", "delegate", "runtime"):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > _MAX_TEXT:
                raise ValueError(f"{name} must be a short text, got {_shown(text)}.")
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ValueError(f"precision must be one of {known}, got {_shown(self.precision)}.")
        if type(self.threads) is not int:
            raise ValueError(f"threads must be a whole number, got {_shown(self.threads)}.")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {_shown(self.threads)}.")
        if self.threads > _MAX_THREADS:
            raise ValueError(f"threads must be at most {_MAX_THREADS}, got {_shown(self.threads)}.")

    @property
    def key(self) -> str:
        """Short text that is equal for equal configurations."""
        canonical = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Configuration":
        """Read what ``dataclasses.asdict`` gave.

        Raises:
            ValueError: If it has other fields, or one is of another type, out of range, or could
                do harm on a terminal.
        """
        names = {each.name for each in fields(cls)}
        if not isinstance(data, Mapping) or not {"device", "fingerprint"} <= set(data) <= names:
            raise ValueError(f"a configuration has the fields {', '.join(sorted(names))}")
        found = cls(**data)
        for name in sorted(names):
            if not str(getattr(found, name)).isprintable():
                raise ValueError(f"the {name} of a configuration has characters that do not print")
        return found

    def require(self, other: "Configuration", what: str) -> None:
        """Refuse to continue where ``other`` is a different configuration.

        Raises:
            ConfigurationMismatch: Naming what differs.
        """
        mine, theirs = asdict(self), asdict(other)
        different = [name for name in mine if mine[name] != theirs[name]]
        if different:
            listed = "; ".join(f"{name} {theirs[name]!r}, not {mine[name]!r}" for name in different)
            raise ConfigurationMismatch(
                f"{what} was measured in another configuration: {listed}. Latencies of two "
                "configurations are never mixed: measure again in this one, or choose the other."
            )


def _no_runs() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Timed runs of one round, summed up; all times in milliseconds."""

    n_runs: int
    first_ms: float
    min_ms: float
    max_ms: float
    mean_ms: float
    std_ms: float
    median_ms: float | None = None  # not every tool prints it

    def __post_init__(self) -> None:
        times = (self.first_ms, self.min_ms, self.max_ms, self.mean_ms, self.median_ms or 1.0)
        if self.n_runs < 1 or not all(math.isfinite(each) and each > 0 for each in times):
            raise ValueError("A round needs at least one run, all of them positive.")
        if not (math.isfinite(self.std_ms) and self.std_ms >= 0):
            raise ValueError(f"std_ms must not be negative, got {self.std_ms}.")

    @classmethod
    def of_runs(cls, runs_ms: NDArray[np.float32]) -> "Statistics":
        """Sum up raw runs, shape ``(n,)``.

        Raises:
            ValueError: If there is none, or one is not positive.
        """
        if runs_ms.size == 0 or not np.all(np.isfinite(runs_ms) & (runs_ms > 0)):
            raise ValueError("A round needs at least one run, all of them positive.")
        return cls(
            n_runs=int(runs_ms.size),
            first_ms=float(runs_ms[0]),
            min_ms=float(runs_ms.min()),
            max_ms=float(runs_ms.max()),
            mean_ms=float(runs_ms.mean(dtype=np.float64)),
            std_ms=float(runs_ms.std(dtype=np.float64)),
            median_ms=float(np.median(runs_ms)),
        )


@dataclass(frozen=True, kw_only=True)
class Round:
    """Timed runs of one model in one round."""

    statistics: Statistics
    runs_ms: NDArray[np.float32] = field(default_factory=_no_runs)  # in order; empty: not reported
    warmup_ms: NDArray[np.float32] = field(default_factory=_no_runs)
    init_ms: float = 0.0  # loading the model and preparing its kernels
    circumstances: Circumstances = field(default_factory=lambda: Circumstances())

    @classmethod
    def of_runs(
        cls,
        runs_ms: NDArray[np.float32],
        *,
        warmup_ms: NDArray[np.float32] | None = None,
        init_ms: float = 0.0,
        circumstances: Circumstances | None = None,
    ) -> "Round":
        """A round whose raw runs are known, shape ``(n,)``.

        Raises:
            ValueError: If there is none, or one is not positive.
        """
        return cls(
            statistics=Statistics.of_runs(runs_ms),
            runs_ms=runs_ms,
            warmup_ms=_no_runs() if warmup_ms is None else warmup_ms,
            init_ms=init_ms,
            circumstances=circumstances or Circumstances(),
        )

    @property
    def min_ms(self) -> float:
        """The fastest run: the one that was disturbed least (``docs/decisions.md``)."""
        return self.statistics.min_ms

    @property
    def total_ms(self) -> float:
        """Time spent in timed runs."""
        return self.statistics.n_runs * self.statistics.mean_ms


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """All rounds of one layer or network in one configuration."""

    signature: str
    round_min_ms: tuple[float, ...]
    n_runs: int

    @property
    def n_rounds(self) -> int:
        """Number of rounds."""
        return len(self.round_min_ms)

    @property
    def latency_ms(self) -> float:
        """The minimum over all rounds."""
        return min(self.round_min_ms)

    @property
    def spread(self) -> float:
        """Relative difference between the two fastest rounds; infinite after one round."""
        if self.n_rounds < 2:
            return float("inf")
        fastest, second = sorted(self.round_min_ms)[:2]
        return second / fastest - 1.0


Subject = Literal["layer", "network"]
