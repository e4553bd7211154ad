"""Computes the reward of MnasNet: accuracy traded against latency."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mnaslat.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """Settings of the reward ``accuracy * (latency / target) ** w``.

    With ``alpha == beta`` (the soft reward) the target multiplies every reward by the same factor,
    and so does not influence the search. Someone who says "at most 75 ms" means
    ``RewardSettings.hard(75)``.
    """

    target_ms: float
    alpha: float = 0.0  # w at or below the target; 0: being faster than asked is worth nothing
    beta: float = -1.0  # w above the target; -1: twice as slow scores half

    def __post_init__(self) -> None:
        if not 0.0 < self.target_ms < float("inf"):
            raise ValueError(f"target_ms must be positive and finite, got {self.target_ms}.")
        for name in ("alpha", "beta"):
            if not -float("inf") < getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be 0 or negative, got {getattr(self, name)}.")

    @classmethod
    def hard(cls, target_ms: float) -> "RewardSettings":
        """Accuracy alone up to the target, falling in proportion to the latency above it."""
        return cls(target_ms=target_ms, alpha=0.0, beta=-1.0)

    @classmethod
    def soft(cls, target_ms: float) -> "RewardSettings":
        """Twice as slow loses about 5 % of the accuracy, anywhere; the target has no influence."""
        return cls(target_ms=target_ms, alpha=-0.07, beta=-0.07)

    @property
    def steers_to_target(self) -> bool:
        """Whether the target decides which network is best; False if it only rescales."""
        return self.alpha != self.beta


def mnasnet_reward(
    accuracy: ArrayLike,
    latency_ms: ArrayLike,
    settings: RewardSettings,
    target_ms: ArrayLike | None = None,
) -> Floats:
    """Score networks by accuracy, traded against latency; higher is better.

    Args:
        accuracy: Fractions in [0, 1], shape ``(n,)``.
        latency_ms: Predicted or measured latency in milliseconds, all > 0, shape ``(n,)``.
        settings: Target and exponents.
        target_ms: Targets in place of the settings', one or shape ``(n,)``, all > 0.

    Returns:
        Scores of shape ``(n,)``; at the target the score is the accuracy itself.

    Raises:
        ValueError: If the shapes differ, an accuracy lies outside [0, 1] or a latency is not
            positive and finite.

    Source: Tan et al., MnasNet, CVPR 2019 (arXiv:1807.11626), equations 2 and 3.

    >>> mnasnet_reward([0.75, 0.75], [75.0, 150.0], RewardSettings.hard(75.0))
    array([0.75 , 0.375])
    """
    accuracy = np.asarray(accuracy, dtype=np.float64)
    latency_ms = np.asarray(latency_ms, dtype=np.float64)
    if accuracy.shape != latency_ms.shape:
        raise ValueError(
            f"accuracy and latency_ms need one shape, got {accuracy.shape} and {latency_ms.shape}."
        )
    _check("accuracy must lie in [0, 1]", accuracy, (accuracy >= 0.0) & (accuracy <= 1.0))
    good = (latency_ms > 0.0) & np.isfinite(latency_ms)
    _check("latency_ms must be positive and finite", latency_ms, good)
    target = np.asarray(settings.target_ms if target_ms is None else target_ms, dtype=np.float64)
    exponent = np.where(latency_ms <= target, settings.alpha, settings.beta)
    return np.asarray(accuracy * (latency_ms / target) ** exponent)


def _check(rule: str, values: Floats, good: NDArray[np.bool_]) -> None:
    if not good.all():
        index = int(np.argmin(good))
        raise ValueError(f"{rule}, got {values.flat[index]} at index {index}.")
