"""The charts of networks and layers in the report."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from mnaslat.reports.format import finite, format_ms, format_percent
from mnaslat.reports.page_data import Front, FrontPoint, LatencyPoint, RewardHistory, TableRow
from mnaslat.reports.plot import (
    BAND,
    COLORS,
    MUTED,
    SYMBOLS,
    Chart,
    chart_axis,
    chart_layout,
    dots_trace,
    line_trace,
    plain_label,
)

CLOSE = 0.05  # a prediction within 5 % of the measurement counts as close, as in `evaluate`
N_SLOWEST = 30
_LABEL_LENGTH = 30  # characters of an axis label; more leaves no room for the bars on a phone


def compared_points(points: Iterable[LatencyPoint]) -> list[tuple[LatencyPoint, float, float]]:
    """Points that have both figures, with the predicted and the measured one."""
    both = ((point, finite(point.predicted_ms), finite(point.measured_ms)) for point in points)
    return [
        (point, predicted_ms, measured_ms)
        for point, predicted_ms, measured_ms in both
        if predicted_ms is not None and measured_ms is not None
        if predicted_ms > 0 and measured_ms > 0
    ]


def _comparison(point: LatencyPoint, predicted_ms: float, measured_ms: float) -> str:
    return (
        f"<b>{plain_label(point.label)}</b><br>predicted {format_ms(predicted_ms)} ms<br>"
        f"measured {format_ms(measured_ms)} ms ({predicted_ms / measured_ms - 1:+.1%})"
    )


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


def _dots_by_group(
    compared: list[tuple[LatencyPoint, float, float]],
    place: Callable[[LatencyPoint, float, float], tuple[float, float]],
) -> list[Chart]:
    """Dots of each group in a colour and a symbol of its own.

    Args:
        compared: As from `compared_points`.
        place: Where the dot of one of them is, x and y.
    """
    traces = []
    for index, group in enumerate(dict.fromkeys(point.group for point, _, _ in compared)):
        members = [entry for entry in compared if entry[0].group == group]
        places = [place(*entry) for entry in members]
        traces.append(
            dots_trace(
                group,
                [x for x, _ in places],
                [y for _, y in places],
                [_comparison(*entry) for entry in members],
                color=COLORS[index % len(COLORS)],
                symbol=SYMBOLS[index % len(SYMBOLS)],
                opacity=0.85,
            )
        )
    return traces


def latency_chart(points: Iterable[LatencyPoint]) -> Chart | None:
    """Draw predicted against measured latencies; None without a measured one."""
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
    edge = {"color": MUTED, "width": 0.8, "dash": "dot"}
    data = [
        line_trace(ends, [end * (1 - CLOSE) for end in ends], line=edge),
        line_trace(
            ends,
            [end * (1 + CLOSE) for end in ends],
            line=edge,
            fill="tonexty",
            fillcolor=BAND,
            name="within 5 %",
            showlegend=True,
        ),
        line_trace(ends, ends, name="predicted = measured", showlegend=True),
    ]
    data += _dots_by_group(
        compared, lambda _, predicted_ms, measured_ms: (measured_ms, predicted_ms)
    )
    layout = chart_layout(
        height=520,
        xaxis=chart_axis("Measured latency (ms)", **axis),
        yaxis=chart_axis("Predicted latency (ms)", **axis),
    )
    return {"data": data, "layout": layout}


def drift_chart(points: Iterable[LatencyPoint]) -> Chart | None:
    """Draw the errors of predictions over the course of a search."""
    compared = [entry for entry in compared_points(points) if entry[0].round is not None]
    if not compared:
        return None
    rounds = [int(point.round) for point, _, _ in compared if point.round is not None]
    ends: list[float] = [min(rounds), max(rounds)]
    data = [
        line_trace(ends, [0.0, 0.0], name="predicted = measured", showlegend=True),
        *_dots_by_group(
            compared,
            lambda point, predicted_ms, measured_ms: (
                float(point.round or 0),
                predicted_ms / measured_ms - 1.0,
            ),
        ),
    ]
    layout = chart_layout(
        height=400,
        xaxis=chart_axis("Round after which a network was measured"),
        yaxis=chart_axis("Predicted over measured - 1", tickformat="+.1%"),
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
    """Draw accuracy over latency with the Pareto front; None without networks."""
    points = placed_points(front.points)
    if not points:
        return None
    best = sorted((point.latency_ms, point.accuracy) for point in points if point.on_front)
    data = []
    if best:
        # A stair: between two networks of the front, the slower one cannot be had yet.
        stair = {"color": COLORS[0], "width": 2, "shape": "hv"}
        x, y = [float(latency) for latency, _ in best], [float(accuracy) for _, accuracy in best]
        data.append(line_trace(x, y, name="front", line=stair, showlegend=True))
    for measured, name, symbol in (
        (False, "predicted", "circle-open"),
        (True, "measured", "circle"),
    ):
        members = [point for point in points if bool(point.measured) == measured]
        if members:
            data.append(_front_dots(members, f"{name} latency", symbol))
    latencies_ms = [float(point.latency_ms) for point in points]
    answers = [point for point in points if point.answers]
    if answers:
        data.append(_answer_stars(answers))
    given_ms = (finite(target_ms) for target_ms in front.targets_ms)
    targets_ms = sorted(target_ms for target_ms in given_ms if target_ms is not None)
    wanted = [*latencies_ms, *targets_ms]
    padding_ms = 0.05 * (max(wanted) - min(wanted)) or 0.05 * abs(max(wanted)) or 1.0
    layout = chart_layout(
        height=480,
        xaxis=chart_axis(
            "Latency (ms)", range=[min(wanted) - padding_ms, max(wanted) + padding_ms]
        ),
        yaxis=chart_axis("Accuracy (top-1)", tickformat=".1%"),
    )
    if targets_ms:
        layout |= _vertical_lines(targets_ms, color=COLORS[1])
        middle_ms = (min(wanted) + max(wanted)) / 2
        # Of a range the ends are written at: text at every line would lie over its neighbours.
        layout["annotations"] = [
            _target_text(target_ms, on_left=target_ms > middle_ms)
            for target_ms in dict.fromkeys((targets_ms[0], targets_ms[-1]))
        ]
    return {"data": data, "layout": layout}


def _target_text(target_ms: float, *, on_left: bool) -> dict[str, Any]:
    return {
        "x": target_ms,
        "y": 0,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "right" if on_left else "left",  # of the line: where there is room
        "text": f"target {format_ms(target_ms)} ms",
        "xshift": -5 if on_left else 5,
        "showarrow": False,
        "font": {"color": COLORS[1]},
    }


def _answer_stars(answers: list[FrontPoint]) -> Chart:
    return dots_trace(
        "best at a target" if len(answers) > 1 else "best at the target",
        [float(point.latency_ms) for point in answers],
        [float(point.accuracy) for point in answers],
        [f"<b>{plain_label(point.label)}</b>" for point in answers],
        symbol="star-open",
        size=17,
        color=COLORS[1],
    )


def _front_dots(members: list[FrontPoint], name: str, symbol: str) -> Chart:
    return dots_trace(
        name,
        [float(point.latency_ms) for point in members],
        [float(point.accuracy) for point in members],
        [
            f"<b>{plain_label(point.label)}</b><br>accuracy {format_percent(point.accuracy)}<br>"
            f"{format_ms(point.latency_ms)} ms, {name.split()[0]}"
            for point in members
        ],
        symbol=symbol,
        size=[9 if point.on_front else 6 for point in members],
        color=[COLORS[0] if point.on_front else MUTED for point in members],
    )


def _vertical_lines(places: Iterable[float], *, color: str) -> dict[str, Any]:
    line = {"color": color, "width": 1.5, "dash": "dash"}
    common = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
    return {"shapes": [{**common, "x0": place, "x1": place} for place in places]}


def _line_over_rounds(
    name: str, rounds: list[int], values: list[float | None], *, color: str, axis: str = "y"
) -> list[Chart]:
    """One line, with gaps where a value is unknown; nothing if all are."""
    if all(value is None for value in values):
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines" if len(rounds) > 1 else "markers",
            "name": name,
            "x": rounds,
            "y": values,
            "yaxis": axis,
            "line": {"color": color, "width": 2},
            "hovertemplate": f"round %{{x}}: {name} %{{y:.4g}}<extra></extra>",
        }
    ]


def _with_entropy_panel(chart: Chart, rounds: list[int], entropies: list[float | None]) -> Chart:
    """The chart with the entropy below it, on the same rounds; as it is if no entropy is known."""
    line = _line_over_rounds("entropy", rounds, entropies, color=COLORS[3], axis="y2")
    if not line:
        return chart
    layout = chart["layout"]
    panels = {
        "height": 520,
        "xaxis": {**layout["xaxis"], "anchor": "y2"},
        "yaxis": {**layout["yaxis"], "domain": [0.36, 1]},
        "yaxis2": chart_axis("Entropy (nats)", domain=[0, 0.28]),
    }
    return {"data": chart["data"] + line, "layout": layout | panels}


def reward_chart(rewards: RewardHistory) -> Chart | None:
    """Draw the best and the mean reward over the iterations; None without any."""
    points = sorted(rewards.points, key=lambda point: point.round)
    if not points:
        return None
    rounds = [int(point.round) for point in points]
    best = [finite(point.best_reward) for point in points]
    mean = [finite(point.mean_reward) for point in points]
    data = _line_over_rounds("best reward", rounds, best, color=COLORS[2])
    data += _line_over_rounds("mean reward", rounds, mean, color=COLORS[0])
    ticks = {"dtick": 1} if len(points) <= 10 else {}  # there is no round 0.5
    layout = chart_layout(
        height=400, xaxis=chart_axis("Round", **ticks), yaxis=chart_axis("Reward")
    )
    entropies = [finite(point.entropy) for point in points]
    chart = _with_entropy_panel({"data": data, "layout": layout}, rounds, entropies)
    if rewards.validations:
        validated = [int(number) for number in rewards.validations]
        chart["layout"] |= _vertical_lines(validated, color=COLORS[1])
        # Shapes have no entry in the legend; this empty trace is theirs.
        mark = {"color": COLORS[1], "width": 1.5, "dash": "dash"}
        none: list[Any] = [None]
        name = "validated on the device"
        chart["data"].append(line_trace(none, none, name=name, line=mark, showlegend=True))
    return chart


def by_latency(rows: Iterable[TableRow]) -> list[tuple[float, TableRow]]:
    """Rows with a latency, slowest first."""
    known = [(finite(row.latency_ms), row) for row in rows]
    timed = [(latency_ms, row) for latency_ms, row in known if latency_ms is not None]
    return sorted(timed, key=lambda entry: -entry[0])


def slowest_chart(rows: Iterable[TableRow]) -> Chart | None:
    """Draw the slowest layers of a table as bars; None for an empty table."""
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
            f"<b>{plain_label(row.label)}</b><br>{format_ms(latency_ms)} ms<br>"
            f"spread {format_percent(row.spread)} over {row.n_rounds} rounds"
            for latency_ms, row in slowest
        ],
        "hoverinfo": "text",
        "marker": {"color": [COLORS[0 if row.converged else 1] for _, row in slowest]},
        "showlegend": False,
    }
    layout = chart_layout(
        height=110 + 19 * len(slowest),
        margin={"l": 12, "r": 12, "t": 40, "b": 12},  # above the bars: plotly.js's buttons
        bargap=0.25,
        xaxis=chart_axis("Latency (ms)", rangemode="tozero"),
        yaxis={
            "tickvals": places,
            "ticktext": [plain_label(_shortened(row.label)) for _, row in slowest],
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
