"""Estimates each network's accuracy from all accuracies of a run, where they are noisy.

The highest of many noisy accuracies is biased upward; a model over all of them
(``gaussian_process``) corrects for it.
"""

import numpy as np
import torch

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.searchers.gaussian_process import GaussianProcess

_N_LEAST = 20  # with fewer the model is worse than the accuracies themselves
_N_KNOWN = 2000  # at most so many teach the model: its time grows with their cube


def expected_accuracies(tokens: Tokens, accuracies: Floats, n_choices: Tokens) -> Floats:
    """Estimate each network's accuracy without the noise of a single training.

    Args:
        tokens: Of different networks, the most interesting first: where there are too many, the
            model learns from those. Shape ``(n, decisions)``.
        accuracies: Observed, shape ``(n,)``.
        n_choices: Of each decision, shape ``(decisions,)``.

    Returns:
        Shape ``(n,)``; the accuracies themselves where they are too few for a model.
    """
    if len(tokens) < _N_LEAST:
        return accuracies
    model = GaussianProcess(torch.as_tensor(n_choices))
    rows, observed = torch.as_tensor(tokens), torch.as_tensor(accuracies)
    model.fit_weights(rows, observed, torch.Generator().manual_seed(0))
    model.condition(rows[:_N_KNOWN], observed[:_N_KNOWN])
    return np.asarray(model.predict(rows).numpy())
