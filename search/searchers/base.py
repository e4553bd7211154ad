"""The interface of a searcher: proposes the next networks from all evaluations so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.errors import SearchError


@dataclass(frozen=True, kw_only=True)
class Observations:
    """All evaluations so far, in order, as arrays; a searcher only reads them.

    Latencies and rewards are by the present predictor: they change when it is re-calibrated.

    Attributes:
        n_choices: Of each decision, shape ``(decisions,)``.
        tokens: Shape ``(n, decisions)``.
        accuracy: Shape ``(n,)``; nan where the evaluation failed: learn nothing from it.
        latency_ms: Shape ``(n,)``.
        target_ms: Each episode's own target, shape ``(n,)``.
        reward: Shape ``(n,)``; nan where the evaluation failed.
        target_range_ms: The lowest and the highest target; equal where there is one.
        latency_of: Rows of tokens -> their latencies, shape ``(n,)``; free where compiled.
        reward_of: (accuracy, latency_ms, target_ms) -> rewards, shapes ``(n,)``.
        next_target_ms: n -> targets of the next n episodes: those that ``propose`` proposes for.
        networks_of: Rows of tokens -> their networks: equal ones are evaluated once.
        n_total: Evaluations that the run is to have in the end.
    """

    n_choices: Tokens
    tokens: Tokens
    accuracy: Floats
    latency_ms: Floats
    target_ms: Floats
    reward: Floats
    target_range_ms: tuple[float, float]
    latency_of: Callable[[Tokens], Floats]
    reward_of: Callable[[Floats, Floats, Floats], Floats]
    next_target_ms: Callable[[int], Floats]
    networks_of: Callable[[Tokens], list[Architecture]]
    n_total: int

    def __len__(self) -> int:
        return len(self.tokens)


class Searcher(Protocol):
    """Proposes networks and learns from their rewards.

    With its state restored and the same ``Observations`` it continues as if never interrupted.
    """

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Propose rows to evaluate next, shape ``(1 <= m <= n, decisions)``.

        A network that was proposed before counts as an evaluation too, though it is not evaluated
        again.
        """

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Learn from the rows from ``first`` on: all of the last proposal.

        Returns:
            Figures for the run's log.
        """

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values for the checkpoint, between two rounds."""

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Restore ``state``; ``observations`` are those of then.

        Raises:
            SearchError: If it cannot.
            KeyError, TypeError, ValueError, RuntimeError: If the state is of something else.
        """


def checked_proposal(proposed: Tokens, n: int) -> Tokens:
    """Check a proposal of at most ``n`` rows.

    Raises:
        SearchError: If it is not between one row and so many.
    """
    if proposed.ndim != 2 or not 1 <= len(proposed) <= n:
        raise SearchError(
            f"The searcher was asked for at most {n} rows of tokens and at least one, and gave an "
            f"array of shape {proposed.shape}."
        )
    return proposed
