"""Finding benchmark_model: given, kept, or fetched from a server that may do anything.

The server is a real one on this computer's loopback; what it does stands in a list of answers.
"""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from mnaslat.errors import ConfigurationMismatch, DeviceError, MnaslatError
from mnaslat.profiling.phone.tool import binary_cache
from mnaslat.profiling.phone.tool.binary import Binary, find_binary
from mnaslat.profiling.phone.tool.binary_cache import BinaryCache, Record, default_cache_folder
from mnaslat.profiling.phone.tool.download import DownloadFailed, Patience, download

ABI = "arm64-v8a"
QUICK = Patience(timeout_s=5.0, pauses_s=(0.0, 0.0))

_HEAD = (
    b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0\xb7\0\x01\0\0\0"  # a position-independent AArch64
    b"\0\x10" + bytes(6) + b"\x40" + bytes(7) + bytes(12) + b"\x40\0\x38\0\x01\0" + bytes(6)
)
_SEGMENT = b"\x01\0\0\0\x05\0\0\0" + bytes(24) + (200).to_bytes(8, "little") + bytes(16)


def program(name: str = "a", abi: str = ABI) -> bytes:
    """A small file that says it is a program; another one for every name."""
    content = bytearray((_HEAD + _SEGMENT + name.encode()).ljust(200, b"."))
    if abi == "x86_64":
        content[18] = 62
    return bytes(content)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


Answer = Callable[["_Handler"], None]


def content(body: bytes, *, length: int | None = None, kind: str = "application/x") -> Answer:
    def answer(handler: "_Handler") -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code: int, location: str = "") -> Answer:
    def answer(handler: "_Handler") -> None:
        handler.send_response(code)
        if location:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def stall(handler: "_Handler") -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.wfile.flush()
    handler.server.released.wait(10.0)  # type: ignore[attr-defined]


def without_length(body: bytes) -> Answer:
    def answer(handler: "_Handler") -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: "_Handler") -> None:
    handler.close_connection = True


