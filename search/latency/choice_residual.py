"""Corrects the predictor's remaining error, per choice, from networks measured during the run.

Re-calibration mostly multiplies all predictions by one factor. A common factor cannot correct an
error of one op kind, and a search exploits such errors. So the remaining errors of the measured
networks are attributed to their choices::

    log(measured / predicted) = sum_i w[a_i] + noise

a_i being the i-th choice of network a, and the weights w normal around 0, alike and independent:
networks unlike all that were measured keep their prediction. How large weights and noise are is
chosen from a grid by the likelihood (Bishop, Pattern Recognition and Machine Learning, 2006,
section 3.5); where the errors have nothing to do with the choices, the weights are mostly 0.
"""

import numpy as np

from mnaslat.arrays import Floats, Ints, Tokens

# Standard deviations of the sum of a network's weights, and of the noise. Whole networks
# repeat within one or two per cent: a smaller noise would attribute chance to choices.
_SPREADS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32)
_NOISES = (0.01, 0.02, 0.04, 0.08)


class ChoiceResidual:
    """A correction factor for every network of a space, from networks measured.

    Args:
        n_choices: Of each decision, shape ``(decisions,)``.
        tokens: Of networks measured, shape ``(n, decisions)``.
        predicted_ms: By the predictor, shape ``(n,)``.
        measured_ms: Shape ``(n,)``.
    """

    def __init__(
        self,
        n_choices: Ints,
        tokens: Tokens,
        predicted_ms: Floats,
        measured_ms: Floats,
    ) -> None:
        self._offsets = np.cumsum(n_choices) - n_choices
        self._weights = np.zeros(int(np.sum(n_choices)))
        errors = np.log(measured_ms / predicted_ms)
        alike = (tokens[:, None, :] == tokens[None, :, :]).mean(axis=2)
        best = -np.inf
        for spread in _SPREADS:
            for noise in _NOISES:
                covariance = spread**2 * alike + noise**2 * np.eye(len(errors))
                solved = np.linalg.solve(covariance, errors)
                likelihood = -0.5 * (errors @ solved + np.linalg.slogdet(covariance)[1])
                if likelihood > best:
                    best, shares = float(likelihood), spread**2 * solved / tokens.shape[1]
        for row, share in zip(tokens, shares, strict=True):
            self._weights[self._offsets + row] += share

    def factor(self, tokens: Tokens) -> Floats:
        """Compute the expected ratio of measured to predicted latency, shape ``(len(tokens),)``."""
        return np.asarray(np.exp(self._weights[self._offsets + tokens].sum(axis=1)))
