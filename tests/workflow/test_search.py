"""``run_search`` and ``resume_search``, with all forms of accuracies."""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.architecture import Architecture
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, ConfigurationMismatch, MnaslatError, SearchError
from mnaslat.search import Candidate, CandidateResult, SearchSettings
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.workflow.calibrate import Calibration
from tests.workflow.made_up_device import (
    SMALL_SPACE,
    MadeUpDevice,
    Recorder,
    by_size,
    json_text,
    searched,
    small_space,
)

TARGET_MS = 0.16  # within the space's range


class BySize:
    """An accuracy source that answers as ``by_size``."""

    description = "grows with the multiply-adds"
    noise = 0.0

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Evaluate in order."""
        for index, candidate in enumerate(candidates):
            yield index, CandidateResult(accuracy=by_size(candidate.architecture))


ACCURACIES: dict[str, Any] = {
    "function": by_size,
    "lambda": lambda architecture: 0.5,
    "object": BySize(),
    "text": SMALL_SPACE.replace(":small", ":accuracy"),
}


@pytest.mark.parametrize("accuracy", ACCURACIES.values(), ids=ACCURACIES)
def test_a_search_takes_accuracies_in_any_form(
    calibration: Calibration, workspace: Workspace, accuracy: Any
) -> None:
    found = searched(calibration.predictor, workspace, accuracy=accuracy)
    result = found.result
    assert found.finished and found.failure is None and result is not None
    assert result.n_samples == 20 and result.meets_target
    assert result.winner.predicted_ms <= TARGET_MS
    best = max(each.accuracy for each in found.candidates() if each.predicted_ms <= TARGET_MS)
    assert result.winner.accuracy == best
    for each in (found, result, result.winner, result.winners[0], found.space):
        assert len(repr(each)) < 200
    assert str(found.folder) in json_text(found) and json_text(result)
    assert "<table>" in result._repr_html_()


@pytest.mark.parametrize("how", [str, Path, lambda path: path], ids=["text", "path", "as it is"])
def test_a_predictor_is_an_object_a_file_or_a_name(
    calibration: Calibration, workspace: Workspace, how: Callable[[Path], Any]
) -> None:
    by_file = searched(how(calibration.path), workspace)
    by_object = searched(calibration.predictor, workspace)
    assert by_file.predictor.configuration == calibration.predictor.configuration
    assert [each.tokens for each in by_file.candidates()] == [
        each.tokens for each in by_object.candidates()
    ]


def test_a_pretrained_predictor_is_taken_by_name_and_sets_a_target(workspace: Workspace) -> None:
    events = Recorder()
    found = mnaslat.run_search(
        small_space(), "pixel4-cpu1-fp32", accuracy=by_size, workspace=workspace, n_samples=10,
        searcher="random", events=events,
    )  # fmt: skip
    assert found.settings.reward.target_ms > 0
    assert any(text.startswith("Target: ") for text in events.notices)
    assert events.steps[-1] == ("Searching", 10, 10)


def test_the_width_of_the_space_and_a_range_of_targets_are_kept(
    calibration: Calibration, workspace: Workspace
) -> None:
    found = searched(calibration.predictor, workspace, target_ms=(0.155, 0.165), name="mine")
    assert found.folder == workspace.runs / "mine"
    again = mnaslat.open_run("mine", workspace)
    assert again.request["width"] == found.space.width == 0.25
    assert again.settings.target_range_ms == (0.155, 0.165)
    assert found.result is not None and len(found.result.winners) > 1


def test_candidates_are_measured_and_measuring_is_shown_within_the_search(
    calibration: Calibration, workspace: Workspace
) -> None:
    events, device = Recorder(), MadeUpDevice()
    found = searched(
        calibration.predictor, workspace, device=device, validate_every=1, events=events,
        n_samples=100,
    )  # fmt: skip
    assert found.result is not None and found.result.winner.measured_ms is not None
    assert device.n_rounds_measured > 0 and found.result.validations
    assert any(text.startswith("Round ") for text in events.notices)
    assert any(text.startswith("Measuring networks in 2 rounds: ") for text in events.details)


def test_an_interrupted_run_is_resumed_and_a_finished_one_prolonged(
    calibration: Calibration, workspace: Workspace
) -> None:
    whole = searched(calibration.predictor, Workspace(workspace.path / "whole"), n_samples=60)
    asked: list[Architecture] = []

    def breaks_off(architecture: Architecture) -> float:
        asked.append(architecture)
        if len(asked) == 30:
            raise KeyboardInterrupt
        return by_size(architecture)

    same_name = functools.wraps(by_size)(breaks_off)  # a run knows a function by its name
    stopped = searched(calibration.predictor, workspace, n_samples=60, accuracy=same_name)
    assert not stopped.finished and stopped.result is not None
    assert stopped.result.ended == "stopped"
    opened = mnaslat.open_run(stopped.folder, workspace, space=small_space())
    done = mnaslat.resume_search(opened, workspace=workspace, accuracy=by_size)
    assert done.finished and done.result is not None and whole.result is not None
    assert [each.tokens for each in done.candidates()] == [
        each.tokens for each in whole.candidates()
    ]
    longer = mnaslat.resume_search(done, workspace=workspace, accuracy=by_size, n_samples=80)
    assert longer.result is not None and longer.result.n_samples == 80


def test_a_run_of_a_named_accuracy_is_resumed_without_naming_it_again(
    calibration: Calibration, workspace: Workspace
) -> None:
    found = searched(calibration.predictor, workspace, accuracy=ACCURACIES["text"])
    again = mnaslat.resume_search(found, workspace=workspace, n_samples=25)
    assert again.result is not None and again.result.n_samples == 25


def test_resuming_asks_for_what_a_run_needs(calibration: Calibration, workspace: Workspace) -> None:
    found = searched(calibration.predictor, workspace, device=MadeUpDevice(), validate_every=1)
    for given, argument in (
        ({"device": MadeUpDevice()}, "accuracy"),
        ({"accuracy": by_size}, "device"),
        ({"accuracy": by_size, "device": MadeUpDevice(), "n_samples": 0}, "n_samples"),
    ):
        with pytest.raises(ArgumentError) as caught:
            mnaslat.resume_search(found, workspace=workspace, **given)
        assert caught.value.argument == argument
    with pytest.raises(ArgumentError, match="as open_run returns it"):
        mnaslat.resume_search("mine", workspace=workspace)  # type: ignore[arg-type]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "number as accuracy": ({"accuracy": 0.5}, "a function of an architecture"),
    "negative target": ({"target_ms": -1.0}, "positive number of milliseconds"),
    "range upside down": ({"target_ms": (0.2, 0.1)}, "lower target of a range comes first"),
    "three targets": ({"target_ms": (1, 2, 3)}, "20:100"),
    "target of another kind": ({"target_ms": {}}, "milliseconds, or two of them"),
    "no samples": ({"n_samples": 0}, "from 1 on"),
    "part of a sample": ({"n_samples": 1.5}, "a whole number"),
    "searcher": ({"searcher": "luck"}, "ppo, random, evolution"),
    "reward": ({"reward": "none"}, "hard or soft"),
    "preset": ({"preset": "slow"}, "fast, paper"),
    "latency": ({"latency": "lower"}, "point or upper"),
    "seed": ({"seed": -1}, "from 0 on"),
    "no time": ({"max_time_s": 0}, "a positive number"),
    "rounds": ({"validate_every": -1}, "from 0 on"),
    "device as text": ({"device": "host"}, "open_device"),
}


@pytest.mark.parametrize(("wrong", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named_and_leaves_no_run(
    calibration: Calibration, workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        searched(calibration.predictor, workspace, **wrong)
    assert [caught.value.argument] == list(wrong)
    assert mnaslat.list_runs(workspace) == []


def test_no_predictor_is_a_wrong_argument_and_a_missing_file_a_state_of_the_world(
    calibration: Calibration, workspace: Workspace
) -> None:
    with pytest.raises(ArgumentError, match="predictor of whole networks"):
        searched(calibration.predictor.base, workspace)
    with pytest.raises(MnaslatError, match="There is no predictor file nope.mnaslat"):
        searched("nope.mnaslat", workspace)


def test_what_keeps_a_search_from_starting_is_said(
    calibration: Calibration, workspace: Workspace
) -> None:
    with pytest.raises(SearchError, match="as fast as 1e-05 ms"):
        searched(calibration.predictor, workspace, target_ms=1e-5)
    with pytest.raises(SearchError, match="No accuracy source 'nonsense'"):
        searched(calibration.predictor, workspace, accuracy="nonsense")
    with pytest.raises(ConfigurationMismatch):
        searched(calibration.predictor, workspace, device=MadeUpDevice(name="other"))
    assert mnaslat.list_runs(workspace) == []
    searched(calibration.predictor, workspace, name="taken")
    with pytest.raises(SearchError, match="There is a run in .*taken already"):
        searched(calibration.predictor, workspace, name="taken")
    with pytest.raises(SearchError, match="Divide percentages by 100"):
        searched(calibration.predictor, workspace, accuracy=lambda architecture: 75.0)


def test_a_name_never_leads_out_of_the_workspace(
    calibration: Calibration, workspace: Workspace
) -> None:
    found = searched(calibration.predictor, workspace, name="../../out")
    assert found.folder.parent == workspace.runs


def test_a_run_of_a_space_made_in_python_is_opened_with_it(
    calibration: Calibration, workspace: Workspace
) -> None:
    own = replace(small_space(), name="my own")
    found = mnaslat.run_search(
        own, calibration.predictor, accuracy=by_size, workspace=workspace, target_ms=TARGET_MS,
        n_samples=10, searcher="random",
    )  # fmt: skip
    opened = mnaslat.open_run(str(found.folder), workspace, space=own)
    assert opened.space is own and len(opened.candidates()) == len(found.candidates())
    with pytest.raises(SearchError, match="my own"):
        mnaslat.open_run(found.folder.name, workspace).candidates()


def test_torch_uses_as_many_threads_after_a_search_as_before(
    calibration: Calibration, workspace: Workspace
) -> None:
    torch: Any = sys.modules["torch"]
    n_threads = torch.get_num_threads()
    searched(calibration.predictor, workspace)
    assert torch.get_num_threads() == n_threads


def test_settings_of_a_run_are_what_was_asked_for(run: SearchRun) -> None:
    assert isinstance(run.settings, SearchSettings)
    assert (run.settings.searcher, run.settings.n_samples, run.settings.seed) == ("random", 20, 0)
