"""Whatever ends a search, it goes on from its folder to the end of an undisturbed one."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnaslat.errors import SearchError
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run import accuracy_cache
from mnaslat.search.run import run_store as store_module
from mnaslat.search.run import search as run_module
from mnaslat.search.run.result import SearchResult
from mnaslat.search.run.search import Search
from mnaslat.search.searchers.registry import SEARCHERS
from mnaslat.search.settings import SearchSettings
from tests.search.toy_runs import TOY, ToyAccuracy, ToyValidator, contents, toy_problem

RANGE = replace(TOY, reward=RewardSettings.hard(9.0), target_ms_range=(13.0, 20.0), n_targets=3)


class Killed(BaseException):
    """What a killed process does to the code that runs in it."""


class DeadlyStore:
    """Kills at the n-th access to the store; from then on nothing reaches the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.dead = -1, False
        connection = store_module._Connection
        for name in ("execute", "executemany", "commit"):
            monkeypatch.setattr(connection, name, self._deadly(getattr(connection, name)))

    def arm(self, left: int) -> None:
        """Kill at the access with this number; -1: never."""
        self.left, self.dead = left, False

    def _deadly(self, access: Callable[..., Any]) -> Callable[..., Any]:
        def deadly(*arguments: Any) -> Any:
            if self.dead or self.left == 0:
                self.dead = True
                raise Killed
            self.left -= 1
            return access(*arguments)

        return deadly


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power: what the system was given counts as written."""
    monkeypatch.setattr(store_module, "_SYNCHRONOUS", "OFF")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadlyStore]:
    """A store that kills when it is armed."""
    store = DeadlyStore(monkeypatch)
    yield store
    store.arm(-1)


def search(folder: Path, settings: SearchSettings) -> tuple[ToyAccuracy, ToyValidator]:
    accuracy, validator = ToyAccuracy(), ToyValidator()
    with Search(toy_problem(accuracy, validator), settings, folder) as running:
        running.run()
    return accuracy, validator


def _fast(name: str) -> SearchSettings:
    # Optuna's samplers think for long; a shorter run has the same places to be killed at.
    return replace(TOY, searcher=name, n_samples=40)


@pytest.mark.parametrize("often", [True, False], ids=["checkpoints", "no checkpoint"])
@pytest.mark.parametrize("settings", [*map(_fast, SEARCHERS), RANGE], ids=[*SEARCHERS, "range"])
def test_killed_at_any_access_to_the_store_it_goes_on_to_the_same_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deadly: DeadlyStore,
    settings: SearchSettings,
    often: bool,
) -> None:
    monkeypatch.setattr(run_module, "_CHECKPOINT_S", 0.0 if often else 1e9)
    search(tmp_path / "undisturbed", settings)
    expected = contents(tmp_path / "undisturbed")
    kills, at = 0, 3
    while True:
        deadly.arm(at)
        try:
            search(tmp_path / "killed", settings)
            break
        except Killed:
            kills += 1
        at = 5 + (at * 7) % 41 + 4 * kills  # near and far, and in the end far enough
    deadly.arm(-1)
    assert kills >= 4
    assert contents(tmp_path / "killed") == expected


def test_killed_at_every_single_access(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadly: DeadlyStore
) -> None:
    monkeypatch.setattr(run_module, "_CHECKPOINT_S", 0.0)
    monkeypatch.setattr(SearchResult, "write", lambda self, folder: None)  # takes most of the time
    settings = replace(TOY, n_samples=40, searcher="random")
    search(tmp_path / "undisturbed", settings)
    expected, at, died = contents(tmp_path / "undisturbed"), 0, True
    while died:
        folder = tmp_path / str(at)
        folder.mkdir()
        deadly.arm(at)
        try:
            search(folder, settings)
            died = False
        except Killed:
            pass
        deadly.arm(-1)
        search(folder, settings)
        assert contents(folder) == expected, f"killed at access {at}"
        at += 1
    assert at > 50


def test_no_answer_is_asked_for_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadly: DeadlyStore
) -> None:
    # Nothing is written by time, so that the kill comes at the same place on a busy computer.
    monkeypatch.setattr(accuracy_cache, "_AT_RISK_S", math.inf)
    monkeypatch.setattr(run_module, "_CHECKPOINT_S", math.inf)
    deadly.arm(70)
    accuracy, validator = ToyAccuracy(), ToyValidator()
    problem = toy_problem(accuracy, validator)
    with pytest.raises(Killed), Search(problem, TOY, tmp_path) as running:
        running.run()
    deadly.arm(-1)
    with Search(problem, TOY, tmp_path) as running:
        running.run()
    # Those that cost nothing may be asked for again, those that were measured not.
    assert len(validator.asked) == len(set(validator.asked))


class Interrupting(ToyAccuracy):
    """Presses Ctrl-C, or raises something else, instead of answering at the n-th network."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def evaluate(self, candidates):  # type: ignore[no-untyped-def]
        for answer in super().evaluate(candidates):
            if len(self.asked) == self.at:
                self.at = -1
                raise KeyboardInterrupt
            yield answer


