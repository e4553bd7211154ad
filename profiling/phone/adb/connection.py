"""One phone over adb: what state it is in, and commands in its shell.

adbutils finds and speaks to the adb server. Its own shell calls either hide that the phone went
away in the middle or return only at the end, so sessions of the shell's protocol (version 2, with
exit status, Android 7 and later) are read here, line by line, with a limit on silence.
"""

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import adbutils

from mnaslat.errors import DeviceError, DeviceLost

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)  # packets of the shell's protocol
_PACKET_BYTES = 32 * 1024
_MOST_BYTES = 16 * 2**20  # of a packet that a phone sends; adb's own limit is lower
_SERVER_S = 10.0  # an adb server that is there answers at once
_DIAL_S = 5.0
_RESET = struct.pack("ii", 1, 0)  # closing drops what was not sent, and says so

# What adbutils raises; ValueError where the server ends while it tells the length of an answer.
_TROUBLE = (adbutils.AdbError, OSError, EOFError, subprocess.SubprocessError, ValueError)


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
        return [Attached(each.serial, each.state) for each in _client(_SERVER_S).list(False)]


class Connection:
    """Commands on one phone."""

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def state(self) -> str:
        """As the adb server says it; ``absent`` where it does not know the phone."""
        states = {each.serial: each.state for each in attached()}
        return states.get(self.serial, "absent")

    def dial(self, *, afresh: bool = False) -> None:
        """Ask the adb server to connect to a phone over TCP again; does nothing over USB.

        The server tries this by itself too, but forgets phones when it is restarted, and holds on
        to connections that are dead without having been closed: ``afresh`` drops them first.

        Raises:
            DeviceError: If the server cannot be asked, or does not reach the phone in time.
        """
        if ":" not in self.serial:
            return
        with _server_errors():
            if afresh:
                _client(_SERVER_S).disconnect(self.serial)
            _client(_DIAL_S).connect(self.serial, timeout=_DIAL_S)

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
        with _lost(self.serial):
            transport = _client(silence_s).make_connection(timeout=silence_s)
        session = Session(self.serial, transport)
        try:
            with _lost(self.serial):
                for request in (f"host:transport:{self.serial}", f"shell,v2,raw:{command}"):
                    transport.send_command(request)
                    transport.check_okay()
            session.feed(stdin)
            yield session
        finally:
            session.close()


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
        with _lost(self._serial):
            while True:
                header = self._transport.read_exact(5)
                n_bytes = int.from_bytes(header[1:], "little")
                if header[0] not in (_STDOUT, _STDERR, _EXIT) or n_bytes > _MOST_BYTES:
                    raise EOFError("what it sends is damaged")
                content = self._transport.read_exact(n_bytes)
                if header[0] == _EXIT and content:
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
        link = self._transport.conn
        try:
            if self.status < 0:
                # Else the adb server would learn of it only behind all input that waits on the way,
                # which a command that does not read keeps there.
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.shutdown(socket.SHUT_RDWR)  # wakes the feeder
        except OSError:  # the other side was faster
            pass
        if self._feeder is not None:
            self._feeder.join()
        self._transport.close()

    def _send(self, content: bytes) -> None:
        try:
            for start in range(0, len(content), _PACKET_BYTES):
                piece = content[start : start + _PACKET_BYTES]
                self._transport.conn.sendall(_packet(_STDIN, piece))
            self._transport.conn.sendall(_packet(_CLOSE_STDIN, b""))
        except (OSError, adbutils.AdbError):  # the reader of the session reports it
            pass


def _packet(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(4, "little") + content


def _client(timeout_s: float) -> adbutils.AdbClient:
    return adbutils.AdbClient(socket_timeout=timeout_s)


@contextmanager
def _lost(serial: str) -> Iterator[None]:
    """Turn what adbutils raises when a phone goes away into ``DeviceLost``."""
    try:
        yield
    except _TROUBLE as error:
        reason = str(error).strip() or type(error).__name__
        raise DeviceLost(f"The connection to phone {serial} broke: {reason}.") from None


@contextmanager
def _server_errors() -> Iterator[None]:
    try:
        yield
    except _TROUBLE as error:
        raise DeviceError(
            f"No adb server can be reached or started: {error}. Install Android's platform tools "
            "and try `adb devices`, or measure on this computer with --device host."
        ) from None
