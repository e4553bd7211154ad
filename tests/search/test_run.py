"""A search goes from samples to a result, survives being killed, and repeats itself exactly."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.errors import SearchError, WorkspaceBusy
from mnaslat.search.result import Candidate, choose_winner
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.run import Search, SearchProgress
from mnaslat.search.settings import SearchSettings
from mnaslat.search.store import SearchStore
from mnaslat.search.testing import (
    RESOLUTION,
    LoggingAccuracy,
    LoggingValidator,
    MaddsPredictor,
    SkewedPredictor,
    has_conv,
    madds_ms,
    small_problem,
    small_space,
)

TARGET_MS = 7.0
SETTINGS = SearchSettings(
    reward=RewardSettings.hard(TARGET_MS),
    resolution=RESOLUTION,
    n_classes=10,
    n_samples=150,  # seven updates of 20 and one of 10
    validate_every=2,
    validate_top=3,
    n_final_validations=9,
)

# A run in a process of its own, with logs of what was evaluated and measured.
CHILD = textwrap.dedent(
    f"""
    import sys
    from pathlib import Path
    import torch
    from mnaslat.search.reward import RewardSettings
    from mnaslat.search.run import Search
    from mnaslat.search.settings import SearchSettings
    from mnaslat.search.testing import (
        LoggingAccuracy, LoggingValidator, SkewedPredictor, small_problem
    )
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    problem = small_problem(
        SkewedPredictor(),
        accuracy=LoggingAccuracy(folder / "accuracy.log", pause_s=float(sys.argv[2])),
        validator=LoggingValidator(folder / "validator.log"),
    )
    settings = SearchSettings(
        reward=RewardSettings.hard({TARGET_MS}), resolution={RESOLUTION}, n_classes=10,
        n_samples=150, validate_every=2, validate_top=3, n_final_validations=9,
    )
    with Search(problem, settings, folder / "run") as search:
        search.run()
    """
)


def contents(folder: Path) -> dict[str, list[object]]:
    """All that a run has in its store but the times."""
    store = SearchStore(folder / "search.sqlite")
    try:
        log = [replace(record, controller_s=0.0, seconds=0.0) for record in store.updates()]
        return {
            "evaluations": list(store.evaluations()),
            "validations": list(store.validations()),
            "updates": list(log),
        }
    finally:
        store.close()


def start_child(
    folder: Path, pause_s: float = 0.0, hash_seed: str = "0"
) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(pause_s)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )


def finish_child(folder: Path, hash_seed: str = "0") -> None:
    child = start_child(folder, hash_seed=hash_seed)
    child.communicate(timeout=60)
    assert child.returncode == 0


def logged(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish_child(folder)
    return folder


def test_result_says_what_was_found(tmp_path: Path) -> None:
    seen: list[SearchProgress] = []
    validator = LoggingValidator()
    problem = small_problem(validator=validator)
    with Search(problem, SETTINGS, tmp_path / "run") as search:
        result = search.run(seen.append)
    assert [progress.n_updates_done for progress in seen] == list(range(1, 9))
    assert seen[-1].left_s == 0.0
    assert result.n_samples == 150
    assert result.meets_target
    assert result.winner.measured_ms == pytest.approx(madds_ms(result.winner.architecture))
    assert result.winner in result.front
    assert len(result.validations) == validator.n_networks

    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert written["seed"] == SETTINGS.seed
    assert written["settings"]["reward"]["target_ms"] == TARGET_MS
    assert written["winner"]["tokens"] == result.winner.tokens
    assert len(written["front"]) == len(result.front)
    winner = json.loads((tmp_path / "run" / "winner.json").read_text())
    assert Architecture.from_json(winner) == result.winner.architecture
    assert (tmp_path / "run" / "winner.tflite").read_bytes()[4:8] == b"TFL3"


def test_winner_is_the_most_accurate_measured_network_within_the_target(tmp_path: Path) -> None:
    settings = replace(SETTINGS, n_final_validations=150)
    problem = small_problem(SkewedPredictor(), validator=LoggingValidator())
    with Search(problem, settings, tmp_path) as search:
        result = search.run()
    rows = contents(tmp_path)["evaluations"]
    store_space = problem.space
    within = [
        row.accuracy  # type: ignore[attr-defined]
        for row in rows
        if madds_ms(store_space.decode([int(t) for t in row.tokens.split(",")]))  # type: ignore[attr-defined]
        <= TARGET_MS
    ]
    assert result.winner.accuracy == max(within)
    assert result.winner.measured_ms is not None


def test_without_a_validator_the_result_is_predicted(tmp_path: Path) -> None:
    with Search(small_problem(), SETTINGS, tmp_path) as search:
        result = search.run()
    assert result.winner.measured_ms is None
    assert result.winner.predicted_ms <= TARGET_MS
    assert result.validations == ()


def test_if_nothing_keeps_the_target_the_fastest_wins_and_the_result_says_so(
    tmp_path: Path,
) -> None:
    settings = replace(SETTINGS, n_samples=40, reward=RewardSettings.hard(0.001))
    with Search(small_problem(validator=LoggingValidator()), settings, tmp_path) as search:
        result = search.run()
    assert not result.meets_target
    assert result.winner.latency_ms == min(row.latency_ms for row in result.front)


def test_same_seed_same_run_in_a_fresh_process(undisturbed: Path, tmp_path: Path) -> None:
    finish_child(tmp_path, hash_seed="7")
    assert contents(tmp_path / "run") == contents(undisturbed / "run")
    other = replace(SETTINGS, seed=1)
    problem = small_problem(SkewedPredictor(), validator=LoggingValidator())
    with Search(problem, other, tmp_path / "other") as search:
        search.run()
    assert contents(tmp_path / "other") != contents(undisturbed / "run")


def kill_child_after(folder: Path, n_evaluations: int, extra_s: float) -> None:
    """SIGKILL a run a little after it has evaluated so many more networks."""
    n_before = len(logged(folder / "accuracy.log"))
    child = start_child(folder, pause_s=0.005)
    while len(logged(folder / "accuracy.log")) < n_before + n_evaluations:
        assert child.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    time.sleep(extra_s)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL


def test_killed_at_random_moments_it_goes_on_to_the_same_end(
    undisturbed: Path, tmp_path: Path
) -> None:
    rng = random.Random(0)
    for _ in range(3):
        kill_child_after(tmp_path, rng.randint(1, 40), rng.uniform(0.0, 0.1))
        store = sqlite3.connect(tmp_path / "run" / "search.sqlite")
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store.close()
    finish_child(tmp_path)
    assert contents(tmp_path / "run") == contents(undisturbed / "run")
    # What was in flight when a kill came may be asked for again, and nothing else.
    evaluated = logged(tmp_path / "accuracy.log")
    assert len(evaluated) - len(set(evaluated)) <= 3
    measured = logged(tmp_path / "validator.log")
    assert len(measured) - len(set(measured)) <= 3 * SETTINGS.validate_top


class Interrupted(LoggingAccuracy):
    """Presses Ctrl-C at the n-th network."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def evaluate(self, architectures):  # type: ignore[no-untyped-def]
        if self.n_networks == self.at:
            self.at = -1
            raise KeyboardInterrupt
        return super().evaluate(architectures)


