"""Finds the networks that no other beats in both accuracy and latency."""

import numpy as np
from numpy.typing import ArrayLike

from mnaslat.arrays import Ints


def pareto_front(accuracy: ArrayLike, latency_ms: ArrayLike) -> Ints:
    """Find the indices of the Pareto front, from the fastest network to the slowest.

    A network is left out if another one is at least as accurate and at least as fast, and better
    in one of the two. Of networks equal in both the first stands for all.

    Args:
        accuracy: Higher is better, shape ``(n,)``.
        latency_ms: Lower is better, shape ``(n,)``.

    Raises:
        ValueError: If the shapes differ or a value is not a number.

    >>> pareto_front([0.70, 0.72, 0.71], [50.0, 80.0, 90.0])
    array([0, 1])
    """
    accuracy = np.asarray(accuracy, dtype=np.float64)
    latency_ms = np.asarray(latency_ms, dtype=np.float64)
    if accuracy.ndim != 1 or accuracy.shape != latency_ms.shape:
        raise ValueError(
            f"accuracy and latency_ms need one shape (n,), got {accuracy.shape} and "
            f"{latency_ms.shape}."
        )
    if np.isnan(accuracy).any() or np.isnan(latency_ms).any():
        raise ValueError("accuracy and latency_ms must be numbers, got NaN.")
    # Fastest first; of equally fast ones the most accurate, then the first given.
    order = np.lexsort((np.arange(len(accuracy)), -accuracy, latency_ms))
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], accuracy[order])))[:-1]
    return np.asarray(order[accuracy[order] > best_before], dtype=np.int64)
