"""The search command: what it refuses, how it ends, and what it says then."""

import json
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from mnaslat.cli.commands.search import search
from mnaslat.search.run.artifacts import load_winner
from mnaslat.search.searchers.registry import known_searchers

# A phone's predictor that comes with the package: nothing has to be measured.
OPTIONS = (
    "--predictor", "pixel4-cpu1-fp32", "--validate-every", "0", "--accuracy",
    "small_space:accuracy", "--searcher", "random",
)  # fmt: skip


def arguments(cli: Any, workspace: Path, *more: str) -> tuple[str, ...]:
    return ("search", *cli.small, *OPTIONS, "--workspace", str(workspace), *more)


def test_a_target_out_of_reach_is_refused_before_there_is_a_run(cli: Any, tmp_path: Path) -> None:
    refused = cli.run(*arguments(cli, tmp_path, "--target-ms", "0.001"), status=1)
    assert re.search(r"by the predictor it reaches from [0-9.]+ to [0-9.]+ ms", refused.stderr)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target-ms", "9:5"), "lower target of a range comes first"),
        (("--target-ms", "1:2:3"), "is no target"),
        (("--target-ms", "fast"), "is no target"),
        (("--target-ms", "5:9", "--reward", "soft"), "a target has no effect on the search"),
        (("--reward", "gentle"), "is not a reward"),
        (("--searcher", "hill-climbing"), "is not a searcher"),
        (("--latency", "lower"), "is not a kind of latency"),
        (("--max-time", "long"), "is not a duration"),
    ],
)
def test_wrong_options_are_usage_errors(cli: Any, options: tuple[str, ...], message: str) -> None:
    error = cli.run("search", *options, status=2).stderr
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", error).split())


def test_the_help_names_every_searcher() -> None:
    (option,) = get_type_hints(search, include_extras=True)["searcher"].__metadata__
    assert option.help == f"{known_searchers()}."


def test_a_range_of_targets_and_the_command_that_repeats_it(cli: Any, tmp_path: Path) -> None:
    first = arguments(cli, tmp_path, "--samples", "60", "--max-time", "1m", "--run", "a")
    reach = cli.run(*first, "--target-ms", "0.001", status=1).stderr
    low, high = map(float, re.findall(r"([0-9.]+) to ([0-9.]+) ms", reach)[0])
    targets = f"{low + 0.3 * (high - low):.4g}:{low + 0.8 * (high - low):.4g}"
    found = cli.json(*first, "--target-ms", targets)
    folder = Path(found["run"])
    assert len(found["winners"]) == 9 and found["ended"] == "samples"
    for winner in found["winners"]:
        assert winner["meets_target"]
        assert all((folder / name).exists() for name in winner["files"])
    load_winner(folder / found["winners"][0]["files"][-1])
    words = found["command"].split()
    assert words[:2] == ["mnaslat", "search"]
    assert words[-2:] == ["--workspace", str(tmp_path)]
    again = cli.json(*words[1:])
    assert again["run"] != found["run"]
    assert again["front"] == found["front"] and again["winners"] == found["winners"]
    refused = cli.run(*first, "--target-ms", targets, "--seed", "5", status=1).stderr
    assert "already, started with another seed (0, not 5)" in refused
    report = tmp_path / "report.html"
    cli.run("report", str(folder), *cli.small[:2], "--workspace", str(tmp_path), "-o", str(report))
    assert report.read_text().count("Best at ") >= 9


def test_time_and_ctrl_c_end_it_with_its_networks_and_the_same_command_goes_on(
    cli: Any, tmp_path: Path
) -> None:
    command = arguments(cli, tmp_path, "--samples", "1000000")
    ended = cli.run(*command, "--max-time", "500ms")
    assert "The Pareto front" in ended.stdout
    assert "Time is over after" in ended.stderr and "Run the same command again" in ended.stderr
    child = subprocess.Popen(
        cli.command(*command, "--json"),
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background may have made them ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert child.stderr is not None
    while not child.stderr.readline().startswith("Accuracy:"):
        assert child.poll() is None
    time.sleep(2.0)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 130, stderr
    assert "Stopped after" in stderr and "Traceback" not in stderr
    found = json.loads(stdout)
    assert found["ended"] == "stopped" and found["winner"]["blocks"]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_an_error_on_the_way_comes_after_the_networks_found(cli: Any, tmp_path: Path) -> None:
    command = arguments(cli, tmp_path, "--samples", "40", "--accuracy", "small_space:percent_later")
    ended = cli.run(*command, status=1)
    assert "The Pareto front" in ended.stdout
    assert re.search(r"ended after \d+ of 40 networks, because:\nmnaslat: .* is 75", ended.stderr)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "result.json").read_text())["ended"] == "failed"
    again = cli.run(*command)  # in a fresh process, where the function is right again
    assert f"Continuing the unfinished run in {run}" in again.stderr


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        ("tabel:a.csv", "No accuracy source 'tabel:a.csv'"),
        ("guess", "No accuracy source 'guess'"),
        ("table:missing.csv", "Cannot read accuracies from missing.csv"),
        ("proxy:folder:nowhere", "No folder nowhere"),
        ("supernet:digits,steps=5", "No setting 'steps'"),
    ],
)
def test_accuracies_that_cannot_be_had_are_refused_before_there_is_a_run(
    cli: Any, tmp_path: Path, accuracy: str, message: str
) -> None:
    # Without a predictor the device would be measured next, which takes minutes.
    arguments = ("search", *cli.small, "--accuracy", accuracy, "--workspace", str(tmp_path))
    assert message in cli.run(*arguments, status=1).stderr
    assert not list(tmp_path.rglob("run.json")) and not list(tmp_path.rglob("*.sqlite"))


def test_a_default_target_can_be_reached_by_the_upper_end_too(cli: Any, tmp_path: Path) -> None:
    found = cli.run(*arguments(cli, tmp_path, "--samples", "20", "--latency", "upper"))
    assert "Target: " in found.stderr and "upper end" in found.stdout


def test_a_function_that_always_raises_is_one_sentence(cli: Any, tmp_path: Path) -> None:
    command = arguments(cli, tmp_path, "--accuracy", "small_space:small")  # takes three arguments
    error = cli.run(*command, status=1).stderr
    assert "All 20 networks of a round failed" in error and "raised TypeError" in error
