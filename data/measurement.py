"""What was measured, with its circumstances."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnaslat.errors import ConfigurationMismatch
from mnaslat.graph import Precision


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All that must be equal for two latencies to be compared."""

    device: str  # for people and the command line: "host" or a phone's serial
    fingerprint: str  # model, SoC and build of the device, without anything personal
    precision: Precision = "fp32"
    threads: int = 1
    cores: str = "any"  # core set the runtime is pinned to
    delegate: str = "xnnpack"
    runtime: str = ""  # name and version, and a hash where it is a binary of its own

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}.")

    @property
    def key(self) -> str:
        """Short text that is equal for equal configurations."""
        canonical = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Configuration":
        """Read what ``dataclasses.asdict`` gave."""
        return cls(**data)

    def require(self, other: "Configuration", what: str) -> None:
        """Refuse to go on where ``other`` is a different configuration.

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


@dataclass(frozen=True, kw_only=True)
class Round:
    """Timed runs of one model in one sitting."""

    runs_ms: NDArray[np.float32]  # every timed run, in order
    warmup_ms: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    init_ms: float = 0.0  # loading the model and preparing its kernels
    circumstances: Mapping[str, str] = field(default_factory=dict)  # time, load, clock, heat, ...

    def __post_init__(self) -> None:
        if self.runs_ms.size == 0 or not np.all(np.isfinite(self.runs_ms) & (self.runs_ms > 0)):
            raise ValueError("A round needs at least one run, all of them positive.")

    @property
    def min_ms(self) -> float:
        """The fastest run: what is left when nothing disturbs (``docs/decisions.md``)."""
        return float(self.runs_ms.min())

    @property
    def median_ms(self) -> float:
        """The median run."""
        return float(np.median(self.runs_ms))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """All rounds of one layer or network in one configuration."""

    signature: str
    round_min_ms: tuple[float, ...]
    round_median_ms: tuple[float, ...]
    n_runs: int

    @property
    def n_rounds(self) -> int:
        """How many rounds there are."""
        return len(self.round_min_ms)

    @property
    def latency_ms(self) -> float:
        """The minimum over all rounds."""
        return min(self.round_min_ms)

    @property
    def spread(self) -> float:
        """How far the two fastest rounds disagree, as a fraction; infinite after one round."""
        if self.n_rounds < 2:
            return float("inf")
        fastest, second = sorted(self.round_min_ms)[:2]
        return second / fastest - 1.0
