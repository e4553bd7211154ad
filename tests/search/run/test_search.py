"""A search goes from samples to a result that says what was found."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError, WorkspaceBusy
from mnaslat.lowering import lower
from mnaslat.search.accuracy.source import CandidateResult
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.artifacts import load_winner
from mnaslat.search.run.progress import SearchProgress
from mnaslat.search.run.run_store import STORE_VERSION
from mnaslat.search.run.search import Search
from mnaslat.search.searchers.registry import SEARCHERS
from mnaslat.search.tokens import tokens_text
from mnaslat.space import load_space
from tests.search.toy_runs import (
    SPACE,
    TOY,
    ToyAccuracy,
    ToyPredictor,
    ToyValidator,
    contents,
    toy_accuracy,
    toy_ms,
    toy_problem,
)

# A run in a process of its own, with logs of what was evaluated and measured.
CHILD = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from pathlib import Path
    import torch
    from mnaslat.search.run.search import Search
    sys.path.append(sys.argv[4])  # at the end: nothing that is installed is shadowed
    from tests.search.toy_runs import TOY, ToyAccuracy, ToyValidator, toy_problem

    class LastFirst(ToyAccuracy):
        def evaluate(self, candidates):
            for index, result in super().evaluate(candidates[::-1]):
                yield len(candidates) - 1 - index, result

    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    problem = toy_problem(
        LastFirst(log=folder / "accuracy.log", pause_s=float(sys.argv[2])),
        ToyValidator(log=folder / "validator.log"),
    )
    settings = replace(
        TOY, n_samples=110, validate_every=2, validate_top=3, validate_uncertain=2,
        n_final_validations=9,
        target_ms_range=(13.0, 20.0) if sys.argv[3] == "range" else None, n_targets=3,
    )
    with Search(problem, settings, folder / "run") as search:
        search.run()
    """
)
ROOT = Path(__file__).resolve().parents[3]
N_VALIDATED = 5  # in a round


def start_child(
    folder: Path, pause_s: float = 0.0, hash_seed: str = "0", targets: str = "one"
) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(pause_s), targets, str(ROOT)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )


def finish_child(folder: Path, hash_seed: str = "0", targets: str = "one") -> None:
    result = start_child(folder, hash_seed=hash_seed, targets=targets)
    result.communicate(timeout=120)
    assert result.returncode == 0


