"""Shows events in a notebook: a bar for the present step, and notices as lines."""

import html
import time
from typing import Any

from mnaslat.units import format_duration

_SECONDS_BETWEEN_UPDATES = 0.5


class NotebookEvents:
    """Shows progress as a bar below the cell that is running.

    Give it to the functions that take ``events``. Each use starts with an empty bar. It needs
    IPython, which every notebook has; elsewhere it raises an ``ImportError`` when the first event
    comes.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._step = ""
        self._shown_s = 0.0

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Show how far a step is."""
        now = time.monotonic()
        is_last = done >= total
        if step == self._step and not is_last and now - self._shown_s < _SECONDS_BETWEEN_UPDATES:
            return
        from IPython.display import HTML, display

        if step != self._step or self._handle is None:
            self._handle = display(HTML(""), display_id=True)
        self._step, self._shown_s = step, now
        if self._handle is not None:
            self._handle.update(HTML(bar_html(step, done, total, seconds_left, detail)))

    def notice(self, text: str) -> None:
        """Print a notice as a line of the cell's output."""
        from IPython.display import HTML, display

        display(HTML(f"<div>{html.escape(text)}</div>"))


def bar_html(step: str, done: int, total: int, seconds_left: float, detail: str) -> str:
    """Write a progress bar with its text as HTML; everything given is escaped.

    >>> bar_html("Searching", 1, 4, 9.0, "best <b>")[:47]
    '<div><progress value="1" max="4"></progress> Se'
    """
    left = "" if done >= total else f", {format_duration(seconds_left)} left"
    text = f"{step}: {done} of {total}{left}"
    if detail:
        text += f" ({detail})"
    return (
        f'<div><progress value="{done}" max="{max(total, 1)}"></progress> {html.escape(text)}</div>'
    )
