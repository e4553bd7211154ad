"""Corrections of the sum of layers, and how one is chosen."""

import numpy as np
import pytest

from mnaslat.graph import Graph
from mnaslat.predictors.calibration.correction import Correction, choose_correction, sizes_mb


def _networks(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of layers and sizes: some networks have far more weights than a cache holds."""
    rng = np.random.default_rng(seed)
    sizes = np.stack([rng.uniform(20, 90, n), rng.uniform(5, 60, n)], axis=1)
    return rng.uniform(3, 20, n), sizes


def test_sizes_worked_out_by_hand() -> None:
    graph = Graph.parse("fp32 4x4x2 conv3x3>5 dwconv3x3/2 | mean")
    activations = 4 * 4 * 5 + 2 * 2 * 5 + 5
    weights = 5 * 3 * 3 * 2 + 3 * 3 * 5
    assert sizes_mb([graph]).tolist() == [[activations * 4 / 1e6, weights * 4 / 1e6]]
    assert sizes_mb([]).shape == (0, 2)


def test_a_memory_correction_worked_out_by_hand() -> None:
    correction = Correction("memory", 1.1, 0.0, -0.01, 0.2, cache_mb=24.0)
    found = correction.apply(np.array([10.0, 10.0]), np.array([[50.0, 20.0], [50.0, 34.0]]))
    assert found == pytest.approx([11.0 - 0.5, 11.0 - 0.5 + 2.0])


@pytest.mark.parametrize("cache_mb", [8.0, 24.0])
def test_a_planted_memory_effect_is_found(cache_mb: float) -> None:
    truth = Correction("memory", 1.06, 0.0, -0.007, 0.1, cache_mb)
    base_ms, sizes = _networks(20, seed=1)
    found = choose_correction(base_ms, sizes, truth.apply(base_ms, sizes))
    assert found.kind == "memory" and found.cache_mb == cache_mb
    fresh_ms, fresh_sizes = _networks(50, seed=2)
    expected = truth.apply(fresh_ms, fresh_sizes)
    assert found.apply(fresh_ms, fresh_sizes) == pytest.approx(expected, rel=0.01)


def test_noise_alone_is_no_memory_effect() -> None:
    kinds = []
    for seed in range(20):
        base_ms, sizes = _networks(20, seed)
        noise = np.random.default_rng(seed).normal(1.0, 0.02, 20)
        kinds.append(choose_correction(base_ms, sizes, 1.05 * base_ms * noise).kind)
    assert kinds.count("scale") >= 15


def test_few_networks_get_no_memory_terms() -> None:
    truth = Correction("memory", 1.06, 0.0, -0.007, 0.1, 24.0)
    base_ms, sizes = _networks(11, seed=3)
    assert choose_correction(base_ms, sizes, truth.apply(base_ms, sizes)).kind != "memory"


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="positive scale"):
        Correction("scale", scale)
