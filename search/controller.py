"""The controller: a recurrent network that writes architectures token by token.

"The same RNN controller as NASNet" (Tan et al., CVPR 2019): one LSTM layer over the sequence of
decisions; the token chosen last goes in, a softmax over the next decision's choices comes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ControllerSettings:
    """The shape of the controller."""

    n_units: int = 100  # of the LSTM: the paper's
    n_embedding: int = 32  # numbers that stand for a token; not published, and 100 are no better
    init_range: float = 0.1  # all weights start uniform within +-0.1: the paper's
    # True: every decision has an embedding and a softmax of its own. False: choice number i looks
    # the same whatever is being decided, and one softmax serves all decisions.
    per_position: bool = True

    def __post_init__(self) -> None:
        for name in ("n_units", "n_embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.init_range > 0.0:
            raise ValueError(f"init_range must be positive, got {self.init_range}.")


class Controller(nn.Module):
    """Draws rows of tokens and says how likely it was to draw them.

    Args:
        n_choices: Number of choices of each decision, shape ``(decisions,)``; all >= 1.
        settings: Its shape.
        seed: Of the initial weights.
    """

    _offsets: Tensor
    _impossible: Tensor

    def __init__(
        self,
        n_choices: Sequence[int] | ArrayLike,
        settings: ControllerSettings | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings = settings = settings or ControllerSettings()
        counts = torch.as_tensor(n_choices, dtype=torch.int64)
        if counts.dim() != 1 or len(counts) == 0 or bool((counts < 1).any()):
            raise ValueError(f"n_choices needs whole numbers >= 1, got {counts.tolist()}.")
        self.n_decisions, widest = len(counts), int(counts.max())
        n_heads = self.n_decisions if settings.per_position else 1
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator
            self.lstm = nn.LSTM(settings.n_embedding, settings.n_units, batch_first=True)
            # Row 0 of the embedding is what goes in before the first decision.
            self.embedding = nn.Embedding(1 + n_heads * widest, settings.n_embedding)
        self.head_weight = nn.Parameter(torch.empty(n_heads, settings.n_units, widest))
        self.head_bias = nn.Parameter(torch.empty(n_heads, 1, widest))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-settings.init_range, settings.init_range, generator=generator)
        positions = torch.arange(self.n_decisions) * (1 if settings.per_position else 0)
        self.register_buffer("_offsets", 1 + positions * widest, persistent=False)
        # Choices that a decision with fewer than the widest one does not have.
        impossible = torch.arange(widest) >= counts[:, None]
        self.register_buffer("_impossible", impossible, persistent=False)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows.

        Returns:
            Tokens of shape ``(n, decisions)``, int64, and the log-probability of each row, shape
            ``(n,)``: the old log-probabilities of PPO.
        """
        x = self.embedding.weight[:1].expand(n, -1)
        state = (x.new_zeros(n, self.settings.n_units), x.new_zeros(n, self.settings.n_units))
        weights = self.lstm.all_weights[0]
        tokens, log_probs = [], x.new_zeros(n)
        for position in range(self.n_decisions):
            state = torch.lstm_cell(x, state, *weights)
            head = position if self.settings.per_position else 0
            logits = state[0] @ self.head_weight[head] + self.head_bias[head]
            logits = logits.masked_fill(self._impossible[position], -torch.inf)
            scores = torch.log_softmax(logits, dim=1)
            drawn = torch.multinomial(scores.exp(), 1, generator=generator)
            log_probs = log_probs + scores.gather(1, drawn)[:, 0]
            tokens.append(drawn)
            x = self.embedding(drawn[:, 0] + self._offsets[position])
        return torch.cat(tokens, dim=1), log_probs

    def log_probs_and_entropy(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """How likely each row is, and how undecided the controller is along it.

        The whole sequence is fed at once, the tokens being known (teacher forcing).

        Returns:
            Log-probability of each row, and the sum over the decisions of the entropy of the
            choice (nats); both of shape ``(n,)``.
        """
        given = tokens[:, :-1] + self._offsets[:-1]
        start = given.new_zeros(len(given), 1)
        outputs, _ = self.lstm(self.embedding(torch.cat((start, given), dim=1)))
        # (decisions, n, units) @ (decisions or 1, units, choices)
        logits = outputs.transpose(0, 1) @ self.head_weight + self.head_bias
        logits = logits.masked_fill(self._impossible[:, None], -torch.inf)
        scores = torch.log_softmax(logits, dim=2)
        chosen = scores.gather(2, tokens.t()[:, :, None])[:, :, 0]
        # 0 * -inf is not a number: an impossible choice adds nothing to the entropy.
        terms = scores.exp() * scores.masked_fill(self._impossible[:, None], 0.0)
        return chosen.sum(0), -terms.sum((0, 2))
