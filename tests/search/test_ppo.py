"""The controller learns, by the loss that PPO says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mnaslat.search import ppo
from mnaslat.search.controller import Controller, ControllerSettings
from mnaslat.search.presets import PRESETS, preset

N_CHOICES = [4, 2, 3, 1, 3]
SMALL = ControllerSettings(n_units=8, n_embedding=6)


def rollout_of(controller: Controller, n: int = 20, seed: int = 0) -> ppo.Rollout:
    tokens, log_probs = controller.sample(n, torch.Generator().manual_seed(seed))
    rewards = torch.from_numpy(np.random.default_rng(seed).random(n).astype(np.float32))
    return ppo.Rollout(tokens=tokens, old_log_probs=log_probs, rewards=rewards)


@pytest.mark.parametrize("per_position", [True, False])
def test_ratio_is_one_before_the_first_step(per_position: bool) -> None:
    controller = Controller(N_CHOICES, replace(SMALL, per_position=per_position), seed=3)
    rollout = rollout_of(controller)
    log_probs, _ = controller.log_probs_and_entropy(rollout.tokens)
    ratio = (log_probs - rollout.old_log_probs).exp()
    assert torch.allclose(ratio, torch.ones(20), atol=1e-5)


def test_ratio_moves_within_an_update() -> None:
    controller = Controller(N_CHOICES, SMALL, seed=3)
    settings = ppo.PPOSettings(n_epochs=8, learning_rate=0.05, entropy=0.0)
    log = ppo.update(
        controller, ppo.new_optimizer(controller, settings), rollout_of(controller), settings
    )
    assert log.kl > 1e-4
    assert log.clip_fraction > 0.0


@pytest.mark.parametrize("per_position", [True, False])
def test_probabilities_of_all_rows_add_up_to_one(per_position: bool) -> None:
    controller = Controller([2, 3, 1, 2], replace(SMALL, per_position=per_position), seed=1)
    rows = torch.cartesian_prod(*(torch.arange(n) for n in (2, 3, 1, 2)))
    log_probs, entropy = controller.log_probs_and_entropy(rows)
    assert log_probs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    # The expected entropy along the rows is the entropy of the whole distribution.
    expected = -(log_probs.exp() * log_probs).sum().item()
    assert (log_probs.exp() * entropy).sum().item() == pytest.approx(expected, abs=1e-4)


def test_samples_come_as_often_as_their_probability_says() -> None:
    controller = Controller([3, 2], replace(SMALL, init_range=2.0), seed=5)
    tokens, _ = controller.sample(20_000, torch.Generator().manual_seed(0))
    rows = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    probabilities = controller.log_probs_and_entropy(rows)[0].exp()
    for row, probability in zip(rows, probabilities.tolist(), strict=True):
        share = (tokens == row).all(1).float().mean().item()
        assert share == pytest.approx(probability, abs=4 * (0.25 / 20_000) ** 0.5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, -2.0),
        (1.5, 2.0, -2.4),  # a gain is counted up to 1.2 only
        (0.5, 2.0, -1.0),  # a good row made less likely is not excused
        (0.5, -2.0, 1.6),  # a gain again: nothing more below 0.8
        (1.5, -2.0, 3.0),  # a bad row made likelier is not excused
    ],
)
def test_clipped_loss_worked_out_by_hand(ratio: float, advantage: float, expected: float) -> None:
    loss = ppo.clipped_loss(torch.tensor([ratio]), torch.tensor([advantage]), 0.2)
    assert loss.item() == pytest.approx(expected)


def test_advantages_worked_out_by_hand() -> None:
    rewards = torch.tensor([1.0, 3.0])
    batch, ema = ppo.PPOSettings(baseline="batch"), ppo.PPOSettings(baseline="ema")
    assert ppo.advantages_of(rewards, batch, 7.0).tolist() == pytest.approx([-1.0, 1.0])
    assert ppo.advantages_of(rewards, ema, 0.5).tolist() == pytest.approx([0.5, 2.5])
    assert ppo.advantages_of(rewards, ema, None).tolist() == pytest.approx([-1.0, 1.0])
    assert ppo.advantages_of(torch.ones(3), batch, None).tolist() == [0.0, 0.0, 0.0]
    assert ppo.next_baseline(2.0, 4.0, ema) == pytest.approx(2.1)
    assert ppo.next_baseline(None, 4.0, ema) == 4.0


def test_gradient_agrees_with_finite_differences() -> None:
    controller = Controller([3, 2, 3], replace(SMALL, init_range=0.5), seed=2).double()
    rollout = rollout_of(controller, n=6)
    advantages = rollout.rewards.double() - 0.5

    def loss() -> torch.Tensor:
        log_probs, entropy = controller.log_probs_and_entropy(rollout.tokens)
        ratio = (log_probs - rollout.old_log_probs.double() - 0.05).exp()
        return ppo.clipped_loss(ratio, advantages, 0.2) - 0.1 * entropy.mean()

    loss().backward()  # type: ignore[no-untyped-call]
    rng, step = np.random.default_rng(0), 1e-6
    for parameter in controller.parameters():
        assert parameter.grad is not None
        for index in rng.choice(parameter.numel(), size=min(5, parameter.numel()), replace=False):
            values = parameter.data.view(-1)
            before = values[index].item()
            values[index] = before + step
            above = loss().item()
            values[index] = before - step
            below = loss().item()
            values[index] = before
            slope = parameter.grad.view(-1)[index].item()
            assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_controller_finds_the_known_best_arm(name: str) -> None:
    chosen = preset(name)
    # The paper's learning rate is for thousands of samples; a bandit test is shorter. The bonus for
    # being undecided is for spaces of many decisions; with one it would hold the controller back.
    settings = replace(chosen.ppo, learning_rate=0.01, entropy=0.01)
    controller = Controller([5], chosen.controller, seed=0)
    optimizer, generator = ppo.new_optimizer(controller, settings), torch.Generator().manual_seed(0)
    worth, baseline = torch.tensor([0.1, 0.4, 0.9, 0.3, 0.2]), None
    for _ in range(60):
        tokens, log_probs = controller.sample(20, generator)
        rewards = worth[tokens[:, 0]]
        rollout = ppo.Rollout(tokens=tokens, old_log_probs=log_probs, rewards=rewards)
        ppo.update(controller, optimizer, rollout, settings, baseline)
        baseline = ppo.next_baseline(baseline, rewards.mean().item(), settings)
    log_probs, _ = controller.log_probs_and_entropy(torch.arange(5)[:, None])
    assert log_probs.argmax().item() == 2
    assert log_probs.exp()[2].item() > 0.6


def test_entropy_bonus_keeps_the_controller_undecided() -> None:
    entropies = []
    for bonus in (0.0, 5.0):
        controller = Controller(N_CHOICES, SMALL, seed=0)
        settings = ppo.PPOSettings(learning_rate=0.02, entropy=bonus)
        optimizer = ppo.new_optimizer(controller, settings)
        for seed in range(30):
            rollout = rollout_of(controller, seed=seed)
            rewards = (rollout.tokens == 0).float().mean(1)
            ppo.update(controller, optimizer, replace(rollout, rewards=rewards), settings)
        entropies.append(controller.log_probs_and_entropy(rollout.tokens)[1].mean().item())
    assert entropies[0] < 0.5 * entropies[1]


def test_building_and_sampling_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    rollout_of(Controller(N_CHOICES, SMALL, seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"No preset named 'slow'\. Known: fast, paper\."):
        preset("slow")
    assert set(PRESETS) == {"fast", "paper"}


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"clip": 0.0}, {"n_epochs": 0}, {"baseline": "none"}, {"ema_decay": 1.0}):
        with pytest.raises(ValueError, match="must"):
            ppo.PPOSettings(**wrong)
    with pytest.raises(ValueError, match="n_choices"):
        Controller([3, 0])
