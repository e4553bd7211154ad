"""Defines the events that long work reports, and shows them in a notebook."""

import html
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mnaslat.errors import ArgumentError
from mnaslat.units import format_duration

_SECONDS_BETWEEN_UPDATES = 0.5  # of a notebook


class Events(Protocol):
    """Receives what long work reports, on the thread that works; must return quickly."""

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Report how far a step is.

        Args:
            step: What is being done, as a short title.
            done: Units of work that are finished.
            total: Units of work of the whole step, as far as known.
            seconds_left: Estimate of the time until the step is finished.
            detail: What was done last.
        """

    def notice(self, text: str) -> None:
        """Report something that a person should know and that is no result."""


class _Silent:
    """Ignores all events."""

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


SILENT: Events = _Silent()


class OuterStep:
    """Passes events on, and shows steps inside the present one as its details.

    Attributes:
        inside: Events for the steps inside.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._last: tuple[str, int, int, float] | None = None
        self.inside: Events = _InnerStep(self)

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Pass it on, and remember where the step stands."""
        self._last = (step, done, total, seconds_left)
        self._events.progress(step, done, total, seconds_left, detail)

    def notice(self, text: str) -> None:
        """Pass a notice on."""
        self._events.notice(text)

    def detail(self, step: str, done: int, total: int, seconds_left: float) -> None:
        """Show the progress of a step inside; on its own where there is no outer step yet."""
        if self._last is None:
            self._events.progress(step, done, total, seconds_left)
        else:
            self._events.progress(*self._last, f"{step}: {done} of {total}")


class _InnerStep:
    """Passes the events of a step inside another one to it."""

    def __init__(self, outer: OuterStep) -> None:
        self._outer = outer

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Show it as a detail of the outer step."""
        self._outer.detail(step, done, total, seconds_left)

    def notice(self, text: str) -> None:
        """Pass a notice on."""
        self._outer.notice(text)


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Name the argument in a ``ValueError`` that is raised inside, unless it is named already.

    Raises:
        ArgumentError: In place of the ``ValueError``, with its message.
    """
    try:
        yield
    except ArgumentError:
        raise
    except ValueError as error:
        raise ArgumentError(argument, str(error)) from error


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
