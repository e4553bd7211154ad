"""Summarises a run: its identity and its result."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mnaslat import __version__
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.candidates import EvaluatedCandidate, choose_winner, front_of
from mnaslat.search.run.result import Ended, SearchResult, Winner, winner_name
from mnaslat.search.run.run_store import EXACT_ACCURACY, MADE_BY, SearchStore
from mnaslat.search.run.space_options import SpaceOptions
from mnaslat.search.run.validation import RunCalibration
from mnaslat.search.settings import SearchSettings

# Raised when an older run would not continue as it began: other draws, or another order of them.
RUN_FORMAT = 3


def identity_of(problem: SearchProblem, settings: SearchSettings) -> dict[str, Any]:
    """Collect what must stay the same for a run to be resumed, by names that people understand."""
    space = problem.space
    probes = [space.decode(row) for row in space.sample(4, np.random.default_rng(0))]
    predicted_ms = problem.predictor.predict_ms(probes)
    return {
        "format": RUN_FORMAT,
        MADE_BY: __version__,
        **settings.identity(),
        **asdict(SpaceOptions.of(space)),
        "choice of decisions": [[each.name, list(each.choices)] for each in space.decisions],
        "accuracy source": problem.source.description,
        EXACT_ACCURACY: problem.source.noise == 0.0,
        "predictor (its latencies of four networks)": [f"{ms:.6g}" for ms in predicted_ms],
        "validator (whether there is one)": problem.validator is not None,
    }


def summarize(
    problem: SearchProblem,
    settings: SearchSettings,
    store: SearchStore,
    calibration: RunCalibration,
    ended: Ended,
    command: str,
) -> SearchResult:
    """Summarise a run as its store stands; at least one network must have an accuracy."""
    targets_ms, candidates = settings.targets_ms, calibration.candidates()
    evaluations, rounds, results = store.evaluations(), store.rounds(), store.results()
    proposed = {row.tokens for row in evaluations}
    failures = [result.failure for text, result in results.items() if text in proposed]
    return SearchResult(
        settings=settings,
        space_options=SpaceOptions.of(problem.space),
        ended=ended,
        accuracy=problem.source.description,
        accuracy_noise=problem.source.noise,
        winners=winners_of(candidates, targets_ms, measured_only=problem.validator is not None),
        front=front_of(candidates),
        validations=tuple(store.validations()),
        failures=Counter(reason for reason in failures if reason),
        n_samples=len(evaluations),
        n_networks=len({calibration.decoder.network(tokens) for tokens in proposed}),
        accuracy_s=sum(result.cost_s for result in results.values()),
        searcher_s=sum(record.searcher_s for record in rounds),
        seconds=sum(record.seconds for record in rounds),
        command=command,
    )


def winners_of(
    candidates: Sequence[EvaluatedCandidate], targets_ms: Sequence[float], *, measured_only: bool
) -> tuple[Winner, ...]:
    """Choose the winner at each target."""
    winners = []
    for target_ms in targets_ms:
        chosen = choose_winner(candidates, target_ms, measured_only=measured_only)
        winners.append(
            Winner(
                target_ms=target_ms,
                candidate=chosen,
                meets_target=chosen.latency_ms <= target_ms,
                name=winner_name(target_ms, len(targets_ms)),
            )
        )
    return tuple(winners)
