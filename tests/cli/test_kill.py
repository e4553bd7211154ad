"""Killed at random moments, the same command goes on: nothing lost, nothing measured twice."""

import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mnaslat.data.measurement import Configuration, Subject
from mnaslat.data.measurement_store import Store
from mnaslat.profiling.host.device import LAYERS, NETWORKS
from mnaslat.profiling.timing_plan import TimingPlan

pytestmark = pytest.mark.xdist_group("timing")

N_KILLS = 3


def _kill_after(cli: Any, arguments: Sequence[str], seconds: float) -> bool:
    """Whether the command was still running when it was killed."""
    process = subprocess.Popen(
        cli.command(*arguments),
        env=cli.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def _rounds(workspace: Path, kind: Subject) -> dict[str, tuple[float, ...]]:
    """Fastest run of each round, by signature, once the database was found whole."""
    database = workspace / "measurements.sqlite"
    if not database.exists():
        return {}
    assert sqlite3.connect(database).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store = Store(database)
    configurations: list[Configuration] = store.configurations()
    found: dict[str, tuple[float, ...]] = {}
    for configuration in configurations:
        for signature, measured in store.measurements(configuration, kind).items():
            found[signature] = measured.round_min_ms
    store.close()
    return found


def _check_only_grown(
    before: dict[str, tuple[float, ...]], after: dict[str, tuple[float, ...]]
) -> None:
    for signature, rounds in before.items():
        assert after[signature][: len(rounds)] == rounds


def _check_none_too_many(rounds: dict[str, tuple[float, ...]], plan: TimingPlan) -> None:
    for mins in rounds.values():
        assert plan.n_rounds <= len(mins) <= plan.max_rounds
        if len(mins) > plan.n_rounds:  # a further round is measured only while rounds disagree
            fastest, second = sorted(mins[:-1])[:2]
            assert second / fastest - 1.0 > plan.agreement


@pytest.mark.parametrize("n_kills", [1, pytest.param(N_KILLS, marks=pytest.mark.slow)])
def test_profile_killed_goes_on(cli: Any, tmp_path: Path, n_kills: int) -> None:
    arguments = ("profile", *cli.small, "--workspace", str(tmp_path))
    moments = random.Random()
    seed = moments.randrange(10**6)
    moments.seed(seed)
    before: dict[str, tuple[float, ...]] = {}
    for _ in range(n_kills):
        killed = _kill_after(cli, arguments, moments.uniform(0.5, 3.0))
        after = _rounds(tmp_path, "layer")
        _check_only_grown(before, after)
        before = after
        if not killed:
            break
    found = cli.json(*arguments)
    after = _rounds(tmp_path, "layer")
    _check_only_grown(before, after)
    assert len(after) == found["n_total"], f"random moments of seed {seed}"
    _check_none_too_many(after, LAYERS)


@pytest.mark.slow
def test_search_with_validation_killed_three_times_goes_on(
    cli: Any, calibrated: Path, tmp_path: Path
) -> None:
    import shutil

    workspace = tmp_path / "workspace"
    shutil.copytree(calibrated, workspace)
    arguments = (
        "search", *cli.small, "--accuracy", "small_space:accuracy", "--samples", "200",
        "--validate-every", "2", "--workspace", str(workspace),
    )  # fmt: skip
    moments = random.Random()
    seed = moments.randrange(10**6)
    moments.seed(seed)
    before = _rounds(workspace, "network")
    for _ in range(N_KILLS):
        _kill_after(cli, arguments, moments.uniform(3.0, 12.0))
        time.sleep(1.0)  # the worker ends with the model it is at
        after = _rounds(workspace, "network")
        _check_only_grown(before, after)
        before = after
    found = cli.json(*arguments)
    assert found["n_samples"] == 200, f"random moments of seed {seed}"
    assert len(list((workspace / "runs").iterdir())) == 1
    after = _rounds(workspace, "network")
    _check_only_grown(before, after)
    _check_none_too_many(after, NETWORKS)
    run = sqlite3.connect(Path(found["run"]) / "search.sqlite")
    assert run.execute("PRAGMA integrity_check").fetchone() == ("ok",)