def logged(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def kill_child_after(
    folder: Path, n_evaluations: int, extra_s: float, targets: str = "one"
) -> None:
    """SIGKILL a run a little after it has evaluated so many more networks."""
    n_before = len(logged(folder / "accuracy.log"))
    result = start_child(folder, pause_s=0.006, targets=targets)
    while len(logged(folder / "accuracy.log")) < n_before + n_evaluations:
        assert result.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    time.sleep(extra_s)
    result.send_signal(signal.SIGKILL)
    result.communicate()
    assert result.returncode == -signal.SIGKILL


def test_killed_it_goes_on_in_a_fresh_process_to_the_same_end(
    tmp_path: Path,
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish_child(undisturbed, hash_seed="7")
    kill_child_after(killed, 47, 0.02)
    store = sqlite3.connect(killed / "run" / "search.sqlite")
    assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    finish_child(killed)
    assert contents(killed / "run") == contents(undisturbed / "run")
    # What was in flight when a kill came may be asked for again, and nothing else.
    evaluated = logged(killed / "accuracy.log")
    assert len(evaluated) - len(set(evaluated)) <= 1
    measured = logged(killed / "validator.log")
    assert len(measured) - len(set(measured)) <= N_VALIDATED


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["one", "range"])
def test_killed_ten_times_at_random_moments(tmp_path: Path, targets: str) -> None:
    finish_child(tmp_path / "undisturbed", targets=targets)
    rng = random.Random()
    seed = rng.randrange(10**6)
    rng.seed(seed)
    for _ in range(10):
        n_evaluations, extra_s = rng.randint(1, 8), rng.uniform(0.0, 0.1)
        kill_child_after(tmp_path / "killed", n_evaluations, extra_s, targets)
    finish_child(tmp_path / "killed", targets=targets)
    assert contents(tmp_path / "killed" / "run") == contents(tmp_path / "undisturbed" / "run"), seed


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_every_searcher_ends_with_a_result(tmp_path: Path, searcher: str) -> None:
    observations: list[SearchProgress] = []
    validator, accuracy = ToyValidator(), ToyAccuracy()
    settings = replace(TOY, searcher=searcher)
    with Search(toy_problem(accuracy, validator), settings, tmp_path / "run") as search:
        result = search.run(observations.append)
    # After every round, and after what is measured at the end.
    assert [progress.n_samples_done for progress in observations] == [20, 40, 60, 60]
    assert observations[-1].left_s == 0.0
    assert result.n_samples == 60  # every proposal counts, also of what was known
    assert result.n_networks == len(accuracy.asked) == len(set(accuracy.asked)) <= 60
    assert result.meets_target and result.ended == "samples"
    tokens = SPACE.encode(result.winner.architecture)
    assert result.winner.measured_ms == pytest.approx(toy_ms(tokens[None])[0])
    assert result.winner.accuracy == pytest.approx(toy_accuracy(tokens))
    assert len(result.validations) == len(validator.asked)
    with Search(toy_problem(), replace(settings, seed=1), tmp_path / "other") as search:
        search.run()
    assert contents(tmp_path / "other") != contents(tmp_path / "run")


def test_progress_is_shown_for_every_answer_that_took_time(tmp_path: Path) -> None:
    observations: list[SearchProgress] = []
    problem = toy_problem(ToyAccuracy(pause_s=0.11))
    with Search(problem, replace(TOY, n_samples=4), tmp_path) as search:
        search.run(observations.append)
    assert [progress.n_samples_done for progress in observations] == [1, 2, 3, 4, 4]
    assert observations[0].best is None and observations[-1].best is not None
    assert 0.1 < observations[0].left_s < 10.0


def test_every_measurement_is_told_once_with_the_progress(tmp_path: Path) -> None:
    reported: list[object] = []
    with Search(toy_problem(validator=ToyValidator()), TOY, tmp_path) as search:
        result = search.run(lambda now: reported.extend(now.measured))
    assert reported == list(result.validations) and reported


def test_the_result_stands_in_files(tmp_path: Path) -> None:
    command = "mnaslat search --seed 0"
    with Search(toy_problem(validator=ToyValidator()), TOY, tmp_path, command=command) as search:
        result = search.run()
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["seed"] == TOY.seed and written["command"] == command
    assert written["settings"]["reward"]["target_ms"] == 16.0
    assert written["winner"]["tokens"] == tokens_text(result.winner.tokens)
    assert written["winners"][0]["files"] == ["winner.json", "winner.tflite", "winner.pt"]
    assert len(written["front"]) == len(result.front)
    winner = json.loads((tmp_path / "winner.json").read_text())
    assert Architecture.from_json(winner) == result.winner.architecture
    assert (tmp_path / "winner.tflite").read_bytes()[4:8] == b"TFL3"
    network = load_winner(tmp_path / "winner.pt").eval()
    in_folder = load_winner(str(tmp_path)).eval()
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    # Both files hold the same network.
    tflite = Interpreter(model_path=str(tmp_path / "winner.tflite"), num_threads=1)
    tflite.allocate_tensors()
    tflite.set_tensor(tflite.get_input_details()[0]["index"], image.permute(0, 2, 3, 1).numpy())
    tflite.invoke()
    said = tflite.get_tensor(tflite.get_output_details()[0]["index"])
    expected = network(image).detach().numpy()
    assert np.array_equal(in_folder(image).detach().numpy(), expected)
    assert expected.shape == (1, 10)
    np.testing.assert_allclose(said, expected, atol=1e-4 * np.abs(expected).max())
    (tmp_path / "other.pt").write_bytes(b"nothing")
    with pytest.raises(SearchError, match="is damaged or no checkpoint"):
        load_winner(tmp_path / "other.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SearchError, match="no winner in .* Name the folder of a search"):
        load_winner(tmp_path / "empty")


def test_a_range_of_targets_has_a_winner_at_each(tmp_path: Path) -> None:
    settings = replace(TOY, target_ms_range=(13.0, 20.0), n_targets=4, searcher="evolution")
    with Search(toy_problem(validator=ToyValidator()), settings, tmp_path) as search:
        result = search.run()
    assert [winner.target_ms for winner in result.winners] == pytest.approx(
        [13.0, 13.0 * (20 / 13) ** (1 / 3), 13.0 * (20 / 13) ** (2 / 3), 20.0]
    )
    for winner in result.winners:
        assert winner.meets_target and winner.candidate.measured_ms is not None
        assert winner.candidate in result.front
        assert (tmp_path / f"{winner.name}.tflite").exists()
    slowest = load_winner(tmp_path).graph.signature
    assert slowest == lower(result.winners[-1].candidate.architecture).signature
    accuracies = [winner.candidate.accuracy for winner in result.winners]
    assert accuracies == sorted(accuracies)
    targets = [row.target_ms for row in contents(tmp_path)["evaluations"]]  # type: ignore[attr-defined]
    assert len(set(targets)) == 60 and 13.0 <= min(targets) and max(targets) <= 20.0


def test_the_winner_is_the_most_accurate_network_that_was_measured_to_keep_the_target(
    tmp_path: Path,
) -> None:
    settings = replace(TOY, n_final_validations=60)
    with Search(toy_problem(validator=ToyValidator()), settings, tmp_path) as search:
        result = search.run()
    rows = contents(tmp_path)["evaluations"]
    tokens = np.array([row.tokens for row in rows])  # type: ignore[attr-defined]
    within = tokens[toy_ms(tokens) <= 16.0]
    assert result.winner.accuracy == max(toy_accuracy(row) for row in within)
    assert result.winner.measured_ms is not None


def test_without_a_validator_the_result_is_predicted(tmp_path: Path) -> None:
    with Search(toy_problem(), TOY, tmp_path) as search:
        result = search.run()
    assert result.winner.measured_ms is None
    assert result.winner.predicted_ms <= 16.0
    assert result.validations == ()


def test_if_nothing_keeps_the_target_the_fastest_wins_and_the_result_says_so(
    tmp_path: Path,
) -> None:
    # Predicted to reach 2.7 ms, but no network is faster than 3 ms.
    settings = replace(TOY, reward=RewardSettings.hard(2.8), n_final_validations=60)
    with Search(toy_problem(validator=ToyValidator()), settings, tmp_path) as search:
        result = search.run()
    assert not result.meets_target
    assert result.winner.latency_ms == min(row.latency_ms for row in result.front)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    accuracy, validator = ToyAccuracy(), ToyValidator()
    problem = toy_problem(accuracy, validator)
    with Search(problem, TOY, tmp_path) as search:
        first = search.run()
    n_asked = (len(accuracy.asked), len(validator.asked))
    with Search(problem, TOY, tmp_path) as search:
        assert search.run() == first
        assert search.result("samples") == first
    assert (len(accuracy.asked), len(validator.asked)) == n_asked


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_children_that_fail_are_counted_and_left_out(tmp_path: Path, searcher: str) -> None:
    accuracy = ToyAccuracy(fails=lambda row: bool(row[27] == 1))
    settings = replace(TOY, searcher=searcher)
    with Search(toy_problem(accuracy, ToyValidator()), settings, tmp_path) as search:
        result = search.run()
    rows = contents(tmp_path)["evaluations"]
    failed = {row.tokens for row in rows if row.tokens[-1] == 1}  # type: ignore[attr-defined]
    assert failed and result.failures == {"it diverged": len(failed)}
    for row in rows:
        assert (row.accuracy is None) == (row.reward is None) == (row.tokens[-1] == 1)  # type: ignore[attr-defined]
    assert all(each.tokens[-1] != 1 for each in (*result.front, result.winner))
    assert len(accuracy.asked) == len(set(accuracy.asked))


def test_a_round_in_which_all_fail_ends_the_run_and_can_be_gone_on_with(tmp_path: Path) -> None:
    broken = toy_problem(ToyAccuracy(fails=lambda row: True))
    with (
        Search(broken, TOY, tmp_path) as search,
        pytest.raises(SearchError, match="All 20 networks of a round failed.*it diverged. Mend"),
    ):
        search.run()
    with Search(toy_problem(), TOY, tmp_path) as search:
        assert search.run().n_samples == 60


class Unfaithful(ToyAccuracy):
    """Answers in ways that the protocol does not allow."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def evaluate(self, candidates):  # type: ignore[no-untyped-def]
        answers = list(super().evaluate(candidates))
        if self.how == "twice":
            answers[3] = answers[2]
        if self.how == "not all":
            answers.pop()
        if self.how == "percent":
            answers[0] = (0, CandidateResult(accuracy=75.0))
        if self.how == "nan":
            answers = [(index, CandidateResult(accuracy=float("nan"))) for index, _ in answers]
        return iter(answers)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("twice", "answered for network 2 of 20, which it was not asked for or had answered"),
        ("not all", "no answer for 1 of 20 networks"),
        ("percent", r"is 75\.0, not a fraction in \[0, 1\]\. Divide percentages by 100"),
        ("nan", "because: its accuracy is nan"),
    ],
)
def test_a_source_that_breaks_its_promises_is_named(tmp_path: Path, how: str, message: str) -> None:
    with (
        Search(toy_problem(Unfaithful(how)), TOY, tmp_path) as search,
        pytest.raises(SearchError, match=message),
    ):
        search.run()


class PercentAt(ToyAccuracy):
    """Answers in percent at the n-th network."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def evaluate(self, candidates):  # type: ignore[no-untyped-def]
        for index, result in super().evaluate(candidates):
            wrong = len(self.asked) == self.at
            yield index, CandidateResult(accuracy=75.0) if wrong else result


@pytest.mark.parametrize("searcher", ["ppo", "evolution"])
def test_an_error_on_the_way_leaves_what_was_found_and_can_be_gone_on_from(
    tmp_path: Path, searcher: str
) -> None:
    settings = replace(TOY, searcher=searcher)
    with Search(toy_problem(PercentAt(31), ToyValidator()), settings, tmp_path / "a") as search:
        with pytest.raises(SearchError, match=r"is 75\.0, not a fraction"):
            search.run()
        assert search.found_any and search.result("failed").n_samples == 30
    written = json.loads((tmp_path / "a" / "result.json").read_text())
    assert written["ended"] == "failed" and written["n_samples"] == 30
    assert (tmp_path / "a" / "winner.tflite").exists()
    for folder in ("a", "undisturbed"):
        with Search(toy_problem(validator=ToyValidator()), settings, tmp_path / folder) as search:
            assert search.run().ended == "samples"
    assert contents(tmp_path / "a") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0, not 1"),
        ({"searcher": "random"}, 'searcher: "ppo", not "random"'),
        ({"reward": RewardSettings.soft(16.0)}, "reward"),
        ({"target_ms_range": (5.0, 16.0)}, "target_ms_range"),
    ],
)
def test_a_folder_of_other_settings_is_refused(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    with Search(toy_problem(), TOY, tmp_path):
        pass
    other = replace(TOY, **change)  # type: ignore[arg-type]
    with pytest.raises(SearchError, match=f"started with another {named}"):
        Search(toy_problem(), other, tmp_path)
    with Search(toy_problem(), TOY, tmp_path):  # the refusal let go of the lock
        pass


def test_a_run_that_an_earlier_version_started_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("mnaslat.search.run.summary.__version__", "0.1.0")
        with Search(toy_problem(), TOY, tmp_path):
            pass
    with Search(toy_problem(), TOY, tmp_path) as search:
        assert search.run().ended == "samples"
    monkeypatch.setattr("mnaslat.search.run.summary.RUN_FORMAT", 0)
    with pytest.raises(SearchError, match="started with another format"):
        Search(toy_problem(), TOY, tmp_path)


class Alike:
    """Predicts the same for any network of any space."""

    def predict_ms(self, architectures: Sequence[Architecture], /) -> NDArray[np.float64]:
        """Seven milliseconds."""
        return np.full(len(architectures), 7.0)

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: NDArray[np.float64], /
    ) -> "Alike":
        """As before."""
        return self