def nonsense(handler: "_Handler") -> None:
    handler.wfile.write(b"\0\xff not HTTP at all\r\n\r\n")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        with server.guard:
            server.paths.append(self.path)
            answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Server:
    """Gives its answers one after the other, the last one for ever."""

    server: Any = field(repr=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        paths: list[str] = self.server.paths
        return paths

    def answer(self, *answers: Answer) -> None:
        self.server.answers = list(answers)


@pytest.fixture
def server() -> Iterator[Server]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state: Any = http
    state.paths, state.answers, state.guard = [], [content(program())], threading.Lock()
    state.released = threading.Event()
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Server(http)
    state.released.set()
    http.shutdown()
    thread.join()
    http.server_close()


Find = Callable[..., Binary]


@pytest.fixture
def find(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    """``find_binary`` with the test's server and cache by default.

    ``version`` is that of LiteRT which is installed from then on.
    """

    def call(abi: str = ABI, version: str = "", **arguments: Any) -> Binary:
        if version:
            monkeypatch.setattr(metadata, "version", lambda name: version)
        settings = {"cache": tmp_path / "cache", "published": server.address, "patience": QUICK}
        return find_binary(abi, **{**settings, **arguments})

    return call


@pytest.fixture
def cache(tmp_path: Path) -> BinaryCache:
    return BinaryCache(tmp_path / "cache")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "my_benchmark_model"
    path.write_bytes(program("mine"))
    return path


def _sound(cache: BinaryCache) -> bool:
    """Nothing unfinished is left, and everything kept is what its name says."""
    names = set(os.listdir(cache.folder)) - {"index.json", "lock"}
    return all(cache.read(name) is not None for name in names)


# --- published


def test_what_is_published_for_the_installed_version_is_fetched_once(
    find: Find, server: Server, cache: BinaryCache
) -> None:
    version = metadata.version("ai-edge-litert")
    first, second = find(), find()
    assert first == Binary(cache.path(sha(program())), sha(program()))
    assert second == Binary(first.path, first.sha256)
    assert first.path.read_bytes() == program()
    assert server.paths == [f"/{version}/android_arm64/benchmark_model"]
    assert _sound(cache)


def test_the_label_names_the_build() -> None:
    digits = "0123456789abcdef" * 4
    assert Binary(Path("x"), digits).label == "benchmark_model 0123456789ab"


def test_an_update_of_litert_does_not_change_the_tool(find: Find, server: Server) -> None:
    old = find(version="2.2.0")
    assert find(version="2.3.0") == old
    assert len(server.paths) == 1


@pytest.mark.parametrize("abi", ["x86_64", "x86", "armeabi-v7a"])
def test_an_abi_without_a_published_one_asks_for_a_file(abi: str, find: Find) -> None:
    with pytest.raises(DeviceError, match=rf"published for {abi} .*--benchmark-binary"):
        find(abi)


def test_an_abi_that_nobody_knows_is_an_error(find: Find, mine: Path) -> None:
    with pytest.raises(DeviceError, match="Unknown ABI 'mips'"):
        find("mips", given=mine)


# --- the network


def test_the_third_try_may_succeed(find: Find, server: Server) -> None:
    server.answer(status(503), hang_up, content(program()))
    assert find().sha256 == sha(program())
    assert len(server.paths) == 3


def test_pauses_lie_between_the_tries(server: Server) -> None:
    server.answer(status(500))
    pauses_s: list[float] = []
    with pytest.raises(DownloadFailed, match=r"500 .*tried 4 times"):
        patience = Patience(pauses_s=(1.0, 2.0, 3.0))
        download(server.address, _ignore, patience, max_bytes=100, sleep=pauses_s.append)
    assert pauses_s == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("answer", "reason", "n_tries"),
    [
        (status(404), "404 Not Found", 1),
        (status(403), "403 Forbidden", 1),
        (status(429), "429 .*tried 3 times", 3),
        (content(program()[:-1], length=200), "ended after 199 of 200 bytes", 3),
        (content(b"<html>Sign in</html>", kind="text/html"), "is a web page", 1),
        (content(program(abi="x86_64")), "is a program for x86-64, the phone needs AArch64", 1),
        (content(program(), length=200_000_001), "more than 200 MB", 1),
        (without_length(program()[:-1]), "cut short: 199 of at least 200 bytes", 1),
        (content(b""), "is empty", 1),
        (nonsense, "connection broke", 3),
        (hang_up, "connection broke", 3),
        (status(302, "http://example.com/x"), "redirects to http://example.com/x", 1),
        (status(302, "file:///etc/passwd"), "answers 302", 1),
        (status(302, "https://[oops"), r"the connection broke \(Invalid", 3),
    ],
)
def test_a_failure_says_what_to_download_elsewhere_and_leaves_nothing(
    answer: Answer, reason: str, n_tries: int, find: Find, server: Server, cache: BinaryCache
) -> None:
    server.answer(answer)
    url = f"{server.address}/2.3.0/android_arm64/benchmark_model"
    with pytest.raises(DeviceError, match=reason) as caught:
        find(version="2.3.0")
    assert f"Download {url} " in str(caught.value)
    assert "--benchmark-binary" in str(caught.value) and "remembered" in str(caught.value)
    assert len(server.paths) == n_tries
    assert os.listdir(cache.folder) == []
    server.answer(content(program()))
    assert find(version="2.3.0").sha256 == sha(program())


def test_a_server_that_stalls_is_given_up(find: Find, server: Server) -> None:
    server.answer(stall, content(program()))
    assert find(patience=Patience(timeout_s=0.1, pauses_s=(0.0,))).sha256 == sha(program())


def test_a_closed_network_is_a_failure_like_any_other(find: Find, server: Server) -> None:
    with pytest.raises(DeviceError, match=r"refused.*Download http.*--benchmark-binary"):
        find(published=f"http://127.0.0.1:{_closed_port()}")


def _closed_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        return int(http.server_address[1])


def _ignore(n_bytes: int, total: int) -> None:
    pass


def test_redirects_on_this_computer_are_followed(find: Find, server: Server) -> None:
    server.answer(status(302, f"{server.address}/there"), content(program()))
    assert find().sha256 == sha(program())
    assert server.paths[1] == "/there"


@pytest.mark.parametrize(
    "address", ["http://example.com", "ftp://example.com", "file:///tmp", "x", "https://[oops"]
)
def test_only_https_is_fetched_from_elsewhere(address: str, find: Find) -> None:
    with pytest.raises(ValueError, match="Expected an https address"):
        find(published=address)


def test_no_file_longer_than_allowed_is_read_to_its_end(server: Server) -> None:
    server.answer(without_length(bytes(10**6)))
    with pytest.raises(DownloadFailed, match="more than 0.5 MB"):
        download(server.address, _ignore, QUICK, max_bytes=500_000)


@pytest.mark.parametrize(("answer", "total"), [(content, 300_000), (without_length, 0)])
def test_progress_ends_with_the_whole_file(
    answer: Callable[[bytes], Answer], total: int, server: Server
) -> None:
    server.answer(answer(bytes(300_000)))
    seen: list[tuple[int, int]] = []
    download(server.address, lambda *each: seen.append(each), QUICK, max_bytes=10**6)
    assert seen[0] == (0, total) and seen[-1] == (300_000, total)
    assert seen == sorted(seen)


@pytest.mark.parametrize("settings", [{"timeout_s": 0.0}, {"pauses_s": (1.0, -1.0)}])
def test_patience_has_a_direction(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Patience(**settings)


# --- trust on first use


def test_a_published_file_that_changes_is_refused(
    find: Find, server: Server, cache: BinaryCache
) -> None:
    first = find(version="2.3.0")
    first.path.unlink()
    server.answer(content(program("changed")))
    for _ in range(2):
        with pytest.raises(DeviceError, match="is not what it was") as caught:
            find(version="2.3.0")
    for part in (sha(program()), sha(program("changed")), str(cache.index_path)):
        assert part in str(caught.value)
    assert not cache.path(sha(program("changed"))).exists()
    cache.index_path.unlink()  # as the message says
    assert find(version="2.3.0").sha256 == sha(program("changed"))


@pytest.mark.parametrize("lost", ["damaged", "deleted", "emptied"])
def test_a_published_one_that_is_lost_here_is_fetched_again(
    lost: str, find: Find, server: Server
) -> None:
    first = find(version="2.2.0")
    if lost == "deleted":
        first.path.unlink()
    else:
        first.path.write_bytes(b"" if lost == "emptied" else program("damaged"))
    again = find()
    assert again == Binary(first.path, first.sha256)
    assert again.path.read_bytes() == program()
    assert len(server.paths) == 2


def test_two_at_once_find_the_same(find: Find, server: Server, cache: BinaryCache) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(find) for _ in range(8)]]
    assert {each.sha256 for each in found} == {sha(program())}
    assert _sound(cache)
    assert find().path.exists()


