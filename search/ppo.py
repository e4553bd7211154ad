"""One update of the controller by proximal policy optimisation, read from top to bottom.

Writing one architecture is one action: its ratio is that of the whole row's probabilities. There is
no value network and no discounting, for an episode has one action and one reward.

Sources: Schulman et al., 2017 (arXiv:1707.06347), equation 7 for the loss; Tan et al., MnasNet,
CVPR 2019, and Zoph et al., NASNet, CVPR 2018 (appendix) for what the paper publishes of its
settings. What they leave open (clip range, epochs, optimiser) has its reason beside it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mnaslat.search.controller import Controller

Baseline = Literal["batch", "ema"]


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """How the controller learns."""

    n_samples: int = 20  # architectures an update: the paper's
    n_epochs: int = 4  # steps on the same samples; PPO's usual number
    learning_rate: float = 3e-3
    clip: float = 0.2  # PPO's usual range; not published for MnasNet
    entropy: float = 2.0  # bonus for one nat in the average decision; 0.2 settles too early
    # "batch": advantages are this update's rewards less their mean, over their deviation.
    # "ema": rewards less their exponential moving average, as in the paper.
    baseline: Baseline = "batch"
    ema_decay: float = 0.95  # the paper's
    max_grad_norm: float = 0.5  # PPO's usual limit

    def __post_init__(self) -> None:
        for name in ("n_samples", "n_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "clip", "max_grad_norm"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        if not self.entropy >= 0.0:
            raise ValueError(f"entropy must be 0 or positive, got {self.entropy}.")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must lie in [0, 1), got {self.ema_decay}.")
        if self.baseline not in get_args(Baseline):
            raise ValueError(f"baseline must be one of {get_args(Baseline)}, got {self.baseline}.")


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What was sampled and what it was worth."""

    tokens: Tensor  # (n, decisions)
    old_log_probs: Tensor  # (n,), as they were when the tokens were drawn
    rewards: Tensor  # (n,)


@dataclass(frozen=True, kw_only=True)
class UpdateLog:
    """What one update did; averages over its epochs unless said otherwise."""

    loss: float  # falls within an update; means little between updates
    entropy: float  # nats per architecture; falls to 0 as the controller settles on one network
    clip_fraction: float  # share of samples whose ratio left the clip range: above 0.5 is too fast
    kl: float  # how far the last epoch is from the sampling policy (nats, the k3 estimate)
    grad_norm: float  # before clipping


def new_optimizer(controller: Controller, settings: PPOSettings) -> torch.optim.Adam:
    """Adam, the usual choice for PPO; the paper does not say which optimiser it used."""
    return torch.optim.Adam(controller.parameters(), lr=settings.learning_rate)


def update(
    controller: Controller,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: PPOSettings,
    baseline: float | None = None,
) -> UpdateLog:
    """Move the controller towards the rows that scored better than expected.

    Args:
        controller: Changed in place.
        optimizer: Of the controller's parameters.
        rollout: The samples of this update.
        settings: How to learn.
        baseline: The moving average of the rewards before this update (``next_baseline``); None on
            the first update. Only the "ema" baseline uses it.
    """
    # 1. Advantages, once per update: they must not change between the epochs.
    advantages = advantages_of(rollout.rewards, settings, baseline)
    logs = []
    for _ in range(settings.n_epochs):
        # 2. Ratios to the probabilities STORED AT SAMPLING TIME. Computed anew from the present
        #    weights they would always be 1, and PPO would silently be plain REINFORCE.
        log_probs, entropy = controller.log_probs_and_entropy(rollout.tokens)
        log_ratio = log_probs - rollout.old_log_probs
        # 3. Clipped loss, and a bonus for being undecided, so that the search does not stop early.
        policy_loss = clipped_loss(log_ratio.exp(), advantages, settings.clip)
        loss = policy_loss - settings.entropy * entropy.mean() / controller.n_decisions
        # 4. One step on all samples of the update: with 20 there is nothing to split.
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        grad_norm = torch.nn.utils.clip_grad_norm_(controller.parameters(), settings.max_grad_norm)
        optimizer.step()
        with torch.no_grad():
            clipped = ((log_ratio.exp() - 1.0).abs() > settings.clip).float().mean()
            kl = (log_ratio.exp() - 1.0 - log_ratio).mean()
            logs.append(torch.stack((loss, entropy.mean(), clipped, kl, grad_norm)))
    mean, last = torch.stack(logs).mean(0).tolist(), logs[-1].tolist()
    return UpdateLog(
        loss=mean[0], entropy=mean[1], clip_fraction=mean[2], kl=last[3], grad_norm=mean[4]
    )


def advantages_of(rewards: Tensor, settings: PPOSettings, baseline: float | None) -> Tensor:
    """How much better than expected each reward is, shape ``(n,)``."""
    if settings.baseline == "ema":
        # The first update has no history: its own mean is the least surprising start.
        return rewards - (float(rewards.mean()) if baseline is None else baseline)
    centred = rewards - rewards.mean()
    # All rewards equal: nothing to learn, so 0 / 1e-8 rather than 0 / 0.
    return centred / (centred.square().mean().sqrt() + 1e-8)


def clipped_loss(ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's loss (equation 7, negated): a ratio outside 1 +- clip earns nothing more.

    The minimum makes it one-sided: a step that made a bad row likelier is still taken back.
    """
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages).mean()


def next_baseline(baseline: float | None, mean_reward: float, settings: PPOSettings) -> float:
    """The moving average after an update whose rewards average ``mean_reward``."""
    if baseline is None:
        return mean_reward
    return settings.ema_decay * baseline + (1.0 - settings.ema_decay) * mean_reward
