"""Reports how far a search is and how long it still takes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mnaslat.search.run.records import Evaluation, Validation
from mnaslat.search.settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class SearchProgress:
    """Progress of a run."""

    n_samples_done: int
    n_samples: int
    best: Evaluation | None  # by reward; None before there is one
    left_s: float  # estimate from this process's pace, and at most the time it has
    measured: tuple[Validation, ...] = ()  # since progress was last shown


class RunProgress:
    """Estimates the time left of a run, from when it is made.

    Args:
        settings: Samples and time of the run.
        n_before: Samples that were done before.
    """

    def __init__(self, settings: SearchSettings, n_before: int) -> None:
        self._settings, self._n_before = settings, n_before
        self._started_s = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time limit of the settings has passed."""
        limit_s = self._settings.max_time_s
        return limit_s is not None and time.monotonic() - self._started_s >= limit_s

    def progress(
        self, n_done: int, best: Evaluation | None, measured: Sequence[Validation] = ()
    ) -> SearchProgress:
        """Report the progress after so many samples."""
        settings, spent_s = self._settings, time.monotonic() - self._started_s
        left_s = (settings.n_samples - n_done) * spent_s / max(n_done - self._n_before, 1)
        if settings.max_time_s is not None:
            left_s = max(0.0, min(left_s, settings.max_time_s - spent_s))
        return SearchProgress(
            n_samples_done=n_done,
            n_samples=settings.n_samples,
            best=best,
            left_s=left_s,
            measured=tuple(measured),
        )
