"""Makes the report of a search run."""

from collections.abc import Sequence

from mnaslat.reports.page_data import (
    Front,
    FrontPoint,
    LatencyPoint,
    ReportPage,
    RewardHistory,
    RewardPoint,
    TableSection,
    Winner,
)
from mnaslat.reports.predictor_page import (
    calibration_points,
    configuration_facts,
    made_facts,
    predictor_facts,
    table_of,
    table_section,
    table_warnings,
)
from mnaslat.search.run.candidates import EvaluatedCandidate, front_of
from mnaslat.search.run.records import RoundRecord, Validation, validation_errors
from mnaslat.search.run.result import Winner as FoundWinner
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.search.run.summary import winners_of
from mnaslat.search.tokens import TokenKey, tokens_text
from mnaslat.units import format_ms

_MAX_POINTS = 3000  # of the chart; a search may have evaluated many more


def run_page(run: SearchRun) -> ReportPage:
    """The page of a run, finished or not."""
    folder = run.folder
    store = run.store()
    validations, rounds = store.validations(), store.rounds()
    store.close()
    candidates = run.candidates()
    if not candidates:
        return ReportPage(
            title=f"Search {folder.name}", headline=("The search has evaluated nothing yet.",)
        )
    winners = winners_of(candidates, run.settings.targets_ms, measured_only=bool(validations))
    predictor = run.predictor
    table = table_of(predictor)
    return ReportPage(
        title=f"Search {folder.name}",
        headline=_headline(run, winners, validations),
        facts=(
            *configuration_facts(predictor.configuration),
            ("Target", _targets(run)),
            ("Searcher", run.settings.searcher),
            ("Reward", f"alpha {run.settings.reward.alpha:g}, beta {run.settings.reward.beta:g}"),
            ("Space", f"{run.space_options.space} at {run.space_options.resolution} px"),
            ("Accuracy", str(run.request["accuracy"])),
            ("Seed", str(run.settings.seed)),
            *predictor_facts(predictor),
            *made_facts(),
        ),
        winners=tuple(_winner(run, winner) for winner in winners),
        latency_points=(
            *calibration_points(predictor),
            *(_validation_point(each, before=True) for each in validations),
            *(_validation_point(each, before=False) for each in validations),
        ),
        front=_front(candidates, winners),
        rewards=_rewards(rounds, validations),
        table=TableSection(rows=()) if table is None else table_section(table),
        warnings=() if table is None else table_warnings(table),
    )


def _targets(run: SearchRun) -> str:
    low, high = run.settings.target_range_ms
    return format_ms(high) if low == high else f"{low:.3g} to {format_ms(high)}"


def _headline(
    run: SearchRun, winners: Sequence[FoundWinner], validations: list[Validation]
) -> tuple[str, ...]:
    sentences = []
    for winner in dict.fromkeys((winners[0], winners[-1])):
        found = winner.candidate
        how = "predicted" if found.measured_ms is None else "measured"
        sentences.append(
            f"The best network found takes {format_ms(found.latency_ms)} ({how}; the target is "
            f"{format_ms(winner.target_ms)}) at an accuracy of {found.expected_accuracy:.1%}."
        )
    if not run.finished:
        sentences.append("The search is not finished: the same command resumes it.")
    if validations:
        before, after = validation_errors(validations)
        sentences.append(
            f"{len(validations)} candidates were measured on the device; predictions made before "
            f"were off by {before:.1%}, those of the predictor that had learned from them by "
            f"{after:.1%} (medians)."
        )
    return tuple(sentences)


def _winner(run: SearchRun, winner: FoundWinner) -> Winner:
    path, found = run.folder / f"{winner.name}.json", winner.candidate
    return Winner(
        name=f"Best at {format_ms(winner.target_ms)}",
        predicted_ms=found.predicted_ms,
        accuracy=found.expected_accuracy,
        measured_ms=found.measured_ms,
        blocks=tuple(str(block) for block in found.architecture.blocks),
        command=f"mnaslat export {path} --format tflite --output {winner.name}.tflite",
    )


def _validation_point(validation: Validation, *, before: bool) -> LatencyPoint:
    return LatencyPoint(
        label=f"measured after round {validation.round} ({validation.why})",
        group=f"validation, predicted {'before' if before else 'after re-calibration'}",
        predicted_ms=validation.predicted_ms if before else validation.predicted_after_ms,
        measured_ms=validation.measured_ms,
        round=validation.round,
    )


def _front(candidates: list[EvaluatedCandidate], winners: Sequence[FoundWinner]) -> Front:
    front = {each.tokens for each in front_of(candidates)}
    answers: dict[TokenKey, list[str]] = {}
    for winner in winners:
        answers.setdefault(winner.candidate.tokens, []).append(format_ms(winner.target_ms))
    # Front, answers and what was measured are always drawn; of the others the best by reward.
    drawn = [
        each
        for index, each in enumerate(candidates)
        if index < _MAX_POINTS
        or each.tokens in front
        or each.tokens in answers
        or each.measured_ms is not None
    ]
    return Front(
        points=tuple(
            FrontPoint(
                label=_label(tokens_text(each.tokens), answers.get(each.tokens, [])),
                accuracy=each.expected_accuracy,
                latency_ms=each.latency_ms,
                measured=each.measured_ms is not None,
                on_front=each.tokens in front,
                answers=each.tokens in answers,
            )
            for each in drawn
        ),
        targets_ms=tuple(winner.target_ms for winner in winners),
        expected=any(each.expected_accuracy != each.accuracy for each in drawn),
    )


def _label(tokens: str, best_at: list[str]) -> str:
    return f"best at {', '.join(best_at)}: {tokens}" if best_at else tokens


def _rewards(rounds: list[RoundRecord], validations: list[Validation]) -> RewardHistory:
    last = max((each.round for each in rounds), default=0)
    return RewardHistory(
        points=tuple(
            RewardPoint(
                round=each.round,
                mean_reward=each.mean_reward,
                best_reward=each.best_reward,
                entropy=each.log.get("entropy"),
            )
            for each in rounds
        ),
        validations=tuple(sorted({each.round for each in validations if each.round <= last})),
    )
