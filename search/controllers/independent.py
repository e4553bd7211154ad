"""A controller without recurrence: every decision has logits of its own."""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from mnaslat.search.controllers.base import Controller


class TableController(Controller):
    """Draws every decision independently of the others.

    Under a range of targets there is a table of logits at each of ``n_knots`` conditions, evenly
    spaced over [0, 1], and the logits in between are interpolated linearly.

    Args:
        n_choices: Number of choices of each decision, shape ``(decisions,)``; all >= 1.
        n_knots: Tables; 1 for one target.
    """

    def __init__(self, n_choices: Sequence[int] | ArrayLike, *, n_knots: int = 1) -> None:
        super().__init__(n_choices)
        if n_knots < 1:
            raise ValueError(f"n_knots must be at least 1, got {n_knots}.")
        # Zeros: all choices of a decision start equally likely.
        self.logits = nn.Parameter(torch.zeros(n_knots, self.n_decisions, self.most_choices))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Draw ``n`` rows of tokens, int64, shape ``(n, decisions)``."""
        probabilities = self._scores(condition).exp().expand(n, -1, -1)
        flat = probabilities.reshape(-1, self.most_choices)
        return torch.multinomial(flat, 1, generator=generator).reshape(n, self.n_decisions)

    def log_probs_and_entropy(
        self, tokens: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities ``(c, n)`` and entropy ``(c,)``."""
        scores = self._scores(condition)
        index = tokens.t().expand(len(scores), -1, -1)  # (c, decisions, n)
        return scores.gather(2, index).sum(1), self._entropy(scores)

    def _scores(self, condition: Tensor | None) -> Tensor:
        """Log-probabilities of all choices, shape ``(c, decisions, choices)``."""
        if condition is None:
            condition = self.logits.new_full((1,), 0.5)
        n_knots = len(self.logits)
        distance = condition[:, None] * (n_knots - 1) - torch.arange(n_knots)
        share = (1.0 - distance.abs()).clamp(min=0.0)  # of each knot, (c, n_knots)
        if n_knots == 1:
            share = torch.ones_like(share)
        logits = torch.einsum("ck,kdv->cdv", share.to(self.logits.dtype), self.logits)
        return self._log_softmax(logits)
