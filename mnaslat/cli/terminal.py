"""Shows events and results on a terminal."""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from mnaslat.files import json_value
from mnaslat.units import format_duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mnaslat import Errors

_SECONDS_BETWEEN_LINES = 15.0
_FEW_NETWORKS = 5  # fewer say little about a predictor's error


class TerminalEvents:
    """Shows events on standard error, so that standard output holds results alone.

    A terminal gets a progress bar for the present step; elsewhere a line is printed now and then.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bar: tuple[Progress, TaskID] | None = None
        self._last_line_s = time.monotonic()

    def progress(
        self, step: str, done: int, total: int, seconds_left: float, detail: str = ""
    ) -> None:
        """Show how far a step is."""
        left = f"{format_duration(seconds_left)} left"
        if sys.stderr.isatty():
            bar, task = self._bar = self._bar or self._opened()
            bar.update(
                task, description=step, completed=done, total=total, left=left, text=detail[:48]
            )
        elif time.monotonic() - self._last_line_s >= _SECONDS_BETWEEN_LINES:
            self._last_line_s = time.monotonic()
            print(f"{step}: {done} of {total}, {left}  {detail}", file=sys.stderr, flush=True)

    def notice(self, text: str) -> None:
        """Print a notice."""
        say(text)

    def _opened(self) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}", style="dim"),
        )
        # Two refreshes a second: drawing must not disturb what is measured on another core.
        bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=2)
        self._stack.enter_context(bar)
        return bar, bar.add_task("", total=None, left="", text="")


@contextmanager
def terminal_events() -> Iterator[TerminalEvents]:
    """Open events whose progress bar is removed at the end of the block."""
    with ExitStack() as stack:
        yield TerminalEvents(stack)


def say(text: str) -> None:
    """Print a notice on standard error, so that JSON on standard output stays clean."""
    print(text, file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """Print one JSON document on standard output; not-a-number becomes null."""
    print(json.dumps(json_value(data), indent=2))


def errors_text(errors: "Errors") -> str:
    """Write held-out errors as a sentence; leave out what a few networks cannot say."""
    text = (
        f"MAPE {errors.mape:.2%}, within 5 % {errors.within_5:.0%}, within 10 % "
        f"{errors.within_10:.0%}"
    )
    if math.isfinite(errors.spearman):
        text += f", Spearman {errors.spearman:.4f}"
    if errors.n < _FEW_NETWORKS:
        text += "; so few networks say little about it"
    return text
