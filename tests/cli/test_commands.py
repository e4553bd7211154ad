"""What every command owes its user: help with an example, and one sentence for a wrong argument."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from tests.command_line import CommandLine, help_of

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = (
    "devices", "space", "model", "profile", "calibrate", "evaluate", "predict", "search",
    "validate", "export", "report", "predictors",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    assert f"Example: mnaslat {command}" in help_of(command)


def test_the_page_on_commands_names_every_command() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = re.findall(r"^│ (\w+) ", help_of(), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    assert not [command for command in COMMANDS if f"| `mnaslat {command}` |" not in page]


@pytest.mark.parametrize(
    ("name", "params", "madds"),
    [
        ("mnasnet-a1", 3_887_038, 311.6),
        ("mnasnet-b1", 4_383_312, 314.4),
        ("mnasnet-small", 2_030_264, 68.3),
        ("mobilenet-v2", 3_504_872, 300.8),
    ],
)
def test_model_counts_the_published_networks(
    cli: Any, name: str, params: int, madds: float
) -> None:
    found = cli.json("model", name, process=name == "mnasnet-a1")
    assert found["params"] == params
    assert found["madds"] / 1e6 == pytest.approx(madds, abs=0.1)
    assert sum(layer["madds"] for layer in found["layers"]) == found["madds"]


def test_a_model_by_its_tokens_and_by_its_file(cli: Any, tmp_path: Path) -> None:
    by_tokens = cli.json("model", ",".join(["0"] * 42))
    file = tmp_path / "network.json"
    file.write_text(json.dumps(by_tokens["architecture"]))
    assert cli.json("model", str(file))["params"] == by_tokens["params"]


def test_a_model_from_a_module_or_a_tflite_file(cli: Any, tmp_path: Path) -> None:
    named = cli.json("model", "mobilenet-v2")
    made = cli.json("model", "torch_networks:mobilenet")
    assert (made["params"], made["madds"]) == (named["params"], named["madds"])
    assert made["architecture"] is None
    file = tmp_path / "network.tflite"
    file.write_bytes(mnaslat.write_tflite(mnaslat.lower(mnaslat.load_network("mobilenet-v2"))))
    read = cli.json("model", str(file), "--predictor", "pixel4-cpu1-fp32")
    assert read["madds"] == named["madds"] and read["predicted_ms"] > 0


def test_space_prints_its_size(cli: Any) -> None:
    assert cli.json("space", "mnasnet-paper", process=True)["size"] == 432**7
    assert "2.81e+18" in cli.run("space", "mnasnet-paper").stdout


def test_devices_names_the_host(cli: Any) -> None:
    assert cli.json("devices", process=True)[-1]["device"] == "host"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("model", "nope"), "No network named 'nope'"),
        (("model", "1,2,3"), "needs 42"),
        (("model", ",".join(["9"] * 42)), "must lie in"),
        (("model", "missing.json"), "Cannot read missing.json"),
        (("space", "nope"), "No space named 'nope'"),
        (("profile", "--budget", "soon"), "is not a duration"),
        (("profile", "--precision", "int8"), "cannot be measured yet"),
        (("profile", "--cores", "99"), "no core 99"),
        (("profile", "--width", "-1"), "width must be positive"),
        (("search", "--target-ms", "0"), "must be a positive"),
        (("search", "--target-ms", "nan"), "must be a positive"),
        (("search", "--reward", "greedy"), "is not a reward"),
        (("search", "--preset", "nope"), "No preset"),
        (("export", "mnasnet-a1", "--format", "onnx", "-o", "x"), "is not a format"),
        (("export", "network.tflite", "-o", "x"), "Only architectures can be written"),
        (("export", "torch_networks:plain", "-o", "x"), "Only architectures can be written"),
        (("calibrate", "--suggest", "100000"), "less than or equal to 200"),
        (("calibrate", "--models", "1"), "greater than or equal to 3"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_a_usage_error(
    cli: Any, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    workspace = (
        () if arguments[0] in ("model", "space", "export") else ("--workspace", str(tmp_path))
    )
    error = cli.run(*arguments, *workspace, status=2).stderr
    assert sentence in re.sub(r"[\s│]+", " ", error)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("predict", "mnasnet-a1"), "Make one with `mnaslat profile`"),
        (("predict", "mnasnet-a1"), "e.g. pixel4-cpu1-fp32 (`mnaslat predictors` lists all)"),
        (("predict", "mnasnet-a1", "--predictor", "nope.mnaslat"), "no predictor file"),
        (("calibrate", "--device", "host"), "Run `mnaslat profile`"),
        (("evaluate",), "no predictor in workspace"),
        (("validate",), "no search run in workspace"),
        (("report",), "nothing to report"),
        (("report", "nope"), "There is no nope"),
        (("profile", "--device", "pixel"), "No device 'pixel' here"),
        (("search", *CommandLine.small, "--predictor", "nope.mnaslat"), "no predictor file"),
    ],
)
def test_what_is_not_there_yet_is_one_sentence(
    cli: Any, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    error = cli.run(*arguments, "--workspace", str(tmp_path), status=1).stderr
    assert sentence in error
    assert error.count("\n") == 1


def test_a_workspace_that_cannot_be_made_is_one_sentence(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = cli.run("predict", "mnasnet-a1", "-w", str(tmp_path / "file" / "x"), status=1).stderr
    assert "Cannot make the workspace" in error


def test_a_damaged_predictor_is_one_sentence(cli: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mnaslat"
    damaged.write_bytes(b"PK\3\4 no more")
    arguments = ("predict", "mnasnet-a1", "--predictor", str(damaged), "-w", str(tmp_path))
    assert "Cannot read" in cli.run(*arguments, status=1).stderr
