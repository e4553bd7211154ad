"""Training learns, repeats itself, survives being killed, and refuses what makes no sense."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnaslat.data.images.image_set import ImageSet
from mnaslat.data.images.loading import load_images
from mnaslat.errors import SearchError
from mnaslat.lowering import lower
from mnaslat.search.accuracy.training import (
    Epoch,
    TrainingSettings,
    _augmented,
    _rate,
    measure_accuracy,
    train,
)
from tests.search.tiny_networks import tiny_network

SETTINGS = TrainingSettings(n_epochs=3, batch_size=32, n_train=320, augment=True)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images("digits", 8)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_a_few_epochs_are_well_above_chance(digits: ImageSet, optimizer: str) -> None:
    rate = 0.1 if optimizer == "sgd" else 0.01
    settings = replace(SETTINGS, optimizer=optimizer, learning_rate=rate, n_epochs=8, n_train=None)  # type: ignore[arg-type]
    trained = train(tiny_network(), digits, settings)
    assert trained.accuracy > 0.6  # chance is 0.1
    assert trained.losses[-1] < trained.losses[0]
    assert trained.accuracy == measure_accuracy(trained.network, digits.validation)
    assert trained.test_accuracy(digits) == pytest.approx(trained.accuracy, abs=0.15)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(digits: ImageSet) -> None:
    once = replace(SETTINGS, n_epochs=1)
    torch.manual_seed(1)
    first = train(tiny_network(), digits, once)
    torch.manual_seed(2)  # the global generator plays no part
    before = torch.get_rng_state()
    assert same_weights(first.network, train(tiny_network(), digits, once).network)
    assert torch.equal(torch.get_rng_state(), before)
    other = train(tiny_network(), digits, replace(once, seed=1))
    assert not same_weights(first.network, other.network)


class Stopped(Exception):
    """Raised by a progress callback to stop a training."""


def test_a_stopped_training_goes_on_to_the_identical_network(
    digits: ImageSet, tmp_path: Path
) -> None:
    def stop(epoch: Epoch) -> None:
        if epoch.n_done == 2:
            raise Stopped

    file = tmp_path / "training.pt"
    with pytest.raises(Stopped):
        train(tiny_network(), digits, SETTINGS, checkpoint=file, progress=stop)
    observations: list[Epoch] = []
    resumed = train(tiny_network(), digits, SETTINGS, checkpoint=file, progress=observations.append)
    undisturbed = train(tiny_network(), digits, SETTINGS)
    assert [epoch.n_done for epoch in observations] == [3]
    assert same_weights(resumed.network, undisturbed.network)
    assert resumed.losses == undisturbed.losses
    assert resumed.accuracy == undisturbed.accuracy
    # Done: nothing is trained again.
    assert train(tiny_network(), digits, SETTINGS, checkpoint=file).accuracy == resumed.accuracy


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from mnaslat.data.images.loading import load_images
from mnaslat.search.accuracy.training import train
from tests.search.accuracy.test_training import SETTINGS
from tests.search.tiny_networks import tiny_network

torch.set_num_threads(1)
kill_after = int(sys.argv[2])

def kill(epoch):
    if epoch.n_done == kill_after:
        os.kill(os.getpid(), signal.SIGKILL)

digits = load_images("digits", 8)
trained = train(tiny_network(), digits, SETTINGS, checkpoint=Path(sys.argv[1]), progress=kill)
print(repr(trained.losses), trained.accuracy)
"""


def test_a_killed_training_goes_on_in_a_fresh_process(digits: ImageSet, tmp_path: Path) -> None:
    def run(kill_after: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "training.pt"), str(kill_after)],
            cwd=Path(__file__).parents[3],
            env={
                **os.environ,
                "PYTHONSAFEPATH": "",  # it imports the tests
                "PYTHONHASHSEED": str(kill_after),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
        )

    assert run(1).returncode == -signal.SIGKILL
    finished = run(0)
    undisturbed = train(tiny_network(), digits, SETTINGS)
    assert finished.stdout.split(") ")[0] + ")" == repr(undisturbed.losses), finished.stderr
    assert float(finished.stdout.split()[-1]) == undisturbed.accuracy


def test_a_checkpoint_of_another_training_is_refused(digits: ImageSet, tmp_path: Path) -> None:
    once, file = replace(SETTINGS, n_epochs=1), tmp_path / "training.pt"
    train(tiny_network(), digits, once, checkpoint=file)
    for other in (replace(once, seed=1), replace(once, learning_rate=0.01)):
        with pytest.raises(SearchError, match="is of another training"):
            train(tiny_network(), digits, other, checkpoint=file)
    with pytest.raises(SearchError, match="is of another training"):
        train(tiny_network(kernel=5), digits, once, checkpoint=file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SearchError, match="is damaged"):
        train(tiny_network(), digits, once, checkpoint=file)


def test_a_diverging_training_says_so(digits: ImageSet) -> None:
    with pytest.raises(SearchError, match=r"Training diverged: the loss is .* Try a learning rate"):
        train(tiny_network(), digits, replace(SETTINGS, learning_rate=1e20, n_warmup_epochs=0.0))


def test_a_graph_has_to_fit_the_images(digits: ImageSet) -> None:
    once = replace(SETTINGS, n_epochs=1)
    graph = lower(tiny_network())
    assert 0.0 <= train(graph, digits, once).accuracy <= 1.0
    with pytest.raises(ValueError, match="the images need"):
        train(lower(replace(tiny_network(), resolution=16)), digits, once)


def test_the_last_layer_starts_without_an_opinion(digits: ImageSet) -> None:
    # With the official start the first loss on ten classes is above 5: ln 10 is no opinion.
    settings = replace(SETTINGS, n_epochs=1, learning_rate=1e-9, label_smoothing=0.0)
    assert train(tiny_network(), digits, settings).losses[0] == pytest.approx(np.log(10), rel=0.1)


def test_learning_rates_worked_out_by_hand() -> None:
    settings = TrainingSettings(n_epochs=5, n_warmup_epochs=1.0, learning_rate=0.2)
    assert _rate(0.5, settings) == pytest.approx(0.1)
    assert _rate(1.0, settings) == pytest.approx(0.2)
    assert _rate(3.0, settings) == pytest.approx(0.1)  # half of the cosine
    assert _rate(5.0, settings) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(0, 1000), st.booleans())
def test_augmenting_shifts_and_mirrors_but_invents_nothing(seed: int, mirrored: bool) -> None:
    x = torch.arange(1.0, 2 * 3 * 8 * 8 + 1).reshape(2, 3, 8, 8)
    result = _augmented(x, np.random.default_rng(seed), mirrored)
    assert result.shape == x.shape
    for old, new in zip(x, result, strict=True):
        assert set(new.unique().tolist()) <= {0.0, *old.unique().tolist()}
        inner = new[0, 1:-1, 1:-1]  # shifts are of one pixel at most: the inside has no margin
        assert (inner > 0).all()
        steps = inner.diff(dim=1)
        assert (steps == 1).all() or (mirrored and (steps == -1).all())


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_epochs": 0},
        {"batch_size": 1},
        {"optimizer": "adam"},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"momentum": 1.0},
        {"dropout": -0.1},
        {"weight_decay": -1.0},
        {"n_train": 0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        TrainingSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_training_on_cuda_in_mixed_precision(digits: ImageSet) -> None:
    trained = train(tiny_network(), digits, replace(SETTINGS, n_epochs=8), device="cuda")
    assert trained.accuracy > 0.4
