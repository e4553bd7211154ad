"""The command line in this process does what the program does, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import CommandLine

SEARCH = (
    "search", *CommandLine.small, "--predictor", "pixel4-cpu1-fp32", "--validate-every", "0",
    "--searcher", "random",
)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("model", "mnasnet-a1"), 0),
        (("model", "nope"), 2),
        ((), 2),
        (("predict", "mnasnet-a1", "--predictor", "nope.mnaslat", "-w", "{folder}"), 1),
        (("export", "mnasnet-a1", "-o", "{folder}/file/network.tflite"), 1),
    ],
)
def test_output_and_exit_status_are_those_of_the_program(
    cli: CommandLine, tmp_path: Path, arguments: tuple[str, ...], status: int
) -> None:
    (tmp_path / "file").write_text("")
    asked = [each.format(folder=tmp_path) for each in arguments]
    here = cli.run(*asked, status=status)
    program = cli.run(*asked, status=status, process=True)
    assert _lines(here.stdout) == _lines(program.stdout)
    assert _lines(here.stderr) == _lines(program.stderr)
    assert here.stdout or here.stderr


def _lines(text: str) -> list[str]:
    """Without the length of the program's name, to which help is padded."""
    lines = text.replace("python -m mnaslat", "mnaslat").split("\n")
    return [line.rstrip() for line in lines]


def test_nothing_is_left_behind(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("N = 8\n")
    file = tmp_path / "networks.py"
    file.write_text(
        "from torch import nn\nfrom neighbour_of_mine import N\n"
        "def made():\n    return nn.Conv2d(3, N, 3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", "mine")

    def state() -> list[object]:
        return [
            list(sys.path), list(sys.argv), dict(os.environ), os.getcwd(), sys.excepthook,
            signal.getsignal(signal.SIGINT), sys.stdout, sys.stderr,
        ]  # fmt: skip

    before, loaded = state(), {*sys.modules}
    cli.run(*SEARCH, "--samples", "20", "--accuracy", "small_space:accuracy", "-w", str(tmp_path))
    cli.run("model", f"{file}:made")
    cli.run("model", "torch_networks:number", status=2)
    assert state() == before
    users = ("small_space", "torch_networks", "neighbour_of_mine", "mnaslat_user_code_")
    assert not [name for name in {*sys.modules} - loaded if name.startswith(users)]


def test_a_module_is_imported_anew_by_every_run(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "networks.py"
    for n_filters in (8, 16):
        (tmp_path / "neighbour_of_mine.py").write_text(f"N = {n_filters}{' ' * n_filters}\n")
        file.write_text(
            "from torch import nn\nfrom neighbour_of_mine import N\n"
            "def made():\n    return nn.Conv2d(3, N, 3, bias=False)\n"
        )
        assert cli.json("model", f"{file}:made")["params"] == 27 * n_filters


def test_what_raises_unexpectedly_fails_the_test(cli: CommandLine) -> None:
    def raises() -> None:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("mnaslat.cli.main", raises)
        cli.run("devices")


def test_a_reader_that_has_seen_enough_is_no_error_of_ours(cli: CommandLine) -> None:
    child = subprocess.Popen(
        cli.command("predictors"),
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    assert "Traceback" not in child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 1


def test_a_terminal_that_knows_only_ascii_can_show_all(cli: CommandLine) -> None:
    for arguments in (("predictors",), ("model", "mnasnet-a1"), ("model", "--help")):
        done = subprocess.run(
            cli.command(*arguments),
            env={**cli.environment, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode("ascii")
