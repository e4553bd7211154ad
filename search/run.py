"""Run control: one search from its first sample to its result, in one folder.

The order of things within an update is what makes a run resumable. All that an update finds out is
in the store before the checkpoint moves on; a run that is killed redoes the unfinished update from
the last checkpoint, draws the same networks, and takes accuracies and measurements from the store.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mnaslat import __version__
from mnaslat.errors import SearchError
from mnaslat.search import ppo
from mnaslat.search.accuracy import checked_accuracy
from mnaslat.search.checkpoint import load_checkpoint, save_checkpoint
from mnaslat.search.controller import Controller
from mnaslat.search.presets import preset
from mnaslat.search.problem import SearchProblem
from mnaslat.search.result import (
    Candidate,
    SearchResult,
    candidates_of,
    choose_winner,
    front_of,
)
from mnaslat.search.reward import mnasnet_reward
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import Evaluation, SearchStore, UpdateRecord, tokens_text
from mnaslat.search.validation import Calibration

_FORMAT = 1  # of the checkpoint and of the order in which a run draws


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """How far a run is."""

    n_updates_done: int
    n_updates: int
    best: Evaluation  # by reward
    left_s: float  # estimate from the updates of this process


class Search:
    """A run in its folder, new or to be gone on with.

    The same problem, settings and folder go on after any interruption and end as an undisturbed run
    does. Close it, or use it in a ``with`` block.

    Raises:
        SearchError: If the folder holds another run or is in use.
        ValueError: If the problem's space is not the one that the settings name.
    """

    def __init__(self, problem: SearchProblem, settings: SearchSettings, folder: Path) -> None:
        if problem.space.name != settings.space:
            raise ValueError(
                f"The settings name space {settings.space!r}, the problem has "
                f"{problem.space.name!r}."
            )
        self._problem, self._settings, self._folder = problem, settings, folder
        self._checkpoint = folder / "controller.pt"
        self._ppo = preset(settings.preset).ppo
        self._controller = Controller(
            problem.space.n_choices, preset(settings.preset).controller, seed=settings.seed
        )
        self._optimizer = ppo.new_optimizer(self._controller, self._ppo)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._baseline: float | None = None
        self._n_updates_done = 0
        self._store = SearchStore(folder / "search.sqlite")
        try:
            self._store.claim(_identity(problem, settings))
            self._calibration = Calibration(problem, settings.reward, self._store)
            self._restore()
        except BaseException:
            self._store.close()
            raise

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._store.close()

    def run(self, progress: Callable[[SearchProgress], None] | None = None) -> SearchResult:
        """Search to the end, write the result's files and return it.

        Args:
            progress: Called after every update.
        """
        started_s, n_before = time.monotonic(), self._n_updates_done
        while self._n_updates_done < self._settings.n_updates:
            self._update(self._n_updates_done + 1)
            if progress is not None:
                n_left = self._settings.n_updates - self._n_updates_done
                pace_s = (time.monotonic() - started_s) / (self._n_updates_done - n_before)
                progress(
                    SearchProgress(
                        n_updates_done=self._n_updates_done,
                        n_updates=self._settings.n_updates,
                        best=self._store.best_evaluation(),
                        left_s=n_left * pace_s,
                    )
                )
        if self._problem.validator is not None:
            self._settle()
        result = self.result()
        result.write(self._folder)
        return result

    def result(self) -> SearchResult:
        """What the run has found so far.

        Raises:
            SearchError: If nothing was evaluated yet.
        """
        candidates = self._candidates(self._settings.n_updates + self._settings.n_final_validations)
        if not candidates:
            raise SearchError(f"The run in {self._folder} has evaluated nothing yet: run it first.")
        target_ms = self._settings.reward.target_ms
        validated = self._problem.validator is not None
        winner = choose_winner(candidates, target_ms, measured_only=validated)
        log = self._store.updates()
        return SearchResult(
            settings=self._settings,
            accuracy=self._problem.accuracy.description,
            winner=winner,
            meets_target=winner.latency_ms <= target_ms,
            front=front_of(candidates),
            validations=tuple(self._store.validations()),
            n_samples=len(self._store.evaluations()),
            n_networks=len(candidates),
            controller_s=sum(record.controller_s for record in log),
            seconds=sum(record.seconds for record in log),
        )

    def _update(self, number: int) -> None:
        started_s = time.monotonic()
        n_samples = min(
            self._ppo.n_samples, self._settings.n_samples - (number - 1) * self._ppo.n_samples
        )
        tokens, log_probs = self._controller.sample(n_samples, self._generator)
        controller_s = time.monotonic() - started_s
        rewards = self._evaluate(number, tokens)
        learning_s = time.monotonic()
        rollout = ppo.Rollout(
            tokens=tokens,
            old_log_probs=log_probs,
            rewards=torch.tensor(rewards, dtype=torch.float32),
        )
        log = ppo.update(self._controller, self._optimizer, rollout, self._ppo, self._baseline)
        self._baseline = ppo.next_baseline(self._baseline, float(np.mean(rewards)), self._ppo)
        controller_s += time.monotonic() - learning_s
        if self._problem.validator is not None and number % self._settings.validate_every == 0:
            self._validate_best(number)
        self._store.write_update(
            UpdateRecord(
                update_number=number,
                mean_reward=float(np.mean(rewards)),
                best_reward=max(rewards),
                controller_s=controller_s,
                seconds=time.monotonic() - started_s,
                **asdict(log),
            )
        )
        self._n_updates_done = number
        self._save()

    def _evaluate(self, number: int, tokens: torch.Tensor) -> list[float]:
        rows = [tokens_text(row) for row in tokens.tolist()]
        accuracies = [self._accuracy(row) for row in rows]
        predicted_ms = self._calibration.predict_ms(rows)
        rewards = mnasnet_reward(accuracies, predicted_ms, self._settings.reward).tolist()
        columns = (range(len(rows)), rows, accuracies, predicted_ms.tolist(), rewards)
        self._store.write_evaluations(
            Evaluation(number, *values) for values in zip(*columns, strict=True)
        )
        return list(rewards)

    def _accuracy(self, tokens: str) -> float:
        known = self._store.accuracy(tokens)
        if known is not None:
            return known
        found = self._problem.accuracy.evaluate([self._calibration.architecture(tokens)])
        accuracy = checked_accuracy(found[0], f"The accuracy of network {tokens}")
        self._store.add_accuracy(tokens, accuracy)
        return accuracy

    def _validate_best(self, number: int) -> None:
        unmeasured = [row for row in self._candidates(number - 1) if row.measured_ms is None]
        best = sorted(unmeasured, key=lambda row: -row.reward)[: self._settings.validate_top]
        self._calibration.validate(number, [row.tokens for row in best])
        # The moving average of rewards that no longer exist would mislead the next update.
        means: dict[int, list[float]] = {}
        for row in self._store.evaluations():
            means.setdefault(row.update_number, []).append(row.reward)
        self._baseline = None
        for rewards in means.values():
            self._baseline = ppo.next_baseline(self._baseline, float(np.mean(rewards)), self._ppo)

    def _settle(self) -> None:
        """Measure until the answer is the most accurate measured network at or under the target."""
        settings, first = self._settings, self._settings.n_updates + 1
        self._calibration.set_round(settings.n_updates)
        n_left, round_number = settings.n_final_validations, first
        while n_left > 0:
            candidates = self._candidates(round_number - 1)
            wanted = _worth_measuring(candidates, settings)[: min(settings.validate_top, n_left)]
            if not wanted:
                return
            self._calibration.validate(round_number, [row.tokens for row in wanted])
            n_left -= len(wanted)
            round_number += 1

    def _candidates(self, round_number: int) -> list[Candidate]:
        """Every network so far, with the measurements that were known after a round."""
        return candidates_of(
            self._store.evaluations(),
            self._calibration.validated_until(round_number),
            self._calibration.architecture,
        )

    def _save(self) -> None:
        state = {
            "format": _FORMAT,
            "n_updates_done": self._n_updates_done,
            "controller": self._controller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "baseline": self._baseline,
        }
        save_checkpoint(self._checkpoint, state)

    def _restore(self) -> None:
        if self._checkpoint.exists():
            state = load_checkpoint(self._checkpoint)
            if state.get("format") != _FORMAT:
                raise SearchError(f"{self._checkpoint} is of another version of this package.")
            try:
                self._controller.load_state_dict(state["controller"])
                self._optimizer.load_state_dict(state["optimizer"])
                self._generator.set_state(state["generator"])
                self._baseline = state["baseline"]
                self._n_updates_done = int(state["n_updates_done"])
                if not 0 <= self._n_updates_done <= self._settings.n_updates:
                    raise ValueError(f"{self._n_updates_done} updates are not of this run")
            except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
                raise SearchError(
                    f"{self._checkpoint} does not fit this run ({error}). Start another run."
                ) from error
        self._store.forget_updates_from(self._n_updates_done + 1)
        # A kill may have come after rewards were rescored for a validation that is redone now.
        if self._store.validations():
            self._calibration.set_round(self._n_updates_done)


def _worth_measuring(candidates: list[Candidate], settings: SearchSettings) -> list[Candidate]:
    """Networks that may be the answer and were not measured, the most promising first."""
    target_ms = settings.reward.target_ms
    measured = [row for row in candidates if row.measured_ms is not None]
    open_ = [row for row in candidates if row.measured_ms is None]
    within = [row.accuracy for row in measured if row.latency_ms <= target_ms]
    limit_ms = target_ms * (1.0 + settings.near_target)
    likely = [row for row in open_ if row.predicted_ms <= limit_ms]
    if within:
        likely = [row for row in likely if row.accuracy > max(within)]
    if likely or within:
        return sorted(likely, key=lambda row: (-row.accuracy, row.predicted_ms))
    return sorted(open_, key=lambda row: row.predicted_ms)


def _identity(problem: SearchProblem, settings: SearchSettings) -> dict[str, Any]:
    """What must stay the same for a run to be gone on with."""
    space = problem.space
    probes = [space.decode(row) for row in space.sample(4, np.random.default_rng(0))]
    predicted_ms = problem.predictor.predict_ms(probes)
    return {
        "format": _FORMAT,
        "mnaslat version": __version__,
        "settings": asdict(settings),
        "space": [[decision.name, list(decision.choices)] for decision in space.decisions],
        "accuracy source": problem.accuracy.description,
        "predictor (its latencies of four networks)": [f"{ms:.6g}" for ms in predicted_ms],
        "validator (whether there is one)": problem.validator is not None,
    }
