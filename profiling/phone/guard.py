"""Detects conditions of a phone that spoil latencies."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from mnaslat.data.guard_policy import STATUS, GuardPolicy
from mnaslat.profiling.phone.adb.conditions import Conditions

_N_FIRST = 3
_BUSY_LOAD = 8.0  # phones at rest show loads of several: Android counts threads that wait for disk


@dataclass(frozen=True)
class Problem:
    """A reason not to measure now; ``waits`` if time may solve it, else a person has to."""

    kind: Literal["hot", "throttled", "battery", "disk"]
    text: str
    waits: bool


class Guard:
    """Compares conditions with a policy, and clocks with those at the start of the sweep."""

    def __init__(self, policy: GuardPolicy) -> None:
        self.policy = policy
        self._beginning = Conditions()
        self._remembered_khz: dict[int, int] = {}

    def begin(self, conditions: Conditions) -> None:
        """Keep the conditions that a sweep begins in."""
        self._beginning = conditions

    def remember(self, max_khz: Iterable[Mapping[int, int]]) -> None:
        """Learn what cores were allowed in earlier rounds: the highest of each is the usual."""
        for clocks in max_khz:
            for core, khz in clocks.items():
                self._remembered_khz[core] = max(khz, self._remembered_khz.get(core, 0))

    def problems(self, conditions: Conditions) -> tuple[Problem, ...]:
        """List the reasons against measuring in these conditions; unknown values give none."""
        return (
            *self._heat(conditions),
            *self._caps(conditions),
            *self._battery(conditions),
            *self._disk(conditions),
        )

    def cap(self, core: int, max_khz: int | None) -> str:
        """Say why a core with the limit ``max_khz`` is too slow; empty if it is not."""
        known = {} if max_khz is None else {core: max_khz}
        return " ".join(
            _capped(Conditions(max_khz=known), self._usual_khz({}), self.policy.min_clock)
        )

    def _heat(self, now: Conditions) -> Iterator[Problem]:
        policy, status = self.policy, now.thermal_status
        if status is not None and status > policy.max_thermal_status:
            name = STATUS[status] if status < len(STATUS) else "unknown"
            yield Problem("hot", f"thermal status {status} ({name})", waits=True)
        if now.hottest is not None and now.hottest.celsius > policy.max_zone_c:
            zone, celsius = now.hottest
            text = f"{zone} at {celsius:.0f} °C (limit {policy.max_zone_c:.0f})"
            yield Problem("hot", text, waits=True)
        if now.battery_c is not None and now.battery_c > policy.max_battery_c:
            text = f"battery at {now.battery_c:.1f} °C (limit {policy.max_battery_c:.1f})"
            yield Problem("hot", text, waits=True)

    def _caps(self, now: Conditions) -> Iterator[Problem]:
        """Cores that may no longer be clocked as high as when the sweep began."""
        usual_khz = self._usual_khz(now.hardware_max_khz)
        for text in _capped(now, usual_khz, self.policy.min_clock):
            yield Problem("throttled", text, waits=True)

    def _usual_khz(self, hardware_max_khz: Mapping[int, int]) -> dict[int, int]:
        usual_khz = {**hardware_max_khz, **self._beginning.max_khz}
        for core, khz in self._remembered_khz.items():
            usual_khz[core] = max(khz, self._beginning.max_khz.get(core, 0))
        return usual_khz

    def _battery(self, now: Conditions) -> Iterator[Problem]:
        percent, least = now.battery_percent, self.policy.min_battery_percent
        if percent is None or percent >= least:
            return
        if now.charging is False:
            text = f"battery at {percent} % and not charging: charge it to {least} % or more"
            yield Problem("battery", text, waits=False)
        else:
            text = f"battery at {percent} %, waiting until it has {least} %"
            yield Problem("battery", text, waits=True)

    def _disk(self, now: Conditions) -> Iterator[Problem]:
        if now.free_mb is not None and now.free_mb < self.policy.min_free_mb:
            text = (
                f"{now.free_mb} MB left in /data/local/tmp: free at least "
                f"{self.policy.min_free_mb} MB on the phone"
            )
            yield Problem("disk", text, waits=False)


class Sentinel:
    """Watches the latency of one model that is measured now and then, for drift.

    It is an alarm only: dividing latencies by the sentinel's would make them less certain.
    """

    def __init__(self, policy: GuardPolicy) -> None:
        self.policy = policy
        self._latencies_ms: list[float] = []

    def remember(self, latencies_ms: Iterable[float]) -> None:
        """Take earlier latencies as the first ones, unless some were added already."""
        if not self._latencies_ms:
            self._latencies_ms = [each for each in latencies_ms if each > 0][:_N_FIRST]

    def add(self, latency_ms: float) -> str | None:
        """Take one more latency; returns an alarm if it is far from the median of the first three.

        Raises:
            ValueError: If it is not positive.
        """
        if not latency_ms > 0:
            raise ValueError(f"latency_ms must be positive, got {latency_ms}.")
        self._latencies_ms.append(latency_ms)
        if len(self._latencies_ms) <= _N_FIRST:
            return None
        usual_ms = median(self._latencies_ms[:_N_FIRST])
        change = latency_ms / usual_ms - 1
        if abs(change) <= self.policy.sentinel_drift:
            return None
        return (
            f"the sentinel model takes {latency_ms:.3g} ms, {abs(change):.0%} "
            f"{'more' if change > 0 else 'less'} than at the beginning ({usual_ms:.3g} ms)"
        )


def advice(conditions: Conditions) -> tuple[str, ...]:
    """List conditions that make latencies less certain but stop no measurement."""
    return tuple(_advice(conditions))


def _advice(now: Conditions) -> Iterator[str]:
    if now.awake is False:
        yield (
            "the screen is off, and many phones then slow down or fall asleep: unlock it, and keep "
            "it on with `adb shell svc power stayon true`"
        )
    if now.charging is False:
        yield "the battery is not charging: some phones are slower then, and a sweep takes long"
    if now.governor is not None and "powersave" in now.governor.split(","):
        yield "the governor is powersave, which keeps the clock low: switch power saving off"
    if now.load is not None and now.load > _BUSY_LOAD:
        yield f"other programs keep the phone busy (load {now.load:.1f}): close them"
    for text in _capped(now, now.hardware_max_khz, GuardPolicy.min_clock):
        yield f"{text}: let it cool down, and switch power saving off"


def _capped(now: Conditions, usual_khz: Mapping[int, int], min_clock: float) -> Iterator[str]:
    """Texts on the cores whose highest clock lies below a fraction of the usual one."""
    cores: dict[tuple[int, int], list[int]] = {}
    for core, khz in sorted(now.max_khz.items()):
        usual = usual_khz.get(core)
        if usual is not None and khz < min_clock * usual:
            cores.setdefault((khz, usual), []).append(core)
    for (khz, usual), capped in cores.items():
        listed = ", ".join(map(str, capped))
        which = f"core {listed} is" if len(capped) == 1 else f"cores {listed} are"
        yield f"{which} capped at {khz / 1e6:.1f} of {usual / 1e6:.1f} GHz"
