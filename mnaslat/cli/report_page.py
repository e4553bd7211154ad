"""The offline HTML report: one self-contained file, made from plain rows.

The page knows nothing of stores, runs or predictors; whoever has those fills a ``ReportPage``. The
file carries its own scripts and styles, and its content-security policy forbids the browser to
load anything else.

Text from outside (names, signatures) meets three readers, and is escaped for each: HTML (Jinja's
autoescape), JSON inside ``<script>`` (Jinja's ``tojson``), and plotly.js, which takes a little HTML
in its labels (``html.escape``).
"""

import html
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

Chart = dict[str, Any]  # {"data": traces, "layout": layout}, as plotly.js reads them

_CLOSE = 0.05  # a prediction within 5 % of the measurement counts as close, as in `evaluate`
_N_SLOWEST = 30
_LABEL_LENGTH = 30  # characters of an axis label; more leaves no room for the bars on a phone
_COLORS = ("#3f7fd0", "#d9822b", "#2f9e77", "#a05fc4", "#c9504d", "#7d8590")  # both on dark, light
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")  # not by colour alone
_SPACE = "\u00a0"  # keeps a number and its unit on one line
_MUTED = "#8a919b"
_GRID = "rgba(128, 134, 144, 0.22)"
_BAND = "rgba(128, 134, 144, 0.16)"


def _check_accuracy(accuracy: float | None) -> None:
    if accuracy is not None and (accuracy < 0 or accuracy > 1):
        raise ValueError(f"accuracy is a fraction in [0, 1], got {accuracy}.")


@dataclass(frozen=True, kw_only=True)
class Winner:
    """A network worth taking home."""

    name: str
    predicted_ms: float
    accuracy: float | None = None  # a fraction; None: not known
    measured_ms: float | None = None  # None: never measured on the device
    blocks: tuple[str, ...] = ()  # one text per block
    command: str = ""  # what a reader types to get this network again

    def __post_init__(self) -> None:
        _check_accuracy(self.accuracy)


@dataclass(frozen=True, kw_only=True)
class LatencyPoint:
    """One network, predicted and (unless None) measured."""

    label: str
    group: str  # e.g. "calibration", "evaluation", "validation"
    predicted_ms: float
    measured_ms: float | None


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One network in the plane of accuracy and latency."""

    label: str
    accuracy: float
    latency_ms: float
    measured: bool  # whether latency_ms comes from the device rather than from a predictor
    on_front: bool

    def __post_init__(self) -> None:
        _check_accuracy(self.accuracy)


@dataclass(frozen=True, kw_only=True)
class Front:
    """What a search found, and the latency it was asked for."""

    points: tuple[FrontPoint, ...]
    target_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class RewardPoint:
    """One update of the controller."""

    update: int
    mean_reward: float | None
    best_reward: float | None
    entropy: float | None = None  # of the controller's choices, in nats


@dataclass(frozen=True, kw_only=True)
class RewardHistory:
    """A search over time."""

    points: tuple[RewardPoint, ...]
    validations: tuple[int, ...] = ()  # updates after which candidates were measured on the device


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One layer of a latency table."""

    label: str
    signature: str
    latency_ms: float | None
    spread: float | None  # between rounds, as a fraction of the latency
    n_rounds: int
    settled: bool  # whether the rounds came to agree
    share: float | None = None  # a fraction; the table says of what


