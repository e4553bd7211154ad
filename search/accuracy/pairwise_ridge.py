"""A ridge on choices and pairs of choices: what a decision is worth, and two decisions together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats, Tokens


@dataclass(frozen=True, eq=False)
class PairRidge:
    """``intercept + sum of single[choice] + sum of pair[choice, other choice]``.

    Choices are numbered through all decisions: those of the first come first.

    Attributes:
        n_choices: Of each decision, shape ``(decisions,)``.
        single: Worth of each choice, shape ``(choices,)``.
        pair: Worth of two choices together, shape ``(choices, choices)``, above the diagonal.
        intercept: What is added to all.
    """

    n_choices: Tokens
    single: Floats
    pair: Floats
    intercept: float

    @classmethod
    def fit(
        cls, tokens: Tokens, targets: Floats, n_choices: Tokens, *, strength: float = 1.0
    ) -> "PairRidge":
        """Least squares, with ``strength`` times the squares of all worths added.

        Args:
            tokens: Shape ``(n, decisions)``.
            targets: Shape ``(n,)``.
            n_choices: Of each decision, shape ``(decisions,)``.
            strength: Of the regularisation.
        """
        from sklearn.linear_model import Ridge

        chosen = one_hot(tokens, n_choices)
        first, second = _pairs(n_choices)
        features = np.hstack([chosen, chosen[:, first] * chosen[:, second]])
        model = Ridge(alpha=strength).fit(features, targets)
        n = chosen.shape[1]
        pair = np.zeros((n, n))
        pair[first, second] = model.coef_[n:]
        return cls(n_choices, model.coef_[:n].copy(), pair, float(model.intercept_))

    def predict(self, tokens: Tokens) -> Floats:
        """Shape ``(n,)`` for tokens of shape ``(n, decisions)``."""
        chosen = one_hot(tokens, self.n_choices)
        together = np.einsum("ij,ij->i", chosen @ self.pair, chosen)
        return np.asarray(self.intercept + chosen @ self.single + together)


def n_pair_features(n_choices: Tokens) -> int:
    """Number of worths that a ``PairRidge`` learns."""
    total = int(n_choices.sum())
    return total + (total * total - int((n_choices * n_choices).sum())) // 2


def one_hot(tokens: Tokens, n_choices: Tokens) -> Floats:
    """Zeros and a one for each choice made, shape ``(n, sum of n_choices)``.

    >>> one_hot(np.array([[1, 0]]), np.array([2, 3]))
    array([[0., 1., 1., 0., 0.]])
    """
    starts = np.concatenate([[0], np.cumsum(n_choices)[:-1]])
    chosen = np.zeros((len(tokens), int(n_choices.sum())))
    np.put_along_axis(chosen, np.asarray(tokens) + starts, 1.0, axis=1)
    return chosen


def _pairs(n_choices: Tokens) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of choices of two different decisions."""
    decision = np.repeat(np.arange(len(n_choices)), n_choices)
    first, second = np.triu_indices(len(decision), 1)
    apart = decision[first] != decision[second]
    return first[apart], second[apart]
