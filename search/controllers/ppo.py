"""Updates the controller by proximal policy optimisation, read from top to bottom.

Writing one architecture is one action: its ratio is that of the whole row's probabilities. There is
no value network and no discounting, for an episode has one action and one reward.

Under a range of targets a network evaluated for one of them is an example for all: its reward is
known for each (``rewards[g, i]``), and a weight corrects for having been drawn for another. The
same weight lets the networks of the last few updates be learned from again.

Sources: Schulman et al., 2017 (arXiv:1707.06347), equation 7 for the loss; Tan et al., MnasNet,
CVPR 2019, and Zoph et al., NASNet, CVPR 2018 (appendix) for what the paper publishes of its
settings; Hilton et al., 2022 (arXiv:2110.00641) for ratios to the policy before the update, with
weights for what an older one has drawn. What the paper leaves open has its reason beside it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mnaslat.search.controllers.base import Controller
from mnaslat.search.controllers.settings import PPOSettings

_EXTREME = 1e-4  # ranks are kept off 0 and 1, whose normal scores are infinite


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Sampled rows and their rewards."""

    tokens: Tensor  # (n, decisions)
    # (n,): log-probability of each row WHEN DRAWN, under the mixture of the targets of its update.
    # Computed anew by the present policy, all weights would be 1.
    drawn_log_probs: Tensor
    condition: Tensor | None  # (c,): where the targets lie in their range; None: there is one
    rewards: Tensor  # (c, n): of every row under every target


@dataclass(frozen=True, kw_only=True)
class UpdateLog:
    """Figures of one update; averages over its epochs unless said otherwise."""

    loss: float  # falls within an update; means little between updates
    entropy: float  # nats an architecture; falls to 0 as the controller settles on one network
    clip_fraction: float  # share of samples whose ratio left the clip range
    kl: float  # how far the last epoch is from the policy before the update (nats, k3 estimate)
    grad_norm: float  # before clipping


def new_optimizer(controller: Controller, settings: PPOSettings) -> torch.optim.Adam:
    """Adam, the usual choice for PPO; the paper does not say which optimiser it used."""
    return torch.optim.Adam(controller.parameters(), lr=settings.learning_rate)


def drawn_log_probs(
    controller: Controller, tokens: Tensor, condition: Tensor | None = None
) -> Tensor:
    """Compute log-probabilities under the mixture of the conditions drawn for, ``(n,)``."""
    with torch.no_grad():
        log_probs, _ = controller.log_probs_and_entropy(tokens, condition)
        return log_probs.logsumexp(0) - math.log(len(log_probs))


def update(
    controller: Controller,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: PPOSettings,
    *,
    entropy_bonus: float,
    baseline: float | None = None,
) -> UpdateLog:
    """Move the controller towards the rows that scored better than expected.

    Args:
        controller: Changed in place.
        optimizer: Of the controller's parameters.
        rollout: The samples of this update, and those replayed.
        settings: How to learn.
        entropy_bonus: For one nat in the average decision (``scheduled_entropy_bonus``).
        baseline: The moving average of the rewards before this update (``next_baseline``); None on
            the first update. Only the "ema" advantages use it.
    """
    tokens, condition = rollout.tokens, rollout.condition
    # 1. The policy before the update, which ratios refer to; and weights for rows that it would
    #    have drawn more or less often than they were. Both are 1 for one target without replay.
    with torch.no_grad():
        old_log_probs, _ = controller.log_probs_and_entropy(tokens, condition)
    weights = weights_of(old_log_probs, rollout.drawn_log_probs, settings.max_weight)
    # 2. Advantages, once per update: they must not change between the epochs.
    advantages = advantages_of(rollout.rewards, weights, settings, baseline)
    logs = []
    for _ in range(settings.n_epochs):
        # 3. Clipped loss, and a bonus for being undecided, so that the search does not stop early.
        log_probs, entropy = controller.log_probs_and_entropy(tokens, condition)
        log_ratio = log_probs - old_log_probs
        policy_loss = clipped_loss(log_ratio.exp(), advantages, weights, settings.clip)
        loss = policy_loss - entropy_bonus * entropy.mean() / controller.n_decisions
        # 4. One step on all samples of the update: with so few there is nothing to split.
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        grad_norm = torch.nn.utils.clip_grad_norm_(controller.parameters(), settings.max_grad_norm)
        optimizer.step()
        with torch.no_grad():
            clipped = ((log_ratio.exp() - 1.0).abs() > settings.clip).float().mean()
            kl = (weights * (log_ratio.exp() - 1.0 - log_ratio)).mean()
            logs.append(torch.stack((loss, entropy.mean(), clipped, kl, grad_norm)))
    mean, last = torch.stack(logs).mean(0).tolist(), logs[-1].tolist()
    return UpdateLog(
        loss=mean[0], entropy=mean[1], clip_fraction=mean[2], kl=last[3], grad_norm=mean[4]
    )


