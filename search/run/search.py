"""Runs one search from its first sample to its result, in one folder.

A run goes in rounds; within one, the searcher proposes, the proposals are evaluated, the searcher
learns. To be resumable, it writes every result to the store before it waits for the next, and saves
the searcher's state between two rounds. A run that was killed starts at its last checkpoint,
proposes the same networks, and reads their accuracies and measurements from the store.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.errors import MnaslatError, SearchError
from mnaslat.search.accuracy.source import ClosableSource
from mnaslat.search.accuracy.sources import accuracy_source
from mnaslat.search.latency.reachable import check_targets
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.accuracy_cache import AccuracyCache
from mnaslat.search.run.checkpoint import SearcherCheckpoint
from mnaslat.search.run.progress import RunProgress, SearchProgress
from mnaslat.search.run.records import RoundRecord
from mnaslat.search.run.result import Ended, SearchResult
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.summary import identity_of, summarize
from mnaslat.search.run.validation import RunCalibration, measure_final_candidates, validate_round
from mnaslat.search.searchers.base import Searcher, checked_proposal
from mnaslat.search.searchers.registry import new_searcher
from mnaslat.search.settings import SearchSettings
from mnaslat.search.tokens import TokenKey, token_keys

# Between two checkpoints; at most this of the searcher's work is repeated after a kill.
_CHECKPOINT_S = 2.0
_SHOWN_S = 0.1  # a result waited for longer than this is progress worth showing


def _with_source(problem: SearchProblem, settings: SearchSettings, folder: Path) -> SearchProblem:
    """The problem with an accuracy source where it names one."""
    if not isinstance(problem.accuracy, str):
        return problem
    source = accuracy_source(problem.accuracy, problem.space, folder=folder, seed=settings.seed)
    return replace(problem, accuracy=source)


class _OutOfTime(Exception):
    """The time of the settings is over."""


class Search:
    """A search in its folder, new or resumed.

    The same problem, settings and folder resume after any interruption and end as an undisturbed
    run does. Close it, or use it in a ``with`` block.

    Args:
        problem: What is searched for.
        settings: How.
        folder: Of the run; made if it is not there.
        searcher: In place of the one that the settings name.
        command: What a person types to repeat the run; stands in the result.

    Attributes:
        note: About the target, mostly empty; show it to the user before starting.

    Raises:
        SearchError: If the folder holds another run, or no network can be as fast as the target.
        WorkspaceBusy: If another process is at that run.
        ValueError: If there is no searcher of the settings' name.
    """

    def __init__(
        self,
        problem: SearchProblem,
        settings: SearchSettings,
        folder: str | PathLike[str],
        *,
        searcher: Searcher | None = None,
        command: str = "",
    ) -> None:
        folder = Path(folder)
        self._made_source = isinstance(problem.accuracy, str)
        problem = _with_source(problem, settings, folder)
        self._problem, self._settings, self._folder = problem, settings, folder
        self._command = command
        self._searcher = searcher or new_searcher(problem.space.n_choices, settings)
        self._checkpoint = SearcherCheckpoint(folder / "searcher.pt")
        self._n_rounds_done = self._n_waiting = 0  # results of the present proposal, not recorded
        self._broken_off = False
        self._saved_s = time.monotonic()
        self._progress: Callable[[SearchProgress], None] = lambda progress: None
        self._store = SearchStore(folder / "search.sqlite")
        try:
            self._store.claim(identity_of(problem, settings))
            self._calibration = self._restored()
            decoder = self._calibration.decoder
            self._accuracies = AccuracyCache(problem.source, self._store, decoder)
            self.note = ""
            if not self._accuracies:  # before anything is evaluated
                targets_ms, latencies = settings.target_range_ms, self._calibration.latencies
                self.note = check_targets(targets_ms, latencies, problem.space)
        except BaseException:
            self.close()
            raise
        self._history = self._calibration.history
        self._n_reported = len(self._calibration.validations)  # to whoever is shown the progress
        self._run_progress = RunProgress(settings, len(self._history))

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder, and the accuracy source if it was made here from a text."""
        self._store.close()
        if self._made_source and isinstance(self._problem.source, ClosableSource):
            self._problem.source.close()

    def run(self, progress: Callable[[SearchProgress], None] | None = None) -> SearchResult:
        """Search to the end, write the result's files and return it.

        It ends when all samples are done, when the settings' time is over, or at a
        KeyboardInterrupt (Ctrl-C); the result says which. To resume after the last two, open the
        folder again.

        Args:
            progress: Called after every round, whenever something was waited for, and after the
                measurements at the end.

        Raises:
            MnaslatError: If it cannot continue, or ended before one network was evaluated. What was
                found before is in the result's files, with ``ended`` "failed".
            KeyboardInterrupt: If it came before one network was evaluated.
        """
        if self._broken_off:
            raise SearchError(f"Open {self._folder} again to resume the search.")
        self._progress = progress or self._progress
        self._run_progress = RunProgress(self._settings, len(self._history))
        ended: Ended = "samples"
        self._broken_off = True  # within a round, whose searcher is between two states
        try:
            try:
                while self._n_rounds_done < self._settings.n_rounds:
                    self._round(self._n_rounds_done + 1)
                    self._report()
                self._save()
                self._broken_off = False
            except _OutOfTime:
                ended = "time"
            if self._calibration.measures:
                measure_final_candidates(self._calibration, self._settings, self._n_rounds_done + 1)
                self._report()
        except KeyboardInterrupt:
            if not self.found_any:
                raise
            ended = "stopped"
        except MnaslatError:
            if self.found_any:
                self._finish("failed")
            raise
        return self._finish(ended)

    @property
    def found_any(self) -> bool:
        """Whether there is a network with an accuracy: then there is a result."""
        return self._history.best() is not None

    def result(self, ended: Ended = "stopped") -> SearchResult:
        """Summarise what the run has found so far.

        Raises:
            SearchError: If no network has an accuracy yet.
        """
        run = self._problem, self._settings, self._store, self._calibration
        if not self.found_any:
            raise SearchError(
                f"The run in {self._folder} has evaluated nothing yet: run it, or for longer."
            )
        return summarize(*run, ended, self._command)

    def _finish(self, ended: Ended) -> SearchResult:
        self._store.commit()
        result = self.result(ended)
        result.write(self._folder)
        return result

    def _round(self, number: int) -> None:
        started_s, searcher_s, begin = time.monotonic(), 0.0, len(self._history)
        end = min(number * self._settings.round_size, self._settings.n_samples)
        n_new, log = 0, dict[str, float]()
        while (first := len(self._history)) < end:
            self._check_time()
            asked_s = time.monotonic()
            proposed = self._searcher.propose(self._history.observations(), end - first)
            tokens = checked_proposal(proposed, end - first)
            searcher_s += time.monotonic() - asked_s
            n_new += self._evaluate(number, tokens)
            if len(self._history) == end and n_new:
                self._refuse_if_all_failed(begin)
            learning_s = time.monotonic()
            log |= self._searcher.learn(self._history.observations(), first)
            searcher_s += time.monotonic() - learning_s
        rewards = self._history.observations().reward[begin:]
        there = rewards[np.isfinite(rewards)]
        if self._problem.validator is not None and number % self._settings.validate_every == 0:
            validate_round(self._calibration, self._settings, number)
        self._store.write_round(
            RoundRecord(
                round=number,
                n_new=n_new,
                n_failed=len(rewards) - len(there),
                mean_reward=float(there.mean()) if len(there) else None,
                best_reward=float(there.max()) if len(there) else None,
                searcher_s=searcher_s,
                seconds=time.monotonic() - started_s,
                log=log,
            )
        )
        self._n_rounds_done = number
        if time.monotonic() - self._saved_s >= _CHECKPOINT_S:
            self._save()

    def _evaluate(self, number: int, tokens: Tokens) -> int:
        """Evaluate a proposal; returns how many networks the source evaluated."""
        keys = token_keys(tokens)
        try:
            return self._accuracies.evaluate(keys, self._on_result)
        finally:
            # Also after an interruption: what was evaluated counts for the result, and the round is
            # done anew when the run is resumed.
            self._record(number, keys, tokens)

    def _record(self, number: int, keys: list[TokenKey], tokens: Tokens) -> None:
        results = [self._accuracies.get(key) for key in keys]
        known = [index for index, result in enumerate(results) if result is not None]
        accuracies = [result.accuracy for result in results if result is not None]
        self._store.write_evaluations(self._history.add(number, tokens[known], accuracies))
        self._n_waiting = 0

    def _refuse_if_all_failed(self, begin: int) -> None:
        rows = self._history.evaluations(begin)
        whole = len(rows) == self._settings.round_size or begin == 0
        if whole and all(row.accuracy is None for row in rows):
            self._accuracies.refuse([row.tokens for row in rows])

    def _on_result(self, waited_s: float) -> None:
        self._n_waiting += 1
        if waited_s >= _SHOWN_S:
            self._report()
        self._check_time()

    def _check_time(self) -> None:
        if self._run_progress.is_over:
            raise _OutOfTime

    def _report(self) -> None:
        n_done = len(self._history) + self._n_waiting
        measured = self._calibration.validations[self._n_reported :]
        self._n_reported += len(measured)
        self._progress(self._run_progress.progress(n_done, self._history.best(), measured))

    def _save(self) -> None:
        self._store.commit()  # first: a checkpoint must not know more than the store
        self._checkpoint.save(self._n_rounds_done, self._searcher)
        self._saved_s = time.monotonic()

    def _restored(self) -> RunCalibration:
        """Restore the searcher and the calibration of the last checkpoint."""
        state = self._checkpoint.load()
        self._n_rounds_done = 0 if state is None else state.n_rounds_done
        self._store.forget_rounds_from(self._n_rounds_done + 1)
        calibration = RunCalibration(self._problem, self._settings, self._store)
        if state is not None:
            self._checkpoint.restore(self._searcher, state, calibration.history.observations())
        return calibration
