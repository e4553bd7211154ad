"""How wrong predictions are."""

from dataclasses import dataclass

import numpy as np

from mnaslat.predictors.base import Floats


@dataclass(frozen=True)
class Errors:
    """Predicted against measured latencies of networks that the predictor had not seen."""

    n: int
    mape: float  # mean absolute error relative to the measured latency, a fraction
    within_5: float  # fraction of networks predicted within 5 %
    within_10: float
    spearman: float  # rank correlation; NaN for fewer than three networks
    bias: float  # mean signed relative error; above 0 predicts too slow


def prediction_errors(predicted_ms: Floats, measured_ms: Floats) -> Errors:
    """Summarise predictions.

    Args:
        predicted_ms: Shape ``(n,)``.
        measured_ms: Shape ``(n,)``, all positive.

    Raises:
        ValueError: If the shapes differ, are empty, or a measurement is not positive.

    >>> prediction_errors(np.array([1.0, 2.2]), np.array([1.0, 2.0])).mape
    0.05
    """
    if predicted_ms.shape != measured_ms.shape or predicted_ms.size == 0:
        raise ValueError(f"Shapes must agree, got {predicted_ms.shape} and {measured_ms.shape}.")
    if not (np.isfinite(measured_ms) & (measured_ms > 0)).all():
        raise ValueError("Measured latencies must be positive.")
    relative = np.round(predicted_ms / measured_ms - 1.0, 12)  # 1.05 is within 5 % of 1
    return Errors(
        n=int(relative.size),
        mape=round(float(np.abs(relative).mean()), 12),
        within_5=float((np.abs(relative) <= 0.05).mean()),
        within_10=float((np.abs(relative) <= 0.10).mean()),
        spearman=_spearman(predicted_ms, measured_ms),
        bias=float(relative.mean()),
    )


def _spearman(first: Floats, second: Floats) -> float:
    from scipy.stats import spearmanr

    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)
