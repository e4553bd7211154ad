"""Defines the events that long work reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from mnaslat.errors import ArgumentError


class Events(Protocol):
    """What long work reports. Called on the thread that works; must return quickly."""

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


class WithoutProgress:
    """Passes notices on and ignores progress: for a step inside another step."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Ignore it: the outer step shows its own progress."""

    def notice(self, text: str) -> None:
        """Pass a notice on."""
        self._events.notice(text)


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