def test_a_folder_of_another_problem_is_refused(tmp_path: Path) -> None:
    with Search(toy_problem(), TOY, tmp_path):
        pass
    space = load_space("nas-bench-macro")
    problem = replace(toy_problem(predictor=Alike()), space=space)
    with pytest.raises(SearchError, match="started with another"):
        Search(problem, TOY, tmp_path)
    with pytest.raises(SearchError, match="another validator"):
        Search(toy_problem(validator=ToyValidator()), TOY, tmp_path)
    with pytest.raises(SearchError, match="another predictor"):
        Search(toy_problem(predictor=ToyPredictor(1.1)), TOY, tmp_path)


@pytest.mark.parametrize(("version", "named"), [(1, "an older"), (99, "a newer")])
def test_a_folder_of_another_version_is_refused(tmp_path: Path, version: int, named: str) -> None:
    with Search(toy_problem(), TOY, tmp_path):
        pass
    store = sqlite3.connect(tmp_path / "search.sqlite")
    assert store.execute("PRAGMA user_version").fetchone() == (STORE_VERSION,)
    store.execute(f"PRAGMA user_version={version}")
    store.close()
    with pytest.raises(SearchError, match=f"was written by {named} mnaslat"):
        Search(toy_problem(), TOY, tmp_path)


