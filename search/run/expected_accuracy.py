"""What all accuracies of a run together say of each network, where a single one is noisy.

The network with the highest of many noisy accuracies is mostly a lucky one. A model of all of them
(``gaussian_process``) knows its relatives too, and tells luck from merit.
"""

import numpy as np
import torch

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.searchers.gaussian_process import GaussianProcess

_N_LEAST = 20  # with fewer the model knows less than the accuracies themselves
_N_KNOWN = 2000  # at most so many teach the model: its time grows with their cube


def expected_accuracies(tokens: Tokens, accuracies: Floats, n_choices: Tokens) -> Floats:
    """Each network's accuracy without the noise of a single training, as far as can be said.

    Args:
        tokens: Of different networks, the most interesting first: where there are too many, the
            model learns from those. Shape ``(n, decisions)``.
        accuracies: Observed, shape ``(n,)``.
        n_choices: Of each decision, shape ``(decisions,)``.

    Returns:
        Shape ``(n,)``; the accuracies themselves where they are too few to judge.
    """
    if len(tokens) < _N_LEAST:
        return accuracies
    model = GaussianProcess(torch.as_tensor(n_choices))
    rows, observed = torch.as_tensor(tokens), torch.as_tensor(accuracies)
    model.fit_weights(rows, observed, torch.Generator().manual_seed(0))
    model.condition(rows[:_N_KNOWN], observed[:_N_KNOWN])
    return np.asarray(model.predict(rows).numpy())
