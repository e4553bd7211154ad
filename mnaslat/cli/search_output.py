"""The outcome of a search, for people."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnaslat.cli.options import full_command
from mnaslat.units import format_duration, format_ms

if TYPE_CHECKING:
    from mnaslat import SearchResult, Winner

_N_REASONS = 3


def print_result(folder: Path, result: "SearchResult", measured_shares: Sequence[float]) -> None:
    """Print winners, front and how the predictions held.

    Args:
        folder: Of the run.
        result: Of the run.
        measured_shares: For each winner the fraction of its prediction that rests on layers that
            were measured.
    """
    shown: tuple[int, ...] = ()
    for winner, share in zip(result.winners, measured_shares, strict=True):
        _print_verdict(winner, same=winner.candidate.tokens == shown)
        if winner.candidate.tokens != shown:
            _print_network(winner, share)
        shown = winner.candidate.tokens
    expected = "predicted" if result.settings.latency == "point" else "upper end"
    print("The Pareto front, fastest first:")
    for candidate in result.front:
        how = "measured" if candidate.measured_ms is not None else expected
        accuracy = f"{candidate.expected_accuracy:.4f}"
        print(f"  {candidate.latency_ms:8.3f} ms {how:9}  {accuracy}")
    if result.validations:
        before, after = result.validation_errors
        print(
            f"{len(result.validations)} networks were measured; their predictions were off by "
            f"{before:.1%} before and {after:.1%} after the predictor had learned from them "
            "(medians)."
        )
    n_failed = sum(result.failures.values())
    if n_failed:
        commonest = sorted(result.failures.items(), key=lambda item: -item[1])[:_N_REASONS]
        reasons = "; ".join(f"{count} because {reason}" for reason, count in commonest)
        print(f"Networks that could not be evaluated: {n_failed} ({reasons}).")
    print(
        f"{result.n_samples} evaluations of {result.n_networks} different networks, which took "
        f"{format_duration(result.accuracy_s)} of one worker."
    )
    if math.isnan(result.accuracy_noise):
        print("How uncertain an accuracy is, its source does not know.")
    elif result.accuracy_noise > 0.0:
        print(f"An accuracy is uncertain by {result.accuracy_noise:.4f} (standard deviation).")
    name = result.winners[0].name if len(result.winners) == 1 else "winner-*ms"
    print(f"Run: {folder} (result.json, {name}.json, .tflite, .pt)")
    workspace = folder.parent.parent
    print(f"Again: {result.command}")
    print(f"Next: {full_command('report', str(folder), workspace=workspace)}")


def _print_verdict(winner: "Winner", *, same: bool) -> None:
    verdict = "The best network at" if winner.meets_target else "No network reached"
    how = "" if winner.meets_target else "; the fastest"
    print(f"{verdict} {format_ms(winner.target_ms)}{how}: {'the same' if same else ''}".rstrip())


def _print_network(winner: "Winner", measured_share: float) -> None:
    found = winner.candidate
    measured = (
        "not measured" if found.measured_ms is None else f"{format_ms(found.measured_ms)} measured"
    )
    accuracy = f"accuracy {found.accuracy:.4f}"
    if found.expected_accuracy != found.accuracy:
        accuracy += f" ({found.expected_accuracy:.4f} by all evaluations together)"
    print(f"  {accuracy}, {format_ms(found.predicted_ms)} predicted, {measured}")
    if measured_share > 0.0:
        print(f"  {measured_share:.0%} of the prediction rests on layers that were measured")
    else:
        print("  the prediction is a model's: none of the layers was measured")
    for block in found.architecture.blocks:
        print(f"  {block}")
