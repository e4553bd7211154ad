"""Searches for one target with PPO trained on a surrogate's predictions; the default.

A prediction is free, an evaluation costs. So the controller learns from the predictions of a model
of the accuracies so far (``gaussian_process``) for thousands of networks, and the most promising of
them are evaluated; uncertain networks are preferred (by Thompson sampling).

The search restarts several times: from random networks and a new controller, whose entropy falls to
0 on a schedule. The model knows the evaluations of all restarts, so that a restart leaves regions
where nothing more can be gained. Late restarts are longer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.search.controllers import ppo
from mnaslat.search.controllers.independent import TableController
from mnaslat.search.controllers.presets import preset
from mnaslat.search.searchers.base import Observations
from mnaslat.search.searchers.gaussian_process import GaussianProcess
from mnaslat.search.tokens import TokenKey, token_keys


@dataclass(frozen=True, kw_only=True)
class SurrogatePPOSettings:
    """Settings of the search with a surrogate; docs/decisions.md has their reasons."""

    n_restart: int = 100  # networks evaluated in a restart, its start included
    n_start: int = 20  # random networks that it begins with
    n_tries: int = 20  # each is the first of so many that keeps to the target, else the fastest
    n_batch: int = 5  # networks evaluated between two trainings of the controller
    n_updates: int = 6  # of the controller in each training
    n_samples: int = 200  # networks an update, all free
    n_shortlist: int = 300  # networks that a batch is chosen from
    # The model's deviations count as so many times what it says: far from what it knows it is too
    # sure, and the search would stay with the first good region.
    spread: float = 5.0
    n_known: int = 1500  # evaluations that the model knows: the best in reward
    # A restart after more evaluations is longer by as much, start and batches too: less and less is
    # to be gained, and training model and controller costs the same for every batch.
    n_growing: int = 2000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        if not self.n_start < self.n_restart:
            raise ValueError(
                f"A restart of {self.n_restart} cannot begin with {self.n_start} networks."
            )


@dataclass(frozen=True)
class _Restart:
    """The numbers of evaluations of a restart: in all, at random to begin with, in a batch."""

    n: int
    n_start: int
    n_batch: int

    @staticmethod
    def beginning_at(first: int, settings: SurrogatePPOSettings) -> "_Restart":
        growth = max(1.0, first / settings.n_growing)
        return _Restart(
            *(int(growth * n) for n in (settings.n_restart, settings.n_start, settings.n_batch))
        )


class SurrogatePPOSearcher:
    """Proposes networks of a controller trained on a surrogate's predictions, without repeats.

    Args:
        n_choices: Of each decision.
        seed: Of all draws.
        settings: Of the surrogate and the restarts.
    """

    def __init__(
        self, n_choices: Tokens, *, seed: int, settings: SurrogatePPOSettings | None = None
    ) -> None:
        self._n_choices = torch.as_tensor(n_choices)
        self._settings = settings or SurrogatePPOSettings()
        self._ppo = replace(
            preset("fast").ppo, n_samples=self._settings.n_samples, n_replayed=1, n_draws=1
        )
        self._generator = torch.Generator().manual_seed(seed)
        self._model = GaussianProcess(self._n_choices)
        self._rows: set[TokenKey] = set()  # of tokens that were seen, and their networks ...
        self._networks: set[Architecture] = set()
        self._n_looked_at = 0  # ... among so many evaluations
        self._begin_restart(0)

    def propose(self, observations: Observations, n: int, /) -> Tokens:
        """Propose the next rows of the restart; known ones only if the space has no others left."""
        if len(observations) - self._restart_first >= self._restart.n:
            self._begin_restart(len(observations))
        n_done = len(observations) - self._restart_first
        if n_done >= self._restart.n_start and np.isfinite(observations.accuracy).any():
            n_batch = min(self._restart.n_batch, self._restart.n - n_done, n)
            rows = self._promising(observations, n_done, n_batch)
            if len(rows):
                return rows
            self._begin_restart(len(observations))  # all that the controller still draws is known
            n_done = 0
        return self._starts(observations, min(max(self._restart.n_start - n_done, 1), n))

    def learn(self, observations: Observations, first: int, /) -> Mapping[str, float]:
        """Do nothing: model and controller learn in `propose`, from all observations."""
        return {**self._log, "leg_first": float(self._restart_first)}

    def state(self) -> dict[str, Any]:
        """Return the controller's state and the model's weights."""
        return {
            "leg_first": self._restart_first,
            "entropy_bonus": self._entropy_bonus,
            "controller": self._controller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "model": self._model.state(),
            "generator": self._generator.get_state(),
        }

    def restore(self, state: Mapping[str, Any], observations: Observations, /) -> None:
        """Restore the state saved between two rounds."""
        self._begin_restart(int(state["leg_first"]))
        self._entropy_bonus = float(state["entropy_bonus"])
        self._controller.load_state_dict(state["controller"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._model.restore(state["model"])
        self._generator.set_state(state["generator"])

    def _begin_restart(self, first: int) -> None:
        self._restart_first = first
        self._log: dict[str, float] = {}  # of the restart's last update
        self._restart = _Restart.beginning_at(first, self._settings)
        # In double precision, as the model: their draws and ranks agree on every machine.
        self._controller = TableController(self._n_choices).double()
        self._optimizer = ppo.new_optimizer(self._controller, self._ppo)
        self._entropy_bonus = self._ppo.entropy

    def _starts(self, observations: Observations, n: int) -> Tokens:
        """Draw random networks that keep to the target, new ones where there are any."""
        self._look_at(observations)
        n_tries = self._settings.n_tries
        for _ in range(20):  # of a small space most may be known
            drawn = torch.rand(n * n_tries, len(self._n_choices), generator=self._generator)
            rows: Tokens = (drawn * self._n_choices).long().numpy()
            latency_ms = observations.latency_of(rows).reshape(n, n_tries)
            keeps = self._keeps_to_target(observations, latency_ms)
            first = np.where(keeps.any(1), keeps.argmax(1), latency_ms.argmin(1))
            rows = rows.reshape(n, n_tries, -1)[np.arange(n), first]
            new = _new_ones(observations.networks_of(rows), self._networks)
            if new:
                return rows[new]
        return rows

    def _keeps_to_target(self, observations: Observations, latency_ms: Floats) -> NDArray[np.bool_]:
        """Check latencies; all are good where being faster is always rewarded (the soft reward)."""
        target_ms = observations.next_target_ms(1)
        at, below = (
            observations.reward_of(np.ones(1), share * target_ms, target_ms)[0]
            for share in (1.0, 0.5)
        )
        return np.asarray((latency_ms <= target_ms) | (below > at))

    def _promising(self, observations: Observations, n_done: int, n: int) -> Tokens:
        there = np.flatnonzero(np.isfinite(observations.accuracy))
        tokens = torch.from_numpy(observations.tokens[there])
        accuracies = torch.from_numpy(observations.accuracy[there])
        self._model.fit_weights(tokens, accuracies, self._generator)
        if len(there) > self._settings.n_known:
            best = np.argsort(-observations.reward[there], kind="stable")[: self._settings.n_known]
            tokens, accuracies = tokens[best], accuracies[best]
        self._model.condition(tokens, accuracies)
        # 1. The controller learns; all that it draws on the way is a candidate.
        n_start, n_restart = self._restart.n_start, self._restart.n
        share_done = (n_done - n_start + n) / (n_restart - n_start)
        drawn = [
            self._imagined_update(observations, share_done) for _ in range(self._settings.n_updates)
        ]
        self._look_at(observations)
        keys = dict.fromkeys(token_keys(torch.cat(drawn).numpy()))
        new = [key for key in keys if key not in self._rows]
        if not new:
            return np.empty((0, len(self._n_choices)), dtype=np.int64)
        rows = np.array(new, dtype=np.int64)
        # 2. The shortlist: the best of them as the model sees it.
        latency_ms = observations.latency_of(rows)
        guesses = self._rewards(
            observations, self._model.predict(torch.from_numpy(rows)), latency_ms
        )
        best = np.argsort(-guesses, kind="stable")[: self._settings.n_shortlist]
        rows, latency_ms = rows[best], latency_ms[best]
        # 3. The batch: each is the best in one draw of what the accuracies may be (Thompson, 1933).
        draws = self._model.draw(
            torch.from_numpy(rows), min(n, len(rows)), self._generator, self._settings.spread
        )
        return self._chosen(
            observations, rows, [self._rewards(observations, row, latency_ms) for row in draws]
        )

    def _chosen(self, observations: Observations, rows: Tokens, rewards: list[Floats]) -> Tokens:
        """Choose the best row by each of the rewards, none being a known network."""
        chosen: dict[Architecture, int] = {}
        for each in rewards:
            for index in np.argsort(-each, kind="stable"):
                (network,) = observations.networks_of(rows[index][None])
                if network not in self._networks and network not in chosen:
                    chosen[network] = int(index)
                    break
        return np.asarray(rows[list(chosen.values())])

    def _imagined_update(self, observations: Observations, share_done: float) -> Tensor:
        """Update once on predictions; returns the rows that were drawn."""
        tokens = self._controller.sample(self._ppo.n_samples, self._generator)
        guesses = self._model.predict(tokens)
        rewards = self._rewards(observations, guesses, observations.latency_of(tokens.numpy()))
        rollout = ppo.Rollout(
            tokens=tokens,
            drawn_log_probs=ppo.drawn_log_probs(self._controller, tokens),
            condition=None,
            rewards=torch.from_numpy(rewards)[None],
        )
        log = ppo.update(
            self._controller,
            self._optimizer,
            rollout,
            self._ppo,
            entropy_bonus=self._entropy_bonus,
        )
        share = log.entropy / self._controller.max_entropy
        self._entropy_bonus = ppo.scheduled_entropy_bonus(
            self._entropy_bonus, share, share_done, self._ppo
        )
        self._log = {**asdict(log), "entropy_bonus": self._entropy_bonus}
        return tokens

    def _rewards(
        self, observations: Observations, accuracies: Tensor, latency_ms: Floats
    ) -> Floats:
        target_ms = np.full(len(latency_ms), observations.next_target_ms(1)[0])
        return observations.reward_of(accuracies.numpy(), latency_ms, target_ms)

    def _look_at(self, observations: Observations) -> None:
        """Add the new observations to the known networks; other tokens can stand for them."""
        new = observations.tokens[self._n_looked_at :]
        self._rows.update(token_keys(new))
        self._networks.update(observations.networks_of(new))
        self._n_looked_at = len(observations)


def _new_ones(networks: list[Architecture], known: set[Architecture]) -> list[int]:
    """Indices of networks that are not known, each once."""
    first: dict[Architecture, int] = {}
    for index, network in enumerate(networks):
        if network not in known:
            first.setdefault(network, index)
    return list(first.values())
