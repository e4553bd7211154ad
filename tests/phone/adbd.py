"""The device side of adb over TCP: packets, connections and streams.

The peer is a real adb server. What it needs of a device, and the services that are on offer, are
described in Android's sources (packages/modules/adb: protocol.txt, adb.cpp, adb_auth.cpp).
"""

import os
import queue
import socket
import struct
import threading
from collections.abc import Callable

_NAMES = (b"SYNC", b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE", b"STLS")
_VERSION = 0x01000001  # from this version on, packets have no checksum
_MOST_BYTES = 1024 * 1024
_TOKEN = 1  # AUTH: "sign this"
_FROZEN_POLL_S = 0.05

Service = Callable[["Stream"], None]


class LinkDown(Exception):
    """The stream or its connection has ended."""


class Adbd:
    """Serves adb on a loopback port.

    ``banner`` is what the device says of itself, ``service`` finds what a stream asks for (``None``
    refuses it). Streams are served in threads of this process.

    Attributes:
        authorised: Whether the computer's key is accepted; set it to ``True`` and a computer that
            waits is let in, as by a tap on the phone's prompt.
    """

    def __init__(
        self, port: int, banner: Callable[[], bytes], service: Callable[[str], Service | None]
    ) -> None:
        self.port, self._banner, self._service = port, banner, service
        self._authorised = True
        self._awake = threading.Event()
        self._awake.set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._connections: set[Connection] = set()
        self._threads: set[threading.Thread] = set()

    @property
    def authorised(self) -> bool:
        return self._authorised

    @authorised.setter
    def authorised(self, authorised: bool) -> None:
        self._authorised = authorised
        if authorised:
            with self._lock:
                connections = list(self._connections)
            for connection in connections:
                connection.welcome()

    def plug_in(self) -> None:
        """Listen; does nothing if it already does."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        self._accepting = self._start(self._accept, listener)

    def unplug(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._listener is not None:
            _shut(self._listener)
            self._listener = None
            self._accepting.join()  # it closes the port
        self.cut()

    def cut(self) -> None:
        """Cut all connections; new ones are welcome."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()

    def stop(self) -> None:
        """Unplug for good and wait for all threads."""
        self.unplug()
        self.thaw()
        while True:
            with self._lock:
                others = self._threads - {threading.current_thread()}
            if not others:
                return
            for thread in others:
                thread.join()

    def freeze(self) -> None:
        """Keep the connections and answer nothing."""
        self._awake.clear()

    def thaw(self) -> None:
        """Answer again."""
        self._awake.set()

    def wait_until_awake(self, is_over: Callable[[], bool]) -> None:
        """Return once the device is not frozen; raises ``LinkDown`` if the connection is over."""
        while not self._awake.wait(_FROZEN_POLL_S):
            if is_over():
                raise LinkDown

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="phone", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:  # unplugged
                    return
                connection = Connection(self, link)
                with self._lock:
                    self._connections.add(connection)
                if self._listener is not listener:  # unplugged between the two
                    connection.cut()
                self._start(self._serve, connection)

    def _serve(self, connection: "Connection") -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                self._connections.discard(connection)

    def banner(self) -> bytes:
        """What the device says of itself."""
        return self._banner()

    def begin(self, stream: "Stream", name: str) -> bool:
        """Serve a stream in a thread of its own; ``False`` if there is no such service."""
        service = self._service(name)
        if service is None:
            return False

        def serve() -> None:
            try:
                service(stream)
            except LinkDown:
                pass
            finally:
                stream.close()

        stream.connection.send(b"OKAY", stream.local, stream.remote)
        self._start(serve)
        return True


class Connection:
    """One computer's connection: its packets and the streams in them."""

    def __init__(self, adbd: Adbd, link: socket.socket) -> None:
        self._adbd, self._link = adbd, link
        self._is_over = False
        self._is_welcome = False
        self._version = 0x01000000
        self._version_asked: int | None = None
        self.most_bytes = 4096
        self._next_id = 1
        self._streams: dict[int, Stream] = {}
        self._lock = threading.Lock()  # of _streams
        self._sending = threading.Lock()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        """Answer packets until the connection ends."""
        try:
            while True:
                self._answer()
        except (OSError, LinkDown):
            pass
        finally:
            self._is_over = True
            with self._lock:
                streams = list(self._streams.values())
            for stream in streams:
                stream.end()
            self._link.close()

    def cut(self) -> None:
        """End the connection from another thread."""
        self._is_over = True
        _shut(self._link)

    def send(self, name: bytes, first: int, second: int, payload: bytes = b"") -> None:
        """Send one packet; a connection that is gone swallows it."""
        try:
            self._adbd.wait_until_awake(lambda: self._is_over)
        except LinkDown:
            return
        command = int.from_bytes(name, "little")
        checksum = 0 if self._version >= _VERSION else sum(payload)
        head = struct.pack(
            "<6I", command, first, second, len(payload), checksum, command ^ 0xFFFFFFFF
        )
        with self._sending:
            try:
                self._link.sendall(head + payload)
            except OSError:
                self.cut()

    def welcome(self) -> None:
        """Accept a computer that asked; does nothing for one that has not, or twice."""
        if self._version_asked is None or self._is_welcome:
            return
        self._is_welcome = True
        # This answer still has a checksum: the peer learns our version from it.
        self.send(b"CNXN", _VERSION, _MOST_BYTES, self._adbd.banner())
        self._version = min(self._version_asked, _VERSION)

    def forget(self, stream: "Stream") -> None:
        """Take a stream that was closed here off the list."""
        with self._lock:
            self._streams.pop(stream.local, None)

    def _answer(self) -> None:
        head = self._read(24)
        command, first, second, n_bytes, _, magic = struct.unpack("<6I", head)
        if command ^ 0xFFFFFFFF != magic or n_bytes > _MOST_BYTES:
            raise LinkDown
        payload = self._read(n_bytes)
        self._adbd.wait_until_awake(lambda: self._is_over)
        name = command.to_bytes(4, "little")
        if name == b"CNXN":
            self._version_asked = first
            self.most_bytes = min(second, _MOST_BYTES)
            self._welcome_or_ask()
        elif name == b"AUTH":
            # A signature with a key not known here, or a public key for the owner to accept:
            # the device asks for the next key, and after the public key it waits.
            if first == 2:
                self._welcome_or_ask()
            elif self._adbd.authorised:
                self.welcome()
        elif not self._is_welcome or name not in _NAMES:
            raise LinkDown
        elif name == b"OPEN":
            self._open(first, payload)
        elif name in (b"OKAY", b"WRTE", b"CLSE"):
            self._pass_on(name, first, second, payload)

    def _welcome_or_ask(self) -> None:
        if self._adbd.authorised:
            self.welcome()
        else:
            self.send(b"AUTH", _TOKEN, 0, os.urandom(20))

    def _open(self, remote: int, payload: bytes) -> None:
        with self._lock:
            stream = Stream(self, self._next_id, remote)
            self._next_id += 1
            self._streams[stream.local] = stream
        if not self._adbd.begin(stream, payload.rstrip(b"\0").decode(errors="replace")):
            self.forget(stream)
            self.send(b"CLSE", 0, remote)

    def _pass_on(self, name: bytes, remote: int, local: int, payload: bytes) -> None:
        with self._lock:
            stream = self._streams.get(local)
        if stream is None:
            if name == b"WRTE":
                self.send(b"CLSE", 0, remote)
        elif name == b"OKAY":
            stream.may_write.release()
        elif name == b"WRTE":
            stream.arrived.put(payload)
        else:
            self.forget(stream)
            stream.end()

    def _read(self, n_bytes: int) -> bytes:
        data = bytearray(n_bytes)
        view, at = memoryview(data), 0
        while at < n_bytes:
            n_read = self._link.recv_into(view[at:])
            if n_read == 0:
                raise LinkDown
            at += n_read
        return bytes(data)


class Stream:
    """One stream of bytes both ways, as a service sees it."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.connection, self.local, self.remote = connection, local, remote
        self.arrived: queue.Queue[bytes | None] = queue.Queue()
        self.may_write = threading.Semaphore(0)
        self._is_over = False
        self._when_over: Callable[[], None] = lambda: None
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Send bytes and wait until the peer has taken them; raises ``LinkDown``."""
        most = self.connection.most_bytes
        for at in range(0, len(data), most):
            if self._is_over:
                raise LinkDown
            self.connection.send(b"WRTE", self.local, self.remote, data[at : at + most])
            self.may_write.acquire()
        if self._is_over:
            raise LinkDown

    def read(self, n_bytes: int) -> bytes:
        """Exactly as many bytes; raises ``LinkDown`` if the stream ends before."""
        parts, n_read = [self._rest], len(self._rest)
        while n_read < n_bytes:
            part = self.read_some()
            if not part:
                raise LinkDown
            parts.append(part)
            n_read += len(part)
        data = b"".join(parts)
        self._rest = data[n_bytes:]
        return data[:n_bytes]

    def read_some(self) -> bytes:
        """The next bytes as they come; none once the stream has ended."""
        data = self.arrived.get()
        if data is None:
            self.arrived.put(None)
            return b""
        if not self._is_over:  # only now may the peer send more: it must not outrun the reader
            self.connection.send(b"OKAY", self.local, self.remote)
        return data

    def when_over(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the stream ends: at once if it has."""
        self._when_over = action
        if self._is_over:
            action()

    def close(self) -> None:
        """End the stream from this side."""
        if not self._is_over:
            self.connection.send(b"CLSE", self.local, self.remote)
        self.connection.forget(self)
        self.end()

    def end(self) -> None:
        """Wake all who wait: the stream is over."""
        self._is_over = True
        self.arrived.put(None)
        self.may_write.release()
        self._when_over()


def _shut(link: socket.socket) -> None:
    """Wake the thread that waits on a socket and let it close it."""
    try:
        link.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has gone already
        pass