def test_two_at_once_trust_only_one(find: Find, server: Server, cache: BinaryCache) -> None:
    meet = threading.Barrier(2)

    def at_once(body: bytes) -> Answer:
        def answer(handler: "_Handler") -> None:
            meet.wait(5.0)
            content(body)(handler)

        return answer

    server.answer(at_once(program("a")), at_once(program("b")))
    with ThreadPoolExecutor(2) as pool:
        errors = [each.exception() for each in [pool.submit(find) for _ in range(2)]]
    assert sorted(error is None for error in errors) == [False, True]
    assert any("is not what it was" in str(error) for error in errors)
    assert find() and _sound(cache)


def test_many_who_note_at_once_lose_nothing(cache: BinaryCache) -> None:
    record = Record.now(sha(b""), "test")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.trust(f"android_arm64/{i}", record), range(40)))
    assert len(cache.index().published) == 40


# --- given


def test_a_given_file_is_remembered(find: Find, server: Server, mine: Path) -> None:
    find()
    found = find(given=mine)
    assert found.sha256 == sha(program("mine"))
    mine.unlink()
    assert find() == Binary(found.path, found.sha256)
    assert found.path.read_bytes() == program("mine")
    assert len(server.paths) == 1


def test_each_abi_has_its_own_latest_choice(find: Find, mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(program("other", "x86_64"))
    find(given=mine)
    find("x86_64", given=other)
    assert find().sha256 == sha(program("mine"))
    assert find("x86_64").sha256 == sha(program("other", "x86_64"))


def test_a_given_file_for_another_processor_is_refused(find: Find, mine: Path) -> None:
    mine.write_bytes(program(abi="x86_64"))
    with pytest.raises(DeviceError) as caught:
        find(given=mine)
    assert str(caught.value) == (
        f"{mine} is a program for x86-64, the phone needs AArch64 (arm64-v8a). Give a "
        "benchmark_model built for arm64-v8a with --benchmark-binary PATH."
    )


def test_a_given_file_that_is_absent_says_so(find: Find, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"Cannot read .*absent: No such file.*Give a "):
        find(given=tmp_path / "absent")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_given_file_that_may_not_be_read_says_so(find: Find, mine: Path) -> None:
    mine.chmod(0)
    with pytest.raises(DeviceError, match="Permission denied"):
        find(given=mine)


def test_a_given_folder_or_device_is_no_file(find: Find, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DeviceError, match="is not a file"):
            find(given=path)


def test_a_given_file_is_not_read_if_it_is_far_too_large(find: Find, mine: Path) -> None:
    os.truncate(mine, 300_000_000)
    with pytest.raises(DeviceError, match="has 300 MB"):
        find(given=mine)


def test_a_given_file_that_is_lost_here_must_be_given_again(find: Find, mine: Path) -> None:
    find(given=mine).path.write_bytes(b"damaged")
    with pytest.raises(DeviceError, match=rf"{mine}.*gone or damaged.*Give it again"):
        find()
    assert find(given=mine).path.read_bytes() == program("mine")


# --- needed by an older configuration


def test_the_one_needed_is_found_whatever_was_chosen_since(find: Find, mine: Path) -> None:
    needed = find()
    find(given=mine)
    assert find(sha256=needed.sha256[:12]) == Binary(needed.path, needed.sha256)
    assert find(sha256=needed.sha256.upper()).sha256 == needed.sha256
    assert find().sha256 == sha(program("mine"))


def test_the_one_needed_is_fetched_again_if_it_was_published(find: Find) -> None:
    needed = find(version="2.2.0")
    needed.path.unlink()
    assert find(sha256=needed.sha256[:12]) == needed and needed.path.exists()


def test_the_one_needed_is_asked_for_if_it_is_not_here(find: Find, server: Server) -> None:
    find()
    with pytest.raises(DeviceError, match=r"benchmark_model 0123456789ab.*--benchmark-binary"):
        find(sha256="0123456789abcdef")
    assert len(server.paths) == 1


def test_a_given_file_must_be_the_one_needed(find: Find, mine: Path, cache: BinaryCache) -> None:
    with pytest.raises(ConfigurationMismatch, match="not comparable"):
        find(given=mine, sha256="0123456789ab")
    assert not cache.folder.exists()
    assert find(given=mine, sha256=sha(program("mine"))[:12]).sha256 == sha(program("mine"))


@pytest.mark.parametrize(
    "digits", ["0123456789a", "x" * 12, "0" * 65, "../../etc/passwd", "0" * 11 + "\n"]
)
def test_what_is_no_beginning_of_a_sha256_is_refused(digits: str, find: Find) -> None:
    with pytest.raises(ValueError, match="12 to 64 hexadecimal digits"):
        find(sha256=digits)


# --- a cache that cannot be written, or was written by someone else


def test_without_a_place_to_keep_it_nothing_is_fetched(
    find: Find, server: Server, mine: Path
) -> None:
    with pytest.raises(DeviceError, match=r"Cannot keep benchmark_model in .*XDG_CACHE_HOME"):
        find(cache=mine / "cache")  # in a file
    assert server.paths == []


def test_without_a_place_to_keep_it_a_given_file_is_used_where_it_lies(
    find: Find, mine: Path
) -> None:
    assert find(given=mine, cache=mine / "cache") == Binary(mine, sha(program("mine")))


def test_what_is_kept_is_found_in_a_folder_that_may_not_be_written(
    find: Find, cache: BinaryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = find(version="2.3.0")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(BinaryCache, "_update", refuse)
    monkeypatch.setattr(binary_cache, "replace_file", refuse)
    assert find().sha256 == find(version="2.3.0").sha256 == kept.sha256
    assert find(sha256=kept.sha256).sha256 == kept.sha256


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_noticed_before_the_download(
    find: Find, server: Server, cache: BinaryCache
) -> None:
    cache.folder.mkdir(mode=0o500)
    with pytest.raises(DeviceError, match="Permission denied"):
        find()
    assert server.paths == []


def test_a_full_disk_leaves_nothing_unfinished(
    find: Find, cache: BinaryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceError, match=r"No space left on device\. Make room"):
        find()
    assert os.listdir(cache.folder) == ["lock"]


RECORD = {"sha256": "0" * 64, "origin": "x", "when": "x"}


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"{",
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b"[]",
        b'{"version": 1}',
        json.dumps({"version": 0, "published": {}, "latest": {}}).encode(),
        json.dumps({"version": 1, "published": [], "latest": {}}).encode(),
        json.dumps({"version": 1, "published": {"../x/1": RECORD}, "latest": {}}).encode(),
        json.dumps({"version": 1, "published": {"a/../1": RECORD}, "latest": {}}).encode(),
        json.dumps({"version": 1, "published": {}, "latest": {ABI: 3}}).encode(),
        json.dumps({"version": 1, "published": {}, "latest": {ABI: {"sha256": "0"}}}).encode(),
        *(
            json.dumps({"version": 1, "published": {}, "latest": {ABI: {**RECORD, **bad}}}).encode()
            for bad in (
                {"sha256": "../../../etc/passwd"},
                {"sha256": "0" * 64 + "\n"},
                {"origin": "\x1b[2J"},
                {"origin": "\ud800"},
                {"when": None},
                {"more": "x"},
            )
        ),
    ],
)
def test_a_damaged_index_is_named(
    index: bytes, find: Find, server: Server, cache: BinaryCache
) -> None:
    cache.folder.mkdir()
    cache.index_path.write_bytes(index)
    with pytest.raises(DeviceError, match=r"index\.json is damaged\. Delete it"):
        find()
    assert server.paths == []
    cache.index_path.unlink()
    assert find().sha256 == sha(program())


