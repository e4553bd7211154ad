"""Finds the program of a benchmark tool that measures on a phone."""

import hashlib
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mnaslat.errors import ConfigurationMismatch, DeviceError
from mnaslat.profiling.phone.tool.base import BenchmarkTool
from mnaslat.profiling.phone.tool.binary_cache import BinaryCache, Record, default_cache_folder
from mnaslat.profiling.phone.tool.download import DownloadFailed, Patience, download
from mnaslat.profiling.phone.tool.elf import program_fault
from mnaslat.profiling.phone.tool.registry import DEFAULT_TOOL, tool_named

_MAX_BYTES = 200_000_000  # real ones have some ten million
_PATIENCE = Patience()
_SHA256_PREFIX = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True)
class Binary:
    """A benchmark tool's program on this computer, checked, for one ABI.

    Attributes:
        path: Where it is stored.
        sha256: Of its content, hexadecimal.
        tool: Name of the tool.
    """

    path: Path
    sha256: str
    tool: str = DEFAULT_TOOL

    @property
    def label(self) -> str:
        """The runtime of a configuration: two builds may differ by a factor of 3 in speed."""
        return f"{self.tool} {self.sha256[:12]}"


def find_binary(
    abi: str,
    *,
    tool: BenchmarkTool | None = None,
    given: Path | None = None,
    sha256: str = "",
    cache: Path | None = None,
    published: str = "",
    on_progress: Callable[[int, int], None] = lambda n_bytes, total: None,
    patience: Patience = _PATIENCE,
) -> Binary:
    """Find the program for phones of an ABI; it is looked for here first, and fetched only once.

    In this order: the one given, which is kept and remembered; the one that an older configuration
    was measured with; the latest choice for this ABI; the one published for the version of the
    installed package of the tool.

    Args:
        abi: As Android names it, e.g. ``arm64-v8a``.
        tool: Whose program it is; ``benchmark_model`` if left out.
        given: A file of the user's.
        sha256: At least 12 hexadecimal digits of the one that is needed, and no other.
        cache: Folder in which they are kept; that of this user if left out.
        published: Address to fetch from instead of the tool's own.
        on_progress: Called with the bytes fetched and those expected, 0 if not known.
        patience: How long to wait for the server, and how often to try.

    Raises:
        DeviceError: If there is none, or only a wrong or damaged one.
        ConfigurationMismatch: If the one given is not the one that is needed.
        ValueError: If an argument makes no sense.
    """
    if sha256 and not _SHA256_PREFIX.fullmatch(sha256.lower()):
        raise ValueError(f"sha256 must be 12 to 64 hexadecimal digits, got {sha256!r}.")
    tool = tool or tool_named(DEFAULT_TOOL)
    search = _Search(
        abi=abi,
        tool=tool,
        cache=BinaryCache(cache if cache is not None else default_cache_folder(tool.name)),
        published=(published or tool.published).rstrip("/"),
        on_progress=on_progress,
        patience=patience,
    )
    try:
        program_fault(b"", abi)
    except ValueError as error:
        raise DeviceError(f"{error} Such a phone cannot be measured on.") from None
    if given is not None:
        return search.given(given, sha256.lower())
    if sha256:
        return search.needed(sha256.lower())
    return search.latest() or search.of_version(search.installed_version())


def has_binary(abi: str, tool: BenchmarkTool) -> bool:
    """Return whether ``find_binary`` has one, or knows where one is published; asks no server."""
    known = BinaryCache(default_cache_folder(tool.name)).index().latest
    return abi in known or abi in tool.platforms


