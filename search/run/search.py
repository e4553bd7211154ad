"""Run control: one search from its first sample to its result, in one folder.

A run goes in rounds; within one, the searcher proposes, the proposals are evaluated, the searcher
learns. What makes it resumable: every answer is in the store before the next is waited for, and now
and then the searcher's state is saved between two rounds. A run that is killed goes back to its
last checkpoint, proposes the same networks, and takes their accuracies and measurements from the
store.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mnaslat.arrays import Tokens
from mnaslat.errors import MnaslatError, SearchError
from mnaslat.search.latency.reachable import check_targets
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.accuracy_cache import Answers
from mnaslat.search.run.checkpoint import SearcherCheckpoint
from mnaslat.search.run.progress import Clock, SearchProgress
from mnaslat.search.run.records import RoundRecord
from mnaslat.search.run.result import Ended, SearchResult
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.summary import identity_of, summarize
from mnaslat.search.run.validation import Calibration, settle, validate_round
from mnaslat.search.searchers.base import Searcher, checked_proposal
from mnaslat.search.searchers.registry import new_searcher
from mnaslat.search.settings import SearchSettings
from mnaslat.search.tokens import tokens_text

# Between two checkpoints: less than this of the searcher's work is done anew after a kill.
_CHECKPOINT_S = 2.0
_SHOWN_S = 0.1  # an answer waited for longer than this is progress worth showing


class _OutOfTime(Exception):
    """The time of the settings is over."""


class Search:
    """A run in its folder, new or to be gone on with.

    The same problem, settings and folder go on after any interruption and end as an undisturbed run
    does. Close it, or use it in a ``with`` block.

    Args:
        problem: What is searched for.
        settings: How; its space must be the problem's.
        folder: Of the run; made if it is not there.
        searcher: In place of the one that the settings name.
        command: What a person types to repeat the run; stands in the result.

    Attributes:
        note: About the target, mostly empty; worth telling the user before starting.

    Raises:
        SearchError: If the folder holds another run, or no network can be as fast as the target.
        WorkspaceBusy: If another process is at that run.
        ValueError: If the problem's space is not the one that the settings name.
    """

    def __init__(
        self,
        problem: SearchProblem,
        settings: SearchSettings,
        folder: Path,
        *,
        searcher: Searcher | None = None,
        command: str = "",
    ) -> None:
        if problem.space.name != settings.space:
            raise ValueError(
                f"The settings name space {settings.space!r}, the problem has "
                f"{problem.space.name!r}."
            )
        self._problem, self._settings, self._folder = problem, settings, folder
        self._command = command
        self._searcher = searcher or new_searcher(problem.space.n_choices, settings)
        self._checkpoint = SearcherCheckpoint(folder / "searcher.pt")
        self._n_rounds_done = self._n_answered = 0  # answers of the present proposal
        self._broken_off = False
        self._saved_s = time.monotonic()
        self._progress: Callable[[SearchProgress], None] = lambda progress: None
        self._store = SearchStore(folder / "search.sqlite")
        try:
            self._store.claim(identity_of(problem, settings))
            self._calibration = self._restored()
            architecture = self._calibration.architecture
            self._answers = Answers(problem.accuracy, self._store, architecture)
            self.note = ""
            if not self._answers:  # before anything is evaluated
                targets_ms, latencies = settings.target_range_ms, self._calibration.latencies
                self.note = check_targets(targets_ms, latencies, problem.space)
        except BaseException:
            self._store.close()
            raise
        self._history = self._calibration.history
        self._n_told = len(self._calibration.validations)  # to whoever is shown the progress
        self._clock = Clock(settings, len(self._history))

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._store.close()

    def run(self, progress: Callable[[SearchProgress], None] | None = None) -> SearchResult:
        """Search to the end, write the result's files and return it.

        It ends when all samples are done, when the settings' time is over, or at a
        KeyboardInterrupt (Ctrl-C); the result says which. To go on after the last two, open the
        folder again.

        Args:
            progress: Called after every round, whenever something was waited for, and after the
                measurements at the end.

        Raises:
            MnaslatError: If it cannot go on, or ended before one network was evaluated. What was
                found before stands in the result's files: ``ended`` is "failed" there.
            KeyboardInterrupt: If it came before one network was evaluated.
        """
        if self._broken_off:
            raise SearchError(f"Open {self._folder} again to go on with the search.")
        self._progress = progress or self._progress
        self._clock = Clock(self._settings, len(self._history))
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
                settle(self._calibration, self._settings, self._n_rounds_done + 1)
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
        """What the run has found so far.

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
            proposed = self._searcher.propose(self._history.seen(), end - first)
            tokens = checked_proposal(proposed, end - first)
            searcher_s += time.monotonic() - asked_s
            n_new += self._evaluate(number, tokens)
            if len(self._history) == end and n_new:
                self._refuse_if_all_failed(begin)
            learning_s = time.monotonic()
            log |= self._searcher.learn(self._history.seen(), first)
            searcher_s += time.monotonic() - learning_s
        rewards = self._history.seen().reward[begin:]
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
        """Take in what a proposal is worth; returns how many were asked for."""
        texts = [tokens_text(row) for row in tokens.tolist()]
        try:
            n_new = self._answers.ask(texts, self._on_answer)
        except (KeyboardInterrupt, _OutOfTime, MnaslatError):
            # What came until now counts for the result; the round is done anew if the run goes on.
            self._take_in(number, texts, tokens)
            raise
        self._take_in(number, texts, tokens)
        return n_new

    def _take_in(self, number: int, texts: list[str], tokens: Tokens) -> None:
        answers = [self._answers.get(text) for text in texts]
        known = [index for index, answer in enumerate(answers) if answer is not None]
        accuracies = [answer.accuracy for answer in answers if answer is not None]
        known_texts = [texts[index] for index in known]
        rows = self._history.add(number, known_texts, tokens[known], accuracies)
        self._store.write_evaluations(rows)
        self._n_answered = 0

    def _refuse_if_all_failed(self, begin: int) -> None:
        rows = self._history.evaluations(begin)
        whole = len(rows) == self._settings.round_size or begin == 0
        if whole and all(row.accuracy is None for row in rows):
            self._answers.refuse([row.tokens for row in rows])

    def _on_answer(self, waited_s: float) -> None:
        self._n_answered += 1
        if waited_s >= _SHOWN_S:
            self._report()
        self._check_time()

    def _check_time(self) -> None:
        if self._clock.is_over:
            raise _OutOfTime

    def _report(self) -> None:
        n_done = len(self._history) + self._n_answered
        measured = self._calibration.validations[self._n_told :]
        self._n_told += len(measured)
        self._progress(self._clock.progress(n_done, self._history.best(), measured))

    def _save(self) -> None:
        self._store.commit()  # first: a checkpoint must not know more than the store
        self._checkpoint.save(self._n_rounds_done, self._searcher)
        self._saved_s = time.monotonic()

    def _restored(self) -> Calibration:
        """The calibration as it was at the last checkpoint, with the searcher as it was then."""
        state = self._checkpoint.load()
        self._n_rounds_done = 0 if state is None else state.n_rounds_done
        self._store.forget_rounds_from(self._n_rounds_done + 1)
        calibration = Calibration(self._problem, self._settings, self._store)
        if state is not None:
            self._checkpoint.restore(self._searcher, state, calibration.history.seen())
        return calibration
