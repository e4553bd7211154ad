"""Keeping the reward tied to the device: measure, re-calibrate, rescore.

Predictors are wrong, and a search finds out where: it drifts to networks whose latency is predicted
too low. So the best are measured now and then, the predictor learns from it, and every reward so
far is computed anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError
from mnaslat.search.problem import CompilingPredictor, Predictor, SearchProblem
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.store import SearchStore, Validation
from mnaslat.space import SearchSpace, Tokens

Floats = NDArray[np.float64]


class Calibration:
    """The predictor of a run as it is after some round of validation."""

    def __init__(self, problem: SearchProblem, reward: RewardSettings, store: SearchStore) -> None:
        self._problem, self._reward, self._store = problem, reward, store
        self._predict = _Predictions(problem.predictor, problem.space, self.architecture)
        self._architectures: dict[str, Architecture] = {}
        self._predicted_ms: dict[str, float] = {}

    def architecture(self, tokens: str) -> Architecture:
        """The network of a row of tokens."""
        if tokens not in self._architectures:
            row = [int(token) for token in tokens.split(",")]
            self._architectures[tokens] = self._problem.space.decode(row)
        return self._architectures[tokens]

    def predict_ms(self, rows: Sequence[str]) -> Floats:
        """Latencies by the present predictor, shape ``(len(rows),)``.

        Raises:
            SearchError: If a prediction is not a positive number.
        """
        new = [tokens for tokens in dict.fromkeys(rows) if tokens not in self._predicted_ms]
        if new:
            latency_ms = _checked_ms(self._predict(new), new, "predicted")
            self._predicted_ms.update(zip(new, latency_ms.tolist(), strict=True))
        return np.array([self._predicted_ms[tokens] for tokens in rows])

    def validated_until(self, round_number: int) -> list[Validation]:
        """Validations of a round and of those before it."""
        return [row for row in self._store.validations() if row.round <= round_number]

    def validate(self, round_number: int, rows: Sequence[str]) -> None:
        """Measure networks, re-calibrate with all measurements so far, rescore the past.

        What an interrupted run has measured already is not measured again.

        Raises:
            SearchError: If a measurement is not a positive number.
        """
        assert self._problem.validator is not None
        measured = {row.tokens for row in self._store.validations()}
        missing = [tokens for tokens in rows if tokens not in measured]
        if missing:
            predicted_ms = self.predict_ms(missing).tolist()
            architectures = [self.architecture(tokens) for tokens in missing]
            results = self._problem.validator.measure(architectures)
            measured_ms = _checked_ms(results, missing, "measured").tolist()
            self._store.write_validations(
                Validation(tokens, round_number, before, found)
                for tokens, before, found in zip(missing, predicted_ms, measured_ms, strict=True)
            )
        self.set_round(round_number)
        done = [row for row in self.validated_until(round_number) if row.round == round_number]
        after_ms = self.predict_ms([row.tokens for row in done]).tolist()
        self._store.write_validations(
            replace(row, predicted_after_ms=after)
            for row, after in zip(done, after_ms, strict=True)
        )

    def set_round(self, round_number: int) -> None:
        """Use the predictor as it is after a round, and rescore all evaluations with it."""
        known = self.validated_until(round_number)
        predictor = self._problem.predictor
        self._predicted_ms.clear()
        if known:
            architectures = [self.architecture(row.tokens) for row in known]
            measured_ms = np.array([row.measured_ms for row in known])
            predictor = predictor.recalibrated(architectures, measured_ms)
        self._predict = _Predictions(predictor, self._problem.space, self.architecture)
        self._rescore()

    def _rescore(self) -> None:
        evaluations = self._store.evaluations()
        predicted_ms = self.predict_ms([row.tokens for row in evaluations])
        accuracies = [row.accuracy for row in evaluations]
        rewards = mnasnet_reward(accuracies, predicted_ms, self._reward)
        self._store.write_evaluations(
            replace(row, predicted_ms=latency_ms, reward=reward)
            for row, latency_ms, reward in zip(
                evaluations, predicted_ms.tolist(), rewards.tolist(), strict=True
            )
        )


class _Predictions:
    """One predictor's latencies of rows of tokens, compiled where it can be.

    Compiled from the first question on: the way must not depend on how many networks a process asks
    for, or a run that was interrupted would differ from an undisturbed one in the last digit.
    """

    def __init__(
        self,
        predictor: Predictor,
        space: SearchSpace,
        architecture: Callable[[str], Architecture],
    ) -> None:
        self._predictor, self._space, self._architecture = predictor, space, architecture

    def __call__(self, rows: Sequence[str]) -> Floats:
        if self._compiled is None:
            return self._predictor.predict_ms([self._architecture(tokens) for tokens in rows])
        return self._compiled(np.array([tokens.split(",") for tokens in rows]).astype(np.int64))

    @cached_property
    def _compiled(self) -> Callable[[Tokens], Floats] | None:
        if not isinstance(self._predictor, CompilingPredictor):
            return None
        try:
            return self._predictor.compile(self._space)
        except ValueError:  # a user's space that cannot be tabulated can still be searched
            return None


def _checked_ms(latency_ms: Floats, rows: Sequence[str], how: str) -> Floats:
    latency_ms = np.asarray(latency_ms, dtype=np.float64)
    if latency_ms.shape != (len(rows),):
        raise SearchError(
            f"Expected {len(rows)} {how} latencies, got an array of shape {latency_ms.shape}."
        )
    good = (latency_ms > 0.0) & np.isfinite(latency_ms)
    if not good.all():
        index = int(np.argmin(good))
        raise SearchError(
            f"The {how} latency of network {rows[index]} is {latency_ms[index]} ms; it must be "
            "positive and finite."
        )
    return latency_ms
