"""Keeps the programs of a benchmark tool on this computer, by content, with their origins.

A folder with one file a program, named by its SHA-256, and ``index.json``::

    {"version": 1,
     "published": {"android_arm64/2.3.0": {"sha256": ..., "when": ..., "origin": ...}},
     "latest": {"arm64-v8a": {"sha256": ..., "when": ..., "origin": ...}}}

``published`` is what was first fetched as a version: trust on first use. ``latest`` is what was
last chosen for an ABI. Version 1 is the first.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock

from mnaslat.data.user_cache import user_cache_folder
from mnaslat.errors import DeviceError, WorkspaceError
from mnaslat.files import replace_file

_INDEX_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PUBLISHED_KEY = re.compile(r"[a-z0-9_]+/[0-9A-Za-z][0-9A-Za-z.+_-]*")
_ABI = re.compile(r"[a-z0-9_-]+")


def default_cache_folder(tool: str) -> Path:
    """Return the folder of this user in which the programs of a tool are kept.

    Raises:
        DeviceError: If this user has no home.
    """
    try:
        return user_cache_folder() / tool
    except WorkspaceError as error:
        raise DeviceError(f"{tool} cannot be kept: {error}") from None


@dataclass(frozen=True)
class Record:
    """A program, and how it came here."""

    sha256: str
    origin: str  # an address or a path; for people
    when: str = ""  # ISO 8601, UTC

    @classmethod
    def now(cls, sha256: str, origin: str) -> "Record":
        """A record of what happens at this moment."""
        printable = "".join(each if each.isprintable() else "?" for each in origin)
        return cls(sha256, printable, datetime.now(timezone.utc).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Index:
    """Facts about the programs in a cache."""

    published: Mapping[str, Record] = field(default_factory=dict)  # by "PLATFORM/VERSION"
    latest: Mapping[str, Record] = field(default_factory=dict)  # by ABI


class BinaryCache:
    """A folder of programs. Any number of processes may use it at once.

    What cannot be written raises ``OSError``; what is damaged is never handed out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def index_path(self) -> Path:
        """The file that lists the programs of the cache."""
        return self.folder / "index.json"

    def path(self, sha256: str) -> Path:
        """Where a program lies, or would."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"Expected 64 hexadecimal digits, got {sha256!r}.")
        return self.folder / sha256

    def read(self, sha256: str) -> bytes | None:
        """A program; None if it is not there, or not what its name says."""
        try:
            content = self.path(sha256).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def prepare(self) -> None:
        """Find out whether anything can be kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder))

    def store(self, content: bytes) -> Path:
        """Keep a program."""
        sha256 = hashlib.sha256(content).hexdigest()
        if self.read(sha256) is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.path(sha256), content)
        return self.path(sha256)

    def beginning_with(self, prefix: str) -> tuple[str, ...]:
        """The SHA-256 of all programs kept or known that begin with these digits."""
        try:
            kept = set(os.listdir(self.folder))
        except OSError:
            kept = set()
        known = {record.sha256 for record in self.index().published.values()}
        return tuple(
            sorted(
                name for name in kept | known if _SHA256.fullmatch(name) and name.startswith(prefix)
            )
        )

    def index(self) -> Index:
        """Return the known facts.

        Raises:
            DeviceError: If the file is damaged or from a newer version.
        """
        try:
            content = self.index_path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return Index()
        except OSError as error:
            raise DeviceError(
                f"Cannot read {self.index_path}: {error.strerror}. Make it readable, or set "
                "XDG_CACHE_HOME to another folder."
            ) from None
        try:
            return _parse_index(json.loads(content))
        except _TooNew:
            raise DeviceError(
                f"{self.index_path} was written by a newer mnaslat. Update mnaslat, or set "
                "XDG_CACHE_HOME to another folder."
            ) from None
        except (ValueError, RecursionError):
            raise DeviceError(
                f"{self.index_path} is damaged. Delete it: what was chosen with "
                "--benchmark-binary must then be given again, the rest is found again."
            ) from None

    def trust(self, key: str, record: Record) -> Record:
        """Note what was fetched as ``"PLATFORM/VERSION"``, unless something was before.

        Returns:
            What was fetched first.
        """

        def note(index: Index) -> Index:
            return Index({key: record, **index.published}, index.latest)

        return self._update(note).published[key]

    def choose(self, abi: str, record: Record) -> None:
        """Note the latest choice for an ABI."""

        def note(index: Index) -> Index:
            return Index(index.published, {**index.latest, abi: record})

        self._update(note)

    def _update(self, change: Callable[[Index], Index]) -> Index:
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):  # for milliseconds; the system frees it
            before = self.index()
            after = change(before)
            if after != before:
                replace_file(self.index_path, _index_text(after).encode())
        return after


class _TooNew(Exception):
    """The index has a version that is not known here."""


def _index_text(index: Index) -> str:
    content = {
        "version": _INDEX_VERSION,
        "published": {key: asdict(record) for key, record in index.published.items()},
        "latest": {abi: asdict(record) for abi, record in index.latest.items()},
    }
    return json.dumps(content, indent=1, sort_keys=True)


def _parse_index(content: Any) -> Index:
    """Raises ``ValueError`` for anything that was not written here."""
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise ValueError("no index")
    if content["version"] < 1:
        raise ValueError("no version")
    if content["version"] > _INDEX_VERSION:
        raise _TooNew
    return Index(
        published=_parse_records(content.get("published"), _PUBLISHED_KEY),
        latest=_parse_records(content.get("latest"), _ABI),
    )


def _parse_records(content: Any, keys: re.Pattern[str]) -> dict[str, Record]:
    if not isinstance(content, dict):
        raise ValueError("no records")
    records = {}
    for key, fields in content.items():
        if not keys.fullmatch(key) or not isinstance(fields, dict):
            raise ValueError("no record")
        if set(fields) != {"sha256", "origin", "when"}:
            raise ValueError("fields missing or unknown")
        if not all(isinstance(value, str) and value.isprintable() for value in fields.values()):
            raise ValueError("fields must be text that can be printed")
        if not _SHA256.fullmatch(fields["sha256"]):
            raise ValueError("no SHA-256")
        records[key] = Record(**fields)
    return records
