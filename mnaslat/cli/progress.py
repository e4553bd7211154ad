"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from mnaslat.units import format_duration

_SECONDS_BETWEEN_LINES = 15.0


class Update(Protocol):
    """Shows where long work stands."""

    def __call__(
        self, done: int, total: int, left_s: float, text: str = "", title: str = ""
    ) -> None:
        """Show it; an empty title keeps the one that stands there."""


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """Gives a function to call whenever something was done.

    Two refreshes a second: drawing must not disturb what is being measured on another core.
    """
    if sys.stderr.isatty():
        with _bar(title) as update_bar:
            yield update_bar
        return
    last = time.monotonic()

    def update_line(
        done: int, total: int, left_s: float, text: str = "", title: str = title
    ) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            left = format_duration(left_s)
            print(f"{title}: {done} of {total}, {left} left  {text}", file=sys.stderr, flush=True)

    yield update_line


@contextmanager
def _bar(title: str) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as bar:
        task = bar.add_task(title, total=None, left="", text="")

        def update(
            done: int, total: int, left_s: float, text: str = "", title: str = title
        ) -> None:
            left = f"{format_duration(left_s)} left"
            bar.update(
                task, description=title, completed=done, total=total, left=left, text=text[:48]
            )

        yield update


@contextmanager
def download_progress() -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with the bytes that came and those expected; 0 if not known."""
    with ExitStack() as stack:
        update: Update | None = None
        started = time.monotonic()

        def show(n_bytes: int, total: int) -> None:
            nonlocal update
            if update is None:  # most of the time nothing has to be fetched
                update = stack.enter_context(progress("Fetching benchmark_model (kB)"))
            left_s = (time.monotonic() - started) / max(n_bytes, 1) * max(total - n_bytes, 0)
            update(n_bytes // 1000, total // 1000, left_s)

        yield show


@contextmanager
def silence() -> Iterator[Update]:
    """A progress that shows nothing, for work inside other work."""
    yield lambda done, total, left_s, text="", title="": None


def say(text: str) -> None:
    """Tell the person something that is no result: on standard error, so that JSON stays clean."""
    print(text, file=sys.stderr, flush=True)
