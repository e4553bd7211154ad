"""The chart of the conditions that a device was measured in."""

import math
from collections.abc import Iterable
from typing import Any

from mnaslat.reports.format import finite, local_time
from mnaslat.reports.page_data import ConditionsSection
from mnaslat.reports.plot import BAND, COLORS, Chart, chart_axis, chart_layout

_GAP_S = 600.0  # without a round: measuring had stopped, and a line across it would be made up
# The day stands below the first tick and where it changes; seconds only where ticks are so close.
_TIME_TICKS = [
    {"dtickrange": [None, 59_999], "value": "%H:%M:%S\n%-d %b"},
    {"dtickrange": [60_000, 86_399_999], "value": "%H:%M\n%-d %b"},
    {"dtickrange": [86_400_000, None], "value": "%-d %b\n%Y"},
]
_PANEL_GAP = 0.04  # as a fraction of the chart's height
# Of the conditions, from top to bottom: what the axis says, then name, field and unit of each line.
_PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Heat (°C)",
        (("hottest zone", "hottest_c", ".1f} °C"), ("battery's heat", "battery_c", ".1f} °C")),
    ),
    ("Battery (%)", (("battery level", "battery_percent", ".0f} %"),)),
    ("Clock (GHz)", (("core clock", "clock_ghz", ".2f} GHz"),)),
    ("Load (programs)", (("load", "load", ".2f} programs"),)),
    ("Steal (ticks)", (("stolen time", "steal_ticks", ".0f} ticks"),)),
    ("Sentinel (%)", (("sentinel", "sentinel_change", "+.1%}"),)),
)


def conditions_chart(section: ConditionsSection) -> Chart | None:
    """Draw the known values over time, in panels below one another."""
    panels = [panel for panel in _PANELS if _is_worth_a_panel(section, panel[1])]
    if not panels:
        return None
    data: list[dict[str, Any]] = []
    layout = chart_layout(height=90 + 130 * len(panels))
    size = (1 + _PANEL_GAP) / len(panels) - _PANEL_GAP
    for index, (title, lines) in enumerate(panels):
        number = str(index + 1) if index else ""
        top = 1 - index * (size + _PANEL_GAP)
        scale = chart_axis(title, domain=[max(0.0, top - size), top], nticks=4)
        scale["title"]["font"] = {"size": 12}
        for name, field, style in lines:
            color = COLORS[len(data) % len(COLORS)]
            data += _over_time(
                section, field, name=name, style=style, axis=f"y{number}", color=color
            )
            if field == "sentinel_change":
                scale["tickformat"] = "+.0%"
                if section.alarm_change is not None:
                    layout["shapes"] = [_alarm_band(section.alarm_change, f"y{number}")]
        layout[f"yaxis{number}"] = scale
    layout["xaxis"] = chart_axis(
        "Time", type="date", tickformatstops=_TIME_TICKS, anchor=f"y{number}", nticks=8
    )
    return {"data": data, "layout": layout}


def shows_sentinel(section: ConditionsSection) -> bool:
    """Whether the chart has the sentinel: one reading alone says nothing."""
    return len(_known(section, "sentinel_change")) > 1


def _is_worth_a_panel(section: ConditionsSection, lines: Iterable[tuple[str, str, str]]) -> bool:
    fields = [field for _, field, _ in lines]
    if "sentinel_change" in fields:
        return shows_sentinel(section)
    if "steal_ticks" in fields:
        return any(_known(section, "steal_ticks"))
    return any(len(_known(section, field)) > 0 for field in fields)


def _known(section: ConditionsSection, field: str) -> list[float]:
    values = [finite(getattr(point, field)) for point in section.points]
    return [value for value in values if value is not None]


def _over_time(
    section: ConditionsSection, field: str, *, name: str, style: str, axis: str, color: str
) -> list[dict[str, Any]]:
    """The line of one figure, if it is known at all; broken where measuring had stopped."""
    times: list[str] = []
    values: list[float | None] = []
    last_s = math.inf
    for point in section.points:
        value, time = finite(getattr(point, field)), local_time(point.happened)
        if value is None or time is None:
            continue
        if point.happened - last_s > _GAP_S:
            times.append(times[-1])
            values.append(None)
        times.append(time.isoformat(" ", "milliseconds"))
        values.append(value)
        last_s = point.happened
    if not times:
        return []
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": times,
        "y": values,
        "yaxis": axis,
        "line": {"color": color, "width": 1.5},
        "marker": {"size": 3},
        "hovertemplate": f"%{{x|%H:%M:%S}}: {name} %{{y:{style}<extra></extra>",
    }
    return [trace]


def _alarm_band(change: float, axis: str) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": axis,
        "y0": -change,
        "y1": change,
        "fillcolor": BAND,
        "line": {"width": 0},
        "layer": "below",
    }
