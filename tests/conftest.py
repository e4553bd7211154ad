"""Settings and fixtures that tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy and torch are imported. On a computer that does something else too, threads that wait
# for each other burn several times what the tests need.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.command_line import CommandLine
from tests.phone.fixtures import (  # noqa: F401  (fixtures are found by their names)
    adb_server,
    make_phone,
    phone,
    phone_benchmark_model,
)
from tests.phone.phone import Phone
from tests.phone.ports import free_port

# No deadline: how long an example takes depends on the machine, not on what must be true.
# `make test-slow` asks for the nightly profile.
settings.register_profile("dev", deadline=None, max_examples=25)
settings.register_profile("nightly", deadline=None, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# Tests that time something on this computer: one worker has them all, one after the other.
TIMING = "timing"
# Fixtures that take long: one worker has all their users, and makes each once.
GROUPS = {"calibrated": TIMING, "measured": "phone journey"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the users of a costly fixture together."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in GROUPS and not item.get_closest_marker("xdist_group"):
                item.add_marker(pytest.mark.xdist_group(GROUPS[fixture]))


@pytest.fixture(scope="session", autouse=True)
def own_cache_and_no_adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from this computer's phones, adb server and cache.

    Until a test asks for the tests' own adb server, nobody answers and no server can be started.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("ANDROID_SERIAL", raising=False)
        patch.setenv("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1")
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        patch.setenv("ADBUTILS_ADB_PATH", "/nonexistent/adb")
        yield


@pytest.fixture(scope="session")
def cli(request: pytest.FixtureRequest) -> CommandLine:
    """The command line; it looks for phones, and finds those of the tests' adb server."""
    if not Phone.missing():
        request.getfixturevalue("adb_server")
    return CommandLine()


@pytest.fixture(scope="session")
def calibrated(cli: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the small space profiled and a predictor calibrated; do not write to it."""
    workspace = tmp_path_factory.mktemp("calibrated")
    there = ("--device", "host", "--workspace", str(workspace))
    cli.run("profile", *cli.small, *there, process=True)
    cli.run("calibrate", *cli.small, "--models", "3", *there, process=True)
    return workspace
