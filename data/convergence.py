"""Decides whether the rounds of a measurement agree."""

LAYER_AGREEMENT = 0.02  # two rounds that differ by a smaller fraction agree

# Of clocks that are too coarse for the fastest layers, by the tool's name in a runtime.
_RESOLUTION_MS = {
    "benchmark_model": 1e-3,  # it counts whole microseconds
}


def has_converged(
    latency_ms: float, spread: float, *, agreement: float, resolution_ms: float = 0.0
) -> bool:
    """Return whether the two fastest rounds agree, as far as the clock can tell.

    Args:
        latency_ms: Minimum over all rounds, in milliseconds.
        spread: Relative difference between the minima of the two fastest rounds.
        agreement: A spread up to this agrees.
        resolution_ms: Of the clock, in milliseconds; a difference up to this means nothing.

    >>> has_converged(10.0, 0.03, agreement=0.02)
    False
    >>> has_converged(0.02, 0.05, agreement=0.02, resolution_ms=1e-3)
    True
    """
    # The spread is a quotient: a difference of one tick comes back a little more or less.
    return spread <= agreement or spread * latency_ms / 1.001 <= resolution_ms


def resolution_ms_of(runtime: str) -> float:
    """Return the resolution of the clock of a configuration's runtime, in milliseconds.

    >>> resolution_ms_of("benchmark_model 0123456789ab"), resolution_ms_of("ai-edge-litert 2.1.0")
    (0.001, 0.0)
    """
    return _RESOLUTION_MS.get(runtime.partition(" ")[0], 0.0)
