"""Fixtures with phones in software; tests that ask for them are skipped where none can be played.

A ``conftest.py`` imports them for the tests beside and below it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import adbutils
import pytest

from tests.phone.adb_server import AdbServer
from tests.phone.benchmark_model import compile_benchmark_model, compiler
from tests.phone.phone import Phone


class PhoneBox:
    """Makes phones that the adb server knows, and puts them away at the end."""

    def __init__(self, folder: Path, server: AdbServer, stack: ExitStack) -> None:
        self._folder, self._server, self._stack = folder, server, stack
        self._n_phones = 0

    def __call__(self, **settings: Any) -> Phone:
        """A phone, started and connected; ``settings`` as for ``Phone``."""
        self._n_phones += 1
        phone = Phone(self._folder / f"phone{self._n_phones}", **settings)
        self._stack.enter_context(phone)
        self._server.connect(phone)
        self._stack.callback(self._forget, phone)
        return phone

    def _forget(self, phone: Phone) -> None:
        try:
            self._server.disconnect(phone)
        except (adbutils.AdbError, OSError):  # the test has ended the server, or it forgot already
            pass


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """An adb server for the whole session; a test that kills it starts it again.

    adbutils in this process, and programs started from it, use this server and no other.
    """
    if reason := Phone.missing():
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        with AdbServer(tmp_path_factory.mktemp("adb")) as server:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            yield server


@pytest.fixture
def make_phone(tmp_path: Path, adb_server: AdbServer) -> Iterator[PhoneBox]:
    """Makes phones: ``make_phone(model="Pixel 4")``."""
    with ExitStack() as stack:
        yield PhoneBox(tmp_path, adb_server, stack)


@pytest.fixture
def phone(make_phone: PhoneBox) -> Phone:
    """A phone, started and connected."""
    return make_phone()


@pytest.fixture(scope="session")
def phone_benchmark_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phones' ``benchmark_model`` as a file of this computer."""
    if not compiler():
        pytest.skip("The phones' benchmark_model needs a C compiler.")
    return compile_benchmark_model(tmp_path_factory.mktemp("benchmark_model"))
