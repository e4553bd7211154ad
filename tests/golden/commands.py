"""Commands of mnaslat in this process, and what they take."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mnaslat.cli import app
from tests.golden.made_up import FOLDER

# Of the golden workspace, which was measured with these.
SPACE_OPTIONS = (
    "--space", "golden_space.py:space", "--resolution", "32", "--width", "0.1", "--classes", "10",
)  # fmt: skip
SEARCH_OPTIONS = ("search", *SPACE_OPTIONS, "--accuracy", "golden_space:accuracy")
# Without a device: predictions alone.
UNFINISHED = (*SEARCH_OPTIONS, "--validate-every", "0", "--samples", "80", "--run", "unfinished")


def stand_in(folder: PurePath, patch: pytest.MonkeyPatch) -> None:
    """Make a folder the current one; modules beside the golden files can be imported by name."""
    patch.chdir(str(folder))
    patch.syspath_prepend(str(FOLDER))


def run(*arguments: str) -> tuple[str, str]:
    """What a command prints: standard output, and standard error."""
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def described() -> dict[str, Any]:
    """Every command by its words, with its first line of help and its parameters."""
    return _described(typer.main.get_command(app), "mnaslat")


def _described(command: Any, words: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in getattr(command, "commands", {}).items():
        found |= _described(each, f"{words} {name}")
    parameters = {each.name: _parameter(each) for each in command.params if each.name != "help"}
    found[words] = {"help": (command.help or "").split("\n")[0], "parameters": parameters}
    return dict(sorted(found.items()))


def _parameter(parameter: Any) -> Mapping[str, Any]:
    default = parameter.default
    if not isinstance(default, str | int | float | bool | None):
        default = str(default)  # paths
    return {
        "names": [*parameter.opts, *parameter.secondary_opts],
        "default": default,
        "required": parameter.required,
        "n_values": parameter.nargs,
        "repeatable": getattr(parameter, "multiple", False),
        "switch": getattr(parameter, "is_flag", False),
    }