@dataclass(frozen=True)
class _Search:
    abi: str
    tool: BenchmarkTool
    cache: BinaryCache
    published: str
    on_progress: Callable[[int, int], None]
    patience: Patience

    def given(self, path: Path, needed: str) -> Binary:
        """The user's own file, remembered where the cache can be written."""
        content = self._read(path)
        fault = program_fault(content, self.abi)
        if fault:
            raise DeviceError(f"{path} {fault}. {self._give}")
        sha256 = hashlib.sha256(content).hexdigest()
        if not sha256.startswith(needed):
            raise ConfigurationMismatch(
                f"{path} is {self.tool.name} {sha256[:12]}, but what is to be continued was "
                f"measured with {self.tool.name} {needed[:12]}: the two are not comparable. Give "
                "that one, or start a new table with `mnaslat profile --new-table`."
            )
        try:
            kept = self.cache.store(content)
            self.cache.choose(self.abi, Record.now(sha256, str(path.absolute())))
        except OSError:  # it can be used all the same, if not remembered
            return Binary(path, sha256, self.tool.name)
        return Binary(kept, sha256, self.tool.name)

    def needed(self, prefix: str) -> Binary:
        """The one that an older configuration names."""
        for sha256 in self.cache.beginning_with(prefix):
            found = self._kept(sha256) or self._again(sha256)
            if found is not None:
                return found
        raise DeviceError(
            f"What is to be continued was measured with {self.tool.name} {prefix[:12]}, which is "
            f"not (or not intact) in {self.cache.folder}. Give that file with --benchmark-binary "
            f"PATH (its SHA-256 begins with {prefix}), or start a new table with `mnaslat profile "
            "--new-table`: figures of two programs are not comparable."
        )

    def latest(self) -> Binary | None:
        """The latest choice for the ABI; None if none was made."""
        record = self.cache.index().latest.get(self.abi)
        if record is None:
            return None
        found = self._kept(record.sha256) or self._again(record.sha256)
        if found is None:
            raise DeviceError(
                f"{self.tool.name} {record.sha256[:12]} ({record.origin}, chosen {record.when}) is "
                f"gone or damaged in {self.cache.folder}. Give it again with --benchmark-binary "
                "PATH."
            )
        return found

    def of_version(self, version: str) -> Binary:
        """The published one: the copy that is kept, else fetched."""
        record = self.cache.index().published.get(self._key(version))
        found = self._kept(record.sha256) if record is not None else None
        if record is None or found is None:
            return self._fetch(version)
        with suppress(OSError):  # if it cannot be noted, it is found this way again
            self.cache.choose(self.abi, record)
        return found

    def _kept(self, sha256: str) -> Binary | None:
        content = self.cache.read(sha256)
        if content is None:
            return None
        path = self.cache.path(sha256)
        fault = program_fault(content, self.abi)
        if fault:
            raise DeviceError(f"{path} {fault}. {self._give}")
        return Binary(path, sha256, self.tool.name)

    def _again(self, sha256: str) -> Binary | None:
        """Fetch again what was once fetched; None if it did not come from there."""
        if self.abi not in self.tool.platforms:
            return None
        for key, record in self.cache.index().published.items():
            platform, _, version = key.partition("/")
            if record.sha256 == sha256 and platform == self.tool.platforms[self.abi]:
                return self._fetch(version)
        return None

    def _fetch(self, version: str) -> Binary:
        key = self._key(version)
        url = f"{self.published}/{version}/{self.tool.platforms[self.abi]}/{self.tool.name}"
        with self._writing():
            self.cache.prepare()
        content = self._download(url)
        record = Record.now(hashlib.sha256(content).hexdigest(), url)
        with self._writing():
            trusted = self.cache.trust(key, record)
            if trusted.sha256 != record.sha256:
                raise DeviceError(
                    f"{url} is not what it was: it has SHA-256 {record.sha256}, but on "
                    f"{trusted.when} {trusted.origin} had {trusted.sha256}. It is not used. If the "
                    f"change is meant, delete {self.cache.index_path}; what was chosen with "
                    "--benchmark-binary must then be given again."
                )
            path = self.cache.store(content)
            self.cache.choose(self.abi, record)
        return Binary(path, record.sha256, self.tool.name)

    def _download(self, url: str) -> bytes:
        try:
            content = download(url, self.on_progress, self.patience, max_bytes=_MAX_BYTES)
            fault = program_fault(content, self.abi)
            if not fault:
                return content
            reason = f"what comes {fault}"
        except DownloadFailed as failure:
            reason = str(failure)
        raise DeviceError(
            f"Cannot fetch {self.tool.name}: {reason}. Download {url} on a computer that can (or "
            f"build {self.tool.name} for {self.abi}) and give the file with --benchmark-binary "
            "PATH. It is remembered: once is enough."
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeviceError(
                f"Cannot keep {self.tool.name} in {self.cache.folder}: {error.strerror}. Make room "
                "there and make it writable, or set XDG_CACHE_HOME to another folder."
            ) from None

    def _key(self, version: str) -> str:
        if self.abi not in self.tool.platforms:
            raise DeviceError(
                f"No {self.tool.name} is published for {self.abi} (only for "
                f"{', '.join(self.tool.platforms)}). Build or fetch one and give it with "
                "--benchmark-binary PATH. It is remembered: once is enough."
            )
        return f"{self.tool.platforms[self.abi]}/{version}"

    def _read(self, path: Path) -> bytes:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise DeviceError(f"{path} is not a file. {self._give}")
            if status.st_size > _MAX_BYTES:
                raise DeviceError(
                    f"{path} has {status.st_size / 1e6:.0f} MB, no {self.tool.name} has more than "
                    f"{_MAX_BYTES / 1e6:.0f} MB. {self._give}"
                )
            return path.read_bytes()
        except OSError as error:
            raise DeviceError(f"Cannot read {path}: {error.strerror}. {self._give}") from None

    @property
    def _give(self) -> str:
        return f"Give a {self.tool.name} built for {self.abi} with --benchmark-binary PATH."

    def installed_version(self) -> str:
        """The version of the installed package, whose program is to be fetched."""
        package = self.tool.package
        if not package:
            raise DeviceError(f"No {self.tool.name} is published. {self._give}")
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            raise DeviceError(
                f"Which {self.tool.name} to fetch follows from the installed {package}, and there "
                f"is none. Install it (pip install {package}). Or: {self._give}"
            ) from None