class InterruptedAfterMeasuring(LoggingValidator):
    """Dies in the validation that is called as the n-th, before or after it has an answer."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.n_calls = at, 0

    def measure(self, architectures):  # type: ignore[no-untyped-def]
        self.n_calls += 1
        if self.n_calls == self.at:
            raise KeyboardInterrupt
        return super().measure(architectures)


def test_ctrl_c_leaves_a_run_that_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    accuracy, validator = Interrupted(at=47), InterruptedAfterMeasuring(at=3)
    problem = small_problem(SkewedPredictor(), accuracy=accuracy, validator=validator)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), Search(problem, SETTINGS, tmp_path) as search:
            search.run()
    with Search(problem, SETTINGS, tmp_path) as search:
        result = search.run()
    assert contents(tmp_path) == contents(undisturbed / "run")
    assert accuracy.n_networks == result.n_networks
    assert validator.n_networks == len(result.validations)


class InterruptedSearch(Search):
    """Stops before the checkpoint of one update: all is stored, the controller is not."""

    def _save(self) -> None:
        if self._n_updates_done == 4:
            raise KeyboardInterrupt
        super()._save()


def test_interrupted_between_rescoring_and_checkpoint_it_goes_on_to_the_same_end(
    undisturbed: Path, tmp_path: Path
) -> None:
    validator = LoggingValidator()
    problem = small_problem(SkewedPredictor(), validator=validator)
    with pytest.raises(KeyboardInterrupt), InterruptedSearch(problem, SETTINGS, tmp_path) as search:
        search.run()
    with Search(problem, SETTINGS, tmp_path) as search:
        result = search.run()
    assert contents(tmp_path) == contents(undisturbed / "run")
    assert validator.n_networks == len(result.validations)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    accuracy, validator = LoggingAccuracy(), LoggingValidator()
    problem = small_problem(accuracy=accuracy, validator=validator)
    with Search(problem, SETTINGS, tmp_path) as search:
        first = search.run()
    n_asked = (accuracy.n_networks, validator.n_networks)
    with Search(problem, SETTINGS, tmp_path) as search:
        assert search.run() == first
        assert search.result() == first
    assert (accuracy.n_networks, validator.n_networks) == n_asked


def test_past_rewards_are_rescored_when_the_predictor_turns_out_wrong(tmp_path: Path) -> None:
    settings = replace(SETTINGS, n_samples=40, validate_every=2, validate_top=8)
    before, after = tmp_path / "before", tmp_path / "after"
    with Search(small_problem(SkewedPredictor()), settings, before) as search:
        search.run()
    problem = small_problem(SkewedPredictor(), validator=LoggingValidator())
    with Search(problem, settings, after) as search:
        result = search.run()
    assert any(has_conv(_decoded(problem, row.tokens)) for row in result.validations)
    n_changed = 0
    for old, new in zip(
        contents(before)["evaluations"], contents(after)["evaluations"], strict=True
    ):
        assert old.tokens == new.tokens  # type: ignore[attr-defined]
        architecture = _decoded(problem, new.tokens)  # type: ignore[attr-defined]
        exact_ms = madds_ms(architecture)
        reward = mnasnet_reward([new.accuracy], [exact_ms], settings.reward)[0]  # type: ignore[attr-defined]
        assert new.predicted_ms == pytest.approx(exact_ms)  # type: ignore[attr-defined]
        assert new.reward == pytest.approx(reward)  # type: ignore[attr-defined]
        n_changed += old.reward != pytest.approx(new.reward)  # type: ignore[attr-defined]
    assert n_changed > 0
    for row in result.validations:
        factor = 0.7 if has_conv(_decoded(problem, row.tokens)) else 1.0
        if row.round == 2:  # at the end all is known already
            assert row.predicted_ms == pytest.approx(factor * row.measured_ms)
        assert row.predicted_after_ms == pytest.approx(row.measured_ms)


def test_the_moving_average_follows_the_rescored_rewards(tmp_path: Path) -> None:
    settings = replace(SETTINGS, preset="paper", n_samples=40, validate_top=8)
    problem = small_problem(SkewedPredictor(), validator=LoggingValidator())
    with Search(problem, settings, tmp_path) as search:
        search.run()
        rewards = np.array([row.reward for row in search._store.evaluations()]).reshape(2, 20)
        means = rewards.mean(1)
        assert search._baseline == pytest.approx(0.95 * means[0] + 0.05 * means[1])


def _decoded(problem, tokens: str) -> Architecture:  # type: ignore[no-untyped-def]
    architecture: Architecture = problem.space.decode([int(token) for token in tokens.split(",")])
    return architecture


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "settings"),
        ({"n_samples": 60}, "settings"),
        ({"reward": RewardSettings.soft(TARGET_MS)}, "settings"),
    ],
)
def test_a_folder_of_other_settings_is_refused(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    with Search(small_problem(), SETTINGS, tmp_path):
        pass
    other = replace(SETTINGS, **change)  # type: ignore[arg-type]
    with pytest.raises(SearchError, match=f"started with another {named}"):
        Search(small_problem(), other, tmp_path)
    with Search(small_problem(), SETTINGS, tmp_path):  # the refusal let go of the lock
        pass


def test_a_folder_of_another_problem_is_refused(tmp_path: Path) -> None:
    with Search(small_problem(), SETTINGS, tmp_path):
        pass
    with pytest.raises(SearchError, match="another predictor"):
        Search(small_problem(MaddsPredictor(1.1)), SETTINGS, tmp_path)
    with pytest.raises(SearchError, match="another validator"):
        Search(small_problem(validator=LoggingValidator()), SETTINGS, tmp_path)
    with pytest.raises(ValueError, match="name space 'mnasnet-paper'"):
        Search(small_problem(), replace(SETTINGS, space="mnasnet-paper"), tmp_path)


def test_two_searches_in_one_folder_are_refused(tmp_path: Path) -> None:
    with (
        Search(small_problem(), SETTINGS, tmp_path),
        pytest.raises(WorkspaceBusy, match="is in use by process"),
    ):
        Search(small_problem(), SETTINGS, tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with Search(small_problem(), replace(SETTINGS, n_samples=20), tmp_path) as search:
        search.run()
    checkpoint = tmp_path / "controller.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(SearchError, match=r"controller\.pt is damaged"):
        Search(small_problem(), replace(SETTINGS, n_samples=20), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "search.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(SearchError, match="as the store of a search"):
        Search(small_problem(), SETTINGS, other)


class BadPredictor(MaddsPredictor):
    """Predicts nonsense for one network in a batch."""

    def predict_ms(self, architectures):  # type: ignore[no-untyped-def]
        latency_ms = super().predict_ms(architectures)
        if len(latency_ms) == 20:
            latency_ms[3] = np.nan
        return latency_ms


def test_a_prediction_that_is_no_number_is_named(tmp_path: Path) -> None:
    with Search(small_problem(BadPredictor()), SETTINGS, tmp_path) as search:
        with pytest.raises(SearchError, match=r"predicted latency of network [0-9,]+ is nan ms"):
            search.run()
        with pytest.raises(SearchError, match="evaluated nothing yet"):
            search.result()


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"n_samples": 0}, {"validate_every": 0}, {"near_target": 1.0}, {"preset": "x"}):
        with pytest.raises(ValueError):
            replace(SETTINGS, **wrong)


def test_of_equally_accurate_networks_the_faster_wins() -> None:
    space = small_space()
    network = space.decode(space.sample(1, np.random.default_rng(0))[0])

    def candidate(name: str, latency_ms: float) -> Candidate:
        return Candidate(
            tokens=name, architecture=network, accuracy=0.5, reward=0.5, predicted_ms=latency_ms
        )

    rows = [candidate("slow", 4.0), candidate("fast", 3.0), candidate("over", 9.0)]
    assert choose_winner(rows, 5.0, measured_only=False).tokens == "fast"
