"""An adb server of the tests' own: no other adb, phone or key of this computer is touched."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import adbutils

from tests.phone.phone import Phone
from tests.phone.ports import free_port

_START_S = 20.0
_REAL_ADB = adbutils.adb_path()

_ADB_THAT_STARTS_NO_SERVER = """#!/bin/sh
if [ "$1" = start-server ]; then
  echo "The server of the tests is down, and is not started by its clients." >&2
  exit 1
fi
exec "{adb}" -P {port} "$@"
"""


class AdbServer:
    """The adb that adbutils brings, on a free loopback port.

    It knows no phones but those that ``connect`` names: no USB, no emulators, no network search.
    adbutils starts a server of its own, on adb's usual port, when it finds none; not with
    ``environment``, where ``adb start-server`` fails.

    Start it from a thread that lives as long as it: the server dies with that thread.

    Attributes:
        port: Its port, also after ``kill`` and ``start``.
        environment: Variables for programs that are to use this server.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ANDROID_ADB_SERVER_ADDRESS": "127.0.0.1",
            "ADB_VENDOR_KEYS": "",
            "ADBUTILS_ADB_PATH": str(folder / "adb"),
        }

    @property
    def client(self) -> adbutils.AdbClient:
        """A client of this server."""
        return adbutils.AdbClient(host="127.0.0.1", port=self.port)

    def start(self) -> None:
        """Start it and wait until it answers; raises ``RuntimeError`` if it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        script = self._folder / "adb"
        script.write_text(_ADB_THAT_STARTS_NO_SERVER.format(adb=_REAL_ADB, port=self.port))
        script.chmod(0o755)
        # It ends with this process, however that ends.
        guard = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, _REAL_ADB, "-P", str(self.port), "server", "nodaemon"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self._folder),  # its keys
                    "TMPDIR": str(self._folder),
                    "ADB_MDNS": "0",
                    "ADB_USB": "0",
                    "ADB_EMU": "0",
                    "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",  # below the first emulator's
                },
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                    return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"adb does not start: {(self._folder / 'log').read_text()[-500:]}")

    def connect(self, phone: Phone) -> adbutils.AdbDevice:
        """Make the phone known to the server; an unauthorised one is known, but not ready."""
        said = self.client.connect(phone.serial, timeout=20.0)
        if "connected" not in said and "authenticate" not in said:
            raise RuntimeError(f"adb does not connect to {phone.serial}: {said}")
        return self.client.device(serial=phone.serial)

    def disconnect(self, phone: Phone) -> None:
        """Make the server forget the phone."""
        self.client.disconnect(phone.serial)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill

    def __enter__(self) -> "AdbServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