@pytest.mark.parametrize("searcher", ["ppo", "evolution"])
def test_ctrl_c_ends_with_a_result_and_the_run_goes_on(tmp_path: Path, searcher: str) -> None:
    settings = replace(TOY, searcher=searcher)
    search(tmp_path / "undisturbed", settings)
    problem = toy_problem(Interrupting(31), ToyValidator())
    with Search(problem, settings, tmp_path / "stopped") as running:
        stopped = running.run()
        with pytest.raises(SearchError, match="Open .* again to resume"):
            running.run()
    assert stopped.ended == "stopped"
    assert stopped.n_samples == 30  # those of the unfinished round too
    assert (tmp_path / "stopped" / "result.json").exists()
    with Search(problem, settings, tmp_path / "stopped") as running:
        finished = running.run()
    assert finished.ended == "samples" and finished.n_samples == 60
    assert contents(tmp_path / "stopped") == contents(tmp_path / "undisturbed")


def test_ctrl_c_before_the_first_answer_is_passed_on(tmp_path: Path) -> None:
    problem = toy_problem(Interrupting(1))
    with Search(problem, TOY, tmp_path) as running, pytest.raises(KeyboardInterrupt):
        running.run()


class CtrlCWhileMeasuring(ToyValidator):
    """Presses Ctrl-C in the n-th call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def measure(self, architectures):  # type: ignore[no-untyped-def]
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt
        return super().measure(architectures)


@pytest.mark.parametrize("at", [1, 3])
def test_ctrl_c_while_measuring(tmp_path: Path, at: int) -> None:
    search(tmp_path / "undisturbed", TOY)
    validator = CtrlCWhileMeasuring(at)
    for ended in ("stopped", "samples"):
        with Search(toy_problem(validator=validator), TOY, tmp_path / "stopped") as running:
            assert running.run().ended == ended
    assert contents(tmp_path / "stopped") == contents(tmp_path / "undisturbed")
    assert len(validator.asked) == len(set(validator.asked))


@pytest.mark.parametrize("searcher", ["ppo", "evolution"])
def test_time_ends_a_run_with_measured_answers_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searcher: str
) -> None:
    settings = replace(TOY, searcher=searcher)
    search(tmp_path / "undisturbed", settings)
    accuracy = ToyAccuracy()
    problem = toy_problem(accuracy, ToyValidator())
    with Search(problem, replace(settings, max_time_s=1e-9), tmp_path / "timed") as running:
        with pytest.raises(Exception, match="evaluated nothing yet: run it, or for longer"):
            running.run()
    with monkeypatch.context() as patch:
        patch.setattr(Search, "_check_time", lambda self: _out_of_time_after(accuracy, 30))
        with Search(problem, replace(settings, max_time_s=9.0), tmp_path / "timed") as running:
            timed = running.run()
    assert timed.ended == "time" and timed.n_samples == 30
    assert timed.winner.measured_ms is not None
    with Search(problem, settings, tmp_path / "timed") as running:
        assert running.run().ended == "samples"
    assert contents(tmp_path / "timed") == contents(tmp_path / "undisturbed")


def _out_of_time_after(accuracy: ToyAccuracy, n: int) -> None:
    if len(accuracy.asked) >= n:
        raise run_module._OutOfTime


def test_more_samples_go_on_with_a_finished_run(tmp_path: Path) -> None:
    settings = replace(TOY, searcher="evolution")
    search(tmp_path / "long", settings)
    search(tmp_path / "grown", replace(settings, n_samples=40))
    accuracy, _ = search(tmp_path / "grown", settings)
    assert 0 < len(accuracy.asked) <= 20
    assert contents(tmp_path / "grown") == contents(tmp_path / "long")
