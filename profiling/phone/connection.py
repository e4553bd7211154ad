"""One phone over adb: what state it is in, and commands in its shell.

adbutils finds and speaks to the adb server. Its own shell calls either hide that the phone went
away in the middle or return only at the end, so sessions of the shell's protocol (version 2, with
exit status, Android 7 and later) are read here, line by line, with a limit on silence.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import adbutils

from mnaslat.errors import DeviceError, DeviceLost

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)  # packets of the shell's protocol
_PACKET_BYTES = 32 * 1024


@dataclass(frozen=True)
class Finished:
    """A shell command that ran to its end."""

    output: str  # standard output and errors, as they came
    status: int


@dataclass(frozen=True)
class Attached:
    """A phone as the adb server lists it."""

    serial: str
    state: str  # "device", "offline", "unauthorized", "no permissions", ...


def attached() -> list[Attached]:
    """All phones that the adb server knows; the server is started if there is none.

    Raises:
        DeviceError: If there is no adb server and none can be started.
    """
    with _server_errors():
        return [Attached(each.serial, each.state) for each in adbutils.AdbClient().list(False)]


class Connection:
    """Commands on one phone."""

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def state(self) -> str:
        """As the adb server says it; ``absent`` where it does not know the phone."""
        states = {each.serial: each.state for each in attached()}
        return states.get(self.serial, "absent")

    def dial(self) -> None:
        """Ask the adb server to connect to a phone over TCP again; does nothing over USB.

        The server tries this by itself too, but forgets phones when it is restarted.
        """
        if ":" in self.serial:
            with _server_errors():
                adbutils.AdbClient().connect(self.serial, timeout=5.0)

    def run(self, command: str, *, stdin: bytes = b"", timeout_s: float = 30.0) -> Finished:
        """Run a command to its end.

        Raises:
            DeviceLost: If the phone goes away before, or does not answer in time.
        """
        with self.session(command, stdin=stdin, silence_s=timeout_s) as session:
            lines = list(session.lines())
            return Finished("".join(f"{line}\n" for line in lines), session.status)

    @contextmanager
    def session(self, command: str, *, stdin: bytes = b"", silence_s: float) -> Iterator["Session"]:
        """A running command; leaving the block ends it.

        Raises:
            DeviceLost: If the phone goes away, or nothing is heard for ``silence_s`` seconds.
        """
        with self._lost():
            transport = adbutils.AdbClient().device(self.serial).open_transport(timeout=silence_s)
        session = Session(self.serial, transport)
        try:
            with self._lost():
                transport.send_command(f"shell,v2,raw:{command}")
                transport.check_okay()
            session.feed(stdin)
            yield session
        finally:
            session.close()

    @contextmanager
    def _lost(self) -> Iterator[None]:
        with lost(self.serial):
            yield


class Session:
    """The output of a command while it runs."""

    def __init__(self, serial: str, transport: adbutils.AdbConnection) -> None:
        self._serial, self._transport = serial, transport
        self._feeder: threading.Thread | None = None
        self.status = -1  # the exit status, once all lines were read

    def feed(self, content: bytes) -> None:
        """Give the command its standard input, beside reading: it may not want all of it."""
        self._feeder = threading.Thread(target=self._send, args=(content,), daemon=True)
        self._feeder.start()

    def lines(self) -> Iterator[str]:
        """Complete lines of output and errors, as they come; ends when the command has ended.

        Raises:
            DeviceLost: If the phone goes away before the exit status, or is silent for too long.
        """
        rest = b""
        with lost(self._serial):
            while True:
                header = self._transport.read_exact(5)
                content = self._transport.read_exact(int.from_bytes(header[1:], "little"))
                if header[0] == _EXIT:
                    self.status = content[0]
                    break
                if header[0] in (_STDOUT, _STDERR):
                    *complete, rest = (rest + content).split(b"\n")
                    for line in complete:
                        yield line.decode("utf-8", "replace").rstrip("\r")
        if rest:
            yield rest.decode("utf-8", "replace")

    def close(self) -> None:
        """Hang up; the phone ends the command."""
        self._transport.close()
        if self._feeder is not None:
            self._feeder.join()

    def _send(self, content: bytes) -> None:
        try:
            for start in range(0, len(content), _PACKET_BYTES):
                piece = content[start : start + _PACKET_BYTES]
                self._transport.conn.sendall(_packet(_STDIN, piece))
            self._transport.conn.sendall(_packet(_CLOSE_STDIN, b""))
        except (OSError, adbutils.AdbError):  # whoever reads the session is told
            pass


def _packet(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(4, "little") + content


@contextmanager
def lost(serial: str) -> Iterator[None]:
    """Turn what adbutils raises when a phone goes away into ``DeviceLost``."""
    try:
        yield
    except (adbutils.AdbError, OSError, EOFError, subprocess.SubprocessError) as error:
        reason = str(error).strip() or type(error).__name__
        raise DeviceLost(f"The connection to phone {serial} broke: {reason}.") from None


@contextmanager
def _server_errors() -> Iterator[None]:
    try:
        yield
    except (adbutils.AdbError, OSError, EOFError, subprocess.SubprocessError, ValueError) as error:
        raise DeviceError(
            f"No adb server can be reached or started: {error}. Install Android's platform tools "
            "and try `adb devices`, or measure on this computer with --device host."
        ) from None
