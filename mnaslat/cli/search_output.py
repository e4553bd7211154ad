"""The outcome of a search, for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnaslat.units import format_duration

if TYPE_CHECKING:
    from mnaslat.search.candidates import Candidate
    from mnaslat.search.result import SearchResult, Winner

_N_REASONS = 3


def print_result(folder: Path, result: "SearchResult", measured_shares: Sequence[float]) -> None:
    """Print winners, front and how the predictions held.

    Args:
        folder: Of the run.
        result: Of the run.
        measured_shares: For each winner the fraction of its prediction that rests on layers that
            were measured.
    """
    for winner, share in zip(result.winners, measured_shares, strict=True):
        _print_winner(winner, share)
    print("The Pareto front, fastest first:")
    for candidate in result.front:
        accuracy = f"{candidate.expected_accuracy:.4f}"
        print(f"  {candidate.latency_ms:8.3f} ms {_how(candidate):9}  {accuracy}")
    if result.validations:
        before = [abs(row.predicted_ms / row.measured_ms - 1.0) for row in result.validations]
        after = [abs(row.predicted_after_ms / row.measured_ms - 1.0) for row in result.validations]
        print(
            f"{len(before)} networks were measured; their predictions were off by "
            f"{sum(before) / len(before):.1%} before and {sum(after) / len(after):.1%} after the "
            "predictor had learned from them (mean)."
        )
    n_failed = sum(result.failures.values())
    if n_failed:
        commonest = sorted(result.failures.items(), key=lambda item: -item[1])[:_N_REASONS]
        reasons = "; ".join(f"{count} times: {reason}" for reason, count in commonest)
        print(f"{n_failed} networks could not be evaluated ({reasons}).")
    print(
        f"{result.n_samples} evaluations of {result.n_networks} different networks, which took "
        f"{format_duration(result.accuracy_s)} of one worker."
    )
    if result.accuracy_noise > 0.0:  # not where it is exact or not known
        print(f"An accuracy is uncertain by {result.accuracy_noise:.4f} (standard deviation).")
    print(f"Run: {folder} (result.json, {result.winners[-1].name}.json, .tflite, .pt)")
    print(f"Again: {result.command}\nNext: mnaslat report")


def _print_winner(winner: "Winner", measured_share: float) -> None:
    found, target_ms = winner.candidate, winner.target_ms
    measured = (
        "not measured" if found.measured_ms is None else f"{found.measured_ms:.3g} ms measured"
    )
    verdict = "The best network at" if winner.meets_target else "No network reached"
    print(f"{verdict} {target_ms:.3g} ms{'' if winner.meets_target else '; the fastest'}:")
    together = ""
    if found.expected_accuracy != found.accuracy:
        together = f" ({found.expected_accuracy:.4f} by all evaluations together)"
    print(
        f"  accuracy {found.accuracy:.4f}{together}, {found.predicted_ms:.3g} ms predicted, "
        f"{measured}"
    )
    if measured_share > 0.0:
        print(f"  {measured_share:.0%} of the prediction rests on layers that were measured")
    else:
        print("  the prediction is a model's: none of the layers was measured")
    for block in found.architecture.blocks:
        print(f"  {block}")


def _how(candidate: "Candidate") -> str:
    return "predicted" if candidate.measured_ms is None else "measured"
