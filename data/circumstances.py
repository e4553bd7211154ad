"""Defines the circumstances that are stored with each round, as short texts.

Every name is optional: a device stores what it knows, and older versions stored less.
"""

from typing import Any, Final, Literal, TypedDict


class Circumstances(TypedDict, total=False):
    """The state of a device while a round was measured."""

    started: str  # seconds since 1970
    load: str  # programs that ran or waited, averaged over a minute
    # Of this computer.
    steal_ticks: str  # time that the hypervisor kept from it
    worker: str  # id of the process that timed the model
    interleaved: str  # models timed in turns
    # Of a phone.
    thermal_status: str  # Android's own: 0 (none) to 6 (about to shut down)
    hottest_c: str
    hottest_zone: str
    battery_percent: str
    battery_c: str
    charging: str  # yes or no
    max_khz: str  # of the measured cores: one number, or CORE:KHZ for each
    cur_khz: str
    governor: str
    awake: str  # yes or no
    free_mb: str
    clock_khz: str  # of the measured core, before and after the round
    warmup_ms: str  # mean of the warm-up runs
    delegated: str  # nodes that a delegate took
    sentinel_ms: str  # the last latency of the sentinel model
    attempts: str  # of the model; the last one was successful
    guard: str  # changes to the usual ``GuardPolicy``


REMEMBERED: Final[tuple[Literal["max_khz", "sentinel_ms"], ...]] = ("max_khz", "sentinel_ms")
"""Circumstances of earlier rounds that show what is usual for a device."""


def read_circumstances(stored: Any) -> Circumstances:
    """Read what was stored; values that are no text are left out.

    Names that are not known here, of another device or version, are kept.

    >>> read_circumstances({"load": "0.50", "started": 3})
    {'load': '0.50'}
    """
    pairs = stored.items() if isinstance(stored, dict) else ()
    found: Any = {name: text for name, text in pairs if isinstance(text, str)}
    return found  # type: ignore[no-any-return]
