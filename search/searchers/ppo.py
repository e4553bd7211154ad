"""Searches with the PPO controller: every update learns from real evaluations alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnaslat.arrays import Floats, Tokens
from mnaslat.search.controllers import ppo
from mnaslat.search.controllers.base import Controller
from mnaslat.search.controllers.independent import TableController
from mnaslat.search.controllers.lstm import RecurrentController
from mnaslat.search.controllers.presets import Preset, preset
from mnaslat.search.searchers.base import Observations
from mnaslat.search.tokens import token_keys


def new_controller(chosen: Preset, n_choices: Tokens, *, seed: int, in_range: bool) -> Controller:
    """A preset's controller that has learned nothing yet, for one target or a range of them."""
    if chosen.recurrent is not None:
        return RecurrentController(n_choices, chosen.recurrent, seed=seed)
    return TableController(n_choices, n_knots=chosen.n_knots if in_range else 1)


@dataclass(frozen=True)
class _Drawn:
    """The rows that one update has drawn: from ``first`` on among the observations."""

    first: int
    log_probs: Tensor  # (n,), when they were drawn


class PPOSearcher:
    """Draws networks from a controller that learns from their rewards.

    Args:
        n_choices: Of each decision.
        preset_name: Of controller and learning.
        seed: Of weights and draws.
        in_range: Whether there is a range of targets: the controller is then given each one.
    """

    def __init__(
        self, n_choices: Tokens, preset_name: str, *, seed: int, in_range: bool = False
    ) -> None:
        chosen = preset(preset_name)
        self._settings, self._in_range = chosen.ppo, in_range
        self._controller = new_controller(chosen, n_choices, seed=seed, in_range=in_range)
        self._optimizer = ppo.new_optimizer(self._controller, self._settings)
        self._generator = torch.Generator().manual_seed(seed)
        self._entropy_bonus = self._settings.entropy
        self._replayed: list[_Drawn] = []
        self._condition: Tensor | None = None  # of the last proposal
        self._log_probs: Tensor | None = None

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Draw up to ``n`` networks; new ones where enough can be found."""
        self._condition = self._conditions(observations, observations.next_target_ms(n))
        tokens = self._draw(n, observations)
        self._log_probs = ppo.drawn_log_probs(self._controller, tokens, self._condition)
        return np.asarray(tokens.numpy())

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Update on the last proposal and those of a few updates before."""
        assert self._log_probs is not None
        before = [each for each in self._replayed if each.first < first]
        drawn = [*before, _Drawn(first, self._log_probs)]
        self._replayed = drawn[-self._settings.n_replayed :]
        begin = self._replayed[0].first
        there = np.isfinite(observations.reward[begin:])  # failed evaluations teach nothing
        if not there.any():
            return {}
        rollout = ppo.Rollout(
            tokens=torch.from_numpy(observations.tokens[begin:][there]),
            drawn_log_probs=torch.cat([each.log_probs for each in self._replayed])[
                torch.from_numpy(there)
            ],
            condition=self._condition,
            rewards=torch.from_numpy(self._rewards(observations, begin, first)[:, there]).float(),
        )
        log = ppo.update(
            self._controller,
            self._optimizer,
            rollout,
            self._settings,
            entropy_bonus=self._entropy_bonus,
            baseline=self._moving_average(observations, first),
        )
        self._entropy_bonus = ppo.scheduled_entropy_bonus(
            self._entropy_bonus,
            log.entropy / self._controller.max_entropy,
            min(len(observations) / observations.n_total, 1.0),
            self._settings,
        )
        return {**asdict(log), "entropy_bonus": self._entropy_bonus}

    def state(self) -> dict[str, Any]:
        """Return the weights, the optimiser's and the generator's state, and the rows replayed."""
        return {
            "controller": self._controller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "entropy_bonus": self._entropy_bonus,
            "replayed": [
                {"first": each.first, "log_probs": each.log_probs} for each in self._replayed
            ],
        }

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Restore the state saved between two rounds."""
        self._controller.load_state_dict(state["controller"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        self._entropy_bonus = float(state["entropy_bonus"])
        self._replayed = [
            _Drawn(int(each["first"]), each["log_probs"]) for each in state["replayed"]
        ]

    def _conditions(self, observations: Observations, target_ms: Floats) -> Tensor | None:
        """Place targets in their range, in logarithms, shape ``(n,)``; None: there is one."""
        if not self._in_range:
            return None
        low, high = np.log(observations.target_range_ms)
        return torch.from_numpy((np.log(target_ms) - low) / (high - low)).float()

    def _draw(self, n: int, observations: Observations) -> Tensor:
        """Draw ``n`` rows, each under its own condition; known ones are drawn again."""
        known = set(token_keys(observations.tokens))
        tokens = self._controller.sample(n, self._generator, self._condition)
        for _ in range(self._settings.n_draws - 1):
            again, taken = [], set(known)
            for index, key in enumerate(token_keys(tokens.numpy())):
                if key in taken:
                    again.append(index)
                taken.add(key)
            if not again:
                break
            own = None if self._condition is None else self._condition[again]
            tokens[again] = self._controller.sample(len(again), self._generator, own)
        return tokens

    def _rewards(self, observations: Observations, begin: int, first: int) -> Floats:
        """Compute rewards, ``(c, n)``, of rows from ``begin`` under the targets from ``first``."""
        if not self._in_range:
            return observations.reward[None, begin:]
        target_ms, n = observations.target_ms[first:], len(observations) - begin
        rewards = observations.reward_of(
            np.tile(observations.accuracy[begin:], len(target_ms)),
            np.tile(observations.latency_ms[begin:], len(target_ms)),
            target_ms.repeat(n),
        )
        return rewards.reshape(len(target_ms), n)

    def _moving_average(self, observations: Observations, first: int) -> float | None:
        """Average the rewards of the updates before, as they are scored now."""
        baseline: float | None = None
        if self._settings.advantages != "ema":
            return baseline
        for start in range(0, first, self._settings.n_samples):
            rewards = observations.reward[start : min(start + self._settings.n_samples, first)]
            if np.isfinite(rewards).any():
                mean = float(rewards[np.isfinite(rewards)].mean())
                baseline = ppo.next_baseline(baseline, mean, self._settings)
        return baseline
