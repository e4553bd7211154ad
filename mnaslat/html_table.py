"""Formats small tables as HTML, for results shown in a notebook."""

import html
from collections.abc import Iterable, Sequence

MAX_ROWS = 30
_NUMBER = ' style="text-align: right"'


def html_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    max_rows: int = MAX_ROWS,
) -> str:
    """Format rows as an HTML table; every text is escaped.

    Args:
        columns: Headings.
        rows: One cell per column. Numbers are aligned to the right; None is an empty cell.
        caption: Text above the table.
        max_rows: Further rows are left out, and their number is shown.

    Raises:
        ValueError: If a row has not one cell per column.

    >>> html_table(["layer", "ms"], [["a<b", 1.5]]).count("a&lt;b")
    1
    """
    shown, n_rows = [], 0
    for n_rows, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise ValueError(
                f"A row needs one cell for each of {len(columns)} columns, got {len(row)}."
            )
        if n_rows <= max_rows:
            shown.append(f"<tr>{''.join(map(_cell, row))}</tr>")
    if n_rows > max_rows:
        shown.append(f'<tr><td colspan="{len(columns)}">... {n_rows - max_rows} more</td></tr>')
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(shown)}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f"<td{_NUMBER}>{value:.6g}</td>"
    text = html.escape(str(value))
    return f"<td{_NUMBER}>{text}</td>" if isinstance(value, int) else f"<td>{text}</td>"
