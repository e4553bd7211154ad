"""What a search found, and the files that say so."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.search.pareto import pareto_front
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import Evaluation, Validation
from mnaslat.tflite import write_tflite

RESULT_FORMAT = 1  # of result.json; 1: first published form


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network of the run with what is known about it."""

    tokens: str
    architecture: Architecture
    accuracy: float
    reward: float
    predicted_ms: float  # without knowing the measurement, where there is one
    measured_ms: float | None = None

    @property
    def latency_ms(self) -> float:
        """Measured if it was, else predicted."""
        return self.predicted_ms if self.measured_ms is None else self.measured_ms

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "tokens": self.tokens,
            "blocks": [str(block) for block in self.architecture.blocks],
            "accuracy": self.accuracy,
            "reward": self.reward,
            "predicted_ms": self.predicted_ms,
            "measured_ms": self.measured_ms,
        }


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The outcome of a run.

    Attributes:
        winner: The most accurate network at or under the target, and a measured one if the run has
            a validator. If no network keeps the target: the fastest.
        meets_target: Whether the winner's latency is at or under the target.
        front: The Pareto front of all networks by accuracy and latency, fastest first.
    """

    settings: SearchSettings
    accuracy: str  # description of the source
    winner: Candidate
    meets_target: bool
    front: tuple[Candidate, ...]
    validations: tuple[Validation, ...]
    n_samples: int
    n_networks: int  # different ones among the samples: so many were evaluated
    controller_s: float  # spent on sampling and on updates of the controller
    seconds: float  # of all updates, evaluations included

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "format": RESULT_FORMAT,
            "settings": asdict(self.settings),
            "seed": self.settings.seed,
            "accuracy": self.accuracy,
            "winner": self.winner.to_json(),
            "meets_target": self.meets_target,
            "front": [candidate.to_json() for candidate in self.front],
            "validations": [asdict(row) for row in self.validations],
            "n_samples": self.n_samples,
            "n_networks": self.n_networks,
            "controller_s": self.controller_s,
            "seconds": self.seconds,
        }

    def write(self, folder: Path) -> None:
        """Write ``result.json``, ``winner.json`` (the architecture) and ``winner.tflite``.

        The ``.tflite`` file has random weights: it is for measuring, the network is not trained.
        """
        _replace(folder / "winner.tflite", write_tflite(lower(self.winner.architecture)))
        _replace(folder / "winner.json", _json_bytes(self.winner.architecture.to_json()))
        _replace(folder / "result.json", _json_bytes(self.to_json()))


def candidates_of(
    evaluations: Sequence[Evaluation],
    validations: Sequence[Validation],
    architecture: Callable[[str], Architecture],
) -> list[Candidate]:
    """Every network of a run once, with the measurements that are known."""
    measured = {row.tokens: row for row in validations}
    newest = {row.tokens: row for row in evaluations}
    return [
        Candidate(
            tokens=tokens,
            architecture=architecture(tokens),
            accuracy=row.accuracy,
            reward=row.reward,
            predicted_ms=measured[tokens].predicted_ms if tokens in measured else row.predicted_ms,
            measured_ms=measured[tokens].measured_ms if tokens in measured else None,
        )
        for tokens, row in newest.items()
    ]


def choose_winner(
    candidates: Sequence[Candidate], target_ms: float, *, measured_only: bool
) -> Candidate:
    """The most accurate candidate at or under the target, else the fastest.

    Of equally accurate ones the faster. With ``measured_only`` a network that was not measured is
    chosen only if none was.
    """
    measured = [candidate for candidate in candidates if candidate.measured_ms is not None]
    pool = measured if measured_only and measured else list(candidates)
    within = [candidate for candidate in pool if candidate.latency_ms <= target_ms]
    if within:
        return max(within, key=lambda candidate: (candidate.accuracy, -candidate.latency_ms))
    return min(pool, key=lambda candidate: (candidate.latency_ms, -candidate.accuracy))


def front_of(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The Pareto front, fastest first."""
    indices = pareto_front(
        [candidate.accuracy for candidate in candidates],
        [candidate.latency_ms for candidate in candidates],
    )
    return tuple(candidates[index] for index in indices)


def _json_bytes(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
