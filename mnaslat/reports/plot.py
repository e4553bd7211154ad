"""Makes the parts of charts: plain dictionaries that plotly.js draws.

Text from outside goes through ``plain_label``: plotly.js takes a little HTML in its labels.
"""

import html
from typing import Any

Chart = dict[str, Any]  # {"data": traces, "layout": layout}, as plotly.js reads them

COLORS = ("#3f7fd0", "#d9822b", "#2f9e77", "#a05fc4", "#c9504d", "#7d8590")  # both on dark, light
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")  # not by colour alone
MUTED = "#8a919b"
GRID = "rgba(128, 134, 144, 0.22)"
BAND = "rgba(128, 134, 144, 0.16)"


def plain_label(text: str) -> str:
    """Text for plotly.js, which reads ``<b>`` and the like but shows ``&quot;`` as it is."""
    return html.escape(text, quote=False)


def chart_axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis as all charts have it; ``more`` are settings of plotly.js."""
    return {
        "title": {"text": plain_label(title), "standoff": 10},
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "automargin": True,
        **more,
    }


def chart_layout(*, height: int = 440, **more: Any) -> dict[str, Any]:
    """A layout as all charts have it; ``more`` are settings of plotly.js."""
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
        "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": MUTED, "activecolor": COLORS[0]},
        "hovermode": "closest",
        **more,
    }


def line_trace(x: list[float], y: list[float], **more: Any) -> dict[str, Any]:
    """A thin line that says nothing when touched."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "showlegend": False,
        "line": {"color": MUTED, "width": 1.2},
        **more,
    }


def dots_trace(name: str, x: list[float], y: list[float], texts: list[str], **marker: Any) -> Chart:
    """Points, each with a text to show when touched."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain_label(name),
        "x": x,
        "y": y,
        "hovertext": texts,
        "hoverinfo": "text",
        "marker": {"size": 8, **marker},
    }
