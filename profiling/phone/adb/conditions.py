"""Reads the conditions of a phone: heat, battery, clocks, screen, load."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mnaslat.data.circumstances import Circumstances, read_circumstances

# For mksh and toybox. What cannot be read prints nothing, or "-" for one of several numbers.
# `2>/dev/null` stands before `<`: it must hide that the file cannot be opened.
CONDITIONS = r"""
conditions() {
  local line folder name value khz cur hardware governor core source total used free rest
  dumpsys battery 2>/dev/null |
    grep -E '^ *(status|level|scale|temperature):|^ *(AC|USB|Wireless|Dock) powered:' |
    while read -r line; do print -r -- "battery $line"; done
  dumpsys thermalservice 2>/dev/null |
    grep -E 'HAL Ready:|Thermal Status:|emperatures|cooling devices|^[[:space:]]*Temperature[{]' |
    while read -r line; do print -r -- "thermal $line"; done
  dumpsys power 2>/dev/null | grep -E '^ *mWakefulness=' |
    while read -r line; do print -r -- "power $line"; done
  for folder in /sys/class/thermal/thermal_zone*; do
    name= value=
    read -r name 2>/dev/null < "$folder/type" || continue
    read -r value 2>/dev/null < "$folder/temp" || continue
    print -r -- "zone $value $name"
  done
  if [ $# -eq 0 ]; then
    for folder in /sys/devices/system/cpu/cpu[0-9]*; do
      [ -d "$folder" ] && set -- "$@" "${folder##*/cpu}"
    done
  fi
  for core in "$@"; do
    folder=/sys/devices/system/cpu/cpu$core/cpufreq
    khz= cur= hardware= governor=
    read -r khz 2>/dev/null < $folder/scaling_max_freq
    read -r cur 2>/dev/null < $folder/scaling_cur_freq
    read -r hardware 2>/dev/null < $folder/cpuinfo_max_freq
    read -r governor 2>/dev/null < $folder/scaling_governor
    print -r -- "clock $core ${khz:--} ${cur:--} ${hardware:--} ${governor:--}"
  done
  read -r value rest 2>/dev/null < /proc/loadavg && print -r -- "load $value"
  df -k /data/local/tmp 2>/dev/null | while read -r source total used free rest; do
    print -r -- "free_kb $free"
  done
}
"""

_CPU_ZONE = re.compile(
    r"cpu|tsens|cluster|soc.?therm|^(big|mid|little|apc\w*|cl\d+)$", re.IGNORECASE
)
_BATTERY_ZONE = re.compile(r"batt|bms|vbat|ibat|bcl|lmh|^soc$", re.IGNORECASE)  # soc: of charge
_HAL_TEMPERATURE = re.compile(
    r"Temperature\{mValue=(?P<value>[\d.]+), mType=(?P<kind>\d+), mName=(?P<name>[^,}]+)", re.ASCII
)
_HAL_CPU, _HAL_NO_HEAT = 0, (6, 7, 8)  # these are volts, amperes and per cent


class Zone(NamedTuple):
    """A thermal zone, by the name that the phone gives it."""

    name: str
    celsius: float


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a phone at one moment; None or nothing means unknown.

    Attributes:
        thermal_status: Android's own evaluation, from 0 (none) to 6 (about to shut down).
        zones_c: Temperature of each thermal zone that gives a plausible one.
        max_khz: What the measured cores may be clocked at now.
        cur_khz: What they were clocked at.
        hardware_max_khz: What they are made for.
        governor: Of the measured cores.
        awake: Whether the screen is on.
        load: Programs that ran or waited, averaged over a minute.
        free_mb: Space left where models are put.
    """

    thermal_status: int | None = None
    battery_percent: int | None = None
    battery_c: float | None = None
    charging: bool | None = None
    zones_c: Mapping[str, float] = field(default_factory=dict)
    max_khz: Mapping[int, int] = field(default_factory=dict)
    cur_khz: Mapping[int, int] = field(default_factory=dict)
    hardware_max_khz: Mapping[int, int] = field(default_factory=dict)
    governor: str | None = None
    awake: bool | None = None
    load: float | None = None
    free_mb: int | None = None

    @property
    def hottest(self) -> Zone | None:
        """The hottest of the processor's zones; where none is known, of all but the battery's."""
        zones = [Zone(name, celsius) for name, celsius in self.zones_c.items()]
        of_cpu = [zone for zone in zones if _CPU_ZONE.search(zone.name)]
        others = [zone for zone in zones if not _BATTERY_ZONE.search(zone.name)]
        return max(of_cpu or others, key=lambda zone: zone.celsius, default=None)

    def circumstances(self) -> Circumstances:
        """Return what is known as short texts, to store with a measurement."""
        charging = {True: "yes", False: "no", None: None}
        known: dict[str, object] = {
            "thermal_status": self.thermal_status,
            "hottest_c": None if self.hottest is None else f"{self.hottest.celsius:.1f}",
            "hottest_zone": None if self.hottest is None else self.hottest.name,
            "battery_percent": self.battery_percent,
            "battery_c": None if self.battery_c is None else f"{self.battery_c:.1f}",
            "charging": charging[self.charging],
            "max_khz": _by_core(self.max_khz),
            "cur_khz": _by_core(self.cur_khz),
            "governor": self.governor,
            "awake": charging[self.awake],
            "load": None if self.load is None else f"{self.load:.2f}",
            "free_mb": self.free_mb,
        }
        texts = {name: str(value) for name, value in known.items() if value is not None}
        return read_circumstances(texts)


def parse_conditions(lines: Sequence[str]) -> Conditions:
    """Read what the shell function ``conditions`` printed; what is damaged stays unknown.

    Kernels give a zone's temperature in thousandths, tenths or whole degrees Celsius. A phone's
    chip at work is between 1 and 125 °C, so up to 125 is degrees, up to 999 tenths, from 1000 on
    thousandths. What lies outside afterwards, as the 0 or -273 of a sensor that is off, is dropped.
    """
    found = [line.strip().partition(" ")[::2] for line in lines]
    battery = _battery([rest for key, rest in found if key == "battery"])
    thermal = [rest.strip() for key, rest in found if key == "thermal"]
    clocks = [rest.split() for key, rest in found if key == "clock"]
    clocks = [words for words in clocks if len(words) == 5 and _whole(words[0]) is not None]
    loads = [_number(rest) for key, rest in found if key == "load"]
    frees = [_whole(rest) for key, rest in found if key == "free_kb"]
    frees_kb = [each for each in frees if each is not None]  # the first is the heading of `df`
    governors = {words[4] for words in clocks if words[4] != "-"}
    level, scale, temperature = (
        _number(battery.get(key, "")) for key in ("level", "scale", "temperature")
    )
    return Conditions(
        thermal_status=_thermal_status(thermal),
        battery_percent=_percent(level, scale),
        battery_c=temperature / 10 if temperature else None,
        charging=_charging(battery),
        zones_c=_zones(found, thermal),
        max_khz=_khz(clocks, 1),
        cur_khz=_khz(clocks, 2),
        hardware_max_khz=_khz(clocks, 3),
        governor=",".join(sorted(governors)) or None,
        awake=_awake([rest for key, rest in found if key == "power"]),
        load=loads[0] if loads else None,
        free_mb=frees_kb[-1] // 1024 if frees_kb else None,
    )


def khz_by_core(text: str, cores: Sequence[int]) -> dict[int, int]:
    """Read a clock as ``circumstances`` wrote it for these cores; what is damaged is left out.

    >>> khz_by_core("2841600", (6, 7))
    {6: 2841600, 7: 2841600}
    >>> khz_by_core("0:1804800 7:2841600", ())
    {0: 1804800, 7: 2841600}
    """
    if (same := _whole(text)) is not None:
        return dict.fromkeys(cores, same)
    pairs = re.findall(r"(?:^| )(\d{1,4}):(\d{1,9})(?= |$)", text, re.ASCII)
    return {int(core): int(khz) for core, khz in pairs}


def _battery(lines: Sequence[str]) -> dict[str, str]:
    """Android's battery service; the first of equal names, for makers append lists of their own."""
    battery: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        battery.setdefault(key.strip(), value.strip())
    return battery


def _percent(level: float | None, scale: float | None) -> int | None:
    percent = None if level is None else 100 * level / (scale or 100)
    return None if percent is None or not 0 <= percent <= 100 else round(percent)


def _charging(battery: Mapping[str, str]) -> bool | None:
    """By Android's status; where that is unknown, by whether a charger is there."""
    status = _whole(battery.get("status", ""))
    if status in (2, 3, 4, 5):  # charging, discharging, not charging, full
        return status in (2, 5)
    powered = [value for key, value in battery.items() if key.endswith(" powered")]
    return "true" in powered if powered else None


def _thermal_status(lines: Sequence[str]) -> int | None:
    """Android's thermal status; without its hardware layer it would always be 0."""
    if "HAL Ready: false" in lines:
        return None
    for line in lines:
        if line.startswith("Thermal Status:"):
            return _whole(line.partition(":")[2].strip())
    return None


def _zones(found: Sequence[tuple[str, ...]], thermal: Sequence[str]) -> dict[str, float]:
    """The kernel's zones, then Android's where the kernel's cannot be read; the hottest of equals.

    Android's cache of temperatures may be hours old: only what it reads now counts.
    """
    zones: dict[str, float] = {}
    for key, rest in found:
        value, _, name = rest.partition(" ")
        if key == "zone" and name.strip():
            for celsius in _celsius(_number(value)):
                zones[name.strip()] = max(celsius, zones.get(name.strip(), celsius))
    now, android = False, {}
    for line in thermal:
        if not line.startswith("Temperature{"):
            now = line.startswith("Current temperatures")
        temperature = _HAL_TEMPERATURE.match(line)
        if now and temperature and int(temperature["kind"]) not in _HAL_NO_HEAT:
            name = temperature["name"].strip()
            if int(temperature["kind"]) == _HAL_CPU and not _CPU_ZONE.search(name):
                name = f"cpu {name}"
            value_c = _number(temperature["value"])
            if value_c is not None and 0 < value_c < 125:
                android[name] = value_c
    return {**android, **zones}


def _celsius(raw: float | None) -> Iterator[float]:
    """One temperature, or none if it is not plausible."""
    if raw is None:
        return
    celsius = raw / 1000 if raw >= 1000 else raw / 10 if raw > 125 else raw
    if 0 < celsius < 125:
        yield celsius


def _khz(clocks: Sequence[Sequence[str]], column: int) -> dict[int, int]:
    """One column of the clocks, by core; 0 is what a core that is off gives."""
    found = {int(words[0]): _whole(words[column]) for words in clocks}
    return {core: khz for core, khz in found.items() if khz}


def _awake(lines: Sequence[str]) -> bool | None:
    for line in lines:
        name, _, state = line.strip().partition("=")
        if name == "mWakefulness" and state:
            return state not in ("Asleep", "Dozing")
    return None


def _by_core(khz: Mapping[int, int]) -> str | None:
    """One number where all are equal."""
    if len(set(khz.values())) == 1:
        return str(next(iter(khz.values())))
    return " ".join(f"{core}:{value}" for core, value in sorted(khz.items())) or None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
