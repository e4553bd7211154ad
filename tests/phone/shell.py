"""adb's shell services: the old one, and version 2 with exit status and separate stderr."""

import os
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import IO

from tests.phone.adbd import LinkDown, Stream

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_CHUNK = 32 * 1024

Process = subprocess.Popen[bytes]


class Shell:
    """Runs one command for one stream.

    Args:
        spawn: Starts a command; the number says where stderr goes, as for ``subprocess``.
        end: Called with the process when the computer has gone before it ended.
        trouble: What becomes of output on its way: other bytes, and whether the link then breaks.
    """

    def __init__(
        self,
        command: str,
        *,
        spawn: Callable[[str, int], Process],
        end: Callable[[Process], None],
        trouble: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        self._command, self._spawn, self._end, self._trouble = command, spawn, end, trouble

    def serve_old(self, stream: Stream) -> None:
        """Raw bytes both ways: no exit status, stderr among stdout."""
        with self._spawn(self._command, subprocess.STDOUT) as process:
            stream.when_over(lambda: self._end(process))
            feeder = _start(self._feed_old, stream, process)
            self._pump(stream, process.stdout, bytes, threading.Lock())
            process.wait()
            stream.close()  # ends the feeder
            feeder.join()

    def serve(self, stream: Stream) -> None:
        """Packets of an id, a length and bytes: stdin, stdout, stderr, exit status."""
        sending = threading.Lock()

        def pump(pipe: IO[bytes] | None, kind: int) -> None:
            def wrap(data: bytes) -> bytes:
                return struct.pack("<BI", kind, len(data)) + data

            self._pump(stream, pipe, wrap, sending)

        with self._spawn(self._command, subprocess.PIPE) as process:
            stream.when_over(lambda: self._end(process))
            feeder = _start(self._feed, stream, process)
            errors = _start(pump, process.stderr, _STDERR)
            pump(process.stdout, _STDOUT)
            errors.join()
            status = process.wait()
            try:
                # A shell that a signal ended: as mksh says it of its children.
                status = status if status >= 0 else 128 - status
                stream.write(struct.pack("<BIB", _EXIT, 1, status & 0xFF))
            finally:
                stream.close()  # ends the feeder
                feeder.join()

    def _pump(
        self,
        stream: Stream,
        pipe: IO[bytes] | None,
        wrap: Callable[[bytes], bytes],
        sending: threading.Lock,
    ) -> None:
        assert pipe is not None
        for data in _chunks(pipe):
            with sending:
                try:
                    data, breaks = self._trouble(data)
                    stream.write(wrap(data))
                except LinkDown:
                    pipe.close()  # a writer gets SIGPIPE
                    return
                if breaks:
                    stream.connection.cut()

    def _feed_old(self, stream: Stream, process: Process) -> None:
        while data := stream.read_some():
            _pass_on(process, data)

    def _feed(self, stream: Stream, process: Process) -> None:
        try:
            while True:
                kind, n_bytes = struct.unpack("<BI", stream.read(5))
                data = stream.read(n_bytes)
                if kind == _STDIN:
                    _pass_on(process, data)
                elif kind == _CLOSE_STDIN and process.stdin is not None:
                    process.stdin.close()
        except LinkDown:
            pass


def _start(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, name="phone shell", daemon=True)
    thread.start()
    return thread


def _chunks(pipe: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: os.read(pipe.fileno(), _CHUNK), b"")


def _pass_on(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(process.stdin.fileno(), view) :]
    except (OSError, ValueError):  # it reads no more
        pass
