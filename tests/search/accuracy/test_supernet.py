"""The supernet shares weights as it says, learns, and can be interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats
from mnaslat.data.images.image_set import ImageSet
from mnaslat.data.images.loading import load_images
from mnaslat.errors import SearchError
from mnaslat.lowering import lower
from mnaslat.network import run_graph
from mnaslat.search.accuracy.shared_weights import SupernetWeights, shared_shapes
from mnaslat.search.accuracy.supernet import (
    SupernetAccuracy,
    SupernetSettings,
    _largest_and_smallest,
    ridge_scores,
)
from mnaslat.space import load_space
from tests.search.tiny_networks import tiny_space, without_tokens

SETTINGS = SupernetSettings(
    width=1.0, resolution=8, n_steps=60, learning_rate=0.01, n_steps_checkpoint=25
)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images("digits", 8)


def accuracies(source: SupernetAccuracy, networks: list[Architecture]) -> Floats:
    results = dict(source.evaluate(without_tokens(networks)))
    return np.array([results[index].accuracy for index in range(len(networks))], dtype=float)


def networks(n: int = 8) -> list[Architecture]:
    space = tiny_space()
    return [space.decode(row) for row in space.sample(n, np.random.default_rng(0))]


def test_a_short_training_is_well_above_chance(digits: ImageSet) -> None:
    steps_shown: list[tuple[int, int]] = []
    source = SupernetAccuracy(
        tiny_space(),
        digits,
        replace(SETTINGS, n_steps=100),
        progress=lambda *at: steps_shown.append(at),
    )
    assert accuracies(source, networks()).min() > 0.3  # chance is 0.1
    assert steps_shown == [(step, 100) for step in range(1, 101)]


def test_the_same_network_has_the_same_accuracy_whatever_was_asked_before(
    digits: ImageSet,
) -> None:
    source = SupernetAccuracy(tiny_space(), digits, SETTINGS)
    together = accuracies(source, networks(4))
    backwards = [accuracies(source, [network])[0] for network in networks(4)[::-1]]
    assert together.tolist() == backwards[::-1]


class Stopped(Exception):
    """Raised by a progress callback to stop a training."""


def test_an_interrupted_training_ends_in_the_identical_supernet(
    digits: ImageSet, tmp_path: Path
) -> None:
    def stop(done: int, _: int) -> None:
        if done == 40:  # 15 steps after a checkpoint
            raise Stopped

    undisturbed = SupernetAccuracy(tiny_space(), digits, SETTINGS)
    undisturbed.train()
    with pytest.raises(Stopped):
        SupernetAccuracy(tiny_space(), digits, SETTINGS, folder=tmp_path, progress=stop).train()
    steps_shown: list[int] = []
    resumed = SupernetAccuracy(
        tiny_space(),
        digits,
        SETTINGS,
        folder=tmp_path,
        progress=lambda done, _: steps_shown.append(done),
    )
    resumed.train()
    assert steps_shown == list(range(26, 61))
    for (name, expected), found in zip(
        undisturbed._shared.state_dict().items(), resumed._shared.state_dict().values(), strict=True
    ):
        assert torch.equal(expected, found), name
    assert np.array_equal(accuracies(resumed, networks()), accuracies(undisturbed, networks()))


def test_supernets_of_other_settings_or_spaces_have_files_of_their_own(
    digits: ImageSet, tmp_path: Path
) -> None:
    once = replace(SETTINGS, n_steps=1)
    SupernetAccuracy(tiny_space(), digits, once, folder=tmp_path).train()
    SupernetAccuracy(tiny_space(), digits, replace(once, seed=1), folder=tmp_path).train()
    wide = load_space("mnasnet", width=0.1)
    narrow = replace(wide, build=load_space("mnasnet", width=0.05).build)
    for space in (wide, narrow):  # of one name
        SupernetAccuracy(space, digits, once, folder=tmp_path).train()
    assert len(list(tmp_path.glob("supernet-*.pt"))) == 4


def test_a_damaged_checkpoint_is_refused(digits: ImageSet, tmp_path: Path) -> None:
    once = replace(SETTINGS, n_steps=1)
    SupernetAccuracy(tiny_space(), digits, once, folder=tmp_path).train()
    (path,) = tmp_path.glob("supernet-*.pt")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SearchError, match="is damaged"):
        SupernetAccuracy(tiny_space(), digits, once, folder=tmp_path)


def test_ridge_classifier_worked_out_by_hand() -> None:
    known = torch.tensor([[1.0], [-1.0]])
    scores = ridge_scores(known, torch.tensor([[1, 0], [0, 1]]), torch.tensor([[1.0], [-2.0]]))
    # Slope x.y / (x.x + 0.1 * mean square) = 1 / 2.1, around one half.
    assert scores.numpy() == pytest.approx(
        np.array([[0.5 + 1 / 2.1, 0.5 - 1 / 2.1], [0.5 - 2 / 2.1, 0.5 + 2 / 2.1]]), rel=1e-5
    )


def test_banks_hold_every_network_of_the_space() -> None:
    space = tiny_space()
    shapes = shared_shapes(
        lower(network) for _, rows in space.part_architectures() for network in rows
    )
    banks = SupernetWeights(shapes, seed=0)
    x = torch.zeros(2, 3, 8, 8)
    rows = np.stack(np.meshgrid(*(np.arange(n) for n in space.n_choices)), -1).reshape(-1, 5)
    assert len(rows) == space.size
    for row in rows:
        graph = lower(space.decode(row))
        assert run_graph(graph, x, banks.weights(graph), training=True).shape == (2, 10)
    # Worked out by hand: block 1 expands 8 filters six-fold and puts out 16 at the most.
    assert shapes["block1.0", "expand", "expand", "conv"] == ((48, 8, 1, 1), True)
    assert shapes["block1.0", "expand", "depthwise", "dwconv"] == ((48, 1, 5, 5), True)
    assert shapes["block1.0", "expand", "project", "conv"] == ((16, 48, 1, 1), True)
    assert shapes["head", "conv", "classifier", "linear"] == ((10, 32), False)


def test_children_share_the_leading_channels() -> None:
    space = tiny_space()
    narrow = lower(space.decode([0, 1, 0, 0, 0]))
    wide = lower(space.decode([0, 2, 1, 0, 0]))
    banks = SupernetWeights(shared_shapes([narrow, wide]), seed=0)
    n_compared = 0
    for small, large in zip(banks.weights(narrow), banks.weights(wide), strict=False):
        if small is None or large is None:
            break  # at the first op without weights the two part: only the narrow one has a skip
        n_outputs, n_inputs = small.weight.shape[:2]
        assert torch.equal(small.weight, large.weight[:n_outputs, :n_inputs])
        assert small.weight.untyped_storage().data_ptr() == (
            large.weight.untyped_storage().data_ptr()
        )
        n_compared += 1
    assert n_compared == 4  # stem, expansion, depthwise, projection


def test_children_of_the_mnasnet_space_are_lowered_not_rebuilt() -> None:
    space = load_space("mnasnet")
    settings = SupernetSettings(resolution=16, width=0.35)
    source = SupernetAccuracy(space, load_images("digits", 16), settings)
    network = space.decode(space.sample(1, np.random.default_rng(0))[0])
    result = source._as_trained(network)
    assert result == replace(network, resolution=16, n_classes=10).scaled(0.35)
    accuracy = source.accuracy(network)  # untrained: any value, but all ops fit their banks
    assert 0.0 <= accuracy <= 1.0


def test_the_extremes_have_the_most_and_the_fewest_weights() -> None:
    space = tiny_space()
    rows = np.stack(np.meshgrid(*(np.arange(n) for n in space.n_choices)), -1).reshape(-1, 5)
    sizes = [lower(space.decode(row)).n_params for row in rows]
    largest, smallest = (lower(space.decode(row)) for row in _largest_and_smallest(space))
    assert (largest.n_params, smallest.n_params) == (max(sizes), min(sizes))


def test_every_step_trains_the_extremes(digits: ImageSet) -> None:
    # Without random children only what the largest and the smallest use is trained.
    # In the first step only the classifier learns: it starts at 0 and hands nothing back.
    settings = replace(SETTINGS, n_random=0, n_steps=2)
    source = SupernetAccuracy(tiny_space(), digits, settings)
    before = {name: bank.clone() for name, bank in source._shared.state_dict().items()}
    source.train()
    changed = {
        name
        for name, bank in source._shared.state_dict().items()
        if not torch.equal(bank, before[name])
    }
    assert any("block1_0/expand" in name for name in changed)  # of the largest
    assert any("block1_0/depthwise" in name for name in changed)  # of the smallest, unexpanded


def test_images_of_another_size_are_refused(digits: ImageSet) -> None:
    with pytest.raises(ValueError, match="have 8 pixels, the settings 16"):
        SupernetAccuracy(tiny_space(), digits, replace(SETTINGS, resolution=16))


def test_large_networks_are_made_small_and_small_ones_are_left() -> None:
    large, small = (SupernetSettings().for_networks_of(size) for size in (224, 48))
    assert (large.resolution, large.width) == (32, 0.35)
    assert (small.resolution, small.width) == (48, 1.0)


def test_wrong_settings_are_refused() -> None:
    for wrong in (
        {"width": 0.0},
        {"n_steps": 0},
        {"batch_size": 1},
        {"n_calibration": 1},
        {"n_random": -1},
        {"distillation": 1.5},
    ):
        with pytest.raises(ValueError, match="must"):
            SupernetSettings(**wrong)