def weights_of(old_log_probs: Tensor, drawn_log_probs: Tensor, most: float) -> Tensor:
    """Compute how much more likely rows are now, under each condition, than when drawn: ``(c, n)``.

    At most ``most``, then with mean 1 under every condition.
    """
    weights = (old_log_probs - drawn_log_probs).exp().clamp(max=most)
    return weights / weights.mean(1, keepdim=True).clamp(min=1e-30)


def advantages_of(
    rewards: Tensor, weights: Tensor, settings: PPOSettings, baseline: float | None
) -> Tensor:
    """Compute how much better than expected each reward is under its target, ``(c, n)``."""
    mean = rewards.mean(1, keepdim=True)
    if settings.advantages == "ema":
        # The first update has no history: its own mean is the least surprising start. A target
        # that is harder than others has lower rewards, which is no fault of its networks.
        usual = mean if baseline is None else baseline + mean - rewards.mean()
        return rewards - usual
    return _normal_scores(rewards, weights)


def _normal_scores(rewards: Tensor, weights: Tensor) -> Tensor:
    """Weighted ranks as quantiles of the normal distribution: mean 0, deviation 1."""
    ordered, order = rewards.contiguous().sort(dim=1, stable=True)
    share = weights.gather(1, order)
    upto = share.cumsum(1)
    # Equal rewards are equally good: all get the middle of their ranks.
    first = torch.searchsorted(ordered, ordered, side="left")
    last = torch.searchsorted(ordered, ordered, side="right") - 1
    middle = ((upto - share).gather(1, first) + upto.gather(1, last)) / 2
    rank = middle / share.sum(1, keepdim=True).clamp(min=1e-30)
    scores = torch.special.ndtri(rank.clamp(_EXTREME, 1.0 - _EXTREME))
    scores = torch.zeros_like(rewards).scatter(1, order, scores)
    scores = scores - (scores * weights).mean(1, keepdim=True)
    # All rewards equal: nothing to learn, and no division by a rounding error.
    return scores / ((scores.square() * weights).mean(1, keepdim=True).sqrt() + 1e-4)


def clipped_loss(ratio: Tensor, advantages: Tensor, weights: Tensor, clip: float) -> Tensor:
    """PPO's loss (equation 7, negated): a ratio outside 1 +- clip earns nothing more.

    The minimum makes it one-sided: a step that made a bad row likelier is still taken back.
    """
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -(weights * torch.minimum(ratio * advantages, clipped * advantages)).mean()


def scheduled_entropy_bonus(
    bonus: float, entropy_share: float, share_done: float, settings: PPOSettings
) -> float:
    """Compute the entropy bonus of the next update.

    Args:
        bonus: Of the last one.
        entropy_share: The controller's entropy, as a share of the largest.
        share_done: Of the run, from 0 to 1.
        settings: With the plan.
    """
    if settings.entropy_plan is None:
        return bonus
    planned = settings.entropy_plan * (1.0 - share_done)
    step = settings.entropy_step if entropy_share < planned else -settings.entropy_step
    return min(max(bonus * math.exp(step), 1e-3), 100.0)


def next_baseline(baseline: float | None, mean_reward: float, settings: PPOSettings) -> float:
    """Compute the moving average after an update whose rewards average ``mean_reward``."""
    if baseline is None:
        return mean_reward
    return settings.ema_decay * baseline + (1.0 - settings.ema_decay) * mean_reward
