"""The charts of the report, as plain dictionaries that plotly.js draws.

Text from outside goes through ``html.escape``: plotly.js takes a little HTML in its labels.
"""

import html
import math
from collections.abc import Iterable
from typing import Any

from mnaslat.cli.report_data import (
    ConditionsSection,
    Front,
    FrontPoint,
    LatencyPoint,
    RewardHistory,
    TableRow,
)
from mnaslat.cli.report_format import finite, format_ms, format_percent, local_time

Chart = dict[str, Any]  # {"data": traces, "layout": layout}, as plotly.js reads them

CLOSE = 0.05  # a prediction within 5 % of the measurement counts as close, as in `evaluate`
N_SLOWEST = 30
_LABEL_LENGTH = 30  # characters of an axis label; more leaves no room for the bars on a phone
_COLORS = ("#3f7fd0", "#d9822b", "#2f9e77", "#a05fc4", "#c9504d", "#7d8590")  # both on dark, light
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")  # not by colour alone
_SPACE = "\u00a0"  # keeps a number and its unit on one line
_MUTED = "#8a919b"
_GRID = "rgba(128, 134, 144, 0.22)"
_BAND = "rgba(128, 134, 144, 0.16)"
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


def compared_points(points: Iterable[LatencyPoint]) -> list[tuple[LatencyPoint, float, float]]:
    """Points that have both figures, with the predicted and the measured one."""
    both = ((point, finite(point.predicted_ms), finite(point.measured_ms)) for point in points)
    return [
        (point, predicted_ms, measured_ms)
        for point, predicted_ms, measured_ms in both
        if predicted_ms is not None and measured_ms is not None
        if predicted_ms > 0 and measured_ms > 0
    ]


def _label(text: str) -> str:
    """Text for plotly.js, which reads ``<b>`` and the like but shows ``&quot;`` as it is."""
    return html.escape(text, quote=False)


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": _label(title), "standoff": 10},
        "gridcolor": _GRID,
        "zerolinecolor": _GRID,
        "automargin": True,
        **more,
    }


def _layout(*, height: int = 440, **more: Any) -> dict[str, Any]:
    # Colours of the text come from the page's style sheet, which knows dark from light.
    return {
        "height": height,
        "margin": {"l": 12, "r": 12, "t": 12, "b": 12},
        "paper_bgcolor": "rgba(0, 0, 0, 0)",
        "plot_bgcolor": "rgba(0, 0, 0, 0)",
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
        },
        "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": _MUTED, "activecolor": _COLORS[0]},
        "hovermode": "closest",
        **more,
    }


def _line(x: list[float], y: list[float], **more: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "showlegend": False,
        "line": {"color": _MUTED, "width": 1.2},
        **more,
    }


def _dots(name: str, x: list[float], y: list[float], texts: list[str], **marker: Any) -> Chart:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _label(name),
        "x": x,
        "y": y,
        "hovertext": texts,
        "hoverinfo": "text",
        "marker": {"size": 8, **marker},
    }


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 times the powers of ten: plotly.js alone would write ``2`` for 20."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def latency_chart(points: Iterable[LatencyPoint]) -> Chart | None:
    compared = compared_points(points)
    if not compared:
        return None
    values_ms = [value for _, *both in compared for value in both]
    # Evenly spaced on paper would hide the small ones where latencies span more than a decade.
    wide = max(values_ms) / min(values_ms) > 10
    padding = 1.2 if wide else 1.06
    low, high = min(values_ms) / padding, max(values_ms) * padding
    axis: dict[str, Any] = _log_ticks(low, high) if wide else {"range": [low, high]}
    ends = [low, high]
    edge = {"color": _MUTED, "width": 0.8, "dash": "dot"}
    data = [
        _line(ends, [end * (1 - CLOSE) for end in ends], line=edge),
        _line(
            ends,
            [end * (1 + CLOSE) for end in ends],
            line=edge,
            fill="tonexty",
            fillcolor=_BAND,
            name="within 5 %",
            showlegend=True,
        ),
        _line(ends, ends, name="predicted = measured", showlegend=True),
    ]
    for index, group in enumerate(dict.fromkeys(point.group for point, _, _ in compared)):
        members = [entry for entry in compared if entry[0].group == group]
        data.append(
            _dots(
                group,
                [measured_ms for _, _, measured_ms in members],
                [predicted_ms for _, predicted_ms, _ in members],
                [
                    f"<b>{_label(point.label)}</b><br>predicted {format_ms(predicted_ms)} ms<br>"
                    f"measured {format_ms(measured_ms)} ms ({predicted_ms / measured_ms - 1:+.1%})"
                    for point, predicted_ms, measured_ms in members
                ],
                color=_COLORS[index % len(_COLORS)],
                symbol=_SYMBOLS[index % len(_SYMBOLS)],
                opacity=0.85,
            )
        )
    layout = _layout(
        height=520,
        xaxis=_axis("Measured latency (ms)", **axis),
        yaxis=_axis("Predicted latency (ms)", **axis),
    )
    return {"data": data, "layout": layout}


