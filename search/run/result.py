"""Holds the result of a search and writes its files."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from mnaslat.files import json_value, replace_file
from mnaslat.html_table import html_table
from mnaslat.search.run.artifacts import json_bytes, write_winner
from mnaslat.search.run.candidates import EvaluatedCandidate
from mnaslat.search.run.records import Validation, validation_errors
from mnaslat.search.run.space_options import SpaceOptions
from mnaslat.search.settings import SearchSettings
from mnaslat.search.tokens import tokens_text

RESULT_FORMAT = 2  # of result.json; 1: first published form; 2: a list of winners
RESULT_FILE = "result.json"

# Why it ended: all samples done, time out, stopped by the user, or by an error. Only the first is
# finished.
Ended = Literal["samples", "time", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Winner:
    """The winner at one target: the most accurate network at or under it, else the fastest."""

    target_ms: float
    candidate: EvaluatedCandidate
    meets_target: bool
    name: str  # of its files: NAME.json, NAME.tflite, NAME.pt

    def __repr__(self) -> str:
        """Show the target, and what the network reaches."""
        return (
            f"Winner(target_ms={self.target_ms:.4g}, accuracy={self.candidate.accuracy:.4g}, "
            f"latency_ms={self.candidate.latency_ms:.4g}, meets_target={self.meets_target})"
        )

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "target_ms": self.target_ms,
            "meets_target": self.meets_target,
            "files": [f"{self.name}.{ending}" for ending in ("json", "tflite", "pt")],
            **self.candidate.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The outcome of a run.

    Attributes:
        winners: One at each target, the lowest first; measured ones if the run has a validator.
        front: The Pareto front of all networks by accuracy and latency, fastest first.
        failures: Reasons why evaluations failed, and how many of each.
    """

    settings: SearchSettings
    space_options: SpaceOptions
    ended: Ended
    accuracy: str  # description of the source
    accuracy_noise: float  # of the source; nan: not known
    winners: tuple[Winner, ...]
    front: tuple[EvaluatedCandidate, ...]
    validations: tuple[Validation, ...]
    failures: Mapping[str, int]
    n_samples: int  # evaluations: every proposal counts
    n_networks: int  # different ones among them: so many were really evaluated
    accuracy_s: float  # what the evaluations took, seconds of one worker
    searcher_s: float  # spent on proposing and learning
    seconds: float  # of all rounds, evaluations included
    command: str = ""  # that repeats the search

    @property
    def winner(self) -> EvaluatedCandidate:
        """The winner at the only target, or at the highest."""
        return self.winners[-1].candidate

    @property
    def meets_target(self) -> bool:
        """Whether `winner` keeps its target."""
        return self.winners[-1].meets_target

    @property
    def validation_errors(self) -> tuple[float, float]:
        """Median error of the predictions of validated networks, before and after learning."""
        return validation_errors(self.validations)

    def __repr__(self) -> str:
        """Show the winner and the number of networks."""
        return (
            f"SearchResult(winner accuracy={self.winner.accuracy:.4g}, "
            f"latency_ms={self.winner.latency_ms:.4g}, {len(self.front)} networks on the front of "
            f"{self.n_networks}, ended={self.ended!r})"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                tokens_text(each.tokens),
                each.accuracy,
                each.latency_ms,
                each.predicted_ms,
                each.measured_ms,
            )
            for each in self.front
        ]
        columns = ("network", "accuracy", "ms", "predicted ms", "measured ms")
        caption = f"Pareto front, fastest first; {self.n_networks} networks evaluated"
        return html_table(columns, rows, caption=caption)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "format": RESULT_FORMAT,
            "ended": self.ended,
            "command": self.command,
            "settings": {**asdict(self.settings), **asdict(self.space_options)},
            "seed": self.settings.seed,
            "accuracy": self.accuracy,
            "accuracy_noise": json_value(self.accuracy_noise),
            "winner": self.winner.to_json(),
            "meets_target": self.meets_target,
            "winners": [winner.to_json() for winner in self.winners],
            "front": [candidate.to_json() for candidate in self.front],
            "validations": [
                {**asdict(row), "tokens": tokens_text(row.tokens)} for row in self.validations
            ],
            "n_samples": self.n_samples,
            "n_networks": self.n_networks,
            "n_failed": sum(self.failures.values()),
            "failures": dict(self.failures),
            "accuracy_s": self.accuracy_s,
            "searcher_s": self.searcher_s,
            "seconds": self.seconds,
        }

    def write(self, folder: str | PathLike[str]) -> None:
        """Write the winners' files, then ``result.json``."""
        folder = Path(folder)
        for winner in self.winners:
            write_winner(folder, winner.name, winner.candidate.architecture, self.settings.seed)
        replace_file(folder / RESULT_FILE, json_bytes(self.to_json()))


def winner_name(target_ms: float, n_targets: int) -> str:
    """Return the name of a winner's files."""
    return "winner" if n_targets == 1 else f"winner-{target_ms:.4g}ms"


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has done all its samples and written its result."""
    try:
        content = json.loads((folder / RESULT_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("ended") == "samples"
