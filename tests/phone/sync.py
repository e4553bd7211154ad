"""adb's sync service: files to and from the phone."""

import os
import posixpath
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tests.phone.adbd import LinkDown, Stream

_CHUNK = 64 * 1024
_WRITABLE = ("/data/local/tmp/", "/sdcard/")
_STAT_2 = "<IQQIIIIQqqq"


class Sync:
    """Serves one stream of requests.

    ``place`` turns an absolute path on the phone into a path of this computer; files made belong
    to ``owner`` (user and group id; ``None``: leave them as they come).
    """

    def __init__(self, place: Callable[[str], Path], owner: int | None) -> None:
        self._place, self._owner = place, owner

    def serve(self, stream: Stream) -> None:
        """Answer requests until the peer has no more."""
        answers = {
            "STAT": self._stat,
            "STA2": lambda stream, path: self._stat_2(stream, "STA2", path),
            "LST2": lambda stream, path: self._stat_2(stream, "LST2", path),
            "LIST": self._list,
            "LIS2": self._list_2,
            "RECV": self._receive,
            "SEND": self._send,
        }
        while True:
            name, n_bytes = struct.unpack("<4sI", stream.read(8))
            argument = stream.read(n_bytes).decode(errors="surrogateescape")
            if name == b"QUIT":
                return
            answer = answers.get(name.decode(errors="replace"))
            if answer is None:
                _fail(stream, f"unknown command {name!r}")
                return
            answer(stream, argument)

    def _stat(self, stream: Stream, path: str) -> None:
        try:
            facts = self._place(path).lstat()
            values = (facts.st_mode, min(facts.st_size, 0xFFFFFFFF), int(facts.st_mtime))
        except OSError:
            values = (0, 0, 0)
        stream.write(b"STAT" + struct.pack("<3I", *values))

    def _stat_2(self, stream: Stream, name: str, path: str) -> None:
        stream.write(name.encode() + _facts(self._place(path), follow=name == "STA2"))

    def _list(self, stream: Stream, path: str) -> None:
        for name, place in self._entries(path):
            facts = place.lstat()
            numbers = (facts.st_mode, min(facts.st_size, 0xFFFFFFFF), int(facts.st_mtime))
            stream.write(b"DENT" + struct.pack("<4I", *numbers, len(name)) + name)
        stream.write(b"DONE" + bytes(16))

    def _list_2(self, stream: Stream, path: str) -> None:
        for name, place in self._entries(path):
            stream.write(
                b"DNT2" + _facts(place, follow=False) + struct.pack("<I", len(name)) + name
            )
        stream.write(b"DONE" + bytes(72))

    def _entries(self, path: str) -> list[tuple[bytes, Path]]:
        try:
            places = sorted(self._place(path).iterdir())
        except OSError:
            return []
        return [(os.fsencode(place.name), place) for place in places if place.exists()]

    def _receive(self, stream: Stream, path: str) -> None:
        try:
            file = self._place(path).open("rb")
        except OSError as error:
            _fail(stream, f"open failed: {error.strerror}")
            return
        with file:
            try:
                while data := file.read(_CHUNK):
                    stream.write(b"DATA" + struct.pack("<I", len(data)) + data)
            except OSError as error:
                _fail(stream, f"read failed: {error.strerror}")
                return
        stream.write(b"DONE" + bytes(4))

    def _send(self, stream: Stream, argument: str) -> None:
        path, _, mode = argument.rpartition(",")
        trouble = ""
        file: BinaryIO | None = None
        place = self._place(path)
        try:
            file = self._create(path, place)
        except OSError as error:
            trouble = f"couldn't create file: {error.strerror}"
        try:
            while True:
                name, number = struct.unpack("<4sI", stream.read(8))
                if name == b"DONE":
                    break
                if name != b"DATA":
                    raise LinkDown
                data = stream.read(number)
                if file is not None and not trouble:
                    try:
                        _write(file, data)
                    except OSError as error:  # go on reading: the peer listens only at its end
                        trouble = f"write failed: {error.strerror}"
        except LinkDown:
            trouble = "the computer has gone"
            raise
        finally:
            if file is not None:
                file.close()
                if trouble:  # as the real one does: no half files
                    place.unlink(missing_ok=True)
        if trouble:
            _fail(stream, trouble)
            return
        place.chmod(_mode(mode))
        os.utime(place, (number, number))
        stream.write(b"OKAY" + bytes(4))

    def _create(self, path: str, place: Path) -> BinaryIO:
        if not (posixpath.normpath(path) + "/").startswith(_WRITABLE):
            raise PermissionError(13, "Permission denied")
        for folder in reversed(place.parents):
            if not folder.exists():
                folder.mkdir(mode=0o771)
                self._give(folder)
        if place.is_symlink() or place.is_file():
            place.unlink()
        file = place.open("wb", buffering=0)
        self._give(place)
        return file

    def _give(self, place: Path) -> None:
        if self._owner is not None:
            os.chown(place, self._owner, self._owner)


def _facts(place: Path, *, follow: bool) -> bytes:
    try:
        facts = place.stat() if follow else place.lstat()
    except OSError as error:
        return struct.pack(_STAT_2, error.errno, *[0] * 10)
    return struct.pack(
        _STAT_2,
        0,
        facts.st_dev,
        facts.st_ino,
        facts.st_mode,
        facts.st_nlink,
        facts.st_uid,
        facts.st_gid,
        facts.st_size,
        int(facts.st_atime),
        int(facts.st_mtime),
        int(facts.st_ctime),
    )


def _mode(text: str) -> int:
    """Access rights of a pushed file: what its owner may, everybody may."""
    mode = int(text) & 0o777
    return mode | mode >> 3 & 0o070 | mode >> 6 & 0o007


def _write(file: BinaryIO, data: bytes) -> None:
    """All of the bytes: one call may write only a part of them on a disk that gets full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _fail(stream: Stream, message: str) -> None:
    data = message.encode()
    stream.write(b"FAIL" + struct.pack("<I", len(data)) + data)
