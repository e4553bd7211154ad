"""What a report says about a search run."""

import statistics

from mnaslat.cli.report_content import (
    calibration_points,
    configuration_facts,
    made_facts,
    predictor_facts,
    table_of,
    table_section,
    table_warnings,
)
from mnaslat.cli.report_data import (
    Front,
    FrontPoint,
    LatencyPoint,
    ReportPage,
    RewardHistory,
    RewardPoint,
    TableSection,
    Winner,
)
from mnaslat.cli.runs import Run
from mnaslat.search.result import Candidate, choose_winner, front_of
from mnaslat.search.store import UpdateRecord, Validation

_MAX_POINTS = 3000  # of the chart; a search may have evaluated many more


def run_page(run: Run) -> ReportPage:
    """The page of a run, finished or not."""
    folder = run.folder
    store = run.store()
    validations, updates = store.validations(), store.updates()
    store.close()
    candidates = run.candidates()
    if not candidates:
        return ReportPage(
            title=f"Search {folder.name}", headline=("The search has evaluated nothing yet.",)
        )
    target_ms = run.settings.reward.target_ms
    winner = choose_winner(candidates, target_ms, measured_only=bool(validations))
    predictor = run.predictor
    table = table_of(predictor)
    return ReportPage(
        title=f"Search {folder.name}",
        headline=_headline(run, winner, validations),
        facts=(
            *configuration_facts(predictor.configuration),
            ("Target", f"{target_ms:.3g} ms"),
            ("Reward", f"alpha {run.settings.reward.alpha:g}, beta {run.settings.reward.beta:g}"),
            ("Space", f"{run.settings.space} at {run.settings.resolution} px"),
            ("Accuracy", str(run.request["accuracy"])),
            ("Seed", str(run.settings.seed)),
            *predictor_facts(predictor),
            *made_facts(),
        ),
        winners=(_winner(run, winner),),
        latency_points=(
            *calibration_points(predictor),
            *(_validation_point(each) for each in validations),
        ),
        front=_front(candidates, target_ms),
        rewards=_rewards(updates, validations),
        table=TableSection(rows=()) if table is None else table_section(table),
        warnings=() if table is None else table_warnings(table),
    )


def _headline(run: Run, winner: Candidate, validations: list[Validation]) -> tuple[str, ...]:
    target_ms = run.settings.reward.target_ms
    how = "predicted" if winner.measured_ms is None else "measured"
    sentences = [
        f"The best network found takes {winner.latency_ms:.3g} ms ({how}; the target is "
        f"{target_ms:.3g} ms) at an accuracy of {winner.accuracy:.1%}."
    ]
    if not run.finished:
        sentences.append("The search is not finished: the same command goes on with it.")
    errors = [abs(each.predicted_ms / each.measured_ms - 1.0) for each in validations]
    if errors:
        sentences.append(
            f"{len(errors)} candidates were measured on the device; predictions made before were "
            f"off by {statistics.median(errors):.1%} (median)."
        )
    return tuple(sentences)


def _winner(run: Run, winner: Candidate) -> Winner:
    path = run.folder / "winner.json"
    return Winner(
        name=f"Best at {run.settings.reward.target_ms:.3g} ms",
        predicted_ms=winner.predicted_ms,
        accuracy=winner.accuracy,
        measured_ms=winner.measured_ms,
        blocks=tuple(str(block) for block in winner.architecture.blocks),
        command=f"mnaslat export {path} --format tflite --output winner.tflite",
    )


def _validation_point(validation: Validation) -> LatencyPoint:
    return LatencyPoint(
        label=f"measured after update {validation.round}",
        group="validation, predicted before",
        predicted_ms=validation.predicted_ms,
        measured_ms=validation.measured_ms,
    )


def _front(candidates: list[Candidate], target_ms: float) -> Front:
    front = {each.tokens for each in front_of(candidates)}
    # The front and the measured ones are always drawn; of the others the best by reward.
    drawn = [
        each
        for index, each in enumerate(candidates)
        if index < _MAX_POINTS or each.tokens in front or each.measured_ms is not None
    ]
    return Front(
        points=tuple(
            FrontPoint(
                label=each.tokens,
                accuracy=each.accuracy,
                latency_ms=each.latency_ms,
                measured=each.measured_ms is not None,
                on_front=each.tokens in front,
            )
            for each in drawn
        ),
        target_ms=target_ms,
    )


def _rewards(updates: list[UpdateRecord], validations: list[Validation]) -> RewardHistory:
    last = max((each.update_number for each in updates), default=0)
    return RewardHistory(
        points=tuple(
            RewardPoint(
                update=each.update_number,
                mean_reward=each.mean_reward,
                best_reward=each.best_reward,
                entropy=each.entropy,
            )
            for each in updates
        ),
        validations=tuple(sorted({each.round for each in validations if each.round <= last})),
    )
