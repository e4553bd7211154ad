"""Corrects a sum of layer latencies to the latency of a whole network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.graph import Graph

Kind = Literal["none", "scale", "affine", "memory"]

_BYTES = {"fp32": 4, "fp16": 4, "int8": 1}  # of an activation; fp16 files compute in fp32
_CACHES_MB = (8.0, 16.0, 24.0, 32.0)
_RIDGE = 3e-4  # regularises all terms but the scale, against fitting noise
# More parameters must beat the scale by this much (relative) in cross-validation.
_GAIN = {"affine": 0.05, "memory": 0.10}
_LEAST = 0.05  # of the uncorrected latency: no correction goes below
_ROUNDING = 1e-9  # below it one error is not smaller than another
_MIN_NETWORKS = {"affine": 6, "memory": 12}


@dataclass(frozen=True)
class Correction:
    """A correction: ``scale * base + offset + activations * a + (weights beyond the cache) * w``.

    A layer that is timed alone keeps its weights in cache. In a network they are read from a slower
    cache, or from memory once all weights outgrow the last cache. Activations are faster in a
    network, because the previous layer has just written them to a cache.
    """

    kind: Kind
    scale: float
    offset_ms: float = 0.0
    ms_per_activation_mb: float = 0.0
    ms_per_weight_mb: float = 0.0
    cache_mb: float = 0.0  # weights up to here cost nothing extra

    def __post_init__(self) -> None:
        values = (self.scale, self.offset_ms, self.ms_per_activation_mb, self.ms_per_weight_mb)
        if not np.all(np.abs([*values, self.cache_mb]) < 1e6) or self.scale <= 0:
            raise ValueError(f"a correction needs a positive scale and finite terms, got {self}")

    @property
    def is_affine(self) -> bool:
        """Whether ``apply`` is ``scale * base + offset`` for every network."""
        return self.kind != "memory" and self.scale >= _LEAST and self.offset_ms >= 0.0

    def apply(self, base_ms: Floats, sizes_mb: Floats) -> Floats:
        """Correct latencies; none falls below a twentieth of its uncorrected value.

        Args:
            base_ms: Sums of layers, shape ``(n,)``.
            sizes_mb: Megabytes from ``sizes_mb``, shape ``(n, 2)``.
        """
        return np.asarray(np.maximum(self._unbounded(base_ms, sizes_mb), _LEAST * base_ms))

    def slopes(self, base_ms: Floats, sizes_mb: Floats) -> Floats:
        """Return the derivatives by the base and by both sizes, shape ``(n, 3)``."""
        beyond = sizes_mb[:, 1] > self.cache_mb
        of_weights = np.where(beyond, self.ms_per_weight_mb, 0.0)
        of_base = np.full(len(base_ms), self.scale)
        of_activations = np.full(len(base_ms), self.ms_per_activation_mb)
        slopes = np.stack([of_base, of_activations, of_weights], axis=1)
        slopes[self._unbounded(base_ms, sizes_mb) < _LEAST * base_ms] = (_LEAST, 0.0, 0.0)
        return slopes

    def _unbounded(self, base_ms: Floats, sizes_mb: Floats) -> Floats:
        activations_mb, weights_mb = sizes_mb.T
        found: Floats = (
            self.scale * base_ms
            + self.offset_ms
            + self.ms_per_activation_mb * activations_mb
            + self.ms_per_weight_mb * np.maximum(0.0, weights_mb - self.cache_mb)
        )
        return found

    def __str__(self) -> str:
        text = f"layers x {self.scale:.4f}"
        if self.kind == "affine":
            text += f" {self.offset_ms:+.4f} ms"
        if self.kind == "memory":
            text += (
                f" {self.ms_per_activation_mb:+.4f} ms per MB of activations "
                f"{self.ms_per_weight_mb:+.4f} ms per MB of weights beyond {self.cache_mb:g} MB"
            )
        return text


def sizes_mb(graphs: Sequence[Graph]) -> Floats:
    """Return megabytes of all activations and of all weights, shape ``(n, 2)``."""
    rows = [
        [
            sum(layer.n_outputs for layer in graph.layers) * _BYTES[graph.precision] / 1e6,
            sum(layer.n_weights for layer in graph.layers) * _BYTES[graph.precision] / 1e6,
        ]
        for graph in graphs
    ]
    return np.array(rows).reshape(len(graphs), 2)


def choose_correction(base_ms: Floats, sizes: Floats, measured_ms: Floats) -> Correction:
    """Choose the kind with the least cross-validated error, and fit it to all networks.

    Args:
        base_ms: Sums of layers, shape ``(n,)``.
        sizes: Of ``sizes_mb``, shape ``(n, 2)``.
        measured_ms: Shape ``(n,)``, all positive.
    """
    fits: dict[str, Callable[[Floats, Floats, Floats], Correction]] = {"scale": _fit_scale}
    for name, fit in (("affine", _fit_affine), ("memory", _fit_memory)):
        if len(base_ms) >= _MIN_NETWORKS[name]:
            fits[name] = fit
    errors = {name: _held_out_error(fit, base_ms, sizes, measured_ms) for name, fit in fits.items()}
    good = [
        name
        for name, error in errors.items()
        if name == "scale" or error < (1.0 - _GAIN[name]) * errors["scale"] - _ROUNDING
    ]
    best = min(good, key=lambda name: errors[name])
    return fits[best](base_ms, sizes, measured_ms)


def folds(n: int, n_folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return kept and left-out indices per fold; networks must come in random order."""
    indices = np.arange(n)
    n_folds = min(n_folds, n)
    return [
        (indices[indices % n_folds != k], indices[indices % n_folds == k]) for k in range(n_folds)
    ]