def test_an_index_of_a_newer_version_is_left_alone(
    find: Find, cache: BinaryCache, mine: Path
) -> None:
    cache.folder.mkdir()
    cache.index_path.write_text('{"version": 2}')
    for arguments in ({}, {"given": mine}, {"sha256": "0" * 12}):
        with pytest.raises(DeviceError, match="newer mnaslat"):
            find(**arguments)
    assert cache.index_path.read_text() == '{"version": 2}'


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*RECORD, ABI, "a/1"]), inner),
    max_leaves=8,
)


@for_all(st.fixed_dictionaries({"version": st.just(1), "published": _JSON, "latest": _JSON}))
def test_no_index_is_too_strange(
    tmp_path_factory: pytest.TempPathFactory, index: dict[str, Any]
) -> None:
    cache = BinaryCache(tmp_path_factory.getbasetemp() / "strange")
    cache.folder.mkdir(exist_ok=True)
    cache.index_path.write_text(json.dumps(index))
    try:
        cache.index()
    except DeviceError:
        pass


def test_what_the_index_claims_is_checked(find: Find, cache: BinaryCache) -> None:
    other = program(abi="x86_64")
    cache.store(other)
    cache.choose(ABI, Record.now(sha(other), "someone"))
    with pytest.raises(DeviceError, match=r"is a program for x86-64.*--benchmark-binary"):
        find()


