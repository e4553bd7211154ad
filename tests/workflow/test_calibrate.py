"""Steps that several commands take."""

import numpy as np

from mnaslat.lowering import lower
from mnaslat.space import load_space
from mnaslat.workflow.calibrate import calibration_networks


def test_calibration_networks_are_spread_over_their_weights() -> None:
    space = load_space("mnasnet")

    def weights(networks: list[object]) -> np.ndarray:
        graphs = [lower(each) for each in networks]  # type: ignore[arg-type]
        return np.array([sum(layer.n_weights for layer in graph.layers) for graph in graphs])

    chosen = calibration_networks(space, "fp32", 20, seed=3)
    assert len(set(chosen)) == 20
    assert chosen == calibration_networks(space, "fp32", 20, seed=3)
    drawn = weights([space.decode(row) for row in space.sample(2000, np.random.default_rng(5))])
    found = weights(list(chosen))
    # As many in each quarter of the space's distribution, give or take chance.
    quarters = np.searchsorted(np.quantile(drawn, [0.25, 0.5, 0.75]), found)
    assert np.bincount(quarters, minlength=4).min() >= 3
    assert found.max() > np.quantile(drawn, 0.9)
    # Not in the order of their weights: folds take every k-th one.
    assert abs(np.corrcoef(found, np.arange(20))[0, 1]) < 0.8


def test_a_small_space_gives_what_it_has() -> None:
    space = load_space("mnasnet")
    assert len(calibration_networks(space, "fp32", 3, seed=0)) == 3
