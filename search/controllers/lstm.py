"""The paper's controller: a recurrent network that writes an architecture token by token.

"The same RNN controller as NASNet" (Tan et al., CVPR 2019): one LSTM layer over the sequence of
decisions; the token chosen last goes in, a softmax over the next decision's choices comes out.
"""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from mnaslat.search.controllers.base import Controller
from mnaslat.search.controllers.settings import RecurrentSettings


class RecurrentController(Controller):
    """Draws every decision given all before it.

    One embedding and one softmax serve all decisions: choice number i looks the same for
    every decision. A condition moves what goes in before the first decision.

    Args:
        n_choices: Number of choices of each decision, shape ``(decisions,)``; all >= 1.
        settings: Its shape.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        n_choices: Sequence[int] | ArrayLike,
        settings: RecurrentSettings | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(n_choices)
        self.settings = settings = settings or RecurrentSettings()
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator
            self.lstm = nn.LSTM(settings.n_embedding, settings.n_units, batch_first=True)
            # Row 0 is what goes in before the first decision.
            self.embedding = nn.Embedding(1 + self.most_choices, settings.n_embedding)
            self.head = nn.Linear(settings.n_units, self.most_choices)
        self.condition_weight = nn.Parameter(torch.empty(settings.n_embedding))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-settings.init_range, settings.init_range, generator=generator)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Draw ``n`` rows of tokens, int64, shape ``(n, decisions)``."""
        x = self._start(condition).expand(n, -1)
        state = (x.new_zeros(n, self.settings.n_units), x.new_zeros(n, self.settings.n_units))
        weights = self.lstm.all_weights[0]
        tokens = []
        for position in range(self.n_decisions):
            state = torch.lstm_cell(x, state, *weights)
            logits = self.head(state[0]).masked_fill(self._impossible[position], -torch.inf)
            drawn = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)
            tokens.append(drawn)
            x = self.embedding(1 + drawn[:, 0])
        return torch.cat(tokens, dim=1)

    def log_probs_and_entropy(
        self, tokens: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities ``(c, n)``, and the entropy along the rows, their mean: ``(c,)``.

        The whole sequence is fed at once, the tokens being known (teacher forcing).
        """
        start = self._start(condition)
        c, n = len(start), len(tokens)
        first = start[:, None, None].expand(-1, n, -1, -1)
        given = self.embedding(1 + tokens[:, :-1]).expand(c, -1, -1, -1)
        outputs, _ = self.lstm(torch.cat((first, given), dim=2).flatten(0, 1))
        scores = self._log_softmax(self.head(outputs)).reshape(c, n, self.n_decisions, -1)
        chosen = scores.gather(3, tokens.expand(c, -1, -1)[..., None])[..., 0]
        return chosen.sum(2), self._entropy(scores).mean(1)

    def _start(self, condition: Tensor | None) -> Tensor:
        """Return the input before the first decision, shape ``(c, embedding)``."""
        if condition is None:
            return self.embedding.weight[:1]
        moved = (condition[:, None].to(self.condition_weight) - 0.5) * self.condition_weight
        return self.embedding.weight[:1] + moved
