"""Defines the limits within which a phone may be measured."""

from dataclasses import dataclass, fields
from typing import Any

STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


@dataclass(frozen=True, kw_only=True)
class GuardPolicy:
    """The conditions in which a phone may be measured."""

    max_thermal_status: int = 0  # from 1 on, Android lets makers slow the phone down
    max_zone_c: float = 85.0  # processors are slowed from about 95 °C on
    max_battery_c: float = 42.0  # above 45 °C phones stop charging, and slow down
    min_battery_percent: int = 15  # below it, phones save power
    min_clock: float = (
        0.97  # of the highest clock when the sweep began; 3 % fewer show in latencies
    )
    cooldown_limit_s: float = 900.0  # give up after this long: something else heats the phone
    poll_s: float = 5.0  # chips cool down within seconds, cases within minutes
    sentinel_drift: float = 0.08  # above the spread of a phone left in peace
    min_free_mb: int = 64  # a few models and the tool's own files

    def __post_init__(self) -> None:
        if not 0 <= self.max_thermal_status < len(STATUS):
            raise ValueError(
                f"max_thermal_status must lie in 0..6, got {self.max_thermal_status}: 0 allows no "
                "slowing down at all."
            )
        if not 0 <= self.min_battery_percent <= 100:
            raise ValueError(
                f"min_battery_percent must lie in 0..100, got {self.min_battery_percent}."
            )
        for name in ("min_clock", "sentinel_drift"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"{name} is a fraction in (0, 1], got {value}.")
        for name in ("max_zone_c", "max_battery_c", "poll_s"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")
        for name in ("cooldown_limit_s", "min_free_mb"):
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, got {value}.")

    @classmethod
    def parse(cls, text: str) -> "GuardPolicy":
        """Read the usual policy with changes, as typed after ``--guard``.

        Raises:
            ValueError: If there is no such setting, or the value makes no sense.

        >>> GuardPolicy.parse("max-zone-c=90,min-battery-percent=30").changes
        'max-zone-c=90,min-battery-percent=30'
        """
        known = {each.name: int if each.type in (int, "int") else float for each in fields(cls)}
        changes: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            typed, equals, value = part.partition("=")
            if not equals:
                raise ValueError(f"{part!r} is not NAME=NUMBER.")
            name = typed.strip().replace("-", "_")
            if name not in known:
                listed = ", ".join(each.replace("_", "-") for each in known)
                raise ValueError(f"No guard setting {typed.strip()!r}; there are {listed}.")
            kind = "a whole number" if known[name] is int else "a number"
            try:
                changes[name] = known[name](value)
            except ValueError:
                raise ValueError(f"{part!r}: {value!r} is not {kind}.") from None
        return cls(**changes)

    @property
    def changes(self) -> str:
        """Differences from the usual policy, as ``parse`` reads them; empty if there are none."""
        return ",".join(
            f"{each.name.replace('_', '-')}={getattr(self, each.name):g}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        )
