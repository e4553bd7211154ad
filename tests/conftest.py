"""Settings and fixtures that tests share."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.phone.fixtures import (  # noqa: F401  (fixtures are found by their names)
    adb_server,
    make_phone,
    phone,
    phone_benchmark_model,
)
from tests.phone.phone import Phone

# No deadline: how long an example takes depends on the machine, not on what must be true.
settings.register_profile("mnaslat", deadline=None)
settings.load_profile("mnaslat")

_CLI = Path(__file__).resolve().parent / "cli"


class CommandLine:
    """Runs ``mnaslat ARGUMENTS``.

    Attributes:
        small: Options that choose a space of a few dozen small layers.
    """

    small = ("--space", f"{_CLI / 'small_space.py'}:small", "--resolution", "32", "--width", "0.25")

    @property
    def environment(self) -> dict[str, str]:
        """The tests' own modules can be imported by ``--accuracy module:function``."""
        return {**os.environ, "PYTHONPATH": str(_CLI), "PYTHONSAFEPATH": "1"}

    def command(self, *arguments: str) -> list[str]:
        """What has to be run."""
        return [sys.executable, "-m", "mnaslat", *arguments]

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run to the end and check the exit status."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """Run with ``--json`` and read what is printed."""
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture(scope="session", autouse=True)
def own_adb_and_cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep the tests away from this computer's phones, adb server and cache.

    Programs that look for phones find the tests' adb server, which knows only phones in software;
    where there is none, a port at which nobody answers and no server can be started.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("ANDROID_SERIAL", raising=False)
        if not Phone.missing():
            for name, value in request.getfixturevalue("adb_server").environment.items():
                patch.setenv(name, value)
        else:
            patch.setenv("ADBUTILS_ADB_PATH", "/nonexistent/adb")
        yield


@pytest.fixture(scope="session")
def cli() -> CommandLine:
    """The command line."""
    return CommandLine()


@pytest.fixture(scope="session")
def calibrated(cli: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the small space profiled and a predictor calibrated; do not write to it."""
    workspace = tmp_path_factory.mktemp("calibrated")
    there = ("--device", "host", "--workspace", str(workspace))
    cli.run("profile", *cli.small, *there)
    cli.run("calibrate", *cli.small, "--models", "3", *there)
    return workspace