def placed_points(points: Iterable[FrontPoint]) -> list[FrontPoint]:
    """Points that have both figures."""
    return [
        point
        for point in points
        if finite(point.latency_ms) is not None and finite(point.accuracy) is not None
    ]


def front_chart(front: Front) -> Chart | None:
    points = placed_points(front.points)
    if not points:
        return None
    best = sorted((point.latency_ms, point.accuracy) for point in points if point.on_front)
    data = []
    if best:
        # A stair: between two networks of the front, the slower one cannot be had yet.
        stair = {"color": _COLORS[0], "width": 2, "shape": "hv"}
        x, y = [float(latency) for latency, _ in best], [float(accuracy) for _, accuracy in best]
        data.append(_line(x, y, name="front", line=stair, showlegend=True))
    for measured, name, symbol in (
        (False, "predicted", "circle-open"),
        (True, "measured", "circle"),
    ):
        members = [point for point in points if bool(point.measured) == measured]
        if members:
            data.append(_front_dots(members, f"{name} latency", symbol))
    latencies_ms = [float(point.latency_ms) for point in points]
    target_ms = finite(front.target_ms)
    wanted = [*latencies_ms, *([target_ms] if target_ms is not None else [])]
    padding_ms = 0.05 * (max(wanted) - min(wanted)) or 0.05 * abs(max(wanted)) or 1.0
    layout = _layout(
        height=480,
        xaxis=_axis("Latency (ms)", range=[min(wanted) - padding_ms, max(wanted) + padding_ms]),
        yaxis=_axis("Accuracy (top-1)", tickformat=".1%"),
    )
    if target_ms is not None:
        layout |= _vertical_lines([target_ms], color=_COLORS[1])
        on_left = target_ms > (min(wanted) + max(wanted)) / 2  # of the line: where there is room
        layout["annotations"] = [
            {
                "x": target_ms,
                "y": 0,
                "yref": "paper",
                "yanchor": "bottom",
                "xanchor": "right" if on_left else "left",
                "text": f"target {format_ms(target_ms)} ms",
                "xshift": -5 if on_left else 5,
                "showarrow": False,
                "font": {"color": _COLORS[1]},
            }
        ]
    return {"data": data, "layout": layout}


def _front_dots(members: list[FrontPoint], name: str, symbol: str) -> Chart:
    return _dots(
        name,
        [float(point.latency_ms) for point in members],
        [float(point.accuracy) for point in members],
        [
            f"<b>{_label(point.label)}</b><br>accuracy {format_percent(point.accuracy)}<br>"
            f"{format_ms(point.latency_ms)} ms, {name.split()[0]}"
            for point in members
        ],
        symbol=symbol,
        size=[9 if point.on_front else 6 for point in members],
        color=[_COLORS[0] if point.on_front else _MUTED for point in members],
    )


def _vertical_lines(places: Iterable[float], *, color: str) -> dict[str, Any]:
    line = {"color": color, "width": 1.5, "dash": "dash"}
    common = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
    return {"shapes": [{**common, "x0": place, "x1": place} for place in places]}