def test_names_that_cannot_be_printed_do_not_spoil_the_index(
    find: Find, tmp_path: Path, cache: BinaryCache
) -> None:
    path = tmp_path / os.fsdecode(b"\xff\n\x1b[2J")
    path.write_bytes(program())
    find(given=path)
    assert find().path.exists()
    assert cache.index().latest[ABI].origin.isprintable()


def test_a_process_that_dies_while_it_writes_does_no_harm(find: Find, cache: BinaryCache) -> None:
    dies_before_renaming = (
        "import os, sys; from pathlib import Path; "
        "from mnaslat.profiling.phone.tool.binary_cache import BinaryCache; "
        "os.replace = lambda *_: os._exit(9); "
        "BinaryCache(Path(sys.argv[1])).store(b'a program')"
    )
    command = [sys.executable, "-c", dies_before_renaming, str(cache.folder)]
    assert subprocess.run(command, cwd=cache.folder.parent).returncode == 9
    assert cache.read(sha(b"a program")) is None
    assert find().path.read_bytes() == program()


# --- where the cache is


@pytest.mark.parametrize("base", ["", "relative"])
def test_the_cache_is_in_the_home_folder(
    base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert default_cache_folder("benchmark_model") == tmp_path / ".cache/mnaslat/benchmark_model"


def test_the_cache_is_where_the_user_has_his_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = find_binary(ABI, published=server.address)
    assert found.path == tmp_path / "mnaslat/benchmark_model" / found.sha256


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(MnaslatError, match="Set XDG_CACHE_HOME"):
        find_binary(ABI)


def test_what_is_kept_is_found_fast(find: Find, mine: Path) -> None:
    mine.write_bytes(program() + bytes(20_000_000))
    find(given=mine)
    started = time.perf_counter()
    find()
    assert time.perf_counter() - started < 2.0
