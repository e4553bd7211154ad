"""The offline HTML report: one self-contained file, made from plain rows.

The page knows nothing of stores, runs or predictors; whoever has those fills a ``ReportPage``. The
file carries its own scripts and styles, and its content-security policy forbids the browser to
load anything else.

Text from outside (names, signatures) meets three readers, and is escaped for each: HTML (Jinja's
autoescape), JSON inside ``<script>`` (Jinja's ``tojson``), and plotly.js, which takes a little HTML
in its labels (``html.escape``).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from mnaslat.files import replace_file
from mnaslat.reports.charts import (
    CLOSE,
    N_SLOWEST,
    by_latency,
    compared_points,
    drift_chart,
    front_chart,
    latency_chart,
    placed_points,
    reward_chart,
    slowest_chart,
)
from mnaslat.reports.condition_charts import conditions_chart, shows_sentinel
from mnaslat.reports.format import finite, format_ms, format_percent, format_time, kept_units
from mnaslat.reports.page_data import LatencyPoint, ReportPage, TableSection, Winner


def write_report(page: ReportPage, path: str | os.PathLike[str]) -> None:
    """Write the page to ``path``, folders included.

    A reader sees the old file or the new one, never half of one.

    Raises:
        OSError: If the file cannot be written.
    """
    # A name read from a file system may hold lone surrogates, which UTF-8 refuses.
    content = render_report(page).encode("utf-8", "backslashreplace")
    replace_file(path, content)


def render_report(page: ReportPage) -> str:
    """The page as one HTML document that loads nothing else.

    The same page gives the same text. With a chart it is about 5 MB, nearly all of it plotly.js.
    """
    # Slow to import, and needed by one command of many.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Functions below give None where nothing is left to draw.
    charts = {
        "latency": latency_chart(page.latency_points),
        "drift": drift_chart(page.latency_points),
        "front": front_chart(page.front),
        "reward": reward_chart(page.rewards),
        "conditions": conditions_chart(page.conditions),
        "slowest": slowest_chart(page.table.rows),
    }
    drawn = {name: chart for name, chart in charts.items() if chart is not None}
    environment = Environment(
        loader=PackageLoader("mnaslat.reports", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters.update(
        ms=format_ms,
        percent=format_percent,
        count="{:,}".format,
        kept_units=kept_units,
        time=format_time,
    )
    return environment.get_template("report.html.jinja").render(
        page=page,
        winners=[(winner, _signed_error(winner)) for winner in page.winners],
        groups=_group_errors(page.latency_points),
        n_uncompared=len(page.latency_points) - len(compared_points(page.latency_points)),
        n_unplaced=len(page.front.points) - len(placed_points(page.front.points)),
        n_not_converged=sum(not row.converged for row in page.table.rows),
        n_slowest=min(N_SLOWEST, len(by_latency(page.table.rows))),
        has_sentinel=shows_sentinel(page.conditions),
        charts=drawn,
        heights={name: chart["layout"]["height"] for name, chart in drawn.items()},
        table=_table_data(page.table),
        plotly_js=_plotly_js() if drawn else "",
    )


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs  # slow to import, needed only here

    return cast(str, get_plotlyjs())


def _signed_error(winner: Winner) -> str:
    """Relative error of the prediction, e.g. ``+2.1 %``; empty without one."""
    predicted_ms, measured_ms = finite(winner.predicted_ms), finite(winner.measured_ms)
    if predicted_ms is None or not measured_ms:
        return ""
    return kept_units(f"{(predicted_ms / measured_ms - 1) * 100:+.1f} %")


@dataclass(frozen=True, kw_only=True)
class _GroupError:
    name: str
    n: int
    mape: float  # a fraction, as is the next
    within_5: float


def _group_errors(points: Iterable[LatencyPoint]) -> list[_GroupError]:
    """Errors relative to the measurement, per group, in the order the groups appear."""
    errors: dict[str, list[float]] = {}
    for point, predicted_ms, measured_ms in compared_points(points):
        error = abs(predicted_ms - measured_ms) / measured_ms
        errors.setdefault(point.group, []).append(error)
    return [
        _GroupError(
            name=group,
            n=len(of_group),
            mape=sum(of_group) / len(of_group),
            within_5=sum(error <= CLOSE for error in of_group) / len(of_group),
        )
        for group, of_group in errors.items()
    ]


def _table_data(table: TableSection) -> dict[str, Any]:
    """Columns and rows for the page's script: per cell the text shown, and what to sort it by."""
    has_share = any(finite(row.share) is not None for row in table.rows)
    columns = ["Layer", "Latency (ms)", "Spread between rounds", "Rounds", "Settled"]
    columns += [table.share_name, "Signature"] if has_share else ["Signature"]
    rows = []
    for row in table.rows:
        cells: list[tuple[str, str | float | None]] = [
            (row.label, row.label.lower()),
            (format_ms(row.latency_ms), finite(row.latency_ms)),
            (format_percent(row.spread), finite(row.spread)),
            (str(row.n_rounds), int(row.n_rounds)),
            ("yes" if row.converged else "no", int(row.converged)),
        ]
        if has_share:
            cells.append((format_percent(row.share, 2), finite(row.share)))
        cells.append((row.signature, row.signature.lower()))
        rows.append({"texts": [text for text, _ in cells], "keys": [key for _, key in cells]})
    return {"columns": columns, "rows": rows}