@dataclass(frozen=True, kw_only=True)
class TableSection:
    """A latency table; thousands of rows are fine."""

    rows: tuple[TableRow, ...]
    share_name: str = "Share of a random network's time"


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Everything a report says. What is left empty leaves no trace on the page."""

    title: str
    headline: tuple[str, ...] = ()  # what was found, in plain sentences; shown first and large
    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # (name, value): device, configuration, seed, date, ...
    winners: tuple[Winner, ...] = ()
    latency_points: tuple[LatencyPoint, ...] = ()
    front: Front = field(default_factory=lambda: Front(points=()))
    rewards: RewardHistory = field(default_factory=lambda: RewardHistory(points=()))
    table: TableSection = field(default_factory=lambda: TableSection(rows=()))


def write_report(page: ReportPage, path: Path) -> None:
    """Write the page to ``path``, folders included.

    A reader sees the old file or the new one, never half of one.

    Raises:
        OSError: If the file cannot be written.
    """
    # A name read from a file system may hold lone surrogates, which UTF-8 refuses.
    content = render_report(page).encode("utf-8", "backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def render_report(page: ReportPage) -> str:
    """The page as one HTML document that loads nothing else.

    The same page gives the same text. With a chart it is about 5 MB, nearly all of it plotly.js.
    """
    # Slow to import, and needed by one command of many.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Functions below give None where nothing is left to draw.
    charts = {
        "latency": _latency_chart(page.latency_points),
        "front": _front_chart(page.front),
        "reward": _reward_chart(page.rewards),
        "slowest": _slowest_chart(page.table.rows),
    }
    drawn = {name: chart for name, chart in charts.items() if chart is not None}
    environment = Environment(
        loader=PackageLoader("mnaslat.cli", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters.update(
        ms=_ms, percent=_percent, count="{:,}".format, kept_units=_kept_units
    )
    return environment.get_template("report.html.jinja").render(
        page=page,
        winners=[(winner, _signed_error(winner)) for winner in page.winners],
        groups=_group_errors(page.latency_points),
        n_uncompared=len(page.latency_points) - len(_compared(page.latency_points)),
        n_unplaced=len(page.front.points) - len(_placed(page.front.points)),
        n_unsettled=sum(not row.settled for row in page.table.rows),
        n_slowest=min(_N_SLOWEST, len(_by_latency(page.table.rows))),
        charts=drawn,
        heights={name: chart["layout"]["height"] for name, chart in drawn.items()},
        table=_table_data(page.table),
        plotly_js=_plotly_js() if drawn else "",
    )


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs  # slow to import, needed only here

    return cast(str, get_plotlyjs())


def _finite(value: float | None) -> float | None:
    """The value, or None for what cannot be drawn (NaN and infinities are no JSON either)."""
    return float(value) if value is not None and math.isfinite(value) else None


def _ms(value: float | None) -> str:
    """Milliseconds with three significant digits.

    >>> [_ms(value) for value in (0.01234, 9.996, 78, 1234.5, None)]
    ['0.0123', '10.0', '78.0', '1,234', '–']
    """
    number = _finite(value)
    if number is None:
        return "–"
    if number == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(float(f"{number:.2e}"))))  # of the rounded: 9.996 is 10.0
    return f"{number:,.{max(0, 2 - magnitude)}f}"


def _percent(fraction: float | None, n_decimals: int = 1) -> str:
    number = _finite(fraction)
    return "–" if number is None else f"{number * 100:.{n_decimals}f}{_SPACE}%"


def _kept_units(sentence: str) -> str:
    """The sentence, with no line break between a number and its unit."""
    return re.sub(r"(?<=\d) (?=(?:%|ms|s|min|h)(?!\w))", _SPACE, sentence)


def _signed_error(winner: Winner) -> str:
    """How far the prediction is from the measurement, e.g. ``+2.1 %``; empty without one."""
    predicted_ms, measured_ms = _finite(winner.predicted_ms), _finite(winner.measured_ms)
    if predicted_ms is None or not measured_ms:
        return ""
    return f"{(predicted_ms / measured_ms - 1) * 100:+.1f}{_SPACE}%"


def _compared(points: Iterable[LatencyPoint]) -> list[tuple[LatencyPoint, float, float]]:
    """Points that have both figures, with the predicted and the measured one."""
    both = ((point, _finite(point.predicted_ms), _finite(point.measured_ms)) for point in points)
    return [
        (point, predicted_ms, measured_ms)
        for point, predicted_ms, measured_ms in both
        if predicted_ms is not None and measured_ms is not None
        if predicted_ms > 0 and measured_ms > 0
    ]


@dataclass(frozen=True, kw_only=True)
class _GroupError:
    name: str
    n: int
    mape: float  # a fraction, as is the next
    within_5: float


def _group_errors(points: Iterable[LatencyPoint]) -> list[_GroupError]:
    """Errors relative to the measurement, per group, in the order the groups appear."""
    errors: dict[str, list[float]] = {}
    for point, predicted_ms, measured_ms in _compared(points):
        error = abs(predicted_ms - measured_ms) / measured_ms
        errors.setdefault(point.group, []).append(error)
    return [
        _GroupError(
            name=group,
            n=len(of_group),
            mape=sum(of_group) / len(of_group),
            within_5=sum(error <= _CLOSE for error in of_group) / len(of_group),
        )
        for group, of_group in errors.items()
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


def _latency_chart(points: Iterable[LatencyPoint]) -> Chart | None:
    compared = _compared(points)
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
        _line(ends, [end * (1 - _CLOSE) for end in ends], line=edge),
        _line(
            ends,
            [end * (1 + _CLOSE) for end in ends],
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
                    f"<b>{_label(point.label)}</b><br>predicted {_ms(predicted_ms)} ms<br>"
                    f"measured {_ms(measured_ms)} ms ({predicted_ms / measured_ms - 1:+.1%})"
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


def _placed(points: Iterable[FrontPoint]) -> list[FrontPoint]:
    """Points that have both figures."""
    return [
        point
        for point in points
        if _finite(point.latency_ms) is not None and _finite(point.accuracy) is not None
    ]


def _front_chart(front: Front) -> Chart | None:
    points = _placed(front.points)
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
    target_ms = _finite(front.target_ms)
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
                "text": f"target {_ms(target_ms)} ms",
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
            f"<b>{_label(point.label)}</b><br>accuracy {_percent(point.accuracy)}<br>"
            f"{_ms(point.latency_ms)} ms, {name.split()[0]}"
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


def _reward_chart(rewards: RewardHistory) -> Chart | None:
    points = sorted(rewards.points, key=lambda point: point.update)
    if not points:
        return None
    updates = [int(point.update) for point in points]
    series = (
        ("best reward", [_finite(point.best_reward) for point in points], "y", _COLORS[2]),
        ("mean reward", [_finite(point.mean_reward) for point in points], "y", _COLORS[0]),
        ("entropy", [_finite(point.entropy) for point in points], "y2", _COLORS[3]),
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


def _by_latency(rows: Iterable[TableRow]) -> list[tuple[float, TableRow]]:
    """Rows with a latency, slowest first."""
    known = [(_finite(row.latency_ms), row) for row in rows]
    timed = [(latency_ms, row) for latency_ms, row in known if latency_ms is not None]
    return sorted(timed, key=lambda entry: -entry[0])


def _slowest_chart(rows: Iterable[TableRow]) -> Chart | None:
    slowest = _by_latency(rows)[:_N_SLOWEST]
    if not slowest:
        return None
    places = list(range(len(slowest)))  # not the labels: two layers may share one
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [latency_ms for latency_ms, _ in slowest],
        "y": places,
        "hovertext": [
            f"<b>{_label(row.label)}</b><br>{_ms(latency_ms)} ms<br>"
            f"spread {_percent(row.spread)} over {row.n_rounds} rounds"
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


def _table_data(table: TableSection) -> dict[str, Any]:
    """Columns and rows for the page's script: per cell the text shown, and what to sort it by."""
    has_share = any(_finite(row.share) is not None for row in table.rows)
    columns = ["Layer", "Latency (ms)", "Spread between rounds", "Rounds", "Settled"]
    columns += [table.share_name, "Signature"] if has_share else ["Signature"]
    rows = []
    for row in table.rows:
        cells: list[tuple[str, str | float | None]] = [
            (row.label, row.label.lower()),
            (_ms(row.latency_ms), _finite(row.latency_ms)),
            (_percent(row.spread), _finite(row.spread)),
            (str(row.n_rounds), int(row.n_rounds)),
            ("yes" if row.settled else "no", int(row.settled)),
        ]
        if has_share:
            cells.append((_percent(row.share, 2), _finite(row.share)))
        cells.append((row.signature, row.signature.lower()))
        rows.append({"texts": [text for text, _ in cells], "keys": [key for _, key in cells]})
    return {"columns": columns, "rows": rows}