def _held_out_error(
    fit: Callable[[Floats, Floats, Floats], Correction],
    base_ms: Floats,
    sizes: Floats,
    measured_ms: Floats,
) -> float:
    held_out = np.empty(len(base_ms))
    for kept, left in folds(len(base_ms), 5):
        correction = fit(base_ms[kept], sizes[kept], measured_ms[kept])
        held_out[left] = correction.apply(base_ms[left], sizes[left])
    return float(np.abs(held_out / measured_ms - 1.0).mean())


def _fit_scale(base_ms: Floats, sizes: Floats, measured_ms: Floats) -> Correction:
    # Least squares of the relative error: sum of (scale * base / measured - 1)^2.
    ratio = base_ms / measured_ms
    return Correction("scale", float(ratio.sum() / (ratio**2).sum()))


def _fit_affine(base_ms: Floats, sizes: Floats, measured_ms: Floats) -> Correction:
    columns = np.stack([base_ms / measured_ms, 1.0 / measured_ms], axis=1)
    (scale, offset_ms), *_ = np.linalg.lstsq(columns, np.ones(len(base_ms)), rcond=None)
    if scale <= 0:  # too few or equal networks
        return _fit_scale(base_ms, sizes, measured_ms)
    return Correction("affine", float(scale), float(offset_ms))


def _fit_memory(base_ms: Floats, sizes: Floats, measured_ms: Floats) -> Correction:
    activations_mb, weights_mb = sizes.T
    best = _fit_scale(base_ms, sizes, measured_ms)
    least = np.inf
    for cache_mb in _CACHES_MB:
        beyond_mb = np.maximum(0.0, weights_mb - cache_mb)
        columns = np.stack([base_ms, activations_mb, beyond_mb], axis=1) / measured_ms[:, None]
        size = np.maximum(np.abs(columns).mean(axis=0), 1e-12)
        penalty = _RIDGE * len(base_ms) * np.diag([0.0, 1.0, 1.0])
        scaled = columns / size
        terms = np.linalg.solve(scaled.T @ scaled + penalty, scaled.sum(axis=0)) / size
        error = float(np.square(columns @ terms - 1.0).sum())
        if terms[0] > 0 and error < least:
            least = error
            scale, per_activation, per_weight = map(float, terms)
            best = Correction("memory", scale, 0.0, per_activation, per_weight, cache_mb)
    return best
