"""Reads the description of a phone: model, cores, memory, tools."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mnaslat.errors import DeviceError

_BEGIN, _END = "mnaslat description 1", "mnaslat description end"
_TOOLS = ("taskset", "timeout", "tar", "sha256sum")
_PROPERTIES = (
    "ro.product.manufacturer",
    "ro.product.model",
    "ro.soc.manufacturer",  # since Android 12
    "ro.soc.model",
    "ro.board.platform",
    "ro.hardware",
    "ro.product.cpu.abilist",
    "ro.product.cpu.abi",
    "ro.build.version.release",
    "ro.build.version.sdk",
    "ro.build.fingerprint",
    "ro.serialno",
    "ro.boot.serialno",
    "sys.boot_completed",
)

# For mksh and toybox. `2>/dev/null` stands before `<`: it must hide that the file cannot be opened.
DESCRIBE = f"""
print -r -- '{_BEGIN}'
for property in {" ".join(_PROPERTIES)}; do
  print -r -- "property $property $(getprop $property 2>/dev/null)"
done
for folder in /sys/devices/system/cpu/cpu[0-9]*; do
  [ -d "$folder" ] || continue
  khz=
  read -r khz 2>/dev/null < "$folder/cpufreq/cpuinfo_max_freq"
  print -r -- "core ${{folder##*/cpu}} ${{khz:--}}"
done
possible=
read -r possible 2>/dev/null < /sys/devices/system/cpu/possible
print -r -- "possible $possible"
while read -r name kb rest; do
  [ "$name" = MemTotal: ] && print -r -- "memory_kb $kb"
done 2>/dev/null < /proc/meminfo
for tool in {" ".join(_TOOLS)}; do
  command -v $tool >/dev/null 2>&1 || print -r -- "missing $tool"
done
print -r -- '{_END}'
"""


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind; ``name`` is ``little``, ``mid`` or ``big``, or ``any`` where unknown."""

    name: str
    cores: tuple[int, ...]
    max_khz: int | None

    def __str__(self) -> str:
        clock = "unknown clock" if self.max_khz is None else f"{self.max_khz / 1e6:.1f} GHz"
        return f"{self.name} ({_listed(self.cores)}: {clock})"


@dataclass(frozen=True, kw_only=True)
class Description:
    """A phone as it describes itself; texts that it does not tell are ``unknown``.

    Attributes:
        abi: The instruction set that it prefers, e.g. ``arm64-v8a``.
        android: Android's version, e.g. ``14``.
        build: The build's fingerprint.
        serial_hash: Of the serial number, which is personal and kept nowhere; empty if unknown.
        clusters: From the slowest to the fastest.
        missing_tools: What the phone's shell lacks of what measuring needs.
        booted: False while Android is still starting.
    """

    manufacturer: str
    model: str
    soc: str
    abi: str
    android: str
    sdk: int | None
    build: str
    serial_hash: str
    clusters: tuple[Cluster, ...]
    n_cores: int
    memory_mb: int | None = None
    missing_tools: tuple[str, ...] = ()
    booted: bool = True

    @property
    def name(self) -> str:
        """Name of the phone, the same over USB and over TCP, e.g. ``Pixel_4-1a2b3c``."""
        model = re.sub(r"[^A-Za-z0-9._-]+", "_", self.model).strip("._-") or "phone"
        return f"{model}-{self.serial_hash[:6]}" if self.serial_hash else model

    @property
    def fingerprint(self) -> str:
        """Text that must be equal for two measurements to be comparable."""
        serial = self.serial_hash or "unknown"
        parts = (self.manufacturer, self.model, self.soc, self.build, self.abi, f"serial {serial}")
        return "; ".join(parts)

    def cores(self, choice: str) -> tuple[int, ...]:
        """The cores that a choice means: a cluster's name, ``any`` (empty), or ``4,5``.

        Raises:
            ValueError: If this phone has none such.
        """
        if choice == "any":
            return ()
        for cluster in self.clusters:
            if cluster.name == choice:
                return cluster.cores
        if re.fullmatch(r"\d{1,4}(,\d{1,4})*", choice, re.ASCII):
            cores = tuple(sorted({int(core) for core in choice.split(",")}))
            if cores[-1] < self.n_cores:
                return cores
        raise ValueError(
            f"{self.model} has no cores {choice!r}. It has "
            f"{', '.join(map(str, self.clusters))}. Choose one of these names, any, or numbers "
            f"from 0 to {self.n_cores - 1} such as 0,1."
        )


