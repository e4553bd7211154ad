"""Makes the section about the conditions in which a device was measured.

The store's texts were written by phones and tools too: numbers are read with care, and other text
is only passed on.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Configuration
from mnaslat.data.measurement_store import Event, Store
from mnaslat.reports.format import finite, format_time, local_time
from mnaslat.reports.page_data import ConditionPoint, ConditionsSection, JournalEntry

_MAX_ENTRIES = 200  # of the journal
_MAX_TEXT = 1000  # characters of an entry
_MAX_NAME = 60  # characters of a zone's name
_MAX_POINTS = 1500  # of the chart
_N_FIRST = 3  # readings of the sentinel that later ones are compared with, as when measuring
_WORST: Mapping[str, Callable[[Iterable[float]], float]] = {
    "hottest_c": max,
    "battery_c": max,
    "battery_percent": min,
    "clock_ghz": min,
    "load": max,
    "steal_ticks": max,  # models timed in turns tell the same ticks
    "sentinel_change": lambda changes: max(changes, key=abs),
}


def conditions_section(store: Store, configuration: Configuration) -> ConditionsSection:
    """Collect the conditions in all rounds of a configuration; empty if none is known.

    Raises:
        WorkspaceError: If the store cannot be read.
    """
    rounds = store.circumstances(configuration)
    if not rounds:
        return ConditionsSection()
    events = store.events(configuration)
    points = _points(rounds, configuration)
    if not events and not any(_figures(point) for point in points):
        return ConditionsSection()
    merged, n_together = _merged(points)
    return ConditionsSection(
        summary=tuple(_summary(rounds, points, events, n_together)),
        points=merged,
        alarm_change=_alarm_change(rounds),
        journal=tuple(
            JournalEntry(happened=event.happened, text=_shortened(event.text))
            for event in events[-_MAX_ENTRIES:]
        ),
        n_earlier=max(0, len(events) - _MAX_ENTRIES),
    )


def _points(rounds: Sequence[Circumstances], configuration: Configuration) -> list[ConditionPoint]:
    """One for each round that says when it was."""
    core = min((int(each) for each in re.findall(r"[0-9]{1,4}", configuration.cores)), default=0)
    points = []
    for circumstances, change in zip(rounds, _sentinel_changes(rounds), strict=True):
        started = _number(circumstances.get("started"))
        if started is not None and local_time(started) is not None:
            points.append(
                ConditionPoint(
                    happened=started,
                    hottest_c=_number(circumstances.get("hottest_c")),
                    battery_c=_number(circumstances.get("battery_c")),
                    battery_percent=_number(circumstances.get("battery_percent")),
                    clock_ghz=_clock_ghz(circumstances, core),
                    load=_number(circumstances.get("load")),
                    steal_ticks=_number(circumstances.get("steal_ticks")),
                    sentinel_change=change,
                )
            )
    return sorted(points, key=lambda point: point.happened)


def _sentinel_changes(rounds: Sequence[Circumstances]) -> list[float | None]:
    """Change from the first readings; each reading once, though many rounds name it."""
    readings_ms: list[float | None] = []
    last_ms = None
    for circumstances in rounds:
        now_ms = _number(circumstances.get("sentinel_ms"))
        is_new = now_ms is not None and now_ms > 0 and now_ms != last_ms
        readings_ms.append(now_ms if is_new else None)
        last_ms = now_ms if is_new else last_ms
    first_ms = [each for each in readings_ms if each is not None][:_N_FIRST]
    usual_ms = median(first_ms) if first_ms else 1.0
    return [None if each is None else each / usual_ms - 1 for each in readings_ms]


def _clock_ghz(circumstances: Circumstances, core: int) -> float | None:
    """Clock of the measured core: the higher of before and after a run, for it rests before."""
    around = [int(khz) for khz in re.findall(r"[0-9]{4,9}", circumstances.get("clock_khz", ""))]
    if around:
        return max(around) / 1e6
    reported = circumstances.get("cur_khz", "")  # one number where all cores are equal
    by_core = re.search(rf"(?:^|\s)(?:{core}:)?(?P<khz>[0-9]{{4,9}})(?:\s|$)", reported)
    return int(by_core["khz"]) / 1e6 if by_core else None


def _merged(points: Sequence[ConditionPoint]) -> tuple[tuple[ConditionPoint, ...], int]:
    """As many points as a chart can show, each with the worst of the rounds it stands for.

    Returns the points and how many rounds each stands for, at most.
    """
    n_together = max(1, math.ceil(len(points) / _MAX_POINTS))
    if n_together == 1:
        return tuple(points), 1
    merged = []
    for start in range(0, len(points), n_together):
        members = points[start : start + n_together]
        worst = {
            name: choose(known)
            for name, choose in _WORST.items()
            if (known := _known(members, name))
        }
        merged.append(replace(ConditionPoint(happened=members[0].happened), **worst))
    return tuple(merged), n_together


def _summary(
    rounds: Sequence[Circumstances],
    points: Sequence[ConditionPoint],
    events: Sequence[Event],
    n_together: int,
) -> Iterator[str]:
    counted = f"{len(rounds):,} {'round' if len(rounds) == 1 else 'rounds'}"
    if points:
        first, last = format_time(points[0].happened), format_time(points[-1].happened)
        counted += f" between {first} and {last}"
    yield f"{counted}."
    yield from _repeats(rounds, events)
    if hottest_c := _known(points, "hottest_c"):
        yield f"The hottest zone{_zone(rounds)} was at {_range(hottest_c, '.0f')} °C."
    if statuses := [s for each in rounds if (s := _number(each.get("thermal_status"))) is not None]:
        yield f"Android's thermal status was never above {max(statuses):.0f} (of 6)."
    if battery_percent := _known(points, "battery_percent"):
        yield f"The battery was at {_range(battery_percent, '.0f')} %{_charging(rounds)}."
    if clock_ghz := _known(points, "clock_ghz"):
        yield f"The measured core was clocked at {_range(clock_ghz, '.2f')} GHz."
    if load := _known(points, "load"):
        yield f"The load, programs that ran or waited, was {_range(load, '.1f')}."
    if steal_ticks := _known(points, "steal_ticks"):
        n_robbed = sum(each > 0 for each in steal_ticks)
        yield (
            f"In {n_robbed:,} of {len(steal_ticks):,} rounds the hypervisor kept processor time "
            "from this computer."
        )
    if n_together > 1:
        yield f"Each point stands for {n_together} rounds and shows the worst of them."


def _repeats(rounds: Sequence[Circumstances], events: Sequence[Event]) -> Iterator[str]:
    """Say how many rounds were repeated, and why; a host reports none."""
    n_repeated = sum(event.n_repeated for event in events)
    attempts = [a for each in rounds if (a := _number(each.get("attempts"))) is not None]
    if n_repeated:
        were = "round was" if n_repeated == 1 else "rounds were"
        yield f"{n_repeated:,} {were} repeated because the device was not fit to be measured."
    elif attempts:
        yield "None had to be repeated because of the device's conditions."
    if n_retried := sum(each > 1 for each in attempts):
        yield f"{n_retried:,} succeeded only after the tool had failed on the model before."


def _zone(rounds: Sequence[Circumstances]) -> str:
    """The one that was the hottest most often: of the processor, where its zones are known."""
    zones = Counter(each["hottest_zone"] for each in rounds if each.get("hottest_zone"))
    return f" ({zones.most_common(1)[0][0][:_MAX_NAME]})" if zones else ""


def _charging(rounds: Sequence[Circumstances]) -> str:
    reported = {each["charging"] for each in rounds if each.get("charging") in ("yes", "no")}
    if len(reported) == 2:
        return ", charging at times"
    return {"yes": ", charging", "no": ", not charging"}["".join(reported)] if reported else ""


def _alarm_change(rounds: Sequence[Circumstances]) -> float:
    """Drift of the policy that the last round was measured with."""
    try:
        return GuardPolicy.parse(rounds[-1].get("guard", "")).sentinel_drift
    except ValueError:  # written by another version
        return GuardPolicy().sentinel_drift


def _figures(point: ConditionPoint) -> list[float]:
    return [value for name in _WORST for value in _known([point], name)]


def _known(points: Sequence[ConditionPoint], name: str) -> list[float]:
    values = (getattr(point, name) for point in points)
    return [value for value in values if value is not None]


def _range(values: Sequence[float], style: str) -> str:
    low, high = format(min(values), style), format(max(values), style)
    return low if low == high else f"{low} to {high}"


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return finite(number)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