def reward_chart(rewards: RewardHistory) -> Chart | None:
    points = sorted(rewards.points, key=lambda point: point.update)
    if not points:
        return None
    updates = [int(point.update) for point in points]
    series = (
        ("best reward", [finite(point.best_reward) for point in points], "y", _COLORS[2]),
        ("mean reward", [finite(point.mean_reward) for point in points], "y", _COLORS[0]),
        ("entropy", [finite(point.entropy) for point in points], "y2", _COLORS[3]),
    )
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines" if len(points) > 1 else "markers",
            "name": name,
            "x": updates,
            "y": values,
            "yaxis": axis,
            "line": {"color": color, "width": 2},
            "hovertemplate": f"update %{{x}}: {name} %{{y:.4g}}<extra></extra>",
        }
        for name, values, axis, color in series
        if any(value is not None for value in values)
    ]
    has_entropy = any(trace["yaxis"] == "y2" for trace in data)
    layout = _layout(
        height=520 if has_entropy else 400,
        xaxis=_axis(
            "Update of the controller",
            anchor="y2" if has_entropy else "y",
            **({"dtick": 1} if len(points) <= 10 else {}),  # there is no update 0.5
        ),
        yaxis=_axis("Reward", domain=[0.36, 1] if has_entropy else [0, 1]),
    )
    if has_entropy:
        layout["yaxis2"] = _axis("Entropy (nats)", domain=[0, 0.28])
    if rewards.validations:
        layout |= _vertical_lines([int(update) for update in rewards.validations], color=_COLORS[1])
        # Shapes have no entry in the legend; this empty trace is theirs.
        mark = {"color": _COLORS[1], "width": 1.5, "dash": "dash"}
        data.append(_line([], [], name="validated on the device", line=mark, showlegend=True))
        data[-1]["x"] = data[-1]["y"] = [None]
    return {"data": data, "layout": layout}


def conditions_chart(section: ConditionsSection) -> Chart | None:
    """What is known over time, in panels below one another."""
    panels = [panel for panel in _PANELS if _is_worth_a_panel(section, panel[1])]
    if not panels:
        return None
    data: list[dict[str, Any]] = []
    layout = _layout(height=90 + 130 * len(panels))
    size = (1 + _PANEL_GAP) / len(panels) - _PANEL_GAP
    for index, (title, lines) in enumerate(panels):
        number = str(index + 1) if index else ""
        top = 1 - index * (size + _PANEL_GAP)
        scale = _axis(title, domain=[max(0.0, top - size), top], nticks=4)
        scale["title"]["font"] = {"size": 12}
        for name, field, style in lines:
            color = _COLORS[len(data) % len(_COLORS)]
            data += _over_time(
                section, field, name=name, style=style, axis=f"y{number}", color=color
            )
            if field == "sentinel_change":
                scale["tickformat"] = "+.0%"
                if section.alarm_change is not None:
                    layout["shapes"] = [_alarm_band(section.alarm_change, f"y{number}")]
        layout[f"yaxis{number}"] = scale
    layout["xaxis"] = _axis(
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
        "fillcolor": _BAND,
        "line": {"width": 0},
        "layer": "below",
    }


def by_latency(rows: Iterable[TableRow]) -> list[tuple[float, TableRow]]:
    """Rows with a latency, slowest first."""
    known = [(finite(row.latency_ms), row) for row in rows]
    timed = [(latency_ms, row) for latency_ms, row in known if latency_ms is not None]
    return sorted(timed, key=lambda entry: -entry[0])


def slowest_chart(rows: Iterable[TableRow]) -> Chart | None:
    slowest = by_latency(rows)[:N_SLOWEST]
    if not slowest:
        return None
    places = list(range(len(slowest)))  # not the labels: two layers may share one
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [latency_ms for latency_ms, _ in slowest],
        "y": places,
        "hovertext": [
            f"<b>{_label(row.label)}</b><br>{format_ms(latency_ms)} ms<br>"
            f"spread {format_percent(row.spread)} over {row.n_rounds} rounds"
            for latency_ms, row in slowest
        ],
        "hoverinfo": "text",
        "marker": {"color": [_COLORS[0 if row.settled else 1] for _, row in slowest]},
        "showlegend": False,
    }
    layout = _layout(
        height=110 + 19 * len(slowest),
        margin={"l": 12, "r": 12, "t": 40, "b": 12},  # above the bars: plotly.js's buttons
        bargap=0.25,
        xaxis=_axis("Latency (ms)", rangemode="tozero"),
        yaxis={
            "tickvals": places,
            "ticktext": [_label(_shortened(row.label)) for _, row in slowest],
            "range": [len(slowest) - 0.4, -0.6],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "ticks": "outside",  # unseen; they keep the labels off the bars
            "tickcolor": "rgba(0, 0, 0, 0)",
            "tickfont": {"size": 11},
        },
    )
    return {"data": [bars], "layout": layout}


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_LENGTH else f"{label[: _LABEL_LENGTH - 1]}…"
