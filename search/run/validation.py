"""Validates the predictor during a search: measures networks, re-calibrates, rescores.

A search drifts to networks whose latency is predicted too low. So some are measured now and then,
the predictor is re-calibrated, and every reward so far is computed anew.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.search.decoder import Decoder
from mnaslat.search.latency.choice_residual import ChoiceResidual
from mnaslat.search.latency.latencies import Latencies, checked_ms
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.candidates import (
    EvaluatedCandidate,
    best_unmeasured,
    candidates_of,
    most_uncertain,
    worth_measuring,
)
from mnaslat.search.run.history import History
from mnaslat.search.run.records import Validation
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.settings import SearchSettings
from mnaslat.search.tokens import TokenKey, tokens_text


class RunCalibration:
    """The predictor of a run as it is after all validations in its store.

    Attributes:
        decoder: Of the space that is searched.
        latencies: What it predicts now.
        validations: Its measurements.
        history: Rescored whenever the predictor changes.
    """

    def __init__(
        self, problem: SearchProblem, settings: SearchSettings, store: SearchStore
    ) -> None:
        self._problem, self._kind, self._store = problem, settings.latency, store
        self.decoder = Decoder(problem.space)
        self.validations = store.validations()
        self.latencies = Latencies(problem.predictor, self.decoder, self._kind)
        self.history = History(self.decoder, settings, self.latencies)
        self.history.load(store.evaluations())
        # A kill may have come after rewards were rescored for a validation that is redone now.
        self._recalibrate()

    def candidates(self) -> list[EvaluatedCandidate]:
        """List every network that has an accuracy; the highest reward first."""
        return candidates_of(
            self.history.evaluations(0),
            self.validations,
            self.decoder,
            exact=self._problem.source.noise == 0.0,
        )

    @property
    def measures(self) -> bool:
        """Whether there is something to measure with."""
        return self._problem.validator is not None

    def validate(
        self, round_: int, candidates: Sequence[EvaluatedCandidate], why: Sequence[str]
    ) -> None:
        """Measure networks, re-calibrate with all measurements so far, rescore the past.

        What was measured before a run was interrupted is not measured again.

        Args:
            round_: After which this is done.
            candidates: To be measured.
            why: For each the reason.

        Raises:
            SearchError: If a measurement is not a positive number.
        """
        if not candidates:
            return
        measured_ms = self._measured_ms(candidates)
        before_ms = [each.predicted_ms for each in candidates]
        rows = [
            Validation(each.tokens, round_, before, measured_ms[each.tokens], np.nan, reason)
            for each, before, reason in zip(candidates, before_ms, why, strict=True)
        ]
        # In the store's order: what the predictor learns must not depend on being interrupted.
        self.validations += sorted(rows, key=_place)
        self._recalibrate()
        after_ms = self.latencies.predicted_ms(_rows(rows)).tolist()
        done = [
            replace(row, predicted_after_ms=after)
            for row, after in zip(rows, after_ms, strict=True)
        ]
        self.validations[-len(done) :] = sorted(done, key=_place)
        self._store.write_validations(done)

    def _measured_ms(self, candidates: Sequence[EvaluatedCandidate]) -> dict[TokenKey, float]:
        assert self._problem.validator is not None
        known = self._store.measured_ms()
        missing = [each for each in candidates if each.tokens not in known]
        if missing:
            results = self._problem.validator.measure([each.architecture for each in missing])
            keys = [each.tokens for each in missing]
            latency_ms = checked_ms(results, np.array(keys), "measured").tolist()
            fresh = dict(zip(keys, latency_ms, strict=True))
            self._store.add_measurements(fresh)
            self._store.commit()
            known |= fresh
        return known

    def _recalibrate(self) -> None:
        """Predict as all validations so far teach, and rescore all evaluations."""
        decoder, predictor = self.decoder, self._problem.predictor
        residual = None
        if self.validations:
            tokens = _rows(self.validations)
            measured_ms = np.array([row.measured_ms for row in self.validations])
            predictor = predictor.recalibrated(decoder.networks(tokens), measured_ms)
            predicted_ms = Latencies(predictor, decoder).predicted_ms(tokens)
            residual = ChoiceResidual(decoder.space.n_choices, tokens, predicted_ms, measured_ms)
        self.latencies = Latencies(predictor, decoder, self._kind, residual)
        self._store.write_evaluations(self.history.rescore(self.latencies))


def validate_round(calibration: RunCalibration, settings: SearchSettings, round_: int) -> None:
    """Measure the best and the most uncertain networks so far."""
    candidates = calibration.candidates()
    best = best_unmeasured(candidates, settings.validate_top, settings.targets_ms, settings.reward)
    uncertain = most_uncertain(
        candidates,
        settings.validate_uncertain,
        calibration.latencies,
        [each.tokens for each in best],
    )
    why = ["best"] * len(best) + ["uncertain"] * len(uncertain)
    calibration.validate(round_, [*best, *uncertain], why)


def measure_final_candidates(
    calibration: RunCalibration, settings: SearchSettings, first_round: int
) -> None:
    """Measure until every answer is the most accurate measured network at or under its target."""
    n_left = settings.n_final_validations if calibration.measures else 0
    round_ = first_round
    while n_left > 0:
        wanted = worth_measuring(
            calibration.candidates(),
            settings.targets_ms,
            settings.near_target,
            min(settings.validate_top, n_left),
        )
        if not wanted:
            return
        calibration.validate(round_, wanted, ["answer"] * len(wanted))
        n_left -= len(wanted)
        round_ += 1


def _rows(validations: Sequence[Validation]) -> Tokens:
    return np.array([row.tokens for row in validations], dtype=np.int64)


def _place(validation: Validation) -> str:
    """Orders validations as the store does."""
    return tokens_text(validation.tokens)
