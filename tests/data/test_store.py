"""Measurements on disk: committed round by round, whatever happens to the process or the disk."""

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.data.circumstances import read_circumstances
from mnaslat.data.measurement import Configuration, Round, Statistics
from mnaslat.data.measurement_store import Store
from mnaslat.errors import WorkspaceError

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
LAYER = "fp32 8x8x8 conv1x1>8:relu"

# Adds rounds of models a, b, c, ... in turn and says so after each: what it said is on disk.
_WRITER = """
import sys
from pathlib import Path
import numpy as np
from mnaslat.data.measurement import Configuration, Round, Statistics
from mnaslat.data.measurement_store import Store

path, name, n_rounds, n_runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
configuration = Configuration(device="host", fingerprint="made-up CPU")
store = Store(Path(path))
print("open", flush=True)
for number in range(n_rounds):
    measured = Round.of_runs(np.full(n_runs, 1.0 + number, np.float32))
    given = store.add_round(configuration, "layer", name, measured)
    print(given, flush=True)
store.close()
"""


def _round(*runs_ms: float) -> Round:
    return Round.of_runs(np.array(runs_ms or (1.0,), np.float32))


def _start_writer(
    path: Path, name: str, n_rounds: int, n_runs: int = 10
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _WRITER, str(path), name, str(n_rounds), str(n_runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=path.parent)


def _check_integrity(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "measurements.sqlite")
    yield opened
    opened.close()


def test_round_numbers_count_up_for_each_model_and_configuration(store: Store) -> None:
    other = replace(CONFIGURATION, threads=2)
    assert [store.add_round(CONFIGURATION, "layer", LAYER, _round()) for _ in range(3)] == [1, 2, 3]
    assert store.add_round(CONFIGURATION, "layer", "another", _round()) == 1
    assert store.add_round(other, "layer", LAYER, _round()) == 1
    assert store.measurements(CONFIGURATION, "layer")[LAYER].n_rounds == 3
    assert store.measurements(other, "layer")[LAYER].n_rounds == 1


def test_each_round_is_seen_by_another_reader_at_once(store: Store) -> None:
    reader = Store(store.path)
    for n_rounds in (1, 2, 3):
        store.add_round(CONFIGURATION, "layer", LAYER, _round(float(n_rounds)))
        assert reader.measurements(CONFIGURATION, "layer")[LAYER].n_rounds == n_rounds
    reader.close()


def test_raw_runs_and_circumstances_survive_byte_for_byte(store: Store) -> None:
    rng = np.random.default_rng(3)
    written = [
        Round.of_runs(
            rng.random(1000, np.float32) + np.float32(1e-3),
            warmup_ms=rng.random(7, np.float32),
            init_ms=0.1 + 0.2,
            circumstances=read_circumstances({"load": "0.31", "note": "größer than 'usual'"}),
        )
        for _ in range(2)
    ]
    for each in written:
        store.add_round(CONFIGURATION, "layer", LAYER, each)
    again = Store(store.path)
    read = again.rounds(CONFIGURATION, LAYER)
    again.close()
    for before, after in zip(written, read, strict=True):
        assert after.runs_ms.tobytes() == before.runs_ms.tobytes()
        assert after.warmup_ms.tobytes() == before.warmup_ms.tobytes()
        assert (after.init_ms, after.circumstances) == (before.init_ms, before.circumstances)


def test_a_measurement_sums_up_its_rounds(store: Store) -> None:
    store.add_round(CONFIGURATION, "layer", LAYER, _round(2.0, 4.0, 3.0))
    store.add_round(CONFIGURATION, "layer", LAYER, _round(5.0, 1.0))
    found = store.measurements(CONFIGURATION, "layer")[LAYER]
    assert (found.round_min_ms, found.n_runs) == ((2.0, 1.0), 5)


def test_statistics_without_raw_runs_are_kept_as_they_are(store: Store) -> None:
    reported = Statistics(n_runs=50, first_ms=2.9, min_ms=2.7, max_ms=3.2, mean_ms=2.95, std_ms=0.1)
    store.add_round(CONFIGURATION, "layer", LAYER, Round(statistics=reported))
    store.add_round(CONFIGURATION, "layer", "another", _round())
    (read,) = store.rounds(CONFIGURATION, LAYER)
    assert (read.statistics, read.runs_ms.size) == (reported, 0)
    assert store.measurements(CONFIGURATION, "layer")[LAYER].latency_ms == 2.7
    assert store.circumstances(CONFIGURATION) == [{}, {}]


def test_the_journal_keeps_its_order_and_its_configuration(store: Store) -> None:
    other = replace(CONFIGURATION, threads=2)
    for text in ("too hot", "cooled down"):
        store.add_event(CONFIGURATION, text, n_repeated=len(text))
    store.add_event(other, "lost")
    reported = [(event.text, event.n_repeated) for event in store.events(CONFIGURATION)]
    assert reported == [("too hot", 7), ("cooled down", 11)]
    assert [event.text for event in store.events(other)] == ["lost"]


_VERSION_1 = """
CREATE TABLE configurations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, content TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, signature TEXT NOT NULL UNIQUE, architecture TEXT
);
CREATE TABLE rounds (
    configuration INTEGER NOT NULL REFERENCES configurations(id),
    subject INTEGER NOT NULL REFERENCES subjects(id),
    number INTEGER NOT NULL,
    min_ms REAL NOT NULL, median_ms REAL NOT NULL, n_runs INTEGER NOT NULL, init_ms REAL NOT NULL,
    runs_ms BLOB NOT NULL, warmup_ms BLOB NOT NULL,
    circumstances TEXT NOT NULL, measured REAL NOT NULL,
    PRIMARY KEY (configuration, subject, number)
);
CREATE TABLE failures (
    configuration INTEGER NOT NULL REFERENCES configurations(id),
    subject INTEGER NOT NULL REFERENCES subjects(id),
    reason TEXT NOT NULL, happened REAL NOT NULL,
    PRIMARY KEY (configuration, subject)
);
PRAGMA user_version=1;
"""


def test_measurements_of_schema_1_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(_VERSION_1)
    content = json.dumps(asdict(CONFIGURATION))
    connection.execute(
        "INSERT INTO configurations VALUES (7, ?, ?, 1.0)", (CONFIGURATION.key, content)
    )
    connection.execute("INSERT INTO subjects VALUES (5, 'layer', ?, NULL)", (LAYER,))
    runs = np.array([3.0, 2.0, 4.0], "<f4").tobytes()
    for number in (1, 2):
        connection.execute(
            "INSERT INTO rounds VALUES (7, 5, ?, 2.0, 3.0, 3, 0.5, ?, ?, ?, ?)",
            (number, runs, runs[:4], json.dumps({"load": str(number)}), float(number)),
        )
    connection.execute("INSERT INTO failures VALUES (7, 5, 'no', 3.0)")
    connection.commit()
    connection.close()

    store = Store(path)
    first, second = store.rounds(CONFIGURATION, LAYER)
    assert (first.circumstances, second.circumstances) == ({"load": "1"}, {"load": "2"})
    assert (first.runs_ms.tolist(), first.warmup_ms.tolist()) == ([3.0, 2.0, 4.0], [3.0])
    assert (first.statistics.median_ms, first.init_ms) == (3.0, 0.5)
    assert store.measurements(CONFIGURATION, "layer")[LAYER].round_min_ms == (2.0, 2.0)
    assert store.failures(CONFIGURATION, "layer") == {LAYER: "no"}
    assert store.add_round(CONFIGURATION, "layer", LAYER, _round()) == 3
    store.close()
    Store(path).close()  # and once taken over, it stays so
    _check_integrity(path)


def test_layers_and_networks_are_told_apart(store: Store) -> None:
    store.add_round(CONFIGURATION, "layer", "a layer", _round())
    store.add_round(CONFIGURATION, "network", "a network", _round())
    assert list(store.measurements(CONFIGURATION, "layer")) == ["a layer"]
    assert list(store.measurements(CONFIGURATION, "network")) == ["a network"]


def test_a_file_of_version_3_keeps_its_unused_columns(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE subjects ADD COLUMN architecture TEXT")
        connection.execute("ALTER TABLE rounds ADD COLUMN memory_mb REAL")
        connection.execute("INSERT INTO subjects VALUES (1, 'layer', ?, '{}')", (LAYER,))
        connection.execute("PRAGMA user_version=3")
    connection.close()
    store = Store(path)
    store.add_round(CONFIGURATION, "layer", LAYER, _round(2.0))
    store.add_round(CONFIGURATION, "network", "another", _round())
    assert store.measurements(CONFIGURATION, "layer")[LAYER].latency_ms == 2.0
    store.close()
    _check_integrity(path)


def test_a_failure_is_kept_until_a_round_succeeds(store: Store) -> None:
    store.add_failure(CONFIGURATION, "layer", LAYER, "it crashed")
    store.add_failure(CONFIGURATION, "layer", LAYER, "it crashed again")
    assert store.failures(CONFIGURATION, "layer") == {LAYER: "it crashed again"}
    assert store.failures(CONFIGURATION, "network") == {}
    assert store.failures(replace(CONFIGURATION, threads=2), "layer") == {}
    store.add_round(CONFIGURATION, "layer", LAYER, _round())
    assert store.failures(CONFIGURATION, "layer") == {}


def test_configurations_end_with_the_one_measured_in_last(store: Store) -> None:
    first, second = CONFIGURATION, replace(CONFIGURATION, threads=2)
    for configuration in (first, second, first):
        store.add_round(configuration, "layer", LAYER, _round())
    assert store.configurations() == [second, first]


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    writers = [_start_writer(path, LAYER, 40) for _ in range(2)]  # the file does not exist yet
    given = [writer.communicate(timeout=60)[0].split()[1:] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(int(number) for part in given for number in part) == list(range(1, 81))
    store = Store(path)
    assert store.measurements(CONFIGURATION, "layer")[LAYER].n_rounds == 80
    store.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_writer_loses_no_round_that_it_reported(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "measurements.sqlite"
    writer = _start_writer(path, LAYER, 10**6, n_runs=3000)
    assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    time.sleep(random.Random(seed).uniform(0.01, 0.4))
    writer.kill()
    reported = [int(line) for line in writer.stdout.read().splitlines(True) if line[-1] == "\n"]
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    store = Store(path)
    rounds = store.rounds(CONFIGURATION, LAYER)
    assert len(rounds) - len(reported) in (0, 1)  # one may be committed but not reported yet
    for number, each in enumerate(rounds):
        assert each.runs_ms.tobytes() == np.full(3000, 1.0 + number, np.float32).tobytes()
    assert store.add_round(CONFIGURATION, "layer", LAYER, _round()) == len(rounds) + 1
    store.close()
    _check_integrity(path)


def test_the_journal_of_schema_2_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    store = Store(path)
    store.add_event(CONFIGURATION, "too hot")
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE events DROP COLUMN n_repeated")  # as schema 2 had it
    connection.execute("PRAGMA user_version=2")
    connection.commit()
    connection.close()
    store = Store(path)
    store.add_event(CONFIGURATION, "a round is repeated", 1)
    reported = [(event.text, event.n_repeated) for event in store.events(CONFIGURATION)]
    store.close()
    assert reported == [("too hot", 0), ("a round is repeated", 1)]


def test_each_combination_of_circumstances_is_told_once_in_order(store: Store) -> None:
    for clock, sentinel in (("9", "5.1"), ("8", "5.1"), ("9", "5.1"), ("8", None)):
        texts = {"max_khz": clock, "load": "1", **({"sentinel_ms": sentinel} if sentinel else {})}
        known = read_circumstances(texts)
        measured = Round.of_runs(np.ones(2, np.float32), circumstances=known)
        store.add_round(CONFIGURATION, "layer", LAYER, measured)
    assert store.distinct_circumstances(CONFIGURATION, ("max_khz", "sentinel_ms")) == [
        {"max_khz": "9", "sentinel_ms": "5.1"},
        {"max_khz": "8", "sentinel_ms": "5.1"},
        {"max_khz": "8"},
    ]


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(WorkspaceError, match=r"newer mnaslat \(schema 99\)\. Upgrade mnaslat or"):
        Store(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(WorkspaceError, match=r"Cannot use the measurements in .*not a database"):
        Store(path)


def test_a_full_disk_is_one_sentence_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    store = Store(path)
    store.add_round(CONFIGURATION, "layer", LAYER, _round())
    # A limit on the size of files that this process writes acts as a full disk does.
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(WorkspaceError, match=r"the disk has room; what was committed before"):
            for _ in range(100):
                measured = Round.of_runs(np.ones(3000, np.float32))
                store.add_round(CONFIGURATION, "layer", "large", measured)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.measurements(CONFIGURATION, "layer")[LAYER].n_rounds == 1
    assert store.add_round(CONFIGURATION, "layer", LAYER, _round()) == 2  # when there is room again
    store.close()
    _check_integrity(path)


def test_a_read_only_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "measurements.sqlite"
    Store(path).close()
    if os.geteuid() == 0:  # root writes where permissions forbid it: let SQLite forbid it
        store = Store(path)
        store._connection.execute("PRAGMA query_only=ON")
        with pytest.raises(WorkspaceError, match="Check that the folder is writable"):
            store.add_round(CONFIGURATION, "layer", LAYER, _round())
        store.close()
        return
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WorkspaceError, match="Check that the folder is writable"):
            opened = Store(path)
            opened.add_round(CONFIGURATION, "layer", LAYER, _round())
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="Cannot use the measurements in"):
        Store(tmp_path / "file" / "measurements.sqlite")