def test_two_searches_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        Search(toy_problem(), TOY, tmp_path),
        pytest.raises(WorkspaceBusy, match="is in use by process"),
    ):
        Search(toy_problem(), TOY, tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with Search(toy_problem(), TOY, tmp_path) as search:
        search.run()
    checkpoint = tmp_path / "searcher.pt"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:100])
    with pytest.raises(SearchError, match=r"searcher\.pt is damaged"):
        Search(toy_problem(), TOY, tmp_path)
    torch.save({"format": 1}, checkpoint)
    with pytest.raises(SearchError, match="of another version"):
        Search(toy_problem(), TOY, tmp_path)
    torch.save({"format": 2, "n_rounds_done": 1, "searcher": {"controller": 3}}, checkpoint)
    with pytest.raises(SearchError, match="does not fit this run"):
        Search(toy_problem(), TOY, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "search.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(SearchError, match="as the store of a search"):
        Search(toy_problem(), TOY, other)


def test_nothing_evaluated_is_no_result(tmp_path: Path) -> None:
    with (
        Search(toy_problem(validator=ToyValidator()), TOY, tmp_path) as search,
        pytest.raises(SearchError, match="evaluated nothing yet"),
    ):
        search.result()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"validate_every": 0}, "validate_every"),
        ({"validate_uncertain": -1}, "validate_uncertain"),
        ({"near_target": 1.0}, "near_target"),
        ({"preset": "x"}, "preset"),
        ({"latency": "x"}, "latency"),
        ({"max_time_s": 0.0}, "max_time_s"),
        ({"target_ms_range": (9.0, 5.0)}, "target_ms_range"),
        ({"target_ms_range": (5.0, 9.0), "n_targets": 1}, "n_targets"),
        ({"target_ms_range": (5.0, 9.0), "reward": RewardSettings.soft(5.0)}, "soft reward"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(TOY, **wrong)  # type: ignore[arg-type]


def test_the_folder_of_a_space_of_another_width_is_refused(tmp_path: Path) -> None:
    with Search(toy_problem(), TOY, tmp_path):
        pass
    narrow = replace(toy_problem(), space=replace(SPACE, width=0.5))
    with pytest.raises(SearchError, match="another width: 1.0, not 0.5"):
        Search(narrow, TOY, tmp_path)
