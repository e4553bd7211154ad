"""The supernet shares weights as it says, learns, and can be interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mnaslat.architecture import Architecture, Block, Layer
from mnaslat.data.images import ImageSet, load_digits_images
from mnaslat.errors import SearchError
from mnaslat.lowering import lower
from mnaslat.network import run_graph
from mnaslat.search.banks import WeightBanks, bank_shapes
from mnaslat.search.supernet import SupernetAccuracy, SupernetSettings, ridge_scores
from mnaslat.space import Choices, Decision, SearchSpace, load_space

SETTINGS = SupernetSettings(
    width=1.0, resolution=8, n_steps=60, learning_rate=0.03, n_steps_checkpoint=25
)


def tiny_space() -> SearchSpace:
    """Two blocks, 36 networks."""

    def build(choices: Choices) -> Architecture:
        filters = int(choices["block1.filters"])
        return Architecture(
            stem_filters=8,
            head_filters=32,
            resolution=8,
            n_classes=10,
            blocks=(
                Block(
                    first=Layer(
                        kernel=int(choices["block1.kernel"]),
                        expansion=int(choices["block1.expansion"]),
                        input_filters=8,
                        output_filters=filters,
                    ),
                ),
                Block(
                    first=Layer(
                        conv=choices["block2.conv"],  # type: ignore[arg-type]
                        input_filters=filters,
                        output_filters=16,
                        se_ratio=0.25,
                    ),
                    n_layers=int(choices["block2.layers"]),
                ),
            ),
        )

    def read(architecture: Architecture) -> Choices:
        first, second = architecture.blocks
        return {
            "block1.kernel": first.first.kernel,
            "block1.expansion": first.first.expansion,
            "block1.filters": first.first.output_filters,
            "block2.conv": second.first.conv,
            "block2.layers": second.n_layers,
        }

    return SearchSpace(
        name="tiny",
        decisions=(
            Decision("block1.kernel", (3, 5)),
            Decision("block1.expansion", (1, 3, 6)),
            Decision("block1.filters", (8, 16)),
            Decision("block2.conv", ("conv", "mbconv")),
            Decision("block2.layers", (1, 2)),
        ),
        build=build,
        read=read,
        parts={
            "stem": (),
            "block1": ("block1.kernel", "block1.expansion", "block1.filters"),
            "block2": ("block1.filters", "block2.conv", "block2.layers"),
            "head": (),
        },
    )


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_digits_images(8)


def networks(n: int = 8) -> list[Architecture]:
    space = tiny_space()
    return [space.decode(row) for row in space.sample(n, np.random.default_rng(0))]


def test_a_short_training_is_well_above_chance(digits: ImageSet) -> None:
    seen: list[tuple[int, int]] = []
    source = SupernetAccuracy(
        tiny_space(), digits, replace(SETTINGS, n_steps=150), progress=lambda *at: seen.append(at)
    )
    accuracies = source.evaluate(networks())
    assert accuracies.min() > 0.3  # chance is 0.1
    assert seen == [(step, 150) for step in range(1, 151)]


def test_the_same_network_has_the_same_accuracy_whatever_was_asked_before(
    digits: ImageSet,
) -> None:
    source = SupernetAccuracy(tiny_space(), digits, SETTINGS)
    together = source.evaluate(networks(4))
    backwards = [source.evaluate([network])[0] for network in networks(4)[::-1]]
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
    seen: list[int] = []
    resumed = SupernetAccuracy(
        tiny_space(), digits, SETTINGS, folder=tmp_path, progress=lambda done, _: seen.append(done)
    )
    resumed.train()
    assert seen == list(range(26, 61))
    for (name, expected), found in zip(
        undisturbed._banks.state_dict().items(), resumed._banks.state_dict().values(), strict=True
    ):
        assert torch.equal(expected, found), name
    assert np.array_equal(resumed.evaluate(networks()), undisturbed.evaluate(networks()))


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
    shapes = bank_shapes(
        lower(network) for _, rows in space.part_architectures() for network in rows
    )
    banks = WeightBanks(shapes, seed=0)
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
    banks = WeightBanks(bank_shapes([narrow, wide]), seed=0)
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
    settings = SupernetSettings()
    source = SupernetAccuracy(space, load_digits_images(settings.resolution), settings)
    network = space.decode(space.sample(1, np.random.default_rng(0))[0])
    child = source._child(network)
    assert child == replace(
        network, resolution=settings.resolution, n_classes=10, input_channels=1
    ).scaled(settings.width)
    accuracy = source._accuracy(network)  # untrained: any value, but all ops fit their banks
    assert 0.0 <= accuracy <= 1.0


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"width": 0.0}, {"n_steps": 0}, {"batch_size": 1}, {"n_calibration": 1}):
        with pytest.raises(ValueError, match="must be"):
            SupernetSettings(**wrong)
