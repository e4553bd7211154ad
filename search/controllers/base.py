"""Defines the interface of a controller: a policy that draws rows of tokens."""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


class Controller(nn.Module):
    """A distribution over rows of tokens, for one target latency or for a range of them.

    Under a range the same controller serves all targets: its *condition* is where a target lies in
    the range, from 0 (the lowest) to 1 (the highest), evenly in the logarithm. Without a condition
    it is that of the middle.

    Args:
        n_choices: Number of choices of each decision, shape ``(decisions,)``; all >= 1.
    """

    _impossible: Tensor

    def __init__(self, n_choices: Sequence[int] | ArrayLike) -> None:
        super().__init__()
        counts = torch.as_tensor(n_choices, dtype=torch.int64)
        if counts.dim() != 1 or len(counts) == 0 or bool((counts < 1).any()):
            raise ValueError(f"n_choices needs whole numbers >= 1, got {counts.tolist()}.")
        self.n_decisions, self.most_choices = len(counts), int(counts.max())
        self.max_entropy = float(counts.double().log().sum())  # nats, of drawing evenly
        # Choices that a decision with fewer than the widest one does not have.
        impossible = torch.arange(self.most_choices) >= counts[:, None]
        self.register_buffer("_impossible", impossible, persistent=False)

    def sample(self, n: int, generator: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Draw ``n`` rows, each under its own condition of shape ``(n,)`` where they are given.

        Returns:
            Tokens of shape ``(n, decisions)``, int64.
        """
        raise NotImplementedError

    def log_probs_and_entropy(
        self, tokens: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the log-probability of every row under every condition, and the entropy.

        What was drawn for one target is an example for all others: rows and conditions are crossed.

        Args:
            tokens: Shape ``(n, decisions)``.
            condition: Shape ``(c,)``; left out, one.

        Returns:
            Log-probabilities of shape ``(c, n)``, and the entropy of an architecture's choices in
            nats, shape ``(c,)``.
        """
        raise NotImplementedError

    def _log_softmax(self, logits: Tensor) -> Tensor:
        """Normalise logits of shape ``(..., decisions, choices)``; impossible choices get -inf."""
        return torch.log_softmax(logits.masked_fill(self._impossible, -torch.inf), dim=-1)

    def _entropy(self, scores: Tensor) -> Tensor:
        """Summed over the decisions: shape ``(...,)`` of ``(..., decisions, choices)``."""
        # 0 * -inf is not a number: an impossible choice adds nothing to the entropy.
        return -(scores.exp() * scores.masked_fill(self._impossible, 0.0)).sum((-2, -1))