def parse_description(text: str) -> Description:
    """Read what ``DESCRIBE`` printed.

    Raises:
        DeviceError: If the answer is not whole.
    """
    lines = [line.strip() for line in text.split("\n")]
    if _BEGIN not in lines or _END not in lines[lines.index(_BEGIN) :]:
        raise DeviceError(
            "The phone's description of itself is cut short: it ends with "
            f"{text.strip()[-100:]!r}. Check the cable, and that `adb shell echo` answers."
        )
    begin = lines.index(_BEGIN)
    found = [_words(line) for line in lines[begin + 1 : lines.index(_END, begin)]]
    properties = _properties(found)
    clocks = dict(_clocks(found))
    n_cores = _n_cores(found, clocks)
    serial = properties.get("ro.serialno") or properties.get("ro.boot.serialno")
    abis = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    return Description(
        manufacturer=properties.get("ro.product.manufacturer", "unknown"),
        model=properties.get("ro.product.model", "unknown"),
        soc=_soc(properties),
        abi=abis.split(",")[0].strip() or "unknown",
        android=properties.get("ro.build.version.release", "unknown"),
        sdk=_number(properties.get("ro.build.version.sdk", "")),
        build=properties.get("ro.build.fingerprint", "unknown"),
        serial_hash=hashlib.sha256(serial.encode()).hexdigest()[:12] if serial else "",
        clusters=_clusters(clocks, n_cores),
        n_cores=n_cores,
        memory_mb=_megabytes(found, "memory_kb"),
        missing_tools=tuple(words[1] for words in found if words[0] == "missing" and words[1:]),
        booted=properties.get("sys.boot_completed") == "1",
    )


def taskset_mask(cores: Sequence[int]) -> str:
    """The cores as toybox's ``taskset`` wants them: hexadecimal, without 0x.

    Raises:
        ValueError: If there is no core, which would pin to nothing.

    >>> taskset_mask((4, 5, 6, 7))
    'f0'
    """
    if not cores or min(cores) < 0:
        raise ValueError(f"A mask needs at least one core, all of them from 0, got {tuple(cores)}.")
    return f"{sum(1 << core for core in set(cores)):x}"


def _words(line: str) -> list[str]:
    """A line's words; all that follows a property's name is one."""
    return line.split(None, 2) if line.startswith("property ") else line.split() or [""]


def _properties(found: Sequence[Sequence[str]]) -> dict[str, str]:
    """The first value of each property that has one."""
    properties: dict[str, str] = {}
    for words in found:
        if words[0] == "property" and len(words) == 3:
            properties.setdefault(words[1], words[2])
    return properties


def _soc(properties: Mapping[str, str]) -> str:
    model = properties.get("ro.soc.model")
    if model:
        return f"{properties.get('ro.soc.manufacturer', '')} {model}".strip()
    return properties.get("ro.board.platform") or properties.get("ro.hardware", "unknown")


def _is_core(words: Sequence[str]) -> bool:
    return words[0] == "core" and len(words) >= 3 and _number(words[1]) is not None


def _clocks(found: Sequence[Sequence[str]]) -> Iterator[tuple[int, int | None]]:
    """Each core with its highest frequency in kHz, None where it is not reported."""
    for words in found:
        if _is_core(words):
            yield int(words[1]), _number(words[2]) or None


def _n_cores(found: Sequence[Sequence[str]], clocks: Mapping[int, int | None]) -> int:
    """Cores that the phone has, whether they are switched on or not; at least 1."""
    highest = max(clocks, default=0)
    for words in found:
        if words[0] == "possible" and len(words) == 2:
            last = _number(re.split("[-,]", words[1])[-1])
            highest = max(highest, last or 0)
    return highest + 1


def _clusters(clocks: Mapping[int, int | None], n_cores: int) -> tuple[Cluster, ...]:
    """Cores by their highest frequency; those between the lowest and the highest are mid."""
    by_khz: dict[int, list[int]] = {}
    for core, khz in sorted(clocks.items()):
        if khz is not None:
            by_khz.setdefault(khz, []).append(core)
    if not by_khz:
        return (Cluster("any", tuple(range(n_cores)), None),)
    low, *middle, high = sorted(by_khz) if len(by_khz) > 1 else [0, *by_khz]
    clusters = [Cluster("big", tuple(by_khz[high]), high)]
    if middle:
        cores = sorted(core for khz in middle for core in by_khz[khz])
        clusters.insert(0, Cluster("mid", tuple(cores), middle[-1]))
    if low:
        clusters.insert(0, Cluster("little", tuple(by_khz[low]), low))
    return tuple(clusters)


def _megabytes(found: Sequence[Sequence[str]], key: str) -> int | None:
    """The last number under a key, from kB."""
    kilobytes = [_number(words[1]) for words in found if words[0] == key and len(words) == 2]
    reported = [each for each in kilobytes if each is not None]
    return reported[-1] // 1024 if reported else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def _listed(cores: Sequence[int]) -> str:
    """Cores as people write them: ``0-3`` where they follow one another."""
    if len(cores) > 2 and cores[-1] - cores[0] == len(cores) - 1:
        return f"{cores[0]}-{cores[-1]}"
    return ",".join(map(str, cores))
