"""The controller learns, by the loss that PPO says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from mnaslat.search.controllers import ppo
from mnaslat.search.controllers.base import Controller
from mnaslat.search.controllers.presets import PRESETS, preset
from mnaslat.search.controllers.settings import PPOSettings, RecurrentSettings
from mnaslat.search.searchers.ppo import new_controller

N_CHOICES = np.array([4, 2, 3, 1, 3])
SMALL = RecurrentSettings(n_units=8, n_embedding=6, init_range=0.5)
ONE = torch.ones(1, 3)


def controller_of(name: str, in_range: bool = False) -> Controller:
    return new_controller(preset(name), N_CHOICES, seed=3, in_range=in_range)


def rollout_of(
    controller: Controller, n: int = 20, seed: int = 0, condition: torch.Tensor | None = None
) -> ppo.Rollout:
    own = None if condition is None else condition.repeat(n // len(condition))
    tokens = controller.sample(n, torch.Generator().manual_seed(seed), own)
    n_targets = 1 if condition is None else len(condition)
    rewards = np.random.default_rng(seed).random((n_targets, n)).astype(np.float32)
    return ppo.Rollout(
        tokens=tokens,
        drawn_log_probs=ppo.drawn_log_probs(controller, tokens, condition),
        condition=condition,
        rewards=torch.from_numpy(rewards),
    )


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_ratios_and_weights_are_one_before_the_first_step(name: str) -> None:
    controller = controller_of(name)
    rollout = rollout_of(controller)
    now, _ = controller.log_probs_and_entropy(rollout.tokens)
    torch.testing.assert_close((now - rollout.drawn_log_probs).exp(), torch.ones(1, 20))
    weights = ppo.weights_of(now, rollout.drawn_log_probs, 10.0)
    torch.testing.assert_close(weights, torch.ones(1, 20))


def test_weights_tell_what_was_drawn_for_other_targets() -> None:
    old = torch.tensor([[0.5, 0.1], [0.1, 0.9]]).log()
    drawn = old.logsumexp(0) - math.log(2.0)  # for both targets evenly: 0.3 and 0.5
    weights = ppo.weights_of(old, drawn, 10.0)
    assert weights.tolist() == [
        pytest.approx([5 / 3 / (5 / 3 + 0.2) * 2, 0.2 / (5 / 3 + 0.2) * 2]),
        pytest.approx([1 / 3 / (1 / 3 + 1.8) * 2, 1.8 / (1 / 3 + 1.8) * 2]),
    ]
    # A row that has become a thousand times likelier does not drown the others.
    assert ppo.weights_of(
        torch.tensor([[0.0, -7.0]]), torch.tensor([-7.0, -7.0]), 4.0
    ).tolist() == [pytest.approx([1.6, 0.4])]


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_the_mixture_of_targets_is_what_rows_were_drawn_from(name: str) -> None:
    controller = controller_of(name, in_range=True)
    condition = torch.tensor([0.0, 1.0])
    tokens = rollout_of(controller, condition=condition).tokens
    each, _ = controller.log_probs_and_entropy(tokens, condition)
    torch.testing.assert_close(
        ppo.drawn_log_probs(controller, tokens, condition), each.exp().mean(0).log()
    )


def test_ratio_moves_within_an_update() -> None:
    controller = controller_of("fast")
    settings = PPOSettings(n_epochs=8)
    optimizer = ppo.new_optimizer(controller, settings)
    log = ppo.update(controller, optimizer, rollout_of(controller), settings, entropy_bonus=0.0)
    assert log.kl > 1e-4
    assert log.clip_fraction > 0.0


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
    loss = ppo.clipped_loss(
        torch.tensor([[ratio]]), torch.tensor([[advantage]]), torch.tensor([[0.5]]), 0.2
    )
    assert loss.item() == pytest.approx(0.5 * expected)


def test_the_papers_advantages_worked_out_by_hand() -> None:
    rewards, ema = torch.tensor([[1.0, 3.0]]), PPOSettings(advantages="ema")
    assert ppo.advantages_of(rewards, ONE, ema, 0.5).tolist() == [[0.5, 2.5]]
    assert ppo.advantages_of(rewards, ONE, ema, None).tolist() == [[-1.0, 1.0]]
    # The second target is harder by 2: the same networks are as good there.
    two = torch.tensor([[3.0, 5.0], [1.0, 3.0]])
    assert ppo.advantages_of(two, ONE, ema, 2.5).tolist() == [[-0.5, 1.5], [-0.5, 1.5]]
    assert ppo.next_baseline(2.0, 4.0, ema) == pytest.approx(2.1)
    assert ppo.next_baseline(None, 4.0, ema) == 4.0


def test_ranks_as_normal_scores_worked_out_by_hand() -> None:
    settings = PPOSettings()
    # Ranks 1/6, 1/2, 5/6: the normal distribution's -z, 0, z, scaled to deviation 1.
    found = ppo.advantages_of(torch.tensor([[0.9, 0.1, 0.2]]), ONE, settings, None)
    assert found.tolist() == [pytest.approx([1.5**0.5, -(1.5**0.5), 0.0], abs=1e-3)]
    assert ppo.advantages_of(torch.ones(1, 3), ONE, settings, None).tolist() == [[0.0, 0.0, 0.0]]
    # A weight of two counts as two equal rows.
    twice = ppo.advantages_of(
        torch.tensor([[1.0, 1.0, 2.0, 3.0]]), torch.ones(1, 4), settings, None
    )
    weighted = ppo.advantages_of(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.5, 0.75, 0.75]]), settings, None
    )
    torch.testing.assert_close(twice[:, 1:], weighted)


@given(
    rewards=stn.arrays(np.float32, (2, 7), elements=st.floats(0, 1, width=32)),
    weights=stn.arrays(np.float32, (2, 7), elements=st.floats(0.125, 1, width=32)),
)
def test_rank_advantages_are_ordered_centred_and_scaled(
    rewards: np.ndarray, weights: np.ndarray
) -> None:
    w = torch.from_numpy(weights / weights.mean(1, keepdims=True))
    r = torch.from_numpy(rewards)
    found = ppo.advantages_of(r, w, PPOSettings(), None)
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close((found * w).mean(1), torch.zeros(2), atol=1e-4, rtol=0.0)
    for row, scores in zip(r.tolist(), found.tolist(), strict=True):
        by_reward = sorted(zip(row, scores, strict=True))
        assert all(a <= b + 1e-5 for (_, a), (_, b) in zip(by_reward, by_reward[1:], strict=False))


@pytest.mark.parametrize("condition", [None, torch.tensor([0.2, 0.9])])
@pytest.mark.parametrize("name", ["fast", "paper"])
def test_gradient_agrees_with_finite_differences(name: str, condition: torch.Tensor | None) -> None:
    chosen = replace(preset(name), recurrent=SMALL if name == "paper" else None)
    controller = new_controller(chosen, N_CHOICES, seed=2, in_range=condition is not None).double()
    with torch.no_grad():
        for parameter in controller.parameters():
            noise = torch.Generator().manual_seed(1)
            parameter.add_(torch.randn(parameter.shape, generator=noise).double(), alpha=0.3)
    rollout = rollout_of(controller, n=6, condition=condition)
    advantages = rollout.rewards.double() - 0.5
    weights = 0.5 + rollout.rewards.double().flip(1)
    with torch.no_grad():
        old, _ = controller.log_probs_and_entropy(rollout.tokens, condition)

    def loss() -> torch.Tensor:
        log_probs, entropy = controller.log_probs_and_entropy(rollout.tokens, condition)
        ratio = (log_probs - old - 0.05).exp()
        return ppo.clipped_loss(ratio, advantages, weights, 0.2) - 0.1 * entropy.mean()

    loss().backward()  # type: ignore[no-untyped-call]
    rng, step = np.random.default_rng(0), 1e-6
    for parameter in controller.parameters():
        if parameter.grad is None:  # one target has no use for the condition's weights
            assert condition is None
            continue
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
    # The paper's learning rate is for thousands of samples; a bandit test is shorter.
    settings = replace(chosen.ppo, learning_rate=max(chosen.ppo.learning_rate, 0.01))
    controller = new_controller(chosen, np.array([5]), seed=0, in_range=False)
    optimizer, generator = ppo.new_optimizer(controller, settings), torch.Generator().manual_seed(0)
    worth, baseline = torch.tensor([0.1, 0.4, 0.9, 0.3, 0.2]), None
    bonus = settings.entropy
    for number in range(60):
        tokens = controller.sample(20, generator)
        rewards = worth[tokens[:, 0]]
        rollout = ppo.Rollout(
            tokens=tokens,
            drawn_log_probs=ppo.drawn_log_probs(controller, tokens),
            condition=None,
            rewards=rewards[None],
        )
        log = ppo.update(
            controller, optimizer, rollout, settings, entropy_bonus=bonus, baseline=baseline
        )
        baseline = ppo.next_baseline(baseline, rewards.mean().item(), settings)
        bonus = ppo.scheduled_entropy_bonus(
            bonus, log.entropy / controller.max_entropy, number / 60, settings
        )
    log_probs = controller.log_probs_and_entropy(torch.arange(5)[:, None])[0][0]
    assert log_probs.argmax().item() == 2
    assert log_probs.exp()[2].item() > 0.6


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_one_controller_finds_the_best_arm_of_every_target(name: str) -> None:
    chosen = preset(name)
    settings = replace(
        chosen.ppo, learning_rate=max(chosen.ppo.learning_rate, 0.02), n_replayed=1, entropy=0.01
    )
    controller = new_controller(chosen, np.array([3, 2]), seed=0, in_range=True)
    optimizer, generator = ppo.new_optimizer(controller, settings), torch.Generator().manual_seed(0)
    for _ in range(80):
        condition = (torch.arange(20) + torch.rand(20, generator=generator)) / 20
        tokens = controller.sample(20, generator, condition)
        # Arm 0 is best for low targets, arm 2 for high ones.
        rewards = torch.where(tokens[:, 0] == 0, 1 - condition[:, None], 0.0)
        rewards = torch.where(tokens[:, 0] == 2, condition[:, None], rewards)
        rollout = ppo.Rollout(
            tokens=tokens,
            drawn_log_probs=ppo.drawn_log_probs(controller, tokens, condition),
            condition=condition,
            rewards=rewards,
        )
        ppo.update(controller, optimizer, rollout, settings, entropy_bonus=0.01)
    ends = torch.tensor([0.0, 1.0])
    rows = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    probabilities = controller.log_probs_and_entropy(rows, ends)[0].exp()
    assert probabilities[0, rows[:, 0] == 0].sum().item() > 0.6
    assert probabilities[1, rows[:, 0] == 2].sum().item() > 0.6


def test_the_bonus_follows_the_plan() -> None:
    settings = PPOSettings(entropy_plan=0.8, entropy_step=0.5)
    assert ppo.scheduled_entropy_bonus(1.0, 0.39, 0.5, settings) == pytest.approx(
        math.exp(0.5)
    )  # planned: 0.4
    assert ppo.scheduled_entropy_bonus(1.0, 0.41, 0.5, settings) == pytest.approx(math.exp(-0.5))
    assert ppo.scheduled_entropy_bonus(1e-3, 1.0, 0.5, settings) == 1e-3
    assert ppo.scheduled_entropy_bonus(100.0, 0.0, 0.5, settings) == 100.0
    assert ppo.scheduled_entropy_bonus(0.3, 0.0, 0.5, replace(settings, entropy_plan=None)) == 0.3


def test_entropy_bonus_keeps_the_controller_undecided() -> None:
    entropies = []
    for bonus in (0.0, 5.0):
        controller = controller_of("fast")
        settings = PPOSettings(learning_rate=0.1)
        optimizer = ppo.new_optimizer(controller, settings)
        for seed in range(30):
            rollout = rollout_of(controller, seed=seed)
            rewards = (rollout.tokens == 0).float().mean(1)[None]
            ppo.update(
                controller,
                optimizer,
                replace(rollout, rewards=rewards),
                settings,
                entropy_bonus=bonus,
            )
        entropies.append(controller.log_probs_and_entropy(rollout.tokens)[1].item())
    assert entropies[0] < 0.5 * entropies[1]


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"No preset named 'slow'\. Known: fast, paper\."):
        preset("slow")
    assert set(PRESETS) == {"fast", "paper"}


def test_wrong_settings_are_refused() -> None:
    wrong: list[dict[str, object]] = [
        {"clip": 0.0},
        {"n_epochs": 0},
        {"n_replayed": 0},
        {"advantages": "none"},
        {"ema_decay": 1.0},
        {"entropy_plan": 1.5},
        {"entropy": -1.0},
        {"max_weight": 0.0},
    ]
    for each in wrong:
        with pytest.raises(ValueError, match="must"):
            PPOSettings(**each)  # type: ignore[arg-type]
